"""The Transformer encoder in torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.nn.attention import MultiHeadAttention, sinusoids
from aural.nn.convolution import Subsampling
from aural.nn.masking import check_features, cleared, real_frames

if TYPE_CHECKING:
    from aural.models.transformer_ctc import Config


class Block(nn.Module):
    """Attention, then two projections with ReLU between, each added to what it was given."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.d_model)
        self.attention = MultiHeadAttention(config.d_model, config.heads, dropout=config.dropout)
        self.feed_forward_norm = nn.LayerNorm(config.d_model)
        self.up = nn.Linear(config.d_model, config.inner)
        self.down = nn.Linear(config.inner, config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """Same shape, (item, frame, d_model); real: (item, frame)."""
        x = x + self.dropout(self.attention(self.attention_norm(x), mask=real))
        inner = self.dropout(functional.relu(self.up(self.feed_forward_norm(x))))
        return x + self.dropout(self.down(inner))


class TransformerCTC(nn.Module):
    """Features to log probabilities of tokens."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.subsampling = config.subsampling
        self.front = Subsampling(config.n_mels, config.d_model, config.subsampling)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.d_model)
        self.output = nn.Linear(config.d_model, config.tokens)

    def encode(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States (item, frame', d_model), 0 beyond lengths' (item,), of features (item, frame,
        n_mels)."""
        check_features(features, lengths, self.config.n_mels)
        x, lengths = self.front(features, lengths)
        real = real_frames(lengths, x.shape[1])
        places = torch.arange(x.shape[1], device=x.device)
        positions = sinusoids(places, self.config.d_model).to(x.dtype)
        x = self.dropout(x * math.sqrt(self.config.d_model) + positions)
        for block in self.blocks:
            x = block(x, real)
        return cleared(self.norm(x), real), lengths

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """log probabilities (item, frame', tokens) and lengths' (item,)."""
        states, lengths = self.encode(features, lengths)
        return functional.log_softmax(self.output(states), dim=-1), lengths
