"""What the Gaussians see of sound: cepstra and how they change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aural.audio.features.mel import kaldi_options
from aural.audio.features.mfcc import MFCCOptions, delta, mfcc
from aural.audio.features.normalise import cmvn
from aural.errors import InputError

FRAME_SECONDS = 0.01


@dataclass(frozen=True)
class CepstraOptions:
    """13 MFCC as Kaldi makes them, their deltas and the deltas of these, each of mean 0 and
    variance 1 over the utterance: 39 values every 10 ms, frame i in the middle of its 10 ms.

    fmax: Hz; 3800 makes telephone sound and wide-band sound alike.
    """

    sample_rate: int = 16000
    n_mels: int = 23
    n_mfcc: int = 13
    fmin: float = 20.0
    fmax: float = 7600.0

    def cepstra(self, samples: np.ndarray) -> np.ndarray:
        """float32, shape = (frame, 3 * n_mfcc), of samples (time,) at sample_rate; silence is not
        minus infinity, and no sample is no frame."""
        if samples.ndim != 1:
            raise InputError(f"samples have shape {samples.shape}; give one channel, (time,)")
        logs = kaldi_options(
            self.sample_rate, self.n_mels, snip_edges=False, fmin=self.fmin, fmax=self.fmax
        )
        plain = mfcc(samples, MFCCOptions(logs, self.n_mfcc, lifter=22))
        if not plain.shape[1]:
            return np.zeros((0, 3 * self.n_mfcc), np.float32)
        orders = (delta(plain, width=5, order=order, mode="replicate") for order in (1, 2))
        whole = cmvn(np.concatenate((plain, *orders)))
        return np.ascontiguousarray(whole.T, np.float32)
