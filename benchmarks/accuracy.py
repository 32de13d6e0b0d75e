"""Word and character error rates beside faster-whisper: the same weights, the same samples.

    scripts/bench accuracy [--sets asterisk-en,tuxpaint-fr,...] [--threads 2]

whisper/base in int8, beam 5, on every labelled corpus `aural data` knows that was not left out for
faults of its own. The corpora are fetched when they are not here. faster-whisper runs as it is,
each recording by itself (with its speech filter it errs more on recordings this short).
Differences are paired: the same recordings are drawn for both (aural.metrics.bootstrap). Every set
but English is cut to 100 recordings, by a hash of their names; recordings whose hash is even are
the half that anything may be tuned on ("dev"), the others are "test". Prints the tables and writes
results/accuracy.json. What is heard can be kept in a directory: the peer is then not asked again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heard import Heard, faster_whisper, versions_of
from machine import measured, measured_earlier, write_result

from aural import models
from aural.audio.read import read
from aural.data.corpora import labels, read_corpus
from aural.data.sound import sound_of
from aural.metrics.bootstrap import choose_clusters, paired_difference, ratio_interval
from aural.metrics.wer import character_errors, total, word_errors
from aural.tasks.transcribe import transcribe
from aural.text.normalise import normaliser
from aural.types import Audio

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from aural.data.utterance import Utterance
    from aural.metrics.wer import ErrorCounts

MODEL = "whisper/base"
RESULTS = Path(__file__).parent / "results" / "accuracy.json"
MOST = 100
WAYS: dict[str, dict[str, object]] = {"as it is": {}}
"""How faster-whisper's users run it on short recordings; beam 5 and fallback are its defaults. With
its speech filter it errs more on them."""
SETS = (
    "librivox",
    "asterisk-en",
    "asterisk-it",
    "tuxpaint-fr",
    "tuxpaint-ro",
    "tuxpaint-ru",
    "tuxpaint-bg",
    "fillets-cs",
    "fillets-nl",
)
LANGUAGES = ("given", "detected")
ALLOWED = 0.003
"""The most that aural's upper 95 % bound may exceed the peer's word error rate by, in English."""


@dataclass(frozen=True)
class Scored:
    """One recording's errors by one system."""

    words: ErrorCounts
    characters: ErrorCounts
    language_right: bool


def digest(name: str) -> int:
    """A number that hangs on the name alone."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16)


def is_dev(utterance: Utterance) -> bool:
    """Whether anything may be tuned on it."""
    return digest(utterance.id) % 2 == 0


def chosen(name: str) -> list[Utterance]:
    """The set's recordings with a sound reference; all that are English, else at most MOST."""
    found = [u for u in read_corpus(name) if u.metadata.get("reference") != "damaged"]
    if found[0].language == "en":
        return found
    return sorted(sorted(found, key=lambda u: digest("subset " + u.id))[:MOST], key=lambda u: u.id)


def samples_of(utterances: Sequence[Utterance]) -> dict[str, np.ndarray]:
    """float32 at 16 kHz, shape = (time,), by id: what both systems are given."""
    return {u.id: read(sound_of(u), sample_rate=16000).samples for u in utterances}


def aural(
    recordings: Mapping[str, np.ndarray], language: str | None, threads: int
) -> dict[str, Heard]:
    """What aural hears, several recordings at once."""
    models.load(MODEL, threads=threads)
    hear = partial(transcribe, model=MODEL, language=language, threads=threads)
    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(lambda samples: hear(Audio(samples, 16000)), recordings.values())
        return {
            name: Heard(
                each.text,
                each.language,
                tuple((segment.start, segment.end, segment.text) for segment in each.segments),
            )
            for name, each in zip(recordings, found, strict=True)
        }


def peer(
    recordings: Mapping[str, np.ndarray],
    language: str | None,
    ways: Mapping[str, Mapping[str, object]],
    threads: int,
    kept: Path | None,
) -> dict[str, dict[str, Heard]]:
    """What faster-whisper hears, way by way; taken from a file where it was kept there."""
    found = {}
    for way, options in ways.items():
        file = kept.with_name(f"{kept.name}.{way.replace(' ', '-')}.json") if kept else None
        if file is not None and file.is_file():
            stored = json.loads(file.read_text(encoding="utf-8"))
            found[way] = {name: Heard(**each) for name, each in stored.items()}
            continue
        weights = models.locate(models.find(MODEL))
        modes = {way: options}
        found |= faster_whisper(recordings, weights, language, modes=modes, threads=threads)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            plain = {name: asdict(each) for name, each in found[way].items()}
            file.write_text(json.dumps(plain), encoding="utf-8")
    return found


def score(utterances: Sequence[Utterance], heard: Mapping[str, Heard]) -> list[Scored]:
    """One an utterance; English under Whisper's English normaliser, the rest its basic one."""
    english = utterances[0].language == "en"
    normalise = normaliser("whisper-english" if english else "whisper-basic")
    scored = []
    for u in utterances:
        pair = normalise(u.text), normalise(heard[u.id].text)
        right = heard[u.id].language == u.language
        scored.append(Scored(word_errors(*pair), character_errors(*pair), right))
    return scored


def summary(utterances: Sequence[Utterance], scored: Sequence[Scored]) -> dict[str, Any]:
    """Rates with intervals, and how often the language was right."""
    clusters = choose_clusters([u.speaker for u in utterances], [u.id for u in utterances])
    out: dict[str, Any] = {"recordings": len(scored), "note": clusters.note}
    for measure, unit in (("wer", "words"), ("cer", "characters")):
        counts = [getattr(each, unit) for each in scored]
        whole = total(counts)
        interval = ratio_interval(
            [each.errors for each in counts], [each.reference for each in counts], clusters.labels
        )
        assert interval is not None
        out[measure] = asdict(whole) | {
            unit: whole.reference,
            "rate": whole.rate,
            "low": interval.low,
            "high": interval.high,
        }
    out["language_accuracy"] = sum(each.language_right for each in scored) / len(scored)
    return out


def paired(
    utterances: Sequence[Utterance], mine: Sequence[Scored], theirs: Sequence[Scored]
) -> dict[str, Any]:
    """aural's rates less the peer's: negative is better."""
    clusters = choose_clusters([u.speaker for u in utterances], [u.id for u in utterances])
    out = {}
    for measure, unit in (("wer", "words"), ("cer", "characters")):
        difference = paired_difference(
            [getattr(each, unit).errors for each in theirs],
            [getattr(each, unit).errors for each in mine],
            [getattr(each, unit).reference for each in mine],
            clusters.labels,
        )
        assert difference is not None
        interval = difference.interval
        out[measure] = {
            "difference": difference.value,
            "low": interval.low,
            "high": interval.high,
            "p": difference.p,
        }
    right = [sum(each.language_right for each in side) / len(side) for side in (mine, theirs)]
    out["language_accuracy"] = {"difference": right[0] - right[1]}
    return out


def measure(name: str, threads: int, keep: Path | None, languages: Sequence[str]) -> dict[str, Any]:
    """One set: with the language given and with it detected, in all and by half."""
    utterances = chosen(name)
    recordings = samples_of(utterances)
    halves = {
        "all": list(range(len(utterances))),
        "dev": [i for i, u in enumerate(utterances) if is_dev(u)],
        "test": [i for i, u in enumerate(utterances) if not is_dev(u)],
    }
    result: dict[str, Any] = {
        "language": utterances[0].language,
        "seconds": round(sum(each.size for each in recordings.values()) / 16000, 1),
        "subset": utterances[0].language != "en",
    }
    ways = WAYS
    for asked in languages:
        language = utterances[0].language if asked == "given" else None
        kept = keep / f"{name}.{asked}" if keep is not None else None
        heard = {"aural": aural(recordings, language, threads)}
        heard |= peer(recordings, language, ways, threads, kept)
        if kept is not None:
            write_hypotheses(kept.with_name(f"{kept.name}.jsonl"), utterances, heard)
        scored = {system: score(utterances, texts) for system, texts in heard.items()}
        best = min(ways, key=lambda way: total(each.words for each in scored[way]).errors)
        ways = {best: WAYS[best]}
        result[asked] = {"best_peer": best}
        for half, indices in halves.items():
            if len(indices) < 10 and half != "all":
                continue
            of = [utterances[i] for i in indices]
            part = {system: [each[i] for i in indices] for system, each in scored.items()}
            result[asked][half] = {
                "systems": {system: summary(of, each) for system, each in part.items()},
                "aural_less_best_peer": paired(of, part["aural"], part[best]),
            }
    return result


def write_hypotheses(
    path: Path, utterances: Sequence[Utterance], heard: Mapping[str, Mapping[str, Heard]]
) -> None:
    """One JSON line a recording: the reference and what each system heard."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as stream:
        for u in utterances:
            texts = {system: asdict(each[u.id]) for system, each in heard.items()}
            line = {"id": u.id, "text": u.text, "dev": is_dev(u)} | texts
            print(json.dumps(line, ensure_ascii=False), file=stream)


def percent(value: dict[str, Any], key: str = "rate") -> str:
    """A rate or difference in points with its interval."""
    sign = "+" if key == "difference" else ""
    low, high = 100 * value["low"], 100 * value["high"]
    return f"{100 * value[key]:{sign}.2f} ({low:{sign}.2f} to {high:{sign}.2f})"


def tables(results: Mapping[str, Any]) -> str:
    """Markdown: one row a set, language as asked and half."""
    lines = [
        "| set (recordings, words) | language | half | WER % aural | WER % peer | difference | "
        "CER % aural | CER % peer | difference | language right: aural, peer | peer's way |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        for asked in (each for each in LANGUAGES if each in result):
            best = result[asked]["best_peer"]
            for half in ("all", "dev", "test"):
                if half not in result[asked]:
                    continue
                part = result[asked][half]
                mine, theirs = part["systems"]["aural"], part["systems"][best]
                gap = part["aural_less_best_peer"]
                right = ", ".join(
                    f"{100 * each['language_accuracy']:.1f}" for each in (mine, theirs)
                )
                cells = [
                    f"{name} ({mine['recordings']}, {mine['wer']['words']})",
                    asked,
                    half,
                    percent(mine["wer"]),
                    percent(theirs["wer"]),
                    percent(gap["wer"], "difference"),
                    percent(mine["cer"]),
                    percent(theirs["cer"]),
                    percent(gap["cer"], "difference"),
                    right if asked == "detected" else "",
                    best,
                ]
                lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def page(result: Mapping[str, Any]) -> str:
    """The benchmark's part of docs/results."""
    peer_versions = ", ".join(f"{name} {version}" for name, version in result["peer"].items())
    what = f"{result['what']}. Beside {peer_versions}."
    return "\n\n".join(filter(None, [what, measured_earlier(result), tables(result["sets"])]))


def write(
    results: Mapping[str, Any], now: Sequence[str], earlier: Mapping[str, Any], path: Path
) -> None:
    """Write the sets measured now, and those kept of an earlier result with its provenance."""
    names = [name for name in SETS if name in results]
    report = {
        "what": f"{MODEL}, int8, beam 5; rates of errors, differences aural less peer, 95 %",
        "peer": versions_of("faster_whisper", ("faster-whisper", "ctranslate2")),
        "normalisers": {
            each: normaliser(each).fingerprint for each in ("whisper-english", "whisper-basic")
        },
        "measured": measured(now, [name for name in names if name not in now], earlier),
        "sets": {name: results[name] for name in names},
    }
    write_result(report, path)


def main() -> None:
    """Measure, print, write; sets that were not asked for keep their last result."""
    parser = argparse.ArgumentParser(description="accuracy beside faster-whisper")
    parser.add_argument("--sets", default=",".join(name for name in SETS if name in labels()))
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--hypotheses", type=Path, help="directory to keep what was heard in")
    parser.add_argument("--languages", default=",".join(LANGUAGES))
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    earlier: dict[str, Any] = {"sets": {}}
    if given.output.is_file():
        earlier = json.loads(given.output.read_text(encoding="utf-8"))
    results = dict(earlier["sets"])
    sets = given.sets.split(",")
    for count, name in enumerate(sets, 1):
        languages = given.languages.split(",")
        results[name] = measure(name, given.threads, given.hypotheses, languages)
        print(tables({name: results[name]}), flush=True)
        write(results, sets[:count], earlier, given.output)
    print(tables(results))
    if "given" in results.get("asterisk-en", {}):
        upper = results["asterisk-en"]["given"]["all"]["aural_less_best_peer"]["wer"]["high"]
        verdict = "holds" if upper <= ALLOWED else "does not hold"
        print(f"\nupper bound in English {100 * upper:+.2f} of {100 * ALLOWED:+.1f}: {verdict}")


if __name__ == "__main__":
    main()
