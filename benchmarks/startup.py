"""From the start of a process to its first word, and to its end: one clip of five seconds.

    scripts/bench startup                # about two minutes

Weights are on disk and every file has been read once (the page cache is warm). aural's command and
five lines of Python stand beside five lines with faster-whisper; all take whisper/base in int8 at
their own defaults, told the language, and each run is a process of its own, in turns. "first word"
is the moment the first text can be read from the process.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from machine import write_result
from peers import python_of, ratio_of_medians
from speech import EXAMPLES

from aural.models import whisper
from aural.store.weights import ensure

CLIP = EXAMPLES[-1]
AURAL_LINES = """\
import sys
import aural
transcript = aural.transcribe(sys.argv[1], language="en")
for segment in transcript.segments:
    print(segment.text)
"""
FASTER_WHISPER_LINES = """\
import sys
from faster_whisper import WhisperModel
model = WhisperModel(sys.argv[2], device="cpu", compute_type="int8", cpu_threads=2)
for segment in model.transcribe(sys.argv[1], language="en")[0]:
    print(segment.text)
"""


def run(command: list[str | Path]) -> dict[str, float]:
    """Seconds to the first text on standard output, and to the end."""
    start = time.perf_counter()
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        assert process.stdout is not None
        text = process.stdout.read(1)
        first = time.perf_counter() - start
        text += process.stdout.read()
    if process.returncode or b"selfish" not in text:
        raise SystemExit(f"{command[0]} gave {text!r} and {process.returncode}")
    return {"first_word": first, "whole": time.perf_counter() - start}


def main() -> None:
    """Print and write results/startup.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9)
    given = parser.parse_args()
    weights = ensure("whisper/base", whisper.VARIANTS["base"].weights)
    aural = Path(sys.executable).parent / "aural"
    commands: dict[str, list[str | Path]] = {
        "aural transcribe": [aural, "transcribe", CLIP, "--language", "en"],
        "aural, five lines of Python": [sys.executable, "-c", AURAL_LINES, CLIP],
        "faster-whisper, five lines of Python": [
            python_of("faster_whisper"),
            *("-c", FASTER_WHISPER_LINES, CLIP, weights),
        ],
    }
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    for turn in range(given.runs + 1):
        for name, command in commands.items():
            found = run(command)
            if turn:  # the first round reads the files into memory
                taken[name].append(found)
    ours, *_, theirs = taken
    systems = {
        name: {key: [each[key] for each in runs] for key in ("first_word", "whole")}
        for name, runs in taken.items()
    }
    for name, system in systems.items():
        print(
            f"{name}: first word {statistics.median(system['first_word']):.2f} s", file=sys.stderr
        )
    ratio = ratio_of_medians(systems[theirs]["first_word"], systems[ours]["first_word"])
    write_result({"clip": CLIP.name, "systems": systems, "times_aural": asdict(ratio)})


if __name__ == "__main__":
    main()
