"""States shared by phones in alike contexts, found by decision trees.

Each state of each phone has a tree; a question is whether the phone to the left, or to the right,
is one of a set. What splits best by the likelihood of single Gaussians is split, until that gains
too little, a part has too few frames, or there are states enough (Young, Odell & Woodland 1994).
Without questions by hand, sets are those that phones fall into when the likest are merged one
after the other. A model without context is a tree of one leaf for each.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEAF = -1


@dataclass(frozen=True, eq=False)
class Trees:
    """Which state a phone's state is, by its neighbours.

    roots: int, (phone, state of the phone), a row of nodes. nodes: int, (node, 4): side (0 left, 1
    right; LEAF for a leaf), question, node if so, node if not; of a leaf its state in the second
    column. questions: bool, (question, phone).
    """

    phones: tuple[str, ...]
    roots: np.ndarray
    nodes: np.ndarray
    questions: np.ndarray

    def __post_init__(self) -> None:
        if len(set(self.phones)) < len(self.phones) or self.roots.shape[:1] != (len(self.phones),):
            raise InputError("trees whose phones repeat or lack a root")
        count, leaf = len(self.nodes), self.nodes[:, 0] == LEAF
        inner = self.nodes[~leaf]
        if self.roots.size and not 0 <= self.roots.min() <= self.roots.max() < count:
            raise InputError("a root is no node")
        later = np.flatnonzero(~leaf)[:, None]
        if not ((inner[:, 2:] > later).all() and (inner[:, 2:] < count).all()):
            raise InputError("a node does not lead to later ones")
        if not (
            ((inner[:, 1] >= 0) & (inner[:, 1] < len(self.questions))).all()
            and np.isin(inner[:, 0], (0, 1)).all()
        ):
            raise InputError("a node asks a question that is not there")
        if self.questions.shape[1:] != (len(self.phones),):
            raise InputError("questions are about other phones")
        leaves = np.sort(self.nodes[leaf, 1])
        if not np.array_equal(leaves, np.arange(len(leaves))):
            raise InputError("leaves are not the states, each once")
        object.__setattr__(self, "_numbers", {name: i for i, name in enumerate(self.phones)})

    @property
    def states(self) -> int:
        """How many states there are in all."""
        return int((self.nodes[:, 0] == LEAF).sum())

    def number(self, phone: str) -> int:
        """The phone's place; InputError for one that is not there."""
        numbers: dict[str, int] = self._numbers  # type: ignore[attr-defined]
        if phone not in numbers:
            raise InputError(f"the model has no phone {phone!r}; it has: {', '.join(self.phones)}")
        return numbers[phone]

    def find(self, phone: str, left: str, right: str) -> tuple[int, ...]:
        """The states of a phone between two others."""
        sides = self.number(left), self.number(right)
        found = []
        for root in self.roots[self.number(phone)]:
            side, question, yes, no = self.nodes[root].tolist()
            while side != LEAF:
                node = yes if self.questions[question, sides[side]] else no
                side, question, yes, no = self.nodes[node].tolist()
            found.append(question)
        return tuple(found)


def monophones(phones: Sequence[str], states: int = 3) -> Trees:
    """No context: each phone has states of its own."""
    count = len(phones) * states
    nodes = np.full((count, 4), LEAF)
    nodes[:, 1] = np.arange(count)
    roots = np.arange(count).reshape(len(phones), states)
    return Trees(tuple(phones), roots, nodes, np.zeros((0, len(phones)), bool))


@dataclass(frozen=True, eq=False)
class Statistics:
    """Of each context seen: keys int (context, 4) of phone, left, right and state of the phone;
    counts (context,) of frames; sums and squares (context, dimension)."""

    keys: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    squares: np.ndarray


def gather(keys: np.ndarray, features: np.ndarray) -> Statistics:
    """Statistics of frames, each with its key: (frame, 4) and (frame, dimension)."""
    found, inverse = np.unique(keys, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    order = np.argsort(inverse, kind="stable")
    starts = np.searchsorted(inverse[order], np.arange(len(found)))
    frames = features[order].astype(np.float64)
    counts = np.bincount(inverse, minlength=len(found))
    sums = np.add.reduceat(frames, starts, axis=0)
    return Statistics(found, counts, sums, np.add.reduceat(frames**2, starts, axis=0))


def log_likelihood(
    counts: np.ndarray, sums: np.ndarray, squares: np.ndarray, floor: np.ndarray
) -> np.ndarray:
    """Of frames under the Gaussian that fits them best, without what all have alike: -count / 2 *
    sum(log variance). counts (...,), sums and squares (..., dimension); 0 frames have 0."""
    divisor = np.maximum(counts, 1)[..., None]
    variances = np.maximum(squares / divisor - (sums / divisor) ** 2, floor)
    return -0.5 * counts * np.log(variances).sum(axis=-1)


def clustered(statistics: Statistics, phones: int, floor: np.ndarray) -> np.ndarray:
    """Questions from data, bool (question, phone): every set that comes up when the two sets whose
    union loses the least likelihood are merged until all are one, and each phone by itself."""
    dimension = statistics.sums.shape[1]
    counts, sums = np.zeros(phones), np.zeros((phones, dimension))
    squares = np.zeros_like(sums)
    np.add.at(counts, statistics.keys[:, 0], statistics.counts)
    np.add.at(sums, statistics.keys[:, 0], statistics.sums)
    np.add.at(squares, statistics.keys[:, 0], statistics.squares)
    members = np.eye(phones, dtype=bool)
    sets = [*members]
    alone = log_likelihood(counts, sums, squares, floor)
    while len(members) > 2:
        pairs = (
            counts[:, None] + counts,
            sums[:, None] + sums,
            squares[:, None] + squares,
        )
        loss = alone[:, None] + alone - log_likelihood(*pairs, floor)
        np.fill_diagonal(loss, np.inf)
        one, other = sorted(np.unravel_index(int(np.argmin(loss)), loss.shape))
        for table in (counts, sums, squares, members):
            table[one] += table[other]
        sets.append(members[one].copy())
        keep = np.arange(len(members)) != other
        counts, sums, squares, members = (t[keep] for t in (counts, sums, squares, members))
        alone = log_likelihood(counts, sums, squares, floor)
    return np.unique(np.array(sets), axis=0)


def asked(questions: Mapping[str, Sequence[str]], phones: Sequence[str]) -> np.ndarray:
    """Questions given by hand (name to phones) as bool (question, phone)."""
    if unknown := sorted({each for names in questions.values() for each in names} - set(phones)):
        raise InputError(f"questions about {', '.join(unknown[:5])}; the phones are others")
    rows = [[phone in names for phone in phones] for names in questions.values()]
    return np.array(rows, bool).reshape(-1, len(phones))


@dataclass(frozen=True)
class TreeOptions:
    """When to stop: max_states in all, a gain in log likelihood below min_gain, or a part of fewer
    than min_frames."""

    max_states: int = 2000
    min_gain: float = 300.0
    min_frames: int = 100

    def __post_init__(self) -> None:
        for name in ("max_states", "min_frames"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more")
        if not self.min_gain >= 0:
            raise InputError(f"min_gain is {self.min_gain}; give 0 or more")


@dataclass(frozen=True, eq=False)
class _Split:
    """The best question for a part: side, number, gain, and which contexts answer yes."""

    gain: float
    side: int
    question: int
    yes: np.ndarray


def grow(
    statistics: Statistics,
    phones: Sequence[str],
    questions: np.ndarray,
    floor: np.ndarray,
    options: TreeOptions,
    *,
    states: int = 3,
    alone: Sequence[str] = (),
) -> Trees:
    """Trees over statistics; phones of alone (silence) ask nothing. Over all trees, what gains the
    most is split first."""
    plain = monophones(phones, states)
    nodes = plain.nodes.tolist()
    heap: list[tuple[float, int, _Split, np.ndarray]] = []

    def consider(node: int, part: np.ndarray) -> None:
        best = _best_split(statistics, part, questions, floor, options)
        if best is not None:
            heapq.heappush(heap, (-best.gain, node, best, part))

    for phone, name in enumerate(phones):
        for number in range(states) if name not in alone else ():
            part = np.flatnonzero(
                (statistics.keys[:, 0] == phone) & (statistics.keys[:, 3] == number)
            )
            consider(int(plain.roots[phone, number]), part)
    leaves = len(nodes)
    while heap and leaves < options.max_states:
        _, node, best, part = heapq.heappop(heap)
        yes, no = len(nodes), len(nodes) + 1
        nodes[node] = [best.side, best.question, yes, no]
        nodes += [[LEAF] * 4, [LEAF] * 4]
        leaves += 1
        consider(yes, part[best.yes])
        consider(no, part[~best.yes])
    state = 0
    for node in nodes:
        if node[0] == LEAF:
            node[1] = state
            state += 1
    return Trees(tuple(phones), plain.roots, np.array(nodes), questions)


def _best_split(
    statistics: Statistics,
    part: np.ndarray,
    questions: np.ndarray,
    floor: np.ndarray,
    options: TreeOptions,
) -> _Split | None:
    if part.size < 2 or not len(questions):
        return None
    tables = [each[part] for each in (statistics.counts, statistics.sums, statistics.squares)]
    counts, sums, squares = (each.sum(axis=0) for each in tables)
    whole = float(log_likelihood(counts, sums, squares, floor))
    best: _Split | None = None
    for side in (0, 1):
        answers = questions[:, statistics.keys[part, 1 + side]]
        n, total, of_squares = (answers.astype(np.float64) @ each for each in tables)
        gains = log_likelihood(n, total, of_squares, floor) - whole
        gains += log_likelihood(counts - n, sums - total, squares - of_squares, floor)
        gains[np.minimum(n, counts - n) < options.min_frames] = -np.inf
        question = int(np.argmax(gains))
        gain = float(gains[question])
        if gain > options.min_gain and (best is None or gain > best.gain):
            best = _Split(gain, side, question, answers[question])
    return best
