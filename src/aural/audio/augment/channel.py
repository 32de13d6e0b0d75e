"""What a line does to sound: clipping, narrow bands, telephones, colour; `codec.py` has the codecs.

Everything here keeps sample rate, length and timing: filters have linear phase and are centred, so
nothing comes later. Beyond the ends of a recording is silence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, get_args

import numpy as np
import scipy.fft

from aural.audio.augment.codec import Codec, Law, codec_round_trip, g711, g711_decode, g711_encode
from aural.audio.augment.given import (
    as_audio,
    as_samples,
    check_count,
    check_number,
    check_range,
    check_rate,
)
from aural.audio.augment.stretch import fitted
from aural.audio.resample import resample
from aural.errors import InputError, UnknownName
from aural.types import Audio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aural.audio.augment import Drawn

__all__ = [
    "BandLimit",
    "Bandwidth",
    "Clip",
    "Codec",
    "Equalise",
    "Telephone",
    "band_limit",
    "bandwidth",
    "clip",
    "codec_round_trip",
    "equalise",
    "g711",
    "g711_decode",
    "g711_encode",
    "telephone",
]

TELEPHONE_BAND = (300.0, 3400.0)
TELEPHONE_RATE = 8000
TRANSITION = 200.0
MAX_GAIN_DB = 60.0

_ATTENUATION = 87.0  # dB by design; two edges that mirror each other add up to 80
_MAX_TAPS = (1 << 20) + 1
_MIN_BLOCK = 4096
_GROUP = 32  # blocks transformed at once
_EQUALISER_SECONDS = 0.064


@dataclass(frozen=True)
class Clip:
    """What is louder than a threshold is cut off; see `clip`.

    percentile is a range to draw from, evenly. Where dbfs is given, it is that range instead.
    """

    percentile: tuple[float, float] = (80.0, 100.0)
    dbfs: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_range("percentile", self.percentile, 0, 100)
        if self.dbfs is not None:
            check_range("dbfs", self.dbfs, -200, 0)

    def draw(self, value: Audio, rng: np.random.Generator) -> Drawn:
        """The percentile, or dbfs."""
        as_audio(value)
        if self.dbfs is not None:
            return {"dbfs": float(rng.uniform(*self.dbfs))}
        return {"percentile": float(rng.uniform(*self.percentile))}

    def apply(self, value: Audio, drawn: Drawn) -> Audio:
        """Clipped."""
        value = as_audio(value)
        return Audio(clip(value.samples, **drawn), value.sample_rate)


@dataclass(frozen=True)
class BandLimit:
    """A band, each edge in Hz drawn evenly from its range, None for no edge; see `band_limit`.

    An edge that is not at least 1 Hz below half of a recording's rate is left out.
    """

    low: tuple[float, float] | None = (50.0, 400.0)
    high: tuple[float, float] | None = (2000.0, 7000.0)
    transition: float = TRANSITION

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            if getattr(self, name) is not None:
                check_range(name, getattr(self, name), 1, math.inf)
        if self.low and self.high and self.low[1] + 1 > self.high[0]:
            raise InputError(
                f"low is {self.low} and high {self.high} Hz; give ranges 1 Hz apart or more"
            )
        check_number("transition", self.transition, 1, math.inf)

    def draw(self, value: Audio, rng: np.random.Generator) -> Drawn:
        """low and high in Hz, or None."""
        as_audio(value)
        edges = [None if of is None else float(rng.uniform(*of)) for of in (self.low, self.high)]
        return dict(zip(("low", "high"), edges, strict=True))

    def apply(self, value: Audio, drawn: Drawn) -> Audio:
        """Filtered."""
        value = as_audio(value)
        highest = value.sample_rate / 2 - 1
        edges = (drawn["low"], drawn["high"])
        low, high = (edge if edge is not None and edge <= highest else None for edge in edges)
        if low is None and high is None:
            return Audio(as_samples(value.samples).copy(), value.sample_rate)
        made = band_limit(value.samples, value.sample_rate, low, high, self.transition)
        return Audio(made, value.sample_rate)


@dataclass(frozen=True)
class Telephone:
    """A telephone line by one of several laws of G.711, drawn evenly; see `telephone`."""

    laws: tuple[Law, ...] = ("mu", "a")

    def __post_init__(self) -> None:
        for law in self.laws or ("",):
            if law not in get_args(Law):
                raise UnknownName("law", law, get_args(Law))

    def draw(self, value: Audio, rng: np.random.Generator) -> Drawn:
        """The law."""
        as_audio(value)
        return {"law": self.laws[int(rng.integers(len(self.laws)))]}

    def apply(self, value: Audio, drawn: Drawn) -> Audio:
        """As it is heard at the other end."""
        value = as_audio(value)
        return Audio(telephone(value.samples, value.sample_rate, drawn["law"]), value.sample_rate)


@dataclass(frozen=True)
class Bandwidth:
    """The band that one of several sample rates has, drawn evenly; see `bandwidth`."""

    rates: tuple[int, ...] = (8000,)

    def __post_init__(self) -> None:
        if not self.rates:
            raise InputError("rates is empty; give at least one sample rate in Hz")
        for rate in self.rates:
            check_rate(rate)

    def draw(self, value: Audio, rng: np.random.Generator) -> Drawn:
        """The rate in Hz."""
        as_audio(value)
        return {"rate": int(self.rates[int(rng.integers(len(self.rates)))])}

    def apply(self, value: Audio, drawn: Drawn) -> Audio:
        """As from a recording at that rate; the sample rate stays."""
        value = as_audio(value)
        made = bandwidth(value.samples, value.sample_rate, drawn["rate"])
        return Audio(made, value.sample_rate)


@dataclass(frozen=True)
class Equalise:
    """A smooth colour: gains at `bands` frequencies, drawn evenly from gain_db; see `equalise`.

    The frequencies are spaced evenly in octaves from 60 Hz to half the sample rate.
    """

    gain_db: tuple[float, float] = (-6.0, 6.0)
    bands: int = 8

    def __post_init__(self) -> None:
        check_range("gain_db", self.gain_db, -MAX_GAIN_DB, MAX_GAIN_DB)
        check_count("bands", self.bands, 1, 100)

    def draw(self, value: Audio, rng: np.random.Generator) -> Drawn:
        """curve: [Hz, dB] of each band."""
        value = as_audio(value)
        hertz = np.geomspace(60, value.sample_rate / 2, self.bands)
        return {"curve": np.stack((hertz, rng.uniform(*self.gain_db, self.bands)), 1).tolist()}

    def apply(self, value: Audio, drawn: Drawn) -> Audio:
        """Filtered."""
        value = as_audio(value)
        made = equalise(value.samples, value.sample_rate, drawn["curve"])
        return Audio(made, value.sample_rate)


def clip(
    samples: np.ndarray,
    threshold: float | None = None,
    *,
    percentile: float | None = None,
    dbfs: float | None = None,
) -> np.ndarray:
    """samples cut off at plus and minus a threshold: float32, the same shape.

    samples: shape = (time,) or (channel, time). Give one of: threshold, an amplitude; dbfs, the
    same in decibels below an amplitude of 1; percentile, the amplitude that so many per cent of
    all samples do not exceed (100 clips none; 0 leaves no more than the smallest).
    """
    given = [value for value in (threshold, percentile, dbfs) if value is not None]
    if len(given) != 1:
        raise InputError(f"{len(given)} thresholds; give one of threshold, percentile and dbfs")
    samples = as_samples(samples, finite=percentile is not None)
    if percentile is not None:
        check_number("percentile", percentile, 0, 100)
        threshold = float(np.percentile(np.abs(samples), percentile)) if samples.size else 0.0
    elif dbfs is not None:
        check_number("dbfs", dbfs, -200, 200)
        threshold = 10 ** (dbfs / 20)
    assert threshold is not None
    check_number("threshold", threshold, 0, math.inf)
    return np.clip(samples, -np.float32(threshold), np.float32(threshold))


def band_limit(
    samples: np.ndarray,
    sample_rate: int,
    low: float | None = None,
    high: float | None = None,
    transition: float = TRANSITION,
) -> np.ndarray:
    """Only what is between low and high Hz (None: no edge): float32, the same shape.

    samples: shape = (time,) or (channel, time), at sample_rate Hz. A linear-phase FIR filter
    (Kaiser's window): -6 dB at an edge; from half the transition width inside it flat within
    0.002 dB, from half of it outside down by 80 dB. The width is less than `transition` Hz where
    there is no room for it: twice the distance from an edge to 0 or to half the rate, or what lies
    between the edges.
    """
    samples = as_samples(samples, finite=True)
    check_rate(sample_rate)
    taps = _band_taps(float(low or 0), float(high or sample_rate / 2), sample_rate, transition)
    return _filtered(samples, taps)


def telephone(samples: np.ndarray, sample_rate: int, law: Law = "mu") -> np.ndarray:
    """Sound through a telephone line: float32, the same shape, rate and timing.

    samples: shape = (time,) or (channel, time), at sample_rate Hz. 8 kHz, 300 to 3400 Hz (see
    `band_limit`), and 8 bits a sample by ITU-T G.711: law "mu" (North America, Japan) or "a".
    """
    samples = as_samples(samples, finite=True)
    check_rate(sample_rate)
    line = _at_rate(samples, sample_rate, TELEPHONE_RATE)
    line = g711(band_limit(line, TELEPHONE_RATE, *TELEPHONE_BAND), law)
    return fitted(_at_rate(line, TELEPHONE_RATE, sample_rate), samples.shape[-1])


def bandwidth(samples: np.ndarray, sample_rate: int, rate: int) -> np.ndarray:
    """samples taken to `rate` Hz and back: float32, the same shape; 8000 leaves a band of 4 kHz.

    samples: shape = (time,) or (channel, time), at sample_rate Hz. soxr's HQ filter passes up to
    0.913 of half the rate. A rate that is not below sample_rate changes nothing.
    """
    samples = as_samples(samples, finite=True)
    check_rate(sample_rate)
    check_rate(rate)
    if rate >= sample_rate:
        return samples.copy()
    sample_rate, rate = int(sample_rate), int(rate)
    narrow = _at_rate(samples, sample_rate, rate)
    return fitted(_at_rate(narrow, rate, sample_rate), samples.shape[-1])


def equalise(
    samples: np.ndarray, sample_rate: int, curve: Sequence[tuple[float, float]]
) -> np.ndarray:
    """samples with a gain that depends on frequency: float32, the same shape.

    samples: shape = (time,) or (channel, time), at sample_rate Hz. curve: (Hz, dB) by rising
    frequency; between two points dB go straight over the logarithm of Hz, beyond the ends they
    stay. A linear-phase FIR filter of 64 ms: steps narrower than about 30 Hz are smoothed.
    """
    samples = as_samples(samples, finite=True)
    check_rate(sample_rate)
    hertz, decibels = np.asarray(curve, float).reshape(-1, 2).T
    if hertz.size == 0 or hertz[0] <= 0 or (np.diff(hertz) <= 0).any():
        raise InputError(f"curve has the frequencies {hertz.tolist()}; give rising ones above 0 Hz")
    if not (np.abs(decibels) <= MAX_GAIN_DB).all():
        raise InputError(f"curve has gains beyond {MAX_GAIN_DB:g} dB; give smaller ones")
    half = round(_EQUALISER_SECONDS / 2 * sample_rate)
    size = scipy.fft.next_fast_len(8 * half, real=True)
    bins = np.maximum(scipy.fft.rfftfreq(size, 1 / sample_rate), hertz[0])
    response = 10 ** (np.interp(np.log(bins), np.log(hertz), decibels) / 20)
    taps = np.roll(scipy.fft.irfft(response, size), half)[: 2 * half + 1]
    return _filtered(samples, (taps * np.hanning(2 * half + 3)[1:-1]).astype(np.float32))


def _at_rate(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    if samples.shape[-1] == 0:
        return samples
    return resample(samples, from_rate, to_rate)


@lru_cache(maxsize=8)
def _band_taps(low: float, high: float, sample_rate: int, transition: float) -> np.ndarray:
    """The filter: float32, an odd number of taps."""
    half = sample_rate / 2
    if not 0 <= low < high <= half or (low == 0 and high == half):
        raise InputError(
            f"low is {low:g} and high {high:g} Hz; give one or both, 0 < low < high < {half:g} Hz"
        )
    room = [high - low] + [2 * low] * (low > 0) + [2 * (half - high)] * (high < half)
    check_number("transition", transition, 1, math.inf)
    width = 2 * np.pi * min(transition, *room) / sample_rate
    arm = math.ceil((_ATTENUATION - 7.95) / (2.285 * width) / 2)
    if 2 * arm + 1 > _MAX_TAPS:
        raise InputError(
            f"the band from {low:g} to {high:g} Hz of {half:g} Hz needs a filter of "
            f"{2 * arm + 1} taps, more than {_MAX_TAPS}; move an edge"
        )
    times = np.arange(-arm, arm + 1)
    top, bottom = (2 * edge / sample_rate for edge in (high, low))
    taps = top * np.sinc(top * times) - bottom * np.sinc(bottom * times)
    return (taps * _kaiser(2 * arm + 1)).astype(np.float32)


@lru_cache(maxsize=8)
def _kaiser(taps: int) -> np.ndarray:
    return np.kaiser(taps, 0.1102 * (_ATTENUATION - 8.7))


def _filtered(samples: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """The convolution, centred on the middle tap: the same shape (overlap-save)."""
    length, arm = samples.shape[-1], taps.size // 2
    if length == 0:
        return samples.copy()
    size = scipy.fft.next_fast_len(
        min(max(_MIN_BLOCK, 4 * taps.size), length + 2 * taps.size), True
    )
    step = size - taps.size + 1
    count = -(-length // step)
    signal = np.atleast_2d(samples)
    padded = np.pad(signal, ((0, 0), (arm, count * step + arm - length)))
    blocks = np.lib.stride_tricks.sliding_window_view(padded, size, axis=-1)[:, ::step]
    response = scipy.fft.rfft(taps, size)
    made = np.empty((len(signal), count, step), np.float32)
    for first in range(0, count, _GROUP):
        spectra = scipy.fft.rfft(blocks[:, first : first + _GROUP])
        spectra *= response
        made[:, first : first + _GROUP] = scipy.fft.irfft(spectra, size)[..., taps.size - 1 :]
    return made.reshape(len(signal), -1)[:, :length].reshape(samples.shape)
