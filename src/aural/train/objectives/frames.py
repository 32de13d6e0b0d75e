"""Each frame told apart as one of the states that an alignment gave it to (hybrids of networks and
hidden Markov models: Bourlard & Morgan 1994)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from aural.errors import InputError
from aural.nn.masking import real_frames
from aural.train.batch import Batch, Losses

if TYPE_CHECKING:
    from torch import nn


def frames(network: nn.Module, batch: Batch, *, label_smoothing: float = 0.0) -> Losses:
    """Cross-entropy of the state of every frame; targets are states (item, frame), one a frame.

    parts: "cross_entropy", without smoothing, and "correct", frames told right. weight: frames.
    Raises InputError where the network gives another number of frames than there are states.
    """
    log_probs, lengths = network(batch.features, batch.lengths)
    if not torch.equal(lengths, batch.target_lengths):
        raise InputError(
            f"the network gives {lengths.tolist()} frames and the alignment has "
            f"{batch.target_lengths.tolist()} states; take a network that leaves no frame out"
        )
    real = real_frames(lengths, log_probs.shape[1])
    scores, right = log_probs[real], batch.targets[real]
    total = functional.cross_entropy(
        scores, right, reduction="sum", label_smoothing=label_smoothing
    )
    with torch.no_grad():
        plain = functional.nll_loss(scores, right, reduction="sum")
        correct = (scores.argmax(dim=1) == right).sum()
    return Losses(total, len(right), {"cross_entropy": plain, "correct": correct})
