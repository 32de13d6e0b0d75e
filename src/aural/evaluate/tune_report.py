"""What a search among ways to listen found: as tables, as JSON, as a picture."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aural.errors import InputError
from aural.evaluate.machine import describe_machine
from aural.evaluate.render import Table
from aural.plot.canvas import Limit, check_installed, format_of, save
from aural.plot.points import MAX_GROUPS, Series, error_curve

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aural.evaluate.latency import Latency, Percentiles
    from aural.evaluate.scoring import Score
    from aural.evaluate.tune import Candidate, Trial, Tuned

KIND = "aural.tune"
SCHEMA_VERSION = 1
HELD = "the pick, held out"


def tune_tables(tuned: Tuned) -> list[Table]:
    """All settings on the part they were chosen by, and the pick on both parts."""
    tables = [_settings(tuned)]
    if tuned.choice.pick is not None and tuned.held is not None:
        tables.append(_pick(tuned, tuned.choice.pick, tuned.held))
    return tables


def verdict_line(tuned: Tuned) -> str:
    """The outcome in one line: what is picked and why, or what comes nearest."""
    choice, options = tuned.choice, tuned.options
    limit = (
        "" if options.max_latency is None else f" with {options.measure} within {options.limit:g} s"
    )
    if choice.pick is None:
        near = choice.nearest
        if near is None:
            return f"no setting{limit}: none has made a word final"
        return f"no setting{limit}; nearest is {near.trial.setting.name}, {near.late:.3f} s"
    name = choice.pick.trial.setting.name
    others = {"not distinguishable", "worse"} & {each.verdict for each in choice.candidates}
    if not others:
        return f"picked{limit}: {name}: no other setting is"
    if choice.peers == 1:
        return f"picked{limit}: {name}: the lowest error, distinguishable from every other there"
    assert choice.best is not None
    return (
        f"picked{limit}: {name}: of {choice.peers} settings whose errors are not distinguishable "
        f"(the lowest is {_percent(choice.best.trial.rate)} of {choice.best.trial.setting.name}) "
        "the one with the lowest latency, then computing"
    )


def _settings(tuned: Tuned) -> Table:
    header = (
        "model", "setting", "WER", f"{tuned.options.measure} s", "first word s", "final s",
        "rewrites a word", "computing", "at once", "texts", "front", "verdict",
    )  # fmt: skip
    rows = tuple(
        (
            each.trial.setting.model,
            each.trial.setting.method,
            _rate(each.trial.score),
            _seconds(each.late),
            *_delays(each.trial),
            "*" if each.front else "",
            _verdict(each, lowest=each is tuned.choice.best),
        )
        for each in tuned.choice.candidates
    )
    first = tuned.choice.candidates[0].trial.score
    lines = [
        verdict_line(tuned),
        f"tuned on {first.utterances} utterances, {first.wer.counts.reference} words; intervals "
        f"{tuned.options.sampling.level:.0%}, resampled by {first.clusters.unit}"
        + (f"; {first.clusters.note}" if first.clusters.note else ""),
        "delays are p50 / p95 from a word's end as the recogniser has it, computing is seconds for "
        "each second of sound, * marks the front: no other setting has less of both error and "
        "latency",
        *_about_whole([each.trial for each in tuned.choice.candidates]),
        *_left_out(tuned),
    ]
    return Table("Settings, on the part that they are chosen by", header, rows, tuple(lines))


def _pick(tuned: Tuned, pick: Candidate, held: Trial) -> Table:
    header = (
        "heard", "utterances", "words", "failed", "WER", f"{tuned.options.measure} s",
        "first word s", "final s", "rewrites a word", "computing", "at once", "texts",
    )  # fmt: skip
    rows = tuple(
        (
            name,
            str(trial.score.utterances),
            str(trial.score.wer.counts.reference),
            str(trial.score.failed),
            _rate(trial.score),
            _seconds(tuned.late(trial)),
            *_delays(trial),
        )
        for name, trial in (("chosen by", pick.trial), ("held out", held))
    )
    share = f"{len(tuned.parts.held)} of {len(tuned.parts.held) + len(tuned.parts.tuned)}"
    lines = [
        f"the result is what was held out: {share} utterances, whole {tuned.parts.unit}s, seed "
        f"{tuned.options.sampling.seed}; the other figures were chosen by, and are partly luck",
        *([held.score.clusters.note] if held.score.clusters.note else []),
    ]
    if math.isnan(tuned.late(held)):
        lines.append("held out, no word was final")
    elif tuned.late(held) > tuned.options.limit:
        lines.append(
            f"held out, {tuned.options.measure} is over the limit of {tuned.options.limit:g} s"
        )
    lines += [line for line in _about_whole([held]) if "differ" in line]
    return Table(f"The pick: {pick.trial.setting.name}", header, rows, tuple(lines))


def _about_whole(trials: Sequence[Trial]) -> list[str]:
    lines = []
    if any(each.simulated for each in trials):
        wrong = [each for each in trials if each.differing]
        lines.append(
            "at once, chunk-wise: the same utterances computed at once under the same chunks; "
            + (
                f"texts DIFFER in {len(wrong)} settings: a stream is not what the whole is"
                if wrong
                else "every text is the stream's"
            )
        )
    if any(each.offline for each in trials):
        lines.append(
            "at once, agreement: the model offline; texts: the stream's word errors against those"
        )
    return lines


def _left_out(tuned: Tuned) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for setting, why in tuned.left_out:
        reasons.setdefault(f"{setting.model}: {why}", []).append(setting.name)
    return [f"left out: {len(names)} settings of {why}" for why, names in reasons.items()]


def _verdict(each: Candidate, *, lowest: bool) -> str:
    if each.difference is None:
        return f"{each.verdict}, the lowest error" if lowest else each.verdict
    interval = each.difference.interval
    points = f"{100 * each.difference.value:+.2f}"
    within = f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}"
    return f"{each.verdict}, {points} ({within}) from the lowest"


def _delays(trial: Trial) -> tuple[str, ...]:
    latency = trial.latency
    whole = trial.simulated or trial.offline
    texts = ""
    if trial.distance is not None:
        texts = f"{_percent(trial.distance.rate)} away"
    elif trial.differing is not None:
        texts = f"{trial.differing} of {trial.score.utterances} differ"
    return (
        str(latency.first_word),
        str(latency.final),
        f"{latency.rewrite_rate:.2f}",
        f"{latency.real_time_factor:.2f}",
        _percent(whole.wer.counts.rate) if whole else "",
        texts,
    )


def _percent(rate: float) -> str:
    return f"{100 * rate:.2f} %" if math.isfinite(rate) else "no reference"


def _rate(score: Score) -> str:
    interval = score.wer.interval
    shown = _percent(score.wer.counts.rate)
    if interval is None:
        return f"{shown} (no interval)"
    return f"{shown} ({100 * interval.low:.2f} to {100 * interval.high:.2f})"


def _seconds(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{seconds:.3f}"


def tune_json(tuned: Tuned) -> dict[str, Any]:
    """Plain values; what could not be measured is None."""
    choice, options, parts = tuned.choice, tuned.options, tuned.parts
    normaliser = tuned.normaliser
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "manifest": tuned.manifest,
        "measure": options.measure,
        "max_latency": options.max_latency,
        "normaliser": {
            "name": normaliser.name,
            "version": normaliser.version,
            "fingerprint": normaliser.fingerprint,
        },
        "sampling": asdict(options.sampling),
        "parts": {
            "holdout": options.holdout,
            "unit": parts.unit,
            "tuned": [each.id for each in parts.tuned],
            "held": [each.id for each in parts.held],
        },
        "settings": [
            {
                **_trial(tuned, each.trial),
                "front": each.front,
                "verdict": each.verdict,
                "difference": each.difference and asdict(each.difference),
            }
            for each in choice.candidates
        ],
        "pick": choice.pick and choice.pick.trial.setting.name,
        "lowest": choice.best and choice.best.trial.setting.name,
        "not_distinguishable": choice.peers,
        "nearest": choice.nearest and choice.nearest.trial.setting.name,
        "outcome": verdict_line(tuned),
        "held_out": tuned.held and _trial(tuned, tuned.held),
        "left_out": [{"name": each.name, "reason": why} for each, why in tuned.left_out],
        "failures": [{"id": row.id, "error": row.error} for row in tuned.failures],
        "machine": describe_machine(),
    }


def _trial(tuned: Tuned, trial: Trial) -> dict[str, Any]:
    return {
        "name": trial.setting.name,
        **asdict(trial.setting),
        "utterances": trial.score.utterances,
        "failed": trial.score.failed,
        "wer": _score(trial.score),
        "seconds": _number(tuned.late(trial)),
        "latency": _latency(trial.latency),
        "simulated": trial.simulated and {**_score(trial.simulated), "differ": trial.differing},
        "offline": trial.offline
        and {**_score(trial.offline), "distance": trial.distance and _number(trial.distance.rate)},
    }


def _score(score: Score) -> dict[str, Any]:
    counts, interval = score.wer.counts, score.wer.interval
    return {
        "value": _number(counts.rate),
        "low": interval and interval.low,
        "high": interval and interval.high,
        **asdict(counts),
        "resampled_by": score.clusters.unit,
        "note": score.clusters.note,
    }


def _latency(latency: Latency) -> dict[str, Any]:
    def both(each: Percentiles) -> dict[str, float | None]:
        return {"p50": _number(each.p50), "p95": _number(each.p95)}

    return {
        "words": latency.words,
        "first_word": both(latency.first_word),
        "shown": both(latency.shown),
        "final": both(latency.final),
        "clock_final": both(latency.clock_final),
        "rewrite_rate": latency.rewrite_rate,
        "real_time_factor": _number(latency.real_time_factor),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def save_tune_plot(tuned: Tuned, path: Path) -> None:
    """Draw error against latency: a line for each model, the pick on what was held out, and the
    limit where it lies between them. FILE.png or FILE.svg.

    Raises:
        InputError: another kind of file, no setting with a latency, more models than can be told
            apart.
        MissingExtra: matplotlib is not installed.
    """
    check_drawing(path)
    names = dict.fromkeys(each.trial.setting.model for each in tuned.choice.candidates)
    series = [line for name in names if (line := _line(tuned, name)) is not None]
    if tuned.held is not None and math.isfinite(tuned.late(tuned.held)):
        series.append(_series(tuned, HELD, [tuned.held]))
    if not series:
        raise InputError("there is nothing to draw: no setting has made a word final")
    limit, drawn = tuned.options.limit, [x for each in series for x in each.x]
    within = min(drawn) <= limit <= max(drawn)
    figure = error_curve(
        series,
        x_label=f"latency, {tuned.options.measure} (s)",
        crossings=[Limit(f"limit {limit:g} s", limit)] if within else [],
        title="Error against latency, on the part that settings are chosen by",
    )
    save(figure, path)


def check_drawing(path: Path, models: int = 1) -> None:
    """Raise for what can't be drawn, before it is measured; as save_tune_plot."""
    format_of(path)
    if models >= MAX_GROUPS:
        raise InputError(f"{models} models; a picture has {MAX_GROUPS - 1} at most: tune fewer")
    check_installed()


def _line(tuned: Tuned, model: str) -> Series | None:
    """The settings of a model that have a latency, the quickest first."""
    own = [each.trial for each in tuned.choice.candidates if each.trial.setting.model == model]
    timed = [each for each in own if math.isfinite(tuned.late(each))]
    timed.sort(key=lambda each: (tuned.late(each), each.rate))
    return _series(tuned, model, timed) if timed else None


def _series(tuned: Tuned, name: str, trials: Sequence[Trial]) -> Series:
    intervals = [each.score.wer.interval for each in trials]
    known = [each for each in intervals if each is not None]
    drawn = known if len(known) == len(trials) else []
    return Series(
        name,
        tuple(tuned.late(each) for each in trials),
        tuple(each.rate for each in trials),
        tuple(each.low for each in drawn),
        tuple(each.high for each in drawn),
    )
