"""What was found in a recording, under its waveform and spectrogram: words, speech, speakers."""

from __future__ import annotations

import warnings
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from aural.errors import InputError
from aural.plot.canvas import COLOURS, GREY, WIDTH, canvas_of, describe, drawn, label, new_figure
from aural.plot.signal import channel_of, decibels, framing, powers, spectrum, wave
from aural.types import Diarization, SpeechActivity, Transcript

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from aural.types import Audio, Span

Found: TypeAlias = "Transcript | SpeechActivity | Diarization"

MAX_LANES = 6
MAX_SPEAKERS = 40
MAX_BLOCKS = 1000
MAX_TEXTS = 200
"""Of segments; where there are more, none has room for a text."""
TEXT_SIZE = 9.0
_GAP = 0.006  # of the axis between two texts of a lane


@dataclass(frozen=True)
class Block:
    """A stretch in a lane, counted from the top, and its text, whose middle is at text_at."""

    start: float
    end: float
    text: str = ""
    text_at: float = 0.0
    lane: int = 0
    colour: str = COLOURS[0]


@dataclass(frozen=True)
class Lanes:
    """Blocks, and the names of their lanes where these have any."""

    blocks: tuple[Block, ...]
    names: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many lanes there are, one at least."""
        return max([len(self.names), 1, *(block.lane + 1 for block in self.blocks)])


@drawn
def timeline(audio: Audio, found: Found, *, start: float = 0.0, title: str = "") -> Figure:
    """Waveform, spectrogram, and below them what was found, each at its time.

    A transcript gives its words, or where they would not fit into MAX_LANES rows its segments,
    shortened; speech is one lane, speakers are one each. Times of found are the recording's, as
    start is; what lies outside of the audio is left out. Raises InputError where the samples can't
    be drawn, and for more than MAX_BLOCKS stretches or MAX_SPEAKERS speakers within them.
    """
    samples = channel_of(audio)
    end = start + audio.duration
    figure = new_figure(4.0)
    figure.set_layout_engine("none")
    lanes = _lanes(found, start, end, _measure(figure, end - start))
    wave_axes, spectrum_axes, lane_axes = _panels(figure, lanes)
    wave(wave_axes, samples, audio.sample_rate, start)
    options = framing(audio.sample_rate)
    levels = decibels(powers(samples, options))
    spectrum(spectrum_axes, levels, audio, options, start)
    wave_axes.set_ylabel("amplitude")
    spectrum_axes.set_xlabel("")
    for block in lanes.blocks:
        wave_axes.axvspan(block.start, block.end, color=block.colour, alpha=0.22, lw=0, zorder=0)
    _draw_lanes(lane_axes, lanes, start, end)
    wave_axes.set_title(label(title, 90))
    return describe(figure, _sentence(found, title, audio.duration))


def _sentence(found: Found, title: str, duration: float) -> str:
    of = f" of {label(title, 90)}" if title else ""
    head = f"Waveform and spectrogram{of}, {duration:.2f} s, with "
    if isinstance(found, Transcript):
        return f'{head}what is said at its times: "{label(found.text, 300)}".'
    if isinstance(found, SpeechActivity):
        return f"{head}{found.speech_seconds:.2f} s of speech marked."
    speakers = len({turn.speaker for turn in found.turns})
    return f"{head}the turns of {speakers} speakers."


def _lanes(found: Found, start: float, end: float, width: Callable[[str], float]) -> Lanes:
    if isinstance(found, SpeechActivity):
        blocks = _checked(_clipped(found.spans, [""] * len(found.spans), start, end))
        return Lanes(tuple(replace(block, colour=COLOURS[0]) for block in blocks), ("speech",))
    if isinstance(found, Diarization):
        return _speakers(found, start, end)
    words = [word for segment in found.segments for word in segment.words]
    blocks = _clipped(words, [word.text for word in words], start, end)
    placed = stacked(blocks, width, start, end) if len(blocks) <= MAX_BLOCKS else None
    if blocks and placed is not None:
        return Lanes(tuple(placed))
    blocks = _checked(_clipped(found.segments, [s.text for s in found.segments], start, end))
    texts = [_fit(block, width) if len(blocks) <= MAX_TEXTS else "" for block in blocks]
    pairs = zip(blocks, texts, strict=True)
    return Lanes(tuple(replace(b, lane=i % 2, text=text) for i, (b, text) in enumerate(pairs)))


def _speakers(found: Diarization, start: float, end: float) -> Lanes:
    names = tuple(dict.fromkeys(turn.speaker for turn in found.turns))
    turns = [turn for turn in found.turns if turn.end > start and turn.start < end]
    if len(names) > MAX_SPEAKERS:
        names = tuple(dict.fromkeys(turn.speaker for turn in turns))
    if len(names) > MAX_SPEAKERS:
        raise InputError(
            f"{len(names)} speakers within {end - start:g} s are too many to be told apart; give a "
            f"shorter stretch (at most {MAX_SPEAKERS} speakers)"
        )
    blocks = _checked(_clipped(turns, [""] * len(turns), start, end))
    places = [names.index(turn.speaker) for turn in turns]
    placed = (
        replace(block, lane=lane, colour=_colour(lane))
        for block, lane in zip(blocks, places, strict=True)
    )
    return Lanes(tuple(placed), tuple(label(name, 14) for name in names))


def _clipped(spans: Sequence[Span], texts: Sequence[str], start: float, end: float) -> list[Block]:
    """Blocks within the time shown, in two colours by turns."""
    pairs = zip(spans, texts, strict=True)
    inside = [(span, text) for span, text in pairs if span.end > start and span.start < end]
    return [
        _block(max(start, span.start), min(end, span.end), text.strip(), _colour(index % 2))
        for index, (span, text) in enumerate(inside)
    ]


def _checked(blocks: list[Block]) -> list[Block]:
    if len(blocks) > MAX_BLOCKS:
        raise InputError(
            f"{len(blocks)} stretches are too many to be seen; show a shorter part of the "
            f"recording (at most {MAX_BLOCKS})"
        )
    return blocks


def _block(start: float, end: float, text: str, colour: str) -> Block:
    return Block(start, end, text, (start + end) / 2, colour=colour)


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def stacked(
    blocks: Sequence[Block], width: Callable[[str], float], start: float, end: float
) -> list[Block] | None:
    """The blocks in the fewest lanes in which no text touches the next; None above MAX_LANES.

    width gives a text's length on the axis of time.
    """
    free: list[float] = []
    placed = []
    for block in blocks:
        text = label(block.text, 30)
        left, right = text_span(block, width(text), start, end)
        lane = next((i for i, until in enumerate(free) if until <= left), len(free))
        if lane == MAX_LANES:
            return None
        free[lane : lane + 1] = [right + _GAP * (end - start)]
        placed.append(replace(block, lane=lane, text=text, text_at=(left + right) / 2))
    return placed


def text_span(block: Block, width: float, start: float, end: float) -> tuple[float, float]:
    """Where a text of that width lies: over the middle of its block, within the axis."""
    width = max(width, block.end - block.start)
    left = min((block.start + block.end - width) / 2, end - width)
    left = max(left, start)
    return left, left + width


def _fit(block: Block, width: Callable[[str], float]) -> str:
    """The block's text shortened to its length; none where not even one letter has room."""
    text, room = label(block.text, 400), block.end - block.start
    if width("…") > room:
        return ""
    if width(text) <= room:
        return text

    def cut(count: int) -> str:
        return text[:count].rstrip() + "…"

    count = bisect_right(range(1, len(text)), room, key=lambda kept: width(cut(kept)))
    return cut(count) if count else ""


def _measure(figure: Figure, duration: float) -> Callable[[str], float]:
    """Text -> its width in seconds of the axis."""
    from matplotlib.font_manager import FontProperties

    renderer, font = canvas_of(figure).get_renderer(), FontProperties(size=TEXT_SIZE)
    pixels = figure.dpi * WIDTH * (_RIGHT - _LEFT)

    def width(text: str) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a letter without a glyph is told when it is saved
            found, _, _ = renderer.get_text_width_height_descent(text, font, False)
        return float(found) / pixels * duration

    return width


_LEFT, _RIGHT = 0.095, 0.985


def _panels(figure: Figure, lanes: Lanes) -> tuple[Axes, Axes, Axes]:
    """Three rows over one time axis, as high as they need to be; inches from the top."""
    heights = (1.0, 1.6, 0.27 * lanes.count + 0.08)
    top, gap, bottom = 0.3, 0.12, 0.5
    whole = top + sum(heights) + 2 * gap + bottom
    figure.set_size_inches(WIDTH, whole)
    made: list[Axes] = []
    below = whole - top
    for height in heights:
        below -= height
        place = (_LEFT, below / whole, _RIGHT - _LEFT, height / whole)
        made.append(figure.add_axes(place, sharex=made[0] if made else None))
        below -= gap
    for axes in made[:2]:
        axes.tick_params(labelbottom=False)
    return made[0], made[1], made[2]


def _draw_lanes(axes: Axes, lanes: Lanes, start: float, end: float) -> None:
    from matplotlib.patches import Rectangle

    for block in lanes.blocks:
        length = block.end - block.start
        height = 0.14 if block.text else 0.6
        axes.add_patch(
            Rectangle((block.start, -block.lane - 0.8), length, height, color=block.colour, lw=0)
        )
        if block.text:
            y = -block.lane - 0.4
            axes.text(block.text_at, y, block.text, size=TEXT_SIZE, ha="center", va="center")
    axes.set_ylim(-lanes.count, 0)
    axes.set_xlim(start, end)
    axes.set_yticks(-np.arange(len(lanes.names)) - 0.5, lanes.names)
    axes.spines["left"].set_visible(bool(lanes.names))
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("time (s)")
    if not lanes.blocks:
        axes.text(0.5, 0.5, "nothing found", ha="center", va="center", color=GREY,
                  transform=axes.transAxes)  # fmt: skip
