"""The way from bytes to samples: sniff the container, choose the decoder, keep the limits."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

from aural.audio.sniff import Container, sniff
from aural.audio.source import ByteSource, Limits, open_source
from aural.errors import AudioError, CorruptAudio, LimitExceeded

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import numpy as np


class Decoder(Protocol):
    """An opened recording. damage says what was left out, once the blocks are all taken."""

    sample_rate: int
    channels: int
    codec: str
    duration: float | None
    damage: str

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """float32, shape = (channel, time), of about frames samples a channel."""
        ...

    def close(self) -> None:
        """Release the decoder; the source stays open."""
        ...


@dataclass(frozen=True)
class Recording:
    """An open source: its container, the decoder on it, and the bytes below."""

    container: Container
    decoder: Decoder
    file: ByteSource

    def length(self, seconds: float) -> float:
        """Seconds in all, once so many are read: as stated, else judged by the bytes they took."""
        stated = self.decoder.duration
        judged = stated or seconds * self.file.size / max(1, self.file.tell())
        return max(seconds, judged)


@contextlib.contextmanager
def open_recording(
    source: str | os.PathLike[str] | bytes | BinaryIO, limits: Limits
) -> Iterator[Recording]:
    """The recording in source, its rate and channels within limits; closed at the end."""
    with open_source(source, limits) as file:
        container = sniff(file)
        try:
            decoder = _open_decoder(file, container)
        except AudioError:
            _raise_failure(file)  # the cause, where the bytes themselves gave out
            raise
        with contextlib.closing(decoder):
            limits.check_signal(file.label, decoder.sample_rate, decoder.channels)
            yield Recording(container, decoder, file)


def _open_decoder(file: ByteSource, container: Container) -> Decoder:
    """libsndfile where it is fast and safe; FFmpeg for the rest and for what that refuses."""
    if container.sndfile:
        from aural.audio.sndfile import SndfileDecoder

        with contextlib.suppress(CorruptAudio):
            return SndfileDecoder(file)
    from aural.audio.ffmpeg import FFmpegDecoder

    return FFmpegDecoder(file, container.demuxer)


def decoded_blocks(recording: Recording, limits: Limits) -> Iterator[np.ndarray]:
    """float32 blocks of (channel, time), of a second or less, counted against the limits.

    A recording that breaks off gives what came before, and its decoder says so in `damage`; one
    that breaks before its first sample raises CorruptAudio.
    """
    decoder, label = recording.decoder, recording.file.label
    total = 0
    for block in decoder.blocks(min(decoder.sample_rate, 1 << 16)):
        total += block.shape[1]
        if total > limits.max_seconds * decoder.sample_rate:
            raise LimitExceeded(f"{label}: it is longer than the {limits.max_seconds:g} s allowed")
        if total * decoder.channels > limits.max_samples:
            raise LimitExceeded(f"{label}: more samples than the {limits.max_samples} allowed")
        yield block
    _raise_failure(recording.file)
    if total == 0 and decoder.damage:
        raise CorruptAudio(f"{label}: not one sample could be decoded; {decoder.damage}")


def _raise_failure(file: ByteSource) -> None:
    """Raise what ended the bytes from below: the file object failed, or it was a loop."""
    if file.failure:
        raise AudioError(f"{file.label}: {file.failure}")
