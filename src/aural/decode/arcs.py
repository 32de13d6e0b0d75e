"""Arcs from node to node by symbol, sorted so that many are found at once: the form of n-gram
models and of lexicons alike."""

from __future__ import annotations

import numpy as np

NONE = -1


class Arcs:
    """keys: int64, sorted, unique, (arc,): node * width + symbol; targets: int64, (arc,).

    nodes: how many there are; symbols are 0 to width - 1.
    """

    def __init__(self, keys: np.ndarray, targets: np.ndarray, nodes: int, width: int) -> None:
        assert len(keys) == len(targets)
        self.keys, self.targets, self.width = keys, targets, width
        counts = np.bincount(keys // width, minlength=nodes) if len(keys) else np.zeros(nodes, int)
        self.counts = counts.astype(np.int64)
        """Arcs that leave each node."""
        self._first = np.cumsum(self.counts) - self.counts

    def find(self, nodes: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        """Where each node's arc by its symbol leads, NONE where there is no such arc; node NONE has
        none."""
        wanted = nodes * self.width + symbols
        place = np.searchsorted(self.keys, wanted)
        if len(self.keys) == 0:
            return np.full(place.shape, NONE, np.int64)
        place = np.minimum(place, len(self.keys) - 1)
        return np.where(self.keys[place] == wanted, self.targets[place], NONE)

    def leaving(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All arcs of these nodes: (index into nodes, symbol, target), each (arc,)."""
        counts = self.counts[nodes]
        rows = np.repeat(np.arange(len(nodes)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        arcs = self._first[nodes][rows] + within
        return rows, self.keys[arcs] % self.width, self.targets[arcs]


def tree(keys: np.ndarray, width: int) -> Arcs:
    """Arcs of a tree whose node i + 1 is where keys[i] leads: the nearer the root the smaller."""
    return Arcs(keys, np.arange(1, len(keys) + 1), len(keys) + 1, width)
