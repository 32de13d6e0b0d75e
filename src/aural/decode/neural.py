"""A network's language model for a search: what it said of a beginning is kept."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROWS = 4096


class NeuralScorer:
    """A TokenScorer of a function that gives, for beginnings (their tokens, without a 0 before
    them), the log probabilities of each next token: (beginning, tokens).

    Beginnings are numbered as they come; the last `rows` answers are kept, and what is asked for
    again after that is computed again. All that is new in a step is asked for at once.
    """

    def __init__(
        self,
        log_probs: Callable[[Sequence[tuple[int, ...]]], np.ndarray],
        tokens: int,
        *,
        rows: int = ROWS,
    ) -> None:
        if rows < 1:
            raise InputError(f"rows is {rows}; give 1 or more")
        self.tokens = tokens
        self._log_probs, self._rows = log_probs, rows
        self._numbers: dict[tuple[int, ...], int] = {(): 0}
        self._texts: list[tuple[int, ...]] = [()]
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()

    def start(self) -> int:
        """The state of the empty text."""
        return 0

    def scores(self, states: np.ndarray) -> np.ndarray:
        """float32, shape = (beginning, tokens)."""
        wanted = states.tolist()
        found = {state: self._kept[state] for state in wanted if state in self._kept}
        new = [state for state in dict.fromkeys(wanted) if state not in found]
        if new:
            rows = self._log_probs([self._texts[state] for state in new])
            assert rows.shape == (len(new), self.tokens)
            found.update(zip(new, rows.astype(np.float32), strict=True))
        for state in dict.fromkeys(wanted):
            self._kept[state] = found[state]
            self._kept.move_to_end(state)
        while len(self._kept) > self._rows:
            self._kept.popitem(last=False)
        return np.array([found[state] for state in wanted], np.float32).reshape(-1, self.tokens)

    def advance(self, states: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """The states after one more token each."""
        texts = (
            (*self._texts[state], token)
            for state, token in zip(states.tolist(), tokens.tolist(), strict=True)
        )
        return np.fromiter(map(self._number, texts), np.int64, len(states))

    def _number(self, text: tuple[int, ...]) -> int:
        number = self._numbers.setdefault(text, len(self._texts))
        if number == len(self._texts):
            self._texts.append(text)
        return number
