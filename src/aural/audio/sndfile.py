"""Decoding by libsndfile: wav, flac, ogg and mp3, the fast way."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from aural.errors import CorruptAudio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aural.audio.source import ByteSource

_FAILURES = (soundfile.SoundFileError, RuntimeError, ValueError, OSError, MemoryError)
_MAX_FAILURES = 1000
_LONGEST_SECONDS = 10 * 365 * 24 * 3600  # beyond it, a stated length is a mark for "unknown"


class _Sequential(soundfile.SoundFile):
    """Reads from front to back without seeking.

    soundfile seeks to where it stands after every read, and in MP3 a seek forgets the bits that
    frames borrow from their predecessors: its blocks differ from the whole by up to 0.4.
    """

    def seekable(self) -> bool:
        """Never."""
        return False


class SndfileDecoder:
    """A recording that libsndfile has opened; CorruptAudio when it can't."""

    def __init__(self, file: ByteSource) -> None:
        file.seek(0)
        if file.fd is not None:
            # libsndfile reads a descriptor itself, without a call into Python for each buffer.
            os.lseek(file.fd, 0, os.SEEK_SET)
        try:
            target = file if file.fd is None else file.fd
            self._sound = _Sequential(target, closefd=False)
        except _FAILURES as error:
            raise CorruptAudio(f"{file.label}: it can't be decoded ({error})") from error
        self.label = file.label
        self.sample_rate: int = self._sound.samplerate
        self.channels: int = self._sound.channels
        self.codec: str = self._sound.subtype.lower()
        self.damage = ""
        frames: int = self._sound.frames
        seconds = frames / max(1, self.sample_rate)
        self.duration = seconds if 0 < seconds < _LONGEST_SECONDS else None

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """float32 of shape (channel, time), at most frames long; valid until the next is taken."""
        buffer = np.empty((frames, self.channels), np.float32)
        total, failures = 0, 0
        while failures < _MAX_FAILURES:
            try:
                count = self._sound.buffer_read_into(buffer, dtype="float32")
            except _FAILURES as error:
                # What was read before the failure is in the buffer, and the rest may be sound.
                count = min(max(0, self._sound.tell() - total), frames)
                failures += 1
                seconds = (total + count) / self.sample_rate
                self.damage = f"it is damaged, last about {seconds:.1f} s ({error})"
            if count == 0:
                break
            total += count
            yield buffer[:count].T
        if not self.damage and self.duration and total < int(self.duration * self.sample_rate):
            self.damage = (
                f"it ends after {total / self.sample_rate:.1f} s "
                f"of the {self.duration:.1f} s that its header states"
            )

    def close(self) -> None:
        """Release libsndfile's handle; the source stays open."""
        self._sound.close()
