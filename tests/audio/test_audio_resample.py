"""Resampling: streaming equals offline to the bit, and offline equals soxr."""

import numpy as np
import pytest
import soxr
from recordings import speech

from aural.audio.resample import Resampler, resample
from aural.errors import InputError

RATES = [(44100, 16000), (48000, 16000), (8000, 16000), (22050, 16000), (44099, 16001)]


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
@pytest.mark.parametrize("channels", [0, 1, 2])
def test_equals_soxr_of_the_whole(from_rate, to_rate, channels):
    samples = speech(44100, max(1, channels))
    samples = samples if channels else samples[0]
    expected = soxr.resample(samples.T, from_rate, to_rate, quality="HQ").T
    result = resample(samples, from_rate, to_rate)
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == np.float32
    assert abs(result.shape[-1] - samples.shape[-1] * to_rate / from_rate) <= 1


@pytest.mark.parametrize(("from_rate", "to_rate"), RATES)
@pytest.mark.parametrize("block", [37, 4410, 65536])
@pytest.mark.parametrize("channels", [0, 2])
def test_streaming_equals_offline(from_rate, to_rate, block, channels):
    samples = speech(44100, max(1, channels), seconds=0.5)
    samples = samples if channels else samples[0]
    resampler = Resampler(from_rate, to_rate, channels)
    starts = range(0, samples.shape[-1], block)
    pieces = [resampler.push(samples[..., start : start + block]) for start in starts]
    joined = np.concatenate([*pieces, resampler.finish()], axis=-1)
    np.testing.assert_array_equal(joined, resample(samples, from_rate, to_rate))


def test_a_tone_keeps_its_pitch_and_what_would_alias_is_gone():
    time = np.arange(48000) / 48000
    kept = resample(np.sin(2 * np.pi * 1000 * time).astype(np.float32), 48000, 16000)
    spectrum = np.abs(np.fft.rfft(kept[:16000] * np.hanning(16000)))
    assert np.argmax(spectrum) == 1000
    gone = resample(np.sin(2 * np.pi * 11000 * time).astype(np.float32), 48000, 16000)
    assert np.abs(gone[1000:-1000]).max() < 1e-5


def test_equal_rates_change_nothing():
    samples = speech(16000)[0]
    np.testing.assert_array_equal(resample(samples, 16000, 16000), samples)


@pytest.mark.parametrize("rate", [0, -8000, 999, 384_001])
def test_rates_out_of_range(rate):
    with pytest.raises(InputError, match="out of range"):
        resample(np.zeros(10, np.float32), rate, 16000)
    with pytest.raises(InputError, match="out of range"):
        Resampler(16000, rate)


@pytest.mark.parametrize("shape", [(), (0, 5), (1, 2, 3)])
def test_shapes_that_are_no_sound(shape):
    with pytest.raises(InputError, match="shape"):
        resample(np.zeros(shape, np.float32), 8000, 16000)
