"""What the runners of augment.py share: the job, and how every effect is timed.

Imported by the runners beside this file, in whatever environment they run: numpy only. The job is
a folder with clips.npy (float32, one 5-second clip of 16 kHz a row), noise.wav and ranges.json.
"""

import json
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

RATE = 16000
LEAST_SECONDS = 0.25
CHAIN = ("gain", "noise", "stretch", "pitch", "low-pass", "mask")


def job(folder: str) -> tuple[np.ndarray, Path, dict[str, Any]]:
    """The clips, the noise and the ranges that each effect draws from."""
    path = Path(folder)
    clips = np.load(path / "clips.npy", allow_pickle=False)
    return clips, path / "noise.wav", json.loads((path / "ranges.json").read_text("utf-8"))


def report(
    effects: Mapping[str, Callable[[np.ndarray], object]], clips: np.ndarray, *packages: str
) -> None:
    """Print one line of JSON: CPU seconds that each effect takes for all clips."""
    taken = {name: seconds(effect, clips) for name, effect in effects.items()}
    versions = {name: metadata.version(name) for name in packages}
    print(json.dumps({"seconds": taken["chain"], "effects": taken, "versions": versions}))


def seconds(effect: Callable[[np.ndarray], object], clips: np.ndarray) -> float:
    """Of one pass over all clips, on all cores together: the mean of as many as take LEAST_SECONDS,
    after a short one.
    """
    for clip in clips[:3]:
        effect(clip)
    passes, start = 0, time.process_time()
    while passes == 0 or time.process_time() - start < LEAST_SECONDS:
        for clip in clips:
            effect(clip)
        passes += 1
    return (time.process_time() - start) / passes
