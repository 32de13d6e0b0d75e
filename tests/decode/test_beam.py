"""Beam search against every text there is, for a scorer that tells any numbers it likes."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from aural.decode.beam import LOOP_CHECKED, Next, Path, SearchOptions, beam_search, sample

END = 0
VOCABULARY = 6
MAX_TOKENS = 4
GREEDY = SearchOptions(end=END, max_tokens=MAX_TOKENS, beam_size=1)
EVERY = 700
"""Wider than all beginnings of MAX_TOKENS tokens together."""
EXHAUSTIVE = SearchOptions(
    end=END, max_tokens=MAX_TOKENS, beam_size=EVERY, patience=100, count=VOCABULARY
)

Prefix = tuple[int, ...]
Telling = Callable[[Prefix], np.ndarray]
"""The log probabilities of all tokens after a prefix."""


def random_telling(seed: int, end: float = 0.0, growth: float = 0.0) -> Telling:
    """Any distribution after each prefix, the same each time; end is added to the end's score, and
    growth for each token before it."""

    def told(prefix: Prefix) -> np.ndarray:
        scores = np.random.default_rng([seed, 77, *prefix]).normal(0, 1.5, VOCABULARY)
        scores[END] += end + growth * len(prefix)
        return scores - np.logaddexp.reduce(scores)

    return told


class Toy:
    """A Scorer that knows what every beam has said, and sees to it that it is asked properly."""

    def __init__(self, tellings: Sequence[Telling]) -> None:
        self.tellings = list(tellings)
        self.said: list[list[Prefix]] = [[()] for _ in tellings]
        self.steps = 0
        self.kept: list[list[int]] = []

    def first(self, count: int) -> Next:
        return self._next(count)

    def step(self, tokens: np.ndarray, parents: np.ndarray, count: int) -> Next:
        assert tokens.shape == parents.shape
        assert len(tokens) == len(self.said)
        self.steps += 1
        self.said = [
            [before[parent] + (token,) for token, parent in zip(*rows, strict=True)]
            for before, *rows in zip(self.said, tokens.tolist(), parents.tolist(), strict=True)
        ]
        return self._next(count)

    def keep(self, windows: np.ndarray) -> None:
        assert windows.tolist() == sorted(set(windows.tolist()))
        assert len(windows) < len(self.said)
        self.kept.append(windows.tolist())
        self.tellings = [self.tellings[i] for i in windows]
        self.said = [self.said[i] for i in windows]

    def _next(self, count: int) -> Next:
        """The likeliest, filled up with what is impossible."""
        shape = (len(self.said), len(self.said[0]), max(count, VOCABULARY))
        log_probs, tokens = np.full(shape, -np.inf, np.float64), np.ones(shape, np.int64)
        for i, j in np.ndindex(*shape[:2]):
            told = self.tellings[i](self.said[i][j])  # after an end too, as a network does
            order = np.argsort(-told, kind="stable")
            log_probs[i, j, :VOCABULARY], tokens[i, j, :VOCABULARY] = told[order], order
        return Next(log_probs[..., :count], tokens[..., :count])


def searched(tellings: Sequence[Telling], options: SearchOptions) -> list[Path]:
    toy = Toy(tellings)
    return beam_search(toy.first(2 * options.beam_size), toy, options)


def sum_of(telling: Telling, tokens: Prefix, *, ended: bool) -> float:
    whole = (*tokens, END) if ended else tokens
    return float(sum(telling(whole[:i])[token] for i, token in enumerate(whole)))


def texts(max_tokens: int) -> list[tuple[Prefix, bool]]:
    """All that can be said: texts that end in time, and those broken off."""
    said = [token for token in range(VOCABULARY) if token != END]
    found = [
        (tokens, True)
        for length in range(max_tokens)
        for tokens in itertools.product(said, repeat=length)
    ]
    return found + [(tokens, False) for tokens in itertools.product(said, repeat=max_tokens)]


def check(path: Path, telling: Telling) -> None:
    """A path is what the scorer says of its tokens."""
    assert END not in path.tokens
    assert len(path.log_probs) == len(path.tokens)
    assert len(path.beams) == len(path.tokens) + 1
    assert path.beams[0] == 0
    assert path.log_prob == pytest.approx(sum_of(telling, path.tokens, ended=path.ended))
    for i, (token, log_prob) in enumerate(zip(path.tokens, path.log_probs, strict=True)):
        assert log_prob == pytest.approx(telling(path.tokens[:i])[token])


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(2))
def test_a_beam_wide_enough_finds_the_best_of_all_texts(seed: int, penalty: float) -> None:
    telling = random_telling(seed)
    (path,) = searched([telling], replace(EXHAUSTIVE, length_penalty=penalty))
    check(path, telling)
    scores = {
        text: sum_of(telling, text[0], ended=text[1]) / max(1, len(text[0])) ** penalty
        for text in texts(MAX_TOKENS)
    }
    best = max(scores, key=lambda text: scores[text])
    assert (path.tokens, path.ended) == best


@pytest.mark.parametrize("seed", range(12))
def test_a_beam_of_one_takes_the_likeliest_each_time(seed: int) -> None:
    telling = random_telling(seed, end=seed % 3 - 1)
    (path,) = searched([telling], GREEDY)
    tokens: Prefix = ()
    while len(tokens) < MAX_TOKENS and np.argmax(telling(tokens)) != END:
        tokens += (int(np.argmax(telling(tokens))),)
    assert path.tokens == tokens
    assert path.ended == (len(tokens) < MAX_TOKENS)
    check(path, telling)


def plain_beam_search(telling: Telling, options: SearchOptions) -> tuple[Prefix, bool]:
    """One window's search by sorting prefixes, without arrays."""
    beams: list[tuple[float, Prefix]] = [(0.0, ())]
    ended: list[tuple[float, Prefix, bool]] = []
    size = options.beam_size
    for step in range(options.max_tokens):
        candidates = sorted(
            (
                (total + float(log_prob), (*said, token))
                for total, said in beams
                for token, log_prob in enumerate(telling(said))
            ),
            key=lambda each: -each[0],
        )
        ended += [(total, said[:-1], True) for total, said in candidates[:size] if said[-1] == END]
        beams = [each for each in candidates if each[1][-1] != END][:size]
        if len(ended) >= options.needed:
            break
        if step + 1 == options.max_tokens:
            ended += [(*each, False) for each in beams]
    best = max(ended, key=lambda each: each[0] / max(1, len(each[1])) ** options.length_penalty)
    return best[1], best[2]


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("patience", [0.5, 1.0, 2.0])
def test_the_same_as_a_plain_beam_search(size: int, patience: float) -> None:
    ends = set()
    for seed in range(15):
        telling = random_telling(seed, end=-3, growth=seed % 4 * 0.4)
        options = SearchOptions(END, 8, beam_size=size, patience=patience, length_penalty=0.8)
        (path,) = searched([telling], options)
        check(path, telling)
        assert (path.tokens, path.ended) == plain_beam_search(telling, options)
        ends.add((path.ended, len(path.tokens)))
    assert len(ends) > 3  # the scorers differ enough to tell something


@pytest.mark.parametrize("size", [1, 2, 5])
def test_windows_that_end_at_different_times_are_as_each_alone(size: int) -> None:
    tellings = [random_telling(seed, end=-4, growth=4 / (1 + seed)) for seed in range(9)]
    options = SearchOptions(END, 12, beam_size=size)
    toy = Toy(tellings)
    paths = beam_search(toy.first(2 * size), toy, options)
    assert paths == [searched([telling], options)[0] for telling in tellings]
    for path, telling in zip(paths, tellings, strict=True):
        check(path, telling)
    assert len({len(path.tokens) for path in paths}) > 2
    assert len(toy.kept) > 1  # windows were taken out more than once


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_the_window_that_ends_may_be_anywhere_in_the_batch(order: Sequence[int]) -> None:
    """Windows that end at steps 1, 3, 5 and 7: three are taken out one by one."""

    def ends_after(count: int) -> Telling:
        def told(prefix: Prefix) -> np.ndarray:
            scores = random_telling(count)(prefix)
            scores[END] = 9.0 if len(prefix) == count else -9.0
            return scores - np.logaddexp.reduce(scores)

        return told

    tellings = [ends_after(2 * i) for i in order]
    toy = Toy(tellings)
    paths = beam_search(toy.first(2), toy, replace(GREEDY, max_tokens=20))
    assert [len(path.tokens) for path in paths] == [2 * i for i in order]
    for path, telling in zip(paths, tellings, strict=True):
        check(path, telling)
    assert [len(kept) for kept in toy.kept] == [3, 2, 1]
    assert toy.steps == 6  # nobody is asked for more than the longest text takes


def test_beams_tell_the_way_back() -> None:
    """What the scorer had said in a path's beams is that path's beginning."""

    class Remembering(Toy):
        def __init__(self, tellings: Sequence[Telling]) -> None:
            super().__init__(tellings)
            self.history: list[list[Prefix]] = [self.said[0]]

        def step(self, tokens: np.ndarray, parents: np.ndarray, count: int) -> Next:
            told = super().step(tokens, parents, count)
            self.history.append(self.said[0])
            return told

    changed = False
    for seed in range(10):
        toy = Remembering([random_telling(seed, end=-1.5)])
        (path,) = beam_search(toy.first(8), toy, SearchOptions(END, 9, beam_size=4))
        told_by = path.beams if path.ended else path.beams[:-1]
        for i, beam in enumerate(told_by):
            assert toy.history[i][beam] == path.tokens[:i]
        changed |= len(set(told_by)) > 1
    assert changed


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("most", [1, 2, 7])
def test_a_text_without_an_end_is_broken_off(size: int, most: int) -> None:
    telling = random_telling(5, end=-math.inf)
    toy = Toy([telling])
    options = SearchOptions(END, most, beam_size=size)
    (path,) = beam_search(toy.first(2 * size), toy, options)
    assert len(path.tokens) == most
    assert not path.ended
    assert toy.steps == most - 1
    check(path, telling)


def test_a_text_that_ended_may_beat_one_broken_off() -> None:
    """Both count at the last step; the mean decides."""

    def told(prefix: Prefix) -> np.ndarray:
        weights = np.array([0.5, 0.3, 0.2, 0, 0, 0])
        with np.errstate(divide="ignore"):
            return np.log(weights)

    (path,) = searched([told], SearchOptions(END, 3, beam_size=2, patience=10))
    scores = {
        text: sum_of(told, text[0], ended=text[1]) / max(1, len(text[0]))
        for text in texts(3)
        if set(text[0]) <= {1, 2}
    }
    assert path.ended == max(scores, key=lambda text: scores[text])[1]
    assert path.tokens == max(scores, key=lambda text: scores[text])[0]


def saying(tokens: Sequence[int]) -> Telling:
    """Always the next of these tokens, nearly for sure."""

    def told(prefix: Prefix) -> np.ndarray:
        scores = np.full(VOCABULARY, -9.0)
        scores[tokens[len(prefix) % len(tokens)]] = 0
        return scores - np.logaddexp.reduce(scores)

    return told


@pytest.mark.parametrize("period", [1, 2, 3, 5, 8, 9, 16, 23, 24])
def test_a_greedy_loop_is_broken_off(period: int) -> None:
    round_ = [1 + i % 4 for i in range(period - 1)] + [5]
    toy = Toy([saying(round_)])
    (path,) = beam_search(toy.first(2), toy, SearchOptions(END, 200, beam_size=1, break_loops=True))
    assert not path.ended
    assert max(24, 3 * period) <= len(path.tokens) < max(24, 3 * period) + LOOP_CHECKED
    assert list(path.tokens) == (round_ * 24)[: len(path.tokens)]


def test_what_is_no_loop_goes_on() -> None:
    draw = np.random.default_rng(0)
    text = [int(token) for token in draw.integers(1, VOCABULARY, 80)]
    text[30:50] = [1, 2] * 10  # a stutter shorter than a loop
    toy = Toy([saying([*text, END])])
    (path,) = beam_search(toy.first(2), toy, SearchOptions(END, 200, beam_size=1, break_loops=True))
    assert path.ended
    assert list(path.tokens) == text


def test_a_loop_goes_on_where_nobody_looks_for_another() -> None:
    toy = Toy([saying([*[1, 2] * 20, 3, END])])
    (path,) = beam_search(toy.first(2), toy, SearchOptions(END, 200, beam_size=1))
    assert path.ended
    assert path.tokens == ((1, 2) * 20 + (3,))


def test_a_loop_in_a_wider_beam_goes_on_to_the_limit() -> None:
    def told(prefix: Prefix) -> np.ndarray:
        scores = saying([1, 2])(prefix)
        scores[END] = -np.inf
        return scores

    (path,) = searched([told], SearchOptions(END, 60, beam_size=3))
    assert path.tokens == (1, 2) * 30


def test_a_loop_beside_others_is_as_alone() -> None:
    tellings = [saying([1, 2]), saying([*[1, 2, 3, 4, 5, 5, 4] * 2, 3, END]), saying([3, 4, 4, 1])]
    options = SearchOptions(END, 50, beam_size=1, break_loops=True)
    paths = searched(tellings, options)
    assert paths == [searched([telling], options)[0] for telling in tellings]
    assert [path.ended for path in paths] == [False, True, False]


def sampled(
    tellings: Sequence[Telling], temperature: float, seed: int = 0, size: int = 1, most: int = 10
) -> list[Path]:
    toy = Toy(tellings)
    options = SearchOptions(END, most, beam_size=size, count=VOCABULARY)
    return sample(toy.first(VOCABULARY), toy, options, temperature, seed)


def test_the_same_seed_draws_the_same_texts() -> None:
    tellings = [random_telling(seed, end=-1) for seed in range(3)]
    first = sampled(tellings, 1.0, seed=3, size=4)
    assert sampled(tellings, 1.0, seed=3, size=4) == first
    others = [sampled(tellings, 1.0, seed=seed, size=4) for seed in range(4, 10)]
    assert all(other != first for other in others)
    for path, telling in zip(first, tellings, strict=True):
        check(path, telling)


@pytest.mark.parametrize("size", [1, 3])
def test_next_to_no_temperature_is_greedy(size: int) -> None:
    tellings = [random_telling(seed, end=seed % 3 - 2) for seed in range(6)]
    greedy = searched(tellings, replace(GREEDY, max_tokens=10))
    cold = sampled(tellings, 1e-7, size=size)
    assert [(path.tokens, path.ended) for path in cold] == [
        (path.tokens, path.ended) for path in greedy
    ]
    for path, telling in zip(cold, tellings, strict=True):
        check(path, telling)


def test_draws_follow_the_probabilities() -> None:
    """Of 2000 first tokens, as many of each as their share at that temperature, within 5 sigma."""
    telling, count, temperature = random_telling(1), 2000, 0.7
    shares = np.exp(telling(()) / temperature)
    shares /= shares.sum()
    paths = sampled([telling] * count, temperature, most=1)
    drawn = [path.tokens[0] if path.tokens else END for path in paths]
    found = np.bincount(drawn, minlength=VOCABULARY)
    spread = np.sqrt(count * shares * (1 - shares))
    assert (np.abs(found - count * shares) < 5 * spread).all()


def test_the_best_of_several_samples_is_taken() -> None:
    """More samples say it no worse; and each of them is a path of its own."""
    telling = random_telling(2, end=-0.5)

    def mean(path: Path) -> float:
        return path.log_prob / max(1, len(path.tokens))

    one = [mean(sampled([telling], 1.0, seed)[0]) for seed in range(30)]
    many = [mean(sampled([telling], 1.0, seed, size=8)[0]) for seed in range(30)]
    assert np.mean(many) > np.mean(one) + 0.2
