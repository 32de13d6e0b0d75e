"""Attention of several heads, with masks and with positions relative or absolute."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.errors import InputError


class MultiHeadAttention(nn.Module):
    """Vaswani et al. 2017; relative: with the positions of Dai et al. 2019 (Transformer-XL).

    A query at i scores a key at j by (q_i + u) · k_j + (q_i + v) · W r_(i - j), u and v learned, r
    the sinusoid of a distance, divided by the root of a head's width.
    """

    def __init__(
        self, d_model: int, heads: int, *, dropout: float = 0.0, relative: bool = False
    ) -> None:
        super().__init__()
        if d_model < heads or d_model % heads:
            raise InputError(f"d_model is {d_model}; give a multiple of heads ({heads})")
        self.heads, self.dropout, self.relative = heads, dropout, relative
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model, bias=False)  # it would add the same to every score
        self.value = nn.Linear(d_model, d_model)
        self.out = nn.Linear(d_model, d_model)
        if relative:
            self.position = nn.Linear(d_model, d_model, bias=False)
            self.content_bias = nn.Parameter(torch.zeros(heads, 1, d_model // heads))
            self.position_bias = nn.Parameter(torch.zeros(heads, 1, d_model // heads))

    def forward(
        self, queries: Tensor, states: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """(item, query, d_model), of queries of that shape that attend to states (item, key,
        d_model), or to themselves.

        mask: bool, (item, key) or (item, query, key), True where a query may look.
        """
        keys, values = self.project(queries if states is None else states)
        return self.attend(queries, keys, values, mask)

    def project(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of states (item, key, d_model): each (item, head, key, width)."""
        return self._parted(self.key(states)), self._parted(self.value(states))

    def attend(
        self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """As forward, of keys and values already projected. The last query stands where the last
        key does, where positions are relative."""
        query = self._parted(self.query(queries))
        bias = None
        if mask is not None:
            seen = mask[:, None] if mask.ndim == 3 else mask[:, None, None]
            # A query that may look nowhere must not become NaN, so this is no -inf.
            bias = torch.zeros(seen.shape, dtype=query.dtype, device=query.device)
            bias = bias.masked_fill(~seen, torch.finfo(query.dtype).min / 2)
        if self.relative:
            scores = self._position_scores(query, keys.shape[2])
            bias = scores if bias is None else scores + bias
            query = query + self.content_bias
        dropout = self.dropout if self.training else 0.0
        heard = functional.scaled_dot_product_attention(query, keys, values, bias, dropout)
        return self.out(heard.transpose(1, 2).flatten(2))

    def _parted(self, states: Tensor) -> Tensor:
        return states.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _position_scores(self, query: Tensor, keys: int) -> Tensor:
        """(item, head, query, key), scaled. Row i of what is multiplied is over distances falling
        from keys - 1; those to the keys begin at the place queries - 1 - i, which lines of one
        element less than the rows bring under one another."""
        queries, width = query.shape[2], query.shape[3]
        distances = torch.arange(keys - 1, -queries, -1, device=query.device)
        table = sinusoids(distances, self.position.in_features).to(query.dtype)
        positions = self.position(table).unflatten(-1, (self.heads, -1)).transpose(0, 1)
        products = (query + self.position_bias) @ positions.transpose(1, 2)
        flat = functional.pad(products, (0, 1)).flatten(2)[:, :, queries - 1 :]
        line = queries + keys - 1
        lines = flat[:, :, : queries * line].unflatten(2, (queries, line))
        return lines[..., :keys] / math.sqrt(width)


def sinusoids(positions: Tensor, d_model: int) -> Tensor:
    """float32, shape = (position, d_model): sines and cosines by turns, of wavelengths from 2 pi to
    20000 pi (Vaswani et al. 2017). d_model is even."""
    steps = torch.arange(0, d_model, 2, device=positions.device, dtype=torch.float32)
    angles = positions[:, None].float() * torch.exp(steps * (-math.log(10000.0) / d_model))
    return torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)
