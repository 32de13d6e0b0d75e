"""What is given to an effect, checked: samples, rates, numbers and ranges of numbers."""

from __future__ import annotations

import math
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from aural.audio.resample import MAX_RATE, MIN_RATE
from aural.errors import InputError, UnknownName
from aural.types import Audio

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Item = TypeVar("Item")

MOST_SECONDS = 1e6
"""Shifts and masks of more than eleven days are not sound."""


def as_audio(value: Any) -> Audio:
    """Sound whose samples are as `as_samples` gives them, and whose rate is an int."""
    if not isinstance(value, Audio):
        raise InputError(f"a {type(value).__name__} was given; give an Audio")
    check_rate(value.sample_rate)
    return Audio(as_samples(value.samples), int(value.sample_rate))


def as_samples(samples: Any, name: str = "samples", *, finite: bool = False) -> np.ndarray:
    """float32, shape = (time,) or (channel, time) as given; InputError for anything else.

    finite: NaN and infinity are refused too, where an effect would spread them.
    """
    try:
        samples = np.asarray(samples)
    except ValueError:
        raise InputError(f"{name} are rows of several lengths; give (channel, time)") from None
    if samples.ndim not in {1, 2} or (samples.ndim == 2 and samples.shape[0] == 0):
        raise InputError(f"{name} have shape {samples.shape}; give (time,) or (channel, time)")
    if samples.dtype.kind != "f":
        raise InputError(f"{name} are {samples.dtype}; give float32 in [-1, 1]")
    with np.errstate(over="ignore"):  # what float32 can't hold becomes infinite
        samples = samples.astype(np.float32, copy=False)
    if finite and not np.isfinite(samples).all():
        raise InputError(f"some {name} are NaN or infinite; replace them first")
    return samples


def check_rate(sample_rate: int) -> None:
    """InputError for a rate in Hz that is no whole number from 1 kHz to 384 kHz."""
    if not _lies(sample_rate, MIN_RATE, MAX_RATE) or sample_rate % 1 != 0:
        raise InputError(f"sample_rate is {sample_rate}; give {MIN_RATE} to {MAX_RATE} Hz")


def check_number(name: str, value: float, low: float, high: float) -> None:
    """InputError unless low <= value <= high."""
    if not _lies(value, low, high):
        raise InputError(f"{name} is {value}; give {_allowed(low, high)}")


def check_count(name: str, value: int, low: int, high: int) -> None:
    """InputError unless value is an int from low to high."""
    if not isinstance(value, Integral) or not low <= value <= high:
        raise InputError(f"{name} is {value}; give a whole number, {low} to {high}")


def check_range(name: str, bounds: tuple[float, float], low: float, high: float) -> None:
    """InputError unless bounds are (least, most) and both lie from low to high."""
    try:
        least, most = bounds
        fits = _lies(least, low, high) and _lies(most, low, high) and least <= most
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise InputError(f"{name} is {bounds}; give (least, most), {_allowed(low, high)}")


def check_choice(kind: str, given: str, choices: tuple[str, ...]) -> None:
    """UnknownName unless given is one of choices."""
    if given not in choices:
        raise UnknownName(kind, given, choices)


def recorded(drawn: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    """What was drawn under these names; InputError where one is missing."""
    for name in names:
        if name not in drawn:
            raise InputError(f"what was drawn has no {name!r}; give what `draw` returned")
    return tuple(drawn[name] for name in names)


def picked(name: str, given: Sequence[Item], index: int) -> Item:
    """The one that was drawn; InputError where there is none."""
    if not isinstance(index, Integral) or not 0 <= index < len(given):
        raise InputError(
            f"{name} {index} was drawn and there are {len(given)}, counted from 0; "
            "give the same ones"
        )
    return given[index]


def _lies(value: float, low: float, high: float) -> bool:
    try:
        return math.isfinite(value) and bool(low <= value <= high)
    except (TypeError, ValueError, OverflowError):
        return False


def _allowed(low: float, high: float) -> str:
    if high < math.inf:
        return f"{low:g} to {high:g}"
    return "finite numbers" if low == -math.inf else f"{low:g} or more"
