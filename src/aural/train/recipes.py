"""What recipes and overlays this install has; loads neither torch nor Hydra."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

RECIPES = "aural.recipes"
OVERLAYS = "experiments"


@dataclass(frozen=True)
class Recipe:
    """A file of values by name; about is the comment at its head."""

    name: str
    about: str


def recipes() -> list[Recipe]:
    """Whole experiments, by name."""
    return _found(resources.files(RECIPES))


def overlays() -> list[Recipe]:
    """What can be laid over a recipe, by name."""
    return _found(resources.files(RECIPES) / OVERLAYS)


def _found(folder: Traversable) -> list[Recipe]:
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return [
        Recipe(file.name.removesuffix(".yaml"), _head(file.read_text(encoding="utf-8")))
        for file in files
        if file.name.endswith(".yaml")
    ]


def _head(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line.removeprefix("#").strip())
    return "\n".join(lines)
