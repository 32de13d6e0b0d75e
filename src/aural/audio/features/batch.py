"""Signals of different lengths as one array, with what says where they are real.

    >>> rng = np.random.default_rng(0)
    >>> signals = [rng.uniform(0.1, 0.9, n).astype(np.float32) for n in (40_000, 20_800, 51_200)]
    >>> batch = pad_batch(signals)
    >>> batch.values.shape
    (3, 51200)
    >>> [int((row == 0).sum()) for row in batch.values]
    [11200, 30400, 0]
    >>> batch.lengths
    array([40000, 20800, 51200])

An encoder that gives one frame for 320 samples, 20 ms at 16 kHz, makes 160 of 51,200:

    >>> frame_mask(batch.mask, 320).shape
    (3, 160)
    >>> frame_mask(batch.mask, 320).sum(axis=1)
    array([125,  65, 160])
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from array_api_compat import device, is_array_api_obj

from aural.audio.features.array import namespace
from aural.audio.features.frames import check_whole
from aural.errors import InputError, UnknownName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aural.audio.features.array import Array

Side = Literal["right", "left"]


@dataclass(frozen=True, eq=False)
class Batch:
    """Padded signals or features.

    values: shape = (item, ..., longest). mask: int64, shape = (item, longest), 1 where values are
    real and 0 where they are padding. lengths: int64, shape = (item,).
    """

    values: Array
    mask: Array
    lengths: Array


def pad_batch(
    signals: Sequence[Array],
    multiple_of: int | None = None,
    value: float = 0.0,
    side: Side = "right",
) -> Batch:
    """Signals of (time,), or features of (n_mels, frame), side by side; NumPy or torch.

    All are as long as the longest, rounded up to a multiple of multiple_of. side: where the
    padding, `value`, is put. The signals must be alike in type and in all but the last axis.
    """
    if side not in get_args(Side):
        raise UnknownName("side", side, get_args(Side))
    if multiple_of is not None:
        check_whole("multiple_of", multiple_of, 1)
    _check_alike(signals)
    xp, first = namespace(signals[0]), signals[0]
    sizes = [signal.shape[-1] for signal in signals]
    longest = math.ceil(max(sizes) / (multiple_of or 1)) * (multiple_of or 1)
    rows = []
    for signal, size in zip(signals, sizes, strict=True):
        shape = (*signal.shape[:-1], longest - size)
        rest = xp.full(shape, value, dtype=first.dtype, device=device(first))
        rows.append(xp.concat((signal, rest) if side == "right" else (rest, signal), axis=-1))
    lengths = xp.asarray(sizes, dtype=xp.int64, device=device(first))
    return Batch(xp.stack(rows), length_mask(lengths, longest, side), lengths)


def length_mask(lengths: Array, total: int | None = None, side: Side = "right") -> Array:
    """int64, shape = (item, total), 1 for as many as lengths says, then 0 (before, for "left").

    total: None is the longest.
    """
    if not is_array_api_obj(lengths) or lengths.ndim != 1:
        shape = f" of shape {tuple(lengths.shape)}" if is_array_api_obj(lengths) else ""
        raise InputError(
            f"lengths are a {type(lengths).__name__}{shape}; give an array or tensor of (item,)"
        )
    xp = namespace(lengths)
    if total is None:
        total = int(xp.max(lengths)) if lengths.shape[0] else 0
    check_whole("total", total, 0)
    places = xp.arange(total, device=device(lengths))
    if side == "left":
        places = xp.flip(places, axis=0)
    return xp.astype(places[None, :] < lengths[:, None], xp.int64)


def frame_mask(mask: Array, hop_length: int, frames: int | None = None) -> Array:
    """The mask of frames hop_length samples apart: shape = (..., frames), type as given.

    Frame i is as real as sample i * hop_length is, so a signal of n samples has
    ceil(n / hop_length) real frames. frames: how many there are; None is the same for the whole
    mask. More than that are padding, and it may be fewer.
    """
    check_whole("hop_length", hop_length, 1)
    if not is_array_api_obj(mask) or mask.ndim == 0:
        raise InputError(f"the mask is {mask!r:.40}; give an array or tensor of (..., time)")
    xp = namespace(mask)
    kept = mask[..., ::hop_length]
    if frames is None:
        return kept
    check_whole("frames", frames, 0)
    missing = max(0, frames - kept.shape[-1])
    rest = xp.zeros((*kept.shape[:-1], missing), dtype=mask.dtype, device=device(mask))
    return xp.concat((kept[..., :frames], rest), axis=-1)


def batches_by_length(
    lengths: Sequence[float] | np.ndarray,
    batch_size: int | None = None,
    *,
    max_total: float | None = None,
    buckets: int | None = None,
    rng: np.random.Generator | None = None,
) -> list[np.ndarray]:
    """Batches of indices of items of like length, each index in one of them.

    lengths: samples, frames or seconds. A batch has at most batch_size items, and at most
    max_total of length with its padding (items times the longest); give one of them or both. The
    items are sorted, so that padding is least, and batches come from short to long. With rng equal
    lengths are shuffled and the batches too. buckets: only sort into so many groups of as many
    items, and shuffle within each (needs rng): more padding, more varied batches.

    >>> [batch.tolist() for batch in batches_by_length([5, 1, 4, 2], batch_size=2)]
    [[1, 3], [2, 0]]
    """
    sizes = _checked_lengths(lengths)
    _check_limits(sizes, batch_size, max_total)
    if buckets is not None:
        check_whole("buckets", buckets, 1)
        if rng is None:
            raise InputError(f"buckets is {buckets}; give rng too, to shuffle with")
    order = np.arange(len(sizes)) if rng is None else rng.permutation(len(sizes))
    order = order[np.argsort(sizes[order], kind="stable")]
    groups = [order]
    if buckets is not None and rng is not None:
        groups = [rng.permutation(group) for group in np.array_split(order, buckets)]
    batches = [batch for group in groups for batch in _cut(group, sizes, batch_size, max_total)]
    if rng is not None:
        batches = [batches[index] for index in rng.permutation(len(batches))]
    return batches


def padding_ratio(lengths: Sequence[float] | np.ndarray, batches: Sequence[np.ndarray]) -> float:
    """The part of all the batches that is padding, 0 to 1; 0 when there is nothing.

    >>> round(padding_ratio([5, 1, 4, 2], [[1, 3], [2, 0]]), 3)
    0.143
    """
    sizes = _checked_lengths(lengths)
    held = [sizes[np.asarray(batch, int)] for batch in batches if len(batch)]
    whole = sum(float(batch.max()) * len(batch) for batch in held)
    return 1 - sum(float(batch.sum()) for batch in held) / whole if whole else 0.0


def _cut(
    group: np.ndarray, sizes: np.ndarray, batch_size: int | None, max_total: float | None
) -> list[np.ndarray]:
    """The group in batches, as long as the limits let them be."""
    batches, start, longest = [], 0, 0.0
    for place, index in enumerate(group):
        longest = max(longest, sizes[index])
        count = place - start
        if count and (
            count == batch_size or (max_total is not None and (count + 1) * longest > max_total)
        ):
            batches.append(group[start:place])
            start, longest = place, sizes[index]
    return [*batches, group[start:]] if len(group) else batches


def _check_alike(signals: Sequence[Array]) -> None:
    if not len(signals):
        raise InputError("there are no signals; give at least one")
    for index, signal in enumerate(signals):
        if not is_array_api_obj(signal) or signal.ndim == 0:
            raise InputError(f"signal {index} is {signal!r:.40}; give an array of (..., time)")
        if namespace(signal) is not namespace(signals[0]):
            kinds = type(signal).__name__, type(signals[0]).__name__
            raise InputError(f"signal {index} has kind {kinds[0]}, signal 0 has {kinds[1]}")
        for what, own, other in (
            ("type", signal.dtype, signals[0].dtype),
            ("shape", tuple(signal.shape[:-1]), tuple(signals[0].shape[:-1])),
        ):
            if own != other:
                rest = " before its last axis" if what == "shape" else ""
                raise InputError(f"signal {index} has {what} {own}{rest}, signal 0 has {other}")


def _checked_lengths(lengths: Sequence[float] | np.ndarray) -> np.ndarray:
    sizes = np.asarray(lengths, np.float64)
    if sizes.ndim != 1:
        raise InputError(f"lengths have shape {sizes.shape}; give one number an item")
    wrong = np.flatnonzero(~(np.isfinite(sizes) & (sizes >= 0)))
    if wrong.size:
        raise InputError(f"lengths[{wrong[0]}] is {sizes[wrong[0]]}; give a number of 0 or more")
    return sizes


def _check_limits(sizes: np.ndarray, batch_size: int | None, max_total: float | None) -> None:
    if batch_size is None and max_total is None:
        raise InputError("give batch_size, or max_total, or both")
    if batch_size is not None:
        check_whole("batch_size", batch_size, 1)
    if max_total is not None and sizes.size and not sizes.max() <= max_total:
        index = int(sizes.argmax())
        raise InputError(
            f"lengths[{index}] is {sizes[index]:g}, above max_total {max_total:g}; raise max_total "
            "or cut the signal"
        )
