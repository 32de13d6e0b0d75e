"""Change of sample rate by soxr's HQ filter, at once or block by block with the same samples.

HQ: linear phase, pass band to 91.3 % of the lower Nyquist frequency, 20 bit precision (the SoX
resampler library). The length of n samples is round(n * to_rate / from_rate), give or take one.
"""

from __future__ import annotations

import numpy as np

from aural.errors import InputError

MIN_RATE, MAX_RATE = 1_000, 384_000


class Resampler:
    """A resampler fed in blocks: the blocks it returns, joined, equal `resample` of the whole.

    samples are float32, shape = (time,) where channels is 0, else (channels, time).
    """

    def __init__(self, from_rate: int, to_rate: int, channels: int = 0) -> None:
        for rate in (from_rate, to_rate):
            if not MIN_RATE <= rate <= MAX_RATE:
                raise InputError(
                    f"a sample rate of {rate} Hz is out of range; use {MIN_RATE} to {MAX_RATE} Hz"
                )
        self._channels = channels
        self._stream = None
        if from_rate != to_rate:
            import soxr

            self._stream = soxr.ResampleStream(
                from_rate, to_rate, max(1, channels), dtype="float32", quality="HQ"
            )

    def push(self, samples: np.ndarray) -> np.ndarray:
        """What these samples complete; possibly empty, since the filter looks ahead."""
        return self._run(samples, last=False)

    def finish(self) -> np.ndarray:
        """What is still inside; nothing can be pushed afterwards."""
        shape = (self._channels, 0) if self._channels else (0,)
        return self._run(np.zeros(shape, np.float32), last=True)

    def _run(self, samples: np.ndarray, *, last: bool) -> np.ndarray:
        if self._stream is None:
            return samples
        frames = np.ascontiguousarray(samples.T, dtype=np.float32)
        if self._channels == 1:  # soxr takes one channel as a vector
            return self._stream.resample_chunk(frames[:, 0], last=last)[None]
        return self._stream.resample_chunk(frames, last=last).T


def resample(samples: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """samples at to_rate: float32, shape = (time,) or (channel, time) as given; rates in Hz."""
    samples = np.asarray(samples, dtype=np.float32)
    if samples.ndim not in {1, 2} or samples.shape[0] == 0:
        raise InputError(f"samples of shape {samples.shape}; give (time,) or (channel, time)")
    resampler = Resampler(from_rate, to_rate, samples.shape[0] if samples.ndim == 2 else 0)
    return np.concatenate([resampler.push(samples), resampler.finish()], axis=-1)
