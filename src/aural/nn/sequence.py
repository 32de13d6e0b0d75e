"""A Transformer over sound, ready to run: what a window sounds like, and token after token of it.

What the decoder has seen is kept as a tree: every beam's token has a column of its own, and each
beam attends to the columns it descends from. So nothing is moved when beams change places, and
only taking out windows that have ended costs a copy.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aural.decode.beam import Next, Path
from aural.nn import transformer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnxruntime

FIRST_CAPACITY = 48

Memory = dict[str, np.ndarray]
"""What the decoder attends to in one window, as transformer.encoder gives it out."""


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
        embedded = arrays["decoder/embeddings/weight"]
        projection = arrays.get("decoder/projection/weight", embedded)
        self.embeddings = np.array(embedded)
        tied = np.may_share_memory(embedded, projection)
        self.projection = self.embeddings if tied else np.array(projection)
        self.places = np.asarray(arrays["decoder/position_encodings/encodings"], np.float32)
        with ThreadPoolExecutor(1) as beside:
            encoder = beside.submit(lambda: transformer.encoder(arrays, int8=int8).session(threads))
            decoder = transformer.decoder(arrays, int8=int8, aligned=aligned, suppressed=suppressed)
            self.decoder = decoder.session(threads)
            self._encoder = encoder.result()
        self._memory = _outputs(self._encoder, "states")
        self.told = _outputs(self.decoder)
        """Names of all that the decoder gives out."""

    @property
    def d_model(self) -> int:
        """Width of a state."""
        return self.embeddings.shape[1]

    def encode(self, features: np.ndarray) -> Memory:
        """What features (n_mels, frame) are to the decoder; two frames a state."""
        made = self._encoder.run(self._memory, {"features": features[None]})
        return dict(zip(self._memory, made, strict=True))

    def states(self, features: np.ndarray) -> np.ndarray:
        """The encoder's states float32 (state, d_model) of features (n_mels, frame)."""
        return self._encoder.run(["states"], {"features": features[None]})[0]

    def logits(self, hidden: np.ndarray, tokens: Sequence[int]) -> np.ndarray:
        """Scores of a few tokens, (row, token), in float32, for hidden (row, d_model)."""
        chosen = self.projection[np.asarray(tokens, np.int64)]
        return hidden @ chosen.astype(np.float32).T


def _outputs(session: onnxruntime.InferenceSession, without: str = "") -> list[str]:
    """Names of what a session gives out, in order."""
    return [output.name for output in session.get_outputs() if output.name != without]


@dataclass(frozen=True, eq=False)
class Told:
    """What is told of next tokens: log_probs float32 and tokens int64 (window, row, k), and the
    hidden states they come from, float32 (window, row, d_model)."""

    log_probs: np.ndarray
    tokens: np.ndarray
    hidden: np.ndarray


class Decoding:
    """One batch of windows being decoded, width beams each: a Scorer of `decode.beam`.

    Windows with fewer states than others are padded, and what is padded is masked. watched keeps
    what `attention` tells of.
    """

    def __init__(
        self,
        model: SequenceModel,
        memories: Sequence[Memory],
        width: int,
        *,
        watched: bool = True,
    ) -> None:
        self.model, self.watched = model, watched
        self._states = [memory["memory_key_0"].shape[3] for memory in memories]
        self._memory = _stacked(memories, self._states)
        self._running = np.arange(len(memories))
        self._runs: list[tuple[np.ndarray, np.ndarray]] = []
        self._position = self._used = 0
        self._descent = np.zeros((len(memories), width, 0), bool)
        self._seen: Memory = {}
        self._grow(FIRST_CAPACITY)

    def prompt(self, tokens: Sequence[int], rows: Sequence[int], count: int) -> Told:
        """Give every window the same tokens; what is told after those at the places in rows."""
        windows, new = len(self._running), len(tokens)
        if new > self._capacity:
            self._grow(new)
        mask = np.full((windows, 1, new, self._capacity + new), -np.inf, np.float32)
        mask[..., self._capacity :] = np.triu(np.full((new, new), -np.inf, np.float32), 1)
        places = np.arange(windows)[:, None] * new + np.asarray(rows)
        given = np.broadcast_to(np.asarray(tokens), (windows, new))
        told = self._run(self._embedded(given, np.arange(new)), mask, places, count)
        self._position = new
        self._descent[..., : self._used] = True
        return told

    def step(self, tokens: np.ndarray, parents: np.ndarray, count: int) -> Next:
        """Go on with tokens (window, beam), each after the beam in parents (window, beam)."""
        windows, width = tokens.shape
        self._descent = np.take_along_axis(self._descent, parents[:, :, None], axis=1)
        if self._used + width > self._capacity:
            self._grow(max(2 * self._capacity, self._used + width))
        itself = np.broadcast_to(np.eye(width, dtype=bool), (windows, width, width))
        seen = np.concatenate((self._descent, itself), axis=2)[:, None]
        mask = np.where(seen, np.float32(0), np.float32(-np.inf))
        places = np.arange(tokens.size).reshape(tokens.shape)
        first = self._used
        told = self._run(self._embedded(tokens, [self._position]), mask, places, count)
        self._position += 1
        self._descent[:, np.arange(width), first + np.arange(width)] = True
        return Next(told.log_probs, told.tokens)

    def keep(self, windows: np.ndarray) -> None:
        """Go on with these windows only, by their place among those that still ran."""
        self._running, self._descent = self._running[windows], self._descent[windows]
        self._memory = {name: array[windows] for name, array in self._memory.items()}
        self._seen = {name: array[windows] for name, array in self._seen.items()}

    def attention(self, window: int, path: Path, rows: int) -> np.ndarray:
        """Scores before softmax, float32 (head, rows + step, state), of what each token of a
        path (and its end) was told by, and of the prompt's last rows before them."""
        states = self._states[window]
        prompt = self._runs[0][1][window, :, -rows:, :states]
        steps = [prompt.astype(np.float32)]
        told_by = path.beams[1 : len(path.tokens) + path.ended]  # what did not end was told no end
        for (running, scores), beam in zip(self._runs[1:], told_by, strict=False):
            place = int(np.searchsorted(running, window))
            steps.append(scores[place, :, beam : beam + 1, :states].astype(np.float32))
        return np.concatenate(steps, axis=1)

    def _embedded(self, tokens: np.ndarray, positions: Sequence[int] | np.ndarray) -> np.ndarray:
        return self.model.embeddings[tokens].astype(np.float32) + self.model.places[positions]

    def _run(self, x: np.ndarray, mask: np.ndarray, rows: np.ndarray, count: int) -> Told:
        given = {"x": x, "mask": mask, "rows": rows.reshape(-1), "count": np.array([count])}
        found = self.model.decoder.run(self.model.told, {**given, **self._seen, **self._memory})
        made = dict(zip(self.model.told, found, strict=True))
        end = self._used + x.shape[1]
        for i in range(self.model.layers):
            self._seen[f"key_{i}"][..., self._used : end] = made[f"new_key_{i}"]
            self._seen[f"value_{i}"][:, :, self._used : end] = made[f"new_value_{i}"]
        self._used = end
        if self.watched:
            self._runs.append((self._running, made["attention"].astype(np.float16)))
        shaped = (made[name].reshape(*rows.shape, -1) for name in ("log_probs", "tokens", "hidden"))
        return Told(*shaped)

    @property
    def _capacity(self) -> int:
        return self._descent.shape[2]

    def _grow(self, capacity: int) -> None:
        """Make room for so many columns; what is not in use is masked, and zero."""
        heads = self.model.heads
        width = self.model.d_model // heads
        for i in range(self.model.layers):
            for name, shape in (
                (f"key_{i}", (width, capacity)),
                (f"value_{i}", (capacity, width)),
            ):
                wider = np.zeros((len(self._running), heads, *shape), np.float32)
                if name in self._seen:
                    old = self._seen[name]
                    wider[:, :, : old.shape[2], : old.shape[3]] = old
                self._seen[name] = wider
        self._descent = np.pad(self._descent, ((0, 0), (0, 0), (0, capacity - self._capacity)))


def _stacked(memories: Sequence[Memory], states: Sequence[int]) -> Memory:
    """The memories of several windows as one, padded to the most states, with the mask that hides
    the padding."""
    most = max(states)
    stacked: Memory = {"memory_mask": np.full((len(states), 1, 1, most), -np.inf, np.float32)}
    for i, count in enumerate(states):
        stacked["memory_mask"][i, ..., :count] = 0
    for name in memories[0]:
        parts = [memory[name] for memory in memories]
        sizes = np.max([part.shape for part in parts], axis=0)
        stacked[name] = np.zeros((len(parts), *sizes[1:]), parts[0].dtype)
        for i, part in enumerate(parts):
            place: tuple[int | slice, ...] = (i, *(slice(size) for size in part.shape[1:]))
            stacked[name][place] = part[0]
    return stacked
