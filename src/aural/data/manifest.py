"""Manifests: lists of labelled recordings, read by what they look like.

    FILE.jsonl .json .ndjson   one JSON object a line, NeMo's keys (audio_filepath, text, duration,
                               offset, speaker, lang); any other key is metadata
    FILE.csv                   a table with a header and the same names
    FILE.tsv                   the same with tabs and no quoting; Common Voice's own where the
                               clips lie in clips/ beside it
    DIRECTORY                  a Kaldi data directory, a LibriSpeech tree, or tar shards
    NAME-{000..119}.tar        tar shards: one, a glob or braces (see aural.data.shards)
    corpus:NAME                a corpus that `aural data fetch` keeps

Relative paths count from the manifest's folder. A recording that is missing stays in the list: who
evaluates it counts it as failed.
"""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from aural.data.columns import NAMES, utterance_from
from aural.data.kaldi import is_kaldi, stream_kaldi
from aural.data.librispeech import is_librispeech, stream_librispeech
from aural.data.shards import examples, is_shards, shard_paths, shards_in
from aural.data.utterance import Clip, LanguageSpan, Place, Utterance, numbered_lines, unique
from aural.errors import ManifestError, UnknownName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Numbered = Iterator[tuple[Place, Utterance]]

__all__ = [
    "Clip",
    "LanguageSpan",
    "Utterance",
    "read_csv",
    "read_jsonl",
    "read_manifest",
    "read_tsv",
    "stream_manifest",
]

CORPUS = "corpus:"
MAX_HELD_BYTES = 1 << 30
_ALLOWED = (
    "a .jsonl, .csv or .tsv file, a Kaldi data directory, a LibriSpeech tree, tar shards, "
    "or corpus:NAME"
)


def read_manifest(source: str | os.PathLike[str]) -> list[Utterance]:
    """The utterances of a manifest of any kind above, in its order; a corpus is fetched if needed.

    Raises:
        ManifestError: what is there can't be read, gives an id twice, or is shards of more than
            1 GiB of recordings; the message names file and line.
        UnknownName: corpus:NAME names no corpus.
        Unreachable: the corpus can't be fetched.
    """
    if isinstance(source, str) and source.startswith(CORPUS):
        from aural.data.corpora import read_corpus

        return read_corpus(source.removeprefix(CORPUS))
    return unique(_bounded(_numbered(source, require_text=True)))


def stream_manifest(
    source: str | os.PathLike[str], *, require_text: bool = True
) -> Iterator[Utterance]:
    """As read_manifest, one by one, in memory that does not grow with the manifest.

    Ids are not compared, and an empty manifest gives nothing: `aural.data.check` looks for both.
    A corpus is not fetched. Of Kaldi's tables one line each is held where they are sorted; of a
    corpus the list of labels is. Without require_text an example of a shard may have no text.

    Raises as read_manifest does, when the fault is reached; Unreachable for a corpus that is not
    on this machine.
    """
    if isinstance(source, str) and source.startswith(CORPUS):
        return _corpus(source.removeprefix(CORPUS))
    return (utterance for _, utterance in _numbered(source, require_text=require_text))


def _corpus(name: str) -> Iterator[Utterance]:
    from aural.data.corpora import labels
    from aural.store.corpora import path

    known = labels()
    if name not in known:
        raise UnknownName("labelled corpus", name, tuple(known))
    return iter(known[name].read(path(known[name].corpus)))


def _numbered(source: str | os.PathLike[str], *, require_text: bool) -> Numbered:
    """The utterances, each with its place."""
    path = Path(source)
    if path.is_dir():
        return _directory(path, require_text=require_text)
    if is_shards(os.fspath(source)):
        return _examples(shard_paths(os.fspath(source)), require_text=require_text)
    if not path.exists():
        raise ManifestError(f"{path}: no such file or directory; give {_ALLOWED}")
    readers = {".jsonl": _json_utterances, ".json": _json_utterances, ".ndjson": _json_utterances}
    reader = (readers | {".csv": _csv_utterances, ".tsv": _tsv_utterances}).get(path.suffix.lower())
    if reader is None:
        raise ManifestError(f"{path}: not a manifest by its name; give {_ALLOWED}")
    return reader(path)


def _directory(path: Path, *, require_text: bool) -> Numbered:
    if is_kaldi(path):
        return stream_kaldi(path)
    if is_librispeech(path):
        return stream_librispeech(path)
    if shards := shards_in(path):
        return _examples(shards, require_text=require_text)
    tables = sorted(each.name for each in path.glob("*.tsv"))
    hint = f" (for Common Voice name one of {', '.join(tables)})" if tables else ""
    raise ManifestError(
        f"{path}: neither wav.scp nor *.trans.txt nor *.tar in it{hint}; give {_ALLOWED}"
    )


def _examples(paths: Iterable[Path], *, require_text: bool) -> Numbered:
    for path in paths:
        yield from examples(path, require_text=require_text)


def _bounded(numbered: Numbered) -> Numbered:
    """As they come; ManifestError once the clips among them are more than memory should hold."""
    held = 0
    for place, utterance in numbered:
        if isinstance(utterance.audio, Clip):
            held += len(utterance.audio.data)
        if held > MAX_HELD_BYTES:
            raise place.error(
                f"more than {MAX_HELD_BYTES} bytes of recordings to hold at once: take fewer "
                "shards, or stream_manifest"
            )
        yield place, utterance


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
    return unique(_csv_utterances(path))


def read_tsv(path: Path) -> list[Utterance]:
    """Utterances of a tab-separated table, quotes being letters like any other.

    Raises:
        ManifestError: as read_csv.
    """
    return unique(_tsv_utterances(path))


def _json_utterances(path: Path) -> Numbered:
    for place, line in numbered_lines(path):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise place.error("not a JSON object (a manifest has one object a line)") from error
        if not isinstance(record, dict):
            raise place.error("not a JSON object (a manifest has one object a line)")
        yield place, utterance_from(record, path.parent, place)


def _csv_utterances(path: Path) -> Numbered:
    return _table_utterances(path, path.parent, delimiter=",")


def _tsv_utterances(path: Path) -> Numbered:
    clips = path.parent / "clips"
    base = clips if clips.is_dir() else path.parent
    return _table_utterances(path, base, delimiter="\t", quoting=csv.QUOTE_NONE)


def _table_utterances(
    path: Path, base: Path, *, delimiter: str, quoting: int = csv.QUOTE_MINIMAL
) -> Numbered:
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
