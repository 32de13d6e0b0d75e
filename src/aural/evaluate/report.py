"""The result of an evaluation, and its JSON form (report.schema.json describes it, versioned)."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aural.errors import InputError
from aural.evaluate.lessons import Lessons, lessons
from aural.evaluate.scoring import Breakdown, Guard, Rate, Row, Sampling, Score
from aural.metrics.wer import ErrorCounts
from aural.text.normalise import normaliser

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from aural.evaluate.code_switch import CodeSwitching

SCHEMA_VERSION = 1
KIND = "aural.evaluate.transcribe"
MAX_REPORT_BYTES = 1 << 30
MAX_CONFUSIONS = 200

GATE_MEASURES = (
    "wer", "wer.low", "wer.high", "wer.max_slice", "wer.gap",
    "cer", "cer.low", "cer.high", "cer.max_slice",
    "substitutions", "deletions", "insertions", "failed", "language_errors", "rtf",
)  # fmt: skip
"""What a gate can hold a report to; counts as they are, rates as ratios."""

SLICE_MEASURES = frozenset({"wer.max_slice", "wer.gap", "cer.max_slice"})
"""Those that need a breakdown."""


@dataclass(frozen=True)
class NormaliserUsed:
    """The text normaliser by name, version and fingerprint."""

    name: str
    version: str
    fingerprint: str


@dataclass(frozen=True)
class Speed:
    """Time and memory. real_time_factor is processing_seconds per audio second of what succeeded.

    peak_memory: bytes this process held at most, the models included; None where every hypothesis
    was read from a file.
    """

    audio_seconds: float
    processing_seconds: float
    peak_memory: int | None

    @property
    def real_time_factor(self) -> float | None:
        """None where no audio was timed."""
        if self.audio_seconds <= 0 or self.processing_seconds <= 0:
            return None
        return self.processing_seconds / self.audio_seconds


@dataclass(frozen=True)
class Report:
    """How well a recogniser did on a manifest."""

    manifest: str
    model: str
    weights: Mapping[str, str]
    """File name -> SHA-256 of the model's files, where they are pinned."""
    settings: str
    normaliser: NormaliserUsed
    sampling: Sampling
    guard: Guard
    overall: Score
    breakdowns: tuple[Breakdown, ...]
    code_switching: CodeSwitching | None
    speed: Speed
    machine: Mapping[str, str]
    rows: tuple[Row, ...]

    @property
    def failures(self) -> tuple[Row, ...]:
        """The utterances that could not be recognised; each counts as fully deleted."""
        return tuple(row for row in self.rows if row.error)

    @property
    def language_errors(self) -> tuple[int, int] | None:
        """Utterances taken for another language, of those that name theirs; None where none do."""
        judged = [row for row in self.rows if row.language and (row.heard_language or row.error)]
        if not judged:
            return None
        wrong = sum(row.heard_language != row.language.partition("-")[0] for row in judged)
        return wrong, len(judged)

    @cached_property
    def lessons(self) -> Lessons:
        """What the errors teach."""
        return lessons(self.rows, normaliser(self.normaliser.name))

    def measures(self) -> dict[str, float | None]:
        """Every measure of GATE_MEASURES; None where it could not be had."""
        wer, cer = self.overall.wer, self.overall.cer
        worst = [each.worst for each in self.breakdowns if each.worst is not None]
        gaps = [each.gap for each in self.breakdowns if each.gap is not None]
        judged = [s for each in self.breakdowns for s in each.slices if not s.guarded]
        language = self.language_errors
        return {
            "wer": wer.counts.rate,
            "wer.low": wer.interval.low if wer.interval else None,
            "wer.high": wer.interval.high if wer.interval else None,
            "wer.max_slice": max((s.score.wer.counts.rate for s in worst), default=None),
            "wer.gap": max(gaps, default=None),
            "cer": cer.counts.rate,
            "cer.low": cer.interval.low if cer.interval else None,
            "cer.high": cer.interval.high if cer.interval else None,
            "cer.max_slice": max((s.score.cer.counts.rate for s in judged), default=None),
            "substitutions": wer.counts.substitutions,
            "deletions": wer.counts.deletions,
            "insertions": wer.counts.insertions,
            "failed": self.overall.failed,
            "language_errors": None if language is None else language[0],
            "rtf": self.speed.real_time_factor,
        }

    def as_json(self) -> dict[str, Any]:
        """Plain values in the layout of report.schema.json; a rate without a reference is null."""
        language = self.language_errors
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": KIND,
            "manifest": self.manifest,
            "model": {"name": self.model, "weights": dict(self.weights)},
            "settings": self.settings,
            "normaliser": asdict(self.normaliser),
            "bootstrap": asdict(self.sampling),
            "guard": asdict(self.guard),
            "overall": score_json(self.overall),
            "language": language and {"wrong": language[0], "judged": language[1]},
            "breakdowns": [_breakdown_json(each) for each in self.breakdowns],
            "code_switching": self.code_switching and _code_switching_json(self.code_switching),
            "speed": asdict(self.speed) | {"real_time_factor": self.speed.real_time_factor},
            "machine": dict(self.machine),
            "lessons": _lessons_json(self.lessons),
            "failures": [_failure_json(row) for row in self.failures],
            "utterances": [_row_json(row) for row in self.rows],
        }


@dataclass(frozen=True)
class StoredReport:
    """What a comparison needs of a report's JSON."""

    path: str
    model: str
    normaliser: NormaliserUsed
    rows: tuple[Row, ...]


def report_text(report: Report) -> str:
    """The report as JSON, ending in a line end; the same result gives the same text."""
    return json.dumps(report.as_json(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def read_report(path: Path) -> StoredReport:
    """A report that report_text wrote.

    Raises:
        InputError: it can't be read, is of another version, or is no report.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_REPORT_BYTES + 1)
        record = json.loads(raw) if len(raw) <= MAX_REPORT_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: can't be read as a report: {error}") from error
    if not isinstance(record, dict) or record.get("kind") != KIND:
        raise InputError(
            f"{path}: no report of `aural evaluate transcribe --report FILE` on one condition"
        )
    if record.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"{path}: a report of schema version {record.get('schema_version')!r}, "
            f"this install reads {SCHEMA_VERSION}: evaluate again"
        )
    try:
        used = record["normaliser"]
        return StoredReport(
            path=str(path),
            model=str(record["model"]["name"]),
            normaliser=NormaliserUsed(used["name"], used["version"], used["fingerprint"]),
            rows=tuple(_stored_row(each) for each in record["utterances"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: a damaged report: {error!r}") from error


def score_json(score: Score) -> dict[str, Any]:
    """A score's counts, rates and intervals."""
    return {
        "utterances": score.utterances,
        "failed": score.failed,
        "wer": _rate_json(score.wer),
        "cer": _rate_json(score.cer),
        "resampled_by": score.clusters.unit,
        "clusters": len(set(score.clusters.labels)),
        "voices": score.clusters.voices,
        "note": score.clusters.note,
    }


def _counts_json(counts: ErrorCounts) -> dict[str, Any]:
    rate = counts.rate
    return {
        "rate": rate if math.isfinite(rate) else None,
        **asdict(counts),
        "reference": counts.reference,
        "hypothesis": counts.hypothesis,
    }


def _rate_json(rate: Rate) -> dict[str, Any]:
    interval = rate.interval
    return _counts_json(rate.counts) | {
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
    }


def _breakdown_json(breakdown: Breakdown) -> dict[str, Any]:
    return {
        "columns": list(breakdown.columns),
        "worst": list(breakdown.worst.values) if breakdown.worst else None,
        "best": list(breakdown.best.values) if breakdown.best else None,
        "gap": breakdown.gap,
        "slices": [
            {"values": list(each.values), "guarded": each.guarded, **score_json(each.score)}
            for each in breakdown.slices
        ],
    }


def _code_switching_json(switching: CodeSwitching) -> dict[str, Any]:
    return {
        "utterances": switching.utterances,
        "switches": switching.switches,
        "languages": {name: _counts_json(each) for name, each in switching.languages.items()},
        "at_switches": _counts_json(switching.at_switches),
    }


def _lessons_json(found: Lessons) -> dict[str, Any]:
    return {
        "confusions": [asdict(each) for each in found.confusions[:MAX_CONFUSIONS]],
        "kinds": [asdict(each) for each in found.kinds],
        "symptoms": [asdict(each) for each in found.symptoms],
    }


def _failure_json(row: Row) -> dict[str, str]:
    return {"id": row.id, "audio": row.audio, "error": row.error}


def _row_json(row: Row) -> dict[str, Any]:
    return asdict(row) | {"metadata": dict(row.metadata)}


def _stored_row(record: dict[str, Any]) -> Row:
    """A row as stored; TypeError, KeyError or ValueError where it is no row."""
    texts = ("id", "audio", "speaker", "language", "reference", "hypothesis", "error")
    if not all(isinstance(record[name], str) for name in (*texts, "heard_language")):
        raise TypeError("an utterance's text field is not a string")
    return Row(
        **{name: record[name] for name in (*texts, "heard_language")},
        metadata={str(name): str(value) for name, value in record["metadata"].items()},
        words=_stored_counts(record["words"]),
        characters=_stored_counts(record["characters"]),
        duration=float(record["duration"]),
        seconds=float(record["seconds"]),
    )


def _stored_counts(record: dict[str, Any]) -> ErrorCounts:
    counts = [record[name] for name in ("hits", "substitutions", "deletions", "insertions")]
    if not all(type(count) is int and 0 <= count < 2**40 for count in counts):
        raise ValueError("a count is not a whole number, 0 or more")
    return ErrorCounts(*counts)
