"""Short-time Fourier transform, its inverse, phase from magnitudes, decibels.

Spectra are complex of shape (..., n_fft // 2 + 1, frame); the window is not normalised.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Literal

import numpy as np

from aural.audio.features.array import (
    Array,
    as_numbers,
    as_spectrogram,
    at_least,
    below_peak,
    filled,
    irfft,
    like,
    namespace,
    peak,
    rfft,
    root,
    side_by_side,
    unworried,
)
from aural.audio.features.frames import (
    BLOCK_FRAMES,
    FrameStream,
    PadMode,
    STFTOptions,
    Window,
    as_signal,
    check_above,
    check_not_below,
    check_whole,
    frame,
    frame_window,
    window,
)
from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BLOCK_FRAMES",
    "FrameStream",
    "PadMode",
    "STFTOptions",
    "Window",
    "amplitude_to_db",
    "db_to_amplitude",
    "db_to_power",
    "frame",
    "griffin_lim",
    "istft",
    "power_spectrogram",
    "power_to_db",
    "stft",
    "window",
]

_DEFAULT = STFTOptions()


def stft(samples: Array, options: STFTOptions = _DEFAULT) -> Array:
    """The spectrum of every frame: complex, (..., n_fft // 2 + 1, options.frames(time)).

    samples: (..., time). As torch.stft and librosa.stft give it for a window in the middle, and
    scipy.signal.stft, but for its scaling, for one at the start. No sample gives no frame.
    """

    def transform(cut: Array) -> Array:
        return rfft(cut * like(frame_window(options), cut), options.n_fft)

    return _of_frames(transform, samples, options, 0j)


def power_spectrogram(
    samples: Array,
    options: STFTOptions = _DEFAULT,
    power: float = 2.0,
) -> Array:
    """|stft| ** power: real, (..., n_fft // 2 + 1, options.frames(time)); power 1 is magnitude."""
    check_above("power", power)

    def transform(cut: Array) -> Array:
        spectrum = rfft(cut * like(frame_window(options), cut), options.n_fft)
        return magnitudes(spectrum, power)

    return _of_frames(transform, samples, options, 0.0)


def magnitudes(spectrum: Array, power: float, epsilon: float = 0.0) -> Array:
    """(|spectrum|² + epsilon) ** (power / 2)."""
    energy = spectrum.real**2
    energy += spectrum.imag**2
    if epsilon:
        energy = energy + epsilon
    if power == 2:
        return energy
    return root(energy, power / 2) if power < 2 else energy ** (power / 2)


@unworried
def _of_frames(
    transform: Callable[[Array], Array], samples: Array, options: STFTOptions, zero: complex
) -> Array:
    """transform of (..., frame, frame_length) to (..., frame, bin), as (..., bin, frame)."""
    samples = as_signal(samples)
    stream = FrameStream(options)
    cuts = chain(stream.push(samples), stream.finish())
    count = options.frames(samples.shape[-1])
    empty = filled((*samples.shape[:-1], 0, options.bins), zero, samples)
    rows = side_by_side(map(transform, cuts), empty, count, -2)
    return namespace(samples).matrix_transpose(rows)


def istft(
    spectrum: Array,
    options: STFTOptions = _DEFAULT,
    length: int | None = None,
) -> Array:
    """The signal that has this spectrum: (..., time); the inverse of `stft`, exactly.

    For a spectrum that no signal has it is the nearest one (Griffin and Lim 1984). length: samples
    of the signal (None: all that the frames cover without the padding). InputError where a sample
    is under no window, or only under its zeros: nothing can be known about it.
    """
    _check_spectrum(spectrum, options)
    count, shape = spectrum.shape[-1], options.frame_length
    before, after = options.pads
    covered = (count - 1) * options.hop_length + shape if count else 0
    most = max(0, covered - before)
    if length is None:
        length = max(0, covered - before - after)
    check_whole("length", length, 0)
    if length > most:
        raise InputError(f"length is {length}; {count} frames cover 0 to {most} samples")
    xp = namespace(spectrum)
    if length == 0:
        return filled((*spectrum.shape[:-2], 0), 0.0, xp.real(spectrum))
    cut = irfft(xp.matrix_transpose(spectrum), options.n_fft)[..., :shape]
    signal = _overlap_add(cut * like(frame_window(options), cut), options.hop_length)
    weight = _window_energy(options, count)[before : before + length]
    if weight.min() < 1e-10 * weight.max():
        at = int(weight.argmin())
        raise InputError(
            f"sample {at} is under no window, or only under its zeros, with hop_length "
            f"{options.hop_length} and {options.window} of {options.win_length or options.n_fft}; "
            "give a shorter hop_length, a window without zeros, or center=True"
        )
    return signal[..., before : before + length] / like(weight, signal)


def _check_spectrum(spectrum: Array, options: STFTOptions) -> None:
    try:
        xp = namespace(spectrum)
        fits = spectrum.dtype in (xp.complex64, xp.complex128)
    except TypeError:
        fits = False
    if not fits:
        kind = getattr(spectrum, "dtype", type(spectrum).__name__)
        raise InputError(f"the spectrum is {kind}; give complex64 or complex128, as of stft")
    _check_bins(spectrum, options)


def _check_bins(spectrum: Array, options: STFTOptions) -> None:
    if spectrum.ndim < 2 or spectrum.shape[-2] != options.bins:
        raise InputError(
            f"the spectrum has shape {tuple(spectrum.shape)}; "
            f"give (..., {options.bins}, frame) for n_fft {options.n_fft}"
        )


def _overlap_add(frames: Array, hop: int) -> Array:
    """Frames (..., frame, length), each hop samples after the last, added up: (..., time)."""
    *lead, count, length = frames.shape
    xp = namespace(frames)
    hops = -(-length // hop)
    gap = filled((*lead, count, hops * hop - length), 0.0, frames)
    parts = xp.reshape(xp.concat((frames, gap), axis=-1), (*lead, count, hops, hop))
    total = filled((*lead, count + hops - 1, hop), 0.0, frames)
    for late in range(hops):
        total[..., late : late + count, :] += parts[..., late, :]
    return xp.reshape(total, (*lead, (count + hops - 1) * hop))[..., : (count - 1) * hop + length]


def _window_energy(options: STFTOptions, count: int) -> np.ndarray:
    """Sum of the squared windows over each sample, the padding's too."""
    squared, hop = frame_window(options) ** 2, options.hop_length
    hops = -(-squared.size // hop)
    few = min(count, 2 * hops)
    energy = _overlap_add(np.broadcast_to(squared, (few, squared.size)), hop)
    steady = energy[(hops - 1) * hop : hops * hop]  # every hop between the ends is like this one
    return np.concatenate(
        (energy[: hops * hop], np.tile(steady, count - few), energy[hops * hop :])
    )


def griffin_lim(
    magnitude: Array,
    options: STFTOptions,
    rng: np.random.Generator,
    iterations: int = 32,
    momentum: float = 0.99,
    length: int | None = None,
) -> Array:
    """A signal (..., time) whose |stft| is near these magnitudes, (..., n_fft // 2 + 1, frame).

    The fast Griffin-Lim algorithm (Perraudin, Balazs and Sondergaard 2013): from random phases,
    again and again the nearest signal and its spectrum's phases, moved on by momentum; 0 is
    Griffin and Lim 1984. InputError where length does not have as many frames as were given.
    """
    magnitude = as_spectrogram(magnitude, "magnitude")
    _check_bins(magnitude, options)
    check_whole("iterations", iterations, 0)
    check_not_below("momentum", momentum)
    count = magnitude.shape[-1]
    if length is None:
        covered = (count - 1) * options.hop_length + options.frame_length
        length = max(0, covered - sum(options.pads)) if count else 0
    check_whole("length", length, 0)
    if options.frames(length) != count:
        raise InputError(
            f"{length} samples have {options.frames(length)} frames, not {count}; give at least "
            "two frames, and a length that has as many frames as magnitude"
        )
    xp = namespace(magnitude)
    turn = like(2 * np.pi * rng.random(tuple(magnitude.shape)), magnitude)
    spectrum = magnitude * (xp.cos(turn) + 1j * xp.sin(turn))
    previous = None
    for _ in range(iterations):
        rebuilt = stft(istft(spectrum, options, length), options)
        moved = rebuilt
        if previous is not None:
            moved = rebuilt - momentum / (1 + momentum) * previous
        tiny = xp.finfo(magnitude.dtype).smallest_normal
        spectrum = magnitude * (moved / (xp.abs(moved) + tiny))
        previous = rebuilt
    return istft(spectrum, options, length)


def power_to_db(
    power: Array,
    reference: float | Literal["max"] = 1.0,
    amin: float = 1e-10,
    top_db: float | None = 80.0,
) -> Array:
    """10 log10(power / reference) in dB, same shape, as librosa.power_to_db.

    power and reference below amin count as amin; top_db: nothing is more than so much below the
    largest value. That and reference "max" are taken of each spectrogram, the last two axes.

    >>> float(power_to_db(100.0)), float(db_to_power(20.0))
    (20.0, 100.0)
    """
    return _to_db(as_numbers(power, "power values"), 10, reference, amin, top_db)


def amplitude_to_db(
    amplitude: Array,
    reference: float | Literal["max"] = 1.0,
    amin: float = 1e-5,
    top_db: float | None = 80.0,
) -> Array:
    """20 log10(|amplitude| / reference) in dB, otherwise as `power_to_db`; amplitudes are real.

    >>> float(amplitude_to_db(10.0)), float(db_to_amplitude(20.0))
    (20.0, 10.0)
    """
    values = as_numbers(amplitude, "amplitudes")
    return _to_db(namespace(values).abs(values), 20, reference, amin, top_db)


def _to_db(
    values: Array,
    factor: int,
    reference: float | Literal["max"],
    amin: float,
    top_db: float | None,
) -> Array:
    check_above("amin", amin)
    if top_db is not None:
        check_not_below("top_db", top_db)
    xp = namespace(values)
    if isinstance(reference, str):
        if reference != "max":
            raise InputError(f"reference is {reference!r}; give a number above 0 or 'max'")
        zero = at_least(peak(values), amin) if 0 not in values.shape else values
    elif 0 < reference < math.inf:
        zero = filled((), max(reference, amin), values)
    else:
        raise InputError(f"reference is {reference}; give a number above 0 or 'max'")
    decibels = factor * (xp.log10(at_least(values, amin)) - xp.log10(zero))
    return decibels if top_db is None else below_peak(decibels, top_db)


def db_to_power(decibels: Array, reference: float = 1.0) -> Array:
    """reference * 10 ** (decibels / 10): the inverse of `power_to_db` above its floors."""
    return reference * 10.0 ** (as_numbers(decibels, "decibels") / 10)


def db_to_amplitude(decibels: Array, reference: float = 1.0) -> Array:
    """reference * 10 ** (decibels / 20): the inverse of `amplitude_to_db` above its floors."""
    return reference * 10.0 ** (as_numbers(decibels, "decibels") / 20)
