"""No word is made up where nobody speaks, and noise takes few away where somebody does."""

import json
from pathlib import Path

import numpy as np
import pytest

from aural.audio.read import read
from aural.metrics.wer import word_errors
from aural.tasks.transcribe import transcribe
from aural.text.normalise import normaliser
from aural.types import Audio

RATE = 16000
EXAMPLES = Path(__file__).parents[2] / "examples"
TIME = np.arange(12 * RATE) / RATE


def at_level(sound: np.ndarray, decibels: float) -> np.ndarray:
    """sound at so many dB of full scale (root mean square)."""
    return sound * 10 ** (decibels / 20) / np.sqrt(np.mean(sound**2))


def coloured(slope: float) -> np.ndarray:
    """Noise whose amplitude falls as frequency to the slope: 0 white, 0.5 pink, 1 brown."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(TIME.size))
    return np.fft.irfft(spectrum / np.maximum(np.fft.rfftfreq(TIME.size, 1 / RATE), 20) ** slope)


def hum(base: float) -> np.ndarray:
    """A mains frequency with its harmonics."""
    return sum(np.sin(2 * np.pi * base * k * TIME + k) / k for k in range(1, 16))


def chords() -> np.ndarray:
    """A sequence of decaying triads, two a second."""
    beat = TIME[: RATE // 2]
    bars = []
    for root in (261.6, 220.0, 174.6, 196.0) * 6:
        pitches = (root, root * 2 ** (4 / 12), root * 2 ** (7 / 12))
        tones = [np.sin(2 * np.pi * p * k * beat) / k for p in pitches for k in range(1, 7)]
        bars.append(sum(tones) * np.exp(-3 * beat))
    return np.concatenate(bars)


WORDLESS = {
    "white": coloured(0),
    "pink": coloured(0.5),
    "brown": coloured(1),
    "hum of 50 Hz": hum(50),
    "hum of 60 Hz": hum(60),
    "chords": chords(),
}


@pytest.mark.parametrize("level", [-50, -15])
@pytest.mark.parametrize("name", WORDLESS)
def test_noise_hum_and_music_give_no_words(name: str, level: float) -> None:
    sound = np.clip(at_level(WORDLESS[name], level), -1, 1).astype(np.float32)
    found = transcribe(Audio(sound, RATE), language="en")
    assert found.text == ""
    assert found.segments == ()
    assert found.duration == 12


@pytest.mark.parametrize("dither", [0.0, 1 / 32768])
def test_silence_gives_no_words(dither: float) -> None:
    sound = dither * np.round(np.random.default_rng(1).uniform(-1, 1, TIME.size))
    assert transcribe(Audio(sound.astype(np.float32), RATE)).segments == ()


@pytest.fixture(scope="module")
def spoken() -> tuple[np.ndarray, str]:
    """The examples with three seconds of silence around each, and what is said in them."""
    lines = (EXAMPLES / "manifest.jsonl").read_text("utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    pause = np.zeros(3 * RATE, np.float32)
    parts = [pause]
    for entry in entries:
        parts += [read(EXAMPLES / entry["audio_filepath"], sample_rate=RATE).samples, pause]
    return np.concatenate(parts), " ".join(entry["text"] for entry in entries)


@pytest.mark.parametrize("name", ["white", "pink", "chords"])
def test_noise_10_db_under_speech_takes_few_words(
    name: str, spoken: tuple[np.ndarray, str]
) -> None:
    speech, reference = spoken
    active = speech[np.abs(speech) > 1e-3]
    level = 10 * np.log10(np.mean(active.astype(np.float64) ** 2)) - 10
    noise = at_level(np.resize(WORDLESS[name], speech.size), level)
    normalise = normaliser("whisper-english")
    heard = transcribe(Audio((speech + noise).astype(np.float32), RATE), language="en").text
    counts = word_errors(normalise(reference), normalise(heard))
    assert counts.deletions <= 2
    assert counts.rate <= 0.15


def test_words_begin_where_they_are_spoken_and_nowhere_else(
    spoken: tuple[np.ndarray, str],
) -> None:
    speech, reference = spoken
    noise = at_level(np.resize(coloured(0), speech.size), -45)
    samples = (speech + noise).astype(np.float32)
    found = transcribe(Audio(samples, RATE), language="en")
    words = [word for segment in found.segments for word in segment.words]
    loud = np.flatnonzero(np.abs(speech) > 1e-3) / RATE
    for word in words:
        assert np.abs(loud - word.start).min() < 0.5
    normalise = normaliser("whisper-english")
    assert word_errors(normalise(reference), normalise(found.text)).insertions <= 1
