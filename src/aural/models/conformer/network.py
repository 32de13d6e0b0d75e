"""Conformer in torch: offline, in chunks, and as a stream, by one path.

A chunk, its look-ahead and what came before them are one piece of work. Offline there is one chunk
of everything, in chunked mode many side by side, in a stream those that are complete; what came
before the first is nothing, or what the stream remembers. The look-ahead of a chunk is computed
within it and never kept, so it does not grow with the layers (as in Shi et al. 2021, "Emformer");
beyond it convolutions meet zeros (Li et al. 2023, "Dynamic Chunk Convolution").
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.errors import InputError
from aural.nn.attention import MultiHeadAttention
from aural.nn.convolution import ConvModule, Subsampling
from aural.nn.masking import check_features, cleared, real_frames

if TYPE_CHECKING:
    from aural.models.conformer import Chunks, Config


@dataclass(frozen=True, eq=False)
class Past:
    """What a block remembers of the frames before, the oldest first: keys and values (item, head,
    left, width), and what its convolution heard, (item, reach, d_model)."""

    keys: Tensor
    values: Tensor
    heard: Tensor


@dataclass(frozen=True, eq=False)
class Chunked:
    """States (item, chunk, frame, d_model) whose first `size` frames are the chunk's own, the rest
    its look-ahead. real: bool, (item, chunk, frame); before: bool, (item, chunk, left), which of
    the frames that came before there are."""

    states: Tensor
    size: int
    real: Tensor
    before: Tensor


class FeedForward(nn.Module):
    """Normalisation, and two projections with SiLU between."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.d_model)
        self.up = nn.Linear(config.d_model, config.inner)
        self.down = nn.Linear(config.inner, config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return self.dropout(self.down(self.dropout(functional.silu(self.up(self.norm(x))))))


class Block(nn.Module):
    """Half a feed-forward layer, attention, convolution, half a feed-forward layer, each added to
    what it was given; then normalisation."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        d_model, dropout = config.d_model, config.dropout
        self.first = FeedForward(config)
        self.attention_norm = nn.LayerNorm(d_model)
        self.attention = MultiHeadAttention(
            d_model, config.heads, dropout=dropout, relative=config.relative_positions
        )
        self.dropout = nn.Dropout(dropout)
        self.conv_norm = nn.LayerNorm(d_model)
        self.conv = ConvModule(d_model, config.conv_kernel, norm=config.conv_norm, dropout=dropout)
        self.second = FeedForward(config)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, chunked: Chunked, past: Past) -> tuple[Tensor, Past]:
        """The states after this block, and what there is to remember of the chunks."""
        x = chunked.states
        x = x + self.first(x) / 2
        attended, keys, values = self._attend(self.attention_norm(x), chunked, past)
        x = x + self.dropout(attended)
        convolved, heard = self._convolve(self.conv_norm(x), chunked, past)
        x = x + convolved
        x = x + self.second(x) / 2
        return self.norm(x), Past(keys, values, heard)

    def _attend(self, x: Tensor, chunked: Chunked, past: Past) -> tuple[Tensor, Tensor, Tensor]:
        items, chunks = x.shape[:2]
        flat = x.flatten(0, 1)
        keys, values = (each.unflatten(0, (items, chunks)) for each in self.attention.project(flat))
        joined, kept = [], []
        for each, before in ((keys, past.keys), (values, past.values)):
            own = each[..., : chunked.size, :].transpose(1, 2).flatten(2, 3)
            windows, rest = _before(own, before, chunks)
            joined.append(torch.cat((windows.transpose(1, 2), each), dim=3).flatten(0, 1))
            kept.append(rest)
        mask = torch.cat((chunked.before, chunked.real), dim=2).flatten(0, 1)
        attended = self.attention.attend(flat, joined[0], joined[1], mask)
        return attended.unflatten(0, (items, chunks)), kept[0], kept[1]

    def _convolve(self, x: Tensor, chunked: Chunked, past: Past) -> tuple[Tensor, Tensor]:
        items, chunks = x.shape[:2]
        real = chunked.real.flatten(0, 1)
        gated = self.conv.gate(x.flatten(0, 1), real).unflatten(0, (items, chunks))
        own = gated[:, :, : chunked.size].flatten(1, 2)
        windows, rest = _before(own, past.heard, chunks)
        joined = torch.cat((windows, gated), dim=2).flatten(0, 1)
        return self.conv.convolve(joined, real).unflatten(0, (items, chunks)), rest


def _before(own: Tensor, past: Tensor, chunks: int) -> tuple[Tensor, Tensor]:
    """Of frames own (..., chunks * size, width) and those before them, past (..., count, width):
    the count frames before each chunk, (..., chunk, count, width), and the last count of all."""
    count, size = past.shape[-2], own.shape[-2] // chunks
    joined = torch.cat((past, own), dim=-2)
    starts = torch.arange(chunks, device=own.device)[:, None] * size
    places = starts + torch.arange(count, device=own.device)
    windows = joined[..., places, :]
    return windows, joined[..., joined.shape[-2] - count :, :]


class Conformer(nn.Module):
    """Features to log probabilities of tokens, for CTC."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.subsampling = config.subsampling
        self.front = Subsampling(
            config.n_mels, config.d_model, config.subsampling, kind=config.subsampling_kind
        )
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.output = nn.Linear(config.d_model, config.tokens)

    def encode(
        self, features: Tensor, lengths: Tensor, chunks: Chunks | None = None
    ) -> tuple[Tensor, Tensor]:
        """States (item, frame', d_model), 0 beyond lengths' (item,), of features (item, frame,
        n_mels). chunks: how far each state hears; None is as the configuration says."""
        check_features(features, lengths, self.config.n_mels)
        x, lengths = self.front(features, lengths)
        chunks = chunks or self.config.chunks
        states, _ = self.encode_chunks(x, lengths, chunks, self.start(x, chunks), x.shape[1])
        return cleared(states, real_frames(lengths, states.shape[1])), lengths

    def forward(
        self, features: Tensor, lengths: Tensor, chunks: Chunks | None = None
    ) -> tuple[Tensor, Tensor]:
        """log probabilities (item, frame', tokens) and lengths' (item,)."""
        states, lengths = self.encode(features, lengths, chunks)
        return self.log_probs(states), lengths

    def log_probs(self, states: Tensor) -> Tensor:
        """(..., tokens), of states (..., d_model)."""
        return functional.log_softmax(self.output(states), dim=-1)

    def stream(self, chunks: Chunks | None = None) -> Stream:
        """The same network, in evaluation mode, to be fed in pieces; InputError without chunks."""
        return Stream(self, chunks or self.config.chunks)

    def encode_chunks(
        self, x: Tensor, lengths: Tensor, chunks: Chunks, state: State, count: int
    ) -> tuple[Tensor, State]:
        """States of the first count of the subsampled frames x (item, frame, d_model), those
        after them being look-ahead, and what a stream goes on from: only after whole chunks.

        lengths: (item,), the frames of x that are real.
        """
        size = chunks.size or count
        number = -(-count // size)
        padded = functional.pad(
            x, (0, 0, 0, max(0, number * size + chunks.look_ahead - x.shape[1]))
        )
        places = torch.arange(number, device=x.device)[:, None] * size
        inside = places + torch.arange(size + chunks.look_ahead, device=x.device)
        earlier = places + torch.arange(-chunks.left, 0, device=x.device)
        chunked = Chunked(
            states=self.dropout(padded[:, inside]),
            size=size,
            real=inside < lengths[:, None, None],
            before=(earlier >= -state.seen) & (earlier < lengths[:, None, None]),
        )
        past = []
        for block, before in zip(self.blocks, state.blocks, strict=True):
            states, after = block(chunked, before)
            chunked = replace(chunked, states=states)
            past.append(after)
        states = chunked.states[:, :, :size].flatten(1, 2)[:, :count]
        return states, State(tuple(past), state.seen + count)

    def start(self, like: Tensor, chunks: Chunks) -> State:
        """Nothing heard yet, of the type and for the items of `like` (item, ...)."""
        config, items = self.config, like.shape[0]
        keys = like.new_zeros((items, config.heads, chunks.left, config.d_model // config.heads))
        heard = like.new_zeros((items, config.conv_kernel // 2, config.d_model))
        return State((Past(keys, keys, heard),) * config.layers, 0)


@dataclass(frozen=True, eq=False)
class State:
    """What every block remembers, and how many frames were seen."""

    blocks: tuple[Past, ...]
    seen: int


class Stream:
    """One recording, fed in pieces: together the log probabilities of the whole in chunked mode.

    A chunk is told when it and its look-ahead are complete, delay_frames of features after its
    first began.
    """

    def __init__(self, network: Conformer, chunks: Chunks) -> None:
        if not chunks.size:
            raise InputError("chunk_size is 0, the whole recording; a stream needs 1 or more")
        if network.training:
            raise InputError("the network is being trained; call eval() before it is streamed")
        self.network, self.chunks = network, chunks
        self.delay_frames = (chunks.size + chunks.look_ahead) * network.config.subsampling
        self._reset()

    def _reset(self) -> None:
        config, weight = self.network.config, self.network.output.weight
        self._features = weight.new_zeros((0, config.n_mels))
        self._frames = weight.new_zeros((1, 0, config.d_model))
        self._begun = False
        self.state = self.network.start(self._frames, self.chunks)

    @torch.inference_mode()
    def push(self, features: Tensor) -> Tensor:
        """log probabilities (frame', tokens) of the chunks that features (frame, n_mels) complete.

        Raises InputError for features of another shape.
        """
        if features.ndim != 2 or features.shape[1] != self.network.config.n_mels:
            raise InputError(
                f"features have shape {tuple(features.shape)}; give (frame, "
                f"{self.network.config.n_mels})"
            )
        self._subsample(features, last=False)
        ready = self._frames.shape[1] - self.chunks.look_ahead
        return self._encode(max(0, ready // self.chunks.size) * self.chunks.size)

    @torch.inference_mode()
    def finish(self) -> Tensor:
        """log probabilities of what is left; then ready for another recording."""
        self._subsample(self._features[:0], last=True)
        left = self._encode(self._frames.shape[1])
        self._reset()
        return left

    def _subsample(self, features: Tensor, *, last: bool) -> None:
        """New frames, out of groups of `factor` features. The group before the new ones is kept
        and computed again, as a convolution reaches back into it."""
        factor = self.network.config.subsampling
        pending = torch.cat((self._features, features.to(self._features)))
        whole = pending.shape[0] if last else pending.shape[0] // factor * factor
        known = factor if self._begun else 0
        if whole > known:
            lengths = torch.tensor([whole], device=pending.device)
            made, _ = self.network.front(pending[None, :whole], lengths)
            self._frames = torch.cat((self._frames, made[:, known // factor :]), dim=1)
            self._begun = True
            pending = pending[whole - factor :] if not last else pending[:0]
        self._features = pending

    def _encode(self, count: int) -> Tensor:
        """Of the first count frames, those after them being look-ahead."""
        network = self.network
        if not count:
            return self._frames.new_zeros((0, network.config.tokens))
        given = self._frames[:, : count + self.chunks.look_ahead]
        lengths = torch.tensor([given.shape[1]], device=given.device)
        states, self.state = network.encode_chunks(given, lengths, self.chunks, self.state, count)
        self._frames = self._frames[:, count:]
        return network.log_probs(states[0])
