"""Distortions along time: shift, tempo, pitch, speed, and stretches of time that are masked.

`stretch.py` has the functions of tempo and pitch. Interpolating the samples at other times, as
`speed` does with a proper filter, moves tempo and pitch together; `time_stretch` moves tempo only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from aural.audio.augment.given import (
    MOST_SECONDS,
    as_audio,
    as_samples,
    check_count,
    check_number,
    check_range,
)
from aural.audio.augment.stretch import (
    MAX_RATE,
    MAX_SEMITONES,
    MIN_RATE,
    fitted,
    pitch_shift,
    speed,
    time_stretch,
)
from aural.errors import InputError, UnknownName
from aural.types import Audio

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aural.audio.augment import Drawn

__all__ = [
    "MaskSamples",
    "PitchShift",
    "SpeedPerturb",
    "TimeShift",
    "TimeStretch",
    "mask_samples",
    "pitch_shift",
    "speed",
    "time_shift",
    "time_stretch",
]

Fill = Literal["zero", "noise"]


@dataclass(frozen=True)
class TimeShift:
    """Later (or earlier, where negative) by some of `seconds`, drawn evenly; see `time_shift`."""

    seconds: tuple[float, float] = (-0.5, 0.5)
    circular: bool = True

    def __post_init__(self) -> None:
        check_range("seconds", self.seconds, -MOST_SECONDS, MOST_SECONDS)

    def draw(self, value: Audio, rng: np.random.Generator) -> Drawn:
        """The shift in samples."""
        value = as_audio(value)
        return {"shift": round(rng.uniform(*self.seconds) * value.sample_rate)}

    def apply(self, value: Audio, drawn: Drawn) -> Audio:
        """Shifted; of the same length."""
        value = as_audio(value)
        return Audio(time_shift(value.samples, drawn["shift"], self.circular), value.sample_rate)


@dataclass(frozen=True)
class TimeStretch:
    """Another tempo at the same pitch, the rate drawn evenly; see `time_stretch`.

    keep_length: the result is cut, or followed by silence, to the length that was given.
    """

    rate: tuple[float, float] = (0.8, 1.25)
    keep_length: bool = False

    def __post_init__(self) -> None:
        check_range("rate", self.rate, MIN_RATE, MAX_RATE)

    def draw(self, value: Audio, rng: np.random.Generator) -> Drawn:
        """The rate."""
        as_audio(value)
        return {"rate": float(rng.uniform(*self.rate))}

    def apply(self, value: Audio, drawn: Drawn) -> Audio:
        """Stretched."""
        value = as_audio(value)
        made = time_stretch(value.samples, drawn["rate"], value.sample_rate)
        if self.keep_length:
            made = fitted(made, value.samples.shape[-1])
        return Audio(made, value.sample_rate)


@dataclass(frozen=True)
class PitchShift:
    """Another pitch at the same tempo, the semitones drawn evenly; see `pitch_shift`."""

    semitones: tuple[float, float] = (-4.0, 4.0)

    def __post_init__(self) -> None:
        check_range("semitones", self.semitones, -MAX_SEMITONES, MAX_SEMITONES)

    def draw(self, value: Audio, rng: np.random.Generator) -> Drawn:
        """The semitones."""
        as_audio(value)
        return {"semitones": float(rng.uniform(*self.semitones))}

    def apply(self, value: Audio, drawn: Drawn) -> Audio:
        """Shifted; of the same length."""
        value = as_audio(value)
        made = pitch_shift(value.samples, drawn["semitones"], value.sample_rate)
        return Audio(made, value.sample_rate)


@dataclass(frozen=True)
class SpeedPerturb:
    """One of several speeds, drawn evenly; see `speed`. The sample rate stays, the length not."""

    factors: tuple[float, ...] = (0.9, 1.0, 1.1)

    def __post_init__(self) -> None:
        if not self.factors:
            raise InputError("factors is empty; give at least one speed")
        for factor in self.factors:
            check_number("factors", factor, MIN_RATE, MAX_RATE)

    def draw(self, value: Audio, rng: np.random.Generator) -> Drawn:
        """The factor."""
        as_audio(value)
        return {"factor": float(self.factors[int(rng.integers(len(self.factors)))])}

    def apply(self, value: Audio, drawn: Drawn) -> Audio:
        """Faster or slower."""
        value = as_audio(value)
        return Audio(speed(value.samples, drawn["factor"]), value.sample_rate)


@dataclass(frozen=True)
class MaskSamples:
    """Stretches of time replaced, in all channels alike: SpecAugment's time masks on raw audio.

    masks of them, each as long as drawn evenly from 0 to max_seconds (or the recording's length),
    lying anywhere it fits; they may overlap. fill: "zero", or "noise", which is white and as loud
    as the recording (equal root mean square, in each channel).
    """

    masks: int = 2
    max_seconds: float = 0.1
    fill: Fill = "zero"

    def __post_init__(self) -> None:
        check_count("masks", self.masks, 0, 10_000)
        check_number("max_seconds", self.max_seconds, 0, MOST_SECONDS)
        if self.fill not in get_args(Fill):
            raise UnknownName("fill", self.fill, get_args(Fill))

    def draw(self, value: Audio, rng: np.random.Generator) -> Drawn:
        """spans: [start, stop] in samples of each mask; seed of the noise, or None."""
        value = as_audio(value)
        length = value.samples.shape[-1]
        longest = min(length, round(self.max_seconds * value.sample_rate))
        spans = []
        for share, place in rng.random((self.masks, 2)).tolist():
            size = int(share * (longest + 1))
            start = int(place * (length - size + 1))
            spans.append([start, start + size])
        return {
            "spans": spans,
            "seed": int(rng.integers(1 << 63)) if self.fill == "noise" else None,
        }

    def apply(self, value: Audio, drawn: Drawn) -> Audio:
        """Masked; of the same length."""
        value = as_audio(value)
        filling = None
        if drawn["seed"] is not None:
            filling = _noise_like(value.samples, np.random.default_rng(drawn["seed"]))
        return Audio(mask_samples(value.samples, drawn["spans"], filling), value.sample_rate)


def time_shift(samples: np.ndarray, shift: int, circular: bool = True) -> np.ndarray:
    """samples moved later by shift (earlier where it is negative): float32, the same shape.

    samples: shape = (time,) or (channel, time). What leaves at one end comes in at the other; not
    circular, it is lost and zeros come in.
    """
    samples = as_samples(samples)
    if shift != int(shift):
        raise InputError(f"shift is {shift}; give a whole number of samples")
    length = samples.shape[-1]
    if circular:
        cut = -int(shift) % max(length, 1)
        return np.concatenate((samples[..., cut:], samples[..., :cut]), axis=-1)
    by = max(-length, min(length, int(shift)))
    made = np.zeros_like(samples)
    made[..., max(0, by) : length + min(0, by)] = samples[..., max(0, -by) : length - max(0, by)]
    return made


def mask_samples(
    samples: np.ndarray, spans: Iterable[tuple[int, int]], filling: np.ndarray | None = None
) -> np.ndarray:
    """samples with zeros, or what filling has there, from start to stop of each span.

    samples: shape = (time,) or (channel, time). spans: (start, stop) in samples, stop left out,
    both from 0 to time. filling: samples of the same shape. float32, the same shape.
    """
    made = as_samples(samples).copy()
    length = made.shape[-1]
    if filling is not None and np.shape(filling) != made.shape:
        raise InputError(
            f"filling has shape {np.shape(filling)}; give that of samples, {made.shape}"
        )
    for start, stop in spans:
        if not 0 <= start <= stop <= length:
            raise InputError(f"span is ({start}, {stop}); give 0 <= start <= stop <= {length}")
        made[..., start:stop] = 0 if filling is None else filling[..., start:stop]
    return made


def _noise_like(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """White Gaussian noise with each channel's root mean square."""
    samples = as_samples(samples, finite=True)
    if samples.shape[-1] == 0:
        return samples
    level = np.sqrt(np.mean(samples**2, axis=-1, keepdims=True))
    return rng.standard_normal(samples.shape, np.float32) * level
