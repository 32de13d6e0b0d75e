"""`aural tune`: the way to listen that has the lowest error within a latency."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from aural.cli import exits
from aural.cli.console import say, write
from aural.cli.outputs import write_whole
from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

_FILE = click.Path(dir_okay=False, path_type=Path)
_MEASURES = (
    *("first-word-p50", "first-word-p95", "shown-p50", "shown-p95"),
    *("final-p50", "final-p95", "clock-p50", "clock-p95"),
)


class _Numbers(click.ParamType):
    """Numbers parted by commas."""

    name = "numbers"

    def __init__(self, kind: type[int] | type[float]) -> None:
        self.kind = kind

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """A tuple of them."""
        try:
            return tuple(self.kind(each) for each in value.split(","))
        except ValueError:
            what = "whole numbers" if self.kind is int else "numbers"
            self.fail(f"{value!r}: give {what} parted by commas", param, ctx)


@click.command()
@click.argument("manifest")
@click.option(
    "--model", default="whisper/base", show_default=True, help="family/variant, or several: A,B."
)
@click.option("--max-latency", type=float, help="Seconds that the latency may be; without it: any.")
@click.option(
    "--latency",
    "measure",
    type=click.Choice(_MEASURES),
    default="final-p95",
    show_default=True,
    help="What latency is: until the first word or a word is shown, or final; clock: final, with "
    "this machine's computing.",
)
@click.option(
    "--chunk-seconds",
    type=_Numbers(float),
    help="To try, of models made for chunks.  [default: 0.16,0.32,0.64]",
)
@click.option(
    "--look-ahead-seconds", type=_Numbers(float), help="To try, likewise.  [default: 0,0.16]"
)
@click.option(
    "--step-seconds",
    type=_Numbers(float),
    help="To try, of models that hear a growing window.  [default: 0.5,1,2]",
)
@click.option(
    "--beam-size",
    type=_Numbers(int),
    help="To try.  [default: 1,4 of models made for chunks, else 1]",
)
@click.option("--window-seconds", default=15.0, show_default=True, help="The longest window heard.")
@click.option(
    "--endpoint",
    type=click.Choice(["vad", "blank"]),
    default="vad",
    show_default=True,
    help="What ends an utterance of models made for chunks; the others have vad.",
)
@click.option(
    "--language",
    help="Its code; `manifest`: what each utterance says it is; without it: told from the sound.",
)
@click.option(
    "--holdout",
    default=0.5,
    show_default=True,
    help="Share of the manifest that only the pick hears; whole speakers, or recordings.",
)
@click.option(
    "--normaliser",
    default="auto",
    show_default=True,
    help="none, whisper-basic or whisper-english; auto: whisper-english where all is English.",
)
@click.option("--confidence", default=0.95, show_default=True, help="Level of the intervals.")
@click.option("--resamples", default=10_000, show_default=True, help="Draws an interval.")
@click.option("--seed", default=0, show_default=True, help="Of draws and of what is held out.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
)
@click.option("--threads", default=0, show_default=True, help="0: as the model family chooses.")
@click.option(
    "--hypotheses",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder that keeps what was heard: a stopped search goes on.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    show_default=True,
)
@click.option("--report", type=_FILE, help="Write the JSON report here as well.")
@click.option("--plot", type=_FILE, help="Draw error against latency: FILE.png or FILE.svg.")
@click.pass_context
def command(
    ctx: click.Context,
    manifest: str,
    model: str,
    max_latency: float | None,
    measure: str,
    chunk_seconds: tuple[float, ...] | None,
    look_ahead_seconds: tuple[float, ...] | None,
    step_seconds: tuple[float, ...] | None,
    beam_size: tuple[int, ...] | None,
    window_seconds: float,
    endpoint: Literal["vad", "blank"],
    language: str | None,
    holdout: float,
    normaliser: str,
    confidence: float,
    resamples: int,
    seed: int,
    device: Literal["auto", "cpu", "cuda"],
    threads: int,
    hypotheses: Path | None,
    form: str,
    report: Path | None,
    plot: Path | None,
) -> None:
    """Find how to listen: the lowest error on MANIFEST within a latency.

    Every setting hears one part of MANIFEST (as `aural evaluate transcribe` takes it). Of those
    whose errors can't be told apart the quickest is picked; what it does on the other part, which
    no other setting hears, is the result.

    Exit code 3 where no setting is within --max-latency, 1 where an utterance failed: it counts as
    fully deleted.
    """
    from aural.cli.sweeps import models_of
    from aural.evaluate.latency import Setting
    from aural.evaluate.scoring import Sampling
    from aural.evaluate.tune import Space, TuneOptions, candidates, tune
    from aural.evaluate.tune_report import check_drawing, tune_json, tune_tables, verdict_line

    names = models_of(model)
    if plot is not None:
        check_drawing(plot, len(names))
    for path in filter(None, (report, plot)):
        _check_output(path, manifest)
    options = TuneOptions(
        max_latency, measure, holdout, normaliser, Sampling(confidence, resamples, seed)
    )
    tried: dict[str, Any] = {
        "chunk_seconds": chunk_seconds,
        "look_ahead_seconds": look_ahead_seconds,
        "step_seconds": step_seconds,
        "beam_sizes": beam_size,
    }
    space = Space(**{name: values for name, values in tried.items() if values is not None})
    common = Setting(
        names[0],
        language=language,
        window_seconds=window_seconds,
        endpoint=endpoint,
        device=device,
        threads=threads,
    )
    found = tune(
        manifest,
        candidates(names, space, common),
        options=options,
        hypotheses=hypotheses,
        progress=_progress(),
    )
    record = json.dumps(tune_json(found), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    if report is not None:
        write_whole(report, record.encode("utf-8", "backslashreplace"))
    if plot is not None:
        from aural.evaluate.tune_report import save_tune_plot

        save_tune_plot(found, plot)
        say(f"drawn: {plot}")
    if form == "json":
        write(record)
    else:
        from aural.evaluate.render import as_markdown, as_text

        write((as_text if form == "text" else as_markdown)(tune_tables(found)))
    if found.failures:
        say(f"{len(found.failures)} utterances failed")
    if found.choice.pick is None:
        say(verdict_line(found))
        ctx.exit(exits.GATE)
    ctx.exit(exits.SOME_FAILED if found.failures else 0)


def _check_output(path: Path, manifest: str) -> None:
    """Find out before hours of listening, not after, and never replace an input."""
    if not path.parent.is_dir():
        raise InputError(f"{path.parent}: no such directory to write {path.name} to")
    if Path(manifest).resolve() == path.resolve():
        raise InputError(f"{path} is read, so it can't be written; give another name")


def _progress() -> Callable[[str, int, int], None]:
    """On a terminal a line that is rewritten, else one for each setting."""
    terminal = sys.stderr.isatty()
    last = ""

    def show(name: str, done: int, count: int) -> None:
        nonlocal last
        if terminal:
            ended = done + 1 == count
            click.echo(f"\r\x1b[K{done + 1} of {count}: {name}", nl=ended, err=True)
        elif name != last:
            say(f"{done + 1} of {count} hearings: {name}")
        last = name

    return show
