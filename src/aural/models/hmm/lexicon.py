"""How words are said: each word's pronunciations, as phones or as its letters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aural.decode.graph import Pronunciation
from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

Lexicon = dict[str, tuple[Pronunciation, ...]]
MAX_BYTES = 64 << 20
_VARIANT = re.compile(r"\(\d+\)$")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*['’]?|['’][^\W_]+")


def read_lexicon(path: Path, words: Iterable[str] | None = None) -> Lexicon:
    """A dictionary in CMUdict's form: a line a pronunciation, the word and its phones parted by
    spaces; "word(2)" is another of the same word. Lines that begin with ";;;" and empty ones are
    passed over. words: read these alone.

    Raises:
        InputError: no such file, more than 64 MB, not UTF-8, or a word without phones.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: more than {MAX_BYTES} bytes; give a dictionary")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8; give a dictionary in text") from error
    return parse_lexicon(text.splitlines(), str(path), words)


def parse_lexicon(
    lines: Iterable[str], name: str = "lexicon", words: Iterable[str] | None = None
) -> Lexicon:
    """The same of the lines themselves; errors call them by name."""
    wanted = None if words is None else set(words)
    found: dict[str, dict[Pronunciation, None]] = {}
    for number, line in enumerate(lines, start=1):
        written, *phones = line.split() or [";;;"]
        if written.startswith(";;;"):
            continue
        word = _VARIANT.sub("", written)
        if wanted is not None and word not in wanted:
            continue
        if not phones:
            raise InputError(f"{name}, line {number}: {written!r} has no phones")
        found.setdefault(word, {})[tuple(phones)] = None
    return {word: tuple(said) for word, said in found.items()}


def write_lexicon(path: Path, lexicon: Mapping[str, Sequence[Pronunciation]]) -> None:
    """The file that read_lexicon reads."""
    lines = [
        f"{word}{f'({number})' if number > 1 else ''} {' '.join(said)}"
        for word, pronunciations in sorted(lexicon.items())
        for number, said in enumerate(pronunciations, start=1)
    ]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def spelled(words: Iterable[str]) -> Lexicon:
    """Letters as phones, for languages without a dictionary: each word said as it is written, in
    lower case, letters and digits alone."""
    said = {word: tuple(filter(str.isalnum, word.lower())) for word in words}
    return {word: (letters,) for word, letters in said.items() if letters}


def words_of(text: str, lexicon: Mapping[str, Sequence[Pronunciation]]) -> list[tuple[str, str]]:
    """The words of a text as (as written, as in the lexicon).

    What is parted by spaces is looked up as it stands, in lower case, without its punctuation, and
    at last in its parts, where it is a compound of known words; signs alone are left out.

    Raises:
        InputError: a word is not in the lexicon.
    """
    found, unknown = [], []
    for written in text.split():
        bare = " ".join(_WORD.findall(written)).replace("’", "'")
        parts = re.split(r"[\s-]+", bare.lower())
        if not bare:
            continue
        forms = (written, written.lower(), bare, bare.lower())
        known = next((form for form in forms if form in lexicon), "")
        if known:
            found.append((bare if written not in lexicon else written, known))
        elif all(part in lexicon for part in parts):
            found += [(part, part) for part in parts]
        else:
            unknown.append(bare)
    if unknown:
        raise InputError(
            f"no pronunciation of {', '.join(map(repr, unknown[:5]))}; add them to the lexicon or "
            "write them in other words"
        )
    return found
