"""Reports for people: the same tables as plain text or as Markdown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aural.evaluate.lessons import LISTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aural.evaluate.code_switch import CodeSwitching
    from aural.evaluate.compare import Comparison
    from aural.evaluate.lessons import Lessons
    from aural.evaluate.report import Report
    from aural.evaluate.scoring import Breakdown, Rate, Score, Slice
    from aural.metrics.bootstrap import Difference
    from aural.metrics.wer import ErrorCounts

MAX_LISTED = 20
MAX_CELL = 100
MAX_NOTE = 600
_SCORE_HEADER = ("WER", "CER", "words", "sub", "del", "ins", "utterances", "failed", "note")


@dataclass(frozen=True)
class Table:
    """A titled table; lines stand below it, one sentence each."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[str, ...] = ()


def report_tables(report: Report) -> list[Table]:
    """A report's tables, the overall score first."""
    tables = [_overall(report)]
    tables += breakdown_tables(report)
    if report.code_switching is not None:
        tables.append(_code_switching(report.code_switching))
    tables += [_costliest(report), *lesson_tables(report.lessons)]
    tables += [_failures(report), _circumstances(report)]
    return [table for table in tables if table.rows]


def breakdown_tables(report: Report, title: str = "") -> list[Table]:
    """A report's breakdowns alone, their titles beginning with the one given."""
    tables = (_breakdown(report, each) for each in report.breakdowns)
    return [Table(title + each.title, each.header, each.rows, each.lines) for each in tables]


def lesson_tables(found: Lessons) -> list[Table]:
    """Words confused, kinds of words, and patterns with their usual causes."""
    words = tuple(
        (each.said or "(nothing)", each.heard or "(nothing)", str(each.count), str(each.utterances))
        for each in found.confusions[:LISTED]
    )
    kinds = tuple(
        (each.kind, _percent(each.rate), str(each.wrong), str(each.said), ", ".join(each.examples))
        for each in found.kinds
    )
    patterns = tuple(
        (each.name, f"{each.utterances} of {each.of}", ", ".join(each.examples))
        for each in found.symptoms
    )
    causes = tuple(f"{each.name}: {each.causes}" for each in found.symptoms)
    return [
        Table("Words confused", ("said", "heard", "times", "utterances"), words),
        Table("By kind of word", ("kind", "wrong", "words wrong", "said", "such as"), kinds),
        Table("Patterns that point to a cause", ("pattern", "utterances", "such as"), patterns,
              causes),
    ]  # fmt: skip


def comparison_tables(comparison: Comparison) -> list[Table]:
    """The two systems, and the second's difference from the first."""
    systems = tuple(
        (each.model, each.path, _percent(each.words.rate), _percent(each.characters.rate))
        for each in (comparison.first, comparison.second)
    )
    differences = (("WER", comparison.wer), ("CER", comparison.cer))
    rows = tuple((name, *_difference(each)) for name, each in differences)
    lines = (
        f"{comparison.utterances} utterances, resampled by {comparison.clusters.unit}",
        *([comparison.clusters.note] if comparison.clusters.note else []),
    )
    return [
        Table("Systems", ("model", "report", "WER", "CER"), systems),
        Table("Second less first, in points", ("", "difference", "interval", "p"), rows, lines),
    ]


def as_text(tables: Sequence[Table]) -> str:
    """Aligned columns; a column without a value is left out."""
    return "\n".join(_text(table) for table in tables)


def as_markdown(tables: Sequence[Table]) -> str:
    """Tables of GitHub-flavoured Markdown under second-level headings."""
    return "\n".join(_markdown(table) for table in tables)


def _overall(report: Report) -> Table:
    lines = [f"intervals: {report.sampling.level:.0%}, resampled by {report.overall.clusters.unit}"]
    if report.overall.clusters.note:
        lines.append(report.overall.clusters.note)
    for each in report.breakdowns:
        if each.worst is not None and each.gap is not None:
            lines.append(
                f"worst {'*'.join(each.columns)}: {_name(each.worst)} "
                f"{_percent(each.worst.score.wer.counts.rate)}, "
                f"{100 * each.gap:.2f} points above the best"
            )
    if (language := report.language_errors) is not None:
        lines.append(f"language wrong in {language[0]} of {language[1]} utterances")
    return Table("Overall", ("", *_SCORE_HEADER), (("all", *_score(report.overall)),), tuple(lines))


def _breakdown(report: Report, breakdown: Breakdown) -> Table:
    rows = tuple(
        (_name(each), *_score(each.score, note=_slice_note(each, report)))
        for each in breakdown.slices
    )
    guard = report.guard
    lines = []
    if breakdown.worst is not None and breakdown.best is not None and breakdown.gap is not None:
        lines.append(
            f"worst {_name(breakdown.worst)}, best {_name(breakdown.best)}, "
            f"gap {100 * breakdown.gap:.2f} points; "
            f"all together {_percent(report.overall.wer.counts.rate)}"
        )
    if any(each.guarded for each in breakdown.slices):
        lines.append(
            f"too few: under {guard.min_words} words or {guard.min_utterances} utterances, "
            "shown but never called worst or best"
        )
    title = f"By {' and '.join(breakdown.columns)}"
    return Table(title, (" * ".join(breakdown.columns), *_SCORE_HEADER), rows, tuple(lines))


def _code_switching(switching: CodeSwitching) -> Table:
    rows = [(name, *_counts(each)) for name, each in switching.languages.items()]
    rows.append(("beside a switch", *_counts(switching.at_switches)))
    return Table(
        "Code-switched speech",
        ("words in", "WER", "words", "sub", "del", "ins"),
        tuple(rows),
        (f"{switching.switches} switches in {switching.utterances} utterances",),
    )


def _costliest(report: Report) -> Table:
    wrong = sorted(
        (row for row in report.rows if row.words.errors and not row.error),
        key=lambda row: (-row.words.errors, row.id),
    )
    return Table(
        "Most errors",
        ("utterance", "errors", "words", "reference", "heard"),
        tuple(
            (row.id, str(row.words.errors), str(row.words.reference), row.reference, row.hypothesis)
            for row in wrong[:5]
        ),
    )


def _failures(report: Report) -> Table:
    failures = report.failures
    more = len(failures) - MAX_LISTED
    return Table(
        "Failed, each counted as fully deleted",
        ("utterance", "audio", "why"),
        tuple((row.id, row.audio, row.error) for row in failures[:MAX_LISTED]),
        (f"and {more} more, listed in the JSON report",) if more > 0 else (),
    )


def _circumstances(report: Report) -> Table:
    speed, used = report.speed, report.normaliser
    factor, peak = speed.real_time_factor, speed.peak_memory
    facts = {
        "model": report.model,
        **{f"sha256 of {name}": digest for name, digest in report.weights.items()},
        "settings": report.settings or "defaults",
        "manifest": report.manifest,
        "normaliser": f"{used.name}, version {used.version}, fingerprint {used.fingerprint}",
        "real-time factor": "not timed" if factor is None else f"{factor:.4f}",
        "audio": f"{speed.audio_seconds:.1f} s",
        "processing": f"{speed.processing_seconds:.1f} s",
        "peak memory": "not measured" if peak is None else f"{peak / 2**20:.0f} MiB",
        "bootstrap": f"{report.sampling.resamples} resamples, seed {report.sampling.seed}",
        **report.machine,
    }
    return Table("How it was measured", ("", ""), tuple(facts.items()))


def _name(each: Slice) -> str:
    return " * ".join(each.values)


def _slice_note(each: Slice, report: Report) -> str:
    """Why a slice is not to be judged as the whole is: its size, or how few spoke in it."""
    clusters = each.score.clusters
    fewer = clusters.note if clusters.unit != report.overall.clusters.unit else ""
    return "; ".join(filter(None, ("too few" if each.guarded else "", fewer)))


def _score(score: Score, *, note: str = "") -> tuple[str, ...]:
    counts = score.wer.counts
    numbers = (
        counts.reference, counts.substitutions, counts.deletions, counts.insertions,
        score.utterances, score.failed,
    )  # fmt: skip
    return (_rate(score.wer), _rate(score.cer), *(str(number) for number in numbers), note)


def _counts(counts: ErrorCounts) -> tuple[str, ...]:
    numbers = (counts.reference, counts.substitutions, counts.deletions, counts.insertions)
    return (_percent(counts.rate), *(str(number) for number in numbers))


def _rate(rate: Rate) -> str:
    shown = _percent(rate.counts.rate)
    if rate.interval is None:
        return f"{shown} (no interval)"
    return f"{shown} ({100 * rate.interval.low:.2f} to {100 * rate.interval.high:.2f})"


def _percent(rate: float) -> str:
    return f"{100 * rate:.2f} %" if math.isfinite(rate) else "no reference"


def _difference(difference: Difference | None) -> tuple[str, str, str]:
    if difference is None:
        return "not measurable", "fewer than two clusters", ""
    low, high = difference.interval.low, difference.interval.high
    p = f"{difference.p:.4f}" if difference.p >= 0.0001 else "< 0.0001"
    return f"{100 * difference.value:+.2f}", f"{100 * low:+.2f} to {100 * high:+.2f}", p


def _plain(text: str, limit: int = MAX_CELL) -> str:
    """One line, short, nothing in it that could move a terminal's cursor."""
    escaped = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
    return escaped if len(escaped) <= limit else escaped[: limit - 1] + "…"


def _note(text: str) -> str:
    return _plain(text, MAX_NOTE)


def _text(table: Table) -> str:
    rows = [tuple(_plain(cell) for cell in row) for row in (table.header, *table.rows)]
    empty = {i for i in range(len(table.header)) if not any(row[i] for row in rows[1:])}
    kept = [[cell for i, cell in enumerate(row) if i not in empty or i == 0] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*kept, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in kept
    ]
    body = [line for line in lines if line]
    return "\n".join(
        [table.title, *(f"  {line}" for line in (*body, *map(_note, table.lines))), ""]
    )


def _markdown(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(_plain(cell).replace("|", "\\|") for cell in cells) + " |"

    rule = "|" + " --- |" * len(table.header)
    rows = [line(table.header), rule, *map(line, table.rows)]
    notes = [f"- {_note(note)}" for note in table.lines]
    return "\n".join([f"## {table.title}", "", *rows, *(["", *notes] if notes else []), ""])
