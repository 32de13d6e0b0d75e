"""CTC's likeliest path read as it comes: `decode.ctc.greedy` fed in pieces."""

from __future__ import annotations

import numpy as np

from aural.decode.ctc import BLANK, TokenSpan, checked


class GreedyStream:
    """Tokens as frames are pushed; what is written stays, but for where its last token ends."""

    def __init__(self) -> None:
        self._spans: list[TokenSpan] = []
        self._scores: list[float] = []
        self._last = BLANK
        self.heard = 0

    def push(self, log_probs: np.ndarray) -> None:
        """Go on with log probabilities (frame, tokens); InputError for what is none."""
        (rows,), _ = checked(log_probs, None)
        for row in rows:
            token = int(row.argmax())
            if token not in (BLANK, self._last):
                self._scores = []
                self._spans.append(TokenSpan(token, self.heard, self.heard, 0.0))
            if token != BLANK:
                self._scores.append(float(np.exp(np.float64(row[token]))))
                mean = sum(self._scores) / len(self._scores)
                start = self._spans[-1].start
                self._spans[-1] = TokenSpan(token, start, self.heard + 1, mean)
            self._last = token
            self.heard += 1

    def spans(self) -> tuple[TokenSpan, ...]:
        """The tokens so far and their frames."""
        return tuple(self._spans)

    def settled(self) -> int:
        """How many tokens at the beginning no later frame can change: all."""
        return len(self._spans)
