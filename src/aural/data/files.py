"""Files as data are read from and written to: counted while read, whole once written."""

from __future__ import annotations

import io
import os
import secrets
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BUFFER_BYTES = 1 << 14  # small: what is read ahead of the first example is read for nothing

Kind = Literal["lists", "recordings"]


@dataclass
class Meter:
    """Bytes read from files while metered: of lists (manifests, shards), and of recordings."""

    lists: int = 0
    recordings: int = 0

    def add(self, kind: Kind, count: int) -> None:
        """So many more."""
        setattr(self, kind, getattr(self, kind) + count)


_meter: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def metered() -> Iterator[Meter]:
    """Counts what this thread reads through `opened` inside the `with`."""
    meter = Meter()
    token = _meter.set(meter)
    try:
        yield meter
    finally:
        _meter.reset(token)


def opened(path: Path, kind: Kind = "lists") -> io.BufferedReader:
    """The file, open for reading; bytes taken from the system are counted where metered."""
    meter = _meter.get()
    raw = io.FileIO(path) if meter is None else _Counted(path, meter, kind)
    return io.BufferedReader(raw, _BUFFER_BYTES)


def read_whole(path: Path) -> None:
    """Count a recording that the audio layer is about to read by itself."""
    meter = _meter.get()
    if meter is not None and path.is_file():
        meter.add("recordings", path.stat().st_size)


class _Counted(io.FileIO):
    """A file that counts into a meter."""

    def __init__(self, path: Path, meter: Meter, kind: Kind) -> None:
        super().__init__(path)
        self._meter, self._kind = meter, kind

    def readinto(self, buffer: Any, /) -> int | None:
        """As FileIO does."""
        count = super().readinto(buffer)
        self._meter.add(self._kind, count or 0)
        return count

    def readall(self) -> bytes:
        """As FileIO does."""
        data = super().readall()
        self._meter.add(self._kind, len(data))
        return data


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes path's place when the block ends well, and vanishes when it doesn't.

    Raises InputError where it can't be written.
    """
    part = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            yield file
        os.replace(part, path)
    except OSError as error:
        raise InputError(f"{path}: can't be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def bytes_below(folder: Path) -> int:
    """Sizes of all regular files in a folder and its folders, links not followed."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(os.path.join(parent, name))
            except OSError:
                continue  # removed while we looked
            total += status.st_size
    return total
