"""The window sliding over the waveform into the spectrogram, as moving pictures.

A GIF plays by itself; a page (.html) holds the pictures and their player, fetches nothing, and
plays only when asked to.
"""

from __future__ import annotations

import html
import io
from dataclasses import dataclass
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from aural.audio.features import STFTOptions, power_spectrogram
from aural.errors import InputError, UnknownName
from aural.plot.canvas import (
    COLOURS,
    GREY,
    MAPS,
    MAX_VALUES,
    canvas_of,
    drawn,
    format_of,
    label,
    new_figure,
    write_whole,
)
from aural.plot.pages import data_uri, policy
from aural.plot.palette import paletted
from aural.plot.signal import FLOOR_DB, channel_of, decibels, frame_edges, framing, wave

if TYPE_CHECKING:
    import os

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from aural.types import Audio

ANIMATION_FORMATS = ("gif", "html")
MAX_PICTURES = 240
MAX_FRAMES = 3000


@dataclass(frozen=True, eq=False)
class Animation:
    """Pictures, uint8 of shape (picture, height, width, 3), each shown so many seconds."""

    pictures: np.ndarray
    seconds: float
    description: str


@drawn
def sliding_windows(
    audio: Audio,
    *,
    options: STFTOptions | None = None,
    start: float = 0.0,
    pictures: int = 60,
    title: str = "",
) -> Animation:
    """A window going over the waveform, its spectrum beside it, and the spectrogram growing.

    Best over half a second, where a window of 25 ms is wide enough to be seen. Where there are
    more frames than pictures, several are added from one picture to the next. Raises InputError
    for more than MAX_FRAMES frames or MAX_PICTURES pictures.
    """
    samples = channel_of(audio)
    chosen = options or framing(audio.sample_rate)
    frames = chosen.frames(samples.size)
    if frames > MAX_FRAMES or frames * chosen.bins > MAX_VALUES:
        raise InputError(
            f"{frames} frames are too many to be seen; give a shorter stretch "
            f"(at most {min(MAX_FRAMES, MAX_VALUES // chosen.bins)} frames)"
        )
    if not 1 <= pictures <= MAX_PICTURES:
        raise InputError(f"pictures is {pictures}; give 1 to {MAX_PICTURES}")
    levels = decibels(power_spectrogram(samples, chosen))
    figure = new_figure(4.2, 7.2)
    scene = _Scene(figure, samples, audio.sample_rate, chosen, levels, start)
    scene.top.set_title(label(title, 80))
    count = min(pictures, levels.shape[1])
    steps = np.unique(np.linspace(0, levels.shape[1] - 1, count).round().astype(int))
    shown = np.stack([scene.picture(int(step)) for step in steps])
    length = (chosen.win_length or chosen.n_fft) / audio.sample_rate
    hop = chosen.hop_length / audio.sample_rate
    return Animation(
        shown,
        max(0.05, min(0.5, 6.0 / len(shown))),
        f"A window of {1000 * length:g} ms moves over {audio.duration:.2f} s of waveform by "
        f"{1000 * hop:g} ms a frame; each frame's spectrum becomes a column of the spectrogram.",
    )


class _Scene:
    """The figure drawn once, and what moves in it drawn over it for each picture."""

    def __init__(
        self,
        figure: Figure,
        samples: np.ndarray,
        sample_rate: int,
        options: STFTOptions,
        levels: np.ndarray,
        start: float,
    ) -> None:
        self.canvas = canvas_of(figure)
        self.options, self.levels = options, levels
        self.sample_rate, self.start = sample_rate, start
        grid = figure.add_gridspec(2, 2, width_ratios=(4, 1), height_ratios=(2, 3))
        self.top = figure.add_subplot(grid[0, 0])
        self.grown = figure.add_subplot(grid[1, 0], sharex=self.top)
        self.now = figure.add_subplot(grid[1, 1], sharey=self.grown)
        wave(self.top, samples, sample_rate, start, GREY)
        self.top.set_ylabel("amplitude")
        self.top.tick_params(labelbottom=False)
        self._say(figure.add_subplot(grid[0, 1]))
        self.moving = [*self._window(self.top), *self._spectrogram(), *self._spectrum(self.now)]
        for artist in self.moving:
            artist.set_animated(True)
        self.canvas.draw()
        figure.set_layout_engine("none")  # placed now: the pictures must not jump
        self.background = self.canvas.copy_from_bbox(figure.bbox)

    def _say(self, axes: Axes) -> None:
        length = 1000 * (self.options.win_length or self.options.n_fft) / self.sample_rate
        hop = 1000 * self.options.hop_length / self.sample_rate
        told = f"window {length:g} ms\nevery {hop:g} ms\n{len(self.levels)} bins"
        axes.text(0, 0.5, told, va="center", size=9)
        axes.set_axis_off()

    def _window(self, axes: Axes) -> list[Any]:
        (curve,) = axes.plot([], [], color=COLOURS[1], lw=1.6)
        return [axes.axvspan(0, 0, color=COLOURS[1], alpha=0.25, lw=0), curve]

    def _spectrogram(self) -> list[Any]:
        axes, hop = self.grown, self.options.hop_length / self.sample_rate
        width = self.sample_rate / self.options.n_fft / 1000
        top = (len(self.levels) - 0.5) * width
        extent = (*frame_edges(self.levels.shape[1], hop, self.start), -width / 2, top)
        columns = axes.imshow(
            np.full_like(self.levels, np.nan), aspect="auto", origin="lower", extent=extent,
            cmap=MAPS["spectrum"], vmin=-FLOOR_DB, vmax=0, interpolation="nearest",
        )  # fmt: skip
        axes.set(xlabel="time (s)", ylabel="frequency (kHz)", xlim=self.top.get_xlim())
        axes.set_ylim(0, self.sample_rate / 2000)
        return [columns]

    def _spectrum(self, axes: Axes) -> list[Any]:
        (line,) = axes.plot([], [], color=COLOURS[1], lw=1)
        axes.set(xlabel="level (dB)", xlim=(-FLOOR_DB, 2))
        axes.tick_params(labelleft=False)
        return [line]

    def picture(self, frame: int) -> np.ndarray:
        """With the frames up to this one; uint8, shape = (height, width, 3)."""
        from aural.audio.features import window

        span, curve, columns, line = self.moving
        options = self.options
        length = options.win_length or options.n_fft
        middle = frame * options.hop_length - options.pads[0] + options.n_fft / 2
        times = self.start + (middle - length / 2 + np.arange(length)) / self.sample_rate
        span.set(x=times[0], width=times[-1] - times[0])
        curve.set_data(times, self.top.get_ylim()[1] * window(options.window, length))
        grown = np.full_like(self.levels, np.nan)
        grown[:, : frame + 1] = self.levels[:, : frame + 1]
        columns.set_data(grown)
        hertz = np.arange(len(self.levels)) * self.sample_rate / options.n_fft
        line.set_data(self.levels[:, frame], hertz / 1000)
        self.canvas.restore_region(self.background)
        for artist in self.moving:
            artist.axes.draw_artist(artist)
        return np.asarray(self.canvas.buffer_rgba())[..., :3].copy()


def encode_animation(animation: Animation, form: str = "gif") -> bytes:
    """The animation as a GIF or as a page; the same pictures give the same bytes."""
    if form not in ANIMATION_FORMATS:
        raise UnknownName("format of an animation", form, ANIMATION_FORMATS)
    pictures = list(paletted(animation.pictures, animation.pictures[-1]))
    if form == "html":
        return _page(animation, pictures).encode()
    target = io.BytesIO()
    pictures[0].save(
        target,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=round(1000 * animation.seconds),
        loop=0,
        optimize=True,  # what did not change is left out
        comment=label(animation.description, 200).encode("ascii", "replace"),
    )
    return target.getvalue()


def save_animation(animation: Animation, path: str | os.PathLike[str]) -> None:
    """Write it to a .gif or .html file, which appears whole or not at all."""
    write_whole(path, encode_animation(animation, format_of(path, ANIMATION_FORMATS)))


_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
img { max-width: 100%; height: auto; background: white; }
img[hidden] { display: none; }
p { margin: .5rem 0; }
.bar { display: flex; gap: 1rem; align-items: center; }
.bar input { flex: 1; }
"""

_SCRIPT = """
const pictures = document.querySelectorAll("img");
const place = document.querySelector("input");
const play = document.querySelector("button");
const count = document.querySelector("output");
let timer = 0;
function show() {
  pictures.forEach((picture, index) => { picture.hidden = index !== Number(place.value); });
  count.textContent = `${Number(place.value) + 1} of ${pictures.length}`;
}
function step() {
  place.value = (Number(place.value) + 1) % pictures.length;
  show();
}
function toggle() {
  if (timer) { clearInterval(timer); timer = 0; }
  else { timer = setInterval(step, Number(document.body.dataset.milliseconds)); }
  play.textContent = timer ? "Pause" : "Play";
}
play.addEventListener("click", toggle);
place.addEventListener("input", show);
show();
"""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sliding windows</title>
<style>$style</style>
</head>
<body data-milliseconds="$milliseconds">
<div>
$pictures
</div>
<div class="bar">
<button type="button">Play</button>
<input type="range" min="0" max="$last" value="0" aria-label="picture">
<output>1 of $count</output>
</div>
<p>$description</p>
<script>$script</script>
</body>
</html>
""")


def _page(animation: Animation, pictures: list[Image]) -> str:
    shown = []
    for index, picture in enumerate(pictures):
        target = io.BytesIO()
        picture.save(target, "PNG")
        address = data_uri(target.getvalue(), "image/png")
        hidden = " hidden" if index else ""
        text = f"Picture {index + 1}: the window and the spectrogram up to it"
        shown.append(f'<img{hidden} alt="{text}" src="{address}">')
    return _PAGE.substitute(
        policy=policy(_STYLE, _SCRIPT),
        style=_STYLE,
        script=_SCRIPT,
        milliseconds=round(1000 * animation.seconds),
        pictures="\n".join(shown),
        last=len(pictures) - 1,
        count=len(pictures),
        description=html.escape(animation.description),
    )
