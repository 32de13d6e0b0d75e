"""Whisper's basic text normaliser, for any language: lower case, no brackets, no punctuation."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

# Letters that Unicode's compatibility decomposition leaves whole.
_UNDECOMPOSED = {
    "œ": "oe",
    "Œ": "OE",
    "ø": "o",
    "Ø": "O",
    "æ": "ae",
    "Æ": "AE",
    "ß": "ss",
    "ẞ": "SS",
    "đ": "d",
    "Đ": "D",
    "ð": "d",
    "Ð": "D",
    "þ": "th",
    "Þ": "th",
    "ł": "l",
    "Ł": "L",
}


@cache
def _without_symbol(char: str) -> str:
    """A space for a mark, symbol or punctuation sign; else the character."""
    return " " if unicodedata.category(char)[0] in "MSP" else char


@cache
def _without_diacritic(char: str) -> str:
    """As _without_symbol, but a combining mark goes without leaving a space."""
    if char in _UNDECOMPOSED:
        return _UNDECOMPOSED[char]
    return "" if unicodedata.category(char) == "Mn" else _without_symbol(char)


def without_brackets(text: str) -> str:
    """Text without what stands in <>, [] or ()."""
    return re.sub(r"\(([^)]+?)\)", "", re.sub(r"[<\[][^>\]]*[>\]]", "", text))


def without_symbols_and_diacritics(text: str, keep: str) -> str:
    """Letters, digits and the characters of keep; symbols become spaces, diacritics go."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(char if char in keep else _without_diacritic(char) for char in decomposed)


def normalise_basic(text: str) -> str:
    """Text as Whisper's BasicTextNormalizer gives it with its default options."""
    composed = unicodedata.normalize("NFKC", without_brackets(text.lower()))
    return re.sub(r"\s+", " ", "".join(map(_without_symbol, composed)).lower())
