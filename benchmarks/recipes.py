"""What the recipes learn here: every family on held-out voices, beside what needs no network.

    python benchmarks/recipes.py [NAME ...] [--again]

Each of RUNS is trained by `aural train` in a process of its own, one after the other, on one
thread; runs are kept in the cache, and one that was broken off goes on (--again begins anew).
Without names all are done; others keep their earlier figures. The corpora must be there: `aural
data fetch digits --from DIRECTORY` (the Free Spoken Digit Dataset, CC-BY-SA-4.0), fillets-nl and
fillets-cs (GPL-2.0-or-later), asterisk-en (CC-BY-SA-3.0).

A recipe is reached where its error's interval lies below that of the baseline; what is not has its
learning curve beside it, and an overfit check: the error on what it was trained on.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import RESULTS, measured, measured_earlier, write_result

from aural.store.location import cache_root

FOLDER = cache_root() / "benchmarks" / "recipes"
RESULT = RESULTS / "recipes.json"
LEARNED = 100
"""So many recordings of the training set are looked at for what was learned by heart."""
BEATEN = frozenset({"majority", "unigram", "untrained", "shuffled", "before"})
"""What a recipe has to do better than; others stand beside it."""


@dataclass(frozen=True)
class Run:
    """A recipe with what is laid over it. figure is what it is judged by; after, the run whose
    weights it begins with."""

    title: str
    recipe: str
    overrides: tuple[str, ...] = ()
    figure: str = "wer"
    after: str = ""

    def told(self, runs: Path | str) -> list[str]:
        """The words of `aural train`, the runs being in a folder."""
        start = [f"model.start={runs}/{self.after}/model"] if self.after else []
        return [self.recipe, *self.overrides, *start]


WORDS = ("train.validate_every=50", "judge.untrained=false")
"""Laid over those that learn single words first, for the strings to begin with."""


RUNS = {
    "digits-rnn": Run("BiLSTM, CTC", "digit_strings"),
    "digits-seq2seq": Run("attention decoder", "digit_strings", ("+experiments=seq2seq",)),
    "words-ctc-chunks": Run(
        "CTC, in chunks, one word", "digits", ("+experiments=streaming_ctc", *WORDS)
    ),
    "digits-ctc-chunks": Run(
        "CTC, in chunks", "digit_strings", ("+experiments=streaming_ctc",), after="words-ctc-chunks"
    ),
    "digits-transducer": Run(
        "transducer, in chunks",
        "digit_strings",
        ("+experiments=transducer",),
        after="digits-ctc-chunks",
    ),
    "words-conformer": Run(
        "Conformer, CTC, one word", "digits", ("+experiments=conformer", *WORDS)
    ),
    "digits-conformer": Run(
        "Conformer, CTC", "digit_strings", ("+experiments=conformer",), after="words-conformer"
    ),
    "words-transformer": Run(
        "Transformer, CTC, one word", "digits", ("+experiments=transformer", *WORDS)
    ),
    "digits-transformer": Run(
        "Transformer, CTC",
        "digit_strings",
        ("+experiments=transformer",),
        after="words-transformer",
    ),
    "words-jasper": Run("Jasper, CTC, one word", "digits", ("+experiments=jasper", *WORDS)),
    "digits-jasper": Run(
        "Jasper, CTC", "digit_strings", ("+experiments=jasper",), after="words-jasper"
    ),
    "words-wav2vec2": Run(
        "wav2vec 2.0, CTC, one word", "digits", ("+experiments=wav2vec2", *WORDS)
    ),
    "digits-gaussians": Run("hidden Markov model, Gaussians", "digit_strings_hmm"),
    "digits-hybrid": Run("hidden Markov model, network", "digits_hybrid"),
    "words-gaussians": Run("hidden Markov model, one word", "digits_hmm"),
    "dutch": Run("Jasper, CTC", "dutch", figure="cer"),
    "dutch-masks": Run("Jasper, CTC, masked", "dutch", ("+experiments=masks",), figure="cer"),
    "dutch-noisy": Run("Jasper, CTC, in noise", "dutch", ("+experiments=noisy",), figure="cer"),
    "dutch-lm": Run("Transformer-XL", "dutch_lm", figure="nats_per_token"),
    "whisper-czech": Run("Whisper base, LoRA", "whisper_czech"),
}


def train(name: str, run: Run, *, again: bool) -> dict[str, Any] | None:
    """What a run's result.json says, and its learning curve; None where it failed."""
    directory = FOLDER / name
    if again:
        shutil.rmtree(directory, ignore_errors=True)
    if not (directory / "result.json").is_file():
        resume = ["--resume"] if directory.is_dir() else []
        print(f"{name}: aural train {' '.join(run.told('RUNS'))}", file=sys.stderr)
        told = ["train", *run.told(FOLDER), "--directory", str(directory), *resume]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        subprocess.run(
            [sys.executable, "-m", "aural", *told],
            env=environment,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        if not (directory / "result.json").is_file():
            return None
    result = json.loads((directory / "result.json").read_text(encoding="utf-8"))
    return {
        "title": run.title,
        "figure": run.figure,
        "command": " ".join(["aural train", *run.told("RUNS")]),
        "curve": curve(directory / "metrics.jsonl", run.figure),
        **{
            key: result[key]
            for key in ("model", "parameters", "trained", "figures", "baselines", "note")
        },
        "data": result["data"],
        "minutes": result["training"]["seconds"] / 60,
        "steps": result["training"]["steps"],
    }


def curve(path: Path, figure: str) -> dict[str, list[list[float]]]:
    """By the name of what was judged on the validation set, the figure or else the loss: (step,
    value) of each judgement."""
    found: dict[str, list[list[float]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        name = figure if record.get(figure) is not None else "loss"
        if record["kind"] == "validation" and record.get(name) is not None:
            found.setdefault(name, []).append([record["step"], record[name]])
    return found


def overfit(name: str, run: Run) -> dict[str, Any]:
    """The network's error on some of what it was trained on, evenly taken: whether it can learn."""
    from aural.text.normalise import NORMALISERS
    from aural.train.compose import compose
    from aural.train.experiment import bench_of
    from aural.train.judging import Judge, text_counts

    recipe, *told = run.told(FOLDER)
    bench = bench_of(compose(recipe, told))
    trained = bench.material.part("train")
    some = trained[:: max(1, len(trained) // LEARNED)][:LEARNED]
    normalise = NORMALISERS[bench.experiment.data.text]
    heard = [normalise(each) for each in bench.hear(FOLDER / name / "model", some)]
    counts = text_counts([normalise(each.text) for each in some], heard)
    judge = Judge(some, bench.experiment.judge)
    return {"utterances": len(some), "figures": judge.figures(counts)}


def reached(row: Mapping[str, Any]) -> bool:
    """Whether the whole interval lies below those of all of BEATEN that there are."""
    own = row["figures"][row["figure"]]
    others = [
        row["baselines"][name]["figures"][row["figure"]] for name in BEATEN & {*row["baselines"]}
    ]
    bounds = [each["low"] if each["low"] is not None else each["value"] for each in others]
    return own["high"] is not None and all(own["high"] < bound for bound in bounds)


def page(result: Mapping[str, Any]) -> str:
    """A row a recipe, then the curves of those that were not reached."""
    from report import table

    rows, curves = [], []
    for name, row in result["rows"].items():
        figure = row["figure"]
        about_data = row["data"]
        held = ", ".join(map(str, about_data["held_out"]["test"][:4]))
        rows.append(
            [
                name,
                row["title"],
                f"{row['parameters']:,}",
                f"{figure.upper()} {shown(row['figures'][figure])}",
                "; ".join(
                    f"{other} {shown(each['figures'][figure])}"
                    for other, each in row["baselines"].items()
                ),
                f"{row['minutes']:.1f}",
                f"{held} ({about_data['test']['utterances']})",
                "yes" if reached(row) else "**not reached**",
            ]
        )
        if not reached(row):
            for what, points in row["curve"].items():
                steps = ", ".join(f"{step:g}: {value:.2f}" for step, value in points)
                curves.append(f"- `{name}`, {what} on the validation set by step: {steps}")
            if check := row.get("overfit"):
                error = shown(check["figures"][figure])
                curves.append(
                    f"- `{name}`, on {check['utterances']} recordings it was trained on: "
                    f"{figure.upper()} {error}"
                )
    notes = sorted({row["note"] for row in result["rows"].values() if row["note"]})
    header = (
        "recipe | network | parameters | error, % | baselines, % | minutes | test set | reached"
    )
    parts = [
        "Each is trained on one thread, from nothing where its command names no `model.start` and "
        "it is not Whisper, and judged on voices it has not heard. "
        "`majority` says the most frequent training text every time, `untrained` is the network "
        "with its first weights, `shuffled` the trained network hearing another recording for each "
        "text; `before` is what it began with, `gaussians` what a hybrid's network learned from. "
        "Reached: the whole interval lies below those of all these.",
        table(header, rows),
        "\n".join(f"`{name}`: `{row['command']}`  " for name, row in result["rows"].items()),
        *(["Not reached:", "\n".join(curves)] if curves else []),
        *notes,
        measured_earlier(result),
    ]
    return "\n\n".join(filter(None, parts))


def shown(figure: Mapping[str, float | None]) -> str:
    """Value and interval in per cent."""
    value, low, high = figure["value"], figure["low"], figure["high"]
    if value is None:
        return "none"
    within = "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
    return f"{100 * value:.1f}{within}"


def points(difference: Mapping[str, float] | None) -> str:
    """A paired difference of rates in points, with its interval."""
    if difference is None:
        return ""
    value, low, high = (100 * difference[key] for key in ("value", "low", "high"))
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


def asked(about: str | None, known: Iterable[str]) -> argparse.Namespace:
    """names, of those that are known (all where none is given), and again."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("names", nargs="*", metavar="NAME", help="; ".join(known))
    parser.add_argument("--again", action="store_true")
    told = parser.parse_args()
    if unknown := set(told.names) - set(known):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {'; '.join(known)}")
    told.names = told.names or [*known]
    return told


def keep(name: str, row: Mapping[str, Any], order: Iterable[str], path: Path) -> None:
    """Write a row into a result whose other rows stay as they were measured."""
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    rows = {**earlier.get("rows", {}), name: row}
    ordered = {each: rows[each] for each in order if each in rows}
    others = [each for each in ordered if each != name]
    write_result({"rows": ordered, "measured": measured([name], others, earlier)}, path)


def main() -> None:
    """Train what is asked for, keep the rest."""
    told = asked(__doc__, RUNS)
    for name in told.names:
        row = train(name, RUNS[name], again=told.again)
        if row is None:
            print(f"{name} failed", file=sys.stderr)
            continue
        if not reached(row) and RUNS[name].figure != "nats_per_token":
            row["overfit"] = overfit(name, RUNS[name])
        keep(name, row, RUNS, RESULT)


if __name__ == "__main__":
    main()
