"""The best path and occupation against all paths written out, on random small graphs."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest

from aural.decode.viterbi import (
    SILENT,
    Graph,
    PruningOptions,
    forward_backward,
    scaled_likelihoods,
    viterbi,
)
from aural.errors import InputError


def random_graph(seed: int) -> Graph:
    """Six states, a third of them silent (arcs among these go up only), twelve arcs."""
    rng = np.random.default_rng(seed)
    emissions = rng.integers(0, 3, 6)
    emissions[[0, 3]] = SILENT
    arcs = [
        (source, target)
        for source, target in itertools.product(range(6), range(6))
        if not (emissions[source] == emissions[target] == SILENT and source >= target)
    ]
    chosen = rng.permutation(len(arcs))[:14]
    sources, targets = np.array([arcs[i] for i in chosen]).T
    weights = rng.normal(size=14)
    weights[rng.random(14) < 0.1] = -np.inf
    finals = np.where(rng.random(6) < 0.5, rng.normal(size=6), -np.inf)
    return Graph(emissions, sources, targets, weights, finals)


def all_paths(graph: Graph, scores: np.ndarray) -> Iterator[tuple[float, tuple[int, ...], list]]:
    """(sum, arcs, state of each frame) of every path, by walking."""

    def walk(state: int, time: int, total: float, arcs: tuple[int, ...], states: list):
        if time == len(scores):
            yield total + graph.finals[state], arcs, states
        for arc in np.flatnonzero(graph.sources == state):
            target, weight = int(graph.targets[arc]), total + graph.weights[arc]
            column = graph.emissions[target]
            if column == SILENT:
                yield from walk(target, time, weight, (*arcs, int(arc)), states)
            elif time < len(scores):
                taken = weight + scores[time, column]
                yield from walk(target, time + 1, taken, (*arcs, int(arc)), [*states, target])

    yield from walk(graph.start, 0, 0.0, (), [])


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("frames", [0, 1, 3])
def test_equal_to_all_paths(seed: int, frames: int) -> None:
    graph = random_graph(seed)
    scores = np.random.default_rng(seed + 1000).normal(size=(frames, 3))
    paths = [path for path in all_paths(graph, scores) if path[0] > -math.inf]
    found, shares = viterbi(graph, scores), forward_backward(graph, scores)
    if not paths:
        assert found is None
        assert shares is None
        return
    best = max(path[0] for path in paths)
    assert found is not None
    assert found.score == pytest.approx(best, abs=1e-9)
    states = {arcs: states for total, arcs, states in paths if total > best - 1e-9}
    assert found.states.tolist() == states[tuple(found.arcs.tolist())]
    emitting = graph.emissions[graph.targets[found.arcs]] != SILENT
    np.testing.assert_array_equal(found.times, np.cumsum(emitting) - emitting)
    pruned = viterbi(graph, scores, PruningOptions(beam=1e6))
    assert pruned is not None
    np.testing.assert_array_equal(pruned.arcs, found.arcs)
    assert pruned.score == found.score

    assert shares is not None
    weights = np.exp([path[0] for path in paths])
    assert shares.log_likelihood == pytest.approx(math.log(weights.sum()), abs=1e-9)
    naive = np.zeros((frames, 6))
    for weight, (_, _, states) in zip(weights, paths, strict=True):
        naive[range(frames), states] += weight
    np.testing.assert_allclose(shares.states, naive / weights.sum(), atol=1e-9)
    np.testing.assert_allclose(shares.states.sum(axis=1), 1.0, atol=1e-9)


def test_some_random_graphs_have_paths() -> None:
    scores = np.zeros((4, 3))
    assert sum(viterbi(random_graph(seed), scores) is not None for seed in range(40)) > 12


def test_pruning_keeps_what_it_says() -> None:
    """Two ways: the one that begins worse by 5 ends better by 10."""
    graph = Graph(
        emissions=np.array([SILENT, 0, 1]),
        sources=np.array([0, 0, 1, 2]),
        targets=np.array([1, 2, 1, 2]),
        weights=np.zeros(4),
        finals=np.zeros(3),
    )
    scores = np.array([[0.0, -5.0], [-10.0, 0.0]])
    exact = viterbi(graph, scores)
    assert exact is not None
    assert exact.states.tolist() == [2, 2]
    for options in (PruningOptions(beam=4.0), PruningOptions(max_active=1)):
        narrow = viterbi(graph, scores, options)
        assert narrow is not None
        assert (narrow.states.tolist(), narrow.score) == ([1, 1], -10.0)
    wide = viterbi(graph, scores, PruningOptions(beam=6.0, max_active=2))
    assert wide is not None
    assert wide.states.tolist() == [2, 2]


def chain() -> Graph:
    """Start, one state that emits."""
    return Graph(
        np.array([SILENT, 0]), np.array([0, 1]), np.array([1, 1]), np.zeros(2), np.array([-9.0, 0])
    )


@pytest.mark.parametrize(
    "scores",
    [
        np.zeros(3),
        np.zeros((3, 1), np.int64),
        np.zeros((3, 0)),
        np.array([[np.nan]]),
        np.array([[np.inf]]),
    ],
)
def test_scores_that_can_not_be_taken(scores: np.ndarray) -> None:
    for search in (viterbi, forward_backward):
        with pytest.raises(InputError):
            search(chain(), scores)


def test_no_way_is_none() -> None:
    assert viterbi(chain(), np.full((2, 1), -np.inf)) is None
    assert viterbi(chain(), np.full((2, 1), -np.inf), PruningOptions(beam=1.0)) is None
    assert forward_backward(chain(), np.full((2, 1), -np.inf)) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"emissions": np.array([0, 0])},
        {"emissions": np.array([-1.0, 0.0])},
        {"targets": np.array([1, 2])},
        {"weights": np.zeros(3)},
        {"weights": np.array([np.nan, 0])},
        {"finals": np.zeros(3)},
        {"emissions": np.array([-1, -1])},
        {"emissions": np.array([-1, -2])},
    ],
)
def test_graphs_that_are_none(wrong: dict) -> None:
    good = chain()
    names = ("emissions", "sources", "targets", "weights", "finals")
    with pytest.raises(InputError):
        Graph(**{name: getattr(good, name) for name in names} | wrong)


@pytest.mark.parametrize("wrong", [{"beam": 0.0}, {"beam": math.nan}, {"max_active": -1}])
def test_pruning_that_is_none(wrong: dict) -> None:
    with pytest.raises(InputError):
        PruningOptions(**wrong)


def test_scaled_likelihoods_are_bayes_without_the_constant() -> None:
    """posterior = likelihood * prior / evidence: what is left differs by a number a frame."""
    rng = np.random.default_rng(0)
    likelihoods, priors = rng.random((5, 3)), np.array([0.5, 0.3, 0.2])
    posteriors = likelihoods * priors
    posteriors /= posteriors.sum(axis=1, keepdims=True)
    scores = scaled_likelihoods(np.log(posteriors), np.log(priors))
    np.testing.assert_allclose(np.ptp(scores - np.log(likelihoods), axis=1), 0, atol=1e-12)
    half = scaled_likelihoods(np.log(posteriors), np.log(priors), scale=0.5)
    np.testing.assert_allclose(half, scores / 2)
    never = scaled_likelihoods(np.log(posteriors), np.array([0.0, -np.inf, -1.0]))
    assert (never[:, 1] == -np.inf).all()
    with pytest.raises(InputError):
        scaled_likelihoods(np.zeros((5, 3)), np.zeros(2))
