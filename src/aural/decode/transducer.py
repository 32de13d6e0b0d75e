"""Search in what a transducer says (Graves 2012, arXiv:1211.3711), frame after frame.

At a frame the blank (token 0) goes on to the next frame, any other token is written and the frame
asked again, at most max_symbols times. Both searches are streams: frames are pushed in any number,
and what is best so far can be asked for at any time; a recording is a stream fed at once.

The beam is synchronous in time: all beginnings have heard the same frames when they are compared.
Those with equal tokens are one, its probability the sum over all ways that led to it (prefix
search); with a wide enough beam that is the probability of the text itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from aural.errors import InputError

if TYPE_CHECKING:
    from aural.decode.language import TokenScorer

BLANK = 0
FORGET_FRAMES = 256
"""Frames after which what no beginning in the beam goes back to is forgotten."""


class Joiner(Protocol):
    """A prediction network and a joiner, for many beginnings at once.

    A beginning is known by a number, its state, that the joiner gives out; states are int64,
    shape = (beginning,).
    """

    def start(self) -> int:
        """The state of the empty text."""
        ...

    def predict(self, states: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """The states after one more token each; tokens: int64, (beginning,), no blank."""
        ...

    def join(self, frame: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Log probabilities at a frame (width,): float32, shape = (beginning, tokens)."""
        ...

    def keep(self, states: np.ndarray) -> None:
        """Forget all states but these: no other is asked for again."""
        ...


@dataclass(frozen=True)
class TransducerOptions:
    """beam_size 1 is greedy search. max_symbols: tokens that one frame can write.

    language_weight: what the language model's log probability is multiplied by where there is one
    (shallow fusion, Gulcehre et al. 2015); token_bonus is added for each token, against the short
    texts that a language model prefers.
    """

    beam_size: int = 4
    max_symbols: int = 5
    language_weight: float = 0.3
    token_bonus: float = 0.0

    def __post_init__(self) -> None:
        for name, most in (("beam_size", 256), ("max_symbols", 100)):
            if not 1 <= getattr(self, name) <= most:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 to {most}")
        if not 0 <= self.language_weight <= 10:
            raise InputError(f"language_weight is {self.language_weight}; give 0 to 10")
        if not -10 <= self.token_bonus <= 10:
            raise InputError(f"token_bonus is {self.token_bonus}; give -10 to 10")


@dataclass(frozen=True)
class Written:
    """A text found: tokens, the frame each was written at, and its log probability there.

    log_prob is that of the text, summed over the ways that were followed, without the language
    model; score is what the search ranks by.
    """

    tokens: tuple[int, ...] = ()
    frames: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()
    log_prob: float = 0.0
    score: float = 0.0


class Search(Protocol):
    """Frames in, the best text so far out."""

    heard: int
    """Frames pushed."""

    def push(self, frames: np.ndarray) -> None:
        """Go on with frames of (frame, width)."""
        ...

    def best(self, *, ended: bool = False) -> Written:
        """The best text so far; ended: as one that nothing follows."""
        ...

    def settled(self) -> int:
        """Of the best text's tokens, how many at its beginning no later frame can change."""
        ...


def search(
    joiner: Joiner, options: TransducerOptions, language: TokenScorer | None = None
) -> Search:
    """A search to be fed; greedy for a beam of one without a language model."""
    if options.beam_size == 1 and language is None:
        return GreedySearch(joiner, options.max_symbols)
    return BeamSearch(joiner, options, language)


def decode(
    frames: np.ndarray,
    joiner: Joiner,
    options: TransducerOptions = TransducerOptions(),
    language: TokenScorer | None = None,
) -> Written:
    """The best text of frames (frame, width); no frame gives an empty text."""
    running = search(joiner, options, language)
    running.push(frames)
    return running.best(ended=True)


class GreedySearch:
    """The likeliest token at each step; what is written stays."""

    def __init__(self, joiner: Joiner, max_symbols: int = 5) -> None:
        self._joiner, self._max_symbols = joiner, max_symbols
        self._state = np.array([joiner.start()], np.int64)
        self._tokens: list[int] = []
        self._frames: list[int] = []
        self._log_probs: list[float] = []
        self._log_prob = 0.0
        self.heard = 0

    def push(self, frames: np.ndarray) -> None:
        """Go on with frames of (frame, width)."""
        for frame in check_frames(frames):
            self._step(frame)
            self.heard += 1
            if self.heard % FORGET_FRAMES == 0:
                self._joiner.keep(self._state)

    def best(self, *, ended: bool = False) -> Written:
        """What is written so far; log_prob is that of this one way."""
        del ended  # what is written does not depend on it
        return Written(
            tuple(self._tokens),
            tuple(self._frames),
            tuple(self._log_probs),
            self._log_prob,
            self._log_prob,
        )

    def settled(self) -> int:
        """All."""
        return len(self._tokens)

    def _step(self, frame: np.ndarray) -> None:
        for written in range(self._max_symbols + 1):
            scores = self._joiner.join(frame, self._state)[0]
            full = written == self._max_symbols
            token = BLANK if full else int(np.argmax(scores))
            self._log_prob += float(scores[token])
            if token == BLANK:
                return
            self._tokens.append(token)
            self._frames.append(self.heard)
            self._log_probs.append(float(scores[token]))
            self._state = self._joiner.predict(self._state, np.array([token], np.int64))


@dataclass(eq=False)
class _Prefix:
    """A beginning, as the place in the tree of all of them; states of joiner and language model."""

    parent: _Prefix | None
    token: int
    length: int
    state: int
    language_state: int
    language_sum: float
    after: dict[int, _Prefix] = field(default_factory=dict)

    def tokens(self) -> tuple[int, ...]:
        """From the first on."""
        found, here = [], self
        while here.parent is not None:
            found.append(here.token)
            here = here.parent
        return tuple(reversed(found))


@dataclass(eq=False)
class _Way:
    """How a beginning was come by: the sum over all ways, and when the likeliest wrote what, as a
    chain (frame, log probability, what was before)."""

    log_prob: float
    likeliest: float
    times: tuple | None


class BeamSearch:
    """The beam_size likeliest beginnings at each frame."""

    def __init__(
        self, joiner: Joiner, options: TransducerOptions, language: TokenScorer | None = None
    ) -> None:
        self._joiner, self._options = joiner, options
        # 0 times what is impossible would be no number.
        self._language = language if options.language_weight else None
        start = self._language.start() if self._language else 0
        root = _Prefix(None, BLANK, 0, joiner.start(), start, 0.0)
        self._beams: dict[_Prefix, _Way] = {root: _Way(0.0, 0.0, None)}
        self.heard = 0

    def push(self, frames: np.ndarray) -> None:
        """Go on with frames of (frame, width)."""
        for frame in check_frames(frames):
            self._step(frame)
            self.heard += 1
            if self.heard % FORGET_FRAMES == 0:
                self._forget()

    def best(self, *, ended: bool = False) -> Written:
        """The beginning with the highest score; ended counts the language model's end of text."""
        scores = {prefix: self._score(prefix, way) for prefix, way in self._beams.items()}
        if ended and self._language:
            states = np.array([prefix.language_state for prefix in scores], np.int64)
            ends = self._language.scores(states)[:, 0].tolist()
            for prefix, end in zip(scores, ends, strict=True):
                scores[prefix] += self._options.language_weight * end
        prefix = max(scores, key=lambda each: scores[each])
        way = self._beams[prefix]
        frames, log_probs, times = [], [], way.times
        while times is not None:
            frames.append(times[0])
            log_probs.append(times[1])
            times = times[2]
        return Written(
            prefix.tokens(),
            tuple(reversed(frames)),
            tuple(reversed(log_probs)),
            way.log_prob,
            scores[prefix],
        )

    def settled(self) -> int:
        """How many tokens all beginnings in the beam share."""
        shared = set(self._beams)
        while len(shared) > 1:
            longest = max(shared, key=lambda prefix: prefix.length)
            shared.remove(longest)
            if longest.parent is not None:
                shared.add(longest.parent)
        return shared.pop().length

    def _forget(self) -> None:
        """Leave out of the tree what leads to no beginning in the beam. What all of these share is
        never extended again but at its end, so its states go too."""
        live: set[_Prefix] = set()
        for prefix in self._beams:
            here: _Prefix | None = prefix
            while here is not None and here not in live:
                live.add(here)
                here = here.parent
        for prefix in live:
            prefix.after = {token: after for token, after in prefix.after.items() if after in live}
        shared = self.settled()
        states = [prefix.state for prefix in live if prefix.length >= shared]
        self._joiner.keep(np.array(states, np.int64))

    def _score(self, prefix: _Prefix, way: _Way) -> float:
        options = self._options
        language = options.language_weight * prefix.language_sum if self._language else 0.0
        return way.log_prob + language + options.token_bonus * prefix.length

    def _step(self, frame: np.ndarray) -> None:
        """One frame: level after level of tokens written, each closed by a blank."""
        closed: dict[_Prefix, _Way] = {}
        asked = self._beams
        for written in range(self._options.max_symbols + 1):
            states = np.array([prefix.state for prefix in asked], np.int64)
            log_probs = self._joiner.join(frame, states).astype(np.float64)
            for (prefix, way), blank in zip(asked.items(), log_probs[:, BLANK], strict=True):
                _merge(closed, prefix, way, float(blank))
            if written == self._options.max_symbols:
                break
            asked = self._extended(asked, log_probs, self._last_kept(closed))
            if not asked:
                break
        self._beams = self._likeliest(closed)

    def _last_kept(self, closed: dict[_Prefix, _Way]) -> float:
        """The score below which a beginning can no longer come into the beam."""
        if len(closed) < self._options.beam_size:
            return -math.inf
        scores = sorted((self._score(*each) for each in closed.items()), reverse=True)
        return scores[self._options.beam_size - 1]

    def _likeliest(self, closed: dict[_Prefix, _Way]) -> dict[_Prefix, _Way]:
        order = sorted(closed.items(), key=lambda each: -self._score(*each))
        return dict(order[: self._options.beam_size])

    def _extended(
        self, asked: dict[_Prefix, _Way], log_probs: np.ndarray, least: float
    ) -> dict[_Prefix, _Way]:
        """The best of asked with one more token each, those above least only."""
        prefixes, ways = list(asked), list(asked.values())
        options = self._options
        totals = log_probs + np.array([self._score(*each) for each in asked.items()])[:, None]
        totals += options.token_bonus
        language = np.zeros_like(log_probs)
        if self._language:
            states = np.array([prefix.language_state for prefix in prefixes], np.int64)
            language = self._language.scores(states).astype(np.float64)
            totals += options.language_weight * language
        totals[:, BLANK] = -np.inf
        order = np.argsort(-totals, axis=None, kind="stable")[: options.beam_size]
        order = order[totals.ravel()[order] > least]
        rows, tokens = np.divmod(order, log_probs.shape[1])
        self._make([prefixes[row] for row in rows], tokens, language[rows, tokens])
        found = {}
        for row, token in zip(rows.tolist(), tokens.tolist(), strict=True):
            own, before = float(log_probs[row, token]), ways[row]
            found[prefixes[row].after[token]] = _Way(
                before.log_prob + own, before.likeliest + own, (self.heard, own, before.times)
            )
        return found

    def _make(self, parents: list[_Prefix], tokens: np.ndarray, language: np.ndarray) -> None:
        """The beginnings after the parents that are not in the tree yet."""
        new = [i for i, parent in enumerate(parents) if int(tokens[i]) not in parent.after]
        if not new:
            return
        chosen = tokens[new]
        states = self._joiner.predict(
            np.array([parents[i].state for i in new], np.int64), chosen
        ).tolist()
        heard = [0] * len(new)
        if self._language:
            before = np.array([parents[i].language_state for i in new], np.int64)
            heard = self._language.advance(before, chosen).tolist()
        for place, i in enumerate(new):
            parent, token = parents[i], int(tokens[i])
            total = parent.language_sum + float(language[i])
            parent.after[token] = _Prefix(
                parent, token, parent.length + 1, states[place], heard[place], total
            )


def _merge(closed: dict[_Prefix, _Way], prefix: _Prefix, way: _Way, blank: float) -> None:
    log_prob, likeliest = way.log_prob + blank, way.likeliest + blank
    known = closed.get(prefix)
    if known is None:
        closed[prefix] = _Way(log_prob, likeliest, way.times)
        return
    known.log_prob = float(np.logaddexp(known.log_prob, log_prob))
    if likeliest > known.likeliest:
        known.likeliest, known.times = likeliest, way.times


def check_frames(frames: np.ndarray) -> np.ndarray:
    """The frames; InputError where they are not finite floats of (frame, width)."""
    if frames.ndim != 2 or frames.dtype.kind != "f" or not np.isfinite(frames).all():
        raise InputError(
            f"frames are {frames.dtype} of shape {frames.shape}; give finite floats, (frame, width)"
        )
    return frames
