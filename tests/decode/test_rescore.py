"""Rescoring, and a network's scorer, against sums written out."""

from dataclasses import dataclass

import numpy as np
import pytest

from aural.decode.kneser_ney import estimate
from aural.decode.neural import NeuralScorer
from aural.decode.ngram import NGramScorer, token_words
from aural.decode.rescore import rescore, text_log_probs
from aural.errors import InputError
from aural.text.tokens import words

TEXTS = ["the boat left", "the boat came back", "a boat left", "the gulls left"]


@dataclass(frozen=True)
class Found:
    tokens: tuple[int, ...]
    log_prob: float


@pytest.fixture(scope="module")
def scorer() -> NGramScorer:
    return NGramScorer(estimate([text.split() for text in TEXTS], 3), words(TEXTS))


def score_of(scorer: NGramScorer, tokens: tuple[int, ...]) -> float:
    names = token_words(words(TEXTS))
    return float(scorer.model.score([[names[token] for token in tokens]])[0].sum())


def test_rescore_is_the_weighted_sum(scorer) -> None:
    encode = words(TEXTS).encode
    texts = ["back the boat", "the boat left", "gulls boat", "", "the boat left the gulls"]
    nbest = [Found(encode(text), -float(i)) for i, text in enumerate(texts)]
    found = rescore(nbest, scorer, 0.7, 0.4)
    expected = {
        each: each.log_prob + 0.7 * score_of(scorer, each.tokens) + 0.4 * len(each.tokens)
        for each in nbest
    }
    for each in found:
        assert each.score == pytest.approx(expected[each.candidate], abs=1e-4)
        assert each.language == pytest.approx(score_of(scorer, each.candidate.tokens), abs=1e-4)
    order = sorted(nbest, key=lambda each: -expected[each])
    assert [each.candidate for each in found] == order
    assert order != nbest


def test_without_weight_the_order_stays(scorer) -> None:
    nbest = [Found((1,), -1.0), Found((2,), -1.0), Found((3, 2), -1.5)]
    assert [each.candidate for each in rescore(nbest, scorer, 0.0)] == nbest
    assert rescore([], scorer, 1.0) == []
    with pytest.raises(InputError, match="nan"):
        rescore(nbest, scorer, float("nan"))


def test_a_function_of_beginnings_is_a_scorer(scorer) -> None:
    asked = []

    def log_probs(beginnings):
        asked.append(list(beginnings))
        rows = []
        for text in beginnings:
            state = np.array([scorer.start()])
            for token in text:
                state = scorer.advance(state, np.array([token]))
            rows.append(scorer.scores(state)[0])
        return np.array(rows)

    texts = [words(TEXTS).encode(text) for text in TEXTS]
    neural = NeuralScorer(log_probs, scorer.tokens)
    np.testing.assert_array_equal(text_log_probs(texts, neural), text_log_probs(texts, scorer))
    beginnings = [text for batch in asked for text in batch]
    assert len(beginnings) == len(set(beginnings)), "nothing is asked for twice"
    assert len(asked) == 5, "a step asks at once"
    again = len(asked)
    text_log_probs(texts, neural)
    assert len(asked) == again

    forgetful = NeuralScorer(log_probs, scorer.tokens, rows=1)
    np.testing.assert_array_equal(text_log_probs(texts, forgetful), text_log_probs(texts, scorer))
    assert neural.scores(np.zeros(0, np.int64)).shape == (0, scorer.tokens)
    with pytest.raises(InputError, match="rows is 0"):
        NeuralScorer(log_probs, 3, rows=0)
