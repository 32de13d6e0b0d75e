"""Levels against the standards: written out sample by sample, on built signals, and by ffmpeg."""

import doctest
import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from aural.audio.augment import level as module
from aural.audio.augment.level import (
    Gain,
    SetLevel,
    active_speech_level,
    gain_db,
    level_db,
    loudness,
    peak_db,
    rms_db,
    set_level,
)
from aural.errors import InputError, UnknownName
from aural.types import Audio

EXAMPLE = Path(__file__).parents[3] / "examples" / "sense_and_sensibility_0880.flac"
RATE = 16000


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    samples, rate = soundfile.read(EXAMPLE, dtype="float32")
    assert rate == RATE
    return samples


def tone(hertz: float, seconds: float, rate: int, dbfs_peak: float = 0.0) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (10 ** (dbfs_peak / 20) * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def test_examples_of_the_docstrings():
    assert doctest.testmod(module).failed == 0


def test_power_and_peak_of_what_is_known():
    assert rms_db(tone(1000, 1, RATE)) == pytest.approx(-3.0103, abs=1e-3)
    assert rms_db(np.full(10, 0.1)) == pytest.approx(-20, abs=1e-6)
    assert peak_db(np.array([0.1, -0.5, 0.2])) == pytest.approx(20 * math.log10(0.5), abs=1e-6)
    loud_and_silent = np.stack([np.full(10, 0.1), np.zeros(10)])
    assert rms_db(loud_and_silent) == pytest.approx(-20 - 10 * math.log10(2), abs=1e-6)
    assert peak_db(loud_and_silent) == pytest.approx(-20, abs=1e-6)


# --- active speech level


def active_samples(samples: np.ndarray, rate: int, threshold: float) -> int:
    """ITU-T P.56 (2011), 8.2: one threshold, sample by sample."""
    decay = math.exp(-1 / (0.03 * rate))
    hangover = since = math.ceil(0.2 * rate)
    once = twice = 0.0
    count = 0
    for value in samples.tolist():
        once = decay * once + (1 - decay) * abs(value)
        twice = decay * twice + (1 - decay) * once
        if twice >= threshold:
            count, since = count + 1, 0
        elif since < hangover:
            count, since = count + 1, since + 1
    return count


def test_the_level_is_where_the_standard_finds_it(speech):
    samples = np.concatenate([speech[: 2 * RATE : 2], np.zeros(8000, np.float32)])
    found = active_speech_level(samples, RATE // 2)
    energy = float(np.sum(samples.astype(np.float64) ** 2))
    # The level has the activity of the threshold 15.9 dB below it ...
    threshold = 10 ** ((found.db - 15.9) / 20)
    count = active_samples(samples, RATE // 2, threshold)
    assert abs(count / samples.size - found.activity) < 2e-3
    assert found.db == pytest.approx(10 * math.log10(energy / count), abs=0.01)
    # ... and is what the standard finds between thresholds a factor of two apart.
    levels, thresholds = [], [2.0**-power for power in range(15, 1, -1)]
    for each in thresholds:
        active = active_samples(samples, RATE // 2, each)
        levels.append(10 * math.log10(energy / active) if active else math.inf)
    margins = np.array(levels) - 20 * np.log10(thresholds)
    after = int(np.argmax(margins <= 15.9))
    part = (margins[after - 1] - 15.9) / (margins[after - 1] - margins[after])
    expected = levels[after - 1] + part * (levels[after] - levels[after - 1])
    assert found.db == pytest.approx(expected, abs=0.1)


def test_long_bursts_have_the_level_of_the_burst():
    time = np.arange(60 * RATE) / RATE
    burst = 0.25 * np.sin(2 * np.pi * 1000 * time)
    samples = (burst * (time % 20 < 10)).astype(np.float32)
    found = active_speech_level(samples, RATE)
    assert found.db == pytest.approx(rms_db(burst), abs=0.15)
    assert found.activity == pytest.approx(0.5, abs=0.02)
    assert rms_db(samples) == pytest.approx(rms_db(burst) - 3.01, abs=0.01)


@pytest.mark.parametrize(("pause", "counts"), [(0.2, True), (0.3, True), (0.8, False)])
def test_short_pauses_are_speech_and_long_ones_are_not(pause, counts):
    time = np.arange(20 * RATE) / RATE
    samples = 0.25 * np.sin(2 * np.pi * 1000 * time) * (time % (1 + pause) < 1)
    activity = active_speech_level(samples, RATE).activity
    # A pause that does not count has its hangover of 200 ms, and the envelope's way to 12 dB below
    # its height: 3.9 time constants of 30 ms.
    expected = 1 if counts else (1 + 0.2 + 0.117) / (1 + pause)
    assert activity == pytest.approx(expected, abs=0.03)


def test_silence_around_speech_does_not_change_its_level(speech):
    pause = np.zeros(5 * RATE, np.float32)
    padded = np.concatenate([pause, speech, pause])
    alone, among = active_speech_level(speech, RATE), active_speech_level(padded, RATE)
    # What follows the end is hangover: 0.3 s of 3 s at the most.
    assert alone.db - 0.5 < among.db <= alone.db + 0.01
    assert rms_db(padded) < rms_db(speech) - 6


@pytest.mark.parametrize("db", [-60, -3.3, 12])
def test_a_gain_moves_the_active_level_by_itself(speech, db):
    before, after = (active_speech_level(each, RATE) for each in (speech, gain_db(speech, db)))
    assert after.db - before.db == pytest.approx(db, abs=1e-3)
    assert after.activity == pytest.approx(before.activity, abs=1e-3)


def test_channels_alike_have_the_level_of_one(speech):
    one = active_speech_level(speech, RATE)
    both = active_speech_level(np.stack([speech, -speech]), RATE)
    assert both.db == pytest.approx(one.db, abs=1e-6)


def test_silence_and_a_click():
    assert active_speech_level(np.zeros(100), RATE) == module.SpeechLevel(-math.inf, 0.0)
    click = np.zeros(2 * RATE)
    click[100] = 1
    found = active_speech_level(click, RATE)
    assert found.activity == pytest.approx(0.1, abs=1e-3)  # the hangover
    assert found.db == pytest.approx(-10 * math.log10(0.2 * RATE), abs=0.01)
    assert math.isfinite(active_speech_level(np.array([0.5]), RATE).db)


# --- loudness


def ebur128(samples: np.ndarray, rate: int) -> float:
    """Integrated loudness by ffmpeg."""
    samples = np.atleast_2d(samples)
    layout = ["mono", "stereo"][len(samples) - 1]
    graph = av.filter.Graph()
    source = graph.add_abuffer(
        sample_rate=rate, format="fltp", layout=layout, time_base=Fraction(1, rate)
    )
    meter, sink = graph.add("ebur128", "metadata=1:framelog=quiet"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", layout)
    frame.sample_rate, frame.pts = rate, 0
    graph.push(frame)
    graph.push(None)
    found = math.nan
    while True:
        try:
            found = float(graph.pull().metadata.get("lavfi.r128.I", found))
        except (av.error.EOFError, av.error.BlockingIOError):
            return found


@pytest.mark.parametrize("rate", [48000, 44100])
@pytest.mark.parametrize("channels", [1, 2])
def test_loudness_of_speech_equals_ffmpeg(speech, rate, channels):
    import soxr

    samples = soxr.resample(speech, RATE, rate)
    samples = np.concatenate([samples * 0.5, np.zeros(rate, np.float32), samples * 0.05, samples])
    samples = samples if channels == 1 else np.stack([samples, 0.3 * samples[::-1]])
    # ffmpeg counts in steps of 0.01 LU and leaves out a last part of 100 ms.
    assert loudness(samples, rate) == pytest.approx(ebur128(samples, rate), abs=0.03)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000, 96000])
def test_the_calibration_tone_at_any_rate(rate):
    assert loudness(tone(997, 2, rate), rate) == pytest.approx(-3.01, abs=0.01)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [  # EBU Tech 3341, cases 1 to 5: stereo tone, (dBFS, seconds) after each other
        ([(-23, 20)], -23),
        ([(-33, 20)], -33),
        ([(-36, 10), (-23, 60), (-36, 10)], -23),
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23),
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23),
    ],
)
def test_gating(parts, expected):
    mono = np.concatenate([tone(1000, seconds, 8000, db) for db, seconds in parts])
    assert loudness(np.stack([mono, mono]), 8000) == pytest.approx(expected, abs=0.1)


def test_loudness_of_silence_of_little_and_of_less():
    assert loudness(np.zeros(48000), 48000) == -math.inf
    assert loudness(tone(1000, 2, 48000, -75), 48000) == -math.inf
    assert loudness(tone(997, 0.2, 48000), 48000) == pytest.approx(-3.0, abs=0.3)
    assert loudness(np.array([1e-9]), 384_000) == -math.inf


# --- gains


def test_gain():
    samples = np.array([0.5, -0.25], np.float32)
    louder = gain_db(samples, 20 * math.log10(2))
    np.testing.assert_allclose(louder, [1, -0.5], rtol=1e-6)
    assert louder.dtype == np.float32


@pytest.mark.parametrize("by", ["active", "rms", "peak", "loudness"])
@pytest.mark.parametrize("dbfs", [-40, -26, 3])
@pytest.mark.parametrize("channels", [0, 2])
def test_set_level_brings_the_measure_to_the_level(speech, by, dbfs, channels):
    samples = np.stack([speech, speech[::-1]]) if channels else speech
    made = set_level(samples, dbfs, RATE, by)
    assert level_db(made, RATE, by) == pytest.approx(dbfs, abs=0.01)
    ratio = made.astype(np.float64)[samples != 0] / samples[samples != 0]
    np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-6)  # one gain for all


def test_the_faintest_and_silence():
    faint = np.full(100, 1e-42, np.float32)
    assert rms_db(set_level(faint, -20, RATE, "rms")) == pytest.approx(-20, abs=0.01)
    for by in ("active", "rms", "peak", "loudness"):
        with pytest.raises(InputError, match="silence"):
            set_level(np.zeros(100), -20, RATE, by)


def test_draws_lie_in_their_range_and_are_even(speech):
    rng, audio = np.random.default_rng(0), Audio(speech, RATE)
    drawn = [Gain((-6, 6)).draw(audio, rng)["db"] for _ in range(400)]
    assert -6 <= min(drawn) < -5.5
    assert 5.5 < max(drawn) <= 6
    assert abs(np.mean(drawn)) < 0.6
    made = SetLevel((-30, -20), by="rms")
    audio = made.apply(audio, {"dbfs": -21.5})
    assert rms_db(audio.samples) == pytest.approx(-21.5, abs=0.01)


# --- what can't be used

BAD = [
    (np.zeros(0), "give one or more"),
    (np.zeros((0, 5)), "shape"),
    (np.zeros((2, 0)), "give one or more"),
    (np.zeros((1, 2, 3)), "shape"),
    (np.float32(1), "shape"),
    (np.zeros(5, np.int16), "int16"),
    (np.array([0.0, math.nan]), "NaN"),
    (np.array([0.0, -math.inf]), "NaN"),
    (np.array([1e300]), "NaN"),
    (["a"], "give float32"),
]


@pytest.mark.parametrize(("samples", "message"), BAD)
def test_samples_that_are_no_sound(samples, message):
    for measure in (
        rms_db,
        peak_db,
        lambda each: active_speech_level(each, RATE),
        lambda each: loudness(each, RATE),
        lambda each: set_level(each, -20, RATE),
    ):
        with pytest.raises(InputError, match=message):
            measure(samples)
    if message != "NaN":
        with pytest.raises(InputError, match=message):
            gain_db(samples, 1)


def test_a_gain_leaves_what_is_not_finite_where_it_is():
    made = gain_db(np.array([math.nan, math.inf, 0.5], np.float32), 20)
    assert np.isnan(made[0])
    assert made[1] == math.inf
    assert made[2] == pytest.approx(5)


def test_options_that_can_not_be():
    for given in ((6, -6), 3, (0, math.nan), (-1000, 0), ("a", "b"), (1, 2, 3)):
        with pytest.raises(InputError, match="db is"):
            Gain(given)
    with pytest.raises(UnknownName, match="active, rms, peak, loudness"):
        SetLevel((-30, -20), by="volume")
    with pytest.raises(InputError, match="db is nan"):
        gain_db(np.ones(3), math.nan)
    with pytest.raises(InputError, match="dbfs is inf"):
        set_level(np.ones(3), math.inf, RATE)
    for rate in (0, -1, 999, 10**6):
        with pytest.raises(InputError, match="sample_rate"):
            active_speech_level(np.ones(3), rate)


def test_many_channels_and_odd_rates():
    many = np.random.default_rng(0).standard_normal((9, 11027)).astype(np.float32) * 0.1
    assert active_speech_level(many, 11027).db == pytest.approx(-20, abs=0.3)
    assert set_level(many, -30, 11027, "loudness").shape == many.shape


def test_loudness_below_where_it_is_measured_is_not_called_silence():
    faint = np.full(16_000, 1e-5, np.float32) * np.float32(-1) ** np.arange(16_000)
    with pytest.raises(InputError, match="nowhere above -70 LUFS"):
        set_level(faint.astype(np.float32), -23, 16_000, "loudness")
    with pytest.raises(InputError, match="are silence"):
        set_level(np.zeros(16_000, np.float32), -23, 16_000, "loudness")
