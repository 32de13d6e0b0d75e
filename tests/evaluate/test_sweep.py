"""Sweeps: curves with intervals, where the error doubles, the cliff, crossings."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from aural.data.utterance import Utterance
from aural.errors import InputError
from aural.evaluate.conditions import AS_RECORDED, Condition, Grid
from aural.evaluate.render import as_text
from aural.evaluate.scoring import Sampling
from aural.evaluate.sweep import Sweep, Tally, first_reaching, sweep
from aural.evaluate.sweep_tables import sweep_tables
from aural.metrics.bootstrap import ratio_interval, resampled_rates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aural.evaluate.sweep import Judge, Sound

WORDS = 20
UTTERANCES = [
    Utterance(f"u{n}", Path(f"/nowhere/{n}.wav"), "", speaker=f"s{n // 5}") for n in range(200)
]
SNRS = (20.0, 15.0, 10.0, 5.0, 0.0, -5.0)
NOISY = Grid(noise=("white",), snr=SNRS).conditions()


def unheard(_: Condition) -> Sound:
    return lambda utterance: utterance.audio


def erring(rate: Callable[[Condition], float], seed: int = 0) -> Judge:
    """Errors of utterances at a true rate; an utterance's luck is the same in all conditions."""

    def judge(utterances: Sequence[Utterance], _: Sound, condition: Condition) -> Tally:
        luck = np.random.default_rng(seed).random((len(utterances), WORDS))
        errors = (luck < rate(condition)).sum(axis=1)
        return Tally(tuple(map(float, errors)), (float(WORDS),) * len(utterances))

    return judge


def falling(condition: Condition) -> float:
    """10 % as recorded and at 20 dB, 4 points more a 5 dB until 5 dB, then a cliff."""
    table = {None: 0.10, 20: 0.10, 15: 0.14, 10: 0.18, 5: 0.22, 0: 0.60, -5: 0.95}
    return table[condition.snr]


def run(systems: dict[str, Judge], conditions: Sequence[Condition] = NOISY) -> Sweep:
    return sweep(UTTERANCES, systems, conditions, unheard, sampling=Sampling(resamples=2000))


class TestCurve:
    def test_errors_have_intervals_and_paired_differences(self) -> None:
        result = run({"a": erring(falling)})
        assert [point.condition.name for point in result.points][:2] == [
            "as recorded",
            "white at 20 dB",
        ]
        for point in result.points:
            assert point.error.low <= point.error.value <= point.error.high
            assert point.error.low - 0.01 <= falling(point.condition) <= point.error.high + 0.01
        same = result.points[1].worse
        assert (same.value, same.low, same.high) == (0, 0, 0)
        # Drawn with one luck, the difference is surer than the two errors are.
        ten = next(point for point in result.points if point.condition.snr == 10)
        assert ten.worse.low > 0.06
        assert ten.worse.high - ten.worse.low < ten.error.high - ten.error.low

    def test_the_doubling_lies_where_the_line_between_two_points_says(self) -> None:
        (curve,) = run({"a": erring(falling)}).curves
        assert curve.doubling is not None
        plain, at10, at5 = (
            next(p.error.value for p in run({"a": erring(falling)}).points if p.condition.snr == x)
            for x in (None, 10, 5)
        )
        assert curve.doubling.value == pytest.approx(10 - 5 * (2 * plain - at10) / (at5 - at10))
        assert curve.doubling.low < curve.doubling.value < curve.doubling.high
        assert (
            curve.doubling.low < 7.5 < curve.doubling.high
        )  # the truth: 0.20 between 0.18 and 0.22

    def test_the_cliff_is_the_steepest_step(self) -> None:
        (curve,) = run({"a": erring(falling)}).curves
        assert curve.cliff == (5, 0)
        assert curve.values == SNRS

    def test_an_error_that_never_doubles_has_no_doubling(self) -> None:
        (curve,) = run({"a": erring(lambda _: 0.2)}).curves
        assert curve.doubling is None

    def test_nor_has_one_that_is_zero_without_noise(self) -> None:
        rate = {None: 0.0, 20.0: 0.1}.get
        (curve,) = run({"a": erring(lambda c: rate(c.snr, 0.5))}).curves
        assert curve.doubling is None

    def test_rooms_are_compared_with_no_room_and_get_harder_upwards(self) -> None:
        grid = Grid(rt60=(0.6, 0.0, 0.3), distance=(1.0, 3.0))
        rate = {None: 0.1, 0.0: 0.1, 0.3: 0.15, 0.6: 0.45}
        result = run({"a": erring(lambda c: rate[c.rt60])}, grid.conditions())
        along_rt60 = [curve for curve in result.curves if curve.axis == "rt60"]
        assert len(along_rt60) == 2
        assert along_rt60[0].values == (0.0, 0.3, 0.6)
        assert along_rt60[0].cliff == (0.3, 0.6)
        assert along_rt60[0].doubling is not None
        assert 0.3 < along_rt60[0].doubling.value < 0.45
        assert {curve.axis for curve in result.curves} == {"rt60", "distance"}


class TestCrossing:
    def test_systems_that_change_places_are_found(self) -> None:
        sure = erring(lambda c: 0.2 + 0.01 * (20 - (20 if c.snr is None else c.snr)))
        brittle = erring(lambda c: 0.1 + 0.03 * (20 - (20 if c.snr is None else c.snr)), seed=1)
        (crossing,) = run({"sure": sure, "brittle": brittle}).crossings
        assert (crossing.first, crossing.second) == ("sure, white", "brittle, white")
        assert crossing.lower_at < 15 < crossing.higher_at  # they meet at 15 dB
        assert crossing.lower_at < crossing.at < crossing.higher_at

    def test_chance_alone_is_no_crossing(self) -> None:
        assert not run({"a": erring(falling), "b": erring(falling, seed=1)}).crossings


class TestFirstReaching:
    def test_on_the_line_at_the_start_and_never(self) -> None:
        rates = np.array([[0.1, 0.3], [0.5, 0.6], [0.1, 0.1]])
        found = first_reaching(rates, np.array([0.2, 0.2, 0.2]), [10.0, 0.0])
        assert found.tolist() == pytest.approx([5.0, math.inf, -math.inf])

    def test_upwards_never_is_infinite_upwards(self) -> None:
        assert first_reaching(np.array([[0.1, 0.1]]), np.array([1.0]), [0.0, 3.0])[0] == math.inf


def test_resampled_rates_agree_with_the_interval_of_one() -> None:
    rng = np.random.default_rng(3)
    errors, words = rng.integers(0, 5, 300), rng.integers(5, 20, 300)
    clusters = [str(n) for n in rng.integers(0, 60, 300)]
    rates = resampled_rates(errors[None], words.tolist(), clusters, resamples=20000)
    interval = ratio_interval(errors.tolist(), words.tolist(), clusters, resamples=20000)
    assert interval is not None
    low, high = np.quantile(rates[:, 0], [0.025, 0.975])
    assert low == pytest.approx(interval.low, abs=0.004)
    assert high == pytest.approx(interval.high, abs=0.004)


def test_one_cluster_gives_errors_without_intervals() -> None:
    result = sweep(UTTERANCES[:1], {"a": erring(falling)}, NOISY, unheard)
    assert result.points[0].error.low == -math.inf
    assert "no interval" in as_text(sweep_tables(result))


def test_tables_and_json_say_the_same() -> None:
    result = run({"a": erring(falling)})
    text = as_text(sweep_tables(result))
    record = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert "white at 0 dB" in text
    assert "5 and 0 dB" in text
    assert record["points"][0]["condition"]["name"] == "as recorded"
    assert record["curves"][0]["values"] == list(SNRS)
    assert f"{100 * record['points'][0]['error']['value']:.1f} %" in text


def test_references_that_change_are_refused() -> None:
    def judge(utterances: Sequence[Utterance], _: Sound, condition: Condition) -> Tally:
        return Tally(
            (0.0,) * len(utterances), (1.0 if condition == AS_RECORDED else 2.0,) * len(utterances)
        )

    with pytest.raises(InputError, match="references differ"):
        run({"a": judge})


def test_nothing_to_sweep_is_told() -> None:
    with pytest.raises(InputError, match="at least one"):
        sweep([], {"a": erring(falling)}, NOISY, unheard)
