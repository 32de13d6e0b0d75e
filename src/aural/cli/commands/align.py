"""aural align: when each word and phone of a known text is said."""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from aural.cli.option import to_option
from aural.cli.outputs import write_whole
from aural.cli.signature import read_signature
from aural.cli.task_command import PACKAGE
from aural.errors import InputError
from aural.formats import Layout

FORMATS = ("txt", "textgrid", "ctm", "ctm-phones", "json")
"""As the task has them, which is not imported before the command runs."""
SUFFIXES = {".txt": "txt", ".textgrid": "textgrid", ".ctm": "ctm", ".json": "json"}
MAX_TEXT_BYTES = 1 << 20
SIGNATURE = read_signature(PACKAGE / "tasks" / "align.py", "align")


class AlignCommand(click.Command):
    """A command of one recording and its text."""

    def invoke(self, ctx: click.Context) -> Any:
        """Align, and write the result to stdout or the output."""
        if "offline" in (ctx.default_map or {}):
            os.environ.setdefault("AURAL_OFFLINE", str((ctx.default_map or {})["offline"]))
        output, source = ctx.params["output"], ctx.params["audio"]
        name = chosen_format(ctx)
        if output and os.path.lexists(output) and not ctx.params["overwrite"]:
            raise InputError(f"{output} exists; give --overwrite, or another name")
        text = read_text(ctx.params["text"])
        task = import_module("aural.tasks.align")
        options = {each.name: ctx.params[each.name] for each in SIGNATURE.parameters}
        recording = "stdin" if source == "-" else Path(source).stem
        written = task.writer(name)(task.align(source, text, **options), Layout(recording))
        if output:
            write_whole(output, written.encode())
        else:
            click.echo(written, nl=False)


def chosen_format(ctx: click.Context) -> str:
    """That of the output's suffix, unless another is asked for."""
    asked: str | None = ctx.params["output_format"]
    output: Path | None = ctx.params["output"]
    if asked or output is None:
        return asked or "txt"
    if output.suffix.lower() not in SUFFIXES:
        raise click.UsageError(f"--output ends in one of {', '.join(SUFFIXES)}, or give -f", ctx)
    return SUFFIXES[output.suffix.lower()]


def read_text(text: str) -> str:
    """The content of a file of that name; what was given where there is none."""
    path = Path(text)
    if not is_file(path):
        if path.suffix == ".txt" and len(text.split()) == 1:
            raise InputError(f"there is no file {text!r}; give a file, or the text itself")
        return text
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise InputError(f"{path}: more than {MAX_TEXT_BYTES} bytes of text")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8; give a text") from error


def is_file(path: Path) -> bool:
    """Whether there is one; a text that is too long for a path, or holds a zero, names none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


command = AlignCommand(
    "align",
    params=[
        click.Argument(["audio"], metavar="AUDIO"),
        click.Argument(["text"], metavar="TEXT"),
        *(to_option(parameter, "align") for parameter in SIGNATURE.parameters),
        click.Option(
            ["--output"],
            type=click.Path(dir_okay=False, path_type=Path),
            help="File for the result: NAME.txt, .TextGrid, .ctm or .json.",
        ),
        click.Option(
            ["-f", "--output-format", "output_format"],
            type=click.Choice(FORMATS),
            help="Format of the result; txt if neither this nor --output tells.",
        ),
        click.Option(["--overwrite"], is_flag=True, help="Replace the output where it exists."),
    ],
    help=f"{SIGNATURE.description}\n\nTEXT is a file of it, or the words themselves.",
)
