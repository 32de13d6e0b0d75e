"""Writes docs/results/ and the results block of README.md from results/*.json.

    scripts/bench report

scripts/bench runs it after every benchmark.

A benchmark that PAGES does not name has page(result) -> str in its own file.
"""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import install

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES_FOLDER = ROOT / "docs" / "results"
README = ROOT / "README.md"
OPENING, CLOSING = "<!-- results -->", "<!-- /results -->"
ORDER = (
    "accuracy",
    "invented_words",
    "transcribe",
    "install",
    "startup",
    "long_file",
    "decode",
    "conditions",
    "batching",
    "feature_equality",
    "features",
    "augment",
    "embed",
    "recipes",
    "speech_llm",
    "fusion",
    "latency",
    "ctc_beam",
    "align",
    "train",
)
Result = Mapping[str, Any]

TITLES = {
    "accuracy": "Accuracy beside faster-whisper",
    "invented_words": "Words invented where nobody speaks",
    "transcribe": "Speed, memory and errors of transcription",
    "install": "From a fresh clone to a transcript",
    "startup": "From the start of a process to its first word",
    "long_file": "A file of three hours",
    "decode": "Decoding a long file to 16 kHz",
    "conditions": "Error against noise, room, bandwidth, codec and level",
    "batching": "What recognising several windows at once gains",
    "feature_equality": "Features beside their references",
    "features": "Speed of features",
    "augment": "Speed of augmentation",
    "embed": "What the layers of an encoder know",
    "recipes": "What the recipes learn",
    "speech_llm": "What a projector learns between an encoder and a language model",
    "fusion": "What a language model adds to CTC",
    "latency": "Error against latency",
    "ctc_beam": "CTC beam search beside flashlight-text",
    "align": "CTC forced alignment beside ctc-segmentation and ctc-forced-aligner",
    "train": "Training beside transformers' Trainer",
}
INTRODUCTION = """\
# Results

Made by `scripts/bench report` from `benchmarks/results/`; don't edit these pages. Every figure was
measured by the command above its table, on the machine named there, unless the text between says
by which earlier one. Systems that are compared took turns on the same sound; a time is the median
of its runs with the least and the most in brackets, and the interval of a ratio (95 %) is drawn
from the rounds. More in [benchmarks](../../benchmarks/README.md).
"""
INDEX = "README.md"


def table(header: str, rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [f"| {header} |", "|" + "---|" * (header.count("|") + 1)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median [least, most]."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def times(ratio: Mapping[str, float]) -> str:
    """A ratio with its interval."""
    return f"{ratio['value']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"


def megabytes(peaks: Sequence[int]) -> str:
    """The median of peaks in bytes."""
    return f"{statistics.median(peaks) / 1e6:.0f}"


def difference(found: Mapping[str, Any] | None) -> str:
    """aural's error rate minus a peer's, in points with its interval."""
    if found is None:
        return ""
    interval = found["interval"]
    return (
        f"{100 * found['value']:+.2f} ({100 * interval['low']:+.2f} to "
        f"{100 * interval['high']:+.2f})"
    )


def transcribe_page(result: Result) -> str:
    """One table a recording and beam."""
    parts = [
        f"whisper/base, the same weights for all, {result['threads']} threads, language given. "
        "aural and faster-whisper compute in int8, transformers in float32. Time is that of a "
        "recording with the model loaded; memory is the peak of the whole process. aural gives "
        "word times in that. It searches with the beam where greedy search was in doubt; where it "
        "is said to be always searching, everywhere, as the others do."
    ]
    for row in result["rows"]:
        systems = row["systems"]
        runs = len(systems["aural"]["seconds"])
        parts.append(
            f"**{row['recording']}, beam {row['beam']}**: {row['seconds']:.0f} s of recording, "
            f"{row['speech_share']:.0%} of it speech; {runs} runs each; faster-whisper's best "
            f"batch size of 4, 8 and 16 here is {row['batch_size']}."
        )
        rows = [
            [
                name,
                spread(system["seconds"]),
                f"{row['seconds'] / statistics.median(system['seconds']):.0f}",
                times(system["times_aural"]) if "times_aural" in system else "1",
                megabytes(system["peak_bytes"]),
                f"{statistics.median(system['process_seconds']):.1f}",
                f"{100 * system['errors'] / system['words']:.2f}",
                difference(system.get("wer_of_aural_minus_this")),
            ]
            for name, system in systems.items()
        ]
        parts.append(
            table(
                "system | seconds | x real time | aural is faster by | peak MB | whole process, s "
                "| WER % | WER of aural minus this, points",
                rows,
            )
        )
    named = {
        package: version
        for row in result["rows"]
        for system in row["systems"].values()
        for package, version in system["versions"].items()
    }
    parts.append("Versions: " + ", ".join(f"{name} {named[name]}" for name in sorted(named)) + ".")
    return "\n\n".join(parts)


def startup_page(result: Result) -> str:
    """One row a way to start."""
    rows = [
        [name, spread(system["first_word"]), spread(system["whole"])]
        for name, system in result["systems"].items()
    ]
    runs = len(next(iter(result["systems"].values()))["whole"])
    return "\n\n".join(
        [
            f"`{result['clip']}` (5.3 s), whisper/base in int8 on disk, {runs} runs each. The "
            f"first word of `aural transcribe` is out {times(result['times_aural'])} times as soon "
            "as faster-whisper's.",
            table("what is run | first word, s | end of the process, s", rows),
        ]
    )


def long_file_page(result: Result) -> str:
    """One row a format and length."""
    rows = [
        [
            row["format"],
            f"{run['audio_seconds'] / 60:.0f}",
            f"{run['seconds']:.1f}",
            f"{run['peak_bytes'] / 1e6:.0f}",
            f"{row['memory_ratio']:.2f}" if name == "long" else "1",
            f"{run['first_segment']:.1f}",
            f"{run['first_read']:.0%}",
        ]
        for row in result["rows"]
        for name, run in ((name, row[name]) for name in ("short", "long"))
    ]
    header = (
        "format | minutes | seconds | peak MB | of ten minutes' | first segment after, s "
        "| file read by then"
    )
    return f"aural, whisper/base in int8, beam {result['beam']}, one run each.\n\n" + table(
        header, rows
    )


def decode_page(result: Result) -> str:
    """One row a format and system."""
    rows = []
    for kind, systems in result["formats"].items():
        ours = statistics.median(systems["aural"]["seconds"])
        for name, system in systems.items():
            middle = statistics.median(system["seconds"])
            peak, short = (statistics.median(system[k]) for k in ("peak_mb", "short_peak_mb"))
            speed, ratio = result["hours"] * 3600 / middle, middle / ours
            cells = (f"{speed:.0f}", f"{ratio:.2f}", f"{short:.0f}", f"{peak:.0f}")
            rows.append([kind, name, spread(system["seconds"]), *cells])
    header = (
        f"format | system | seconds for {result['hours']:g} h | x real time | aural is faster by "
        f"| peak MiB, ten minutes | peak MiB, {result['hours']:g} h"
    )
    return table(header, rows)


PAGES: dict[str, Callable[[Result], str]] = {
    "transcribe": transcribe_page,
    "startup": startup_page,
    "long_file": long_file_page,
    "decode": decode_page,
}


def results() -> dict[str, Result]:
    """What was measured, by the benchmark's name, in the order of the page."""
    found = {path.stem: json.loads(path.read_text("utf-8")) for path in RESULTS.glob("*.json")}
    known = [name for name in ORDER if name in found]
    return {name: found[name] for name in [*known, *sorted(set(found) - set(known))]}


def section(name: str, result: Result) -> str:
    """A benchmark's page."""
    page = PAGES.get(name) or import_module(name).page
    machine = result["machine"]
    facts = ("processor", "cores", "memory", "system")
    where = ", ".join(
        f"{machine[fact]} cores" if fact == "cores" else machine[fact] for fact in facts
    )
    about = f"`{result['command']}` on {where}, Python {machine['python']}, {result['date']}."
    return f"# {title_of(name)}\n\n{about}\n\n{page(result)}\n"


def title_of(name: str) -> str:
    """A benchmark's heading."""
    return TITLES.get(name, name.replace("_", " ").capitalize())


def pages(found: Mapping[str, Result]) -> dict[str, str]:
    """File name -> text of everything in docs/results that is made here."""
    links = "".join(f"- [{title_of(name)}]({name}.md)\n" for name in found)
    made = {f"{name}.md": section(name, result) for name, result in found.items()}
    return {INDEX: f"{INTRODUCTION}\n{links}", **made}


def summary(found: Mapping[str, Result]) -> str:
    """The README's table: one line a claim, of what has been measured."""
    rows: list[list[str]] = []
    for row in found.get("transcribe", {}).get("rows", ()):
        rows += _transcription_lines(row)
    if "install" in found:
        rows += _install_lines(found["install"])
    if "startup" in found:
        started = found["startup"]
        first = statistics.median(started["systems"]["aural transcribe"]["first_word"])
        ratio = times(started["times_aural"])
        rows.append(
            ["start to first word, clip of 5 s", f"{first:.2f} s", f"{ratio} times as soon"]
        )
    for row in found.get("long_file", {}).get("rows", ()):
        hours = f"{found['long_file']['hours']:g} h of {row['format']}"
        peak = f"{row['long']['peak_bytes'] / 1e6:.0f} MB"
        long = row["long"]
        soon = f"first segment after {long['first_segment']:.0f} of {long['seconds']:.0f} s"
        ratio = f"{row['memory_ratio']:.2f} x that of ten minutes; {soon}"
        rows.append([f"{hours}: peak memory", peak, ratio])
    if "features" in found:
        rows.append(_log_mel_line(found["features"]))
    return table("measured | aural | beside", rows) if rows else ""


def _log_mel_line(result: Result) -> list[str]:
    task = "log-mel 80, Whisper's"
    ours = statistics.median(result["threads"]["1"][task]["aural"])
    ratios = result["times_aural"]["1"][task]
    peers = ", ".join(
        f"{name} {ratios[name]['value']:.1f} x as long"
        for name in ("librosa", "kaldi-native-fbank (Kaldi's)")
    )
    return [f"log-mel of {result['audio_seconds'] / 60:g} minutes", f"{ours:.2f} s", peers]


def _install_lines(result: Result) -> list[list[str]]:
    runs = result["runs"]
    first, then = (f"{runs[name]['seconds']:.0f} s" for name in ("first", "second"))
    alone = "without a network too" if install.worked(runs["offline"]) else "**not** offline"
    torch = "with" if result["torch"] else "without"
    disk = f"`.venv` {torch} torch {result['venv_bytes'] / 1e6:.0f} MB"
    weights = f"weights {result['weights_bytes'] / 1e6:.0f} MB"
    lines = [
        ["fresh clone, nothing cached, to a transcript", first, f"then {then}, {alone}"],
        ["disk after that", f"{disk}, {weights}", ""],
    ]
    if tested := result.get("tests"):
        minutes = f"{tested['seconds'] / 60:.0f} min"
        size = f"`.venv` with torch and peers {tested['venv_bytes'] / 1e6:.0f} MB"
        lines.append(["`./scripts/test` in a fresh clone", minutes, size])
    return lines


def _transcription_lines(row: Mapping[str, Any]) -> list[list[str]]:
    systems = row["systems"]
    ours = systems["aural"]
    peers = {name: each for name, each in systems.items() if name.startswith("faster-whisper")}
    if not peers:
        return []
    best = min(peers, key=lambda name: statistics.median(peers[name]["seconds"]))
    peer = peers[best]
    what = (
        f"{row['seconds'] / 60:.0f} minutes, {row['speech_share']:.0%} speech, beam {row['beam']}"
    )
    seconds = f"{statistics.median(ours['seconds']):.1f} s"
    mine, theirs = (
        f"{megabytes(each['peak_bytes'])} MB, WER {100 * each['errors'] / each['words']:.1f} %"
        for each in (ours, peer)
    )
    ratio = times(peer["times_aural"])
    return [[what, f"{seconds}, {mine}", f"{best}: {ratio} times as long, {theirs}"]]


def with_block(text: str, block: str) -> str:
    """text with block between the two markers; ValueError where they are missing."""
    before, opening, rest = text.partition(OPENING)
    _, closing, after = rest.partition(CLOSING)
    if not (opening and closing):
        raise ValueError(f"no {OPENING} ... {CLOSING}")
    return f"{before}{OPENING}\n{block}\n{CLOSING}{after}" if block else text


def main() -> None:
    """Write both."""
    found = results()
    PAGES_FOLDER.mkdir(exist_ok=True)
    for name, text in pages(found).items():
        (PAGES_FOLDER / name).write_text(text, "utf-8")
    README.write_text(with_block(README.read_text("utf-8"), summary(found)), "utf-8")


if __name__ == "__main__":
    main()
