"""Whisper's format of tokens, and that training in it learns: on two real readings."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aural import models
from aural.audio.read import read
from aural.errors import InputError, UnknownName
from aural.models.whisper.engine import Numbers
from aural.models.whisper.torch_decoder import read_network
from aural.train.batch import Batch
from aural.train.objectives.whisper import multitask_tokens, whisper, whisper_batch
from aural.types import Segment


class Letters:
    """A tokenizer of one token a letter: a is 1."""

    def encode(self, text: str, *, add_special_tokens: bool) -> "Letters":
        assert not add_special_tokens
        self.ids = [max(0, ord(letter) - 96) for letter in text]
        return self


NUMBERS = Numbers(
    start=101,
    end=100,
    previous=104,
    no_timestamps=106,
    no_speech=105,
    tasks={"transcribe": 108, "translate": 107},
    languages=(("de", 103), ("en", 102)),
)
SEGMENTS = [Segment(0.0, 1.5, "ab"), Segment(1.52, 29.98, " c ")]


@pytest.mark.parametrize(
    ("options", "tokens"),
    [
        ({}, [101, 102, 108, 106, 0, 1, 2, 0, 3, 100]),
        (
            {"language": "de", "task": "translate"},
            [101, 103, 107, 106, 0, 1, 2, 0, 3, 100],
        ),
        (
            {"timestamps": True},
            [101, 102, 108, 107, 0, 1, 2, 182, 183, 0, 3, 1606, 100],
        ),
        ({"previous": "z"}, [104, 0, 26, 101, 102, 108, 106, 0, 1, 2, 0, 3, 100]),
    ],
)
def test_the_format(options: dict, tokens: list[int]) -> None:
    assert list(multitask_tokens(SEGMENTS, Letters(), NUMBERS, **options)) == tokens


def test_silence_and_a_long_text_before() -> None:
    assert multitask_tokens([], Letters(), NUMBERS) == (101, 102, 108, 106, 100)
    tokens = multitask_tokens([], Letters(), NUMBERS, previous="q" * 999)
    assert tokens[:224] == (104, *[17] * 223)


def test_what_is_refused() -> None:
    with pytest.raises(UnknownName, match="'fr'"):
        multitask_tokens([], Letters(), NUMBERS, language="fr")
    with pytest.raises(UnknownName, match="'sing'"):
        multitask_tokens([], Letters(), NUMBERS, task="sing")
    with pytest.raises(InputError, match=r"30\.5"):
        multitask_tokens([Segment(0, 30.5, "a")], Letters(), NUMBERS, timestamps=True)
    with pytest.raises(InputError, match="505 tokens"):
        multitask_tokens([Segment(0, 1, "a" * 499)], Letters(), NUMBERS)
    with pytest.raises(InputError, match=r"2\.0 s; give up to 1 s"):
        whisper_batch([np.zeros(32000, np.float32)], [[1]], seconds=1)


class Told(nn.Module):
    """A network whose scores are given."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, features: Tensor, lengths: Tensor, tokens: Tensor) -> Tensor:
        return self.scores[:, : tokens.shape[1]]


def test_only_what_comes_after_the_start_is_trained() -> None:
    """The sum written out: of texts with and without something before the start."""
    texts = [[9, 5, 7, 1, 2, 8], [7, 3, 8]]
    scores = torch.randn(2, 5, 10, generator=torch.Generator().manual_seed(0))
    batch = Batch(
        torch.zeros(2, 4, 3),
        torch.tensor([4, 4]),
        torch.nn.utils.rnn.pad_sequence([torch.tensor(t) for t in texts], batch_first=True),
        torch.tensor([6, 3]),
    )
    for smoothing in (0.0, 0.1):
        losses = whisper(Told(scores), batch, start=7, label_smoothing=smoothing)
        log_probs = scores.log_softmax(-1)
        trained = [(0, 2, 1), (0, 3, 2), (0, 4, 8), (1, 0, 3), (1, 1, 8)]
        plain = -sum(log_probs[i, j, token] for i, j, token in trained)
        even = -sum(log_probs[i, j].mean() for i, j, _ in trained)
        torch.testing.assert_close(losses.total, (1 - smoothing) * plain + smoothing * even)
        torch.testing.assert_close(losses.parts["cross_entropy"], plain)
        assert losses.weight == 5
    with pytest.raises(InputError, match="no transcript starts"):
        whisper(Told(scores), batch, start=6)


def test_two_real_readings_are_learned(examples: Path) -> None:
    """tiny.en at their real texts: a few steps bring the loss down, on each of them."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = models.load("whisper/tiny.en", device="cpu", compute_type="float32", threads=2)
    lines = (examples / "manifest.jsonl").read_text().splitlines()[1:]
    readings = [json.loads(line) for line in lines]
    windows, texts = [], []
    for reading in readings:
        windows.append(read(examples / reading["audio_filepath"], sample_rate=16000).samples)
        said = Segment(0.0, windows[-1].size / 16000, reading["text"])
        texts.append(multitask_tokens([said], model.tokenizer, model.numbers))
    batch = whisper_batch(windows, texts, seconds=max(each.size for each in windows) / 16000)
    network = read_network(model.directory).train()
    optimiser = torch.optim.AdamW(network.parameters(), 1e-5)
    losses = []
    for _ in range(3):
        found = whisper(network, batch, start=model.numbers.start)
        losses.append(found.total.item() / found.weight)
        optimiser.zero_grad()
        (found.total / found.weight).backward()
        optimiser.step()
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.8 * losses[0]
    assert found.parts["correct"] > 0.5 * found.weight
