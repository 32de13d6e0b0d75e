"""Learning curves: every value where it was told, gaps left open, nonsense refused."""

import math

import numpy as np
import pytest

from aural import plot
from aural.errors import InputError
from aural.plot.curves import MARKED, Curve, learning_curves
from aural.plot.points import MAX_GROUPS


def test_lines_go_through_the_values_and_are_told_apart() -> None:
    curves = [
        Curve(f"choice {number}", (10, 20, 40), (3.0 - number, 2.5 - number, 2.0 - number))
        for number in range(MAX_GROUPS)
    ]
    figure = learning_curves(curves, y_label="validation loss", title="four of one size")
    axes = figure.axes[0]
    assert len(axes.lines) == len(curves)
    for line, curve in zip(axes.lines, curves, strict=True):
        assert line.get_label() == curve.name
        np.testing.assert_array_equal(line.get_xydata(), np.stack([curve.x, curve.y], axis=1))
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in axes.lines}
    assert len(looks) == len(curves)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "validation loss")
    assert axes.get_title(loc="left") == "four of one size"
    said = f"validation loss against step for {MAX_GROUPS} curves; the lowest is choice 13."
    assert plot.alt_text(figure) == said


def test_a_value_that_is_not_finite_is_a_gap() -> None:
    figure = learning_curves([Curve("", (1, 2, 3), (2.0, math.nan, 1.0))], y_label="loss")
    values = np.ma.getdata(figure.axes[0].lines[0].get_ydata())
    assert np.isnan(values).tolist() == [False, True, False]
    assert not figure.legends
    only = learning_curves([Curve("x", (1,), (math.inf,))], y_label="loss")
    assert plot.encode(only).startswith(b"\x89PNG")


def test_the_same_curve_is_the_same_file_and_long_ones_have_no_marks() -> None:
    curve = Curve("a\nb", tuple(range(MARKED)), (1.0,) * MARKED)
    figures = [learning_curves([curve], y_label="loss") for _ in range(2)]
    assert plot.encode(figures[0], "svg") == plot.encode(figures[1], "svg")
    assert figures[0].axes[0].lines[0].get_marker() in ("", "None")
    assert figures[0].legends[0].get_texts()[0].get_text() == "a\\nb"


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ((), (), "has 0 x and 0 y"),
        ((1, 2), (1.0,), "has 2 x and 1 y"),
        ((1, 1), (1.0, 2.0), "steps must rise"),
        ((2, 1), (1.0, 2.0), "steps must rise"),
        ((1, math.inf), (1.0, 2.0), "steps must rise"),
        ((1,), (1e300,), "a number beyond 1e"),
    ],
)
def test_what_is_no_curve(x: tuple, y: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Curve("name", x, y)


def test_none_and_too_many() -> None:
    curve = Curve("a", (1,), (1.0,))
    for count in (0, MAX_GROUPS + 1):
        with pytest.raises(InputError, match=f"{count} curves; draw 1 to {MAX_GROUPS}"):
            learning_curves([curve] * count, y_label="loss")
