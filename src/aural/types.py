"""The data that flows between layers, and the capabilities a model family can have.

Conventions: times in seconds (float) from the start of the recording; samples are float32 in
[-1, 1]; rates in Hz. Importing this module loads no numpy: arrays are named in annotations only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np


@dataclass(frozen=True, eq=False)
class Audio:
    """Decoded sound. samples: float32, shape = (time,) or (channel, time); sample_rate in Hz."""

    samples: np.ndarray
    sample_rate: int

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.samples.shape[-1] / self.sample_rate

    @property
    def channels(self) -> int:
        """Number of channels; a one-dimensional array has one."""
        return 1 if self.samples.ndim == 1 else self.samples.shape[0]


@dataclass(frozen=True)
class Span:
    """A stretch of time: start and end in seconds, start <= end."""

    start: float
    end: float

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end - self.start


@dataclass(frozen=True)
class Word(Span):
    """One word as it stands in the text (a leading space where the language writes one).

    probability is the mean of its tokens'; tokens are the recogniser's own numbers.
    """

    text: str
    probability: float = 1.0
    tokens: tuple[int, ...] = ()


@dataclass(frozen=True)
class Segment(Span):
    """A stretch of text with its time, and how sure the recogniser was.

    avg_logprob is the mean log probability of a token; no_speech_prob that of the window holding
    no speech; compression_ratio is len(text)/len(zlib(text)), high where text repeats itself;
    temperature is the one the text was decoded at. speaker is empty until someone names one.
    """

    text: str
    words: tuple[Word, ...] = ()
    tokens: tuple[int, ...] = ()
    avg_logprob: float = 0.0
    no_speech_prob: float = 0.0
    compression_ratio: float = 1.0
    temperature: float = 0.0
    speaker: str = ""


@dataclass(frozen=True)
class Tag:
    """A label and its score in [0, 1]."""

    label: str
    score: float


@dataclass(frozen=True)
class Transcript:
    """What was said. segments are in order of start and do not overlap.

    language is an ISO 639-1 code (or Whisper's own where there is none), with its probability;
    duration is the recording's length in seconds; model is the family/variant that heard it.
    """

    segments: tuple[Segment, ...]
    language: str
    language_probability: float
    duration: float
    model: str = ""

    @property
    def text(self) -> str:
        """The segments' texts in one line, without leading or trailing space."""
        return "".join(segment.text for segment in self.segments).strip()


@dataclass(frozen=True)
class SpeechActivity:
    """Where there is speech: spans in order, not overlapping, within duration seconds."""

    spans: tuple[Span, ...]
    duration: float

    @property
    def speech_seconds(self) -> float:
        """Sum of the spans' durations."""
        return sum(span.duration for span in self.spans)


@dataclass(frozen=True)
class Turn(Span):
    """A stretch in which one speaker talks."""

    speaker: str


@dataclass(frozen=True)
class Diarization:
    """Who spoke when: turns in order of start, which may overlap."""

    turns: tuple[Turn, ...]
    duration: float


@dataclass(frozen=True)
class LanguageGuess:
    """Languages by falling probability; scores sum to 1 over all the model knows."""

    tags: tuple[Tag, ...]

    @property
    def language(self) -> str:
        """The likeliest language's code."""
        return self.tags[0].label

    @classmethod
    def combined(cls, guesses: Iterable[LanguageGuess], weights: Iterable[float]) -> LanguageGuess:
        """The mean of several guesses, each counted by its weight."""
        totals: dict[str, float] = {}
        for guess, weight in zip(guesses, weights, strict=True):
            for tag in guess.tags:
                totals[tag.label] = totals.get(tag.label, 0.0) + tag.score * weight
        whole = sum(totals.values()) or 1.0
        tags = (Tag(label, score / whole) for label, score in totals.items())
        return cls(tuple(sorted(tags, key=lambda tag: -tag.score)))


@dataclass(frozen=True, eq=False)
class Embedding:
    """A vector for each moment of a recording.

    vectors: float32, shape = (frame, dimension); frame_rate in Hz. model is the family/variant,
    layer the number of its layer they are taken from. duration is the recording's in seconds,
    sample_rate what the model was given it at, in Hz.
    """

    vectors: np.ndarray
    frame_rate: float
    model: str
    layer: int
    duration: float
    sample_rate: int

    @property
    def times(self) -> np.ndarray:
        """Start of each frame in seconds, shape = (frame,)."""
        import numpy as np

        return np.arange(len(self.vectors)) / self.frame_rate

    @property
    def samples(self) -> int:
        """Samples that the vectors were made of."""
        return round(self.duration * self.sample_rate)

    @property
    def compression(self) -> float:
        """Samples a frame."""
        return self.sample_rate / self.frame_rate


@dataclass(frozen=True)
class Hypothesis:
    """What a recogniser made of one window: one segment with its words, times from the window's
    start, and the language it was taken to be in. A window without speech has an empty text.
    """

    segment: Segment
    language: str
    language_probability: float = 1.0


@dataclass(frozen=True)
class StreamOptions:
    """How a stream is heard.

    chunk_seconds: sound that is computed at a time, look_ahead_seconds: what is heard after it
    before it is written down; None for what the network was made for. Both are rounded to the
    network's frames, a chunk to one at least. beam_size 1 is greedy search: nothing shown is ever
    taken back.
    """

    chunk_seconds: float | None = None
    look_ahead_seconds: float | None = None
    beam_size: int = 1

    def __post_init__(self) -> None:
        for name in ("chunk_seconds", "look_ahead_seconds"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 30:
                raise InputError(f"{name} is {value}; give 0 to 30 seconds")
        if not 1 <= self.beam_size <= 64:
            raise InputError(f"beam_size is {self.beam_size}; give 1 to 64")


@dataclass(frozen=True)
class PartialResult:
    """What a stream makes of the sound so far, all in seconds from its start.

    words are all that are written, the first `final` of which will not change. time: sound that
    came in; silence: how long, at the end of what was decoded, nothing has been written.
    """

    words: tuple[Word, ...]
    final: int
    time: float
    silence: float


@runtime_checkable
class SpeechDetector(Protocol):
    """Scores frames for speech."""

    sample_rate: int
    frame_length: int
    """Samples that one probability stands for."""

    def speech_probabilities(self, samples: np.ndarray) -> np.ndarray:
        """float32 in [0, 1], shape = (ceil(time / frame_length),), for samples of (time,)."""
        ...

    def stream(self) -> SpeechStream:
        """The same detector, to be fed in pieces."""
        ...


@runtime_checkable
class LanguageIdentifier(Protocol):
    """Tells the language of a window of speech."""

    sample_rate: int

    def identify_language(self, windows: Sequence[np.ndarray]) -> list[LanguageGuess]:
        """One guess a window; a window is float32 samples, shape = (time,)."""
        ...


@runtime_checkable
class Encoder(Protocol):
    """Makes a vector of each moment of sound."""

    sample_rate: int
    frame_rate: float
    """Vectors a second."""
    max_seconds: float
    """The longest window it takes, a whole number of frames."""
    encoder_layers: int
    """Number of its last layer; 0 is what goes into the first."""

    def embed(self, samples: np.ndarray, layer: int | None = None) -> np.ndarray:
        """float32, shape = (frame, dimension), for samples of (time,); layer None is the last."""
        ...


@runtime_checkable
class Recogniser(LanguageIdentifier, Protocol):
    """Writes down what is said in windows of speech; options are its family's own."""

    workers: int
    """Calls of recognise that gain from running at once."""

    def check(self, options: Any) -> None:
        """InputError for options that this model can't follow."""
        ...

    def recognise(self, windows: Sequence[np.ndarray], options: Any) -> list[Hypothesis]:
        """One hypothesis a window; a window is float32 samples, shape = (time,)."""
        ...


class SpeechStream(Protocol):
    """A detector fed in pieces, holding its own state."""

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Probabilities of the frames completed by these samples."""
        ...

    def finish(self) -> np.ndarray:
        """The probability of the last, zero-padded frame; empty when none is pending."""
        ...


class RecognitionStream(Protocol):
    """A recogniser fed in pieces."""

    def push(self, samples: np.ndarray) -> list[PartialResult]:
        """What these float32 samples (time,) made known: empty where they complete no chunk."""
        ...

    def finish(self) -> list[PartialResult]:
        """The last result, all its words final; the stream is then ready for another recording."""
        ...


@runtime_checkable
class StreamingRecogniser(Protocol):
    """Writes down what is said while it is said."""

    sample_rate: int
    languages: tuple[str, ...]
    """Codes of those it writes."""

    def stream(self, options: Any = None) -> RecognitionStream:
        """A stream under StreamOptions, None being the defaults."""
        ...


@runtime_checkable
class StreamSimulator(Protocol):
    """A StreamingRecogniser that can also work a whole recording at once under a stream's chunks,
    which tells what a stream loses: nothing."""

    def simulate(self, samples: np.ndarray, options: Any = None) -> PartialResult:
        """What a stream under StreamOptions has written of samples (time,) at their end."""
        ...
