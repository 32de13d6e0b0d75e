"""Values of mean 0 and variance 1: of an utterance, of each feature, of a window that slides.

A mask is 1 (or True) where there is sound and 0 where there is padding, as `pad_batch` makes it.
Padding counts in no statistic and is 0 in every result. A value that is not finite makes NaN of
all that is normalised with it.
"""

from __future__ import annotations

from array_api_compat import device

from aural.audio.features.array import (
    Array,
    as_real,
    as_spectrogram,
    at_least,
    namespace,
    unworried,
)
from aural.audio.features.frames import MOST, check_not_below, check_whole
from aural.errors import InputError


@unworried
def z_normalise(
    values: Array, mask: Array | None = None, axis: int = -1, epsilon: float = 1e-7
) -> Array:
    """(values - mean) / sqrt(variance + epsilon) along the axis; shape and kind as given.

    What wav2vec 2.0 and HuBERT take: samples of (..., time). mask: shape that of values, or one
    that broadcasts to it. Constant values, and those all masked, become 0.
    """
    values = as_real(values, "values")
    check_not_below("epsilon", epsilon)
    if not -values.ndim <= axis < values.ndim:
        raise InputError(f"axis is {axis}; the values have {values.ndim} axes")
    if 0 in values.shape:
        return values
    xp = namespace(values)
    if mask is None:
        centred = values - xp.mean(values, axis=axis, keepdims=True)
        variance = xp.mean(centred * centred, axis=axis, keepdims=True)
        return centred / xp.sqrt(variance + epsilon)
    real = _mask_like(mask, values)
    count = xp.astype(xp.sum(xp.astype(real, xp.int64), axis=axis, keepdims=True), values.dtype)
    count = at_least(count, 1.0)
    nothing = xp.zeros_like(values)
    kept = xp.where(real, values, nothing)
    centred = xp.where(real, values - xp.sum(kept, axis=axis, keepdims=True) / count, nothing)
    variance = xp.sum(centred * centred, axis=axis, keepdims=True) / count
    return centred / xp.sqrt(variance + epsilon)


@unworried
def cmvn(
    features: Array, mask: Array | None = None, *, variance: bool = True, epsilon: float = 1e-7
) -> Array:
    """Each feature with mean 0 over the frames and, unless told otherwise, variance 1.

    Cepstral mean and variance normalisation, offline. features: shape = (..., feature, frame);
    mask: shape = (..., frame). A feature that never changes becomes 0.
    """
    features = as_spectrogram(features, "features")
    check_not_below("epsilon", epsilon)
    if mask is not None:
        mask = _frame_mask_of(mask, features)
    if variance or 0 in features.shape:
        return z_normalise(features, mask, epsilon=epsilon)
    xp = namespace(features)
    if mask is None:
        return features - xp.mean(features, axis=-1, keepdims=True)
    real = _mask_like(mask, features)
    nothing = xp.zeros_like(features)
    count = at_least(xp.sum(xp.astype(real, features.dtype), axis=-1, keepdims=True), 1.0)
    mean = xp.sum(xp.where(real, features, nothing), axis=-1, keepdims=True) / count
    return xp.where(real, features - mean, nothing)


@unworried
def sliding_cmvn(
    features: Array,
    window: int = 600,
    *,
    min_window: int = 100,
    center: bool = False,
    variance: bool = False,
) -> Array:
    """Each feature less its mean in a window of frames around or before it, as Kaldi's
    apply-cmvn-sliding; shape and kind as given, (..., feature, frame).

    center: the window is `window` frames, frame i being the one after its middle. Otherwise it is
    frame i and the `window` frames before, and at the start the first min_window frames: nothing
    later than that is heard. A window that reaches over an end is moved inwards. variance: also
    divide by the standard deviation there (variance floored at 1e-10; a window of one frame gives
    0).
    """
    features = as_spectrogram(features, "features")
    for name, value in (("window", window), ("min_window", min_window)):
        check_whole(name, value, 1, MOST)
    frames = features.shape[-1]
    if 0 in features.shape:
        return features
    xp = namespace(features)
    places = xp.arange(frames, device=device(features))
    if center:
        start = xp.clip(places - window // 2, min=0)
        stop = start + window
    else:
        start = xp.clip(places - window, min=0)
        stop = xp.clip(places + 1, min=min_window)
    start = xp.clip(start - xp.clip(stop - frames, min=0), min=0)
    stop = xp.clip(stop, max=frames)
    count = xp.astype(stop - start, xp.float64)
    wide = xp.astype(features, xp.float64)
    # Away from 0 the sums of squares would cancel.
    wide = wide - xp.mean(wide, axis=-1, keepdims=True)
    mean = _window_sums(wide, start, stop) / count
    centred = wide - mean
    if variance:
        spread = at_least(_window_sums(wide * wide, start, stop) / count - mean * mean, 1e-10)
        centred = xp.where(count == 1, xp.zeros_like(centred), centred / xp.sqrt(spread))
    return xp.astype(centred, features.dtype)


def _window_sums(values: Array, start: Array, stop: Array) -> Array:
    """Sums over frames start to stop (not included) of each frame's window."""
    xp = namespace(values)
    sums = xp.cumulative_sum(values, axis=-1, include_initial=True)
    return xp.take(sums, stop, axis=-1) - xp.take(sums, start, axis=-1)


def _mask_like(mask: Array, values: Array) -> Array:
    """The mask as booleans of the shape of values."""
    xp = namespace(values)
    mask = xp.asarray(mask, device=device(values))
    try:
        return xp.broadcast_to(mask != 0, values.shape)
    except (ValueError, RuntimeError):
        raise InputError(
            f"mask has shape {tuple(mask.shape)}; the values have {tuple(values.shape)}"
        ) from None


def _frame_mask_of(mask: Array, features: Array) -> Array:
    """(..., frame) as (..., 1, frame)."""
    if tuple(mask.shape[-1:]) != tuple(features.shape[-1:]):
        raise InputError(
            f"mask has shape {tuple(mask.shape)}; give (..., {features.shape[-1]}), "
            "one value a frame"
        )
    return mask[..., None, :]
