"""A feature array as a batch of examples: their generators, their lengths, what fills them."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from array_api_compat import device, is_array_api_obj, to_device

from aural.audio.features.array import as_spectrogram, filled, namespace
from aural.errors import InputError, UnknownName

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from aural.audio.features.array import Array

Fill: TypeAlias = Literal["mean", "floor"] | float

MOST = 1_000_000
"""Masks, bins, frames and examples in a bank at most."""


def as_examples(values: Array) -> Array:
    """The same values in shape (example, n_mels, frame)."""
    values = as_spectrogram(values)
    count = math.prod(values.shape[:-2])
    return namespace(values).reshape(values, (count, *values.shape[-2:]))


def generators(values: Array, rng: np.random.Generator) -> list[np.random.Generator]:
    """One an example: the given one when the array is an example, or its children."""
    leading = as_spectrogram(values).shape[:-2]
    return rng.spawn(math.prod(leading)) if leading else [rng]


def one_each(
    values: Array, given: ArrayLike, numbers: int | None = None, *, whole: bool = False
) -> np.ndarray:
    """One number an example, shape = (example,), or so many of them, (example, numbers).

    whole: InputError for what is no whole number.
    """
    count = math.prod(as_spectrogram(values).shape[:-2])
    own = () if numbers is None else (numbers,)
    found = np.asarray(on_cpu(given))
    if found.size == 0 == count:
        return np.zeros((0, *own), int)
    if found.shape not in (own, (count, *own)):
        raise InputError(
            f"an array of shape {found.shape} was given for {count} examples; "
            f"give {own or 'one number'}, or {(count, *own)} with one an example"
        )
    if found.dtype.kind not in "biuf" or not np.isfinite(found).all():
        raise InputError(f"{found.tolist()} was given; give finite numbers")
    if whole and (found % 1 != 0).any():
        raise InputError(f"{found.tolist()} was given; give whole numbers")
    return np.broadcast_to(found, (count, *own))


def real_frames(values: Array, lengths: ArrayLike | None = None) -> list[int]:
    """Frames of each example that are no padding; all where lengths is None.

    lengths: integers of the shape of the leading dimensions, or an attention mask with one more,
    (..., frame), whose real frames come first.
    """
    *leading, _, frames = as_spectrogram(values).shape
    if lengths is None:
        return [frames] * math.prod(leading)
    found = np.asarray(on_cpu(lengths))
    if found.shape == (*leading, frames):
        mask = found.astype(bool)
        found = mask.sum(-1)
        if (mask != (np.arange(frames) < found[..., None])).any():
            raise InputError("the attention mask has real frames after padding; give them first")
    if found.shape != tuple(leading) or found.dtype.kind not in "iu":
        raise InputError(
            f"lengths are {found.dtype} of shape {found.shape}; give integers of shape "
            f"{tuple(leading)} or an attention mask of {(*leading, frames)}"
        )
    if ((found < 0) | (found > frames)).any():
        raise InputError(f"lengths are {found.tolist()}; give 0 to {frames}, the frames there are")
    return found.reshape(-1).tolist()


def fill_of(cells: Array, fill: Fill, frames: list[int] | None = None) -> Array:
    """What is filled into each example: shape = (example, 1, 1). 0 where no cell is finite."""
    check_fill(fill)
    if not isinstance(fill, str):
        return filled((cells.shape[0], 1, 1), float(fill), cells)
    if 0 in cells.shape:
        return filled((cells.shape[0], 1, 1), 0.0, cells)
    xp = namespace(cells)
    still = cells.detach() if hasattr(cells, "detach") else cells
    real = xp.isfinite(still)
    if frames is not None:
        real = real & xp.asarray(is_real(cells, frames), device=device(cells))
    if fill == "floor":
        lowest = xp.where(real, still, filled((), math.inf, still))
        lowest = xp.min(lowest, axis=(1, 2), keepdims=True)
        return xp.where(xp.isfinite(lowest), lowest, filled((), 0.0, still))
    total = xp.sum(xp.where(real, still, filled((), 0.0, still)), axis=(1, 2), keepdims=True)
    count = xp.sum(xp.astype(real, still.dtype), axis=(1, 2), keepdims=True)
    return total / xp.where(count > 0, count, filled((), 1.0, still))


def check_fill(fill: Fill) -> None:
    """InputError for what is no fill."""
    if isinstance(fill, str):
        if fill not in ("mean", "floor"):
            raise UnknownName("fill", fill, ("mean", "floor", "a number"))
    elif not isinstance(fill, Real) or not math.isfinite(fill):
        raise InputError(f"fill is {fill}; give 'mean', 'floor' or a finite number")


def is_real(cells: Array, frames: list[int]) -> np.ndarray:
    """bool, shape = (example, 1, frame): false in padding."""
    return np.arange(cells.shape[-1]) < np.array(frames, int)[:, None, None]


def on_cpu(array: Any) -> Any:
    return to_device(array, "cpu") if is_array_api_obj(array) else array
