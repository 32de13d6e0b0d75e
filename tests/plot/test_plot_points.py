"""Maps of vectors, detection errors and error curves."""

import math
import sys

import numpy as np
import pytest
import sklearn.metrics
from scipy.special import ndtri
from sklearn.decomposition import PCA

from aural import plot
from aural.errors import InputError, MissingExtra
from aural.plot.points import FEW, MAX_GROUPS, place


def groups(count: int, each: int, dimensions: int = 8) -> tuple[np.ndarray, list[str]]:
    """Points around corners that are far from each other."""
    rng = np.random.default_rng(1)
    corners = 20 * np.eye(count, dimensions)
    vectors = np.repeat(corners, each, axis=0) + rng.normal(size=(count * each, dimensions))
    return vectors, [f"group {index}" for index in range(count) for _ in range(each)]


def test_a_map_keeps_neighbours_and_repeats() -> None:
    vectors, labels = groups(3, 20)
    axes = plot.embedding_map(vectors, labels, seed=3).axes[0]
    drawn = {line.get_label(): line.get_xydata() for line in axes.lines}
    assert sorted(drawn) == ["group 0", "group 1", "group 2"]
    assert len({(line.get_color(), line.get_marker()) for line in axes.lines}) == 3
    points = np.concatenate([drawn[name] for name in sorted(drawn)])
    assert sklearn.metrics.silhouette_score(points, labels) > 0.5
    again = plot.embedding_map(vectors, labels, seed=3).axes[0]
    assert all(
        np.array_equal(one.get_xydata(), other.get_xydata())
        for one, other in zip(axes.lines, again.lines, strict=True)
    )


def test_few_points_are_placed_by_their_principal_components() -> None:
    """Against scikit-learn's, up to sign."""
    vectors, labels = groups(2, FEW // 2)
    vectors, labels = vectors[1:], labels[1:]
    places, names = place(vectors, 0)
    model = PCA(2).fit(vectors)
    assert np.abs(places) == pytest.approx(np.abs(model.transform(vectors)), abs=1e-9)
    share = 100 * model.explained_variance_ratio_
    assert names == tuple(
        f"component {index} ({value:.0f} % of variance)" for index, value in enumerate(share, 1)
    )
    axes = plot.embedding_map(vectors, labels).axes[0]
    assert axes.get_xlabel() == names[0]


@pytest.mark.parametrize("count", [2, 3, 40])
def test_points_that_are_all_the_same(count: int) -> None:
    axes = plot.embedding_map(np.ones((count, 4)), ["x"] * count).axes[0]
    assert np.allclose(axes.lines[0].get_xydata(), 0)


def test_one_dimension_and_the_smallest_t_sne() -> None:
    places, names = place(np.arange(5.0)[:, None], 0)
    assert np.allclose(np.abs(places[:, 0]), [2, 1, 0, 1, 2])
    assert names[1] == "component 2 (0 % of variance)"
    vectors, _ = groups(2, FEW // 2)
    assert np.isfinite(place(vectors, 0)[0]).all()


def test_rare_labels_are_one_group() -> None:
    names = [f"l{index:02}" for index in range(MAX_GROUPS + 5)]
    labels = names[:8] + names[: MAX_GROUPS - 1] * 2 + names
    vectors = np.random.default_rng(0).normal(size=(len(labels), 1))
    axes = plot.embedding_map(np.tile(vectors, 2)[:, :1], labels).axes[0]
    assert len(axes.lines) == MAX_GROUPS
    assert axes.lines[-1].get_label() == "other"
    assert sum(len(line.get_xydata()) for line in axes.lines) == len(labels)


def test_vectors_that_can_not_be_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    for vectors, told in (
        (np.ones((1, 3)), "2 to 10000"),
        (np.ones((3, 3)) * np.nan, "NaN"),
        (np.ones(3), "shape"),
    ):
        with pytest.raises(InputError, match=told):
            plot.embedding_map(vectors, ["a"] * len(vectors))
    with pytest.raises(InputError, match="1 labels for 3"):
        plot.embedding_map(np.ones((3, 3)), ["a"])
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(MissingExtra, match=r"scikit-learn.*aural\[plot\]"):
        plot.embedding_map(*groups(3, 20))


def scores(count: int = 400) -> plot.Trials:
    rng = np.random.default_rng(5)
    targets = rng.random(count) < 0.3
    values = np.round(rng.normal(size=count) + 2 * targets, 1)  # with ties
    return plot.Trials("one", values, targets)


def test_errors_at_every_threshold_are_scikit_learns() -> None:
    trials = scores()
    alarms, misses = trials.errors()
    fpr, tpr, _ = sklearn.metrics.roc_curve(trials.targets, trials.scores, drop_intermediate=False)
    assert alarms == pytest.approx(fpr, abs=1e-12)
    assert misses == pytest.approx(1 - tpr, abs=1e-12)


def test_the_equal_error_rate_lies_on_the_line() -> None:
    """By bisection on the same polyline; and the two that can be told by heart."""
    trials = scores()
    alarms, misses = trials.errors()
    low, high = 0.0, float(len(alarms) - 1)
    for _ in range(60):
        middle = (low + high) / 2
        at = np.arange(len(alarms))
        gap = np.interp(middle, at, alarms) - np.interp(middle, at, misses)
        low, high = (middle, high) if gap < 0 else (low, middle)
    assert trials.equal_error_rate() == pytest.approx(np.interp(low, at, alarms), abs=1e-9)
    targets = np.array([True, True, False, False])
    assert plot.Trials("x", np.array([4.0, 3, 2, 1]), targets).equal_error_rate() == 0
    assert plot.Trials("x", np.array([1.0, 2, 3, 4]), targets).equal_error_rate() == 1
    assert plot.Trials("x", np.array([1.0, 1, 1, 1]), targets).equal_error_rate() == 0.5


def test_a_det_curve_is_drawn_on_normal_deviates() -> None:
    trials = scores()
    figure = plot.det_curve([trials, plot.Trials("two", -trials.scores, trials.targets)])
    axes = figure.axes[0]
    alarms, misses = trials.errors()
    inside = (alarms > 0) & (alarms < 1) & (misses > 0) & (misses < 1)
    line = axes.lines[1]
    assert np.allclose(line.get_xdata()[inside], ndtri(alarms[inside]))
    assert np.allclose(line.get_ydata()[inside], ndtri(misses[inside]))
    rate = trials.equal_error_rate()
    assert axes.lines[2].get_xydata()[0] == pytest.approx([ndtri(rate)] * 2)
    named = dict(
        zip([t.get_text() for t in axes.get_xticklabels()], axes.get_xticks(), strict=True)
    )
    assert named["10"] == pytest.approx(ndtri(0.1))
    assert line.get_label() == f"one: EER {100 * rate:.2f} %"
    assert f"EER {100 * rate:.2f} %" in plot.alt_text(figure)
    assert axes.lines[1].get_linestyle() != axes.lines[3].get_linestyle()


def test_trials_that_are_none() -> None:
    yes = np.array([True, False])
    for values, targets, told in (
        ([1.0, 2.0, 3.0], yes, "one shape"),
        ([1.0, 2.0], [1, 0], "booleans"),
        ([1.0, math.nan], yes, "finite"),
        ([1.0, 2.0], [True, True], "at least one trial"),
        ([], np.zeros(0, bool), "at least one trial"),
        (["a", "b"], yes, "finite"),
    ):
        with pytest.raises(InputError, match=told):
            plot.Trials("x", np.array(values), np.array(targets))
    with pytest.raises(InputError, match="0 detectors"):
        plot.det_curve([])


def curve(name: str = "base", factor: float = 1.0) -> plot.Series:
    y = tuple(factor * each for each in (0.05, 0.1, 0.4))
    low, high = (tuple(each + by for each in y) for by in (-0.02, 0.03))
    return plot.Series(name, (20.0, 10.0, 0.0), y, low, high)


def test_an_error_curve_is_in_per_cent_with_its_intervals() -> None:
    figure = plot.error_curve(
        [curve(), curve("tiny", 1.5)],
        x_label="signal-to-noise ratio (dB)",
        limits=[plot.Limit("allowed", 0.2)],
        crossings=[plot.Limit("twice", 12.0)],
        falling=True,
    )
    axes = figure.axes[0]
    first = axes.containers[0]
    assert np.allclose(axes.lines[0].get_xydata(), [(20, 5), (10, 10), (0, 40)])
    bars = [segment[:, 1] for segment in first.lines[2][0].get_segments()]
    assert np.allclose(bars, [(3, 8), (8, 13), (38, 43)])
    left, right = axes.get_xlim()
    assert left > 20
    assert right < 0
    bottom, top = axes.get_ylim()
    assert bottom == 0
    assert top > 63, "the highest interval is inside"
    flat = [line for line in axes.lines if len(set(line.get_ydata())) == 1]
    assert any(np.allclose(line.get_ydata(), 20) for line in flat)
    assert any(np.allclose(line.get_xdata(), 12) for line in axes.lines)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["base", "tiny"]
    assert {text.get_text() for text in axes.texts} == {"allowed", "twice"}


def test_unknown_bounds_reach_the_edges() -> None:
    whole = plot.Series("x", (1.0, 2.0), (0.1, 0.2), (-math.inf,) * 2, (math.inf,) * 2)
    axes = plot.error_curve([whole], x_label="m").axes[0]
    assert axes.get_ylim()[1] < 30
    bars = axes.containers[0].lines[2][0].get_segments()
    assert all(bar[0, 1] == 0 and bar[1, 1] > 30 for bar in bars)
    plain = plot.error_curve([plot.Series("", (1.0,), (0.0,))], x_label="m")
    assert not plain.axes[0].containers
    assert not plain.legends
    assert plot.encode(plain)


def test_series_that_are_none() -> None:
    for given, told in (
        (((), ()), "0 x and 0 y"),
        (((1.0, 2.0), (0.1,)), "give a y each"),
        (((1.0,), (math.nan,)), "finite"),
        (((math.inf,), (0.1,)), "finite"),
        (((1.0,), (0.1,), (0.0, 0.0), (0.2, 0.2)), "a bound for each"),
        (((1.0,), (0.1,), (0.0,)), "give both"),
        (((1.0,), (0.1,), (math.nan,), (0.2,)), "a bound for each"),
    ):
        with pytest.raises(InputError, match=told):
            plot.Series("x", *given)
    with pytest.raises(InputError, match="0 series"):
        plot.error_curve([], x_label="m")
    with pytest.raises(InputError, match="15 series"):
        plot.error_curve([curve()] * 15, x_label="m")


def test_points_that_hardly_differ() -> None:
    """Too close to be told apart in the squares of float32."""
    vectors, _ = groups(2, 20)
    for scale in (1e-35, 1e-200, 1e-310):
        places, _ = place(scale * vectors, 0)
        assert np.isfinite(places).all()


def test_numbers_of_curves_are_bounded() -> None:
    for x, y, bounds in (
        ((1e308, 1.0), (0.1, 0.2), ()),
        ((0.0, 1.0), (0.1, 1e307), ()),
        ((0.0, 1.0), (0.1, 0.2), (0.1, 1e308)),
    ):
        with pytest.raises(InputError, match="beyond"):
            plot.Series("a", x, y, bounds, bounds)
    assert plot.Series("a", (0.0,), (0.1,), (-math.inf,), (math.inf,))
    for value in (math.inf, math.nan, 1e300):
        with pytest.raises(InputError, match="'twice' is"):
            plot.Limit("twice", value)
    with pytest.raises(InputError, match="0 or more"):
        plot.error_curve(
            [plot.Series("a", (0.0, 1.0), (0.1, 0.2))], x_label="x", limits=[plot.Limit("b", -1)]
        )


@pytest.mark.parametrize("seed", [-1, 99_999_999_999])
def test_seeds_that_are_none(seed: int) -> None:
    with pytest.raises(InputError, match="seed is"):
        plot.embedding_map(*groups(2, 10), seed=seed)


def test_trials_are_bounded() -> None:
    with pytest.raises(InputError, match="take a sample"):
        plot.Trials("a", np.zeros(1_000_001), np.arange(1_000_001) > 5)
