"""`aural lm`: n-gram models of text, and how well a language model foretells one."""

from __future__ import annotations

import json as jsonlib
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aural.cli.console import say, write
from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aural.decode.ngram import NGramModel
    from aural.text.tokens import Tokenizer

UNITS = ("words", "characters")
ARPA = (".arpa", ".arpa.gz")


@click.group()
def command() -> None:
    """Estimate, measure and convert language models.

    SOURCE is a text file (.txt, a sentence a line) or what `aural data take` takes, with texts. An
    n-gram model is an ARPA file, .arpa or .arpa.gz.
    """


def _of_text(function: Callable[..., None]) -> Callable[..., None]:
    """The options that say what a text's tokens are."""
    for option in (
        click.option("--normaliser", help="Normalise the texts first, by this one's rules."),
        click.option(
            "--tokens",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="Cut texts into the tokens of this trained network's directory.",
        ),
        click.option(
            "--unit", type=click.Choice(UNITS), default="words", show_default=True,
            help="Cut texts into these where no --tokens are given.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


@command.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--output", "-o", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write, .arpa or .arpa.gz.",
)  # fmt: skip
@click.option("--order", default=3, show_default=True, help="Tokens of the longest n-grams.")
@click.option(
    "--prune", default="0", show_default=True, metavar="COUNTS",
    help="Leave out n-grams seen no more often: a number a length, 0 first (0,0,1).",
)  # fmt: skip
@click.option(
    "--vocabulary",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Count tokens that are not in this file (one a line) as <unk>.",
)
@_of_text
def estimate(
    sources: tuple[str, ...],
    output: Path,
    order: int,
    prune: str,
    vocabulary: Path | None,
    unit: str,
    tokens: Path | None,
    normaliser: str | None,
) -> None:
    """Make an n-gram model of texts, with interpolated modified Kneser-Ney smoothing."""
    from aural.data.utterance import numbered_lines
    from aural.decode.kneser_ney import estimate as estimate_model

    _check_name(output)
    try:
        least = [int(count) for count in prune.split(",")]
    except ValueError as error:
        raise InputError(f"--prune is {prune!r}; give whole numbers, as 0,0,1") from error
    known = None
    if vocabulary is not None:
        known = [line.strip() for _, line in numbered_lines(vocabulary)]
    cut = _cutter(unit, tokens)
    sentences = (cut(text) for text in _texts(sources, normaliser))
    model = estimate_model(sentences, order, vocabulary=known, prune=least)
    _save(model, output)
    say(f"{output}: {_counts(model)}")


@command.command()
@click.argument("model")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--json", is_flag=True, help="One JSON record instead of a line.")
@_of_text
def perplexity(
    model: str,
    sources: tuple[str, ...],
    json: bool,
    unit: str,
    tokens: Path | None,
    normaliser: str | None,
) -> None:
    """How well MODEL foretells texts: exp of the mean -log probability of a token.

    MODEL is an ARPA file, or a trained network, lm@DIRECTORY, which has tokens of its own.
    """
    texts = list(_texts(sources, normaliser))
    if not texts:
        raise InputError(f"{', '.join(sources)}: no text to foretell; give at least one word")
    if model.endswith(ARPA):
        from aural.decode.arpa import read_arpa

        cut = _cutter(unit, tokens)
        found = read_arpa(Path(model)).perplexity([cut(text) for text in texts])
    else:
        from aural import models
        from aural.decode.language import LanguageModel

        found = models.load(model, LanguageModel).perplexity(texts)
    words = sum(len(text.split()) + 1 for text in texts)
    record = {
        "model": model,
        "perplexity": _finite(found.value),
        "word_perplexity": _finite(found.per(words)),
        "log_prob": found.log_prob,
        "tokens": found.tokens,
        "unknown": found.unknown,
        "texts": len(texts),
    }
    if json:
        write(jsonlib.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
        return
    write(
        f"perplexity {found.value:.2f} of {found.tokens} tokens ({found.unknown} unknown) in "
        f"{len(texts)} texts, ends counted; {found.per(words):.2f} a word\n"
    )


@command.command()
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
def convert(source: Path, output: Path) -> None:
    """Check an n-gram model and write it again, gzipped where OUTPUT ends in .gz."""
    from aural.decode.arpa import read_arpa

    _check_name(output)
    model = read_arpa(source)
    _save(model, output)
    say(f"{output}: {_counts(model)}")


def _texts(sources: tuple[str, ...], normaliser: str | None) -> Iterator[str]:
    """Every text, normalised, but for those without a word."""
    from aural.data.manifest import stream_manifest
    from aural.data.utterance import numbered_lines
    from aural.text.normalise import normaliser as named

    rule = named(normaliser) if normaliser else None
    for source in sources:
        texts = (
            (line for _, line in numbered_lines(Path(source)))
            if source.lower().endswith(".txt")
            else (utterance.text for utterance in stream_manifest(source))
        )
        for text in texts:
            plain = rule(text) if rule else text
            if plain.split():
                yield plain


def _cutter(unit: str, tokens: Path | None) -> Callable[[str], list[str]]:
    """What makes a text the words of an n-gram model."""
    if tokens is not None:
        from aural.decode.ngram import token_words
        from aural.nn.exported import read_exported

        tokenizer: Tokenizer = read_exported(tokens).tokenizer
        names = token_words(tokenizer)
        return lambda text: [names[token] for token in tokenizer.encode(text)]
    if unit == "words":
        return str.split
    from aural.text.tokens import SPACE

    return lambda text: list(SPACE.join(text.split()))


def _check_name(output: Path) -> None:
    if not output.name.endswith(ARPA):
        raise InputError(f"{output}: an n-gram model is written as .arpa or .arpa.gz")


def _save(model: NGramModel, output: Path) -> None:
    from aural.data.files import replacing
    from aural.decode.arpa import write_arpa

    with replacing(output) as file:
        write_arpa(model, file, packed=output.suffix == ".gz")


def _counts(model: NGramModel) -> str:
    counts = (f"{count} {length}-grams" for length, count in enumerate(model.counts, 1))
    return ", ".join(counts)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
