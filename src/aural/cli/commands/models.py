"""`aural models`: what models there are, and the files of their weights."""

import json as jsonlib
from dataclasses import asdict
from typing import Any

import click

from aural.cli.console import say, write
from aural.errors import HashMismatch, UnknownName


@click.group()
def command() -> None:
    """List models; fetch, find, verify and remove their weights.

    A name is family/variant (whisper/base), or family@DIRECTORY for weights of your own.
    """


def _rows() -> list[dict[str, Any]]:
    """One row a model: name, bytes (None for a shape to be trained), whether it is here, licence,
    what it is."""
    from aural import models
    from aural.store.weights import cached, missing_files, model_directories

    rows = []
    for name in models.names():
        entry = models.find(name)
        weights = entry.weights
        places = [*(root / name for root in model_directories()), cached(name)]
        rows.append(
            {
                "name": name,
                "bytes": weights.size if weights else None,
                "here": weights is not None
                and any(not missing_files(place, weights) for place in places),
                "licence": entry.licence,
                "description": entry.description,
                "extra": entry.extra,
            }
        )
    return rows


@command.command("list")
@click.option("--json", is_flag=True, help="One JSON array instead of a table.")
def list_models(json: bool) -> None:
    """Every model this install has, and which have their weights here.

    A shape has none: it is there to be trained.
    """
    rows = _rows()
    if json:
        write(jsonlib.dumps(rows, ensure_ascii=False, indent=1) + "\n")
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        here = "here" if row["here"] else "-"
        write(f"{row['name']:{width}}  {_size(row['bytes']):>8}  {here:4}  {row['description']}\n")


def _size(count: int | None) -> str:
    if count is None:
        return "a shape"
    return f"{count / 1e6:.0f} MB" if count >= 5e5 else "<1 MB"


@command.command()
@click.argument("name")
@click.option("--json", is_flag=True, help="JSON instead of lines.")
def show(name: str, json: bool) -> None:
    """What a model is: licence, configuration, files with their SHA-256 and sources."""
    from aural import models
    from aural.store.weights import Weights

    entry = models.find(name)
    module = models.family(entry.family)
    weights = entry.weights or Weights(())
    record = {
        "name": entry.name,
        "description": entry.description,
        "licence": entry.licence,
        "extra": entry.extra,
        "config": asdict(entry.config),
        "files": [asdict(file) for file in weights.files],
        "hub": f"{weights.hub_repo}@{weights.hub_revision}".strip("@"),
        "about": (module.__doc__ or "").strip(),
    }
    if json:
        write(jsonlib.dumps(record, ensure_ascii=False, indent=1, default=str) + "\n")
        return
    write(f"{entry.name}: {entry.description}\nlicence: {entry.licence}\n")
    for file in weights.files:
        write(f"  {file.name}  {file.size} bytes  sha256 {file.sha256}\n")
    write(f"\n{record['about']}\n")


@command.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--offline", is_flag=True, help="Open no connection.")
def fetch(names: tuple[str, ...], offline: bool) -> None:
    """Fetch and verify the weights of models, and print where they lie."""
    from aural import models

    entries = [models.find(name) for name in names]
    for entry in entries:
        write(f"{models.locate(entry, offline=offline)}\n")


@command.command()
@click.argument("name")
def path(name: str) -> None:
    """Print the directory of a model's weights; exit 4 when they are not here."""
    from aural import models

    write(f"{models.locate(models.find(name), offline=True)}\n")


@command.command()
@click.argument("names", nargs=-1)
@click.option("--json", is_flag=True, help="JSON instead of lines.")
def verify(names: tuple[str, ...], json: bool) -> None:
    """Hash every file that is here (of the named models, else of all); exit 4 on a mismatch."""
    from aural import models
    from aural.store.weights import verify as verify_weights

    results = []
    for name in names or models.names():
        entry = models.find(name)
        if entry.weights is not None and entry.directory is None:
            results += verify_weights(name, entry.weights)
        elif names:
            pinned = tuple(each for each in models.names() if models.find(each).weights)
            raise UnknownName("pinned model", name, pinned)
    if json:
        rows = [{"path": str(file), "state": state} for file, state in results]
        write(jsonlib.dumps(rows, ensure_ascii=False, indent=1) + "\n")
    else:
        for file, state in results:
            write(f"{state}  {file}\n")
    wrong = [file for file, state in results if state != "ok"]
    if wrong:
        raise HashMismatch(f"{len(wrong)} of {len(results)} files are missing or not as pinned")
    if not results:
        say("no weights are here yet; type: aural models fetch NAME")


@command.command()
@click.argument("names", nargs=-1, required=True)
def remove(names: tuple[str, ...]) -> None:
    """Delete the weights of models from the cache."""
    from aural import models
    from aural.store.weights import remove as remove_weights

    entries = [models.find(name) for name in names]
    for entry in entries:
        there = entry.directory is None and remove_weights(entry.name)
        say(f"{entry.name}: {'removed' if there else 'not in the cache'}")
