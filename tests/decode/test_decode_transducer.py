"""Search in a transducer against brute force: every text, every way to write it."""

import itertools
import math

import numpy as np
import pytest

from aural.decode.transducer import (
    BeamSearch,
    GreedySearch,
    TransducerOptions,
    Written,
    decode,
    search,
)
from aural.errors import InputError

TOKENS = 4
WIDTH = 3


class Table:
    """A joiner whose scores depend on the frame and on the whole beginning, drawn at random."""

    def __init__(self, seed: int, sharpness: float = 1.5, blank: float = 0.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.sharpness, self.blank = sharpness, blank
        self.texts: list[tuple[int, ...] | None] = [()]
        self.weights: dict[tuple[int, ...], np.ndarray] = {}
        self.seed = seed
        self.joined = 0

    def start(self) -> int:
        return 0

    def predict(self, states: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        assert (tokens > 0).all()
        for state, token in zip(states.tolist(), tokens.tolist(), strict=True):
            before = self.texts[state]
            assert before is not None, "the state was forgotten"
            self.texts.append((*before, token))
        return np.arange(len(self.texts) - len(states), len(self.texts))

    def join(self, frame: np.ndarray, states: np.ndarray) -> np.ndarray:
        self.joined += 1
        texts = [self.texts[state] for state in states]
        assert None not in texts, "a state was forgotten"
        return np.stack([self.log_probs(frame, text) for text in texts if text is not None])

    def keep(self, states: np.ndarray) -> None:
        """What is asked for later has to be among these, or come from them."""
        self.texts = [text if i in states else None for i, text in enumerate(self.texts)]
        self.kept = len(states)

    def log_probs(self, frame: np.ndarray, text: tuple[int, ...]) -> np.ndarray:
        if text not in self.weights:
            rng = np.random.default_rng([self.seed, len(text), *text])
            self.weights[text] = self.sharpness * rng.standard_normal((WIDTH, TOKENS))
        logits = frame @ self.weights[text]
        logits[0] += self.blank
        return (logits - np.logaddexp.reduce(logits)).astype(np.float32)


class Bigram:
    """A language model over pairs of tokens."""

    tokens = TOKENS

    def __init__(self, seed: int) -> None:
        table = np.random.default_rng(seed).standard_normal((TOKENS, TOKENS))
        self.table = (table - np.logaddexp.reduce(table, axis=1, keepdims=True)).astype(np.float32)

    def start(self) -> int:
        return 0

    def scores(self, states: np.ndarray) -> np.ndarray:
        return self.table[states]

    def advance(self, states: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        return tokens.copy()

    def whole(self, text: tuple[int, ...]) -> float:
        return float(sum(self.table[a, b] for a, b in itertools.pairwise((0, *text, 0))))


def every_text(table: Table, frames: np.ndarray, longest: int, most: int) -> dict[tuple, float]:
    """log P of each text of at most longest tokens, at most `most` of them at a frame."""
    found = {}
    for length in range(longest + 1):
        for text in itertools.product(range(1, TOKENS), repeat=length):
            ways = []
            for places in itertools.combinations_with_replacement(range(len(frames)), length):
                if any(places.count(t) > most for t in range(len(frames))):
                    continue
                total, count = 0.0, 0
                for t, frame in enumerate(frames):
                    for _ in range(places.count(t)):
                        total += float(table.log_probs(frame, text[:count])[text[count]])
                        count += 1
                    total += float(table.log_probs(frame, text[:count])[0])
                ways.append(total)
            found[text] = float(np.logaddexp.reduce(ways)) if ways else -math.inf
    return found


def problem(seed: int, frames: int) -> tuple[Table, np.ndarray]:
    rng = np.random.default_rng(seed)
    return Table(seed), rng.standard_normal((frames, WIDTH)).astype(np.float32)


@pytest.mark.parametrize("seed", range(6))
def test_a_wide_beam_finds_what_brute_force_finds(seed: int) -> None:
    table, frames = problem(seed, 3)
    expected = every_text(table, frames, longest=6, most=2)
    assert max(map(len, expected)) == 3 * 2, "no text that the search could find is left out"
    best = max(expected, key=lambda text: expected[text])
    options = TransducerOptions(beam_size=256, max_symbols=2)
    found = decode(frames, table, options)
    assert found.tokens == best
    assert found.log_prob == pytest.approx(expected[best], abs=1e-5)
    assert found.score == found.log_prob


@pytest.mark.parametrize("seed", range(6))
def test_with_a_language_model_and_a_bonus(seed: int) -> None:
    table, frames = problem(seed, 2)
    model = Bigram(seed)
    acoustic = every_text(table, frames, longest=4, most=2)
    scores = {
        text: log_prob + 0.7 * model.whole(text) + 0.4 * len(text)
        for text, log_prob in acoustic.items()
    }
    best = max(scores, key=lambda text: scores[text])
    options = TransducerOptions(256, 2, language_weight=0.7, token_bonus=0.4)
    found = decode(frames, table, options, model)
    assert found.tokens == best
    assert found.score == pytest.approx(scores[best], abs=1e-5)
    assert found.log_prob == pytest.approx(acoustic[best], abs=1e-5)


def likeliest_way(table: Table, frames: np.ndarray, text: tuple[int, ...], most: int) -> tuple:
    best, chosen = -math.inf, ()
    for places in itertools.combinations_with_replacement(range(len(frames)), len(text)):
        total, count = 0.0, 0
        for t, frame in enumerate(frames):
            for _ in range(places.count(t)):
                total += float(table.log_probs(frame, text[:count])[text[count]])
                count += 1
            total += float(table.log_probs(frame, text[:count])[0])
        if max(map(places.count, places), default=0) <= most and total > best:
            best, chosen = total, places
    return chosen


@pytest.mark.parametrize("seed", range(8))
def test_times_are_those_of_the_likeliest_way(seed: int) -> None:
    table, frames = problem(seed + 50, 4)
    found = decode(frames, table, TransducerOptions(beam_size=256, max_symbols=2))
    assert found.frames == likeliest_way(table, frames, found.tokens, 2)
    for i, (token, t) in enumerate(zip(found.tokens, found.frames, strict=True)):
        expected = table.log_probs(frames[t], found.tokens[:i])[token]
        assert found.log_probs[i] == pytest.approx(float(expected), abs=1e-6)


def test_greedy_follows_the_likeliest_step() -> None:
    table, frames = problem(11, 30)
    table.blank = 1.0
    tokens: list[int] = []
    times, total = [], 0.0
    for t, frame in enumerate(frames):
        for _ in range(3):
            scores = table.log_probs(frame, tuple(tokens))
            if scores.argmax() == 0:
                break
            total += float(scores.max())
            tokens.append(int(scores.argmax()))
            times.append(t)
        total += float(table.log_probs(frame, tuple(tokens))[0])
    found = decode(frames, table, TransducerOptions(beam_size=1, max_symbols=3))
    assert len(tokens) > 5
    assert (found.tokens, found.frames) == (tuple(tokens), tuple(times))
    assert found.log_prob == pytest.approx(total, abs=1e-4)


@pytest.mark.parametrize("beam_size", [1, 2, 4])
def test_pushed_in_pieces_is_the_same(beam_size: int) -> None:
    table, frames = problem(7, 25)
    options = TransducerOptions(beam_size=beam_size)
    whole = decode(frames, table, options)
    pieces = search(table, options)
    for part in np.split(frames, [0, 1, 4, 4, 17]):
        pieces.push(part)
    assert pieces.heard == 25
    assert pieces.best(ended=True) == whole


def test_settled_tokens_never_change() -> None:
    table, frames = problem(21, 40)
    running = BeamSearch(table, TransducerOptions(beam_size=4))
    before: tuple[int, ...] = ()
    moved = 0
    for frame in frames:
        running.push(frame[None])
        now, settled = running.best().tokens, running.settled()
        assert now[: len(before)] == before
        assert settled >= len(before)
        moved += settled > len(before)
        before = now[:settled]
    assert moved > 3


def test_a_wider_beam_is_no_worse_on_the_whole() -> None:
    def total(beam_size: int) -> float:
        return sum(
            decode(frames, table, TransducerOptions(beam_size=beam_size)).log_prob
            for table, frames in (problem(seed, 8) for seed in range(12))
        )

    assert total(2) < total(8) < total(32)


def test_frames_of_blanks_cost_one_join_each() -> None:
    table, frames = problem(5, 10)
    table.blank = 30.0
    found = decode(frames, table, TransducerOptions(beam_size=1))
    assert (found.tokens, table.joined) == ((), 10)


@pytest.mark.parametrize("beam_size", [1, 4])
def test_no_frame_gives_no_text(beam_size: int) -> None:
    empty = decode(np.zeros((0, WIDTH), np.float32), Table(0), TransducerOptions(beam_size))
    assert empty == Written()


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros(3, np.float32),
        np.zeros((2, WIDTH), np.int64),
        np.full((2, WIDTH), np.nan, np.float32),
        np.full((2, WIDTH), np.inf, np.float32),
    ],
)
@pytest.mark.parametrize("beam_size", [1, 4])
def test_frames_that_are_none(frames: np.ndarray, beam_size: int) -> None:
    with pytest.raises(InputError, match="frames are"):
        decode(frames, Table(0), TransducerOptions(beam_size))


def test_options_out_of_range() -> None:
    with pytest.raises(InputError, match="beam_size is 0; give 1 to 256"):
        TransducerOptions(beam_size=0)
    with pytest.raises(InputError, match="max_symbols is 101"):
        TransducerOptions(max_symbols=101)
    with pytest.raises(InputError, match="language_weight is -1"):
        TransducerOptions(language_weight=-1)
    with pytest.raises(InputError, match="token_bonus is nan"):
        TransducerOptions(token_bonus=math.nan)


def test_a_language_model_makes_a_beam_of_one_search() -> None:
    assert isinstance(search(Table(0), TransducerOptions(1)), GreedySearch)
    assert isinstance(search(Table(0), TransducerOptions(1), Bigram(0)), BeamSearch)


def test_a_weight_of_nothing_is_no_language_model() -> None:
    class Closed(Bigram):
        """Holds most tokens for impossible, and 0 times that is no number."""

        def scores(self, states: np.ndarray) -> np.ndarray:
            found = super().scores(states).copy()
            found[:, [0, 2]] = -np.inf
            return found

    frames = np.random.default_rng(0).standard_normal((4, WIDTH))
    options = TransducerOptions(4, language_weight=0.0)
    found = decode(frames, Table(0), options, Closed(0))
    assert found == decode(frames, Table(0), options)
    assert np.isfinite(found.score)


@pytest.mark.parametrize("beam_size", [1, 4])
def test_what_is_forgotten_changes_nothing(beam_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = np.random.default_rng(1).standard_normal((60, WIDTH)).astype(np.float32)
    options = TransducerOptions(beam_size, max_symbols=2)
    expected = decode(frames, Table(5), options)
    monkeypatch.setattr("aural.decode.transducer.FORGET_FRAMES", 2)
    table = Table(5)
    found = search(table, options)
    found.push(frames)
    assert found.best() == expected
    assert len(expected.tokens) > 10
    assert table.kept <= 4 * beam_size
    if isinstance(found, BeamSearch):
        seen, waiting = 0, [next(iter(found._beams))]
        while waiting[0].parent is not None:
            waiting = [waiting[0].parent]
        while waiting:
            seen += 1
            waiting += waiting.pop().after.values()
        assert seen <= len(expected.tokens) + 8 * beam_size
