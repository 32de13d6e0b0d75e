"""A task becomes a command: its options from its signature, then inputs, outputs and formats.

    command = task_command("detect-speech", "aural.tasks.detect_speech", "detect_speech")

Nothing of the task is imported before the command runs.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

import aural.cli
from aural import types
from aural.cli.batch import Batch, run_batch
from aural.cli.config import SHARED, config_path
from aural.cli.inputs import Input, gather
from aural.cli.option import Value, environment, split_flag_values, to_option
from aural.cli.outputs import fingerprint, open_folder
from aural.cli.signature import Kind, Signature, read_signature
from aural.errors import UnknownName
from aural.formats import Layout, formats_for, render

PACKAGE = Path(aural.cli.__file__).parents[1]

LAYOUT_HELP = {
    "max_line_width": "Characters in a line of subtitles, at most.",
    "max_line_count": "Lines in a subtitle, at most (needs words with times).",
    "max_words_per_line": "Words in a line of subtitles, at most (needs words with times).",
    "highlight_words": "Underline each word in srt and vtt while it is spoken.",
}


@dataclass(frozen=True)
class Task:
    """Where a task function is, its signature, and the options a command fixes."""

    module: str
    function: str
    signature: Signature
    fixed: Mapping[str, Any]

    @property
    def result(self) -> type:
        """The type of its result."""
        made: type = getattr(types, self.signature.returns)
        return made

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats that can hold its result."""
        return formats_for(self.result)


class TaskCommand(click.Command):
    """A command made of a task."""

    task: Task

    def invoke(self, ctx: click.Context) -> Any:
        """Run the task over the inputs and leave with the exit code."""
        values = ctx.default_map or {}
        if "offline" in values:  # no option of a task: the weights store asks the environment
            os.environ.setdefault("AURAL_OFFLINE", str(values["offline"]))
        ctx.exit(run_task(self.task, ctx))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, taking Whisper's True and False after a flag, and checking the file's options.

        Without an argument a person is shown the help; a script gets the usage error.
        """
        if not args and sys.stdin.isatty() and sys.stderr.isatty():
            raise click.exceptions.NoArgsIsHelpError(ctx)
        flags = [option for parameter in self.params for option in parameter.opts]
        self.check_file(ctx)
        return super().parse_args(ctx, split_flag_values(args, flags))

    def check_file(self, ctx: click.Context) -> None:
        """Raise UnknownName for an option of the configuration file that the command has not."""
        known = sorted(str(p.name) for p in self.params if isinstance(p, click.Option))
        for name in ctx.default_map or {}:
            if name not in known and name not in SHARED:
                raise UnknownName(f"option of [{self.name}] in {config_path()}", name, known)


def task_command(
    name: str,
    module: str,
    function: str,
    *,
    fixed: Mapping[str, Any] | None = None,
    path: Path | None = None,
    description: str = "",
) -> TaskCommand:
    """The command of that name.

    fixed are options the command decides and does not show; path is the task's source where it is
    not part of aural; description replaces the task's own.
    """
    source = path or PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
    task = Task(module, function, read_signature(source, function), fixed or {})
    shown = [p for p in task.signature.parameters if p.name not in task.fixed]
    command = TaskCommand(
        name,
        params=[
            click.Argument(["inputs"], nargs=-1, metavar="INPUT..."),
            *(to_option(parameter, name) for parameter in shown),
            *own_options(task, name),
        ],
        help=description or task.signature.description,
    )
    command.task = task
    return command


def own_options(task: Task, command: str) -> list[click.Option]:
    """What every task command has: where results go, and how they look."""
    formats = Kind((), (*task.formats, "all"), many=True)
    options = [
        click.Option(
            ["-o", "--output-dir", "output_dir"],
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder for the results, in which the inputs' folders are mirrored.",
        ),
        click.Option(
            ["-f", "--output-format", "output_format"],
            type=Value(formats),
            default="txt",
            show_default=True,
            help="Formats of the results, separated by commas.",
        ),
        click.Option(
            ["--resume"],
            is_flag=True,
            help="Keep results in the folder that are complete and made of the same input with "
            "the same options; make the others anew.",
        ),
        click.Option(["--overwrite"], is_flag=True, help="Make all anew, whatever is there."),
        click.Option(["--json"], is_flag=True, help="Print one JSON record a line for each input."),
    ]
    for option in options:
        option.envvar = environment(str(option.name), command)
    return options + (layout_options(command) if task.result is types.Transcript else [])


def layout_options(command: str) -> list[click.Option]:
    """Whisper's options for subtitles."""
    count = Kind((int,), single=True, optional=True)
    return [
        click.Option(
            [f"--{name.replace('_', '-')}", name],
            **({"is_flag": True} if name == "highlight_words" else {"type": Value(count)}),
            envvar=environment(name, command),
            help=text,
        )
        for name, text in LAYOUT_HELP.items()
    ]


def run_task(task: Task, ctx: click.Context) -> int:
    """Do the work; the exit code."""
    from importlib.metadata import version

    layout = Layout(**{name: ctx.params[name] for name in LAYOUT_HELP if name in ctx.params})
    options = {p.name: ctx.params.get(p.name) for p in task.signature.parameters}
    options |= dict(task.fixed)
    formats = choose_formats(task, ctx, options)
    demand_words(ctx, options, wanted="ctm" in formats or layout.cuts_words)
    items = gather(ctx.params["inputs"])
    check_usage(ctx, formats, len(items))
    function = getattr(import_module(task.module), task.function)

    def draw(result: object, name: str, item: Input) -> str:
        return render(result, name, replace(layout, recording=item.output.as_posix()))

    batch = Batch(
        partial(function, **options),
        draw,
        formats,
        records=ctx.params["json"],
        by_segment=task.result is types.Transcript,
    )
    if ctx.params["output_dir"] is None:
        return run_batch(batch, items)
    mark = fingerprint([ctx.info_name, options, formats, asdict(layout), version("aural")])
    with open_folder(ctx.params["output_dir"], mark) as folder:
        folder.refuse_inputs(items, batch.suffixes)
        if not (ctx.params["resume"] or ctx.params["overwrite"]):
            folder.refuse_existing(items, batch.suffixes)
        if ctx.params["resume"]:
            folder.refuse_others(items)
        return run_batch(replace(batch, folder=folder, resume=ctx.params["resume"]), items)


def choose_formats(task: Task, ctx: click.Context, options: Mapping[str, Any]) -> tuple[str, ...]:
    """The formats asked for; records on stdout hold the json one.

    "all" leaves out what the result would lack: the speakers of rttm, and the words of ctm where
    they are not asked for.
    """
    if ctx.params["json"] and ctx.params["output_dir"] is None:
        return ("json",)
    chosen: tuple[str, ...] = tuple(dict.fromkeys(ctx.params["output_format"]))
    if "all" not in chosen:
        return chosen
    lacking = set()
    if task.result is types.Transcript:
        lacking = {"rttm"} if options.get("word_timestamps", True) else {"rttm", "ctm"}
    return tuple(name for name in task.formats if name not in lacking)


def demand_words(ctx: click.Context, options: dict[str, Any], *, wanted: bool) -> None:
    """Turn on word timestamps where the output needs them and nobody turned them off.

    A task without that option always gives the times of words.
    """
    if not wanted or options.get("word_timestamps", True):
        return
    if ctx.get_parameter_source("word_timestamps") is not ParameterSource.DEFAULT:
        raise click.UsageError("this output needs --word-timestamps", ctx)
    options["word_timestamps"] = True


def check_usage(ctx: click.Context, formats: Sequence[str], count: int) -> None:
    """Raise UsageError for options that do not go together."""
    if not count:
        raise click.UsageError("give a file, a folder, a glob, or - for stdin", ctx)
    if ctx.params["resume"] and ctx.params["overwrite"]:
        raise click.UsageError("--resume keeps what --overwrite replaces; give one", ctx)
    if ctx.params["output_dir"] is not None:
        return
    asked = ctx.get_parameter_source("output_format") is ParameterSource.COMMANDLINE
    if ctx.params["json"] and asked:
        message = "--json prints json records; --output-format needs --output-dir with it"
        raise click.UsageError(message, ctx)
    for name in ("resume", "overwrite"):
        if ctx.params[name]:
            raise click.UsageError(f"--{name} is about files; give --output-dir", ctx)
    if len(formats) > 1:
        raise click.UsageError("stdout takes one format; give --output-dir for several", ctx)
    if count > 1 and formats[0] != "txt" and not ctx.params["json"]:
        raise click.UsageError(f"{count} inputs need --output-dir for {formats[0]}", ctx)
