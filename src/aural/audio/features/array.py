"""What an array brings with it: its namespace, its Fourier transform, a place for constants.

The features are written once, against the array API standard as array-api-compat reads it off the
array; NumPy and torch differ only in what stands here. torch is imported by whoever made the
tensor, never by this package.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from array_api_compat import array_namespace, device

from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from scipy.sparse import csr_array

Array: TypeAlias = Any
"""A numpy.ndarray or a torch.Tensor; what a function returns is of the kind it was given."""

unworried = np.errstate(invalid="ignore", over="ignore")
"""Decorates what samples that are not finite pass through: they show in the values."""

_STANDARD = hasattr(np, "cumulative_sum")
"""NumPy from 2.1 on is such a namespace itself, and array-api-compat's takes 0.1 s to import."""

Key = TypeVar("Key", bound="Hashable")


def is_numpy_array(array: Array) -> bool:
    """Whether it is NumPy's; a number of NumPy's is too."""
    return isinstance(array, (np.ndarray, np.generic))


def namespace(array: Array) -> Any:
    """The array's namespace by the array API standard; TypeError for what is no array."""
    return np if _STANDARD and is_numpy_array(array) else array_namespace(array)


def as_real(values: Array, what: str = "samples") -> Array:
    """The values themselves, when they are float32 or float64; otherwise InputError says how."""
    try:
        xp = namespace(values)
    except TypeError:
        kind = type(values).__name__
        raise InputError(f"{what} are a {kind}; give a NumPy array or a torch tensor") from None
    if values.dtype in (xp.float32, xp.float64):
        return values
    name = str(values.dtype).removeprefix("torch.")
    advice = "give float32 or float64"
    if what == "samples" and xp.isdtype(values.dtype, "integral"):
        full = 2 ** (xp.iinfo(values.dtype).bits - 1)
        scaled = "samples" if xp.isdtype(values.dtype, "signed integer") else f"(samples - {full})"
        advice = f"give float32 in [-1, 1], as of {scaled} / {full}"
    raise InputError(f"{what} are {name}; {advice}")


def as_numbers(values: Array, what: str) -> Array:
    """`as_real`, where plain numbers and NumPy integers are float64."""
    if isinstance(values, (int, float)) or (is_numpy_array(values) and values.dtype.kind in "iu"):
        return np.asarray(values, np.float64)
    return as_real(values, what)


def as_signal(samples: Array) -> Array:
    """Samples of shape (..., time), float32 or float64."""
    samples = as_real(samples)
    if samples.ndim == 0:
        raise InputError("samples have shape (), one number; give shape (..., time)")
    return samples


def as_spectrogram(values: Array, what: str = "spectrogram") -> Array:
    """Real values of shape (..., row, frame)."""
    values = as_real(values, f"{what} values")
    if values.ndim < 2:
        raise InputError(f"{what} has shape {tuple(values.shape)}; give (..., row, frame)")
    return values


def rfft(array: Array, n: int) -> Array:
    """The real transform of the last axis, cut or zero-padded to n."""
    if 0 in array.shape[:-1]:  # which SciPy and torch refuse
        return filled((*array.shape[:-1], n // 2 + 1), 0j, array)
    if is_numpy_array(array):
        import scipy.fft

        return scipy.fft.rfft(array, None if array.shape[-1] == n else n)
    return namespace(array).fft.rfft(array, n)


def irfft(array: Array, n: int) -> Array:
    """The inverse of `rfft`: n real values on the last axis."""
    if 0 in array.shape[:-1]:
        return filled((*array.shape[:-1], n), 0.0, array.real)
    if is_numpy_array(array):
        import scipy.fft

        return scipy.fft.irfft(array, n)
    return namespace(array).fft.irfft(array, n)


def like(values: np.ndarray, array: Array) -> Array:
    """Constants of the kind, precision and device of a real array."""
    if is_numpy_array(array):
        return values.astype(array.dtype, copy=False)
    # a copy: torch warns of memory that may not be written to
    return namespace(array).asarray(values.copy(), dtype=array.dtype, device=device(array))


def filled(shape: tuple[int, ...], value: complex, array: Array) -> Array:
    """One value everywhere; complex of the array's precision when the value is complex."""
    xp = namespace(array)
    dtype = array.dtype
    if isinstance(value, complex):
        dtype = xp.complex64 if dtype in (xp.float32, xp.complex64) else xp.complex128
    return xp.full(shape, value, dtype=dtype, device=device(array))


def frames_view(array: Array, length: int, hop: int) -> Array:
    """(..., time) as (..., frame, length), nothing copied; time is at least length."""
    if not is_numpy_array(array):
        return array.unfold(-1, length, hop)
    shape = (*array.shape[:-1], 1 + (array.shape[-1] - length) // hop, length)
    step = array.strides[-1]
    strides = (*array.strides[:-1], hop * step, step)
    if array.flags.c_contiguous:  # as_strided takes four times as long to say the same
        view = np.ndarray(shape, array.dtype, array, strides=strides)
        view.flags.writeable = False
        return view
    return np.lib.stride_tricks.as_strided(array, shape, strides, writeable=False)


def project(matrix: Callable[[Key], np.ndarray], key: Key, rows: Array) -> Array:
    """matrix(key), shape = (m, n), of every row: (..., frame, n) to (..., m, frame)."""
    if not is_numpy_array(rows):
        xp = namespace(rows)
        return xp.matmul(like(_dense(matrix, key), rows), xp.matrix_transpose(rows))
    # Row by row over the non-zeros, each frame by itself: a BLAS product would round a frame
    # differently depending on how many frames are beside it.
    sparse = _sparse(matrix, key, rows.dtype)
    if rows.ndim == 2:
        return sparse @ np.ascontiguousarray(rows.T)
    flat = sparse @ np.ascontiguousarray(rows.reshape(-1, rows.shape[-1]).T)
    return np.moveaxis(flat.reshape(flat.shape[0], *rows.shape[:-1]), 0, -2)


@lru_cache(maxsize=32)
def _dense(matrix: Callable[[Key], np.ndarray], key: Key) -> np.ndarray:
    """Not a tensor: one made in torch's inference mode would be of no use with gradients."""
    return matrix(key)


@lru_cache(maxsize=32)
def _sparse(matrix: Callable[[Key], np.ndarray], key: Key, dtype: np.dtype) -> csr_array:
    import scipy.sparse

    return scipy.sparse.csr_array(matrix(key).astype(dtype))


def at_least(values: Array, floor: float, owned: bool = False) -> Array:
    """Nothing below the floor, in the same memory where that is owned; NaN stays."""
    if is_numpy_array(values):
        return np.maximum(values, floor, out=values if owned else None)
    return namespace(values).clip(values, min=floor)


def root(values: Array, exponent: float) -> Array:
    """values ** exponent of values >= 0 and an exponent in (0, 1), with a finite slope at 0."""
    if is_numpy_array(values):
        return np.sqrt(values) if exponent == 0.5 else values**exponent
    xp = namespace(values)
    held = xp.clip(values, min=xp.finfo(values.dtype).smallest_normal)
    return held**exponent


def peak(values: Array) -> Array:
    """The largest finite value of the last two axes, which stay as 1; values are not empty."""
    axes = tuple(range(values.ndim))[-2:]
    if is_numpy_array(values):
        found = values.max(axes, keepdims=True)
        if np.isfinite(found).all():
            return found
    xp = namespace(values)
    finite = xp.where(xp.isfinite(values), values, filled((), -xp.inf, values))
    return xp.max(finite, axis=axes, keepdims=True)


def below_peak(values: Array, distance: float, owned: bool = False) -> Array:
    """Nothing more than distance below the peak; in the same memory where that is owned."""
    if 0 in values.shape:
        return values
    floor = peak(values) - distance
    if is_numpy_array(values):
        return np.maximum(values, floor, out=values if owned else None)
    return namespace(values).maximum(values, floor)


def side_by_side(blocks: Iterable[Array], empty: Array, count: int, axis: int) -> Array:
    """Blocks joined along axis -1 or -2 to count frames; `empty` has the shape of no frame."""
    if not is_numpy_array(empty):
        found = list(blocks)
        return namespace(empty).concat(found, axis=axis) if found else empty
    shape = list(empty.shape)
    shape[axis] = count
    joined = np.empty(shape, empty.dtype)
    start = 0
    for block in blocks:
        stop = start + block.shape[axis]
        place = (..., slice(start, stop)) if axis == -1 else (..., slice(start, stop), slice(None))
        joined[place] = block
        start = stop
    return joined
