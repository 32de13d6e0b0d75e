"""mu-law against its formula, bit depth against the theory of rounding noise."""

import doctest
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aural.audio import quantise as module
from aural.audio.quantise import (
    mu_law_compress,
    mu_law_decode,
    mu_law_encode,
    mu_law_expand,
    peak,
    peak_normalise,
    quantise,
)
from aural.errors import InputError, UnknownName


def test_examples_in_the_documentation() -> None:
    tried = doctest.testmod(module, extraglobs={"np": np})
    assert tried.attempted >= 2
    assert tried.failed == 0


@pytest.mark.parametrize("mu", [1, 15, 255, 65535])
def test_companding_is_the_formula_and_its_inverse(mu: int) -> None:
    samples = np.linspace(-1, 1, 2001)
    expected = [
        math.copysign(math.log(1 + mu * abs(x)) / math.log(1 + mu), x) for x in samples.tolist()
    ]
    companded = mu_law_compress(samples, mu)
    np.testing.assert_allclose(companded, expected, atol=1e-12)
    np.testing.assert_allclose(mu_law_expand(companded, mu), samples, atol=1e-12)
    single = mu_law_expand(mu_law_compress(samples.astype(np.float32), mu), mu)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, samples, atol=5e-6)


@settings(max_examples=200, deadline=None)
@given(st.floats(-1, 1), st.sampled_from([1, 15, 255, 1023]))
def test_codes_come_back_within_the_bound(x: float, mu: int) -> None:
    code = mu_law_encode(np.array([x]), mu)
    expected = math.floor(
        (math.copysign(math.log1p(mu * abs(x)), x) / math.log1p(mu) + 1) / 2 * mu + 0.5
    )
    assert code.tolist() == [expected]
    back = float(mu_law_decode(code, mu)[0])
    bound = ((1 + mu) ** (1 / mu) - 1) * (abs(x) + 1 / mu)
    assert abs(back - x) <= bound + 1e-6  # float32


def test_every_code_is_its_own() -> None:
    codes = np.arange(256, dtype=np.uint8)
    samples = mu_law_decode(codes)
    assert samples.dtype == np.float32
    assert samples[0] == -1
    assert samples[-1] == 1
    assert (np.diff(samples) > 0).all()
    np.testing.assert_allclose(samples, -samples[::-1], atol=1e-6)
    again = mu_law_encode(samples)
    assert again.dtype == np.uint8
    np.testing.assert_array_equal(again, codes)
    assert mu_law_encode(np.array([0.0, 7.0, -7.0])).tolist() == [128, 255, 0]
    assert mu_law_encode(np.array([1.0]), 1023).dtype == np.int32


def test_8_bits_of_mu_law_beat_8_even_bits_where_it_is_quiet() -> None:
    quiet = 0.01 * np.sin(np.arange(9999) * 0.1)
    even = np.square(quantise(quiet, 8) - quiet).mean()
    companded = np.square(mu_law_decode(mu_law_encode(quiet)) - quiet).mean()
    assert companded < even / 30


def test_torch_equals_numpy() -> None:
    samples = np.random.default_rng(0).uniform(-1.2, 1.2, (3, 500)).astype(np.float32)
    tensor = torch.from_numpy(samples).requires_grad_()
    companded = mu_law_compress(tensor)
    np.testing.assert_allclose(companded.detach().numpy(), mu_law_compress(samples), atol=1e-6)
    companded.sum().backward()
    assert torch.isfinite(tensor.grad).all()
    codes = mu_law_encode(tensor.detach())
    assert codes.dtype == torch.uint8
    assert np.abs(codes.numpy().astype(int) - mu_law_encode(samples)).max() <= 1
    decoded = mu_law_decode(codes)
    assert decoded.dtype == torch.float32
    np.testing.assert_allclose(decoded.numpy(), mu_law_decode(codes.numpy()), atol=1e-6)


def sine(bits: int) -> np.ndarray:
    """As loud as so many bits can be, at a frequency that repeats no value; float64."""
    return (1 - 2.0 ** (1 - bits)) * np.sin(2 * np.pi * 0.1234567 * np.arange(200_000))


@pytest.mark.parametrize("bits", [6, 8, 12, 16, 20, 24])
def test_noise_of_a_full_scale_sine(bits: int) -> None:
    """SNR is 6.02 bits + 1.76 dB, within 0.3 dB (the sine is a step below full scale)."""
    samples = sine(bits)
    error = quantise(samples, bits) - samples
    assert np.abs(error).max() <= 2.0**-bits
    snr = 10 * math.log10(np.square(samples).mean() / np.square(error).mean())
    assert snr == pytest.approx(6.02 * bits + 1.76, abs=0.3)
    with_dither = quantise(samples * 0.99, bits, "triangular", np.random.default_rng(0))
    error = with_dither - samples * 0.99
    snr = 10 * math.log10(np.square(samples).mean() / np.square(error).mean())
    assert snr == pytest.approx(6.02 * bits + 1.76 - 4.77, abs=0.3)


@pytest.mark.parametrize("bits", [2, 3, 8, 16, 24])
def test_values_are_whole_steps_in_range(bits: int) -> None:
    samples = np.linspace(-1.5, 1.5, 5001).astype(np.float32)
    got = quantise(samples, bits)
    assert got.dtype == np.float32
    steps = got.astype(np.float64) * 2 ** (bits - 1)
    np.testing.assert_array_equal(steps, np.rint(steps))
    assert steps.min() == -(2 ** (bits - 1))
    assert steps.max() == 2 ** (bits - 1) - 1
    np.testing.assert_array_equal(quantise(got, bits), got)


def test_dither_keeps_a_tone_smaller_than_a_step() -> None:
    """A tone of 0.3 steps is silence without dither; with it, its level is right within 5 %."""
    step = 2.0**-7
    angle = 2 * np.pi * np.arange(200_000) / 100
    tone = 0.3 * step * np.sin(angle)
    assert not quantise(tone, 8).any()
    got = quantise(tone, 8, "triangular", np.random.default_rng(0))
    assert 2 * (got * np.sin(angle)).mean() == pytest.approx(0.3 * step, rel=0.05)
    np.testing.assert_array_equal(got, quantise(tone, 8, "triangular", np.random.default_rng(0)))


def test_power_of_the_noise_does_not_depend_on_the_level_with_dither() -> None:
    rng = np.random.default_rng(0)
    step = 2.0**-7
    for level in (0.0, 0.25, 0.5):
        error = quantise(np.full(100_000, level * step), 8, "triangular", rng) - level * step
        assert error.mean() == pytest.approx(0, abs=0.01 * step)
        assert error.var() == pytest.approx(step**2 / 4, rel=0.03)


def test_peak() -> None:
    samples = np.array([[0.1, -0.4], [0.2, 0.0]], np.float32)
    assert peak(samples) == pytest.approx(0.4)
    assert peak(np.zeros((2, 0))) == 0
    assert math.isnan(peak(np.array([0.1, math.nan])))
    for dbfs in (0.0, -1.0, -20.0):
        got = peak_normalise(samples, dbfs)
        assert got.dtype == np.float32
        assert 20 * math.log10(peak(got)) == pytest.approx(dbfs, abs=1e-5)
        np.testing.assert_allclose(got / samples.max(), got[0, 0] * 10 * samples / samples.max())


def test_odd_input_has_a_defined_outcome() -> None:
    for empty in (np.zeros(0, np.float32), np.zeros((2, 0))):
        assert mu_law_encode(empty).shape == empty.shape
        assert mu_law_decode(mu_law_encode(empty)).shape == empty.shape
        assert quantise(empty, 8).shape == peak_normalise(empty).shape == empty.shape
    silence = np.zeros(5, np.float32)
    assert not peak_normalise(silence).any()
    assert not quantise(silence, 4).any()
    assert np.isnan(quantise(np.array([math.nan]), 8)).all()
    assert quantise(np.array([math.inf, -math.inf]), 8).tolist() == [127 / 128, -1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mu_law_encode(np.array([0.1, math.nan])), "not all finite"),
        (lambda: mu_law_encode(np.zeros(3, np.int16)), "samples are int16"),
        (lambda: mu_law_encode(np.zeros(3), 0), "mu is 0"),
        (lambda: mu_law_decode(np.array([3, 256])), "lie in 3 to 256; give 0 to 255"),
        (lambda: mu_law_decode(np.array([-1])), "lie in -1 to -1"),
        (lambda: mu_law_decode(np.zeros(3)), "codes are float64"),
        (lambda: quantise(np.zeros(3), 1), "bits is 1"),
        (lambda: quantise(np.zeros(3), 25), "bits is 25"),
        (lambda: quantise(np.zeros(3, np.int16), 8), "samples are int16"),
        (lambda: quantise(np.zeros(3), 8, "triangular"), "give rng"),
        (lambda: peak_normalise(np.zeros(3), 1.0), "dbfs is 1.0"),
        (lambda: peak_normalise(np.array([math.inf])), "not all finite"),
    ],
)
def test_what_can_not_be_used_is_named(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_unknown_dither_names_the_choices() -> None:
    with pytest.raises(UnknownName, match="triangular"):
        quantise(np.zeros(3), 8, "blue", np.random.default_rng(0))  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_peak_of_the_smallest_numbers_there_are(dtype) -> None:
    tiny = np.finfo(dtype).smallest_subnormal
    got = peak_normalise(np.array([tiny, -2 * tiny, 0], dtype), dbfs=-20)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, [0.05, -0.1, 0], rtol=1e-6)
