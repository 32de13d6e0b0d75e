"""Augmentation of speech: aural beside audiomentations, a chain of six effects and each alone.

    scripts/bench augment                    # about two minutes on two quiet cores
    scripts/bench augment --clips 10 --rounds 2

Clips of 5 s of real speech at 16 kHz (see speech.py), one thread, float32, the same ranges to draw
from. Every run is a process of its own that times each effect over all clips after a few that do
not count, in CPU seconds; the systems take turns. audiomentations is at its defaults in all but the
ranges: it stretches and shifts pitch with Signalsmith Stretch (C++, the package python-stretch),
keeps the length of what it stretches (as aural is told to), and has low-pass filters of 12 to 24 dB
an octave (aural's falls by 80 dB within 200 Hz). Noise is 30 s of pink noise, its ratio that of the
whole clip's power.
"""

import os

for _library in ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

import argparse
import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from machine import write_result
from peers import RUNNERS, in_turns, python_of, ratio_of_medians
from speech import RATE, scratch, spoken

from aural.audio.augment.noise import coloured_noise
from aural.audio.read import read
from aural.audio.write import write
from aural.types import Audio

SECONDS = 5
NOISE_SECONDS = 30
CHAIN = "gain, noise, stretch, pitch, low-pass, mask"
RANGES = {
    "gain": (-6.0, 6.0),  # dB
    "noise": (5.0, 20.0),  # dB
    "stretch": (0.8, 1.25),
    "pitch": (-4.0, 4.0),  # semitones
    "low-pass": (2000.0, 7000.0),  # Hz
    "mask": (0.0, 1.0),  # s
    "shift": (-0.5, 0.5),  # s
    "clip": (0, 40),  # per cent of the samples
    "equalise": (-12.0, 12.0),  # dB
}


def prepare(clips: int) -> Path:
    """The folder of a job, as peers/effects.py says."""
    folder = scratch() / "augment"
    folder.mkdir(exist_ok=True)
    samples = read(spoken(clips * SECONDS / 60, "dense").path).samples
    np.save(folder / "clips.npy", samples[: clips * SECONDS * RATE].reshape(clips, -1))
    noise = coloured_noise("pink", NOISE_SECONDS * RATE, np.random.default_rng(0), RATE)
    write(folder / "noise.wav", Audio(noise, RATE))
    (folder / "ranges.json").write_text(json.dumps(RANGES), "utf-8")
    return folder


def page(result: Mapping[str, Any]) -> str:
    """One row an effect."""
    versions = result["versions"]["audiomentations"]
    clips, length = result["clips"], result["seconds_each"]
    lines = [
        f"{clips} clips of {length} s at 16 kHz, one thread, {result['rounds']} rounds. The chain "
        f"is {CHAIN}. audiomentations {versions['audiomentations']} is at its defaults but for the "
        "ranges; it stretches and shifts pitch with Signalsmith Stretch in C++ (python-stretch "
        f"{versions['python-stretch']}).\n",
        "| effect | drawn from | aural, ms of CPU a clip | audiomentations | times aural's |",
        "|---|---|---|---|---|",
    ]
    for name, effect in result["effects"].items():
        low, high = result["ranges"].get(name, ("", ""))
        ours, theirs = (
            1000 * statistics.median(effect[system]) / clips for system in result["versions"]
        )
        ratio = "{value:.2f} ({low:.2f} to {high:.2f})".format(**effect["times_aural"])
        drawn = f"{low:g} to {high:g}" if name != "chain" else ""
        lines.append(f"| {name} | {drawn} | {ours:.3f} | {theirs:.3f} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the page and write results/augment.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, help="instead of results/augment.json")
    given = parser.parse_args()
    folder = prepare(given.clips)
    commands = {
        "aural": [python_of("aural"), RUNNERS / "aural_augment_run.py", folder],
        "audiomentations": [
            python_of("audiomentations"),
            RUNNERS / "audiomentations_run.py",
            folder,
        ],
    }
    taken = in_turns(commands, given.rounds)
    effects = {}
    for name in ("chain", *RANGES):
        runs = {system: [run["effects"][name] for run in each] for system, each in taken.items()}
        ratio = ratio_of_medians(runs["audiomentations"], runs["aural"])
        effects[name] = {**runs, "times_aural": asdict(ratio)}
    result = {
        "clips": given.clips,
        "seconds_each": SECONDS,
        "rounds": given.rounds,
        "ranges": RANGES,
        "versions": {system: runs[0]["versions"] for system, runs in taken.items()},
        "effects": effects,
    }
    print(page(result))
    write_result(result, given.output)


if __name__ == "__main__":
    main()
