"""A second opinion on the texts that a search found: their scores with a language model's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np

from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aural.decode.language import TokenScorer


class Scored(Protocol):
    """A text as tokens, without its end, and the log probability the search gave it."""

    @property
    def tokens(self) -> tuple[int, ...]:
        """Token numbers."""
        ...

    @property
    def log_prob(self) -> float:
        """Natural logarithm."""
        ...


Candidate = TypeVar("Candidate", bound=Scored)


@dataclass(frozen=True)
class Rescored(Generic[Candidate]):
    """A candidate, the score it is ranked by, and the language model's part before weighting."""

    candidate: Candidate
    score: float
    language: float


def rescore(
    nbest: Sequence[Candidate], scorer: TokenScorer, weight: float, bonus: float = 0.0
) -> list[Rescored[Candidate]]:
    """The candidates of one utterance, best first, equals in their order.

    The score is log_prob + weight * the language model's, end included, + bonus * tokens.
    """
    if not (math.isfinite(weight) and math.isfinite(bonus)):
        raise InputError(f"weight is {weight} and bonus {bonus}; give numbers")
    language = text_log_probs([each.tokens for each in nbest], scorer)
    made = [
        Rescored(each, each.log_prob + weight * own + bonus * len(each.tokens), own)
        for each, own in zip(nbest, language.tolist(), strict=True)
    ]
    return sorted(made, key=lambda each: -each.score)


def text_log_probs(texts: Sequence[Sequence[int]], scorer: TokenScorer) -> np.ndarray:
    """The log probability of each text with its end: float64 (text,)."""
    lengths = np.array([len(text) for text in texts], np.int64)
    total = np.zeros(len(texts))
    states = np.full(len(texts), scorer.start(), np.int64)
    for place in range(int(lengths.max(initial=-1)) + 1):
        going = np.flatnonzero(lengths >= place)
        tokens = np.array([(*texts[i], 0)[place] for i in going.tolist()], np.int64)
        scores = scorer.scores(states[going])
        total[going] += scores[np.arange(len(going)), tokens]
        on = tokens != 0
        states[going[on]] = scorer.advance(states[going[on]], tokens[on])
    return total
