"""What a trained acoustic network hears: a log-mel as a program makes it, normalised."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from aural.audio.features import PRESETS, LogMelOptions, cmvn, log_mel, z_normalise
from aural.audio.features.mel import kaldi_options
from aural.errors import InputError, UnknownName

if TYPE_CHECKING:
    from aural.nn.exported import FeatureOptions


SAMPLES = "samples"
"""The preset of networks that hear no features, but the samples themselves, (sample, 1)."""


def features_of(samples: np.ndarray, options: FeatureOptions) -> np.ndarray:
    """float32, shape = (frame, n_mels), of float samples (time,) at options.sample_rate.

    No frame where there are too few samples for one. Normalised is what one call is given: a
    window by itself. Values that are not finite make features that are not.

    Raises:
        InputError: samples of another shape or kind; a preset that is not made at that rate.
    """
    if samples.ndim != 1 or samples.dtype.kind != "f":
        raise InputError(
            f"samples are {samples.dtype} of shape {samples.shape}; give floats of (time,)"
        )
    heard = np.asarray(samples, np.float32)
    mel = (
        _row(heard, options)
        if options.preset == SAMPLES
        else log_mel(heard, log_mel_options(options))
    )
    if options.normalise == "rows":
        mel = cmvn(mel)
    elif options.normalise == "utterance":
        mel = z_normalise(mel.reshape(-1)).reshape(mel.shape)
    elif options.normalise == "running":
        mel = RunningMean(options.n_mels).push(mel)
    return np.ascontiguousarray(mel.T, np.float32)


def _row(samples: np.ndarray, options: FeatureOptions) -> np.ndarray:
    if options.n_mels != 1:
        raise InputError(f"n_mels is {options.n_mels}; samples are one row: give 1")
    return samples[None]


class RunningMean:
    """Each row less its mean over the frames so far, this one among them: what a stream can know of
    a voice and its microphone. Pieces give what one call does, bit for bit."""

    def __init__(self, rows: int) -> None:
        self._sum, self._frames = np.zeros((rows, 1)), 0

    def push(self, features: np.ndarray) -> np.ndarray:
        """float32, shape = (row, frame), as features are."""
        if not features.shape[1]:
            return features
        sums = np.cumsum(np.concatenate([self._sum, features], axis=1), axis=1)
        self._sum = sums[:, -1:]
        counts = self._frames + np.arange(1, sums.shape[1])
        self._frames = int(counts[-1])
        return (features - sums[:, 1:] / counts).astype(np.float32)


def log_mel_options(options: FeatureOptions) -> LogMelOptions:
    """The preset with n_mels rows. "kaldi" is made at any rate, 25 ms every 10 ms; the others at
    their own: InputError says which."""
    if options.preset not in PRESETS:
        raise UnknownName("preset", options.preset, tuple(sorted({*PRESETS, SAMPLES})))
    if options.preset == "kaldi":
        return kaldi_options(options.sample_rate, options.n_mels)
    preset = PRESETS[options.preset]
    if options.sample_rate != preset.mel.sample_rate:
        raise InputError(
            f"sample_rate is {options.sample_rate}; the preset {options.preset!r} is made at "
            f"{preset.mel.sample_rate} Hz, and 'kaldi' at any rate"
        )
    return replace(preset, mel=replace(preset.mel, n_mels=options.n_mels))


def frame_rate(options: FeatureOptions) -> float:
    """Frames a second."""
    if options.preset == SAMPLES:
        return float(options.sample_rate)
    mel = log_mel_options(options).mel
    return mel.sample_rate / mel.hop_length
