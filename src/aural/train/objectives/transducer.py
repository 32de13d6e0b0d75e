"""The transducer's objective (Graves 2012): minus the log probability of the text, over all ways
to write it along the frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aural.nn.transducer_loss import transducer_loss
from aural.train.batch import Losses

if TYPE_CHECKING:
    from torch import nn

    from aural.train.batch import Batch


def transducer(network: nn.Module, batch: Batch) -> Losses:
    """The sum over the items, its weight their tokens.

    network(features, lengths, targets) -> (logits (item, frame', token + 1, tokens), lengths').
    """
    logits, lengths = network(batch.features, batch.lengths, batch.targets)
    losses = transducer_loss(logits, batch.targets, lengths, batch.target_lengths)
    return Losses(losses.sum(), max(1, int(batch.target_lengths.sum())))
