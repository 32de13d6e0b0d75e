"""Figures of a signal: waveform, spectrogram, mel spectrogram, MFCC, before and after.

Times on the axes are those of the recording: start is where in it the samples begin, in seconds.
Spectra have a window of 25 ms every 10 ms and are in dB below the loudest value of the picture,
80 dB deep, where nothing else is said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from aural.audio.features import (
    PRESETS,
    FrameStream,
    LogMelOptions,
    MelOptions,
    MFCCOptions,
    STFTOptions,
    delta,
    hz_to_mel,
    log_mel,
    mel_spectrogram,
    mfcc,
    power_spectrogram,
    power_to_db,
)
from aural.errors import InputError, UnknownName
from aural.plot.canvas import (
    COLOURS,
    MAX_VALUES,
    describe,
    drawn,
    image,
    label,
    new_figure,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from aural.types import Audio, Span

FLOOR_DB = 80.0
MAX_CHANNELS = 8
MAX_SECONDS = 600.0
MAX_WIDTH = 999
MAX_COLUMNS = 8000
"""Of a spectrogram, more than the widest picture has dots; in more frames the highest are drawn."""
COLUMNS = 1600
"""Of more than twice so many samples only the lowest and highest of each column are drawn."""
DECIBELS = "level (dB, loudest is 0)"


@drawn
def waveform(
    audio: Audio, *, zoom: Span | None = None, start: float = 0.0, title: str = ""
) -> Figure:
    """Amplitude over time, a row a channel; below it the stretch zoom, sample by sample.

    Raises InputError without a sample, with one that is not finite, for more than MAX_CHANNELS
    channels or MAX_SECONDS, and for a zoom outside the recording.
    """
    rows = channels_of(audio)
    count = len(rows) + (zoom is not None)
    figure = new_figure(1.1 + 1.3 * count)
    panels = figure.subplots(count, 1, squeeze=False)[:, 0]
    for index, (panel, row) in enumerate(zip(panels, rows, strict=False)):
        wave(panel, row, audio.sample_rate, start)
        panel.set_ylabel("amplitude" if len(rows) == 1 else f"channel {index}")
        if index:
            panel.sharex(panels[0])
        if index + 1 < len(rows):
            panel.tick_params(labelbottom=False)
    if zoom is not None:
        _zoomed(panels, rows[0], audio.sample_rate, start, zoom)
    panels[-1].set_xlabel("time (s)")
    panels[0].set_title(label(title, 90))
    peak = float(np.abs(rows).max())
    return describe(
        figure,
        f"Waveform{_of(title)}: {audio.duration:.2f} s, {audio.channels} channel"
        f"{'s' * (audio.channels > 1)} at {audio.sample_rate} Hz, peak {peak:.2f}.",
    )


def _zoomed(
    panels: np.ndarray, samples: np.ndarray, sample_rate: int, start: float, zoom: Span
) -> None:
    end = start + samples.size / sample_rate
    if not start <= zoom.start < zoom.end <= end + 1 / sample_rate:
        raise InputError(
            f"zoom is {zoom.start:g} to {zoom.end:g} s; give a stretch of {start:g} to {end:g} s"
        )
    first = round((zoom.start - start) * sample_rate)
    last = max(first + 1, round((zoom.end - start) * sample_rate))
    for panel in panels[:-1]:
        panel.axvspan(zoom.start, zoom.end, color=COLOURS[1], alpha=0.3, lw=0)
    below = panels[-1]
    wave(below, samples[first:last], sample_rate, start + first / sample_rate, COLOURS[1])
    below.set_ylabel("amplitude")
    panels[-2].tick_params(labelbottom=True)


@drawn
def spectrogram(
    audio: Audio,
    *,
    options: STFTOptions | None = None,
    start: float = 0.0,
    max_hertz: float | None = None,
    title: str = "",
) -> Figure:
    """Level over time and frequency, up to max_hertz (None: half the rate).

    Raises InputError where the samples can't be drawn, or are more than MAX_SECONDS.
    """
    samples = channel_of(audio)
    if max_hertz is not None and not 0 < max_hertz <= audio.sample_rate / 2:
        raise InputError(f"max_hertz is {max_hertz:g}; give up to {audio.sample_rate / 2:g}")
    figure = new_figure(3.4)
    axes = figure.subplots()
    chosen = options or framing(audio.sample_rate)
    spectrum(axes, decibels(powers(samples, chosen)), audio, chosen, start, name=DECIBELS)
    if max_hertz is not None:
        axes.set_ylim(0, max_hertz / 1000)
    axes.set_title(label(title, 90))
    return describe(
        figure,
        f"Spectrogram{_of(title)}: {audio.duration:.2f} s, 0 to "
        f"{(max_hertz or audio.sample_rate / 2) / 1000:g} kHz.",
    )


@drawn
def mel(
    audio: Audio,
    *,
    options: str | LogMelOptions | None = None,
    start: float = 0.0,
    title: str = "",
) -> Figure:
    """Level over time and mel band, the bands evenly spaced and named by their frequencies.

    options: a preset or options of log_mel, whose values are shown as they are; without any, 80
    bands of Slaney's scale at the audio's rate, in dB. Raises InputError where the samples can't be
    drawn, are more than MAX_SECONDS, or the audio is not at the options' rate.
    """
    samples = channel_of(audio)
    if options is None:
        bands = mel_framing(audio.sample_rate)
        _check_values(bands, samples)
        levels, name, limits = decibels(mel_spectrogram(samples, bands)), DECIBELS, (-FLOOR_DB, 0.0)
    else:
        chosen = _preset(options)
        bands, name = chosen.mel, "log-mel"
        _check_rate(audio, bands)
        _check_values(bands, samples)
        levels = np.asarray(log_mel(samples, chosen))[bands.rows - bands.n_mels :]
        _check_frames(levels)
        limits = (float(levels.min()), float(levels.max()))
    figure = new_figure(3.4)
    axes = figure.subplots()
    hop = bands.hop_length / audio.sample_rate
    extent = (*frame_edges(levels.shape[1], hop, start), -0.5, bands.n_mels - 0.5)
    image(axes, levels, extent, colours="spectrum", limits=limits, name=name)
    axes.set_xlim(start, start + audio.duration)
    _mel_ticks(axes, bands)
    axes.set(xlabel="time (s)", ylabel=f"centre of mel band (kHz), {bands.n_mels} bands")
    axes.set_title(label(title, 90))
    return describe(
        figure,
        f"Mel spectrogram{_of(title)}: {audio.duration:.2f} s, {bands.n_mels} bands.",
    )


def _preset(options: str | LogMelOptions) -> LogMelOptions:
    if not isinstance(options, str):
        return options
    if options not in PRESETS:
        raise UnknownName("log-mel preset", options, tuple(PRESETS))
    return PRESETS[options]


def _check_rate(audio: Audio, options: MelOptions) -> None:
    if options.sample_rate != audio.sample_rate:
        raise InputError(
            f"the options are for {options.sample_rate} Hz and the audio has {audio.sample_rate}; "
            "resample it"
        )


def _check_values(options: MelOptions, samples: np.ndarray) -> None:
    frames = options.frames(samples.size)
    if options.rows * frames > MAX_VALUES:
        raise InputError(
            f"{options.rows} bands in {frames} frames are too much for one picture; choose a "
            f"shorter stretch (at most {MAX_VALUES} values)"
        )


def _check_frames(values: np.ndarray) -> None:
    if values.size == 0:
        raise InputError("the recording is shorter than a frame; give a longer one")


@drawn
def mfcc_deltas(
    audio: Audio,
    *,
    options: MFCCOptions | None = None,
    start: float = 0.0,
    width: int = 9,
    title: str = "",
) -> Figure:
    """Cepstral coefficients, their slopes (delta) and the slopes of these, over time.

    Coefficient 0 is the level of the frame and far larger than the others: it is a line of its own
    at the top. width: frames that a slope is taken over, odd, at most MAX_WIDTH. Raises InputError
    where the samples can't be drawn, are more than MAX_SECONDS or have fewer frames than width.
    """
    samples = channel_of(audio)
    chosen = options or cepstral_framing(audio.sample_rate)
    _check_rate(audio, chosen.log_mel.mel)
    _check_values(chosen.log_mel.mel, samples)
    _check_width(width, chosen.log_mel.mel.frames(samples.size))
    values = np.asarray(mfcc(samples, chosen))
    if len(values) < 2:
        raise InputError("n_mfcc is 1; give 2 or more to draw")
    slopes = np.asarray(delta(values, width))
    rows = {"MFCC": values, "delta": slopes, "delta-delta": np.asarray(delta(slopes, width))}
    figure = new_figure(6.4)
    panels = figure.subplots(4, 1, sharex=True, height_ratios=(1, 2, 2, 2))
    hop = chosen.log_mel.mel.hop_length / audio.sample_rate
    panels[0].plot(start + hop * np.arange(values.shape[1]), values[0], color=COLOURS[0])
    panels[0].set_ylabel("c0")
    edges = frame_edges(values.shape[1], hop, start)
    for panel, (name, found) in zip(panels[1:], rows.items(), strict=True):
        shown = found[1:]
        most = float(np.quantile(np.abs(shown), 0.995)) or 1.0
        extent = (*edges, 0.5, len(found) - 0.5)
        image(panel, shown, extent, colours="signed", limits=(-most, most), name=name)
        panel.set_ylabel("coefficient")
        whole_numbers(panel.yaxis)
    panels[0].set_xlim(start, start + audio.duration)
    panels[-1].set_xlabel("time (s)")
    panels[0].set_title(label(title, 90))
    return describe(
        figure,
        f"MFCC{_of(title)}: {len(values)} coefficients, their delta and delta-delta, over "
        f"{audio.duration:.2f} s.",
    )


def _check_width(width: int, frames: int) -> None:
    if not 3 <= width <= MAX_WIDTH or width % 2 == 0:
        raise InputError(f"width is {width}; give an odd number of frames, 3 to {MAX_WIDTH}")
    if frames < width:
        raise InputError(
            f"the recording has {frames} frames, fewer than width ({width}); give a longer stretch "
            "or a smaller width"
        )


@dataclass(frozen=True)
class Version:
    """A recording and what it is called beside another."""

    name: str
    audio: Audio


@drawn
def before_after(before: Version, after: Version, *, start: float = 0.0, title: str = "") -> Figure:
    """Waveform and spectrogram of two versions side by side, on the same scales.

    Raises InputError where they can't be drawn or have different rates.
    """
    versions = (before, after)
    if len({each.audio.sample_rate for each in versions}) > 1:
        raise InputError("the versions have different sample rates; resample one of them")
    figure = new_figure(4.4, 9.0)
    panels = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=(2, 3))
    chosen = framing(before.audio.sample_rate)
    both = [powers(channel_of(each.audio), chosen) for each in versions]
    loudest = max(float(power.max()) for power in both) or 1.0
    for column, (version, power) in enumerate(zip(versions, both, strict=True)):
        top, bottom = panels[:, column]
        wave(top, channel_of(version.audio), version.audio.sample_rate, start)
        levels = np.maximum(power_to_db(power, loudest, 1e-12 * loudest, None), -FLOOR_DB)
        spectrum(bottom, levels, version.audio, chosen, start, name=DECIBELS if column else "")
        top.set_title(label(version.name, 50))
    panels[0, 0].set_ylabel("amplitude")
    panels[1, 1].set_ylabel("")
    panels[0, 0].set_xlim(start, start + max(v.audio.duration for v in versions))
    most = max(float(np.abs(v.audio.samples).max()) for v in versions) or 1.0
    panels[0, 0].set_ylim(-1.05 * most, 1.05 * most)
    if title:
        figure.suptitle(label(title, 90), fontsize=11)
    names = f"{label(before.name)} and {label(after.name)}"
    return describe(figure, f"Waveform and spectrogram{_of(title)}, {names} side by side.")


def channels_of(audio: Audio) -> np.ndarray:
    """float samples of shape (channel, time); InputError for what can't be drawn, or is more than
    MAX_SECONDS."""
    samples = np.asarray(audio.samples)
    if samples.ndim not in {1, 2} or samples.dtype.kind != "f":
        raise InputError(
            f"{samples.dtype} samples of shape {samples.shape} can't be drawn; "
            "give float32 of shape (time,) or (channel, time)"
        )
    if samples.size == 0:
        raise InputError("there is no sample to draw")
    if audio.channels > MAX_CHANNELS:
        raise InputError(f"{audio.channels} channels; choose {MAX_CHANNELS} at most")
    if audio.duration > MAX_SECONDS:
        raise InputError(
            f"{audio.duration:.0f} s is too much for one picture; choose up to {MAX_SECONDS:g} s"
        )
    if not np.isfinite(samples).all():
        raise InputError("some samples are NaN or infinite; replace them before drawing")
    return samples.reshape(audio.channels, -1)


def channel_of(audio: Audio) -> np.ndarray:
    """The samples of the only channel, (time,); InputError for several, or over MAX_SECONDS."""
    rows = channels_of(audio)
    if len(rows) > 1:
        raise InputError(f"{len(rows)} channels; choose one, or their mean")
    return rows[0]


def framing(sample_rate: int) -> STFTOptions:
    """A window of 25 ms every 10 ms, in a transform of the next power of two."""
    length = max(2, round(0.025 * sample_rate))
    return STFTOptions(
        n_fft=1 << (length - 1).bit_length(),
        win_length=length,
        hop_length=max(1, round(0.01 * sample_rate)),
    )


def mel_framing(sample_rate: int, n_mels: int = 80) -> MelOptions:
    """The same frames on n_mels bands of Slaney's scale."""
    frames = framing(sample_rate)
    return MelOptions(
        sample_rate=sample_rate,
        n_fft=frames.n_fft,
        win_length=frames.win_length,
        hop_length=frames.hop_length,
        n_mels=n_mels,
    )


def cepstral_framing(sample_rate: int) -> MFCCOptions:
    """13 coefficients of 40 of those bands, orthonormal, in dB."""
    mel_options = mel_framing(sample_rate, 40)
    return MFCCOptions(LogMelOptions(mel_options, scale=10.0, dynamic_range=FLOOR_DB), n_mfcc=13)


def frames_a_column(options: STFTOptions, samples: int) -> int:
    """How many frames of so many samples one column of a spectrogram stands for."""
    most = max(1, min(MAX_COLUMNS, MAX_VALUES // options.bins))
    return max(1, math.ceil(options.frames(samples) / most))


def powers(samples: np.ndarray, options: STFTOptions) -> np.ndarray:
    """Power of each bin and column, (bin, column): of frames_a_column frames the highest.

    No more than a block of frames is held beside it.
    """
    group = frames_a_column(options, samples.size)
    if group == 1:
        return np.asarray(power_spectrogram(samples, options))
    columns = math.ceil(options.frames(samples.size) / group)
    found = np.zeros((options.bins, columns), samples.dtype)
    alone, stream, seen = replace(options, center=False, padding=None), FrameStream(options), 0
    for cut in chain(stream.push(samples), stream.finish()):
        power = np.asarray(power_spectrogram(cut, alone))[..., 0].T
        places = (seen + np.arange(len(cut))) // group
        first = np.flatnonzero(np.diff(places, prepend=-1))
        kept = places[first]
        highest = np.maximum.reduceat(power, first, axis=1)
        found[:, kept] = np.maximum(found[:, kept], highest)
        seen += len(cut)
    return found


def decibels(power: np.ndarray) -> np.ndarray:
    """dB below the largest value, FLOOR_DB deep; silence is all floor."""
    _check_frames(power)
    if not power.max() > 0:
        return np.full(power.shape, -FLOOR_DB, np.float32)
    return np.asarray(power_to_db(power / power.max(), 1.0, 1e-10, FLOOR_DB))


def frame_edges(frames: int, hop: float, start: float) -> tuple[float, float]:
    """Where the first frame's column begins and the last one's ends, each centred on its time."""
    return start - hop / 2, start + (frames - 0.5) * hop


def wave(
    axes: Axes, samples: np.ndarray, sample_rate: int, start: float, colour: str = COLOURS[0]
) -> None:
    """Samples (time,) as a line, or where they are many as the range within each column."""
    if samples.size <= 2 * COLUMNS:
        times = start + np.arange(samples.size) / sample_rate
        axes.plot(times, samples, color=colour, lw=0.9, marker="." if samples.size < 80 else "")
    else:
        edges = np.linspace(0, samples.size, COLUMNS + 1).astype(int)[:-1]
        low, high = np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)
        middle = start + (edges + samples.size / COLUMNS / 2) / sample_rate
        axes.fill_between(middle, low, high, color=colour, lw=0.4)
    axes.set_xlim(start, start + samples.size / sample_rate)
    most = float(np.abs(samples).max()) or 1.0
    axes.set_ylim(-1.05 * most, 1.05 * most)
    axes.axhline(0, color="black", lw=0.4, alpha=0.5)


def spectrum(
    axes: Axes,
    levels: np.ndarray,
    audio: Audio,
    options: STFTOptions,
    start: float,
    name: str = "",
) -> None:
    """Levels in dB of powers, shape = (bin, column), with axes in seconds and kHz."""
    hop, bin_width = options.hop_length / audio.sample_rate, audio.sample_rate / options.n_fft
    top = (len(levels) - 0.5) * bin_width / 1000
    frames = levels.shape[1] * frames_a_column(options, audio.samples.shape[-1])
    extent = (*frame_edges(frames, hop, start), -bin_width / 2000, top)
    image(axes, levels, extent, colours="spectrum", limits=(-FLOOR_DB, 0), name=name)
    axes.set_xlim(start, start + audio.duration)
    axes.set_ylim(0, audio.sample_rate / 2000)
    axes.set(xlabel="time (s)", ylabel="frequency (kHz)")


def mel_position(hertz: np.ndarray, options: MelOptions) -> np.ndarray:
    """Bands, as fractions, whose filters are centred on these frequencies in Hz."""
    low, high = hz_to_mel(np.array([options.fmin, options.top]), options.scale)
    return (hz_to_mel(hertz, options.scale) - low) / (high - low) * (options.n_mels + 1) - 1


def _mel_ticks(axes: Axes, options: MelOptions) -> None:
    hertz = np.array([250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000], float)
    at = mel_position(hertz, options)
    inside = (at >= -0.5) & (at <= options.n_mels - 0.5)
    axes.set_yticks(at[inside], [f"{value / 1000:g}" for value in hertz[inside]])


def _of(title: str) -> str:
    return f" of {label(title, 90)}" if title else ""
