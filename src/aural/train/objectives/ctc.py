"""The loss of CTC (Graves et al. 2006): minus the log of the probability of all paths together.

For networks of (features, lengths) -> (log_probs (item, frame, tokens), lengths), the blank in
column 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.functional import ctc_loss

from aural.train.batch import Losses

if TYPE_CHECKING:
    from torch import Tensor, nn

    from aural.train.batch import Batch


def ctc(network: nn.Module, batch: Batch) -> Losses:
    """The sum over items; weight counts target tokens.

    An item with fewer frames than its targets need (one a token, and one more between two equal
    ones) adds 0 and has no gradient. Its tokens are the part "unfit", logged as their share.
    """
    log_probs, lengths = network(batch.features, batch.lengths)
    total = ctc_loss(
        log_probs.float().transpose(0, 1),
        batch.targets,
        lengths,
        batch.target_lengths,
        reduction="sum",
        zero_infinity=True,
    )
    lost = needed_frames(batch.targets, batch.target_lengths) > lengths
    unfit = (batch.target_lengths * lost).sum().float()
    return Losses(total, int(batch.target_lengths.sum()), {"unfit": unfit})


def needed_frames(targets: Tensor, target_lengths: Tensor) -> Tensor:
    """The fewest frames that can say each item's targets (item, token), padded with 0: (item,)."""
    again = (targets[:, 1:] == targets[:, :-1]) & (targets[:, 1:] != 0)
    return target_lengths + again.sum(dim=1)
