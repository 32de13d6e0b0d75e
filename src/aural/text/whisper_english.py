"""Whisper's English text normaliser: contractions, titles, numbers and spelling made alike.

Described in Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022),
appendix C; the order of the steps decides the outcome, so it is theirs.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources

from aural.text.english_numbers import digits_for_numbers
from aural.text.whisper_basic import without_brackets, without_symbols_and_diacritics

_FILLERS = re.compile(r"\b(hmm|mm|mhm|mmm|uh|um)\b")
_CONTRACTED_WORDS = {
    "won't": "will not",
    "can't": "can not",
    "let's": "let us",
    "ain't": "aint",
    "y'all": "you all",
    "wanna": "want to",
    "gotta": "got to",
    "gonna": "going to",
    "i'ma": "i am going to",
    "imma": "i am going to",
    "woulda": "would have",
    "coulda": "could have",
    "shoulda": "should have",
    "ma'am": "madam",
}
_TITLES = {
    "mr": "mister",
    "mrs": "missus",
    "st": "saint",
    "dr": "doctor",
    "prof": "professor",
    "capt": "captain",
    "gov": "governor",
    "ald": "alderman",
    "gen": "general",
    "sen": "senator",
    "rep": "representative",
    "pres": "president",
    "rev": "reverend",
    "hon": "honorable",
    "asst": "assistant",
    "assoc": "associate",
    "lt": "lieutenant",
    "col": "colonel",
    "jr": "junior",
    "sr": "senior",
    "esq": "esquire",
}
# 's and 'd are had, has, would or is by what follows, so the longer endings come first.
_CONTRACTED_ENDINGS = {
    "'d been": "had been",
    "'s been": "has been",
    "'d gone": "had gone",
    "'s gone": "has gone",
    "'d done": "had done",
    "'s got": "has got",
    "n't": "not",
    "'re": "are",
    "'s": "is",
    "'d": "would",
    "'ll": "will",
    "'t": "not",
    "'ve": "have",
    "'m": "am",
}
_REWRITES = (
    *((re.compile(rf"\b{word}\b"), full) for word, full in _CONTRACTED_WORDS.items()),
    *((re.compile(rf"\b{word}\b"), f"{full} ") for word, full in _TITLES.items()),
    *((re.compile(rf"{ending}\b"), f" {full}") for ending, full in _CONTRACTED_ENDINGS.items()),
)


@cache
def american_spellings() -> dict[str, str]:
    """British spelling -> American spelling (english_spelling.md says where it is from)."""
    table = resources.files("aural.text").joinpath("english_spelling.json")
    return json.loads(table.read_text(encoding="utf-8"))


def normalise_english(text: str) -> str:
    """Text as Whisper's EnglishTextNormalizer gives it."""
    text = _FILLERS.sub("", without_brackets(text.lower()))
    text = re.sub(r"\s+'", "'", text)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    text = re.sub(r"(\d),(\d)", r"\1\2", text)
    text = re.sub(r"\.([^0-9]|$)", r" \1", text)
    text = digits_for_numbers(without_symbols_and_diacritics(text, keep=".%$¢€£"))
    spellings = american_spellings()
    text = " ".join(spellings.get(word, word) for word in text.split())
    text = re.sub(r"[.$¢€£]([^0-9])", r" \1", text)
    text = re.sub(r"([^0-9])%", r"\1 ", text)
    return re.sub(r"\s+", " ", text)
