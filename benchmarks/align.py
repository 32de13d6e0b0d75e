"""CTC forced alignment, in NumPy, beside ctc-segmentation's Cython and ctc-forced-aligner's C++.

    scripts/bench align                      # about three minutes on a quiet core
    scripts/bench align --rounds 2

What conformer/hama says of real prompts (asterisk-en, one voice), 191 tokens, 50 frames a second,
is aligned with its own greedy tokens: one prompt of about five seconds, and prompts strung together
to half a minute and to ten. All systems read the same log probabilities, in float32, and the same
tokens, have one thread, and give the time of every token. Loading, and bringing the text to a
peer's form, are not counted. A round is one process a system, in turn; short materials are aligned
several times in it. Time is the process's own, as other work on the machine would count otherwise;
the clock's is kept in the result.

The criterion is ours in ctc-forced-aligner: the likeliest of CTC's paths, blanks and repeats told
apart as in training; so paths and their log probabilities are compared. pip compiles it, and it is
left out where there is no compiler. ctc-segmentation (Kürzinger et al. 2020), at its defaults, has
one state a token, in which a frame counts as the better of that token and blank; goes through a
long recording in a window of 8000 frames; and takes what is before and after the text for free. So
only the moments at which tokens begin are compared with it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import sysconfig
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
    from collections.abc import Mapping, Sequence

CORPUS = "asterisk-en"
SEED = 20
MIN_WORDS = 6
PASSES = {"one prompt": 40, "30 s": 8, "10 minutes": 1}
"""Alignments in a round."""
PROMPT_SECONDS = 5.0
STRUNG = {"30 s": 30.0, "10 minutes": 600.0}
CYTHON, EXACT = "ctc_segmentation", "ctc_forced_aligner"
LANGUAGES = {CYTHON: "Cython", EXACT: "C++"}


def prepare(folder: Path) -> dict[str, Any]:
    """Write what all systems read; seconds, frames and tokens of each material."""
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
    """What ctc_forced_aligner_align_run.py prints, of aural."""
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
            starts = [span.start for span in alignment.spans]
            found[material] = {**seconds, "starts": starts, "path": alignment.path.tolist()}
    versions = {"numpy": importlib.metadata.version("numpy")}
    return {"seconds": time.perf_counter() - begun, "found": found, "versions": versions}


def compiled_python() -> Path | None:
    """The interpreter that has ctc-forced-aligner; None where nothing can compile it."""
    try:
        return python_of(EXACT, dependencies=False)
    except subprocess.CalledProcessError:
        for name in ("CC", "CXX"):
            command = os.environ.get(name) or sysconfig.get_config_var(name)
            if not (command and shutil.which(shlex.split(command)[0])):
                return None
        raise


def agreement(ours: list[int], theirs: list[int], frame_seconds: float) -> dict[str, float]:
    """How far apart in time the same tokens begin."""
    apart = np.abs(np.subtract(ours, theirs)) * frame_seconds * 1000
    return {
        "equal": int((apart == 0).sum()),
        "median_ms": float(np.median(apart)),
        "within_95_percent_ms": float(np.quantile(apart, 0.95)),
        "most_ms": float(apart.max()),
    }


def paths_beside(ours: list[int], theirs: list[int], log_probs: np.ndarray) -> dict[str, float]:
    """Frames in which two paths differ, and the log probability of each, summed in float64."""
    frames = np.arange(len(log_probs))
    score, peer_score = (
        float(log_probs[frames, path].sum(dtype=np.float64)) for path in (ours, theirs)
    )
    different = int(np.count_nonzero(np.not_equal(ours, theirs)))
    return {"different_frames": different, "log_prob": score, "peer_log_prob": peer_score}


def measure(rounds: int) -> dict[str, Any]:
    """What is written down."""
    folder = scratch() / "align"
    about = prepare(folder)
    pythons = {CYTHON: python_of(CYTHON), EXACT: compiled_python()}
    peers = {name: python for name, python in pythons.items() if python}
    commands = {"aural": [sys.executable, __file__, "--run", str(folder)]} | {
        name: [python, RUNNERS / f"{name}_align_run.py", str(folder)]
        for name, python in peers.items()
    }
    runs = in_turns(commands, rounds)
    with np.load(folder / "materials.npz") as arrays:
        for material, row in about["materials"].items():
            row["times"] = {
                system: {
                    kind: [run["found"][material][kind] for run in each]
                    for kind in ("process", "clock")
                }
                for system, each in runs.items()
            }
            ours, found = row["times"]["aural"], runs["aural"][0]["found"][material]
            row["peers"] = {}
            for peer in peers:
                times, theirs = row["times"][peer], runs[peer][0]["found"][material]
                row["peers"][peer] = {
                    "times_aural": {
                        kind: asdict(ratio_of_medians(times[kind], ours[kind])) for kind in times
                    },
                    **agreement(found["starts"], theirs["starts"], about["frame_seconds"]),
                }
                if "path" in theirs:
                    row["peers"][peer] |= paths_beside(
                        found["path"], theirs["path"], arrays[f"{material} log_probs"]
                    )
    versions = {system: each[0]["versions"] for system, each in runs.items()}
    left_out = [name for name in pythons if name not in peers]
    return {
        "rounds": rounds,
        "passes": PASSES,
        **about,
        "versions": versions,
        "left_out": left_out,
    }


def package(peer: str) -> str:
    """Its name at PyPI."""
    return peer.replace("_", "-")


def verdict(peer: str, materials: Mapping[str, Any]) -> str:
    """Where aural is slower than a peer, where faster and where neither is shown, in words."""
    slower, faster, neither = [], [], []
    for material, row in materials.items():
        ratio = row["peers"][peer]["times_aural"]["process"]
        if ratio["high"] < 1:
            slower.append(f"{1 / ratio['value']:.1f} times as long for {material}")
        elif ratio["low"] > 1:
            faster.append(f"{ratio['value']:.1f} times as long for {material}")
        else:
            neither.append(material)
    name, said = package(peer), []
    if slower:
        said.append(f"aural is slower than {name}: it takes {', '.join(slower)}.")
    if faster:
        said.append(f"aural is faster than {name}, which takes {', '.join(faster)}.")
    if neither:
        said.append(f"Neither aural nor {name} is shown to be faster for {', '.join(neither)}.")
    return " ".join(said)


def times_table(result: Mapping[str, Any], peers: Sequence[str]) -> str:
    """Of every material the time of each system."""
    heads = ("material", "frames", "tokens of the text", "aural", *map(package, peers))
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for material, row in result["materials"].items():
        took = {
            system: f"{1000 * statistics.median(row['times'][system]['process']):.2f}"
            for system in ("aural", *peers)
        }
        ratios = {peer: row["peers"][peer]["times_aural"]["process"] for peer in peers}
        beside = [
            "{}: {value:.2f} ({low:.2f} to {high:.2f})".format(took[peer], **ratios[peer])
            for peer in peers
        ]
        cells = (material, str(row["frames"]), str(row["tokens"]), took["aural"], *beside)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def moments_table(materials: Mapping[str, Any], peers: Sequence[str]) -> str:
    """How far apart tokens begin."""
    rows = [
        "| beside | material | the same | median, ms | 95 % are within, ms | most, ms |",
        "|---|---|---|---|---|---|",
    ]
    for peer in peers:
        for material, row in materials.items():
            found = row["peers"][peer]
            same = f"{found['equal']} of {row['tokens']}"
            apart = (
                f"{found[key]:.0f}" for key in ("median_ms", "within_95_percent_ms", "most_ms")
            )
            rows.append(f"| {' | '.join((package(peer), material, same, *apart))} |")
    return "\n".join(rows)


def paths_sentence(materials: Mapping[str, Any]) -> str:
    """Of how many frames the exact peer's paths are others, and what they score."""
    found = {material: row["peers"][EXACT] for material, row in materials.items()}
    different = sum(each["different_frames"] for each in found.values())
    frames = sum(row["frames"] for row in materials.values())
    scores = ", ".join(
        f"{each['log_prob']:.4f} and {each['peer_log_prob']:.4f} for {material}"
        for material, each in found.items()
    )
    return (
        f"{package(EXACT)} looks for the likeliest CTC path as aural does: the two differ in "
        f"{different} of {frames} frames. The log probabilities of aural's path and its are "
        f"{scores}."
    )


def page(result: Mapping[str, Any]) -> str:
    """A table of time, where aural is slower, and a table of agreement."""
    materials = result["materials"]
    peers = [name for name in LANGUAGES if name in result["versions"]]
    named = " and ".join(
        f"{package(peer)} {result['versions'][peer][package(peer)]} ({LANGUAGES[peer]})"
        for peer in peers
    )
    parts = [
        f"{result['vocabulary']} tokens, {1 / result['frame_seconds']:.0f} frames a second, "
        f"{result['rounds']} rounds, one thread each; medians of milliseconds of CPU. Peers: "
        f"{named}. How many times aural's time one takes is given with its 95 % interval.",
        times_table(result, peers),
        "aural's alignment is NumPy, the peers' are compiled. "
        + " ".join(verdict(peer, materials) for peer in peers),
        *(
            f"{package(peer)} was left out: pip compiles it, and there was no C++ compiler."
            for peer in result["left_out"]
        ),
        "ctc-segmentation's criterion is another: its frame counts as the better of blank and the "
        "token last begun. Between the moments at which a token begins:",
        moments_table(materials, peers),
    ]
    if EXACT in peers:
        parts.append(paths_sentence(materials))
    return "\n\n".join(parts)


def main() -> None:
    """Print the tables and write the result."""
    parser = argparse.ArgumentParser(description="CTC forced alignment beside two peers")
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
