"""M-CTC-T against its description written out: one moment, one head, one distance at a time."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional
from transformers.audio_utils import mel_filter_bank, spectrogram

from aural import models
from aural.errors import InputError
from aural.models import wav2vec2
from aural.models.wav2vec2.checkpoint import MCTCTFeatures, read_network
from aural.types import Encoder, Recogniser

WIDTH, LAYERS, HEADS, HEAD_WIDTH, INNER, MELS, POSITIONS, TOKENS = 12, 2, 3, 5, 20, 6, 4, 9
CONFIG = {
    "model_type": "mctct",
    "architectures": ["MCTCTForCTC"],
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "attention_head_dim": HEAD_WIDTH,
    "intermediate_size": INNER,
    "input_feat_per_channel": MELS,
    "max_position_embeddings": POSITIONS,
    "vocab_size": TOKENS,
    "pad_token_id": 1,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    """By the names of a checkpoint, all random."""
    draw = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return 0.5 * torch.randn(*shape, generator=draw)

    inside = HEADS * HEAD_WIDTH
    made = {
        "mctct.encoder.layer_norm.singleton_weight": random(1) + 1,
        "mctct.encoder.layer_norm.singleton_bias": random(1),
        "mctct.encoder.conv.conv_layers.0.weight": random(2 * WIDTH, MELS, 7),
        "mctct.encoder.conv.conv_layers.0.bias": random(2 * WIDTH),
        "ctc_head.weight": random(TOKENS, WIDTH),
        "ctc_head.bias": random(TOKENS),
    }
    for i in range(LAYERS):
        layer = f"mctct.encoder.layers.{i}"
        for name in ("query", "key", "value"):
            made[f"{layer}.attention.self.{name}.weight"] = random(inside, WIDTH)
        made[f"{layer}.attention.self.distance_embedding.weight"] = random(
            2 * POSITIONS - 1, HEAD_WIDTH
        )
        made[f"{layer}.attention.output.dense.weight"] = random(WIDTH, inside)
        made[f"{layer}.intermediate.dense.weight"] = random(INNER, WIDTH)
        made[f"{layer}.output.dense.weight"] = random(WIDTH, INNER)
        for part in ("attention.output", "output"):
            made[f"{layer}.{part}.LayerNorm.weight"] = random(WIDTH) + 1
            made[f"{layer}.{part}.LayerNorm.bias"] = random(WIDTH)
    return made


@pytest.fixture
def folder(weights, tmp_path: Path) -> Path:
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "|", "a", "é", "字", "b"]
    (tmp_path / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(vocabulary)}))
    return tmp_path


def attended(x: torch.Tensor, w: dict[str, torch.Tensor], scope: str) -> torch.Tensor:
    """What every moment of x (moment, width) attends to, joined over the heads."""
    q, k, v = (x @ w[f"{scope}.self.{name}.weight"].T for name in ("query", "key", "value"))
    distances = w[f"{scope}.self.distance_embedding.weight"]
    out = torch.zeros(len(x), HEADS * HEAD_WIDTH)
    for head in range(HEADS):
        part = slice(head * HEAD_WIDTH, (head + 1) * HEAD_WIDTH)
        for i in range(len(x)):
            scores = []
            for j in range(len(x)):
                score = q[i, part] @ k[j, part]
                if abs(j - i) < POSITIONS:
                    score = score + q[i, part] @ distances[POSITIONS - 1 + j - i]
                scores.append(score / math.sqrt(HEAD_WIDTH))
            shares = torch.stack(scores).softmax(0)
            out[i, part] = sum(share * v[j, part] for j, share in enumerate(shares))
    return out


def reference(features: torch.Tensor, w: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """Log probabilities and last states, of features (frame, mel)."""
    scaled = (
        features * w["mctct.encoder.layer_norm.singleton_weight"]
        + w["mctct.encoder.layer_norm.singleton_bias"]
    )
    wide = torch.cat((torch.zeros(3, MELS), scaled, torch.zeros(3, MELS)))
    moments = []
    for start in range(0, len(wide) - 6, 3):
        cut = wide[start : start + 7]
        out = torch.einsum("oit,ti->o", w["mctct.encoder.conv.conv_layers.0.weight"], cut)
        out = out + w["mctct.encoder.conv.conv_layers.0.bias"]
        moments.append(out[:WIDTH] * torch.sigmoid(out[WIDTH:]))
    x = torch.stack(moments)
    for i in range(LAYERS):
        layer = f"mctct.encoder.layers.{i}"

        def normed(x: torch.Tensor, scope: str) -> torch.Tensor:
            weight, bias = w[f"{scope}.LayerNorm.weight"], w[f"{scope}.LayerNorm.bias"]
            return functional.layer_norm(x, (WIDTH,), weight, bias, 1e-5)

        heard = attended(x, w, f"{layer}.attention")
        heard = heard @ w[f"{layer}.attention.output.dense.weight"].T
        x = normed(x + heard, f"{layer}.attention.output")
        inside = (x @ w[f"{layer}.intermediate.dense.weight"].T).relu()
        x = normed(x + inside @ w[f"{layer}.output.dense.weight"].T, f"{layer}.output")
    scores = x @ w["ctc_head.weight"].T + w["ctc_head.bias"]
    return scores.log_softmax(-1), x


@pytest.mark.parametrize("padding", [0.0, float("nan")])
def test_a_batch_is_the_network_written_out(folder: Path, weights, padding: float) -> None:
    """Sounds longer than the furthest distance, and shorter than the convolution; to 1e-4."""
    network = read_network(folder, wav2vec2.read_config(folder)).eval()
    draw = torch.Generator().manual_seed(1)
    lengths = [31, 2, 17, 1]
    features = [torch.randn(length, MELS, generator=draw) for length in lengths]
    batch = torch.nn.utils.rnn.pad_sequence(features, batch_first=True, padding_value=padding)
    with torch.no_grad():
        found, counts = network(batch, torch.tensor(lengths))
        states, _ = network.encode(batch, torch.tensor(lengths))
    for i, each in enumerate(features):
        right, last = reference(each, weights)
        assert counts[i] == len(right)
        torch.testing.assert_close(found[i, : counts[i]], right, atol=1e-4, rtol=0)
        torch.testing.assert_close(states[i, : counts[i]], last, atol=1e-4, rtol=0)
    assert counts[0] > POSITIONS


def test_features_are_flashlight_s() -> None:
    """As transformers 4 made them with functions that 5 still has, on a real scale; to 2e-3 of
    values of variance 1, as the reference is in double precision."""
    sound = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    window = np.hamming(400)
    filters = mel_filter_bank(257, 80, 0.0, 8000.0, 16000)
    mel = spectrogram(
        sound.astype(np.float64) * 32768,
        window,
        400,
        160,
        fft_length=512,
        center=False,
        preemphasis=0.97,
        mel_filters=filters,
        mel_floor=1.0,
        log_mel="log",
    ).T
    right = (mel - mel.mean(0)) / mel.std(0)
    found = MCTCTFeatures().features(sound)
    assert found.shape == right.shape == (48, 80)
    np.testing.assert_allclose(found, right, atol=2e-3)


def test_loaded_by_name(folder: Path) -> None:
    model = models.load(f"wav2vec2@{folder}", Recogniser, device="cpu")
    assert isinstance(model, Encoder)
    assert model.frame_rate == pytest.approx(100 / 3)
    sound = np.random.default_rng(1).normal(0, 0.1, 16000).astype(np.float32)
    (found,) = model.recognise([sound])
    assert set(found.segment.text) <= set(" aé字b")
    assert found.segment.text
    assert model.log_probs(sound).shape == (33, 6)  # <pad> | a é 字 b
    assert model.embed(sound).shape == (34, WIDTH)
    assert np.isfinite(model.embed(sound[:5])).all()


def test_other_forms_are_refused(folder: Path) -> None:
    written = {**CONFIG, "conv_kernel": [7, 7], "conv_stride": [3, 1]}
    (folder / "config.json").write_text(json.dumps(written))
    with pytest.raises(InputError, match="one convolution"):
        wav2vec2.read_config(folder)
