"""Running a sweep from the command line: progress, tables, picture, report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aural.cli.console import say, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from aural.evaluate.conditions import Condition
    from aural.evaluate.render import Table
    from aural.evaluate.scoring import Sampling
    from aural.evaluate.sweep import Judge, Sweep


def run_sweep(
    manifest: str,
    systems: Mapping[str, Judge],
    conditions: Sequence[Condition],
    *,
    metric: str,
    sampling: Sampling,
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
        Distortions(utterances, seed=sampling.seed),
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
    if report is not None:
        report.write_text(record, encoding="utf-8")
    if plot is not None:
        from aural.evaluate.sweep_plot import save_sweep_plot

        save_sweep_plot(result, plot)
    if form == "json":
        write(record)
    else:
        write((as_text if form == "text" else as_markdown)([*sweep_tables(result), *more]))
