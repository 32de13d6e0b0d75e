"""audiomentations' effects by its own environment's Python: audiomentations_run.py FOLDER.

Everything but the ranges is its default (see effects.py for FOLDER).
"""

import random
import sys
from collections.abc import Callable

import audiomentations
import numpy as np
from effects import CHAIN, RATE, job, report


def main(folder: str) -> None:
    """Print one line of JSON."""
    clips, noise, ranges = job(folder)
    seconds = clips.shape[1] / RATE
    steps = {
        "gain": audiomentations.Gain(*ranges["gain"], p=1.0),
        "noise": audiomentations.AddBackgroundNoise(str(noise), *ranges["noise"], p=1.0),
        "stretch": audiomentations.TimeStretch(*ranges["stretch"], p=1.0),
        "pitch": audiomentations.PitchShift(*ranges["pitch"], p=1.0),
        "low-pass": audiomentations.LowPassFilter(*ranges["low-pass"], p=1.0),
        "mask": audiomentations.TimeMask(*(each / seconds for each in ranges["mask"]), p=1.0),
        "shift": audiomentations.Shift(*ranges["shift"], shift_unit="seconds", p=1.0),
        "clip": audiomentations.ClippingDistortion(*ranges["clip"], p=1.0),
        "equalise": audiomentations.SevenBandParametricEQ(*ranges["equalise"], p=1.0),
    }
    steps["chain"] = audiomentations.Compose([steps[name] for name in CHAIN])
    random.seed(0)
    np.random.seed(0)

    def effect(step: audiomentations.Compose) -> Callable[[np.ndarray], object]:
        return lambda samples: step(samples=samples, sample_rate=RATE)

    packages = ("audiomentations", "python-stretch", "librosa", "numpy", "scipy")
    report({name: effect(step) for name, step in steps.items()}, clips, *packages)


if __name__ == "__main__":
    main(*sys.argv[1:])
