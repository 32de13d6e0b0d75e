"""The sound of an utterance, as the audio layer takes it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from aural.audio.read import Source, read
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


def sound_of(utterance: Utterance) -> Source:
    """What to give a task: the file's path or bytes, or the samples of the stretch that is meant.

    A .g722 file has no header that would say so: its bytes come in a WAV of the same coding.

    Raises:
        AudioError: the file is missing, the stretch lies outside it or can't be read.
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
    audio = read(source)
    start = round(utterance.offset * audio.sample_rate)
    length = audio.samples.shape[-1]
    end = length
    if utterance.duration is not None:
        end = min(end, start + round(utterance.duration * audio.sample_rate))
    if start >= end:
        raise AudioError(
            f"{path}: nothing at {utterance.offset:g} s, it lasts {audio.duration:.3f} s"
        )
    return Audio(audio.samples[..., start:end], audio.sample_rate)


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
