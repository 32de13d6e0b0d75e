"""Sound in blocks: any source, decoded while it is asked for, in bounded memory.

What comes out is float32 in [-1, 1]. "mix" is the mean of the channels (two channels in opposite
phase cancel out; choose one then). Samples that are NaN or infinite become 0, samples beyond
[-1, 1] are clamped, before and after the change of rate. What was left out or replaced is told
in an AudioWarning when the source ends.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING

import numpy as np

from aural.audio.decoder import decoded_blocks, open_recording
from aural.audio.resample import Resampler
from aural.audio.source import Limits, Source
from aural.errors import AudioWarning, EmptyAudio, InputError, LimitExceeded
from aural.progress import watcher
from aural.types import Audio

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Limits", "Source", "stream"]

_MAX_BLOCK_SECONDS = 3600.0
_LOUD = 4.0  # lossy codecs overshoot 1 by far less: beyond this a float file has another scale


def stream(
    source: Source,
    *,
    sample_rate: int | None = 16000,
    channel: int | str = "mix",
    block_seconds: float = 10.0,
    limits: Limits = Limits(),  # noqa: B008  (frozen)
) -> Iterator[np.ndarray]:
    """Blocks of block_seconds (the last may be shorter): float32, shape = (time,).

    Args:
        source: A path, "-" for standard input, bytes, an open binary file, or Audio.
        sample_rate: Hz of the result; None keeps the source's own.
        channel: "mix" (mean of the channels), a number counted from 0, or "all" for blocks of
            shape (channel, time).
        block_seconds: Length of a block.
        limits: What the source may hold.

    Raises InputError for an impossible option, else an AudioError: EmptyAudio without a sample,
    LimitExceeded, UnsupportedFormat, CorruptAudio. A source that breaks off gives what came
    before and an AudioWarning. Closing the generator closes the source.
    """
    if not 0 < block_seconds <= _MAX_BLOCK_SECONDS:
        raise InputError(
            f"block_seconds is {block_seconds}; use more than 0, at most {_MAX_BLOCK_SECONDS:g}"
        )
    with open_signal(source, channel, limits) as signal:
        rate = signal.sample_rate if sample_rate is None else sample_rate
        yield from exact_blocks(resampled(signal, rate), max(1, round(block_seconds * rate)))


class Signal:
    """Blocks at the source's own rate, the channel chosen, cleaned.

    Blocks are float32 of shape (time,) where channels is 0, else (channels, time).
    """

    def __init__(self, label: str, sample_rate: int, channels: int) -> None:
        self.label, self.sample_rate, self.channels = label, sample_rate, channels
        self.blocks: Iterator[np.ndarray] = iter(())
        self.replaced = 0
        self.peak = 0.0

    def clean(self, samples: np.ndarray) -> np.ndarray:
        """samples with NaN and infinity made 0 and the rest clamped to [-1, 1]."""
        # One pass in the usual case: max and min hand a NaN on, and a NaN fails the comparison.
        if samples.size == 0 or (samples.max() <= 1.0 and samples.min() >= -1.0):
            return samples
        finite = np.isfinite(samples)
        self.replaced += int(samples.size - np.count_nonzero(finite))
        samples = np.where(finite, samples, np.float32(0))
        self.peak = max(self.peak, float(np.abs(samples).max()))
        return np.clip(samples, -1.0, 1.0)

    def warn(self, damage: str) -> None:
        """Tell once, at the end, what is not as it was recorded."""
        if damage:
            _warn(f"{self.label}: {damage}")
        if self.replaced:
            _warn(f"{self.label}: {self.replaced} samples were not finite and became 0")
        if self.peak > _LOUD:
            _warn(f"{self.label}: samples up to {self.peak:g} were clamped to [-1, 1]")


def _warn(message: str) -> None:
    warnings.warn(message, AudioWarning, stacklevel=2)


@contextlib.contextmanager
def open_signal(source: Source, channel: int | str, limits: Limits) -> Iterator[Signal]:
    """The signal of any source, at its own rate; closed at the end."""
    if isinstance(source, Audio):
        yield _audio_signal(source, channel, limits)
        return
    with open_recording(source, limits) as recording:
        decoder = recording.decoder
        pick = parse_channel(channel, decoder.channels)
        signal = Signal(recording.file.label, decoder.sample_rate, _kept(pick, decoder.channels))

        def blocks() -> Iterator[np.ndarray]:
            total, tell = 0, watcher().read
            for block in decoded_blocks(recording, limits):
                total += block.shape[1]
                seconds = total / decoder.sample_rate
                tell(seconds, recording.length(seconds))
                yield signal.clean(pick_channel(block, pick))
            if total == 0:
                raise EmptyAudio(f"{signal.label}: it holds no samples")
            cut_short = "it ends before the length that its header states"
            signal.warn(decoder.damage or (cut_short if recording.container.cut_short else ""))

        signal.blocks = blocks()
        yield signal


def _audio_signal(audio: Audio, channel: int | str, limits: Limits) -> Signal:
    """The signal of samples that are in memory already."""
    samples = audio.samples
    if samples.ndim not in {1, 2} or samples.dtype.kind != "f":
        raise InputError(
            f"Audio with {samples.dtype} samples of shape {samples.shape}; "
            "give float32 in [-1, 1] of shape (time,) or (channel, time)"
        )
    if samples.size == 0:
        raise EmptyAudio("the Audio given holds no samples")
    limits.check_signal("the Audio given", audio.sample_rate, audio.channels)
    if audio.duration > limits.max_seconds:
        raise LimitExceeded(f"the Audio given is longer than the {limits.max_seconds:g} s allowed")
    pick = parse_channel(channel, audio.channels)
    signal = Signal("the Audio given", audio.sample_rate, _kept(pick, audio.channels))
    table = samples.reshape(audio.channels, -1)

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, table.shape[1], 1 << 16):
            with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, then 0
                block = table[:, start : start + (1 << 16)].astype(np.float32, copy=False)
            yield signal.clean(pick_channel(block, pick))
        signal.warn("")

    signal.blocks = blocks()
    return signal


def parse_channel(channel: int | str, channels: int) -> int | None:
    """A channel's number, -1 for "all", None for "mix"; InputError when there is none such."""
    if channel == "mix":
        return None
    if channel == "all":
        return -1
    text = str(channel)
    if text.isascii() and text.isdecimal() and int(text) < channels:
        return int(text)
    raise InputError(
        f"channel {channel!r} is not there; use 'mix', 'all' or a number from 0 to {channels - 1}"
    )


def _kept(pick: int | None, channels: int) -> int:
    """Rows that pick_channel leaves; 0 for one channel without a channel axis."""
    return channels if pick == -1 else 0


def pick_channel(block: np.ndarray, pick: int | None) -> np.ndarray:
    """(channel, time) -> (time,), the mean of the channels or one of them; -1 keeps them all."""
    if pick == -1:
        return block
    if pick is not None:
        return block[pick]
    if block.shape[0] == 1:
        return block[0]
    with np.errstate(over="ignore", invalid="ignore"):  # not finite: made 0 by the next step
        mean = block[0] + block[1]
        for row in block[2:]:
            mean += row
        mean *= np.float32(1 / block.shape[0])
    return mean


def resampled(signal: Signal, rate: int) -> Iterator[np.ndarray]:
    """The signal's blocks at rate, in [-1, 1]; they may share memory with the next."""
    resampler = Resampler(signal.sample_rate, rate, signal.channels)
    if rate == signal.sample_rate:
        yield from signal.blocks
        return
    total = 0
    for block in signal.blocks:
        samples = resampler.push(block)
        total += samples.shape[-1]
        yield np.clip(samples, -1.0, 1.0)
    samples = resampler.finish()
    if total + samples.shape[-1] == 0:
        raise EmptyAudio(f"{signal.label}: it is too short to hold a sample at {rate} Hz")
    yield np.clip(samples, -1.0, 1.0)


def exact_blocks(pieces: Iterator[np.ndarray], length: int) -> Iterator[np.ndarray]:
    """The pieces' samples in arrays of their own, each of length samples but the last."""
    held: list[np.ndarray] = []
    pending = 0
    for piece in pieces:
        offset = 0
        while pending + piece.shape[-1] - offset >= length:
            end = offset + length - pending
            yield np.concatenate([*held, piece[..., offset:end]], axis=-1)
            held, pending, offset = [], 0, end
        if offset < piece.shape[-1]:
            # The decoder writes its next block into the same memory.
            held.append(piece[..., offset:].copy())
            pending += piece.shape[-1] - offset
    if pending:
        yield np.concatenate(held, axis=-1)
