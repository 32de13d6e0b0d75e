"""What recognising several windows at once gains.

    scripts/bench batching [--minutes 10] [--rounds 3] [--threads 2]

The dense recording of speech.py (real prompts, short pauses) by aural.transcribe with whisper/base,
English given, at every batch size in turn in each round, the model loaded once. A batch of one is
what a loop over windows does. Texts do not depend on the batch: that is checked.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING, Any

from machine import write_result
from speech import spoken

from aural.tasks.transcribe import transcribe

if TYPE_CHECKING:
    from collections.abc import Mapping

SIZES = (1, 2, 4, 8, 16, 32)
BEAMS = (1, 5)


def measure(minutes: float, rounds: int, threads: int) -> dict[str, Any]:
    """Seconds of every round by beam and batch size."""
    recording = spoken(minutes, "dense")
    transcribe(recording.path, language="en", threads=threads)
    seconds: dict[str, dict[str, list[float]]] = {}
    texts = {}
    for _ in range(rounds):
        for beam in BEAMS:
            for size in SIZES:
                start = time.perf_counter()
                heard = transcribe(
                    recording.path, language="en", beam_size=beam, batch_size=size, threads=threads
                )
                taken = seconds.setdefault(f"beam {beam}", {}).setdefault(str(size), [])
                taken.append(time.perf_counter() - start)
                texts[beam, size] = heard.text
    same = all(texts[beam, size] == texts[beam, 1] for beam in BEAMS for size in SIZES)
    return {"audio_seconds": recording.seconds, "threads": threads, "runs": seconds, "same": same}


def page(result: Mapping[str, Any]) -> str:
    """The benchmark's page."""
    lines = [
        f"{result['audio_seconds']:.0f} s of dense speech, whisper/base in int8, "
        f"{result['threads']} threads; medians of {len(result['runs']['beam 5']['1'])} rounds. "
        f"The texts are {'the same at' if result['same'] else 'NOT the same at'} every batch size.",
        "",
        "| search | " + " | ".join(f"batch {size}" for size in SIZES) + " |",
        "|---|" + "---|" * len(SIZES),
    ]
    for beam, runs in result["runs"].items():
        medians = {size: statistics.median(seconds) for size, seconds in runs.items()}
        cells = [f"{each:.1f} s, {medians['1'] / each:.2f} x" for each in medians.values()]
        lines.append(f"| {beam} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the page's table and write the result."""
    parser = argparse.ArgumentParser(description="what batching gains")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    result = measure(given.minutes, given.rounds, given.threads)
    print(page(result))
    write_result(result)


if __name__ == "__main__":
    main()
