"""Tar shards: a recording and its labels as neighbours in a tar file, read from front to back.

The convention is WebDataset's. A member's key is its path up to the first dot of its name, and the
members of a key stand together:

    000017.flac    wav, flac, mp3, ogg or opus: the recording, one a key
    000017.txt     its text
    000017.json    its labels, named as in a manifest; a .txt beside it has the word on the text

What else a key has is passed over. A shard is plain, gzip or xz, told from its bytes. Nothing is
unpacked to disk. Every shard is taken for hostile: see `aural.data.tar`.
"""

from __future__ import annotations

import glob
import json
import re
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from aural.data.columns import NAMES, Field, labelled
from aural.data.files import opened
from aural.data.tar import Tape, TarLimits, members
from aural.data.utterance import Clip, Place, Utterance
from aural.errors import InputError, ManifestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

AUDIO = ("wav", "flac", "mp3", "ogg", "opus")
_RECORDINGS = tuple(f".{ending}" for ending in AUDIO)
_LABELS = ("txt", "json")
_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz")
MAX_LABEL_BYTES = 1 << 20
MAX_SHARDS = 1_000_000
_NAMED = 5
_BRACE = re.compile(r"\{(?:(\d{1,12})\.\.(\d{1,12})|([^{}]*,[^{}]*))\}")


def is_shards(source: str) -> bool:
    """Whether a name or pattern ends as those of tar files do."""
    return source.lower().endswith(_ENDINGS)


def shards_in(directory: Path) -> list[Path]:
    """The tar files of a directory, by name."""
    return sorted(path for path in directory.iterdir() if is_shards(path.name) and path.is_file())


def shard_paths(source: str) -> list[Path]:
    """The shards that a path, a glob, a pattern with braces or a directory stands for, in order.

    {000..119} counts with leading zeros, {a,b} lists; of a glob what is there comes by name.

    Raises:
        ManifestError: a shard is not there, or there is none.
        InputError: braces that stand for more than 1,000,000 shards.
    """
    path = Path(source)
    if path.is_dir():
        found = shards_in(path)
    elif path.is_file():
        found = [path]
    else:
        names = expand_braces(source)
        found = [Path(each) for name in names for each in _matches(name)]
        missing = [each for each in found if not each.is_file()]
        if missing:
            raise ManifestError(f"{missing[0]}: no such shard ({len(missing)} of {len(found)})")
    if not found:
        raise ManifestError(f"{source}: no tar shard there")
    return found


def _matches(name: str) -> list[str]:
    return sorted(glob.glob(name)) if glob.has_magic(name) else [name]


def expand_braces(pattern: str) -> list[str]:
    """What a pattern with {first..last} or {a,b} stands for, as a shell expands it.

    Raises:
        InputError: more than 1,000,000 names, or a range that falls.
    """
    parts = _BRACE.split(pattern)
    choices: list[list[str]] = [parts[:1]]
    count = 1
    for first, last, listed, rest in zip(*(parts[start::4] for start in (1, 2, 3, 4)), strict=True):
        if listed is None and int(first) > int(last):
            raise InputError(f"{pattern}: {{{first}..{last}}} falls; give the lower number first")
        count *= len(listed.split(",")) if listed is not None else int(last) - int(first) + 1
        if count > MAX_SHARDS:
            raise InputError(f"{pattern}: more than {MAX_SHARDS} shards")
        choices += [listed.split(",") if listed is not None else _numbers(first, last), [rest]]
    return ["".join(each) for each in product(*choices)]


def _numbers(first: str, last: str) -> list[str]:
    padded = any(len(each) > 1 and each[0] == "0" for each in (first, last))
    width = max(len(first), len(last)) if padded else 0
    return [str(number).zfill(width) for number in range(int(first), int(last) + 1)]


def stream_shards(
    paths: Iterable[Path],
    *,
    limits: TarLimits = TarLimits(),  # noqa: B008  (frozen)
    require_text: bool = True,
) -> Iterator[Utterance]:
    """The examples of shards, one after the other; their audio is a Clip.

    One example is in memory at a time; ids are not compared. Without require_text an example that
    has no text has an empty one.

    Raises:
        ManifestError: a shard is missing, damaged, cut short or beyond the limits; a key has two
            recordings or none, or no text.
    """
    for path in paths:
        for _, utterance in examples(path, limits=limits, require_text=require_text):
            yield utterance


def examples(
    path: Path,
    *,
    limits: TarLimits = TarLimits(),  # noqa: B008  (frozen)
    require_text: bool = True,
) -> Iterator[tuple[Place, Utterance]]:
    """The examples of one shard, each with the place of its recording; see stream_shards."""
    if not path.is_file():
        raise ManifestError(f"{path}: no such shard")
    try:
        file = opened(path)
    except OSError as error:
        raise ManifestError(f"{path}: can't be read: {error.strerror}") from error
    with file:
        tape = Tape(file, path, limits)
        group = _Group(path, "")
        for name, size in members(tape):
            split = _split(name)
            if split is None:
                continue
            key, ending = split
            if key != group.key:
                yield from group.examples(require_text)
                group = _Group(path, key)
            group.met(name)
            if ending in _LABELS and size > MAX_LABEL_BYTES:
                raise Place(path, name).error(f"labels of more than {MAX_LABEL_BYTES} bytes")
            if ending in AUDIO or ending in _LABELS:
                group.add(name, ending, tape.take(size))
        yield from group.examples(require_text)


def _split(name: str) -> tuple[str, str] | None:
    """Key and ending; None for a name without, such as a hidden file's."""
    folder, slash, base = name.rpartition("/")
    stem, dot, ending = base.partition(".")
    return (f"{folder}{slash}{stem}", ending.lower()) if stem and dot else None


@dataclass
class _Group:
    """The members of one key, as far as they are read."""

    path: Path
    key: str
    names: list[str] = field(default_factory=list)  # the first few, for the message
    sounds: bool = False  # whether one is named as a recording is
    recording: tuple[str, bytes] | None = None
    labels: dict[str, bytes] = field(default_factory=dict)

    def met(self, name: str) -> None:
        """A member of any kind. There may be millions, so not all of their names are kept."""
        self.sounds = self.sounds or name.lower().endswith(_RECORDINGS)
        if len(self.names) < _NAMED:
            self.names.append(name)

    def add(self, name: str, ending: str, data: bytes) -> None:
        """A recording or labels; ManifestError for a second of the kind."""
        if ending in AUDIO:
            if self.recording is not None:
                raise self.error(f"two recordings, {self.recording[0]} and {name}")
            self.recording = name, data
            return
        if ending in self.labels:
            raise self.error(f"two .{ending}")
        self.labels[ending] = data

    def error(self, problem: str) -> ManifestError:
        """The error to raise: shard:key: problem."""
        return Place(self.path, self.key).error(problem)

    def examples(self, require_text: bool) -> Iterator[tuple[Place, Utterance]]:
        """The example; none where these members are about something else than sound."""
        if self.recording is None:
            if self.labels or self.sounds:
                raise self.error(
                    f"no recording KEY.{'|'.join(AUDIO)} beside {', '.join(self.names)}; "
                    "a key ends at the first dot, and its members stand together"
                )
            return
        name, data = self.recording
        place = Place(self.path, name)
        record = self._record()
        if not require_text and not any(record.get(each) is not None for each in NAMES["text"]):
            record["text"] = ""
        yield place, labelled(record, Clip(f"{self.path}:{name}", data), self.key, place)

    def _record(self) -> dict[str, Field]:
        record: dict[str, Field] = {}
        if "json" in self.labels:
            try:
                record = json.loads(self._text("json"))
            except (ValueError, RecursionError) as error:
                raise self.error("its .json is not a JSON object") from error
            if not isinstance(record, dict):
                raise self.error("its .json is not a JSON object")
        if "txt" in self.labels:
            record = {k: v for k, v in record.items() if k not in NAMES["text"]}
            record["text"] = self._text("txt").strip()
        return record

    def _text(self, ending: str) -> str:
        try:
            return self.labels[ending].decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise self.error(f"its .{ending} is not UTF-8 text") from error
