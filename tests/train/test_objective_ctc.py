"""The CTC objective against the sum over all paths, written out."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aural.decode.ctc import needed_frames as needed
from aural.decode.prefix_beam import BeamOptions, prefix_beam
from aural.train.batch import Batch
from aural.train.objectives.ctc import ctc, needed_frames

TOKENS = 4


class Told(nn.Module):
    """Log probabilities of a parameter, every second frame of the input."""

    def __init__(self, items: int, frames: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.scores = nn.Parameter(torch.randn(items, frames, TOKENS, dtype=torch.float32))

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        assert features.shape[0] == len(self.scores)
        return self.scores.log_softmax(dim=-1), lengths // 2


def batch_of(texts: list[tuple[int, ...]], frames: list[int]) -> Batch:
    targets = torch.zeros(len(texts), max(map(len, texts), default=0), dtype=torch.int64)
    for row, text in zip(targets, texts, strict=True):
        row[: len(text)] = torch.tensor(text, dtype=torch.int64)
    return Batch(
        torch.zeros(len(texts), max(frames), 2),
        torch.tensor(frames),
        targets,
        torch.tensor([len(text) for text in texts]),
    )


def written_out(log_probs: np.ndarray, text: tuple[int, ...]) -> float:
    scores = [
        sum(log_probs[i, token] for i, token in enumerate(path))
        for path in itertools.product(range(TOKENS), repeat=len(log_probs))
        if tuple(token for token, _ in itertools.groupby(path) if token) == text
    ]
    return -float(np.logaddexp.reduce(scores)) if scores else 0.0


def test_the_loss_is_that_of_all_paths_and_what_cannot_fit_is_counted() -> None:
    texts = [(1, 2), (3, 3), (), (1, 1), (2, 1, 3)]
    frames = [5, 3, 4, 2, 2]  # the last two are too short
    network = Told(5, 5)
    losses = ctc(network, batch_of(texts, [2 * each for each in frames]))
    told = network.scores.detach().double().log_softmax(dim=-1).numpy()
    wanted = [written_out(told[i, : frames[i]], texts[i]) for i in range(5)]
    assert float(losses.total.detach()) == pytest.approx(sum(wanted), abs=1e-4)
    assert losses.weight == 9
    assert float(losses.parts["unfit"]) == 5
    losses.total.backward()
    gradient = network.scores.grad
    assert gradient is not None
    assert torch.isfinite(gradient).all()
    reached = gradient.abs().sum(dim=(1, 2)) > 0
    assert reached.tolist() == [True, True, True, False, False]
    assert gradient[1, 3:].abs().sum() == 0


def test_beam_search_finds_the_probability_that_is_trained() -> None:
    network = Told(3, 6)
    log_probs = network.scores.detach().log_softmax(dim=-1).numpy()
    options = BeamOptions(beam_size=3000, n_best=3000).exact
    for item, texts in enumerate(prefix_beam(log_probs, options=options)):
        for text in texts[:20]:
            alone = Told(3, 6)
            alone.scores.data = network.scores.data[item : item + 1]
            losses = ctc(alone, batch_of([text.tokens], [12]))
            assert -float(losses.total.detach()) == pytest.approx(text.log_prob, abs=1e-4)


def test_it_sums_over_batches() -> None:
    texts, frames = [(1, 2), (3,), (2, 2)], [10, 8, 12]
    network = Told(3, 6)
    whole = ctc(network, batch_of(texts, frames))
    parts = []
    for item in range(3):
        alone = Told(3, 6)
        alone.scores.data = network.scores.data[item : item + 1]
        parts.append(ctc(alone, batch_of([texts[item]], [frames[item]])))
    summed = sum(float(each.total.detach()) for each in parts)
    assert float(whole.total.detach()) == pytest.approx(summed, rel=1e-5)
    assert whole.weight == sum(each.weight for each in parts)


def test_half_precision_is_summed_in_float32() -> None:
    network = Told(1, 6).to(torch.bfloat16)
    losses = ctc(network, batch_of([(1, 2)], [12]))
    assert losses.total.dtype == torch.float32
    losses.total.backward()


def test_the_frames_that_are_needed_are_those_of_alignment() -> None:
    rng = np.random.default_rng(0)
    texts = [tuple(rng.integers(1, 3, rng.integers(0, 7)).tolist()) for _ in range(20)]
    batch = batch_of(texts, [2] * 20)
    assert needed_frames(batch.targets, batch.target_lengths).tolist() == list(map(needed, texts))
