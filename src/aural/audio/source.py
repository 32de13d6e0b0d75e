"""What can be read: one seekable, bounded view of a path, a file object, bytes or stdin.

Every source is hostile: only regular files are opened by path, nothing is read past the size
found at the start, and a decoder that goes round in circles runs out of bytes.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from aural.errors import AudioError, EmptyAudio, InputError, LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aural.types import Audio

Source: TypeAlias = "str | os.PathLike[str] | bytes | BinaryIO | Audio"
"""A path, "-" for standard input, the bytes of a file, an open binary file, or decoded Audio."""

_COPY_BYTES = 1 << 20
_SPARE_BYTES = 64 << 20  # a small file may be read over again this much before it counts as a loop


@dataclass(frozen=True)
class Limits:
    """How much a source may hold; counted while reading and decoding, never taken from a header.

    max_samples counts decoded samples of all channels together, at the file's own rate (work);
    max_read_samples counts the samples that `read` returns at once (memory; `stream` has no need).
    """

    max_bytes: int = 16 << 30
    max_seconds: float = 24 * 3600.0
    max_channels: int = 32
    min_sample_rate: int = 1_000
    max_sample_rate: int = 384_000
    max_samples: int = 10_000_000_000
    max_read_samples: int = 1 << 29

    def check_signal(self, name: str, sample_rate: int, channels: int) -> None:
        """Raise LimitExceeded when the rate (Hz) or the number of channels is out of bounds."""
        if not self.min_sample_rate <= sample_rate <= self.max_sample_rate:
            raise LimitExceeded(
                f"{name}: its sample rate is {sample_rate} Hz; allowed are "
                f"{self.min_sample_rate} to {self.max_sample_rate} Hz"
            )
        if not 1 <= channels <= self.max_channels:
            raise LimitExceeded(
                f"{name}: it has {channels} channels; allowed are 1 to {self.max_channels}"
            )


class ByteSource(io.RawIOBase):
    """Bytes [0, size) of an open file, as the decoders see it: seekable, read-only, bounded.

    It never raises into a decoder's C callbacks: a failure ends the bytes and is kept in
    `failure` for the caller to raise. `fd` is the descriptor of a file that we opened by path.
    """

    def __init__(
        self, file: BinaryIO | io.FileIO, name: str, limits: Limits, fd: int | None = None
    ) -> None:
        self._file, self.label, self.fd = file, name, fd
        self.failure = ""
        try:
            self._origin = file.tell()
            self.size = file.seek(0, os.SEEK_END) - self._origin
        except (OSError, ValueError) as error:
            raise AudioError(f"{name}: it can't be read ({error})") from error
        self._position = 0
        self._left = 8 * max(self.size, 0) + _SPARE_BYTES
        if self.size > limits.max_bytes:
            raise LimitExceeded(f"{name}: it has {self.size} bytes; allowed are {limits.max_bytes}")
        if self.size <= 0:
            raise EmptyAudio(f"{name}: the file is empty")

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Bytes from the start."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """The new position; a seek before the start stays at the start."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence, self.size)
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        """Up to size bytes; empty at the end and after a failure."""
        left = max(0, self.size - self._position)
        wanted = min(left, size) if size >= 0 else left
        if self.failure or wanted == 0:
            return b""
        if wanted > self._left:
            self.failure = "its structure sends the decoder round in circles"
            return b""
        try:
            self._file.seek(self._origin + self._position)
            data = self._file.read(wanted)
        except (OSError, ValueError) as error:
            self.failure = f"reading it failed ({error})"
            return b""
        # A file object that returns more than was asked for would overrun the decoder's buffer.
        data = bytes(data or b"")[:wanted]
        self._position += len(data)
        self._left -= len(data)
        return data

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Fill the start of buffer; the number of bytes written."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to size bytes from offset; the position is left behind them."""
        self.seek(offset)
        return self.read(size)


@contextlib.contextmanager
def open_source(
    source: str | os.PathLike[str] | bytes | BinaryIO, limits: Limits
) -> Iterator[ByteSource]:
    """A ByteSource over source; what we opened is closed at the end.

    Raises AudioError for what is missing, forbidden or no regular file, EmptyAudio for no bytes,
    LimitExceeded for too many, InputError for a value that is no source at all.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(source, (bytes, bytearray, memoryview)):
            yield ByteSource(io.BytesIO(source), "the bytes given", limits)
        elif isinstance(source, str) and source == "-":
            name = "standard input"
            yield ByteSource(_spool(stack, sys.stdin.buffer, name, limits), name, limits)
        elif isinstance(source, (str, os.PathLike)):
            path = os.fsdecode(source)
            opened = stack.enter_context(_open_regular(path))
            yield ByteSource(opened, repr(path), limits, fd=opened.fileno())
        elif hasattr(source, "read"):
            name = "the file object given"
            file = source if _is_seekable(source) else _spool(stack, source, name, limits)
            yield ByteSource(_binary(file, name), name, limits)
        else:
            raise InputError(
                f"{type(source).__name__} is no source of audio; give a path, '-', bytes, "
                "an open binary file, or Audio(samples, sample_rate)"
            )


def _open_regular(path: str) -> io.FileIO:
    """The file at path, opened without ever waiting for the other end of a pipe."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            # A file that is swapped for a pipe in between must not make us wait: O_NONBLOCK.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISREG(mode):
                return io.FileIO(descriptor, "rb")
            os.close(descriptor)
    except FileNotFoundError as error:
        raise AudioError(f"{path!r}: there is no such file") from error
    except PermissionError as error:
        raise AudioError(f"{path!r}: no permission to read it") from error
    except (OSError, ValueError) as error:
        raise AudioError(f"{path!r}: it can't be opened ({error})") from error
    kind = "a directory" if stat.S_ISDIR(mode) else "a pipe, socket or device"
    if stat.S_ISDIR(mode) and not os.access(path, os.R_OK | os.X_OK):
        raise AudioError(f"{path!r}: no permission to look into this directory")
    raise AudioError(f"{path!r}: it is {kind}; give a regular file, or pipe the bytes to '-'")


def _is_seekable(file: BinaryIO) -> bool:
    seekable = getattr(file, "seekable", None)
    try:
        return callable(seekable) and bool(seekable()) and hasattr(file, "tell")
    except (OSError, ValueError) as error:
        raise AudioError(f"the file object given can't be read ({error})") from error


def _spool(stack: contextlib.ExitStack, file: BinaryIO, name: str, limits: Limits) -> BinaryIO:
    """A temporary file, unlinked already, with all the bytes of a source that can't seek."""
    copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  (the stack closes it)
    size = 0
    try:
        while data := file.read(_COPY_BYTES):
            if not isinstance(data, (bytes, bytearray, memoryview)):
                raise InputError(f"{name} gives text; open it in binary mode ('rb')")
            size += len(data)
            if size > limits.max_bytes:
                raise LimitExceeded(f"{name}: more bytes than the {limits.max_bytes} allowed")
            copy.write(data)
        copy.seek(0)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise AudioError(f"{name}: reading it failed ({error})") from error
    return copy


def _binary(file: BinaryIO, name: str) -> BinaryIO:
    """The file itself, when reading it gives bytes."""
    try:
        sample = file.read(0)
    except (OSError, ValueError) as error:
        raise AudioError(f"{name}: reading it failed ({error})") from error
    if not isinstance(sample, bytes):
        raise InputError(f"{name} gives text; open it in binary mode ('rb')")
    return file
