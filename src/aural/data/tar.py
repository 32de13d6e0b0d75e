"""Tar archives from front to back: the names of regular files and their bytes, in flat memory.

The formats are POSIX.1-1988 (ustar) and POSIX.1-2001 (pax), as the standard's `pax` utility states
them, and GNU tar's long names and base-256 sizes; compressed by gzip or xz, told from the bytes.

Every archive is taken for hostile. Links, devices and folders are passed over; a name that leads
out of the archive is refused, though nothing is written anywhere; sizes are bounded before they are
believed, and unpacked bytes are counted, so nothing expands beyond its limit. An archive that ends
without its two blocks of zeros was cut short, and is an error where it ends; what is compressed is
read beyond them, to its checksum.
"""

from __future__ import annotations

import gzip
import io
import lzma
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from aural.errors import InputError, ManifestError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BLOCK = 512
_PIECE_BYTES = 1 << 18
_MAX_HEADER_BYTES = 1 << 16  # of a pax header or a long name
_MAX_NAME_BYTES = 4096
_XZ_MEMORY = 256 << 20  # xz -9 needs 65 MiB; a header can ask for 4 GiB
_REGULAR = (b"0", b"\0", b"7")
_WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"5", b"6")  # links, devices, folders, pipes
_EXTENDED = (b"x", b"g", b"L", b"K")
_SPARSE = "a sparse file, which is not read; pack it anew without --sparse"
_FAILURES = (OSError, EOFError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class TarLimits:
    """What an archive may hold: bytes of a member that is read, members, and unpacked bytes."""

    max_member_bytes: int = 256 << 20
    max_members: int = 10_000_000
    max_bytes: int = 64 << 30

    def __post_init__(self) -> None:
        for name in ("max_member_bytes", "max_members", "max_bytes"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more")


class Tape:
    """An archive's unpacked bytes, in their order, counted."""

    def __init__(self, file: io.BufferedReader, path: Path, limits: TarLimits) -> None:
        self.path, self.limits = path, limits
        self.position = 0
        self._source = self._unpacked(file)
        self._compressed = self._source is not file

    def error(self, problem: str, back: int = 0) -> ManifestError:
        """The error to raise: archive: problem, with its place so many unpacked bytes back."""
        return ManifestError(f"{self.path}: byte {self.position - back}: {problem}")

    def take(self, size: int) -> bytes:
        """The next bytes, so many of them; ManifestError beyond the limits or the end."""
        if size > self.limits.max_member_bytes:
            raise self.error(
                f"a member of {size} bytes; allowed are {self.limits.max_member_bytes}"
            )
        return self.read(size)

    def read(self, size: int) -> bytes:
        """As take, for what is small by its nature."""
        return b"".join(self._pieces(size))

    def skip(self, size: int) -> None:
        """Pass over so many bytes."""
        for _ in self._pieces(size):
            pass

    def finish(self) -> None:
        """Read what is compressed to its end, where its checksum stands."""
        while self._compressed and (piece := self._read(_PIECE_BYTES)):
            self.position += len(piece)
            if self.position > self.limits.max_bytes:
                raise self.error(f"more than {self.limits.max_bytes} bytes in all")

    def _read(self, size: int) -> bytes:
        try:
            return self._source.read(size)
        except _FAILURES as error:
            raise self.error(f"damaged or cut short ({error})") from error

    def _pieces(self, size: int) -> Iterator[bytes]:
        if self.position + size > self.limits.max_bytes:
            raise self.error(f"more than {self.limits.max_bytes} bytes in all")
        while size:
            piece = self._read(min(size, _PIECE_BYTES))
            if not piece:
                raise self.error("cut short: the archive ends here")
            self.position += len(piece)
            size -= len(piece)
            yield piece

    def _unpacked(self, file: io.BufferedReader) -> BinaryIO:
        try:
            magic = file.peek(6)[:6]
        except OSError as error:
            raise self.error(f"can't be read ({error.strerror})") from error
        if magic.startswith(b"\x1f\x8b"):
            return cast("BinaryIO", gzip.GzipFile(fileobj=file))
        if magic == b"\xfd7zXZ\0":
            return cast("BinaryIO", io.BufferedReader(_XZ(file), _PIECE_BYTES))
        if magic.startswith((b"BZh", b"\x28\xb5\x2f\xfd")):
            raise self.error("compressed by bzip2 or zstd; shards are plain, gzip or xz")
        return file


class _XZ(io.RawIOBase):
    """Unpacks .xz in bounded memory, which lzma.LZMAFile does not."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """The next unpacked bytes; 0 at the end of the stream."""
        block = b""
        while not block and not self._decoder.eof:
            more = self._file.read(_PIECE_BYTES) if self._decoder.needs_input else b""
            if self._decoder.needs_input and not more:
                raise EOFError("the xz stream breaks off")
            block = self._decoder.decompress(more, len(buffer))
        buffer[: len(block)] = block
        return len(block)


def members(tape: Tape) -> Iterator[tuple[str, int]]:
    """Name and size of each regular file; what of it the caller doesn't take is passed over.

    Raises:
        ManifestError: damaged, cut short, beyond the limits, or a name that leads out.
    """
    name, size = b"", None  # of extended headers, for the member after them
    count = 0
    while (header := _header(tape)) is not None:
        kind, own_name, own_size = header
        count += 1
        if count > tape.limits.max_members:
            raise tape.error(f"more than {tape.limits.max_members} members")
        if kind in _EXTENDED:
            end = tape.position + _padded(own_size)
            if kind in (b"x", b"L"):
                more_name, more_size = _extended(tape, kind, own_size)
                name, size = more_name or name, size if more_size is None else more_size
        else:
            whole = 0 if kind in _WITHOUT_DATA else own_size if size is None else size
            end = tape.position + _padded(whole)
            called, name, size = name or own_name, b"", None
            if kind in _REGULAR and not called.endswith(b"/"):
                yield _safe(called, tape), whole
        tape.skip(end - tape.position)
    tape.finish()


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _header(tape: Tape) -> tuple[bytes, bytes, int] | None:
    """Type, name and size that a header states; None at the archive's end."""
    block = tape.read(_BLOCK)
    if not any(block):
        if any(tape.read(_BLOCK)):
            raise tape.error("a block of zeros within the archive: damaged", 2 * _BLOCK)
        return None
    unsigned = sum(block[:148]) + 8 * 32 + sum(block[156:])
    signed = unsigned - 256 * sum(byte > 127 for byte in block[:148] + block[156:])
    stated = _number(block[148:156])
    if stated is None or stated not in (unsigned, signed):
        raise tape.error("no header of a tar member here: damaged, or no tar file", _BLOCK)
    size = _number(block[124:136])
    if size is None:
        raise tape.error("a member's size is no number", _BLOCK)
    if block[156:157] == b"S":
        raise tape.error(_SPARSE, _BLOCK)
    name = block[:100].partition(b"\0")[0]
    if block[257:263] == b"ustar\0" and block[345]:
        name = block[345:500].partition(b"\0")[0] + b"/" + name
    return block[156:157], name, size


def _number(digits: bytes) -> int | None:
    """Octal digits, or GNU's base 256; None for neither, and for what is below 0."""
    if digits[0] == 0x80:
        return int.from_bytes(digits[1:], "big")
    text = digits.strip(b" \0")
    if not text:
        return 0
    return int(text, 8) if all(byte in b"01234567" for byte in text) else None


def _extended(tape: Tape, kind: bytes, size: int) -> tuple[bytes, int | None]:
    """Name and size, where a pax header or GNU's long name states them."""
    if size > _MAX_HEADER_BYTES:
        raise tape.error(f"an extended header of {size} bytes; allowed are {_MAX_HEADER_BYTES}")
    data = tape.read(size)
    if kind == b"L":
        return data.partition(b"\0")[0], None
    name, stated, start = b"", None, 0
    while start < len(data):
        space = data.find(b" ", start, start + 6)
        length = data[start : max(start, space)]
        end = start + (int(length) if length.isdigit() else 0)
        keyword, equals, value = data[space + 1 : max(start, end - 1)].partition(b"=")
        if space < 0 or not equals or end > len(data) or data[end - 1 : end] != b"\n":
            raise tape.error("a pax header that is none")
        if keyword.startswith(b"GNU.sparse."):
            raise tape.error(_SPARSE)
        if keyword == b"path":
            name = value
        elif keyword == b"size":
            if not value.isdigit() or len(value) > 20:
                raise tape.error("a pax header whose size is no number")
            stated = int(value)
        start = end
    return name, stated


def _safe(raw: bytes, tape: Tape) -> str:
    """A member's name without ./ before it."""
    try:
        name = raw.decode().removeprefix("./")
    except UnicodeDecodeError as error:
        raise tape.error(f"a member's name is not UTF-8: {raw[:80]!r}") from error
    leads_out = name.startswith("/") or ".." in name.split("/")
    if leads_out or "\0" in name or len(raw) > _MAX_NAME_BYTES:
        raise tape.error(f"a member's name leads out of the archive: {name[:80]!r}")
    return name
