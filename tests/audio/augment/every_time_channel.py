"""Every augmentation of time.py and channel.py: (name, make() -> augmentation, value)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from aural.audio.augment.channel import BandLimit, Bandwidth, Clip, Codec, Equalise, Telephone
from aural.audio.augment.time import MaskSamples, PitchShift, SpeedPerturb, TimeShift, TimeStretch
from aural.types import Audio

EXAMPLE = Path(__file__).parents[3] / "examples" / "sense_and_sensibility_0880.flac"


def speech(channels: int = 1) -> Audio:
    """A second of real speech at 16 kHz, or several channels of it, each half as loud."""
    samples, rate = soundfile.read(EXAMPLE, frames=16000, start=8000, dtype="float32")
    if channels == 1:
        return Audio(samples, rate)
    return Audio(np.stack([samples * np.float32(0.5**i) for i in range(channels)]), rate)


CODECS = ("mp3", "opus", "aac", "vorbis", "g722", "g711-mu", "g711-a")
EVERY = [
    ("TimeShift", TimeShift, speech()),
    ("TimeShift, filled", lambda: TimeShift((-0.2, 0.2), circular=False), speech(2)),
    ("TimeStretch", TimeStretch, speech()),
    ("TimeStretch, same length", lambda: TimeStretch((0.8, 1.25), keep_length=True), speech(2)),
    ("PitchShift", PitchShift, speech(2)),
    ("SpeedPerturb", SpeedPerturb, speech()),
    ("MaskSamples", MaskSamples, speech()),
    ("MaskSamples, noise", lambda: MaskSamples(3, 0.2, fill="noise"), speech(2)),
    ("Clip", Clip, speech()),
    ("Clip, dBFS", lambda: Clip(dbfs=(-30.0, -12.0)), speech(2)),
    ("BandLimit", BandLimit, speech(2)),
    ("BandLimit, low pass", lambda: BandLimit(low=None), speech()),
    ("Telephone", Telephone, speech(2)),
    ("Bandwidth", Bandwidth, speech()),
    ("Equalise", Equalise, speech(2)),
    ("Codec", Codec, speech(2)),
    ("Codec, all", lambda: Codec(tuple((name, None) for name in CODECS)), speech()),
]
