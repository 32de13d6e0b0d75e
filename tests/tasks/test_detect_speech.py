import dataclasses
import inspect
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aural import models
from aural.audio.read import read
from aural.errors import EmptyAudio, InputError, UnknownName
from aural.tasks.detect_speech import SpanFinder, SpeechOptions, detect_speech
from aural.types import Audio, Span

FRAME = 0.032
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.flac"))

levels = st.sampled_from([0.02, 0.2, 0.3, 0.45, 0.7, 0.92, 0.99])
tracks = st.lists(st.tuples(levels, st.integers(1, 45)), max_size=14).map(
    lambda runs: np.array([p for p, n in runs for _ in range(n)], np.float32)
)
options = st.builds(
    SpeechOptions,
    threshold=st.sampled_from([0.4, 0.6]),
    peak_threshold=st.sampled_from([0.0, 0.9]),
    min_speech_seconds=st.sampled_from([0.0, 0.1, 0.5]),
    min_silence_seconds=st.sampled_from([0.0, 0.1, 0.64]),
    pad_seconds=st.sampled_from([0.0, 0.03, 0.4]),
    max_speech_seconds=st.sampled_from([None, 1.8, 3.0]),
)


def frames(seconds: float) -> int:
    return max(1, int(np.ceil(round(seconds / FRAME, 6))))


def find(probabilities: np.ndarray, chosen: SpeechOptions) -> list[Span]:
    finder = SpanFinder(chosen, FRAME)
    return finder.push(probabilities) + finder.finish()


def by_definition(p: np.ndarray, chosen: SpeechOptions) -> list[Span]:
    """SpeechOptions' docstring read literally, over the whole track (no max_speech_seconds)."""
    silence = frames(chosen.min_silence_seconds)
    p = p.astype(np.float64)  # thresholds are doubles
    starts = np.flatnonzero(p >= chosen.threshold)
    quiet = np.flatnonzero(p < chosen.low)
    raw, first = [], None
    for here, after in itertools.pairwise([*starts, None]):
        first = here if first is None else first
        pauses = quiet[quiet > here]
        pause = pauses[0] if pauses.size else p.size
        if after is None or after - pause >= silence:
            long_enough = pause - first >= frames(chosen.min_speech_seconds)
            if long_enough and p[first:pause].max() >= chosen.peak_threshold:
                raw.append((first * FRAME, pause * FRAME))
            first = None
    edges = [0.0, *[time for span in raw for time in span], p.size * FRAME]
    padded = []
    for i, (start, end) in enumerate(raw):
        before, after = start - edges[2 * i], edges[2 * i + 3] - end
        left = min(chosen.pad_seconds, before if i == 0 else before / 2)
        right = min(chosen.pad_seconds, after if i == len(raw) - 1 else after / 2)
        padded.append(Span(start - left, end + right))
    return padded


@settings(max_examples=300, deadline=None)
@given(tracks, options)
def test_spans_are_those_of_the_definition(track: np.ndarray, chosen: SpeechOptions) -> None:
    chosen = dataclasses.replace(chosen, max_speech_seconds=None)
    mine, expected = find(track, chosen), by_definition(track, chosen)
    assert len(mine) == len(expected)
    for a, b in zip(mine, expected, strict=True):
        assert (a.start, a.end) == pytest.approx((b.start, b.end), abs=1e-9)


@settings(max_examples=300, deadline=None)
@given(tracks, options, st.lists(st.integers(0, 60), max_size=10))
def test_spans_do_not_depend_on_the_chunks(
    track: np.ndarray, chosen: SpeechOptions, cuts: list[int]
) -> None:
    finder, duration = SpanFinder(chosen, FRAME), max(0.0, (track.size - 0.5) * FRAME)
    whole = finder.push(track) + finder.finish(duration)
    spans = []
    for part in np.split(track, np.cumsum(cuts)):
        spans += finder.push(part)
    spans += finder.finish(duration)
    assert spans == whole


@settings(max_examples=300, deadline=None)
@given(tracks, options)
def test_spans_are_in_order_in_bounds_and_no_longer_than_allowed(
    track: np.ndarray, chosen: SpeechOptions
) -> None:
    finder, duration = SpanFinder(chosen, FRAME), max(0.0, (track.size - 0.5) * FRAME)
    spans = finder.push(track) + finder.finish(duration)
    times = [time for span in spans for time in (span.start, span.end)]
    assert times == sorted(times)
    assert all(0 <= time <= duration for time in times)
    if chosen.max_speech_seconds is not None:
        assert all(span.duration <= chosen.max_speech_seconds + 1e-9 for span in spans)


def test_long_speech_is_cut_at_its_best_pause_and_nothing_is_lost() -> None:
    track = np.full(300, 0.99, np.float32)
    track[200:206] = 0.5  # the longer dip
    track[250] = 0.45
    first, second = find(track, SpeechOptions(max_speech_seconds=9.0))
    assert 200 * FRAME <= first.end <= 206 * FRAME
    assert first.end == second.start
    assert (first.start, second.end) == pytest.approx((0.0, 300 * FRAME))


def test_a_span_comes_out_while_sound_still_comes_in() -> None:
    finder = SpanFinder(SpeechOptions())
    assert finder.push(np.full(30, 0.99)) == []
    (span,) = finder.push(np.zeros(20))
    assert (span.start, span.end) == pytest.approx((0.0, 30 * FRAME + 0.15))
    assert finder.finish() == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_spans_cover_real_speech_and_not_the_silence_around_it(path: Path) -> None:
    speech = read(path, sample_rate=16000).samples
    silence = np.zeros(2 * 16000, np.float32)
    samples = np.concatenate((silence, speech, silence))
    found = detect_speech(Audio(samples, 16000))
    assert found.duration == samples.size / 16000
    energy = (samples[: samples.size // 160 * 160].reshape(-1, 160) ** 2).mean(axis=1)
    loud = np.flatnonzero(energy > energy.max() * 1e-2) * 0.01
    covered = [any(s.start <= t <= s.end for s in found.spans) for t in loud]
    assert np.mean(covered) > 0.995
    assert found.spans[0].start > 1.8
    assert found.spans[-1].end < found.duration - 1.7


def test_streamed_file_equals_the_whole_array() -> None:
    audio = read(EXAMPLES[0], sample_rate=16000)
    whole = SpanFinder(SpeechOptions())
    probabilities = models.load("silero/16k").speech_probabilities(audio.samples)
    spans = whole.push(probabilities) + whole.finish(audio.duration)
    assert detect_speech(EXAMPLES[0]).spans == tuple(spans)
    assert len(spans) >= 1


def noise(name: str) -> np.ndarray:
    time = np.arange(30 * 16000) / 16000
    rng = np.random.default_rng(0)
    return {
        "silence": np.zeros(time.size),
        "white": rng.standard_normal(time.size) * 0.1,
        "brown": np.cumsum(rng.standard_normal(time.size)) * 1e-4,
        "hum": 0.2 * np.sin(2 * np.pi * 50 * time) + 0.1 * np.sin(2 * np.pi * 150 * time),
        "tone": 0.3 * np.sin(2 * np.pi * 440 * time),
        "clicks": (np.arange(time.size) % 8000 < 8) * 0.8,
    }[name].astype(np.float32)


@pytest.mark.parametrize("name", ["silence", "white", "brown", "hum", "tone", "clicks"])
@pytest.mark.parametrize("gain", [1.0, 0.02])
def test_noise_is_no_speech(name: str, gain: float) -> None:
    found = detect_speech(Audio(noise(name) * np.float32(gain), 16000))
    assert found.spans == ()
    assert found.duration == 30


def test_the_options_have_the_defaults_of_the_function() -> None:
    parameters = inspect.signature(detect_speech).parameters
    for field in dataclasses.fields(SpeechOptions):
        assert parameters[field.name].default == field.default


@pytest.mark.parametrize(
    "fault",
    [
        {"threshold": 0.0},
        {"threshold": 1.0},
        {"neg_threshold": 0.5},
        {"peak_threshold": 1.0},
        {"min_speech_seconds": -1.0},
        {"min_silence_seconds": float("nan")},
        {"pad_seconds": float("inf")},
        {"max_speech_seconds": 1.0},
        {"channel": "all"},
    ],
)
def test_options_out_of_range_are_refused(fault: dict) -> None:
    with pytest.raises(InputError, match="give"):
        detect_speech(EXAMPLES[0], **fault)


def test_no_sound_and_no_model_are_named() -> None:
    with pytest.raises(EmptyAudio):
        detect_speech(b"")
    with pytest.raises(UnknownName, match="silero/16k"):
        detect_speech(EXAMPLES[0], model="silero/48k")
