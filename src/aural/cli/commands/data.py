"""`aural data`: corpora, pinned and verified; the first of a source, its faults, its shards."""

from __future__ import annotations

import json as jsonlib
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aural.cli import exits
from aural.cli.console import plain, say, write
from aural.cli.inputs import AUDIO_SUFFIXES
from aural.errors import AudioError, AuralError, InputError, UnknownName

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from aural.data.check import Checked
    from aural.data.files import Meter
    from aural.data.pack import Shard
    from aural.data.take import Example
    from aural.data.utterance import Utterance

ANY = "any"
TEXT_WIDTH = 60


@click.group()
def command() -> None:
    """List, fetch and find corpora; take from, check and pack labelled recordings."""


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


@command.command()
@click.argument("count", type=click.IntRange(min=1, max=sys.maxsize))
@click.argument("source")
@click.option("--json", is_flag=True, help="One JSON record a line instead of a table.")
@click.option(
    "--output-dir",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the recordings and a manifest.jsonl of them here: a new or an empty directory.",
)
@click.pass_context
def take(ctx: click.Context, count: int, source: str, json: bool, output_dir: Path | None) -> None:
    """Print the first COUNT examples of SOURCE, which is not read further.

    SOURCE is a manifest (.jsonl, .csv, .tsv, a Kaldi directory, a LibriSpeech tree), tar shards (a
    path, a glob, 'train-{000..119}.tar' or their directory), corpus:NAME, or a folder of
    recordings. What it took is told on stderr. Exit code 1 where a recording can't be read.
    """
    from aural.data.files import metered
    from aural.data.take import apart, stream_source
    from aural.data.take import take as take_examples

    if output_dir is not None:
        apart(source, output_dir)
    before = _on_disk(output_dir)
    start, first = time.perf_counter(), None
    examples: list[Example] = []
    broken: AuralError | None = None
    with metered() as meter:
        stream = stream_source(source, suffixes=AUDIO_SUFFIXES)
        try:
            for example in take_examples(count, stream, output=output_dir):
                first = time.perf_counter() - start if first is None else first
                examples.append(example)
                if json:
                    write(jsonlib.dumps(asdict(example), ensure_ascii=False) + "\n")
        except AuralError as error:
            broken = error
    if first is None:
        raise broken or InputError(f"{source}: no examples in it")
    if not json:
        write(_example_table(examples))
    failed = [each for each in examples if each.error]
    for each in failed:
        say(each.error)
    _tell_cost(source, first, meter, _on_disk(output_dir) - before)
    if broken is not None:
        raise broken
    ctx.exit(exits.SOME_FAILED if failed else 0)


def _on_disk(output: Path | None) -> int:
    """Bytes in the cache and in the output folder."""
    from aural.data.files import bytes_below
    from aural.store.location import cache_root

    return bytes_below(cache_root()) + (bytes_below(output) if output is not None else 0)


def _tell_cost(source: str, first: float, meter: Meter, written: int) -> None:
    """Time to the first example, what was read of how much, and what is new on disk."""
    from aural.data.take import extent

    size = extent(source)
    read = meter.lists + meter.recordings if size.whole else meter.lists
    share = f" ({100 * read / size.size:.3g}%)" if size.size else ""
    beside = "" if size.whole else f" of the list, and {_amount(meter.recordings)} of recordings"
    say(f"first example after {first:.3f} s")
    say(f"read {_amount(read)} of {_amount(size.size)}{share}{beside}")
    say(f"new on disk (cache and output): {_amount(max(0, written))}")


def _amount(size: int) -> str:
    """Bytes, in the unit that suits them."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"


def _example_table(examples: Iterable[Example]) -> str:
    rows: list[tuple[str, ...]] = [
        ("id", "seconds", "Hz", "channels", "language", "speaker", "text")
    ]
    for each in examples:
        seconds = "-" if each.seconds is None else f"{each.seconds:.2f}"
        numbers = (each.sample_rate, each.channels)
        shown = ("-" if number is None else str(number) for number in numbers)
        words = (each.language or "-", each.speaker or "-", each.text or "-")
        rows.append((each.id, seconds, *shown, *words))
    return _table(rows, right={1, 2, 3})


def _table(rows: Iterable[tuple[str, ...]], right: Collection[int] = ()) -> str:
    """Columns two spaces apart, long values cut."""
    cells = [[_cut(plain(value)) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(
            value.rjust(width) if index in right else value.ljust(width)
            for index, (value, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )
    return "".join(f"{line}\n" for line in lines)


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_WIDTH else f"{text[: TEXT_WIDTH - 3]}..."


def _threshold(name: str, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option for a number of CheckOptions, with its default."""
    return click.option(f"--{name.replace('_', '-')}", name, type=float, help=text)


@command.command()
@click.argument("manifests", nargs=-1, required=True, metavar="MANIFEST...")
@click.option("--split", metavar="COLUMN", help="Where a manifest says an utterance's split.")
@click.option(
    "--fail-on",
    multiple=True,
    metavar="KINDS",
    help="Exit 3 where one is found: clipping,silence or any.",
)
@click.option("--ignore", multiple=True, metavar="KINDS", help="Leave these out of the report.")
@click.option("--json", is_flag=True, help="One JSON record instead of tables.")
@_threshold("full_scale", "Sample value that is full scale.  [default: 0.999]")
@_threshold("max_clipped", "Share of samples in a row at full scale.  [default: 0.0005]")
@_threshold("silence_db", "Level under which 20 ms are silent.  [default: -60]")
@_threshold("max_silent", "Share of time that may be silent.  [default: 0.95]")
@_threshold("min_characters", "Of text a second; fewer are too few.  [default: 1]")
@_threshold("max_characters", "Of text a second; more can't be said.  [default: 25]")
@_threshold("max_duration_error", "Seconds a manifest may be wrong.  [default: 0.1]")
@click.option("--max-listed", type=int, help="Findings of one kind to list.  [default: 100]")
@click.pass_context
def check(
    ctx: click.Context,
    manifests: tuple[str, ...],
    split: str | None,
    fail_on: tuple[str, ...],
    ignore: tuple[str, ...],
    json: bool,
    **thresholds: float | int | None,
) -> None:
    """Look for what is wrong with labelled recordings: all of them are decoded.

    MANIFEST is what `aural data take` takes, with texts. Several are the splits of one set, unless
    --split names a column. Ids are compared within a manifest; sounds and speakers in all. Of a
    recording that is given in stretches, each is decoded from the recording's start.

    Exit code 3 where a kind of --fail-on was found, else 1 where a recording can't be read.
    """
    from aural.data.check import KINDS, CheckOptions
    from aural.data.check import check as check_manifests

    failing, ignored = _kinds(fail_on, (*KINDS, ANY)), _kinds(ignore, KINDS)
    given = {name: value for name, value in thresholds.items() if value is not None}
    assert set(thresholds) <= {each.name for each in fields(CheckOptions)}
    options = CheckOptions(**given)  # type: ignore[arg-type]
    progress = _progress()
    checked = check_manifests(manifests, split=split, options=options, progress=progress)
    checked = checked.without(ignored)
    if progress is not None:
        click.echo(f"\r{'':30}\r", nl=False, err=True)
    if json:
        write(jsonlib.dumps(checked.as_json(), ensure_ascii=False, allow_nan=False) + "\n")
    else:
        write(_report(checked))
    found = set(checked.counts)
    if found & failing or (ANY in failing and found):
        ctx.exit(exits.GATE)
    ctx.exit(exits.SOME_FAILED if "unreadable" in found else 0)


def _kinds(given: Iterable[str], known: Iterable[str]) -> set[str]:
    """Names of findings, comma-separated in each value; UnknownName for what is none."""
    names = {name.strip() for value in given for name in value.split(",")}
    for name in sorted(names - set(known)):
        raise UnknownName("kind of finding", name, tuple(known))
    return names


def _report(checked: Checked) -> str:
    """Counts of what there is, then of findings, then the findings themselves."""
    lines = [f"{checked.utterances} utterances, {checked.seconds:.1f} s\n"]
    counted: tuple[tuple[str, Mapping[Any, int]], ...] = (
        ("splits", checked.splits),
        ("sample rates", {f"{rate} Hz": count for rate, count in checked.sample_rates.items()}),
        ("channels", checked.channels),
        ("languages", {code or "(none)": count for code, count in checked.languages.items()}),
    )
    for title, counts in counted:
        shown = ", ".join(f"{plain(str(value))}: {count}" for value, count in counts.items())
        lines.append(f"{title + ':':13} {shown or '-'}\n")
    lines.append(f"{'speakers:':13} {checked.speakers}\n")
    if not checked.counts:
        return "".join([*lines, "no findings\n"])
    found = ((kind, str(count)) for kind, count in checked.counts.items())
    lines.append("\n" + _table([("finding", "count"), *found], right={1}) + "\n")
    lines += [f"{each.kind}: {plain(each.id)}: {plain(each.detail)}\n" for each in checked.findings]
    return "".join(lines)


def _progress() -> Callable[[int], None] | None:
    """A counter that rewrites its line on a terminal."""
    if not sys.stderr.isatty():
        return None

    def show(done: int) -> None:
        if done % 20 == 0:
            click.echo(f"\r{done} utterances\r", nl=False, err=True)

    return show


@command.command()
@click.argument("manifest")
@click.argument("prefix")
@click.option("--max-count", default=10_000, show_default=True, help="Examples a shard.")
@click.option("--max-bytes", default=1 << 30, show_default=True, help="Bytes a shard.")
@click.pass_context
def pack(ctx: click.Context, manifest: str, prefix: str, max_count: int, max_bytes: int) -> None:
    """Write the examples of MANIFEST into tar shards PREFIX-000000.tar and so on.

    Each shard is whole or not there, and printed once it is. Recordings that can't be read are left
    out and told of; the exit code is then 1.
    """
    from aural.data.manifest import stream_manifest
    from aural.data.pack import packed, write_shards
    from aural.data.sound import named

    failed: list[str] = []

    def readable() -> Iterator[Utterance]:
        for utterance in stream_manifest(manifest):
            try:
                yield packed(utterance)
            except AudioError as error:
                failed.append(utterance.id)
                say(named(utterance, error))

    def show(shard: Shard) -> None:
        write(f"{shard.path}  {shard.examples} examples, {_amount(shard.size)}\n")

    shards = write_shards(readable(), prefix, max_count=max_count, max_bytes=max_bytes, made=show)
    if failed:
        say(f"{len(failed)} recordings were left out")
    elif not shards:
        raise InputError(f"{manifest}: no utterances to pack")
    ctx.exit(exits.SOME_FAILED if failed else 0)
