"""How loud a sound is: power, peak, active speech, loudness; and sound brought to a level.

Levels are in dB of full scale: 0 dB is a mean square of 1 (for the peak: a sample of 1), so that a
sine of amplitude 1 has -3.01 dB. Silence has -inf dB. Several channels have one level, and one gain
is applied to all: their mean square is the mean over channels (the loudness adds them up instead,
as its standard says). Gains do not clip: a float sample may exceed 1.

Samples are float, shape = (time,) or (channel, time); what comes back is float32 of that shape.
Every function raises InputError for samples that are none, not finite or of another shape.

>>> tone = np.sin(2 * np.pi * np.arange(16000) / 16)
>>> round(rms_db(tone), 2), round(peak_db(tone), 2)
(-3.01, 0.0)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from aural.audio.augment.given import (
    as_audio,
    as_samples,
    check_choice,
    check_number,
    check_range,
    check_rate,
)
from aural.audio.resample import resample
from aural.errors import InputError
from aural.types import Audio

if TYPE_CHECKING:
    from aural.audio.augment import Drawn

Level = Literal["active", "rms", "peak", "loudness"]

MOST_DB = 200.0
"""Gains and levels beyond this, either way, are not sound."""


@dataclass(frozen=True)
class SpeechLevel:
    """db: level while there is speech, in dB of full scale; activity: that part of the time."""

    db: float
    activity: float


@dataclass(frozen=True)
class Gain:
    """Louder or quieter by db, drawn evenly from (low, high)."""

    db: tuple[float, float]

    def __post_init__(self) -> None:
        check_range("db", self.db, -MOST_DB, MOST_DB)

    def draw(self, value: Audio, rng: np.random.Generator) -> Drawn:
        """The gain."""
        as_audio(value)
        return {"db": float(rng.uniform(*self.db))}

    def apply(self, value: Audio, drawn: Drawn) -> Audio:
        """The same sound, by so much louder."""
        value = as_audio(value)
        return Audio(gain_db(value.samples, drawn["db"]), value.sample_rate)


@dataclass(frozen=True)
class SetLevel:
    """Brought to a level drawn evenly from dbfs = (low, high), measured as `by` says."""

    dbfs: tuple[float, float]
    by: Level = "active"

    def __post_init__(self) -> None:
        check_range("dbfs", self.dbfs, -MOST_DB, MOST_DB)
        check_choice("level", self.by, get_args(Level))

    def draw(self, value: Audio, rng: np.random.Generator) -> Drawn:
        """The level."""
        as_audio(value)
        return {"dbfs": float(rng.uniform(*self.dbfs))}

    def apply(self, value: Audio, drawn: Drawn) -> Audio:
        """The same sound at that level; InputError for silence."""
        value = as_audio(value)
        made = set_level(value.samples, drawn["dbfs"], value.sample_rate, self.by)
        return Audio(made, value.sample_rate)


def gain_db(samples: np.ndarray, db: float) -> np.ndarray:
    """samples times 10 ** (db / 20); NaN and infinity stay what they are."""
    samples = as_sound(samples, finite=False)
    check_number("db", db, -MOST_DB, MOST_DB)
    return samples * np.float32(10 ** (db / 20))


def scaled(samples: np.ndarray, db: float) -> np.ndarray:
    """The same for any db: what float32 can't hold of a factor is worked out in float64."""
    if abs(db) <= MOST_DB:
        return samples * np.float32(10 ** (db / 20))
    return (samples * np.float64(10 ** (db / 20))).astype(np.float32)


def set_level(
    samples: np.ndarray, dbfs: float, sample_rate: int, by: Level = "active"
) -> np.ndarray:
    """samples with the gain that brings them to dbfs (LUFS by loudness).

    Exact to 0.01 dB: every level here rises by a dB where the sound does (the loudness does as
    long as no block crosses -70 LUFS). InputError for silence, which no gain brings to a level.
    """
    check_number("dbfs", dbfs, -MOST_DB, MOST_DB)
    present = level_db(samples, sample_rate, by)
    if present == -math.inf and by == "loudness" and rms_db(samples) > -math.inf:
        raise InputError(
            "samples are nowhere above -70 LUFS, where there is no loudness; set another level"
        )
    if present == -math.inf:
        raise InputError("samples are silence, which no gain brings to a level; leave them out")
    return scaled(as_sound(samples), dbfs - present)


def level_db(samples: np.ndarray, sample_rate: int, by: Level = "active") -> float:
    """The level of samples by one of the measures of this file."""
    check_choice("level", by, get_args(Level))
    if by == "active":
        return active_speech_level(samples, sample_rate).db
    if by == "loudness":
        return loudness(samples, sample_rate)
    return rms_db(samples) if by == "rms" else peak_db(samples)


def rms_db(samples: np.ndarray) -> float:
    """Mean power of the whole, pauses included: 10 log10 of the mean square."""
    return decibels(float(np.square(as_sound(samples), dtype=np.float64).mean()))


def peak_db(samples: np.ndarray) -> float:
    """The largest sample: 20 log10 of its magnitude."""
    return 2 * decibels(float(np.abs(as_sound(samples)).max()))


# ITU-T P.56 (2011), method B: seconds of the smoothing and of the hangover, and how many dB the
# threshold of speech lies below the level of speech.
_SMOOTHING, _HANGOVER, _MARGIN = 0.03, 0.2, 15.9


def active_speech_level(samples: np.ndarray, sample_rate: int) -> SpeechLevel:
    """Level of speech without its pauses, and how much of the time it is: ITU-T P.56, method B.

    Speech is where the envelope (rectified, smoothed twice with 30 ms) is at a threshold or was in
    the last 200 ms, so that pauses of less than about 350 ms count as speech. The level is all
    energy over the time of speech, with the lowest threshold that lies 15.9 dB below it. The
    standard tries thresholds not more than a factor of two apart and interpolates; here every
    threshold is tried, so that a gain moves the level by exactly itself. No filter comes before,
    so a constant offset counts. What never is 15.9 dB above a threshold (a click) counts where its
    envelope is highest. Silence: -inf dB and an activity of 0.
    """
    check_rate(sample_rate)
    power = _power(as_sound(samples))
    total = float(power.sum())
    if total == 0:
        return SpeechLevel(-math.inf, 0.0)
    held = _held_envelope(np.sqrt(power), sample_rate)
    # A threshold this low holds for any level: the whole is all energy over all time.
    lowest = math.sqrt(total / held.size) * 10 ** (-_MARGIN / 20)
    thresholds = np.sort(held[held >= lowest])
    active = np.arange(thresholds.size, 0, -1)
    met = total / active <= thresholds**2 * 10 ** (_MARGIN / 10)
    count = int(active[np.argmax(met)]) if met.any() else int(np.sum(held == held.max()))
    return SpeechLevel(decibels(total / count), count / held.size)


def _held_envelope(magnitude: np.ndarray, sample_rate: int) -> np.ndarray:
    """The highest value of the smoothed magnitude in the last 200 ms, at each sample."""
    from scipy.ndimage import maximum_filter1d
    from scipy.signal import lfilter

    decay = math.exp(-1 / (_SMOOTHING * sample_rate))
    once = lfilter([1 - decay], [1, -decay], magnitude)
    envelope = lfilter([1 - decay], [1, -decay], once)
    window = math.ceil(_HANGOVER * sample_rate) + 1
    return maximum_filter1d(envelope, window, origin=(window - 1) // 2, mode="constant", cval=0.0)


# ITU-R BS.1770-4, tables 1 and 2: numerators and denominators of K-weighting at 48 kHz.
_SHELF = (
    (1.53512485958697, -2.69169618940638, 1.19839281085285),
    (1.0, -1.69065929318241, 0.73248077421585),
)
_HIGH_PASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
_K_RATE = 48000


def loudness(samples: np.ndarray, sample_rate: int) -> float:
    """Gated integrated loudness in LUFS: ITU-R BS.1770-4.

    Mean over blocks of 400 ms, one every 100 ms, that are above -70 LUFS and above 10 LU below the
    mean of those. Every channel weighs 1 (the standard's 1.41 for surrounds needs a layout). Less
    than 400 ms is one block; -inf where no block is above -70 LUFS. Measured at 48 kHz, for which
    the standard has its filters: sound at another rate is resampled.
    """
    check_rate(sample_rate)
    heard = resample(np.atleast_2d(as_sound(samples)), sample_rate, _K_RATE)
    power = np.square(_k_weighted(heard.astype(np.float64))).sum(axis=0)
    hop = _K_RATE // 10
    hops = power.size // hop
    if hops < 4:
        blocks = power.mean(keepdims=True) if power.size else power
    else:
        sums = power[: hops * hop].reshape(hops, hop).sum(axis=1)
        blocks = np.lib.stride_tricks.sliding_window_view(sums, 4).sum(axis=1) / (4 * hop)
    kept = blocks[blocks > 10 ** ((-70 + 0.691) / 10)]
    if not kept.size:
        return -math.inf
    kept = kept[kept > kept.mean() / 10]
    return decibels(float(kept.mean())) - 0.691


def _k_weighted(samples: np.ndarray) -> np.ndarray:
    from scipy.signal import lfilter

    for numerator, denominator in (_SHELF, _HIGH_PASS):
        samples = lfilter(numerator, denominator, samples)
    return samples


def _power(samples: np.ndarray) -> np.ndarray:
    """Mean square over channels, float64, shape = (time,)."""
    power = np.square(samples, dtype=np.float64)
    return power if power.ndim == 1 else power.mean(axis=0)


def decibels(power: float) -> float:
    """10 log10 of a power; -inf for 0."""
    return 10 * math.log10(power) if power > 0 else -math.inf


def as_sound(samples: Any, name: str = "samples", *, finite: bool = True) -> np.ndarray:
    """samples as float32; InputError unless finite, (time,) or (channel, time) and not empty."""
    samples = as_samples(samples, name, finite=finite)
    if samples.size == 0:
        raise InputError(f"{name} have shape {samples.shape}; give one or more")
    return samples
