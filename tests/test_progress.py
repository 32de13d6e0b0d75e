"""A watcher is told of what is read and found, and of nothing once it has left."""

import io
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import aural
from aural.audio.stream import stream
from aural.progress import watched
from aural.tasks.detect_speech import detect_speech
from aural.types import Segment

NAME = "sense_and_sensibility_0870.flac"


@dataclass
class Notes:
    """Keeps all that it is told."""

    readings: list[tuple[float, float]] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)

    def read(self, seconds: float, total: float) -> None:
        self.readings.append((seconds, total))

    def found(self, segment: Segment) -> None:
        self.segments.append(segment)


def test_what_is_read_is_told_a_second_at_a_time(examples: Path) -> None:
    notes = Notes()
    with watched(notes):
        detect_speech(examples / NAME)
    seconds = [reading[0] for reading in notes.readings]
    assert seconds == sorted(seconds)
    assert len(seconds) == 8
    assert seconds[-1] == pytest.approx(7.1, abs=0.01)
    assert {round(total, 3) for _, total in notes.readings} == {round(seconds[-1], 3)}


def test_a_total_that_no_header_states_is_judged_by_the_bytes(
    examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aural.audio.sndfile._LONGEST_SECONDS", 0)
    notes = Notes()
    with watched(notes):
        list(stream(io.BytesIO((examples / NAME).read_bytes())))
    assert all(seconds <= total for seconds, total in notes.readings)
    middle = notes.readings[len(notes.readings) // 2][1]
    assert middle == pytest.approx(7.1, rel=0.3)


def test_segments_are_told_as_they_stand_in_the_result(examples: Path) -> None:
    notes = Notes()
    with watched(notes):
        made = aural.transcribe(examples / NAME, language="en", beam_size=1)
    assert tuple(notes.segments) == made.segments != ()
    told = len(notes.readings)
    aural.transcribe(examples / NAME, language="en", beam_size=1)
    assert (len(notes.segments), len(notes.readings)) == (len(made.segments), told)


def test_a_watcher_that_raises_ends_the_work(examples: Path) -> None:
    class Gone(Notes):
        def found(self, segment: Segment) -> None:
            raise BrokenPipeError

    with watched(Gone()), pytest.raises(BrokenPipeError):
        aural.transcribe(examples / NAME, language="en", beam_size=1)
