"""The next token, foretold from those before it: cross-entropy over texts.

Token 0 stands before the first token and is what is foretold behind the last. The network gives
(log probabilities (item, time, tokens), state) for tokens (item, time).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import pad

from aural.train.batch import Batch, Losses

if TYPE_CHECKING:
    from torch import nn


def language_model(network: nn.Module, batch: Batch) -> Losses:
    """total: the sum of -log p over all tokens and ends; weight: how many these are.

    exp(total / weight) is the perplexity.
    """
    lengths = batch.target_lengths[:, None]
    places = torch.arange(batch.targets.shape[1] + 1, device=batch.targets.device)
    targets = batch.targets.masked_fill(places[:-1] >= lengths, 0)
    log_probs, _ = network(pad(targets, (1, 0)))
    told = log_probs.gather(2, pad(targets, (0, 1))[:, :, None])[:, :, 0]
    total = -told.masked_fill(places > lengths, 0.0).sum()
    return Losses(total, int(lengths.sum()) + len(lengths))
