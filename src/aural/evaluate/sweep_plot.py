"""The picture of a sweep: error against condition, one panel an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aural.errors import InputError
from aural.evaluate.sweep import AXES
from aural.plot.canvas import save
from aural.plot.points import Series, error_curve

if TYPE_CHECKING:
    from pathlib import Path

    from aural.evaluate.sweep import Curve, Sweep

LABELS = {
    "snr": "signal-to-noise ratio",
    "rt60": "reverberation time",
    "distance": "distance to the microphone",
    "level": "active speech level",
    "bandwidth": "rate passed through",
}


def save_sweep_plot(sweep: Sweep, path: Path, axis: str | None = None) -> None:
    """Draw the curves along an axis into FILE.png or FILE.svg; None: the axis with most curves.

    Raises:
        InputError: no value was swept, or not along this axis; a file of another kind.
        MissingExtra: matplotlib is not installed.
    """
    axes = [curve.axis for curve in sweep.curves]
    if not axes:
        raise InputError("there is no curve to draw: sweep at least two values of something")
    axis = max(AXES, key=axes.count) if axis is None else axis
    curves = [curve for curve in sweep.curves if curve.axis == axis]
    if not curves:
        raise InputError(
            f"nothing was swept along {axis}; there is: {', '.join(sorted(set(axes)))}"
        )
    figure = error_curve(
        [_series(curve) for curve in curves],
        x_label=f"{LABELS[axis]} ({AXES[axis]})",
        y_label="word error rate (%)" if sweep.metric == "WER" else f"{sweep.metric} (%)",
        falling=axis not in {"rt60", "distance"},
    )
    save(figure, path)


def _series(curve: Curve) -> Series:
    errors = [point.error for point in curve.points]
    return Series(
        curve.name,
        curve.values,
        tuple(error.value for error in errors),
        tuple(error.low for error in errors),
        tuple(error.high for error in errors),
    )
