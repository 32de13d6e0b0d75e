"""The transducer's loss against every path, a plain recursion, and finite differences."""

import itertools
import math
import time

import numpy as np
import pytest
import torch
from torch import Tensor

from aural.errors import InputError
from aural.nn.transducer_loss import transducer_loss


def of_every_path(logits: np.ndarray, target: list[int]) -> float:
    """-log of the sum over all ways to place the tokens: each path's probability multiplied out."""
    exact = logits.astype(np.float64)
    log_probs = exact - np.log(np.exp(exact).sum(-1, keepdims=True))
    frames, total = len(logits), 0.0
    for places in itertools.combinations_with_replacement(range(frames), len(target)):
        path, count = 0.0, 0
        for t in range(frames):
            for _ in range(places.count(t)):
                path += log_probs[t, count, target[count]]
                count += 1
            path += log_probs[t, count, 0]
        total += math.exp(path)
    return -math.log(total)


def by_recursion(logits: Tensor, target: list[int]) -> Tensor:
    """-log P by the recursion of the paper's equation 16, node by node, with torch's gradient."""
    log_probs = logits.log_softmax(-1)
    alpha: dict[tuple[int, int], Tensor] = {}
    for t in range(len(logits)):
        for u in range(len(target) + 1):
            ways = []
            if t:
                ways.append(alpha[t - 1, u] + log_probs[t - 1, u, 0])
            if u:
                ways.append(alpha[t, u - 1] + log_probs[t, u - 1, target[u - 1]])
            alpha[t, u] = torch.stack(ways).logsumexp(0) if ways else logits.new_zeros(())
    return -(alpha[len(logits) - 1, len(target)] + log_probs[-1, len(target), 0])


def drawn(
    items: int, frames: int, most: int, tokens: int, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    torch.manual_seed(3)
    logits = 2 * torch.randn(items, frames, most + 1, tokens, dtype=dtype)
    targets = torch.randint(1, tokens, (items, most))
    lengths = torch.randint(1, frames + 1, (items,))
    target_lengths = torch.randint(0, most + 1, (items,))
    lengths[0], target_lengths[0] = frames, most
    return logits, targets, lengths, target_lengths


def test_equals_every_path_multiplied_out() -> None:
    logits, targets, lengths, counts = drawn(9, 5, 4, 4, torch.float64)
    losses = transducer_loss(logits, targets, lengths, counts)
    for i, loss in enumerate(losses.tolist()):
        own = logits[i, : lengths[i]].numpy()
        assert loss == pytest.approx(
            of_every_path(own, targets[i, : counts[i]].tolist()), abs=1e-10
        )


def test_gradient_equals_that_of_a_plain_recursion_and_is_zero_in_the_padding() -> None:
    logits, targets, lengths, counts = drawn(6, 40, 7, 5, torch.float64)
    weights = torch.arange(1.0, 7.0, dtype=torch.float64)
    own, plain = (logits.clone().requires_grad_() for _ in range(2))
    (transducer_loss(own, targets, lengths, counts) * weights).sum().backward()
    total = sum(
        weights[i]
        * by_recursion(plain[i, : lengths[i], : counts[i] + 1], targets[i, : counts[i]].tolist())
        for i in range(6)
    )
    total.backward()
    torch.testing.assert_close(own.grad, plain.grad, atol=1e-10, rtol=0)
    assert own.grad[1, lengths[1] :].abs().sum() == 0


def test_gradcheck() -> None:
    logits, targets, lengths, counts = drawn(3, 4, 3, 4, torch.float64)
    assert torch.autograd.gradcheck(
        lambda x: transducer_loss(x, targets, lengths, counts), logits.requires_grad_(), atol=1e-7
    )


def test_float32_is_as_good_as_float64_over_many_frames() -> None:
    logits, targets, lengths, counts = drawn(2, 300, 30, 8, torch.float64)
    exact = transducer_loss(logits, targets, lengths, counts)
    single = transducer_loss(logits.float(), targets, lengths, counts)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, rtol=1e-5, atol=0)


def test_bfloat16_sums_in_float32() -> None:
    logits, targets, lengths, counts = drawn(2, 50, 6, 8, torch.float32)
    half = logits.bfloat16().requires_grad_()
    losses = transducer_loss(half, targets, lengths, counts)
    losses.sum().backward()
    expected = transducer_loss(half.detach().float(), targets, lengths, counts)
    torch.testing.assert_close(losses.detach(), expected)
    assert half.grad.dtype == torch.bfloat16


def test_padding_of_targets_and_the_rest_of_a_batch_change_nothing() -> None:
    logits, targets, lengths, counts = drawn(4, 9, 5, 6, torch.float32)
    whole = transducer_loss(logits, targets, lengths, counts)
    for i in range(4):
        last, count = int(lengths[i]), int(counts[i])
        alone = transducer_loss(
            logits[i : i + 1, :last, : count + 1],
            targets[i : i + 1, :count],
            lengths[i : i + 1],
            counts[i : i + 1],
        )
        torch.testing.assert_close(alone, whole[i : i + 1], atol=1e-5, rtol=0)
    targets = targets.masked_fill(torch.arange(5) >= counts[:, None], 99999)
    torch.testing.assert_close(transducer_loss(logits, targets, lengths, counts), whole)


def test_one_frame_empty_text_is_its_blank() -> None:
    logits = torch.randn(1, 1, 1, 5)
    none = torch.zeros(1, 0, dtype=torch.int64)
    loss = transducer_loss(logits, none, torch.tensor([1]), torch.tensor([0]))
    torch.testing.assert_close(loss, -logits.log_softmax(-1)[0, 0, 0, :1])


def test_an_impossible_text_costs_infinity_and_has_no_gradient() -> None:
    logits, targets, lengths, counts = drawn(2, 4, 2, 4, torch.float32)
    logits[0, :, :, int(targets[0, 0])] = -torch.inf
    logits.requires_grad_()
    losses = transducer_loss(logits, targets, lengths, counts)
    losses.sum().backward()
    assert losses[0] == torch.inf
    assert torch.isfinite(losses[1])
    assert logits.grad[0].abs().sum() == 0
    assert logits.grad[1].abs().sum() > 0


def test_speed_of_a_small_batch() -> None:
    logits, targets, lengths, counts = drawn(8, 100, 20, 30, torch.float32)
    logits.requires_grad_()
    took = []
    for _ in range(3):
        begun = time.process_time()
        transducer_loss(logits, targets, lengths, counts).sum().backward()
        took.append(time.process_time() - begun)
    assert min(took) < 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": torch.zeros(2, 3, 3)}, "logits are"),
        ({"logits": torch.zeros(2, 3, 3, 4, dtype=torch.int64)}, "logits are"),
        ({"targets": torch.ones(2, 5, dtype=torch.int64)}, "targets have shape"),
        ({"targets": torch.tensor([[1, 0], [1, 1]])}, "a target is 0; give 1 to 3"),
        ({"targets": torch.tensor([[1, 4], [1, 1]])}, "a target is 4"),
        ({"lengths": torch.tensor([3, 0])}, "lengths are \\[3, 0\\]; give 1 to 3"),
        ({"lengths": torch.tensor([3, 4])}, "lengths are"),
        ({"lengths": torch.tensor([3.0, 3.0])}, "lengths are torch.float32"),
        ({"target_lengths": torch.tensor([3, 1])}, "target_lengths are"),
        ({"target_lengths": torch.tensor([-1, 1])}, "target_lengths are"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Tensor], message: str) -> None:
    given = {
        "logits": torch.zeros(2, 3, 3, 4),
        "targets": torch.ones(2, 2, dtype=torch.int64),
        "lengths": torch.tensor([3, 3]),
        "target_lengths": torch.tensor([2, 2]),
    }
    with pytest.raises(InputError, match=message):
        transducer_loss(**(given | change))
