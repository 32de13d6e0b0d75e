"""One part of a model varied, all else alike: the same data, budget and seed for each choice.

Each choice is a run of `aural train` in a process of its own, so that its memory is its own, and a
choice that fails leaves the others. What is compared is what result.json and heard.jsonl hold of
the same test utterances: paired differences from the first choice, and from the same network
hearing another's sound.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aural.errors import AuralError, InputError, UnknownName
from aural.evaluate.render import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from aural.evaluate.forgetting import FormerJob
    from aural.train.judging import Judge

PARTS = {
    "encoder": "model.config.encoder",
    "projector": "model.config.projector",
    "decoder": "model.config.language_model",
    "adaptation": "model.config.train_encoder",
}
"""What can be varied: the option of the recipe that says it."""
FOLDER = "{folder}"
"""In an override: the name of the folder of each value's run."""
KIND = "aural.compare"
FIGURE = "wer"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Choice:
    """One value of what is varied, and what came of it.

    result: what result.json says, {} where the run failed, of which error is the last line. heard:
    the texts of the test set by id. curve: (step, figure) of the judgements on the way. seconds
    and peak_memory (bytes) of the process of its last start. former: what its encoder still does
    of its former job (FormerJob.measure), {} where that was not asked.
    """

    value: str
    result: Mapping[str, Any]
    heard: Mapping[str, tuple[str, str]]
    curve: tuple[tuple[int, float], ...]
    seconds: float
    peak_memory: int
    error: str = ""
    former: Mapping[str, Any] = field(default_factory=dict)

    @property
    def training(self) -> Mapping[str, Any]:
        """What the loop says of the run."""
        return self.result.get("training", {})


@dataclass(frozen=True)
class Varied:
    """The choices in their order, the first being what the others are set against.

    figure: what they are judged by; differences: each less the first, by value, with "value",
    "low", "high" and "p" (None: too little to resample, or one of them failed).
    """

    recipe: str
    part: str
    overrides: tuple[str, ...]
    figure: str
    choices: tuple[Choice, ...]
    differences: Mapping[str, Mapping[str, float] | None] = field(default_factory=dict)
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": KIND,
            "recipe": self.recipe,
            "part": self.part,
            "overrides": list(self.overrides),
            "figure": self.figure,
            "note": self.note,
            "choices": [
                {
                    "value": each.value,
                    "error": each.error,
                    "seconds": each.seconds,
                    "peak_memory": each.peak_memory,
                    "difference": self.differences.get(each.value),
                    "former": dict(each.former),
                    "curve": [list(point) for point in each.curve],
                    "result": dict(each.result),
                }
                for each in self.choices
            ],
        }


def vary(
    recipe: str,
    part: str,
    values: Sequence[str],
    overrides: Sequence[str],
    directory: Path,
    *,
    resume: bool = False,
    former: str = "",
    say: Callable[[str], None] = lambda _: None,
) -> Varied:
    """Train and judge a recipe once for each value of a part, one after the other.

    Runs stand in directory/FOLDER, named after the value; {folder} in an override is that name, so
    that a comparison can begin with what another left. resume: those that are finished are only
    read, those that were broken off go on. former: a manifest that the encoder's former job is
    measured on, after what it was trained to; where adaptation is varied, "" is the test set, else
    not at all.

    Raises:
        UnknownName: another part.
        InputError: fewer than two values, one twice, an override of what is varied, a recipe that
            has no such part, or a directory that is not empty without resume.
    """
    from aural.data.manifest import read_manifest
    from aural.evaluate.forgetting import FormerJob
    from aural.train.compose import compose
    from aural.train.judging import Judge
    from aural.train.material import gather

    if part not in PARTS:
        raise UnknownName("part to vary", part, tuple(PARTS))
    _check(values, overrides, PARTS[part])
    if directory.is_dir() and any(directory.iterdir()) and not resume:
        raise InputError(f"{directory} is not empty; go on with --resume, or give a new directory")
    plans = _plans(recipe, part, values, overrides, directory)
    experiment = compose(recipe, plans[0].settings)
    test = gather(experiment.data, experiment.train.seed).part("test")
    job = None
    if former or part == "adaptation":
        heard = read_manifest(former) if former else test
        job = FormerJob(heard, experiment.data.text, experiment.judge)
    choices = []
    for plan in plans:
        say(f"{part} {plan.value}")
        choice = _run(plan, say, resume=resume)
        if job and not choice.error:
            say("  what the encoder still does of its former job")
            choice = replace(choice, former=_former(plan, job, former, experiment.model.family))
        choices.append(choice)
    judge = Judge(test, experiment.judge)
    return Varied(
        recipe=recipe,
        part=part,
        overrides=tuple(overrides),
        figure=FIGURE,
        choices=tuple(choices),
        differences=_differences(choices, [each.id for each in test], FIGURE, judge),
        note=judge.clusters.note,
    )


def _plans(
    recipe: str, part: str, values: Sequence[str], overrides: Sequence[str], directory: Path
) -> list[_Plan]:
    plans = []
    for value, folder in zip(values, _folders(values), strict=True):
        own = [override.replace(FOLDER, folder) for override in overrides]
        settings = (*own, f"{PARTS[part]}='{value}'")
        plans.append(_Plan(recipe, value, settings, directory / folder))
    return plans


def _check(values: Sequence[str], overrides: Sequence[str], key: str) -> None:
    if len(values) < 2 or len(set(values)) < len(values):
        raise InputError(f"{', '.join(values) or 'nothing'}: give two or more, each once")
    if odd := [value for value in values if not value or "'" in value or "${" in value]:
        raise InputError(f"{odd[0]!r} is no value to vary a part by")
    if any(override.startswith(f"{key}=") for override in overrides):
        raise InputError(f"{key} is what is varied; leave it out of the other options")


def _folders(values: Sequence[str]) -> list[str]:
    """A name a value, all different whatever a file system takes for the same."""
    names: list[str] = []
    for value in values:
        name = re.sub(r"[^\w.-]+", "-", value).strip("-.")[-100:] or "value"
        while name.lower() in map(str.lower, names):
            name += "_"
        names.append(name)
    return names


@dataclass(frozen=True)
class _Plan:
    """A run that is to be."""

    recipe: str
    value: str
    settings: tuple[str, ...]
    directory: Path


def _run(plan: _Plan, say: Callable[[str], None], *, resume: bool) -> Choice:
    directory = plan.directory
    measured = directory / "process.json"
    if not measured.is_file():
        again = resume and directory.is_dir()
        told = ["--directory", str(directory), *(["--resume"] if again else [])]
        error, seconds, peak = _child(["train", plan.recipe, *plan.settings, *told], say)
        if error:
            return Choice(plan.value, {}, {}, (), seconds, peak, error)
        _keep(measured, {"seconds": seconds, "peak_memory": peak})
    elif other := _other_settings(plan):
        return Choice(plan.value, {}, {}, (), 0.0, 0, other)
    record = json.loads(measured.read_text(encoding="utf-8"))
    return Choice(
        value=plan.value,
        result=json.loads((directory / "result.json").read_text(encoding="utf-8")),
        heard=_heard(directory / "heard.jsonl"),
        curve=_curve(directory),
        seconds=float(record["seconds"]),
        peak_memory=int(record["peak_memory"]),
    )


def _other_settings(plan: _Plan) -> str:
    """What is wrong with a finished run that is to be read; "" where it is the one meant."""
    from aural.train.compose import compose

    wanted = compose(plan.recipe, plan.settings).as_values()
    there = json.loads((plan.directory / "config.json").read_text(encoding="utf-8"))
    for each in (wanted, there):
        each["train"].pop("machine", None)
    if there == wanted:
        return ""
    return f"{plan.directory} holds a run of other settings; give another directory"


def _former(plan: _Plan, job: FormerJob, manifest: str, family: str) -> dict[str, Any]:
    """What is measured of the former job, kept beside the run."""
    path = plan.directory / "former.json"
    if path.is_file():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if kept["manifest"] == manifest:
            return kept
    found = {"manifest": manifest, **job.measure(plan.directory / "model", family)}
    _keep(path, found)
    return found


def _keep(path: Path, record: Mapping[str, Any]) -> None:
    """Written whole or not at all: that it is there means that it is done."""
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(record) + "\n", encoding="utf-8")
    beside.replace(path)


def _child(arguments: Sequence[str], say: Callable[[str], None]) -> tuple[str, float, int]:
    """Run aural with these; its last words where it failed, its seconds and its largest memory."""
    began = time.perf_counter()
    with subprocess.Popen(  # noqa: S603  (our own program and values that were checked)
        [sys.executable, "-m", "aural", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stderr is not None
        last = ""
        try:
            for line in process.stderr:
                last = line.strip().removeprefix("aural: ") or last
                say(f"  {last}")
        except BaseException:
            process.terminate()
            raise
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    failed = last if process.returncode else ""
    if process.returncode and not failed:
        failed = f"ended with code {process.returncode}"
    peak = usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024
    return failed, time.perf_counter() - began, peak


def _heard(path: Path) -> dict[str, tuple[str, str]]:
    """Reference and text by id."""
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {each["id"]: (each["text"], each["heard"]) for each in lines}


def _curve(directory: Path) -> tuple[tuple[int, float], ...]:
    """The loss on the validation set by step."""
    from aural.train.run import read_metrics

    return tuple(
        (int(line["step"]), float(line["loss"]))
        for line in read_metrics(directory)
        if line["kind"] == "validation" and line.get("loss") is not None
    )


def _differences(
    choices: Sequence[Choice], ids: Sequence[str], figure: str, judge: Judge
) -> dict[str, Mapping[str, float] | None]:
    from aural.train.judging import text_counts

    counts = {
        each.value: text_counts(*zip(*(each.heard[name] for name in ids), strict=True))
        for each in choices
        if each.heard
    }
    first = counts.get(choices[0].value)
    if first is None:
        return {}
    return {
        value: judge.differences(own, first)[figure]
        for value, own in counts.items()
        if value != choices[0].value
    }


def varied_table(varied: Varied) -> Table:
    """A row a choice: error with its interval, less the first's, less what it makes of another's
    sound, what was trained, time and memory."""
    header = (
        varied.part, varied.figure.upper(), "less the first", "less shuffled sound", "former WER",
        "less before", "states moved", "trained", "minutes", "memory", "sound a second",
    )  # fmt: skip
    rows = tuple(_row(varied, each) for each in varied.choices)
    lines = [
        *(f"{each.value} failed: {each.error}" for each in varied.choices if each.error),
        f"recipe {varied.recipe}{''.join(f' {each}' for each in varied.overrides)}; the same data, "
        "steps and seed for each; differences in points, paired, 95 %",
        *([varied.note] if varied.note else []),
        *_about_former(varied),
    ]
    return Table(f"By {varied.part}", header, rows, tuple(lines))


def _about_former(varied: Varied) -> list[str]:
    told = {
        f"former WER is that of {each.former['encoder']} with the trained encoder in its own's "
        f"place, {_rate(each.former['before'])} before"
        for each in varied.choices
        if each.former.get("before")
    }
    if any("moved" in each.former for each in varied.choices):
        told.add("states moved: the mean of |trained - former| / |former| over recordings")
    manifests = {
        each.former["manifest"] or "the test set" for each in varied.choices if each.former
    }
    return [*sorted(told), *(f"both measured on {name}" for name in sorted(manifests) if told)]


def _row(varied: Varied, choice: Choice) -> tuple[str, ...]:
    if choice.error:
        return (choice.value, "failed", *[""] * 9)
    result, training, former = choice.result, choice.training, choice.former
    shuffled = result["baselines"].get("shuffled", {}).get("difference") or {}
    moved, pace = former.get("moved"), training.get("sound_per_second")
    return (
        choice.value,
        _rate(result["figures"][varied.figure]),
        _points(varied.differences.get(choice.value)),
        _points(shuffled.get(varied.figure)),
        _rate(former["after"]) if former.get("after") else "",
        _points(former.get("difference")),
        "" if moved is None else f"{moved:.3f}",
        f"{result['trained']:,}",
        f"{training['seconds'] / 60:.1f}",
        f"{choice.peak_memory / 2**20:.0f} MiB",
        f"{pace:.1f}" if pace else "",
    )


def _rate(figure: Mapping[str, Any]) -> str:
    return f"{100 * figure['value']:.2f} %" + _within(figure)


def _within(figure: Mapping[str, Any]) -> str:
    if figure["low"] is None:
        return ""
    return f" ({100 * figure['low']:.2f} to {100 * figure['high']:.2f})"


def _points(difference: Mapping[str, float] | None) -> str:
    if difference is None:
        return ""
    low, high = 100 * difference["low"], 100 * difference["high"]
    return f"{100 * difference['value']:+.2f} ({low:+.2f} to {high:+.2f})"


def save_curves(varied: Varied, path: Path) -> None:
    """Draw the validation loss of every choice against steps: FILE.png or FILE.svg.

    Raises:
        InputError: no choice was judged on the way.
    """
    from aural.plot.canvas import save
    from aural.plot.curves import Curve, learning_curves

    curves = [
        Curve(each.value, *zip(*each.curve, strict=True)) for each in varied.choices if each.curve
    ]
    if not curves:
        raise InputError("no choice was judged on the way; give train.validate_every")
    save(learning_curves(curves, y_label="validation loss"), path)


def check_failures(varied: Varied) -> None:
    """AuralError where every choice failed."""
    if all(each.error for each in varied.choices):
        raise AuralError(f"no choice could be trained; the first said: {varied.choices[0].error}")
