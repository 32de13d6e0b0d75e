"""Averages of weights: exponential over the steps, and plain over checkpoints."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from aural.errors import InputError
from aural.train.checkpoint import read_weights
from aural.train.distributed import shared_like, whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn


class MovingAverage:
    """decay * average + (1 - decay) * weights after each step, from the weights at the beginning
    (Polyak and Juditsky 1992; of this form in Tarvainen and Valpola 2017). Buffers are not
    averaged."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self._network = decay, network
        self.weights = {
            name: weight.detach().clone() for name, weight in network.named_parameters()
        }

    @torch.no_grad()
    def update(self) -> None:
        """Take the network's weights in."""
        for name, weight in self._network.named_parameters():
            self.weights[name].lerp_(weight.detach(), 1 - self.decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The network has the averages for its weights inside."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def tensors(self) -> dict[str, Tensor]:
        """The averages by all names that weights have, shares made whole. Every process has to
        call it."""
        names = {id(weight): name for name, weight in self._network.named_parameters()}
        return {
            name: whole(self.weights[names[id(weight)]])
            for name, weight in self._network.named_parameters(remove_duplicate=False)
        }

    def put(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what tensors gave."""
        for name, value in self.weights.items():
            value.copy_(shared_like(tensors[name], value))

    @torch.no_grad()
    def _swap(self) -> None:
        for name, weight in self._network.named_parameters():
            held = weight.detach().clone()
            weight.copy_(self.weights[name])
            self.weights[name].copy_(held)


def average_checkpoints(checkpoints: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of the weights that are judged (checkpoint.py) of several checkpoints, summed in
    float64; what is no float is the last one's.

    Raises:
        InputError: there is none, or they are of different networks.
    """
    if not checkpoints:
        raise InputError("no checkpoint to average; give one or more")
    sums: dict[str, Tensor] = {}
    for path in checkpoints:
        weights = read_weights(path)
        if sums and {name: value.shape for name, value in weights.items()} != {
            name: value.shape for name, value in sums.items()
        }:
            raise InputError(f"{path} is of another network than {checkpoints[0]}")
        for name, value in weights.items():
            if value.is_floating_point():
                sums[name] = sums.get(name, 0) + value.double()
            else:
                sums[name] = value
    last = read_weights(checkpoints[-1])
    return {
        name: (total / len(checkpoints)).to(last[name].dtype)
        if total.is_floating_point()
        else total
        for name, total in sums.items()
    }
