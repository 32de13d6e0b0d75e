"""Decoding by FFmpeg through PyAV: every container on the allow-list, demuxer and codec pinned.

The demuxer is the one that the magic bytes named, decoders are allow-listed (so the pictures of
a film are never decoded), and no protocol is allowed: nothing but the bytes given can be opened.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from aural.errors import CorruptAudio, EmptyAudio, UnsupportedFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aural.audio.source import ByteSource

_FAILURES = (
    av.FFmpegError, ValueError, OSError, EOFError, RuntimeError, MemoryError, OverflowError,
    TypeError, AssertionError,
)  # fmt: skip
_DEMUXERS = "wav,w64,flac,ogg,mp3,aac,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aiff,caf,au,amr"
_CODECS = (
    "aac", "mp3", "mp3float", "mp2", "mp2float", "mp1", "mp1float", "opus", "vorbis", "flac",
    "alac", "ac3", "eac3", "amrnb", "amrwb", "g722", "g726", "gsm", "gsm_ms", "speex",
    "adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt",
)  # fmt: skip
_SCALE = {"u8": 128.0, "s16": 2.0**15, "s32": 2.0**31, "s64": 2.0**63, "flt": 1.0, "dbl": 1.0}
_PADDING = 4096  # samples; an AAC encoder pads the end by less than this
_MAX_BAD_PACKETS = 1000


@functools.cache
def _allowed_codecs() -> frozenset[str]:
    pcm = {name for name in av.codecs_available if name.startswith("pcm_")}
    return frozenset(pcm.union(_CODECS))


class FFmpegDecoder:
    """A recording that FFmpeg has opened: the first audio stream of its container."""

    def __init__(self, file: ByteSource, demuxer: str) -> None:
        file.seek(0)
        self.label = file.label
        self.damage = ""
        self._demuxer = demuxer
        options = {
            "format_whitelist": _DEMUXERS,
            "codec_whitelist": ",".join(sorted(_allowed_codecs())),
            "protocol_whitelist": "none",
        }
        try:
            self._container: Any = av.open(
                file, format=demuxer, options=options, metadata_errors="replace"
            )
        except _FAILURES as error:
            raise CorruptAudio(f"{file.label}: it can't be decoded ({error})") from error
        try:
            self._read_header()
        except BaseException:
            self.close()
            raise

    def _read_header(self) -> None:
        """Choose the stream and find its rate and channels, or raise."""
        streams = self._container.streams.audio
        if not streams:
            raise EmptyAudio(f"{self.label}: there is no sound in it")
        self._stream = streams[0]
        for other in self._container.streams:
            if other.index != self._stream.index:
                other.discard = av.stream.Discard.all  # a film's pictures need not even be read
        codec = self._stream.codec_context
        if codec is None or codec.codec.name not in _allowed_codecs():
            name = "unknown" if codec is None else codec.codec.name
            raise UnsupportedFormat(f"{self.label}: its audio codec ({name}) is not allowed")
        self.codec: str = codec.codec.name
        self.sample_rate = int(codec.sample_rate or 0)
        self.channels = int(codec.channels or 0)
        if self.sample_rate <= 0 or self.channels <= 0:
            raise CorruptAudio(f"{self.label}: its header states no sample rate or no channels")
        self.duration = self._stated_duration()

    def _stated_duration(self) -> float | None:
        """Seconds by the header; None for raw streams, where FFmpeg could only guess."""
        stream = self._stream
        if self._demuxer in {"aac", "amr", "mp3"}:
            return None
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        else:
            seconds = (self._container.duration or 0) / av.time_base
        return seconds if seconds > 0 else None

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """float32 of shape (channel, time), about frames long.

        AAC in MP4: the encoder's padding after the stated end (under 4096 samples) is left out.
        """
        stated = round((self.duration or 0) * self.sample_rate) if self._demuxer == "mov" else 0
        total, held = 0, np.empty((self.channels, 0), np.float32)
        pieces: list[np.ndarray] = []
        pending = 0
        for piece in self._frames():
            pieces.append(piece)
            pending += piece.shape[1]
            if pending < frames:
                continue
            block = np.concatenate([held, *pieces], axis=1)
            cut = block.shape[1] - _PADDING if stated else block.shape[1]
            pieces, pending, held = [], 0, block[:, cut:]
            if cut > 0:
                total += cut
                yield block[:, :cut]
        block = np.concatenate([held, *pieces], axis=1)
        excess = total + block.shape[1] - stated
        if stated and 0 < excess < _PADDING:
            block = block[:, : max(0, block.shape[1] - excess)]
        if block.shape[1]:
            yield block

    def _frames(self) -> Iterator[np.ndarray]:
        """float32 of shape (channel, time) for each decoded frame, up to the first break."""
        bad = 0
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                frames = packet.decode()
            except _FAILURES as error:
                bad += 1
                self.damage = f"{bad} of its packets are damaged and left out ({error})"
                if bad == _MAX_BAD_PACKETS:
                    return
                continue
            for frame in frames:
                samples = self._samples(frame)
                if samples is None:
                    self.damage = "its sample rate or channels change; what follows is left out"
                    return
                yield samples

    def _samples(self, frame: Any) -> np.ndarray | None:
        """float32 of shape (channel, time), or None when the frame is not like the header."""
        if frame.sample_rate != self.sample_rate:
            return None
        values = frame.to_ndarray()
        if not frame.format.is_planar:
            values = values.reshape(frame.samples, -1).T
        if values.shape[0] != self.channels:
            return None
        name = frame.format.name.removesuffix("p")
        if name == "flt":
            return values
        with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, and then 0
            samples = values.astype(np.float32)
        if name == "u8":
            samples -= 128
        samples /= np.float32(_SCALE[name])
        return samples

    def close(self) -> None:
        """Release FFmpeg's handle; the source stays open."""
        self._container.close()
