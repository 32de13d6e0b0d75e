"""The loss of a transducer (Graves 2012, arXiv:1211.3711), with its gradient written out.

A lattice has a node for each frame t and each count u of tokens written so far. The blank leads to
(t + 1, u), the next token of the text to (t, u + 1), and the last frame's last blank out of it. Of
the sum over all ways both recursions, from the start and from the end, are taken over
anti-diagonals, t + u constant: frame + token steps, each for all items and nodes at once.

The softmax is merged with the loss (Li et al. 2019, arXiv:1909.12415): beside the logits nothing
of their size is held, and the gradient is the only such tensor that is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from aural.errors import InputError

if TYPE_CHECKING:
    from torch.autograd.function import FunctionCtx

BLANK = 0
BLOCK_FRAMES = 32
"""Frames whose softmax is computed at once: bounds the memory beside logits and gradient."""


def transducer_loss(
    logits: Tensor, targets: Tensor, lengths: Tensor, target_lengths: Tensor
) -> Tensor:
    """Minus the log probability of each item's text, shape = (item,), float32 at least.

    Args:
        logits: (item, frame, token + 1, tokens), not normalised; token 0 is the blank.
        targets: int64, (item, token); what stands beyond an item's length is not looked at.
        lengths: Frames of each item that are real, (item,), 1 or more.
        target_lengths: Tokens of each item, (item,), 0 or more.

    An item whose text is impossible (logits of -inf) has the loss inf and no gradient. Sums are
    over float32 where the logits are of less; the gradient has the logits' own type.

    Raises:
        InputError: shapes that do not belong together, lengths or targets out of range.
    """
    _check(logits, targets, lengths, target_lengths)
    loss: Tensor = _TransducerLoss.apply(logits, targets, lengths, target_lengths)
    return loss


def _check(logits: Tensor, targets: Tensor, lengths: Tensor, target_lengths: Tensor) -> None:
    if logits.ndim != 4 or not logits.is_floating_point():
        raise InputError(
            f"logits are {logits.dtype} of shape {tuple(logits.shape)}; "
            "give floats, (item, frame, token + 1, tokens)"
        )
    items, frames, nodes, tokens = logits.shape
    if tuple(targets.shape) != (items, nodes - 1):
        raise InputError(
            f"targets have shape {tuple(targets.shape)}; these logits ask for {(items, nodes - 1)}"
        )
    for name, given, least, most in (
        ("lengths", lengths, 1, frames),
        ("target_lengths", target_lengths, 0, nodes - 1),
    ):
        if tuple(given.shape) != (items,) or given.is_floating_point():
            raise InputError(
                f"{name} are {given.dtype} of shape {tuple(given.shape)}; give int64, ({items},)"
            )
        if items and not (least <= int(given.min()) and int(given.max()) <= most):
            raise InputError(f"{name} are {given.tolist()}; give {least} to {most}")
    real = torch.arange(nodes - 1, device=targets.device) < target_lengths[:, None]
    wrong = real & ((targets <= BLANK) | (targets >= tokens))
    if bool(wrong.any()):
        raise InputError(f"a target is {int(targets[wrong][0])}; give 1 to {tokens - 1}")


class _TransducerLoss(torch.autograd.Function):
    """-log P(targets | logits), with the gradient of both recursions."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, logits: Tensor, targets: Tensor, lengths: Tensor, target_lengths: Tensor
    ) -> Tensor:
        norm = torch.cat([block.logsumexp(-1) for block in _blocks(logits)], 1)
        chosen = torch.where(targets < logits.shape[-1], targets, BLANK).clamp(min=BLANK)
        blank, label = _arcs(logits, norm, chosen, lengths, target_lengths)
        after = _backward_sums(blank, label, lengths + target_lengths, target_lengths)
        log_prob = after[:, 0, 0]
        ctx.save_for_backward(logits, norm, chosen, blank, label, after)
        return -log_prob

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        logits, norm, chosen, blank, label, after = ctx.saved_tensors
        before = _forward_sums(blank, label)
        log_prob = after[:, 0, 0]
        usable = torch.isfinite(log_prob)
        before = before - torch.where(usable, log_prob, 0)[:, None, None]
        weight = torch.where(usable, grads[0], 0)[:, None, None]
        frames = logits.shape[1]
        next_token = torch.cat((after[:, 1:, 1:], torch.full_like(after[:, 1:, :1], -torch.inf)), 2)
        by_blank, by_label = (
            _unskewed(ways.exp() * weight, frames)
            for ways in (before + blank + after[:, 1:], before + label + next_token)
        )
        visited = by_blank + by_label
        gradient = torch.empty_like(logits)
        for first in range(0, frames, BLOCK_FRAMES):
            part = slice(first, first + BLOCK_FRAMES)
            block = logits[:, part].to(norm.dtype) - norm[:, part, :, None]
            block = block.exp_().mul_(visited[:, part, :, None])
            block[..., BLANK] -= by_blank[:, part]
            index = chosen[:, None, :, None].expand(-1, block.shape[1], -1, 1)
            block[:, :, :-1].scatter_add_(3, index, -by_label[:, part, :-1, None])
            gradient[:, part] = block
        return gradient, None, None, None


def _blocks(logits: Tensor) -> list[Tensor]:
    """The logits, some frames at a time, in the type that sums are made in."""
    exact = torch.promote_types(logits.dtype, torch.float32)
    return [block.to(exact) for block in logits.split(BLOCK_FRAMES, dim=1)]


def _arcs(
    logits: Tensor, norm: Tensor, targets: Tensor, lengths: Tensor, target_lengths: Tensor
) -> tuple[Tensor, Tensor]:
    """Log probabilities of each node's blank and next token, skewed; -inf where there is none."""
    items, frames, nodes, _ = logits.shape
    index = targets[:, None, :, None].expand(items, frames, nodes - 1, 1)
    blank = logits[..., BLANK].to(norm.dtype) - norm
    label = norm.new_full((items, frames, nodes), -torch.inf)
    label[..., :-1] = logits[:, :, :-1].gather(3, index)[..., 0].to(norm.dtype) - norm[..., :-1]
    time = torch.arange(frames, device=logits.device)[:, None]
    count = torch.arange(nodes, device=logits.device)
    outside = (time >= lengths[:, None, None]) | (count > target_lengths[:, None, None])
    blank = blank.masked_fill(outside, -torch.inf)
    label = label.masked_fill(outside | (count == target_lengths[:, None, None]), -torch.inf)
    return _skewed(blank), _skewed(label)


def _places(frames: int, nodes: int, device: torch.device) -> tuple[Tensor, Tensor]:
    time = torch.arange(frames, device=device)[:, None]
    count = torch.arange(nodes, device=device)
    return time + count, count.expand(frames, nodes)


def _skewed(lattice: Tensor) -> Tensor:
    """(item, frame, node) to (item, diagonal, node), -inf where no node is."""
    items, frames, nodes = lattice.shape
    diagonals, counts = _places(frames, nodes, lattice.device)
    skewed = lattice.new_full((items, frames + nodes - 1, nodes), -torch.inf)
    skewed[:, diagonals, counts] = lattice
    return skewed


def _unskewed(skewed: Tensor, frames: int) -> Tensor:
    diagonals, counts = _places(frames, skewed.shape[2], skewed.device)
    return skewed[:, diagonals, counts]


def _forward_sums(blank: Tensor, label: Tensor) -> Tensor:
    """Log of the sum over all ways from the start to each node, skewed as the arcs are."""
    sums = torch.full_like(blank, -torch.inf)
    sums[:, 0, 0] = 0
    for diagonal in range(1, blank.shape[1]):
        last = sums[:, diagonal - 1]
        stayed = last + blank[:, diagonal - 1]
        wrote = (last + label[:, diagonal - 1])[:, :-1]
        sums[:, diagonal, 0] = stayed[:, 0]
        sums[:, diagonal, 1:] = torch.logaddexp(stayed[:, 1:], wrote)
    return sums


def _backward_sums(blank: Tensor, label: Tensor, ends: Tensor, target_lengths: Tensor) -> Tensor:
    """Log of the sum over all ways from each node to the end; one diagonal more than the arcs.

    ends: the diagonal that an item's last blank leads to.
    """
    items, diagonals, nodes = blank.shape
    sums = blank.new_full((items, diagonals + 1, nodes), -torch.inf)
    sums[torch.arange(items, device=blank.device), ends, target_lengths] = 0
    for diagonal in range(diagonals - 1, -1, -1):
        following = sums[:, diagonal + 1]
        stayed = blank[:, diagonal] + following
        wrote = label[:, diagonal, :-1] + following[:, 1:]
        here = sums[:, diagonal]
        stayed[:, :-1] = torch.logaddexp(stayed[:, :-1], wrote)
        torch.maximum(here, stayed, out=here)
    return sums
