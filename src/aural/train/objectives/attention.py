"""Attention decoders: each token told from those before it, with CTC beside it where wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from aural.errors import InputError
from aural.train.batch import Losses

if TYPE_CHECKING:
    from torch import Tensor, nn

    from aural.train.batch import Batch


def attention(
    network: nn.Module, batch: Batch, *, label_smoothing: float = 0.1, ctc_weight: float = 0.3
) -> Losses:
    """Cross-entropy of every token and of the end, summed.

    label_smoothing is the share of a label that is spread over all tokens (Szegedy et al. 2016).
    With a CTC head on the encoder its loss counts ctc_weight and the decoder's the rest (Kim et al.
    2017, "Joint CTC-Attention"); an item too short for its text has no CTC loss. network gives what
    models/seq2seq does. weight: tokens, ends included. parts: "attention" and "ctc", both without
    weight or smoothing, and "correct", the tokens told right.
    """
    for name, share in (("label_smoothing", label_smoothing), ("ctc_weight", ctc_weight)):
        if not 0 <= share <= 1:
            raise InputError(f"{name} is {share}; give 0 to 1")
    log_probs, heard, lengths = network(batch.features, batch.lengths, batch.targets)
    wanted, counted = with_ends(batch.targets, batch.target_lengths)
    picked = -log_probs.gather(2, wanted[:, :, None])[:, :, 0]
    spread = -log_probs.mean(dim=2)
    smoothed = (1 - label_smoothing) * picked + label_smoothing * spread
    total = smoothed[counted].sum()
    parts = {
        "attention": picked[counted].sum().detach(),
        "correct": (log_probs.argmax(dim=2) == wanted)[counted].sum().detach(),
    }
    if heard is not None and ctc_weight:
        loss = functional.ctc_loss(
            heard.transpose(0, 1),
            batch.targets,
            lengths,
            batch.target_lengths,
            reduction="sum",
            zero_infinity=True,
        )
        total = (1 - ctc_weight) * total + ctc_weight * loss
        parts["ctc"] = loss.detach()
    return Losses(total, int(counted.sum()), parts)


def with_ends(targets: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Targets (item, token + 1) with a 0 after each text, and which of them count."""
    places = torch.arange(targets.shape[1] + 1, device=targets.device)
    wanted = functional.pad(targets, (0, 1)).masked_fill(places >= lengths[:, None], 0)
    return wanted, places <= lengths[:, None]
