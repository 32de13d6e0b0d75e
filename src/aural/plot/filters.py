"""Figures of filters: the mel scale and its triangles, and what filters learned to pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aural.audio.features import MelOptions, hz_to_mel, mel_filters
from aural.errors import InputError
from aural.plot.canvas import (
    COLOURS,
    MAX_NUMBER,
    MAX_VALUES,
    describe,
    drawn,
    image,
    label,
    new_figure,
    whole_numbers,
)
from aural.plot.matrix import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aural.audio.features.mel import MelScale

MAX_FILTERS = 4096
MAX_BANDS = 512
MAX_FFT = 1 << 16
_TOGETHER = 256
FLOOR_DB = 40.0
_SCALES: tuple[tuple[MelScale, str, str, str], ...] = (
    ("htk", "HTK", COLOURS[0], "-"),
    ("slaney", "Slaney", COLOURS[1], "--"),
)
_NAMES = {"htk": "HTK", "slaney": "Slaney", "kaldi": "Kaldi"}


@drawn
def filterbank(options: MelOptions | None = None, *, title: str = "") -> Figure:
    """The mel scale over frequency, Slaney's and HTK's, and the triangles of a mel bank.

    options: by default 20 bands at 16 kHz, few enough to be told apart, with peaks of 1.
    Raises InputError for more than MAX_BANDS, and for n_fft above MAX_FFT.
    """
    chosen = options or MelOptions(n_mels=20, n_fft=4096, norm=None)
    for name, value, most in (
        ("n_mels", chosen.n_mels, MAX_BANDS),
        ("n_fft", chosen.n_fft, MAX_FFT),
    ):
        if value > most:
            raise InputError(f"{name} is {value}; a picture has {most} at most")
    top = chosen.sample_rate / 2
    figure = new_figure(3.2, 9.0)
    curve, bank = figure.subplots(1, 2, width_ratios=(2, 5))
    hertz = np.linspace(0, top, 400)
    for scale, name, colour, line in _SCALES:
        shown = hz_to_mel(hertz, scale) / hz_to_mel(np.array([1000.0]), scale)
        curve.plot(hertz / 1000, shown, color=colour, ls=line, label=name)
    curve.set(xlabel="frequency (kHz)", ylabel="mel (1 at 1 kHz)", xlim=(0, top / 1000))
    curve.set_ylim(bottom=0)
    curve.grid(alpha=0.25)
    curve.legend(frameon=False, loc="lower right")
    filters = mel_filters(chosen)
    bins = np.arange(filters.shape[1]) * chosen.sample_rate / chosen.n_fft / 1000
    for index, row in enumerate(filters):
        kept = slice(max(0, int(row.argmax()) - _reach(row)), int(row.argmax()) + _reach(row) + 1)
        bank.plot(bins[kept], row[kept], color=COLOURS[index % len(COLOURS)], lw=1)
    bank.set(xlabel="frequency (kHz)", ylabel="weight", xlim=(0, top / 1000))
    bank.set_ylim(bottom=0)
    curve.set_title("mel scale")
    bank.set_title(label(title or f"{chosen.n_mels} bands, {_NAMES[chosen.scale]} scale", 60))
    return describe(
        figure,
        f"Mel scale from 0 to {top / 1000:g} kHz, and the triangular filters of "
        f"{chosen.n_mels} bands, the higher the wider.",
    )


def _reach(row: np.ndarray) -> int:
    """Bins from the peak that hold all that is not zero, and one more."""
    there = np.flatnonzero(row)
    return 1 if there.size == 0 else int(max(row.argmax() - there[0], there[-1] - row.argmax())) + 1


@drawn
def learned_filters(taps: np.ndarray, sample_rate: int, *, title: str = "") -> Figure:
    """What each of a layer's filters lets through, in order of the frequency it passes best.

    taps: real, shape = (filter, tap), at sample_rate Hz. Raises InputError for another shape, taps
    that are not finite, more than MAX_FILTERS, and responses of more than MAX_VALUES in all.
    """
    values = np.asarray(taps)
    if values.ndim != 2 or 0 in values.shape or values.dtype.kind != "f":
        raise InputError(
            f"filters are {values.dtype} of shape {values.shape}; give floats, (filter, tap)"
        )
    n_fft = max(512, 1 << (values.shape[1] - 1).bit_length())
    if len(values) > MAX_FILTERS or len(values) * (n_fft // 2 + 1) > MAX_VALUES:
        raise InputError(
            f"filters have shape {values.shape}; one picture holds {MAX_FILTERS} filters, and "
            f"{MAX_VALUES} values of their responses: take a part"
        )
    if not 0 < sample_rate <= MAX_NUMBER:
        raise InputError(
            f"sample_rate is {sample_rate:g}; give a number above 0, at most {MAX_NUMBER:g}"
        )
    levels = _gains(table(values, "taps", "(filter, tap)"), n_fft)
    figure = new_figure(3.6)
    axes = figure.subplots()
    half = sample_rate / n_fft / 2000
    extent = (-0.5, len(values) - 0.5, -half, sample_rate / 2000 + half)
    name = "gain (dB, its best is 0)"
    image(axes, levels.T, extent, colours="spectrum", limits=(-FLOOR_DB, 0), name=name)
    axes.set_ylim(0, sample_rate / 2000)
    axes.set(xlabel="filter, by its best frequency", ylabel="frequency (kHz)")
    whole_numbers(axes.xaxis)
    axes.set_title(label(title, 90))
    return describe(figure, f"Frequency response of {len(values)} filters, 0 to half the rate.")


def _gains(taps: np.ndarray, n_fft: int) -> np.ndarray:
    """dB of each filter below its best, (filter, bin), in order of the bin it passes best."""
    levels = np.empty((len(taps), n_fft // 2 + 1))
    best = np.empty(len(taps), int)
    for first in range(0, len(taps), _TOGETHER):
        these = slice(first, first + _TOGETHER)
        response = np.abs(np.fft.rfft(taps[these], n_fft))
        best[these] = response.argmax(axis=1)
        peaks = np.maximum(response.max(axis=1, keepdims=True), 1e-30)
        levels[these] = 20 * np.log10(np.maximum(response / peaks, 10 ** (-FLOOR_DB / 20)))
    return levels[np.argsort(best, kind="stable")]
