"""The sound of an utterance, as the audio layer takes it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from aural.audio.source import Limits, Source
from aural.audio.stream import open_signal
from aural.data.files import opened
from aural.data.utterance import Clip
from aural.errors import AudioError, LimitExceeded
from aural.types import Audio

if TYPE_CHECKING:
    from pathlib import Path

    from aural.data.utterance import Utterance

G722 = ".g722"
_G722_TAG, _G722_RATE, _G722_BYTES = 0x028F, 16_000, 8_000
MAX_G722_BYTES = 256 << 20
_FOREVER = 1 << 53  # samples


def sound_of(utterance: Utterance) -> Source:
    """What to give a task: the file's path or bytes, or the samples of the stretch that is meant.

    A stretch is decoded from the recording's start to its own end; only the stretch is held.
    A .g722 file has no header that would say so: its bytes come in a WAV of the same coding.

    Raises:
        AudioError: the file is missing, the stretch lies outside it or can't be read;
            LimitExceeded for a stretch of more samples than `aural.read` gives.
    """
    path = utterance.audio
    source: Source
    if isinstance(path, Clip):
        source = path.data
    elif not path.is_file():
        raise AudioError(f"{path}: no such file")
    else:
        source = _g722_as_wav(path) if path.suffix.lower() == G722 else path
    if utterance.offset is None:
        return source
    return _stretch(source, str(path), utterance.offset, utterance.duration)


def _stretch(source: Source, name: str, offset: float, duration: float | None) -> Audio:
    """The samples of [offset, offset + duration), channels mixed."""
    limits = Limits()
    with open_signal(source, "mix", limits) as signal:
        rate = signal.sample_rate
        start = _samples(offset, rate)
        end = _FOREVER if duration is None else start + _samples(duration, rate)
        held: list[np.ndarray] = []
        position = size = 0
        for block in signal.blocks:
            # The decoder writes its next block into the same memory.
            piece = block[max(0, start - position) : max(0, end - position)].copy()
            position += len(block)
            size += len(piece)
            if size > limits.max_read_samples:
                raise LimitExceeded(
                    f"{name}: more than {limits.max_read_samples} samples to hold at once; "
                    "give shorter stretches"
                )
            if piece.size:
                held.append(piece)
            if start < end <= position:
                signal.warn("")
                break
    if not held:
        raise AudioError(f"{name}: nothing at {offset:g} s, it lasts {position / rate:.3f} s")
    return Audio(np.concatenate(held), rate)


def _samples(seconds: float, rate: int) -> int:
    """The number nearest to a time; what is beyond any recording is forever."""
    return round(min(seconds * rate, _FOREVER))


def named(utterance: Utterance, error: AudioError) -> str:
    """What an error says of the utterance's sound, with the name of the recording before it."""
    name, said = str(utterance.audio), str(error)
    for label in ("the bytes given", "the file object given", "the Audio given"):
        said = said.removeprefix(f"{label}: ")
    return said if name in said else f"{name}: {said}"


def _g722_as_wav(path: Path) -> bytes:
    """ITU-T G.722 at 64 kbit/s behind the header that RIFF has for it."""
    with opened(path, "recordings") as stream:
        coded = stream.read(MAX_G722_BYTES + 1)
    if len(coded) > MAX_G722_BYTES:
        raise LimitExceeded(f"{path}: more than {MAX_G722_BYTES} bytes of G.722")
    form = struct.pack("<HHIIHH", _G722_TAG, 1, _G722_RATE, _G722_BYTES, 1, 4)
    chunks = (b"fmt ", form), (b"data", coded)
    body = b"".join(name + struct.pack("<I", len(data)) + data for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body
