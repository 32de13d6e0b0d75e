"""How late words come while they are listened to, beside how many of them are wrong.

A word's delay is counted from its own end, as the recogniser has it, in seconds of sound (what the
method needs to hear) and in seconds of a clock that waits for computing too (what this machine
needs beside). The first word's is counted from its beginning. Settings stand side by side: chunks
computed once ("chunkwise"), a growing window heard again ("agreement"), and the whole recording at
once ("offline"), which shows nothing before its end. "simulated" is each utterance of a recording
at once under the chunks of "chunkwise", which it has to agree with word for word.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np

from aural import models
from aural.data.manifest import read_manifest
from aural.data.sound import sound_of
from aural.errors import AudioError, InputError, UnknownName
from aural.evaluate.render import Table
from aural.metrics.wer import ErrorCounts, total, word_errors
from aural.text.normalise import normaliser as find_normaliser
from aural.types import SpeechDetector, StreamOptions, StreamSimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from aural.data.utterance import Utterance
    from aural.tasks.listen import HeardWord, Listening
    from aural.types import PartialResult, RecognitionStream

Mode = Literal["chunkwise", "agreement", "offline", "simulated"]


@dataclass(frozen=True)
class Percentiles:
    """Of seconds: the median and the 95th percentile; NaN where there was nothing."""

    p50: float = float("nan")
    p95: float = float("nan")

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Percentiles:
        """Those of values, interpolated linearly."""
        if not seconds:
            return cls()
        low, high = np.percentile(seconds, [50, 95])
        return cls(float(low), float(high))

    def __str__(self) -> str:
        return "-" if np.isnan(self.p50) else f"{self.p50:.2f} / {self.p95:.2f}"


@dataclass(frozen=True)
class Latency:
    """Delays of words in seconds, over all recordings.

    first_word: from the beginning of a recording's first word until it was shown; shown and final:
    from a word's end until it was shown as it stands, and until it was final; clock_final: the
    same by the clock. rewrites: shown words taken back or replaced. computed and duration are
    seconds, of computing and of sound.
    """

    words: int
    first_word: Percentiles
    shown: Percentiles
    final: Percentiles
    clock_final: Percentiles
    rewrites: int
    computed: float
    duration: float

    @property
    def rewrite_rate(self) -> float:
        """Rewrites for each final word; 0 where there is none."""
        return self.rewrites / self.words if self.words else 0.0

    @property
    def real_time_factor(self) -> float:
        """Seconds of computing for each of sound; NaN without sound."""
        return self.computed / self.duration if self.duration else float("nan")

    def line(self) -> str:
        """All in one line."""
        return (
            f"{self.words} words; p50 / p95 in s: first word {self.first_word}, "
            f"shown {self.shown}, final {self.final}, final by the clock {self.clock_final}; "
            f"{self.rewrite_rate:.2f} rewrites a word; "
            f"{self.real_time_factor:.2f} s of computing a second"
        )


class Listened(Protocol):
    """A recording that was listened to, as a Listening is at its end."""

    @property
    def words(self) -> Sequence[HeardWord]:
        """Those that became final."""
        ...

    @property
    def rewrites(self) -> int:
        """Shown words taken back or replaced."""
        ...

    @property
    def computed(self) -> float:
        """Seconds of computing."""
        ...

    @property
    def duration(self) -> float:
        """Seconds of sound."""
        ...


def latency_of(listenings: Iterable[Listened]) -> Latency:
    """Of recordings that were listened to, to their ends."""
    done = list(listenings)
    words = [each for listening in done for each in listening.words]
    firsts = [listening.words[0] for listening in done if listening.words]
    return Latency(
        words=len(words),
        first_word=Percentiles.of([each.shown - each.word.start for each in firsts]),
        shown=Percentiles.of([each.shown - each.word.end for each in words]),
        final=Percentiles.of([each.final - each.word.end for each in words]),
        clock_final=Percentiles.of([each.final_clock - each.word.end for each in words]),
        rewrites=sum(listening.rewrites for listening in done),
        computed=sum(listening.computed for listening in done),
        duration=sum(listening.duration for listening in done),
    )


@dataclass(frozen=True)
class Setting:
    """A way to listen; fields as `tasks.listen.listen` has them. language "manifest": what each
    utterance says it is."""

    model: str
    mode: Mode = "chunkwise"
    language: str | None = None
    beam_size: int = 1
    chunk_seconds: float | None = None
    look_ahead_seconds: float | None = None
    step_seconds: float = 1.0
    window_seconds: float = 15.0
    endpoint: Literal["vad", "blank"] = "vad"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise UnknownName("mode", self.mode, get_args(Mode))
        if self.mode == "agreement" and self.endpoint != "vad":
            raise InputError(
                f"endpoint is {self.endpoint!r}, which only a chunk-wise model tells; give 'vad'"
            )

    @property
    def name(self) -> str:
        """What tells it apart."""
        return f"{self.model} {self.method}"

    @property
    def method(self) -> str:
        """What tells it apart from others of its model."""
        beam = "" if self.beam_size == 1 else f", beam {self.beam_size}"
        if self.mode == "offline":
            return f"offline{beam}"
        if self.mode == "agreement":
            return f"agreement, step {self.step_seconds:g} s{beam}"
        own = "as trained"
        chunk = own if self.chunk_seconds is None else f"{self.chunk_seconds:g} s"
        ahead = own if self.look_ahead_seconds is None else f"{self.look_ahead_seconds:g} s"
        simulated = "simulated " if self.mode == "simulated" else ""
        return f"{simulated}chunks {chunk}, look-ahead {ahead}{beam}"

    @property
    def chunks(self) -> StreamOptions:
        """What a chunk-wise stream is told; InputError where it is out of range."""
        return StreamOptions(self.chunk_seconds, self.look_ahead_seconds, self.beam_size)


@dataclass(frozen=True)
class LatencyRow:
    """What a setting gave: errors of words, delays (None offline and simulated), utterances that
    could not be read, each of which counts as left out whole."""

    setting: Setting
    errors: ErrorCounts
    latency: Latency | None
    failed: int


def evaluate_latency(
    manifest: str | os.PathLike[str] | Sequence[Utterance],
    settings: Sequence[Setting],
    *,
    normaliser: str = "whisper-basic",
    progress: Callable[[int, int], None] | None = None,
) -> list[LatencyRow]:
    """Listen to every utterance under every setting; a row each.

    Args:
        manifest: A path or corpus:NAME as read_manifest takes, or utterances.
        settings: At least one.
        normaliser: What texts are compared under.
        progress: Called after each utterance with how many are done and how many there are.

    Raises:
        InputError: no utterance, no setting, or one that a model can't follow.
    """
    if isinstance(manifest, str | os.PathLike):
        manifest = read_manifest(manifest)
    utterances = list(manifest)
    if not utterances or not settings:
        raise InputError("give at least one utterance and one setting")
    normalise = find_normaliser(normaliser)
    rows = []
    for place, setting in enumerate(settings):
        errors, heard, failed = [], [], 0
        for number, utterance in enumerate(utterances, start=1):
            text = ""
            try:
                if setting.mode == "offline":
                    text = offline_text(utterance, setting)
                elif setting.mode == "simulated":
                    text = simulated_text(listen_to(utterance, setting), setting)
                else:
                    heard.append(listen_to(utterance, setting).listening)
                    text = heard[-1].text
            except AudioError:
                failed += 1
            errors.append(word_errors(normalise(utterance.text), normalise(text)))
            if progress is not None:
                progress(place * len(utterances) + number, len(utterances) * len(settings))
        latency = latency_of(heard) if setting.mode in ("chunkwise", "agreement") else None
        rows.append(LatencyRow(setting, total(errors), latency, failed))
    return rows


def latency_table(rows: Sequence[LatencyRow]) -> Table:
    """The settings side by side."""
    header = (
        "setting", "WER", "words", "first word s", "shown s", "final s", "final by clock s",
        "rewrites a word", "computing", "failed",
    )  # fmt: skip
    made = []
    for row in rows:
        latency = row.latency
        late = (
            ("-",) * 6
            if latency is None
            else (
                str(latency.first_word),
                str(latency.shown),
                str(latency.final),
                str(latency.clock_final),
                f"{latency.rewrite_rate:.2f}",
                f"{latency.real_time_factor:.2f}",
            )
        )
        counts = (f"{100 * row.errors.rate:.1f} %", str(row.errors.reference))
        made.append((row.setting.name, *counts, *late, str(row.failed)))
    lines = (
        "Delays are p50 / p95, from a word's end as the recogniser has it; of the first word from "
        "its beginning.",
        "Computing is seconds for each second of sound.",
    )
    return Table("Latency", header, tuple(made), lines)


class KeptSound:
    """A RecognitionStream that keeps the sound of every utterance it hears."""

    def __init__(self, recognition: RecognitionStream) -> None:
        self._recognition = recognition
        self._pieces: list[np.ndarray] = []
        self.utterances: list[np.ndarray] = []

    def push(self, samples: np.ndarray) -> list[PartialResult]:
        """As RecognitionStream."""
        self._pieces.append(samples)
        return self._recognition.push(samples)

    def finish(self) -> list[PartialResult]:
        """As RecognitionStream."""
        if self._pieces:
            self.utterances.append(np.concatenate(self._pieces))
            self._pieces = []
        return self._recognition.finish()


@dataclass(frozen=True, eq=False)
class Heard:
    """A listening at its end, and the sound (time,) of each utterance that it found."""

    listening: Listening
    utterances: tuple[np.ndarray, ...]


def stream_of(setting: Setting, language: str | None = None) -> RecognitionStream:
    """A stream of the setting's model, which is loaded; InputError where it can't follow it."""
    from aural.tasks.agreement import AgreementOptions
    from aural.tasks.listen import recognition_stream

    return recognition_stream(
        _recogniser(setting),
        setting.model,
        "agreement" if setting.mode == "agreement" else "chunkwise",
        {"language": language, "beam_size": setting.beam_size},
        setting.chunks,
        AgreementOptions(setting.step_seconds, setting.window_seconds),
    )


def listen_to(utterance: Utterance, setting: Setting) -> Heard:
    """Listen to an utterance of a manifest, to its end; AudioError where it can't be read."""
    from aural.tasks.listen import Listening, ListenOptions, sound_pieces

    rate: int = _recogniser(setting).sample_rate
    kept = KeptSound(stream_of(setting, _language(utterance, setting)))
    listening = Listening(
        sound_pieces(sound_of(utterance), rate, "mix", rate),
        kept,
        rate,
        ListenOptions(setting.endpoint),
        models.load("silero/16k", SpeechDetector) if setting.endpoint == "vad" else None,
    )
    for _ in listening:
        pass
    return Heard(listening, tuple(kept.utterances))


def can_simulate(setting: Setting) -> bool:
    """Whether simulated_text can be had."""
    return setting.mode != "agreement" and isinstance(_recogniser(setting), StreamSimulator)


def simulated_text(heard: Heard, setting: Setting) -> str:
    """What the model makes of the same utterances, each at once under the same chunks; InputError
    where it is no StreamSimulator."""
    recogniser = _recogniser(setting)
    if not isinstance(recogniser, StreamSimulator):
        raise InputError(f"{setting.model} can't be simulated; choose another mode for it")
    results = [recogniser.simulate(each, setting.chunks) for each in heard.utterances]
    return " ".join(word.text.strip() for result in results for word in result.words)


def offline_text(utterance: Utterance, setting: Setting) -> str:
    """What the model makes of the whole recording, as `transcribe` hears it."""
    from aural.tasks.transcribe import transcribe

    return transcribe(
        sound_of(utterance),
        model=setting.model,
        language=_language(utterance, setting),
        beam_size=setting.beam_size,
        device=setting.device,
        threads=setting.threads,
    ).text


def _recogniser(setting: Setting) -> Any:
    return models.load(setting.model, device=setting.device, threads=setting.threads)


def _language(utterance: Utterance, setting: Setting) -> str | None:
    return (utterance.language or None) if setting.language == "manifest" else setting.language
