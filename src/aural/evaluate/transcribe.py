"""Evaluate transcription: a manifest, a recogniser and a normaliser become a Report."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aural.data.manifest import read_manifest
from aural.errors import AudioError, AuralError, InputError, MissingExtra, WeightsError
from aural.evaluate.code_switch import code_switching
from aural.evaluate.hypotheses import append_hypothesis, read_hypotheses
from aural.evaluate.machine import describe_machine, peak_memory
from aural.evaluate.report import NormaliserUsed, Report, Speed
from aural.evaluate.scoring import (
    Guard,
    Outcome,
    Sampling,
    break_down,
    check_columns,
    parse_columns,
    score_row,
    score_rows,
)
from aural.metrics.bootstrap import RESAMPLES
from aural.text.normalise import Normaliser
from aural.text.normalise import normaliser as find_normaliser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from aural.data.utterance import Utterance
    from aural.types import Transcript

AUTO = "auto"
_FAULTS_OF_THE_RUN = (InputError, WeightsError, MissingExtra)
"""Wrong options and missing weights stop the run; audio that can't be read (an InputError too) is
the utterance's own fault."""


@dataclass(frozen=True)
class Recogniser:
    """What is evaluated: a name for the report, and Utterance -> Transcript.

    prepare is called once before the first utterance, outside its time. weights (file name ->
    SHA-256) and settings ("language=en threads=2") are printed with the result.
    """

    model: str
    transcribe: Callable[[Utterance], Transcript]
    prepare: Callable[[], None] | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
    settings: str = ""


def evaluate_transcribe(
    manifest: str | os.PathLike[str] | Sequence[Utterance],
    recogniser: Recogniser,
    *,
    normaliser: str = AUTO,
    by: Sequence[str] = (),
    min_words: int = 100,
    min_utterances: int = 5,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    timeout: float | None = None,
    hypotheses: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Recognise every utterance and score it.

    An utterance whose audio can't be read, that takes longer than timeout or that raises another
    AuralError counts as fully deleted, and the report lists it.

    Args:
        manifest: A path or corpus:NAME as read_manifest takes, or utterances.
        recogniser: What to evaluate; model_recogniser makes one of a model's name.
        normaliser: Name of a text normaliser; auto is whisper-english where every utterance says
            that it is English, else whisper-basic.
        by: Columns to break the result down by: "accent,noise" by each, "accent*noise" crossed.
        min_words: A slice of fewer reference words is shown but never called worst.
        min_utterances: Nor is one of fewer utterances.
        level: Share of intervals that should hold the truth.
        resamples: Draws an interval.
        seed: Of the draws.
        timeout: Seconds an utterance may take; None: any. Works in the main thread only.
        hypotheses: A file that keeps what was recognised; what stands there is not done again.
        progress: Called after each utterance with how many are done and how many there are.

    Raises:
        ManifestError: the manifest or the hypotheses can't be read.
        InputError: an option is out of range, or the hypotheses are another model's.
        UnknownName: no such normaliser, column or model.
        WeightsError: the model's weights can't be had.
    """
    _check_options(min_words, min_utterances, timeout)
    sampling, guard = Sampling(level, resamples, seed), Guard(min_words, min_utterances)
    columns = parse_columns(by)
    name, utterances = _load(manifest)
    check_columns(utterances, columns)
    if not utterances or len({each.id for each in utterances}) < len(utterances):
        raise InputError("give at least one utterance, each with an id of its own")
    normalise = choose_normaliser(normaliser, utterances)
    kept = Path(hypotheses) if hypotheses is not None else None
    known = read_hypotheses(kept) if kept is not None else {}
    outcomes = _recognise(utterances, recogniser, known, timeout, kept, progress)
    pairs = list(zip(utterances, outcomes, strict=True))
    speed = _speed(outcomes, recognised=any(each.id not in known for each in utterances))
    return _score(name, pairs, recogniser, speed, columns, normalise, sampling, guard)


def _score(
    manifest: str,
    pairs: Sequence[tuple[Utterance, Outcome]],
    recogniser: Recogniser,
    speed: Speed,
    columns: Sequence[tuple[str, ...]],
    normalise: Normaliser,
    sampling: Sampling,
    guard: Guard,
) -> Report:
    """The report on outcomes of one system, which is the recogniser unless they say otherwise."""
    rows = tuple(score_row(utterance, outcome, normalise) for utterance, outcome in pairs)
    first = pairs[0][1]
    return Report(
        manifest=manifest,
        model=first.model or "an unnamed system",
        weights=recogniser.weights if first.model == recogniser.model else {},
        settings=first.settings,
        normaliser=NormaliserUsed(normalise.name, normalise.version, normalise.fingerprint),
        sampling=sampling,
        guard=guard,
        overall=score_rows(rows, sampling),
        breakdowns=tuple(break_down(rows, names, guard, sampling) for names in columns),
        code_switching=code_switching(((each, heard.text) for each, heard in pairs), normalise),
        speed=speed,
        machine=describe_machine(),
        rows=rows,
    )


def _load(
    manifest: str | os.PathLike[str] | Sequence[Utterance],
) -> tuple[str, list[Utterance]]:
    """The manifest's name for the report, and its utterances."""
    if isinstance(manifest, str | os.PathLike):
        return os.fspath(manifest), read_manifest(manifest)
    return "(utterances)", list(manifest)


def _check_options(min_words: int, min_utterances: int, timeout: float | None) -> None:
    if min_words < 0 or min_utterances < 0:
        raise InputError("min_words and min_utterances are 0 or more")
    if timeout is not None and not timeout > 0:
        raise InputError(f"timeout is {timeout}: it must be more than 0 seconds")
    main = threading.current_thread() is threading.main_thread()
    if timeout is not None and not (main and hasattr(signal, "setitimer")):
        raise InputError("timeout works in the main thread of a POSIX system only")


def choose_normaliser(name: str, utterances: Sequence[Utterance]) -> Normaliser:
    """That of a name; AUTO is Whisper's for English where all utterances are of it, else its basic
    one."""
    if name == AUTO:
        english = all(each.language.partition("-")[0] == "en" for each in utterances)
        name = "whisper-english" if english else "whisper-basic"
    return find_normaliser(name)


def _recognise(
    utterances: Sequence[Utterance],
    recogniser: Recogniser,
    known: Mapping[str, Outcome],
    timeout: float | None,
    kept: Path | None,
    progress: Callable[[int, int], None] | None,
) -> list[Outcome]:
    """One outcome an utterance, in order; those not known are appended to kept as they come."""
    missing = [each for each in utterances if each.id not in known]
    _check_one_system(known, utterances, recogniser if missing else None)
    if missing and recogniser.prepare is not None:
        recogniser.prepare()
    outcomes = []
    for done, utterance in enumerate(utterances, start=1):
        outcome = known.get(utterance.id)
        if outcome is None:
            outcome = _recognise_one(utterance, recogniser, timeout)
            if kept is not None:
                append_hypothesis(kept, outcome)
        outcomes.append(outcome)
        if progress is not None:
            progress(done, len(utterances))
    return outcomes


def _check_one_system(
    known: Mapping[str, Outcome], utterances: Sequence[Utterance], recogniser: Recogniser | None
) -> None:
    """Raise InputError where hypotheses of different systems would be scored as one."""
    kept = (known[each.id] for each in utterances if each.id in known)
    systems = {f"{each.model or 'an unnamed system'} {each.settings}".strip() for each in kept}
    if recogniser is not None:
        systems.add(f"{recogniser.model} {recogniser.settings}".strip())
    if len(systems) > 1:
        raise InputError(
            f"the hypotheses are of different systems ({'; '.join(sorted(systems))}): "
            "keep one file for each"
        )


def _recognise_one(utterance: Utterance, recogniser: Recogniser, timeout: float | None) -> Outcome:
    start = time.perf_counter()
    outcome = Outcome(utterance.id, "", model=recogniser.model, settings=recogniser.settings)
    try:
        with _deadline(timeout):
            heard = recogniser.transcribe(utterance)
        outcome = replace(
            outcome, text=heard.text, language=heard.language, duration=heard.duration
        )
    except (AuralError, OSError) as error:
        if isinstance(error, _FAULTS_OF_THE_RUN) and not isinstance(error, AudioError):
            raise
        outcome = replace(outcome, error=f"{type(error).__name__}: {error}")
    return replace(outcome, seconds=round(time.perf_counter() - start, 6))


@contextmanager
def _deadline(seconds: float | None) -> Iterator[None]:
    """Raise TimeoutError in the body once it has taken longer; it stops between Python steps."""
    if seconds is None:
        yield
        return

    def stop(*_: object) -> None:
        raise TimeoutError(f"took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _speed(outcomes: Sequence[Outcome], *, recognised: bool) -> Speed:
    done = [each for each in outcomes if not each.error]
    return Speed(
        audio_seconds=sum(each.duration for each in done),
        processing_seconds=sum(each.seconds for each in done),
        peak_memory=peak_memory() if recognised else None,
    )
