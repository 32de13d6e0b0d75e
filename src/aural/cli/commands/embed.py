"""aural embed: an encoder's vectors for each moment of a recording, as arrays in files."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from aural.cli.batch import Batch, run_batch
from aural.cli.inputs import STDIN, Input, gather
from aural.cli.option import Value, environment, to_option
from aural.cli.outputs import Folder, fingerprint, open_folder, stamp, write_whole
from aural.cli.signature import Kind, read_signature
from aural.cli.task_command import PACKAGE, Task, TaskCommand, own_options
from aural.errors import InputError
from aural.formats.structured import number
from aural.types import Embedding

if TYPE_CHECKING:
    import numpy as np

FORMATS = ("npy", "safetensors")
"""As the task has them, which is not imported before the command runs."""


class EmbedCommand(TaskCommand):
    """A command whose results are arrays: they go to files, and stdout says what they are."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the task over the inputs and leave with the exit code."""
        values = ctx.default_map or {}
        if "offline" in values:  # no option of a task: the weights store asks the environment
            os.environ.setdefault("AURAL_OFFLINE", str(values["offline"]))
        ctx.exit(run(self.task, ctx))


@dataclass(frozen=True)
class Taken:
    """An embedding, and its input's stamp from before it was read."""

    embedding: Embedding
    before: tuple[int, int]

    @property
    def duration(self) -> float:
        """Seconds of the recording."""
        return self.embedding.duration


@dataclass(frozen=True)
class Delivery:
    """Makes the embedding of an input, puts it where it belongs and says what it is.

    writers are by suffix; output is the one file that is wanted, folder where each input has its
    own.
    """

    embed: Callable[[str], Embedding]
    writers: Mapping[str, Callable[[Embedding], bytes]]
    output: Path | None = None
    folder: Folder | None = None

    def take(self, source: str) -> Taken:
        """The task of a Batch."""
        before = (0, 0) if source == STDIN else stamp(source)
        return Taken(self.embed(source), before)

    def tell(self, taken: Taken, name: str, item: Input) -> str:
        """What stdout gets in the format of that name once the files are there: nothing as text
        where there is a folder, as for every task."""
        paths = self.write(taken, item)
        if name == "json":
            return json.dumps(record(taken.embedding) | ({"outputs": paths} if paths else {}))
        return "" if self.folder else describe(taken.embedding, paths)

    def write(self, taken: Taken, item: Input) -> list[str]:
        """The paths of the files written."""
        files = {suffix: make(taken.embedding) for suffix, make in self.writers.items()}
        if self.folder:
            return self.folder.put(item, taken.before, files)
        if self.output is None:
            return []
        try:
            write_whole(self.output, files[self.output.suffix])
        except OSError as error:
            raise InputError(f"can't write {self.output}: {error.strerror}") from error
        return [str(self.output)]


def run(task: Task, ctx: click.Context) -> int:
    """Do the work; the exit code."""
    from importlib.metadata import version

    items = gather(ctx.params["inputs"])
    check_usage(ctx, len(items))
    options = {p.name: ctx.params[p.name] for p in task.signature.parameters}
    module = import_module(task.module)
    formats = choose_formats(ctx)
    writers = {f".{name}": module.writer(name) for name in formats}
    made = Delivery(partial(module.embed, **options), writers, ctx.params["output"])
    if ctx.params["output_dir"] is None:
        if made.output:
            refuse_output(made.output, items, overwrite=ctx.params["overwrite"])
        return deliver(made, items, records=ctx.params["json"])
    mark = fingerprint([ctx.info_name, options, formats, version("aural")])
    with open_folder(ctx.params["output_dir"], mark) as folder:
        folder.refuse_inputs(items, tuple(writers))
        if ctx.params["resume"]:
            folder.refuse_others(items)
            items = [item for item in items if not folder.is_done(item, tuple(writers))]
        elif not ctx.params["overwrite"]:
            folder.refuse_existing(items, tuple(writers))
        made = Delivery(made.embed, writers, folder=folder)
        return deliver(made, items, records=ctx.params["json"])


def deliver(made: Delivery, items: list[Input], *, records: bool) -> int:
    """Work through the inputs; the exit code."""
    formats = ("json",) if records else ("txt",)
    headings = made.folder is None
    return run_batch(
        Batch(made.take, made.tell, formats, records=records, headings=headings), items
    )


def choose_formats(ctx: click.Context) -> tuple[str, ...]:
    """The formats of the files asked for; none where none is."""
    if ctx.params["output"]:
        return (ctx.params["output"].suffix[1:],)
    if ctx.params["output_dir"] is None:
        return ()
    chosen = tuple(dict.fromkeys(ctx.params["output_format"]))
    return FORMATS if "all" in chosen else chosen


def check_usage(ctx: click.Context, count: int) -> None:
    """Raise UsageError for options that do not go together."""
    output, folder = ctx.params["output"], ctx.params["output_dir"]
    given = {
        name: ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        for name in ("output_format", "resume", "overwrite")
    }
    for wrong, message in (
        (not count, "give a file, a folder, a glob, or - for stdin"),
        (ctx.params["resume"] and ctx.params["overwrite"], "give one of --resume and --overwrite"),
        (output and folder, "give one of --output and --output-dir"),
        (output and count > 1, f"--output is one file; give --output-dir for {count} inputs"),
        (output and output.suffix[1:] not in FORMATS, "--output ends in .npy or .safetensors"),
        (
            folder and folder.suffix[1:] in FORMATS,
            f"--output-dir is a folder; for one file give --output {folder}",
        ),
        (given["output_format"] and not folder, "--output-format needs --output-dir with it"),
        (ctx.params["resume"] and not folder, "--resume is about files; give --output-dir"),
        (
            ctx.params["overwrite"] and not (folder or output),
            "--overwrite is about files; give --output or --output-dir",
        ),
    ):
        if wrong:
            raise click.UsageError(message, ctx)


def refuse_output(path: Path, items: list[Input], *, overwrite: bool) -> None:
    """Raise InputError where the file is there already, or is the input."""
    if any(os.path.realpath(path) == os.path.realpath(item.source) for item in items):
        raise InputError(f"the output {path} is also an input; choose another name")
    if os.path.lexists(path) and not overwrite:  # a link to nothing too
        raise InputError(f"{path} exists; give --overwrite, or another name")


def describe(embedding: Embedding, paths: list[str]) -> str:
    """Time in and out, shape and values, origin; then the files."""
    rows, columns = embedding.vectors.shape
    values = ", ".join(f"{k} {v:.4f}" for k, v in spread(embedding.vectors).items())
    lines = [
        f"{embedding.samples} samples -> {rows} frames ({embedding.compression:g} x)",
        f"shape ({rows}, {columns}), {values}",
        f"{embedding.model}, layer {embedding.layer}, {embedding.frame_rate:g} Hz, "
        f"{embedding.duration:.2f} s",
        *paths,
    ]
    return "\n".join(lines) + "\n"


def record(embedding: Embedding) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "model": embedding.model,
        "layer": embedding.layer,
        "frame_rate": embedding.frame_rate,
        "duration": embedding.duration,
        "sample_rate": embedding.sample_rate,
        "samples": embedding.samples,
        "compression": embedding.compression,
        "shape": list(embedding.vectors.shape),
        **{name: number(value) for name, value in spread(embedding.vectors).items()},
    }


def spread(vectors: "np.ndarray") -> dict[str, float]:
    """Mean, standard deviation, least and largest of all values, summed in double precision."""
    import numpy as np

    mean = float(vectors.mean(dtype=np.float64))
    square = float(np.einsum("ij,ij->", vectors, vectors, dtype=np.float64)) / vectors.size
    std = max(0.0, square - mean**2) ** 0.5
    return {"mean": mean, "std": std, "min": float(vectors.min()), "max": float(vectors.max())}


def make_command() -> EmbedCommand:
    """The options of the task, and of where its arrays go."""
    path = PACKAGE / "tasks" / "embed.py"
    task = Task("aural.tasks.embed", "embed", read_signature(path, "embed"), {})
    files = [
        click.Option(
            ["--output"],
            type=click.Path(dir_okay=False, path_type=Path),
            envvar=environment("output", "embed"),
            help="File for the vectors of one input: NAME.npy or NAME.safetensors.",
        ),
        click.Option(
            ["-f", "--output-format", "output_format"],
            type=Value(Kind((), (*FORMATS, "all"), many=True)),
            default="npy",
            show_default=True,
            envvar=environment("output_format", "embed"),
            help="Formats of the files in --output-dir, separated by commas.",
        ),
    ]
    shared = [each for each in own_options(task, "embed") if each.name != "output_format"]
    made = EmbedCommand(
        "embed",
        params=[
            click.Argument(["inputs"], nargs=-1, metavar="INPUT..."),
            *(to_option(parameter, "embed") for parameter in task.signature.parameters),
            *files,
            *shared,
        ],
        help=task.signature.description,
    )
    made.task = task
    return made


command = make_command()
