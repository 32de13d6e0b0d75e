"""The network: a chunked encoder that streams, a prediction network, a joiner, or CTC's head."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.errors import InputError
from aural.models.transducer import FRAMES_PER_STATE, check_chunks
from aural.nn.masking import check_features, cleared, real_frames

if TYPE_CHECKING:
    from aural.models.transducer import Config

MAX_DISTANCE = 64
"""States farther apart than this are told apart by what they hold alone."""


@dataclass(frozen=True)
class Chunks:
    """How states are worked on: size at a time, ahead after them, left before them."""

    size: int
    ahead: int
    left: int


class Past(Protocol):
    """What was before windows of states, for each layer that asks."""

    def before(self, place: int, windows: Tensor, count: int) -> Tensor:
        """(row, count, d): the states before windows (row, size + ahead, d), 0 where none was."""
        ...


class Whole:
    """The past of windows that are a recording's, one behind the other: item * window rows."""

    def __init__(self, items: int, size: int) -> None:
        self.items, self.size = items, size

    def before(self, place: int, windows: Tensor, count: int) -> Tensor:
        """As Past; place does not matter."""
        if not count:
            return windows[:, :0]
        own = windows[:, : self.size].reshape(self.items, -1, windows.shape[2])
        lefts = functional.pad(own, (0, 0, count, 0)).unfold(1, count, self.size)
        number = len(windows) // self.items
        return lefts[:, :number].transpose(2, 3).flatten(0, 1)


class Running:
    """The past of one window after the other; kept holds it for each place."""

    def __init__(self, size: int, kept: tuple[Tensor, ...]) -> None:
        self.size, self.kept = size, list(kept)

    def before(self, place: int, windows: Tensor, count: int) -> Tensor:
        """As Past, of what came at that place last; it is then that of the next window."""
        left = self.kept[place]
        joined = torch.cat((left, windows[:, : self.size]), 1)
        self.kept[place] = joined[:, joined.shape[1] - count :]
        return left


class Subsampling(nn.Module):
    """Two causal convolutions of three taps and stride 2: features (item, 4 n, n_mels) to
    (item, n, d_model). A state sees its own four frames and the three before."""

    def __init__(self, n_mels: int, d_model: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(n_mels, d_model, 3, stride=2)
        self.second = nn.Conv1d(d_model, d_model, 3, stride=2)

    def forward(self, features: Tensor, lasts: tuple[Tensor, Tensor] | None = None) -> Subsampled:
        """lasts: what each convolution saw last, (item, channel, 1); None at the start."""
        x, seen = features.transpose(1, 2), []
        for i, layer in enumerate((self.first, self.second)):
            last = x.new_zeros(len(x), x.shape[1], 1) if lasts is None else lasts[i]
            seen.append(x[:, :, -1:])
            x = functional.relu(layer(torch.cat((last, x), 2)))
        return Subsampled(x.transpose(1, 2), (seen[0], seen[1]))


@dataclass(frozen=True, eq=False)
class Subsampled:
    """States (item, frame, d_model), and what each convolution saw last."""

    states: Tensor
    lasts: tuple[Tensor, Tensor]


class Block(nn.Module):
    """Self-attention, causal convolution and feed-forward, each of normalised states and added."""

    def __init__(self, config: Config, place: int) -> None:
        super().__init__()
        width, self.place, self.heads = config.d_model, place, config.heads
        self.kernel, self.dropout = config.conv_kernel, nn.Dropout(config.dropout)
        self.attention_norm, self.convolution_norm, self.norm = (
            nn.LayerNorm(width) for _ in range(3)
        )
        self.query, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.distance = nn.Parameter(torch.zeros(config.heads, 2 * MAX_DISTANCE + 1))
        self.gated, self.mixed = nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.depthwise = nn.Conv1d(width, width, config.conv_kernel, groups=width)
        inner = config.feed_forward * width
        self.inner, self.outer = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor, known: Tensor, past: Past) -> Tensor:
        """Windows (row, size + ahead, d_model); known: bool, (row, left + size + ahead), which
        states there are."""
        x = x + self.dropout(self._attend(self.attention_norm(x), known, past))
        x = x + self.dropout(self._convolve(self.convolution_norm(x), past))
        inner = self.dropout(functional.silu(self.inner(self.norm(x))))
        return x + self.dropout(self.outer(inner))

    def _attend(self, x: Tensor, known: Tensor, past: Past) -> Tensor:
        rows, states, width = x.shape
        left = known.shape[1] - states
        seen = torch.cat((past.before(2 * self.place, x, left), x), 1)
        key, value = self.key_value(seen).chunk(2, -1)
        query, key, value = (
            part.reshape(rows, -1, self.heads, width // self.heads).transpose(1, 2)
            for part in (self.query(x), key, value)
        )
        places = torch.arange(left + states, device=x.device)
        apart = places - places[left:, None]
        near = self.distance[:, apart.clamp(-MAX_DISTANCE, MAX_DISTANCE) + MAX_DISTANCE]
        hidden = torch.finfo(x.dtype).min / 2
        bias = near.to(x.dtype) + torch.where(known, 0.0, hidden).to(x.dtype)[:, None, None]
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.out(found.transpose(1, 2).reshape(rows, states, width))

    def _convolve(self, x: Tensor, past: Past) -> Tensor:
        x = functional.glu(self.gated(x), -1)
        x = torch.cat((past.before(2 * self.place + 1, x, self.kernel - 1), x), 1)
        return self.mixed(functional.silu(self.depthwise(x.transpose(1, 2)).transpose(1, 2)))


class Predictor(nn.Module):
    """What the tokens written so far say of the next: an LSTM, or the last two of them alone."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.predictor_width
        self.embedding = nn.Embedding(config.tokens, width)
        self.lstm = nn.LSTM(width, width, batch_first=True) if config.predictor == "lstm" else None
        self.pair = nn.Linear(2 * width, width) if config.predictor == "stateless" else None

    def forward(self, tokens: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(item, token, width) after each of tokens (item, token), and the past (item, ...) to go
        on with; the first token of a text is 0."""
        embedded = self.embedding(tokens)
        if self.lstm is not None:
            held = None if past is None else tuple(past.transpose(0, 1)[:, None].contiguous())
            found, (hidden, cell) = self.lstm(embedded, held)
            return found, torch.stack((hidden[0], cell[0]), 1)
        assert self.pair is not None
        first = self.embedding(torch.zeros_like(tokens[:, :1])) if past is None else past
        before = torch.cat((first, embedded[:, :-1]), 1)
        found = functional.relu(self.pair(torch.cat((before, embedded), -1)))
        return found, embedded[:, -1:]


class Transducer(nn.Module):
    """The network of a Config."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, self.head = config, config.head
        self.subsampling = Subsampling(config.n_mels, config.d_model)
        self.blocks = nn.ModuleList(Block(config, place) for place in range(config.layers))
        self.norm = nn.LayerNorm(config.d_model)
        if config.head == "ctc":
            self.output = nn.Linear(config.d_model, config.tokens)
            return
        self.predictor = Predictor(config)
        self.from_encoder = nn.Linear(config.d_model, config.joiner_width)
        self.from_predictor = nn.Linear(config.predictor_width, config.joiner_width, bias=False)
        self.output = nn.Linear(config.joiner_width, config.tokens)

    def forward(
        self, features: Tensor, lengths: Tensor, targets: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Head "ctc": log probabilities (item, frame', tokens). Head "transducer": logits
        (item, frame', token + 1, tokens) of targets (item, token), None being empty texts. Beside
        either the lengths' (item,)."""
        states, lengths = self.encode(features, lengths)
        if self.head == "ctc":
            return self.log_probs(states), lengths
        if targets is None:
            targets = lengths.new_zeros(len(lengths), 0)
        predicted, _ = self.predictor(functional.pad(targets, (1, 0)))
        joined = self.from_encoder(states)[:, :, None] + self.from_predictor(predicted)[:, None]
        return self.output(joined.tanh()), lengths

    def encode(
        self,
        features: Tensor,
        lengths: Tensor,
        chunk_frames: int | None = None,
        look_ahead_frames: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """States (item, ceil(frame / 4), d_model), 0 beyond their lengths (item,); a chunk and
        look-ahead other than the Config's where given."""
        check_features(features, lengths, self.config.n_mels)
        chunks = self.chunks(chunk_frames, look_ahead_frames)
        real = real_frames(lengths, features.shape[1])
        x = cleared(self.normalised(features), real)
        x = functional.pad(x, (0, 0, 0, -x.shape[1] % FRAMES_PER_STATE))
        x = self.subsampling(x).states
        lengths = (lengths + FRAMES_PER_STATE - 1) // FRAMES_PER_STATE
        items, frames, width = x.shape
        number = -(-frames // chunks.size)
        padded = functional.pad(x, (0, 0, 0, number * chunks.size + chunks.ahead - frames))
        windows = padded.unfold(1, chunks.size + chunks.ahead, chunks.size).transpose(2, 3)
        starts = torch.arange(number, device=x.device)[:, None] * chunks.size
        places = starts + torch.arange(-chunks.left, chunks.size + chunks.ahead, device=x.device)
        known = (places >= 0) & (places < lengths[:, None, None])
        past = Whole(items, chunks.size)
        found = self.states_of(windows.flatten(0, 1), known.flatten(0, 1), past)
        states = found[:, : chunks.size].reshape(items, -1, width)[:, :frames]
        return cleared(states, real_frames(lengths, frames)), lengths

    def log_probs(self, states: Tensor) -> Tensor:
        """Of the "ctc" head: (..., tokens) of states (..., d_model)."""
        return self.output(states).log_softmax(-1)

    def joined(self, state: Tensor, predicted: Tensor) -> Tensor:
        """Of the "transducer" head: log probabilities (beginning, tokens) at a state (d_model,),
        of what from_predictor makes of the predictor's outputs, (beginning, joiner_width)."""
        return self.output((self.from_encoder(state) + predicted).tanh()).log_softmax(-1)

    def chunks(
        self, chunk_frames: int | None = None, look_ahead_frames: int | None = None
    ) -> Chunks:
        """What is given, else the Config's, or in training what vary_chunks draws."""
        config = self.config
        size = config.chunk_frames if chunk_frames is None else chunk_frames
        ahead = config.look_ahead_frames if look_ahead_frames is None else look_ahead_frames
        check_chunks(size, ahead)
        if self.training and config.vary_chunks and chunk_frames is look_ahead_frames is None:
            size = int(torch.randint(1, 2 * size + 1, ()))
            ahead = int(torch.randint(0, ahead + 1, ()))
        return Chunks(size, ahead, config.left_frames)

    def normalised(self, features: Tensor) -> Tensor:
        """Features by the Config's constants."""
        return (features - self.config.feature_mean) / self.config.feature_scale

    def stream(
        self, chunk_frames: int | None = None, look_ahead_frames: int | None = None
    ) -> EncoderStream:
        """`encode` of one recording, to be fed in pieces; the network should be in eval mode."""
        return EncoderStream(self, self.chunks(chunk_frames, look_ahead_frames))

    def states_of(self, x: Tensor, known: Tensor, past: Past) -> Tensor:
        """What all blocks make of windows; as Block."""
        for block in self.blocks:
            x = block(x, known, past)
        return self.norm(x)


@dataclass(frozen=True, eq=False)
class EncoderState:
    """What a stream remembers.

    features (1, frame, n_mels): fewer than four, normalised; lasts: what the convolutions of the
    subsampling saw last; waiting (1, frame, d_model): states whose window is not whole yet; kept:
    for each layer what attention, and what convolution, has to its left; done: states given out.
    """

    features: Tensor
    lasts: tuple[Tensor, Tensor] | None
    waiting: Tensor
    kept: tuple[Tensor, ...]
    done: int = 0


class EncoderStream:
    """States as features come in; after `finish` it is ready for another recording."""

    def __init__(self, network: Transducer, chunks: Chunks) -> None:
        self.network, self.chunks = network, chunks
        self._start()

    @torch.no_grad()
    def push(self, features: Tensor) -> Tensor:
        """The states (frame', d_model) that these features (frame, n_mels) complete: those of
        chunks whose look-ahead has been heard."""
        n_mels = self.network.config.n_mels
        if features.ndim != 2 or features.shape[1] != n_mels or not features.is_floating_point():
            raise InputError(
                f"features are {features.dtype} of shape {tuple(features.shape)}; "
                f"give floats, (frame, {n_mels})"
            )
        normal = self.network.normalised(features.to(self.state.features))
        self._hear(torch.cat((self.state.features, normal[None]), 1))
        found = [self.state.waiting[0, :0]]
        whole = self.chunks.size + self.chunks.ahead
        while self.state.waiting.shape[1] >= whole:
            found.append(self._next(self.state.waiting[:, :whole]))
        return torch.cat(found)

    @torch.no_grad()
    def finish(self) -> Tensor:
        """The states (frame', d_model) that are left, nothing following them."""
        missing = -self.state.features.shape[1] % FRAMES_PER_STATE
        self._hear(functional.pad(self.state.features, (0, 0, 0, missing)))
        found = [self.state.waiting[0, :0]]
        while self.state.waiting.shape[1]:
            found.append(self._next(self.state.waiting[:, : self.chunks.size + self.chunks.ahead]))
        self._start()
        return torch.cat(found)

    def _start(self) -> None:
        config = self.network.config
        like = self.network.norm.weight.detach()
        widths = (self.chunks.left, config.conv_kernel - 1) * config.layers
        self.state = EncoderState(
            features=like.new_zeros(1, 0, config.n_mels),
            lasts=None,
            waiting=like.new_zeros(1, 0, config.d_model),
            kept=tuple(like.new_zeros(1, count, config.d_model) for count in widths),
        )

    def _hear(self, features: Tensor) -> None:
        """Whole groups of four frames become states that wait."""
        whole = features.shape[1] // FRAMES_PER_STATE * FRAMES_PER_STATE
        self.state = replace(self.state, features=features[:, whole:])
        if whole:
            made = self.network.subsampling(features[:, :whole], self.state.lasts)
            waiting = torch.cat((self.state.waiting, made.states), 1)
            self.state = replace(self.state, lasts=made.lasts, waiting=waiting)

    def _next(self, window: Tensor) -> Tensor:
        """The states of the next chunk; window may lack its end."""
        chunks, real = self.chunks, window.shape[1]
        places = torch.arange(-chunks.left, chunks.size + chunks.ahead, device=window.device)
        known = (places >= -self.state.done) & (places < real)
        window = functional.pad(window, (0, 0, 0, chunks.size + chunks.ahead - real))
        past = Running(chunks.size, self.state.kept)
        found = self.network.states_of(window, known[None], past)[0]
        count = min(chunks.size, real)
        self.state = replace(
            self.state,
            waiting=self.state.waiting[:, count:],
            kept=tuple(past.kept),
            done=self.state.done + count,
        )
        return found[:count]
