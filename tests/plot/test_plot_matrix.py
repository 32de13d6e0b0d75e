"""Attention, states, confusion and similarity: the numbers, their places and their names."""

import itertools

import numpy as np
import pytest

from aural import plot
from aural.errors import InputError
from aural.types import Embedding


def rows_named(axes) -> dict[str, int]:
    """Label -> row of the image, counted from its lower edge."""
    return {
        text.get_text(): round(at)
        for text, at in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)
    }


def embedding(vectors: np.ndarray, rate: float = 50.0) -> Embedding:
    return Embedding(vectors, rate, "whisper/base", 6, len(vectors) / rate, 16000)


def test_attention_runs_from_the_first_token_at_the_top() -> None:
    weights = np.eye(3, 30)
    axes = plot.attention(weights, [" a", " ", "c"], frame_seconds=0.02, start=1.0).axes[0]
    shown = np.asarray(axes.images[0].get_array())
    for token, name in enumerate(("a", "␣", "c")):
        assert np.array_equal(shown[rows_named(axes)[name]], weights[token])
    assert axes.images[0].get_extent()[:2] == pytest.approx([1.0, 1.6])
    assert rows_named(axes)["a"] == 2
    for wrong, told in (
        ({"tokens": ["a"]}, "1 tokens for 3 rows"),
        ({"frame_seconds": 0.0}, "frame_seconds"),
        ({"weights": weights[0]}, "shape"),
        ({"weights": weights * np.nan}, "NaN"),
    ):
        given = {"weights": weights, "tokens": ["a", "b", "c"], "frame_seconds": 0.02, **wrong}
        with pytest.raises(InputError, match=told):
            plot.attention(**given)


def test_an_embedding_shows_its_first_dimensions_over_time() -> None:
    vectors = np.random.default_rng(0).normal(size=(120, 384)).astype(np.float32)
    vectors[3, 4] = 1e4
    figure = plot.embedding_heat_map(embedding(vectors), dims=50)
    axes = figure.axes[0]
    assert np.array_equal(axes.images[0].get_array(), vectors[:, :50].T)
    assert axes.images[0].get_extent() == pytest.approx([0, 2.4, -0.5, 49.5])
    low, high = axes.images[0].get_clim()
    assert (low, high) == pytest.approx(tuple(np.quantile(vectors[:, :50], (0.005, 0.995))))
    assert high < 5, "an outlier does not darken the rest"
    assert axes.get_title(loc="left") == "whisper/base, layer 6"
    assert "50 of 384 dimensions" in plot.alt_text(figure)


def test_odd_embeddings() -> None:
    few = plot.embedding_heat_map(embedding(np.ones((1, 3), np.float32))).axes[0]
    assert few.images[0].get_array().shape == (3, 1)
    for vectors in (np.zeros((0, 3)), np.zeros(3), np.zeros((2, 2, 2)), np.array([["a"]])):
        with pytest.raises(InputError, match="give numbers of shape"):
            plot.embedding_heat_map(embedding(vectors))
    with pytest.raises(InputError, match="dims is 0"):
        plot.embedding_heat_map(embedding(np.ones((2, 2))), dims=0)
    with pytest.raises(InputError, match="frame_rate"):
        plot.embedding_heat_map(Embedding(np.ones((2, 2)), 0.0, "", 0, 1.0, 16000))
    with pytest.raises(InputError, match="take a part"):
        plot.embedding_heat_map(embedding(np.zeros((20_001, 1))))


def test_a_confusion_matrix_counts_by_row_from_the_top() -> None:
    counts = np.array([[8, 2, 0], [1, 3, 0], [0, 0, 0]])
    figure = plot.confusion(counts, ["yes", "no", "stop"])
    axes = figure.axes[0]
    shown = np.asarray(axes.images[0].get_array())
    named = rows_named(axes)
    assert shown[named["yes"]] == pytest.approx([0.8, 0.2, 0])
    assert shown[named["no"]] == pytest.approx([0.25, 0.75, 0])
    assert shown[named["stop"]] == pytest.approx([0, 0, 0]), "a class without cases"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["yes", "no", "stop"]
    written = {tuple(map(round, t.get_position())): t.get_text() for t in axes.texts}
    assert written[0, named["yes"]] == "8"
    assert written[1, named["yes"]] == "2"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("taken for", "is")
    assert "11 of 14 right (78.6 %)" in plot.alt_text(figure)


@pytest.mark.parametrize(
    ("counts", "labels", "told"),
    [
        (np.ones((2, 3)), ["a", "b"], "shape"),
        (np.ones((2, 2)), ["a"], "1 labels"),
        (np.array([[1, -1], [0, 1]]), ["a", "b"], "whole numbers"),
        (np.array([[0.5, 1], [0, 1]]), ["a", "b"], "whole numbers"),
        (np.zeros((0, 0)), [], "give numbers"),
        (np.array([[np.inf, 1], [0, 1]]), ["a", "b"], "infinite"),
    ],
)
def test_counts_that_are_none(counts: np.ndarray, labels: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        plot.confusion(counts, labels)


def test_many_classes_stay_readable() -> None:
    """No number is written, and labels do not overlap."""
    names = [f"class {index}" for index in range(150)]
    figure = plot.confusion(np.eye(150), names)
    plot.encode(figure)
    axes = figure.axes[0]
    assert not axes.texts
    boxes = [text.get_window_extent() for text in axes.get_yticklabels()]
    assert 20 < len(boxes) <= 60
    order = sorted(boxes, key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 + 1 for low, high in itertools.pairwise(order))


def test_cosines_and_their_picture() -> None:
    """The worked pair: nearly the same direction, and hardly."""
    vectors = np.array([[1.0, 0], [0.98, np.sqrt(1 - 0.98**2)], [0, 0], [-2, 0]])
    values = plot.cosines(vectors)
    expected = [[1, 0.98, 0, -1], [0.98, 1, 0, -0.98], [0, 0, 0, 0], [-1, -0.98, 0, 1]]
    assert values == pytest.approx(np.array(expected), abs=1e-12)
    axes = plot.similarity(values, ["a", "b", "zero", "back"]).axes[0]
    shown = np.asarray(axes.images[0].get_array())
    assert shown[rows_named(axes)["b"]] == pytest.approx(expected[1])
    assert axes.images[0].get_clim() == (-1, 1)
    assert "0.98" in {text.get_text() for text in axes.texts}
    assert plot.similarity(np.abs(values), list("abcd")).axes[0].images[0].get_clim() == (0, 1)
    with pytest.raises(InputError, match="between -1 and 1"):
        plot.similarity(2 * values, list("abcd"))
    with pytest.raises(InputError, match="labels"):
        plot.similarity(values, list("abc"))


def test_cosines_are_bounded_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.broadcast_to(np.float32(1), (4473, 2))
    monkeypatch.setattr("aural.plot.matrix.table", None)
    with pytest.raises(InputError, match="compares 4472 at most"):
        plot.cosines(vectors)


@pytest.mark.parametrize("size", [2e15, 1e200, 1.7e308])
def test_numbers_beyond_calculation(size: float) -> None:
    vectors = np.array([[size, -size], [1.0, 2.0]])
    for draw in (
        lambda: plot.embedding_heat_map(embedding(vectors)),
        lambda: plot.embedding_map(vectors, ["a", "b"]),
        lambda: plot.cosines(vectors),
    ):
        with pytest.raises(InputError, match="scale them down"):
            draw()


@pytest.mark.parametrize("rate", [1e-320, np.nan, np.inf, 1e308])
def test_rates_that_frames_can_not_have(rate: float) -> None:
    with pytest.raises(InputError, match="frame_rate"):
        plot.embedding_heat_map(Embedding(np.ones((2, 2)), rate, "", 0, 1.0, 16000))
    with pytest.raises(InputError, match="frame_seconds"):
        plot.attention(np.ones((1, 2)), ["a"], frame_seconds=rate)
