"""Noise: ratios measured back, slopes of spectra, what is drawn and what is added."""

import doctest
import json
import math
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from aural.audio.augment import augment
from aural.audio.augment import noise as module
from aural.audio.augment.level import active_speech_level, gain_db, rms_db
from aural.audio.augment.noise import (
    COLOURS,
    AddColouredNoise,
    AddNoise,
    Babble,
    babble,
    coloured_noise,
    hum,
    mix_at_snr,
    snr_db,
    stretch,
)
from aural.errors import InputError, UnknownName
from aural.types import Audio

EXAMPLE = Path(__file__).parents[3] / "examples" / "sense_and_sensibility_0880.flac"
RATE = 16000


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return soundfile.read(EXAMPLE, dtype="float32")[0]


def white(length: int, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(length).astype(np.float32)


def tone(hertz: float, length: int, rate: int = RATE, height: float = 0.1) -> np.ndarray:
    return (height * np.sin(2 * np.pi * hertz * np.arange(length) / rate)).astype(np.float32)


def power_db(samples: np.ndarray) -> float:
    return 10 * math.log10(np.mean(samples.astype(np.float64) ** 2))


def line_db(samples: np.ndarray, hertz: float, rate: int = RATE) -> float:
    """Power of a tone in samples, by the product with it."""
    turn = np.exp(-2j * np.pi * hertz * np.arange(samples.size) / rate)
    return 20 * math.log10(2 * abs(np.mean(samples * turn)))


def test_examples_of_the_docstrings():
    assert doctest.testmod(module).failed == 0


# --- ratios


@pytest.mark.parametrize("level", ["active", "power"])
@pytest.mark.parametrize("snr", [-10, 0, 5.5, 20, 60])
@pytest.mark.parametrize("channels", [0, 2])
def test_the_ratio_measured_back(speech, level, snr, channels):
    samples = np.concatenate([speech, np.zeros(2 * RATE, np.float32)])
    samples = np.stack([samples, samples[::-1]]) if channels else samples
    mixed = mix_at_snr(samples, white(RATE), snr, RATE, level)
    assert mixed.dtype == np.float32
    assert mixed.shape == samples.shape
    noise = mixed.astype(np.float64) - samples
    loud = active_speech_level(samples, RATE).db if level == "active" else power_db(samples)
    assert loud - power_db(noise) == pytest.approx(snr, abs=0.01)
    if level == "power":
        assert snr_db(samples, noise) == pytest.approx(snr, abs=0.01)


def test_pauses_count_for_power_and_not_for_speech(speech):
    samples = np.concatenate([speech, np.zeros(10 * RATE, np.float32)])
    loud, quiet = (
        power_db(mix_at_snr(samples, white(RATE), 10, RATE, level).astype(np.float64) - samples)
        for level in ("active", "power")
    )
    assert loud > quiet + 5


def test_noise_starts_over_at_its_end_and_from_an_offset(speech):
    noise = white(1000)
    mixed = mix_at_snr(speech[:3500], noise, 10, RATE, offset=700)
    expected = np.concatenate([noise[700:], noise, noise, noise, noise])[:3500]
    added = mixed.astype(np.float64) - speech[:3500]
    gain = math.sqrt(np.mean(expected**2) / np.mean(added**2))
    np.testing.assert_allclose(added * gain, expected, atol=1e-5)


def test_channels(speech):
    both = np.stack([speech, 0.5 * speech])
    added = mix_at_snr(both, white(speech.size), 0, RATE).astype(np.float64) - both
    np.testing.assert_allclose(added[0], added[1], atol=1e-6)  # mono noise goes to each
    two = np.stack([tone(1000, speech.size), tone(2000, speech.size)])
    added = mix_at_snr(both, two, 0, RATE).astype(np.float64) - both
    assert line_db(added[0], 1000) > line_db(added[0], 2000) + 60
    assert line_db(added[1], 2000) > line_db(added[1], 1000) + 60
    added = mix_at_snr(speech, two, 0, RATE).astype(np.float64) - speech  # the mean of channels
    assert line_db(added, 1000) == pytest.approx(line_db(added, 2000), abs=0.01)
    three = mix_at_snr(np.stack([speech] * 3), two, 0, RATE) - speech
    np.testing.assert_allclose(three[0], three[2], atol=1e-6)


def test_a_mix_may_exceed_one_unless_told(speech):
    loud = speech / np.abs(speech).max()
    kept = mix_at_snr(loud, white(RATE), 0, RATE)
    assert np.abs(kept).max() > 1
    scaled = mix_at_snr(loud, white(RATE), 0, RATE, peak="scale")
    assert np.abs(scaled).max() == 1
    np.testing.assert_allclose(scaled * np.abs(kept).max(), kept, rtol=1e-5, atol=1e-7)
    quiet = mix_at_snr(0.1 * loud, white(RATE), 20, RATE, peak="scale")
    np.testing.assert_array_equal(quiet, mix_at_snr(0.1 * loud, white(RATE), 20, RATE))


def test_silence_has_no_ratio(speech):
    for signal, noise in ((np.zeros(100), speech), (speech, np.zeros(100))):
        with pytest.raises(InputError, match="silence"):
            mix_at_snr(signal, noise, 0, RATE)
        with pytest.raises(InputError, match="silence"):
            snr_db(signal, noise)
    with pytest.raises(InputError, match="this stretch of noise is silence"):
        mix_at_snr(speech[:50], np.concatenate([np.zeros(100), speech]), 0, RATE)
    for ratio in ((0, 1), (1, 0), (-1, 1), (math.nan, 1)):
        with pytest.raises(InputError, match="above 0"):
            module.power_ratio_db(*ratio)


# --- colours


@pytest.mark.parametrize(
    ("colour", "octave"), [("white", 0), ("pink", -3), ("brown", -6), ("blue", 3), ("violet", 6)]
)
@pytest.mark.parametrize("rate", [16000, 44100])
def test_slope_of_the_spectrum(colour, octave, rate):
    noise = coloured_noise(colour, 20 * rate, np.random.default_rng(1), rate)
    power = np.abs(np.fft.rfft(noise.astype(np.float64))) ** 2
    hertz = np.arange(power.size) / 20
    edges = np.geomspace(25, rate / 2, 40)
    bands = [power[(hertz >= a) & (hertz < b)].mean() for a, b in pairwise(edges)]
    middles = np.sqrt(edges[1:] * edges[:-1])
    slope = np.polyfit(np.log2(middles), 10 * np.log10(bands), 1)[0]
    assert slope == pytest.approx(octave, abs=0.2)
    assert rms_db(noise) == pytest.approx(-20, abs=1e-3)
    assert np.abs(noise).max() < 1
    if colour != "white":
        assert power[hertz < 20].sum() < 1e-9 * power.sum()


def test_a_seed_is_a_noise():
    first, same, other = (
        coloured_noise("pink", 1000, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert first.tobytes() == same.tobytes()
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.5
    assert coloured_noise("white", 2, np.random.default_rng(0)).shape == (2,)


@pytest.mark.parametrize("length", [2, 3, 7, 99, 10007])
@pytest.mark.parametrize("colour", COLOURS)
def test_odd_lengths(colour, length):
    noise = coloured_noise(colour, length, np.random.default_rng(0))
    assert noise.shape == (length,)
    assert noise.dtype == np.float32
    assert rms_db(noise) == pytest.approx(-20, abs=1e-3)


def test_colours_that_can_not_be():
    rng = np.random.default_rng(0)
    with pytest.raises(UnknownName, match="white, pink, brown, blue, violet"):
        coloured_noise("green", 10, rng)
    for length in (0, 1, -5, 2.5):
        with pytest.raises(InputError, match="length"):
            coloured_noise("pink", length, rng)
    for lowest in (-1, 8000, math.nan):
        with pytest.raises(InputError, match="lowest"):
            coloured_noise("pink", 10, rng, RATE, lowest)


# --- hum, babble


def test_hum_is_its_frequency_and_multiples():
    noise = hum(50, RATE, RATE, harmonics=4)
    assert rms_db(noise) == pytest.approx(-20, abs=1e-3)
    first = line_db(noise, 50)
    for multiple in (2, 3, 4):
        expected = -20 * math.log10(multiple)
        assert line_db(noise, 50 * multiple) - first == pytest.approx(expected, abs=0.01)
    assert line_db(noise, 250) < first - 100
    only = hum(3000, RATE, RATE)  # 6 kHz is below half the rate, 9 kHz is not
    power = np.abs(np.fft.rfft(only.astype(np.float64))) ** 2
    assert set(np.flatnonzero(power > 1e-6 * power.max())) == {3000, 6000}
    for given in ((0, 10, RATE), (8000, 10, RATE), (50, 0, RATE), (50, 10, RATE, 0)):
        with pytest.raises(InputError, match=r"frequency|length|harmonics"):
            hum(*given)


def test_voices_of_babble_are_equally_loud():
    clips = [
        tone(500, 3 * RATE, height=0.5),
        tone(1000, 2 * RATE, height=0.01),
        np.stack([tone(2000, RATE, height=0.1)] * 2),
    ]
    made = babble(clips, RATE, RATE, [0, 16, 160])
    assert made.shape == (RATE,)
    assert rms_db(made) == pytest.approx(-20, abs=1e-3)
    lines = [line_db(made, hertz) for hertz in (500, 1000, 2000)]
    # Steady tones: their start is not active yet, the same for each; the shortest has most of it.
    assert max(lines) - min(lines) < 0.3
    drawn = babble(clips, RATE, RATE, np.random.default_rng(0))
    same = babble(clips, RATE, RATE, np.random.default_rng(0))
    assert drawn.tobytes() == same.tobytes() != made.tobytes()


def test_babble_that_can_not_be(speech):
    with pytest.raises(InputError, match="empty"):
        babble([], 10, RATE, [])
    with pytest.raises(InputError, match="2 offsets for 1 clips"):
        babble([speech], 10, RATE, [0, 1])
    with pytest.raises(InputError, match="silence"):
        babble([speech, np.zeros(10)], 10, RATE, [0, 0])
    with pytest.raises(InputError, match="talkers"):
        Babble((Audio(speech, RATE),), talkers=(1, 2))
    with pytest.raises(InputError, match="talkers"):
        Babble((Audio(speech, RATE),) * 3, talkers=(1.5, 2.5))


# --- the random forms


def added(augmentation, speech: np.ndarray, seed: int = 0):
    done = augment(Audio(speech, RATE), augmentation, np.random.default_rng(seed))
    assert done.value.sample_rate == RATE
    return done.value.samples.astype(np.float64) - speech, done.drawn


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("length", [RATE // 2, 20 * RATE])
def test_noise_of_another_rate_keeps_its_pitch(speech, rate, length):
    noise = Audio(tone(1000, length * rate // RATE, rate), rate)
    made, drawn = added(AddNoise((noise,), (10, 10)), speech)
    measured = active_speech_level(speech, RATE).db - power_db(made)
    assert measured == pytest.approx(drawn["snr_db"], abs=0.01)
    assert line_db(made[:RATE], 1000) == pytest.approx(power_db(made) + 3.01, abs=0.1)


def test_draws_of_add_noise(speech):
    noises = tuple(Audio(white(size, size), RATE) for size in (1000, speech.size + 500))
    adding, rng = AddNoise(noises, (0, 20)), np.random.default_rng(0)
    drawn = [adding.draw(Audio(speech, RATE), rng) for _ in range(400)]
    assert {each["noise"] for each in drawn} == {0, 1}
    short, long = ([d["offset"] for d in drawn if d["noise"] == index] for index in (0, 1))
    assert 0 <= min(short) < 50
    assert 950 < max(short) < 1000
    assert 0 <= min(long) < 25
    assert 475 < max(long) <= 500  # the end is not joined to the start
    ratios = [each["snr_db"] for each in drawn]
    assert 0 <= min(ratios) < 1
    assert 19 < max(ratios) <= 20


def test_silent_stretches_of_a_noise_are_drawn_again(speech):
    noise = np.concatenate([np.zeros(20 * speech.size, np.float32), white(2 * speech.size)])
    adding = AddNoise((Audio(noise, RATE),), (0, 0))
    for seed in range(20):
        assert added(adding, speech, seed)[0].any()


def test_coloured_noise_and_babble_have_their_ratio(speech):
    clips = tuple(Audio(speech[start : start + RATE], RATE) for start in range(0, 30000, 5000))
    for adding in (
        AddColouredNoise(("pink", "brown"), (3, 9)),
        Babble(clips, talkers=(2, 4), snr_db=(3, 9)),
    ):
        made, drawn = added(adding, speech)
        measured = active_speech_level(speech, RATE).db - power_db(made)
        assert measured == pytest.approx(drawn["snr_db"], abs=0.01)
        assert 3 <= drawn["snr_db"] <= 9
    counts = set()
    for seed in range(50):
        drawn = Babble(clips, (2, 4)).draw(Audio(speech, RATE), np.random.default_rng(seed))
        assert len(set(drawn["clips"])) == len(drawn["clips"]) == len(drawn["offsets"])
        counts.add(len(drawn["clips"]))
    assert counts == {2, 3, 4}


def test_options_that_can_not_be(speech):
    sound = (Audio(speech, RATE),)
    for make, message in (
        (lambda: AddNoise((), (0, 1)), "noises is empty"),
        (lambda: AddNoise((Audio(np.zeros(9, np.float32), RATE),), (0, 1)), "silence"),
        (lambda: AddNoise((Audio(np.array([math.nan]), RATE),), (0, 1)), "NaN"),
        (lambda: AddNoise((Audio(speech, 7),), (0, 1)), "sample_rate"),
        (lambda: AddNoise(sound, (1, 0)), "snr_db"),
        (lambda: AddNoise(sound, (0, math.inf)), "snr_db"),
        (lambda: AddNoise(sound, (0, 1), level="loud"), "active, power"),
        (lambda: AddNoise(sound, (0, 1), peak="clip"), "keep, scale"),
        (lambda: AddColouredNoise((), (0, 1)), "colours"),
        (lambda: AddColouredNoise("white", (0, 1)), "colours"),
        (lambda: AddColouredNoise(("green",), (0, 1)), "violet"),
        (lambda: mix_at_snr(speech, speech, math.nan, RATE), "snr_db"),
        (lambda: mix_at_snr(speech, speech, 0, 3), "sample_rate"),
    ):
        with pytest.raises(InputError, match=message):
            make()


@pytest.mark.parametrize("samples", [np.zeros(0), np.array([math.nan]), np.zeros(5, np.int16)])
def test_samples_that_are_no_sound(speech, samples):
    for signal, noise in ((samples, speech), (speech, samples)):
        with pytest.raises(InputError):
            mix_at_snr(signal, noise, 0, RATE)
    with pytest.raises(InputError):
        added(AddNoise((Audio(speech, RATE),), (0, 1)), samples)


def test_one_sample_and_a_gain_that_float32_does_not_hold():
    one = mix_at_snr(np.array([0.5]), np.array([0.1]), 6, RATE, "power")
    assert one[0] == pytest.approx(0.5 + 0.5 * 10 ** (-6 / 20), rel=1e-5)
    faint = np.full(10, 1e-42, np.float32)
    made = mix_at_snr(np.ones(10), faint, 0, RATE, "power")
    np.testing.assert_allclose(made, 2, rtol=1e-3)
    assert np.isfinite(mix_at_snr(gain_db(np.ones(9), 60), np.ones(9), -60, RATE)).all()


def test_a_short_noise_is_looped_to_any_length_at_once():
    noise = white(100)
    start = time.perf_counter()
    made = stretch(noise, 7, 5_000_000)
    assert time.perf_counter() - start < 5
    np.testing.assert_array_equal(made[-500:], np.tile(noise, 7)[7:][:500])
    np.testing.assert_array_equal(stretch(noise, -3, 5), noise[[97, 98, 99, 0, 1]])


def test_pauses_of_all_clips_are_drawn_again(speech):
    clips = tuple(Audio(np.pad(white(200, seed), (0, 60_000)), RATE) for seed in range(3))
    babbling = Babble(clips, talkers=(1, 2))
    for seed in range(20):
        value = Audio(speech[20_000:20_100], RATE)
        done = augment(value, babbling, np.random.default_rng(seed))
        again = babbling.apply(value, json.loads(json.dumps(done.drawn)))
        np.testing.assert_array_equal(again.samples, done.value.samples)
        assert (done.value.samples != value.samples).any()


def test_a_click_in_a_long_silence_is_found(speech):
    noise = np.zeros(3_000_000, np.float32)
    noise[2_999_000] = 0.5
    adding = AddNoise((Audio(noise, RATE),), (10, 10))
    for seed in range(3):
        drawn = adding.draw(Audio(speech[20_000:21_000], RATE), np.random.default_rng(seed))
        assert 0 <= 2_999_000 - drawn["offset"] < 1000


def test_channels_that_cancel_are_drawn_again(speech):
    one = white(100_000)
    half = np.stack([one, -one])
    half[1, 90_000:] = one[90_000:]
    value, both = Audio(speech[:16_000], RATE), np.stack([speech[:16_000]] * 2)
    adding = AddNoise((Audio(np.stack([one, -one]), RATE), Audio(half, RATE)), (0, 10))
    for seed in range(20):
        drawn = augment(value, adding, np.random.default_rng(seed)).drawn
        assert drawn["noise"] == 1
        assert drawn["offset"] > 74_000
    found = {
        augment(Audio(both, RATE), adding, np.random.default_rng(seed)).drawn["noise"]
        for seed in range(10)
    }
    assert found == {0, 1}  # in stereo both are heard
    with pytest.raises(InputError, match="cancel in their mean"):
        AddNoise(adding.noises[:1], (0, 10)).draw(value, np.random.default_rng(0))
    with pytest.raises(InputError, match=r"clips\[0\] is silence"):
        Babble(adding.noises[:1], talkers=(1, 1))


@pytest.mark.parametrize("db", [-120.0, 120.0])
def test_the_ratio_at_its_limits(speech, db):
    noise = white(speech.size)
    mixed = mix_at_snr(speech, noise, db, RATE, level="power").astype(np.float64)
    if db > 0:  # what was added is the noise, less what float32 does not hold
        assert snr_db(speech, mixed - speech) == pytest.approx(db, abs=0.01)
    else:
        assert power_db(mixed) - power_db(speech) == pytest.approx(-db, abs=0.01)
    for beyond in (db * 1.001, db * 1.6):
        with pytest.raises(InputError, match="snr_db"):
            mix_at_snr(speech, noise, beyond, RATE)
        with pytest.raises(InputError, match="snr_db"):
            AddNoise((Audio(noise, RATE),), (min(beyond, 0), max(beyond, 0)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": 2}, "noise 2 was drawn and there are 2"),
        ({"noise": -1}, "noise -1"),
        ({"noise": 0.0}, "noise 0.0"),
        ({"offset": -1}, "offset is -1"),
        ({"offset": 1000}, "offset is 1000"),
        ({"snr_db": "loud"}, "snr_db is loud"),
        ({"snr_db": None}, "snr_db"),
    ],
)
def test_damaged_records_of_noise(speech, change, message):
    adding = AddNoise((Audio(white(1000), RATE), Audio(white(1000, 1), RATE)), (0, 10))
    value = Audio(speech[:16_000], RATE)
    drawn = adding.draw(value, np.random.default_rng(0))
    with pytest.raises(InputError, match=message):
        adding.apply(value, drawn | change)
    for name in drawn:
        with pytest.raises(InputError, match=f"no '{name}'"):
            adding.apply(value, {key: drawn[key] for key in drawn if key != name})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clips": [0, 3]}, "clip 3 was drawn and there are 3"),
        ({"clips": [-1, 0]}, "clip -1"),
        ({"clips": [0]}, "2 offsets for 1 clips"),
        ({"clips": [], "offsets": []}, "0 offsets for 0 clips"),
        ({"offsets": [0, 1000]}, "offset is 1000"),
    ],
)
def test_damaged_records_of_babble(speech, change, message):
    babbling = Babble(tuple(Audio(white(1000, seed), RATE) for seed in range(3)), talkers=(2, 2))
    value = Audio(speech[:16_000], RATE)
    with pytest.raises(InputError, match=message):
        babbling.apply(value, babbling.draw(value, np.random.default_rng(0)) | change)
