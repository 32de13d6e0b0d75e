"""Where there is speech: a detector's probabilities made into spans of time, as sound comes in."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from aural import models
from aural.audio.stream import stream
from aural.errors import InputError
from aural.types import Span, SpeechActivity, SpeechDetector

if TYPE_CHECKING:
    from aural.audio.source import Source

FRAME_SECONDS = 0.032
"""What one probability stands for in silero."""

PAUSE_FRAMES = 9
"""A long span is cut where the mean probability of so many frames (0.3 s) is lowest."""


@dataclass(frozen=True)
class SpeechOptions:
    """How probabilities become spans.

    A span begins at a frame of at least threshold and ends where frames below neg_threshold
    (None: threshold - 0.15) begin that last min_silence_seconds without one of at least
    threshold among them. Spans shorter than min_speech_seconds are dropped, and those that never
    reach peak_threshold: speech does, what only resembles it often does not. The others are then
    widened by pad_seconds at both ends; neighbours nearer than that share the gap. One longer
    than max_speech_seconds (None: no limit) is cut at the best pause in the second half of the
    allowed length: two spans that touch, so that no sound is lost there.

    The defaults are chosen on recorded noises, music and speech mixed with them by
    benchmarks/vad.py: on others than those, they let through fewer false spans than the
    detector's customary ones (0.5, no peak, 0.25 s, 0.1 s, 0.03 s) and lose less speech.
    """

    threshold: float = 0.4
    neg_threshold: float | None = None
    peak_threshold: float = 0.9
    min_speech_seconds: float = 0.2
    min_silence_seconds: float = 0.3
    pad_seconds: float = 0.15
    max_speech_seconds: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise InputError(f"threshold is {self.threshold}; give a number between 0 and 1")
        if not 0 <= self.low <= self.threshold:
            raise InputError(f"neg_threshold is {self.low}; give 0 to threshold ({self.threshold})")
        if not 0 <= self.peak_threshold < 1:
            raise InputError(f"peak_threshold is {self.peak_threshold}; give 0 or more, below 1")
        for name in ("min_speech_seconds", "min_silence_seconds", "pad_seconds"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}; give 0 or more seconds")
        least = 2 * self.pad_seconds + max(1.0, 2 * self.min_speech_seconds)
        if self.max_speech_seconds is not None and not self.max_speech_seconds >= least:
            raise InputError(
                f"max_speech_seconds is {self.max_speech_seconds}; give at least {least:g}: "
                "1 s and twice min_speech_seconds, with pad_seconds at both ends"
            )

    @property
    def low(self) -> float:
        """The probability below which a pause begins."""
        return max(0.0, self.threshold - 0.15) if self.neg_threshold is None else self.neg_threshold


def detect_speech(
    source: Source,
    *,
    model: str = "silero/16k",
    threshold: float = 0.4,
    neg_threshold: float | None = None,
    peak_threshold: float = 0.9,
    min_speech_seconds: float = 0.2,
    min_silence_seconds: float = 0.3,
    pad_seconds: float = 0.15,
    max_speech_seconds: float | None = None,
    channel: int | str = "mix",
) -> SpeechActivity:
    """Find the speech in a recording of any length, in bounded memory.

    Args:
        source: A path, "-" for standard input, bytes, an open binary file, or Audio.
        model: The detector, family/variant.
        threshold: Probability at which speech begins, between 0 and 1.
        neg_threshold: Probability below which a pause begins; threshold - 0.15 if not given.
        peak_threshold: Speech that never reaches this probability is dropped.
        min_speech_seconds: Shorter speech is dropped.
        min_silence_seconds: Shorter pauses stay inside the speech around them.
        pad_seconds: Added to both ends of the speech found.
        max_speech_seconds: Longer speech is cut at its best pause; no limit if not given.
        channel: "mix" (mean of the channels) or a number counted from 0.
    """
    options = SpeechOptions(
        threshold=threshold,
        neg_threshold=neg_threshold,
        peak_threshold=peak_threshold,
        min_speech_seconds=min_speech_seconds,
        min_silence_seconds=min_silence_seconds,
        pad_seconds=pad_seconds,
        max_speech_seconds=max_speech_seconds,
    )
    if channel == "all":
        raise InputError("channel is 'all'; give 'mix' or a channel's number, counted from 0")
    detector = models.load(model, SpeechDetector)
    finder = SpanFinder(options, detector.frame_length / detector.sample_rate)
    listener, spans, samples = detector.stream(), [], 0
    for block in stream(source, sample_rate=detector.sample_rate, channel=channel):
        samples += block.size
        spans += finder.push(listener.push(block))
    duration = samples / detector.sample_rate
    spans += finder.push(listener.finish()) + finder.finish(duration)
    return SpeechActivity(tuple(spans), duration)


@dataclass
class _Run:
    """Speech that is going on, in frames.

    begin: its padded start in seconds, once it is sure to be kept; quiet: the first frame of the
    pause it may be ending with; peak: its highest probability.
    """

    start: int
    begin: float | None = None
    quiet: int | None = None
    peak: float = 0.0
    probabilities: list[float] = field(default_factory=list)


class SpanFinder:
    """Probabilities in, finished spans out; however they are cut up, the spans are the same.

    A span comes out once nothing later can change it: after the pause that ends it and twice the
    padding, or once the next one is sure. Memory is bounded by max_speech_seconds.
    """

    def __init__(
        self, options: SpeechOptions = SpeechOptions(), frame_seconds: float = FRAME_SECONDS
    ) -> None:
        self.options, self.frame_seconds = options, frame_seconds
        self._min_speech = self._frames(options.min_speech_seconds)
        self._min_silence = self._frames(options.min_silence_seconds)
        self._limit: int | None = None
        if options.max_speech_seconds is not None:
            longest = options.max_speech_seconds - 2 * options.pad_seconds
            self._limit = int(longest / frame_seconds)
        self._reset()

    def push(self, probabilities: np.ndarray) -> list[Span]:
        """The spans that these probabilities, shape = (frame,), made final."""
        for probability in probabilities.tolist():
            self._step(probability)
        return self._take()

    def finish(self, duration: float | None = None) -> list[Span]:
        """The spans left at the end, none beyond duration (None: the end of the last frame).

        The finder is then ready for another recording.
        """
        end = self._frame * self.frame_seconds if duration is None else duration
        run = self._run
        if run is not None:
            self._close(run, self._frame if run.quiet is None else run.quiet)
        self._release(math.inf, end)
        spans = self._take()
        self._reset()
        return spans

    def _reset(self) -> None:
        self._frame = 0
        self._run: _Run | None = None
        self._held: Span | None = None  # begin is padded, end is not yet
        self._ready: list[Span] = []

    def _take(self) -> list[Span]:
        spans, self._ready = self._ready, []
        return spans

    def _frames(self, seconds: float) -> int:
        return max(1, math.ceil(round(seconds / self.frame_seconds, 6)))

    def _step(self, probability: float) -> None:
        frame, run = self._frame, self._run
        self._frame += 1
        if run is None and probability >= self.options.threshold:
            run = self._run = _Run(frame)
        if run is None or run.begin is None:
            self._release((frame if run is None else run.start) * self.frame_seconds)
        if run is not None:
            self._extend(run, frame, probability)

    def _extend(self, run: _Run, frame: int, probability: float) -> None:
        if self._limit is not None:
            run.probabilities.append(probability)
        if probability >= self.options.threshold:
            run.quiet = None
        elif probability < self.options.low and run.quiet is None:
            run.quiet = frame
        run.peak = max(run.peak, probability)
        length = frame + 1 - run.start
        kept = length >= self._min_speech and run.peak >= self.options.peak_threshold
        if kept and run.quiet is None and run.begin is None:
            run.begin = self._begin(run.start)
        too_long = self._limit is not None and length >= self._limit
        if run.quiet is not None:
            if too_long or frame + 1 - run.quiet >= self._min_silence:
                self._close(run, run.quiet)
        elif too_long:
            self._cut(run, frame)

    def _begin(self, start: int) -> float:
        """The padded start of speech that is sure, and with it the padded end of the one before."""
        pad, time = self.options.pad_seconds, start * self.frame_seconds
        if self._held is None:
            return max(0.0, time - pad)
        middle = (time + self._held.end) / 2  # nearer than twice the padding: not yet released
        self._ready.append(Span(self._held.start, middle))
        self._held = None
        return middle

    def _close(self, run: _Run, end: int) -> None:
        if run.begin is not None:
            self._held = Span(run.begin, end * self.frame_seconds)
        self._run = None

    def _cut(self, run: _Run, frame: int) -> None:
        if run.begin is None:
            self._close(run, frame)
            return
        half = len(run.probabilities) // 2
        means = np.convolve(run.probabilities, np.full(PAUSE_FRAMES, 1 / PAUSE_FRAMES), "same")
        middle = slice(half, len(means) - PAUSE_FRAMES // 2)  # where the window is whole
        best = half + int(np.argmin(means[middle]))
        time = (run.start + best) * self.frame_seconds
        self._ready.append(Span(run.begin, time))
        self._run = _Run(run.start + best, time, probabilities=run.probabilities[best:])

    def _release(self, now: float, duration: float = math.inf) -> None:
        """Give out the held span when no speech before now can share its padding."""
        held, pad = self._held, self.options.pad_seconds
        if held is not None and now - held.end >= 2 * pad:
            self._ready.append(Span(held.start, min(held.end + pad, duration)))
            self._held = None
