"""What a search asks of a language model: how likely each next token is, for many beginnings.

A beginning is known by a number, its state, that the scorer gives out; two beginnings may share
one. Token 0 is the end of the text. Scores are natural logarithms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST_EXPONENT = 709.0
"""e to this is about the largest float."""


class TokenScorer(Protocol):
    """Scores the next token; all arrays are over beginnings, states int64 of shape (beginning,)."""

    tokens: int
    """How many tokens there are, token 0 included."""

    def start(self) -> int:
        """The state of the empty text."""
        ...

    def scores(self, states: np.ndarray) -> np.ndarray:
        """float32, shape = (beginning, tokens); column 0 is the score of ending here."""
        ...

    def advance(self, states: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """The states after one more token each; tokens: int64, (beginning,), no 0."""
        ...


class Weighted:
    """Several scorers as one: the sum of their scores, each times its weight; those of weight 0 are
    not asked, as 0 times what is impossible would be no number."""

    def __init__(self, scorers: Sequence[tuple[TokenScorer, float]]) -> None:
        self._scorers = [scorer for scorer, _ in scorers]
        self._weights = [weight for _, weight in scorers]
        self.tokens = self._scorers[0].tokens
        assert all(scorer.tokens == self.tokens for scorer in self._scorers)
        self._numbers: dict[tuple[int, ...], int] = {}
        self._states: list[tuple[int, ...]] = []

    def start(self) -> int:
        """The state of the empty text."""
        return self._number(tuple(scorer.start() for scorer in self._scorers))

    def scores(self, states: np.ndarray) -> np.ndarray:
        """The weighted sum, shape = (beginning, tokens)."""
        each = self._each(states)
        total = np.zeros((len(states), self.tokens), np.float32)
        for scorer, weight, own in zip(self._scorers, self._weights, each, strict=True):
            if weight:
                total += np.float32(weight) * scorer.scores(own)
        return total

    def advance(self, states: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """The states after one more token each."""
        each = self._each(states)
        after = [
            scorer.advance(own, tokens) for scorer, own in zip(self._scorers, each, strict=True)
        ]
        rows = zip(*(own.tolist() for own in after), strict=True)
        return np.fromiter((self._number(row) for row in rows), np.int64, len(states))

    def _number(self, states: tuple[int, ...]) -> int:
        number = self._numbers.setdefault(states, len(self._states))
        if number == len(self._states):
            self._states.append(states)
        return number

    def _each(self, states: np.ndarray) -> list[np.ndarray]:
        rows = np.array([self._states[state] for state in states.tolist()], np.int64)
        rows = rows.reshape(len(states), len(self._scorers))
        return [np.ascontiguousarray(column) for column in rows.T]


@dataclass(frozen=True)
class Perplexity:
    """How well a text was foretold: log_prob is the sum over its tokens, the ends of texts among
    them; unknown: how many of these the model has no name for."""

    log_prob: float
    tokens: int
    unknown: int = 0

    @property
    def value(self) -> float:
        """exp of the mean of -log_prob over the tokens; nan for no text."""
        return self.per(self.tokens)

    def per(self, units: int) -> float:
        """The same for other units, words or characters say: to compare unlike tokens by."""
        mean = -self.log_prob / units if units else math.nan
        return math.inf if mean > LARGEST_EXPONENT else math.exp(mean)


@runtime_checkable
class LanguageModel(Protocol):
    """Tells how likely texts are."""

    def scorer(self) -> TokenScorer:
        """One for a search over this model's tokens, with a memory of its own."""
        ...

    def perplexity(self, texts: Sequence[str]) -> Perplexity:
        """Over all tokens of the texts, each with its end."""
        ...
