"""The best way through a graph of states, and how likely each state is at each moment.

A hidden Markov model as a graph: an arc costs its weight, a state that emits takes one frame and
its score, a state that does not takes none. All weights and scores are natural logarithms. Every
frame is worked on for all arcs at once. Viterbi 1967; forward-backward: Baum et al. 1970.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

SILENT = -1
"""In `Graph.emissions`: the state takes no frame."""


@dataclass(frozen=True, eq=False)
class Graph:
    """States and the arcs between them.

    emissions: int, shape = (state,), the column of the scores that a state takes at each frame, or
    SILENT. sources, targets: int and weights: float, all (arc,). finals: float, (state,), the
    weight of ending there, -inf for no end. Every path begins in start, which is silent. Silent
    states form no cycle among themselves.
    """

    emissions: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    finals: np.ndarray
    start: int = 0
    levels: np.ndarray = field(init=False, repr=False)
    """Of silent states: 0, or one above the silent states it is entered from, so that those of one
    level are done at once."""
    groups: tuple[_Arcs, ...] = field(init=False, repr=False)
    """Arcs by the level of their target; first those into states that emit."""

    def __post_init__(self) -> None:
        states = len(self.emissions)
        for name in ("emissions", "sources", "targets"):
            if getattr(self, name).dtype.kind != "i":
                raise InputError(f"{name} are {getattr(self, name).dtype}; give integers")
        if not len(self.sources) == len(self.targets) == len(self.weights):
            raise InputError("sources, targets and weights differ in length; give one each an arc")
        if len(self.finals) != states or not 0 <= self.start < states:
            raise InputError(f"{states} states, {len(self.finals)} finals, start {self.start}")
        ends = np.concatenate((self.sources, self.targets))
        if ends.size and not 0 <= ends.min() <= ends.max() < states:
            raise InputError(f"an arc leaves the {states} states")
        if (least := self.emissions.min(initial=SILENT)) < SILENT:
            raise InputError(f"a state emits column {least}; give 0 or more, or {SILENT} for none")
        if self.emissions[self.start] != SILENT:
            raise InputError("the start emits; let paths begin in a silent state")
        for name in ("weights", "finals"):
            values = getattr(self, name)
            if np.isnan(values).any() or (values == np.inf).any():
                raise InputError(f"{name} hold NaN or +inf; give logarithms below infinity")
        object.__setattr__(self, "levels", _levels(self))
        object.__setattr__(self, "groups", self.grouped(self.targets))

    def grouped(self, ends: np.ndarray) -> tuple[_Arcs, ...]:
        """Arcs by the level of that end, -1 for states that emit, each group in order of it."""
        level = np.where(self.emissions == SILENT, self.levels, -1)[ends]
        possible = self.weights > -np.inf
        groups = []
        for number in (-1, *range(int(self.levels.max(initial=0)) + 1)):
            arcs = np.flatnonzero((level == number) & possible)
            arcs = arcs[np.argsort(ends[arcs], kind="stable")]
            firsts = np.flatnonzero(np.diff(ends[arcs], prepend=-1))
            parts = (self.sources[arcs], self.targets[arcs], self.weights[arcs])
            groups.append(_Arcs(arcs, *parts, firsts, ends[arcs[firsts]]))
        return tuple(groups)


@dataclass(frozen=True, eq=False)
class _Arcs:
    """Numbers of arcs in order of one end, what the graph says of each, where each run of arcs with
    the same end begins, and that end."""

    arcs: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    firsts: np.ndarray
    states: np.ndarray


def _levels(graph: Graph) -> np.ndarray:
    silent = graph.emissions == SILENT
    inner = silent[graph.sources] & silent[graph.targets] & (graph.weights > -np.inf)
    sources, targets = graph.sources[inner], graph.targets[inner]
    levels = np.zeros(len(graph.emissions), np.int64)
    for _ in range(int(silent.sum()) + 1):
        higher = levels.copy()
        np.maximum.at(higher, targets, levels[sources] + 1)
        if (higher == levels).all():
            return levels
        levels = higher
    raise InputError("silent states form a cycle; let each way round take a frame")


@dataclass(frozen=True)
class PruningOptions:
    """Which states are gone on from: those within beam of a frame's best, the max_active best (0:
    all) and what is as good as the last of these. An infinite beam is exact."""

    beam: float = math.inf
    max_active: int = 0

    def __post_init__(self) -> None:
        if not self.beam > 0:
            raise InputError(f"beam is {self.beam}; give a number above 0")
        if self.max_active < 0:
            raise InputError(f"max_active is {self.max_active}; give 0 (all) or more")

    def prune(self, scores: np.ndarray) -> None:
        """Set what falls behind to -inf, in place."""
        if self.beam < math.inf:
            scores[scores < scores.max() - self.beam] = -np.inf
        if 0 < self.max_active < scores.size:
            scores[scores < np.partition(scores, -self.max_active)[-self.max_active]] = -np.inf


EXACT = PruningOptions()


@dataclass(frozen=True, eq=False)
class BestPath:
    """states: (frame,), the one that takes each frame. arcs: (step,), in order; times: (step,), how
    many frames were taken before each arc. score is the sum over all of it."""

    score: float
    states: np.ndarray
    arcs: np.ndarray
    times: np.ndarray


def viterbi(graph: Graph, scores: np.ndarray, pruning: PruningOptions = EXACT) -> BestPath | None:
    """The path of the highest sum from the start to an end that takes every frame; None where there
    is none (too few frames for the graph, or everything pruned).

    scores: float, shape = (frame, column). Of equal paths the one over earlier arcs. Memory holds a
    number for each state that is gone on from at each frame.

    Raises:
        InputError: scores are not of that shape, too narrow, or hold NaN or +inf.
    """
    check_scores(graph, scores)
    emitting = np.flatnonzero(graph.emissions != SILENT)
    columns = graph.emissions[emitting]
    enter = _enter if pruning == EXACT else _enter_live
    reached = np.full(len(graph.emissions), -np.inf)
    reached[graph.start] = 0.0
    enter(graph.groups[1:], reached, reached)
    seen = [_Reached.of(reached, pruning)]
    for frame in scores:
        before, reached = reached, np.full(len(reached), -np.inf)
        enter(graph.groups[:1], before, reached)
        reached[emitting] += frame[columns]
        pruning.prune(reached)
        enter(graph.groups[1:], reached, reached)
        seen.append(_Reached.of(reached, pruning))
    ends = reached + graph.finals
    best = int(np.argmax(ends))
    return _traced(graph, seen, best, float(ends[best])) if ends[best] > -np.inf else None


def check_scores(graph: Graph, scores: np.ndarray) -> None:
    """InputError for scores that the graph can't take."""
    if scores.ndim != 2 or scores.dtype.kind != "f":
        raise InputError(
            f"scores are {scores.dtype} of shape {scores.shape}; give floats of (frame, column)"
        )
    if scores.shape[1] <= graph.emissions.max(initial=-1):
        raise InputError(
            f"scores have {scores.shape[1]} columns; the graph asks for column "
            f"{graph.emissions.max()}"
        )
    if np.isnan(scores).any() or (scores == np.inf).any():
        raise InputError("scores hold NaN or +inf; give logarithms below infinity")


def _enter(groups: Sequence[_Arcs], before: np.ndarray, after: np.ndarray) -> None:
    """Go along all arcs, group by group: a state gets the best of those that lead to it."""
    for group in groups:
        if group.arcs.size:
            best = np.maximum.reduceat(before[group.sources] + group.weights, group.firsts)
            after[group.states] = np.maximum(after[group.states], best)


def _enter_live(groups: Sequence[_Arcs], before: np.ndarray, after: np.ndarray) -> None:
    """The same along arcs from states that were not pruned alone."""
    for group in groups:
        live = np.flatnonzero(before[group.sources] > -np.inf)
        if live.size:
            targets = group.targets[live]
            firsts = np.flatnonzero(np.diff(targets, prepend=-1))
            sums = before[group.sources[live]] + group.weights[live]
            after[targets[firsts]] = np.maximum.reduceat(sums, firsts)


@dataclass(frozen=True, eq=False)
class _Reached:
    """The sums of one moment: of all states, or of those in states, in order."""

    sums: np.ndarray
    states: np.ndarray | None

    @classmethod
    def of(cls, sums: np.ndarray, pruning: PruningOptions) -> _Reached:
        if pruning == EXACT:
            return cls(sums, None)
        states = np.flatnonzero(sums > -np.inf)
        return cls(sums[states], states)

    def at(self, states: np.ndarray) -> np.ndarray:
        """The sums of these states, -inf where they were not reached."""
        if self.states is None:
            return self.sums[states]
        places = np.minimum(np.searchsorted(self.states, states), self.states.size - 1)
        return np.where(self.states[places] == states, self.sums[places], -np.inf)


def _traced(graph: Graph, seen: Sequence[_Reached], state: int, score: float) -> BestPath:
    """Back from the state that ends the best path, each time along the arc that it was best by."""
    time = len(seen) - 1
    states = np.zeros(time, np.int64)
    arcs: list[int] = []
    times: list[int] = []
    while time or state != graph.start:
        emits = graph.emissions[state] != SILENT
        group = graph.groups[0 if emits else graph.levels[state] + 1]
        run = int(np.searchsorted(group.states, state))
        last = group.firsts[run + 1] if run + 1 < len(group.firsts) else len(group.arcs)
        own = slice(group.firsts[run], last)
        if emits:
            time -= 1
            states[time] = state
        sources = group.sources[own]
        chosen = int(np.argmax(seen[time].at(sources) + group.weights[own]))
        arcs.append(int(group.arcs[own][chosen]))
        times.append(time)
        state = int(sources[chosen])
    return BestPath(score, states, np.array(arcs[::-1], np.int64), np.array(times[::-1], np.int64))


@dataclass(frozen=True, eq=False)
class Occupation:
    """log_likelihood: of all paths together. states: float64, shape = (frame, state), the
    probability that a state takes a frame; each row sums to 1."""

    log_likelihood: float
    states: np.ndarray


def forward_backward(graph: Graph, scores: np.ndarray) -> Occupation | None:
    """How probable each state is at each frame, over all paths; None where there is no path.

    scores and errors as for `viterbi`.
    """
    check_scores(graph, scores)
    taken = _taken(graph, scores)
    forward = _forward(graph, taken)
    total = float(np.logaddexp.reduce(forward[-1] + graph.finals))
    if total == -math.inf:
        return None
    backward = _backward(graph, taken)
    shares = np.exp(forward[1:] + backward[1:] - total)
    return Occupation(total, np.where(graph.emissions == SILENT, 0.0, shares))


def _taken(graph: Graph, scores: np.ndarray) -> np.ndarray:
    """(frame, state): the score of a state at a frame, 0 for silent ones."""
    taken = np.zeros((len(scores), len(graph.emissions)))
    emitting = np.flatnonzero(graph.emissions != SILENT)
    taken[:, emitting] = scores[:, graph.emissions[emitting]]
    return taken


def _forward(graph: Graph, taken: np.ndarray) -> np.ndarray:
    """(frame + 1, state): all paths from the start that take the frames before and end there."""
    sums = np.full((len(taken) + 1, taken.shape[1]), -np.inf)
    sums[0, graph.start] = 0.0
    for time, now in enumerate(sums):
        for number, group in enumerate(graph.groups):
            if not group.arcs.size or (number == 0 and time == 0):
                continue
            before = sums[time - 1] if number == 0 else now
            reached = np.logaddexp.reduceat(before[group.sources] + group.weights, group.firsts)
            reached += taken[time - 1, group.states] if number == 0 else 0.0
            now[group.states] = np.logaddexp(now[group.states], reached)
    return sums


def _backward(graph: Graph, taken: np.ndarray) -> np.ndarray:
    """(frame + 1, state): all paths from a state to an end that take the frames to come."""
    sums = np.full((len(taken) + 1, taken.shape[1]), -np.inf)
    groups = graph.grouped(graph.sources)
    silent = graph.emissions == SILENT
    for time in range(len(taken), -1, -1):
        now = sums[time]
        if time == len(taken):
            now[:] = graph.finals
        else:
            ahead = np.where(silent, -np.inf, taken[time] + sums[time + 1])
        for group in (*reversed(groups[1:]), groups[0]):
            if not group.arcs.size:
                continue
            after = now if time == len(taken) else np.where(silent, now, ahead)
            usable = silent[group.targets] if time == len(taken) else True
            values = np.where(usable, group.weights + after[group.targets], -np.inf)
            added = np.logaddexp.reduceat(values, group.firsts)
            now[group.states] = np.logaddexp(now[group.states], added)
    return sums


def scaled_likelihoods(
    log_posteriors: np.ndarray, log_priors: np.ndarray, scale: float = 1.0
) -> np.ndarray:
    """scale * (log_posteriors - log_priors): what a network says of states, as scores for the
    graph (Bourlard & Morgan 1994). Shape = (frame, state) less (state,); a state whose prior is 0
    (-inf) was never trained and gets -inf.
    """
    if log_posteriors.ndim != 2 or log_priors.shape != log_posteriors.shape[1:]:
        raise InputError(
            f"posteriors have shape {log_posteriors.shape} and priors {log_priors.shape}; give "
            "(frame, state) and (state,)"
        )
    known = log_priors > -np.inf
    scores = np.full(log_posteriors.shape, -np.inf)
    scores[:, known] = scale * (log_posteriors[:, known] - log_priors[known])
    return scores
