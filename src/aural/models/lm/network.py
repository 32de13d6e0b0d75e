"""The two networks of the family. A state is a tuple of tensors, items along their dimension 1."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, log_softmax

if TYPE_CHECKING:
    from aural.models.lm import Config

State = tuple[Tensor, Tensor]


class TokenNetwork(nn.Module):
    """Tokens in, log probabilities of the next ones out; what is between is its subclass's."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.tokens, config.d_model)
        nn.init.normal_(self.embedding.weight, std=config.d_model**-0.5)
        self.output = None if config.tied else nn.Parameter(self.embedding.weight.detach().clone())
        self.bias = nn.Parameter(torch.zeros(config.tokens))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Log probabilities (item, time, tokens) of what follows each of tokens (item, time), and
        the state behind the last, through which no gradient flows; state None: nothing before."""
        state = self.initial(tokens.shape[0]) if state is None else state
        length = self.config.segment or max(1, tokens.shape[1])
        weight = self.embedding.weight if self.output is None else self.output
        told = []
        for segment in tokens.split(length, dim=1):
            states, state = self.segment(self.dropout(self.embedded(segment)), state)
            told.append(log_softmax(linear(self.dropout(states), weight, self.bias), dim=-1))
        return torch.cat(told, dim=1), state

    def embedded(self, tokens: Tensor) -> Tensor:
        """Vectors of tokens, about as large as a layer's output."""
        return self.embedding(tokens) * math.sqrt(self.config.d_model)

    def initial(self, items: int) -> State:
        """The state before any token."""
        raise NotImplementedError

    def segment(self, vectors: Tensor, state: State) -> tuple[Tensor, State]:
        """Vectors (item, time, d_model) after the last layer, and the state then, detached."""
        raise NotImplementedError


class LSTM(TokenNetwork):
    """State: hidden and cell, each (layer, item, d_model)."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        between = config.dropout if config.layers > 1 else 0.0
        width = config.d_model
        self.lstm = nn.LSTM(width, width, config.layers, batch_first=True, dropout=between)

    def initial(self, items: int) -> State:
        """Zeros."""
        zeros = self.embedding.weight.new_zeros(self.config.layers, items, self.config.d_model)
        return zeros, zeros

    def segment(self, vectors: Tensor, state: State) -> tuple[Tensor, State]:
        """One run of the LSTM."""
        states, (hidden, cell) = self.lstm(vectors, state)
        return states, (hidden.detach(), cell.detach())


class TransformerXL(TokenNetwork):
    """State: what went into each layer, (layer, item, memory, d_model), the newest last, and how
    many of these are real, int64 (1, item)."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))

    def initial(self, items: int) -> State:
        """An empty memory."""
        weight, config = self.embedding.weight, self.config
        memory = weight.new_zeros(config.layers, items, config.memory, config.d_model)
        return memory, torch.zeros(1, items, dtype=torch.int64, device=weight.device)

    def segment(self, vectors: Tensor, state: State) -> tuple[Tensor, State]:
        """All layers; each position attends to itself and to `memory` positions before it."""
        memory, filled = state
        size, time = self.config.memory, vectors.shape[1]
        place = torch.arange(time, device=vectors.device)[:, None] + size
        column = torch.arange(size + time, device=vectors.device)
        distance = place - column
        seen = (distance >= 0) & (distance <= size)
        allowed = seen & (column >= size - filled[0, :, None, None])  # (item, time, column)
        kept = []
        positions = self.dropout(sinusoids(size, self.config.d_model, vectors))
        for layer, before in zip(self.layers, memory, strict=True):
            context = torch.cat((before, vectors), dim=1)
            kept.append(context[:, context.shape[1] - size :].detach())
            vectors = layer(vectors, context, positions, distance.clamp(0, size), allowed)
        return vectors, (torch.stack(kept), (filled + time).clamp(max=size))


class Layer(nn.Module):
    """Relative attention and a feed-forward network, each added and then normalised."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, self.heads = config.d_model, config.heads
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.position = nn.Linear(width, width, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(self.heads, width // self.heads))
        self.position_bias = nn.Parameter(torch.zeros(self.heads, width // self.heads))
        self.merge = nn.Linear(width, width, bias=False)
        self.attention_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, config.d_ff),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.d_ff, width),
        )
        self.feed_forward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        vectors: Tensor,
        context: Tensor,
        positions: Tensor,
        distance: Tensor,
        allowed: Tensor,
    ) -> Tensor:
        """vectors (item, time, width) attend to context (item, column, width) where allowed (item,
        time, column); distance (time, column) picks the row of positions."""
        attended = self.merge(self.attend(vectors, context, positions, distance, allowed))
        vectors = self.attention_norm(vectors + self.dropout(attended))
        return self.feed_forward_norm(vectors + self.dropout(self.feed_forward(vectors)))

    def attend(
        self,
        vectors: Tensor,
        context: Tensor,
        positions: Tensor,
        distance: Tensor,
        allowed: Tensor,
    ) -> Tensor:
        """The four terms of Dai et al. 2019, section 3.3, two at a time: content by content and
        the content's bias, content by distance and the distance's bias."""
        query = self._split(self.query(vectors))
        key, value = (self._split(each) for each in self.key_value(context).chunk(2, dim=-1))
        far = self._split(self.position(positions)[None])
        by_content = (query + self.content_bias[:, None]) @ key.transpose(-1, -2)
        by_distance = (query + self.position_bias[:, None]) @ far.transpose(-1, -2)
        index = distance.expand(*by_distance.shape[:2], *distance.shape)
        scores = by_content + by_distance.gather(-1, index)
        scores = scores.masked_fill(~allowed[:, None], -torch.inf) / math.sqrt(query.shape[-1])
        shares = self.dropout(scores.softmax(dim=-1))
        return (shares @ value).transpose(1, 2).flatten(2)

    def _split(self, vectors: Tensor) -> Tensor:
        """(item, time, width) to (item, head, time, width of a head)."""
        return vectors.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def sinusoids(longest: int, width: int, like: Tensor) -> Tensor:
    """Sines and cosines of distances 0 to longest: (longest + 1, width), as `like` is."""
    rates = 10_000.0 ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
    angles = torch.arange(longest + 1, dtype=torch.float32)[:, None] * rates
    return torch.cat((angles.sin(), angles.cos()), dim=1).to(like)
