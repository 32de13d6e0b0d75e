"""CTC forced alignment, in NumPy, beside ctc-segmentation's Cython.

    scripts/bench align                      # about two minutes on a quiet core
    scripts/bench align --rounds 2

What conformer/hama says of real prompts (asterisk-en, one voice), 191 tokens, 50 frames a second,
is aligned with its own greedy tokens: one prompt of about five seconds, and prompts strung together
to half a minute and to ten. Both systems read the same log probabilities, in float32, and the same
tokens, have one thread, and give the time of every token. Loading, and bringing the text to the
peer's form, are not counted. A round is one process a system, in turn; short materials are aligned
several times in it. Time is the process's own, as other work on the machine would count otherwise;
the clock's is kept beside it.

The criteria differ. Ours is the likeliest of CTC's paths, blanks and repeats told apart as in
training. ctc-segmentation (Kürzinger et al. 2020), at its defaults, has one state a token, in which
a frame counts as the better of that token and blank; goes through a long recording in a window of
8000 frames; and takes what is before and after the text for free. So the moments at which tokens
begin are compared, not scores.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

LIBRARIES = ("OMP", "OPENBLAS", "MKL")
for library in LIBRARIES:
    os.environ[f"{library}_NUM_THREADS"] = "1"

import numpy as np
from machine import write_result
from peers import RUNNERS, in_turns, python_of, ratio_of_medians
from speech import scratch

from aural.decode.ctc import align, greedy

if TYPE_CHECKING:
    from collections.abc import Mapping

CORPUS = "asterisk-en"
SEED = 20
MIN_WORDS = 6
PASSES = {"one prompt": 40, "30 s": 8, "10 minutes": 1}
"""Alignments in a round."""
PROMPT_SECONDS = 5.0
STRUNG = {"30 s": 30.0, "10 minutes": 600.0}
PEER = "ctc_segmentation"


def prepare(folder: Path) -> dict[str, Any]:
    """Write what both systems read; seconds, frames and tokens of each material."""
    from aural.audio.read import read
    from aural.data.corpora import read_corpus
    from aural.data.sound import sound_of
    from aural.models import load

    prompts = [each for each in read_corpus(CORPUS) if len(each.text.split()) >= MIN_WORDS]
    np.random.default_rng(SEED).shuffle(prompts)
    model = load("conformer/hama", threads=1)
    rate, frame = model.sample_rate, 1 / model.frame_rate
    most = max(STRUNG.values()) / frame
    heard: list[np.ndarray] = []
    while sum(map(len, heard)) < most:
        prompt = sound_of(prompts[len(heard)])
        heard.append(model.log_probs(read(prompt, sample_rate=rate).samples))
    ends = np.cumsum([len(each) for each in heard]) * frame
    chosen = {"one prompt": [min(heard, key=lambda each: abs(len(each) * frame - PROMPT_SECONDS))]}
    for name, seconds in STRUNG.items():
        chosen[name] = heard[: int(np.searchsorted(ends, seconds)) + 1]
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray] = {}
    about = {}
    for name, items in chosen.items():
        log_probs = np.concatenate(items)
        tokens = [token for each in items for token in greedy(each)[0].tokens]
        arrays |= {f"{name} log_probs": log_probs, f"{name} tokens": np.array(tokens)}
        about[name] = {
            "prompts": len(items),
            "seconds": len(log_probs) * frame,
            "frames": len(log_probs),
            "tokens": len(tokens),
        }
    np.savez(folder / "materials.npz", **arrays)
    (folder / "plan.json").write_text(json.dumps({"passes": PASSES}), "utf-8")
    return {"frame_seconds": frame, "vocabulary": model.tokenizer.size, "materials": about}


def run_ours(folder: Path) -> dict[str, Any]:
    """What ctc_segmentation_align_run.py prints, of aural."""
    plan = json.loads((folder / "plan.json").read_text("utf-8"))
    found, begun = {}, time.perf_counter()
    with np.load(folder / "materials.npz") as arrays:
        for material, passes in plan["passes"].items():
            log_probs, tokens = arrays[f"{material} log_probs"], arrays[f"{material} tokens"]
            clock, own = time.perf_counter(), time.process_time()
            for _ in range(passes):
                alignment = align(log_probs, tokens)
            seconds = {
                "clock": (time.perf_counter() - clock) / passes,
                "process": (time.process_time() - own) / passes,
            }
            found[material] = {**seconds, "starts": [span.start for span in alignment.spans]}
    versions = {"numpy": importlib.metadata.version("numpy")}
    return {"seconds": time.perf_counter() - begun, "found": found, "versions": versions}


def agreement(ours: list[int], theirs: list[int], frame_seconds: float) -> dict[str, float]:
    """How far apart in time the same tokens begin."""
    apart = np.abs(np.subtract(ours, theirs)) * frame_seconds * 1000
    return {
        "equal": int((apart == 0).sum()),
        "median_ms": float(np.median(apart)),
        "within_95_percent_ms": float(np.quantile(apart, 0.95)),
        "most_ms": float(apart.max()),
    }


def measure(rounds: int) -> dict[str, Any]:
    """What is written down."""
    folder = scratch() / "align"
    about = prepare(folder)
    commands = {
        "aural": [sys.executable, __file__, "--run", str(folder)],
        PEER: [python_of(PEER), RUNNERS / f"{PEER}_align_run.py", str(folder)],
    }
    runs = in_turns(commands, rounds)
    for material, row in about["materials"].items():
        row["times"] = {
            system: {
                kind: [run["found"][material][kind] for run in each]
                for kind in ("process", "clock")
            }
            for system, each in runs.items()
        }
        row["times_aural"] = {
            kind: asdict(ratio_of_medians(row["times"][PEER][kind], row["times"]["aural"][kind]))
            for kind in ("process", "clock")
        }
        starts = (runs[system][0]["found"][material]["starts"] for system in ("aural", PEER))
        row["agreement"] = agreement(*starts, about["frame_seconds"])
    versions = {system: each[0]["versions"] for system, each in runs.items()}
    return {"rounds": rounds, "passes": PASSES, **about, "versions": versions}


def page(result: Mapping[str, Any]) -> str:
    """A table of time and one of agreement."""
    peer = f"ctc-segmentation {result['versions'][PEER]['ctc-segmentation']}"
    times = [
        f"{result['vocabulary']} tokens, {1 / result['frame_seconds']:.0f} frames a second, "
        f"{result['rounds']} rounds, one thread each; medians. {peer} (Cython) is at its defaults. "
        "How many times aural's time it takes is given with its 95 % interval.\n",
        "| material | frames | tokens of the text | aural, ms of CPU | ctc-segmentation | times "
        "aural's | by the clock |",
        "|---|---|---|---|---|---|---|",
    ]
    moments = [
        "The criteria differ: ours is the likeliest CTC path; the peer's frame counts as the "
        "better of blank and the token last begun. Between the moments at which a token begins:\n",
        "| material | the same | median, ms | 95 % are within, ms | most, ms |",
        "|---|---|---|---|---|",
    ]
    for material, row in result["materials"].items():
        ours, theirs = (
            1000 * statistics.median(row["times"][system]["process"]) for system in ("aural", PEER)
        )
        ratios = (
            "{value:.2f} ({low:.2f} to {high:.2f})".format(**row["times_aural"][kind])
            for kind in ("process", "clock")
        )
        cells = (material, f"{row['frames']}", f"{row['tokens']}", f"{ours:.1f}", f"{theirs:.1f}")
        times.append(f"| {' | '.join((*cells, *ratios))} |")
        found = row["agreement"]
        apart = (f"{found[key]:.0f}" for key in ("median_ms", "within_95_percent_ms", "most_ms"))
        same = f"{found['equal']} of {row['tokens']}"
        moments.append(f"| {' | '.join((material, same, *apart))} |")
    return "\n".join([*times, "", *moments])


def main() -> None:
    """Print the tables and write the result."""
    parser = argparse.ArgumentParser(description="CTC forced alignment beside ctc-segmentation")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, help="instead of results/align.json")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        print(json.dumps(run_ours(given.run)))
        return
    result = measure(given.rounds)
    print(page(result))
    write_result(result, given.output)


if __name__ == "__main__":
    main()
