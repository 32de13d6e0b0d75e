"""The transform, its inverse, phases and decibels; beside other programs: equality.py."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import speech

from aural.audio import features as f
from aural.errors import InputError

TUTORIAL = f.STFTOptions(n_fft=512, hop_length=128)


def test_the_shapes_of_a_second() -> None:
    spectrum = f.stft(speech()[:16000], TUTORIAL)
    assert spectrum.shape == (257, 126)
    assert spectrum.dtype == np.complex64
    power = f.power_spectrogram(speech()[:16000], TUTORIAL)
    assert power.shape == (257, 126)
    assert power.dtype == np.float32
    np.testing.assert_allclose(power, np.abs(spectrum) ** 2, rtol=1e-5)
    np.testing.assert_allclose(
        f.power_spectrogram(speech()[:16000], TUTORIAL, 3.0), np.abs(spectrum) ** 3, rtol=1e-5
    )


def test_a_bin_is_where_its_tone_is() -> None:
    tone = np.cos(2 * np.pi * 1000 * np.arange(16000) / 16000)
    power = f.power_spectrogram(tone, TUTORIAL)
    assert (power[:, 5:-5].argmax(axis=0) == 1000 * 512 / 16000).all()
    np.testing.assert_allclose(power[32, 5:-5], (512 / 4) ** 2, rtol=1e-9)  # half of Hann's sum


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["hamming", "hann", "povey", "blackman", "rectangular"]),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 200),
    st.booleans(),
    st.sampled_from(["reflect", "constant", "symmetric"]),
)
def test_the_inverse_gives_the_signal_or_says_what_it_misses(
    window, n_fft, hop, length, center, pad_mode
) -> None:
    options = f.STFTOptions(
        n_fft=n_fft, hop_length=hop, window=window, center=center, pad_mode=pad_mode
    )
    samples = np.random.default_rng(length).standard_normal((2, length))
    spectrum = f.stft(samples, options)
    before, count = options.pads[0], spectrum.shape[-1]
    weight = np.zeros(max(before + length, count * hop + n_fft))  # of each sample, written out
    for start in range(0, count * hop, hop):
        weight[start : start + n_fft] += f.window(window, n_fft) ** 2
    weight = weight[before : before + length]
    if length and weight.min() < 1e-10 * weight.max(initial=1e-30):
        with pytest.raises(InputError, match=r"under no window|frames cover 0 to"):
            f.istft(spectrum, options, length)
    else:
        np.testing.assert_allclose(f.istft(spectrum, options, length), samples, atol=1e-6)


def test_without_a_length_it_is_what_the_frames_cover() -> None:
    assert f.istft(f.stft(speech(), TUTORIAL), TUTORIAL).shape == (speech().size // 128 * 128,)
    padded = f.STFTOptions(n_fft=1024, hop_length=256, padding=(384, 384))
    samples = speech()[: 256 * 100]
    found = f.istft(f.stft(samples, padded), padded)
    np.testing.assert_allclose(found, samples, atol=1e-6)
    assert f.istft(np.zeros((257, 0), np.complex64), TUTORIAL).shape == (0,)
    assert f.istft(np.zeros((257, 1), np.complex64), TUTORIAL).shape == (0,)


@pytest.mark.parametrize(
    ("options", "first"),
    [
        (f.STFTOptions(n_fft=512, hop_length=128, center=False), 0),
        (f.STFTOptions(n_fft=512, hop_length=512), 256),
        (f.STFTOptions(n_fft=512, hop_length=300, win_length=200, window="hamming"), 100),
    ],
)
def test_samples_under_no_window_are_named(options: f.STFTOptions, first: int) -> None:
    message = f"sample {first} is under no window, .*hop_length {options.hop_length}"
    for samples in (speech(), torch.from_numpy(speech())):
        with pytest.raises(InputError, match=message):
            f.istft(f.stft(samples, options), options)


@pytest.mark.parametrize(
    ("spectrum", "length", "message"),
    [
        (np.zeros((257, 9)), None, "the spectrum is float64; give complex64 or complex128"),
        ([1j], None, "the spectrum is list"),
        (np.zeros((256, 9), complex), None, r"shape \(256, 9\); give \(..., 257, frame\)"),
        (np.zeros(257, complex), None, r"shape \(257,\)"),
        (np.zeros((257, 9), complex), 1281, "length is 1281; 9 frames cover 0 to 1280 samples"),
        (np.zeros((257, 9), complex), -1, "length is -1"),
        (np.zeros((257, 9), complex), 640.5, "length is 640.5; give a whole number"),
    ],
)
def test_what_is_no_spectrum_is_refused(spectrum, length, message: str) -> None:
    with pytest.raises(InputError, match=message):
        f.istft(spectrum, TUTORIAL, length)


@pytest.mark.parametrize("length", [0, 1, 2, 63, 255, 256, 257, 511])
def test_what_is_shorter_than_a_window_has_its_frames(length: int) -> None:
    samples = speech()[5000 : 5000 + length]
    spectrum = f.stft(samples, TUTORIAL)
    assert spectrum.shape == (257, 1 + length // 128 if length else 0)
    padded = np.pad(samples, 256, mode="reflect") if length else np.zeros(0)
    for index in range(spectrum.shape[1]):
        cut = padded[128 * index : 128 * index + 512] * f.window("hann", 512)
        np.testing.assert_allclose(spectrum[:, index], np.fft.rfft(cut), atol=1e-5)
    assert f.stft(samples, f.STFTOptions(n_fft=512, center=False)).shape == (257, 0)


def test_griffin_lim_comes_near_the_magnitudes_and_momentum_helps() -> None:
    magnitude = np.abs(f.stft(speech()[:16000], TUTORIAL))

    def distance(**options) -> float:
        rng = np.random.default_rng(0)
        found = f.griffin_lim(magnitude, TUTORIAL, rng, length=16000, **options)
        assert found.shape == (16000,)
        assert found.dtype == np.float32
        rest = np.abs(f.stft(found, TUTORIAL)) - magnitude
        return float(np.linalg.norm(rest) / np.linalg.norm(magnitude))

    start, slow, fast = distance(iterations=0), distance(momentum=0.0), distance()
    assert fast < slow < start
    assert fast < 0.2


def test_griffin_lim_draws_from_the_generator_only() -> None:
    magnitude = np.abs(f.stft(speech()[:8000], TUTORIAL))
    one, same, other = (
        f.griffin_lim(magnitude, TUTORIAL, np.random.default_rng(seed), 1) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.01
    silence = f.griffin_lim(np.zeros((257, 9)), TUTORIAL, np.random.default_rng(0))
    np.testing.assert_array_equal(silence, np.zeros(1024))


@pytest.mark.parametrize(
    ("magnitude", "options", "message"),
    [
        (np.zeros((257, 1)), {}, "0 samples have 0 frames, not 1; give at least two frames"),
        (np.zeros((257, 9)), {"length": 100}, "100 samples have 1 frames, not 9"),
        (np.zeros((200, 9)), {}, r"shape \(200, 9\)"),
        (np.zeros(257), {}, r"shape \(257,\)"),
        (np.zeros((257, 9), complex), {}, "complex128; give float32 or float64"),
        (np.zeros((257, 9)), {"iterations": -1}, "iterations is -1"),
        (np.zeros((257, 9)), {"momentum": -0.5}, "momentum is -0.5"),
        (np.zeros((257, 9)), {"momentum": math.nan}, "momentum is nan; give 0 or more"),
        (np.zeros((257, 9)), {"iterations": 2.5}, "iterations is 2.5; give a whole number"),
        (np.zeros((257, 9)), {"length": 1024.5}, "length is 1024.5; give a whole number"),
    ],
)
def test_griffin_lim_refuses(magnitude, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        f.griffin_lim(magnitude, TUTORIAL, np.random.default_rng(0), **options)


def test_decibels_there_and_back() -> None:
    power = np.array([1e-3, 0.5, 1.0, 7.0])
    for back in (
        f.db_to_power(f.power_to_db(power, 2.0), 2.0),
        f.db_to_amplitude(f.amplitude_to_db(power, 2.0), 2.0),
    ):
        np.testing.assert_allclose(back, power, rtol=1e-12)


def test_decibels_of_each_spectrogram_by_itself() -> None:
    powers = np.array([[[1.0, 1e-9]], [[1e-4, 1e-30]]])
    np.testing.assert_allclose(f.power_to_db(powers), [[[0, -80]], [[-40, -100]]])
    np.testing.assert_allclose(f.power_to_db(powers, "max"), [[[0, -80]], [[0, -60]]])
    np.testing.assert_allclose(f.power_to_db(powers, "max", top_db=None), [[[0, -90]], [[0, -60]]])
    np.testing.assert_allclose(f.power_to_db(powers, amin=1e-3), [[[0, -30]], [[-30, -30]]])


def test_decibels_of_odd_values() -> None:
    assert f.power_to_db(np.zeros((3, 0))).shape == (3, 0)
    np.testing.assert_array_equal(f.power_to_db(np.zeros((2, 2)), "max"), 0)
    np.testing.assert_array_equal(f.power_to_db(np.array([np.nan, 1.0, 1e-20])), [np.nan, 0, -80])
    np.testing.assert_array_equal(f.power_to_db(np.array([np.inf, 1.0])), [np.inf, 0])
    assert f.power_to_db(np.array([1, 10])).tolist() == [0, 10]
    assert f.amplitude_to_db(np.array([-10.0])).tolist() == [20]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"amin": 0}, "amin is 0; give a number above 0"),
        ({"top_db": -1}, "top_db is -1"),
        ({"amin": math.nan}, "amin is nan; give a number above 0"),
        ({"top_db": math.nan}, "top_db is nan; give 0 or more"),
        ({"top_db": math.inf}, "top_db is inf; give 0 or more"),
        ({"reference": math.inf}, "reference is inf; give a number above 0 or 'max'"),
        ({"reference": 0.0}, "reference is 0.0; give a number above 0 or 'max'"),
        ({"reference": "min"}, "reference is 'min'"),
    ],
)
def test_decibels_without_meaning_are_refused(options: dict, message: str) -> None:
    for function in (f.power_to_db, f.amplitude_to_db):
        with pytest.raises(InputError, match=message):
            function(np.ones(3), **options)
    for power in (0, math.nan, math.inf):
        with pytest.raises(InputError, match=f"power is {power}; give a number above 0"):
            f.power_spectrogram(np.zeros(9), power=power)
    with pytest.raises(InputError, match="complex128; give float32 or float64"):
        f.power_to_db(np.ones(3, complex))
