"""What is given to an effect, checked: samples, rates, numbers and ranges of numbers."""

from __future__ import annotations

import math

import numpy as np

from aural.audio.resample import MAX_RATE, MIN_RATE
from aural.errors import InputError


def as_samples(samples: np.ndarray, *, finite: bool = False) -> np.ndarray:
    """float32, shape = (time,) or (channel, time) as given; InputError for anything else.

    finite: NaN and infinity are refused too, where an effect would spread them.
    """
    samples = np.asarray(samples)
    if samples.ndim not in {1, 2} or (samples.ndim == 2 and samples.shape[0] == 0):
        raise InputError(f"samples have shape {samples.shape}; give (time,) or (channel, time)")
    if samples.dtype.kind != "f":
        raise InputError(f"samples are {samples.dtype}; give float32 in [-1, 1]")
    with np.errstate(over="ignore"):  # what float32 can't hold becomes infinite
        samples = samples.astype(np.float32, copy=False)
    if finite and not np.isfinite(samples).all():
        raise InputError("some samples are NaN or infinite; replace them first")
    return samples


def check_rate(sample_rate: int) -> None:
    """InputError for a rate in Hz that is no whole number from 1 kHz to 384 kHz."""
    if sample_rate % 1 != 0 or not MIN_RATE <= sample_rate <= MAX_RATE:
        raise InputError(f"sample_rate is {sample_rate}; give {MIN_RATE} to {MAX_RATE} Hz")


def check_number(name: str, value: float, low: float, high: float) -> None:
    """InputError unless low <= value <= high."""
    if not (math.isfinite(value) and low <= value <= high):
        raise InputError(f"{name} is {value}; give {_allowed(low, high)}")


def check_count(name: str, value: int, low: int, high: int) -> None:
    """InputError unless value is a whole number from low to high."""
    if value % 1 != 0 or not low <= value <= high:
        raise InputError(f"{name} is {value}; give a whole number, {low} to {high}")


def check_range(name: str, bounds: tuple[float, float], low: float, high: float) -> None:
    """InputError unless bounds are (least, most) and both lie from low to high."""
    try:
        least, most = bounds
        fits = low <= least <= most <= high and math.isfinite(least) and math.isfinite(most)
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise InputError(f"{name} is {bounds}; give (least, most), {_allowed(low, high)}")


def _allowed(low: float, high: float) -> str:
    if high < math.inf:
        return f"{low:g} to {high:g}"
    return "finite numbers" if low == -math.inf else f"{low:g} or more"
