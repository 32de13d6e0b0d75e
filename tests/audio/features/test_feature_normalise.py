"""Normalisation against transformers' wav2vec 2.0 and Kaldi's sliding window written out."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from equality_cqt import kaldi_sliding
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Wav2Vec2FeatureExtractor

from aural.audio.features import cmvn, pad_batch, sliding_cmvn, z_normalise
from aural.errors import InputError


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) * 0.1 + 0.03).astype(np.float32)


@pytest.mark.parametrize("lengths", [(16000,), (16000, 9000, 400), (5, 1)])
def test_equals_wav2vec2s_extractor_with_and_without_mask(lengths: tuple[int, ...]) -> None:
    """Within 1e-5 of values of about 4; where there is padding, 0 exactly."""
    signals = [noise(length, seed=length) for length in lengths]
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True)
    expected = extractor(signals, sampling_rate=16000, padding=True, return_tensors="np")
    batch = pad_batch(signals)
    np.testing.assert_array_equal(batch.mask, expected["attention_mask"])
    got = z_normalise(batch.values, batch.mask)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected["input_values"], atol=1e-5)
    assert not got[batch.mask == 0].any()
    for signal, row, length in zip(signals, got, lengths, strict=True):
        np.testing.assert_allclose(row[:length], z_normalise(signal), atol=1e-6)


def test_has_mean_0_and_variance_1_along_the_axis() -> None:
    values = noise(5, 700).astype(np.float64)
    for axis in (0, 1, -1):
        got = z_normalise(values, axis=axis, epsilon=0)
        np.testing.assert_allclose(got.mean(axis), 0, atol=1e-12)
        np.testing.assert_allclose(got.var(axis), 1, atol=1e-12)


def test_a_mask_with_holes_counts_what_is_real() -> None:
    values, mask = noise(3, 200), np.random.default_rng(1).integers(0, 2, (3, 200))
    got = z_normalise(values, mask)
    for row, real, normal in zip(values.astype(float), mask, got, strict=True):
        kept = row[real == 1]
        expected = (kept - kept.mean()) / math.sqrt(kept.var() + 1e-7)
        np.testing.assert_allclose(normal[real == 1], expected, atol=1e-5)
    np.testing.assert_array_equal(got, z_normalise(values, mask.astype(bool)))
    np.testing.assert_array_equal(got[0], z_normalise(values[0], mask[0].astype(np.float32)))


NORMALISED = [
    z_normalise,
    lambda values: z_normalise(values, values > 0),
    cmvn,
    lambda values: cmvn(values, values[0] > 0, variance=False),
    lambda values: sliding_cmvn(values, 20, min_window=5, variance=True),
    lambda values: sliding_cmvn(values, 30, center=True),
]


@pytest.mark.parametrize("normalise", NORMALISED)
def test_torch_equals_numpy(normalise) -> None:
    values = noise(13, 90)
    expected = normalise(values)
    tensor = torch.from_numpy(values).requires_grad_()
    got = normalise(tensor)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.detach().numpy(), expected, atol=2e-5)
    assert normalise(values.astype(np.float64)).dtype == np.float64


@pytest.mark.parametrize("normalise", NORMALISED)
def test_gradients_are_those_of_differences(normalise) -> None:
    tensor = torch.from_numpy(noise(3, 40).astype(np.float64)).requires_grad_()
    assert torch.autograd.gradcheck(normalise, (tensor,), fast_mode=True)


def test_cmvn_is_by_feature_over_real_frames() -> None:
    """The formula written out; within 1e-5."""
    features = noise(2, 13, 50) * 40 + np.arange(13)[:, None].astype(np.float32)
    mask = np.arange(50) < np.array([[50], [20]])
    for variance in (True, False):
        got = cmvn(features, mask, variance=variance)
        for item, length in enumerate((50, 20)):
            real = features[item, :, :length].astype(float)
            expected = real - real.mean(1, keepdims=True)
            if variance:
                expected /= np.sqrt(real.var(1, keepdims=True) + 1e-7)
            np.testing.assert_allclose(got[item, :, :length], expected, atol=1e-5)
            assert not got[item, :, length:].any()
            alone = cmvn(features[item, :, :length], variance=variance)
            np.testing.assert_allclose(got[item, :, :length], alone, atol=1e-5)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 90),
    st.integers(1, 60),
    st.integers(1, 60),
    st.booleans(),
    st.booleans(),
    st.integers(0, 1000),
)
def test_sliding_equals_kaldis(frames, window, least, center, variance, seed) -> None:
    """Within 2e-5 of values of about 5."""
    features = noise(4, frames, seed=seed) + np.float32(seed)
    expected = kaldi_sliding(features, window, least, center, variance)
    got = sliding_cmvn(features, window, min_window=least, center=center, variance=variance)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=2e-5)


def test_sliding_hears_nothing_later_than_the_first_window() -> None:
    features = noise(13, 900)
    changed = features.copy()
    changed[:, 500:] = 7
    np.testing.assert_allclose(
        sliding_cmvn(changed)[:, :500], sliding_cmvn(features)[:, :500], atol=1e-6
    )


def test_odd_input_has_a_defined_outcome() -> None:
    assert z_normalise(np.zeros((2, 0), np.float32)).shape == (2, 0)
    assert not z_normalise(np.full(100, 0.5, np.float32)).any()
    assert not z_normalise(np.ones(1, np.float32)).any()
    assert not z_normalise(noise(3, 10), np.zeros((3, 10))).any()
    assert not cmvn(np.full((3, 9), 2.0, np.float32)).any()
    assert cmvn(np.zeros((2, 3, 0)), np.zeros((2, 0))).shape == (2, 3, 0)
    assert sliding_cmvn(np.zeros((3, 0))).shape == (3, 0)
    assert not sliding_cmvn(np.full((3, 9), 2.0), variance=True).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_spoils_its_own_row(value: float) -> None:
    spoiled = noise(2, 100)
    spoiled[0, 7] = value
    for normalise in (z_normalise, cmvn, partial(cmvn, variance=False), sliding_cmvn):
        got = normalise(spoiled)
        assert not np.isfinite(got[0]).any()
        np.testing.assert_array_equal(got[1], normalise(spoiled[1:])[0])
    mask = np.ones((2, 100))
    mask[0, 7] = 0  # what is masked may be anything
    assert np.isfinite(z_normalise(spoiled, mask)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: z_normalise(np.zeros(9, np.int16)), "values are int16"),
        (lambda: z_normalise([0.1]), "values are a list"),
        (lambda: z_normalise(np.zeros(9), axis=1), "axis is 1"),
        (lambda: z_normalise(np.zeros((2, 9)), np.ones((2, 8))), r"mask has shape \(2, 8\)"),
        (lambda: z_normalise(torch.zeros(2, 9), torch.ones(3, 9)), r"mask has shape \(3, 9\)"),
        (lambda: cmvn(np.zeros(9)), r"features has shape \(9,\)"),
        (lambda: cmvn(np.zeros((3, 9)), np.ones(8)), "one value a frame"),
        (lambda: sliding_cmvn(np.zeros((3, 9)), 0), "window is 0"),
        (lambda: sliding_cmvn(np.zeros((3, 9)), 5.5), "window is 5.5; give a whole number"),
        (lambda: z_normalise(np.zeros(9), epsilon=math.nan), "epsilon is nan; give 0 or more"),
        (lambda: cmvn(np.zeros((3, 9)), epsilon=-1), "epsilon is -1; give 0 or more"),
        (lambda: sliding_cmvn(np.zeros((3, 9)), min_window=0), "min_window is 0"),
    ],
)
def test_what_can_not_be_used_is_named(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
