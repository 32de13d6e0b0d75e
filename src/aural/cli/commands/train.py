"""`aural train`: a recipe becomes a trained, exported and judged network."""

import json as jsonlib
import shlex
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aural.cli.console import say, write
from aural.cli.progress import HIDE, SHOW, is_watched
from aural.errors import MissingExtra

if TYPE_CHECKING:
    from aural.train.loop import Report

NEEDED = ("torch", "accelerate", "hydra", "safetensors", "tensorboard")
LINE_SECONDS = 30.0
"""Where nobody watches a line that is rewritten, a new one comes no more often."""


@click.command()
@click.argument("recipe", required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]... [+experiments=NAME]")
@click.option(
    "--directory",
    "-d",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the run and the model are written.  [default: runs/RECIPE]",
)
@click.option("--resume", is_flag=True, help="Go on with the run that is in the directory.")
@click.option("--list", "listed", is_flag=True, help="List the recipes and experiments, and stop.")
@click.option("--show", is_flag=True, help="Print every option as it is resolved, and stop.")
def command(
    recipe: str | None,
    overrides: tuple[str, ...],
    directory: Path | None,
    resume: bool,
    listed: bool,
    show: bool,
) -> None:
    """Train a network as RECIPE says, export it, and judge it on speakers it has not heard.

    RECIPE is a name that --list shows, or a .yaml file of your own. KEY=VALUE replaces one of its
    values (train.steps=500, model.config.hidden=64); +experiments=NAME lays one of the listed
    experiments over it. The figures are printed as JSON and written to DIRECTORY/result.json.
    """
    if listed:
        _list()
        return
    if recipe is None:
        raise click.UsageError("no recipe given; `aural train --list` shows them")
    for package in NEEDED:
        if find_spec(package) is None:
            raise MissingExtra("train", package)
    from aural.train.compose import compose

    experiment = compose(recipe, overrides)
    if show:
        write(jsonlib.dumps(experiment.as_values(), ensure_ascii=False, indent=2) + "\n")
        return
    from aural.train.experiment import run_experiment

    name = Path(recipe).stem
    lines = _Lines()
    directory = directory or Path("runs", name)
    try:
        found = run_experiment(
            experiment,
            directory,
            name=name,
            resume=resume,
            command=shlex.join(["aural", "train", recipe, *overrides]),
            progress=lines.tell,
            say=lines.say,
        )
    except KeyboardInterrupt:
        lines.say(f"{directory} is gone on with by --resume, from its last checkpoint")
        raise
    lines.clear()
    if found:
        write(jsonlib.dumps(found, ensure_ascii=False, indent=2) + "\n")


def _list() -> None:
    from aural.train.recipes import overlays, recipes

    for title, found in (("recipes", recipes()), ("experiments, as +experiments=NAME", overlays())):
        write(f"{title}:\n")
        for each in found:
            first, _, rest = each.about.partition("\n")
            write(f"  {each.name}: {first}\n")
            for line in filter(None, rest.splitlines()):
                write(f"      {line}\n")


class _Lines:
    """Tells how far training is: a line that is rewritten, or now and then a new one."""

    def __init__(self) -> None:
        self._watched = is_watched()
        self._told = 0.0

    def tell(self, report: "Report") -> None:
        """The state of the run."""
        now = time.monotonic()
        if not self._watched and not report.metrics and now - self._told < LINE_SECONDS:
            return
        self._told = now
        figures = "".join(f", {name} {value:.4g}" for name, value in report.metrics.items())
        line = f"step {report.step}/{report.steps}, loss {report.loss:.4g}{figures}"
        if self._watched:
            sys.stderr.write(HIDE + SHOW.format(line))
            sys.stderr.flush()
        else:
            say(line)

    def say(self, message: str) -> None:
        """A line that stays."""
        self.clear()
        say(message)

    def clear(self) -> None:
        """Take the line that is rewritten away."""
        if self._watched:
            sys.stderr.write(HIDE)
            sys.stderr.flush()
