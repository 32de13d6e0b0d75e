"""Directories of wav2vec 2.0's kind that nobody has checked: one sentence each, nothing built."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from aural import models
from aural.errors import InputError
from aural.models import wav2vec2
from aural.types import Recogniser

SMALL = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 36,
    "conv_dim": [12, 12, 16],
    "conv_kernel": [10, 3, 2],
    "conv_stride": [5, 2, 2],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 3,
    "vocab_size": 12,
}
LAYER = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
VOCABULARY = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONI", "'"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Directories to be copied and spoilt."""
    folders = {form: tmp_path_factory.mktemp(form) for form in ("wav2vec2", "mms")}
    for form, more in (("wav2vec2", {}), ("mms", {**LAYER, "adapter_attn_dim": 6})):
        torch.manual_seed(0)
        config = transformers.Wav2Vec2Config(**SMALL, **more)
        transformers.Wav2Vec2ForCTC(config).save_pretrained(folders[form])
        numbers = {text: i for i, text in enumerate(VOCABULARY)}
        (folders[form] / "vocab.json").write_text(json.dumps(numbers))
    return folders


def spoil(folder: Path, file: str, changes: dict[str, object]) -> None:
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


LIES: list[dict[str, object]] = [
    {"hidden_size": 24.0},
    {"hidden_size": 24 * 10**30},
    {"intermediate_size": 10**9},
    {"intermediate_size": 1 << 20, "num_hidden_layers": 100},
    {"num_hidden_layers": 10**9},
    {"num_hidden_layers": float("inf")},
    {"conv_stride": [10**6] * 3},
    {"conv_stride": [1 << 18, 1 << 18, 1]},
    {"conv_kernel": [10, 3, 2.5]},
    {"hidden_dropout": 5},
    {"attention_dropout": "much"},
    {"layer_norm_eps": [1]},
    {"layer_norm_eps": -1},
    {"num_conv_pos_embedding_groups": 0},
    {"num_conv_pos_embeddings": 0},
    {"num_conv_pos_embeddings": 10**9},
    {"hidden_act": ["gelu"]},
    {"vocab_size": 10**9},
    {"adapter_attn_dim": -1},
    {"pad_token_id": True},
    {"model_type": "wavlm", "num_buckets": 0},
    {"architectures": ["XForSequenceClassification"], "id2label": 5},
    {"architectures": ["XForSequenceClassification"], "classifier_proj_size": -5},
]


@pytest.mark.parametrize("changes", LIES, ids=str)
def test_configurations_that_lie(
    checkpoints: dict[str, Path], tmp_path: Path, changes: dict[str, object]
) -> None:
    """One sentence each, before anything of that size is built."""
    own = Path(shutil.copytree(checkpoints["wav2vec2"], tmp_path / "own"))
    spoil(own, "config.json", changes)
    with pytest.raises(InputError):
        models.load(f"wav2vec2@{own}", device="cpu")


@pytest.mark.parametrize(
    "written",
    [
        {"<pad>": 0, "a": 3, "b": 3},
        {"a": -1},
        {"a": True},
        {"a": 10**30},
        {"\ud800": 1},
        {"eng": {"a": {"b": 1}}},
        [1],
    ],
    ids=ascii,
)
def test_vocabularies_that_are_none(
    checkpoints: dict[str, Path], tmp_path: Path, written: object
) -> None:
    own = Path(shutil.copytree(checkpoints["wav2vec2"], tmp_path / "own"))
    (own / "vocab.json").write_text(json.dumps(written))
    with pytest.raises(InputError, match=r"vocab\.json"):
        models.load(f"wav2vec2@{own}", device="cpu")


def test_pickles_beside_the_weights_are_passed_over(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    own = Path(shutil.copytree(checkpoints["wav2vec2"], tmp_path / "own"))
    (own / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n")
    assert isinstance(models.load(f"wav2vec2@{own}", device="cpu"), Recogniser)


@pytest.mark.parametrize("lacking", ["lm_head.bias", "lm_head", "layers.1.adapter", "", "more"])
def test_adapters_are_whole_and_nothing_else(
    checkpoints: dict[str, Path], tmp_path: Path, lacking: str
) -> None:
    own = Path(shutil.copytree(checkpoints["mms"], tmp_path / "own"))
    state = {
        name: value
        for name, value in load_file(own / "model.safetensors").items()
        if "adapter_layer" in name or name.startswith("lm_head")
        if not lacking or lacking not in name
    }
    if lacking == "more":
        state["wav2vec2.feature_projection.projection.bias"] = torch.zeros(24)
    save_file(state, own / "adapter.deu.safetensors")
    numbers = {text: i for i, text in enumerate(VOCABULARY)}
    (own / "vocab.json").write_text(json.dumps({"eng": numbers, "deu": numbers}))
    recogniser = models.load(f"wav2vec2@{own}", device="cpu")
    german = wav2vec2.DecodingOptions(language="deu")
    sound = [np.random.default_rng(0).normal(size=4000).astype(np.float32)]
    if not lacking:
        assert recogniser.recognise(sound, german)[0].language == "deu"
        return
    before = recogniser.recognise(sound)[0].segment.text
    with pytest.raises(InputError, match="not the adapters and the head"):
        recogniser.recognise(sound, german)
    assert recogniser.recognise(sound)[0].segment.text == before


def test_complex_weights_are_refused(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    own = Path(shutil.copytree(checkpoints["wav2vec2"], tmp_path / "own"))
    state = load_file(own / "model.safetensors")
    state["lm_head.bias"] = state["lm_head.bias"].to(torch.complex64)
    save_file(state, own / "model.safetensors")
    with pytest.raises(InputError, match="complex numbers"):
        models.load(f"wav2vec2@{own}", device="cpu")
