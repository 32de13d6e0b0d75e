"""Plans of batches: every example once an epoch, bounded, and decided by the seed and the step."""

import numpy as np
import pytest

from aural.data.batches import BatchOptions, Plan, by_duration
from aural.errors import InputError

DURATIONS = np.random.default_rng(3).lognormal(0.5, 0.7, 300).clip(0.2, 12)


def epochs(plan: Plan, count: int) -> list[list[tuple[int, ...]]]:
    return [plan.epoch(i) for i in range(count)]


@pytest.mark.parametrize("options", [BatchOptions(30, 8), BatchOptions(12, 400, jitter=1)])
def test_an_epoch_has_every_example_once_within_the_bounds(options: BatchOptions) -> None:
    for batches in epochs(Plan(DURATIONS, options, 0), 3):
        assert sorted(i for batch in batches for i in batch) == list(range(300))
        for batch in batches:
            assert len(batch) <= options.items
            assert max(DURATIONS[i] for i in batch) * len(batch) <= options.padded


def test_steps_go_through_the_epochs_without_a_gap() -> None:
    plan = Plan(DURATIONS, BatchOptions(30, 8, a_step=3), 5)
    flat = [
        batch for batches in epochs(Plan(DURATIONS, BatchOptions(30, 8), 5), 4) for batch in batches
    ]
    for step in range(len(flat) // 3):
        assert plan.step(step) == flat[3 * step : 3 * step + 3]


def test_a_step_does_not_depend_on_what_was_asked_before() -> None:
    options = BatchOptions(30, 8, a_step=2)
    forward = Plan(DURATIONS, options, 1)
    walked = [forward.step(step) for step in range(90)]
    for step in (89, 3, 60, 0, 31):
        assert Plan(DURATIONS, options, 1).step(step) == walked[step]
        assert forward.step(step) == walked[step]
    assert Plan(DURATIONS, options, 2).step(0) != walked[0]


def test_epochs_meet_other_neighbours_and_padding_stays_small() -> None:
    options = BatchOptions(60, 16)
    first, second = epochs(Plan(DURATIONS, options, 0), 2)
    assert {frozenset(batch) for batch in first} != {frozenset(batch) for batch in second}
    padded = sum(max(DURATIONS[i] for i in batch) * len(batch) for batch in first)
    alike = np.random.default_rng(0).permutation(300).reshape(-1, 15)
    random = sum(DURATIONS[batch].max() * len(batch) for batch in alike)
    assert padded / DURATIONS.sum() < 1.4 < random / DURATIONS.sum()


def test_by_duration() -> None:
    batches = by_duration([3.0, 1.0, 2.0], BatchOptions(padded=4, items=5))
    assert batches == [(1, 2), (0,)]
    assert by_duration([], BatchOptions()) == []


def test_what_can_not_be_planned() -> None:
    with pytest.raises(InputError, match=r"lasts 12\.0 s, and a batch holds 10 s"):
        Plan([1.0, 12.0], BatchOptions(padded=10), 0)
    with pytest.raises(InputError, match="no examples"):
        Plan([], BatchOptions(), 0)
    with pytest.raises(InputError, match="count from 0"):
        Plan([1.0], BatchOptions(), 0).step(-1)
    for wrong in (
        {"padded": 0},
        {"items": 0},
        {"a_step": 0},
        {"jitter": -1},
        {"padded": float("nan")},
    ):
        with pytest.raises(InputError):
            BatchOptions(**wrong)
