"""The pictures of a sweep: error against condition, one an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aural.errors import InputError, MissingExtra
from aural.evaluate.sweep import AXES
from aural.plot.canvas import format_of, save
from aural.plot.points import MAX_GROUPS, Series, error_curve

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aural.evaluate.sweep import Curve, Sweep

LABELS = {
    "snr": "signal-to-noise ratio",
    "rt60": "reverberation time",
    "distance": "distance to the microphone",
    "level": "active speech level",
    "bandwidth": "rate passed through",
}


def save_sweep_plot(sweep: Sweep, path: Path) -> list[Path]:
    """Draw the curves into FILE.png or FILE.svg; the files written.

    The axis with most curves is in the file itself, every other in FILE-AXIS beside it.

    Raises:
        InputError: what check_drawing refuses, and a file that can't be written.
        MissingExtra: matplotlib is not installed.
    """
    axes = [curve.axis for curve in sweep.curves]
    check_drawing(path, axes)
    written: list[Path] = []
    for axis in sorted(set(axes), key=lambda each: (-axes.count(each), each)):
        curves = [curve for curve in sweep.curves if curve.axis == axis]
        figure = error_curve(
            [_series(curve) for curve in curves],
            x_label=f"{LABELS[axis]} ({AXES[axis]})",
            y_label="word error rate (%)" if sweep.metric == "WER" else f"{sweep.metric} (%)",
            falling=axis not in {"rt60", "distance"},
        )
        written.append(path.with_stem(f"{path.stem}-{axis}") if written else path)
        save(figure, written[-1])
    return written


def check_drawing(path: Path, axes: Sequence[str]) -> None:
    """Raise for what can't be drawn: axes names that of each curve.

    Raises:
        InputError: another kind of file, no curve, or more along an axis than can be told apart.
        MissingExtra: matplotlib is not installed.
    """
    format_of(path)
    if not axes:
        raise InputError("there is no curve to draw: sweep at least two values of something")
    most = max(set(axes), key=axes.count)
    if axes.count(most) > MAX_GROUPS:
        raise InputError(
            f"{axes.count(most)} curves along {most}; a picture has {MAX_GROUPS} at most: sweep "
            "fewer at once, or draw from --report with aural plot conditions"
        )
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtra("plot", "matplotlib") from error


def _series(curve: Curve) -> Series:
    errors = [point.error for point in curve.points]
    return Series(
        curve.name,
        curve.values,
        tuple(error.value for error in errors),
        tuple(error.low for error in errors),
        tuple(error.high for error in errors),
    )
