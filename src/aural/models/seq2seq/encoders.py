"""What listens: a pyramid of BiLSTMs, or convolutions and a Transformer.

Both take features (item, frame, n_mels) and lengths (item,), and give states (item, frame',
d_model) and the lengths of those, ceil(length / reduction). What padding holds changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from aural.nn.attention import MultiHeadAttention, sinusoids
from aural.nn.convolution import Subsampling
from aural.nn.masking import cleared, real_frames
from aural.nn.recurrent import BiLSTM

if TYPE_CHECKING:
    from torch import Tensor

    from aural.models.seq2seq import Config


class Pyramid(nn.Module):
    """BiLSTMs, the last of which read two states side by side as one."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        count = config.encoder_layers
        self.halving = [i >= count - config.halvings for i in range(count)]
        widths = [config.n_mels, *[config.d_model] * (count - 1)]
        self.layers = nn.ModuleList(
            BiLSTM(width * (1 + halving), config.d_model // 2)
            for width, halving in zip(widths, self.halving, strict=True)
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States, 0 where there are none, and their lengths."""
        states = cleared(features, real_frames(lengths, features.shape[1]))
        for layer, halving in zip(self.layers, self.halving, strict=True):
            if halving:
                states, lengths = _paired(states), (lengths + 1) // 2
            states = self.dropout(layer(states, lengths))
        return states, lengths


def _paired(states: Tensor) -> Tensor:
    """Two states side by side; after an odd one at the end is silence."""
    states = functional.pad(states, (0, 0, 0, states.shape[1] % 2))
    return states.reshape(len(states), -1, 2 * states.shape[2])


class ConvTransformer(nn.Module):
    """Convolutions over time and frequency, each halving both, then Transformer blocks, pre-norm,
    with sinusoidal positions."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.subsampling = Subsampling(config.n_mels, config.d_model, config.reduction)
        self.blocks = nn.ModuleList(EncoderBlock(config) for _ in range(config.encoder_layers))
        self.norm = nn.LayerNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States, 0 where there are none, and their lengths."""
        states, lengths = self.subsampling(features, lengths)
        places = torch.arange(states.shape[1], device=states.device)
        states = self.dropout(states + sinusoids(places, states.shape[2]).to(states.dtype))
        real = real_frames(lengths, states.shape[1])
        for block in self.blocks:
            states = block(states, real)
        return cleared(self.norm(states), real), lengths


class EncoderBlock(nn.Module):
    """Attention to all real states, then two projections; each added to what it was given."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.d_model)
        self.attention = MultiHeadAttention(config.d_model, config.heads, dropout=config.dropout)
        self.feed_forward = FeedForward(config.d_model, config.inner, config.dropout)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """Same shape; real: bool (item, frame')."""
        heard = self.attention(self.attention_norm(x), mask=real)
        return self.feed_forward(x + self.dropout(heard))


class FeedForward(nn.Module):
    """Two projections with a ReLU between, added to what they were given."""

    def __init__(self, d_model: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.up = nn.Linear(d_model, inner)
        self.down = nn.Linear(inner, d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        inside = self.dropout(functional.relu(self.up(self.norm(x))))
        return x + self.dropout(self.down(inside))
