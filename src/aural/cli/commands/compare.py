"""`aural compare`: one part of a model varied, at the same data, budget and seed."""

import json
from importlib.util import find_spec
from pathlib import Path

import click

from aural.cli import exits
from aural.cli.commands.train import NEEDED
from aural.cli.console import say, write
from aural.cli.outputs import write_whole
from aural.errors import MissingExtra


@click.command()
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]... [+experiments=NAME]")
@click.option(
    "--vary",
    "varied",
    required=True,
    metavar="PART=A,B,...",
    help="encoder, projector, decoder or adaptation, and the values to try; the first is what the "
    "others are set against.",
)
@click.option(
    "--directory",
    "-d",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the runs are written.  [default: runs/RECIPE-PART]",
)
@click.option("--resume", is_flag=True, help="Read finished runs, go on with broken ones.")
@click.option(
    "--former",
    metavar="MANIFEST",
    help="Where the encoder's former job is measured after training.  [default: the test set where "
    "adaptation is varied, else nowhere]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    show_default=True,
)
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="JSON, as a file.")
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the learning curves: FILE.png or FILE.svg.",
)
@click.pass_context
def command(
    ctx: click.Context,
    recipe: str,
    overrides: tuple[str, ...],
    varied: str,
    directory: Path | None,
    resume: bool,
    former: str | None,
    form: str,
    report: Path | None,
    plot: Path | None,
) -> None:
    """Train RECIPE once for each value of one of its parts, and compare what came of it.

    All else is the same: data, steps, seed, batches. The table has the error on the test set with
    its interval, paired differences, trained parameters, time and memory. Encoders are
    family/variant, family@DIRECTORY, log-mel for none, or random:NAME for that one untrained.

    Exit code 1 where a value could not be trained: it is listed with the reason.
    """
    part, equals, values = varied.partition("=")
    if not equals:
        raise click.UsageError(f"--vary {varied!r}: give PART=A,B")
    for package in NEEDED:
        if find_spec(package) is None:
            raise MissingExtra("train", package)
    if plot is not None:  # what would only be found out after hours of training
        from aural.plot.canvas import check_installed, format_of

        check_installed()
        format_of(plot)
    from aural.evaluate.render import as_markdown, as_text
    from aural.evaluate.vary import check_failures, save_curves, varied_table, vary

    found = vary(
        recipe,
        part.strip(),
        [value.strip() for value in values.split(",")],
        overrides,
        directory or Path("runs", f"{Path(recipe).stem}-{part.strip()}"),
        resume=resume,
        former=former or "",
        say=say,
    )
    check_failures(found)
    text = json.dumps(found.as_json(), ensure_ascii=False, indent=1) + "\n"
    table = [varied_table(found)]
    write(text if form == "json" else (as_text if form == "text" else as_markdown)(table))
    if report is not None:
        write_whole(report, text.encode())
    if plot is not None:
        save_curves(found, plot)
    ctx.exit(exits.SOME_FAILED if any(each.error for each in found.choices) else 0)
