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
BLOCK_FRAMES = 2048
"""Frames whose back-pointers are held at once: they take at most 2 BLOCK_FRAMES ** 2 bytes."""
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
        found[item] = _alignment(batch[item], texts[item], *_in_blocks(lattice, int(frames[item])))
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
    starts = np.flatnonzero(np.diff(path, prepend=BLANK - 1))
    spans = tuple(
        TokenSpan(int(path[start]), start, end, _mean_probability(scores[start:end]))
        for start, end in pairwise([*starts.tolist(), path.size])
        if path[start] != BLANK
    )
    return GreedyText(tuple(span.token for span in spans), spans, float(scores.sum()))


def _mean_probability(scores: np.ndarray) -> float:
    return min(1.0, float(np.exp(scores).mean()))


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

    batch: (item, frame, tokens); labels and apart: (item, label), apart telling where a label may
    follow the one before at once; places: where labels stand in one frame of all items, laid flat.
    blanks (item, label + 1) and scores (item, label): the best path into each state so far, before
    any frame in the first blank.
    """

    batch: np.ndarray
    labels: np.ndarray
    apart: np.ndarray
    places: np.ndarray
    blanks: np.ndarray
    scores: np.ndarray

    @classmethod
    def of(cls, batch: np.ndarray, texts: Sequence[np.ndarray]) -> _Lattice:
        labels = np.zeros((len(texts), max(text.size for text in texts)), np.int64)
        for row, text in zip(labels, texts, strict=True):
            row[: text.size] = text
        apart = np.zeros(labels.shape, bool)
        apart[:, 1:] = labels[:, 1:] != labels[:, :-1]
        places = np.maximum(labels, 0) + batch.shape[2] * np.arange(len(batch))[:, None]
        blanks = np.full((len(batch), labels.shape[1] + 1), -np.inf)
        blanks[:, 0] = 0
        return cls(batch, labels, apart, places, blanks, np.full(labels.shape, -np.inf))

    def window(self, blanks: np.ndarray, scores: np.ndarray, low: int, high: int) -> _Lattice:
        """The labels low to high (not included), from what reached them."""
        inside = slice(low, high)
        labels, apart, places = (each[:, inside] for each in (self.labels, self.apart, self.places))
        return _Lattice(
            self.batch, labels, apart, places, blanks[:, low : high + 1], scores[:, inside]
        )

    def step(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Go through a frame; where each blank came from the label before it, and where each label
        came from: 0 itself, 1 the blank before, 2 the label before."""
        heard = self.batch[:, frame]
        told = heard.reshape(-1).take(self.places)
        if self.labels.min(initial=0) == STAR:
            told = np.where(self.labels == STAR, heard.max(axis=1, keepdims=True), told)
        before = np.full(self.scores.shape, -np.inf)
        before[:, 1:] = self.scores[:, :-1]
        before[~self.apart] = -np.inf
        from_label = np.zeros(self.blanks.shape, bool)
        from_label[:, 1:] = self.scores > self.blanks[:, 1:]
        blanks = self.blanks.copy()
        np.maximum(blanks[:, 1:], self.scores, out=blanks[:, 1:])
        moves = (self.blanks[:, :-1] > self.scores).astype(np.int8)
        best = np.maximum(self.scores, self.blanks[:, :-1])
        moves[before > best] = 2
        self.scores = np.maximum(best, before) + told
        self.blanks = blanks + heard[:, BLANK, None]
        return from_label, moves


def _together(lattice: _Lattice, frames: np.ndarray) -> tuple[list[np.ndarray], list[float]]:
    """Of each item the label of each frame, -1 for blank, and the path's score."""
    back, ends = [], {}
    sizes = [int(np.count_nonzero(row)) for row in lattice.labels]
    for item in np.flatnonzero(frames == 0).tolist():
        ends[item] = (0, float(lattice.blanks[item, 0]))
    with np.errstate(invalid="ignore"):  # what stands behind an item's end may be infinite
        for frame in range(lattice.batch.shape[1]):
            back.append(lattice.step(frame))
            for item in np.flatnonzero(frames == frame + 1).tolist():
                ends[item] = _best_end(lattice, item, sizes[item])
    moved = [
        [(from_label[item], moves[item]) for from_label, moves in back[: frames[item]]]
        for item in range(len(frames))
    ]
    positions = [_traced(moved[item], ends[item][0])[0] for item in range(len(frames))]
    return positions, [ends[item][1] for item in range(len(frames))]


def _in_blocks(lattice: _Lattice, frames: int) -> tuple[np.ndarray, float]:
    """The same of one long item: what reached every BLOCK_FRAMES-th frame is kept, and the way back
    is found block by block, among the states from which a block can reach its end."""
    starts = range(0, frames, BLOCK_FRAMES)
    kept = []
    for start in starts:
        kept.append((lattice.blanks, lattice.scores))
        for frame in range(start, min(start + BLOCK_FRAMES, frames)):
            lattice.step(frame)
    state, score = _best_end(lattice, 0, lattice.labels.shape[1])
    positions = np.zeros(frames, np.int64)
    for start, (blanks, scores) in zip(reversed(starts), reversed(kept), strict=True):
        stop = min(start + BLOCK_FRAMES, frames)
        low = max(0, state // 2 - (stop - start))
        part = lattice.window(blanks, scores, low, state // 2 + state % 2)
        moves = [part.step(frame) for frame in range(start, stop)]
        moved = [(from_label[0], move[0]) for from_label, move in moves]
        inside, state = _traced(moved, state - 2 * low)
        positions[start:stop] = np.where(inside < 0, -1, inside + low)
        state += 2 * low
    return positions, score


def _best_end(lattice: _Lattice, item: int, labels: int) -> tuple[int, float]:
    """The better of the last blank and the last label, and its score."""
    last_blank = float(lattice.blanks[item, labels])
    last_label = float(lattice.scores[item, labels - 1]) if labels else -np.inf
    return (2 * labels - 1, last_label) if last_label > last_blank else (2 * labels, last_blank)


def _traced(moves: Sequence[tuple[np.ndarray, np.ndarray]], state: int) -> tuple[np.ndarray, int]:
    """The label of each frame, -1 for blank, of the path that ends in state, and the state before
    the first frame."""
    positions = np.full(len(moves), -1)
    for frame in range(len(moves) - 1, -1, -1):
        from_label, label_moves = moves[frame]
        label = state // 2
        if state % 2:
            positions[frame] = label
            state -= int(label_moves[label])
        else:
            state -= int(from_label[label])
    return positions, state


def _alignment(
    log_probs: np.ndarray, text: np.ndarray, positions: np.ndarray, score: float
) -> Alignment:
    """Typed, with the spans read off."""
    path = np.where(positions < 0, BLANK, text[positions] if text.size else BLANK)
    used = log_probs[: path.size]
    scores = np.where(path == STAR, used.max(axis=1), used[np.arange(path.size), path])
    starts = np.flatnonzero(np.diff(positions, prepend=-2))
    spans = tuple(
        TokenSpan(int(path[start]), start, end, _mean_probability(scores[start:end]))
        for start, end in pairwise([*starts.tolist(), path.size])
        if positions[start] >= 0
    )
    return Alignment(path, spans, score)
