"""CTC: from frames to tokens, and where in time each token is (Graves et al. 2006).

A path has one token a frame, token 0 being the blank. Its labelling is what is left when runs of
one token count once and blanks are then left out; so a token that stands twice in a row needs a
blank between. Log probabilities are natural logarithms, float32 or float64 of (frame, tokens) or
(item, frame, tokens), with the blank in column 0. The search over labellings is in prefix_beam.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from aural.errors import InputError
from aural.text.tokens import SPACE
from aural.types import Span, Word

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aural.text.tokens import Tokenizer

BLANK = 0
STAR = -1
"""In what is aligned: one frame or more of whatever is likeliest there."""
BLOCK_FRAMES = 1024
"""Frames whose states are held at once: they take about 16 BLOCK_FRAMES ** 2 bytes an item."""
BARE_FRAME = 32
"""Labels whose states take as much memory as what holds those of a frame."""
SLACK = 1e-3
"""How far above 0 rounding may lift a log probability."""


@dataclass(frozen=True)
class TokenSpan:
    """A token and its frames, start to end (end not among them).

    probability: the mean of what the frames give the token, in [0, 1].
    """

    token: int
    start: int
    end: int
    probability: float

    def seconds(self, frame_seconds: float, offset: float = 0.0) -> Span:
        """The same in seconds; offset is the time of frame 0."""
        return Span(offset + self.start * frame_seconds, offset + self.end * frame_seconds)


@dataclass(frozen=True, eq=False)
class Alignment:
    """The likeliest path of a text.

    path: int64, (frame,), the token of each frame, 0 for blank; spans: one a token; log_prob: the
    path's, never more than that of all the text's paths together.
    """

    path: np.ndarray
    spans: tuple[TokenSpan, ...]
    log_prob: float


@dataclass(frozen=True)
class GreedyText:
    """The labelling of the likeliest path, its tokens' frames, and the path's log probability."""

    tokens: tuple[int, ...]
    spans: tuple[TokenSpan, ...]
    log_prob: float


def collapse(path: Iterable[int], blank: int = BLANK) -> tuple[int, ...]:
    """The labelling of a path: runs of one token count once, blanks are left out."""
    tokens = np.fromiter(path, np.int64)
    first = np.ones(tokens.size, bool)
    first[1:] = tokens[1:] != tokens[:-1]
    return tuple(tokens[first & (tokens != blank)].tolist())


def greedy(
    log_probs: np.ndarray, lengths: Sequence[int] | np.ndarray | None = None
) -> list[GreedyText]:
    """The labelling of each item's likeliest path (not always the likeliest labelling).

    Of tokens that are equally likely the lowest is taken: a frame of nothing but -inf is a blank.

    Args:
        log_probs: (item, frame, tokens), or (frame, tokens) for one item.
        lengths: frames of each item; all of them where None.

    Raises:
        InputError: not log probabilities (NaN, above 0), another shape, lengths that do not fit.
    """
    batch, frames = checked(log_probs, lengths)
    paths = batch.argmax(axis=2) if batch.shape[1] else np.zeros(batch.shape[:2], np.int64)
    best = np.take_along_axis(batch, paths[:, :, None], axis=2)[:, :, 0]
    return [
        _greedy_text(path[:length], scores[:length].astype(np.float64))
        for path, scores, length in zip(paths, best, frames.tolist(), strict=True)
    ]


def align(log_probs: np.ndarray, tokens: Sequence[int]) -> Alignment:
    """The likeliest of all paths of a text (Viterbi), log_probs being (frame, tokens).

    Time goes with frames x tokens of the text, memory with that / BLOCK_FRAMES: an hour will do.

    Args:
        tokens: without blanks; STAR stands for whatever is said there.

    Raises:
        InputError: fewer frames than the text needs (one a token, and one more between two equal
            ones), a token that is none, no path of a probability above 0; or as in greedy.
    """
    return align_batch(np.asarray(log_probs)[None], [tokens])[0]


def align_batch(
    log_probs: np.ndarray,
    tokens: Sequence[Sequence[int]],
    lengths: Sequence[int] | np.ndarray | None = None,
) -> list[Alignment]:
    """As align, for several items at once: log_probs (item, frame, tokens), a text each."""
    batch, frames = checked(log_probs, lengths)
    if len(tokens) != len(batch):
        raise InputError(f"{len(tokens)} texts for {len(batch)} items; give one each")
    texts = [np.asarray(text, np.int64).reshape(-1) for text in tokens]
    for item, (text, length) in enumerate(zip(texts, frames.tolist(), strict=True)):
        _check_fits(text, length, batch.shape[2], item)
    found: list[Alignment | None] = [None] * len(texts)
    short = [item for item in range(len(texts)) if frames[item] <= BLOCK_FRAMES]
    if short:
        most = frames[short].max()
        lattice = _Lattice.of(batch[short, :most], [texts[item] for item in short])
        for item, positions, score in zip(short, *_together(lattice, frames[short]), strict=True):
            found[item] = _alignment(batch[item], texts[item], positions, score)
    for item in np.flatnonzero(frames > BLOCK_FRAMES).tolist():
        lattice = _Lattice.of(batch[item : item + 1, : frames[item]], [texts[item]])
        found[item] = _alignment(batch[item], texts[item], *_alone(lattice, int(frames[item])))
    for item, alignment in enumerate(found):
        if alignment is None or alignment.log_prob == -np.inf:
            raise InputError(f"item {item} has no path of a probability above 0; is it its text?")
    return [alignment for alignment in found if alignment is not None]


def needed_frames(tokens: Sequence[int] | np.ndarray) -> int:
    """The fewest frames that can say these tokens."""
    text = np.asarray(tokens, np.int64)
    return int(text.size + np.count_nonzero(text[1:] == text[:-1]))


def words(
    spans: Sequence[TokenSpan], tokenizer: Tokenizer, frame_seconds: float, offset: float = 0.0
) -> tuple[Word, ...]:
    """The words of a text with their times; probability is the mean of their tokens'.

    A word begins where the tokenizer's text of all tokens up to there begins one: after a space of
    characters, at a piece that begins a word, at each word. Text has a leading space but for the
    first word.
    """
    groups: list[list[TokenSpan]] = []
    for span in spans:
        symbol = tokenizer.symbol(span.token) if span.token > 0 else ""
        begins = _begins_word(symbol, tokenizer.kind)
        if begins or not groups:
            groups.append([])
        groups[-1].append(span)
    made: list[Word] = []
    for group in groups:
        text = tokenizer.decode(span.token for span in group).strip()
        voiced = [span for span in group if tokenizer.decode([span.token]).strip()]
        if text:
            start, end = voiced[0].start, voiced[-1].end
            made.append(
                Word(
                    offset + start * frame_seconds,
                    offset + end * frame_seconds,
                    f" {text}" if made else text,
                    float(np.mean([span.probability for span in voiced])),
                    tuple(span.token for span in voiced),
                )
            )
    return tuple(made)


def checked(
    log_probs: np.ndarray, lengths: Sequence[int] | np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """log_probs as (item, frame, tokens) and its lengths, int64 (item,); InputError for what is
    none. What stands behind an item's length may be anything."""
    batch = np.asarray(log_probs)
    batch = batch[None] if batch.ndim == 2 else batch
    if batch.ndim != 3 or batch.shape[2] < 1 or batch.dtype.kind != "f":
        raise InputError(
            f"log probabilities of shape {np.shape(log_probs)}, {batch.dtype}; give floats of "
            "(frame, tokens) or (item, frame, tokens)"
        )
    items, most = batch.shape[:2]
    frames = np.full(items, most) if lengths is None else np.asarray(lengths)
    if frames.shape != (items,) or frames.dtype.kind not in "iu":
        raise InputError(
            f"lengths of shape {frames.shape}; give {items} whole numbers, one an item"
        )
    if items and not 0 <= frames.min() <= frames.max() <= most:
        raise InputError(f"a length of {frames.min()} or {frames.max()}; there are {most} frames")
    for item, length in zip(batch, frames.tolist(), strict=True):
        highest = item[:length].max(initial=-np.inf)
        if not highest <= SLACK:
            raise InputError(f"a log probability is {highest}; give them as log_softmax makes them")
    return batch, frames.astype(np.int64)


def _begins_word(symbol: str, kind: str) -> bool:
    if kind == "words":
        return True
    return symbol.startswith(" " if kind == "characters" else SPACE)


def _greedy_text(path: np.ndarray, scores: np.ndarray) -> GreedyText:
    starts, chances = np.flatnonzero(np.diff(path, prepend=BLANK - 1)), np.exp(scores)
    spans = tuple(
        TokenSpan(int(path[start]), start, end, _mean(chances[start:end]))
        for start, end in pairwise([*starts.tolist(), path.size])
        if path[start] != BLANK
    )
    return GreedyText(tuple(span.token for span in spans), spans, float(scores.sum()))


def _mean(chances: np.ndarray) -> float:
    return min(1.0, float(np.add.reduce(chances) / chances.size))  # ndarray.mean takes far longer


def _check_fits(text: np.ndarray, frames: int, tokens: int, item: int) -> None:
    if text.size and not (text.min() >= STAR and text.max() < tokens and np.all(text != BLANK)):
        raise InputError(
            f"item {item} has token {text[(text < STAR) | (text == BLANK) | (text >= tokens)][0]}; "
            f"give 1 to {tokens - 1}, or {STAR} for anything"
        )
    if needed_frames(text) > frames:
        raise InputError(
            f"item {item} has {text.size} tokens, which need {needed_frames(text)} frames, and "
            f"{frames} frames; give a shorter text or more sound"
        )


@dataclass(eq=False)
class _Lattice:
    """What paths go through: state 2 i is the blank before label i, state 2 i + 1 label i.

    batch: (item, frame, tokens); labels: (item, label). blanks (item, label + 1) and scores (item,
    label): the best path into each state so far. Derived: places, where labels stand in one frame
    of all items, laid flat; stars, where anything will do; again, the labels that are as the one
    before, and the blanks between, in scores and blanks laid flat.
    """

    batch: np.ndarray
    labels: np.ndarray
    blanks: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        first = self.batch.shape[2] * np.arange(len(self.batch))[:, None]
        self.places = np.maximum(self.labels, 0) + first
        self.stars = np.nonzero(self.labels == STAR)
        after = self.labels[:, 1:]
        items, before = np.nonzero((after == self.labels[:, :-1]) & (after != BLANK))
        width = self.labels.shape[1]
        self.again = items * width + before + 1, items * (width + 1) + before + 1

    @classmethod
    def of(cls, batch: np.ndarray, texts: Sequence[np.ndarray]) -> _Lattice:
        """Before any frame, in the first blank."""
        labels = np.zeros((len(texts), max(text.size for text in texts)), np.int64)
        for row, text in zip(labels, texts, strict=True):
            row[: text.size] = text
        blanks = np.full((len(batch), labels.shape[1] + 1), -np.inf)
        blanks[:, 0] = 0
        return cls(batch, labels, blanks, np.full(labels.shape, -np.inf))

    def window(self, blanks: np.ndarray, scores: np.ndarray, low: int, high: int) -> _Lattice:
        """The labels low to high (not included), from what reached them."""
        inside = slice(low, high)
        return _Lattice(
            self.batch, self.labels[:, inside], blanks[:, low : high + 1], scores[:, inside]
        )

    def step(self, frame: int) -> None:
        """Go through a frame; blanks and scores are new arrays then."""
        blanks, scores = self.blanks, self.scores
        heard = self.batch[:, frame].astype(np.float64)
        told = heard.reshape(-1).take(self.places)
        if self.stars[0].size:
            told[self.stars] = heard.max(axis=1)[self.stars[0]]
        self.blanks = blanks.copy()
        np.maximum(blanks[:, 1:], scores, out=self.blanks[:, 1:])
        # What enters a blank enters the label after it as well, if that is another label.
        self.scores = np.maximum(scores, self.blanks[:, :-1])
        label, blank = self.again
        if label.size:
            self.scores.put(label, np.maximum(scores.take(label), blanks.take(blank)))
        self.scores += told
        self.blanks += heard[:, BLANK, None]

    def through(self, start: int, stop: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Go through frames; blanks and scores before each of them and after the last."""
        states = [(self.blanks, self.scores)]
        for frame in range(start, stop):
            self.step(frame)
            states.append((self.blanks, self.scores))
        return states


def _together(lattice: _Lattice, frames: np.ndarray) -> tuple[list[np.ndarray], list[float]]:
    """Of each item the label of each frame, -1 for blank, and the path's score."""
    with np.errstate(invalid="ignore"):  # what stands behind an item's end may be infinite
        states = lattice.through(0, lattice.batch.shape[1])
    positions, scores = [], []
    for item, (length, labels) in enumerate(zip(frames.tolist(), lattice.labels, strict=True)):
        state, score = _best_end(*states[int(length)], item, int(np.count_nonzero(labels)))
        positions.append(_traced(states[:length], labels, item, state)[0])
        scores.append(score)
    return positions, scores


def _alone(lattice: _Lattice, frames: int) -> tuple[np.ndarray, float]:
    """The same of one long item: at once where the text is short enough for its states."""
    if frames * (BARE_FRAME + lattice.labels.shape[1]) > BLOCK_FRAMES**2:
        return _in_blocks(lattice, frames)
    (positions,), (score,) = _together(lattice, np.array([frames]))
    return positions, score


def _in_blocks(lattice: _Lattice, frames: int) -> tuple[np.ndarray, float]:
    """The same: what reached every BLOCK_FRAMES-th frame is kept, and the way back is found block
    by block, among the states from which a block can reach its end."""
    starts = range(0, frames, BLOCK_FRAMES)
    kept = []
    for start in starts:
        kept.append((lattice.blanks, lattice.scores))
        for frame in range(start, min(start + BLOCK_FRAMES, frames)):
            lattice.step(frame)
    state, score = _best_end(lattice.blanks, lattice.scores, 0, lattice.labels.shape[1])
    positions = np.zeros(frames, np.int64)
    for start, (blanks, scores) in zip(reversed(starts), reversed(kept), strict=True):
        stop = min(start + BLOCK_FRAMES, frames)
        low = max(0, state // 2 - (stop - start))
        part = lattice.window(blanks, scores, low, state // 2 + state % 2)
        states = part.through(start, stop)[:-1]
        inside, state = _traced(states, part.labels[0], 0, state - 2 * low)
        positions[start:stop] = np.where(inside < 0, -1, inside + low)
        state += 2 * low
    return positions, score


def _best_end(blanks: np.ndarray, scores: np.ndarray, item: int, labels: int) -> tuple[int, float]:
    """The better of the last blank and the last label, and its score."""
    last_blank = float(blanks[item, labels])
    last_label = float(scores[item, labels - 1]) if labels else -np.inf
    return (2 * labels - 1, last_label) if last_label > last_blank else (2 * labels, last_blank)


def _traced(
    states: Sequence[tuple[np.ndarray, np.ndarray]], labels: np.ndarray, item: int, state: int
) -> tuple[np.ndarray, int]:
    """The label of each frame, -1 for blank, of an item's path that ends in state, and the state
    before the first frame; states: blanks and scores before each frame."""
    positions = np.full(len(states), -1)
    apart = [False, *(labels[1:] != labels[:-1]).tolist()]
    for frame in range(len(states) - 1, -1, -1):
        blanks, scores = states[frame]
        label = state // 2
        blank = blanks[item, label]
        if state % 2:
            positions[frame] = label
            stayed = scores[item, label]
            if apart[label] and scores[item, label - 1] > max(stayed, blank):
                state -= 2
            elif blank > stayed:
                state -= 1
        elif label and scores[item, label - 1] > blank:
            state -= 1
    return positions, state


def _alignment(
    log_probs: np.ndarray, text: np.ndarray, positions: np.ndarray, score: float
) -> Alignment:
    """Typed, with the spans read off."""
    path = np.where(positions < 0, BLANK, text[positions] if text.size else BLANK)
    used = log_probs[: path.size]
    scores = used[np.arange(path.size), path]
    stars = path == STAR
    scores[stars] = used[stars].max(axis=1)
    chances = np.exp(scores)
    starts = np.flatnonzero(np.diff(positions, prepend=-2))
    spans = tuple(
        TokenSpan(int(path[start]), start, end, _mean(chances[start:end]))
        for start, end in pairwise([*starts.tolist(), path.size])
        if positions[start] >= 0
    )
    return Alignment(path, spans, score)
