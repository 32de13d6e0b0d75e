"""Whisper trained further by recipe: two readings, two steps, judged in the fast runtime."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn.utils.rnn import pad_sequence

pytest.importorskip("hydra")

from aural import models
from aural.audio.features import whisper_log_mel
from aural.audio.read import read
from aural.data.examples import Example
from aural.errors import InputError, UnknownName
from aural.models.whisper.torch_decoder import read_network
from aural.train import experiment as experiments
from aural.train.compose import compose
from aural.train.experiment import run_experiment
from aural.train.ways.whisper import Bench, Hearing

RECIPE = """\
model:
  family: whisper
  variant: tiny.en
  config: {{train_encoder: lora, train_decoder: lora, lora_rank: 2, lora_layers: [query, value]}}
objective: {{name: whisper}}
data:
  source: {source}
  split: {{by: text, test: [unless to be]}}
batches: {{padded: 40, items: 2}}
train:
  steps: 2
  optimizer: {{learning_rate: 0.01}}
  log_every: 1
  tensorboard: false
  machine: {{device: cpu}}
judge: {{untrained: true, resamples: 200}}
"""
PIECES = (("0870", 0.0, 1.2, "And Mister John"), ("0880", 0.0, 1.3, "He was not an..."),
          ("0890", 0.0, 1.1, "unless to be"))  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def recipe(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Pieces of the real readings, two to learn from and one to be judged by."""
    folder = tmp_path_factory.mktemp("readings")
    lines = []
    for name, start, seconds, text in PIECES:
        audio = examples / f"sense_and_sensibility_{name}.flac"
        record = {"id": name, "audio_filepath": str(audio), "offset": start, "duration": seconds}
        lines.append(json.dumps({**record, "text": text, "lang": "en"}) + "\n")
    (folder / "manifest.jsonl").write_text("".join(lines))
    (folder / "further.yaml").write_text(RECIPE.format(source=folder / "manifest.jsonl"))
    return str(folder / "further.yaml")


@pytest.fixture(scope="module")
def done(recipe: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    directory = tmp_path_factory.mktemp("run") / "further"
    return directory, run_experiment(compose(recipe), directory)


def bench(recipe: str, *overrides: str) -> Bench:
    made = experiments.bench_of(compose(recipe, overrides))
    assert isinstance(made, Bench)
    return made


@pytest.fixture(scope="module")
def made(recipe: str) -> Bench:
    return bench(recipe)


def test_it_is_judged_beside_what_it_was(done: tuple) -> None:
    directory, found = done
    assert set(found["baselines"]) == {"majority", "before"}
    assert found["baselines"]["before"]["figures"]["wer"]["value"] is not None
    assert found["parameters"] > 37_000_000 + found["trained"]
    # width 384, 4 encoder and 4 decoder blocks, the latter with two attentions: 12 of 2 layers
    assert found["trained"] == 12 * 2 * 2 * (384 + 384)
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    losses = [each["loss"] for each in lines if each["kind"] == "train"]
    assert losses[1] < losses[0]


def test_the_export_is_the_network_with_lora_merged(done: tuple) -> None:
    """In the file there are the weights of before, and what LoRA adds where it was put."""
    directory, _ = done
    entry = models.find("whisper/tiny.en")
    before = read_network(models.locate(entry)).state_dict()
    after = read_network(directory / "model").state_dict()
    changed = {
        name for name, value in after.items() if not torch.allclose(value, before[name], atol=1e-3)
    }
    assert changed
    assert all(name.endswith(("query.weight", "value.weight")) for name in changed)
    model = models.load(f"whisper@{directory / 'model'}", device="cpu", threads=1)
    (found,) = model.recognise([np.zeros(16000, np.float32)])
    assert found.language == "en"


def test_lora_begins_as_the_pretrained_network(made: Bench) -> None:
    network, plain = made.network().eval(), read_network(made.start)
    mel, tokens = torch.randn(1, 200, 80), torch.tensor([[50257, 50362, 11]])
    with torch.no_grad():
        ours, theirs = (each(mel, torch.tensor([200]), tokens) for each in (network, plain))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-5)


def test_what_is_trained_is_what_is_asked_for(recipe: str) -> None:
    frozen = bench(recipe, "model.config.train_encoder=frozen", "model.config.train_decoder=full")
    named = dict(frozen.network().named_parameters())
    assert not any(each.requires_grad for name, each in named.items() if "encoder." in name[:8])
    assert all(each.requires_grad for name, each in named.items() if name.startswith("decoder."))
    assert not any("lora" in name for name in named)


def test_texts_are_tokens_as_they_are_written(made: Bench) -> None:
    example = made.examples("train", nn.Identity()).example(0)
    tokenizer = Tokenizer.from_file(str(made.start / "tokenizer.json"))
    special = ("<|startoftranscript|>", "<|notimestamps|>", "<|endoftext|>")
    start, no_timestamps, end = map(tokenizer.token_to_id, special)
    assert example.tokens[:2] == (start, no_timestamps)
    assert example.tokens[-1] == end
    assert tokenizer.decode(list(example.tokens[2:-1])) == " And Mister John"
    assert len(example.features) == 1200


def test_a_longer_neighbour_is_more_silence(examples: Path, made: Bench) -> None:
    """Features lengthened in a batch are those of samples padded so far."""
    samples = read(examples / "sense_and_sensibility_0880.flac", sample_rate=16000).samples[:32000]
    hearing = Hearing(80)
    short = Example("a", hearing.features(samples), (1, 2), "", 2.0)
    long = Example("b", np.zeros((2000, 80), np.float32), (1,), "", 18.0)
    batch = made.together([short, long])
    right = whisper_log_mel(np.pad(samples, (0, 20 * 16000 - samples.size)), 80).T
    assert len(short.features) == 1200
    np.testing.assert_allclose(batch.features[0].numpy(), right, atol=1e-6)
    assert batch.lengths.tolist() == [2000, 2000]
    tokens = pad_sequence([torch.tensor([1, 2]), torch.tensor([1])], batch_first=True)
    assert torch.equal(batch.targets, tokens)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["objective.name=ctc"], "whisper is trained with whisper"),
        (["model.config.train_encoder=thawed"], "unknown train_encoder 'thawed'"),
        (
            ["model.config.train_encoder=frozen", "model.config.train_decoder=frozen"],
            "encoder and decoder are frozen",
        ),
        (["model.variant=tiniest"], "unknown variant of whisper 'tiniest'"),
        (["model.config.lora_layers=[querry]"], "linear layers here are"),
    ],
)
def test_what_does_not_fit(recipe: str, overrides: list[str], message: str) -> None:
    with pytest.raises((InputError, UnknownName), match=message):
        bench(recipe, *overrides).network()
