"""Words written where nobody speaks, and what keeping them out costs where somebody does.

    scripts/bench invented_words [--parts words,deletions] [--kinds silence,rock] [--prompts 60]

Words: every kind of sound of noises.py, at least five minutes of each in either half, through
`aural.transcribe` and through faster-whisper with its speech filter, both as they come (the
language identified). Crowds, voices, songs and a game's noises with voices among them are counted
apart: there a word may be right.

Deletions: English prompts with pauses of 0.5 to 2 s, all equally loud, with noise so many dB under
the speech while it is spoken; how many words are missed with the speech filter at the same
thresholds and without it, paired by prompt. Writes results/invented_words.json; kinds and parts
that were not asked for keep their last result there.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from accuracy import MODEL, chosen, is_dev, samples_of
from heard import Heard, faster_whisper, versions_of
from machine import measured, measured_earlier, write_result
from noises import APART, GENERATED, KINDS, MIN_SECONDS, RATE, Half, recording, sounds

from aural import models
from aural.metrics.bootstrap import paired_difference
from aural.metrics.wer import align
from aural.tasks.transcribe import transcribe
from aural.text.normalise import normaliser
from aural.types import Audio

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aural.data.utterance import Utterance

RESULTS = Path(__file__).parent / "results" / "invented_words.json"
PARTS = ("words", "deletions")
EVERYTHING = (*GENERATED, *KINDS, *APART)
HALVES: tuple[Half, ...] = ("dev", "test")
LOUDNESS = 0.05
MASKERS = ("white", "rock", "hold music", "places", "crowds")
RATIOS = (20, 10, 5, 0)
ALLOWED = 0.01
"""The most that the speech filter may add to the share of words missed."""


def hear(samples: np.ndarray, threads: int, **options: Any) -> Heard:
    """aural on one recording."""
    found = transcribe(Audio(samples, RATE), model=MODEL, threads=threads, **options)
    segments = tuple((each.start, each.end, each.text) for each in found.segments)
    return Heard(found.text, found.language, segments)


def words_in(heard: Heard) -> int:
    """Words, brackets and what stands in them left out."""
    return len(normaliser("whisper-basic")(heard.text).split())


def measure_words(kind: str, threads: int) -> dict[str, Any]:
    """By half: seconds, the words of both systems and what they wrote."""
    weights = models.locate(models.find(MODEL))
    result: dict[str, Any] = {"apart": kind in APART}
    recordings = {half: recording(kind, half) for half in HALVES}
    modes = {"peer": {"vad_filter": True}}
    theirs = faster_whisper(recordings, weights, None, modes=modes, threads=threads)["peer"]
    for half, samples in recordings.items():
        row: dict[str, Any] = {"seconds": round(samples.size / RATE)}
        for system, heard in (("aural", hear(samples, threads)), ("peer", theirs[half])):
            row[system] = {"words": words_in(heard), "segments": heard.segments}
        result[half] = row
        counts = {system: row[system]["words"] for system in ("aural", "peer")}
        print(f"{kind}, {half}: {row['seconds']} s, words {counts}", flush=True)
    return result


def spoken(half: Half, prompts: int) -> tuple[list[Utterance], np.ndarray]:
    """Prompts of a half in an order drawn once, and their recording: float32, 16 kHz."""
    found = [
        u for u in chosen("asterisk-en") if is_dev(u) == (half == "dev") and " " in u.text.strip()
    ]
    rng = np.random.default_rng(0)
    drawn = [found[i] for i in rng.permutation(len(found))[:prompts]]
    parts = []
    for samples in samples_of(drawn).values():
        frames = samples[: samples.size // 160 * 160].reshape(-1, 160)
        power = (frames**2).mean(axis=1)
        active = power[power > np.quantile(power, 0.95) * 10**-3.5]
        pause = np.zeros(round(rng.uniform(0.5, 2) * RATE))
        parts += [pause, samples * (LOUDNESS / np.sqrt(active.mean()))]
    return drawn, np.concatenate(parts).astype(np.float32)


def masker(kind: str, half: Half, size: int) -> np.ndarray:
    """The sounds of a kind, all as loud as the speech, repeated to size."""
    if kind == "white":
        return LOUDNESS * np.random.default_rng(1).standard_normal(size)
    clips = [clip for clip in sounds(kind, half) if clip.size > RATE // 2]
    return np.resize(
        np.concatenate([clip * (LOUDNESS / np.sqrt((clip**2).mean())) for clip in clips]), size
    )


def deletions(texts: Sequence[str], hypothesis: str) -> tuple[list[int], list[int]]:
    """Words missed and words said of each prompt, the whole aligned at once."""
    normalise = normaliser("whisper-english")
    said = [normalise(text).split() for text in texts]
    owner = [number for number, words in enumerate(said) for _ in words]
    missed = [0] * len(said)
    for step in align([word for words in said for word in words], normalise(hypothesis).split()):
        if step.kind == "deletion":
            assert step.reference is not None
            missed[owner[step.reference]] += 1
    return missed, [len(words) for words in said]


def measure_deletions(half: Half, prompts: int, threads: int) -> list[dict[str, Any]]:
    """One row a noise and ratio: the share missed with and without the filter, and the gap."""
    utterances, speech = spoken(half, prompts)
    texts = [u.text for u in utterances]
    rows = []
    conditions = [("none", None), *((kind, ratio) for kind in MASKERS for ratio in RATIOS)]
    pooled: dict[int | None, list[np.ndarray]] = {}
    for kind, ratio in conditions:
        mixed = speech
        if ratio is not None:
            mixed = speech + masker(kind, half, speech.size) * 10 ** (-ratio / 20)
        counted = [
            deletions(texts, hear(mixed.astype(np.float32), threads, language="en", **o).text)
            for o in ({"vad_filter": False}, {"vad_filter": True})
        ]
        (without, said), (filtered, _) = counted
        pooled.setdefault(ratio, []).append(np.array([without, filtered, said]))
        rows.append(_row(half, kind, ratio, np.array([without, filtered, said]), texts))
    for ratio, arrays in pooled.items():
        if len(arrays) > 1:
            rows.append(_row(half, "all", ratio, np.sum(arrays, axis=0), texts))
    return rows


def _row(
    half: Half, kind: str, ratio: int | None, counts: np.ndarray, texts: Sequence[str]
) -> dict[str, Any]:
    without, filtered, said = counts
    prompts = [str(i) for i in range(len(texts))]
    gap = paired_difference(without.tolist(), filtered.tolist(), said.tolist(), prompts)
    assert gap is not None
    row = {
        "half": half,
        "noise": kind,
        "ratio": ratio,
        "words": int(said.sum()),
        "missed_without_filter": without.sum() / said.sum(),
        "missed_with_filter": filtered.sum() / said.sum(),
        "difference": gap.value,
        "low": gap.interval.low,
        "high": gap.interval.high,
    }
    print(deletion_line(row), flush=True)
    return row


def deletion_line(row: Mapping[str, Any]) -> str:
    """A row of the table of deletions."""
    ratio = "" if row["ratio"] is None else f"{row['ratio']} dB"
    gap = f"{100 * row['difference']:+.2f} ({100 * row['low']:+.2f} to {100 * row['high']:+.2f})"
    with_filter, without = row["missed_with_filter"], row["missed_without_filter"]
    shares = f"{100 * without:.2f} | {100 * with_filter:.2f}"
    return f"| {row['half']} | {row['noise']} | {ratio} | {row['words']} | {shares} | {gap} |"


def words_table(words: Mapping[str, Any]) -> str:
    """Markdown: one row a kind and half, kinds apart last, and the sums of either sort."""
    lines = ["| sound | half | seconds | words, aural | words, peer |", "|---|---|---|---|---|"]
    for apart in (False, True):
        rows = {
            (kind, half): found[half]
            for kind, found in words.items()
            for half in HALVES
            if found["apart"] == apart
        }
        for (kind, half), row in rows.items():
            name = f"{kind} (apart)" if apart else kind
            lines.append(f"| {name} | {half} | {_counts(row['seconds'], [row])} |")
        if rows:
            name = "**all apart**" if apart else "**all where no word is right**"
            seconds = sum(row["seconds"] for row in rows.values())
            lines.append(f"| {name} | both | {_counts(seconds, list(rows.values()))} |")
    return "\n".join(lines)


def _counts(seconds: int, rows: Sequence[Mapping[str, Any]]) -> str:
    sums = [sum(row[system]["words"] for row in rows) for system in ("aural", "peer")]
    return f"{seconds} | {sums[0]} | {sums[1]}"


def deletions_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: one row a half, noise and ratio."""
    head = (
        "| half | noise | speech over noise | words | missed without filter, % | missed with it, % "
        "| difference, points |"
    )
    return "\n".join([head, "|---|---|---|---|---|---|---|", *map(deletion_line, rows)])


def page(result: Mapping[str, Any]) -> str:
    """The benchmark's part of docs/results."""
    peer_versions = ", ".join(f"{name} {version}" for name, version in result["peer"].items())
    parts = [
        f"{result['what']}. Beside {peer_versions}, with its speech filter.",
        measured_earlier(result),
    ]
    if result["words"]:
        parts += [
            "Words written where nobody speaks. Sounds marked apart hold human voices, or may: "
            "a word can be right there.",
            words_table(result["words"]),
        ]
    if result["deletions"]:
        parts += [
            "Words missed where somebody speaks, with aural's speech filter and without it.",
            deletions_table(result["deletions"]),
        ]
    return "\n\n".join(filter(None, parts))


def verdicts(report: Mapping[str, Any]) -> Iterator[str]:
    """A line for each part: what the aims are held against."""
    if report["words"]:
        wrong = sum(
            found[half]["aural"]["words"]
            for found in report["words"].values()
            for half in HALVES
            if not found["apart"]
        )
        yield f"words where nobody speaks: {wrong}"
    if report["deletions"]:
        worst = max(row["difference"] for row in report["deletions"])
        yield f"most the filter adds to words missed: {100 * worst:+.2f} of {100 * ALLOWED:+.1f}"


def write(
    report: Mapping[str, Any], now: Sequence[str], earlier: Mapping[str, Any], path: Path
) -> None:
    """Write the parts measured now, and those kept of an earlier result with its provenance."""
    words = {kind: report["words"][kind] for kind in EVERYTHING if kind in report["words"]}
    there = [*words, *(["deletions"] if report["deletions"] else [])]
    result = {
        "what": f"{MODEL}, int8; at least {MIN_SECONDS} s of sound a kind and half",
        "peer": versions_of("faster_whisper", ("faster-whisper", "ctranslate2")),
        "measured": measured(now, [part for part in there if part not in now], earlier),
        "words": words,
        "deletions": report["deletions"],
    }
    write_result(result, path)


def asked() -> argparse.Namespace:
    """The command line; kinds are none where the words were not asked for."""
    parser = argparse.ArgumentParser(description="words where nobody speaks")
    parser.add_argument("--parts", help=f"of {','.join(PARTS)}; with --kinds, words alone")
    parser.add_argument("--kinds", help="only these, with commas between")
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    parts = given.parts.split(",") if given.parts else ["words"] if given.kinds else PARTS
    kinds = given.kinds.split(",") if given.kinds else EVERYTHING
    for names, allowed in ((parts, PARTS), (kinds, EVERYTHING)):
        if unknown := set(names) - set(allowed):
            parser.error(f"{', '.join(sorted(unknown))}: allowed are {', '.join(allowed)}")
    given.parts, given.kinds = parts, kinds if "words" in parts else ()
    return given


def main() -> None:
    """Measure, print, write after each kind and part; what was not asked for is kept."""
    given = asked()
    earlier: dict[str, Any] = {"words": {}, "deletions": []}
    if given.output.is_file():
        earlier = json.loads(given.output.read_text(encoding="utf-8"))
    report = {part: earlier[part] for part in PARTS}
    now: list[str] = []
    for kind in given.kinds:
        now.append(kind)
        report["words"] = report["words"] | {kind: measure_words(kind, given.threads)}
        write(report, now, earlier, given.output)
    if "deletions" in given.parts:
        report["deletions"] = [
            row for half in HALVES for row in measure_deletions(half, given.prompts, given.threads)
        ]
        write(report, [*now, "deletions"], earlier, given.output)
    print(words_table(report["words"]), deletions_table(report["deletions"]), sep="\n\n")
    print("", *verdicts(report), sep="\n")


if __name__ == "__main__":
    main()
