"""What a network is trained on at once, and what an objective says of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Batch:
    """Examples side by side, padded on the right.

    features: float32, shape = (item, frame, n_mels); lengths: int64, (item,), its frames that are
    real. targets: int64, (item, token), padded with 0; target_lengths: int64, (item,). ids name the
    utterances. seconds is their sound's duration in all, texts what is said in them.

    A language model's batch has features of (item, 0, 0).
    """

    features: Tensor
    lengths: Tensor
    targets: Tensor
    target_lengths: Tensor
    ids: tuple[str, ...] = ()
    seconds: float = 0.0
    texts: tuple[str, ...] = ()

    def to(self, device: torch.device | str) -> Batch:
        """The same on a device."""
        return replace(
            self,
            features=self.features.to(device),
            lengths=self.lengths.to(device),
            targets=self.targets.to(device),
            target_lengths=self.target_lengths.to(device),
        )


@dataclass(frozen=True, eq=False)
class Losses:
    """What an objective says of a batch.

    total: a scalar with a gradient, the SUM over what weight counts (tokens, frames or items); the
    loop divides by the weights of all batches of a step, so that gathering gradients over several
    batches or machines gives what one large batch would. parts: other sums to be logged, divided
    likewise.
    """

    total: Tensor
    weight: int
    parts: Mapping[str, Tensor] = field(default_factory=dict)


class Objective(Protocol):
    """A function of a network and a batch."""

    def __call__(self, network: nn.Module, batch: Batch) -> Losses:
        """The losses of a batch; the network may be wrapped for several processes."""
        ...
