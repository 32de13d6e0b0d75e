"""Error counts equal jiwer's, count by count."""

import math
import time

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aural.metrics.wer import ErrorCounts, align, character_errors, count_errors, total, word_errors

# Few distinct words make many alignments of equal cost, which is where implementations differ.
SENTENCES = st.lists(st.sampled_from(["a", "b", "c", "dd", "é"]), max_size=14).map(" ".join)
TEXTS = st.text(alphabet="ab é字", max_size=20)


def jiwer_counts(output: jiwer.WordOutput | jiwer.CharacterOutput) -> ErrorCounts:
    return ErrorCounts(output.hits, output.substitutions, output.deletions, output.insertions)


@settings(max_examples=500, deadline=None)
@given(SENTENCES, SENTENCES)
def test_word_counts_equal_jiwers(reference: str, hypothesis: str) -> None:
    expected = jiwer.process_words(reference, hypothesis)
    counts = word_errors(reference, hypothesis)
    assert counts == jiwer_counts(expected)
    if reference:
        assert counts.rate == expected.wer


@settings(max_examples=500, deadline=None)
@given(TEXTS, TEXTS)
def test_character_counts_equal_jiwers(reference: str, hypothesis: str) -> None:
    expected = jiwer.process_characters(reference, hypothesis)
    counts = character_errors(reference, hypothesis)
    assert counts == jiwer_counts(expected)
    if reference.strip():
        assert counts.rate == expected.cer


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=8))
def test_a_corpus_equals_jiwers(pairs: list[tuple[str, str]]) -> None:
    expected = jiwer.process_words([r for r, _ in pairs], [h for _, h in pairs])
    assert total(word_errors(r, h) for r, h in pairs) == jiwer_counts(expected)


@settings(max_examples=200, deadline=None)
@given(SENTENCES, SENTENCES)
def test_an_alignment_has_the_counts_and_every_token_once_in_order(left: str, right: str) -> None:
    reference, hypothesis = left.split(), right.split()
    steps = align(reference, hypothesis)
    counts = word_errors(left, right)
    kinds = [step.kind for step in steps]
    assert kinds.count("hit") == counts.hits
    assert kinds.count("substitution") == counts.substitutions
    assert kinds.count("deletion") == counts.deletions
    assert kinds.count("insertion") == counts.insertions
    ours = [step.reference for step in steps if step.reference is not None]
    theirs = [step.hypothesis for step in steps if step.hypothesis is not None]
    assert ours == list(range(len(reference)))
    assert theirs == list(range(len(hypothesis)))
    for step in steps:
        if step.reference is not None and step.hypothesis is not None:
            same = reference[step.reference] == hypothesis[step.hypothesis]
            assert same == (step.kind == "hit")


@pytest.mark.parametrize(
    ("reference", "hypothesis", "counts", "rate"),
    [
        ("", "", ErrorCounts(), 0.0),
        ("", "two words", ErrorCounts(insertions=2), math.inf),
        ("two words", "", ErrorCounts(deletions=2), 1.0),
        ("a b c", "a x c d", ErrorCounts(2, 1, 0, 1), 2 / 3),
        ("tab\tand\nline", "tab and line", ErrorCounts(3), 0.0),
    ],
)
def test_known_cases(reference: str, hypothesis: str, counts: ErrorCounts, rate: float) -> None:
    assert word_errors(reference, hypothesis) == counts
    assert counts.rate == rate


def test_lengths_come_from_the_counts() -> None:
    counts = word_errors("a b c d", "a x d e f")
    assert (counts.reference, counts.hypothesis) == (4, 5)


def test_three_hours_of_words_align_in_a_moment() -> None:
    reference = [f"w{index % 997}" for index in range(30_000)]
    hypothesis = [f"w{index % 991}" for index in range(30_000)]
    start = time.process_time()
    count_errors(reference, hypothesis)
    assert time.process_time() - start < 20
