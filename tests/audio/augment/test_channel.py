"""Clipping, bands, telephones and colour, against SciPy's filters and what tones measure."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.signal
import soundfile

from aural.audio.augment import augment, channel
from aural.audio.augment.channel import (
    BandLimit,
    Bandwidth,
    Clip,
    Equalise,
    Telephone,
    band_limit,
    bandwidth,
    clip,
    equalise,
    telephone,
)
from aural.audio.resample import resample
from aural.errors import InputError, UnknownName
from aural.types import Audio


@pytest.fixture(scope="module")
def speech(examples) -> Audio:
    """Three seconds at 16 kHz."""
    samples, rate = soundfile.read(sorted(examples.glob("*.flac"))[1], dtype="float32")
    return Audio(samples, rate)


def tone(hertz: float, sample_rate: int, seconds: float = 1.0) -> np.ndarray:
    times = np.arange(round(seconds * sample_rate)) / sample_rate
    return (0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def gain_db(made: np.ndarray, given: np.ndarray) -> float:
    """Of a tone, without its first and last tenth."""
    inner = slice(given.size // 10, -given.size // 10)
    return 20 * np.log10(made[inner].std() / given[inner].std() + 1e-12)


def impulse_response(effect, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Hz, and the complex response of a centred filter, by an impulse of two seconds."""
    given = np.zeros(2 * sample_rate + 1, np.float32)
    given[sample_rate] = 1
    made = np.roll(effect(given).astype(float), -sample_rate)
    return np.fft.rfftfreq(given.size, 1 / sample_rate), np.fft.rfft(made)


def lag_of(made: np.ndarray, given: np.ndarray) -> int:
    """Samples that made lies behind given, by the largest cross-correlation."""
    return int(scipy.signal.correlate(made, given, method="fft").argmax()) - (given.size - 1)


def test_clip_cuts_off_at_a_threshold():
    given = np.array([[-0.9, -0.2, 0.0], [0.2, 0.5, 2.0]], np.float32)
    expected = np.array([[-0.5, -0.2, 0.0], [0.2, 0.5, 0.5]], np.float32)
    np.testing.assert_array_equal(clip(given, 0.5), expected)
    np.testing.assert_allclose(clip(given, dbfs=20 * np.log10(0.5)), expected, rtol=1e-6)
    assert clip(given, 0.5).dtype == np.float32
    np.testing.assert_array_equal(clip(given, 0.0), np.zeros((2, 3)))


def test_clip_at_a_percentile_leaves_that_many_as_they_were(speech):
    for percentile in (60.0, 90.0, 99.0):
        made = clip(speech.samples, percentile=percentile)
        kept = made == speech.samples
        assert 100 * kept.mean() == pytest.approx(percentile, abs=0.1)
        assert np.abs(made[~kept]).max() == np.abs(made[~kept]).min() == np.abs(made).max()
    np.testing.assert_array_equal(clip(speech.samples, percentile=100), speech.samples)


def test_clip_needs_one_threshold():
    given = np.zeros(4, np.float32)
    for values in ({}, {"threshold": 0.5, "dbfs": -3}, {"percentile": 5, "dbfs": -3}):
        with pytest.raises(InputError, match="give one of threshold, percentile and dbfs"):
            clip(given, **values)
    for values in ({"threshold": -1}, {"percentile": 101}, {"dbfs": float("nan")}):
        with pytest.raises(InputError, match=f"{next(iter(values))} is"):
            clip(given, **values)
    assert clip(np.zeros(0, np.float32), percentile=50).shape == (0,)


BANDS = [
    (16000, None, 3400.0, 200.0),
    (16000, 300.0, None, 200.0),
    (16000, 300.0, 3400.0, 200.0),
    (16000, 20.0, 7990.0, 200.0),
    (44100, 1000.0, 1150.0, 500.0),
    (8000, 300.0, 3400.0, 50.0),
]


@pytest.mark.parametrize(("sample_rate", "low", "high", "transition"), BANDS)
def test_a_band_is_as_flat_and_as_deep_as_documented(sample_rate, low, high, transition):
    hertz, response = impulse_response(
        lambda given: band_limit(given, sample_rate, low, high, transition), sample_rate
    )
    half = sample_rate / 2
    bottom, top = low or 0.0, high or half
    room = [top - bottom] + ([2 * bottom] if low else []) + ([2 * (half - top)] if high else [])
    width = min(transition, *room)
    decibels = 20 * np.log10(np.abs(response) + 1e-12)
    inside = np.ones(hertz.size, bool)
    outside = np.zeros(hertz.size, bool)
    for edge, sign in ((low, 1), (high, -1)):
        if edge is not None:
            inside &= sign * (hertz - edge) >= width / 2
            outside |= sign * (edge - hertz) >= width / 2
            at = np.abs(decibels[np.abs(hertz - edge).argmin()] + 6.02)
            assert at < 0.5  # half a Hz beside it
    assert np.abs(decibels[inside]).max(initial=0) < 0.002
    assert decibels[outside].max() < -80
    assert np.abs(response.imag).max() < 1e-5  # no phase: nothing comes later


def test_a_band_is_scipys_filter(speech):
    taps = channel._band_taps(300.0, 3400.0, 16000, 200.0)
    expected = scipy.signal.firwin(
        taps.size, [300, 3400], window=("kaiser", 0.1102 * (87 - 8.7)), pass_zero=False,
        scale=False, fs=16000,
    )  # fmt: skip
    np.testing.assert_allclose(taps, expected, atol=1e-7)
    made = band_limit(speech.samples, 16000, 300.0, 3400.0)
    np.testing.assert_allclose(made, np.convolve(speech.samples, expected, "same"), atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 5, 1000, 4096, 30_000])
@pytest.mark.parametrize("taps", [1, 3, 401, 2001])
def test_filtering_is_a_centred_convolution(length, taps):
    rng = np.random.default_rng(length + taps)
    given = rng.standard_normal((2, length)).astype(np.float32)
    kernel = (rng.standard_normal(taps) / taps).astype(np.float32)
    made = channel._filtered(given, kernel)
    for row, found in zip(given, made, strict=True):
        whole = np.convolve(row.astype(float), kernel)
        np.testing.assert_allclose(found, whole[taps // 2 :][:length], atol=1e-5)


def test_bands_that_there_are_none_of_are_refused():
    given = np.zeros(100, np.float32)
    for low, high in ((None, None), (0, 8000), (3000, 300), (None, 9000), (-5, 100), (300, 300)):
        with pytest.raises(InputError, match="give one or both, 0 < low < high < 8000 Hz"):
            band_limit(given, 16000, low, high)
    with pytest.raises(InputError, match="more than 1048577; move an edge"):
        band_limit(given, 16000, 0.001)
    with pytest.raises(InputError, match="transition is 0"):
        band_limit(given, 16000, 300, transition=0)
    with pytest.raises(InputError, match="NaN"):
        band_limit(np.array([np.nan], np.float32), 16000, 300)


def test_a_telephone_passes_its_band_and_is_in_time(speech):
    for sample_rate in (8000, 16000, 44100):
        for law in ("mu", "a"):
            for hertz in (503.7, 1013.3, 2987.1):
                given = tone(hertz, sample_rate)
                assert gain_db(telephone(given, sample_rate, law), given) == pytest.approx(
                    0, abs=0.1
                )
            for hertz in (100, 3700):
                given = tone(hertz, sample_rate)
                assert gain_db(telephone(given, sample_rate, law), given) < -60
        samples = resample(speech.samples, 16000, sample_rate)
        made = telephone(samples, sample_rate)
        assert made.shape == samples.shape
        assert lag_of(made, samples) == 0


def test_a_telephone_adds_the_noise_of_its_codes(speech):
    """Eight bits of logarithms: about 35 dB of signal to noise, whatever the level."""
    for law in ("mu", "a"):
        for level in (0.9, 0.2):
            samples = resample(speech.samples, 16000, 8000)
            samples *= level / np.abs(samples).max()
            line = band_limit(samples, 8000, 300, 3400)
            noise = telephone(samples, 8000, law) - line
            assert 31 < 10 * np.log10((line**2).mean() / (noise**2).mean()) < 42


def test_bandwidth_keeps_what_the_lower_rate_holds(speech):
    for hertz, low, high in ((1000, -0.01, 0.01), (3600, -0.1, 0.1), (4100, -300, -80)):
        given = tone(hertz, 16000)
        assert low < gain_db(bandwidth(given, 16000, 8000), given) < high
    made = bandwidth(speech.samples, 16000, 8000)
    assert made.shape == speech.samples.shape
    assert lag_of(made, speech.samples) == 0
    for rate in (16000, 48000):
        np.testing.assert_array_equal(bandwidth(speech.samples, 16000, rate), speech.samples)
    for sample_rate, rate in ((44100, 8000), (11025, 7999)):
        assert bandwidth(speech.samples, sample_rate, rate).shape == speech.samples.shape
    with pytest.raises(InputError, match="sample_rate is 0"):
        bandwidth(speech.samples, 16000, 0)


CURVE = [(100.0, -6.0), (400.0, 3.0), (1500.0, -4.0), (5000.0, 9.0)]


@pytest.mark.parametrize("sample_rate", [16000, 44100])
def test_a_curve_is_what_is_measured(sample_rate):
    hertz, response = impulse_response(
        lambda given: equalise(given, sample_rate, CURVE), sample_rate
    )
    wanted = np.interp(np.log(np.maximum(hertz, 1)), *zip(*_in_octaves(CURVE), strict=True))
    found = 20 * np.log10(np.abs(response))
    audible = (hertz > 60) & (hertz < 0.98 * sample_rate / 2)
    assert np.abs(found - wanted)[audible].max() < 0.7  # the corners are rounded
    assert np.abs(found - wanted)[audible & (hertz > 600)].max() < 0.25
    assert np.abs(response.imag).max() < 1e-4


def _in_octaves(curve):
    return [(np.log(hertz), decibels) for hertz, decibels in curve]


def test_a_flat_curve_is_a_gain(speech):
    made = equalise(speech.samples, 16000, [(1000.0, -6.0)])
    np.testing.assert_allclose(made, speech.samples * 10 ** (-6 / 20), atol=1e-6)


def test_curves_that_are_none_are_refused():
    given = np.zeros(100, np.float32)
    for curve in ([], [(0.0, 1.0)], [(200.0, 1.0), (100.0, 1.0)], [(100.0, 1.0), (100.0, 2.0)]):
        with pytest.raises(InputError, match="give rising ones above 0 Hz"):
            equalise(given, 16000, curve)
    for decibels in (61.0, float("nan")):
        with pytest.raises(InputError, match="gains beyond 60 dB"):
            equalise(given, 16000, [(100.0, decibels)])


AUGMENTATIONS = [
    Clip(),
    Clip(dbfs=(-20, -6)),
    BandLimit(),
    BandLimit(low=None),
    BandLimit(high=None),
    Telephone(),
    Bandwidth((8000, 4000)),
    Equalise(),
]


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=repr)
def test_random_forms_keep_length_and_replay_from_json(speech, augmentation):
    both = Audio(np.stack([speech.samples, -0.5 * speech.samples]), 16000)
    for audio in (speech, both, Audio(speech.samples[:1], 8000), Audio(np.zeros(0, "f"), 16000)):
        before = audio.samples.copy()
        done = augment(audio, augmentation, np.random.default_rng(2))
        again = augmentation.apply(audio, json.loads(json.dumps(done.drawn)))
        assert done.value.samples.tobytes() == again.samples.tobytes()
        assert done.value.samples.dtype == np.float32
        assert (done.value.samples.shape, done.value.sample_rate) == (
            audio.samples.shape,
            audio.sample_rate,
        )
        np.testing.assert_array_equal(audio.samples, before)
    done = augment(speech, augmentation, np.random.default_rng(2))
    other = augment(speech, augmentation, np.random.default_rng(3))
    assert (done.value.samples != speech.samples).mean() > 0.005
    if not isinstance(augmentation, (Telephone, Bandwidth)):
        assert done.drawn != other.drawn


def test_edges_are_drawn_from_their_ranges_and_left_out_without_room(speech):
    rng = np.random.default_rng(0)
    drawn = [BandLimit((100, 200), (3000, 9000)).draw(speech, rng) for _ in range(1000)]
    for name, low, high in (("low", 100, 200), ("high", 3000, 9000)):
        values = np.array([each[name] for each in drawn])
        assert low <= values.min() < low + (high - low) / 50
        assert high - (high - low) / 50 < values.max() <= high
    limit = BandLimit(None, (3000, 9000))
    assert limit.draw(speech, rng)["low"] is None
    unchanged = limit.apply(speech, {"low": None, "high": 8500.0}).samples
    np.testing.assert_array_equal(unchanged, speech.samples)
    made = BandLimit().apply(speech, {"low": 120.0, "high": 8500.0}).samples
    np.testing.assert_array_equal(made, band_limit(speech.samples, 16000, 120.0))


def test_an_equaliser_draws_a_gain_for_each_band(speech):
    curve = np.array(Equalise((-3, 6), bands=7).draw(speech, np.random.default_rng(0))["curve"])
    assert curve.shape == (7, 2)
    assert curve[0, 0] == pytest.approx(60)
    assert curve[-1, 0] == pytest.approx(8000)
    np.testing.assert_allclose(np.diff(np.log(curve[:, 0])), np.log(8000 / 60) / 6)
    assert -3 <= curve[:, 1].min() < curve[:, 1].max() <= 6


def test_parameters_out_of_range_are_refused():
    with pytest.raises(InputError, match="percentile is"):
        Clip((50, 101))
    with pytest.raises(InputError, match="dbfs is"):
        Clip(dbfs=(-3, 3))
    with pytest.raises(InputError, match=r"low is .*1 or more"):
        BandLimit(low=(0, 100))
    with pytest.raises(InputError, match="1 Hz apart"):
        BandLimit(low=(100, 3000), high=(3000, 4000))
    with pytest.raises(UnknownName, match="law 'b'"):
        Telephone(("mu", "b"))
    with pytest.raises(UnknownName, match="law ''"):
        Telephone(())
    with pytest.raises(InputError, match="rates is empty"):
        Bandwidth(())
    with pytest.raises(InputError, match="sample_rate is 10;"):
        Bandwidth((10,))
    with pytest.raises(InputError, match="gain_db"):
        Equalise((-100, 0))
    with pytest.raises(InputError, match="bands is 0"):
        Equalise(bands=0)


def test_rates_of_numpy_are_json():
    audio = Audio(np.sin(np.arange(4000) / 5).astype(np.float32), np.int64(16000))
    done = augment(audio, Bandwidth((np.int64(8000),)), np.random.default_rng(0))
    assert json.loads(json.dumps(done.drawn)) == {"rate": 8000}
    expected = bandwidth(audio.samples, 16000, 8000)
    np.testing.assert_array_equal(done.value.samples, expected)
    np.testing.assert_array_equal(bandwidth(audio.samples, 16000.0, 8000.0), expected)
