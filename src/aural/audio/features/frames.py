"""Signals cut into frames: where they start, what lies beyond the ends, and windows.

Frame i starts at sample i * hop_length of the signal with its padding. `FrameStream` cuts a
signal that comes in pieces into exactly the frames of the whole, and a whole signal is a stream
fed at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral, Real
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

import numpy as np

from aural.audio.features.array import (
    Array,
    as_signal,
    filled,
    frames_view,
    is_numpy_array,
    namespace,
)
from aural.errors import InputError, UnknownName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Options = TypeVar("Options")
Window = Literal["hann", "hamming", "rectangular", "povey", "blackman"]
PadMode = Literal["reflect", "constant", "symmetric"]

BLOCK_FRAMES = 256
"""Frames computed at once: their windows and spectra fit in a core's second-level cache."""

LONGEST = 1 << 20
"""Samples of a transform, 22 s at 48 kHz; more is a slip that would take the memory."""

MOST = 1 << 30
"""Of a rate in Hz, and of samples between frames."""


@dataclass(frozen=True)
class STFTOptions:
    """How a signal is cut and windowed; the defaults are Whisper's, 25 ms every 10 ms at 16 kHz.

    win_length: samples under the window (None: n_fft). They lie in the middle of the n_fft, or
    with window_at "start" at its start, a frame being win_length samples then and the rest zeros
    (Kaldi, SciPy). periodic: a window of one period, as suits a transform; otherwise symmetric.
    center: frame i is centred on sample i * hop_length of a signal with n_fft // 2 samples added
    at both ends; otherwise it starts there. padding: (before, after) added instead. pad_mode:
    what is added, zeros ("constant") or a mirror of the signal without ("reflect") or with
    ("symmetric") its outermost sample.
    """

    n_fft: int = 400
    hop_length: int = 160
    win_length: int | None = None
    window: Window = "hann"
    periodic: bool = True
    window_at: Literal["centre", "start"] = "centre"
    center: bool = True
    padding: tuple[int, int] | None = None
    pad_mode: PadMode = "reflect"

    def __post_init__(self) -> None:
        check_whole("n_fft", self.n_fft, 1, LONGEST)
        check_whole("hop_length", self.hop_length, 1, MOST)
        if self.win_length is not None:
            check_whole("win_length", self.win_length, 1)
            if self.win_length > self.n_fft:
                raise InputError(f"win_length is {self.win_length}; give 1 to n_fft ({self.n_fft})")
        if self.padding is not None:
            if not isinstance(self.padding, tuple) or len(self.padding) != 2:
                raise InputError(f"padding is {self.padding}; give (before, after), a tuple")
            for added in self.padding:
                check_whole("padding", added, 0, 16 * LONGEST)
        for kind, name, choices in (
            ("window", self.window, get_args(Window)),
            ("place of the window", self.window_at, ("centre", "start")),
            ("pad mode", self.pad_mode, get_args(PadMode)),
        ):
            if name not in choices:
                raise UnknownName(kind, name, choices)

    @property
    def bins(self) -> int:
        """Frequencies from 0 to half the rate, both included."""
        return self.n_fft // 2 + 1

    @property
    def frame_length(self) -> int:
        """Samples of a frame."""
        return self.n_fft if self.window_at == "centre" else self.win_length or self.n_fft

    @property
    def pads(self) -> tuple[int, int]:
        """Samples added before and after."""
        return self.padding or ((self.n_fft // 2,) * 2 if self.center else (0, 0))

    def frames(self, samples: int) -> int:
        """Frames that a recording of so many samples has; none when there is no sample."""
        length = samples + sum(self.pads)
        if samples == 0 or length < self.frame_length:
            return 0
        return 1 + (length - self.frame_length) // self.hop_length


def check_above(name: str, value: float) -> None:
    """InputError unless the option's value is above 0."""
    if not (is_number(value) and value > 0):
        raise InputError(f"{name} is {value!r}; give a number above 0")


def check_not_below(name: str, value: float, least: float = 0) -> None:
    """InputError unless the option's value is a number of at least so much."""
    if not (is_number(value) and value >= least):
        raise InputError(f"{name} is {value!r}; give {least} or more")


def check_whole(name: str, value: object, least: int, most: int | None = None) -> None:
    """InputError unless the option's value is a whole number from least to most."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} is {value}; give a whole number of at least {least}")
    if most is not None and int(value) > most:
        raise InputError(f"{name} is {value}; give at most {most}")


def is_number(value: object) -> bool:
    """Whether it is a real number that a float holds, neither NaN nor infinite."""
    try:
        return isinstance(value, Real) and math.isfinite(value)
    except OverflowError:
        return False


def of_preset(
    options: str | Options, kind: type[Options], what: str, presets: Mapping[str, Options]
) -> Options:
    """Options of a kind as they are, or those of the preset that a name means."""
    if isinstance(options, kind):
        return options
    if not isinstance(options, str):
        given = type(options).__name__
        raise InputError(f"options are {given}; give {kind.__name__} or the name of a preset")
    if options not in presets:
        raise UnknownName(f"{what} preset", options, tuple(presets))
    return presets[options]


def window(name: Window, length: int, periodic: bool = True) -> np.ndarray:
    """A window of so many samples: float64, shape = (length,), largest value about 1.

    Povey's is Kaldi's, Hann's to the power 0.85. Equal to scipy.signal.get_window's.

    >>> window("hann", 4).round(3).tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    if name not in get_args(Window):
        raise UnknownName("window", name, get_args(Window))
    check_whole("length", length, 1)
    if name == "rectangular" or length == 1:
        return np.ones(length)
    phase = 2 * np.pi * np.arange(length) / (length if periodic else length - 1)
    if name == "hamming":
        return 0.54 - 0.46 * np.cos(phase)
    if name == "blackman":
        return 0.42 - 0.5 * np.cos(phase) + 0.08 * np.cos(2 * phase)
    hann = 0.5 - 0.5 * np.cos(phase)
    return hann if name == "hann" else hann**0.85


@lru_cache(maxsize=32)
def frame_window(options: STFTOptions) -> np.ndarray:
    """What a frame is multiplied by: float64, shape = (frame_length,)."""
    length = options.win_length or options.n_fft
    values = window(options.window, length, options.periodic)
    left = (options.frame_length - length) // 2
    values = np.pad(values, (left, options.frame_length - length - left))
    values.flags.writeable = False
    return values


def frame(samples: Array, frame_length: int, hop_length: int) -> Array:
    """Overlapping frames: (..., time) to (..., frame, frame_length), a view; no padding.

    What is left at the end is in no frame; fewer samples than frame_length have none.
    """
    samples = as_signal(samples)
    check_whole("frame_length", frame_length, 1)
    check_whole("hop_length", hop_length, 1)
    if samples.shape[-1] < frame_length:
        return filled((*samples.shape[:-1], 0, frame_length), 0.0, samples)
    return frames_view(samples, frame_length, hop_length)


def pad(samples: Array, before: int, after: int, mode: PadMode) -> Array:
    """The signal with samples added at its ends; it may be shorter than they are, not empty."""
    xp = namespace(samples)
    if mode == "constant":
        ends = (filled((*samples.shape[:-1], size), 0.0, samples) for size in (before, after))
        return xp.concat((next(ends), samples, next(ends)), axis=-1)
    index = np.pad(np.arange(samples.shape[-1]), (before, after), mode=mode)
    return samples[..., index]


class FrameStream:
    """The frames of a signal that comes in pieces, each of shape (..., time).

    Pieces are of one kind, precision and leading shape. Memory is bounded by the piece given.
    """

    like: Array  # no samples, of the kind of the pieces
    _pending: Array  # from the first sample of the next frame on
    _tail: Array  # the last samples: what follows the end is a mirror of them
    _padded: bool  # the start has its padding
    _skip: int  # samples that lie between frames, when hop_length > frame_length

    def __init__(self, options: STFTOptions) -> None:
        self.options = options
        self.reset()

    def reset(self) -> None:
        """Forget what came: ready for another signal."""
        self._begin(np.empty(0, np.float32))
        self._fresh = True

    def push(self, samples: Array) -> Iterator[Array]:
        """The frames completed by these samples, (..., frame, frame_length), views, in blocks of
        at most BLOCK_FRAMES (torch: all at once); to be taken to the end."""
        samples = as_signal(samples)
        self._welcome(samples)
        xp = namespace(samples)
        before, after = self.options.pads
        ending = samples[..., -(after + 1) :]
        self._tail = xp.concat((self._tail, ending), axis=-1)[..., -(after + 1) :]
        if not self._padded:
            if self._pending.shape[-1] or samples.shape[-1] <= before:
                # A copy: a caller may use its buffer again.
                samples = xp.concat((self._pending, samples), axis=-1)
            if samples.shape[-1] <= before:  # too short yet to know what the start mirrors
                self._pending = samples
                return
            head = pad(samples[..., : before + 1], before, 0, self.options.pad_mode)
            self._pending, self._padded = head[..., :before], True
        yield from self._consume(samples)

    def finish(self) -> Iterator[Array]:
        """The frames that reach over the end; then the stream is as new, except for `like`."""
        before, after = self.options.pads
        size = self._tail.shape[-1]
        if size == 0:
            rest = self._tail
        elif self._padded:
            rest = pad(self._tail, 0, after, self.options.pad_mode)[..., size:]
        else:
            rest = pad(self._pending, before, after, self.options.pad_mode)
            self._pending = self.like
        yield from self._consume(rest)
        self._begin(self.like)
        self._fresh = True

    def _welcome(self, samples: Array) -> None:
        if self._fresh:
            self._begin(samples[..., :0])
        # Not the type: a parameter is a tensor, a memory map an array.
        known, given = (
            (namespace(each), tuple(each.shape[:-1]), each.dtype) for each in (self.like, samples)
        )
        if known != given:
            raise InputError(
                f"a piece is {samples.dtype} of shape {tuple(samples.shape)} after pieces that "
                f"were {self.like.dtype} of shape {(*self.like.shape[:-1], 'time')}; give like ones"
            )

    def _begin(self, empty: Array) -> None:
        self.like = self._pending = self._tail = empty
        self._padded = self.options.pads[0] == 0
        self._skip = 0
        self._fresh = False

    def _consume(self, samples: Array) -> Iterator[Array]:
        length, hop = self.options.frame_length, self.options.hop_length
        step = self._block(samples) * hop
        xp, ours = namespace(samples), is_numpy_array(samples)
        for first in range(0, samples.shape[-1], step):
            held = self._pending.shape[-1]
            if ours and held <= first:  # what is held stands before it: nothing need be joined
                signal = samples[..., first - held : first + step]
            else:
                piece = samples[..., first : first + step]
                signal = xp.concat((self._pending, piece), axis=-1)
            if ours:  # a sum over samples rounds as they lie in memory
                signal = np.ascontiguousarray(signal)
            signal, self._skip = signal[..., self._skip :], max(0, self._skip - signal.shape[-1])
            size = signal.shape[-1]
            count = max(0, 1 + (size - length) // hop)
            self._skip += max(0, count * hop - size)
            self._pending = signal[..., count * hop :]
            if count:
                yield frames_view(signal, length, hop)
        if ours:  # a caller may use its buffer again
            self._pending = self._pending.copy()

    def _block(self, samples: Array) -> int:
        if not is_numpy_array(samples):
            return max(1, samples.shape[-1])
        return max(1, BLOCK_FRAMES // max(1, math.prod(samples.shape[:-1])))
