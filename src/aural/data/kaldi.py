"""Kaldi data directories: wav.scp, text, and where they are there segments, utt2spk, utt2lang.

The files are described at https://kaldi-asr.org/doc/data_prep.html; a line is a key and its value.
Of wav.scp only plain paths are read: a line that ends in "|" is a shell command, and is refused.
Kaldi sorts its tables by key, so they are read in step with text and none is held; a table that
turns out not to be sorted is.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from aural.data.utterance import Place, Utterance, audio_path, numbered_lines, unique

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TABLES = ("wav.scp", "text", "segments", "utt2spk", "utt2lang", "spk2gender")

Table = dict[str, tuple[Place, str]]


def is_kaldi(directory: Path) -> bool:
    """Whether a directory holds Kaldi's tables."""
    return (directory / "wav.scp").is_file()


def read_kaldi(directory: Path) -> list[Utterance]:
    """One utterance a line of text, in its order; spk2gender becomes the metadata "gender".

    Raises:
        ManifestError: a table is missing, malformed, repeats a key or names what no other has;
            wav.scp runs a command.
    """
    return unique(stream_kaldi(directory))


def stream_kaldi(directory: Path) -> Iterator[tuple[Place, Utterance]]:
    """As read_kaldi, one by one; keys given twice in text are not noticed."""
    recordings = _Lookup(directory / "wav.scp")
    segments = _optional(directory / "segments")
    speakers, languages = _optional(directory / "utt2spk"), _optional(directory / "utt2lang")
    genders = _optional(directory / "spk2gender")
    for place, line in numbered_lines(directory / "text"):
        name, text = _entry(line)
        recording, offset, duration = name, None, None
        if segments is not None:
            recording, offset, duration = _segment(segments.find(name), name, place)
        found = recordings.find(recording)
        if found is None:
            raise place.error(f"{recording!r} is not in wav.scp")
        speaker = _value(speakers, name)
        gender = _value(genders, speaker) if speaker else ""
        yield (
            place,
            Utterance(
                id=name,
                audio=_recording(found[1], directory, found[0]),
                text=text,
                duration=duration,
                offset=offset,
                speaker=speaker,
                language=_value(languages, name),
                metadata={"gender": gender} if gender else {},
            ),
        )


class _Lookup:
    """A table, asked for one key after the other.

    While keys rise, in the table and in what is asked for, one line is in memory; else all are.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = numbered_lines(path)
        self._key, self._asked = "", ""
        self._line: tuple[Place, str] | None = None  # what stands at _key
        self._rising = False  # known to rise to its end
        self._whole: Table | None = None
        self._advance()

    def find(self, key: str) -> tuple[Place, str] | None:
        """Place and value; None where the table has no such key."""
        if key < self._asked:
            self._hold()
        self._asked = key
        while self._whole is None and self._line is not None and self._key < key:
            self._advance()
        if self._whole is None and self._key == key:
            return self._line
        if self._whole is None and not self._rising:
            self._rising = _rises(self._path)
            if not self._rising:
                self._hold()
        return None if self._whole is None else self._whole.get(key)

    def _advance(self) -> None:
        place, line = next(self._lines, (None, ""))
        if place is None:
            self._line, self._rising = None, True
            return
        key, value = _entry(line)
        if key <= self._key:
            self._hold()
        self._key, self._line = key, (place, value)

    def _hold(self) -> None:
        if self._whole is None:
            self._whole = _table(self._path)


def _rises(path: Path) -> bool:
    """Whether every key is above the one before it, as Unicode counts (LC_ALL=C sort)."""
    last = ""
    for _, line in numbered_lines(path):
        key = _entry(line)[0]
        if key <= last:
            return False
        last = key
    return True


def _optional(path: Path) -> _Lookup | None:
    return _Lookup(path) if path.is_file() else None


def _value(table: _Lookup | None, key: str) -> str:
    """What a table that may be missing has for a key that may be; else ""."""
    found = table.find(key) if table is not None else None
    return found[1] if found else ""


def _entry(line: str) -> tuple[str, str]:
    """Key and value; a key alone has the value ""."""
    key, *rest = line.split(maxsplit=1)
    return key, rest[0].rstrip() if rest else ""


def _table(path: Path) -> Table:
    """Key -> (place, value)."""
    table: Table = {}
    for place, line in numbered_lines(path):
        key, value = _entry(line)
        if key in table:
            raise place.error(f"{key!r} was already given on line {table[key][0].line}")
        table[key] = place, value
    return table


def _recording(value: str, directory: Path, place: Place) -> Path:
    if re.search(r"\.ark:\d+$", value):
        raise place.error(f"{value[:80]!r} points into an archive: extract it to audio files")
    return audio_path(value, directory, place)


def _segment(
    found: tuple[Place, str] | None, name: str, place: Place
) -> tuple[str, float, float | None]:
    """Recording, start and duration (None: to its end, which Kaldi writes as -1)."""
    if found is None:
        raise place.error(f"{name!r} is not in segments")
    where, value = found
    fields = value.split()
    if len(fields) != 3:
        raise where.error("a segment is a recording, a start and an end")
    try:
        start, end = float(fields[1]), float(fields[2])
    except ValueError as error:
        raise where.error("a segment's start and end are seconds") from error
    if not (0 <= start < math.inf) or not (end == -1 or start < end < math.inf):
        raise where.error(f"a segment starts at 0 or later and ends after it, not {start} to {end}")
    return fields[0], start, None if end == -1 else end - start
