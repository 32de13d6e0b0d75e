"""Cross-entropy of the texts' tokens, given the sound in the language model's prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aural.train.batch import Batch, Losses

if TYPE_CHECKING:
    from torch import nn


def speech_llm(network: nn.Module, batch: Batch) -> Losses:
    """Of a network called with (features, lengths, texts, ids); weight is the texts' tokens and
    ends. The tokenizer is the language model's own, so batch.targets are not looked at."""
    total, weight = network(batch.features, batch.lengths, batch.texts, batch.ids)
    return Losses(total, weight)
