"""Error against condition: any task judged again and again while one thing gets worse.

The same utterances are judged under every condition and the same ones are resampled for all of
them, so differences and the place where the error doubles have intervals of their own.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from aural.errors import InputError
from aural.evaluate.conditions import AS_RECORDED, Condition
from aural.evaluate.machine import describe_machine
from aural.evaluate.scoring import Sampling
from aural.metrics.bootstrap import Clusters, choose_clusters, expanded_tail, resampled_rates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from aural.audio.source import Source
    from aural.data.utterance import Utterance

    Judge = Callable[[Sequence[Utterance], "Sound", Condition], "Tally"]
    Distorter = Callable[[Condition], "Sound"]

AXES = {"snr": "dB", "rt60": "s", "distance": "m", "level": "dBFS", "bandwidth": "Hz"}
"""What can be put on an axis, and its unit."""

_HARDER_UPWARDS = frozenset({"rt60", "distance"})


class Sound(Protocol):
    """Where the sound of an utterance comes from; settings say what is done to it."""

    @property
    def settings(self) -> str:
        """The same words for the same sound."""
        ...

    def __call__(self, utterance: Utterance) -> Source:
        """What a task is given."""
        ...


@dataclass(frozen=True)
class Tally:
    """What a task made of the utterances under one condition, one number each.

    errors: errors made (words, or 0 and 1); references: what there was to get right; failures: ids
    of utterances that could not be judged, which count as wrong, and why; about: how it was judged;
    detail: the task's own result.
    """

    errors: tuple[float, ...]
    references: tuple[float, ...]
    failures: tuple[tuple[str, str], ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)
    detail: Any = None


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; a bound is infinite where draws lay beyond what was swept."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """The error of one system under one condition; worse is what it exceeds the same system's
    error on the recording as it is by, paired."""

    system: str
    condition: Condition
    error: Estimate
    worse: Estimate
    tally: Tally


@dataclass(frozen=True)
class Curve:
    """Points along one axis, easiest first; all else about them is the same.

    doubling: where the error first reaches twice that without the distortion, on straight lines
    between the points; an infinite bound, or value, lies beyond what was swept; None where twice is
    never reached, or the error without the distortion is 0 or not known. cliff: the two neighbours
    between which the error rises fastest; None where it surely rises nowhere.
    """

    axis: str
    system: str
    fixed: Condition
    points: tuple[Point, ...]
    doubling: Estimate | None
    cliff: tuple[float, float] | None

    @property
    def name(self) -> str:
        """What is fixed, and the system."""
        rest = [self.fixed.noise] if self.fixed.noise else []
        if (other := self.fixed.without("noise")) != AS_RECORDED:
            rest.append(other.name)
        return ", ".join([self.system, *rest])

    @property
    def values(self) -> tuple[float, ...]:
        """Of the axis."""
        return tuple(getattr(point.condition, self.axis) for point in self.points)


@dataclass(frozen=True)
class Crossing:
    """Two curves that differ in one thing and change places: the first is surely lower at one
    value, surely higher at the other; at is where lines between the points meet."""

    axis: str
    first: str
    second: str
    lower_at: float
    higher_at: float
    at: float


@dataclass(frozen=True)
class Sweep:
    """A task, conditions and systems with their errors. metric is the error's name."""

    metric: str
    manifest: str
    utterances: int
    references: float
    points: tuple[Point, ...]
    curves: tuple[Curve, ...]
    crossings: tuple[Crossing, ...]
    clusters: Clusters
    sampling: Sampling

    def as_json(self) -> dict[str, Any]:
        """Plain values; infinite bounds are null."""
        return {
            "schema_version": 1,
            "kind": "aural.evaluate.sweep",
            "metric": self.metric,
            "manifest": self.manifest,
            "utterances": self.utterances,
            "references": self.references,
            "resampled_by": self.clusters.unit,
            "note": self.clusters.note,
            "bootstrap": {**self.sampling.__dict__},
            "points": [_point_json(point) for point in self.points],
            "curves": [_curve_json(curve) for curve in self.curves],
            "crossings": [{**crossing.__dict__} for crossing in self.crossings],
            "machine": describe_machine(),
        }


def sweep(
    utterances: Sequence[Utterance],
    systems: Mapping[str, Judge],
    conditions: Sequence[Condition],
    distort: Distorter,
    *,
    metric: str = "WER",
    manifest: str = "(utterances)",
    sampling: Sampling = Sampling(),  # noqa: B008  (frozen)
    progress: Callable[[str, int, int], None] | None = None,
) -> Sweep:
    """Judge every system under every condition.

    Args:
        utterances: What is judged, the same under all conditions.
        systems: Name -> what judges (utterances, where their sound comes from, the condition).
        conditions: To sweep; AS_RECORDED is added where it is missing.
        distort: Condition -> where an utterance's sound comes from.
        metric: The error's name.
        manifest: Where the utterances come from, for the report.
        sampling: How intervals are drawn.
        progress: Called before each condition with its name, how many are done, how many there are.

    Raises:
        InputError: no utterance or no system.
    """
    if not utterances or not systems:
        raise InputError("a sweep needs at least one utterance and one system")
    wanted = tuple(dict.fromkeys((AS_RECORDED, *conditions)))
    sounds = {condition: distort(condition) for condition in wanted}  # what can't be, told now
    tallies: dict[tuple[str, Condition], Tally] = {}
    pairs = list(itertools.product(wanted, systems))
    for done, (condition, system) in enumerate(pairs):
        if progress is not None:
            progress(f"{system}: {condition.name}", done, len(pairs))
        tallies[system, condition] = systems[system](utterances, sounds[condition], condition)
    clusters = choose_clusters(
        [each.speaker for each in utterances], [str(each.audio) for each in utterances]
    )
    drawn = _Drawn(tallies, clusters, sampling)
    points = tuple(drawn.point(system, condition) for condition, system in pairs)
    curves = tuple(drawn.curves(points))
    first = next(iter(tallies.values()))
    return Sweep(
        metric,
        manifest,
        len(utterances),
        sum(first.references),
        points,
        curves,
        tuple(drawn.crossings(curves)),
        clusters,
        sampling,
    )


class _Drawn:
    """Resampled rates of every tally, the same clusters in the same draw of each."""

    def __init__(
        self, tallies: Mapping[tuple[str, Condition], Tally], clusters: Clusters, sampling: Sampling
    ) -> None:
        self.tallies = tallies
        first = next(iter(tallies.values()))
        if any(each.references != first.references for each in tallies.values()):
            raise InputError("the references differ between conditions: they must be the same")
        if sum(first.references) <= 0:
            raise InputError("the utterances have no reference, so there is no error rate")
        rates = resampled_rates(
            np.array([each.errors for each in tallies.values()]),
            first.references,
            clusters.labels,
            resamples=sampling.resamples,
            seed=sampling.seed,
        )
        self._rates = dict(zip(tallies, rates.T, strict=True))
        count = len(set(clusters.labels))
        self._clusters, self._level = count, sampling.level

    def point(self, system: str, condition: Condition) -> Point:
        tally = self.tallies[system, condition]
        error, drawn = _rate(tally), self._rates[system, condition]
        plain = _rate(self.tallies[system, AS_RECORDED])
        return Point(
            system,
            condition,
            self._estimate(error, drawn),
            self._estimate(error - plain, drawn - self._rates[system, AS_RECORDED]),
            tally,
        )

    def curves(self, points: Sequence[Point]) -> Iterator[Curve]:
        """Every axis along which at least two points differ in nothing else."""
        for axis in AXES:
            groups: dict[tuple[str, Condition], list[Point]] = {}
            for point in points:
                if getattr(point.condition, axis) is not None:
                    fixed = point.condition.without(axis)
                    groups.setdefault((point.system, fixed), []).append(point)
            for (system, fixed), members in groups.items():
                if len(members) > 1:
                    yield self._curve(axis, system, fixed, members)

    def _curve(self, axis: str, system: str, fixed: Condition, points: list[Point]) -> Curve:
        sign = 1 if axis in _HARDER_UPWARDS else -1
        points = sorted(points, key=lambda point: sign * getattr(point.condition, axis))
        values = [getattr(point.condition, axis) for point in points]
        errors = [point.error.value for point in points]
        steepest = max(
            range(1, len(points)),
            key=lambda i: (errors[i] - errors[i - 1]) / abs(values[i] - values[i - 1]),
        )
        return Curve(
            axis,
            system,
            fixed,
            tuple(points),
            self._doubling(axis, system, fixed, points, values),
            self._cliff(points[steepest - 1], points[steepest], axis),
        )

    def _cliff(self, before: Point, after: Point, axis: str) -> tuple[float, float] | None:
        if self._difference(after, before).low <= 0:
            return None
        return getattr(before.condition, axis), getattr(after.condition, axis)

    def _difference(self, one: Point, other: Point, comparisons: int = 1) -> Estimate:
        """one's error less the other's, paired; its level divided among so many comparisons."""
        drawn = self._rates[one.system, one.condition] - self._rates[other.system, other.condition]
        return self._estimate(one.error.value - other.error.value, drawn, comparisons)

    def _doubling(
        self, axis: str, system: str, fixed: Condition, points: list[Point], values: list[float]
    ) -> Estimate | None:
        """None also where the error without the distortion is not known."""
        companion = {"snr": "noise", "rt60": "distance", "distance": "rt60"}.get(axis, axis)
        plain = fixed.without(companion)
        base = self.tallies.get((system, plain))
        if base is None or _rate(base) == 0:
            return None
        errors = np.array([[point.error.value for point in points]])
        value = float(first_reaching(errors, np.array([2 * _rate(base)]), values)[0])
        if value == _beyond(values):
            return None
        rates = np.stack([self._rates[system, point.condition] for point in points], axis=1)
        known = self._rates[system, plain] > 0  # in the other draws nothing has a double
        drawn = first_reaching(rates[known], 2 * self._rates[system, plain][known], values)
        return self._estimate(value, drawn)

    def crossings(self, curves: Sequence[Curve]) -> Iterator[Crossing]:
        """Of curves along the same values that differ in their system or in their noise only."""
        pairs = [
            (one, other)
            for one, other in itertools.combinations(curves, 2)
            if one.axis == other.axis
            and one.values == other.values
            and (
                one.fixed == other.fixed
                or (
                    one.system == other.system
                    and one.fixed.without("noise") == other.fixed.without("noise")
                )
            )
        ]
        comparisons = sum(len(one.points) for one, _ in pairs)
        for one, other in pairs:
            yield from self._crossing(one, other, comparisons)

    def _crossing(self, one: Curve, other: Curve, comparisons: int) -> Iterator[Crossing]:
        found = [
            self._difference(mine, theirs, comparisons)
            for mine, theirs in zip(one.points, other.points, strict=True)
        ]
        sure = [i for i, each in enumerate(found) if each.low > 0 or each.high < 0]
        for first, last in itertools.pairwise(sure):
            if found[first].value * found[last].value > 0:
                continue
            step = next(i for i in range(first, last) if found[i].value * found[i + 1].value <= 0)
            x, y = one.values[step], one.values[step + 1]
            before, after = found[step].value, found[step + 1].value
            at = x + (y - x) * before / (before - after)
            ends = one.values[first], one.values[last]
            lower, higher = ends if found[first].value < 0 else ends[::-1]
            yield Crossing(one.axis, one.name, other.name, lower, higher, at)

    def _estimate(self, value: float, drawn: np.ndarray, comparisons: int = 1) -> Estimate:
        """The value with its interval; without one where there was nothing to resample."""
        if self._clusters < 2 or not drawn.size:
            return Estimate(value, -math.inf, math.inf)
        tail = expanded_tail(1 - (1 - self._level) / comparisons, self._clusters)
        low, high = np.quantile(drawn, [tail, 1 - tail], method="nearest")  # no mean with infinity
        return Estimate(value, float(low), float(high))


def first_reaching(rates: np.ndarray, limits: np.ndarray, values: Sequence[float]) -> np.ndarray:
    """Where along values each row of rates first reaches its limit, on straight lines between.

    rates: shape = (row, value), limits: (row,). Infinite on the near side where the first value
    reaches it already, on the far side where none does.
    """
    reached = rates >= limits[:, None]
    index = reached.argmax(axis=1)
    rows = np.arange(len(rates))
    before = np.maximum(index - 1, 0)
    low, high = rates[rows, before], rates[rows, index]
    share = (limits - low) / np.where(high > low, high - low, 1)
    x = np.asarray(values, float)
    at = x[before] + np.clip(share, 0, 1) * (x[index] - x[before])
    far = _beyond(values)
    return np.where(~reached.any(axis=1), far, np.where(reached[:, 0], -far, at))


def _beyond(values: Sequence[float]) -> float:
    """What lies beyond the last of values."""
    return math.copysign(math.inf, values[-1] - values[0])


def _rate(tally: Tally) -> float:
    return sum(tally.errors) / sum(tally.references)


def _estimate_json(estimate: Estimate | None) -> dict[str, float | None] | None:
    if estimate is None:
        return None
    return {n: v if math.isfinite(v) else None for n, v in estimate.__dict__.items()}


def _point_json(point: Point) -> dict[str, Any]:
    return {
        "system": point.system,
        "condition": {"name": point.condition.name, **point.condition.__dict__},
        "error": _estimate_json(point.error),
        "worse": _estimate_json(point.worse),
        "errors": sum(point.tally.errors),
        "failures": [{"id": name, "error": why} for name, why in point.tally.failures],
        "about": dict(point.tally.about),
    }


def _curve_json(curve: Curve) -> dict[str, Any]:
    return {
        "axis": curve.axis,
        "unit": AXES[curve.axis],
        "name": curve.name,
        "system": curve.system,
        "values": curve.values,
        "errors": [_estimate_json(point.error) for point in curve.points],
        "doubling": _estimate_json(curve.doubling),
        "cliff": curve.cliff,
    }
