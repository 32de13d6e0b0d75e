"""Manifests: lists of labelled recordings, read by what they look like.

    FILE.jsonl .json .ndjson   one JSON object a line, NeMo's keys (audio_filepath, text, duration,
                               offset, speaker, lang); any other key is metadata
    FILE.csv                   a table with a header and the same names
    FILE.tsv                   the same with tabs and no quoting; Common Voice's own where the
                               clips lie in clips/ beside it
    DIRECTORY                  a Kaldi data directory or a LibriSpeech tree
    corpus:NAME                a corpus that `aural data fetch` keeps

Relative paths count from the manifest's folder. A recording that is missing stays in the list: who
evaluates it counts it as failed.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

from aural.data.columns import NAMES, utterance_from
from aural.data.kaldi import is_kaldi, read_kaldi
from aural.data.librispeech import is_librispeech, read_librispeech
from aural.data.utterance import LanguageSpan, Place, Utterance, numbered_lines, unique
from aural.errors import ManifestError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

__all__ = ["LanguageSpan", "Utterance", "read_csv", "read_jsonl", "read_manifest", "read_tsv"]

_CORPUS = "corpus:"
_ALLOWED = "a .jsonl, .csv or .tsv file, a Kaldi data directory, a LibriSpeech tree, or corpus:NAME"


def read_manifest(source: str | os.PathLike[str]) -> list[Utterance]:
    """The utterances of a manifest of any kind above, in its order.

    Raises:
        ManifestError: what is there can't be read; the message names file and line.
        UnknownName: corpus:NAME names no corpus.
        Unreachable: the corpus has not been fetched.
    """
    if isinstance(source, str) and source.startswith(_CORPUS):
        from aural.data.corpora import read_corpus

        return read_corpus(source.removeprefix(_CORPUS))
    path = Path(source)
    if path.is_dir():
        return _read_directory(path)
    if not path.exists():
        raise ManifestError(f"{path}: no such file or directory; give {_ALLOWED}")
    readers = {".jsonl": read_jsonl, ".json": read_jsonl, ".ndjson": read_jsonl}
    reader = (readers | {".csv": read_csv, ".tsv": read_tsv}).get(path.suffix.lower())
    if reader is None:
        raise ManifestError(f"{path}: not a manifest by its name; give {_ALLOWED}")
    return reader(path)


def read_jsonl(path: Path) -> list[Utterance]:
    """Utterances of a file with one JSON object a line.

    Raises:
        ManifestError: a line is not such an object, or an id is given twice.
    """
    return unique(_json_utterances(path))


def read_csv(path: Path) -> list[Utterance]:
    """Utterances of a comma-separated table whose first row names the columns.

    Raises:
        ManifestError: no header, a row of another length, or an id given twice.
    """
    return unique(_table_utterances(path, path.parent, delimiter=","))


def read_tsv(path: Path) -> list[Utterance]:
    """Utterances of a tab-separated table, quotes being letters like any other.

    Raises:
        ManifestError: as read_csv.
    """
    clips = path.parent / "clips"
    base = clips if clips.is_dir() else path.parent
    return unique(_table_utterances(path, base, delimiter="\t", quoting=csv.QUOTE_NONE))


def _read_directory(path: Path) -> list[Utterance]:
    if is_kaldi(path):
        return read_kaldi(path)
    if is_librispeech(path):
        return read_librispeech(path)
    tables = sorted(each.name for each in path.glob("*.tsv"))
    hint = f" (for Common Voice name one of {', '.join(tables)})" if tables else ""
    raise ManifestError(f"{path}: neither wav.scp nor *.trans.txt in it{hint}; give {_ALLOWED}")


def _json_utterances(path: Path) -> Iterator[tuple[Place, Utterance]]:
    for place, line in numbered_lines(path):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise place.error("not a JSON object (a manifest has one object a line)") from error
        if not isinstance(record, dict):
            raise place.error("not a JSON object (a manifest has one object a line)")
        yield place, utterance_from(record, path.parent, place)


def _table_utterances(
    path: Path, base: Path, *, delimiter: str, quoting: int = csv.QUOTE_MINIMAL
) -> Iterator[tuple[Place, Utterance]]:
    place = Place(path, 1)

    def lines() -> Iterator[str]:
        nonlocal place
        for place, line in numbered_lines(path):  # noqa: B007 - the row's last line, for messages
            yield line + "\n"

    rows = csv.reader(lines(), delimiter=delimiter, quoting=quoting, strict=True)  # type: ignore[arg-type]
    header: list[str] | None = None
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise place.error(f"not a row of the table: {error}") from error
        if row is None:
            return
        if header is None:
            header = _header(row, place)
        elif len(row) != len(header):
            raise place.error(f"{len(row)} fields, the header has {len(header)}")
        else:
            yield place, utterance_from(_filled(header, row), base, place)


def _header(row: list[str], place: Place) -> list[str]:
    names = [name.strip() for name in row]
    if len(set(names)) < len(names):
        raise place.error("the header names a column twice")
    return names


def _filled(header: list[str], row: list[str]) -> dict[str, str]:
    """Column -> value, without the empty ones, but for the text: an empty text is silence."""
    pairs = zip(header, row, strict=True)
    return {name: value for name, value in pairs if value or name in NAMES["text"]}
