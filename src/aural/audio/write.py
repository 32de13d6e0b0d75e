"""Write sound as wav, flac, ogg (Vorbis), opus or mp3; a file appears whole or not at all.

wav and flac hold 16 bit; ogg has libvorbis' own variable rate; opus and mp3 are made at bit_rate
bits a second (by default 32,000 a channel for opus, 64,000 for mp3). Samples beyond [-1, 1] are
clamped. opus and mp3 know a few sample rates only: another one is changed to the next higher. ogg
goes up to 192 kHz: a higher rate is changed to that.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from aural.audio.resample import MAX_RATE, MIN_RATE, resample
from aural.errors import InputError, UnknownName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aural.types import Audio

_BLOCK = 1 << 14  # libsndfile's Vorbis writer keeps a whole call's samples on the stack


@dataclass(frozen=True)
class _Format:
    """How a format is coded, and what it can hold. bit rates are in bits a second, in total."""

    codec: str
    container: str
    max_channels: int
    sample_rates: tuple[int, ...] = ()
    bit_rate_per_channel: int = 0
    bit_rates: tuple[int, int] = (0, 0)
    max_rate: int = MAX_RATE


_MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
_FORMATS = {
    "wav": _Format("PCM_16", "WAV", 32),
    "flac": _Format("PCM_16", "FLAC", 8),
    "ogg": _Format("VORBIS", "OGG", 8, max_rate=192_000),  # libvorbis crashes above 200 kHz
    "opus": _Format("libopus", "ogg", 2, _OPUS_RATES, 32_000, (6_000, 512_000)),
    "mp3": _Format("libmp3lame", "mp3", 2, _MPEG_RATES, 64_000, (8_000, 320_000)),
}
FORMATS = tuple(_FORMATS)


def write(
    target: str | os.PathLike[str] | BinaryIO,
    audio: Audio,
    *,
    format: str | None = None,  # noqa: A002  (what soundfile and pydub call it)
    bit_rate: int | None = None,
) -> None:
    """Write audio to a path, through a temporary file beside it, or to an open binary file.

    Args:
        target: A path, or a binary file open for writing (which need not seek).
        audio: Samples of shape (time,) or (channel, time).
        format: One of wav, flac, ogg, opus, mp3; by default the ending of target's name.
        bit_rate: Bits a second in total, for opus and mp3.

    Raises InputError for what the format can't hold or a target that can't be written.
    """
    name = _format_name(target, format)
    how = _FORMATS[name]
    frames, sample_rate = _frames(name, how, audio)
    rate = _bit_rate(name, how, bit_rate, frames.shape[1])
    encode = _encode_av if how.bit_rates[1] else _encode_sndfile
    if isinstance(target, (str, os.PathLike)):
        with _replacing(Path(target)) as file:
            encode(file, frames, sample_rate, how, rate)
        return
    with tempfile.TemporaryFile() as file:
        encode(file, frames, sample_rate, how, rate)
        file.seek(0)
        shutil.copyfileobj(file, target)


def _format_name(target: str | os.PathLike[str] | BinaryIO, given: str | None) -> str:
    name = given
    if name is None and isinstance(target, (str, os.PathLike)):
        name = Path(target).suffix.lstrip(".").lower()
    if name not in _FORMATS:
        raise UnknownName("format to write", name or "", FORMATS)
    return name


def _frames(name: str, how: _Format, audio: Audio) -> tuple[np.ndarray, int]:
    """float32 in [-1, 1], shape = (time, channel), at a sample rate that the format knows."""
    samples = np.asarray(audio.samples)
    if samples.ndim not in {1, 2} or samples.dtype.kind != "f" or samples.size == 0:
        raise InputError(
            f"{samples.dtype} samples of shape {samples.shape} can't be written; "
            "give float32 in [-1, 1] of shape (time,) or (channel, time)"
        )
    if audio.channels > how.max_channels:
        raise InputError(f"{audio.channels} channels; {name} is written with {how.max_channels}")
    if not MIN_RATE <= audio.sample_rate <= MAX_RATE:
        raise InputError(f"{audio.sample_rate} Hz; write {MIN_RATE} to {MAX_RATE} Hz")
    if name == "wav" and 2 * samples.size > 0xFFFF_0000:
        raise InputError("more than 4 GiB do not fit into wav; write flac")
    if not np.isfinite(samples).all():
        raise InputError("some samples are NaN or infinite; replace them before writing")
    rate = min(audio.sample_rate, how.max_rate)
    if how.sample_rates and rate not in how.sample_rates:
        higher = [known for known in how.sample_rates if known > rate]
        rate = higher[0] if higher else how.sample_rates[-1]
    if rate != audio.sample_rate:
        samples = resample(samples, audio.sample_rate, rate)
    samples = np.clip(samples.astype(np.float32, copy=False), -1.0, 1.0)
    return np.ascontiguousarray(samples.reshape(audio.channels, -1).T), rate


def _bit_rate(name: str, how: _Format, asked: int | None, channels: int) -> int:
    low, high = how.bit_rates
    if asked is None:
        return how.bit_rate_per_channel * channels
    if not high:
        raise InputError(f"{name} takes no bit_rate; opus and mp3 do")
    if not low <= asked <= high:
        raise InputError(f"bit_rate {asked}: {name} takes {low} to {high} bits a second")
    return asked


def _encode_sndfile(
    file: BinaryIO, frames: np.ndarray, sample_rate: int, how: _Format, bit_rate: int
) -> None:
    import soundfile

    try:
        with soundfile.SoundFile(
            file, "w", sample_rate, frames.shape[1], how.codec, format=how.container
        ) as sound:
            for start in range(0, len(frames), _BLOCK):
                sound.write(frames[start : start + _BLOCK])
    except soundfile.SoundFileError as error:
        raise InputError(f"{how.container.lower()} can't be written ({error})") from error


def _encode_av(
    file: BinaryIO, frames: np.ndarray, sample_rate: int, how: _Format, bit_rate: int
) -> None:
    import av

    layout = "mono" if frames.shape[1] == 1 else "stereo"
    try:
        with av.open(file, "w", format=how.container) as container:
            stream: Any = container.add_stream(how.codec, rate=sample_rate, layout=layout)
            stream.bit_rate = bit_rate
            for start in range(0, len(frames), _BLOCK):
                block = frames[start : start + _BLOCK].reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(block, format="flt", layout=layout)
                frame.sample_rate, frame.pts = sample_rate, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{how.codec} can't encode this ({error})") from error


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes path's place when the block ends well, and vanishes when it doesn't."""
    try:
        path = path.resolve()
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{str(path)!r} is no regular file; give another name to write to")
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise InputError(f"{str(path)!r} can't be written ({error.strerror})") from error
    try:
        with open(descriptor, "w+b") as file:
            yield file
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
