"""LibriSpeech trees: SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt beside its recordings.

Described in Panayotov et al., "LibriSpeech: an ASR corpus based on public domain audio books"
(2015) and followed by MLS, LibriTTS-R's derivatives and others.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from aural.data.utterance import Utterance, numbered_lines, unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aural.data.utterance import Place

_ENDING = ".trans.txt"
_AUDIO = (".flac", ".wav", ".opus", ".ogg", ".mp3")


def is_librispeech(directory: Path) -> bool:
    """Whether there is a *.trans.txt anywhere below."""
    return next(_transcripts(directory), None) is not None


def read_librispeech(directory: Path) -> list[Utterance]:
    """Utterances in the order of their paths; chapter, sex where SPEAKERS.TXT is found, and subset
    (train-clean-100 ...) where the speakers' folders stand in one below the directory.

    Raises:
        ManifestError: a line or name that is not LibriSpeech's, or a repeated id.
    """
    return unique(stream_librispeech(directory))


def stream_librispeech(directory: Path) -> Iterator[tuple[Place, Utterance]]:
    """As read_librispeech, one by one; an id given twice is not noticed."""
    sexes = _sexes(directory)
    for transcript in _transcripts(directory):
        inside = transcript.relative_to(directory).parts
        yield from _chapter(transcript, sexes, inside[-4] if len(inside) > 3 else "")


def _transcripts(directory: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(directory, followlinks=False):
        folders.sort()
        yield from (Path(parent, name) for name in sorted(files) if name.endswith(_ENDING))


def _chapter(
    transcript: Path, sexes: dict[str, str], subset: str
) -> Iterator[tuple[Place, Utterance]]:
    for place, line in numbered_lines(transcript):
        name, _, text = line.strip().partition(" ")
        parts = name.split("-")
        if len(parts) != 3 or "/" in name:
            raise place.error(f"{name[:80]!r} is not SPEAKER-CHAPTER-NUMBER")
        speaker, chapter, _ = parts
        metadata = {"chapter": chapter}
        if speaker in sexes:
            metadata["sex"] = sexes[speaker]
        if subset:
            metadata["subset"] = subset
        stem = transcript.parent / name
        found = (Path(f"{stem}{ending}") for ending in _AUDIO)
        audio = next((path for path in found if path.is_file()), Path(f"{stem}{_AUDIO[0]}"))
        yield place, Utterance(name, audio, text, speaker=speaker, metadata=metadata)


def _sexes(directory: Path) -> dict[str, str]:
    """Speaker -> M or F, from SPEAKERS.TXT here or one folder up; empty without it."""
    for folder in (directory, directory.resolve().parent):
        table = folder / "SPEAKERS.TXT"
        if table.is_file():
            rows = [line.split("|") for _, line in numbered_lines(table) if line[0] != ";"]
            return {row[0].strip(): row[1].strip() for row in rows if len(row) > 1}
    return {}
