"""N-gram models against formulas written out with dicts, against kenlm's numbers, and by hand."""

import math
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from aural.decode.kneser_ney import FALLBACK, discounts, estimate
from aural.decode.language import LanguageModel, Perplexity, TokenScorer
from aural.decode.ngram import (
    BEGIN,
    END,
    UNKNOWN,
    NGramLanguageModel,
    NGramScorer,
    token_words,
)
from aural.errors import InputError
from aural.text.tokens import Tokenizer, characters, pieces, words

DOCS = Path(__file__).parents[2] / "docs"
HARBOUR = [
    line.split()
    for line in (
        "the boat left the harbour at dawn",
        "the boat came back at dusk",
        "a small boat left the harbour",
        "the harbour was quiet at dawn",
        "the gulls left the harbour at dusk",
        "the gulls came back at dawn",
        "a quiet dusk fell on the harbour",
        "the small boat was quiet",
        "dawn fell on the small harbour",
        "the gulls fell quiet",
        "the boat left",
        "dawn",
    )
]


@pytest.fixture(scope="module")
def prose() -> list[list[str]]:
    """The lines of our own pages, as words."""
    pages = (path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md")))
    lines = (re.findall(r"[a-z']+", line.lower()) for page in pages for line in page.splitlines())
    return [line for line in lines if line][:1500]


class Oracle:
    """Interpolated modified Kneser-Ney, formula by formula (Chen and Goodman 1999)."""

    def __init__(self, sentences: list[list[str]], order: int) -> None:
        self.order = order
        seen: Counter[tuple[str, ...]] = Counter()
        for sentence in sentences:
            text = (BEGIN, *sentence, END)
            for length in range(1, order + 1):
                seen.update(text[i : i + length] for i in range(len(text) - length + 1))
        before = defaultdict(set)
        for gram in seen:
            before[gram[1:]].add(gram[0])
        self.counts = {
            gram: count if len(gram) == order or gram[0] == BEGIN else len(before[gram])
            for gram, count in seen.items()
            if gram != (BEGIN,)
        }
        self.behind = defaultdict(dict)
        for gram, count in self.counts.items():
            self.behind[gram[:-1]][gram[-1]] = count
        self.vocabulary = {gram[0] for gram in self.counts if len(gram) == 1} | {UNKNOWN}
        self.taken = {length: self.discounts(length) for length in range(1, order + 1)}
        self.prob = cache(self.prob)

    def discounts(self, length: int) -> list[float]:
        counts = Counter(count for gram, count in self.counts.items() if len(gram) == length)
        n1, n2, n3, n4 = (counts[c] for c in (1, 2, 3, 4))
        if n1 and n2 and n3:
            y = n1 / (n1 + 2 * n2)
            d = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
            if all(0 < each <= i for i, each in enumerate(d, 1)):
                return [0, *d]
        return [0, 0.5, 1, 1.5]

    def prob(self, word: str, context: tuple[str, ...]) -> float:
        context = context[-(self.order - 1) :] if self.order > 1 else ()
        shorter = self.prob(word, context[1:]) if context else 1 / len(self.vocabulary)
        behind = self.behind.get(context)
        if not behind:
            return shorter
        taken = self.taken[len(context) + 1]
        total = sum(behind.values())
        gamma = sum(taken[min(count, 3)] for count in behind.values()) / total
        count = behind.get(word, 0)
        return (count - taken[min(count, 3)]) / total + gamma * shorter

    def score(self, sentence: list[str]) -> list[float]:
        known = [word if word in self.vocabulary else UNKNOWN for word in sentence]
        text = (BEGIN, *known, END)
        return [math.log(self.prob(text[i], text[:i])) for i in range(1, len(text))]


class TestEstimate:
    @pytest.mark.parametrize("order", [1, 2, 4, 6])
    def test_is_the_formulas_on_real_text(self, prose: list[list[str]], order: int) -> None:
        model, oracle = estimate(prose, order), Oracle(prose, order)
        tried = [*prose[:150], ["unheard", "of", "the", "zyx"], []]
        for sentence, scores in zip(tried, model.score(tried), strict=True):
            assert scores == pytest.approx(oracle.score(sentence), abs=1e-9)

    def test_characters_too(self, prose: list[list[str]]) -> None:
        texts = [list("▁".join(line)) for line in prose[:300]]
        model, oracle = estimate(texts, 6), Oracle(texts, 6)
        for text, scores in zip(texts[:20], model.score(texts[:20]), strict=True):
            assert scores == pytest.approx(oracle.score(text), abs=1e-9)

    @pytest.mark.parametrize("prune", [(), (0, 0, 1), (0, 1, 1, 2)])
    @pytest.mark.parametrize("vocabulary", [None, ["the", "boat", "quiet"]])
    def test_sums_to_one_in_every_state(self, prune, vocabulary) -> None:
        model = estimate(HARBOUR, 4, prune=prune, vocabulary=vocabulary)
        log_probs, _ = model.every(np.arange(model.ends[model.order - 1] + 1))
        np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, atol=1e-12)

    def test_by_hand(self) -> None:
        model = estimate([["a", "b"], ["a"]], 2)
        scores = model.score([["a", "b"], ["a"], ["c"]])
        a, b, end, nothing = 0.25, 0.25, 0.375, 0.125
        np.testing.assert_allclose(
            np.exp(scores[0]), [1 / 2 + a / 2, 1 / 4 + b / 2, 1 / 2 + end / 2]
        )
        np.testing.assert_allclose(np.exp(scores[1]), [1 / 2 + a / 2, 1 / 4 + end / 2])
        np.testing.assert_allclose(np.exp(scores[2]), [nothing / 2, end])
        found = model.perplexity([["a", "b"], ["c"]])
        product = 0.625 * 0.375 * 0.6875 * 0.0625 * 0.375
        assert found.value == pytest.approx(product ** (-1 / 5))
        assert (found.tokens, found.unknown) == (5, 1)
        assert found.per(10) == pytest.approx(product ** (-1 / 10))

    def test_a_vocabulary_counts_the_others_as_unknown(self) -> None:
        some = [["the" if word == "the" else UNKNOWN for word in line] for line in HARBOUR]
        model = estimate(HARBOUR, 3, vocabulary=["the"])
        oracle = Oracle(some, 3)
        for line, scores in zip(some, model.score(HARBOUR), strict=True):
            assert scores == pytest.approx(oracle.score(line), abs=1e-12)

    def test_prune_leaves_out_what_is_rare(self) -> None:
        whole, small = estimate(HARBOUR, 3), estimate(HARBOUR, 3, prune=(0, 1))
        trigrams = Counter(
            text[i : i + 3]
            for text in ((BEGIN, *line, END) for line in HARBOUR)
            for i in range(len(text) - 2)
        )
        assert small.counts[2] == sum(count > 1 for count in trigrams.values())
        assert small.counts[0] == whole.counts[0]
        kept = small.score([["the", "boat", "left"]])[0], whole.score([["the", "boat", "left"]])[0]
        assert small.perplexity(HARBOUR).value > whole.perplexity(HARBOUR).value
        assert kept[0][0] > -5

    def test_order_is_lowered_to_what_there_is(self) -> None:
        assert estimate([["a"]], 6).order == 3
        assert estimate([[]], 2).score([[]])[0][0] < 0

    @pytest.mark.parametrize(
        ("sentences", "order", "options"),
        [
            ([], 2, {}),
            ([["a"]], 0, {}),
            ([["a"]], 17, {}),
            ([["a", "</s>"]], 2, {}),
            ([["a b"]], 2, {}),
            ([[""]], 2, {}),
            ([["a"]], 2, {"prune": (1,)}),
            ([["a"]], 2, {"prune": (0, 2, 1)}),
            ([["a"]], 3, {"prune": (0, 2, 1)}),
        ],
    )
    def test_what_can_not_be(self, sentences, order, options) -> None:
        with pytest.raises(InputError):
            estimate(sentences, order, **options)

    def test_discounts(self) -> None:
        counts = np.repeat([1, 2, 3, 4, 9], [10, 4, 2, 1, 3])
        y = 10 / 18
        expected = [0, 1 - 2 * y * 0.4, 2 - 3 * y * 0.5, 3 - 4 * y * 0.5]
        np.testing.assert_allclose(discounts(counts), expected)
        for odd in ([], [1, 2], [2, 3], [1, 1, 3], [*[1] * 10, 2, *[3] * 10]):
            assert tuple(discounts(np.array(odd))) == (0, *FALLBACK)


class TestStates:
    """States and steps tell what is told of whole sentences."""

    def test_steps_are_scores(self, prose: list[list[str]]) -> None:
        model = estimate(prose, 4, prune=(0, 0, 1))
        for line in [*prose[:40], ["zyx", "the", "zyx", "of", "the"]]:
            state, found = np.array([model.start()]), []
            for word in [*line, END]:
                log_prob, state = model.step(state, np.array([model.number(word)]))
                found += log_prob.tolist()
            np.testing.assert_allclose(found, model.score([line])[0], atol=1e-12)

    def test_every_is_step_for_all(self) -> None:
        model = estimate(HARBOUR, 4)
        states = np.arange(model.ends[3] + 1)
        log_probs, after = model.every(states)
        size = len(model.words)
        told, then = model.step(np.repeat(states, size), np.tile(np.arange(size), len(states)))
        np.testing.assert_allclose(log_probs.ravel(), told, atol=1e-12)
        np.testing.assert_array_equal(after.ravel(), then)

    def test_none_and_no_sentence(self) -> None:
        model = estimate(HARBOUR, 2)
        assert model.score([]) == []
        assert math.isnan(model.perplexity([]).value)
        assert Perplexity(-1e6, 1000).value == math.inf


class TestScorer:
    @pytest.mark.parametrize("table_bytes", [64 << 20, 0])
    @pytest.mark.parametrize("kind", ["characters", "pieces", "words"])
    def test_scores_texts_as_the_model_does(self, kind: str, table_bytes: int) -> None:
        texts = [" ".join(line) for line in HARBOUR]
        tokenizer = {
            "characters": lambda: characters(texts),
            "pieces": lambda: pieces(texts, 40),
            "words": lambda: words(texts),
        }[kind]()
        names = token_words(tokenizer)
        lines = [[names[token] for token in tokenizer.encode(text)] for text in texts]
        model = estimate(lines[:8], 4)
        scorer: TokenScorer = NGramScorer(model, tokenizer, table_bytes=table_bytes)
        for text, own in zip(texts, model.score(lines), strict=True):
            states, found = np.array([scorer.start()]), []
            for token in (*tokenizer.encode(text), 0):
                scores = scorer.scores(states)
                assert scores.shape == (1, tokenizer.size)
                assert scores.dtype == np.float32
                found.append(scores[0, token])
                states = scorer.advance(states, np.array([token])) if token else states
                assert states.dtype == np.int64
            np.testing.assert_allclose(found, own, atol=1e-5)

    def test_many_states_at_once_and_none(self) -> None:
        tokenizer = words([" ".join(line) for line in HARBOUR])
        model = estimate(HARBOUR, 3)
        table, looked = NGramScorer(model, tokenizer), NGramScorer(model, tokenizer, table_bytes=0)
        states = np.array([5, 0, 5, model.start()])
        np.testing.assert_allclose(table.scores(states), looked.scores(states), atol=1e-6)
        tokens = np.array([1, 2, 3, 4])
        np.testing.assert_array_equal(table.advance(states, tokens), looked.advance(states, tokens))
        assert looked.scores(states[:0]).shape == (0, tokenizer.size)

    def test_is_a_language_model(self) -> None:
        texts = [" ".join(line) for line in HARBOUR]
        model = NGramLanguageModel(estimate(HARBOUR, 3), words(texts))
        assert isinstance(model, LanguageModel)
        assert model.perplexity(texts) == estimate(HARBOUR, 3).perplexity(HARBOUR)
        assert model.scorer().tokens == words(texts).size

    def test_tokens_that_can_be_no_words(self) -> None:
        with pytest.raises(InputError, match="leave one out"):
            token_words(Tokenizer("characters", (" ", "▁", "a")))
        with pytest.raises(InputError, match="can't be a word"):
            token_words(Tokenizer("characters", ("\t", "a")))
        with pytest.raises(InputError, match="can't be a word"):
            token_words(Tokenizer("words", ("<s>", "a")))
