"""The cheapest path through a table of costs, against a plain table of sums; the sound's time."""

import itertools

import numpy as np
import pytest

from aural.decode.align import MEDIAN_WIDTH, token_starts, warped


def plain_starts(cost: np.ndarray) -> list[int]:
    """Dynamic time warping cell by cell."""
    rows, columns = cost.shape
    sums = np.full((rows + 1, columns + 1), np.inf)
    sums[0, 0] = 0
    for i, j in itertools.product(range(rows), range(columns)):
        sums[i + 1, j + 1] = cost[i, j] + min(sums[i, j], sums[i, j + 1], sums[i + 1, j])
    starts = [0] * rows
    i, j = rows, columns
    while i:
        starts[i - 1] = j - 1
        steps = {(i - 1, j - 1): 0, (i - 1, j): 1, (i, j - 1): 2}
        i, j = min(steps, key=lambda place: (sums[place], steps[place]))
    return starts


def cheapest(cost: np.ndarray) -> float:
    """The cheapest of all paths from corner to corner, each walked in turn."""
    rows, columns = cost.shape

    def walk(i: int, j: int) -> float:
        if (i, j) == (rows - 1, columns - 1):
            return float(cost[i, j])
        steps = ((i + 1, j), (i, j + 1), (i + 1, j + 1))
        return cost[i, j] + min(walk(*s) for s in steps if s[0] < rows and s[1] < columns)

    return walk(0, 0)


def cost_by(starts: np.ndarray, cost: np.ndarray) -> float:
    """The least a path with these starts can cost: a row is left from above the next one's start,
    or from the left of that."""
    total = cost[-1, starts[-1] :].sum()
    for row, (first, after) in enumerate(itertools.pairwise(starts)):
        ends = {after, max(first, after - 1)}
        total += min(cost[row, first : end + 1].sum() for end in ends)
    return float(total)


SHAPES = [(1, 1), (1, 9), (9, 1), (2, 2), (3, 40), (40, 3), (12, 12), (17, 60)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(6))
def test_the_same_as_cell_by_cell(shape: tuple[int, int], seed: int) -> None:
    cost = np.random.default_rng(seed).normal(size=shape)
    cost += (seed % 3 - 1) * 0.7  # costs all of one sign are another case
    starts = warped(cost)
    assert starts.tolist() == plain_starts(cost)
    assert starts[0] == 0
    assert (np.diff(starts) >= 0).all()
    assert starts[-1] < shape[1]


@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (2, 5), (4, 4), (5, 6)])
def test_no_path_is_cheaper(shape: tuple[int, int]) -> None:
    for seed in range(5):
        cost = np.random.default_rng(seed).normal(size=shape)
        assert cost_by(warped(cost), cost) == pytest.approx(cheapest(cost), abs=1e-9)


def test_no_path_is_cheaper_among_ties() -> None:
    for seed in range(20):
        cost = np.random.default_rng(seed).integers(-2, 2, (5, 6)).astype(float)
        assert cost_by(warped(cost), cost) == cheapest(cost)


def scores_of(starts: list[int], moments: int, heads: int = 3, strength: float = 8.0) -> np.ndarray:
    """Scores in which each token attends to the moments from its start to the next one's."""
    draw = np.random.default_rng(1)
    scores = draw.normal(0, 0.3, (heads, len(starts), moments))
    for i, (first, end) in enumerate(itertools.pairwise([*starts, moments])):
        scores[:, i, first:end] += strength
    return scores


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_clear_diagonal_is_found(dtype: type) -> None:
    starts = [0, 12, 25, 33, 60, 71, 90]
    found = token_starts(scores_of(starts, 110).astype(dtype), 0)
    assert np.abs(found - starts).max() <= 1


def test_tokens_before_the_first_are_left_out() -> None:
    starts = [0, 0, 0, 12, 25, 33, 60]
    scores = scores_of(starts, 80)
    scores[:, :2] = np.random.default_rng(2).normal(size=(3, 2, 80))  # attend to nothing
    found = token_starts(scores, 2)
    assert len(found) == 5
    assert np.abs(found - starts[2:]).max() <= 1


def test_one_head_that_looks_elsewhere_is_outvoted() -> None:
    starts = [0, 20, 40, 60, 80]
    scores = scores_of(starts, 100, heads=4)
    scores[0] = np.random.default_rng(3).normal(0, 3, scores[0].shape)
    assert np.abs(token_starts(scores, 0) - starts).max() <= 2


def test_heads_alike_count_as_one() -> None:
    scores = scores_of([0, 15, 30], 50, heads=1)
    np.testing.assert_array_equal(
        token_starts(np.repeat(scores, 3, axis=0), 0), token_starts(scores, 0)
    )


def test_scores_may_be_shifted_and_large() -> None:
    scores = scores_of([0, 15, 30], 50)
    shifted = scores + 500 * np.arange(1, 4)[None, :, None]
    np.testing.assert_array_equal(token_starts(shifted, 0), token_starts(scores, 0))


@pytest.mark.parametrize("moments", range(1, MEDIAN_WIDTH + 2))
def test_a_window_of_few_moments(moments: int) -> None:
    starts = token_starts(np.random.default_rng(4).normal(size=(2, 3, moments)), 1)
    assert starts.shape == (2,)
    assert starts[0] == 0
    assert (np.diff(starts) >= 0).all()
    assert starts[-1] < moments


def test_attention_that_is_the_same_everywhere() -> None:
    starts = token_starts(np.zeros((2, 4, 20)), 0)
    assert (np.diff(starts) >= 0).all()
    assert 0 <= starts[0] <= starts[-1] < 20


def plain_token_starts(scores: np.ndarray, first: int) -> list[int]:
    """As whisper/timing.py does it, in plain loops."""
    shares = np.exp(scores - scores.max(2, keepdims=True))
    shares /= shares.sum(2, keepdims=True)
    shares = (shares - shares.mean(1, keepdims=True)) / shares.std(1, keepdims=True)
    half = MEDIAN_WIDTH // 2
    padded = np.pad(shares, ((0, 0), (0, 0), (half, half)), mode="reflect")
    smooth = np.stack(
        [np.median(padded[:, :, i : i + MEDIAN_WIDTH], axis=2) for i in range(shares.shape[2])], 2
    )
    return plain_starts(-smooth.mean(0)[first:])


@pytest.mark.parametrize("seed", range(5))
def test_the_same_as_the_reference_in_plain_loops(seed: int) -> None:
    draw = np.random.default_rng(seed)
    scores = draw.normal(0, 2, (4, 11, 50)) + 0.3 * scores_of(list(range(0, 44, 4)), 50, heads=4)
    assert token_starts(scores, 3).tolist() == plain_token_starts(scores, 3)
