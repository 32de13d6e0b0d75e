"""Which way to listen: of many settings the one with the lowest error within a latency.

A manifest is parted, whole speakers or recordings to either side. Every setting hears the one part;
the other is heard by the setting that is picked alone, and what it does there is the result: the
lowest of many errors is partly luck, and is never told without the other beside it.

A difference in error that chance could have made is no reason to choose: of the settings within the
limit whose paired interval (Bisani & Ney 2004) does not set them apart from the lowest error, the
one with the lowest latency is picked, then the one that computes least.
"""

from __future__ import annotations

import itertools
import math
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from aural import models
from aural.data.manifest import read_manifest
from aural.errors import AudioError, InputError, UnknownName
from aural.evaluate.hearings import Hearing, identity, kept_file, read_hearings
from aural.evaluate.hypotheses import append_hypothesis
from aural.evaluate.latency import (
    Latency,
    Setting,
    can_simulate,
    latency_of,
    listen_to,
    offline_text,
    simulated_text,
    stream_of,
)
from aural.evaluate.scoring import Sampling, Score, score_row, score_rows
from aural.evaluate.transcribe import AUTO, choose_normaliser
from aural.metrics.bootstrap import paired_difference
from aural.metrics.wer import ErrorCounts, total, word_errors
from aural.types import StreamingRecogniser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from aural.data.utterance import Utterance
    from aural.evaluate.scoring import Row
    from aural.metrics.bootstrap import Difference
    from aural.text.normalise import Normaliser

    Hear = Callable[[Utterance, Setting], Hearing]

MEASURES: Mapping[str, Callable[[Latency], float]] = {
    "first-word-p50": lambda latency: latency.first_word.p50,
    "first-word-p95": lambda latency: latency.first_word.p95,
    "shown-p50": lambda latency: latency.shown.p50,
    "shown-p95": lambda latency: latency.shown.p95,
    "final-p50": lambda latency: latency.final.p50,
    "final-p95": lambda latency: latency.final.p95,
    "clock-p50": lambda latency: latency.clock_final.p50,
    "clock-p95": lambda latency: latency.clock_final.p95,
}
"""What a latency can be counted by, in seconds: "first-word" from a recording's first word until it
was shown, "shown" and "final" from a word's end, in seconds of sound; "clock" is "final" with this
machine's computing."""
MIN_VOICES = 4
"""Fewer speakers than this are not parted; their recordings are."""
SAME_SECONDS = 0.01
"""Latencies nearer than this are one."""
Verdict = Literal["picked", "not distinguishable", "worse", "over the limit", "nothing final"]


@dataclass(frozen=True)
class Space:
    """Values to be tried, each with each: chunk_seconds and look_ahead_seconds of models made for
    chunks, step_seconds of the others, which hear a growing window. beam_sizes empty: 1 and 4
    chunk-wise, else 1.
    """

    chunk_seconds: tuple[float, ...] = (0.16, 0.32, 0.64)
    look_ahead_seconds: tuple[float, ...] = (0.0, 0.16)
    step_seconds: tuple[float, ...] = (0.5, 1.0, 2.0)
    beam_sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("chunk_seconds", "look_ahead_seconds", "step_seconds", "beam_sizes"):
            values = getattr(self, name)
            if not values and name != "beam_sizes":
                raise InputError(f"{name} has no value; give at least one")
            if len(set(values)) < len(values):
                raise InputError(f"{name} is {', '.join(map(str, values))}; give each value once")


@dataclass(frozen=True)
class TuneOptions:
    """max_latency: seconds that the measure, one of MEASURES, may be; None: any. holdout: share of
    the utterances that are parted off under sampling.seed. normaliser: as evaluate_transcribe has
    it.
    """

    max_latency: float | None = None
    measure: str = "final-p95"
    holdout: float = 0.5
    normaliser: str = AUTO
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        if self.max_latency is not None and not 0 < self.max_latency < math.inf:
            raise InputError(f"max_latency is {self.max_latency}; give more than 0 seconds")
        if self.measure not in MEASURES:
            raise UnknownName("latency", self.measure, tuple(MEASURES))
        if not 0 < self.holdout < 1:
            raise InputError(f"holdout is {self.holdout}; give more than 0, below 1")

    @property
    def limit(self) -> float:
        """Seconds, infinite where any will do."""
        return math.inf if self.max_latency is None else self.max_latency


@dataclass(frozen=True)
class Candidates:
    """Settings to be tried, and those that a model can't follow with the reason."""

    settings: tuple[Setting, ...]
    left_out: tuple[tuple[Setting, str], ...] = ()


def candidates(
    names: Iterable[str], space: Space = Space(), common: Setting | None = None
) -> Candidates:
    """Every setting of the models in a space; the models are loaded.

    common has what is alike in all of them: language, window, endpoint (of models made for chunks;
    the others have "vad"), device, threads.

    Raises:
        InputError: no model, or one that can follow none of the settings.
    """
    found: list[Setting] = []
    left_out: list[tuple[Setting, str]] = []
    for name in names:
        own = _settings(replace(common, model=name) if common else Setting(name), space)
        refused = {each: why for each in own if (why := _refusal(each))}
        if len(refused) == len(own):
            raise InputError(f"{name} can't be tuned: {refused[own[0]]}")
        found += [each for each in own if each not in refused]
        left_out += refused.items()
    if not found:
        raise InputError("no model is named; give at least one")
    return Candidates(tuple(found), tuple(left_out))


def _settings(base: Setting, space: Space) -> list[Setting]:
    recogniser: Any = models.load(base.model, device=base.device, threads=base.threads)
    if isinstance(recogniser, StreamingRecogniser):
        return [
            replace(base, chunk_seconds=chunk, look_ahead_seconds=ahead, beam_size=beam)
            for chunk, ahead, beam in itertools.product(
                space.chunk_seconds, space.look_ahead_seconds, space.beam_sizes or (1, 4)
            )
        ]
    return [
        replace(base, mode="agreement", endpoint="vad", step_seconds=step, beam_size=beam)
        for step, beam in itertools.product(space.step_seconds, space.beam_sizes or (1,))
    ]


def _refusal(setting: Setting) -> str:
    """Why a model can't follow a setting; "" where it can."""
    try:
        stream_of(setting, None if setting.language == "manifest" else setting.language)
    except InputError as error:
        return str(error)
    return ""


def hear(utterance: Utterance, setting: Setting) -> Hearing:
    """Listen to an utterance, or transcribe it where the setting is offline; one that can't be read
    has an error in the place of a text."""
    found = Hearing(utterance.id, "", model=setting.model, settings=identity(setting))
    try:
        if setting.mode == "offline":
            return replace(found, text=offline_text(utterance, setting))
        heard = listen_to(utterance, setting)
    except (AudioError, OSError) as error:
        return replace(found, error=f"{type(error).__name__}: {error}")
    simulated = simulated_text(heard, setting) if can_simulate(setting) else None
    return found.filled(heard.listening, simulated)


@dataclass(frozen=True)
class Parts:
    """A manifest's utterances: those that settings are chosen by, those held out, and what was held
    out whole."""

    tuned: tuple[Utterance, ...]
    held: tuple[Utterance, ...]
    unit: Literal["speaker", "recording"]


def divide(utterances: Sequence[Utterance], holdout: float, seed: int) -> Parts:
    """Hold out whole speakers, about so large a share of all utterances; recordings where some are
    nobody's or there are fewer than MIN_VOICES.

    Raises:
        InputError: there is one recording only.
    """
    voices = [each.speaker for each in utterances]
    by_speaker = all(voices) and len(set(voices)) >= MIN_VOICES
    labels = voices if by_speaker else [str(each.audio) for each in utterances]
    counts = Counter(labels)
    if len(counts) < 2:
        raise InputError(
            "all utterances are of one recording, so none can be held out; give two or more"
        )
    held: list[str] = []
    order = sorted(counts)
    for index in np.random.default_rng(seed).permutation(len(order)):
        taken = sum(counts[label] for label in held)
        if taken + counts[order[index]] / 2 < holdout * len(labels):
            held.append(order[index])
    if not held:
        held = [min(order, key=lambda label: counts[label])]
    if len(held) == len(order):
        held.pop()
    pairs = list(zip(utterances, labels, strict=True))
    return Parts(
        tuple(each for each, label in pairs if label not in held),
        tuple(each for each, label in pairs if label in held),
        "speaker" if by_speaker else "recording",
    )


@dataclass(frozen=True)
class Trial:
    """What a setting made of some utterances.

    simulated: the score of the texts that the same chunks give
    at once, differing how many of them are others than the stream's (None: not simulated); offline:
    the score of the model offline, and distance the errors of the stream's texts against those
    (None: not compared).
    """

    setting: Setting
    rows: tuple[Row, ...]
    score: Score
    latency: Latency
    simulated: Score | None = None
    differing: int | None = None
    offline: Score | None = None
    distance: ErrorCounts | None = None

    @property
    def rate(self) -> float:
        """Word error rate."""
        return self.score.wer.counts.rate

    @property
    def computing(self) -> float:
        """Seconds for each second of sound."""
        return self.latency.real_time_factor


@dataclass(frozen=True)
class Candidate:
    """A trial as it was judged: its latency by the measure (NaN where no word was final), whether
    no other setting has both less error and less latency, and its error less the lowest within the
    limit (None: not within, or too little to resample)."""

    trial: Trial
    late: float
    front: bool
    verdict: Verdict
    difference: Difference | None = None


@dataclass(frozen=True)
class Choice:
    """Candidates in the order given. best has the lowest error within the limit, peers counts those
    not distinguishable from it, itself among them; pick and best are None where no setting is
    within it, nearest is then the one with the lowest latency (None where no word was final)."""

    candidates: tuple[Candidate, ...]
    pick: Candidate | None
    best: Candidate | None
    peers: int
    nearest: Candidate | None


def choose(trials: Sequence[Trial], options: TuneOptions) -> Choice:
    """Judge trials of the same utterances, and pick."""
    late = [MEASURES[options.measure](each.latency) for each in trials]
    front = pareto([each.rate for each in trials], late)
    within = [i for i, seconds in enumerate(late) if seconds <= options.limit]
    best = min(within, key=lambda i: (trials[i].rate, late[i]), default=None)
    differences = {
        i: _difference(trials[best], trials[i], options.sampling)
        for i in within
        if best is not None and i != best
    }
    peers = [i for i in within if not _is_worse(differences.get(i))]
    pick = min(peers, key=lambda i: _cost(trials[i], late[i]), default=None)

    def verdict(i: int) -> Verdict:
        if math.isnan(late[i]):
            return "nothing final"
        if i not in within:
            return "over the limit"
        return "picked" if i == pick else "not distinguishable" if i in peers else "worse"

    judged = tuple(
        Candidate(trial, late[i], front[i], verdict(i), differences.get(i))
        for i, trial in enumerate(trials)
    )
    timed = (each for each in judged if not math.isnan(each.late))
    return Choice(
        judged,
        None if pick is None else judged[pick],
        None if best is None else judged[best],
        len(peers),
        min(timed, key=lambda each: each.late, default=None) if pick is None else None,
    )


def _difference(best: Trial, other: Trial, sampling: Sampling) -> Difference | None:
    return paired_difference(
        [row.words.errors for row in best.rows],
        [row.words.errors for row in other.rows],
        [row.words.reference for row in best.rows],
        best.score.clusters.labels,
        level=sampling.level,
        resamples=sampling.resamples,
        seed=sampling.seed,
    )


def _is_worse(difference: Difference | None) -> bool:
    return difference is not None and difference.interval.low > 0


def _cost(trial: Trial, late: float) -> tuple[float, float, float]:
    return round(late / SAME_SECONDS), trial.computing, trial.rate


def pareto(errors: Sequence[float], late: Sequence[float]) -> list[bool]:
    """Whether no other has at most the error and at most the latency, and less of one; a latency
    that is NaN is on no front."""
    points = list(zip(errors, late, strict=True))
    return [
        not math.isnan(y) and not any(a <= x and b <= y and (a, b) != (x, y) for a, b in points)
        for x, y in points
    ]


@dataclass(frozen=True)
class Tuned:
    """A search at its end. held is the pick on the part held out; None where there is no pick."""

    manifest: str
    options: TuneOptions
    normaliser: Normaliser
    parts: Parts
    choice: Choice
    held: Trial | None
    left_out: tuple[tuple[Setting, str], ...] = ()

    @property
    def failures(self) -> tuple[Row, ...]:
        """Utterances that could not be read, once each."""
        trials = [each.trial for each in self.choice.candidates]
        rows = [row for trial in (*trials, *filter(None, [self.held])) for row in trial.rows]
        return tuple({row.id: row for row in rows if row.error}.values())

    def late(self, trial: Trial) -> float:
        """A trial's latency by the measure, in seconds; NaN where no word was final."""
        return MEASURES[self.options.measure](trial.latency)


def tune(
    manifest: str | os.PathLike[str] | Sequence[Utterance],
    settings: Candidates | Sequence[Setting],
    *,
    options: TuneOptions = TuneOptions(),
    hypotheses: Path | None = None,
    hear: Hear = hear,
    progress: Callable[[str, int, int], None] | None = None,
) -> Tuned:
    """Try every setting on one part of a manifest, pick one, and try that on the other part.

    Args:
        manifest: A path or corpus:NAME as read_manifest takes, or utterances.
        settings: What is tried, as candidates() has it, or of your own; none offline.
        options: What is looked for.
        hypotheses: A folder that keeps what was heard, so that a stopped search goes on: what
            stands there, of the same setting and weights, is not heard again.
        hear: Hears an utterance under a setting.
        progress: Called before each hearing with what is heard, how many are done and how many
            there are of this part.

    Raises:
        ManifestError: the manifest or the hypotheses can't be read.
        InputError: no setting, the same twice, one offline, or nothing to hold out or to count.
        UnknownName: no such normaliser.
    """
    given = settings if isinstance(settings, Candidates) else Candidates(tuple(settings))
    _check(given.settings)
    name = os.fspath(manifest) if isinstance(manifest, str | os.PathLike) else "(utterances)"
    utterances = read_manifest(name) if isinstance(manifest, str | os.PathLike) else list(manifest)
    if not utterances or len({each.id for each in utterances}) < len(utterances):
        raise InputError("give at least one utterance, each with an id of its own")
    parts = divide(utterances, options.holdout, options.sampling.seed)
    normalise = choose_normaliser(options.normaliser, utterances)
    for part in (parts.tuned, parts.held):
        if not any(normalise(each.text).split() for each in part):
            raise InputError("a part of the manifest has no word; give texts to count errors by")
    searching = _Search(normalise, options.sampling, hypotheses, hear, progress)
    choice = choose(searching.trials(given.settings, parts.tuned), options)
    held = None
    if choice.pick is not None:
        (held,) = searching.trials([choice.pick.trial.setting], parts.held)
    return Tuned(name, options, normalise, parts, choice, held, given.left_out)


def _check(settings: Sequence[Setting]) -> None:
    if not settings:
        raise InputError("give at least one setting")
    if len(set(settings)) < len(settings):
        raise InputError("a setting is given twice; give each once")
    odd = [each for each in settings if each.mode not in ("chunkwise", "agreement")]
    if odd:
        raise InputError(f"{odd[0].name} hears no stream, so it can't be tuned; leave it out")


@dataclass(frozen=True)
class _Search:
    """Settings in, trials out."""

    normalise: Normaliser
    sampling: Sampling
    folder: Path | None
    hear: Hear
    progress: Callable[[str, int, int], None] | None

    def trials(self, settings: Sequence[Setting], utterances: Sequence[Utterance]) -> list[Trial]:
        """One a setting. What hears a growing window is also heard offline, once a model and beam,
        to be compared with."""
        jobs: dict[Setting, list[Hearing]] = {}
        for setting in settings:
            jobs |= {each: [] for each in filter(None, [_offline(setting), setting])}
        for place, setting in enumerate(jobs):
            jobs[setting] = self._heard(setting, utterances, place * len(utterances), len(jobs))
        return [
            self._trial(setting, jobs[setting], jobs.get(_offline(setting) or setting), utterances)
            for setting in settings
        ]

    def _heard(
        self, setting: Setting, utterances: Sequence[Utterance], before: int, jobs: int
    ) -> list[Hearing]:
        path = kept_file(self.folder, setting) if self.folder is not None else None
        known = read_hearings(path) if path is not None else {}
        found = []
        for done, utterance in enumerate(utterances, start=before):
            if self.progress is not None:
                self.progress(setting.name, done, jobs * len(utterances))
            hearing = known.get(utterance.id)
            if hearing is None:
                hearing = self.hear(utterance, setting)
                if path is not None:
                    append_hypothesis(path, hearing)
            found.append(hearing)
        return found

    def _trial(
        self,
        setting: Setting,
        hearings: Sequence[Hearing],
        offline: Sequence[Hearing] | None,
        utterances: Sequence[Utterance],
    ) -> Trial:
        rows = self._rows(utterances, hearings)
        trial = Trial(
            setting,
            rows,
            score_rows(rows, self.sampling),
            latency_of([each for each in hearings if not each.error]),
        )
        if setting.mode == "agreement" and offline is not None:
            pairs = zip(offline, hearings, strict=True)
            counts = (
                word_errors(self.normalise(whole.text), self.normalise(streamed.text))
                for whole, streamed in pairs
            )
            score = score_rows(self._rows(utterances, offline), self.sampling)
            return replace(trial, offline=score, distance=total(counts))
        if any(each.simulated is None and not each.error for each in hearings):
            return trial
        same = [replace(each, text=each.simulated or "") for each in hearings]
        return replace(
            trial,
            simulated=score_rows(self._rows(utterances, same), self.sampling),
            differing=sum(a.text != b.text for a, b in zip(same, hearings, strict=True)),
        )

    def _rows(
        self, utterances: Sequence[Utterance], hearings: Sequence[Hearing]
    ) -> tuple[Row, ...]:
        pairs = zip(utterances, hearings, strict=True)
        return tuple(score_row(utterance, each, self.normalise) for utterance, each in pairs)


def _offline(setting: Setting) -> Setting | None:
    """The setting that one of agreement is compared with."""
    if setting.mode != "agreement":
        return None
    plain = Setting(setting.model)
    return replace(
        setting,
        mode="offline",
        step_seconds=plain.step_seconds,
        window_seconds=plain.window_seconds,
    )
