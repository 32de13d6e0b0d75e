"""Running a sweep from the command line: progress, tables, picture, report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aural.cli.console import say, write
from aural.cli.outputs import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from aural.evaluate.conditions import Condition
    from aural.evaluate.render import Table
    from aural.evaluate.scoring import Sampling
    from aural.evaluate.sweep import Judge, Sweep


def models_of(names: str) -> list[str]:
    """The models that are named, A,B; UnknownName where there is no such model."""
    from aural import models

    found = [name.strip() for name in names.split(",")]
    for name in found:
        models.find(name)
    return list(dict.fromkeys(found))


def check_plot(path: Path | None, conditions: Sequence[Condition], systems: int) -> None:
    """Find out before hours of recognition that a picture of these can't be drawn.

    Raises:
        InputError: a file of another kind, or nothing along which there are two values.
        MissingExtra: matplotlib is not installed.
    """
    if path is None:
        return
    from aural.evaluate.sweep import AXES
    from aural.evaluate.sweep_plot import check_drawing

    points: dict[tuple[str, Condition], int] = {}
    for condition in conditions:
        for axis in AXES:
            if getattr(condition, axis) is not None:
                fixed = axis, condition.without(axis)
                points[fixed] = points.get(fixed, 0) + 1
    check_drawing(path, [axis for (axis, _), count in points.items() if count > 1] * systems)


def run_sweep(
    manifest: str,
    systems: Mapping[str, Judge],
    conditions: Sequence[Condition],
    *,
    metric: str,
    sampling: Sampling,
    offline: bool = False,
) -> Sweep:
    """The sweep over a manifest; before each condition a line on stderr says what comes."""
    from aural.data.manifest import read_manifest
    from aural.evaluate.distort import Distortions
    from aural.evaluate.sweep import sweep

    utterances = read_manifest(manifest)
    return sweep(
        utterances,
        systems,
        conditions,
        Distortions(utterances, seed=sampling.seed, offline=offline),
        metric=metric,
        manifest=manifest,
        sampling=sampling,
        progress=lambda name, done, count: say(f"{done + 1} of {count}: {name}"),
    )


def publish_sweep(
    result: Sweep,
    form: str,
    *,
    report: Path | None,
    plot: Path | None,
    more: Sequence[Table] = (),
) -> None:
    """Tables or JSON on stdout; the JSON report and the picture in their files."""
    from aural.evaluate.render import as_markdown, as_text
    from aural.evaluate.sweep_tables import sweep_tables

    record = json.dumps(result.as_json(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    if form == "json":
        write(record)
    else:
        write((as_text if form == "text" else as_markdown)([*sweep_tables(result), *more]))
    if report is not None:
        write_whole(report, record.encode("utf-8", "backslashreplace"))
    if plot is not None:
        from aural.evaluate.sweep_plot import save_sweep_plot

        for path in save_sweep_plot(result, plot):
            say(f"drawn: {path}")
