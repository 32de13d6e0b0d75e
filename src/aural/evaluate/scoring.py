"""From outcomes of single utterances to scores of a corpus and of its slices."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aural.errors import InputError, UnknownName
from aural.metrics.bootstrap import RESAMPLES, Clusters, Interval, choose_clusters, ratio_interval
from aural.metrics.wer import ErrorCounts, character_errors, total, word_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aural.data.utterance import Utterance

NOT_GIVEN = "(none)"
"""The value of a column where an utterance has none."""


@dataclass(frozen=True)
class Outcome:
    """What a recogniser made of one utterance.

    text is what it wrote, language what it took it for, duration the audio's seconds (0: not
    known), seconds the time it took, settings the options it ran with. error is "" or says why
    there is no text.
    """

    id: str
    text: str
    language: str = ""
    duration: float = 0.0
    seconds: float = 0.0
    model: str = ""
    settings: str = ""
    error: str = ""


@dataclass(frozen=True)
class Row:
    """One utterance scored: texts as given, counts of the normalised ones.

    A failed utterance has an empty hypothesis, so every word of its reference is deleted.
    """

    id: str
    audio: str
    speaker: str
    language: str
    metadata: Mapping[str, str]
    reference: str
    hypothesis: str
    words: ErrorCounts
    characters: ErrorCounts
    heard_language: str
    duration: float
    seconds: float
    error: str


@dataclass(frozen=True)
class Sampling:
    """How intervals are drawn."""

    level: float = 0.95
    resamples: int = RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise InputError(f"level is {self.level}: it must be between 0 and 1")
        if not 100 <= self.resamples <= 1_000_000:
            raise InputError(f"resamples is {self.resamples}: it must be 100 to 1000000")
        if not 0 <= self.seed < 2**63:
            raise InputError(f"seed is {self.seed}: it must be a whole number from 0 on")


@dataclass(frozen=True)
class Guard:
    """The least a slice must hold before it may be called worst or best."""

    min_words: int = 100
    min_utterances: int = 5


@dataclass(frozen=True)
class Rate:
    """Counts, and the interval of their rate (None: fewer than two clusters)."""

    counts: ErrorCounts
    interval: Interval | None


@dataclass(frozen=True)
class Score:
    """Word and character error rate of some utterances, and what the intervals rest on."""

    utterances: int
    failed: int
    wer: Rate
    cer: Rate
    clusters: Clusters


@dataclass(frozen=True)
class Slice:
    """The utterances that share these values; guarded when too few to be judged."""

    values: tuple[str, ...]
    score: Score
    guarded: bool


@dataclass(frozen=True)
class Breakdown:
    """Slices by one column, or by several crossed, in falling order of word error rate.

    worst and best are among the slices that are not guarded; None where all are.
    """

    columns: tuple[str, ...]
    slices: tuple[Slice, ...]

    @property
    def worst(self) -> Slice | None:
        """The slice with the highest word error rate."""
        return next((each for each in self.slices if not each.guarded), None)

    @property
    def best(self) -> Slice | None:
        """The slice with the lowest word error rate."""
        return next((each for each in reversed(self.slices) if not each.guarded), None)

    @property
    def gap(self) -> float | None:
        """Word error rate of the worst less that of the best."""
        if self.worst is None or self.best is None:
            return None
        return self.worst.score.wer.counts.rate - self.best.score.wer.counts.rate


def score_row(utterance: Utterance, outcome: Outcome, normalise: Callable[[str], str]) -> Row:
    """The row of an utterance and what was heard."""
    reference, hypothesis = normalise(utterance.text), normalise(outcome.text)
    return Row(
        id=utterance.id,
        audio=str(utterance.audio).encode("utf-8", "backslashreplace").decode(),
        speaker=utterance.speaker,
        language=utterance.language,
        metadata=utterance.metadata,
        reference=utterance.text,
        hypothesis=outcome.text,
        words=word_errors(reference, hypothesis),
        characters=character_errors(reference, hypothesis),
        heard_language=outcome.language,
        duration=outcome.duration,
        seconds=outcome.seconds,
        error=outcome.error,
    )


def score_rows(rows: Sequence[Row], sampling: Sampling) -> Score:
    """Rates over all the rows, resampled by speaker, or by recording where fewer than ten spoke."""
    clusters = choose_clusters([row.speaker for row in rows], [row.audio for row in rows])
    return Score(
        utterances=len(rows),
        failed=sum(bool(row.error) for row in rows),
        wer=_rate([row.words for row in rows], clusters, sampling),
        cer=_rate([row.characters for row in rows], clusters, sampling),
        clusters=clusters,
    )


def _rate(counts: Sequence[ErrorCounts], clusters: Clusters, sampling: Sampling) -> Rate:
    interval = ratio_interval(
        [each.errors for each in counts],
        [each.reference for each in counts],
        clusters.labels,
        level=sampling.level,
        resamples=sampling.resamples,
        seed=sampling.seed,
    )
    return Rate(total(counts), interval)


def parse_columns(by: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Breakdowns to make: "a,b" is by a and by b, "a*b" by both crossed.

    Raises:
        InputError: a name is missing.
    """
    wanted = [part for each in by for part in each.split(",")]
    columns = tuple(tuple(name.strip() for name in part.split("*")) for part in wanted)
    if not all(all(names) for names in columns):
        raise InputError(f"{','.join(by)!r}: give column names as accent,noise or accent*noise")
    return tuple(dict.fromkeys(columns))


def check_columns(utterances: Sequence[Utterance], columns: Sequence[tuple[str, ...]]) -> None:
    """Raise UnknownName for a column that no utterance has."""
    known = {"speaker", "language", *(name for each in utterances for name in each.metadata)}
    for name in (name for names in columns for name in names):
        if name not in known:
            raise UnknownName("column", name, tuple(sorted(known)))


def break_down(
    rows: Sequence[Row], columns: tuple[str, ...], guard: Guard, sampling: Sampling
) -> Breakdown:
    """The score of every combination of values that occurs."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(_value(row, name) for name in columns)].append(row)
    slices = [_slice(values, members, guard, sampling) for values, members in groups.items()]
    slices.sort(key=lambda each: (-each.score.wer.counts.rate, each.values))
    return Breakdown(columns, tuple(slices))


def _slice(
    values: tuple[str, ...], members: Sequence[Row], guard: Guard, sampling: Sampling
) -> Slice:
    score = score_rows(members, sampling)
    enough_words = score.wer.counts.reference >= max(1, guard.min_words)
    return Slice(values, score, not (enough_words and len(members) >= guard.min_utterances))


def _value(row: Row, column: str) -> str:
    own = {"speaker": row.speaker, "language": row.language}
    return (own.get(column) or row.metadata.get(column, "")) or NOT_GIVEN
