"""Long-form transcription: windows, true times, order, bounded reading."""

import io
import itertools
import sys
from concurrent.futures import Future

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import aural
from aural.errors import AuralError, InputError
from aural.tasks.transcribe import (
    Piece,
    Window,
    WindowOptions,
    _batches,
    _Group,
    _sentences,
    packed_pieces,
    segments_of,
    transcribe_segments,
)
from aural.types import Audio, Hypothesis, Segment, Span, Word

NAMES = ("0870", "0880", "0890")


@pytest.fixture(scope="module")
def clips(examples) -> list[np.ndarray]:
    files = [examples / f"sense_and_sensibility_{name}.flac" for name in NAMES]
    return [aural.read(file, sample_rate=16000).samples for file in files]


@pytest.fixture(scope="module")
def long(clips) -> tuple[Audio, list[float]]:
    """The clips over and over with pauses of 1.5 s, about 80 s; and when each begins."""
    pieces, starts, time = [], [], 0.0
    for clip in itertools.islice(itertools.cycle(clips), 12):
        starts.append(time)
        pieces += [clip, np.zeros(24000, np.float32)]
        time += (clip.size + 24000) / 16000
    return Audio(np.concatenate(pieces), 16000), starts


def test_a_file_in_one_call(examples):
    transcript = aural.transcribe(examples / "sense_and_sensibility_0870.flac")
    assert transcript.text == (
        "And Mr. John Dashwood had then leisure to consider how much there might be prudently "
        "in his power to do for them."
    )
    assert transcript.language == "en"
    assert transcript.language_probability > 0.9
    assert transcript.duration == pytest.approx(7.1, abs=0.01)
    assert transcript.model == "whisper/base"


def test_long_recordings_have_true_times_in_order(long):
    audio, starts = long
    transcript = aural.transcribe(audio, language="en")
    segments = transcript.segments
    assert transcript.duration == pytest.approx(audio.duration)
    assert all(a.end <= b.start for a, b in itertools.pairwise(segments))
    found = [s.start for s in segments if s.text.startswith((" And Mr.", " He was", " Unless"))]
    assert len(found) == len(starts) == 12
    assert max(abs(a - b) for a, b in zip(found, starts, strict=True)) < 0.5
    for segment in segments:
        assert segment.text == "".join(word.text for word in segment.words)
        assert segment.start <= segment.words[0].start
        assert segment.words[-1].end <= segment.end
        assert segment.tokens


def test_batches_and_workers_do_not_change_the_words(long):
    audio, _ = long
    together = aural.transcribe(audio, language="en")
    one_by_one = aural.transcribe(audio, language="en", batch_size=1, threads=1)
    assert together.text == one_by_one.text


def test_the_first_segment_comes_before_the_end_is_read(clips):
    """A source that is still far from its end has already given its first segment."""
    minute = np.concatenate([clips[0], np.zeros(16000, np.float32)] * 8)
    wav = io.BytesIO()
    aural.write(wav, Audio(np.concatenate([minute] * 12), 16000), format="wav")
    size = wav.tell()
    wav.seek(0)
    cutting = WindowOptions(batch_size=1)
    segments = transcribe_segments(wav, cutting=cutting)
    next(iter(segments))
    assert wav.tell() < size / 2


def test_leaving_early_ends_the_work(long):
    audio, _ = long
    segments = iter(transcribe_segments(audio, cutting=WindowOptions(batch_size=1)))
    assert next(segments).text
    segments.close()


def test_without_the_filter_all_is_decoded(clips):
    transcript = aural.transcribe(Audio(clips[0], 16000), vad_filter=False)
    assert "leisure to consider" in transcript.text


def test_without_word_times_a_segment_is_a_window(long):
    audio, starts = long
    timed = aural.transcribe(audio, language="en")
    whole = aural.transcribe(audio, language="en", word_timestamps=False)
    assert whole.text == timed.text
    assert len(whole.segments) < len(timed.segments)
    assert whole.segments[0].start == pytest.approx(starts[0], abs=0.5)
    assert not any(segment.words for segment in whole.segments)


def test_a_word_holds_no_silence_that_was_left_out():
    window = Window(np.zeros(0), (Span(10, 12), Span(50, 51)))
    assert window.true_span(0.5, 1.0) == Span(10.5, 11.0)
    assert window.true_span(1.0, 2.3) == Span(11.0, 12.0)
    assert window.true_span(1.9, 2.8) == Span(50.0, 50.8)
    assert window.true_span(2.9, 9.0) == Span(50.9, 51.0)


def test_a_word_without_a_time_stays_with_the_one_before():
    told = [Word(0, 1, " Yes."), Word(1, 1, " No."), Word(1.5, 2, " Well.")]
    assert [len(group) for group in _sentences(told)] == [2, 1]


def test_nothing_is_fetched_once_the_weights_are_here(examples, tmp_path):
    """A process that may open no connection at all transcribes."""
    code = (
        "import sys\n"
        "def cut(event, args):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo', 'subprocess.Popen'):\n"
        "        raise RuntimeError(event)\n"
        "sys.addaudithook(cut)\n"
        "import aural\n"
        "print(aural.transcribe(sys.argv[1]).text)\n"
    )
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", code, str(examples / "sense_and_sensibility_0890.flac")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "cold-hearted" in done.stdout


def test_the_language_is_identified(examples):
    guess = aural.identify_language(examples / "sense_and_sensibility_0890.flac")
    assert guess.language == "en"
    assert guess.tags[0].score > 0.9
    assert sum(tag.score for tag in guess.tags) == pytest.approx(1)


def test_no_speech_has_no_language():
    with pytest.raises(AuralError, match="no speech"):
        aural.identify_language(Audio(np.zeros(48000, np.float32), 16000))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chunk_seconds": 30.0}, "chunk_seconds is 30"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"vad_threshold": 1.5}, "threshold is 1.5"),
        ({"language": "klingon"}, "unknown language 'klingon'"),
        ({"threads": -1}, "threads is -1"),
        ({"threads": 100000}, "threads is 100000"),
        ({"patience": 1e-9}, "patience is 1e-09"),
        ({"model": "silero/16k"}, "silero/16k is no Recogniser"),
        ({"model": "whisper/huge"}, "unknown model 'whisper/huge'"),
        ({"channel": "all"}, "channel is 'all'"),
    ],
)
def test_impossible_options_are_named(examples, options, message):
    with pytest.raises(InputError, match=message):
        aural.transcribe(examples / "sense_and_sensibility_0880.flac", **options)


@given(
    st.lists(st.floats(0.1, 12.0), max_size=40),
    st.floats(5, 29),
)
def test_packing_keeps_order_and_fills_windows(lengths, chunk_seconds):
    time, pieces = 0.0, []
    for length in lengths:
        pieces.append(Piece(Span(time, time + min(length, chunk_seconds)), np.zeros(0)))
        time += length + 1
    packed = list(packed_pieces(iter(pieces), chunk_seconds))
    assert [piece for group in packed for piece in group] == pieces
    durations = [sum(p.span.duration for p in group) for group in packed]
    assert all(d <= chunk_seconds + 1e-6 for d in durations)
    for a, b in itertools.pairwise(packed):  # no window could have taken the next piece too
        assert sum(p.span.duration for p in a) + b[0].span.duration > chunk_seconds


def test_times_in_a_window_become_the_recording_s():
    window = Window(np.zeros(0), (Span(10, 12), Span(50, 51)))
    assert window.true_time(0.5) == 10.5
    assert window.true_time(2.0) == 50.0
    assert window.true_time(2.0, end=True) == 12.0
    assert window.true_time(2.25) == 50.25
    assert window.true_time(99) == 51
    assert window.true_time(-0.1) == 10


def words(text: str) -> list[Word]:
    return [Word(i, i + 0.9, f" {w}") for i, w in enumerate(text.split())]


def test_segments_end_at_sentences_not_at_abbreviations():
    told = words("Mr. Smith met Dr. J. Doe. They spoke. It was 3.5 miles, i.e. far!")
    texts = ["".join(w.text for w in group) for group in _sentences(told)]
    assert texts == [" Mr. Smith met Dr. J. Doe.", " They spoke.", " It was 3.5 miles, i.e. far!"]


def test_segments_end_at_pauses_and_are_not_endless():
    told = [Word(0, 1, " a"), Word(1.1, 2, " b"), Word(5, 6, " c")]
    assert [len(group) for group in _sentences(told)] == [2, 1]
    endless = [Word(i * 0.5, i * 0.5 + 0.5, " la") for i in range(100)]
    assert all(group[-1].end - group[0].start <= 12 for group in _sentences(endless))


def test_a_window_without_text_gives_no_segment():
    window = Window(np.zeros(16000, np.float32), (Span(3, 4),))
    assert list(segments_of(window, Hypothesis(Segment(0, 1, ""), "en"))) == []


@given(st.lists(st.integers(1, 4), min_size=1, max_size=40), st.integers(1, 4))
def test_batches_hold_every_window_once_and_keep_all_workers_busy(lengths, workers):
    batches = _batches(lengths, 8, workers)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= 8 for batch in batches)
    assert len(batches) % workers == 0 or len(batches) == len(lengths)
    in_order = [lengths[i] for batch in batches for i in batch]
    assert in_order == sorted(lengths, reverse=True)


def test_a_window_is_given_before_later_batches_are_done():
    window = Window(np.zeros(16000, np.float32), (Span(0.0, 1.0),))
    said = [Hypothesis(Segment(0.0, 1.0, text), "en") for text in ("one", "two", "three")]
    first, second = Future(), Future()
    group = _Group([window] * 3, [[2, 0], [1]], [first, second])
    first.set_result([said[2], said[0]])
    results = group.results()
    assert next(results) is said[0]
    second.set_result([said[1]])
    assert list(results) == said[1:]
