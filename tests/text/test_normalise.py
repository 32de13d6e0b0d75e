"""Normalisers equal the independent copy in transformers, quirk for quirk."""

import hashlib
import random
import re
import string
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.whisper.english_normalizer import (
    BasicTextNormalizer,
    EnglishTextNormalizer,
)

from aural.errors import UnknownName
from aural.text import english_numbers
from aural.text.normalise import NORMALISERS, Normaliser, normaliser
from aural.text.whisper_english import american_spellings

ENGLISH = EnglishTextNormalizer(american_spellings())
BASIC = BasicTextNormalizer()
ODD_TEXT = (
    "$5 £3.20 10 0 1 100 2.5 1,000 1960s 21st ¢7 50% % $ a half the won't it's mr st he'd been "
    "they'd (uh) [noise] <b> colour hmm 3.1.2 -5 +3 €0.07 $0.05 ninth 1s o'clock 1one 10th ٣ ½ ² "
    "1. ... . Æsir straße café don't we'll Mr. Dr. St. capt '"
)
ODD_PIECES = [*re.findall(r"\S+", ODD_TEXT), "and a half", "'s got", "he 'll"]
VOCABULARY = sorted(english_numbers.NUMBER_WORDS) + ODD_PIECES * 4 + list(string.punctuation)
VOCABULARY += sorted(english_numbers.DECIMALS | english_numbers.CURRENCIES.keys()) * 4
VOCABULARY += ["and", "point", "double", "triple", "per", "cent", "percent", "minus", "plus"] * 8


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("twenty one", "21"),
        ("one oh one", "101"),
        ("the nineteen sixties", "the 1960s"),
        ("twenty million dollars", "$20000000"),
        ("two dollars and seven cents", "$2.07"),
        ("two and a half percent", "2.5%"),
        ("double seven", "77"),
        ("one", "one"),
        ("Mr. Brown won't honour the colour [laughs]", "mister brown will not honor the color"),
    ],
)
def test_english_gives_what_its_documentation_says(text: str, expected: str) -> None:
    assert normaliser("whisper-english")(text).strip() == expected


def test_english_equals_the_reference_on_many_mixtures_of_number_words() -> None:
    choose = random.Random(20221206)
    for _ in range(15_000):
        words = [choose.choice(VOCABULARY) for _ in range(choose.randint(1, 9))]
        text = choose.choice([" ", " ", " ", "", "-"]).join(words)
        assert normaliser("whisper-english")(text) == ENGLISH(text), text


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(VOCABULARY) | st.text(max_size=8), max_size=8).map(" ".join))
def test_both_equal_the_reference_on_any_text(text: str) -> None:
    assert normaliser("whisper-english")(text) == ENGLISH(text)
    assert normaliser("whisper-basic")(text) == BASIC(text)


def test_both_equal_the_reference_on_the_examples(examples) -> None:
    for line in (examples / "manifest.jsonl").read_text(encoding="utf-8").splitlines():
        assert normaliser("whisper-english")(line) == ENGLISH(line)
        assert normaliser("whisper-basic")(line) == BASIC(line)


def test_every_british_spelling_is_rewritten_as_the_reference_rewrites_it() -> None:
    text = " ".join(american_spellings())
    assert normaliser("whisper-english")(text) == ENGLISH(text)


def test_the_spelling_table_is_the_published_one() -> None:
    table = resources.files("aural.text").joinpath("english_spelling.json").read_bytes()
    note = resources.files("aural.text").joinpath("english_spelling.md").read_text("utf-8")
    assert hashlib.sha256(table).hexdigest() in note


def test_a_number_too_long_to_convert_is_left_as_it_is() -> None:
    digits = "7" * 5000
    assert normaliser("whisper-english")(f"call {digits} now") == f"call {digits} now"


def test_none_changes_nothing() -> None:
    assert normaliser("none")("  Ab, c\t") == "  Ab, c\t"


def test_fingerprints_tell_normalisers_and_versions_apart() -> None:
    prints = {each.fingerprint for each in NORMALISERS.values()}
    assert len(prints) == len(NORMALISERS)
    assert Normaliser("none", "2", "", str).fingerprint not in prints


def test_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(UnknownName, match="whisper-english"):
        normaliser("whisper")
