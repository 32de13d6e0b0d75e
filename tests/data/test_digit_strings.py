"""Strings of digits: made of the recordings, the same each time, ends where the words end."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from aural.data.corpora.digit_strings import LONGEST, RATE, SHORTEST, TIMES, read_digit_strings
from aural.data.corpora.digits import WORDS
from aural.errors import ManifestError


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Two speakers; a word is a constant that tells which it is."""
    for speaker in ("anna", "bert"):
        for digit in range(10):
            for index in range(2):
                level = (digit + 1) / 20
                soundfile.write(
                    tmp_path / f"{digit}_{speaker}_{index}.wav",
                    np.full(800 + 80 * digit, level),
                    RATE,
                    subtype="PCM_16",
                )
    return tmp_path


def test_strings_hold_what_they_say_where_they_say_it(recordings: Path) -> None:
    found = read_digit_strings(recordings)
    for each in found:
        samples, rate = soundfile.read(io.BytesIO(each.audio.data))
        assert rate == RATE
        assert len(samples) / RATE == pytest.approx(each.duration)
        words, ends = each.text.split(), list(map(float, each.metadata["ends"].split()))
        assert len(words) == len(ends) <= LONGEST
        for word, end in zip(words, ends, strict=True):
            digit, last = WORDS.index(word), round(end * RATE)
            inside = samples[last - 800 - 80 * digit : last]
            np.testing.assert_allclose(inside, (digit + 1) / 20, atol=1e-3)
            assert np.abs(samples[last + 1 : last + 300]).max(initial=0) < 0.02


def test_every_recording_is_there_as_often_as_said(recordings: Path) -> None:
    found = read_digit_strings(recordings)
    for speaker in ("anna", "bert"):
        words = [word for each in found if each.speaker == speaker for word in each.text.split()]
        assert sorted(words) == sorted(WORDS * 2 * TIMES)
    counts = [len(each.text.split()) for each in found]
    assert sum(count < SHORTEST for count in counts) <= 2
    assert len({each.id for each in found}) == len(found)


def test_the_same_strings_each_time(recordings: Path) -> None:
    first, again = read_digit_strings(recordings), read_digit_strings(recordings)
    assert [(each.text, each.audio.data) for each in first] == [
        (each.text, each.audio.data) for each in again
    ]


def test_another_rate_is_refused(recordings: Path) -> None:
    soundfile.write(recordings / "0_anna_0.wav", np.zeros(100), 16000)
    with pytest.raises(ManifestError, match="16000 Hz"):
        read_digit_strings(recordings)
