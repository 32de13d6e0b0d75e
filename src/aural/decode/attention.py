"""Beam search for attention decoders: how long a text may be, when it may end, and what a language
model says of it.

A decoder that attends writes on past the sound, or ends too soon, so besides the score divided by
its length there are two bounds: no more than max_ratio tokens a state of the encoder, and an end
only where it is not much less likely than going on (Hannun et al. 2019, "Sequence-to-Sequence
Speech Recognition with Time-Depth Separable Convolutions"). Language models are added to each step
(shallow fusion, Gulcehre et al. 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from aural.decode.beam import Next, SearchOptions, beam_search
from aural.errors import InputError

if TYPE_CHECKING:
    from aural.decode.beam import Path
    from aural.decode.language import TokenScorer

END = 0
_NO_END = 1
"""Stands where there is nothing more to tell, at no probability: any token but the end."""


class Teller(Protocol):
    """A decoder as the search asks it: a row is one beginning of one window."""

    def first(self) -> np.ndarray:
        """Log probabilities float32 (window, tokens) of the first token."""
        ...

    def step(self, tokens: np.ndarray, rows: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """Log probabilities float32 (row, tokens) after one more token (row,), each after a row of
        the step before (row,), of a window counted from the first (row,)."""
        ...


@dataclass(frozen=True)
class AttentionOptions:
    """How a text is looked for.

    length_penalty: exponent of the length that a score is divided by. max_ratio: most tokens a
    state of the encoder. end_threshold: an end counts only where its log probability is above this
    many times that of the likeliest other token (the paper's is 1.5); None: always. token_bonus is
    added for each token but the end. language_model_weight: what the language model's scores are
    multiplied by.
    """

    beam_size: int = 5
    patience: float = 1.0
    length_penalty: float = 1.0
    max_ratio: float = 1.0
    end_threshold: float | None = None
    token_bonus: float = 0.0
    language_model_weight: float = 0.3

    def __post_init__(self) -> None:
        if not 1 <= self.beam_size <= 1024:
            raise InputError(f"beam_size is {self.beam_size}; give 1 to 1024")
        if not 1 / self.beam_size <= self.patience <= 10:
            raise InputError(f"patience is {self.patience}; give 1 / beam_size to 10")
        if not -10 <= self.length_penalty <= 10:
            raise InputError(f"length_penalty is {self.length_penalty}; give -10 to 10")
        if not 0 < self.max_ratio <= 100:
            raise InputError(f"max_ratio is {self.max_ratio}; give more than 0, to 100")
        if self.end_threshold is not None and not self.end_threshold > 0:
            raise InputError(f"end_threshold is {self.end_threshold}; give more than 0, or None")
        if not np.isfinite((self.token_bonus, self.language_model_weight)).all():
            raise InputError("token_bonus and language_model_weight are to be finite numbers")


@dataclass(frozen=True)
class DecodingOptions(AttentionOptions):
    """How text is looked for, by the names of aural.transcribe.

    language: a code that the recogniser has to be of. language_model: a file in ARPA format, of
    words or of the recogniser's own tokens; word_bonus is added for each word where it is one of
    words.
    """

    language: str | None = None
    language_model: str = ""
    word_bonus: float = 0.0
    word_timestamps: bool = True


def attention_search(
    teller: Teller,
    states: np.ndarray,
    options: AttentionOptions,
    language: TokenScorer | None = None,
) -> list[Path]:
    """The best text of each window; states: how many the encoder made of each, int (window,).

    A path's log probabilities are of decoder, language model and bonus together. A text that comes
    to its limit ends there, with the probability that it has of ending. Raises InputError for a
    language model of other tokens.
    """
    limits = np.maximum(1, np.floor(np.asarray(states) * options.max_ratio)).astype(np.int64)
    if not limits.size:
        return []
    scorer = _Fused(teller, limits, options, language)
    search = SearchOptions(
        end=END,
        max_tokens=int(limits.max()) + 1,
        beam_size=options.beam_size,
        patience=options.patience,
        length_penalty=options.length_penalty,
    )
    return beam_search(scorer.first(), scorer, search)


class _Fused:
    """A Scorer: what the teller and the language model say, within the bounds."""

    def __init__(
        self,
        teller: Teller,
        limits: np.ndarray,
        options: AttentionOptions,
        language: TokenScorer | None,
    ) -> None:
        self.teller, self.limits, self.options = teller, limits, options
        # 0 times what is impossible would be no number.
        self.language = language if options.language_model_weight else None
        self.windows = np.arange(limits.size)
        self.kept = self.windows
        self.beams = 1
        self.said = 0
        start = self.language.start() if self.language else 0
        self.states = np.full(limits.size, start, np.int64)

    def first(self) -> Next:
        """What may come first, of one beam a window."""
        told = self.teller.first()
        if self.language and self.language.tokens != told.shape[1]:
            raise InputError(
                f"the language model has {self.language.tokens} tokens and the recogniser "
                f"{told.shape[1]}; give one of the same tokenizer"
            )
        return self._next(told, self.windows, 2 * self.options.beam_size)

    def step(self, tokens: np.ndarray, parents: np.ndarray, count: int) -> Next:
        """As Scorer."""
        rows = (self.kept[:, None] * self.beams + parents).ravel()
        chosen = tokens.ravel()
        windows = np.repeat(self.windows, tokens.shape[1])
        dead = np.isneginf(self.told[rows, chosen])
        if self.language:
            self.states = self.language.advance(self.states[rows], chosen)
        self.beams, self.said = tokens.shape[1], self.said + 1
        self.kept = np.arange(len(tokens))
        told = self.teller.step(chosen, rows, windows)
        return self._next(np.where(dead[:, None], -np.inf, told), windows, count)

    def keep(self, windows: np.ndarray) -> None:
        """As Scorer."""
        self.kept, self.windows = self.kept[windows], self.windows[windows]

    def _next(self, told: np.ndarray, windows: np.ndarray, count: int) -> Next:
        """The likeliest count tokens of each row; where there are fewer, others at no
        probability."""
        scores: np.ndarray = told + np.float32(self.options.token_bonus)
        scores[:, END] = told[:, END]
        if self.options.end_threshold is not None:
            others = told.copy()
            others[:, END] = -np.inf
            unlikely = told[:, END] <= self.options.end_threshold * others.max(axis=1)
            scores[unlikely, END] = -np.inf
        full = self.limits[windows] <= self.said
        scores[full, END] = told[full, END]
        scores[full, END + 1 :] = -np.inf
        if self.language:
            weight = np.float32(self.options.language_model_weight)
            scores = scores + weight * self.language.scores(self.states)
        self.told: np.ndarray = scores
        if count > scores.shape[1]:
            missing = ((0, 0), (0, count - scores.shape[1]))
            scores = np.pad(scores, missing, constant_values=-np.inf)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        log_probs = np.take_along_axis(scores, order, axis=1)
        tokens = np.where(np.isneginf(log_probs), _NO_END, order)
        shape = (-1, self.beams, count)
        return Next(log_probs.reshape(shape), tokens.reshape(shape))
