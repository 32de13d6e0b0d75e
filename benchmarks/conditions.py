"""Word error rate against noise, room, bandwidth, codec and level, of two models on real speech.

    scripts/bench conditions [--parts noise,room,channel,situations] [--hypotheses DIR]

Every second one of the prompts of asterisk-en (one voice, 16 kHz, read close to a microphone) with
at least MIN_WORDS words, the same ones under every condition, each with the same stretch of noise
at every ratio. Noises are recordings of `aural data` (music of several kinds; places: rain, storm,
water, traffic, trains), babble of five other prompts, and white noise. Rooms are computed.
whisper/base and whisper/tiny.en as `aural evaluate transcribe` runs them, beam 5, language given.
What was recognised is kept in DIR, so that a stopped run goes on. About an hour; parts not measured
again stay in the result.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from machine import RESULTS, measured, measured_earlier, write_result
from speech import scratch

from aural.data.corpora import read_corpus
from aural.evaluate.conditions import Condition, Grid
from aural.evaluate.distort import Distortions
from aural.evaluate.judges import word_errors_of
from aural.evaluate.sweep import sweep
from aural.evaluate.sweep_plot import save_sweep_plot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aural.data.utterance import Utterance

CORPUS = "asterisk-en"
MIN_WORDS = 8
MODELS = ("whisper/base", "whisper/tiny.en")
SNRS = (20.0, 15.0, 10.0, 5.0, 0.0, -5.0)
PICTURES = Path(__file__).resolve().parents[1] / "docs" / "results"

PARTS: dict[str, Sequence[Condition]] = {
    "noise": Grid(noise=("babble", "music", "places", "white"), snr=SNRS).conditions(),
    "room": Grid(rt60=(0.0, 0.3, 0.6), distance=(1.0, 3.0, 5.0)).conditions(),
    "channel": Grid(
        bandwidth=(44_100, 8_000, 4_000),
        codec=("telephone", "g722", "mp3@32k", "opus@12k", "opus@6k"),
        level=(-30.0, -50.0),
    ).conditions(),
    "situations": (
        Condition(),
        Condition(rt60=0.6, distance=3.0),
        Condition(noise="places", snr=5.0),
        Condition(codec="telephone"),
        Condition(rt60=0.6, distance=3.0, noise="places", snr=5.0),
        Condition(noise="places", snr=5.0, codec="telephone"),
        Condition(rt60=0.6, distance=3.0, noise="babble", snr=5.0, codec="telephone"),
    ),
}
WHAT = {
    "noise": "Where it falls off",
    "room": "Rooms",
    "channel": "Bandwidth, codecs, levels",
    "situations": "One model, close to the microphone and not",
}
SITUATIONS = (
    "close to the microphone",
    "far field",
    "noisy",
    "telephone",
    "far field and noisy",
    "noisy telephone",
    "a far, babbling telephone conference",
)
"""Names of the last part's conditions, in order."""


def utterances() -> list[Utterance]:
    """What is recognised under every condition."""
    return [each for each in read_corpus(CORPUS) if len(each.text.split()) >= MIN_WORDS][::2]


def measure(part: str, kept: Path) -> dict[str, Any]:
    """The sweep of a part as JSON; its picture is drawn as well."""
    chosen = utterances()
    judges = {
        model: word_errors_of(
            model,
            language="en",
            threads=2,
            hypotheses=kept,
            scoring={"normaliser": "whisper-english"},
        )
        for model in MODELS
    }
    found = sweep(
        chosen,
        judges,
        PARTS[part],
        Distortions(chosen),
        manifest=f"corpus:{CORPUS}, every second prompt of at least {MIN_WORDS} words",
        progress=lambda name, done, count: print(
            f"{part} {done + 1} of {count}: {name}", flush=True
        ),
    )
    pictures = []
    if part in {"noise", "room"}:
        save_sweep_plot(found, PICTURES / f"conditions_{part}.svg")
        pictures = save_sweep_plot(found, PICTURES / f"conditions_{part}.png")
    return {**found.as_json(), "pictures": [path.name for path in pictures]}


def page(result: Mapping[str, Any]) -> str:
    """The benchmark's page."""
    sections = [
        f"{', '.join(MODELS)} in int8, beam 5, English given, on the same prompts of one voice "
        f"({CORPUS}, every second one of at least {MIN_WORDS} words). Rates are word error rates "
        "in percent with 95 % intervals over recordings: they speak of other recordings of this "
        "voice, not of other voices. SNR is of active speech (ITU-T P.56) over the noise. There "
        "is no figure by accent: the corpora at hand have no labels of it."
    ]
    if note := measured_earlier(result):
        sections.append(note)
    for part, found in result["parts"].items():
        sections.append(f"## {WHAT[part]}\n\n{_table(part, found)}")
        if found["curves"] and part != "channel":
            sections.append(
                f"![error against condition](conditions_{part}.png)\n\n{_curves(found)}"
            )
        sections += [_crossing(each) for each in found["crossings"]]
    return "\n\n".join(sections)


def _table(part: str, found: Mapping[str, Any]) -> str:
    systems = list(dict.fromkeys(point["system"] for point in found["points"]))
    names = list(dict.fromkeys(point["condition"]["name"] for point in found["points"]))
    points = {(each["condition"]["name"], each["system"]): each for each in found["points"]}
    labels = dict(zip(names, SITUATIONS, strict=True)) if part == "situations" else {}
    head = f"condition | {' | '.join(systems)}"
    lines = [f"| {head} |", "|" + "---|" * (1 + len(systems))]
    for name in names:
        cells = [percent(points[name, system]["error"]) for system in systems]
        label = f"{labels[name]}: {name}" if labels else name
        lines.append(f"| {label} | {' | '.join(cells)} |")
    words, count = f"{found['references']:g}", found["utterances"]
    return "\n".join([*lines, "", f"{words} words in {count} utterances under each condition."])


def _curves(found: Mapping[str, Any]) -> str:
    lines = ["| curve | along | error doubles at | rises fastest between |", "|---|---|---|---|"]
    for curve in found["curves"]:
        unit, twice, cliff = curve["unit"], curve["doubling"], curve["cliff"]
        steep = "nowhere surely" if cliff is None else f"{cliff[0]:g} and {cliff[1]:g} {unit}"
        where = "not within" if twice is None else _place(twice, curve["values"][0], unit)
        lines.append(f"| {curve['name']} | {curve['axis']} | {where} | {steep} |")
    return "\n".join(lines)


def _place(doubling: Mapping[str, float | None], easiest: float, unit: str) -> str:
    low, high = (
        "beyond" if end is None else f"{end:.3g}" for end in (doubling["low"], doubling["high"])
    )
    value = doubling["value"]
    at = f"before {easiest:g} {unit}" if value is None else f"{value:.3g} {unit}"
    return f"{at} ({low} to {high})"


def _crossing(crossing: Mapping[str, Any]) -> str:
    return (
        f"{crossing['first']} is surely better than {crossing['second']} at "
        f"{crossing['lower_at']:g}, surely worse at {crossing['higher_at']:g} ({crossing['axis']})."
    )


def percent(error: Mapping[str, float]) -> str:
    """A rate with its interval, in percent."""
    return f"{100 * error['value']:.1f} ({100 * error['low']:.1f} to {100 * error['high']:.1f})"


def main() -> None:
    """Measure the parts asked for, and keep the others."""
    parser = argparse.ArgumentParser(description="error against condition")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--hypotheses", type=Path, default=scratch() / "conditions")
    given = parser.parse_args()
    for part in given.parts.split(","):
        if part not in PARTS:
            parser.error(f"there is no part {part}: give some of {', '.join(PARTS)}")
    for part in given.parts.split(","):
        keep(part, measure(part, given.hypotheses))


def keep(part: str, found: dict[str, Any]) -> None:
    """Put a part into the result, beside what other runs may have put there meanwhile."""
    output = RESULTS / "conditions.json"
    earlier = json.loads(output.read_text("utf-8")) if output.exists() else {}
    parts = {**earlier.get("parts", {}), part: found}
    ordered = {name: parts[name] for name in PARTS if name in parts}
    others = [name for name in ordered if name != part]
    write_result({"parts": ordered, "measured": measured([part], others, earlier)})


if __name__ == "__main__":
    main()
