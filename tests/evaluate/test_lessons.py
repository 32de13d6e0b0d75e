"""What errors teach: planted confusions, kinds and faults are found, and no others."""

import time

import pytest

from aural.data.utterance import Utterance
from aural.evaluate.lessons import (
    CAUSES,
    KindErrors,
    confusions,
    kinds_of_words,
    lessons,
    loops,
    script,
    symptoms,
    written_kinds,
)
from aural.evaluate.scoring import Outcome, Row, score_row
from aural.text.normalise import normaliser


def plain(text: str) -> str:
    return text.lower().replace(".", "").replace(",", "")


def rows(*pairs: tuple[str, str], duration: float = 0.0) -> list[Row]:
    return [
        score_row(
            Utterance(f"u{i}", f"u{i}.wav", said),  # type: ignore[arg-type]
            Outcome(f"u{i}", heard, duration=duration),
            plain,
        )
        for i, (said, heard) in enumerate(pairs)
    ]


GOOD = [(f"this is the sentence number {word}",) * 2 for word in ("a", "b", "c", "d", "e", "f")]


def test_confusions_are_counted_as_the_errors_are() -> None:
    found = confusions(
        rows(("the cat sat", "the hat sat"), ("a cat", "a hat"), ("a big dog", "big dog too")),
        plain,
    )
    assert [(each.said, each.heard, each.count, each.utterances) for each in found] == [
        ("cat", "hat", 2, 2), ("", "too", 1, 1), ("a", "", 1, 1),
    ]  # fmt: skip


def test_confusions_add_up_to_the_word_errors() -> None:
    made = rows(("one two three four", "one too free"), ("five", "five five six"), ("x", ""))
    total = sum(row.words.errors for row in made)
    assert sum(each.count for each in confusions(made, plain)) == total


def test_kinds_of_written_words() -> None:
    text = "Call Anna at NASA. Then dial 42 or twenty. Anna-Maria said “Go” to the BBC's man"
    found = dict(written_kinds(text))
    assert {word for word, kind in found.items() if kind == "name"} == {"Anna"}
    assert {word for word, kind in found.items() if kind == "number"} == {"42", "twenty"}
    assert found["NASA"] == found["BBC's"] == "acronym"
    assert found["Then"] == found["Go"] == "other"
    assert dict(written_kinds("HELLO FROM NASA")) == dict.fromkeys(
        ("HELLO", "FROM", "NASA"), "other"
    )


def test_a_word_is_wrong_where_it_stands_and_nowhere_else() -> None:
    made = rows(("the cat saw the dog and the bird", "the cat saw a dog and the bird"))
    found = {each.kind: each for each in kinds_of_words(made, plain)}
    assert found["other"] == KindErrors("other", 3, 1, ("the",))
    assert found["said once"].wrong == 0


def test_words_that_the_sentence_normalises_otherwise() -> None:
    def numbered(text: str) -> str:
        return plain(text).replace("twenty one", "21")

    made = [
        score_row(
            Utterance("u", "u.wav", "at twenty one Anna met Anna"),  # type: ignore[arg-type]
            Outcome("u", "at 21 hanna met anna", duration=2.0),
            numbered,
        )
    ]
    found = {each.kind: (each.said, each.wrong) for each in kinds_of_words(made, numbered)}
    assert found["name"] == (2, 1)
    assert found["number"][1] == 0


def test_a_long_text_takes_no_longer_a_word() -> None:
    began = time.perf_counter()
    text = "Word is here, Mr. Smith " * 5_000
    assert sum(kind == "name" for _, kind in written_kinds(text)) == 9_999
    assert time.perf_counter() - began < 5  # by the square it is thirty


def test_errors_by_kind() -> None:
    made = rows(
        ("we met Anna at the station", "we met hannah at the station"),
        ("we met Bert at the station", "we met bert at the station"),
        ("we met 42 at the ford", "we met 42 at the fort"),
        ("we met at the station", "we met at station"),
    )
    found = {each.kind: each for each in kinds_of_words(made, plain)}
    assert found["name"] == KindErrors("name", 2, 1, ("Anna",))
    assert (found["number"].said, found["number"].wrong) == (1, 0)
    assert found["said once"] == KindErrors("said once", 1, 1, ("ford",))
    assert found["other"].wrong == 1
    assert found["name"].rate == 0.5


PLANTED = {
    "nothing written": [("hello there you", "")],
    "the same text each time": [(f"line {i} of it", "thank you for that") for i in range(9)],
    "goes round in circles": [("and so it was", "and so and so and so and so and so")],
    "far too long": [("yes", "yes we were there at the time of the war")],
    "cut short": [("we went home before it was dark", "we went")],
    "the text of another utterance": [
        ("the first line here", "the second line here"),
        ("the second line here", "the third line here"),
        ("the third line here", "the first line here"),
    ],
    "another script": [("privet kak dela", "привет как дела")],
    "right but for spaces": [("the every day bus", "the everyday bus")],
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_and_no_other(name: str) -> None:
    found = symptoms(rows(*GOOD, *PLANTED[name]), plain)
    assert [each.name for each in found] == [name]
    assert found[0].utterances == len(PLANTED[name])
    assert found[0].of == len(GOOD) + len(PLANTED[name])
    assert found[0].examples[0] == f"u{len(GOOD)}"
    assert found[0].causes == CAUSES[name]


def test_a_recording_too_short_for_its_words() -> None:
    made = rows(("ten words that nobody says in a second at all",) * 2, duration=1.0)
    assert [each.name for each in symptoms(made, plain)] == ["more words than could be said"]


def test_nothing_is_found_where_all_is_well_or_empty() -> None:
    assert symptoms(rows(*GOOD, ("", "noise")), plain) == []
    assert symptoms([], plain) == []
    assert lessons([], plain) == lessons(rows(("", "")), plain)


def test_every_cause_has_its_test() -> None:
    assert set(CAUSES) == {*PLANTED, "more words than could be said"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a a a a", True),
        ("a a a", False),
        ("well a b a b a b a b end", True),
        ("a b a b a b", False),
        ("", False),
        ("a b c d a b c e a b c d a b c d", False),
    ],
)
def test_loops(text: str, expected: bool) -> None:
    assert loops(text.split()) == expected


def test_script() -> None:
    assert script(["abc", "д"]) == "LATIN"
    assert script(["привет"]) == "CYRILLIC"
    assert script(["12", "…"]) == ""


def test_a_failed_utterance_teaches_nothing() -> None:
    failed = score_row(
        Utterance("x", "x.wav", "never heard"),  # type: ignore[arg-type]
        Outcome("x", "", error="AudioError: gone"),
        plain,
    )
    assert lessons([failed], normaliser("none")).symptoms == ()
