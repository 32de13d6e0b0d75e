"""Mel scales, filters and spectrograms, and log-mel as Whisper, Kaldi and other programs have it.

Against librosa and transformers' WhisperFeatureExtractor on the same samples `whisper_log_mel`,
whose values lie in about [-1.5, 1.5], differs by at most 4e-5 on real speech and 8e-5 on a pure
tone, whose quiet bins are rounding noise; the tests hold it to 1e-4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from aural.audio.features.array import (
    Array,
    as_numbers,
    as_signal,
    at_least,
    below_peak,
    filled,
    like,
    namespace,
    project,
    rfft,
    side_by_side,
    unworried,
)
from aural.audio.features.frames import (
    MOST,
    FrameStream,
    STFTOptions,
    check_above,
    check_not_below,
    check_whole,
    frame_window,
    is_number,
    of_preset,
)
from aural.audio.features.stft import magnitudes
from aural.errors import InputError, UnknownName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MelScale = Literal["slaney", "htk", "kaldi"]
Energy = Literal["raw", "windowed"]

MOST_MELS = 4096
MOST_WEIGHTS = 1 << 24
"""Of all filters, 128 MB of float64."""


@dataclass(frozen=True)
class Conditioning:
    """What Kaldi does to a frame before its window, in this order.

    gain: samples are multiplied by it; 32768 gives the 16-bit scale that Kaldi's recipes have.
    remove_dc: the frame's mean is taken off. pre_emphasis: so much of the sample before is taken
    off each. energy: the frame's sum of squares, before ("raw") or after pre-emphasis and window,
    not below energy_floor, is a row of its own above the mels.
    """

    gain: float = 1.0
    remove_dc: bool = True
    pre_emphasis: float = 0.97
    energy: Energy | None = None
    energy_floor: float = 0.0

    def __post_init__(self) -> None:
        check_above("gain", self.gain)
        check_not_below("energy_floor", self.energy_floor)
        if not 0 <= self.pre_emphasis <= 1:
            raise InputError(f"pre_emphasis is {self.pre_emphasis}; give 0 to 1")
        if self.energy is not None and self.energy not in get_args(Energy):
            raise UnknownName("energy", self.energy, get_args(Energy))

    def applied(self, cut: Array) -> tuple[Array, Array]:
        """The frames (..., frame, time), and before pre-emphasis."""
        xp = namespace(cut)
        if self.gain != 1:
            cut = cut * self.gain
        if self.remove_dc:
            cut = cut - xp.mean(cut, axis=-1, keepdims=True)
        level = cut
        if self.pre_emphasis:
            before = xp.concat((cut[..., :1], cut[..., :-1]), axis=-1)
            cut = cut - self.pre_emphasis * before
        return cut, level


@dataclass(frozen=True)
class MelOptions(STFTOptions):
    """What a mel spectrogram is; the defaults are Whisper's with 80 mels (before the logarithm).

    fmax: None is half the rate. scale: Slaney's (linear below 1 kHz), HTK's formula, or Kaldi's,
    which is HTK's with triangles that are straight in mels, not in Hz. norm: "slaney" gives each
    filter unit area, None leaves its peak at 1. power: 2 is energy, 1 magnitude; epsilon is added
    to a bin's energy before that. conditioning: what is done to each frame first.
    """

    sample_rate: int = 16000
    n_mels: int = 80
    fmin: float = 0.0
    fmax: float | None = None
    scale: MelScale = "slaney"
    norm: Literal["slaney"] | None = "slaney"
    power: float = 2.0
    epsilon: float = 0.0
    conditioning: Conditioning | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("n_mels", self.n_mels, 1, MOST_MELS)
        if self.n_mels * self.bins > MOST_WEIGHTS:
            raise InputError(
                f"n_mels is {self.n_mels} and n_fft {self.n_fft}; give fewer, so that n_mels times "
                f"n_fft // 2 + 1 is at most {MOST_WEIGHTS}"
            )
        for name in ("sample_rate", "power"):
            check_above(name, getattr(self, name))
        check_not_below("epsilon", self.epsilon)
        half = self.sample_rate / 2
        if not 0 <= self.fmin < self.top <= half:
            raise InputError(
                f"fmin is {self.fmin} and fmax {self.fmax}; give 0 <= fmin < fmax <= {half:g} Hz"
            )
        for kind, name, choices in (
            ("mel scale", self.scale, get_args(MelScale)),
            ("mel norm", self.norm or "slaney", ("slaney",)),
        ):
            if name not in choices:
                raise UnknownName(kind, name, choices)

    @property
    def top(self) -> float:
        """The upper edge of the last filter in Hz."""
        return self.sample_rate / 2 if self.fmax is None else self.fmax

    @property
    def rows(self) -> int:
        """n_mels, and one more where the energy is a row."""
        energy = self.conditioning is not None and self.conditioning.energy is not None
        return self.n_mels + energy


WHISPER = {n_mels: MelOptions(n_mels=n_mels) for n_mels in (80, 128)}


def mel_spectrogram(samples: Array, options: MelOptions = WHISPER[80]) -> Array:
    """Mel energies (no logarithm): shape = (..., options.rows, options.frames(time)).

    samples: shape = (..., time), at options.sample_rate. Equal to librosa's under
    the same options within float32 rounding. No sample gives no frame.
    """
    samples = as_signal(samples)
    stream = MelStream(options)
    blocks = chain(stream.blocks(samples), stream.last_blocks())
    return _joined(blocks, samples, options)


class MelStream:
    """`mel_spectrogram` fed in pieces: the concatenation of what it returns is the same, exactly
    (of tensors: within rounding).

    The frames under the last n_fft // 2 samples come with `finish`, which also makes the stream
    ready for another recording. Memory is bounded by the piece given.
    """

    def __init__(self, options: MelOptions = WHISPER[80]) -> None:
        self.options = options
        self._frames = FrameStream(options)

    def push(self, samples: Array) -> Array:
        """The frames completed by these samples: shape = (..., options.rows, frame)."""
        return self._join(self.blocks(samples))

    def finish(self) -> Array:
        """The frames that reach over the end; shape = (..., options.rows, frame)."""
        return self._join(self.last_blocks())

    def blocks(self, samples: Array) -> Iterator[Array]:
        """What `push` returns in pieces of at most BLOCK_FRAMES frames; to be taken to the end."""
        return (_mel_of(cut, self.options) for cut in self._frames.push(samples))

    def last_blocks(self) -> Iterator[Array]:
        """What `finish` returns, likewise."""
        return (_mel_of(cut, self.options) for cut in self._frames.finish())

    @unworried
    def _join(self, blocks: Iterable[Array]) -> Array:
        found = list(blocks)
        empty = _no_frame(self._frames.like, self.options)
        return namespace(empty).concat([empty, *found], axis=-1)


def _no_frame(samples: Array, options: MelOptions) -> Array:
    return filled((*samples.shape[:-1], options.rows, 0), 0.0, samples)


@unworried
def _joined(blocks: Iterable[Array], samples: Array, options: MelOptions) -> Array:
    count = options.frames(samples.shape[-1])
    return side_by_side(blocks, _no_frame(samples, options), count, -1)


def _mel_of(cut: Array, options: MelOptions) -> Array:
    """Frames (..., frame, frame_length) to (..., options.rows, frame)."""
    if options.conditioning is None:
        return project(_bank, options, _power(cut, options))
    energy = options.conditioning.energy
    cut, level = options.conditioning.applied(cut)
    mel = project(_bank, options, _power(cut, options))
    if energy is None:
        return mel
    xp = namespace(mel)
    loud = level if energy == "raw" else cut * like(frame_window(options), cut)
    row = at_least(xp.sum(loud * loud, axis=-1), options.conditioning.energy_floor)
    return xp.concat((row[..., None, :], mel), axis=-2)


def _power(cut: Array, options: MelOptions) -> Array:
    """Powers of the bins. Nothing is named, so that memory still in the cache is used again."""
    return magnitudes(
        rfft(cut * like(frame_window(options), cut), options.n_fft), options.power, options.epsilon
    )


def mel_filters(options: MelOptions = WHISPER[80]) -> np.ndarray:
    """Triangular filters over the bins of the transform: float32, (n_mels, n_fft // 2 + 1)."""
    return _bank(options).astype(np.float32)


def _bank(options: MelOptions) -> np.ndarray:
    bins = np.arange(options.bins) * (options.sample_rate / options.n_fft)
    low, high = hz_to_mel(np.array([options.fmin, options.top]), options.scale)
    edges = np.linspace(low, high, options.n_mels + 2)
    if options.scale == "kaldi":
        bins = hz_to_mel(bins, "kaldi")
    else:
        edges = mel_to_hz(edges, options.scale)
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rise = (bins - lower) / (centre - lower)
    fall = (upper - bins) / (upper - centre)
    filters = np.maximum(0, np.minimum(rise, fall))
    if options.norm == "slaney":
        if options.scale == "kaldi":
            lower, upper = mel_to_hz(lower, "kaldi"), mel_to_hz(upper, "kaldi")
        filters *= 2 / (upper - lower)
    return filters


# Slaney's scale (Auditory Toolbox): 3 mels per 200 Hz up to 1 kHz, then 27 mels per factor 6.4.
_LINEAR_STEP = 200 / 3
_LOG_STEP = float(np.log(6.4)) / 27


def hz_to_mel(hertz: Array, scale: MelScale = "slaney") -> Array:
    """Frequencies in Hz on the mel scale of Slaney, HTK or Kaldi, same shape.

    HTK's is 2595 log10(1 + f / 700); Kaldi's, 1127 ln(1 + f / 700), is the same to 1e-5.

    >>> [round(float(hz_to_mel(hertz, "htk")), 1) for hertz in (200, 5000)]
    [283.2, 2363.5]
    >>> [round(float(hz_to_mel(hertz, "kaldi")), 1) for hertz in (200, 5000)]
    [283.2, 2363.5]
    """
    hertz = as_numbers(hertz, "frequencies")
    xp = namespace(hertz)
    if scale == "htk":
        return 2595 * xp.log10(1 + hertz / 700)
    if scale == "kaldi":
        return 1127 * xp.log(1 + hertz / 700)
    _check_scale(scale)
    above = 15 + xp.log(at_least(hertz, 1000) / 1000) / _LOG_STEP
    return xp.where(hertz < 1000, hertz / _LINEAR_STEP, above)


def mel_to_hz(mels: Array, scale: MelScale = "slaney") -> Array:
    """The inverse of `hz_to_mel`."""
    mels = as_numbers(mels, "mels")
    xp = namespace(mels)
    if scale == "htk":
        return 700 * (10 ** (mels / 2595) - 1)
    if scale == "kaldi":
        return 700 * (xp.exp(mels / 1127) - 1)
    _check_scale(scale)
    above = 1000 * xp.exp(_LOG_STEP * (at_least(mels, 15) - 15))
    return xp.where(mels < 15, mels * _LINEAR_STEP, above)


def _check_scale(scale: str) -> None:
    if scale != "slaney":
        raise UnknownName("mel scale", scale, get_args(MelScale))


@dataclass(frozen=True)
class LogMelOptions:
    """scale * logarithm(max(mel, floor)) + offset, and how far down it goes.

    dynamic_range: nothing is more than so much below the recording's largest value (None: no such
    limit). A stream can't know that value: see `LogMelStream`.
    """

    mel: MelOptions = WHISPER[80]
    logarithm: Literal["ln", "log10"] = "log10"
    floor: float = 1e-10
    scale: float = 1.0
    offset: float = 0.0
    dynamic_range: float | None = None

    def __post_init__(self) -> None:
        check_above("floor", self.floor)
        if self.logarithm not in ("ln", "log10"):
            raise UnknownName("logarithm", self.logarithm, ("ln", "log10"))
        for name in ("scale", "offset"):
            if not is_number(getattr(self, name)):
                raise InputError(f"{name} is {getattr(self, name)!r}; give a finite number")
        if self.dynamic_range is not None:
            check_not_below("dynamic_range", self.dynamic_range)

    def of(self, mel: Array, owned: bool = False) -> Array:
        """Mel energies in logarithms, without dynamic_range; in the same memory where owned."""
        xp = namespace(mel)
        values = at_least(mel, self.floor, owned)
        logarithm = xp.log if self.logarithm == "ln" else xp.log10
        values = logarithm(values, out=values) if xp is np else logarithm(values)
        if self.scale != 1:
            values *= self.scale
        if self.offset:
            values += self.offset
        return values

    def limited(self, values: Array, owned: bool = False) -> Array:
        """Log-mels (..., row, frame), each kept within dynamic_range of its largest finite one;
        in the same memory where that is owned."""
        if self.dynamic_range is None:
            return values
        return below_peak(values, self.dynamic_range, owned)


def kaldi_options(
    sample_rate: int = 16000,
    n_mels: int = 80,
    *,
    snip_edges: bool = True,
    gain: float = 1.0,
    energy: Energy | None = None,
    energy_floor: float = 0.0,
    fmin: float = 20.0,
    fmax: float | None = None,
) -> LogMelOptions:
    """Kaldi's log-mel (compute-fbank-feats, torchaudio.compliance.kaldi) without dither.

    25 ms under Povey's window every 10 ms, padded to a power of two; pre-emphasis 0.97 and no DC;
    the floor is float32's epsilon. snip_edges: only frames that lie within the signal; otherwise
    one each hop, the ends mirrored. gain: 32768 for what expects the 16-bit scale.
    """
    check_whole("sample_rate", sample_rate, 100, MOST)
    length, hop = sample_rate * 25 // 1000, sample_rate // 100
    before = length // 2 - hop // 2
    beyond = (0, 0) if snip_edges else (before, length - hop + hop // 2 * 2 - length // 2)
    mel = MelOptions(
        sample_rate=sample_rate,
        n_fft=1 << (length - 1).bit_length(),
        hop_length=hop,
        win_length=length,
        window="povey",
        periodic=False,
        window_at="start",
        padding=beyond,
        pad_mode="symmetric",
        n_mels=n_mels,
        fmin=fmin,
        fmax=fmax,
        scale="kaldi",
        norm=None,
        conditioning=Conditioning(gain, energy=energy, energy_floor=energy_floor),
    )
    return LogMelOptions(mel, "ln", floor=float(np.finfo(np.float32).eps))


def _whisper(n_mels: int) -> LogMelOptions:
    """Whisper leaves the last frame out: 40 samples after the end, not 200."""
    mel = MelOptions(n_mels=n_mels, padding=(200, 40))
    return LogMelOptions(mel, scale=0.25, offset=1.0, dynamic_range=2.0)


_TACOTRON = MelOptions(sample_rate=22050, n_fft=1024, hop_length=256, fmax=8000.0, power=1.0)
PRESETS: dict[str, LogMelOptions] = {
    "whisper": _whisper(80),
    "whisper-128": _whisper(128),
    "kaldi": kaldi_options(),
    "torchaudio": LogMelOptions(
        MelOptions(hop_length=200, n_mels=128, scale="htk", norm=None), scale=10.0
    ),
    "librosa": LogMelOptions(
        MelOptions(sample_rate=22050, n_fft=2048, hop_length=512, n_mels=128, pad_mode="constant"),
        scale=10.0,
        dynamic_range=80.0,
    ),
    "tacotron2": LogMelOptions(_TACOTRON, "ln", floor=1e-5),
    "hifigan": LogMelOptions(
        replace(_TACOTRON, padding=(384, 384), epsilon=1e-9), "ln", floor=1e-5
    ),
}
"""Log-mel as these programs make it, by name; each at its mel.sample_rate.

whisper, whisper-128: Radford et al. 2022. kaldi: `kaldi_options()`. torchaudio: MelSpectrogram and
AmplitudeToDB with their defaults, dB. librosa: feature.melspectrogram and power_to_db with theirs,
dB within 80 of the largest. tacotron2: Shen et al. 2018 in NVIDIA's form, ln of magnitudes.
hifigan: Kong et al. 2020, the same with its own padding.
"""


def log_mel(samples: Array, options: str | LogMelOptions = "whisper") -> Array:
    """Log-mel of a preset or of options: shape = (..., options.mel.rows, frames).

    samples: shape = (..., time), at options.mel.sample_rate; each is a recording by itself. Of the
    samples' precision. No sample gives no frame.
    """
    options = named(options)
    samples = as_signal(samples)
    stream = LogMelStream(options)
    blocks = chain(stream.blocks(samples), stream.last_blocks())
    return options.limited(_joined(blocks, samples, options.mel), owned=True)


def named(options: str | LogMelOptions) -> LogMelOptions:
    """The options themselves, or those of a preset."""
    return of_preset(options, LogMelOptions, "log-mel", PRESETS)


class LogMelStream(MelStream):
    """`log_mel` fed in pieces: the same, but for what is relative to the whole recording.

    Of a preset with a dynamic_range (whisper, whisper-128, librosa) these are the values before
    it is applied; `options.limited` of all of them together gives what `log_mel` does.
    """

    def __init__(self, options: str | LogMelOptions = "whisper") -> None:
        self.log_options = named(options)
        super().__init__(self.log_options.mel)

    def blocks(self, samples: Array) -> Iterator[Array]:
        """What `push` returns in pieces of at most BLOCK_FRAMES frames; to be taken to the end."""
        return (self.log_options.of(mel, owned=True) for mel in super().blocks(samples))

    def last_blocks(self) -> Iterator[Array]:
        """What `finish` returns, likewise."""
        return (self.log_options.of(mel, owned=True) for mel in super().last_blocks())


def whisper_log_mel(samples: Array, n_mels: int = 80) -> Array:
    """Whisper's input: float32, shape = (n_mels, time // 160), for 16 kHz samples of (time,).

    As in Radford et al. 2022 (arXiv:2212.04356) and OpenAI's code, without its padding to 30 s:
    pad the samples first where that is wanted. The base-10 logarithm is floored 8 below the
    largest value of the whole input and mapped by (x + 4) / 4. n_mels is 80, or 128 for large-v3.
    Fewer than 160 samples give no frame; up to 200 samples are reflected more than once. Of a
    batch, `log_mel` gives it.
    """
    if n_mels not in WHISPER:
        raise InputError(f"n_mels is {n_mels}; Whisper has models of 80 and of 128 mels")
    samples = as_signal(samples)
    if samples.ndim != 1:
        raise InputError(
            f"samples have shape {tuple(samples.shape)}; give one channel, shape (time,)"
        )
    xp = namespace(samples)
    return log_mel(xp.astype(samples, xp.float32, copy=False), _whisper(n_mels))
