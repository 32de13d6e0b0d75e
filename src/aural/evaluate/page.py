"""A report as one HTML page: the figures, how errors are spread, and the worst utterances to hear.

Everything is in the file: it fetches nothing, runs no script (its policy forbids both), and follows
the reader's light or dark theme. What comes from a manifest or a recogniser is text and nothing
else, whatever it holds.
"""

from __future__ import annotations

import html
import io
import math
import unicodedata
import warnings
from contextlib import closing
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from aural.audio.stream import stream
from aural.audio.write import write
from aural.data.manifest import read_manifest
from aural.data.sound import sound_of
from aural.errors import AuralError, InputError
from aural.evaluate.render import Table, report_tables
from aural.metrics.wer import align
from aural.plot.canvas import write_whole
from aural.plot.pages import data_uri, policy
from aural.text.normalise import normaliser
from aural.types import Audio

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from aural.audio.source import Source
    from aural.evaluate.report import Report
    from aural.evaluate.scoring import Row

    Sound = Callable[[Row], "Source | None"]

MAX_WORST = 100
MAX_SECONDS = 120.0
MAX_WORDS = 1000
MAX_ROWS = 500
MAX_TEXT = 4000
BIT_RATE, SAMPLE_RATE = 32_000, 16_000
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
_LISTED_ELSEWHERE = "Most errors"


def write_page(
    report: Report,
    path: str | os.PathLike[str],
    *,
    sound: Sound | None = None,
    worst: int = 10,
    seconds: float = 20.0,
) -> None:
    """Write `report_page` to a file, which appears whole or not at all.

    Raises InputError where it can't be written, and as report_page does.
    """
    page = report_page(report, sound=sound, worst=worst, seconds=seconds)
    write_whole(path, page.encode())


def report_page(
    report: Report, *, sound: Sound | None = None, worst: int = 10, seconds: float = 20.0
) -> str:
    """The page: summary, slices, spread of the error, and the utterances with most errors.

    Args:
        report: What to show.
        sound: Row -> what is played of it, None for nothing; by default the sound of the
            utterance of that name in the report's manifest, or else the row's file.
        worst: How many utterances are shown word by word.
        seconds: At most so much of each is put into the page, as mp3.

    Raises InputError for worst or seconds out of range.
    """
    if not 0 <= worst <= MAX_WORST:
        raise InputError(f"worst is {worst}; give 0 to {MAX_WORST}")
    if not 0 < seconds <= MAX_SECONDS:
        raise InputError(f"seconds is {seconds}; give more than 0, at most {MAX_SECONDS:g}")
    tables = [table for table in report_tables(report) if table.title != _LISTED_ELSEWHERE]
    rows = worst_rows(report, worst)
    heard = sounds_of(report, rows) if sound is None else sound
    normalise = normaliser(report.normaliser.name)
    parts = [
        *map(_table, tables[:-1]),
        _spread(report.rows),
        _worst(rows, normalise, heard, seconds),
        _table(tables[-1]),
    ]
    return _PAGE.substitute(
        policy=html.escape(policy(_STYLE)),
        style=_STYLE,
        title=text(f"{report.model} on {Path(report.manifest).name}"),
        summary=_summary(report),
        parts="\n".join(filter(None, parts)),
    )


def worst_rows(report: Report, count: int) -> list[Row]:
    """The utterances with most word errors; those that failed have nothing to compare."""
    wrong = (row for row in report.rows if row.words.errors and not row.error)
    return sorted(wrong, key=lambda row: (-row.words.errors, row.id))[:count]


def sounds_of(report: Report, rows: Sequence[Row]) -> Sound:
    """What is played of the rows: their stretch of sound by the manifest, else their file."""
    try:
        wanted = {row.id for row in rows}
        found = {
            each.id: each for each in (read_manifest(report.manifest) if rows else ())
            if each.id in wanted
        }  # fmt: skip
    except (AuralError, OSError):
        found = {}

    def sound(row: Row) -> Source | None:
        if row.id in found:
            return sound_of(found[row.id])
        path = Path(row.audio)
        return path if path.is_file() else None

    return sound


def text(value: object, limit: int = MAX_TEXT) -> str:
    """Any text as HTML: one line, markup escaped, and what could reorder or hide text made visible.

    A lone surrogate, which no file can hold, becomes its escape too.
    """
    shown = "".join(map(_visible, str(value)))
    return html.escape(shown if len(shown) <= limit else shown[: limit - 1] + "…")


def _visible(char: str) -> str:
    if char in "\t\n\r":
        return " "
    if char in _BIDI or unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}:
        return char.encode("unicode_escape").decode("ascii")
    return char


def _summary(report: Report) -> str:
    wer, cer = report.overall.wer, report.overall.cer
    counts = wer.counts
    facts = {
        "word error rate": _percent(counts.rate),
        "character error rate": _percent(cer.counts.rate),
        "utterances": f"{report.overall.utterances}",
        "failed": f"{report.overall.failed}",
        "words": f"{counts.reference}",
        "substitutions": f"{counts.substitutions}",
        "deletions": f"{counts.deletions}",
        "insertions": f"{counts.insertions}",
    }
    if wer.interval is not None:
        low, high = 100 * wer.interval.low, 100 * wer.interval.high
        facts["word error rate"] += f" ({low:.2f} to {high:.2f})"
    cards = (f"<div><dt>{name}</dt><dd>{text(value)}</dd></div>" for name, value in facts.items())
    return f"<dl>{''.join(cards)}</dl>"


def _percent(rate: float) -> str:
    return f"{100 * rate:.2f} %" if math.isfinite(rate) else "no reference"


def _table(table: Table) -> str:
    """A table with headers for its columns and rows; a column without a value is left out."""
    kept = [i for i in range(len(table.header)) if i == 0 or any(row[i] for row in table.rows)]
    head = "".join(f'<th scope="col">{text(table.header[i])}</th>' for i in kept)
    body = "\n".join(
        f'<tr><th scope="row">{text(row[0])}</th>'
        + "".join(f"<td>{text(row[i])}</td>" for i in kept[1:])
        + "</tr>"
        for row in table.rows[:MAX_ROWS]
    )
    more = len(table.rows) - MAX_ROWS
    lines = [*table.lines, *([f"and {more} more, in the JSON report"] if more > 0 else [])]
    notes = "".join(f"<li>{text(line)}</li>" for line in lines)
    header = f"<thead><tr>{head}</tr></thead>" if any(table.header) else ""
    return (
        f'<section><h2>{text(table.title)}</h2><div class="wide" tabindex="0" role="region" '
        f'aria-label="{text(table.title)}"><table>{header}<tbody>\n{body}\n</tbody></table></div>'
        + (f"<ul>{notes}</ul>" if notes else "")
        + "</section>"
    )


def spread_of(rows: Sequence[Row]) -> dict[str, int]:
    """How many utterances have a word error rate within each range, in per cent."""
    names = ["0", *(f"to {top}" for top in range(10, 101, 10)), "over 100"]
    found = dict.fromkeys(names, 0)
    for row in rows:
        rate = row.words.rate
        if row.words.reference:
            tenth = math.ceil(round(10 * rate, 9))
            found[names[min(tenth, len(names) - 1)]] += 1
    return found


def _spread(rows: Sequence[Row]) -> str:
    """The bars of spread_of as a drawing, and its numbers as a table."""
    found = spread_of(rows)
    most = max(found.values())
    if not most:
        return ""
    bars = "".join(_bar(i, name, count, most) for i, (name, count) in enumerate(found.items()))
    total = sum(found.values())
    told = f"{found['0']} of {total} utterances without an error, {found['over 100']} over 100 %"
    numbers = "".join(
        f'<tr><th scope="row">{name}</th><td>{count}</td></tr>' for name, count in found.items()
    )
    return (
        "<section><h2>Spread of the utterances' errors</h2><figure>"
        f'<svg viewBox="0 0 {_STEP * len(found)} 190" role="img" aria-label="{told}">{bars}</svg>'
        f"<figcaption>Utterances by word error rate (%): {told}.</figcaption></figure>"
        "<details><summary>The same as a table</summary><table><thead><tr>"
        '<th scope="col">word error rate (%)</th><th scope="col">utterances</th></tr></thead>'
        f"<tbody>{numbers}</tbody></table></details></section>"
    )


_STEP = 58


def _bar(index: int, name: str, count: int, most: int) -> str:
    height = 140 * count / most
    middle = _STEP * index + _STEP / 2
    return (
        f'<rect x="{_STEP * index + 5}" y="{160 - height:.1f}" width="{_STEP - 10}" '
        f'height="{height:.1f}"/><text x="{middle:g}" y="{155 - height:.1f}">{count}</text>'
        f'<text x="{middle:g}" y="178">{name}</text>'
    )


def _worst(
    rows: Sequence[Row], normalise: Callable[[str], str], sound: Sound, seconds: float
) -> str:
    if not rows:
        return ""
    shown = "\n".join(_utterance(row, normalise, sound, seconds) for row in rows)
    return (
        f"<section><h2>Most errors</h2><p>{_LEGEND}</p>\n{shown}\n</section>"
    )  # fmt: skip


def _utterance(row: Row, normalise: Callable[[str], str], sound: Sound, seconds: float) -> str:
    counts = row.words
    about = {"speaker": row.speaker, "language": row.language, **row.metadata}
    told = [
        f"{counts.errors} errors in {counts.reference} words",
        *(f"{name}: {value}" for name, value in about.items() if value),
    ]
    return (
        f"<article><h3><bdi>{text(row.id, 200)}</bdi></h3><p>{text(' · '.join(told))}</p>"
        f'{_player(row, sound, seconds)}<p class="words" dir="auto">'
        f"{' '.join(compared(normalise(row.reference), normalise(row.hypothesis)))}</p>"
        "<details><summary>As written</summary><dl class=\"texts\">"
        f'<dt>reference</dt><dd dir="auto">{text(row.reference)}</dd>'
        f'<dt>heard</dt><dd dir="auto">{text(row.hypothesis)}</dd></dl></details></article>'
    )  # fmt: skip


def compared(reference: str, hypothesis: str) -> Iterator[str]:
    """The words of both texts in order of their alignment, as HTML; errors are named, not only
    coloured. At most MAX_WORDS of them."""
    left, right = reference.split(), hypothesis.split()
    for index, step in enumerate(align(left, right)):
        if index == MAX_WORDS:
            yield '<span class="mark">… and more</span>'
            return
        was = "" if step.reference is None else text(left[step.reference], 200)
        is_now = "" if step.hypothesis is None else text(right[step.hypothesis], 200)
        if step.kind == "hit":
            yield f"<bdi>{was}</bdi>"
        elif step.kind == "substitution":
            yield _edit(step.kind, f'<del>{was}</del><span class="aside"> by </span>'
                        f"<ins>{is_now}</ins>")  # fmt: skip
        elif step.kind == "deletion":
            yield _edit(step.kind, f"<del>{was}</del>")
        else:
            yield _edit(step.kind, f"<ins>{is_now}</ins>")


def _edit(kind: str, words: str) -> str:
    letter = kind[0].upper()
    return (
        f'<span class="edit {kind}"><span class="mark" aria-hidden="true">{letter}</span>'
        f'<span class="aside">{kind}: </span>{words}</span>'
    )


def _player(row: Row, sound: Sound, seconds: float) -> str:
    """A player, or a line that says why there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what was wrong was told when it was recognised
            source = sound(row)
            if source is None:
                return "<p>its sound is not here</p>"
            content, cut = _encoded(source, seconds)
    except (AuralError, OSError) as error:
        return f"<p>its sound can't be played: {text(error, 300)}</p>"
    note = f" <small>the first {seconds:g} s</small>" if cut else ""
    return (
        f'<p><audio controls preload="none" aria-label="{text(row.id, 200)}" '
        f'src="{data_uri(content, "audio/mpeg")}"></audio>{note}</p>'
    )


def _encoded(source: Source, seconds: float) -> tuple[bytes, bool]:
    """The first seconds of a sound as mp3, and whether there was more."""
    sound: Any = stream(source, sample_rate=SAMPLE_RATE, block_seconds=seconds)
    with closing(sound) as blocks:
        samples = next(blocks)
        cut = next(blocks, None) is not None
    target = io.BytesIO()
    write(target, Audio(samples, SAMPLE_RATE), format="mp3", bit_rate=BIT_RATE)
    return target.getvalue(), cut


_LEGEND = (
    "Words after normalisation, as they were counted: "
    + _edit("substitution", '<del>said</del><span class="aside"> by </span><ins>heard</ins>')
    + " substituted, "
    + _edit("deletion", "<del>said</del>")
    + " deleted, "
    + _edit("insertion", "<ins>heard</ins>")
    + " inserted."
)

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --edit: #b3261e; --heard: #00538a; --bar: #0072b2;
  --card: #8881; font: 16px/1.5 system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { :root { --edit: #ff9d8f; --heard: #8ecbff; --bar: #56b4e9; } }
body { max-width: 64rem; margin: 0 auto; padding: 1rem 1.25rem 4rem; }
h1 { font-size: 1.6rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .6rem;
  margin: 0; }
dl div { background: var(--card); border-radius: .4rem; padding: .5rem .75rem; }
dt { font-size: .85rem; opacity: .8; }
dd { margin: 0; font-size: 1.1rem; font-variant-numeric: tabular-nums; }
dl.texts { display: block; }
dl.texts dd { font-size: 1rem; margin-bottom: .5rem; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: start; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; max-width: 32rem; overflow-wrap: anywhere; }
tbody th { font-weight: 500; }
figure { margin: 0; }
svg { width: 100%; max-width: 44rem; height: auto; }
rect { fill: var(--bar); }
svg text { fill: currentColor; font-size: 13px; text-anchor: middle; }
article { border: 1px solid var(--line); border-radius: .4rem; padding: .8rem 1rem;
  margin: .8rem 0; }
article p { margin: .4rem 0; overflow-wrap: anywhere; }
audio { width: min(100%, 28rem); height: 2.4rem; vertical-align: middle; }
.words { line-height: 2; }
.edit { border: 1px solid var(--line); border-radius: .3rem; padding: .1rem .35rem;
  white-space: nowrap; }
.mark { font-weight: 700; font-size: .75rem; margin-inline-end: .35rem; }
del { color: var(--edit); text-decoration: line-through; }
ins { color: var(--heard); text-decoration: underline; }
del + .aside + ins { margin-inline-start: .35rem; }
.aside { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
"""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<h1>$title</h1>
$summary
$parts
</main>
</body>
</html>
""")
