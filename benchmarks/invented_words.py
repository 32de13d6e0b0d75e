"""Words written where nobody speaks, and what keeping them out costs where somebody does.

    python benchmarks/invented_words.py [--parts words,deletions] [--prompts 60] [--threads 2]

Words: every kind of sound of noises.py, at least five minutes of each in either half, through
`aural.transcribe` and through faster-whisper with its speech filter, both as they come (the
language identified). Crowds, voices, songs and a game's noises with voices among them are counted
apart: there a word may be right.

Deletions: English prompts with pauses of 0.5 to 2 s, all equally loud, with noise so many dB under
the speech while it is spoken; how many words are missed with the speech filter at the same
thresholds and without it, paired by prompt. Writes results/invented_words.json.
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
from noises import APART, GENERATED, KINDS, MIN_SECONDS, RATE, Half, recording, sounds

from aural import models
from aural.evaluate.machine import describe_machine
from aural.metrics.bootstrap import paired_difference
from aural.metrics.wer import align
from aural.tasks.transcribe import transcribe
from aural.text.normalise import normaliser
from aural.types import Audio

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aural.data.utterance import Utterance

RESULTS = Path(__file__).parent / "results" / "invented_words.json"
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


def measure_words(kinds: Sequence[str], threads: int) -> dict[str, Any]:
    """By kind and half: seconds, the words of both systems and what they wrote."""
    weights = models.locate(models.find(MODEL))
    result: dict[str, Any] = {}
    for kind in kinds:
        result[kind] = {"apart": kind in APART}
        recordings = {half: recording(kind, half) for half in HALVES}
        modes = {"peer": {"vad_filter": True}}
        theirs = faster_whisper(recordings, weights, None, modes=modes, threads=threads)["peer"]
        for half, samples in recordings.items():
            row: dict[str, Any] = {"seconds": round(samples.size / RATE)}
            for system, heard in (("aural", hear(samples, threads)), ("peer", theirs[half])):
                row[system] = {"words": words_in(heard), "segments": heard.segments}
            result[kind][half] = row
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


def tables(report: Mapping[str, Any]) -> str:
    """Both parts as markdown."""
    lines = ["| sound | half | seconds | words, aural | words, peer |", "|---|---|---|---|---|"]
    for kind, result in sorted(report["words"].items(), key=lambda pair: pair[1]["apart"]):
        for half in HALVES:
            row = result[half]
            name = f"{kind} (apart)" if result["apart"] else kind
            counts = f"{row['aural']['words']} | {row['peer']['words']}"
            lines.append(f"| {name} | {half} | {row['seconds']} | {counts} |")
    head = "| half | noise | ratio | words | missed without filter, % | with it | difference |"
    lines += ["", head, "|---|---|---|---|---|---|---|"]
    lines += [deletion_line(row) for row in report["deletions"]]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write; parts that were not asked for keep their last result."""
    parser = argparse.ArgumentParser(description="words where nobody speaks")
    parser.add_argument("--parts", default="words,deletions")
    parser.add_argument("--kinds", help="only these, with commas between")
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    report: dict[str, Any] = {"words": {}, "deletions": []}
    if given.output.is_file():
        report |= json.loads(given.output.read_text(encoding="utf-8"))
    everything = (*GENERATED, *KINDS, *APART)
    if "words" in given.parts.split(","):
        kinds = given.kinds.split(",") if given.kinds else everything
        report["words"] |= measure_words(kinds, given.threads)
    if "deletions" in given.parts.split(","):
        report["deletions"] = [
            row for half in HALVES for row in measure_deletions(half, given.prompts, given.threads)
        ]
    report |= {
        "what": f"{MODEL}, int8; words in at least {MIN_SECONDS} s a kind and half",
        "peer": versions_of("faster_whisper", ("faster-whisper", "ctranslate2")),
        "machine": describe_machine(),
    }
    given.output.parent.mkdir(exist_ok=True)
    given.output.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(tables(report))
    wrong = sum(
        r[h]["aural"]["words"] for r in report["words"].values() for h in HALVES if not r["apart"]
    )
    print(f"\nwords where nobody speaks: {wrong}")
    if report["deletions"]:
        worst = max(row["difference"] for row in report["deletions"])
        print(f"most the filter adds to words missed: {100 * worst:+.2f} of {100 * ALLOWED:+.1f}")


if __name__ == "__main__":
    main()
