"""Where results go: files that are complete or not there, and a journal of what is done.

A file is written beside its place and renamed into it. The journal, `.aural.jsonl` in the output
folder, gets one line an input once all its outputs are in place: the input's path, size and time
of change, a fingerprint of the options, and each output's SHA-256. `--resume` keeps an input's
outputs when that line still holds, makes them anew otherwise, and refuses to touch those of
another input. The journal is locked while a run writes to the folder; the system drops the lock
with the process, however it ends.
"""

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from aural.cli.inputs import STDIN, Input
from aural.errors import InputError

JOURNAL = ".aural.jsonl"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


@dataclass(frozen=True)
class Entry:
    """What the journal says of an input's outputs, which are named relative to the folder."""

    output: str
    source: str
    size: int
    mtime_ns: int
    options: str
    files: Mapping[str, str]


@dataclass
class Folder:
    """An output folder, open for one run."""

    path: Path
    options: str
    journal: BinaryIO
    entries: dict[str, Entry] = field(default_factory=dict)

    def is_done(self, item: Input, suffixes: Sequence[str]) -> bool:
        """Whether the journal's line for this input holds: same input, options and bytes."""
        entry = self.entries.get(str(item.output))
        if entry is None or item.source == STDIN or entry.options != self.options:
            return False
        if entry.source != origin(item):
            return False
        if set(entry.files) != {f"{item.output}{suffix}" for suffix in suffixes}:
            return False
        with suppress(OSError):
            same = stamp(item.source) == (entry.size, entry.mtime_ns)
            return same and all(sha256(self.path / k) == v for k, v in entry.files.items())
        return False

    def refuse_inputs(self, items: Sequence[Input], suffixes: Sequence[str]) -> None:
        """Raise InputError where an output would take the place of an input."""
        sources = {os.path.realpath(item.source) for item in items if item.source != STDIN}
        for path in self.paths(items, suffixes):
            if os.path.realpath(path) in sources:
                raise InputError(f"the output {path} is also an input; choose another folder")

    def refuse_existing(self, items: Sequence[Input], suffixes: Sequence[str]) -> None:
        """Raise InputError where an output is there already."""
        for path in self.paths(items, suffixes):
            if path.exists():
                message = f"{path} exists; give --resume to keep what is done, or --overwrite"
                raise InputError(message)

    def refuse_others(self, items: Sequence[Input]) -> None:
        """Raise InputError where the journal says that an output was made of another input."""
        for item in items:
            entry = self.entries.get(str(item.output))
            if entry is not None and entry.source != origin(item):
                message = (
                    f"{self.path / item.output} was made of {entry.source}, not of "
                    f"{origin(item)}; choose another folder, or give --overwrite"
                )
                raise InputError(message)

    def paths(self, items: Sequence[Input], suffixes: Sequence[str]) -> Iterator[Path]:
        """Every output of the inputs."""
        return (self.path / f"{item.output}{suffix}" for item in items for suffix in suffixes)

    def put(
        self, item: Input, before: tuple[int, int], texts: Mapping[str, str | bytes]
    ) -> list[str]:
        """Write an input's outputs (suffix -> text or bytes) and its line in the journal; their
        paths.

        before is the input's stamp from before it was read. Raises InputError when the disk is
        full, and OSError for what concerns this input alone.
        """
        files = {}
        try:
            for suffix, text in texts.items():
                name = f"{item.output}{suffix}"
                content = (
                    text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text
                )
                write_whole(self.path / name, content)
                files[name] = hashlib.sha256(content).hexdigest()
            entry = Entry(str(item.output), origin(item), *before, self.options, files)
            self.journal.write(json.dumps(asdict(entry)).encode() + b"\n")
            self.journal.flush()
        except OSError as error:
            if error.errno not in FULL:
                raise
            message = f"can't write to the output folder {self.path}: {error.strerror}"
            raise InputError(message) from error
        return [str(self.path / name) for name in files]


@contextmanager
def open_folder(path: Path, options: str) -> Iterator[Folder]:
    """The folder, made where it is missing, locked until the end.

    Raises InputError where it can't be made or written, and where another run has it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        journal = (path / JOURNAL).open("a+b")
    except OSError as error:
        raise InputError(f"can't write to the output folder {path}: {error.strerror}") from error
    with journal:
        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"another run is writing to {path}; wait for it to end") from error
        yield Folder(path, options, journal, read_journal(journal))


def read_journal(journal: BinaryIO) -> dict[str, Entry]:
    """The last line of each input; a torn line at the end, left by a kill, is cut off."""
    journal.seek(0)
    entries, good = {}, 0
    for line in journal:
        if not line.endswith(b"\n"):
            break
        good += len(line)
        with suppress(ValueError, TypeError):
            entry = Entry(**json.loads(line))
            entries[entry.output] = replace(entry, files=dict(entry.files))
    journal.truncate(good)
    return entries


def write_whole(path: Path, content: bytes) -> None:
    """Put the content at the path, whole or not at all, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name's end only: the name may already be as long as the system allows (255 bytes).
    part = path.with_name(f".{path.name[-60:]}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def origin(item: Input) -> str:
    """The input's path from the root, links left as they are; "-" for stdin."""
    return item.source if item.source == STDIN else os.path.abspath(item.source)


def stamp(path: str) -> tuple[int, int]:
    """Size in bytes and time of change in nanoseconds."""
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns


def sha256(path: Path) -> str:
    """The file's hash in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(choices: Sequence[Any]) -> str:
    """A short hash of what decides about the outputs, all of it JSON."""
    text = json.dumps(choices, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
