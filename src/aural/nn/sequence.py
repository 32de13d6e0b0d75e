"""A Transformer over sound, ready to run: states of a window, and tokens after tokens.

What the decoder has seen is kept as a tree: every beam's token has a column of its own, and each
beam attends to the columns it descends from. So nothing is moved when beams change places, and
only a window that has ended costs a copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aural.decode.beam import Next
from aural.nn import transformer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIRST_CAPACITY = 48


class SequenceModel:
    """Runs the graphs of `transformer`; may be shared by threads.

    threads are those of one call. aligned: the (layer, head) whose attention tells where in the
    sound a token is; suppressed: tokens never to be written.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        *,
        int8: bool,
        threads: int,
        aligned: Sequence[tuple[int, int]],
        suppressed: Sequence[int],
    ) -> None:
        self.heads = int(arrays["decoder/num_heads"])
        self.layers = transformer.depth(arrays, "decoder")
        self.embeddings = np.array(arrays["decoder/embeddings/weight"])
        self.places = np.asarray(arrays["decoder/position_encodings/encodings"], np.float32)
        encoder_heads = int(arrays["encoder/num_heads"])
        self._encoder = transformer.encoder(arrays, encoder_heads, int8=int8).session(threads)
        self._memory = transformer.memory(arrays, self.heads, int8=int8).session(threads)
        self._decoder = transformer.decoder(
            arrays, self.heads, int8=int8, aligned=aligned, suppressed=suppressed
        ).session(threads)

    @property
    def d_model(self) -> int:
        """Width of a state."""
        return self.embeddings.shape[1]

    def encode(self, features: np.ndarray) -> np.ndarray:
        """States float32 (state, d_model) of features (n_mels, frame), two frames a state."""
        return self._encoder.run(None, {"features": features[None]})[0]

    def start(self, states: Sequence[np.ndarray], width: int) -> Decoding:
        """Decoding of windows whose states are alike in length, width beams each."""
        names = [output.name for output in self._memory.get_outputs()]
        made = self._memory.run(names, {"states": np.stack(states)})
        return Decoding(self, dict(zip(names, made, strict=True)), width)

    def logits(self, hidden: np.ndarray, tokens: Sequence[int]) -> np.ndarray:
        """Scores of a few tokens, (row, token), in float32, for hidden (row, d_model)."""
        return hidden @ self.embeddings[list(tokens)].astype(np.float32).T


class Decoding:
    """One batch of windows being decoded: a Scorer of `decode.beam`."""

    def __init__(self, model: SequenceModel, memory: dict[str, np.ndarray], width: int) -> None:
        self.model, self.memory, self.width = model, memory, width
        self.attention: list[np.ndarray] = []
        """Of every step: scores (window, aligned, new, state) of the windows then running."""
        self.running = np.arange(len(memory["memory_key_0"]))
        """The windows still running, counted from the start."""
        self.history: list[np.ndarray] = []
        """Of every step: the windows running."""
        self._position = self._used = 0
        self._descent = np.zeros((self.running.size, width, 0), bool)
        self._kept: dict[str, np.ndarray] = {}
        self._grow(FIRST_CAPACITY)

    def prompt(self, tokens: Sequence[int], rows: Sequence[int], count: int) -> _Told:
        """Give every window the same tokens; what is told after those at the places in rows."""
        windows, new = self.running.size, len(tokens)
        if new > self._capacity:
            self._grow(new)
        mask = np.full((windows, 1, new, self._capacity + new), -np.inf, np.float32)
        mask[..., self._capacity :] = np.triu(np.full((new, new), -np.inf, np.float32), 1)
        embedded = self._embedded(np.broadcast_to(tokens, (windows, new)), np.arange(new))
        wanted = np.arange(windows)[:, None] * new + np.asarray(rows)
        told = self._run(embedded, mask, wanted, count)
        self._position = new
        self._descent[..., : self._used] = True
        return told

    def step(self, tokens: np.ndarray, parents: np.ndarray, count: int) -> Next:
        """Go on with tokens (window, beam), each after the beam in parents (window, beam)."""
        width = tokens.shape[1]
        self._descent = np.take_along_axis(self._descent, parents[:, :, None], axis=1)
        if self._used + width > self._capacity:
            self._grow(2 * self._capacity)
        before = np.where(self._descent, np.float32(0), np.float32(-np.inf))
        among = np.where(np.eye(width, dtype=bool), np.float32(0), np.float32(-np.inf))
        among = np.broadcast_to(among, (len(tokens), width, width))
        mask = np.concatenate((before, among), axis=2)[:, None]
        rows = np.arange(tokens.size).reshape(tokens.shape)
        used = self._used
        told = self._run(self._embedded(tokens, [self._position]), mask, rows, count)
        self._position += 1
        self._descent[:, np.arange(width), used + np.arange(width)] = True
        return Next(told.log_probs, told.tokens)

    def keep(self, windows: np.ndarray) -> None:
        """Go on with these windows only, by their place among those that still ran."""
        self.running, self._descent = self.running[windows], self._descent[windows]
        self.memory = {name: array[windows] for name, array in self.memory.items()}
        self._kept = {name: array[windows] for name, array in self._kept.items()}

    def _embedded(self, tokens: np.ndarray, positions: Sequence[int] | np.ndarray) -> np.ndarray:
        return self.model.embeddings[tokens].astype(np.float32) + self.model.places[positions]

    def _run(self, x: np.ndarray, mask: np.ndarray, rows: np.ndarray, count: int) -> _Told:
        given = {"x": x, "mask": mask, "rows": rows.reshape(-1), "count": np.array([count])}
        session = self.model._decoder
        names = [output.name for output in session.get_outputs()]
        made = dict(zip(names, session.run(names, {**given, **self._kept, **self.memory}), strict=True))
        end = self._used + x.shape[1]
        for i in range(self.model.layers):
            self._kept[f"key_{i}"][..., self._used : end] = made[f"new_key_{i}"]
            self._kept[f"value_{i}"][:, :, self._used : end] = made[f"new_value_{i}"]
        self._used = end
        self.attention.append(made["attention"])
        self.history.append(self.running)
        shaped = (made[name].reshape(*rows.shape, -1) for name in ("log_probs", "tokens", "hidden"))
        return _Told(*shaped)

    @property
    def _capacity(self) -> int:
        return self._descent.shape[2]

    def _grow(self, capacity: int) -> None:
        """Make room for so many columns; what is not in use is masked, and zero."""
        windows, heads = self.running.size, self.model.heads
        width = self.model.d_model // heads
        for i in range(self.model.layers):
            shapes = {f"key_{i}": (width, capacity), f"value_{i}": (capacity, width)}
            for name, shape in shapes.items():
                wider = np.zeros((windows, heads, *shape), np.float32)
                if name in self._kept:
                    old = self._kept[name]
                    wider[:, :, : old.shape[2], : old.shape[3]] = old
                self._kept[name] = wider
        room = ((0, 0), (0, 0), (0, capacity - self._capacity))
        self._descent = np.pad(self._descent, room)


@dataclass(frozen=True, eq=False)
class _Told:
    """log_probs float32 and tokens int64 (window, row, k); hidden float32 (window, row, d_model)."""

    log_probs: np.ndarray
    tokens: np.ndarray
    hidden: np.ndarray
