"""What training can be gone on from, as a directory that is there whole or not at all.

    checkpoints/step-00000100/
        weights.safetensors    the network's state as it is judged: the moving average, if there is
                               one, else as trained
        state.safetensors      what the optimiser remembers ("optimizer/..."), and the weights as
                               trained where those judged are others ("trained/...")
        state.json             numbers, and the SHA-256 of all of it

A checkpoint is written beside its place, synchronised to the disk and renamed. Reading checks every
hash; a damaged one is passed over for the one before it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aural.errors import InputError
from aural.nn.exported import apart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from torch import Tensor

_NAME = re.compile(r"step-(\d{8,})")
_TEMPORARY = ".writing-"
_WEIGHTS, _STATE, _NUMBERS = "weights.safetensors", "state.safetensors", "state.json"
_HASHED = (_WEIGHTS, _STATE, "numbers")
_MAX_NUMBERS_BYTES = 1 << 20


class CheckpointWarning(UserWarning):
    """A checkpoint is damaged, and one before it was taken."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a step left behind; numbers are plain JSON."""

    step: int
    weights: Mapping[str, Tensor]
    tensors: Mapping[str, Tensor]
    numbers: Mapping[str, Any]


def save(directory: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint of a directory of them; where it is."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"step-{checkpoint.step:08d}"
    writing = directory / f"{_TEMPORARY}{path.name}"
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir()
    try:
        save_file(apart(checkpoint.weights), writing / _WEIGHTS)
        save_file(apart(checkpoint.tensors), writing / _STATE)
    except SafetensorError as error:  # so it calls a full disk
        raise OSError(f"{writing}: can't be written: {error}") from error
    numbers = {"step": checkpoint.step, **checkpoint.numbers}
    hashes = {name: _hash_of_file(writing / name) for name in (_WEIGHTS, _STATE)}
    hashes["numbers"] = _hash_of_numbers(numbers)
    written = json.dumps({"sha256": hashes, "numbers": numbers}, indent=1, allow_nan=False)
    (writing / _NUMBERS).write_text(written + "\n", encoding="utf-8")
    for name in (_WEIGHTS, _STATE, _NUMBERS, "."):
        _synchronise(writing / name)
    _remove(path)
    writing.rename(path)
    _synchronise(directory)
    return path


def steps(directory: Path) -> list[int]:
    """Steps that a directory has a checkpoint of, rising; not looked into."""
    if not directory.is_dir():
        return []
    return sorted(
        int(found[1]) for each in directory.iterdir() if (found := _NAME.fullmatch(each.name))
    )


def path_of(directory: Path, step: int) -> Path:
    """Where a step's checkpoint is."""
    return directory / f"step-{step:08d}"


def newest(directory: Path) -> int | None:
    """The last step of an undamaged checkpoint; None where there is no checkpoint.

    A CheckpointWarning names a damaged one.

    Raises:
        InputError: all are damaged.
    """
    damage = ""
    for step in reversed(steps(directory)):
        path = path_of(directory, step)
        try:
            read_numbers(path)
            for name, expected in _written(path)["sha256"].items():
                if name != "numbers" and _hash_of_file(path / name) != expected:
                    raise InputError(f"{path / name}: is not what was written")
        except InputError as error:
            damage = str(error)
            warnings.warn(f"{error}; the checkpoint before it is taken", CheckpointWarning, 2)
        else:
            return step
    if damage:
        raise InputError(f"no checkpoint can be used: {damage}; remove {directory} to begin anew")
    return None


def read(path: Path) -> Checkpoint:
    """A checkpoint; InputError where it can't be read."""
    numbers = read_numbers(path)
    return Checkpoint(numbers["step"], read_weights(path), _tensors(path / _STATE), numbers)


def read_weights(path: Path) -> dict[str, Tensor]:
    """A checkpoint's weights as they are judged; InputError where they can't be read."""
    return _tensors(path / _WEIGHTS)


def read_numbers(path: Path) -> dict[str, Any]:
    """A checkpoint's numbers; InputError where they are damaged."""
    written = _written(path)
    if written["sha256"].get("numbers") != _hash_of_numbers(written["numbers"]):
        raise InputError(f"{path / _NUMBERS}: is not what was written")
    numbers: dict[str, Any] = written["numbers"]
    step = numbers.get("step")
    if not isinstance(step, int) or path != path_of(path.parent, step):
        raise InputError(f"{path / _NUMBERS}: is of step {step!r}")
    metrics = numbers.get("metrics", {})
    if not isinstance(metrics, dict) or not all(map(_is_figure, metrics.values())):
        raise InputError(f"{path / _NUMBERS}: its metrics are no numbers by name")
    return numbers


def best(directory: Path, metric: str, *, lowest: bool) -> list[int]:
    """Steps whose checkpoint has that metric, the best first; of equals, the earlier."""
    found = []
    for step in steps(directory):
        try:
            value = read_numbers(path_of(directory, step)).get("metrics", {}).get(metric)
        except InputError:
            continue
        if value is not None and math.isfinite(value):
            found.append((value if lowest else -value, step))
    return [step for _, step in sorted(found)]


def prune(directory: Path, keep: Iterable[int]) -> None:
    """Remove the checkpoints of other steps, and what was never finished."""
    for step in set(steps(directory)) - set(keep):
        _remove(path_of(directory, step))
    for unfinished in directory.glob(f"{_TEMPORARY}*"):
        shutil.rmtree(unfinished, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.exists():
        leaving = path.with_name(f"{_TEMPORARY}old-{path.name}")
        shutil.rmtree(leaving, ignore_errors=True)
        path.rename(leaving)
        shutil.rmtree(leaving, ignore_errors=True)


def _tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: can't be read as safetensors: {error}") from error


def _written(path: Path) -> dict[str, Any]:
    try:
        with (path / _NUMBERS).open(encoding="utf-8") as file:
            written = json.loads(file.read(_MAX_NUMBERS_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path / _NUMBERS}: can't be read: {error}") from error
    known = isinstance(written, dict) and set(written) == {"sha256", "numbers"}
    if not known or not all(isinstance(each, dict) for each in written.values()):
        raise InputError(f"{path / _NUMBERS}: not the file of a checkpoint")
    if set(written["sha256"]) != set(_HASHED):
        raise InputError(f"{path / _NUMBERS}: hashes other files than {', '.join(_HASHED)}")
    return written


def _is_figure(value: Any) -> bool:
    return value is None or isinstance(value, (int, float))


def _hash_of_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from error


def _hash_of_numbers(numbers: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()


def _synchronise(path: Path) -> None:
    """To the disk; a directory can't be opened for it everywhere."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
