"""Transformer blocks of wav2vec 2.0 and its kin, with WavLM's positions and MMS's adapters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

    from aural.models.wav2vec2 import Config

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "relu": functional.relu,
    "silu": functional.silu,
}


class Attention(nn.Module):
    """Each state attends to all real ones of its item; WavLM adds to a score what the distance
    says, as much as the query lets it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.d_model
        self.heads, self.dropout = config.heads, config.attention_dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.gate = Gate(width // config.heads, config.heads) if config.kind == "wavlm" else None

    def forward(self, x: Tensor, real: Tensor, distances: Tensor | None) -> Tensor:
        """(item, frame, d_model), of the same; real (item, frame), distances (head, frame,
        frame)."""
        query, key, value = (
            part(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        bias = torch.zeros(real.shape, dtype=x.dtype, device=x.device)
        bias = bias.masked_fill(~real, torch.finfo(x.dtype).min / 2)[:, None, None]
        if self.gate is not None:
            bias = bias + self.gate(x) * distances
        dropout = self.dropout if self.training else 0.0
        heard = functional.scaled_dot_product_attention(query, key, value, bias, dropout)
        return self.out(heard.transpose(1, 2).flatten(2))


class Gate(nn.Module):
    """How much of its positions each query takes, (item, head, frame, 1): Chen et al. 2022, 3.2,
    as Chi et al. 2022 (XLM-E) have it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear = nn.Linear(width, 8)
        self.scale = nn.Parameter(torch.ones(1, heads, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Of states (item, frame, d_model), each head seeing its own part of them."""
        parts = x.unflatten(2, (self.heads, -1)).transpose(1, 2)
        update, reset = self.linear(parts).unflatten(3, (2, 4)).sum(dim=4).sigmoid().split(1, dim=3)
        return update * (reset * self.scale - 1.0) + 2.0


class Distances(nn.Module):
    """What a distance says to each head: learned for small ones one by one, for larger ones in
    buckets that grow with the logarithm, those behind apart from those ahead (Raffel et al. 2020).
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.buckets, self.furthest = config.buckets, config.max_distance
        self.embedding = nn.Embedding(config.buckets, config.heads)

    def forward(self, frames: int) -> Tensor:
        """(head, frame, frame): from the query of a row to the key of a column."""
        places = torch.arange(frames, device=self.embedding.weight.device)
        return self.embedding(self.bucket(places - places[:, None])).permute(2, 0, 1)

    def bucket(self, distance: Tensor) -> Tensor:
        """The bucket of each distance, int64, same shape."""
        half = self.buckets // 2
        exact = half // 2
        far = distance.abs().clamp(min=1)
        grown = torch.log(far.float() / exact) / math.log(self.furthest / exact) * (half - exact)
        coarse = (exact + grown).long().clamp(max=half - 1)
        return (distance > 0) * half + torch.where(distance.abs() < exact, distance.abs(), coarse)


class Adapter(nn.Module):
    """A small network of a language's own after a block (Houlsby et al. 2019)."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.down = nn.Linear(width, inner)
        self.up = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape, to be added to x."""
        return self.up(functional.relu(self.down(self.norm(x))))


class Block(nn.Module):
    """Attention, then two projections, each added to what it was given; normalised before
    (pre_norm) or after."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.d_model
        self.pre_norm = config.pre_norm
        self.attention = Attention(config)
        self.attention_norm = nn.LayerNorm(width, config.epsilon)
        self.up = nn.Linear(width, config.inner)
        self.down = nn.Linear(config.inner, width)
        self.feed_forward_norm = nn.LayerNorm(width, config.epsilon)
        self.activation = ACTIVATIONS[config.activation]
        self.dropout = nn.Dropout(config.dropout)
        self.inner_dropout = nn.Dropout(config.activation_dropout)
        with_adapter = config.adapter and config.pre_norm
        self.adapter = Adapter(width, config.adapter) if with_adapter else None

    def forward(self, x: Tensor, real: Tensor, distances: Tensor | None) -> Tensor:
        """Same shape, (item, frame, d_model)."""
        if self.pre_norm:
            x = x + self.dropout(self.attention(self.attention_norm(x), real, distances))
            x = x + self._feed_forward(self.feed_forward_norm(x))
            return x if self.adapter is None else x + self.adapter(x)
        x = self.attention_norm(x + self.dropout(self.attention(x, real, distances)))
        return self.feed_forward_norm(x + self._feed_forward(x))

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.down(self.inner_dropout(self.activation(self.up(x)))))
