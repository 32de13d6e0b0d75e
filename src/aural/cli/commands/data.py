"""`aural data`: corpora of recordings, pinned and verified."""

import json as jsonlib
from pathlib import Path

import click

from aural.cli.console import write


@click.group()
def command() -> None:
    """List, fetch and find corpora of recordings."""


@command.command("list")
@click.option("--json", is_flag=True, help="One JSON array instead of a table.")
def list_corpora(json: bool) -> None:
    """Every corpus that can be fetched, its licence, and whether it is here."""
    from aural.store.corpora import CORPORA, corpus_directory

    rows = [
        {
            "name": name,
            "bytes": corpus.size,
            "here": corpus_directory(name).is_dir(),
            "licence": corpus.licence,
            "description": corpus.description,
            "files": [package.file_name for package in corpus.packages],
        }
        for name, corpus in sorted(CORPORA.items())
    ]
    if json:
        write(jsonlib.dumps(rows, ensure_ascii=False, indent=1) + "\n")
        return
    width = max(len(name) for name in CORPORA)
    for name, corpus in sorted(CORPORA.items()):
        here = "here" if corpus_directory(name).is_dir() else "-"
        size = f"{corpus.size / 1e6:.0f} MB"
        write(f"{name:{width}}  {size:>7}  {here:4}  {corpus.description} ({corpus.licence})\n")


@command.command()
@click.argument("names", nargs=-1, required=True)
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take the .deb files from this directory; without it apt-get is asked.",
)
@click.option("--offline", is_flag=True, help="Open no connection.")
def fetch(names: tuple[str, ...], source: Path | None, offline: bool) -> None:
    """Fetch, verify and unpack corpora, and print where they lie."""
    from aural.store.corpora import ensure_corpus, find_corpus

    for name in names:
        find_corpus(name)
    for name in names:
        write(f"{ensure_corpus(name, source=source, offline=offline)}\n")


@command.command("path")
@click.argument("name")
def show_path(name: str) -> None:
    """Print the directory of a fetched corpus; exit 4 when it is not here."""
    from aural.store.corpora import path

    write(f"{path(name)}\n")
