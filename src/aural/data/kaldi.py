"""Kaldi data directories: wav.scp, text, and where they are there segments, utt2spk, utt2lang.

The files are described at https://kaldi-asr.org/doc/data_prep.html; a line is a key and its value.
Of wav.scp only plain paths are read: a line that ends in "|" is a shell command, and is refused.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from aural.data.utterance import Place, Utterance, audio_path, numbered_lines, unique

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
    return unique(_utterances(directory))


def _utterances(directory: Path) -> Iterator[tuple[Place, Utterance]]:
    recordings = _table(directory / "wav.scp")
    audio = {
        name: _recording(value, directory, place) for name, (place, value) in recordings.items()
    }
    segments = _optional(directory / "segments")
    speakers, languages = _optional(directory / "utt2spk"), _optional(directory / "utt2lang")
    genders = _optional(directory / "spk2gender")
    for name, (place, text) in _table(directory / "text").items():
        recording, offset, duration = name, None, None
        if segments:
            recording, offset, duration = _segment(segments, name, place)
        if recording not in audio:
            raise place.error(f"{recording!r} is not in wav.scp")
        speaker = speakers[name][1] if name in speakers else ""
        yield (
            place,
            Utterance(
                id=name,
                audio=audio[recording],
                text=text,
                duration=duration,
                offset=offset,
                speaker=speaker,
                language=languages[name][1] if name in languages else "",
                metadata={"gender": genders[speaker][1]} if speaker in genders else {},
            ),
        )


def _optional(path: Path) -> Table:
    return _table(path) if path.is_file() else {}


def _table(path: Path) -> Table:
    """Key -> (place, value); a key alone has the value ""."""
    table: Table = {}
    for place, line in numbered_lines(path):
        key, *rest = line.split(maxsplit=1)
        if key in table:
            raise place.error(f"{key!r} was already given on line {table[key][0].line}")
        table[key] = place, rest[0].rstrip() if rest else ""
    return table


def _recording(value: str, directory: Path, place: Place) -> Path:
    if re.search(r"\.ark:\d+$", value):
        raise place.error(f"{value[:80]!r} points into an archive: extract it to audio files")
    return audio_path(value, directory, place)


def _segment(segments: Table, name: str, place: Place) -> tuple[str, float, float | None]:
    """Recording, start and duration (None: to its end, which Kaldi writes as -1)."""
    if name not in segments:
        raise place.error(f"{name!r} is not in segments")
    where, value = segments[name]
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
