"""Learning curves: a figure against the steps it took to get there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aural.errors import InputError
from aural.plot.canvas import COLOURS, MARKERS, MAX_NUMBER, describe, drawn, label, new_figure
from aural.plot.points import MAX_GROUPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

MAX_STEPS = 1_000_000
MARKED = 40
"""Curves of fewer points have a mark at each."""


@dataclass(frozen=True)
class Curve:
    """Values y after so many steps x, which rise. Values that are not finite are gaps."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.x) == len(self.y) <= MAX_STEPS:
            raise InputError(
                f"{self.name!r} has {len(self.x)} x and {len(self.y)} y; give 1 to {MAX_STEPS} each"
            )
        rising = all(a < b for a, b in zip(self.x, self.x[1:], strict=False))
        if not rising or not all(map(math.isfinite, self.x)):
            raise InputError(f"{self.name!r}: steps must rise")
        if any(math.isfinite(each) and abs(each) > MAX_NUMBER for each in self.y):
            raise InputError(f"{self.name!r} has a number beyond {MAX_NUMBER:g}")


@drawn
def learning_curves(
    curves: Sequence[Curve], *, y_label: str, x_label: str = "step", title: str = ""
) -> Figure:
    """A line for each curve. Raises InputError for none, and more than can be told apart."""
    if not 1 <= len(curves) <= MAX_GROUPS:
        raise InputError(f"{len(curves)} curves; draw 1 to {MAX_GROUPS} together")
    figure = new_figure(4.2)
    axes = figure.subplots()
    for index, each in enumerate(curves):
        style = "-" if index < len(COLOURS) else "--"
        mark = MARKERS[index % len(MARKERS)] if len(each.x) < MARKED else ""
        colour = COLOURS[index % len(COLOURS)]
        axes.plot(each.x, each.y, label=label(each.name), color=colour, ls=style, marker=mark, ms=4)
    axes.set(xlabel=label(x_label, 60), ylabel=label(y_label, 60))
    axes.grid(alpha=0.25)
    if len(curves) > 1 or curves[0].name:
        figure.legend(loc="outside lower center", ncols=min(3, len(curves)), frameon=False)
    axes.set_title(label(title, 90))
    lowest = min(curves, key=lambda each: min(filter(math.isfinite, each.y), default=math.inf))
    return describe(
        figure,
        f"{label(y_label)} against {label(x_label)} for {len(curves)} curves; the lowest is "
        f"{label(lowest.name)}.",
    )
