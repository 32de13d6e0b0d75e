"""Peers in environments of their own, and runs of several systems taken in turns.

peers/NAME.txt lists what pip installs into .venv-peers/NAME when that is not there yet.
"""

import json
import os
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aural.store.location import only_one

HERE = Path(__file__).resolve().parent
RUNNERS = HERE / "peers"
ENVIRONMENTS = HERE.parent / ".venv-peers"
RESAMPLES = 10_000


def python_of(peer: str, *, dependencies: bool = True) -> Path:
    """The interpreter of a peer's environment, made where it is missing; "aural" is this one.

    dependencies: those of what the list names are installed too.
    """
    if peer == "aural":
        return Path(sys.executable)
    requirements = RUNNERS / f"{peer}.txt"
    folder = ENVIRONMENTS / peer
    python, stamp = folder / "bin/python", folder / "installed.txt"
    with only_one(folder):
        if not stamp.is_file() or stamp.read_bytes() != requirements.read_bytes():
            print(f"bench: installing {peer} into {folder}", file=sys.stderr, flush=True)
            venv.create(folder, with_pip=True, clear=True)
            pip = (python, "-m", "pip", "--require-virtualenv", "--disable-pip-version-check")
            alone = () if dependencies else ("--no-deps",)
            subprocess.run([*pip, "install", "--quiet", *alone, "-r", requirements], check=True)
            stamp.write_bytes(requirements.read_bytes())
    return python


def run(command: Sequence[str | os.PathLike[str]]) -> dict[str, Any]:
    """The JSON that a process prints as its last line, and process_seconds, its whole life."""
    start = time.perf_counter()
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    seconds = time.perf_counter() - start
    return json.loads(done.stdout.splitlines()[-1]) | {"process_seconds": seconds}


def in_turns(
    commands: Mapping[str, Sequence[str | os.PathLike[str]]], runs: int
) -> dict[str, list[dict[str, Any]]]:
    """Every system's runs; in each round each has one, so that what else the machine does hits
    all alike."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    for turn in range(runs):
        for name, command in commands.items():
            results[name].append(run(command))
            shown = f"{results[name][-1]['seconds']:.2f} s"
            print(f"run {turn + 1} of {runs}: {name} {shown}", file=sys.stderr, flush=True)
    return results


@dataclass(frozen=True)
class Ratio:
    """A ratio of medians with its 95 % interval."""

    value: float
    low: float
    high: float


def ratio_of_medians(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    """Of two systems' times in the same rounds; the interval by drawing rounds (bootstrap)."""
    pairs = np.array([numerator, denominator])
    drawn = np.random.default_rng(0).integers(0, pairs.shape[1], (RESAMPLES, pairs.shape[1]))
    over, under = np.median(pairs[:, drawn], axis=2)
    low, high = np.quantile(over / under, [0.025, 0.975])
    return Ratio(statistics.median(numerator) / statistics.median(denominator), low, high)
