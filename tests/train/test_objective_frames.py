"""Cross-entropy of frames, and the network of a hybrid that learns by it."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aural.errors import InputError
from aural.models.hmm.network import FrameNetwork, Shape
from aural.train.batch import Batch
from aural.train.objectives.frames import frames

SHAPE = Shape(features=4, states=5, hidden=8, layers=2, context=2)


def batch_of(seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([6, 4])
    targets = torch.randint(0, 5, (2, 6), generator=draw)
    return Batch(torch.randn(2, 6, 4, generator=draw), lengths, targets, lengths)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_sum_written_out(smoothing: float) -> None:
    torch.manual_seed(0)
    network, batch = FrameNetwork(SHAPE), batch_of()
    losses = frames(network, batch, label_smoothing=smoothing)
    total = plain = 0.0
    correct = 0
    for item, length in enumerate(batch.lengths.tolist()):
        log_probs, _ = network(batch.features[item : item + 1, :length], torch.tensor([length]))
        for row, state in zip(log_probs[0], batch.targets[item], strict=False):
            plain -= row[state].item()
            total -= (1 - smoothing) * row[state].item() + smoothing * row.mean().item()
            correct += int(row.argmax() == state)
    assert losses.total.item() == pytest.approx(total, abs=1e-4)
    assert float(losses.parts["cross_entropy"]) == pytest.approx(plain, abs=1e-4)
    assert int(losses.parts["correct"]) == correct
    assert losses.weight == 10


class Halving(nn.Module):
    """A network that makes one state of two frames."""

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros(2, 3, 5), lengths // 2


def test_a_network_that_leaves_frames_out_is_refused() -> None:
    with pytest.raises(InputError, match=r"gives \[3, 2\] frames and the alignment has \[6, 4\]"):
        frames(Halving(), batch_of())


@pytest.mark.parametrize("held", [0.0, float("nan")])
def test_padding_changes_no_frame(held: float) -> None:
    torch.manual_seed(1)
    network, batch = FrameNetwork(SHAPE, dropout=0.5).eval(), batch_of()
    given = batch.features.clone()
    given[1, 4:] = held
    whole, lengths = network(given, batch.lengths)
    alone = network.log_posteriors(batch.features[1, :4].numpy())
    torch.testing.assert_close(whole[1, :4].detach(), torch.from_numpy(alone), atol=1e-5, rtol=1e-5)
    assert torch.equal(lengths, batch.lengths)
    np.testing.assert_allclose(np.exp(alone).sum(axis=1), 1, atol=1e-5)


def test_a_frame_sees_its_context_and_no_more() -> None:
    torch.manual_seed(2)
    network = FrameNetwork(SHAPE).eval()
    given = torch.randn(9, 4).numpy()
    before = network.log_posteriors(given)
    given[8] += 5
    changed = np.abs(network.log_posteriors(given) - before).max(axis=1) > 1e-6
    assert changed.tolist() == [False] * 6 + [True] * 3
    assert network.log_posteriors(given[:0]).shape == (0, 5)


def test_shapes_that_are_none() -> None:
    for wrong in ({"hidden": 0}, {"layers": 0}, {"context": -1}, {"states": 0}):
        values = {"features": 4, "states": 5, "hidden": 8, "layers": 2, "context": 2}
        with pytest.raises(InputError):
            Shape(**values | wrong)
