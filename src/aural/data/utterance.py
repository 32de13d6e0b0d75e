"""One labelled recording, and reading lists of them from files nobody has checked."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aural.data.files import opened
from aural.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MAX_LINE = 1 << 20
MAX_UTTERANCES = 2_000_000
_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True)
class LanguageSpan:
    """Words [start, end) of an utterance's text, counted as white space parts it, in a language."""

    start: int
    end: int
    language: str


@dataclass(frozen=True)
class Clip:
    """A recording as the bytes of its file, where that is no file on disk but part of a shard.

    name says where it is from and ends as its file would ("shard-000.tar:u1.flac").
    """

    name: str
    data: bytes = field(repr=False)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Utterance:
    """A recording, or a stretch of one, and what is said in it.

    audio is a path, or a Clip where it was read from a shard; str(audio) names either.

    id is unique in its manifest. offset is None where the whole file is meant, else the stretch
    starts there and lasts duration seconds (None: to the end). speaker and language are "" where
    not known; language is an ISO 639-1 code by convention. metadata holds every other column.
    spans mark the languages of a code-switched text and, where there are any, cover all its words.
    """

    id: str
    audio: Path | Clip
    text: str
    duration: float | None = None
    offset: float | None = None
    speaker: str = ""
    language: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    spans: tuple[LanguageSpan, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where in a manifest something stands, for messages: a line, or a shard's member."""

    path: Path
    line: int | str

    def error(self, problem: str) -> ManifestError:
        """The error to raise: file:line: problem."""
        return ManifestError(f"{self.path}:{self.line}: {problem}")


def numbered_lines(path: Path) -> Iterator[tuple[Place, str]]:
    """Lines of a UTF-8 text file without their ends, blank ones left out, none over 1 MiB.

    Raises:
        ManifestError: the file can't be read, is not UTF-8 or has a longer line.
    """
    if not path.is_file():
        raise ManifestError(f"{path}: no such file")
    number = 0
    try:
        with opened(path) as stream:
            while raw := stream.readline(MAX_LINE + 1):
                number += 1
                if len(raw) > MAX_LINE:
                    raise Place(path, number).error(f"a line of more than {MAX_LINE} bytes")
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                if line.strip():
                    yield Place(path, number), line
    except UnicodeDecodeError as error:
        raise Place(path, number).error("not UTF-8 text") from error
    except OSError as error:
        raise ManifestError(f"{path}: can't be read: {error.strerror}") from error


def audio_path(text: str, base: Path, place: Place) -> Path:
    """The file a manifest names; a relative path counts from base.

    Raises:
        ManifestError: a command, a URL or no path at all.
    """
    if text.rstrip().endswith("|"):
        raise place.error(
            f"{text[:80]!r} is a command to run, which aural never does: "
            "write its output to a file and name that file"
        )
    if _URL.match(text):
        raise place.error(f"{text[:80]!r} is a URL: download it and name the file")
    if not text.strip() or "\0" in text:
        raise place.error(f"{text[:80]!r} is not a path")
    return Path(os.path.normpath(base / text))


def unique(numbered: Iterable[tuple[Place, Utterance]]) -> list[Utterance]:
    """The utterances in order.

    Raises:
        ManifestError: two have one id, or there are none, or more than 2,000,000.
    """
    seen: dict[str, Place] = {}
    utterances: list[Utterance] = []
    for place, utterance in numbered:
        if first := seen.get(utterance.id):
            raise place.error(
                f"{utterance.id!r} was already given at {first.path.name}:{first.line}: "
                "remove one of them, or give each its own id"
            )
        if len(utterances) == MAX_UTTERANCES:
            raise place.error(f"more than {MAX_UTTERANCES} utterances: split the manifest")
        seen[utterance.id] = place
        utterances.append(utterance)
    if not utterances:
        raise ManifestError("the manifest has no utterances")
    return utterances
