"""Spelled-out English numbers as digits, as Whisper's English text normaliser writes them.

    twenty one -> 21                one oh one -> 101          nineteen sixties -> 1960s
    three point one four -> 3.14    double seven -> 77         twenty million dollars -> $20000000
    two dollars and seven cents -> $2.07                       one -> one (kept, for readability)

The behaviour is that of the normaliser of Radford et al., "Robust Speech Recognition via
Large-Scale Weak Supervision" (2022), appendix C, its quirks included ("ninth" is not a number
there, "nineth" is): a figure is comparable with published ones only when nothing is improved.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_UNITS = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_POWERS = [
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
    "quintillion",
    "sextillion",
    "septillion",
    "octillion",
    "nonillion",
    "decillion",
]

ZEROS = frozenset({"o", "oh", "zero"})
ONES = {word: value for value, word in enumerate(_UNITS, start=1)}
TENS = {word: 10 * value for value, word in enumerate(_TENS, start=2)}
MULTIPLIERS = {"hundred": 100} | {w: 1000**power for power, w in enumerate(_POWERS, start=1)}
DECIMALS = ZEROS | ONES.keys() | TENS.keys()
SIGNS = {"minus": "-", "negative": "-", "plus": "+", "positive": "+"}
CURRENCIES = {
    "pound": "£",
    "pounds": "£",
    "euro": "€",
    "euros": "€",
    "dollar": "$",
    "dollars": "$",
    "cent": "¢",
    "cents": "¢",
}
REPEATS = {"double": 2, "triple": 3}
_PREFIXES = frozenset(SIGNS.values()) | frozenset(CURRENCIES.values())
_ARABIC = re.compile(r"^\d+(\.\d+)?$")
_IRREGULAR_ORDINALS = {
    "zeroth": (0, "th"),
    "first": (1, "st"),
    "second": (2, "nd"),
    "third": (3, "rd"),
    "fifth": (5, "th"),
    "twelfth": (12, "th"),
}


@dataclass(frozen=True)
class NumberWord:
    """A word that stands for a number: what it is worth and the suffix that ends the number."""

    kind: str
    value: int
    suffix: str = ""


def _number_words() -> dict[str, NumberWord]:
    """Every cardinal, plural ("twenties") and ordinal ("twentieth") the normaliser knows."""
    words: dict[str, NumberWord] = {}
    for word, value in ONES.items():
        words[word] = NumberWord("one", value)
        words["sixes" if word == "six" else word + "s"] = NumberWord("one", value, "s")
        if value > 3 and value not in {5, 12}:
            words[word + ("h" if word.endswith("t") else "th")] = NumberWord("one", value, "th")
    for word, (value, suffix) in _IRREGULAR_ORDINALS.items():
        words[word] = NumberWord("one", value, suffix)
    for word, value in TENS.items():
        words[word] = NumberWord("ten", value)
        words[word.replace("y", "ies")] = NumberWord("ten", value, "s")
        words[word.replace("y", "ieth")] = NumberWord("ten", value, "th")
    for word, value in MULTIPLIERS.items():
        words[word] = NumberWord("multiplier", value)
        words[word + "s"] = NumberWord("multiplier", value, "s")
        words[word + "th"] = NumberWord("multiplier", value, "th")
    return words


NUMBER_WORDS = _number_words()
_SPECIAL = {"and", "point", *REPEATS}
_KNOWN = (
    NUMBER_WORDS.keys() | ZEROS | SIGNS.keys() | CURRENCIES.keys() | {"per", "percent"} | _SPECIAL
)


def digits_for_numbers(text: str) -> str:
    """Lower-case text with its spelled-out numbers written in digits, words parted by one space."""
    words = _split_at_digits(_halves(text)).split()
    return _join_cents(" ".join(_NumberReader(words).read()))


class _NumberReader:
    """Reads words from left to right, holding the number that is still growing.

    value is None between numbers; an int while words add up ("twenty" + "one"); a str once digits
    have been strung together ("one", "oh" -> "10"), after which nothing is added any more.
    """

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.value: int | str | None = None
        self.prefix = ""
        self.out: list[str] = []
        self.skip = False

    def read(self) -> list[str]:
        """The words with numbers replaced."""
        for index, word in enumerate(self.words):
            if self.skip:
                self.skip = False
                continue
            before = self.words[index - 1] if index else ""
            after = self.words[index + 1] if index + 1 < len(self.words) else ""
            self._take(word, before, after)
        self._flush()
        return self.out

    def _take(self, word: str, before: str, after: str) -> None:
        bare = word[1:] if word[0] in _PREFIXES else word
        if _ARABIC.match(bare) and (number := _fraction(bare)) is not None:
            self._take_arabic(word, bare, number)
        elif word in ZEROS:
            self.value = f"{self.value or ''}0"
        elif word in NUMBER_WORDS:
            self._take_number_word(NUMBER_WORDS[word], before)
        elif word in SIGNS:
            self._take_sign(word, after)
        elif word in CURRENCIES:
            self._take_currency(word)
        elif word in {"per", "percent"}:
            self._take_percent(word, after)
        elif word in _SPECIAL:
            self._take_special(word, before, after)
        else:
            self._flush(word)

    def _emit(self, text: int | str) -> None:
        """Write out a number or a word behind the pending sign; both are then done with."""
        self.out.append(f"{self.prefix}{text}")
        self.value, self.prefix = None, ""

    def _flush(self, *words: str) -> None:
        """Write out the number in hand, if there is one, then the words."""
        if self.value is not None:
            self._emit(self.value)
        for word in words:
            self._emit(word)

    def _take_arabic(self, word: str, bare: str, number: Fraction) -> None:
        if isinstance(self.value, str) and self.value.endswith("."):
            self.value += word  # decimals, or the parts of an IP address
            return
        self._flush()
        if word != bare:
            self.prefix = word[0]
        self.value = number.numerator if number.denominator == 1 else bare

    def _take_number_word(self, number: NumberWord, before: str) -> None:
        if number.kind == "multiplier":
            self._multiply(number.value)
        elif self.value is None:
            self.value = number.value
        elif number.kind == "one":
            self.value = _join_one(self.value, number.value, before)
        else:
            self.value = _join(self.value, number.value, 100)
        if number.suffix:
            self._emit(f"{self.value}{number.suffix}")

    def _multiply(self, multiplier: int) -> None:
        if isinstance(self.value, str):
            number = _fraction(self.value)
            product = None if number is None else number * multiplier
            if product is None or product.denominator != 1:
                self._emit(self.value)
                self.value = multiplier
            else:
                self.value = product.numerator
        elif self.value is None:
            self.value = multiplier
        else:
            residual = self.value % 1000
            self.value = self.value - residual + residual * multiplier

    def _take_sign(self, word: str, after: str) -> None:
        self._flush()
        if _numeric(after):
            self.prefix = SIGNS[word]
        else:
            self._emit(word)

    def _take_currency(self, word: str) -> None:
        if self.value is None:
            self._emit(word)
        else:
            self.prefix = CURRENCIES[word]
            self._flush()

    def _take_percent(self, word: str, after: str) -> None:
        if self.value is not None and (word == "percent" or after == "cent"):
            self._emit(f"{self.value}%")
            self.skip = word == "per"
        else:
            self._flush(word)

    def _take_special(self, word: str, before: str, after: str) -> None:
        if not _numeric(after):
            self._flush(word)
        elif word == "and":
            if before not in MULTIPLIERS:  # "two hundred and one" goes on, "one and two" doesn't
                self._flush(word)
        elif word == "point":
            if after in DECIMALS or _ARABIC.match(after):
                self.value = f"{self.value or ''}."
        elif after in ONES or after in ZEROS:
            self.value = f"{self.value or ''}" + str(ONES.get(after, 0)) * REPEATS[word]
            self.skip = True
        else:
            self._flush(word)


def _numeric(word: str) -> bool:
    """Whether a word can go on with, or start, a number."""
    return word in _KNOWN or _ARABIC.match(word) is not None


def _join_one(value: int | str, one: int, before: str) -> int | str:
    """value followed by a word for 1 to 19: added ("twenty one") or strung on ("one one")."""
    if isinstance(value, str) or before in ONES:
        digits = str(value)
        return (digits[:-1] if before in TENS and one < 10 else digits) + str(one)
    return _join(value, one, 10 if one < 10 else 100)


def _join(value: int | str, number: int, modulus: int) -> int | str:
    """The sum where value ends in enough zeros to hold the number, else the digits side by side."""
    if isinstance(value, int) and value % modulus == 0:
        return value + number
    return f"{value}{number}"


def _fraction(text: str) -> Fraction | None:
    """The number that a string of digits stands for; None for "1.2.3" and absurd lengths."""
    try:
        return Fraction(text)
    except ValueError:
        return None


def _halves(text: str) -> str:
    """ "two and a half" as "two point five", where a number word stands before it."""
    segments = re.split(r"\band\s+a\s+half\b", text)
    parts: list[str] = []
    for position, segment in enumerate(segments):
        if not segment.strip():
            continue
        parts.append(segment)
        if position < len(segments) - 1:
            last = segment.split()[-1]
            number = last in DECIMALS or last in MULTIPLIERS
            parts.append("point five" if number else "and a half")
    return " ".join(parts)


def _split_at_digits(text: str) -> str:
    """A space between letters and digits, except before the suffixes st, nd, rd, th and s."""
    text = re.sub(r"([a-z])([0-9])", r"\1 \2", text)
    text = re.sub(r"([0-9])([a-z])", r"\1 \2", text)
    return re.sub(r"([0-9])\s+(st|nd|rd|th|s)\b", r"\1\2", text)


def _join_cents(text: str) -> str:
    """ "$2 and ¢7" as "$2.07", "$0.07" as "¢7", and 1 and 1s as the words they are."""
    text = re.sub(
        r"([€£$])([0-9]+) (?:and )?¢([0-9]{1,2})\b",
        lambda found: f"{found[1]}{found[2]}.{int(found[3]):02d}",
        text,
    )
    text = re.sub(r"[€£$]0.([0-9]{1,2})\b", lambda found: f"¢{int(found[1])}", text)
    return re.sub(r"\b1(s?)\b", r"one\1", text)
