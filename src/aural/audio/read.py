"""Read any recording into memory, or look at its header.

Formats: wav (rf64, w64), flac, mp3, ogg (Vorbis, Opus, FLAC), opus, aac, m4a, mp4 (the sound of a
film too), webm and matroska, aiff, caf, au, amr; told from the bytes, whatever the name says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aural.audio.decoder import open_recording
from aural.audio.source import Limits, Source
from aural.audio.stream import exact_blocks, open_signal, resampled
from aural.errors import LimitExceeded
from aural.types import Audio

__all__ = ["AudioInfo", "Limits", "Source", "probe", "read"]

_BLOCK_SAMPLES = 1 << 18


@dataclass(frozen=True)
class AudioInfo:
    """What a header states: nothing of it is verified but that a decoder opens the file.

    format is the container ("mp4"), codec the decoder's name for the coding ("aac"), sample_rate
    in Hz, duration in seconds or None where the header states none.
    """

    format: str
    codec: str
    sample_rate: int
    channels: int
    duration: float | None


def probe(source: Source, *, limits: Limits = Limits()) -> AudioInfo:  # noqa: B008  (frozen)
    """The header of source, without decoding it; raises as `read` does.

    A source that can't seek (standard input, a socket) is read to its end.
    """
    if isinstance(source, Audio):
        limits.check_signal("the Audio given", source.sample_rate, source.channels)
        return AudioInfo(
            "array", str(source.samples.dtype), source.sample_rate, source.channels, source.duration
        )
    with open_recording(source, limits) as recording:
        decoder = recording.decoder
        return AudioInfo(
            recording.container.name,
            decoder.codec,
            decoder.sample_rate,
            decoder.channels,
            decoder.duration,
        )


def read(
    source: Source,
    *,
    sample_rate: int | None = None,
    channel: int | str = "mix",
    limits: Limits = Limits(),  # noqa: B008  (frozen)
) -> Audio:
    """All of source: the same samples that `stream` gives, joined.

    Args:
        source: A path, "-" for standard input, bytes, an open binary file, or Audio.
        sample_rate: Hz of the result; None keeps the source's own.
        channel: "mix" (mean of the channels), a number counted from 0, or "all" for samples of
            shape (channel, time).
        limits: What the source may hold, and what may come out.

    Raises and warns as `stream` does; LimitExceeded also beyond limits.max_read_samples.
    """
    with open_signal(source, channel, limits) as signal:
        rate = signal.sample_rate if sample_rate is None else sample_rate
        blocks: list[np.ndarray] = []
        size = 0
        for block in exact_blocks(resampled(signal, rate), _BLOCK_SAMPLES):
            size += block.size
            if size > limits.max_read_samples:
                raise LimitExceeded(
                    f"{signal.label}: more than {limits.max_read_samples} samples to hold at once; "
                    "use stream() for a recording of this length"
                )
            blocks.append(block)
    return Audio(np.concatenate(blocks, axis=-1), rate)
