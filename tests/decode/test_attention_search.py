"""The search of attention decoders against every text there is."""

import functools
import itertools
from collections.abc import Callable

import numpy as np
import pytest

from aural.decode.attention import AttentionOptions, attention_search
from aural.errors import InputError

TOKENS = 4
Prefix = tuple[int, ...]


@functools.cache
def told_by(seed: int, tokens: int = TOKENS) -> Callable[[Prefix], np.ndarray]:
    """Log probabilities that depend on all that was said."""

    @functools.cache
    def tell(said: Prefix) -> np.ndarray:
        rng = np.random.default_rng([seed, len(said), *said])
        scores = rng.normal(0, 1.5, tokens)
        return (scores - np.logaddexp.reduce(scores)).astype(np.float32)

    return tell


class Toy:
    """A Teller that remembers what each row has said."""

    def __init__(self, seeds: list[int], tokens: int = TOKENS) -> None:
        self.tells = [told_by(seed, tokens) for seed in seeds]
        self.said: list[tuple[int, Prefix]] = [(i, ()) for i in range(len(seeds))]

    def first(self) -> np.ndarray:
        return np.stack([tell(()) for tell in self.tells])

    def step(self, tokens: np.ndarray, rows: np.ndarray, windows: np.ndarray) -> np.ndarray:
        before = [self.said[row] for row in rows.tolist()]
        assert [window for window, _ in before] == windows.tolist()
        self.said = [
            (window, (*said, token))
            for (window, said), token in zip(before, tokens.tolist(), strict=True)
        ]
        return np.stack([self.tells[window](said) for window, said in self.said])


class Language:
    """A TokenScorer that remembers what led to a state."""

    def __init__(self, seed: int, tokens: int = TOKENS) -> None:
        self.tokens, self.tell = tokens, told_by(1000 + seed, tokens)
        self.said: list[Prefix] = [()]

    def start(self) -> int:
        return 0

    def scores(self, states: np.ndarray) -> np.ndarray:
        return np.stack([self.tell(self.said[state]) for state in states.tolist()])

    def advance(self, states: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        assert (tokens > 0).all()
        first = len(self.said)
        self.said += [
            (*self.said[state], token)
            for state, token in zip(states.tolist(), tokens.tolist(), strict=True)
        ]
        return np.arange(first, len(self.said))


def score(seed: int, text: Prefix, limit: int, options: AttentionOptions, fused: bool) -> float:
    """What the search maximises, written out; -inf for a text that may not end there."""
    total = 0.0
    for place in range(len(text) + 1):
        said, ending = text[:place], place == len(text)
        told = told_by(seed)(said)
        token = 0 if ending else text[place]
        judged = ending and place < limit and options.end_threshold is not None
        if judged and not told[0] > options.end_threshold * max(told[1:]):
            return -np.inf
        total += float(told[token])
        if fused:
            total += options.language_model_weight * float(told_by(1000 + seed)(said)[token])
        if not ending:
            total += options.token_bonus
    return total / max(1, len(text)) ** options.length_penalty


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        AttentionOptions(512, max_ratio=0.5),
        AttentionOptions(512, max_ratio=0.5, length_penalty=0.0),
        AttentionOptions(512, max_ratio=0.5, end_threshold=1.3, token_bonus=0.4),
        AttentionOptions(512, max_ratio=0.5, length_penalty=0.6, language_model_weight=1.1),
    ],
)
def test_a_beam_of_all_finds_the_best_of_every_text(options: AttentionOptions, fused: bool) -> None:
    """A window's limit is 4 tokens: 8 states times max_ratio."""
    lengths = set()
    for seed in range(8):
        language = Language(seed) if fused else None
        (path,) = attention_search(Toy([seed]), np.array([8]), options, language)
        texts = [text for count in range(5) for text in itertools.product((1, 2, 3), repeat=count)]
        scores = {text: score(seed, text, 4, options, fused) for text in texts}
        assert path.tokens == max(scores, key=scores.__getitem__)
        found = path.log_prob / max(1, len(path.tokens)) ** options.length_penalty
        assert found == pytest.approx(scores[path.tokens], abs=1e-5)
        lengths.add(len(path.tokens))
    assert len(lengths) > 1


@pytest.mark.parametrize("beam_size", [1, 2, 5])
@pytest.mark.parametrize("patience", [1.0, 2.0])
def test_a_batch_is_as_each_window_alone(beam_size: int, patience: float) -> None:
    options = AttentionOptions(beam_size, patience, max_ratio=1.0, end_threshold=1.5)
    seeds, states = list(range(9)), np.array([9, 1, 5, 2, 8, 3, 3, 7, 1])
    together = attention_search(Toy(seeds), states, options)
    for seed, count, path in zip(seeds, states, together, strict=True):
        (alone,) = attention_search(Toy([seed]), np.array([count]), options)
        assert path == alone
        assert len(path.tokens) <= count
        assert np.isfinite(path.log_prob)
    assert len({len(path.tokens) for path in together}) > 2


@pytest.mark.parametrize("tokens", [2, 3])
def test_a_beam_wider_than_the_vocabulary(tokens: int) -> None:
    """Beams that have no text take no part: the end of none of them is found."""
    options = AttentionOptions(6, max_ratio=1.0, length_penalty=0.0)
    for seed in range(10):
        (path,) = attention_search(Toy([seed], tokens), np.array([3]), options)
        assert np.isfinite(path.log_prob)
        tell = told_by(seed, tokens)
        texts = itertools.chain.from_iterable(
            itertools.product(range(1, tokens), repeat=count) for count in range(4)
        )

        def total(text: Prefix, tell: Callable[[Prefix], np.ndarray] = tell) -> float:
            return sum(float(tell(text[:i])[token]) for i, token in enumerate((*text, 0)))

        assert path.tokens == max(texts, key=total)


def test_the_language_model_decides_between_what_sounds_alike() -> None:
    class Deaf(Toy):
        def first(self) -> np.ndarray:
            return np.log(np.full((1, TOKENS), 0.25, np.float32))

        def step(self, tokens: np.ndarray, rows: np.ndarray, windows: np.ndarray) -> np.ndarray:
            return np.log(np.full((len(tokens), TOKENS), 0.25, np.float32))

    class Saying(Language):
        def __init__(self) -> None:
            super().__init__(0)
            self.tell = lambda said: np.where(
                np.arange(4) == ((3, 1, 2, 0)[min(len(said), 3)]), 0.0, -9.0
            ).astype(np.float32)

    for weight, text in ((1.0, (3, 1, 2)), (0.0, ())):
        options = AttentionOptions(4, length_penalty=0.0, language_model_weight=weight)
        (path,) = attention_search(Deaf([0]), np.array([6]), options, Saying())
        assert path.tokens == text


def test_no_windows() -> None:
    assert attention_search(Toy([]), np.zeros(0, int), AttentionOptions()) == []


def test_a_language_model_of_other_tokens_is_refused() -> None:
    with pytest.raises(InputError, match="5 tokens and the recogniser 4"):
        attention_search(Toy([0]), np.array([3]), AttentionOptions(), Language(0, 5))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("beam_size", 0),
        ("patience", 0.1),
        ("length_penalty", np.nan),
        ("max_ratio", 0.0),
        ("end_threshold", -1.0),
        ("token_bonus", np.inf),
    ],
)
def test_options_out_of_range(name: str, value: float) -> None:
    with pytest.raises(InputError, match=name):
        AttentionOptions(**{name: value})


def test_a_weight_of_nothing_is_no_language_model() -> None:
    class Impossible:
        tokens = TOKENS

        def start(self) -> int:
            return 0

        def scores(self, states: np.ndarray) -> np.ndarray:
            return np.full((len(states), TOKENS), -np.inf, np.float32)

        def advance(self, states: np.ndarray, tokens: np.ndarray) -> np.ndarray:
            return states

    options = AttentionOptions(language_model_weight=0.0)
    found = attention_search(Toy([0]), np.array([3]), options, Impossible())
    assert found == attention_search(Toy([0]), np.array([3]), options)
