"""Several scorers as one."""

import numpy as np

from aural.decode.language import Weighted


class Counting:
    """A scorer whose state is how many tokens came before; its scores tell state and token."""

    def __init__(self, slope: float) -> None:
        self.tokens, self._slope = 4, slope

    def start(self) -> int:
        return 0

    def scores(self, states: np.ndarray) -> np.ndarray:
        return (states[:, None] + self._slope * np.arange(4)).astype(np.float32)

    def advance(self, states: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        return states + tokens


def test_weighted_sum_follows_each_scorers_own_states() -> None:
    first, second = Counting(1.0), Counting(-2.0)
    both = Weighted([(first, 0.5), (second, 3.0)])
    states = np.array([both.start(), both.start()])
    assert states[0] == states[1]
    states = both.advance(states, np.array([1, 3]))
    states = both.advance(states, np.array([2, 1]))
    before = np.array([3, 4])
    expected = 0.5 * first.scores(before) + 3.0 * second.scores(before)
    np.testing.assert_allclose(both.scores(states), expected, rtol=1e-6)
    assert both.scores(states[:0]).shape == (0, 4)


def test_the_same_beginning_has_one_state() -> None:
    both = Weighted([(Counting(1.0), 1.0)])
    states = both.advance(np.array([both.start()] * 2), np.array([2, 2]))
    assert states[0] == states[1]


def test_a_scorer_of_weight_0_is_not_asked() -> None:
    class Impossible:
        tokens = 3

        def start(self) -> int:
            return 0

        def scores(self, states: np.ndarray) -> np.ndarray:
            return np.full((len(states), 3), -np.inf, np.float32)

        def advance(self, states: np.ndarray, tokens: np.ndarray) -> np.ndarray:
            return states

    both = Weighted([(Impossible(), 0.0)])
    np.testing.assert_array_equal(both.scores(np.array([both.start()])), np.zeros((1, 3)))
