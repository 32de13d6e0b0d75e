"""How late words come while they are listened to, beside how many of them are wrong.

A word's delay is counted from its own end, as the recogniser has it, in seconds of sound (what the
method needs to hear) and in seconds of a clock that waits for computing too (what this machine
needs beside). The first word's is counted from its beginning. Settings stand side by side: chunks
computed once ("chunkwise"), a growing window heard again ("agreement"), and the whole recording at
once ("offline"), which shows nothing before its end.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from aural.data.manifest import read_manifest
from aural.data.sound import sound_of
from aural.errors import AudioError, InputError, UnknownName
from aural.evaluate.render import Table
from aural.metrics.wer import ErrorCounts, total, word_errors
from aural.text.normalise import normaliser as find_normaliser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from aural.data.utterance import Utterance
    from aural.tasks.listen import HeardWord, Listening

Mode = Literal["chunkwise", "agreement", "offline"]


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


def latency_of(listenings: Iterable[Listening]) -> Latency:
    """Of recordings that were listened to, to their ends."""
    done = list(listenings)
    words: list[HeardWord] = [each for listening in done for each in listening.words]
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

    @property
    def name(self) -> str:
        """What tells it apart."""
        if self.mode == "offline":
            return f"{self.model} offline"
        if self.mode == "agreement":
            return f"{self.model} agreement, step {self.step_seconds:g} s"
        own = "as trained"
        chunk = own if self.chunk_seconds is None else f"{self.chunk_seconds:g} s"
        ahead = own if self.look_ahead_seconds is None else f"{self.look_ahead_seconds:g} s"
        return f"{self.model} chunks {chunk}, look-ahead {ahead}"


@dataclass(frozen=True)
class LatencyRow:
    """What a setting gave: errors of words, delays (None offline), utterances that could not be
    read, each of which counts as left out whole."""

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
                    text = _offline(utterance, setting)
                else:
                    heard.append(_listened(utterance, setting))
                    text = heard[-1].text
            except AudioError:
                failed += 1
            errors.append(word_errors(normalise(utterance.text), normalise(text)))
            if progress is not None:
                progress(place * len(utterances) + number, len(utterances) * len(settings))
        latency = latency_of(heard) if setting.mode != "offline" else None
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


def _language(utterance: Utterance, setting: Setting) -> str | None:
    return (utterance.language or None) if setting.language == "manifest" else setting.language


def _listened(utterance: Utterance, setting: Setting) -> Listening:
    from aural.tasks.listen import listen

    listening = listen(
        sound_of(utterance),
        model=setting.model,
        mode="chunkwise" if setting.mode == "chunkwise" else "agreement",
        language=_language(utterance, setting),
        beam_size=setting.beam_size,
        chunk_seconds=setting.chunk_seconds,
        look_ahead_seconds=setting.look_ahead_seconds,
        step_seconds=setting.step_seconds,
        window_seconds=setting.window_seconds,
        endpoint=setting.endpoint,
        device=setting.device,
        threads=setting.threads,
    )
    for _ in listening:
        pass
    return listening


def _offline(utterance: Utterance, setting: Setting) -> str:
    from aural.tasks.transcribe import transcribe

    return transcribe(
        sound_of(utterance),
        model=setting.model,
        language=_language(utterance, setting),
        beam_size=setting.beam_size,
        device=setting.device,
        threads=setting.threads,
    ).text
