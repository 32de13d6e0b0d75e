"""Words, speech and speakers under their sound."""

import itertools

import numpy as np
import pytest

from aural import plot
from aural.errors import InputError
from aural.plot.timeline import MAX_LANES, Block, _fit, stacked
from aural.types import (
    Audio,
    Diarization,
    Segment,
    Span,
    SpeechActivity,
    Transcript,
    Turn,
    Word,
)

RATE = 16000


@pytest.fixture
def audio() -> Audio:
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * RATE)
    return Audio(noise.astype(np.float32), RATE)


def transcript(*words: Word, text: str = "") -> Transcript:
    spoken = text or "".join(word.text for word in words)
    return Transcript((Segment(words[0].start, words[-1].end, spoken, words),), "en", 1.0, 3.0)


def bars(axes) -> list[tuple[float, float]]:
    return [
        (bar.get_x(), bar.get_x() + bar.get_width())
        for bar in sorted(axes.patches, key=lambda bar: bar.get_x())
    ]


def test_words_are_at_their_times_in_all_three_rows(audio: Audio) -> None:
    words = (Word(0.5, 0.9, " one"), Word(0.9, 1.3, " two"), Word(1.5, 2.75, " three"))
    top, middle, lanes = plot.timeline(audio, transcript(*words)).axes
    expected = [(word.start, word.end) for word in words]
    assert np.allclose(bars(lanes), expected)
    assert np.allclose(bars(top), expected)
    assert [text.get_text() for text in lanes.texts] == ["one", "two", "three"]
    places = [text.get_position()[0] for text in lanes.texts]
    assert places == pytest.approx([0.7, 1.1, 2.125])
    for axes in (top, middle, lanes):
        assert axes.get_xlim() == (0, 3)
    boxes = [axes.get_position() for axes in (top, middle, lanes)]
    assert len({(box.x0, box.x1) for box in boxes}) == 1, "one time axis for all rows"


def test_times_are_the_recordings(audio: Audio) -> None:
    """Of a stretch from 10 s on: what lies outside is left out, what juts out is cut."""
    words = (
        Word(9.0, 9.5, " before"),
        Word(9.8, 10.2, " first"),
        Word(11.0, 12.0, " in"),
        Word(12.9, 13.4, " last"),
        Word(13.5, 14.0, " after"),
    )
    lanes = plot.timeline(audio, transcript(*words), start=10.0).axes[2]
    assert np.allclose(bars(lanes), [(10.0, 10.2), (11.0, 12.0), (12.9, 13.0)])
    assert lanes.get_xlim() == (10, 13)


def test_texts_do_not_touch(audio: Audio) -> None:
    """Forty short words of eight letters: measured on the drawn figure."""
    words = tuple(Word(i * 0.2, i * 0.2 + 0.18, f" word{i:04}") for i in range(15))
    figure = plot.timeline(audio, transcript(*words))
    plot.encode(figure)
    lanes = figure.axes[2]
    boxes = [text.get_window_extent() for text in lanes.texts]
    assert len(boxes) == 15
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    edge = lanes.get_window_extent()
    assert all(edge.x0 - 1 <= box.x0 and box.x1 <= edge.x1 + 1 for box in boxes)


def test_where_words_do_not_fit_there_are_segments(audio: Audio) -> None:
    words = tuple(Word(i * 0.01, i * 0.01 + 0.01, f" word{i:04}") for i in range(300))
    text = "a long sentence of very many words indeed, " * 9
    lanes = plot.timeline(audio, transcript(*words, text=text)).axes[2]
    (shown,) = lanes.texts
    assert shown.get_text().startswith("a long sentence")
    assert shown.get_text().endswith("…")
    assert bars(lanes) == [(0.0, 3.0)]


def test_segments_alone_and_no_segment(audio: Audio) -> None:
    two = Transcript((Segment(0.1, 1.0, " yes"), Segment(1.2, 2.0, " no")), "en", 1.0, 3.0)
    assert np.allclose(bars(plot.timeline(audio, two).axes[2]), [(0.1, 1.0), (1.2, 2.0)])
    lanes = plot.timeline(audio, Transcript((), "en", 1.0, 3.0)).axes[2]
    assert [text.get_text() for text in lanes.texts] == ["nothing found"]


def test_speech_is_one_lane_and_speakers_are_one_each(audio: Audio) -> None:
    speech = SpeechActivity((Span(0.25, 1.0), Span(2.0, 3.0)), 3.0)
    figure = plot.timeline(audio, speech)
    assert np.allclose(bars(figure.axes[2]), [(0.25, 1.0), (2.0, 3.0)])
    assert "1.75 s of speech" in plot.alt_text(figure)
    turns = (Turn(0.0, 1.5, "anna"), Turn(1.0, 2.0, "boris"), Turn(2.0, 2.5, "anna"))
    lanes = plot.timeline(audio, Diarization(turns, 3.0)).axes[2]
    assert [label.get_text() for label in lanes.get_yticklabels()] == ["anna", "boris"]
    rows = {bar.get_x(): (bar.get_y(), bar.get_facecolor()) for bar in lanes.patches}
    assert rows[0.0] == rows[2.0] != rows[1.0]
    for row, tick in zip((rows[0.0], rows[1.0]), lanes.get_yticks(), strict=True):
        assert row[0] < tick < row[0] + 0.6, "the name stands beside its bars"


def test_stacking_takes_the_fewest_lanes_in_order() -> None:
    def blocks(*starts: float) -> list[Block]:
        return [Block(start, start + 0.1, "x") for start in starts]

    apart = stacked(blocks(0, 2, 4), lambda _: 1.0, 0, 10)
    assert [block.lane for block in apart] == [0, 0, 0]
    close = stacked(blocks(1, 1.2, 1.4, 2.5), lambda _: 1.0, 0, 10)
    assert [block.lane for block in close] == [0, 1, 2, 0]
    full = [1 + 0.01 * i for i in range(MAX_LANES)]
    assert [block.lane for block in stacked(blocks(*full), lambda _: 1.0, 0, 10)] == [*range(6)]
    assert stacked(blocks(*full, 1.5), lambda _: 1.0, 0, 10) is None
    assert stacked([], lambda _: 1.0, 0, 10) == []
    edges = stacked(blocks(0, 9.9), lambda _: 1.0, 0, 10)
    assert [block.text_at for block in edges] == pytest.approx([0.5, 9.5])


def test_hostile_words_are_only_words(audio: Audio) -> None:
    words = (Word(0.1, 0.6, " $\\frac{$"), Word(1.0, 1.0, " \x1b[2J\n"), Word(2.0, 2.5, "x" * 500))
    figure = plot.timeline(audio, transcript(*words), title="$x$" * 100)
    assert b"\x1b" not in plot.encode(figure, "svg")
    assert figure.axes[2].texts[0].get_text() == "$\\frac{$"


def test_what_is_too_much_to_be_seen_is_refused(audio: Audio) -> None:
    def spans(kind: type[Span], count: int, **more: object) -> tuple:
        return tuple(kind(3 * i / count, 3 * (i + 1) / count, **more) for i in range(count))

    segments = spans(Segment, 20_000, text=" so many words")
    turns = tuple(Turn(0.0, 3.0, f"speaker {i}") for i in range(2600))
    for found, told in (
        (Transcript(segments, "en", 1.0, 3.0), "20000 stretches"),
        (SpeechActivity(spans(Span, 30_000), 3.0), "30000 stretches"),
        (Diarization(turns, 3.0), "2600 speakers"),
    ):
        with pytest.raises(InputError, match=told):
            plot.timeline(audio, found)
    many = Transcript((Segment(0.0, 3.0, " at once"),) * 300, "en", 1.0, 3.0)
    lanes = plot.timeline(audio, many).axes[2]
    assert (len(lanes.patches), len(lanes.texts)) == (300, 0)
    later = tuple(Turn(i + 3.0, i + 4.0, f"speaker {i}") for i in range(2600))
    here = Diarization((Turn(0.0, 1.0, "anna"), *later), 3000.0)
    lanes = plot.timeline(audio, here).axes[2]
    assert [text.get_text() for text in lanes.get_yticklabels()] == ["anna"]


def test_a_text_is_shortened_to_its_block() -> None:
    """Every letter an inch wide: so many are kept, and one is the sign that some are left out."""
    for room, told in ((9.0, "seven big"), (6.0, "seven…"), (7.5, "seven…"), (1.5, ""), (0.2, "")):
        assert _fit(Block(0.0, room, "seven big"), lambda text: float(len(text))) == told
    lanes = plot.timeline(
        Audio(np.zeros(RATE, np.float32), RATE),
        Transcript((Segment(0.5, 0.5001, " briefly"),), "en", 1.0, 1.0),
    ).axes[2]
    assert not lanes.texts
