"""aural info: what the header of a recording says."""

import json
from dataclasses import asdict
from typing import Any

import click

from aural.cli.batch import Batch, run_batch
from aural.cli.inputs import Input, gather


@click.command("info")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--json", "records", is_flag=True, help="Print one JSON record a line.")
@click.pass_context
def command(ctx: click.Context, inputs: tuple[str, ...], records: bool) -> None:
    """Show format, coding, rate, channels and length of recordings, without decoding them."""
    from aural.audio.read import probe

    name = "json" if records else "txt"
    batch = Batch(probe, describe, (name,), records=records, headings=False)
    ctx.exit(run_batch(batch, gather(inputs)))


def describe(found: Any, name: str, item: Input) -> str:
    """An AudioInfo as a line of text, or as JSON."""
    if name == "json":
        return json.dumps(asdict(found))
    length = "length unknown" if found.duration is None else f"{found.duration:.2f} s"
    coding = found.format if found.codec == found.format else f"{found.format}, {found.codec}"
    channels = f"{found.channels} channel{'s' if found.channels > 1 else ''}"
    return f"{item.source}: {coding}, {found.sample_rate} Hz, {channels}, {length}\n"
