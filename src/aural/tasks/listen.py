"""Recognition while sound comes in: from a microphone, a pipe, or a recording.

A family that streams (models/transducer) computes each chunk once; any other recogniser hears a
growing window again and again, and words are final once two hypotheses agree (agreement.py). An
utterance begins with speech and ends with a silence, or with a run of nothing written.

What is said can be followed by events; for each word it is kept when it was first shown and when it
became final, in seconds of sound heard and in seconds of a clock that waits for computing too.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from dataclasses import dataclass, replace
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, get_args

from aural import models
from aural.audio.live import microphone_pieces, paced, raw_pieces
from aural.audio.resample import Resampler
from aural.audio.stream import exact_blocks, stream
from aural.errors import InputError, UnknownName
from aural.tasks.agreement import AgreementOptions, AgreementStream, bare
from aural.tasks.transcribe import decoding_options
from aural.types import Recogniser, SpeechDetector, StreamingRecogniser, StreamOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from io import BufferedIOBase

    import numpy as np

    from aural.audio.source import Source
    from aural.types import PartialResult, RecognitionStream, SpeechStream, Word

BLOCK_FRAMES = 3
"""Sound is taken in blocks of so many of the detector's frames: 96 ms with silero."""
BEFORE_SECONDS = 0.3
"""Sound before speech was noticed that belongs to it."""
HYSTERESIS = 0.15
Endpoint = Literal["vad", "blank"]
Mode = Literal["auto", "chunkwise", "agreement"]
Kind = Literal["partial", "final", "end"]


@dataclass(frozen=True)
class ListenEvent:
    """Something to be shown.

    kind "partial": words that may still change, all there are now beyond the final ones; "final":
    words that will not change, each told once; "end": an utterance is over, with all its words.
    time: seconds of sound heard by then; clock: seconds from its beginning to this event had the
    sound come in as fast as it was spoken, computing counted.
    """

    kind: Kind
    words: tuple[Word, ...]
    time: float
    clock: float

    @property
    def text(self) -> str:
        """The words in one line."""
        return "".join(f" {word.text.strip()}" for word in self.words).strip()


@dataclass(frozen=True)
class HeardWord:
    """A word and when, in seconds of sound and of the clock, it was first shown as it stands, and
    when it became final."""

    word: Word
    shown: float
    final: float
    shown_clock: float
    final_clock: float


@dataclass(frozen=True)
class ListenOptions:
    """What `listen` says of the same names."""

    endpoint: Endpoint = "vad"
    end_silence_seconds: float = 0.8
    vad_threshold: float = 0.4

    def __post_init__(self) -> None:
        if self.endpoint not in get_args(Endpoint):
            raise UnknownName("endpoint", self.endpoint, get_args(Endpoint))
        if not 0.1 <= self.end_silence_seconds <= 60:
            raise InputError(f"end_silence_seconds is {self.end_silence_seconds}; give 0.1 to 60")
        if not 0 < self.vad_threshold < 1:
            raise InputError(f"vad_threshold is {self.vad_threshold}; give more than 0, below 1")


def listen(
    source: Source,
    *,
    model: str = "whisper/base",
    mode: Mode = "auto",
    language: str | None = None,
    beam_size: int = 1,
    chunk_seconds: float | None = None,
    look_ahead_seconds: float | None = None,
    step_seconds: float = 1.0,
    window_seconds: float = 15.0,
    endpoint: Endpoint = "vad",
    end_silence_seconds: float = 0.8,
    vad_threshold: float = 0.4,
    real_time: bool = False,
    raw_rate: int = 16000,
    channel: int | str = "mix",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    compute_type: str = "auto",
    threads: int = 0,
) -> Listening:
    """Write down what is said while it is said; what comes back is iterated once for its events.

    Args:
        source: "-" for raw 16-bit samples of one channel on standard input, "mic" or "mic:NAME"
            for a microphone, or a recording: a path, bytes, an open binary file, or Audio.
        model: The recogniser, family/variant; or family@directory for weights of your own.
        mode: "chunkwise" computes each chunk once, which the model has to be made for;
            "agreement" hears a growing window again; "auto" takes the first where it can.
        language: Code of the language spoken; told from the first window if not given.
        beam_size: Hypotheses kept while decoding; 1 is greedy and takes nothing back chunk-wise.
        chunk_seconds: Sound computed at a time, chunk-wise; if not given, as the model was made.
        look_ahead_seconds: Sound after a chunk that is waited for; if not given, likewise.
        step_seconds: New sound that agreement waits for before it hears the window again.
        window_seconds: The longest window that agreement hears, 28 at most.
        endpoint: What ends an utterance: "vad", a detector that finds no speech; "blank", a
            chunk-wise model that writes nothing.
        end_silence_seconds: How long that lasts.
        vad_threshold: Probability at which speech begins, between 0 and 1.
        real_time: Take a recording no faster than it was spoken.
        raw_rate: Hz of raw samples on standard input.
        channel: "mix" (mean of the channels) or a number counted from 0.
        device: Where to compute; "auto" takes a GPU when there is one.
        compute_type: Number format; "auto" is the model's own.
        threads: Processors to use; 0 lets the model choose.
    """
    options = ListenOptions(endpoint, end_silence_seconds, vad_threshold)
    told = {"language": language, "beam_size": beam_size}
    recogniser: Any = models.load(model, device=device, compute_type=compute_type, threads=threads)
    made = recognition_stream(
        recogniser,
        model,
        mode,
        told,
        StreamOptions(chunk_seconds, look_ahead_seconds, beam_size),
        AgreementOptions(step_seconds, window_seconds),
    )
    if isinstance(made, AgreementStream):
        if endpoint == "blank":
            raise InputError("endpoint is 'blank', which only a chunk-wise model tells; give 'vad'")
        _refuse("agreement", chunk_seconds=chunk_seconds, look_ahead_seconds=look_ahead_seconds)
    else:
        if language is not None and language not in recogniser.languages:
            raise UnknownName("language", language, recogniser.languages)
        _refuse("a chunk-wise model", step_seconds=step_seconds, window_seconds=window_seconds)
    if endpoint == "blank":
        _refuse("endpoint 'blank'", vad_threshold=vad_threshold)
    if source != "-":
        _refuse("what is no raw sound", raw_rate=raw_rate)
    rate: int = recogniser.sample_rate
    pieces = sound_pieces(source, rate, channel, raw_rate)
    if real_time:
        pieces = paced(exact_blocks(pieces, rate // 20), rate)
    detector = models.load("silero/16k", SpeechDetector) if endpoint == "vad" else None
    return Listening(pieces, made, rate, options, detector)


def _refuse(what: str, **given: Any) -> None:
    """InputError for an option of `listen` that is not its default, where it would decide
    nothing."""
    defaults = signature(listen).parameters
    for name, value in given.items():
        if value != defaults[name].default:
            raise InputError(f"{what} can't follow {name} ({value!r}); leave it out")


def recognition_stream(
    recogniser: Any,
    model: str,
    mode: Mode,
    told: dict[str, Any],
    chunks: StreamOptions,
    agreement: AgreementOptions,
) -> RecognitionStream:
    """The stream of a recogniser in a mode; InputError where it can't have that.

    told: options of `transcribe` for a recogniser of windows.
    """
    if mode not in get_args(Mode):
        raise UnknownName("mode", mode, get_args(Mode))
    streams = isinstance(recogniser, StreamingRecogniser)
    if mode == "chunkwise" and not streams:
        raise InputError(f"{model} is not made for chunks; give mode 'agreement'")
    if streams and mode != "agreement":
        return recogniser.stream(chunks)
    if not isinstance(recogniser, Recogniser):
        raise InputError(f"{model} is no Recogniser; choose another model for this")
    return AgreementStream(
        _hearing(recogniser, decoding_options(model, told)), recogniser.sample_rate, agreement
    )


def _hearing(recogniser: Any, options: Any) -> Callable[[np.ndarray, str], Sequence[Word]]:
    """A window and the text before it to words; the text is a prompt where the family takes one.
    The language is told from the first window and kept."""
    known = options

    def hear(samples: np.ndarray, before: str) -> Sequence[Word]:
        nonlocal known
        if known.language is None:
            guess = recogniser.identify_language([samples])[0].language
            if guess in recogniser.languages:
                known = replace(known, language=guess)
        prompt = {"initial_prompt": before} if hasattr(known, "initial_prompt") else {}
        return recogniser.recognise([samples], replace(known, **prompt))[0].segment.words

    return hear


def sound_pieces(
    source: Source, sample_rate: int, channel: int | str, raw_rate: int
) -> Iterator[np.ndarray]:
    """Samples of any length as they come, at sample_rate."""
    kind, _, microphone = source.partition(":") if isinstance(source, str) else ("", "", "")
    if source == "-" or kind == "mic":
        _refuse(f"{source!r} has one channel and", channel=channel)
    if source == "-":
        if sys.stdin is None:
            raise InputError("standard input is closed; give raw samples there, or a recording")
        return raw_pieces(cast("BufferedIOBase", sys.stdin.buffer), raw_rate, sample_rate)
    if kind == "mic":
        return microphone_pieces(microphone, sample_rate)
    return stream(source, sample_rate=sample_rate, channel=channel, block_seconds=0.5)


class Listening:
    """Sound being listened to: iterate once for its events; who leaves early can still `finish`.

    Meanwhile grow: words, those that are final; rewrites, how many that were shown have been taken
    back or replaced; duration and computed, seconds of sound and of computing; clock, as that of
    an event.
    """

    def __init__(
        self,
        pieces: Iterable[np.ndarray],
        recognition: RecognitionStream,
        sample_rate: int,
        options: ListenOptions,
        detector: SpeechDetector | None = None,
    ) -> None:
        self._pieces, self._recognition, self._rate = pieces, recognition, sample_rate
        self._options, self._detector = options, detector
        self.words: list[HeardWord] = []
        self.rewrites = 0
        self._ledger = Ledger()
        self.duration = self.computed = self.clock = 0.0

    @property
    def rewrite_rate(self) -> float:
        """Words taken back or replaced, for each that is final; 0 where there is none."""
        return self.rewrites / len(self.words) if self.words else 0.0

    @property
    def text(self) -> str:
        """All that is final."""
        return "".join(f" {heard.word.text.strip()}" for heard in self.words).strip()

    def __iter__(self) -> Iterator[ListenEvent]:
        gate = self._gate()
        for block in exact_blocks(iter(self._pieces), gate.block):
            self.duration += block.size / self._rate
            begun = time.perf_counter()
            passed = gate.push(block)
            if passed.opens:
                heard = sum(part.size for part in passed.samples)
                self._ledger = Ledger(self.duration - heard / self._rate)
            results = [result for part in passed.samples for result in self._recognition.push(part)]
            closes = passed.closes or self._written_out(results)
            if closes:
                results += self._recognition.finish()
            self._tick(begun)
            yield from self._told(results, ended=closes)
            if closes:
                self._ledger = Ledger(self.duration)
        yield from self.finish()

    def finish(self) -> Iterator[ListenEvent]:
        """What of the sound so far is still open, made final."""
        begun = time.perf_counter()
        results = self._recognition.finish()
        self._tick(begun)
        yield from self._told(results, ended=bool(results[-1].words))
        self._ledger = Ledger(self.duration)

    def _written_out(self, results: Sequence[PartialResult]) -> bool:
        """Whether the recogniser has had nothing to write for so long that an utterance is over."""
        if self._detector is not None or not results or not results[-1].words:
            return False
        return results[-1].silence >= self._options.end_silence_seconds

    def _gate(self) -> Gate:
        if self._detector is None:
            return Open(round(self._rate * 0.1))
        return SpeechGate(self._detector, self._options, self._rate)

    def _tick(self, begun: float) -> None:
        """The clock: sound has to have come, and what came before to be computed."""
        took = time.perf_counter() - begun
        self.computed += took
        self.clock = max(self.clock, self.duration) + took

    def _told(self, results: Sequence[PartialResult], *, ended: bool) -> Iterator[ListenEvent]:
        ledger, time, clock = self._ledger, self.duration, self.clock
        for result in results:
            new = ledger.update(result, time, clock)
            self.words += new
            if new:
                yield ListenEvent("final", tuple(each.word for each in new), time, clock)
            if ledger.changed and (ledger.open_words or not new):
                yield ListenEvent("partial", ledger.open_words, time, clock)
        self.rewrites += ledger.take_rewrites()
        if ended:
            yield ListenEvent("end", ledger.final_words, time, clock)


class Ledger:
    """Results of one utterance in, what is new in them out. begin: when it began, in seconds."""

    def __init__(self, begin: float = 0.0) -> None:
        self._begin = begin
        self._shown: list[_Shown] = []
        self._final = self._rewrites = 0
        self.changed = False
        """Whether the words that are not final are others than before."""

    @property
    def open_words(self) -> tuple[Word, ...]:
        """Those that are not final."""
        return tuple(each.word for each in self._shown[self._final :])

    @property
    def final_words(self) -> tuple[Word, ...]:
        """Those that are."""
        return tuple(each.word for each in self._shown[: self._final])

    def update(self, result: PartialResult, time: float, clock: float) -> list[HeardWord]:
        """The words that this result makes final."""
        before = [bare(word) for word in self.open_words]
        now = [self._moved(word) for word in result.words]
        for place in range(self._final, max(len(self._shown), len(now))):
            if place >= len(now):
                self._rewrites += len(self._shown) - place
                del self._shown[place:]
                break
            if place >= len(self._shown):
                self._shown.append(_Shown(now[place], time, clock))
            elif bare(self._shown[place].word) != bare(now[place]):
                self._rewrites += 1
                self._shown[place] = _Shown(now[place], time, clock)
            else:
                self._shown[place] = replace(self._shown[place], word=now[place])
        first, self._final = self._final, result.final
        self.changed = [bare(word) for word in self.open_words] != before
        return [
            HeardWord(each.word, each.time, time, each.clock, clock)
            for each in self._shown[first : self._final]
        ]

    def take_rewrites(self) -> int:
        """How many shown words were taken back or replaced since this was last asked."""
        count, self._rewrites = self._rewrites, 0
        return count

    def _moved(self, word: Word) -> Word:
        return replace(word, start=word.start + self._begin, end=word.end + self._begin)


@dataclass(frozen=True)
class _Shown:
    word: Word
    time: float
    clock: float


@dataclass(frozen=True, eq=False)
class Passed:
    """What a gate lets through of a block: samples, and whether speech begins or ends with it."""

    samples: tuple[np.ndarray, ...] = ()
    opens: bool = False
    closes: bool = False


class Gate(Protocol):
    """Decides what of the sound is heard."""

    block: int
    """Samples that it takes at a time."""

    def push(self, samples: np.ndarray) -> Passed:
        """What passes of a block."""
        ...


class Open:
    """A gate that lets everything through."""

    def __init__(self, block: int) -> None:
        self.block = block

    def push(self, samples: np.ndarray) -> Passed:
        """All."""
        return Passed((samples,))


class SpeechGate:
    """A gate that opens with speech, BEFORE_SECONDS earlier, and closes after a silence.

    It takes samples at sample_rate; the detector hears them at its own.
    """

    def __init__(self, detector: SpeechDetector, options: ListenOptions, sample_rate: int) -> None:
        seconds = BLOCK_FRAMES * detector.frame_length / detector.sample_rate
        self.block = max(1, round(seconds * sample_rate))
        self._rate, self._options = sample_rate, options
        self._listener: SpeechStream = detector.stream()
        self._resampler = Resampler(sample_rate, detector.sample_rate)
        self._before: deque[np.ndarray] = deque(
            maxlen=max(1, round(BEFORE_SECONDS * self._rate / self.block))
        )
        self._speaking, self._quiet = False, 0

    def push(self, samples: np.ndarray) -> Passed:
        """The block while there is speech, with what was before it where speech begins."""
        probabilities = self._listener.push(self._resampler.push(samples))
        loudest = float(probabilities.max(initial=0.0))
        threshold = self._options.vad_threshold
        if not self._speaking:
            if loudest < threshold:
                self._before.append(samples)
                return Passed()
            earlier = tuple(self._before)
            self._before.clear()
            self._speaking, self._quiet = True, 0
            return Passed((*earlier, samples), opens=True)
        self._quiet = self._quiet + samples.size if loudest < threshold - HYSTERESIS else 0
        closes = self._quiet >= self._options.end_silence_seconds * self._rate
        self._speaking = not closes
        return Passed((samples,), closes=closes)
