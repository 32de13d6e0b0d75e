"""Beam search over tokens, for a batch of windows at once, and sampling beside it.

A scorer tells, for every beam of every window, the likeliest next tokens; the search keeps the
beam_size best beginnings of each window and stops a window when beam_size times patience texts
have ended. A beam of one is greedy search. Of the texts that ended, the one with the highest mean
log probability, sum / length ** length_penalty, is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT_SHARE = 0.75
"""Windows that have ended are taken out of the batch when no more than this share still runs:
taking out costs a copy of what the others attend to."""
LOOP_TOKENS = 24
LOOP_CHECKED = 8
"""Steps from one look for a loop to the next."""


@dataclass(frozen=True, eq=False)
class Next:
    """The likeliest next tokens: log_probs float32 and tokens int64, both (window, beam, k)."""

    log_probs: np.ndarray
    tokens: np.ndarray


class Scorer(Protocol):
    """Tells what comes next. windows are those that still run, in order."""

    def step(self, tokens: np.ndarray, parents: np.ndarray, count: int) -> Next:
        """Go on with tokens (window, beam), each after the beam in parents (window, beam)."""
        ...

    def keep(self, windows: np.ndarray) -> None:
        """Go on with these windows only, by their place among those that still ran."""
        ...


@dataclass(frozen=True)
class Path:
    """A text found.

    tokens are without the end; log_prob is the sum of their log probabilities, with the end's where
    it ended; log_probs are each token's own. beams has one more: the beam of the step before that
    each token, and the end, was told by.
    """

    tokens: tuple[int, ...]
    log_prob: float
    log_probs: tuple[float, ...]
    beams: tuple[int, ...]
    ended: bool


@dataclass(frozen=True)
class SearchOptions:
    """end: the token that ends a text; max_tokens: where a text is broken off."""

    end: int
    max_tokens: int
    beam_size: int = 5
    patience: float = 1.0
    length_penalty: float = 1.0

    break_loops: bool = False
    """Whether a greedy text that goes round is broken off: for who will look for another."""
    count: int = 0
    """Tokens to be told apart at each step; 0: as many as beam_size asks for."""

    @property
    def needed(self) -> int:
        """Texts that end a window's search."""
        return max(1, round(self.beam_size * self.patience)) if self.beam_size > 1 else 1

    @property
    def wanted(self) -> int:
        """Tokens a beam to ask the scorer for: one of them may be the end."""
        return self.count or (self.beam_size + 1 if self.beam_size > 1 else 1)


class _Window:
    """The search in one window: what each step chose, and where texts have ended."""

    def __init__(self) -> None:
        self.steps: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.ends: list[_End] = []
        self.done = False

    def loops(self) -> bool:
        """Whether a greedy text goes round: its last LOOP_TOKENS or more are one run of tokens
        three times over."""
        count = len(self.steps)
        if count < LOOP_TOKENS or count % LOOP_CHECKED:
            return False
        tokens = [int(chosen[0]) for chosen, _, _ in self.steps]
        for period in range(1, count // 3 + 1):
            looped = max(LOOP_TOKENS, 3 * period)
            if tokens[-looped:-period] == tokens[-looped + period :]:
                return True
        return False

    def best(self, length_penalty: float) -> Path:
        """The ended text with the highest score."""
        end = max(self.ends, key=lambda end: end.log_prob / max(1, end.length) ** length_penalty)
        beam, tokens, log_probs, beams = end.beam, [], [], [end.beam]
        for chosen, parents, scores in reversed(self.steps[: end.length]):
            tokens.append(int(chosen[beam]))
            log_probs.append(float(scores[beam]))
            beam = int(parents[beam])
            beams.append(beam)
        return Path(
            tuple(reversed(tokens)),
            end.log_prob,
            tuple(reversed(log_probs)),
            tuple(reversed(beams)),
            end.ended,
        )


@dataclass(frozen=True)
class _End:
    """A text of so many tokens, the last of them in beam."""

    log_prob: float
    length: int
    beam: int
    ended: bool


@dataclass(frozen=True, eq=False)
class _Chosen:
    """Of each window the next beams, and the candidates that end a text among the best, as
    (window, beam)."""

    tokens: np.ndarray
    parents: np.ndarray
    log_probs: np.ndarray
    sums: np.ndarray
    is_end: np.ndarray
    end_parents: np.ndarray
    end_sums: np.ndarray

    def of(self, windows: np.ndarray) -> _Chosen:
        """Of these windows only."""
        return _Chosen(*(getattr(self, each.name)[windows] for each in fields(self)))


def beam_search(first: Next, scorer: Scorer, options: SearchOptions) -> list[Path]:
    """The best text of each window. first: what may come first, of one beam a window, at least
    twice beam_size tokens (one for a beam of one)."""
    return _search(first, scorer, options, _likeliest)


def sample(
    first: Next, scorer: Scorer, options: SearchOptions, temperature: float, seed: int = 0
) -> list[Path]:
    """The best of beam_size texts a window, each drawn token by token from the probabilities
    raised to 1 / temperature; first as many tokens as a draw is from. The same seed gives the same
    texts."""
    rng = np.random.default_rng(seed)

    def draw(coming: Next, sums: np.ndarray, options: SearchOptions) -> _Chosen:
        return _drawn(coming, sums, options, temperature, rng)

    return _search(first, scorer, options, draw)


def _search(
    first: Next,
    scorer: Scorer,
    options: SearchOptions,
    choose: Callable[[Next, np.ndarray, SearchOptions], _Chosen],
) -> list[Path]:
    windows = [_Window() for _ in first.tokens]
    running, coming = windows, first
    sums = np.zeros((len(windows), 1))
    for step in range(options.max_tokens):
        chosen = choose(coming, sums, options)
        last = step + 1 == options.max_tokens
        for i, window in enumerate(running):
            if not window.done:
                _record(window, chosen, i, options, last=last)
        going = np.flatnonzero([not window.done for window in running])
        if going.size == 0:
            break
        if going.size <= KEPT_SHARE * len(running):
            scorer.keep(going)
            running, chosen = [running[i] for i in going], chosen.of(going)
        sums = chosen.sums
        coming = scorer.step(chosen.tokens, chosen.parents, options.wanted)
    return [window.best(options.length_penalty) for window in windows]


def _record(
    window: _Window, chosen: _Chosen, i: int, options: SearchOptions, *, last: bool
) -> None:
    length = len(window.steps)
    for beam in np.flatnonzero(chosen.is_end[i]):
        parent = int(chosen.end_parents[i, beam])
        window.ends.append(_End(float(chosen.end_sums[i, beam]), length, parent, ended=True))
    window.steps.append((chosen.tokens[i], chosen.parents[i], chosen.log_probs[i]))
    enough = len(window.ends) >= options.needed
    broken_off = last or (options.break_loops and window.loops())
    window.done = enough or broken_off
    if broken_off and not enough:
        for rank, log_prob in enumerate(chosen.sums[i].tolist()):
            window.ends.append(_End(log_prob, length + 1, rank, ended=False))


def _likeliest(coming: Next, sums: np.ndarray, options: SearchOptions) -> _Chosen:
    """The best candidates over all beams: those that end a text if they are among the first
    beam_size, and the first beam_size of the others."""
    size = options.beam_size
    count = coming.tokens.shape[2]
    flat = (sums[:, :, None] + coming.log_probs).reshape(len(sums), -1)
    order = np.argsort(-flat, axis=1, kind="stable")[:, : 2 * size]
    tokens, log_probs = (
        np.take_along_axis(each.reshape(len(sums), -1), order, axis=1)
        for each in (coming.tokens, coming.log_probs)
    )
    totals, parents = np.take_along_axis(flat, order, axis=1), order // count
    is_end = tokens == options.end
    going = np.argsort(is_end, axis=1, kind="stable")[:, :size]
    next_ones = (
        np.take_along_axis(each, going, axis=1) for each in (tokens, parents, log_probs, totals)
    )
    ends = (each[:, :size] for each in (is_end, parents, totals))
    return _Chosen(*next_ones, *ends)


def _drawn(
    coming: Next,
    sums: np.ndarray,
    options: SearchOptions,
    temperature: float,
    rng: np.random.Generator,
) -> _Chosen:
    """One draw a beam (the largest of log probabilities with Gumbel noise is one); a beam that has
    ended goes on for nothing, its sum no more than -inf."""
    size = options.beam_size
    parents = np.broadcast_to(np.arange(size) % coming.tokens.shape[1], (len(sums), size))
    scores = np.take_along_axis(coming.log_probs, parents[:, :, None], axis=1)
    tokens = np.take_along_axis(coming.tokens, parents[:, :, None], axis=1)
    noise = rng.gumbel(size=scores.shape)
    drawn = np.argmax(scores / temperature + noise, axis=2)[:, :, None]
    tokens, log_probs = (
        np.take_along_axis(each, drawn, axis=2)[:, :, 0] for each in (tokens, scores)
    )
    totals = np.take_along_axis(sums, parents, axis=1) + log_probs
    is_end = (tokens == options.end) & np.isfinite(totals)
    going = np.where(is_end, -np.inf, totals)
    return _Chosen(tokens, parents, log_probs, going, is_end, parents, totals)
