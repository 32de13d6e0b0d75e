"""LoRA: a linear layer is trained by the product of two thin matrices beside its weight.

Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models" (arXiv:2106.09685).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection


class LoRA(nn.Module):
    """weight x + bias + alpha / rank * lora_b lora_a x, of a linear layer whose weights it takes
    over; lora_b begins at 0, so that nothing is changed at first."""

    def __init__(self, layer: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.lora_a = nn.Parameter(torch.empty(rank, layer.in_features).to(layer.weight))
        self.lora_b = nn.Parameter(torch.zeros(layer.out_features, rank).to(layer.weight))
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))
        self.scale = alpha / rank

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        beside = functional.linear(functional.linear(x, self.lora_a), self.lora_b)
        return functional.linear(x, self.weight, self.bias) + self.scale * beside

    def merged(self) -> Tensor:
        """The one weight that does the same."""
        return self.weight + self.scale * self.lora_b @ self.lora_a


def add_lora(network: nn.Module, names: Collection[str], rank: int, alpha: float) -> None:
    """Put LoRA on the linear layers whose own name is one of names, and freeze all else.

    Raises:
        InputError: rank or alpha is not above 0, or no layer has such a name.
    """
    if rank < 1 or not 0 < alpha < math.inf:
        raise InputError(f"rank is {rank}, alpha {alpha}; give 1 or more, and more than 0")
    layers = [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in names
    ]
    if not layers:
        there = {
            name.rpartition(".")[2]
            for name, module in network.named_modules()
            if isinstance(module, nn.Linear)
        }
        raise InputError(
            f"LoRA on {', '.join(names) or 'no layer'}: there is none so named; linear layers "
            f"here are {', '.join(sorted(there)) or 'none'}"
        )
    network.requires_grad_(False)
    for name, module in layers:
        network.set_submodule(name, LoRA(module, rank, alpha))


def merged_state(network: nn.Module) -> dict[str, Tensor]:
    """The network's state as it would be without LoRA, every product added to its weight."""
    state = dict(network.state_dict())
    for name, module in network.named_modules():
        if isinstance(module, LoRA):
            before = f"{name}." if name else ""
            del state[f"{before}lora_a"], state[f"{before}lora_b"]
            state[f"{before}weight"] = module.merged().detach()
    return state
