"""Tokenizers: text to numbers and back, from data nobody has checked."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aural.errors import AuralError, InputError
from aural.text.tokens import SPACE, Tokenizer, characters, pieces, words

TEXTS = ("low lower lowest", "new newer", "the newest low", "wide wider widest")


@pytest.mark.parametrize(
    "tokenizer", [characters(TEXTS), words(TEXTS), pieces(TEXTS, 30)], ids=lambda each: each.kind
)
def test_round_trip(tokenizer: Tokenizer) -> None:
    for text in TEXTS:
        tokens = tokenizer.encode(f"  {text.replace(' ', '   ')} ")
        assert tokenizer.decode(tokens) == text
        assert tokenizer.decode((0, *tokens, 0, tokenizer.size)) == text
        assert all(0 < token < tokenizer.size for token in tokens)
    assert tokenizer.encode("") == ()
    assert Tokenizer.from_dict(json.loads(json.dumps(tokenizer.as_dict()))) == tokenizer


def test_characters_leave_out_what_they_do_not_know() -> None:
    tokenizer = characters(["ab c"])
    assert tokenizer.symbols == (" ", "a", "b", "c")
    assert tokenizer.encode("bax c") == (3, 2, 1, 4)


def test_words_by_falling_count_with_unknown() -> None:
    tokenizer = words(["b a b", "a b c"], at_least=2)
    assert tokenizer.symbols == ("<unk>", "b", "a")
    assert tokenizer.encode("a c b") == (3, 1, 2)


def test_pieces_are_the_pairs_most_often_side_by_side() -> None:
    """Sennrich et al.'s worked example: of these counts the merges are es, est, lo, low."""
    texts = ["low " * 5, "lower " * 2, "newest " * 6, "widest " * 3]
    letters = len(set("".join(texts)) - {" "}) + 1
    merged = pieces(texts, letters + 1 + 4).symbols[letters:]
    assert set(merged[:2]) == {"es", "est"}
    assert {"lo", "low"} & {piece.replace(SPACE, "") for piece in merged}
    whole = pieces(texts, 40)
    assert len(whole.encode("newest")) == 1
    assert whole.decode(whole.encode("lowest newer")) == "lowest newer"


def test_longest_piece_is_taken() -> None:
    tokenizer = Tokenizer("pieces", (f"{SPACE}a", f"{SPACE}ab", "b", "c", "bc"))
    assert [tokenizer.symbol(each) for each in tokenizer.encode("abc abbc")] == [
        f"{SPACE}ab", "c", f"{SPACE}ab", "bc",
    ]  # fmt: skip


@given(st.text(max_size=40))
def test_any_text_comes_back_in_its_own_characters(text: str) -> None:
    tokenizer = characters([text, "x"])
    assert tokenizer.decode(tokenizer.encode(text)) == " ".join(text.split())


@pytest.mark.parametrize(
    "written",
    [
        None,
        [],
        {},
        {"kind": "characters", "symbols": "ab", "unknown": ""},
        {"kind": "characters", "symbols": ["ab"], "unknown": ""},
        {"kind": "letters", "symbols": ["a"], "unknown": ""},
        {"kind": "words", "symbols": [], "unknown": ""},
        {"kind": "words", "symbols": ["a", "a"], "unknown": ""},
        {"kind": "words", "symbols": ["a", ""], "unknown": ""},
        {"kind": "words", "symbols": ["a", 3], "unknown": ""},
        {"kind": "words", "symbols": [["a"]], "unknown": ""},
        {"kind": "words", "symbols": ["a"], "unknown": "b"},
        {"kind": ["words"], "symbols": ["a"], "unknown": ""},
        {"kind": "words", "symbols": ["a"], "unknown": []},
        {"kind": "words", "symbols": ["a"], "unknown": None},
        {"kind": "words", "symbols": ["a\ud800"], "unknown": ""},
        {"kind": "pieces", "symbols": ["a", "b" * 257], "unknown": ""},
        {"kind": "words", "symbols": ["a"], "unknown": "", "code": "x"},
    ],
)
def test_what_is_no_tokenizer(written: object) -> None:
    with pytest.raises(AuralError):
        Tokenizer.from_dict(written)


def test_size_leaves_no_room() -> None:
    with pytest.raises(InputError, match="size is 3"):
        pieces(TEXTS, 3)
