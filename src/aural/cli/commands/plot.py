"""aural plot: pictures of sound and of what was found in it."""

from __future__ import annotations

import os
import sys
import warnings
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aural.cli.console import say
from aural.cli.plot_inputs import Stretch
from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

    from aural.audio.augment import Augmentation
    from aural.plot import Animation
    from aural.types import Audio, Transcript

    Draw = Callable[..., Any]

STILLS = ("png", "svg")
MOVING = ("gif", "html")
SCALES = click.Choice(["slaney", "htk", "kaldi"])
SEEDS = click.IntRange(0, (1 << 32) - 1)
RATES = click.IntRange(1, 10_000_000)


@click.group("plot")
def command() -> None:
    """Draw sound, and what was found in it, as PNG or SVG.

    Without --output the picture goes to standard output as PNG, unless that is a terminal.
    """


@dataclass(frozen=True)
class Target:
    """Where a picture goes (None: standard output), in which format."""

    path: Path | None
    form: str
    dpi: int

    def put(self, picture: Figure | Animation) -> None:
        """Write it, and say on stderr what it shows."""
        from aural.plot import Animation, alt_text, encode, encode_animation
        from aural.plot.canvas import write_whole

        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            if isinstance(picture, Animation):
                content, told = encode_animation(picture, self.form), picture.description
            else:
                content, told = encode(picture, self.form, dpi=self.dpi), alt_text(picture)
        if self.path is None:
            click.echo(content, nl=False)
        else:
            write_whole(self.path, content)
        for each in warned:
            say(str(each.message))
        say(f"{self.path or 'standard output'}: {told}")


def find_target(
    ctx: click.Context, output: Path | None, overwrite: bool, dpi: int, forms: tuple[str, ...]
) -> Target:
    """The target; what can't be written is told before there is work to lose."""
    from aural.plot.canvas import format_of

    if output is None or str(output) == "-":
        if output is None and is_terminal():
            raise click.UsageError(f"give --output FILE.{' or FILE.'.join(forms)}", ctx)
        return Target(None, forms[0], dpi)
    form = format_of(output, forms)
    if not output.parent.is_dir():
        raise InputError(f"{output.parent}: no such folder to write {output.name} to")
    for name, value in ctx.params.items():
        paths = value if isinstance(value, tuple) else (value,)
        if name not in {"output", "title"} and os.path.realpath(output) in map(_real, paths):
            raise InputError(f"the output {output} is also an input; choose another name")
    if os.path.lexists(output) and not overwrite:  # a link to nothing too
        raise InputError(f"{output} exists; give --overwrite, or another name")
    return Target(output, form, dpi)


def is_terminal() -> bool:
    """Whether a picture would be printed on a terminal."""
    return sys.stdout.isatty()


def _real(value: object) -> str:
    return os.path.realpath(value) if isinstance(value, str | Path) else ""


def picture(forms: tuple[str, ...] = STILLS) -> Callable[[Draw], Callable[..., None]]:
    """Makes a subcommand's function of one that gives a picture: options of where it goes."""

    def decorate(draw: Draw) -> Callable[..., None]:
        @click.option(
            "-o",
            "--output",
            type=click.Path(dir_okay=False, path_type=Path),
            help=f"FILE.{' or FILE.'.join(forms)}; - is standard output.",
        )
        @click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")
        @click.option("--dpi", default=100, show_default=True, help="Dots an inch of a PNG.")
        @click.option("--title", help="Above the picture.")
        @click.pass_context
        @wraps(draw)
        def run(
            ctx: click.Context, output: Path | None, overwrite: bool, dpi: int, **options: Any
        ) -> None:
            from aural.plot.canvas import check_installed

            target = find_target(ctx, output, overwrite, dpi, forms)
            check_installed()
            target.put(draw(**options))

        return run

    return decorate


def stretch(draw: Draw) -> Draw:
    """The argument INPUT and the options of which part of it, as one Stretch named sound."""

    @click.argument("source", metavar="INPUT")
    @click.option("--start", default=0.0, show_default=True, help="Seconds to begin at.")
    @click.option("--duration", type=float, help="Seconds to show; all, up to 60, if not given.")
    @click.option(
        "--channel", default="mix", show_default=True, help="mix, all, or a number from 0."
    )
    @wraps(draw)
    def run(
        source: str, start: float, duration: float | None, channel: str, **options: Any
    ) -> Figure | Animation:
        sound = Stretch(source, start, duration, channel)
        if options.get("title") is None:
            options["title"] = sound.name
        return draw(sound=sound, **options)

    return run


def _file(name: str, text: str, *, required: bool = True) -> Callable[[Any], Any]:
    kind = click.Path(exists=True, dir_okay=False, path_type=Path)
    return click.option(name, type=kind, required=required, help=text)


_array = click.argument("array", type=click.Path(path_type=Path), metavar="FILE.npy|.safetensors")


@command.command("waveform")
@picture()
@click.option("--zoom", nargs=2, type=float, help="Show from A to B seconds larger below.")
@stretch
def waveform(sound: Stretch, title: str, zoom: tuple[float, float] | None) -> Figure:
    """Amplitude over time, a row a channel with --channel all."""
    from aural import plot
    from aural.types import Span

    return plot.waveform(
        sound.audio(say),
        zoom=Span(*zoom) if zoom else None,
        start=sound.start,
        title=title,
    )


@command.command("spectrogram")
@picture()
@click.option("--max-hertz", type=float, help="Highest frequency shown; half the rate if not.")
@stretch
def spectrogram(sound: Stretch, title: str, max_hertz: float | None) -> Figure:
    """Level over time and frequency."""
    from aural import plot

    return plot.spectrogram(sound.audio(say), start=sound.start, max_hertz=max_hertz, title=title)


@command.command("mel")
@picture()
@click.option(
    "--preset", help="Log-mel as whisper, kaldi, librosa ... make it; dB of 80 bands if not given."
)
@stretch
def mel(sound: Stretch, title: str, preset: str | None) -> Figure:
    """Level over time and mel band."""
    from aural import plot
    from aural.audio.features import PRESETS
    from aural.errors import UnknownName

    if preset is not None and preset not in PRESETS:
        raise UnknownName("log-mel preset", preset, tuple(PRESETS))
    rate = None if preset is None else PRESETS[preset].mel.sample_rate
    audio = sound.audio(say, sample_rate=rate)
    return plot.mel(audio, options=preset, start=sound.start, title=title)


@command.command("mfcc")
@picture()
@click.option("--width", default=9, show_default=True, help="Frames that a slope is taken over.")
@stretch
def mfcc(sound: Stretch, title: str, width: int) -> Figure:
    """Cepstral coefficients with their first and second slopes (delta, delta-delta)."""
    from aural import plot

    return plot.mfcc_deltas(sound.audio(say), start=sound.start, width=width, title=title)


@command.command("filterbank")
@picture()
@click.option("--n-mels", default=20, show_default=True, help="Bands.")
@click.option("--sample-rate", type=RATES, default=16000, show_default=True, help="Hz.")
@click.option("--n-fft", default=4096, show_default=True, help="Samples of the transform.")
@click.option("--scale", type=SCALES, default="slaney", show_default=True, help="Mel scale.")
@click.option("--unit-area", is_flag=True, help="Filters of one area, not of one height.")
def filterbank(
    title: str | None, n_mels: int, sample_rate: int, n_fft: int, scale: Any, unit_area: bool
) -> Figure:
    """The mel scale and a bank of triangular filters; needs no recording."""
    from aural import plot
    from aural.audio.features import MelOptions

    options = MelOptions(
        n_fft=n_fft,
        sample_rate=sample_rate,
        n_mels=n_mels,
        scale=scale,
        norm="slaney" if unit_area else None,
    )
    return plot.filterbank(options, title=title or "")


@command.command("words")
@picture()
@_file("--transcript", "What `aural transcribe -f json` wrote of INPUT.", required=False)
@click.option("--model", default="whisper/base", show_default=True, help="Without --transcript.")
@click.option("--language", help="Code of the language spoken; told from the sound if not given.")
@stretch
def words(
    sound: Stretch, title: str, transcript: Path | None, model: str, language: str | None
) -> Figure:
    """Waveform, spectrogram and the words spoken, each at its time."""
    from aural import plot
    from aural.cli.plot_inputs import read_found
    from aural.types import Transcript

    audio = _one_channel(sound)
    found: Any
    if transcript is not None:
        found = read_found(transcript)
        if not isinstance(found, Transcript):
            raise InputError(f"{transcript}: no transcript in it")
    else:
        found = _transcribed(audio, sound.start, model, language)
    return plot.timeline(audio, found, start=sound.start, title=title)


def _one_channel(sound: Stretch) -> Audio:
    """Its samples, which can be drawn: told before there is work to lose."""
    from aural.plot.signal import channel_of

    audio = sound.audio(say)
    channel_of(audio)
    return audio


def _transcribed(audio: Audio, start: float, model: str, language: str | None) -> Transcript:
    """What is said, at the recording's times."""
    from aural.tasks.transcribe import transcribe

    found = transcribe(audio, model=model, language=language)
    segments = tuple(
        replace(
            segment,
            start=segment.start + start,
            end=segment.end + start,
            words=tuple(
                replace(word, start=word.start + start, end=word.end + start)
                for word in segment.words
            ),
        )
        for segment in found.segments
    )
    return replace(found, segments=segments)


@command.command("speech")
@picture()
@_file("--spans", "What `aural detect-speech -f json` wrote, or turns as JSON.", required=False)
@click.option("--threshold", default=0.4, show_default=True, help="As of detect-speech.")
@stretch
def speech(sound: Stretch, title: str, spans: Path | None, threshold: float) -> Figure:
    """Waveform, spectrogram and where there is speech, or who speaks."""
    from aural import plot
    from aural.cli.plot_inputs import read_found
    from aural.tasks.detect_speech import detect_speech
    from aural.types import Span, SpeechActivity

    audio = _one_channel(sound)
    if spans is not None:
        return plot.timeline(audio, read_found(spans), start=sound.start, title=title)
    found = detect_speech(audio, threshold=threshold)
    moved = (Span(span.start + sound.start, span.end + sound.start) for span in found.spans)
    activity = SpeechActivity(tuple(moved), found.duration)
    return plot.timeline(audio, activity, start=sound.start, title=title)


@command.command("augment")
@picture()
@click.option("--noise", help="A recording, or white, pink, brown ...")
@click.option("--snr", default=10.0, show_default=True, help="dB of speech over noise.")
@click.option("--rt60", type=float, help="Seconds of reverberation of a room around the talker.")
@click.option("--distance", default=1.0, show_default=True, help="Metres to the microphone in it.")
@click.option("--gain", type=float, help="dB louder, or less than 0 quieter.")
@click.option("--seed", type=SEEDS, default=0, show_default=True, help="Of what is random.")
@stretch
def augment(
    sound: Stretch,
    title: str,
    noise: str | None,
    snr: float,
    rt60: float | None,
    distance: float,
    gain: float | None,
    seed: int,
) -> Figure:
    """Before and after: a room, noise and gain, in this order."""
    import numpy as np

    from aural import plot
    from aural.audio import augment as augmentation

    steps = _steps(noise, snr, rt60, distance, gain)
    if not steps:
        raise InputError("nothing to do to the recording; give --noise, --rt60 or --gain")
    before = sound.audio(say)
    chain = augmentation.Chain(tuple(steps.values()))
    after = augmentation.augment(before, chain, np.random.default_rng(seed)).value
    return plot.before_after(
        plot.Version("before", before),
        plot.Version(", ".join(steps), after),
        start=sound.start,
        title=title,
    )


def _steps(
    noise: str | None, snr: float, rt60: float | None, distance: float, gain: float | None
) -> dict[str, Augmentation[Audio]]:
    """What is asked for, in words and as augmentations."""
    from aural.audio.augment.level import Gain
    from aural.audio.augment.noise import COLOURS, AddColouredNoise, AddNoise
    from aural.audio.augment.room import Room

    steps: dict[str, Augmentation[Audio]] = {}
    if rt60 is not None:
        name = f"RT60 {rt60:g} s at {distance:g} m"
        steps[name] = Room(rt60=(rt60, rt60), distance_m=(distance, distance))
    if noise in COLOURS:
        steps[f"{noise} noise at {snr:g} dB"] = AddColouredNoise((noise,), (snr, snr))
    elif noise is not None:
        recorded = Stretch(noise).audio(say)
        steps[f"{Path(noise).stem} at {snr:g} dB"] = AddNoise((recorded,), (snr, snr))
    if gain is not None:
        steps[f"{gain:+g} dB"] = Gain((gain, gain))
    return steps


@command.command("windows")
@picture(MOVING)
@click.option("--pictures", default=60, show_default=True, help="At most so many.")
@stretch
def windows(sound: Stretch, title: str, pictures: int) -> Animation:
    """The window sliding over the waveform into the spectrogram, moving: GIF, or a page with it.

    Without --duration half a second is shown, in which a window can be seen.
    """
    from aural import plot

    if sound.duration is None:
        sound = replace(sound, duration=0.5)
    audio = sound.audio(say)
    return plot.sliding_windows(audio, start=sound.start, pictures=pictures, title=title)


@command.command("embedding")
@picture()
@_array
@click.option("--dims", default=50, show_default=True, help="Values of each vector shown.")
@click.option("--frame-rate", type=float, help="Vectors a second of a .npy; 50 if not given.")
def embedding(title: str | None, array: Path, dims: int, frame_rate: float | None) -> Figure:
    """Vectors that `aural embed` wrote, as a heat map over time."""
    from aural import plot
    from aural.cli.plot_inputs import read_embedding

    return plot.embedding_heat_map(read_embedding(array, frame_rate), dims=dims, title=title or "")


@command.command("map")
@picture()
@_array
@_file("--labels", "Text file with a label a line, one for each vector.")
@click.option("--seed", type=SEEDS, default=0, show_default=True, help="Of t-SNE.")
def embedding_map(title: str | None, array: Path, labels: Path, seed: int) -> Figure:
    """Vectors on a plane by t-SNE, coloured by label."""
    from aural import plot
    from aural.cli.plot_inputs import read_array, read_lines

    vectors = read_array(array)
    return plot.embedding_map(vectors, read_lines(labels), seed=seed, title=title or "")


@command.command("similarity")
@picture()
@_array
@_file("--labels", "Text file with a label a line, one for each vector.")
def similarity(title: str | None, array: Path, labels: Path) -> Figure:
    """Cosines between vectors, each with each."""
    from aural import plot
    from aural.cli.plot_inputs import read_array, read_lines

    names, vectors = read_lines(labels), read_array(array)
    if vectors.ndim == 2 and len(vectors) != len(names):
        raise InputError(f"{len(names)} labels for {len(vectors)} vectors; give one each")
    return plot.similarity(plot.cosines(vectors), names, title=title or "")


@command.command("attention")
@picture()
@_array
@_file("--tokens", "Text file with a token a line, one for each row.")
@click.option("--frame-seconds", default=0.02, show_default=True, help="Seconds a column.")
def attention(title: str | None, array: Path, tokens: Path, frame_seconds: float) -> Figure:
    """What each token attends to: an array of (token, frame)."""
    from aural import plot
    from aural.cli.plot_inputs import read_array, read_lines

    weights = read_array(array)
    names = read_lines(tokens)
    return plot.attention(weights, names, frame_seconds=frame_seconds, title=title or "")


@command.command("filters")
@picture()
@_array
@click.option("--sample-rate", type=RATES, default=16000, show_default=True, help="Hz.")
def filters(title: str | None, array: Path, sample_rate: int) -> Figure:
    """What the filters of a layer let through: an array of (filter, tap)."""
    from aural import plot
    from aural.cli.plot_inputs import read_array

    return plot.learned_filters(read_array(array), sample_rate, title=title or "")


@command.command("confusion")
@picture()
@click.argument("counts", type=click.Path(path_type=Path), metavar="FILE.csv|.json")
def confusion(title: str | None, counts: Path) -> Figure:
    """A confusion matrix, from decisions (reference,predicted) or counts."""
    from aural import plot
    from aural.cli.plot_inputs import read_confusion

    return plot.confusion(*read_confusion(counts), title=title or "")


@command.command("det")
@picture()
@click.argument(
    "scores", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE.csv..."
)
def det(title: str | None, scores: tuple[Path, ...]) -> Figure:
    """Misses against false alarms of detectors, from files of score,label."""
    from aural import plot
    from aural.cli.plot_inputs import read_trials

    return plot.det_curve([read_trials(path) for path in scores], title=title or "")


@command.command("conditions")
@picture()
@click.argument("sweep", type=click.Path(path_type=Path), metavar="FILE.json")
@click.option("--axis", help="snr, rt60, distance, level or bandwidth; the first if not given.")
@click.option("--allowed", type=float, help="Draw a line at this error, a ratio.")
def conditions(title: str | None, sweep: Path, axis: str | None, allowed: float | None) -> Figure:
    """Error against condition, from what `aural evaluate --report` wrote of a sweep."""
    from aural import plot
    from aural.cli.plot_inputs import read_curves

    curves = read_curves(sweep, axis)
    limits = [] if allowed is None else [plot.Limit(f"{100 * allowed:g} % allowed", allowed)]
    doubled = [
        plot.Limit(f"{each.series.name}: twice the error", each.doubling)
        for each in curves.curves
        if each.doubling is not None
    ]
    return plot.error_curve(
        [curve.series for curve in curves.curves],
        x_label=curves.x_label,
        y_label=curves.y_label,
        limits=limits,
        crossings=doubled,
        falling=curves.falling,
        title=title or "",
    )
