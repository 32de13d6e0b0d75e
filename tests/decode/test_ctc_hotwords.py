"""A text gains its phrases' bonus, and nothing else, however it gets there."""

import itertools

import numpy as np
import pytest

from aural.decode.hotwords import Hotwords
from aural.errors import InputError

TOKENS = 4
SPACE = 3


def told(scorer: Hotwords, text: tuple[int, ...]) -> list[float]:
    """What each token brings, and ending."""
    state, gains = np.array([scorer.start()]), []
    for token in text:
        gains.append(float(scorer.scores(state)[0, token]))
        state = scorer.advance(state, np.array([token]))
    return [*gains, float(scorer.scores(state)[0, 0])]


def occurrences(text: tuple[int, ...], phrase: tuple[int, ...]) -> int:
    return sum(text[i : i + len(phrase)] == phrase for i in range(len(text)))


def texts(longest: int) -> list[tuple[int, ...]]:
    return [
        text
        for length in range(longest + 1)
        for text in itertools.product(range(1, TOKENS), repeat=length)
    ]


PHRASES = [
    [(1, 2)],
    [(1,), (1, 1)],
    [(1, 2, 1), (2, 1, 3), (2,)],
    [(1, 1, 1, 2), (1, 1, 2), (1, 3)],
    [(1, 3, 2), (3, 2), (1,)],
]


@pytest.mark.parametrize("phrases", PHRASES)
def test_a_text_gains_what_its_phrases_bring(phrases: list[tuple[int, ...]]) -> None:
    bonuses = [0.5, 1.25, 2.0][: len(phrases)]
    scorer = Hotwords(phrases, TOKENS, bonus=bonuses)
    for text in texts(6):
        wanted = sum(
            bonus * len(phrase) * occurrences(text, phrase)
            for bonus, phrase in zip(bonuses, phrases, strict=True)
        )
        assert sum(told(scorer, text)) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("phrases", PHRASES)
def test_with_a_boundary_only_whole_words_count(phrases: list[tuple[int, ...]]) -> None:
    phrases = [phrase for phrase in phrases if phrase[0] != SPACE and phrase[-1] != SPACE]
    scorer = Hotwords(phrases, TOKENS, bonus=1.5, boundary=SPACE)
    for text in texts(6):
        padded = (SPACE, *text, SPACE)
        wanted = sum(
            1.5 * len(phrase) * occurrences(padded, (SPACE, *phrase, SPACE)) for phrase in phrases
        )
        assert sum(told(scorer, text)) == pytest.approx(wanted, abs=1e-5)


def test_the_bonus_is_lent_while_a_phrase_is_said() -> None:
    scorer = Hotwords([(1, 2, 2)], TOKENS, bonus=2.0)
    assert told(scorer, (1, 2, 2)) == [2, 2, 2, 0]
    assert told(scorer, (1, 2, 1)) == [2, 2, -2, -2]
    assert told(scorer, (1, 2, 3)) == [2, 2, -4, 0]


@pytest.mark.parametrize(
    ("phrases", "more"),
    [
        ([], {}),
        ([()], {}),
        ([(0,)], {}),
        ([(TOKENS,)], {}),
        ([(1,)], {"boundary": 0}),
        ([(1,)], {"bonus": [1.0, 2.0]}),
        ([(1,)], {"bonus": float("nan")}),
        ([(1,)], {"tokens": 1 << 27}),
    ],
)
def test_what_are_no_phrases_is_said(phrases: list[tuple[int, ...]], more: dict) -> None:
    with pytest.raises(InputError, match="give"):
        Hotwords(phrases, **{"tokens": TOKENS, **more})
