"""Every augmentation of spectrogram.py and mixing.py: (name, make() -> augmentation, value)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from aural.audio.augment import Chain
from aural.audio.augment.mixing import (
    GaussianMixup,
    LogMixup,
    Mixup,
    MixupBank,
    Normalise,
    byol_a,
    multi_format_audio,
    multi_format_spectrogram,
)
from aural.audio.augment.spectrogram import (
    ADAPTIVE,
    LB,
    LD,
    SM,
    SS,
    FrameShift,
    FrequencyShift,
    LinearFader,
    RandomResizeCrop,
    SpecAugment,
)
from aural.audio.features import mel_spectrogram
from aural.types import Audio

EXAMPLE = Path(__file__).parents[3] / "examples" / "sense_and_sensibility_0880.flac"
SAMPLES, RATE = soundfile.read(EXAMPLE, frames=48000, dtype="float32")
LOG_MEL = np.log(mel_spectrogram(SAMPLES) + np.float32(1e-6))[:, :300]
ONE = LOG_MEL[:, :100]
"""A second of real speech: natural logarithms, shape = (80, 100)."""
BATCH = np.stack((ONE, LOG_MEL[:, 100:200]))
BANK = MixupBank().pushed(LOG_MEL[:, 200:]).pushed(BATCH).examples
SPEECH = Audio(SAMPLES[:16000], RATE)
RECORDINGS = (Audio(SAMPLES[16000:], RATE), Audio(SAMPLES[8000:12000], RATE))

EVERY = [
    ("SpecAugment LB", lambda: LB, LOG_MEL),
    ("SpecAugment LD", lambda: LD, LOG_MEL),
    ("SpecAugment SM", lambda: SM, BATCH),
    ("SpecAugment SS", lambda: SS, BATCH),
    ("SpecAugment adaptive", lambda: ADAPTIVE, LOG_MEL),
    ("SpecAugment, floor", lambda: SpecAugment(time_warp=20, fill="floor"), BATCH),
    ("RandomResizeCrop", RandomResizeCrop, BATCH),
    ("FrequencyShift", FrequencyShift, BATCH),
    ("FrameShift", FrameShift, BATCH),
    ("FrameShift, filled", lambda: FrameShift(30, wrap=False), ONE),
    ("LinearFader", LinearFader, BATCH),
    ("Mixup", lambda: Mixup(BANK), ONE),
    ("Mixup of a batch", Mixup, BATCH),
    ("Mixup of recordings", lambda: Mixup(RECORDINGS), SPEECH),
    ("LogMixup", lambda: LogMixup(BANK), BATCH),
    ("GaussianMixup", GaussianMixup, BATCH),
    ("Normalise", Normalise, BATCH),
    ("Chain, never", lambda: Chain((LD,), (0,)), BATCH),
    ("byol_a", lambda: byol_a(BANK, before=Normalise(-5.0, 4.0)), BATCH),
    ("multi_format_audio", lambda: multi_format_audio(RECORDINGS), SPEECH),
    ("multi_format_spectrogram", multi_format_spectrogram, BATCH),
]
