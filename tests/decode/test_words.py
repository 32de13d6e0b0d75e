"""A word model over letters and pieces: what a text is given is the sum over its words."""

import itertools

import numpy as np
import pytest

from aural.decode.kneser_ney import estimate
from aural.decode.language import TokenScorer
from aural.decode.ngram import END, UNKNOWN, NGramModel
from aural.decode.words import WordOptions, WordScorer
from aural.errors import InputError
from aural.text.tokens import Tokenizer, characters, pieces, words

TEXTS = [
    "the boat left the harbour",
    "the gulls left at dawn",
    "a boat at the harbour",
    "dawn at the harbour",
    "the boat",
]
LEXICON = {"the", "boat", "left", "harbour", "gulls", "at", "dawn", "a"}


@pytest.fixture(scope="module")
def model() -> NGramModel:
    return estimate([text.split() for text in TEXTS], 3)


def follow(scorer: TokenScorer, tokens: tuple[int, ...]) -> np.ndarray:
    """What each token of a text and its end are given."""
    states, found = np.array([scorer.start()]), []
    for token in (*tokens, 0):
        scores = scorer.scores(states)
        assert scores.shape == (1, scorer.tokens)
        assert scores.dtype == np.float32
        assert not np.isnan(scores).any()
        found.append(float(scores[0, token]))
        if token:
            states = scorer.advance(states, np.array([token]))
            assert states.dtype == np.int64
    return np.array(found)


def by_hand(model: NGramModel, text: str, options: WordOptions) -> float:
    parts = model.score([text.split()])[0].sum()
    for word in text.split():
        parts += options.word_bonus
        parts += options.unknown_penalty if word not in model.words else 0
        if options.closed and word not in LEXICON:
            return -np.inf
    return parts


def tokenizers() -> dict[str, Tokenizer]:
    more = [*TEXTS, "goats that boat bathe"]
    return {"characters": characters(more), "pieces": pieces(more, 45)}


@pytest.mark.parametrize("kind", ["characters", "pieces"])
@pytest.mark.parametrize(
    "options",
    [
        WordOptions(closed=closed, look_ahead=ahead, word_bonus=bonus, unknown_penalty=penalty)
        for closed, ahead, (bonus, penalty) in itertools.product(
            (False, True), (False, True), ((0.0, -10.0), (1.5, -3.0))
        )
    ],
)
def test_a_text_has_the_score_of_its_words(model, kind: str, options: WordOptions) -> None:
    tokenizer = tokenizers()[kind]
    scorer = WordScorer(model, tokenizer, options)
    for text in [*TEXTS, "boat the at", "the goats", "bo boats at", "that", "", "dawnn a"]:
        found = follow(scorer, tokenizer.encode(text))
        expected = by_hand(model, text, options)
        assert found.sum() == pytest.approx(expected, abs=1e-4)


def test_letters_cost_nothing_without_look_ahead(model) -> None:
    tokenizer = tokenizers()["characters"]
    found = follow(WordScorer(model, tokenizer), tokenizer.encode("the boat"))
    own = model.score([["the", "boat"]])[0]
    np.testing.assert_allclose(found, [0, 0, 0, own[0], 0, 0, 0, 0, own[1] + own[2]], atol=1e-6)


def test_look_ahead_tells_early(model) -> None:
    """The first letter has the score of the likeliest word that begins so."""
    tokenizer = tokenizers()["characters"]
    scorer = WordScorer(model, tokenizer, WordOptions(look_ahead=True))
    first = scorer.scores(np.array([scorer.start()]))[0]
    alone = {word: model.log_probs[model.number(word) + 1] for word in LEXICON}
    unknown = model.log_probs[model.number(UNKNOWN) + 1] - 10
    for number, letter in enumerate(tokenizer.symbols, 1):
        begun = [score for word, score in alone.items() if word.startswith(letter)]
        if letter != " ":
            assert first[number] == pytest.approx(max([*begun, unknown]), abs=1e-5)


def test_a_word_cut_otherwise_is_the_same_word(model) -> None:
    symbols = ("▁", "▁th", "e", "t", "h", "▁t", "he", "▁bo", "at", "a", "b", "o")
    tokenizer = Tokenizer("pieces", symbols)
    number = {symbol: i for i, symbol in enumerate(symbols, 1)}
    scorer = WordScorer(model, tokenizer, WordOptions(closed=True, look_ahead=True))
    cuts = [("▁th", "e"), ("▁t", "he"), ("▁", "t", "he"), ("▁", "t", "h", "e"), ("t", "h", "e")]
    sums = [
        follow(scorer, tuple(number[piece] for piece in (*cut, "▁bo", "at"))).sum() for cut in cuts
    ]
    np.testing.assert_allclose(sums, model.score([["the", "boat"]])[0].sum(), atol=1e-5)


def test_closed_allows_only_what_goes_on_to_a_word(model) -> None:
    tokenizer = tokenizers()["characters"]
    scorer = WordScorer(model, tokenizer, WordOptions(closed=True), lexicon=["boat", "bob"])
    states = np.array([scorer.start()])
    for prefix, after in (("", "b"), ("b", "o"), ("bo", "ab"), ("boa", "t"), ("boat", "")):
        allowed = np.isfinite(scorer.scores(states)[0])
        letters = {tokenizer.symbols[i - 1] for i in np.flatnonzero(allowed) if i}
        ends = {" "} if prefix in ("", "boat") else set()
        assert letters == set(after) & set(tokenizer.symbols) | ends
        assert allowed[0] == bool(ends)
        for letter in after[:1]:
            states = scorer.advance(states, np.array([tokenizer.encode(letter)[0]]))


def test_runs_of_spaces_are_no_words(model) -> None:
    tokenizer = tokenizers()["characters"]
    space = tokenizer.symbols.index(" ") + 1
    once = tokenizer.encode("the boat")
    scorer = WordScorer(model, tokenizer)
    twice = (space, *once[:3], space, *once[3:], space, space)
    assert follow(scorer, twice).sum() == pytest.approx(follow(scorer, once).sum(), abs=1e-5)


def test_many_beginnings_at_once(model) -> None:
    tokenizer = tokenizers()["characters"]
    for options in (WordOptions(), WordOptions(closed=True, look_ahead=True)):
        scorer = WordScorer(model, tokenizer, options)
        states = np.array([scorer.start()])
        for letter in "the b":
            tokens = np.arange(1, scorer.tokens)
            fan = scorer.advance(np.repeat(states[-1:], len(tokens)), tokens)
            together = scorer.scores(fan)
            apart = np.concatenate([scorer.scores(fan[i : i + 1]) for i in range(len(fan))])
            np.testing.assert_array_equal(together, apart)
            number = np.array([tokenizer.symbols.index(letter) + 1])
            states = scorer.advance(states[-1:], number)
        assert scorer.scores(states[:0]).shape == (0, scorer.tokens)


def test_what_can_not_be(model) -> None:
    with pytest.raises(InputError, match="NGramScorer"):
        WordScorer(model, words(TEXTS))
    with pytest.raises(InputError, match="no word"):
        WordScorer(model, characters(["XYZ"]))
    with pytest.raises(InputError, match="word_bonus"):
        WordOptions(word_bonus=np.nan)
    assert END not in LEXICON
