"""M-CTC-T's encoder (Lugosch et al. 2022): one gated convolution over a log-mel, then blocks that
normalise after, with relative positions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.models.wav2vec2.blocks import ACTIVATIONS
from aural.nn.masking import cleared, real_frames

if TYPE_CHECKING:
    from aural.models.wav2vec2 import Config


class MCTCT(nn.Module):
    """A log-mel in, the states of every layer out. Its first norm is one scale and one shift."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.shift = nn.Parameter(torch.zeros(1))
        self.kernel, self.stride = config.conv_kernels[0], config.conv_strides[0]
        self.conv = nn.Conv1d(config.n_mels, 2 * config.d_model, self.kernel, self.stride)
        self.blocks = nn.ModuleList(RelativeBlock(config) for _ in range(config.layers))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[list[Tensor], Tensor]:
        """Every layer's states, and their lengths."""
        reach = self.kernel // 2
        shifted = features * self.scale + self.shift
        x = cleared(shifted, real_frames(lengths, features.shape[1]))
        x = functional.pad(x.transpose(1, 2), (reach, reach))
        x = functional.glu(self.conv(x), dim=1).transpose(1, 2)
        lengths = (lengths + 2 * reach - self.kernel) // self.stride + 1
        states = [self.dropout(x)]
        real = real_frames(lengths, x.shape[1])
        for block in self.blocks:
            states.append(block(states[-1], real))
        return states, lengths


class RelativeBlock(nn.Module):
    """Attention whose scores count what the distance of the key says to the query, then two
    projections; none but the norms has a bias."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, inside = config.d_model, config.heads * config.head_width
        self.heads = config.heads
        self.query = nn.Linear(width, inside, bias=False)
        self.key = nn.Linear(width, inside, bias=False)
        self.value = nn.Linear(width, inside, bias=False)
        self.distances = nn.Parameter(torch.randn(2 * config.max_positions - 1, config.head_width))
        self.out = nn.Linear(inside, width, bias=False)
        self.attention_norm = nn.LayerNorm(width, config.epsilon)
        self.up = nn.Linear(width, config.inner, bias=False)
        self.down = nn.Linear(config.inner, width, bias=False)
        self.feed_forward_norm = nn.LayerNorm(width, config.epsilon)
        self.activation = ACTIVATIONS[config.activation]
        self.dropout = nn.Dropout(config.dropout)
        self.attention_dropout = config.attention_dropout

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """Same shape, (item, frame, d_model); real (item, frame)."""
        x = self.attention_norm(x + self.dropout(self._attended(x, real)))
        inside = self.activation(self.up(x))
        return self.feed_forward_norm(x + self.dropout(self.down(inside)))

    def _attended(self, x: Tensor, real: Tensor) -> Tensor:
        query, key, value = (
            part(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        bias = self._positions(query)
        bias = bias.masked_fill(~real[:, None, None], torch.finfo(x.dtype).min / 2)
        dropout = self.attention_dropout if self.training else 0.0
        heard = functional.scaled_dot_product_attention(query, key, value, bias, dropout)
        return self.out(heard.transpose(1, 2).flatten(2))

    def _positions(self, query: Tensor) -> Tensor:
        """(item, head, query, key), scaled; beyond the furthest distance nothing is said."""
        frames, width = query.shape[2:]
        furthest = len(self.distances) // 2
        places = torch.arange(frames, device=query.device)
        distance = places - places[:, None]
        said = query @ self.distances.T / math.sqrt(width)
        index = (distance + furthest).clamp(0, len(self.distances) - 1)
        scores = said.gather(3, index.expand(*said.shape[:2], frames, frames))
        return scores.masked_fill(distance.abs() > furthest, 0.0)
