"""Turn-key callables: the shapes, on real recordings."""

import numpy as np
import pytest

import aural
from aural.errors import InputError, UnknownName


@pytest.fixture(scope="module")
def clip(examples) -> str:
    return str(examples / "sense_and_sensibility_0890.flac")


def test_recognition_has_text_and_chunks(clip):
    recognise = aural.pipeline("automatic-speech-recognition", "whisper/base")
    assert set(recognise(clip)) == {"text"}
    by_segment = recognise(clip, return_timestamps=True)
    assert "".join(chunk["text"] for chunk in by_segment["chunks"]).strip() == by_segment["text"]
    by_word = recognise(clip, return_timestamps="word")
    assert len(by_word["chunks"]) == len(by_word["text"].split())
    start, end = by_word["chunks"][-1]["timestamp"]
    assert 4 < start < end <= 5.3


def test_arrays_and_mappings_are_sounds_too(clip):
    recognise = aural.pipeline("automatic-speech-recognition")
    audio = aural.read(clip, sample_rate=16000)
    given = {"array": audio.samples, "sampling_rate": 16000}
    raw = {"raw": audio.samples.astype(np.float64), "sampling_rate": 16000}
    assert recognise(audio.samples) == recognise(given) == recognise(raw) == recognise(clip)


def test_languages_have_labels_and_scores(clip):
    guesses = aural.pipeline("audio-classification")(clip, top_k=3)
    assert len(guesses) == 3
    assert guesses[0]["label"] == "en"
    assert guesses[0]["score"] > guesses[1]["score"] > guesses[2]["score"]


def test_speech_has_timestamps(clip):
    found = aural.pipeline("voice-activity-detection")(clip)
    assert {chunk["label"] for chunk in found} == {"speech"}
    assert found[0]["timestamp"][0] < 1
    assert found[-1]["timestamp"][1] > 4.5


def test_what_is_not_here_is_named(clip):
    with pytest.raises(UnknownName, match="automatic-speech-recognition"):
        aural.pipeline("mind-reading")
    recognise = aural.pipeline("automatic-speech-recognition")
    with pytest.raises(InputError, match="sampling_rate"):
        recognise({"array": [0.0]})
    with pytest.raises(InputError, match="floats"):
        recognise(np.zeros(10, np.int16))
    with pytest.raises(InputError, match="return_timestamps"):
        recognise(clip, return_timestamps="phone")
    with pytest.raises(InputError, match="top_k"):
        aural.pipeline("audio-classification")(clip, top_k=0)
