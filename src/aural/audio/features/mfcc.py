"""Mel-frequency cepstral coefficients, and how features change in time (deltas)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from aural.audio.features.array import (
    Array,
    as_real,
    as_signal,
    filled,
    namespace,
    project,
    side_by_side,
    unworried,
)
from aural.audio.features.frames import BLOCK_FRAMES, check_whole, is_number, of_preset
from aural.audio.features.mel import (
    PRESETS,
    LogMelOptions,
    LogMelStream,
    kaldi_options,
    log_mel,
)
from aural.errors import InputError, UnknownName

DeltaMode = Literal["interp", "nearest", "mirror", "constant", "wrap", "replicate"]
_RULES: dict[str, Literal["reflect", "wrap"]] = {"mirror": "reflect", "wrap": "wrap"}


@dataclass(frozen=True)
class MFCCOptions:
    """The first n_mfcc values of the DCT-II of each frame's log-mels.

    norm: "ortho" is the orthonormal transform, None twice the sum (SciPy). lifter: coefficient i
    is multiplied by 1 + lifter / 2 * sin(pi * (i + lifter_from) / lifter); 0 is no lifter. Where
    the log-mels have a row of the energy (conditioning.energy), it takes the place of the first
    coefficient.
    """

    log_mel: LogMelOptions = PRESETS["librosa"]
    n_mfcc: int = 13
    norm: Literal["ortho"] | None = "ortho"
    lifter: float = 0.0
    lifter_from: Literal[0, 1] = 0

    def __post_init__(self) -> None:
        check_whole("n_mfcc", self.n_mfcc, 1)
        if self.n_mfcc > self.log_mel.mel.n_mels:
            raise InputError(
                f"n_mfcc is {self.n_mfcc}; give 1 to n_mels ({self.log_mel.mel.n_mels})"
            )
        if self.norm not in ("ortho", None):
            raise UnknownName("DCT norm", self.norm, ("ortho",))
        if not is_number(self.lifter) or self.lifter < 0 or self.lifter_from not in (0, 1):
            raise InputError(
                f"lifter is {self.lifter} from {self.lifter_from}; give 0 or more, from 0 or 1"
            )


MFCC_PRESETS = {
    "librosa": MFCCOptions(PRESETS["librosa"], n_mfcc=20, lifter_from=1),
    "kaldi": MFCCOptions(kaldi_options(n_mels=23, energy="raw"), n_mfcc=13, lifter=22),
    "torchaudio": MFCCOptions(replace(PRESETS["torchaudio"], dynamic_range=80.0), n_mfcc=40),
}
"""MFCC as these programs make them with their defaults; each at its log_mel.mel.sample_rate."""


def mfcc(samples: Array, options: str | MFCCOptions = "librosa") -> Array:
    """MFCC of a preset or of options: shape = (..., n_mfcc, frames).

    samples: shape = (..., time), at options.log_mel.mel.sample_rate. No sample gives no frame.
    """
    options = named(options)
    samples = as_signal(samples)
    logs = log_mel(samples, options.log_mel)
    size, count = BLOCK_FRAMES * 4, logs.shape[-1]
    blocks = (_cepstra(logs[..., at : at + size], options) for at in range(0, count, size))
    return side_by_side(blocks, _no_frame(samples, options), count, -1)


def named(options: str | MFCCOptions) -> MFCCOptions:
    """The options themselves, or those of a preset."""
    return of_preset(options, MFCCOptions, "MFCC", MFCC_PRESETS)


class MFCCStream:
    """`mfcc` fed in pieces: the same, exactly (of tensors: within rounding).

    Where the log-mels have a dynamic_range (librosa, torchaudio) it is left out: a stream does not
    know the recording's largest value. `mfcc` with dynamic_range None is the same then.
    """

    def __init__(self, options: str | MFCCOptions = "librosa") -> None:
        self.options = named(options)
        self._logs = LogMelStream(self.options.log_mel)

    def push(self, samples: Array) -> Array:
        """The frames completed by these samples: shape = (..., n_mfcc, frame)."""
        return _cepstra(self._logs.push(samples), self.options)

    def finish(self) -> Array:
        """The frames that reach over the end; the stream is as new then."""
        return _cepstra(self._logs.finish(), self.options)


def _no_frame(samples: Array, options: MFCCOptions) -> Array:
    return filled((*samples.shape[:-1], options.n_mfcc, 0), 0.0, samples)


@unworried
def _cepstra(logs: Array, options: MFCCOptions) -> Array:
    """Log-mels (..., row, frame) to (..., n_mfcc, frame)."""
    xp = namespace(logs)
    mels = options.log_mel.mel
    energy = logs[..., : mels.rows - mels.n_mels, :]
    rows = xp.matrix_transpose(logs[..., mels.rows - mels.n_mels :, :])
    cepstra = project(_lifted_dct, options, rows)
    return xp.concat((energy, cepstra[..., 1:, :]), axis=-2) if energy.shape[-2] else cepstra


def _lifted_dct(options: MFCCOptions) -> np.ndarray:
    """shape = (n_mfcc, n_mels)."""
    count, order = options.log_mel.mel.n_mels, np.arange(options.n_mfcc)[:, None]
    matrix = 2 * np.cos(np.pi / count * (np.arange(count) + 0.5) * order)
    if options.norm == "ortho":
        matrix *= np.where(order == 0, np.sqrt(0.25 / count), np.sqrt(0.5 / count))
    if options.lifter:
        turn = np.pi * (order + options.lifter_from) / options.lifter
        matrix *= 1 + options.lifter / 2 * np.sin(turn)
    return matrix


def delta(features: Array, width: int = 9, order: int = 1, mode: DeltaMode = "interp") -> Array:
    """The order-th derivative of each row in time, in units a frame: (..., frame), as given.

    width: frames that are looked at, odd, 3 to 2001; order: 1 to 4. Savitzky and Golay's: a
    polynomial of degree order is fitted, as librosa.feature.delta does it; mode says what lies
    beyond the ends: "interp" takes the fit of the first or last width frames, "nearest" repeats
    the outermost frame, "mirror" reflects about it, "constant" is 0, "wrap" goes round. mode
    "replicate" is Kaldi's: regression weights, applied order times over to features whose
    outermost frame is repeated; torchaudio's deltas of deltas are two calls of order 1.

    InputError where "interp" has fewer frames than width.
    """
    check_delta(width, order, mode)
    features = _as_features(features)
    count = features.shape[-1]
    if count == 0:
        return features
    weights = _weights(width, order, mode)
    half = weights.size // 2
    if mode == "interp":
        if count < width:
            raise InputError(f"{count} frames are fewer than width {width}; give another mode")
        inner = _weighted(features, weights)
        return _repeat_ends(inner, half, half)
    return _weighted(_extended(features, half, half, mode), weights)


def _as_features(features: Array) -> Array:
    features = as_real(features, "features")
    if features.ndim == 0:
        raise InputError("features have shape (), one number; give shape (..., frame)")
    return features


def check_delta(width: int, order: int, mode: str) -> None:
    """InputError for what `delta` does not know."""
    check_whole("width", width, 3, 2001)
    check_whole("order", order, 1, 4)
    if width % 2 == 0:
        raise InputError(f"width is {width}; give an odd number of frames")
    if mode not in get_args(DeltaMode):
        raise UnknownName("delta mode", mode, get_args(DeltaMode))
    if mode != "replicate" and order >= width:
        raise InputError(f"order is {order}; give less than width ({width})")


@lru_cache(maxsize=32)
def _weights(width: int, order: int, mode: DeltaMode) -> np.ndarray:
    """What each frame counts, the earliest first."""
    moments = np.arange(width) - width // 2
    if mode != "replicate":
        fit = np.linalg.pinv(np.vander(moments.astype(float), order + 1, increasing=True))
        return fit[order] * math.factorial(order)
    single = moments / (moments**2).sum()
    weights = single
    for _ in range(order - 1):
        weights = np.convolve(weights, single)
    return weights


@unworried
def _weighted(features: Array, weights: np.ndarray) -> Array:
    """The weighted sum of neighbours: (..., frame) to (..., frame - weights.size + 1)."""
    count = features.shape[-1] - weights.size + 1
    terms = (float(w) * features[..., at : at + count] for at, w in enumerate(weights))
    total = next(terms)
    for term in terms:
        total = total + term
    return total


def _extended(features: Array, before: int, after: int, mode: DeltaMode) -> Array:
    """The features with frames added as mode says."""
    xp = namespace(features)
    if mode == "constant":
        ends = (filled((*features.shape[:-1], n), 0.0, features) for n in (before, after))
        return xp.concat((next(ends), features, next(ends)), axis=-1)
    rule: Literal["reflect", "wrap", "edge"] = _RULES.get(mode, "edge")
    index = np.pad(np.arange(features.shape[-1]), (before, after), mode=rule)
    return features[..., index]


def _repeat_ends(features: Array, before: int, after: int) -> Array:
    return _extended(features, before, after, "nearest")


class DeltaStream:
    """`delta` fed in pieces of (..., frame): the same, exactly, `look_ahead` frames late.

    The first values come when there are enough frames for one between the ends. mode "wrap" needs
    the end to know the start and is refused.
    """

    _seen: Array | None  # the frames that those to come are weighed with
    _last: Array | None  # the last value, where the ends repeat it
    _started: bool

    def __init__(self, width: int = 9, order: int = 1, mode: DeltaMode = "interp") -> None:
        check_delta(width, order, mode)
        if mode == "wrap":
            raise InputError("mode is 'wrap'; a stream does not know its end, give another mode")
        self.width, self.order, self.mode = width, order, mode
        self._weights = _weights(width, order, mode)
        self._reset()

    @property
    def look_ahead(self) -> int:
        """Frames that must have come after one before its value does."""
        return self._weights.size // 2

    def push(self, features: Array) -> Array:
        """The values completed by these frames: shape = (..., frame)."""
        features = _as_features(features)
        xp, half = namespace(features), self.look_ahead
        before = features[..., :0] if self._seen is None else self._seen
        if before.shape[:-1] != features.shape[:-1]:
            raise InputError(
                f"features have shape {tuple(features.shape)} after pieces of "
                f"{(*before.shape[:-1], 'frame')}; give like ones"
            )
        seen = xp.concat((before, features), axis=-1)
        first = not self._started
        if first:
            if seen.shape[-1] <= 2 * half:
                self._seen = seen
                return features[..., :0]
            self._started = True
            if self.mode != "interp":
                seen = _extended(seen, half, 0, self.mode)
        self._seen = seen[..., max(0, seen.shape[-1] - 2 * half) :]
        values = _weighted(seen, self._weights)
        if self.mode == "interp":
            values = _repeat_ends(values, half, 0) if first else values
            self._last = values[..., -1:] if values.shape[-1] else self._last
        return values

    def finish(self) -> Array:
        """The values of the last frames; the stream is as new then."""
        seen, last, started = self._seen, self._last, self._started
        self._reset()
        if seen is None:
            raise InputError("no features came; push some, (..., frame), before finish")
        if not started:
            return delta(seen, self.width, self.order, self.mode)
        if last is not None:
            return _repeat_ends(last, 0, self.look_ahead)[..., 1:]
        return _weighted(_extended(seen, 0, self.look_ahead, self.mode), self._weights)

    def _reset(self) -> None:
        self._seen = self._last = None
        self._started = False
