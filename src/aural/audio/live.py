"""Sound as it comes in: raw samples from a pipe, a microphone, a recording at its own pace.

Each gives pieces of any length, float32 in [-1, 1], shape = (time,), and ends when the sound does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from aural.audio.resample import MAX_RATE, MIN_RATE, Resampler
from aural.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from io import BufferedIOBase

READ_BYTES = 1 << 16
MICROPHONE_SECONDS = 0.05


def raw_pieces(pipe: BufferedIOBase, from_rate: int, sample_rate: int) -> Iterator[np.ndarray]:
    """Signed 16-bit little-endian samples of one channel, at from_rate, as the pipe has them, at
    sample_rate. Half a sample at the end is left out."""
    if not MIN_RATE <= from_rate <= MAX_RATE:
        raise InputError(f"raw_rate is {from_rate} Hz; give {MIN_RATE} to {MAX_RATE}")
    resampler, odd = Resampler(from_rate, sample_rate), b""
    while data := pipe.read1(READ_BYTES):
        data = odd + data
        whole = len(data) // 2 * 2
        odd = data[whole:]
        samples = np.frombuffer(data[:whole], "<i2").astype(np.float32) / 32768
        yield np.clip(resampler.push(samples), -1.0, 1.0)
    yield np.clip(resampler.finish(), -1.0, 1.0)


def microphone_pieces(device: str, sample_rate: int) -> Iterator[np.ndarray]:
    """What a microphone hears until the iterator is closed; device "" is the system's own, else a
    number or part of a name.

    Raises MissingExtra without sounddevice, InputError where there is no such microphone, and where
    it is taken away.
    """
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise MissingExtra("mic", "sounddevice") from error
    except OSError as error:  # the wheel is there, the system's PortAudio is not
        raise InputError(f"sounddevice can't be used: {error}; install PortAudio") from error
    chosen = (int(device) if device.isdecimal() else device) if device else None
    try:
        stream = sounddevice.InputStream(
            samplerate=sample_rate, channels=1, dtype="float32", device=chosen
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise InputError(f"the microphone {device!r} can't be opened: {error}") from error
    with stream:
        while True:
            try:
                samples, _ = stream.read(round(MICROPHONE_SECONDS * sample_rate))
            except sounddevice.PortAudioError as error:
                raise InputError(f"the microphone {device!r} is gone: {error}") from error
            yield np.clip(np.nan_to_num(samples[:, 0]), -1.0, 1.0)


def paced(
    pieces: Iterable[np.ndarray],
    sample_rate: int,
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[np.ndarray]:
    """The pieces, each when its last sample would have been heard."""
    begun, heard = now(), 0
    for piece in pieces:
        heard += piece.size
        early = begun + heard / sample_rate - now()
        if early > 0:
            sleep(early)
        yield piece
