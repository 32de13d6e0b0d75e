"""The constant-Q transform, and chroma of it or of a power spectrogram.

Bin k of frame t is the sum over n of x[t * hop_length + n] w(n) exp(-2 pi i f n / sample_rate), w
being a window over the length(k) samples around n = 0, scaled so that its absolute sum is 1, and x
zero beyond its ends: Brown, "Calculation of a constant Q spectral transform" (JASA 1991), centred.

The sums are taken at the lowest rate that holds them (after Schörkhuber and Klapuri, SMC 2010):
the signal is halved again and again, and each kernel is the same window and wave sampled at its
rate. Filter and rates are chosen so that this differs from the direct sum by less than 3e-6 of a
full-scale input, whatever its spectrum; float32 adds rounding of the same size. The halving is
elementwise and the products have one fixed shape, so that a stream fed in any pieces gives the
offline result bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from aural.audio.features.array import (
    Array,
    as_signal,
    as_spectrogram,
    filled,
    frames_view,
    is_numpy_array,
    like,
    namespace,
    side_by_side,
    unworried,
)
from aural.audio.features.frames import LONGEST, MOST, check_above, check_whole, is_number
from aural.errors import InputError, UnknownName

if TYPE_CHECKING:
    from collections.abc import Iterator

CQTWindow = Literal["hann", "blackman"]

C1 = 440 * 2 ** (-45 / 12)
"""32.70 Hz, three octaves below middle C."""

BLOCK_FRAMES = 128
"""Frames summed at once."""

TILE = (32, 128, 64)
"""Frames, samples and columns of one product: at most 2**18 multiplications, which OpenBLAS does
in the thread that asks. Handing so little to others costs 20 ms where they are busy."""

MOST_WEIGHTS = 1 << 26
"""Bins times samples of the longest kernel; nine octaves of 60 bins at 44.1 kHz fit."""

PIECE = 1 << 17
"""Samples halved at once: they stay in a core's second-level cache."""

_COSINES = {"hann": (0.5, 0.5), "blackman": (0.42, 0.5, 0.08)}


@dataclass(frozen=True)
class CQTOptions:
    """What a constant-Q transform is; the defaults are seven octaves of semitones from C1.

    norm: each window has absolute sum 1, or for 2 square sum 1. scale: times the square root of
    the kernel's length in samples, which makes the energy of noise even over the bins; otherwise
    times the length. tuning: all frequencies are shifted by this part of a bin. filter_scale:
    below 1 the kernels are shorter and the bins wider.
    """

    sample_rate: int = 22050
    hop_length: int = 512
    fmin: float = C1
    n_bins: int = 84
    bins_per_octave: int = 12
    window: CQTWindow = "hann"
    norm: Literal[1, 2] = 1
    scale: bool = True
    tuning: float = 0.0
    filter_scale: float = 1.0

    def __post_init__(self) -> None:
        most = {"sample_rate": MOST, "hop_length": MOST, "n_bins": 1 << 14, "bins_per_octave": 1200}
        for name, limit in most.items():
            check_whole(name, getattr(self, name), 1, limit)
        for name in ("fmin", "filter_scale"):
            check_above(name, getattr(self, name))
        if not is_number(self.tuning) or abs(self.tuning) > self.bins_per_octave:
            raise InputError(
                f"tuning is {self.tuning!r}; give a part of a bin, such as 0.25, and at most the "
                f"{self.bins_per_octave} of an octave"
            )
        if self.norm not in (1, 2):
            raise InputError(f"norm is {self.norm}; give 1 or 2")
        if self.window not in get_args(CQTWindow):
            raise UnknownName("window", self.window, get_args(CQTWindow))
        with np.errstate(over="ignore", divide="ignore"):
            top, longest = float(self.frequencies[-1]), float(self.lengths[0])
        if top * (1 + 1 / self.quality) > self.sample_rate / 2:
            raise InputError(
                f"the highest of {self.n_bins} bins is at {top:.0f} Hz; give fewer bins or a lower "
                f"fmin, so that it stays below half the rate of {self.sample_rate} Hz"
            )
        if longest * self.n_bins > MOST_WEIGHTS:
            raise InputError(
                f"the lowest of {self.n_bins} bins has a kernel of {longest:.3g} samples; give a "
                "higher fmin, fewer bins, or a smaller bins_per_octave or filter_scale, so that "
                f"bins times samples are at most {MOST_WEIGHTS}"
            )

    @property
    def frequencies(self) -> np.ndarray:
        """Centre of each bin in Hz; shape = (n_bins,)."""
        steps = (np.arange(self.n_bins) + self.tuning) / self.bins_per_octave
        return self.fmin * 2.0**steps

    @property
    def quality(self) -> float:
        """Q: the sum of the frequencies of a bin's neighbours over their difference, scaled."""
        ratio = 2.0 ** (2 / self.bins_per_octave)
        return self.filter_scale * (ratio + 1) / (ratio - 1)

    @property
    def lengths(self) -> np.ndarray:
        """Length of each bin's kernel in samples, not rounded; shape = (n_bins,)."""
        return self.quality * self.sample_rate / self.frequencies

    def frames(self, samples: int) -> int:
        """Frames that a recording of so many samples has; none when there is no sample."""
        return 1 + samples // self.hop_length if samples else 0


def cqt(samples: Array, options: CQTOptions = CQTOptions()) -> Array:
    """Complex, shape = (..., n_bins, frame), of samples of (..., time) at options.sample_rate.

    Frame i is centred on sample i * hop_length. Differentiable in torch. Magnitudes are librosa's
    within 3 % of the largest: librosa rounds kernels to whole samples and drops 1 % of each. A
    sample that is not finite makes the frames near it NaN.
    """
    stream = CQTStream(options)
    samples = as_signal(samples)
    if is_numpy_array(samples):
        blocks = (*stream.blocks(samples), stream.finish())
    else:
        blocks = (stream.push(samples), stream.finish())
    return _join(blocks, samples, options)


class CQTStream:
    """`cqt` fed in pieces: the concatenation of what it returns is the same, exactly in NumPy.

    A frame comes when the half kernel after its centre is there: with the defaults 0.27 s later.
    `finish` gives the rest and makes the stream ready for another recording. Memory is bounded by
    the piece given.
    """

    def __init__(self, options: CQTOptions = CQTOptions()) -> None:
        self.options = options
        self._bands = _bands(options)
        self._reset()

    def push(self, samples: Array) -> Array:
        """The frames completed by these samples; shape = (..., n_bins, frame)."""
        samples = as_signal(samples)
        return _join(tuple(self.blocks(samples)), samples, self.options)

    def finish(self) -> Array:
        """The frames whose kernels reach over the end; shape = (..., n_bins, frame)."""
        if self._like is None:
            return np.empty((self.options.n_bins, 0), np.complex64)
        empty, count = self._like, self.options.frames(self._fed)
        after = self._before + (2 * TAPS << self._bands[-1].level)
        self._feed(filled((*empty.shape[:-1], after), 0.0, empty))
        left = tuple(self._emit(min(count, self._ready())))
        self._reset()
        return _join(left, empty, self.options)

    def blocks(self, samples: Array) -> Iterator[Array]:
        """What `push` returns, in blocks of at most BLOCK_FRAMES frames; take all of them."""
        samples = as_signal(samples)
        self._start(samples)
        self._fed += samples.shape[-1]
        step = PIECE if is_numpy_array(samples) else max(1, samples.shape[-1])
        for first in range(0, samples.shape[-1], step):
            self._feed(samples[..., first : first + step])
            whole = self._ready() // BLOCK_FRAMES * BLOCK_FRAMES
            if is_numpy_array(samples) and whole > self._done:
                yield from self._emit(whole)
        if self._ready() > self._done:
            yield from self._emit(self._ready())

    def _reset(self) -> None:
        self._rates: list[_Rate] = []
        self._like: Array | None = None  # no samples, of the kind of the pieces
        self._fed = self._done = 0

    def _start(self, samples: Array) -> None:
        """At the first piece, the zeros before it; later pieces must be like it."""
        if self._like is None:
            self._like = empty = samples[..., :0]
            levels = self._bands[-1].level + 1
            self._rates = [_Rate(empty) for _ in range(levels)]
            for band in self._bands:
                self._rates[band.level].weights = like(band.weights, samples)
            unit = 1 << (levels - 1)
            longest = max(band.half << band.level for band in self._bands)
            self._before = -(-longest // unit) * unit
            self._feed(filled((*samples.shape[:-1], self._before), 0.0, samples))
        known, given = (
            (namespace(each), each.dtype, tuple(each.shape[:-1])) for each in (self._like, samples)
        )
        if known != given:
            raise InputError(
                f"a piece is {given[1]} of {given[2]} channels after {known[1]} of {known[2]}; "
                "give like ones, or call finish first"
            )

    def _feed(self, samples: Array) -> None:
        for rate in self._rates:
            samples = rate.push(samples, halve=rate is not self._rates[-1])

    def _first(self, band: _Band) -> int:
        """Where frame 0 begins at the band's rate."""
        return (self._before >> band.level) - band.half

    def _ready(self) -> int:
        """Frames whose samples are there in every band."""
        ready = []
        for band in self._bands:
            rest = self._rates[band.level].end - self._first(band) - (2 * band.half + 1)
            ready.append(1 + rest // (self.options.hop_length >> band.level))
        return max(self._done, min(ready))

    def _emit(self, stop: int) -> Iterator[Array]:
        """Frames up to stop; in NumPy the products begin at whole multiples of BLOCK_FRAMES."""
        while self._done < stop:
            start, until = self._done, stop
            if is_numpy_array(self._rates[0].kept):
                until = min(stop, (start // BLOCK_FRAMES + 1) * BLOCK_FRAMES)
            parts = [self._band_frames(band, start, until) for band in self._bands]
            self._done = until
            yield namespace(parts[0]).concat(parts[::-1], axis=-2)

    @unworried
    def _band_frames(self, band: _Band, start: int, stop: int) -> Array:
        """Shape = (..., bin, stop - start)."""
        rate = self._rates[band.level]
        hop, width = self.options.hop_length >> band.level, 2 * band.half + 1
        rate.drop(self._first(band) + start * hop)
        used = rate.kept[..., : (stop - start - 1) * hop + width]
        rows = frames_view(used, width, hop)
        if not is_numpy_array(rows):
            xp = namespace(rows)
            pairs = xp.matmul(rows, rate.weights)
            return xp.matrix_transpose(pairs[..., 0::2] + 1j * pairs[..., 1::2])
        # A BLAS product rounds a row by where it stands and by how many there are, not by what
        # the others hold: so each frame has its own row in products of one shape.
        row, count = start % TILE[0], stop - start
        height = -(-(row + count) // TILE[0]) * TILE[0]
        block = np.zeros((*rows.shape[:-2], height, width), rows.dtype)
        block[..., row : row + count, :] = rows
        pairs = _product(block, rate.weights)[..., row : row + count, :]
        return pairs.view(_complex(pairs)).swapaxes(-1, -2)


def _product(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """rows @ weights by tiles, of a multiple of their height."""
    height, depth, width = TILE
    whole, columns = weights.shape
    step = -(-whole // -(-whole // depth))
    tiles = rows.reshape(*rows.shape[:-2], rows.shape[-2] // height, height, whole)
    made = np.zeros((*tiles.shape[:-1], columns), rows.dtype)
    for first in range(0, columns, width):
        part = made[..., first : first + width]
        for start in range(0, whole, step):
            inner = slice(start, start + step)
            part += tiles[..., inner] @ weights[inner, first : first + width]
    return made.reshape(*rows.shape[:-1], columns)


class _Rate:
    """The signal at one of the rates: what the next frames need, and the next lower rate."""

    weights: Array = None

    def __init__(self, empty: Array) -> None:
        self.kept = empty
        self.end = 0  # samples that came
        self._pending = filled((*empty.shape[:-1], TAPS), 0.0, empty)

    def push(self, samples: Array, halve: bool) -> Array:
        """Keeps the samples; what they give at half the rate."""
        concat = namespace(samples).concat
        self.end += samples.shape[-1]
        if self.weights is not None:
            self.kept = concat((self.kept, samples), axis=-1)
        if not halve:
            return samples
        signal = concat((self._pending, samples), axis=-1)
        count = max(0, (signal.shape[-1] - 2 * TAPS - 1) // 2 + 1)
        self._pending = signal[..., 2 * count :]
        return _halved(signal, count)

    def drop(self, first: int) -> None:
        """Sample number `first` is the next that is needed."""
        had = self.end - self.kept.shape[-1]
        self.kept = self.kept[..., first - had :]


PAIRS = 6
TAPS = 2 * PAIRS - 1
"""How far the halving filter reaches to either side."""


@lru_cache(maxsize=1)
def _half_band() -> tuple[float, ...]:
    """Coefficients of the samples 1, 3, 5 ... away, by a Kaiser window of 120 dB; of 0, a half."""
    beta = 0.1102 * (120 - 8.7)
    away = np.arange(1, TAPS + 1, 2)
    shape = np.i0(beta * np.sqrt(1 - (away / (TAPS + 1)) ** 2)) * np.sinc(away / 2)
    return tuple(shape / (4 * shape.sum()))


@unworried
def _halved(signal: Array, count: int) -> Array:
    """Samples 0 to count of half the rate, the first centred on signal[TAPS]."""
    even, odd = signal[..., 0::2], signal[..., 1::2]
    if is_numpy_array(signal):
        even, odd = np.ascontiguousarray(even), np.ascontiguousarray(odd)
    half = odd[..., PAIRS - 1 : PAIRS - 1 + count] * 0.5
    for pair, coefficient in enumerate(_half_band()):
        left, right = PAIRS - 1 - pair, PAIRS + pair
        both = even[..., left : left + count] + even[..., right : right + count]
        both *= coefficient
        half += both
    return half


@dataclass(frozen=True, eq=False)
class _Band:
    """Neighbouring bins that are summed at the rate sample_rate / 2**level.

    weights: shape = (2 half + 1, 2 bins), real and imaginary part by turns.
    """

    level: int
    half: int
    weights: np.ndarray


@lru_cache(maxsize=16)
def _bands(options: CQTOptions) -> tuple[_Band, ...]:
    """From the highest bins down."""
    levels = _levels(options)
    bands = []
    for level in np.unique(levels):
        bins = np.flatnonzero(levels == level)
        step = 1 << int(level)
        half = math.ceil(options.lengths[bins].max() / 2 / step)
        weights = np.empty((2 * half + 1, len(bins), 2))
        for column, index in enumerate(bins.tolist()):
            kernel = step * _kernel(options, index, step * np.arange(-half, half + 1))
            weights[:, column, 0], weights[:, column, 1] = kernel.real, kernel.imag
        bands.append(_Band(int(level), half, weights.reshape(2 * half + 1, -1)))
    return tuple(bands)


def _levels(options: CQTOptions) -> np.ndarray:
    """How often the rate may be halved for each bin; shape = (n_bins,).

    The main lobe lies in the band that the filters leave as it is, what lies beyond the new rate's
    half is 45 lobes away (-120 dB, for windows whose lobes fall by 18 dB an octave), and the hop
    stays whole.
    """
    lobe = 2 * (len(_COSINES[options.window]) - 1) / options.quality
    highest = options.frequencies * np.maximum((1 + lobe) / 0.15, 2 * (1 + 45 / options.quality))
    levels = np.floor(np.log2(np.maximum(options.sample_rate / highest, 1))).astype(int)
    return np.minimum(levels, (options.hop_length & -options.hop_length).bit_length() - 1)


def _kernel(options: CQTOptions, index: int, places: np.ndarray) -> np.ndarray:
    """Kernel of a bin at places in samples from its centre; complex128."""
    length, frequency = options.lengths[index], options.frequencies[index]
    half = math.ceil(length / 2)
    full = np.abs(_window(options.window, np.arange(-half, half + 1) / length))
    gain = math.sqrt(length) if options.scale else length
    gain /= (full**options.norm).sum() ** (1 / options.norm)
    wave = np.exp(-2j * np.pi * frequency / options.sample_rate * places)
    return gain * _window(options.window, places / length) * wave


def _window(name: CQTWindow, places: np.ndarray) -> np.ndarray:
    """The window, places being -0.5 to 0.5 within it."""
    shape = sum(
        weight * np.cos(2 * np.pi * order * places) for order, weight in enumerate(_COSINES[name])
    )
    return np.where(np.abs(places) < 0.5, shape, 0)


def _complex(real: np.ndarray) -> type:
    return np.complex64 if real.dtype == np.float32 else np.complex128


def _join(blocks: tuple[Array, ...], samples: Array, options: CQTOptions) -> Array:
    """Blocks side by side, of the kind of the samples also where there is none."""
    shape = (*samples.shape[:-1], options.n_bins, 0)
    count = sum(block.shape[-1] for block in blocks)
    filled_blocks = [block for block in blocks if block.shape[-1]]
    return side_by_side(filled_blocks, filled(shape, 0j, samples), count, axis=-1)


@unworried
def chroma(
    power: Array,
    sample_rate: int,
    *,
    n_chroma: int = 12,
    tuning: float = 0.0,
    norm: float | None = math.inf,
) -> Array:
    """Energy of the pitch classes, from C up: shape = (..., n_chroma, frame).

    power: a power spectrogram of shape (..., n_fft // 2 + 1, frame). norm: each frame is divided
    by its largest value (inf), or its p-norm; None leaves it; silence stays 0. As librosa's
    chroma_stft, which estimates the tuning unless told to take 0.
    """
    power = as_spectrogram(power, "power spectrogram")
    filters = chroma_filters(sample_rate, 2 * (power.shape[-2] - 1), n_chroma, tuning)
    return _scaled(namespace(power).matmul(like(filters, power), power), norm)


@unworried
def chroma_cqt(
    magnitude: Array,
    options: CQTOptions = CQTOptions(),
    *,
    n_chroma: int = 12,
    norm: float | None = math.inf,
) -> Array:
    """The octaves of abs(cqt(samples, options)) added up: shape = (..., n_chroma, frame), from C.

    bins_per_octave must be a multiple of n_chroma: the bins around a pitch class are added. norm
    as in `chroma`.
    """
    magnitude = as_spectrogram(magnitude, "constant-Q magnitude")
    if magnitude.shape[-2] != options.n_bins:
        raise InputError(f"{magnitude.shape[-2]} bins, where the options say {options.n_bins}")
    classes = _classes(options, n_chroma)
    matrix = np.equal.outer(np.arange(n_chroma), classes).astype(np.float64)
    return _scaled(namespace(magnitude).matmul(like(matrix, magnitude), magnitude), norm)


def _classes(options: CQTOptions, n_chroma: int) -> np.ndarray:
    """The pitch class of each bin, 0 being C; shape = (n_bins,)."""
    if not isinstance(n_chroma, Integral) or n_chroma < 1 or options.bins_per_octave % n_chroma:
        raise InputError(
            f"n_chroma is {n_chroma}; give a divisor of the {options.bins_per_octave} bins of an "
            "octave"
        )
    merged = options.bins_per_octave // n_chroma
    first = round(12 * math.log2(options.fmin / C1) % 12 * n_chroma / 12)
    return (first + (np.arange(options.n_bins) + merged // 2) // merged) % n_chroma


def chroma_filters(
    sample_rate: int, n_fft: int, n_chroma: int = 12, tuning: float = 0.0
) -> np.ndarray:
    """How far each bin of the transform belongs to each pitch class, from C up:
    shape = (n_chroma, n_fft // 2 + 1).

    Ellis, "Chroma feature analysis and synthesis" (2007): a Gaussian over the distance in pitch
    classes, of a bin's width or one class; columns of square sum 1 are then weighted by a Gaussian
    over octaves around 440 Hz * 2, two octaves wide. tuning: part of a class above A = 440 Hz.
    """
    check_above("sample_rate", sample_rate)
    check_whole("n_fft", n_fft, 2, LONGEST)
    check_whole("n_chroma", n_chroma, 1, 1200)
    if n_chroma * n_fft > MOST_WEIGHTS:
        raise InputError(
            f"n_chroma is {n_chroma} and n_fft {n_fft}; give fewer, so that their product is at "
            f"most {MOST_WEIGHTS}"
        )
    if not is_number(tuning) or abs(tuning) > n_chroma:
        raise InputError(f"tuning is {tuning!r}; give a part of a class, such as 0.25")
    lowest_a = 440 / 16 * 2 ** (tuning / n_chroma)
    bins = np.arange(1, n_fft // 2 + 2) * (sample_rate / n_fft)
    pitch = n_chroma * np.log2(bins / lowest_a)
    pitch = np.concatenate(([pitch[0] - 1.5 * n_chroma], pitch))  # 0 Hz has no pitch: far below
    width = np.maximum(np.diff(pitch), 1)
    pitch = pitch[:-1]
    half = round(n_chroma / 2)
    distance = pitch - np.arange(n_chroma)[:, None]
    distance = (distance + half) % n_chroma - half
    filters = np.exp(-0.5 * (2 * distance / width) ** 2)
    filters /= np.sqrt((filters**2).sum(0))
    filters *= np.exp(-0.5 * ((pitch / n_chroma - 5) / 2) ** 2)
    return np.roll(filters, -3 * (n_chroma // 12), axis=0)


def _scaled(values: Array, norm: float | None) -> Array:
    """Every frame divided by its norm, unless it is as good as silent."""
    if norm is None:
        return values
    if norm != math.inf and not (is_number(norm) and norm > 0):
        raise InputError(f"norm is {norm!r}; give inf, a number above 0, or None")
    xp = namespace(values)
    size = xp.abs(values)
    largest = xp.max(size, axis=-2, keepdims=True)
    silent = largest < xp.finfo(values.dtype).smallest_normal
    scale = xp.where(silent, xp.ones_like(largest), largest)
    scaled = values / scale
    if norm == math.inf:
        return scaled
    # No root or power of 0, where their slopes may be infinite and gradients would be NaN.
    one, nothing = xp.ones_like(size), size == 0
    powers = xp.where(nothing, one, size / scale) ** norm
    total = xp.sum(xp.where(nothing, xp.zeros_like(size), powers), axis=-2, keepdims=True)
    return scaled / xp.where(silent, xp.ones_like(total), total) ** (1 / norm)
