"""Cross-entropy with smoothed labels and ends, CTC beside it, as torch has them."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.errors import InputError
from aural.models.seq2seq import VARIANTS, build
from aural.train.batch import Batch
from aural.train.objectives.attention import attention, with_ends


class Told(nn.Module):
    """A network whose answer is given."""

    def __init__(self, log_probs: Tensor, heard: Tensor | None, lengths: Tensor) -> None:
        super().__init__()
        self.answer = log_probs, heard, lengths

    def forward(self, *_: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        return self.answer


def batch_of(texts: list[list[int]], frames: int = 12) -> Batch:
    draw = torch.Generator().manual_seed(2)
    tokens = [torch.tensor(text, dtype=torch.int64) for text in texts]
    return Batch(
        torch.randn(len(texts), frames, 8, generator=draw),
        torch.full((len(texts),), frames),
        nn.utils.rnn.pad_sequence(tokens, batch_first=True),
        torch.tensor([len(text) for text in texts]),
    )


TEXTS = [[3, 1, 2, 2], [5], [4, 4, 1]]


@pytest.fixture
def told() -> Told:
    draw = torch.Generator().manual_seed(1)
    log_probs = torch.randn(3, 5, 6, generator=draw).log_softmax(-1)
    heard = torch.randn(3, 12, 6, generator=draw).log_softmax(-1)
    return Told(log_probs, heard, torch.tensor([12, 9, 10]))


def test_targets_with_their_ends() -> None:
    batch = batch_of(TEXTS)
    wanted, counted = with_ends(batch.targets, batch.target_lengths)
    assert wanted.tolist() == [[3, 1, 2, 2, 0], [5, 0, 0, 0, 0], [4, 4, 1, 0, 0]]
    assert counted.sum(1).tolist() == [5, 2, 4]


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_the_sum_of_torch_s_cross_entropies(told: Told, smoothing: float) -> None:
    losses = attention(told, batch_of(TEXTS), label_smoothing=smoothing, ctc_weight=0.0)
    right = sum(
        functional.cross_entropy(
            told.answer[0][i, : len(text) + 1],
            torch.tensor([*text, 0]),
            label_smoothing=smoothing,
            reduction="sum",
        )
        for i, text in enumerate(TEXTS)
    )
    torch.testing.assert_close(losses.total, right)
    assert losses.weight == 5 + 2 + 4
    assert set(losses.parts) == {"attention", "correct"}
    plain = sum(
        -told.answer[0][i, j, t] for i, x in enumerate(TEXTS) for j, t in enumerate([*x, 0])
    )
    torch.testing.assert_close(losses.parts["attention"], plain)
    best = told.answer[0].argmax(-1)
    hits = sum(best[i, j] == t for i, x in enumerate(TEXTS) for j, t in enumerate([*x, 0]))
    assert losses.parts["correct"] == hits


def test_ctc_counts_its_weight(told: Told) -> None:
    batch = batch_of(TEXTS)
    alone = attention(told, batch, ctc_weight=0.0).total
    ctc = sum(
        functional.ctc_loss(
            told.answer[1][i, : told.answer[2][i]],
            torch.tensor(text),
            told.answer[2][i],
            torch.tensor(len(text)),
            reduction="sum",
        )
        for i, text in enumerate(TEXTS)
    )
    for weight in (0.25, 1.0):
        losses = attention(told, batch, ctc_weight=weight)
        torch.testing.assert_close(losses.total, (1 - weight) * alone + weight * ctc)
        torch.testing.assert_close(losses.parts["ctc"], ctc)


def test_too_short_for_ctc(told: Told) -> None:
    """Text 0 needs 5 frames (2 2 has a blank between); with 4 it has no CTC loss."""
    told.answer = *told.answer[:2], torch.tensor([4, 9, 10])
    losses = attention(told, batch_of(TEXTS))
    assert torch.isfinite(losses.total)


def test_two_batches_are_as_one() -> None:
    torch.manual_seed(0)
    network = build(replace(VARIANTS["test"].config, dropout=0.0))
    whole = attention(network, batch_of(TEXTS))
    batch = batch_of(TEXTS)
    parts = [
        attention(
            network,
            Batch(
                batch.features[i : i + 1],
                batch.lengths[i : i + 1],
                batch.targets[i : i + 1, : batch.target_lengths[i]],
                batch.target_lengths[i : i + 1],
            ),
        )
        for i in range(3)
    ]
    assert sum(part.weight for part in parts) == whole.weight
    torch.testing.assert_close(sum(part.total for part in parts), whole.total, rtol=1e-5, atol=1e-4)


def test_a_network_without_a_ctc_head() -> None:
    torch.manual_seed(0)
    network = build(replace(VARIANTS["test"].config, ctc=False, dropout=0.0))
    losses = attention(network, batch_of(TEXTS))
    losses.total.backward()
    assert "ctc" not in losses.parts


@pytest.mark.parametrize("name", ["label_smoothing", "ctc_weight"])
def test_shares_out_of_range(told: Told, name: str) -> None:
    with pytest.raises(InputError, match=name):
        attention(told, batch_of(TEXTS), **{name: 1.5})
