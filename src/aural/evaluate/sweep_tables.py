"""A sweep for people: tables by system, and what the curves say, as render.Table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from aural.evaluate.render import Table
from aural.evaluate.sweep import AXES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aural.evaluate.sweep import Crossing, Curve, Estimate, Point, Sweep


def sweep_tables(sweep: Sweep) -> list[Table]:
    """One table a system, then the curves' and the circumstances."""
    systems = dict.fromkeys(point.system for point in sweep.points)
    header = ("condition", sweep.metric, "worse by, points", "errors", "failed")
    tables = []
    for system in systems:
        rows = tuple(_row(point) for point in sweep.points if point.system == system)
        about = (
            f"of {sweep.references:g} in {sweep.utterances} utterances of {sweep.manifest}, "
            f"resampled by {sweep.clusters.unit}",
            *filter(None, [sweep.clusters.note]),
        )
        tables.append(Table(f"{sweep.metric} of {system}", header, rows, about))
    if sweep.curves:
        lines = tuple(_crossing(each) for each in sweep.crossings)
        rows = tuple(_curve(each) for each in sweep.curves)
        of_curves = ("curve", "along", "doubles at", "rises most between")
        tables.append(Table("Where it breaks", of_curves, rows, lines))
    return tables


def _row(point: Point) -> tuple[str, ...]:
    plain = point.condition.name == "as recorded"
    return (
        point.condition.name,
        percent(point.error),
        "" if plain else _points(point.worse),
        f"{sum(point.tally.errors):g}",
        str(point.tally.failed),
    )


def _curve(curve: Curve) -> tuple[str, ...]:
    unit = AXES[curve.axis]
    first, last = curve.cliff
    return (
        curve.name,
        curve.axis,
        "not within" if curve.doubling is None else f"{_place(curve.doubling, unit)}",
        f"{first:g} and {last:g} {unit}",
    )


def _crossing(crossing: Crossing) -> str:
    unit = AXES[crossing.axis]
    return (
        f"{crossing.first} is better than {crossing.second} at {crossing.lower_at:g} {unit} and "
        f"worse at {crossing.higher_at:g} {unit}: they cross near {crossing.at:.3g} {unit}"
    )


def percent(estimate: Estimate) -> str:
    """A rate in percent with its interval."""
    shown = f"{100 * estimate.value:.1f} %"
    if not math.isfinite(estimate.low):
        return f"{shown} (no interval)"
    return f"{shown} ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"


def _points(estimate: Estimate) -> str:
    shown = f"{100 * estimate.value:+.1f}"
    if not math.isfinite(estimate.low):
        return shown
    return f"{shown} ({100 * estimate.low:+.1f} to {100 * estimate.high:+.1f})"


def _place(estimate: Estimate, unit: str) -> str:
    bounds = list(_bounds(estimate))
    return f"{estimate.value:.3g} {unit} ({' to '.join(bounds)})"


def _bounds(estimate: Estimate) -> Iterator[str]:
    for bound in (estimate.low, estimate.high):
        yield f"{bound:.3g}" if math.isfinite(bound) else "beyond"
