"""Two systems on the same utterances: is the difference more than chance?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from aural.errors import InputError
from aural.metrics.bootstrap import (
    RESAMPLES,
    Clusters,
    Difference,
    choose_clusters,
    paired_difference,
)
from aural.metrics.wer import ErrorCounts, total

if TYPE_CHECKING:
    from aural.evaluate.report import StoredReport

COMPARISON_VERSION = 1
COMPARISON_KIND = "aural.evaluate.compare"
COMPARISON_MEASURES = (
    "wer.difference", "wer.difference.low", "wer.difference.high", "wer.p",
    "cer.difference", "cer.difference.low", "cer.difference.high", "cer.p",
)  # fmt: skip
"""What a gate can hold a comparison to."""


@dataclass(frozen=True)
class System:
    """One side of a comparison."""

    path: str
    model: str
    words: ErrorCounts
    characters: ErrorCounts


@dataclass(frozen=True)
class Comparison:
    """The second system's error rates less the first's; negative: the second is better.

    wer and cer are None where there are fewer than two clusters to resample.
    """

    first: System
    second: System
    utterances: int
    clusters: Clusters
    wer: Difference | None
    cer: Difference | None

    def measures(self) -> dict[str, float | None]:
        """Every measure of COMPARISON_MEASURES; None where it could not be had."""
        values: dict[str, float | None] = {}
        for name, each in (("wer", self.wer), ("cer", self.cer)):
            values[f"{name}.difference"] = each.value if each else None
            values[f"{name}.difference.low"] = each.interval.low if each else None
            values[f"{name}.difference.high"] = each.interval.high if each else None
            values[f"{name}.p"] = each.p if each else None
        return values

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schema_version": COMPARISON_VERSION,
            "kind": COMPARISON_KIND,
            "first": asdict(self.first),
            "second": asdict(self.second),
            "utterances": self.utterances,
            "resampled_by": self.clusters.unit,
            "voices": self.clusters.voices,
            "note": self.clusters.note,
            "wer": self.wer and asdict(self.wer),
            "cer": self.cer and asdict(self.cer),
        }


def compare(
    first: StoredReport,
    second: StoredReport,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Paired differences of word and character error rate, the same clusters drawn for both.

    Raises:
        InputError: the reports are of other utterances or normalisers, so nothing can be paired.
    """
    _check_comparable(first, second)
    others = {row.id: row for row in second.rows}
    pairs = [(row, others[row.id]) for row in first.rows]
    clusters = choose_clusters([row.speaker for row in first.rows], [r.audio for r in first.rows])

    def difference(counts: str) -> Difference | None:
        return paired_difference(
            [getattr(left, counts).errors for left, _ in pairs],
            [getattr(right, counts).errors for _, right in pairs],
            [getattr(left, counts).reference for left, _ in pairs],
            clusters.labels,
            level=level,
            resamples=resamples,
            seed=seed,
        )

    return Comparison(
        first=_system(first),
        second=_system(second),
        utterances=len(pairs),
        clusters=clusters,
        wer=difference("words"),
        cer=difference("characters"),
    )


def _system(report: StoredReport) -> System:
    return System(
        path=report.path,
        model=report.model,
        words=total(row.words for row in report.rows),
        characters=total(row.characters for row in report.rows),
    )


def _check_comparable(first: StoredReport, second: StoredReport) -> None:
    if first.normaliser != second.normaliser:
        raise InputError(
            f"{first.path} was counted under {first.normaliser}, {second.path} under "
            f"{second.normaliser}: evaluate both under one normaliser"
        )
    left = {row.id: row.reference for row in first.rows}
    right = {row.id: row.reference for row in second.rows}
    if len(left) < len(first.rows) or len(right) < len(second.rows):
        raise InputError("a report names an utterance twice")
    if left != right:
        only = sorted(left.keys() ^ right.keys())
        why = f"{only[0]!r} is in one alone" if only else "their reference texts differ"
        raise InputError(f"{first.path} and {second.path} are not of the same utterances: {why}")
