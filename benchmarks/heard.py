"""What faster-whisper hears, run in its own environment, for recordings held in memory."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from peers import RUNNERS, python_of

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Heard:
    """What a system made of one recording; segments are (start, end, text)."""

    text: str
    language: str
    segments: tuple[tuple[float, float, str], ...] = ()


def versions_of(name: str, packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of packages in a peer's environment."""
    code = "import sys, importlib.metadata as m\nfor p in sys.argv[1:]: print(m.version(p))"
    command = [python_of(name), "-c", code, *packages]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(zip(packages, printed.split(), strict=True))


def faster_whisper(
    recordings: Mapping[str, np.ndarray],
    model: Path,
    language: str | None,
    *,
    modes: Mapping[str, Mapping[str, object]],
    threads: int = 2,
) -> dict[str, dict[str, Heard]]:
    """What it hears in float32 16 kHz recordings with int8 weights: mode -> id -> Heard.

    modes are as in peers/faster_whisper_run.py.
    """
    names = {f"{number:06d}": name for number, name in enumerate(recordings)}
    with tempfile.TemporaryDirectory() as folder:
        for number, name in names.items():
            np.save(Path(folder) / f"{number}.npy", recordings[name].astype(np.float32))
        job = {
            "model": str(model),
            "folder": folder,
            "names": list(names),
            "language": language,
            "threads": threads,
            "modes": modes,
        }
        (Path(folder) / "job.json").write_text(json.dumps(job), encoding="utf-8")
        command = [
            python_of("faster_whisper"),
            RUNNERS / "faster_whisper_run.py",
            Path(folder) / "job.json",
        ]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    heard: dict[str, dict[str, Heard]] = {mode: {} for mode in modes}
    for line in map(json.loads, printed.splitlines()):
        segments = tuple((start, end, text) for start, end, text in line["segments"])
        heard[line["mode"]][names[line["name"]]] = Heard(line["text"], line["language"], segments)
    return heard
