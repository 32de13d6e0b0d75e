"""Transcribing ten minutes: aural beside faster-whisper and transformers, the same weights.

    scripts/bench transcribe                          # about 25 minutes on two quiet cores
    scripts/bench transcribe --minutes 1 --runs 2 --skip transformers

Two recordings of real speech (see speech.py): "dense", at least 80 % of it speech, at beam 5 and
at beam 1; and "sparse", with long silences, at beam 5. Every run is a process of its own that loads
the model, hears a short clip, and is then timed on the recording; systems take turns. All are told
the language and get the same number of threads. aural and faster-whisper compute in int8;
transformers, which has no int8 for a CPU, in float32, on the dense recording at beam 5 only.
aural gives words their times, the others don't. By default it searches with the whole beam only
where greedy search was in doubt; "always searching" it does so everywhere, as the others do.
faster-whisper runs both its ways with its own speech detector, the batched one at whichever of
4, 8 and 16 is fastest here. Errors are those of the first run's text, compared by blocks of
prompts.
"""

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from machine import write_result
from peers import RUNNERS, in_turns, python_of, ratio_of_medians, run
from speech import EXAMPLES, Recording, errors_by_block, scratch, spoken

from aural.metrics.bootstrap import paired_difference
from aural.models import whisper
from aural.store.weights import ensure
from aural.tasks.detect_speech import detect_speech

BATCH_SIZES = (4, 8, 16)
SEARCHING = "aural, always searching"
SEQUENTIAL, BATCHED = "faster-whisper, sequential", "faster-whisper, batched"
Command = list[str | Path]


@dataclass(frozen=True)
class Setting:
    """One row of the table: which recording, and how wide the beam."""

    recording: str
    beam: int
    with_transformers: bool = False


SETTINGS = (Setting("dense", 5, with_transformers=True), Setting("dense", 1), Setting("sparse", 5))


@dataclass(frozen=True)
class Bench:
    """What all runs share. skip: peers left out."""

    weights: Path
    threads: int
    runs: int
    skip: tuple[str, ...]

    def faster_whisper(self, path: Path, beam: int, batch: str) -> Command:
        """Its runner; batch 0 is its sequential way."""
        return [
            python_of("faster_whisper"),
            RUNNERS / "faster_whisper_speed.py",
            *(self.weights, EXAMPLES[0], path, str(beam), str(self.threads), batch),
        ]

    def commands(self, path: Path, setting: Setting, batch: int) -> dict[str, Command]:
        """What is run in each round, in order."""
        rest: Command = [EXAMPLES[0], path, str(setting.beam), str(self.threads)]
        aural = [python_of("aural"), RUNNERS / "aural_speed.py", *rest]
        found: dict[str, Command] = {"aural": aural}
        if setting.beam > 1:
            found[SEARCHING] = [*aural, "1"]
        if "faster_whisper" not in self.skip:
            found[SEQUENTIAL] = self.faster_whisper(path, setting.beam, "0")
            found[BATCHED] = self.faster_whisper(path, setting.beam, str(batch))
        if setting.with_transformers and "transformers" not in self.skip:
            found["transformers"] = [
                python_of("transformers"),
                RUNNERS / "transformers_speed.py",
                *(self.weights, scratch() / "transformers-whisper-base", *rest),
            ]
        return found


def measure(bench: Bench, setting: Setting, recording: Recording, batch: int) -> dict[str, Any]:
    """The row: every system's runs, ratios to aural and differences of its error rate."""
    taken = in_turns(bench.commands(recording.path, setting, batch), bench.runs)
    errors = {
        name: errors_by_block(recording.texts, runs[0]["text"]) for name, runs in taken.items()
    }
    ours = taken["aural"]
    return {
        **asdict(setting),
        "seconds": recording.seconds,
        "speech_share": detect_speech(recording.path).speech_seconds / recording.seconds,
        "batch_size": batch,
        "systems": {
            name: {
                "seconds": [each["seconds"] for each in runs],
                "process_seconds": [each["process_seconds"] for each in runs],
                "peak_bytes": [each["peak_bytes"] for each in runs],
                "errors": sum(errors[name][0]),
                "words": sum(errors[name][1]),
                "versions": runs[0]["versions"],
                **(compared(ours, runs, errors["aural"], errors[name]) if runs is not ours else {}),
            }
            for name, runs in taken.items()
        },
    }


def compared(
    ours: Sequence[Mapping[str, Any]],
    theirs: Sequence[Mapping[str, Any]],
    our_errors: tuple[list[int], list[int]],
    their_errors: tuple[list[int], list[int]],
) -> dict[str, Any]:
    """How many times aural's time a peer takes, and aural's error rate minus the peer's."""
    times = ([each["seconds"] for each in runs] for runs in (theirs, ours))
    blocks = [str(number) for number in range(len(our_errors[0]))]
    difference = paired_difference(their_errors[0], our_errors[0], our_errors[1], blocks)
    return {
        "times_aural": asdict(ratio_of_medians(*times)),
        "wer_of_aural_minus_this": difference and asdict(difference),
    }


def best_batch(bench: Bench, path: Path, beam: int) -> tuple[int, dict[str, float]]:
    """The peer's fastest batch size on this recording, and the seconds of each tried."""
    if "faster_whisper" in bench.skip:
        return BATCH_SIZES[0], {}
    found = run(bench.faster_whisper(path, beam, ",".join(map(str, BATCH_SIZES))))
    return found["best"], found["tried"]


def shown(row: Mapping[str, Any]) -> str:
    """A few lines for whoever waits."""
    lines = [f"{row['recording']}, beam {row['beam']}, {row['speech_share']:.0%} speech:"]
    for name, system in row["systems"].items():
        ratio = system.get("times_aural", {"value": 1.0, "low": 1.0})
        lines.append(
            f"  {name}: {statistics.median(system['seconds']):.2f} s, "
            f"{ratio['value']:.2f} x aural (at least {ratio['low']:.2f}), "
            f"{max(system['peak_bytes']) / 1e6:.0f} MB, "
            f"WER {100 * system['errors'] / system['words']:.2f} %"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure every setting and write results/transcribe.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--skip", action="append", default=[], choices=("faster_whisper", "transformers")
    )
    parser.add_argument(
        "--settings",
        type=int,
        nargs="+",
        default=range(len(SETTINGS)),
        help="which rows, counted from 0: "
        + ", ".join(f"{s.recording} {s.beam}" for s in SETTINGS),
    )
    given = parser.parse_args()
    settings = [SETTINGS[i] for i in given.settings]
    weights = ensure("whisper/base", whisper.VARIANTS["base"].weights)
    bench = Bench(weights, given.threads, given.runs, tuple(given.skip))
    recordings = {kind: spoken(given.minutes, kind) for kind in ("dense", "sparse")}
    chosen = {
        beam: best_batch(bench, recordings["dense"].path, beam)
        for beam in dict.fromkeys(setting.beam for setting in settings)
    }
    rows = []
    for setting in settings:
        batch = chosen[setting.beam][0]
        rows.append(measure(bench, setting, recordings[setting.recording], batch))
        print(shown(rows[-1]), file=sys.stderr, flush=True)
    write_result(
        {
            "threads": bench.threads,
            "batch_sizes_tried": {str(beam): tried for beam, (_, tried) in chosen.items()},
            "rows": rows,
        }
    )


if __name__ == "__main__":
    main()
