"""`aural evaluate`: how well a task does on recordings whose answer is known."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from aural.cli import exits
from aural.cli.condition_options import condition_options
from aural.cli.console import say, write
from aural.cli.outputs import write_whole
from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aural.evaluate.conditions import Condition
    from aural.evaluate.gate import Gate, GateResult
    from aural.evaluate.report import Report
    from aural.evaluate.sweep import Sweep

_FORMATS = click.Choice(["text", "markdown", "json"])
_PICTURES = (".png", ".svg")
_DEVICES = click.Choice(["auto", "cpu", "cuda"])


@click.group(name="evaluate")
def command() -> None:
    """Measure a task on recordings whose answer is known, with intervals."""


def _file(*, exists: bool) -> click.Path:
    return click.Path(exists=exists, dir_okay=False, path_type=Path)


_plot_option = click.option(
    "--plot", type=_file(exists=False), help="Draw error against condition: FILE.png or FILE.svg."
)


@command.command(name="transcribe")
@click.argument("manifest")
@click.option(
    "--model",
    default="whisper/base",
    show_default=True,
    help="family/variant; under conditions also several, A,B.",
)
@click.option(
    "--language",
    help="Its code; `manifest`: what each utterance says it is; without it: told from the sound.",
)
@click.option("--beam-size", default=5, show_default=True, help="Hypotheses kept while decoding.")
@click.option("--device", type=_DEVICES, default="auto", show_default=True, help="Where to run.")
@click.option("--compute-type", default="auto", show_default=True, help="Weights' arithmetic.")
@click.option("--threads", default=0, show_default=True, help="0: as the model family chooses.")
@click.option("--offline", is_flag=True, help="Never look for weights beyond this machine.")
@click.option(
    "--normaliser",
    default="auto",
    show_default=True,
    help="none, whisper-basic or whisper-english; auto: whisper-english where all is English.",
)
@click.option(
    "--by",
    multiple=True,
    metavar="COLUMNS",
    help="Break the result down: accent,noise by each of two, accent*noise crossed.",
)
@click.option(
    "--min-words", default=100, show_default=True, help="Fewer: a slice is never called worst."
)
@click.option("--min-utterances", default=5, show_default=True, help="As --min-words.")
@click.option("--confidence", default=0.95, show_default=True, help="Level of the intervals.")
@click.option("--resamples", default=10_000, show_default=True, help="Draws an interval.")
@click.option("--seed", default=0, show_default=True, help="Of draws and distortions.")
@click.option("--timeout", type=float, help="Seconds an utterance may take, else it has failed.")
@click.option(
    "--hypotheses",
    type=click.Path(path_type=Path),
    help="JSON lines: what stands there is scored without recognising it, the rest is added; "
    "under conditions a folder of such files.",
)
@click.option(
    "--gate",
    multiple=True,
    metavar="CONDITION",
    help='Exit 3 unless it holds: "wer<0.1", "wer.high<=12%", "wer.max_slice<0.25", "failed<1".',
)
@click.option("--format", "form", type=_FORMATS, default="text", show_default=True)
@click.option("--report", type=_file(exists=False), help="Write the JSON report here as well.")
@click.option(
    "--html", type=_file(exists=False), help="A page with players for the worst utterances."
)
@condition_options
@_plot_option
@click.pass_context
def transcribe(
    ctx: click.Context,
    manifest: str,
    model: str,
    language: str | None,
    beam_size: int,
    device: Literal["auto", "cpu", "cuda"],
    compute_type: str,
    threads: int,
    offline: bool,
    normaliser: str,
    by: tuple[str, ...],
    min_words: int,
    min_utterances: int,
    confidence: float,
    resamples: int,
    seed: int,
    timeout: float | None,
    hypotheses: Path | None,
    gate: tuple[str, ...],
    form: str,
    report: Path | None,
    html: Path | None,
    conditions: tuple[Condition, ...],
    plot: Path | None,
) -> None:
    """Word and character error rate of MANIFEST.

    MANIFEST is a JSON-lines file (audio_filepath, text, duration, offset, speaker, lang and any
    metadata), a CSV or TSV table, a Kaldi directory, a LibriSpeech tree, or corpus:NAME.

    With --noise, --rt60, --level, --bandwidth or --codec the same is done under each condition, and
    the error against each is what comes out.

    Exit code 3 where a gate failed, 1 where an utterance did: it counts as fully deleted.
    """
    from aural.evaluate.gate import parse_gate
    from aural.evaluate.report import GATE_MEASURES, SLICE_MEASURES

    gates = [parse_gate(text, GATE_MEASURES) for text in gate]
    for each in gates:
        if each.measure in SLICE_MEASURES and not by:
            raise InputError(f"the gate {each} is on slices: say with --by which")
    inputs: list[str | Path] = [manifest, *([hypotheses] if hypotheses else [])]
    for path, suffixes in ((report, (".json",)), (html, (".html", ".htm")), (plot, _PICTURES)):
        _check_output(path, suffixes, inputs)
    recognition: dict[str, Any] = {
        "language": language,
        "beam_size": beam_size,
        "device": device,
        "compute_type": compute_type,
        "threads": threads,
        "offline": offline,
    }
    scoring: dict[str, Any] = {
        "normaliser": normaliser,
        "by": by,
        "min_words": min_words,
        "min_utterances": min_utterances,
        "level": confidence,
        "resamples": resamples,
        "seed": seed,
        "timeout": timeout,
    }
    if conditions:
        if html is not None:
            raise InputError("--html is a page on one condition: leave out the others, or --html")
        sweep = _sweep_transcription(
            manifest, model, conditions, recognition, scoring, hypotheses, plot
        )
        ctx.exit(_finish_sweep(sweep, gates, form, report, plot))
    if plot is not None:
        raise InputError("--plot draws error against conditions: name some, as --noise white")
    from aural.evaluate.recogniser import model_recogniser
    from aural.evaluate.transcribe import evaluate_transcribe

    result = evaluate_transcribe(
        manifest,
        model_recogniser(model, **recognition),
        hypotheses=hypotheses,
        progress=_progress(),
        **scoring,
    )
    _publish(result, form, report, html)
    ctx.exit(_exit_code(result, gates))


def _exit_code(result: Report, gates: Sequence[Gate]) -> int:
    from aural.evaluate.gate import check_gates

    passed = _tell(check_gates(gates, result.measures()))
    if result.failures:
        say(f"{len(result.failures)} of {len(result.rows)} utterances failed")
    return exits.GATE if not passed else exits.SOME_FAILED if result.failures else 0


def _sweep_transcription(
    manifest: str,
    model: str,
    conditions: tuple[Condition, ...],
    recognition: dict[str, Any],
    scoring: dict[str, Any],
    hypotheses: Path | None,
    plot: Path | None,
) -> Sweep:
    from aural.cli.sweeps import check_plot, models_of, run_sweep
    from aural.evaluate.judges import word_errors_of
    from aural.evaluate.scoring import Sampling

    judges = {
        name: word_errors_of(name, hypotheses=hypotheses, scoring=scoring, **recognition)
        for name in models_of(model)
    }
    check_plot(plot, conditions, len(judges))
    sampling = Sampling(scoring["level"], scoring["resamples"], scoring["seed"])
    return run_sweep(
        manifest,
        judges,
        conditions,
        metric="WER",
        sampling=sampling,
        offline=recognition["offline"],
    )


def _finish_sweep(
    sweep: Sweep, gates: Sequence[Gate], form: str, report: Path | None, plot: Path | None
) -> int:
    """Print and write; the worst exit code of the conditions, each held to the gates."""
    from aural.cli.sweeps import publish_sweep
    from aural.evaluate.render import breakdown_tables

    slices = [
        table
        for point in sweep.points
        for table in breakdown_tables(
            point.tally.detail, f"{point.system}, {point.condition.name}: "
        )
    ]
    publish_sweep(sweep, form, report=report, plot=plot, more=slices)
    codes = []
    for point in sweep.points:
        if gates or point.tally.failures:
            say(f"{point.system}, {point.condition.name}:")
        codes.append(_exit_code(point.tally.detail, gates))
    return max(codes, key=(0, exits.SOME_FAILED, exits.GATE).index)


@command.command(name="identify-language")
@click.argument("manifest")
@click.option(
    "--model", default="whisper/base", show_default=True, help="family/variant, or several: A,B."
)
@click.option("--device", type=_DEVICES, default="auto", show_default=True, help="Where to run.")
@click.option("--compute-type", default="auto", show_default=True, help="Weights' arithmetic.")
@click.option("--threads", default=0, show_default=True, help="0: as the model family chooses.")
@click.option("--confidence", default=0.95, show_default=True, help="Level of the intervals.")
@click.option("--resamples", default=10_000, show_default=True, help="Draws an interval.")
@click.option("--seed", default=0, show_default=True, help="Of draws and distortions.")
@click.option("--format", "form", type=_FORMATS, default="text", show_default=True)
@click.option("--report", type=_file(exists=False), help="Write the JSON report here as well.")
@condition_options
@_plot_option
@click.pass_context
def identify_language(
    ctx: click.Context,
    manifest: str,
    model: str,
    device: Literal["auto", "cpu", "cuda"],
    compute_type: str,
    threads: int,
    confidence: float,
    resamples: int,
    seed: int,
    form: str,
    report: Path | None,
    conditions: tuple[Condition, ...],
    plot: Path | None,
) -> None:
    """Share of the utterances of MANIFEST whose language is taken for another.

    Every utterance must say its language. One in which no speech is found counts as wrong. The
    conditions are those of `aural evaluate transcribe`.
    """
    from aural.cli.sweeps import check_plot, models_of, publish_sweep, run_sweep
    from aural.evaluate.judges import language_errors_of
    from aural.evaluate.scoring import Sampling

    for path, suffixes in ((report, (".json",)), (plot, _PICTURES)):
        _check_output(path, suffixes, (manifest,))
    judges = {
        name: language_errors_of(name, device=device, compute_type=compute_type, threads=threads)
        for name in models_of(model)
    }
    check_plot(plot, conditions, len(judges))
    sampling = Sampling(confidence, resamples, seed)
    result = run_sweep(manifest, judges, conditions, metric="language error", sampling=sampling)
    publish_sweep(result, form, report=report, plot=plot)
    ctx.exit(exits.SOME_FAILED if any(point.tally.failures for point in result.points) else 0)


def _publish(result: Report, form: str, path: Path | None, html: Path | None) -> None:
    """The report on stdout, as JSON in one file and as a page in the other."""
    from aural.evaluate.render import as_markdown, as_text, report_tables
    from aural.evaluate.report import report_text

    if path is not None:
        write_whole(path, report_text(result).encode("utf-8", "backslashreplace"))
    if html is not None:
        from aural.evaluate.page import write_page

        write_page(result, html)
    if form == "json":
        write(report_text(result))
    else:
        write((as_text if form == "text" else as_markdown)(report_tables(result)))


@command.command(name="compare")
@click.argument("first", type=_file(exists=True))
@click.argument("second", type=_file(exists=True))
@click.option("--confidence", default=0.95, show_default=True, help="Level of the intervals.")
@click.option("--resamples", default=10_000, show_default=True, help="Draws an interval.")
@click.option("--seed", default=0, show_default=True, help="Of the draws.")
@click.option(
    "--gate",
    multiple=True,
    metavar="CONDITION",
    help='Exit 3 unless it holds: "wer.difference.high<0.3%", "wer.p<0.05".',
)
@click.option("--format", "form", type=_FORMATS, default="text", show_default=True)
@click.pass_context
def compare(
    ctx: click.Context,
    first: Path,
    second: Path,
    confidence: float,
    resamples: int,
    seed: int,
    gate: tuple[str, ...],
    form: str,
) -> None:
    """Whether two systems differ: SECOND's error rates less FIRST's, paired.

    FIRST and SECOND are what --report wrote for the same manifest under the same normaliser.
    """
    import json

    from aural.evaluate.compare import COMPARISON_MEASURES
    from aural.evaluate.compare import compare as compare_reports
    from aural.evaluate.gate import check_gates, parse_gate
    from aural.evaluate.render import as_markdown, as_text, comparison_tables
    from aural.evaluate.report import read_report

    gates = [parse_gate(text, COMPARISON_MEASURES) for text in gate]
    result = compare_reports(
        read_report(first), read_report(second), level=confidence, resamples=resamples, seed=seed
    )
    if form == "json":
        write(json.dumps(result.as_json(), ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    else:
        write((as_text if form == "text" else as_markdown)(comparison_tables(result)))
    ctx.exit(0 if _tell(check_gates(gates, result.measures())) else exits.GATE)


def _check_output(
    path: Path | None, suffixes: tuple[str, ...], inputs: Sequence[str | Path]
) -> None:
    """Find out before hours of recognition, not after, and never replace an input."""
    if path is None:
        return
    if not path.parent.is_dir():
        raise InputError(f"{path.parent}: no such directory to write {path.name} to")
    if any(Path(given).resolve() == path.resolve() for given in inputs):
        raise InputError(f"{path} is read, so it can't be written; give another name")
    if path.exists() and path.suffix.lower() not in suffixes:
        raise InputError(
            f"{path} is there and does not end in {' or '.join(suffixes)}; give another name"
        )


def _tell(results: tuple[GateResult, ...]) -> bool:
    """Every gate's outcome on stderr; whether all passed."""
    for each in results:
        say(str(each))
    return all(each.passed for each in results)


def _progress() -> Callable[[int, int], None]:
    """A counter that rewrites its line on a terminal, and else says every tenth."""
    terminal = sys.stderr.isatty()

    def show(done: int, count: int) -> None:
        if terminal:
            click.echo(f"\r{done} of {count}", nl=done == count, err=True)
        elif done == count or done % max(1, count // 10) == 0:
            say(f"{done} of {count} utterances")

    return show
