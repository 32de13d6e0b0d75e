"""Tempo without pitch, pitch without tempo, and both together as on a tape.

The stretch is a phase vocoder with locked phases (Laroche and Dolson 1999, "Improved phase vocoder
time-scale modification of audio"). Frames of 48 ms are laid down every 12 ms; each is cut from
where the tempo puts it, and a second one 12 ms before that. What the phase turns by from the
second to the first, a peak of the spectrum turns by from one laid-down frame to the next, so that
a steady tone of any frequency goes on as it was: no instantaneous frequency has to be guessed. The
bins between two peaks turn with the nearer one, and all channels turn alike, which keeps the shape
of a pulse and the place of a voice between the channels.

On real speech it stays closer than a plain phase vocoder or WSOLA to the spectrogram that is
scaled in time, and keeps the pitch of low voices too; its cost does not depend on the rate.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np
import scipy.fft

from aural.audio.augment.given import as_samples, check_number, check_rate

HOP_SECONDS = 0.012
MIN_RATE, MAX_RATE = 0.1, 10.0
MAX_SEMITONES = 24.0

_OVERLAP = 4
_BLOCK = 64  # frames at once: their spectra fit in a core's second-level cache
_SILENCE = np.float32(1e-16)  # added to a product of two spectra: silence turns by nothing


def time_stretch(samples: np.ndarray, rate: float, sample_rate: int) -> np.ndarray:
    """The same sound at another tempo: float32, (..., round(time / rate)).

    samples: shape = (time,) or (channel, time), at sample_rate Hz. rate: 0.1 to 10; 2 is twice as
    fast. What was at sample t is at t / rate, and frequencies stay. Beyond the ends is silence.
    """
    samples = as_samples(samples, finite=True)
    check_number("rate", rate, MIN_RATE, MAX_RATE)
    rate, hop = float(rate), _hop(sample_rate)
    return _vocoded(samples, rate, round(samples.shape[-1] / rate), hop)


def pitch_shift(samples: np.ndarray, semitones: float, sample_rate: int) -> np.ndarray:
    """The same sound higher or lower: float32, of the same shape and with the same timing.

    samples: shape = (time,) or (channel, time), at sample_rate Hz. semitones: -24 to 24. All
    frequencies are multiplied by 2 ** (semitones / 12); what would lie above half the rate is left
    out. Formants move too, as on a tape.
    """
    samples = as_samples(samples, finite=True)
    check_number("semitones", semitones, -MAX_SEMITONES, MAX_SEMITONES)
    hop = _hop(sample_rate)
    factor = 2 ** (float(semitones) / 12)
    return _vocoded(_played(samples, factor), 1 / factor, samples.shape[-1], hop)


def speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """Tempo and pitch together, by resampling: float32, (..., round(time / factor)).

    samples: shape = (time,) or (channel, time). factor: 0.1 to 10; 1.1 is a tenth faster and all
    frequencies times 1.1 (what would lie above half the rate is left out). Ko et al. 2015, "Audio
    augmentation for speech recognition": 0.9, 1.0 and 1.1.
    """
    samples = as_samples(samples, finite=True)
    check_number("factor", factor, MIN_RATE, MAX_RATE)
    factor = float(factor)  # of NumPy's float32 there is no Fraction
    return fitted(_played(samples, factor), round(samples.shape[-1] / factor))


def fitted(samples: np.ndarray, length: int) -> np.ndarray:
    """samples cut at the end, or followed by zeros, to so many in time; rows lie in one piece."""
    missing = length - samples.shape[-1]
    if missing <= 0:
        return np.ascontiguousarray(samples[..., :length])
    return np.concatenate((samples, np.zeros((*samples.shape[:-1], missing), np.float32)), -1)


def _played(samples: np.ndarray, factor: float) -> np.ndarray:
    """samples run through factor times as fast: about time / factor of them."""
    if factor == 1 or samples.shape[-1] == 0:
        return samples.copy()
    import soxr

    plain = Fraction(factor).limit_denominator(1000)  # 0.9 is 9 / 10, for which soxr is faster
    ratio = plain if math.isclose(plain, factor, rel_tol=1e-12) else Fraction(factor)
    frames = np.ascontiguousarray(samples.T)
    return soxr.resample(frames, ratio.numerator, ratio.denominator, "HQ").T


def _hop(sample_rate: int) -> int:
    """Samples between frames: near 12 ms, and such that four of them transform fast."""
    check_rate(sample_rate)
    return scipy.fft.next_fast_len(round(HOP_SECONDS * sample_rate), real=True)


def _vocoded(samples: np.ndarray, rate: float, length: int, hop: int) -> np.ndarray:
    """samples at rate times the tempo, of length samples."""
    if samples.shape[-1] == 0 or length == 0:
        return np.zeros((*samples.shape[:-1], length), np.float32)
    signal, n_fft = np.atleast_2d(samples), _OVERLAP * hop
    count = -(-length // hop) + 3  # the first is centred a hop before the start
    centres = np.rint(np.arange(-1, count - 1) * (hop * rate)).astype(int)
    before = 3 * hop - int(centres[0])
    after = max(0, int(centres[-1]) + 2 * hop - signal.shape[-1])
    padded = np.pad(signal, ((0, 0), (before, after)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft, axis=-1)
    starts = centres + (before - 2 * hop)
    laid = np.zeros((len(signal), count + _OVERLAP - 1, hop), np.float32)
    window = _window(n_fft)
    turner = _Turner(len(signal), n_fft // 2 + 1)
    for first in range(0, count, _BLOCK):
        at = starts[first : first + _BLOCK]
        spectra = scipy.fft.rfft(frames[:, at] * window)
        turner.turn(spectra, scipy.fft.rfft(frames[:, at - hop] * window))
        pieces = scipy.fft.irfft(spectra, n_fft, overwrite_x=True)
        pieces *= window * np.float32(1 / (_OVERLAP * 3 / 8))  # the sum of the squared windows
        pieces = pieces.reshape(len(signal), len(at), _OVERLAP, hop)
        for part in range(_OVERLAP):
            laid[:, first + part : first + part + len(at)] += pieces[:, :, part]
    whole = laid.reshape(len(signal), -1)[:, 3 * hop : 3 * hop + length]
    return np.ascontiguousarray(whole).reshape(*samples.shape[:-1], length)


class _Turner:
    """Turns the phases of frames so that each goes on from the one laid down before it."""

    def __init__(self, channels: int, bins: int) -> None:
        self._last = np.zeros((channels, bins), np.complex64)  # as cut, before it was turned
        self._turned = np.ones(bins, np.complex64)  # by how much that was turned

    def turn(self, spectra: np.ndarray, earlier: np.ndarray) -> None:
        """spectra, in place; earlier is what came a hop before each. Both (channel, frame, bin)."""
        before = np.concatenate((self._last[:, None], spectra[:, :-1]), axis=1)
        self._last = spectra[:, -1].copy()
        np.conjugate(earlier, out=earlier)
        earlier *= before
        turns = earlier[0] if len(earlier) == 1 else earlier.sum(axis=0)
        turns += _SILENCE
        turns /= np.sqrt(_power(turns))
        leaders = _leaders(_power(spectra).sum(axis=0))
        turned, product = self._turned, np.empty_like(self._turned)
        for step, leader in zip(turns, leaders, strict=True):
            np.multiply(turned, step, out=product)
            turned = product.take(leader, out=step, mode="clip")
        self._turned = (turned / np.abs(turned)).astype(np.complex64)
        spectra *= turns


def _leaders(power: np.ndarray) -> np.ndarray:
    """For each bin of (frame, bin) the nearest peak's: a bin above its neighbours, or an end."""
    bins = power.shape[1]
    rises = power[:, 1:] > power[:, :-1]
    is_peak = np.ones(power.shape, bool)
    np.greater(rises[:, :-1], rises[:, 1:], out=is_peak[:, 1:-1])
    peaks = np.flatnonzero(is_peak)
    edges = (peaks[:-1] + peaks[1:] + 1) // 2  # between two frames too, as their ends are peaks
    sizes = np.diff(edges, prepend=0, append=power.size)
    return np.repeat(peaks % bins, sizes).reshape(power.shape)


def _power(spectrum: np.ndarray) -> np.ndarray:
    power = spectrum.real**2
    power += spectrum.imag**2
    return power


@lru_cache(maxsize=16)
def _window(size: int) -> np.ndarray:
    """Hann's, float32; squared and laid down every quarter of it, the sum is 3 / 2 everywhere."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
