"""A sweep for people: tables by system, and what the curves say, as render.Table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from aural.evaluate.render import MAX_LISTED, Table
from aural.evaluate.sweep import AXES

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    failures = tuple(
        (point.system, point.condition.name, *failure)
        for point in sweep.points
        for failure in point.tally.failures
    )
    if failures:
        more = len(failures) - MAX_LISTED
        rest = (f"and {more} more, listed in the JSON report",) if more > 0 else ()
        header_of_failed = ("system", "condition", "utterance", "why")
        tables.append(
            Table("Failed, each counted as wrong", header_of_failed, failures[:MAX_LISTED], rest)
        )
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
        str(len(point.tally.failures)),
    )


def _curve(curve: Curve) -> tuple[str, ...]:
    unit = AXES[curve.axis]
    return (
        curve.name,
        curve.axis,
        doubling_of(curve.doubling, curve.values, unit),
        "nowhere surely"
        if curve.cliff is None
        else f"{curve.cliff[0]:g} and {curve.cliff[1]:g} {unit}",
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


def doubling_of(doubling: Estimate | None, values: Sequence[float], unit: str) -> str:
    """Where the error reaches its double, in words; values are those swept."""
    if doubling is None:
        return "not within"
    low, high = (
        f"{bound:.3g}" if math.isfinite(bound) else "beyond"
        for bound in (doubling.low, doubling.high)
    )
    if not math.isfinite(doubling.value):
        return f"before {values[0]:g} {unit} ({low} to {high})"
    return f"{doubling.value:.3g} {unit} ({low} to {high})"
