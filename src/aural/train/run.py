"""What a run leaves behind: enough to know what was done, and to do it again.

config.json        every option, resolved ("train" are those of the loop, the seed among them)
data.json          what it was trained on, with its fingerprint
environment.json   a list: machine, versions, state of the code and command of each start
metrics.jsonl      an object a line: {"step", "kind": "train" | "validation" | "skipped", ...}
tensorboard/       the same as curves
checkpoints/       checkpoint.py
README.md          the model card, once there is one
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aural.errors import InputError
from aural.models import processors
from aural.train.checkpoint import steps

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGES = ("aural", "accelerate", "numpy", "safetensors", "torch", "transformers", "peft")
SHOWN = 100
"""Characters of a value in a message: it may be a list of thousands."""
MACHINE = "machine"
"""The options of config.json that may change from one start to the next."""


@dataclass(frozen=True)
class Run:
    """A folder, and what is known of the run before it begins; config and data are plain JSON."""

    directory: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.directory / "checkpoints"

    def resolved(self, train: Mapping[str, Any]) -> dict[str, Any]:
        """What config.json holds, the options of the loop being given."""
        return _plain({**self.config, "train": train})

    def check(self, train: Mapping[str, Any]) -> None:
        """That the folder is new, or that of a run with the same options and data.

        Raises:
            InputError: it is another run's; the message names what differs.
        """
        wanted = {"config.json": self.resolved(train), "data.json": _plain(self.data)}
        for name, value in wanted.items():
            if not (self.directory / name).exists():
                continue
            if changes := _differences(_read(self.directory / name), value):
                raise InputError(
                    f"{self.directory} holds a run of other settings, in {name}: "
                    f"{'; '.join(changes[:5])}; set them so, or give another directory"
                )
        if steps(self.checkpoints) and not (self.directory / "config.json").exists():
            raise InputError(
                f"{self.checkpoints} is of a run that nothing is known of: config.json is missing; "
                "give another directory"
            )

    def begin(self, train: Mapping[str, Any], *, step: int, processes: int) -> None:
        """Write what is known at the start, or when the run is gone on with at a step."""
        self.directory.mkdir(parents=True, exist_ok=True)
        _write(self.directory / "config.json", self.resolved(train))
        _write(self.directory / "data.json", _plain(self.data))
        path = self.directory / "environment.json"
        starts = _read(path) if path.exists() else []
        about = {"step": step, "command": self.command or " ".join(sys.argv)}
        _write(path, [*starts, {**about, "processes": processes, **environment()}])


class MetricsLog:
    """metrics.jsonl and the curves of a run gone on with after a step; what was logged beyond it
    is taken out."""

    def __init__(self, directory: Path, *, step: int, tensorboard: bool) -> None:
        self._path = directory / "metrics.jsonl"
        kept = [line for line in read_metrics(directory) if line["step"] <= step]
        _replace(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = self._path.open("a", encoding="utf-8")
        self._curves: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._curves = SummaryWriter(str(directory / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """A line, on its way to the disk when this returns; numbers become points of curves."""
        line = _plain({"step": step, "kind": kind, **values})
        self._file.write(json.dumps(line, allow_nan=False) + "\n")
        self._file.flush()
        if self._curves is not None:
            for name, value in line.items():
                if isinstance(value, (int, float)) and name != "step":
                    self._curves.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Nothing is written afterwards."""
        self._file.close()
        if self._curves is not None:
            self._curves.close()


def read_metrics(directory: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl; one that was broken off ends them."""
    path = directory / "metrics.jsonl"
    lines: list[dict[str, Any]] = []
    if path.exists():
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                break
            if not isinstance(line, dict) or not isinstance(line.get("step"), int):
                break
            lines.append(line)
    return lines


def sound_per_second(directory: Path) -> float | None:
    """Seconds of sound that were trained on in a second of training, as metrics.jsonl has it; None
    where there was none, as of texts."""
    heard = seconds = 0.0
    for line in read_metrics(directory):
        if line["kind"] == "train":
            heard += line["sound_per_second"] * (line["seconds"] - seconds)
            seconds = line["seconds"]
    return heard / seconds if heard else None


@dataclass(frozen=True)
class Card:
    """What a model card says beside what the run knows.

    metrics and baseline are figures on held-out data, by the same names; a metric may lack a
    baseline. licence is that of the weights.
    """

    name: str
    what: str
    data: str
    metrics: Mapping[str, float]
    baseline: Mapping[str, float]
    command: str
    minutes: float
    licence: str

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.baseline) - set(self.metrics)):
            raise InputError(f"baseline has {', '.join(unknown)}, which metrics has not")


def model_card(run: Run, card: Card) -> Path:
    """Write README.md of a run that has begun; where it is."""
    start = _read(run.directory / "environment.json")[-1]
    versions = ", ".join(f"{name} {version}" for name, version in start["packages"].items())
    code = start["git"]
    commit = "not under version control"
    if code:
        commit = code["commit"] + (" with changes" if code["dirty"] else "")
    rows = [
        f"| {name} | {value:.4g} | {_figure(card.baseline.get(name))} |"
        for name, value in card.metrics.items()
    ]
    made = {
        "command": f"`{card.command}`",
        "time": f"{card.minutes:.1f} minutes",
        "machine": f"{start['processor']}, {start['cores']} cores, "
        f"{', '.join(start['gpus']) or 'no GPU'}, processes: {start['processes']}",
        "versions": versions,
        "code": commit,
        "data": f"`{json.dumps(_plain(run.data))}`",
    }
    parts = [
        f"# {card.name}",
        card.what,
        f"## Data\n\n{card.data}",
        "\n".join(["## Metrics\n", "| metric | value | baseline |", "|---|---|---|", *rows]),
        "\n".join(
            ["## How it was made\n", *(f"- {name}: {value}" for name, value in made.items())]
        ),
        f"## Licence\n\n{card.licence}",
    ]
    path = run.directory / "README.md"
    _replace(path, "\n\n".join(parts) + "\n")
    return path


def environment() -> dict[str, Any]:
    """Machine, versions and the state of the code, now."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": platform.processor() or platform.machine(),
        "cores": processors(),
        "gpus": [torch.cuda.get_device_name(number) for number in range(count)],
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "git": git_state(Path(__file__).parent),
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def git_state(directory: Path) -> dict[str, Any] | None:
    """{"commit", "dirty"} of the code in a directory; None where it is under no version control."""
    commit = _git(directory, "rev-parse", "HEAD")
    tracked = _git(directory, "ls-files", "--", ".")
    if not commit or not tracked:
        return None
    return {"commit": commit, "dirty": bool(_git(directory, "status", "--porcelain"))}


def _git(directory: Path, *arguments: str) -> str:
    """What git prints; "" where it fails or is not there."""
    command = ["git", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(  # noqa: S603  (fixed words and a directory of ours)
            command, capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _differences(there: Any, here: Any, name: str = "") -> list[str]:
    """What differs in plain values, but for the machine."""
    if isinstance(there, dict) and isinstance(here, dict):
        names = sorted({*there, *here} - {MACHINE})
        return [
            change
            for key in names
            for change in _differences(there.get(key), here.get(key), f"{name}.{key}".lstrip("."))
        ]
    return [] if there == here else [f"{name} is {_short(there)} there and {_short(here)} here"]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."


def _plain(value: Any) -> Any:
    """JSON: mappings, lists, text, numbers; None for what is not finite."""
    if hasattr(value, "items"):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return str(value) if isinstance(value, os.PathLike) else value


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: can't be read as JSON: {error}") from error


def _write(path: Path, value: Any) -> None:
    _replace(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def _replace(path: Path, text: str) -> None:
    """A reader sees the old file or the new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
