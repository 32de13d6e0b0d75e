"""When each token is said: attention over time followed by dynamic time warping.

As in the reference code of Radford et al. 2022 (whisper/timing.py): shares of attention are
standardised over the tokens, smoothed by a median over seven moments, averaged over the heads, and
the path through them that never goes back and sums to the most is taken.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter

MEDIAN_WIDTH = 7


def token_starts(scores: np.ndarray, first: int) -> np.ndarray:
    """The moment at which each token begins, int (token - first,), falling for none.

    scores float (head, token, moment) are before softmax; the tokens before first only take part
    in standardising.
    """
    shares = np.exp(scores - scores.max(axis=2, keepdims=True), dtype=np.float32)
    shares /= shares.sum(axis=2, keepdims=True)
    shares -= shares.mean(axis=1, keepdims=True)
    shares /= np.maximum(np.sqrt(np.square(shares).mean(axis=1, keepdims=True)), 1e-8)
    return warped(-_smooth(shares[:, first:]).mean(axis=0))


def _smooth(shares: np.ndarray) -> np.ndarray:
    """The median over MEDIAN_WIDTH moments around each, mirrored at the ends; as it is where there
    are too few to mirror. One long row is filtered: the margins keep its parts from one another."""
    margin = MEDIAN_WIDTH // 2
    if shares.shape[2] <= margin:
        return shares
    padded = np.pad(shares, ((0, 0), (0, 0), (margin, margin)), mode="reflect")
    smooth = median_filter(padded.reshape(-1), MEDIAN_WIDTH).reshape(padded.shape)
    return smooth[:, :, margin:-margin]


def warped(cost: np.ndarray) -> np.ndarray:
    """The first column of each row on the cheapest path through cost (row, column) from corner to
    corner, by steps to the right, down, or both.

    Within a row, going right adds up costs: what is reached best from above at column k costs at
    column j its own sum plus that of the row between; so a running minimum tells the best k.
    """
    rows, columns = cost.shape
    sums = np.cumsum(cost, axis=1, dtype=np.float64)
    entries = np.zeros((rows, columns), np.int64)  # the best column to enter a row at
    slanted = np.zeros((rows, columns), bool)  # whether a row is entered there from the left above
    above = np.full(columns, np.inf)
    for row in range(rows):
        before = np.concatenate(([0.0], sums[row, :-1]))
        diagonal = np.concatenate(([0.0 if row == 0 else np.inf], above[:-1]))
        slanted[row] = diagonal < above
        reached = np.minimum(diagonal, above) - before
        best = np.minimum.accumulate(reached)
        entries[row] = np.maximum.accumulate(np.where(reached <= best, np.arange(columns), 0))
        above = best + sums[row]
    return _traced(entries, slanted)


def _traced(entries: np.ndarray, slanted: np.ndarray) -> np.ndarray:
    """Back from the last corner: the column at which each row was entered."""
    starts = np.zeros(len(entries), np.int64)
    column = entries.shape[1] - 1
    for row in range(len(entries) - 1, -1, -1):
        starts[row] = entries[row, column]
        column = int(starts[row]) - int(slanted[row, starts[row]])
    return starts
