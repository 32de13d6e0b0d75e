"""Intervals of a ratio of sums (errors / words) by resampling whole clusters.

What one speaker says is not independent, so speakers are drawn, not utterances; where fewer than
ten spoke, recordings are drawn instead and the interval says that it speaks of these voices only.
Percentile intervals of few clusters are too narrow; the expanded percentile of Hesterberg, "What
Teachers Should Know About the Bootstrap" (2015), section 5.3, widens them as Student's t does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MIN_SPEAKERS = 10
RESAMPLES = 10_000
_BLOCK_CELLS = 4_000_000
"""Drawn cluster indices held at once: 32 MB."""


@dataclass(frozen=True)
class Clusters:
    """Which cluster each utterance belongs to.

    labels: one an utterance. unit says what a cluster is; voices is the number of distinct named
    speakers (0: not known).
    """

    labels: tuple[str, ...]
    unit: Literal["speaker", "recording"]
    voices: int

    @property
    def note(self) -> str:
        """What the interval does not cover; empty where it is by speaker."""
        if self.unit == "speaker":
            return ""
        voices = "1 voice" if self.voices == 1 else f"{self.voices} voices"
        return f"{voices if self.voices else 'voices unknown'}: does not generalise to others"


@dataclass(frozen=True)
class Interval:
    """A bootstrap interval of a ratio; low <= high, both of the ratio's own unit."""

    low: float
    high: float
    level: float
    clusters: int
    resamples: int
    seed: int


@dataclass(frozen=True)
class Difference:
    """A paired difference of two systems' ratios, the second's minus the first's.

    p is two-sided: the smallest 1 - level whose interval leaves out 0.
    """

    value: float
    interval: Interval
    p: float


def choose_clusters(
    speakers: Sequence[str], recordings: Sequence[str], *, min_speakers: int = MIN_SPEAKERS
) -> Clusters:
    """Speakers as clusters where enough are named, else recordings.

    Args:
        speakers: One an utterance, "" where not known: such an utterance counts by its recording.
        recordings: One an utterance; utterances cut from one file share theirs.
        min_speakers: Fewer named speakers than this are not resampled.
    """
    voices = len(set(speakers) - {""})
    if voices < min_speakers:
        return Clusters(tuple(recordings), "recording", voices)
    pairs = zip(speakers, recordings, strict=True)
    labels = tuple(f"speaker {s}" if s else f"recording {r}" for s, r in pairs)
    return Clusters(labels, "speaker", voices)


def ratio_interval(
    numerators: Sequence[float],
    denominators: Sequence[float],
    clusters: Sequence[str],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """Interval of sum(numerators) / sum(denominators), clusters drawn with replacement.

    None where there is nothing to resample: fewer than two clusters, or none with a denominator.
    Draws whose denominators sum to 0 are left out.

    Raises:
        InputError: level is not within (0, 1), or the sequences differ in length.
    """
    if not 0 < level < 1:
        raise InputError(f"the level of an interval is between 0 and 1, not {level}")
    sums = _cluster_sums(clusters, numerators, denominators)
    if len(sums) < 2 or not sums[:, 1].any():
        return None
    ratios = _resampled_ratios(sums, resamples, seed)
    tail = expanded_tail(level, len(sums))
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return Interval(float(low), float(high), level, len(sums), resamples, seed)


def paired_difference(
    first: Sequence[float],
    second: Sequence[float],
    denominators: Sequence[float],
    clusters: Sequence[str],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference | None:
    """How much the second system's ratio exceeds the first's, the same clusters drawn for both.

    first and second are error counts of the same utterances, denominators their reference lengths
    (the method of Bisani & Ney, "Bootstrap estimates for confidence intervals in ASR performance
    evaluation", 2004). None where there is nothing to resample.

    Raises:
        InputError: as ratio_interval.
    """
    gained = np.asarray(second, dtype=float) - np.asarray(first, dtype=float)
    interval = ratio_interval(
        gained.tolist(), denominators, clusters, level=level, resamples=resamples, seed=seed
    )
    if interval is None:
        return None
    sums = _cluster_sums(clusters, gained.tolist(), denominators)
    ratios = _resampled_ratios(sums, resamples, seed)
    value = float(gained.sum() / np.sum(denominators))
    return Difference(value, interval, _two_sided_p(ratios, len(sums)))


def resampled_rates(
    numerators: np.ndarray,
    denominators: Sequence[float],
    clusters: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> np.ndarray:
    """Rates of several counts of the same utterances, the same clusters drawn for all of them.

    numerators: shape = (count, utterance), one row a condition or system. Returns shape =
    (draws, count); draws whose denominators sum to 0 are left out.

    Raises:
        InputError: the shapes do not fit.
    """
    rows = np.atleast_2d(np.asarray(numerators, float))
    if rows.shape[1] != len(denominators) or len(denominators) != len(clusters):
        raise InputError("numerators, denominators and clusters are one an utterance")
    labels, index = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.zeros((len(labels), len(rows) + 1))
    np.add.at(sums, index, np.concatenate((rows, [np.asarray(denominators, float)])).T)
    generator = np.random.default_rng(seed)
    even = np.full(len(labels), 1 / len(labels))
    at_once = max(1, _BLOCK_CELLS // len(labels))
    totals = np.concatenate(
        [
            generator.multinomial(len(labels), even, min(at_once, resamples - start)) @ sums
            for start in range(0, resamples, at_once)
        ]
    )
    totals = totals[totals[:, -1] > 0]
    return totals[:, :-1] / totals[:, -1:]


def expanded_tail(level: float, clusters: int) -> float:
    """Share of draws cut off at each end so that few clusters cover as Student's t would."""
    from scipy.special import ndtr, stdtrit

    quantile = stdtrit(clusters - 1, (1 - level) / 2)
    return float(ndtr(np.sqrt(clusters / (clusters - 1)) * quantile))


def _two_sided_p(differences: np.ndarray, clusters: int) -> float:
    """The p whose interval just touches 0; at least 2 / (resamples + 1) before expansion."""
    from scipy.special import ndtri, stdtr

    beyond = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    tail = (beyond + 1) / (len(differences) + 1)
    if tail >= 0.5:
        return 1.0
    return float(2 * stdtr(clusters - 1, ndtri(tail) / np.sqrt(clusters / (clusters - 1))))


def _cluster_sums(
    clusters: Sequence[str], numerators: Sequence[float], denominators: Sequence[float]
) -> np.ndarray:
    """Sums a cluster, shape = (clusters, 2): numerator, denominator; clusters in sorted order."""
    if not len(clusters) == len(numerators) == len(denominators):
        raise InputError("numerators, denominators and clusters are one an utterance")
    if not clusters:
        return np.zeros((0, 2))
    labels, index = np.unique(np.asarray(clusters), return_inverse=True)
    columns = [
        np.bincount(index, weights=w, minlength=len(labels)) for w in (numerators, denominators)
    ]
    return np.stack(columns, axis=1)


def _resampled_ratios(sums: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Ratios of resampled clusters, shape = (resamples,) or fewer where a denominator was 0."""
    totals = np.concatenate(list(_resampled_totals(sums, resamples, seed)))
    kept = totals[:, 1] > 0
    return totals[kept, 0] / totals[kept, 1]


def _resampled_totals(sums: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks of shape (draws, 2), so that memory stays bounded whatever the corpus."""
    generator = np.random.default_rng(seed)
    count = len(sums)
    at_once = max(1, _BLOCK_CELLS // count)
    for start in range(0, resamples, at_once):
        draws = min(at_once, resamples - start)
        yield sums[generator.integers(0, count, size=(draws, count))].sum(axis=1)
