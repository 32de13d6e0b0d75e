"""Text as token numbers and back: characters, words, or pieces of words learned from text.

Number 0 is no text in any of them: the blank of CTC and of transducers, the start and the end of
attention decoders and language models. A tokenizer is data: `as_dict` is plain JSON, and
`from_dict` reads it from a file that nobody has checked.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, get_args

from aural.errors import InputError, UnknownName

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Kind = Literal["characters", "words", "pieces"]
NOTHING = 0
MAX_TOKENS = 1_000_000
MAX_PIECE = 256
SPACE = "▁"
"""What stands for the space before a word in pieces, as in SentencePiece."""


@dataclass(frozen=True)
class Tokenizer:
    """symbols[i - 1] is the text of token i.

    kind "characters": one code point each, the space among them. "words": whole words, parted by
    spaces. "pieces": parts of words, `SPACE` before those that begin one; a word is cut by always
    taking the longest piece that fits. unknown: what stands for text that has no token, one of the
    symbols, or "" to leave it out.
    """

    kind: Kind
    symbols: tuple[str, ...]
    unknown: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UnknownName("kind of tokens", self.kind, get_args(Kind))
        if not 1 <= len(self.symbols) <= MAX_TOKENS:
            raise InputError(f"{len(self.symbols)} symbols; give 1 to {MAX_TOKENS}")
        if not all(isinstance(symbol, str) and symbol for symbol in self.symbols):
            raise InputError("a symbol is empty or no text; give each at least one character")
        if any("\ud800" <= letter <= "\udfff" for symbol in self.symbols for letter in symbol):
            raise InputError("a symbol holds half of a surrogate pair, which is no character")
        if len(set(self.symbols)) < len(self.symbols):
            twice = Counter(self.symbols).most_common(1)[0][0]
            raise InputError(f"the symbol {twice!r} is there twice; give each once")
        if self.kind == "characters" and any(len(symbol) > 1 for symbol in self.symbols):
            raise InputError("a symbol of several characters; characters are one each")
        if not isinstance(self.unknown, str) or self.unknown not in ("", *self.symbols):
            raise InputError(f"unknown is {self.unknown!r}, which is none of the symbols")
        object.__setattr__(
            self, "_numbers", {symbol: i for i, symbol in enumerate(self.symbols, start=1)}
        )
        longest = max(map(len, self.symbols))
        if self.kind == "pieces" and longest > MAX_PIECE:
            raise InputError(f"a piece of {longest} characters; give up to {MAX_PIECE}")
        object.__setattr__(self, "_longest", longest)

    @property
    def size(self) -> int:
        """How many tokens there are, token 0 included."""
        return len(self.symbols) + 1

    def encode(self, text: str) -> tuple[int, ...]:
        """Token numbers; runs of white space count as one space, those at the ends are left out."""
        words = text.split()
        if self.kind == "words":
            return self._known(words)
        if self.kind == "characters":
            return self._known(" ".join(words))
        return tuple(number for word in words for number in self._cut(SPACE + word))

    def decode(self, tokens: Iterable[int]) -> str:
        """The text; 0 is passed over, and so is what is no token of this tokenizer."""
        found = [self.symbols[i - 1] for i in tokens if 0 < i <= len(self.symbols)]
        if self.kind == "words":
            return " ".join(found)
        text = "".join(found)
        return text if self.kind == "characters" else text.replace(SPACE, " ").strip()

    def symbol(self, token: int) -> str:
        """What a token stands for; "" for 0."""
        return self.symbols[token - 1] if token else ""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON that from_dict reads."""
        return {"kind": self.kind, "symbols": list(self.symbols), "unknown": self.unknown}

    @classmethod
    def from_dict(cls, written: Any) -> Tokenizer:
        """The tokenizer of as_dict; InputError for anything else."""
        if not isinstance(written, dict) or not isinstance(written.get("symbols"), list):
            raise InputError("a tokenizer is an object with kind, symbols and unknown")
        if set(written) != {"kind", "symbols", "unknown"}:
            raise InputError(f"a tokenizer has kind, symbols, unknown; this has {sorted(written)}")
        return cls(written["kind"], tuple(written["symbols"]), written["unknown"])

    def _known(self, symbols: Iterable[str]) -> tuple[int, ...]:
        numbers: dict[str, int] = self._numbers  # type: ignore[attr-defined]
        instead = numbers.get(self.unknown, NOTHING)
        found = (numbers.get(symbol, instead) for symbol in symbols)
        return tuple(number for number in found if number != NOTHING)

    def _cut(self, word: str) -> Iterable[int]:
        numbers: dict[str, int] = self._numbers  # type: ignore[attr-defined]
        longest: int = self._longest  # type: ignore[attr-defined]
        start = 0
        while start < len(word):
            for end in range(min(len(word), start + longest), start, -1):
                if word[start:end] in numbers:
                    yield numbers[word[start:end]]
                    start = end
                    break
            else:
                yield from self._known([word[start]])
                start += 1


def characters(texts: Iterable[str]) -> Tokenizer:
    """The characters that occur, sorted."""
    found = {each for text in texts for each in " ".join(text.split())}
    return Tokenizer("characters", tuple(sorted(found)))


def words(texts: Iterable[str], *, at_least: int = 1) -> Tokenizer:
    """The words that occur so often, by falling count; "<unk>" stands for the others."""
    counts = Counter(word for text in texts for word in text.split())
    often = sorted(
        (word for word, count in counts.items() if count >= at_least and word != "<unk>"),
        key=lambda word: (-counts[word], word),
    )
    return Tokenizer("words", ("<unk>", *often), "<unk>")


def pieces(texts: Iterable[str], size: int) -> Tokenizer:
    """So many pieces of words by byte-pair merging (Sennrich et al. 2016) of the texts' words.

    The characters themselves are pieces too, so that every word of the texts can be written.

    Raises:
        InputError: size leaves no room for the characters.
    """
    counts = Counter(SPACE + word for text in texts for word in text.split())
    cut: dict[str, Sequence[str]] = {word: tuple(word) for word in counts}
    symbols = sorted({letter for word in counts for letter in word})
    if size <= len(symbols):
        raise InputError(f"size is {size}; these texts have {len(symbols)} characters, give more")
    while len(symbols) < size - 1:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in cut.items():
            for pair in pairwise(parts):
                pairs[pair] += counts[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merged = "".join(best)
        if merged not in symbols:
            symbols.append(merged)
        cut = {word: _merged(parts, best) for word, parts in cut.items()}
    return Tokenizer("pieces", tuple(symbols))


def _merged(parts: Sequence[str], pair: tuple[str, str]) -> Sequence[str]:
    made: list[str] = []
    for part in parts:
        if made and (made[-1], part) == pair:
            made[-1] += part
        else:
            made.append(part)
    return tuple(made)
