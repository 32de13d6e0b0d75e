"""Checkpoints as the Hub has them: fetched by name, and looked at before anything opens them.

Nothing is pinned here: these are the user's own choice. What carries code (Python files, pickles,
`auto_map` in config.json) is neither fetched nor run.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from aural.errors import InputError, Unreachable
from aural.store.child import Expectation, run_watched
from aural.store.location import cache_root, is_offline, only_one, say
from aural.store.objects import read_object

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

KEPT = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")
MAX_CONFIG_BYTES = 1 << 20
MAX_TEXT_BYTES = 128 << 20
"""Of a tokenizer or any other file that is no weights."""
TEXTS = (".json", ".txt", ".model", ".jinja")
INDEX = "model.safetensors.index.json"
MAX_BYTES = 1 << 40
_WHOLE = ".whole"


def check_checkpoint(directory: Path) -> dict[str, Any]:
    """What config.json says, of a directory whose weights are safetensors.

    Raises:
        InputError: there is no config.json, it is not JSON, the weights are pickles only, an index
            names as weights what is none, or a file of text is too large.
    """
    path = directory / "config.json"
    if not path.is_file():
        raise InputError(f"{directory} is no checkpoint: it has no {path.name}")
    config = read_object(path, MAX_CONFIG_BYTES)
    for path in directory.iterdir():
        if path.suffix in TEXTS and path.is_file() and path.stat().st_size > MAX_TEXT_BYTES:
            raise InputError(f"{path}: more than {MAX_TEXT_BYTES} bytes")
    if not any(directory.glob("*.safetensors")):
        pickled = sorted(each.name for each in directory.iterdir() if each.suffix in PICKLES)
        found = f"{pickled[0]} may be a pickle, which aural never opens" if pickled else "none"
        raise InputError(
            f"{directory} has no weights in safetensors ({found}); save them again with "
            "save_pretrained(..., safe_serialization=True)"
        )
    if (directory / INDEX).is_file():
        _check_index(directory)
    return config


def weight_shapes(paths: Iterable[Path]) -> dict[str, tuple[int, ...]]:
    """Names and shapes that the headers of files in safetensors tell, no weight being read;
    InputError for a file that is none."""
    from safetensors import SafetensorError, safe_open

    shapes: dict[str, tuple[int, ...]] = {}
    for path in paths:
        try:
            with safe_open(path, "numpy") as file:
                shapes |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: can't be read as safetensors: {error}") from error
    return shapes


def _check_index(directory: Path) -> None:
    """An index may send a reader anywhere, and to a pickle under another name."""
    named = read_object(directory / INDEX, MAX_TEXT_BYTES).get("weight_map")
    if not isinstance(named, dict):
        raise InputError(f"{directory / INDEX}: has no weight_map")
    for name in set(map(str, named.values())):
        if "/" in name or "\\" in name or not name.endswith(".safetensors"):
            raise InputError(
                f"{directory / INDEX} names {name!r} as weights; they are *.safetensors beside it"
            )


def fetch_checkpoint(name: str, *, offline: bool = False) -> Path:
    """The directory of the Hub's owner/name, fetched into the cache once, at its newest revision.

    Raises:
        Unreachable: the Hub does not answer, or offline and it is not in the cache.
    """
    directory = cache_root() / "checkpoints" / name.replace("/", "--")
    with only_one(directory):
        if (directory / _WHOLE).is_file():
            return directory
        if is_offline(offline):
            raise Unreachable(
                f"{name} is not in the cache ({directory}) and this is offline; put its files "
                "there or name their directory"
            )
        say(f"{name}: fetching from the Hub, not pinned; its licence is on its page there")
        directory.mkdir(parents=True, exist_ok=True)
        request = {"repo": name, "patterns": KEPT, "folder": str(directory)}
        run_watched(
            [sys.executable, "-P", "-m", "aural.store.hub", json.dumps(request)],
            directory,
            Expectation(
                source=f"Hub repository {name}",
                what=name,
                signs=("connecting", "fetched"),
                expected=0,
                limit=MAX_BYTES,
            ),
            environment={"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        )
        (directory / _WHOLE).touch()
    return directory
