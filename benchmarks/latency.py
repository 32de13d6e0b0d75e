"""Error against latency: streaming CTC and a transducer in chunks, and Whisper on a growing window.

    python benchmarks/latency.py [--utterances 60]

The streaming networks are those of benchmarks/recipes.py, each one network for all of its chunks
and look-aheads, on strings of digits by two voices that nobody trained on (data/corpora/
digit_strings.py); beside each stand the same chunks computed at once, whose texts have to be the
same. Whisper hears a window that grows, and words are final when two hypotheses agree; it writes
digits as figures, so it hears telephone prompts (asterisk-en) instead, and its errors do not
compare with theirs. Delays count sound, not computing, but for the clock.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from machine import RESULTS, write_result
from recipes import FOLDER

from aural.data.corpora import read_corpus
from aural.data.examples import duration_of
from aural.data.utterance import Utterance
from aural.evaluate.latency import Latency, LatencyRow, Setting, evaluate_latency

VOICES = ("theo", "yweweler")
NETWORKS = {"transducer": "digits-transducer", "CTC": "digits-ctc-chunks"}
CHUNKS = (0.16, 0.32, 0.64, 1.28)
LOOK_AHEADS = (0.0, 0.16, 0.32)
NORMALISER = "whisper-basic"
WHISPER = ("whisper/tiny.en", "whisper/base")
STEPS = (0.5, 1.0, 2.0)
PROMPTS, PROMPT_SECONDS = 12, (4.0, 10.0)
"""So many of the first prompts that last so long."""
PICTURE = Path(__file__).resolve().parents[1] / "docs" / "results" / "latency"
Row = Mapping[str, Any]


def settings() -> dict[str, list[Setting]]:
    """Ways to listen by the name of their line."""
    made: dict[str, list[Setting]] = {}
    for name, run in NETWORKS.items():
        model = f"transducer@{FOLDER / run / 'model'}"
        for ahead in LOOK_AHEADS:
            made[f"{name}, look-ahead {ahead:g} s"] = [
                Setting(
                    model,
                    chunk_seconds=chunk,
                    look_ahead_seconds=ahead,
                    endpoint="blank",
                    threads=1,
                )
                for chunk in CHUNKS
            ]
    for model in WHISPER:
        made[f"{model}, growing window"] = [
            Setting(model, "agreement", language="en", step_seconds=step, threads=1)
            for step in STEPS
        ]
    return made


def spoken(count: int) -> list[Utterance]:
    """As many utterances of each voice, the first ones."""
    known = read_corpus("digit-strings")
    return [
        each
        for voice in VOICES
        for each in [one for one in known if one.speaker == voice][: count // len(VOICES)]
    ]


def prompts() -> list[Utterance]:
    """Those that Whisper hears."""
    least, most = PROMPT_SECONDS
    known = read_corpus("asterisk-en")
    return [each for each in known if least <= duration_of(each) <= most][:PROMPTS]


def measured(name: str, setting: Setting, utterances: Sequence[Utterance]) -> dict[str, Any]:
    """One setting's row, with the same chunks at once where it is made of chunks."""
    row = evaluate_latency(utterances, [setting], normaliser=NORMALISER)[0]
    assert row.latency is not None
    found = {
        "name": name,
        "method": setting.method,
        "errors": row.errors.errors,
        "words": row.errors.reference,
        "latency": delays(row.latency),
    }
    if setting.mode == "chunkwise":
        at_once: LatencyRow = evaluate_latency(
            utterances, [replace(setting, mode="simulated")], normaliser=NORMALISER
        )[0]
        found["at_once"] = at_once.errors.errors
    else:
        offline = replace(setting, mode="offline")
        found["offline"] = evaluate_latency(utterances, [offline], normaliser=NORMALISER)[
            0
        ].errors.errors
    return found


def delays(latency: Latency) -> dict[str, Any]:
    """Plain numbers."""
    kept = {key: value for key, value in asdict(latency).items() if isinstance(value, dict)}
    return {
        **kept,
        "rewrite_rate": latency.rewrite_rate,
        "real_time_factor": latency.real_time_factor,
    }


def page(result: Mapping[str, Any]) -> str:
    """A table, and the picture."""
    from report import table

    rows = [
        [
            row["name"],
            row["method"],
            f"{100 * row['errors'] / row['words']:.1f}",
            f"{100 * row.get('at_once', row.get('offline')) / row['words']:.1f}"
            + (" at once" if "at_once" in row else " offline"),
            both(row["latency"]["first_word"]),
            both(row["latency"]["final"]),
            both(row["latency"]["clock_final"]),
            f"{row['latency']['rewrite_rate']:.2f}",
            f"{row['latency']['real_time_factor']:.2f}",
        ]
        for row in result["rows"]
    ]
    same = [row for row in result["rows"] if "at_once" in row]
    differ = sum(row["errors"] != row["at_once"] for row in same)
    header = (
        "system | setting | WER % | beside it | first word, s | final, s | final by the clock, s | "
        "rewrites a word | computing a second"
    )
    parts = [
        f"{result['utterances']} strings of digits, {result['words']} words, by "
        f"{' and '.join(VOICES)}, for the networks in chunks; {PROMPTS} prompts of one voice for "
        "Whisper, so that its errors do not compare with theirs. One thread. Delays are p50 / p95: "
        "of the first word from its beginning until it was shown, of all words from their end "
        "until they were final. "
        "`at once`: the same chunks over the whole utterance; `offline`: the whole recording, "
        "padded as the model likes it.",
        "What the networks in chunks have learned from is in [recipes](recipes.md).",
        table(header, rows),
        f"Of {len(same)} settings in chunks {len(same) - differ} have as many errors at once as in "
        "the stream.",
        "![Error against the delay at which 95 % of the words are final](latency.png)",
    ]
    return "\n\n".join(parts)


def both(delay: Mapping[str, float]) -> str:
    """p50 / p95."""
    return f"{delay['p50']:.2f} / {delay['p95']:.2f}"


def draw(rows: Sequence[Row]) -> None:
    """Error against the 95th percentile of finality, a line a system."""
    from aural.plot.canvas import save
    from aural.plot.points import Series, error_curve

    names = dict.fromkeys(row["name"] for row in rows)
    lines = []
    for name in names:
        points = sorted(
            (row["latency"]["final"]["p95"], row["errors"] / row["words"])
            for row in rows
            if row["name"] == name
        )
        lines.append(Series(name, *zip(*points, strict=True)))
    figure = error_curve(lines, x_label="seconds until 95 % of the words are final")
    for ending in (".png", ".svg"):
        save(figure, PICTURE.with_suffix(ending))


def main() -> None:
    """Listen, under every setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--utterances", type=int, default=60)
    told = parser.parse_args()
    torch.set_num_threads(1)
    utterances = spoken(told.utterances)
    rows = []
    for name, line in settings().items():
        heard = prompts() if line[0].mode == "agreement" else utterances
        for setting in line:
            rows.append(measured(name, setting, heard))
            print(rows[-1]["name"], rows[-1]["method"], rows[-1]["errors"], rows[-1]["latency"])
    result = {
        "utterances": len(utterances),
        "words": rows[0]["words"],
        "rows": rows,
    }
    write_result(result, RESULTS / "latency.json")
    draw(rows)


if __name__ == "__main__":
    main()
