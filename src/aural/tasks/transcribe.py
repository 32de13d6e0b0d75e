"""Transcription of recordings of any length: speech is found, packed into windows, and decoded.

Spans of speech (silence left out) are packed in order into windows of at most chunk_seconds, so
that no time goes into padding; windows are decoded in batches, one batch a worker at a time, while
the recording is still being read. Words carry their true times: each is moved from its place in
the window to its place in the recording. Segments end where a sentence or a pause does.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, fields, replace
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from aural import models
from aural.audio.resample import resample
from aural.audio.stream import stream
from aural.errors import InputError
from aural.models.whisper import DecodingOptions
from aural.progress import watcher
from aural.tasks.detect_speech import SpanFinder, SpeechOptions
from aural.types import (
    LanguageGuess,
    Recogniser,
    Segment,
    Span,
    SpeechDetector,
    Transcript,
    Word,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from aural.audio.source import Source
    from aural.types import Hypothesis, LanguageIdentifier

PAUSE_SECONDS = 0.8
"""A silence between words that ends a segment."""
MAX_SEGMENT_SECONDS = 12.0
IDENTIFYING_WINDOWS = 4
_SENTENCE_END = re.compile(r"[.?!。?!…]['\"”’)\]]*$")
_ABBREVIATION = re.compile(r"^\W*(?:[A-Za-z]|Mrs?|Ms|Dr|St|Prof|Capt|Gen|(?:\w\.)+\w)\.$")
_EVERYTHING = 1e-6
_RENAMED = {"temperature": "temperatures"}
"""What an option of `transcribe` is called in the options of a family, where not the same."""


def transcribe(
    source: Source,
    *,
    model: str = "whisper/base",
    language: str | None = None,
    task: Literal["transcribe", "translate"] = "transcribe",
    beam_size: int = 5,
    best_of: int = 5,
    patience: float = 1.0,
    length_penalty: float = 1.0,
    temperature: tuple[float, ...] = (0.0,),
    compression_ratio_threshold: float = 2.4,
    logprob_threshold: float = -1.0,
    no_speech_threshold: float = 0.2,
    doubt_threshold: float = 0.4,
    initial_prompt: str = "",
    hotwords: str = "",
    language_model: str = "",
    language_model_weight: float = 0.5,
    word_timestamps: bool = True,
    vad_filter: bool = True,
    vad_threshold: float = 0.4,
    chunk_seconds: float = 12.0,
    batch_size: int = 16,
    channel: int | str = "mix",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    compute_type: str = "auto",
    threads: int = 0,
) -> Transcript:
    """Write down what is said in a recording, with the times of segments and words.

    Silence and music give an empty transcript, noise nearly always. The same input and options
    give the same transcript; on a GPU not where temperature asks for sampling.

    Args:
        source: A path, "-" for standard input, bytes, an open binary file, or Audio.
        model: The recogniser, family/variant; or family@directory for weights of your own.
        language: Code of the language spoken; identified from the first minutes if not given.
        task: "transcribe" writes the language spoken, "translate" English.
        beam_size: Hypotheses kept while decoding; 1 is greedy and fastest.
        best_of: Texts sampled where a temperature above 0 is tried.
        patience: Beam search goes on until beam_size times this many hypotheses are finished.
        length_penalty: Exponent of the length that a hypothesis' score is divided by.
        temperature: Tried in order while a text repeats itself or is improbable; 0 is no sampling.
        compression_ratio_threshold: A text that compresses better than this repeats itself.
        logprob_threshold: A mean log probability of a token below this is improbable.
        no_speech_threshold: Improbable text beyond this probability of no speech is left out.
        doubt_threshold: Beam search where greedy search took a token less probable than this; 1
            always searches, 0 never.
        initial_prompt: Text that sets style and spelling, seen before each window.
        hotwords: Names and terms to expect: seen by Whisper before each window, favoured by models
            trained with CTC (parted by commas).
        language_model: A file in ARPA format that models trained by aural search with.
        language_model_weight: What its log probabilities count beside the model's own.
        word_timestamps: Give each word its time, and end segments where sentences do. Without, a
            segment is a whole window of speech.
        vad_filter: Leave out what the detector finds no speech in.
        vad_threshold: Probability at which speech begins, between 0 and 1.
        chunk_seconds: Longest window of speech decoded at once, 5 to 29.
        batch_size: Windows decoded together by each worker.
        channel: "mix" (mean of the channels) or a number counted from 0.
        device: Where to compute; "auto" takes a GPU when there is one.
        compute_type: Number format, such as int8 or float32; "auto" is int8 on a CPU.
        threads: Processors to use; 0 takes all this process may use.
    """
    asked = {
        "task": task,
        "language": language,
        "beam_size": beam_size,
        "best_of": best_of,
        "patience": patience,
        "length_penalty": length_penalty,
        "temperature": tuple(temperature),
        "compression_ratio_threshold": compression_ratio_threshold,
        "logprob_threshold": logprob_threshold,
        "no_speech_threshold": no_speech_threshold,
        "doubt_threshold": doubt_threshold,
        "initial_prompt": initial_prompt,
        "hotwords": hotwords,
        "language_model": language_model,
        "language_model_weight": language_model_weight,
        "word_timestamps": word_timestamps,
    }
    run = transcribe_segments(
        source,
        model=model,
        decoding=decoding_options(model, asked),
        cutting=WindowOptions(chunk_seconds, batch_size, vad_threshold, vad_filter, channel),
        device=device,
        compute_type=compute_type,
        threads=threads,
    )
    segments, tell = [], watcher().found
    with closing(iter(run)) as found:
        for segment in found:
            tell(segment)
            segments.append(segment)
    return Transcript(tuple(segments), run.language, run.language_probability, run.duration, model)


def decoding_options(model: str, asked: Mapping[str, Any]) -> Any:
    """What is asked for, by the names of `transcribe`, as the options of the model's family: its
    DecodingOptions, or Whisper's where it has none of its own.

    Raises:
        InputError: something other than the default is asked of a family that has no such option.
    """
    module = models.family(models.find(model).family)
    kind = getattr(module, "DecodingOptions", DecodingOptions)
    known = {field.name for field in fields(kind)}
    defaults = signature(transcribe).parameters
    given = {}
    for name, value in asked.items():
        own = _RENAMED.get(name, name)
        if own in known:
            given[own] = value
        elif value != defaults[name].default:
            raise InputError(f"{model} can't follow {name} ({value!r}); leave it out")
    usual = defaults["language_model_weight"].default
    weight = asked.get("language_model_weight", usual)
    if weight != usual and not asked.get("language_model"):
        raise InputError(f"language_model_weight is {weight}; give a language_model too")
    return kind(**given)


def transcribe_segments(
    source: Source,
    *,
    model: str = "whisper/base",
    decoding: Any = None,
    cutting: WindowOptions | None = None,
    device: str = "auto",
    compute_type: str = "auto",
    threads: int = 0,
) -> Transcription:
    """Segments one by one, the first before a long recording is read to its end; else `transcribe`.

    decoding: options of the model's family; None for its defaults. What comes back is iterated
    once; it then knows the language and the duration.
    """
    decoding = decoding_options(model, {}) if decoding is None else decoding
    recogniser = models.load(
        model, Recogniser, device=device, compute_type=compute_type, threads=threads
    )
    detector = models.load("silero/16k", SpeechDetector)
    return Transcription(source, recogniser, detector, decoding, cutting or WindowOptions())


@dataclass(frozen=True)
class WindowOptions:
    """How a recording is cut into windows; what `transcribe` says of the same names."""

    chunk_seconds: float = 12.0
    batch_size: int = 16
    vad_threshold: float = 0.4
    vad_filter: bool = True
    channel: int | str = "mix"

    def __post_init__(self) -> None:
        if not 5 <= self.chunk_seconds <= 29:
            raise InputError(f"chunk_seconds is {self.chunk_seconds}; give 5 to 29")
        if not 1 <= self.batch_size <= 256:
            raise InputError(f"batch_size is {self.batch_size}; give 1 to 256")
        if not self.vad_filter and self.vad_threshold != WindowOptions.vad_threshold:
            raise InputError(
                f"vad_threshold is {self.vad_threshold}, which decides nothing without vad_filter; "
                "leave it out"
            )
        if self.channel == "all":
            raise InputError("channel is 'all'; give 'mix' or a channel's number, counted from 0")

    @property
    def speech(self) -> SpeechOptions:
        """How speech is found; without vad_filter everything is, and only cut at pauses.

        More is let through than detect_speech would: a single letter is speech too, and what
        turns out not to be has an improbable text.
        """
        if self.vad_filter:
            return SpeechOptions(
                self.vad_threshold,
                peak_threshold=0.7,
                min_speech_seconds=0.1,
                max_speech_seconds=self.chunk_seconds,
            )
        return SpeechOptions(
            _EVERYTHING, 0.0, peak_threshold=_EVERYTHING, max_speech_seconds=self.chunk_seconds
        )


@dataclass(frozen=True, eq=False)
class Piece:
    """A span of speech and its samples, shape = (time,)."""

    span: Span
    samples: np.ndarray


@dataclass(frozen=True, eq=False)
class Window:
    """Spans of speech joined: samples, shape = (time,), and where each span came from."""

    samples: np.ndarray
    spans: tuple[Span, ...]

    def true_time(self, time: float, *, end: bool = False) -> float:
        """Seconds in the recording of a time in the window; where two spans meet, the end of the
        one before for an end, else the start of the one after."""
        for span in self.spans:
            if time < span.duration or (end and time <= span.duration):
                return span.start + max(0.0, time)
            time -= span.duration
        return self.spans[-1].end

    def true_span(self, start: float, end: float) -> Span:
        """Where a stretch of the window is in the recording, to a millisecond. One that crosses
        into another span counts where most of it is, so that no silence left out is in it."""
        middle = self.true_time((start + end) / 2)
        home = next(span for span in reversed(self.spans) if span.start <= middle)
        first = max(self.true_time(start), home.start)
        last = min(self.true_time(end, end=True), home.end)
        return Span(round(first, 3), round(max(first, last), 3))


class Transcription:
    """One recording being transcribed: iterate once for its segments, in order.

    language, language_probability and duration are true once the iteration has ended. Windows are
    batched by length within a group, and at most two groups are held in memory.
    """

    def __init__(
        self,
        source: Source,
        recogniser: Recogniser,
        detector: SpeechDetector,
        options: Any,
        windows: WindowOptions,
    ) -> None:
        recogniser.check(options)
        self.source, self.recogniser, self.detector = source, recogniser, detector
        self.options, self.cutting = options, windows
        self.language = options.language or ""
        self.language_probability = 1.0 if options.language else 0.0
        self.duration = 0.0

    def __iter__(self) -> Generator[Segment]:
        size = self.cutting.batch_size * self.recogniser.workers
        waiting: deque[_Group] = deque()
        pool = ThreadPoolExecutor(self.recogniser.workers)
        try:
            with closing(self.windows()) as windows:
                while group := list(itertools.islice(windows, size)):
                    waiting.append(self._submit(pool, group))
                    if len(waiting) > 1:
                        yield from self._finish(waiting.popleft())
                while waiting:
                    yield from self._finish(waiting.popleft())
        finally:  # who leaves early does not wait for the batches being decoded
            pool.shutdown(wait=False, cancel_futures=True)

    def windows(self) -> Generator[Window]:
        """Speech in windows, as the source is read; closing it closes the source."""
        for pieces in packed_pieces(self._pieces(), self.cutting.chunk_seconds):
            samples = np.concatenate([piece.samples for piece in pieces])
            yield Window(samples, tuple(piece.span for piece in pieces))

    def _pieces(self) -> Iterator[Piece]:
        """Speech, cut out as soon as its span is known."""
        recording = _Recording(self.detector.sample_rate, 2 * self.cutting.chunk_seconds + 5)
        for span in self._spans(recording):
            yield Piece(span, recording.cut(span))

    def _spans(self, recording: _Recording) -> Iterator[Span]:
        rate = self.detector.sample_rate
        options = self.cutting.speech
        finder = SpanFinder(options, self.detector.frame_length / rate)
        listener = self.detector.stream()
        for block in stream(self.source, sample_rate=rate, channel=self.cutting.channel):
            recording.append(block)
            yield from finder.push(np.maximum(listener.push(block), _EVERYTHING))
        self.duration = recording.duration
        last = np.maximum(listener.finish(), _EVERYTHING)
        yield from finder.push(last)
        yield from finder.finish(self.duration)

    def _submit(self, pool: ThreadPoolExecutor, windows: list[Window]) -> _Group:
        rates = self.detector.sample_rate, self.recogniser.sample_rate
        heard = [resample(window.samples, *rates) for window in windows]
        if not self.language:
            first = heard[:IDENTIFYING_WINDOWS]
            best = likeliest_language(self.recogniser, first).tags[0]
            self.language, self.language_probability = best.label, best.score
        options = replace(self.options, language=self.language)
        lengths = [samples.size for samples in heard]
        batches = _batches(lengths, self.cutting.batch_size, self.recogniser.workers)
        return _Group(
            windows,
            batches,
            [
                pool.submit(self.recogniser.recognise, [heard[i] for i in batch], options)
                for batch in batches
            ],
        )

    def _finish(self, group: _Group) -> Iterator[Segment]:
        for window, hypothesis in zip(group.windows, group.results(), strict=True):
            yield from segments_of(window, hypothesis)


@dataclass(frozen=True)
class _Group:
    """Windows in order, their batches as indices, and the batches being decoded."""

    windows: list[Window]
    batches: list[list[int]]
    futures: list[Future[list[Hypothesis]]]

    def results(self) -> Iterator[Hypothesis]:
        """In the windows' order, each as soon as its batch is done."""
        places = {
            i: (future, row)
            for batch, future in zip(self.batches, self.futures, strict=True)
            for row, i in enumerate(batch)
        }
        for i in range(len(self.windows)):
            future, row = places[i]
            yield future.result()[row]


def likeliest_language(
    identifier: LanguageIdentifier, windows: Sequence[np.ndarray]
) -> LanguageGuess:
    """Languages by falling mean probability over the windows, each counted by its length."""
    guesses = identifier.identify_language(windows)
    return LanguageGuess.combined(guesses, [window.size for window in windows])


def _batches(lengths: list[int], batch_size: int, workers: int) -> list[list[int]]:
    """Indices of windows, those alike in length together, the longest first; as many batches as
    keep every worker busy to the end."""
    order = np.argsort(-np.array(lengths), kind="stable")
    rounds = -(-order.size // (batch_size * workers))
    parts = np.array_split(order, min(order.size, rounds * workers))
    return [part.tolist() for part in parts]


class _Recording:
    """The last keep_seconds of what was appended."""

    def __init__(self, sample_rate: int, keep_seconds: float) -> None:
        self.sample_rate, self._keep = sample_rate, int(keep_seconds * sample_rate)
        self._blocks: deque[np.ndarray] = deque()
        self._first = 0
        self._end = 0

    @property
    def duration(self) -> float:
        return self._end / self.sample_rate

    def append(self, block: np.ndarray) -> None:
        self._blocks.append(block)
        self._end += block.size
        while self._end - self._first - self._blocks[0].size > self._keep:
            self._first += self._blocks.popleft().size

    def cut(self, span: Span) -> np.ndarray:
        first, last = (round(time * self.sample_rate) for time in (span.start, span.end))
        assert first >= self._first, "a span is cut before its samples are dropped"
        position, pieces = self._first, []
        for block in self._blocks:
            pieces.append(block[max(0, first - position) : max(0, last - position)])
            position += block.size
        return np.concatenate(pieces)


def packed_pieces(pieces: Iterable[Piece], chunk_seconds: float) -> Iterator[list[Piece]]:
    """Pieces in order, joined while they last at most chunk_seconds together."""
    packed: list[Piece] = []
    length = 0.0
    for piece in pieces:
        if packed and length + piece.span.duration > chunk_seconds:
            yield packed
            packed, length = [], 0.0
        packed.append(piece)
        length += piece.span.duration
    if packed:
        yield packed


def segments_of(window: Window, hypothesis: Hypothesis) -> Iterator[Segment]:
    """The window's text cut into segments at sentences and pauses, with the recording's times; a
    text without words stays whole."""
    text = hypothesis.segment
    if text.text and not text.words:
        yield replace(
            text, start=round(window.spans[0].start, 3), end=round(window.spans[-1].end, 3)
        )
    words = []
    for word in text.words:
        span = window.true_span(word.start, word.end)
        words.append(replace(word, start=span.start, end=span.end))
    for group in _sentences(words):
        yield replace(
            text,
            start=group[0].start,
            end=max(word.end for word in group),
            text="".join(word.text for word in group),
            words=tuple(group),
            tokens=tuple(token for word in group for token in word.tokens),
        )


def _sentences(words: list[Word]) -> Iterator[list[Word]]:
    group: list[Word] = []
    for word in words:
        if group and _parts(group, word):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _parts(group: list[Word], word: Word) -> bool:
    last = group[-1]
    if word.duration == 0:  # it has no time of its own to stand in
        return False
    written = last.text.strip()
    sentence = _SENTENCE_END.search(written) and not _ABBREVIATION.match(written)
    return bool(
        sentence
        or word.start - last.end >= PAUSE_SECONDS
        or word.end - group[0].start > MAX_SEGMENT_SECONDS
    )
