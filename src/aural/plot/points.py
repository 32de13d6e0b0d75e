"""Figures of points: vectors on a map, detection errors, error against a condition."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from aural.errors import InputError, MissingExtra
from aural.plot.canvas import (
    COLOURS,
    GREY,
    MARKERS,
    MAX_NUMBER,
    Limit,
    describe,
    drawn,
    label,
    new_figure,
)
from aural.plot.matrix import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_POINTS = 10_000
MAX_TRIALS = 1_000_000
FEW = 12
"""Fewer points than this are put on a map by their principal components."""
MAX_GROUPS = len(COLOURS) * 2
_RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@drawn
def embedding_map(
    vectors: np.ndarray, labels: Sequence[str], *, seed: int = 0, title: str = ""
) -> Figure:
    """Vectors on a plane, each a point with the colour and shape of its label.

    t-SNE (van der Maaten and Hinton 2008) of perplexity 30, at most a third of the points, from the
    principal components on; below FEW points the first two of these themselves. Neighbours are
    kept, distances between groups are not. Labels beyond the MAX_GROUPS - 1 commonest are "other".
    The same vectors and seed give the same map. Raises InputError for fewer than 2 vectors or more
    than MAX_POINTS, that are no finite numbers or not as many as labels.
    """
    values = table(vectors, "vectors", "(item, dimension)")
    if len(values) != len(labels):
        raise InputError(f"{len(labels)} labels for {len(values)} vectors; give one each")
    if not 2 <= len(values) <= MAX_POINTS:
        raise InputError(f"{len(values)} vectors; a map has 2 to {MAX_POINTS}: take a sample")
    if not 0 <= seed < 1 << 32:
        raise InputError(f"seed is {seed}; give 0 to {(1 << 32) - 1}")
    places, names = place(values, seed)
    figure = new_figure(4.6, 6.8)
    axes = figure.subplots()
    groups = _groups(labels)
    for index, (name, members) in enumerate(groups.items()):
        colour, shape = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        filled = colour if index < len(COLOURS) else "none"
        x, y = places[members].T
        axes.plot(x, y, shape, ms=5, color=colour, mfc=filled, label=name)
    axes.set(xlabel=names[0], ylabel=names[1])
    if names[0].startswith("t-SNE"):
        axes.set(xticks=[], yticks=[])
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, borderaxespad=0)
    axes.set_title(label(title, 70))
    return describe(figure, f"Map of {len(values)} vectors in {len(groups)} groups ({names[0]}).")


def place(values: np.ndarray, seed: int) -> tuple[np.ndarray, tuple[str, str]]:
    """Places (item, 2) of vectors (item, dimension), and the names of the two axes."""
    centred = values - values.mean(axis=0)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    components = np.zeros((len(values), 2))
    components[:, : scale.size] = (left * scale)[:, :2]
    largest = np.abs(components).argmax(axis=0)
    components *= np.where(components[largest, [0, 1]] < 0, -1, 1)  # a sign of its own has none
    if len(values) < FEW or not scale[0] > 1e-15:  # nothing less is told apart in float32
        share = scale**2 / max(float((scale**2).sum()), 1e-300)
        kept = [100 * float(share[i]) if i < share.size else 0.0 for i in (0, 1)]
        first, second = (f"component {i + 1} ({kept[i]:.0f} % of variance)" for i in (0, 1))
        return components, (first, second)
    try:
        from sklearn.manifold import TSNE

        threads: Any = import_module("threadpoolctl")  # comes with scikit-learn; has no types
    except ImportError as error:
        raise MissingExtra("plot", "scikit-learn") from error
    model = TSNE(
        perplexity=min(30.0, (len(values) - 1) / 3),
        init=(components / components[:, 0].std() * 1e-4).astype(np.float32),
        learning_rate="auto",
        random_state=seed,
    )
    with threads.threadpool_limits(1):  # the same sums anywhere, and no threads that wait spinning
        places = model.fit_transform(centred.astype(np.float32))
    return places, ("t-SNE 1 (no unit)", "t-SNE 2")


def _groups(labels: Sequence[str]) -> dict[str, list[int]]:
    """Shown label -> its points, in the order of the labels' names; the rarest are one group."""
    common = [name for name, _ in Counter(labels).most_common(MAX_GROUPS)]
    if len(set(labels)) > MAX_GROUPS:
        common = common[:-1]
    kept = {name: i for i, name in enumerate(sorted(common))}
    found: dict[str, list[int]] = {label(name, 22): [] for name in kept}
    for index, name in enumerate(labels):
        found.setdefault(label(name, 22) if name in kept else "other", []).append(index)
    return found


@dataclass(frozen=True, eq=False)
class Trials:
    """A detector's scores, the higher the surer, and which of them are of targets; shape (trial,).

    Raises InputError for scores that are not finite, without a target or another trial, and for
    more than MAX_TRIALS.
    """

    name: str
    scores: np.ndarray
    targets: np.ndarray

    def __post_init__(self) -> None:
        scores, targets = np.asarray(self.scores), np.asarray(self.targets)
        if scores.ndim != 1 or scores.shape != targets.shape or targets.dtype != bool:
            raise InputError(
                f"scores of shape {scores.shape} and {targets.dtype} targets of shape "
                f"{targets.shape}; give numbers and booleans of one shape (trial,)"
            )
        if scores.size > MAX_TRIALS:
            raise InputError(f"{scores.size} trials; draw {MAX_TRIALS} at most: take a sample")
        if scores.dtype.kind not in "fiu" or not np.isfinite(scores).all():
            raise InputError("some scores are no finite numbers")
        if targets.all() or not targets.any():
            raise InputError("give at least one trial of a target and one of no target")

    def errors(self) -> tuple[np.ndarray, np.ndarray]:
        """Shares of others accepted and of targets missed at every threshold, from the highest."""
        order = np.argsort(-self.scores, kind="stable")
        scores, targets = self.scores[order], self.targets[order]
        last = np.append(np.flatnonzero(np.diff(scores)), scores.size - 1)
        hits = np.concatenate(([0], np.cumsum(targets)[last]))
        alarms = np.concatenate(([0], np.cumsum(~targets)[last]))
        return alarms / alarms[-1], 1 - hits / hits[-1]

    def equal_error_rate(self) -> float:
        """Where the line through these points has as many of one kind as of the other."""
        alarms, misses = self.errors()
        after = int(np.argmax(alarms >= misses))
        gap = misses[after - 1] - alarms[after - 1]
        closing = gap + alarms[after] - misses[after]
        share = gap / closing
        return float(alarms[after - 1] + share * (alarms[after] - alarms[after - 1]))


@drawn
def det_curve(trials: Sequence[Trials], *, title: str = "") -> Figure:
    """Detection error trade-off (Martin et al. 1997): misses against false alarms, a line each.

    The axes are normal deviates, on which normally distributed scores give a straight line; a
    circle marks the equal error rate. Rates of 0 and 1, which have no deviate, are beyond the edge.
    """
    if not 1 <= len(trials) <= len(COLOURS):
        raise InputError(f"{len(trials)} detectors; draw 1 to {len(COLOURS)} together")
    from scipy.special import ndtri

    figure = new_figure(5.0, 5.4)
    axes = figure.subplots()
    low = min(_RATES[0], *(0.5 / max(1, _fewest(each)) for each in trials))
    low = max(low, 1e-4)
    edge = float(ndtri(low)), float(ndtri(0.6))
    axes.plot(edge, edge, color=GREY, lw=0.8, ls=":")
    told = []
    for index, each in enumerate(trials):
        rates = each.equal_error_rate()
        told.append(f"{label(each.name, 24)}: EER {100 * rates:.2f} %")
        alarms, misses = (ndtri(np.clip(rate, 1e-9, 1 - 1e-9)) for rate in each.errors())
        line = ("-", "--", "-.", ":")[index % 4]
        axes.plot(alarms, misses, label=told[-1], color=COLOURS[index], ls=line)
        at = float(ndtri(max(rates, 1e-9)))
        axes.plot(at, at, "o", mfc="white", color=COLOURS[index], clip_on=False, zorder=3)
    for axis in (axes.xaxis, axes.yaxis):
        shown = [rate for rate in _RATES if low <= rate <= 0.6]
        axis.set_ticks(ndtri(shown), [f"{100 * rate:g}" for rate in shown])
    axes.set(xlim=edge, ylim=edge, aspect="equal")
    axes.set(xlabel="false alarms (% of others)", ylabel="misses (% of targets)")
    axes.grid(alpha=0.25)
    axes.legend(loc="upper right", framealpha=0.9)
    axes.set_title(label(title, 60))
    return describe(figure, f"Detection error trade-off. {'; '.join(told)}.")


def _fewest(trials: Trials) -> int:
    return int(min(np.count_nonzero(trials.targets), np.count_nonzero(~trials.targets)))


@dataclass(frozen=True)
class Series:
    """Errors as ratios along x, with their intervals; x is in order, rising or falling.

    low and high are empty where there are no intervals; a bound may be infinite. Raises InputError
    for other numbers that are not finite or beyond MAX_NUMBER.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.x or len(self.x) != len(self.y):
            raise InputError(
                f"{self.name!r} has {len(self.x)} x and {len(self.y)} y; give a y each"
            )
        if not all(map(math.isfinite, (*self.x, *self.y))):
            raise InputError(f"{self.name!r} has an x or y that is no finite number")
        finite = filter(math.isfinite, (*self.x, *self.y, *self.low, *self.high))
        if any(abs(each) > MAX_NUMBER for each in finite):
            raise InputError(f"{self.name!r} has a number beyond {MAX_NUMBER:g}")
        for bounds in (self.low, self.high):
            if bounds and (len(bounds) != len(self.x) or any(map(math.isnan, bounds))):
                raise InputError(f"{self.name!r} has {len(self.x)} points; give a bound for each")
        if bool(self.low) != bool(self.high):
            raise InputError(f"{self.name!r} has one bound of its intervals; give both, or none")


@drawn
def error_curve(
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str = "word error rate (%)",
    limits: Sequence[Limit] = (),
    crossings: Sequence[Limit] = (),
    falling: bool = False,
    title: str = "",
) -> Figure:
    """Error in % against a condition, a line with its intervals for each series.

    limits are drawn across, as errors that are allowed (ratios); crossings upright, as values of x
    at which something happens. falling: x runs from its largest value to its smallest, as a
    signal-to-noise ratio does towards the harder. Raises InputError for no series, and more than
    there are colours.
    """
    if not 1 <= len(series) <= MAX_GROUPS:
        raise InputError(f"{len(series)} series; draw 1 to {MAX_GROUPS} together")
    for limit in limits:
        if limit.value < 0:
            raise InputError(f"an error of {limit.value:g} is allowed; give a ratio of 0 or more")
    figure = new_figure(4.2)
    axes = figure.subplots()
    most = 100 * max([each for one in series for each in one.y] + [each.value for each in limits])
    for index, each in enumerate(series):
        _series(axes, each, index, most)
    for limit in limits:
        axes.axhline(100 * limit.value, color=GREY, lw=1, ls="--")
        place = (0.99, 100 * limit.value)
        _note(axes, limit.name, place, axes.get_yaxis_transform(), (-2, 2), "right", "bottom")
    axes.set(xlabel=label(x_label, 60), ylabel=label(y_label, 60))
    _limits(axes, series, most)
    if falling:
        axes.invert_xaxis()
    _crossings(axes, crossings)
    axes.grid(alpha=0.25)
    if len(series) > 1 or series[0].name:
        figure.legend(loc="outside lower center", ncols=min(3, len(series)), frameon=False)
    axes.set_title(label(title, 90))
    worst = max(series, key=lambda each: max(each.y))
    return describe(
        figure,
        f"{label(y_label)} against {label(x_label)} for {len(series)} series; the highest is "
        f"{100 * max(worst.y):.1f} ({label(worst.name)}).",
    )


def _series(axes: Axes, series: Series, index: int, most: float) -> None:
    colour = COLOURS[index % len(COLOURS)]
    y = 100 * np.array(series.y)
    line, shape = "-" if index < len(COLOURS) else "--", MARKERS[index % len(MARKERS)]
    name = label(series.name, 40)
    axes.plot(series.x, y, label=name, color=colour, ls=line, marker=shape, ms=5)
    if series.low:
        low, high = (
            np.clip(100 * np.array(b), 0, 10 * most + 1) for b in (series.low, series.high)
        )
        axes.fill_between(series.x, low, high, color=colour, alpha=0.15, lw=0)
        reach = np.maximum(0, (y - low, high - y))
        axes.errorbar(series.x, y, reach, fmt="none", ecolor=colour, elinewidth=1, capsize=3)


def _limits(axes: Axes, series: Sequence[Series], most: float) -> None:
    """Axes that hold every point, and the intervals that end within twice the highest error."""
    bounds = [100 * b for one in series for b in one.high if 100 * b <= 2 * most]
    axes.set_ylim(0, 1.08 * max([most, *bounds]) or 1.0)
    x = [value for one in series for value in one.x]
    spare = 0.03 * (max(x) - min(x)) or 1.0
    axes.set_xlim(min(x) - spare, max(x) + spare)


def _crossings(axes: Axes, crossings: Sequence[Limit]) -> None:
    """Upright lines, their names each below the last and on the side where there is room."""
    left, right = axes.get_xlim()
    for index, crossing in enumerate(crossings):
        axes.axvline(crossing.value, color=GREY, lw=1, ls=":")
        beyond = (crossing.value - left) / (right - left) > 0.55
        place = (crossing.value, 0.99)
        shift, side = (-3.0, "right") if beyond else (3.0, "left")
        down = -2 - 13.0 * index
        _note(axes, crossing.name, place, axes.get_xaxis_transform(), (shift, down), side, "top")


def _note(
    axes: Axes,
    text: str,
    at: tuple[float, float],
    transform: Any,
    shift: tuple[float, float],
    ha: Any,
    va: Any,
) -> None:
    axes.annotate(
        label(text, 50),
        at,
        xycoords=transform,
        xytext=shift,
        textcoords="offset points",
        ha=ha,
        va=va,
        size=9,
        color=GREY,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )
