"""What is written is read back by readers that know nothing of aural."""

import csv
import html
import io
import itertools
import json
import re
from pathlib import Path

import pytest
import srt
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st
from praatio import textgrid
from pyannote.database.util import load_rttm

from aural.errors import InputError, UnknownName
from aural.formats import FORMATS, Layout, formats_for, render
from aural.formats.layout import Interval, disjoint
from aural.types import (
    Diarization,
    LanguageGuess,
    Segment,
    Span,
    SpeechActivity,
    Tag,
    Transcript,
    Turn,
    Word,
)

NASTY = (
    "-->",
    "a --> b",
    "--->",
    "1\n\n2\n00:00:00,000 --> 00:00:01,000\nx",
    "<v Bob>&amp;</v>",
    'say "hi" ""',
    "tab\there",
    "line\nbreak\r\n\u2028x\x85y\x00z",
    "  spaces  ",
    "NOTE me",
    "\ufeffbom",
    "日本語の 文",
    "🦉 naïve",
    ";; comment",
    "\ud800",
    "WEBVTT",
    "}{",
)


def word(text: str, start: float, end: float, probability: float = 0.5) -> Word:
    return Word(start, end, text, probability)


def transcript(*segments: Segment, duration: float = 10.0) -> Transcript:
    return Transcript(segments, "en", 0.98, duration, "whisper/test")


SPOKEN = transcript(
    Segment(
        0.5,
        2.0,
        " Hello there, world.",
        (word(" Hello", 0.5, 0.9), word(" there,", 0.9, 1.2), word(" world.", 1.5, 2.0)),
        (1, 2, 3),
        -0.25,
        0.01,
        1.1,
        0.2,
    ),
    Segment(
        2.25,
        3.0,
        " Good bye.",
        (word(" Good", 2.25, 2.5), word(" bye.", 2.5, 3.0)),
        (4, 5),
        -0.5,
        0.02,
        0.9,
    ),
)

times = st.floats(min_value=-1.0, max_value=400_000.0, allow_nan=False)
nasty = st.one_of(st.sampled_from(NASTY), st.text(max_size=12))


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    """A segment with nasty text, at any time, of any (even negative) length."""
    start = draw(times)
    end = start + draw(st.sampled_from([0.0, 0.0004, 0.2, 5.0, -0.01]))
    words = tuple(word(text, start, end) for text in draw(st.lists(nasty, max_size=4)))
    return Segment(start, end, draw(nasty), words)


transcripts = st.lists(segments(), max_size=5).map(lambda made: transcript(*made))


def visible(text: str) -> str:
    """Text as it should survive: one line, no controls, no lone surrogates."""
    flat = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text)
    return re.sub(r"[\ud800-\udfff]", "\ufffd", flat).strip()


def shown(made: Transcript) -> list[str]:
    """The texts that are not blank, in order of time."""
    ordered = sorted(made.segments, key=lambda segment: max(0, round(segment.start * 1000)))
    return [visible(segment.text) for segment in ordered if visible(segment.text)]


# SubRip


def test_srt_is_read_by_srt() -> None:
    first, second = srt.parse(render(SPOKEN, "srt"))
    assert (first.content, second.content) == ("Hello there, world.", "Good bye.")
    assert first.start.total_seconds() == 0.5
    assert second.end.total_seconds() == 3.0


@given(transcripts)
@settings(deadline=None)
def test_srt_keeps_nasty_text(made: Transcript) -> None:
    cues = list(srt.parse(render(made, "srt")))
    assert [cue.content for cue in cues] == [re.sub("-{2,}>", "->", text) for text in shown(made)]
    assert [cue.index for cue in cues] == list(range(1, len(cues) + 1))
    assert all(cue.start < cue.end for cue in cues)
    assert all(a.end <= b.start for a, b in itertools.pairwise(cues))


def test_srt_counts_more_than_99_hours() -> None:
    text = render(transcript(Segment(360_000.0, 360_001.5, " late")), "srt")
    assert "100:00:00,000 --> 100:00:01,500" in text
    assert next(srt.parse(text)).start.total_seconds() == 360_000.0


def test_srt_names_the_speaker() -> None:
    made = transcript(Segment(0.0, 1.0, " hi", speaker="Ann\n--> B"))
    assert next(srt.parse(render(made, "srt"))).content == "[Ann -> B]: hi"


# WebVTT


def read_vtt(text: str) -> list[webvtt.Caption]:
    return list(webvtt.from_buffer(io.StringIO(text)))


def test_vtt_is_read_by_webvtt() -> None:
    first, second = read_vtt(render(SPOKEN, "vtt"))
    assert (first.text, second.text) == ("Hello there, world.", "Good bye.")
    assert (first.start, second.end) == ("00:00:00.500", "00:00:03.000")


@given(transcripts)
@settings(deadline=None)
def test_vtt_keeps_nasty_text(made: Transcript) -> None:
    captions = read_vtt(render(made, "vtt"))
    assert [html.unescape(caption.raw_text) for caption in captions] == shown(made)


def test_vtt_names_the_speaker() -> None:
    caption = read_vtt(render(transcript(Segment(0.0, 1.0, " hi", speaker="A>B")), "vtt"))[0]
    assert caption.raw_text == "<v A&gt;B>hi"


# Layout of subtitles


def contents(**choices: int | bool) -> list[str]:
    return [cue.content for cue in srt.parse(render(SPOKEN, "srt", Layout(**choices)))]


def test_lines_keep_the_width() -> None:
    assert contents(max_line_width=13) == ["Hello there,\nworld.", "Good bye."]


def test_cues_keep_the_line_count() -> None:
    assert contents(max_line_width=6, max_line_count=2) == ["Hello\nthere,", "world.", "Good\nbye."]


def test_cues_keep_the_word_count() -> None:
    assert contents(max_words_per_line=2) == ["Hello there,", "world.", "Good bye."]


def test_a_word_longer_than_the_width_stays_whole() -> None:
    assert contents(max_line_width=1)[1] == "Good\nbye."


def test_cut_cues_have_the_times_of_their_words() -> None:
    cues = list(srt.parse(render(SPOKEN, "srt", Layout(max_words_per_line=2))))
    spans = [(cue.start.total_seconds(), cue.end.total_seconds()) for cue in cues]
    assert spans == [(0.5, 1.2), (1.5, 2.0), (2.25, 3.0)]


def test_each_word_is_highlighted_while_it_is_spoken() -> None:
    cues = list(srt.parse(render(SPOKEN, "srt", Layout(highlight_words=True))))
    assert [cue.content for cue in cues[:4]] == [
        "<u>Hello</u> there, world.",
        "Hello <u>there,</u> world.",
        "Hello there, world.",
        "Hello there, <u>world.</u>",
    ]
    assert (cues[2].start.total_seconds(), cues[2].end.total_seconds()) == (1.2, 1.5)


def test_words_without_spaces_stay_together() -> None:
    made = transcript(Segment(0, 1, "日本語", (word("日本", 0, 0.5), word("語", 0.5, 1))))
    cues = srt.parse(render(made, "srt", Layout(max_words_per_line=5)))
    assert [cue.content for cue in cues] == ["日本語"]


@given(transcripts, st.integers(1, 20), st.integers(1, 3), st.integers(1, 4), st.booleans())
@settings(deadline=None, max_examples=60)
def test_every_layout_gives_valid_subtitles(
    made: Transcript, width: int, count: int, words: int, highlight: bool
) -> None:
    layout = Layout("x", width, count, words, highlight)
    timed = transcript(*(part for part in made.segments if part.words))
    cues = list(srt.parse(render(timed, "srt", layout)))
    assert all(a.end <= b.start for a, b in itertools.pairwise(cues))
    assert all(cue.content.count("\n") < count for cue in cues)
    assert len(read_vtt(render(timed, "vtt", layout))) == len(cues)


def test_a_layout_of_words_without_words_says_what_to_do() -> None:
    with pytest.raises(InputError, match="turn on word timestamps"):
        render(transcript(Segment(0, 1, " hi")), "srt", Layout(highlight_words=True))


def test_a_width_of_zero_is_refused() -> None:
    with pytest.raises(InputError, match="max_line_width must be at least 1, not 0"):
        Layout(max_line_width=0)


# Text and tables


def test_txt_has_a_line_a_segment() -> None:
    assert render(SPOKEN, "txt") == "Hello there, world.\nGood bye.\n"


@given(transcripts)
@settings(deadline=None)
def test_txt_and_tsv_keep_their_lines(made: Transcript) -> None:
    assert render(made, "txt").splitlines() == shown_in_place(made)
    text = render(made, "tsv")
    rows = list(csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert rows[0] == ["start", "end", "text"]
    assert [row[2] for row in rows[1:]] == [visible(part.text) for part in made.segments]
    assert all(0 <= int(row[0]) <= int(row[1]) for row in rows[1:])


def shown_in_place(made: Transcript) -> list[str]:
    return [visible(part.text) for part in made.segments if visible(part.text)]


# JSON

WHISPER_KEYS = (
    "id seek start end text tokens temperature avg_logprob compression_ratio no_speech_prob words"
)


def test_json_has_whisper_keys_and_values() -> None:
    made = json.loads(render(SPOKEN, "json"))
    assert list(made)[:3] == ["text", "segments", "language"]
    assert list(made["segments"][0]) == WHISPER_KEYS.split()
    assert list(made["segments"][0]["words"][0]) == ["word", "start", "end", "probability"]
    assert made["text"] == "Hello there, world. Good bye."
    assert made["segments"][0]["text"] == " Hello there, world."
    assert made["segments"][1]["seek"] == 225
    assert made["segments"][0]["tokens"] == [1, 2, 3]
    assert made["segments"][1]["words"][1] == {
        "word": " bye.",
        "start": 2.5,
        "end": 3.0,
        "probability": 0.5,
    }
    assert (made["language"], made["duration"], made["model"]) == ("en", 10.0, "whisper/test")


def test_json_without_word_times_has_no_words() -> None:
    made = json.loads(render(transcript(Segment(0, 1, " hi")), "json"))
    assert "words" not in made["segments"][0]


def test_json_holds_no_nan() -> None:
    text = render(transcript(Segment(0, 1, "x", avg_logprob=float("nan"))), "json")
    made = json.loads(text, parse_constant=pytest.fail)
    assert made["segments"][0]["avg_logprob"] is None


@given(transcripts)
@settings(deadline=None)
def test_json_keeps_every_text(made: Transcript) -> None:
    kept = [re.sub(r"[\ud800-\udfff]", "\ufffd", part.text) for part in made.segments]
    whole = json.loads(render(made, "json").encode("utf-8"))
    by_line = [json.loads(line) for line in render(made, "jsonl").split("\n")[:-1]]
    assert [part["text"] for part in whole["segments"]] == kept
    assert by_line == whole["segments"]


# NIST


def test_ctm_has_a_line_a_word() -> None:
    rows = render(SPOKEN, "ctm", Layout("my talk;1")).splitlines()
    assert rows[0] == "my%20talk;1 1 0.500 0.400 Hello 0.5000"
    assert len(rows) == 5


def test_ctm_needs_words() -> None:
    with pytest.raises(InputError, match="ctm needs the times of words"):
        render(transcript(Segment(0, 1, " hi")), "ctm")


@given(transcripts, nasty)
@settings(deadline=None)
def test_ctm_and_stm_keep_their_fields(made: Transcript, name: str) -> None:
    timed = transcript(*(part for part in made.segments if part.words))
    for row in render(timed, "ctm", Layout(name)).split("\n")[:-1]:
        recording, channel, start, length, _, probability = row.split()
        assert not recording.startswith(";")
        assert (channel, probability) == ("1", "0.5000")
        assert min(float(start), float(length)) >= 0
    rows = render(made, "stm", Layout(name)).split("\n")[:-1]
    assert [row.split(maxsplit=5)[5].split() for row in rows] == [
        text.split() for text in shown_in_place(made)
    ]
    assert all(row.split()[2] == "unknown" for row in rows)


def read_rttm(text: str, folder: Path) -> dict[str, object]:
    path = folder / "x.rttm"
    path.write_text(text, encoding="utf-8")
    return load_rttm(path)


def test_rttm_is_read_by_pyannote(tmp_path: Path) -> None:
    made = Diarization((Turn(0.5, 1.5, "Ann B"), Turn(1.0, 2.0, "Bob"), Turn(3.0, 3.0, "Bob")), 4.0)
    annotation = read_rttm(render(made, "rttm", Layout("a b")), tmp_path)["a%20b"]
    tracks = [
        (part.start, part.end, label) for part, _, label in annotation.itertracks(yield_label=True)
    ]
    assert tracks == [(0.5, 1.5, "Ann%20B"), (1.0, 2.0, "Bob")]


def test_speech_rttm_is_read_by_pyannote(tmp_path: Path) -> None:
    made = SpeechActivity((Span(0.5, 1.5), Span(2.0, 2.25)), 4.0)
    annotation = read_rttm(render(made, "rttm"), tmp_path)["audio"]
    assert [(part.start, part.end) for part in annotation.itersegments()] == [
        (0.5, 1.5),
        (2.0, 2.25),
    ]
    assert annotation.labels() == ["speech"]


def test_rttm_of_a_transcript_needs_speakers(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="names no speakers"):
        render(SPOKEN, "rttm")
    made = transcript(Segment(0, 1, "hi", speaker="Ann"), Segment(1, 2, "ho", speaker="Bob"))
    assert sorted(read_rttm(render(made, "rttm"), tmp_path)["audio"].labels()) == ["Ann", "Bob"]


# Praat


def read_grid(text: str, folder: Path) -> textgrid.Textgrid:
    path = folder / "x.TextGrid"
    path.write_text(text, encoding="utf-8")
    return textgrid.openTextgrid(str(path), includeEmptyIntervals=False)


def test_textgrid_is_read_by_praatio(tmp_path: Path) -> None:
    grid = read_grid(render(SPOKEN, "textgrid"), tmp_path)
    assert grid.tierNames == ("segments", "words")
    assert [tuple(entry) for entry in grid.getTier("segments").entries] == [
        (0.5, 2.0, "Hello there, world."),
        (2.25, 3.0, "Good bye."),
    ]
    assert [entry.label for entry in grid.getTier("words").entries][:2] == ["Hello", "there,"]
    assert grid.maxTimestamp == 10.0


@given(transcripts)
@settings(deadline=None, max_examples=60)
def test_textgrid_keeps_nasty_text(made: Transcript) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        grid = read_grid(render(made, "textgrid"), Path(folder))
    labels = [entry.label for entry in grid.getTier("segments").entries]
    assert labels == shown(made)


def test_textgrid_of_nothing_has_one_empty_interval(tmp_path: Path) -> None:
    text = render(SpeechActivity((), 0.0), "textgrid")
    assert "intervals: size = 1" in text
    assert read_grid(text, tmp_path).tierNames == ("speech",)


def test_textgrid_has_a_tier_a_speaker(tmp_path: Path) -> None:
    made = Diarization((Turn(0.0, 2.0, 'A "x"'), Turn(1.0, 3.0, "B")), 4.0)
    grid = read_grid(render(made, "textgrid"), tmp_path)
    assert [len(grid.getTier(name).entries) for name in grid.tierNames] == [1, 1]
    assert grid.getTier("B").entries[0].end == 3.0


# The table


def test_other_results_have_their_formats() -> None:
    guess = LanguageGuess((Tag("en", 0.9), Tag("de", 0.095), Tag("nl", 0.005)))
    assert render(guess, "txt") == "en 0.9000\nde 0.0950\n"
    assert json.loads(render(guess, "json"))["language"] == "en"
    assert len(render(guess, "tsv").splitlines()) == 4
    activity = SpeechActivity((Span(0.5, 1.0),), 2.0)
    assert render(activity, "txt") == "0.500 1.000\n"
    assert json.loads(render(activity, "json"))["speech_seconds"] == 0.5


def test_a_format_that_cannot_hold_the_result_names_those_that_can() -> None:
    with pytest.raises(UnknownName, match=r"format for a LanguageGuess 'srt'.*txt, tsv, json"):
        render(LanguageGuess((Tag("en", 1.0),)), "srt")


@pytest.mark.parametrize("kind", [Transcript, SpeechActivity, Diarization, LanguageGuess])
def test_every_result_can_be_read_by_people_and_by_programs(kind: type) -> None:
    assert {"txt", "json", "jsonl", "tsv"} <= set(formats_for(kind))


def test_empty_results_give_valid_files(tmp_path: Path) -> None:
    empty = transcript()
    assert list(srt.parse(render(empty, "srt"))) == []
    assert read_vtt(render(empty, "vtt")) == []
    assert json.loads(render(empty, "json"))["segments"] == []
    assert read_grid(render(empty, "textgrid"), tmp_path).maxTimestamp == 10.0
    assert {render(empty, name) for name in ("txt", "ctm", "stm", "rttm", "jsonl")} == {""}


def test_suffixes_are_unique() -> None:
    assert len({made.suffix for made in FORMATS.values()}) == len(FORMATS)


# Intervals

spots = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60)), max_size=12)


@given(spots)
def test_disjoint_loses_no_label_and_leaves_no_overlap(pairs: list[tuple[int, int]]) -> None:
    made = [Interval(a, max(a, b), str(i)) for i, (a, b) in enumerate(pairs)]
    settled = disjoint(made)
    assert sorted(item.label for item in settled) == sorted(item.label for item in made)
    assert all(item.start < item.end for item in settled)
    assert all(a.end <= b.start for a, b in itertools.pairwise(settled))


def test_disjoint_leaves_what_is_disjoint() -> None:
    made = [Interval(0, 5, "a"), Interval(5, 6, "b"), Interval(9, 10, "c")]
    assert disjoint(made) == made
