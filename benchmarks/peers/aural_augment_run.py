"""aural's effects in a process of their own: aural_augment_run.py FOLDER (see effects.py)."""

import sys
from collections.abc import Callable

import numpy as np
from effects import CHAIN, RATE, job, report

from aural.audio.augment import Augmentation, Chain, augment
from aural.audio.augment.channel import BandLimit, Clip, Equalise
from aural.audio.augment.level import Gain
from aural.audio.augment.noise import AddNoise
from aural.audio.augment.time import MaskSamples, PitchShift, TimeShift, TimeStretch
from aural.audio.read import read
from aural.types import Audio


def main(folder: str) -> None:
    """Print one line of JSON."""
    clips, noise, ranges = job(folder)
    given = {name: tuple(bounds) for name, bounds in ranges.items()}
    steps: dict[str, Augmentation[Audio]] = {
        "gain": Gain(given["gain"]),
        "noise": AddNoise((read(noise),), given["noise"], level="power"),
        "stretch": TimeStretch(given["stretch"], keep_length=True),
        "pitch": PitchShift(given["pitch"]),
        "low-pass": BandLimit(low=None, high=given["low-pass"]),
        "mask": MaskSamples(masks=1, max_seconds=given["mask"][1]),
        "shift": TimeShift(given["shift"]),
        "clip": Clip(percentile=(100 - given["clip"][1], 100 - given["clip"][0])),
        "equalise": Equalise(given["equalise"], bands=7),
    }
    steps["chain"] = Chain(tuple(steps[name] for name in CHAIN))
    rng = np.random.default_rng(0)

    def effect(step: Augmentation[Audio]) -> Callable[[np.ndarray], object]:
        return lambda samples: augment(Audio(samples, RATE), step, rng)

    report({name: effect(step) for name, step in steps.items()}, clips, "aural", "numpy", "soxr")


if __name__ == "__main__":
    main(*sys.argv[1:])
