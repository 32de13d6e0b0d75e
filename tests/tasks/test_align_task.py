"""Alignment as a task, and its formats, read back by others' readers."""

import json
from pathlib import Path

import numpy as np
import pytest
from praatio import textgrid

from aural.decode.spoken import Alignment
from aural.errors import InputError, UnknownName
from aural.formats import Layout
from aural.tasks.align import align, writer
from aural.types import Audio, Word

TEXT = "He was not an ill-disposed young man."
MADE = Alignment(
    words=(Word(0.25, 0.5, "Well", 0.9), Word(0.75, 1.0, "done", 0.8)),
    phones=(
        Word(0.25, 0.375, "W", 0.9),
        Word(0.375, 0.5, "EH", 0.9),
        Word(0.75, 0.875, "D", 0.8),
        Word(0.875, 1.0, "AH", 0.8),
    ),
    duration=1.5,
    model="hmm/test",
)


def test_a_recording_and_its_text(examples: Path) -> None:
    """Words as written, in order, within the recording, each made of its phones without a gap."""
    found = align(examples / "sense_and_sensibility_0880.flac", TEXT)
    assert [word.text for word in found.words] == [
        *("He", "was", "not", "an", "ill", "disposed", "young", "man")
    ]
    assert found.model == "hmm/en-us"
    assert found.duration == pytest.approx(2.99, abs=0.01)
    for before, after in zip(found.words, found.words[1:], strict=False):
        assert before.start < before.end <= after.start
    assert found.words[-1].end < found.duration
    starts = {phone.start for phone in found.phones}
    assert {word.start for word in found.words} <= starts
    assert sum(w.duration for w in found.words) == pytest.approx(
        sum(p.duration for p in found.phones)
    )


def test_text_that_does_not_fit_is_improbable(examples: Path) -> None:
    audio = examples / "sense_and_sensibility_0880.flac"
    right = align(audio, TEXT)
    wrong = align(audio, "She is the oldest woman of the family")
    means = [np.mean([word.probability for word in each.words]) for each in (right, wrong)]
    assert means[0] > means[1] + 0.1


def test_what_can_not_be_aligned(examples: Path) -> None:
    audio = examples / "sense_and_sensibility_0880.flac"
    with pytest.raises(InputError, match="no pronunciation of 'xyzzyx'"):
        align(audio, "he xyzzyx")
    with pytest.raises(InputError, match="no words"):
        align(audio, "")
    with pytest.raises(InputError, match="too short"):
        align(Audio(np.zeros(1600, np.float32), 16000), TEXT)
    with pytest.raises(InputError, match="'all'"):
        align(audio, TEXT, channel="all")
    with pytest.raises(InputError, match="is no Aligner"):
        align(audio, TEXT, model="silero/16k")


def test_formats() -> None:
    layout = Layout("talk")
    assert writer("txt")(MADE, layout) == ("0.250\t0.500\tWell\tW EH\n0.750\t1.000\tdone\tD AH\n")
    assert writer("ctm")(MADE, layout).splitlines()[1] == "talk 1 0.750 0.250 done 0.8000"
    assert writer("ctm-phones")(MADE, layout).splitlines()[0] == "talk 1 0.250 0.125 W 0.9000"
    record = json.loads(writer("json")(MADE, layout))
    assert [word["word"] for word in record["words"]] == ["Well", "done"]
    assert [phone["phone"] for phone in record["words"][1]["phones"]] == ["D", "AH"]
    assert (record["duration"], record["model"]) == (1.5, "hmm/test")
    with pytest.raises(UnknownName, match="ctm-phones"):
        writer("srt")


def test_textgrid_as_praatio_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "talk.TextGrid"
    path.write_text(writer("textgrid")(MADE, Layout()))
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
    assert grid.tierNames == ("words", "phones")
    assert grid.maxTimestamp == 1.5
    for name in ("words", "phones"):
        expected = [(each.start, each.end, each.text) for each in getattr(MADE, name)]
        assert [tuple(entry) for entry in grid.getTier(name).entries] == expected


def test_nothing_is_written_as_nothing() -> None:
    empty = Alignment((), (), 1.0)
    assert writer("txt")(empty, Layout()) == ""
    assert json.loads(writer("json")(empty, Layout()))["words"] == []
