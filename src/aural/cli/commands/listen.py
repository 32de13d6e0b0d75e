"""aural listen: what is said, while it is said."""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

import aural.cli
from aural.cli.console import say, write
from aural.cli.option import to_option
from aural.cli.signature import read_signature

_SIGNATURE = read_signature(Path(aural.cli.__file__).parents[1] / "tasks" / "listen.py", "listen")
_PARAMS: list[click.Parameter] = [
    click.Argument(["source"], metavar="SOURCE"),
    *(to_option(parameter, "listen") for parameter in _SIGNATURE.parameters),
    click.Option(["--json", "records"], is_flag=True, help="Print one JSON record an event."),
    click.Option(
        ["--latency"], is_flag=True, help="At the end tell how late words came, on stderr."
    ),
]


@click.pass_context
def run(ctx: click.Context, **values: Any) -> None:
    """Listen, and print what comes."""
    source, records, latency = (values.pop(name) for name in ("source", "records", "latency"))
    task = import_module("aural.tasks.listen")
    listening = task.listen(source, **values)
    show = _Records() if records else _Lines()
    try:
        for event in listening:
            show.event(event)
    except KeyboardInterrupt:
        live = source == "-" or str(source).startswith("mic")
        for event in listening.finish() if live else ():
            show.event(event)
        show.end()
        if not str(source).startswith("mic"):
            raise
    if latency:
        from aural.evaluate.latency import latency_of

        say(latency_of([listening]).line())


command = click.Command(
    "listen",
    callback=run,
    params=_PARAMS,
    help=_SIGNATURE.description
    + "\n\nSOURCE is a recording, - for raw 16-bit samples on standard input, or mic.",
)


class _Records:
    """One line of JSON an event."""

    def event(self, event: Any) -> None:
        words = [
            {"word": each.text, "start": round(each.start, 3), "end": round(each.end, 3)}
            for each in event.words
        ]
        record = {
            "event": event.kind,
            "time": round(event.time, 3),
            "clock": round(event.clock, 3),
            "text": event.text,
            "words": words,
        }
        write(json.dumps(record, ensure_ascii=False) + "\n")

    def end(self) -> None:
        """Nothing is pending."""


class _Lines:
    """Final words on stdout, a line an utterance; on a terminal what may change stands behind."""

    def __init__(self) -> None:
        self._begun = self._shown = False
        self._terminal = sys.stdout.isatty()

    def event(self, event: Any) -> None:
        if self._shown:
            write("\x1b[u\x1b[J")  # back to where the final words end
            self._shown = False
        if event.kind == "final":
            write((" " if self._begun else "") + event.text)
            self._begun = True
        elif event.kind == "partial" and self._terminal and event.words:
            write("\x1b[s" + (" " if self._begun else "") + event.text)
            self._shown = True
        elif event.kind == "end":
            self.end()

    def end(self) -> None:
        """Close the line that is open."""
        if self._begun:
            write("\n")
        self._begun = False
