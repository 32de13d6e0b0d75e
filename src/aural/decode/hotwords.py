"""Words and phrases that a search is to expect: a TokenScorer that rewards them token by token.

A text gains, for each time a phrase stands in it, the phrase's bonus for each of its tokens; a text
without any gains nothing. While a phrase is being said its bonus is lent, so that a beam does not
drop it on the way, and is taken back where the text goes on otherwise. Phrases are found by the
automaton of Aho and Corasick 1975, laid out as tables.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_CELLS = 1 << 27
"""States times tokens, 12 bytes each."""


class Hotwords:
    """A TokenScorer of phrases over so many tokens; its states are those of the automaton.

    Args:
        phrases: token numbers of each.
        tokens: how many there are, token 0 included.
        bonus: of each token of a phrase, a natural logarithm; one, or one a phrase.
        boundary: the token between words; given, a phrase counts only where it begins and ends at a
            boundary or an end of the text.

    Raises:
        InputError: no phrase, an empty one or one with a token that is none; a bonus that is no
            number; more phrases than MAX_CELLS holds.
    """

    def __init__(
        self,
        phrases: Sequence[Sequence[int]],
        tokens: int,
        *,
        bonus: float | Sequence[float] = 1.0,
        boundary: int | None = None,
    ) -> None:
        self.tokens = tokens
        wanted = [tuple(int(token) for token in phrase) for phrase in phrases]
        _check(wanted, tokens, boundary)
        bonuses = np.asarray(bonus, np.float64)
        if bonuses.shape not in {(), (len(wanted),)} or not np.isfinite(bonuses).all():
            raise InputError(f"bonus is {bonus}; give a number, or one for each of the phrases")
        edge = () if boundary is None else (boundary,)
        trie = _Trie()
        for phrase, value in zip(wanted, np.broadcast_to(bonuses, len(wanted)), strict=True):
            trie.add(edge, phrase, float(value))
        self._after, lent, earned = trie.tables(tokens)
        scores = earned[self._after] + lent[self._after] - lent[:, None]
        scores[:, 0] = -lent
        self._start = 0
        if boundary is not None:
            self._start = int(self._after[0, boundary])
            scores[:, 0] += earned[self._after[:, boundary]]
        self._scores = scores.astype(np.float32)

    def start(self) -> int:
        """The state of the empty text."""
        return self._start

    def scores(self, states: np.ndarray) -> np.ndarray:
        """What each next token brings or takes, float32, shape = (beginning, tokens)."""
        return self._scores[states]

    def advance(self, states: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """The states after one more token each."""
        return self._after[states, tokens].astype(np.int64)


class _Trie:
    """Phrases by their beginnings. lent: what a beginning of a phrase has of its bonus; earned: the
    bonus of the phrases that are complete there."""

    def __init__(self) -> None:
        self._children: list[dict[int, int]] = [{}]
        self._lent, self._earned = [0.0], [0.0]

    def add(self, edge: tuple[int, ...], phrase: tuple[int, ...], bonus: float) -> None:
        """A phrase between edges, which earn nothing."""
        node = 0
        for place, token in enumerate((*edge, *phrase, *edge), start=1 - len(edge)):
            after = self._children[node].setdefault(token, len(self._children))
            if after == len(self._children):
                self._children.append({})
                self._lent.append(-np.inf)
                self._earned.append(0.0)
            node = after
            share = bonus * min(max(place, 0), len(phrase))
            self._lent[node] = max(self._lent[node], share)
        self._earned[node] += bonus * len(phrase)

    def tables(self, tokens: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The state after each token, int32 (state, tokens), and of each state what is lent there
        and what is earned by coming to it."""
        count = len(self._children)
        if count * tokens > MAX_CELLS:
            raise InputError(
                f"the phrases have {count} beginnings, times {tokens} tokens; give fewer: at most "
                f"{MAX_CELLS // tokens}"
            )
        after = np.zeros((count, tokens), np.int32)
        lent, earned = np.array(self._lent), np.array(self._earned)
        fallback = [0] * count
        waiting = deque([0])
        while waiting:
            node = waiting.popleft()
            if node:
                after[node] = after[fallback[node]]
                earned[node] += earned[fallback[node]]
                if not self._children[node]:
                    lent[node] = lent[fallback[node]]
            for token, child in self._children[node].items():
                fallback[child] = int(after[node, token])
                after[node, token] = child
                waiting.append(child)
        return after, lent, earned


def _check(phrases: Sequence[tuple[int, ...]], tokens: int, boundary: int | None) -> None:
    if not phrases or not all(phrases):
        raise InputError("no phrase, or an empty one; give at least one, each of one token or more")
    used = [token for phrase in phrases for token in phrase]
    used += [boundary] if boundary is not None else []
    for token in used:
        if not 0 < token < tokens:
            raise InputError(f"a phrase or the boundary has token {token}; give 1 to {tokens - 1}")
