"""What can be told of a recording's samples in one pass, in memory that does not grow with it."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aural.audio.source import Limits
from aural.audio.stream import exact_blocks, open_signal
from aural.errors import AudioWarning

if TYPE_CHECKING:
    from aural.audio.source import Source

FRAME_SECONDS = 0.02
ENVELOPE = 32
_BLOCK_FRAMES = 500
_TOP = 2  # samples before the third, of a run at full scale
_NEARLY_FULL = 0.97  # mu-law, A-law and 8 bits end between this and 1


@dataclass(frozen=True, eq=False)
class Measured:
    """A recording, measured at its own rate over all its channels.

    seconds, sample_rate (Hz) and channels as decoded. clipped is the share of samples at full scale
    that follow two others there; where the highest or lowest sample is close to full scale, its own
    level stands for it. silent is the share of frames of 20 ms whose level, without its
    mean, is below the threshold in every channel. digest is of the samples: the same for the same
    sound in any lossless coding. envelope is the level in dB of 32 equal parts, shape = (32,).
    warning tells what was left out or replaced while decoding; "" for nothing.
    """

    seconds: float
    sample_rate: int
    channels: int
    clipped: float
    silent: float
    digest: bytes
    envelope: np.ndarray
    warning: str


def measure(source: Source, *, full_scale: float, silence_db: float) -> Measured:
    """Decode source and measure it.

    Args:
        source: What `aural.read` takes.
        full_scale: Absolute sample value that counts as full scale.
        silence_db: Level in dB below full scale under which a frame is silent.

    Raises AudioError as `aural.read` does.
    """
    count = 0
    powers: list[np.ndarray] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AudioWarning)
        with open_signal(source, "all", Limits()) as signal:
            rate, channels = signal.sample_rate, signal.channels
            frame = max(1, round(FRAME_SECONDS * rate))
            digest = hashlib.blake2b(f"{rate} {channels} ".encode(), digest_size=16)
            clipping = [_Clipping(sign, channels, full_scale) for sign in (1, -1)]
            for block in exact_blocks(signal.blocks, frame * _BLOCK_FRAMES):
                count += block.shape[1]
                digest.update(np.ascontiguousarray(block.T, np.dtype("<f4")).data)
                for side in clipping:
                    side.push(block)
                powers.append(_frame_power(block, frame))
    power = np.concatenate(powers)
    return Measured(
        seconds=count / rate,
        sample_rate=rate,
        channels=channels,
        clipped=sum(int(side.counts.sum()) for side in clipping) / (count * channels),
        silent=float(np.mean(power < 10 ** (silence_db / 10))),
        digest=digest.digest(),
        envelope=_envelope(power),
        warning="; ".join(
            str(each.message) for each in caught if issubclass(each.category, AudioWarning)
        ),
    )


class _Clipping:
    """Counts samples in runs at the top of the scale, or (sign -1) at its bottom."""

    def __init__(self, sign: int, channels: int, full_scale: float) -> None:
        self.counts = np.zeros(channels, np.int64)
        self._sign, self._full_scale = sign, np.float32(full_scale)
        self._level = np.full(channels, min(_NEARLY_FULL, full_scale), np.float32)
        self._before = np.zeros((channels, _TOP), bool)

    def push(self, block: np.ndarray) -> None:
        """The next samples, shape (channels, time); a new extreme begins the count anew."""
        values = block if self._sign > 0 else -block
        level = np.clip(values.max(axis=1), self._level, self._full_scale)
        higher = level > self._level
        self.counts[higher] = 0
        self._before[higher] = False
        self._level = level
        top = np.concatenate([self._before, values >= level[:, None]], axis=1)
        self.counts += np.count_nonzero(top[:, :-2] & top[:, 1:-1] & top[:, 2:], axis=1)
        self._before = top[:, -_TOP:]


def _frame_power(block: np.ndarray, frame: int) -> np.ndarray:
    """Variance of each frame, the largest of the channels; a last, short frame counts as one."""
    whole = block.shape[1] // frame
    frames = block[:, : whole * frame].reshape(len(block), whole, frame)
    power = frames.var(axis=2).max(axis=0)
    rest = block[:, whole * frame :]
    return np.append(power, rest.var(axis=1).max()) if rest.shape[1] else power


def _envelope(power: np.ndarray) -> np.ndarray:
    """Mean level of equal parts in dB, the loudest part at 0 and none below -60."""
    edges = np.linspace(0, len(power), ENVELOPE + 1)
    total = np.interp(
        edges, np.arange(len(power) + 1), np.append(0.0, np.cumsum(power, dtype=float))
    )
    mean = np.diff(total)
    decibels = 10 * np.log10(np.maximum(mean, 1e-30) / max(float(mean.max()), 1e-30))
    return np.maximum(decibels, -60.0).astype(np.float32)
