"""What writes: an LSTM with location-aware attention, or a Transformer.

Both have `memory`, what is attended to, with a row a text; `start` and `step`, one token after the
other; `forward`, whole texts at once; and `aligned`, the same with the shares of attention.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from aural.models.seq2seq.encoders import FeedForward
from aural.nn.attention import MultiHeadAttention, sinusoids
from aural.nn.masking import cleared, real_frames

if TYPE_CHECKING:
    from torch import Tensor

    from aural.models.seq2seq import Config

    Rows = tuple[Tensor, ...]


class LocationAttention(nn.Module):
    """Additive attention that sees where it looked before (Chorowski et al. 2015)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, kernel = config.d_model, config.location_kernel
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.filters = nn.Conv1d(
            1, config.location_channels, kernel, padding=kernel // 2, bias=False
        )
        self.place = nn.Linear(config.location_channels, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, query: Tensor, keys: Tensor, before: Tensor, real: Tensor) -> Tensor:
        """Shares (row, state), of query (row, d_model), keys (row, state, d_model) and the shares
        before; real: bool (row, state)."""
        place = self.place(self.filters(before[:, None]).transpose(1, 2))
        scores = self.score(torch.tanh(self.query(query)[:, None] + keys + place))[:, :, 0]
        return scores.masked_fill(~real, -math.inf).softmax(dim=-1)


class LstmDecoder(nn.Module):
    """Each step reads the token before and what was attended to, then attends anew."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.d_model
        self.embedding = nn.Embedding(config.tokens, width)
        inputs = [2 * width, *[width] * (config.decoder_layers - 1)]
        self.cells = nn.ModuleList(nn.LSTMCell(each, width) for each in inputs)
        self.attention = LocationAttention(config)
        self.join = nn.Linear(2 * width, width)
        self.out = nn.Linear(width, config.tokens)
        self.dropout = nn.Dropout(config.dropout)

    def memory(self, states: Tensor, lengths: Tensor) -> Rows:
        """States, their keys, and which are real."""
        real = real_frames(lengths, states.shape[1])
        states = cleared(states, real)  # a share of 0 times NaN is NaN
        return states, self.attention.key(states), real

    def start(self, memory: Rows) -> Rows:
        """Nothing read, everything looked at alike: what was attended to, its shares, then the two
        states of each cell."""
        states, _, real = memory
        nothing = states.new_zeros(len(states), states.shape[2])
        shares = real.to(states.dtype) / real.sum(dim=1, keepdim=True)
        return nothing, shares, *[nothing] * (2 * len(self.cells))

    def step(self, tokens: Tensor, memory: Rows, cache: Rows) -> tuple[Tensor, Rows]:
        """Scores (row, tokens) of what comes after tokens (row,), and what to go on from."""
        states, keys, real = memory
        context, shares, *inner = cache
        x = torch.cat((self.dropout(self.embedding(tokens)), context), dim=1)
        kept: list[Tensor] = []
        for i, cell in enumerate(self.cells):
            hidden, carried = cell(x, (inner[2 * i], inner[2 * i + 1]))
            kept += [hidden, carried]
            x = self.dropout(hidden)
        shares = self.attention(x, keys, shares, real)
        context = (shares[:, None] @ states)[:, 0]
        told = self.out(self.dropout(torch.tanh(self.join(torch.cat((x, context), dim=1)))))
        return told, (context, shares, *kept)

    def forward(self, tokens: Tensor, *memory: Tensor) -> Tensor:
        """Scores (item, token, tokens) of what comes after each of tokens (item, token), which are
        from the start on."""
        return self.aligned(tokens, *memory)[0]

    def aligned(self, tokens: Tensor, *memory: Tensor) -> tuple[Tensor, Tensor]:
        """The scores, and the shares of attention (item, token, state)."""
        cache = self.start(memory)
        told, looked = [], []
        for column in tokens.unbind(dim=1):
            scores, cache = self.step(column, memory, cache)
            told.append(scores)
            looked.append(cache[1])
        return torch.stack(told, dim=1), torch.stack(looked, dim=1)


class DecoderBlock(nn.Module):
    """Attention to the text so far, attention to the sound, two projections."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.text_norm = nn.LayerNorm(config.d_model)
        self.text = MultiHeadAttention(config.d_model, config.heads, dropout=config.dropout)
        self.sound_norm = nn.LayerNorm(config.d_model)
        self.sound = MultiHeadAttention(config.d_model, config.heads, dropout=config.dropout)
        self.feed_forward = FeedForward(config.d_model, config.inner, config.dropout)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        sound: tuple[Tensor, Tensor],
        real: Tensor,
        before: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
        """x (row, token, d_model) going on from the keys and values before (None: from none), with
        those of the sound, of which real (row, state) tells which count; also all keys and values
        of the text so far, and the query to the sound."""
        normed = self.text_norm(x)
        text = self.text.project(normed)
        if before is not None:
            text = torch.cat((before[0], text[0]), dim=2), torch.cat((before[1], text[1]), dim=2)
        x = x + self.dropout(self.text.attend(normed, *text, _causal(x, text[0].shape[2])))
        query = self.sound_norm(x)
        x = x + self.dropout(self.sound.attend(query, *sound, real))
        return self.feed_forward(x), text, query

    def shares(self, query: Tensor, keys: Tensor, real: Tensor) -> Tensor:
        """How much each query to the sound attends to each state, (row, token, state): the mean
        over the heads."""
        parted = self.sound.query(query).unflatten(-1, (self.sound.heads, -1)).transpose(1, 2)
        scores = parted @ keys.transpose(2, 3) / math.sqrt(keys.shape[3])
        scores = scores.masked_fill(~real[:, None, None], -math.inf)
        return scores.softmax(dim=-1).mean(dim=1)


def _causal(x: Tensor, seen: int) -> Tensor:
    """Which of the tokens seen each of x's, which are the last, may look at: none after itself."""
    count = x.shape[1]
    ones = torch.ones(1, count, seen, dtype=torch.bool, device=x.device)
    return ones.tril(seen - count)


class TransformerDecoder(nn.Module):
    """Blocks of attention to text and sound; the last projection is the embedding's."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.tokens, config.d_model)
        nn.init.normal_(self.embedding.weight, std=config.d_model**-0.5)
        self.blocks = nn.ModuleList(DecoderBlock(config) for _ in range(config.decoder_layers))
        self.norm = nn.LayerNorm(config.d_model)
        self.bias = nn.Parameter(torch.zeros(config.tokens))
        self.dropout = nn.Dropout(config.dropout)

    def memory(self, states: Tensor, lengths: Tensor) -> Rows:
        """Which states are real, then the keys and values of each block."""
        real = real_frames(lengths, states.shape[1])
        states = cleared(states, real)
        pairs = (block.sound.project(states) for block in self._blocks())
        return real, *(each for pair in pairs for each in pair)

    def start(self, memory: Rows) -> Rows:
        """No token seen: empty keys and values of each block."""
        rows, heads, _, width = memory[1].shape
        nothing = memory[1].new_zeros(rows, heads, 0, width)
        return (nothing,) * (2 * len(self.blocks))

    def step(self, tokens: Tensor, memory: Rows, cache: Rows) -> tuple[Tensor, Rows]:
        """Scores (row, tokens) of what comes after tokens (row,), and what to go on from."""
        told, cache, _ = self._told(tokens[:, None], memory, cache)
        return told[:, 0], cache

    def forward(self, tokens: Tensor, *memory: Tensor) -> Tensor:
        """Scores (item, token, tokens) of what comes after each of tokens (item, token), which are
        from the start on."""
        return self._told(tokens, memory, None)[0]

    def aligned(self, tokens: Tensor, *memory: Tensor) -> tuple[Tensor, Tensor]:
        """The scores, and the last block's shares of attention (item, token, state)."""
        told, _, query = self._told(tokens, memory, None)
        return told, self._blocks()[-1].shares(query, memory[-2], memory[0])

    def _told(
        self, tokens: Tensor, memory: Rows, cache: Rows | None
    ) -> tuple[Tensor, Rows, Tensor]:
        seen = cache[0].shape[2] if cache else 0
        width = self.embedding.embedding_dim
        places = torch.arange(seen, seen + tokens.shape[1], device=tokens.device)
        x = self.embedding(tokens) * math.sqrt(width)
        x = self.dropout(x + sinusoids(places, width).to(x.dtype))
        kept: list[Tensor] = []
        query = x
        for i, block in enumerate(self.blocks):
            before = (cache[2 * i], cache[2 * i + 1]) if cache else None
            sound = memory[2 * i + 1], memory[2 * i + 2]
            x, text, query = block(x, sound, memory[0], before)
            kept += text
        told = self.norm(x) @ self.embedding.weight.T + self.bias
        return told, tuple(kept), query

    def _blocks(self) -> list[DecoderBlock]:
        return [block for block in self.blocks if isinstance(block, DecoderBlock)]
