"""Figures of tables of numbers: attention, encoder states, confusion, similarity.

A table is shown as it is given, its values in `axes.images[0].get_array()`. Labels are shortened,
and left out where there is no room to read them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from aural.errors import InputError
from aural.plot.canvas import (
    MAX_VALUES,
    describe,
    drawn,
    image,
    label,
    new_figure,
    whole_numbers,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from aural.types import Embedding

MAX_SIDE = 20_000
MAX_SIZE = 1e15
"""Of a number: its square, and the sum of many of them, is a float32 too."""
FRAME_RATES = (1e-3, 1e6)
MAX_LABELLED = 60
MAX_WRITTEN = 20


@drawn
def attention(
    weights: np.ndarray,
    tokens: Sequence[str],
    *,
    frame_seconds: float,
    start: float = 0.0,
    title: str = "",
) -> Figure:
    """How much each token (from the top) attends to each moment.

    weights: shape = (token, frame), a frame every frame_seconds. Raises InputError where they are
    no finite numbers of that shape, or not as many as tokens.
    """
    values = table(weights, "weights", "(token, frame)")
    if len(values) != len(tokens):
        raise InputError(f"{len(tokens)} tokens for {len(values)} rows of weights; give one each")
    shortest, longest = (1 / rate for rate in reversed(FRAME_RATES))
    if not shortest <= frame_seconds <= longest:
        raise InputError(f"frame_seconds is {frame_seconds:g}; give {shortest:g} to {longest:g}")
    figure = new_figure(1.4 + 0.19 * min(len(tokens), MAX_LABELLED))
    axes = figure.subplots()
    end = start + values.shape[1] * frame_seconds
    extent = (start, end, -0.5, len(values) - 0.5)
    image(axes, values[::-1], extent, colours="spectrum", name="attention")
    axes.set(xlabel="time (s)", ylabel="token")
    _name_rows(axes, [label(token.strip() or "␣", 24) for token in tokens][::-1])
    axes.set_title(label(title, 90))
    return describe(
        figure, f"Attention of {len(tokens)} tokens over {end - start:.2f} s, brighter is more."
    )


@drawn
def embedding_heat_map(embedding: Embedding, *, dims: int = 50, title: str = "") -> Figure:
    """The first dims values of an encoder's vectors over time; the scale leaves out 1 % outliers.

    Raises InputError where the vectors are no finite numbers of shape (frame, dimension).
    """
    values = table(embedding.vectors, "vectors", "(frame, dimension)")
    if dims < 1:
        raise InputError(f"dims is {dims}; give 1 or more")
    check_frame_rate(embedding.frame_rate)
    shown = values[:, :dims].T
    low, high = (float(each) for each in np.quantile(shown, (0.005, 0.995)))
    figure = new_figure(3.8)
    axes = figure.subplots()
    extent = (0.0, len(values) / embedding.frame_rate, -0.5, len(shown) - 0.5)
    limits = (low, high) if low < high else (low - 1, high + 1)
    image(axes, shown, extent, colours="spectrum", limits=limits, name="value")
    axes.set(xlabel="time (s)", ylabel=f"dimension (of {values.shape[1]})")
    whole_numbers(axes.yaxis)
    axes.set_title(label(title or _layer(embedding), 90))
    return describe(
        figure,
        f"{len(shown)} of {values.shape[1]} dimensions of {label(embedding.model) or 'an encoder'} "
        f"over {embedding.duration:.2f} s, {embedding.frame_rate:g} vectors a second.",
    )


def check_frame_rate(rate: float) -> None:
    """InputError for a rate that frames can't have."""
    least, most = FRAME_RATES
    if not least <= rate <= most:
        raise InputError(f"frame_rate is {rate:g}; give {least:g} to {most:g} frames a second")


def _layer(embedding: Embedding) -> str:
    return f"{embedding.model}, layer {embedding.layer}" if embedding.model else ""


@drawn
def confusion(counts: np.ndarray, labels: Sequence[str], *, title: str = "") -> Figure:
    """How often each class (row) was taken for each (column): counts, coloured by share of the row.

    counts: whole numbers, shape = (class, class). Raises InputError for other shapes, negative
    numbers, and as many labels as there are not classes.
    """
    values = table(counts, "counts", "(class, class)")
    _check_square(values, labels, "counts")
    if (values < 0).any() or (values != np.round(values)).any():
        raise InputError("counts are whole numbers of 0 or more")
    rows = values.sum(axis=1, keepdims=True)
    shares = values / np.maximum(rows, 1)
    figure, axes = _square(len(labels))
    extent = (-0.5, len(labels) - 0.5, -0.5, len(labels) - 0.5)
    image(axes, shares[::-1], extent, colours="matrix", limits=(0, 1), name="share of the row")
    names = [label(each, 18) for each in labels]
    _name_rows(axes, names[::-1])
    _name_columns(axes, names)
    if len(labels) <= MAX_WRITTEN:
        _write(axes, shares[::-1], [[f"{c:.0f}" for c in row] for row in values[::-1]], 0.5)
    axes.set(xlabel="taken for", ylabel="is")
    axes.set_title(label(title, 60))
    right, total = float(np.trace(values)), float(values.sum())
    return describe(
        figure,
        f"Confusion matrix of {len(labels)} classes: {right:.0f} of {total:.0f} right"
        f"{f' ({100 * right / total:.1f} %)' if total else ''}.",
    )


@drawn
def similarity(values: np.ndarray, labels: Sequence[str], *, title: str = "") -> Figure:
    """How alike each two are, as numbers where there are few.

    values: at most 1, shape = (item, item), such as cosines. Raises InputError for other shapes,
    and as many labels as there are not items.
    """
    shown = table(values, "similarities", "(item, item)")
    _check_square(shown, labels, "similarities")
    if (np.abs(shown) > 1 + 1e-6).any():
        raise InputError("similarities lie between -1 and 1, as cosines do")
    low = -1.0 if shown.min() < 0 else 0.0
    figure, axes = _square(len(labels))
    extent = (-0.5, len(labels) - 0.5, -0.5, len(labels) - 0.5)
    image(axes, shown[::-1], extent, colours="matrix", limits=(low, 1), name="similarity")
    names = [label(each, 18) for each in labels]
    _name_rows(axes, names[::-1])
    _name_columns(axes, names)
    if len(labels) <= MAX_WRITTEN // 2:
        texts = [[f"{value:.2f}" for value in row] for row in shown[::-1]]
        _write(axes, shown[::-1], texts, (low + 1) / 2)
    axes.set_title(label(title, 60))
    return describe(figure, f"Similarity of {len(labels)} items to each other, brighter is more.")


def cosines(vectors: np.ndarray) -> np.ndarray:
    """The cosine of the angle between each two of the vectors (item, dimension); 0 beside zeros.

    Raises InputError for what are no finite numbers of that shape, and where the cosines would be
    more than MAX_VALUES.
    """
    shape = np.shape(vectors)
    if len(shape) == 2 and shape[0] ** 2 > MAX_VALUES:
        raise InputError(
            f"{shape[0]} vectors; one picture compares {math.isqrt(MAX_VALUES)} at most: take a "
            "sample"
        )
    values = table(vectors, "vectors", "(item, dimension)")
    length = np.linalg.norm(values, axis=1, keepdims=True)
    unit = values / np.where(length > 0, length, 1)
    return np.clip(unit @ unit.T, -1, 1)


def table(values: np.ndarray, name: str, shape: str) -> np.ndarray:
    """values as float64 of two axes; InputError where they are no finite numbers, none, or many,
    or one is beyond MAX_SIZE."""
    found = np.asarray(values)
    if found.ndim != 2 or 0 in found.shape or found.dtype.kind not in "fiub":
        raise InputError(
            f"{name} are {found.dtype} of shape {found.shape}; give numbers of shape {shape}"
        )
    if max(found.shape) > MAX_SIDE or found.size > MAX_VALUES:
        raise InputError(
            f"{name} have shape {found.shape}; one picture holds {MAX_SIDE} a side and "
            f"{MAX_VALUES} in all: take a part"
        )
    found = found.astype(np.float64)
    if not np.isfinite(found).all():
        raise InputError(f"some {name} are NaN or infinite")
    if max(abs(found.min()), abs(found.max())) > MAX_SIZE:
        raise InputError(f"some {name} are beyond {MAX_SIZE:g}; scale them down")
    return found


def _check_square(values: np.ndarray, labels: Sequence[str], name: str) -> None:
    if values.shape != (len(labels), len(labels)):
        raise InputError(f"{name} have shape {values.shape} for {len(labels)} labels")


def _square(count: int) -> tuple[Figure, Axes]:
    side = min(9.0, max(3.2, 2.0 + 0.42 * count))
    figure = new_figure(side, side + 1.2)
    return figure, figure.subplots()


def _name_rows(axes: Axes, names: list[str]) -> None:
    step = -(-len(names) // MAX_LABELLED)
    axes.set_yticks(range(0, len(names), step), names[::step])


def _name_columns(axes: Axes, names: list[str]) -> None:
    step = -(-len(names) // MAX_LABELLED)
    turned = len(names) > 12 or max(map(len, names)) > 6
    axes.set_xticks(
        range(0, len(names), step),
        names[::step],
        rotation=45 if turned else 0,
        ha="right" if turned else "center",
        rotation_mode="anchor" if turned else "default",
    )


def _write(axes: Axes, values: np.ndarray, texts: list[list[str]], middle: float) -> None:
    """The texts in the cells, dark on bright and bright on dark."""
    size = 10 if len(texts) <= 8 else 8
    for (row, column), value in np.ndenumerate(values):
        colour = "black" if value > middle else "white"
        text = texts[row][column]
        axes.text(column, row, text, ha="center", va="center", color=colour, size=size)
