"""N-gram models in files: the ARPA text form, log10, gzipped where the name or content says so.

    \\data\\
    ngram 1=5
    ...
    \\1-grams:
    -1.2<TAB>word<TAB>-0.3        log10 probability, words, log10 back-off weight (0 if left out)
    ...
    \\end\\

What stands before \\data\\ is passed over. A file is not trusted: each line and the number of lines
are bounded, and nothing is set aside for what it only announces.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from array import array
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from aural.decode.arcs import NONE
from aural.decode.ngram import (
    BEGIN,
    BEGIN_LOG_PROB,
    END,
    MAX_ORDER,
    UNKNOWN,
    UNKNOWN_LOG_PROB,
    NGramModel,
)
from aural.errors import InputError

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator
    from pathlib import Path

MAX_LINE = 1 << 16
MAX_HEADER_LINES = 10_000
MAX_NGRAMS = 200_000_000
MAX_WORDS = 20_000_000
LARGEST = 1e6
"""More, as a power of ten, is no number any more once it is added up in float32."""
LN10 = math.log(10)
_COUNT = re.compile(rb"ngram\s+([0-9]{1,9})\s*=\s*([0-9]{1,18})\s*")
_WRITTEN_AT_ONCE = 1 << 16


def read_arpa(path: Path) -> NGramModel:
    """The model of a file. <s>, </s> and <unk> are added where it has none, so that they are all
    but impossible.

    Raises:
        InputError: no ARPA file, or cut short, damaged or too large; the message names the line.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            return _read(_Lines(path, gzip.GzipFile(fileobj=raw) if packed else raw))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: its gzip data are cut short or damaged: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from error


def write_arpa(model: NGramModel, file: BinaryIO, *, packed: bool = False) -> None:
    """Write the model, numbers to seven digits; packed: gzipped, the same bytes every time."""
    if not packed:
        _write(model, file)
        return
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as inner:
        _write(model, inner)  # type: ignore[arg-type]


class _Lines:
    """Lines without their ends, counted, and errors that name the last."""

    def __init__(self, path: Path, stream: io.BufferedIOBase) -> None:
        self.path, self.number = path, 0
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        while line := self._stream.readline(MAX_LINE + 1):
            self.number += 1
            if len(line) > MAX_LINE:
                raise self.error(f"a line of more than {MAX_LINE} bytes")
            yield line.strip(b" \t\r\n")

    def error(self, problem: str, line: int | None = None) -> InputError:
        """path:line: problem."""
        return InputError(f"{self.path}:{line or self.number}: {problem}")


class _Section:
    """The n-grams of one length as they stand: the line of the first, numbers and words."""

    def __init__(self, first_line: int) -> None:
        self.first_line = first_line
        self.log_probs, self.backoffs, self.words = array("d"), array("d"), array("i")


def _read(lines: _Lines) -> NGramModel:
    each = iter(lines)
    counts = _read_counts(lines, each)
    index: dict[bytes, int] = {}
    sections = []
    for length, count in enumerate(counts, 1):
        _expect(lines, each, b"\\%d-grams:" % length)
        sections.append(_read_section(lines, each, length, count, index))
        if length == 1:
            words = _vocabulary(lines, sections[0], index)
    _expect(lines, each, b"\\end\\")
    return _model(lines, sections, words)


def _read_counts(lines: _Lines, each: Iterator[bytes]) -> list[int]:
    for line in each:
        if line == b"\\data\\":
            break
        if lines.number > MAX_HEADER_LINES:
            raise lines.error("no \\data\\ so far; give an ARPA file")
    else:
        raise lines.error("ends without \\data\\; give an ARPA file")
    counts: list[int] = []
    for line in each:
        if not line:
            break
        found = _COUNT.fullmatch(line)
        if found is None or int(found[1]) != len(counts) + 1:
            raise lines.error(f"not 'ngram {len(counts) + 1}=COUNT': {_shown(line)}")
        counts.append(int(found[2]))
    if not 1 <= len(counts) <= MAX_ORDER:
        raise lines.error(f"n-grams of {len(counts)} lengths; 1 to {MAX_ORDER} can be read")
    if sum(counts) > MAX_NGRAMS or counts[0] > MAX_WORDS:
        raise lines.error(f"more than {MAX_WORDS} words or {MAX_NGRAMS} n-grams")
    return counts


def _expect(lines: _Lines, each: Iterator[bytes], wanted: bytes) -> None:
    for line in each:
        if line == wanted:
            return
        if line:
            raise lines.error(f"{_shown(line)} where {wanted.decode()} should be")
    raise lines.error(f"the file ends before {wanted.decode()}; it was cut short")


def _read_section(
    lines: _Lines, each: Iterator[bytes], length: int, count: int, index: dict[bytes, int]
) -> _Section:
    section = _Section(lines.number + 1)
    log_probs, backoffs, words = section.log_probs, section.backoffs, section.words
    try:
        for line in each:
            if not line:
                break
            fields = line.split()
            log_probs.append(float(fields[0]))
            backoffs.append(float(fields[length + 1]) if len(fields) > length + 1 else 0.0)
            if length == 1:
                words.append(index.setdefault(fields[1], len(index)))
            else:
                words.extend([index[word] for word in fields[1 : length + 1]])
            if not length < len(fields) < length + 3 or len(log_probs) > count:
                raise lines.error(_fault(fields, length, count))
    except (ValueError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise lines.error(_fault(fields, length, count)) from error
    except KeyError as error:
        raise lines.error(f"{_shown(error.args[0])} is not among the 1-grams") from error
    if len(log_probs) != count:
        raise lines.error(
            f"{len(log_probs)} {length}-grams where {count} were announced; it was cut short"
        )
    return section


def _fault(fields: list[bytes], length: int, count: int) -> str:
    line = _shown(b" ".join(fields))
    if line.startswith("'\\"):
        return f"{line} where an empty line should be"
    if length + 1 <= len(fields) <= length + 2 and all(
        map(_is_number, (fields[0], *fields[length + 1 :]))
    ):
        return f"more than the {count} {length}-grams that were announced"
    return f"{line} is not a log10 probability, {length} words and perhaps a back-off weight"


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown(line: bytes) -> str:
    text = line[:60].decode("utf-8", "replace")
    return repr(text if len(line) <= 60 else f"{text}...")


def _model(lines: _Lines, sections: list[_Section], words: tuple[str, ...]) -> NGramModel:
    size = len(words)
    added = size - len(sections[0].log_probs)
    keys = [np.arange(size)]
    log_probs = [np.zeros(1), _checked(lines, sections[0])]
    backoffs = [np.zeros(1), np.array(sections[0].backoffs), np.zeros(added)]
    impossible = {BEGIN: BEGIN_LOG_PROB, END: UNKNOWN_LOG_PROB, UNKNOWN: UNKNOWN_LOG_PROB}
    log_probs.append(np.array([impossible[word] / LN10 for word in words[size - added :]]))
    before = [np.arange(size)]  # keys of each length, and the node before the first
    first = [0]
    for length, section in enumerate(sections[1:], 2):
        if not section.log_probs:
            break
        numbers = np.array(section.words, np.int64).reshape(-1, length)
        nodes = _prefixes(before, first, numbers[:, :-1])
        if (nodes == NONE).any():
            line = section.first_line + int(np.argmax(nodes == NONE))
            raise lines.error(f"what this {length}-gram begins with is no {length - 1}-gram", line)
        own = nodes * size + numbers[:, -1]
        order = np.argsort(own, kind="stable")
        own = own[order]
        if len(twice := np.flatnonzero(own[1:] == own[:-1])):
            raise lines.error(
                "an n-gram for the second time", section.first_line + int(order[twice[0] + 1])
            )
        first.append(first[-1] + len(before[-1]))
        before.append(own)
        keys.append(own)
        log_probs.append(_checked(lines, section)[order])
        backoffs.append(np.array(section.backoffs)[order])
    return NGramModel(
        words,
        np.concatenate(keys),
        np.concatenate(log_probs) * LN10,
        np.concatenate(backoffs) * LN10,
    )


def _prefixes(before: list[np.ndarray], first: list[int], numbers: np.ndarray) -> np.ndarray:
    """The node of each row of word numbers, NONE where it is no n-gram."""
    size = len(before[0])
    nodes = numbers[:, 0] + 1
    for column, keys, start in zip(numbers.T[1:], before[1:], first[1:], strict=True):
        wanted = nodes * size + column
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        there = (keys[place] == wanted) & (nodes != NONE)
        nodes = np.where(there, start + place + 1, NONE)
    return nodes


def _checked(lines: _Lines, section: _Section) -> np.ndarray:
    """The log10 probabilities, once all numbers are seen to be possible."""
    log_probs, backoffs = np.array(section.log_probs), np.array(section.backoffs)
    for values, wrong, what in (
        (log_probs, ~((log_probs >= -LARGEST) & (log_probs <= 0)), "log10 probability"),
        (backoffs, ~(np.abs(backoffs) <= LARGEST), "back-off weight"),
    ):
        if wrong.any():
            place = int(np.argmax(wrong))
            raise lines.error(f"{values[place]} is no {what}", section.first_line + place)
    return log_probs


def _vocabulary(lines: _Lines, section: _Section, index: dict[bytes, int]) -> tuple[str, ...]:
    if len(index) != len(section.words):
        seen = np.array(section.words)
        twice = np.flatnonzero(seen != np.arange(len(seen)))[0]
        raise lines.error("a word for the second time", section.first_line + int(twice))
    words = []
    for number, word in enumerate(index):
        try:
            words.append(word.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise lines.error("a word that is not UTF-8", section.first_line + number) from error
    missing = [word for word in (BEGIN, END, UNKNOWN) if word.encode() not in index]
    return (*words, *missing)


def _write(model: NGramModel, file: BinaryIO) -> None:
    lines = ["\\data\\"]
    lines += [f"ngram {length}={count}" for length, count in enumerate(model.counts, 1)]
    file.write(("\n".join(lines) + "\n").encode())
    for length in range(1, model.order + 1):
        file.write(f"\n\\{length}-grams:\n".encode())
        for first in range(model.ends[length - 1] + 1, model.ends[length] + 1, _WRITTEN_AT_ONCE):
            last = min(first + _WRITTEN_AT_ONCE, model.ends[length] + 1)
            file.write(_lines_of(model, np.arange(first, last), length))
    file.write(b"\n\\end\\\n")


def _lines_of(model: NGramModel, nodes: np.ndarray, length: int) -> bytes:
    columns = []
    at = nodes
    for _ in range(length):
        at, words = np.divmod(model.keys[at - 1], len(model.words))
        columns.append([model.words[word] for word in words.tolist()])
    texts = map(" ".join, zip(*reversed(columns), strict=True))
    log_probs = (model.log_probs[nodes] / LN10).tolist()
    if length == model.order:
        rows = [f"{p:.7g}\t{text}\n" for p, text in zip(log_probs, texts, strict=True)]
    else:
        backoffs = (model.backoffs[nodes] / LN10).tolist()
        rows = [
            f"{p:.7g}\t{text}\t{b:.7g}\n"
            for p, text, b in zip(log_probs, texts, backoffs, strict=True)
        ]
    return "".join(rows).encode("utf-8")
