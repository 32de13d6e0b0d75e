"""Unpack a .deb: an `ar` archive (deb(5)) whose data.tar holds the files.

Every archive is taken for hostile: only regular files below the target are written, with plain
permissions; links, devices and directories are passed over; bytes and members are counted while
unpacking, after decompression, so nothing expands beyond its limit.
"""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zlib
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from aural.errors import LimitExceeded, UnsupportedFormat

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MAX_MEMBERS = 200_000
MAX_NAME_BYTES = 1024
BLOCK_BYTES = 1 << 20
_AR_MAGIC = b"!<arch>\n"


def unpack_deb(
    deb: Path, target: Path, *, keep: Sequence[str] = ("",), max_bytes: int = 2_000_000_000
) -> int:
    """Write the regular files of a .deb below target; returns how many.

    keep: prefixes of the member names wanted ("usr/share/..."). Raises UnsupportedFormat when it
    is no .deb or is damaged, LimitExceeded when it unpacks to more than max_bytes.
    """
    with deb.open("rb") as handle:
        name, data = _find_data(handle, deb.name)
        opened = _decompressor(name, data)
        bounded = io.BufferedReader(_Bounded(opened, max_bytes, deb.name), BLOCK_BYTES)
        try:
            with tarfile.open(fileobj=bounded, mode="r|") as archive:
                return _write_members(archive, target, keep, deb.name)
        except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, gzip.BadGzipFile) as error:
            raise UnsupportedFormat(f"{deb.name} is damaged: {error}") from error


class _Slice(io.RawIOBase):
    """A readable run of length bytes of an open file, from where it stands."""

    def __init__(self, handle: BinaryIO, length: int) -> None:
        self._handle, self._left = handle, length

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer from the file; 0 at the end of the run."""
        block = self._handle.read(min(len(buffer), self._left))
        self._left -= len(block)
        buffer[: len(block)] = block
        return len(block)


class _Bounded(io.RawIOBase):
    """Reads a decompressor, and stops it at max_bytes in all."""

    def __init__(self, source: IO[bytes], max_bytes: int, name: str) -> None:
        self._source, self._left, self._name = source, max_bytes, name
        self._max_bytes = max_bytes

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next unpacked bytes, at most a block of them at once."""
        block = self._source.read(min(len(buffer), BLOCK_BYTES))
        self._left -= len(block)
        if self._left < 0:
            raise LimitExceeded(f"{self._name} unpacks to more than {self._max_bytes} bytes")
        buffer[: len(block)] = block
        return len(block)


def _find_data(handle: BinaryIO, name: str) -> tuple[str, _Slice]:
    """The name of the archive's data member and its bytes."""
    if handle.read(8) != _AR_MAGIC:
        raise UnsupportedFormat(f"{name} is not a .deb")
    for _ in range(16):
        header = handle.read(60)
        if len(header) < 60 or header[58:] != b"`\n" or not header[48:58].strip().isdigit():
            break
        member = header[:16].decode("ascii", "replace").strip().rstrip("/")
        length = int(header[48:58])
        if member.startswith("data.tar"):
            return member, _Slice(handle, length)
        handle.seek(length + length % 2, io.SEEK_CUR)
    raise UnsupportedFormat(f"{name} is damaged: it has no data member")


def _decompressor(member: str, data: io.RawIOBase) -> IO[bytes]:
    raw = cast("IO[bytes]", io.BufferedReader(data, BLOCK_BYTES))
    if member == "data.tar.xz":
        return lzma.LZMAFile(raw)
    if member == "data.tar.gz":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if member == "data.tar":
        return raw
    raise UnsupportedFormat(f"{member}: allowed are data.tar, data.tar.gz and data.tar.xz")


def _write_members(
    archive: tarfile.TarFile, target: Path, keep: Sequence[str], deb_name: str
) -> int:
    written = 0
    for count, member in enumerate(archive):
        if count >= MAX_MEMBERS:
            raise LimitExceeded(f"{deb_name} holds more than {MAX_MEMBERS} files")
        name = _safe_name(member.name, deb_name)
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            continue
        if not name.startswith(tuple(keep)):
            continue
        source = archive.extractfile(member)
        assert source is not None
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as out:
            while block := source.read(BLOCK_BYTES):
                out.write(block)
        written += 1
    return written


def _safe_name(name: str, deb_name: str) -> str:
    """The member's name relative to the target; UnsupportedFormat when it would lead out of it."""
    plain = name.removeprefix("./").rstrip("/")
    unsafe = "\0" in plain or plain.startswith("/") or ".." in plain.split("/")
    if unsafe or len(plain.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES:
        raise UnsupportedFormat(f"{deb_name}: a member's name leads out of the archive: {plain!r}")
    return plain
