"""Padding against transformers' extractor, masks, and batches that hold each index once."""

import doctest
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Wav2Vec2FeatureExtractor

from aural.audio.features import (
    batches_by_length,
    frame_mask,
    length_mask,
    pad_batch,
    padding_ratio,
)
from aural.errors import InputError, UnknownName

LENGTHS = (40_000, 20_800, 51_200)


def signals(lengths=LENGTHS, rows: tuple[int, ...] = ()) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.uniform(0.1, 0.9, (*rows, n)).astype(np.float32) for n in lengths]


def test_examples_in_the_documentation() -> None:
    module = sys.modules["aural.audio.features.batch"]
    tried = doctest.testmod(module, extraglobs={"np": np})
    assert tried.attempted >= 8
    assert tried.failed == 0


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("multiple_of", [None, 320, 51_200, 7])
def test_pad_batch_equals_transformers(side: str, multiple_of: int | None) -> None:
    extractor = Wav2Vec2FeatureExtractor(
        padding_side=side, padding_value=-2.0, do_normalize=False, return_attention_mask=True
    )
    expected = extractor(
        signals(),
        sampling_rate=16000,
        padding=True,
        pad_to_multiple_of=multiple_of,
        return_tensors="np",
    )
    got = pad_batch(signals(), multiple_of, value=-2.0, side=side)
    np.testing.assert_array_equal(got.values, expected["input_values"])
    np.testing.assert_array_equal(got.mask, expected["attention_mask"])
    np.testing.assert_array_equal(got.lengths, LENGTHS)
    assert got.values.dtype == np.float32
    assert got.mask.dtype == got.lengths.dtype == np.int64


def test_worked_example() -> None:
    batch = pad_batch(signals())
    assert batch.values.shape == (3, 51_200)
    assert (batch.values == 0).sum(axis=1).tolist() == [11_200, 30_400, 0]
    assert (batch.mask == 0).sum(axis=1).tolist() == [11_200, 30_400, 0]
    assert frame_mask(batch.mask, 320).shape == (3, 160)


def test_features_are_padded_by_frames() -> None:
    features = signals((7, 3), rows=(80,))
    batch = pad_batch(features, multiple_of=4, value=-1.5)
    assert batch.values.shape == (2, 80, 8)
    assert batch.mask.tolist() == [[1] * 7 + [0], [1] * 3 + [0] * 5]
    np.testing.assert_array_equal(batch.values[1, :, :3], features[1])
    assert (batch.values[1, :, 3:] == -1.5).all()


@pytest.mark.parametrize("side", ["right", "left"])
def test_torch_equals_numpy(side: str) -> None:
    expected = pad_batch(signals((5, 2)), 4, side=side)
    tensors = [torch.from_numpy(signal).requires_grad_() for signal in signals((5, 2))]
    got = pad_batch(tensors, 4, side=side)
    assert (got.values.dtype, got.mask.dtype, got.lengths.dtype) == (
        torch.float32,
        torch.int64,
        torch.int64,
    )
    np.testing.assert_array_equal(got.values.detach().numpy(), expected.values)
    np.testing.assert_array_equal(got.mask.numpy(), expected.mask)
    got.values.sum().backward()
    assert (tensors[1].grad == 1).all()
    frames = frame_mask(got.mask, 3, frames=4)
    np.testing.assert_array_equal(frames.numpy(), frame_mask(expected.mask, 3, frames=4))


def test_frame_mask_takes_one_sample_a_frame() -> None:
    mask = length_mask(np.array([0, 1, 320, 321, 960]))
    assert mask.shape == (5, 960)
    assert frame_mask(mask, 320).sum(axis=1).tolist() == [0, 1, 1, 2, 3]
    assert frame_mask(mask, 320, frames=5).tolist()[-1] == [1, 1, 1, 0, 0]
    assert frame_mask(mask, 320, frames=2).shape == (5, 2)
    assert frame_mask(mask, 320, frames=0).shape == (5, 0)
    assert frame_mask(mask[3], 100).tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    left = length_mask(np.array([2, 5]), 6, "left")
    assert left.tolist() == [[0, 0, 0, 0, 1, 1], [0, 1, 1, 1, 1, 1]]
    assert length_mask(np.zeros(0, np.int64)).shape == (0, 0)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 50), max_size=60),
    st.one_of(st.none(), st.integers(1, 9)),
    st.one_of(st.none(), st.integers(50, 400)),
    st.one_of(st.none(), st.integers(1, 70)),
    st.booleans(),
)
def test_every_index_is_in_one_batch_within_the_limits(
    lengths, batch_size, max_total, buckets, shuffled
) -> None:
    if batch_size is None and max_total is None:
        batch_size = 4
    rng = np.random.default_rng(3) if shuffled else None
    buckets = buckets if shuffled else None
    batches = batches_by_length(lengths, batch_size, max_total=max_total, buckets=buckets, rng=rng)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        sizes = [lengths[index] for index in batch]
        assert 1 <= len(sizes) <= (batch_size or len(lengths))
        assert max_total is None or max(sizes) * len(sizes) <= max_total


def test_padding_is_little_and_is_counted() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.gamma(2, 40_000, 2000).astype(int) + 8000
    blind = [np.arange(first, first + 16) for first in range(0, 2000, 16)]
    by_length = batches_by_length(lengths, 16)
    loose = batches_by_length(lengths, 16, buckets=20, rng=rng)
    assert padding_ratio(lengths, by_length) < 0.02
    assert padding_ratio(lengths, by_length) < padding_ratio(lengths, loose) < 0.15
    assert padding_ratio(lengths, blind) > 0.4
    padded = sum(int((pad_batch(signals(lengths[b])).mask == 0).sum()) for b in by_length[:4])
    whole = sum(int(lengths[b].max()) * len(b) for b in by_length[:4])
    assert padding_ratio(lengths, by_length[:4]) == pytest.approx(padded / whole)


def test_the_generator_decides_the_order_and_nothing_else_does() -> None:
    lengths = [3] * 40 + [5] * 10
    given, again, other = (
        [batch.tolist() for batch in batches_by_length(lengths, 4, rng=np.random.default_rng(seed))]
        for seed in (1, 1, 2)
    )
    assert given == again != other
    in_order = batches_by_length(lengths, 4)
    assert np.concatenate(in_order).tolist() == list(range(50))
    assert padding_ratio(lengths, in_order) == 0


def test_seconds_are_lengths_too() -> None:
    batches = batches_by_length([2.5, 10.0, 2.0, 7.5], max_total=20)
    assert [batch.tolist() for batch in batches] == [[2, 0], [3, 1]]


def test_nothing_is_no_batch() -> None:
    assert batches_by_length([], 4) == []
    assert padding_ratio([], []) == 0
    assert padding_ratio([0, 0], [np.array([0, 1])]) == 0
    empty = pad_batch([np.zeros(0, np.float32)] * 2)
    assert empty.values.shape == empty.mask.shape == (2, 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pad_batch([]), "no signals"),
        (lambda: pad_batch(signals((3,)), 0), "multiple_of is 0"),
        (lambda: pad_batch([[0.1, 0.2]]), r"signal 0 is \[0.1, 0.2\]"),
        (lambda: pad_batch([np.float32(1)]), "signal 0 is"),
        (lambda: pad_batch([np.zeros(3), np.zeros(3, np.float32)]), "type float32"),
        (lambda: pad_batch([np.zeros(3), torch.zeros(3)]), "kind Tensor"),
        (lambda: pad_batch([np.zeros((80, 3)), np.zeros((64, 3))]), r"shape \(64,\)"),
        (lambda: pad_batch(signals((3,)), 1.5), "multiple_of is 1.5; give a whole number"),
        (lambda: length_mask([1, 2]), r"lengths are a list; give an array or tensor of \(item,\)"),
        (lambda: length_mask(np.ones((2, 2), int)), r"lengths are a ndarray of shape \(2, 2\)"),
        (lambda: length_mask(np.array([1, 2]), 2.5), "total is 2.5; give a whole number"),
        (lambda: frame_mask([[1, 1]], 1), r"the mask is \[\[1, 1\]\]; give an array"),
        (lambda: frame_mask(np.ones((1, 9)), 1.5), "hop_length is 1.5; give a whole number"),
        (lambda: frame_mask(np.ones((1, 9)), 3, 1.5), "frames is 1.5; give a whole number"),
        (lambda: frame_mask(np.ones((1, 9)), 0), "hop_length is 0"),
        (lambda: frame_mask(np.ones((1, 9)), 3, -1), "frames is -1"),
        (lambda: batches_by_length([1, 2]), "batch_size, or max_total"),
        (lambda: batches_by_length([1, 2], 0), "batch_size is 0"),
        (lambda: batches_by_length([1, 2], 2.5), "batch_size is 2.5; give a whole number"),
        (lambda: batches_by_length([1, 2], np.nan), "batch_size is nan; give a whole number"),
        (lambda: batches_by_length([1, -2], 2), r"lengths\[1\] is -2"),
        (lambda: batches_by_length([1, np.nan], 2), r"lengths\[1\] is nan"),
        (lambda: batches_by_length([[1, 2]], 2), r"shape \(1, 2\)"),
        (lambda: batches_by_length([1, 99], max_total=50), r"lengths\[1\] is 99"),
        (lambda: batches_by_length([1, 2], 2, buckets=2), "rng"),
    ],
)
def test_what_can_not_be_used_is_named(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_unknown_side_names_the_choices() -> None:
    with pytest.raises(UnknownName, match="right, left"):
        pad_batch(signals((3,)), side="both")  # type: ignore[arg-type]
