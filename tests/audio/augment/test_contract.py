"""What holds for every augmentation, and for those made of others.

Every file every*.py beside this one has a list EVERY of (name, make() -> augmentation, value).
"""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from aural.audio.augment import Chain, OneOf, augment, augment_batch
from aural.audio.augment.level import Gain
from aural.audio.augment.noise import AddColouredNoise
from aural.audio.augment.room import Room
from aural.errors import InputError
from aural.types import Audio


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"augmentations_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EVERY = [
    pytest.param(make, value, id=name)
    for path in sorted(Path(__file__).parent.glob("every*.py"))
    for name, make, value in load(path).EVERY
]
OF_SOUND = [each for each in EVERY if isinstance(each.values[1], Audio)]
SEEDS = 3


def array(value) -> np.ndarray:
    return value.samples if isinstance(value, Audio) else value


def as_bytes(value) -> tuple:
    found = np.asarray(array(value))
    return found.tobytes(), found.shape, str(found.dtype), getattr(value, "sample_rate", None)


def through_json(drawn) -> dict:
    return json.loads(json.dumps(drawn, allow_nan=False))


def forms(value) -> list:
    """The value, and in stereo where it is sound."""
    if not isinstance(value, Audio) or value.samples.ndim == 2:
        return [value]
    both = np.stack([value.samples, 0.5 * value.samples[::-1]])
    return [value, Audio(both, value.sample_rate)]


@pytest.mark.parametrize(("make", "value"), EVERY)
def test_what_was_drawn_is_json_and_done_again_to_the_byte(make, value):
    for original in forms(value):
        before = as_bytes(original)
        for seed in range(SEEDS):
            done = augment(original, make(), np.random.default_rng(seed))
            assert as_bytes(done.replay(original)) == as_bytes(done.value)
            again = make().apply(original, through_json(done.drawn))
            assert as_bytes(again) == as_bytes(done.value)
            same = augment(original, make(), np.random.default_rng(seed))
            assert as_bytes(same.value) == as_bytes(done.value)
        assert as_bytes(original) == before


@pytest.mark.parametrize(("make", "value"), EVERY)
def test_the_result_is_finite_and_of_the_same_kind(make, value):
    for original in forms(value):
        done = augment(original, make(), np.random.default_rng(0)).value
        assert array(done).dtype == array(original).dtype == np.float32
        assert np.isfinite(np.asarray(array(done))).all()
        assert array(done).ndim == array(original).ndim
        if isinstance(original, Audio):
            assert done.channels == original.channels
        assert not np.shares_memory(array(done), array(original))


@pytest.mark.parametrize(("make", "value"), EVERY)
def test_the_result_is_the_same_in_any_batch(make, value):
    (alone,) = augment_batch([value], make(), np.random.default_rng(7))
    first, *others = augment_batch([value] * 3, make(), np.random.default_rng(7))
    assert as_bytes(first.value) == as_bytes(alone.value)
    assert first.drawn == alone.drawn
    assert len(others) == 2


NO_SOUND = [
    (np.float32(0.1), 16000, "shape"),
    (np.zeros((2, 2, 8), np.float32), 16000, "shape"),
    (np.zeros(8, np.int16), 16000, "int16"),
    ([[0.1], [0.1, 0.2]], 16000, "several lengths"),
    *((np.zeros(800, np.float32), rate, f"sample_rate is {rate}") for rate in (0, -1, 500, 1e9)),
    (np.zeros(800, np.float32), float("nan"), "sample_rate is nan"),
    (np.zeros(800, np.float32), 16000.5, "sample_rate is 16000.5"),
    (np.zeros(800, np.float32), "16000", "sample_rate is 16000"),
    (np.zeros(800, np.float32), None, "sample_rate is None"),
]


@pytest.mark.parametrize(("make", "value"), OF_SOUND)
def test_what_is_no_sound_is_refused_at_once(make, value):
    effect = make()
    drawn = effect.draw(value, np.random.default_rng(0))
    for samples, rate, message in NO_SOUND:
        bad = Audio(samples, rate)
        for run in (
            lambda bad=bad: effect.draw(bad, np.random.default_rng(0)),
            lambda bad=bad: effect.apply(bad, drawn),
            lambda bad=bad: augment(bad, effect, np.random.default_rng(0)),
        ):
            with pytest.raises(InputError, match=message):
                run()


@pytest.mark.parametrize(("make", "value"), OF_SOUND)
def test_lists_and_rates_of_numpy_are_sound_too(make, value):
    short = Audio(value.samples[..., :8000], value.sample_rate)
    done = augment(short, make(), np.random.default_rng(0))
    other = Audio(short.samples.tolist(), np.int64(short.sample_rate))
    again = augment(other, make(), np.random.default_rng(0))
    assert through_json(again.drawn) == through_json(done.drawn)
    assert as_bytes(again.value) == as_bytes(done.value)
    assert type(again.value.sample_rate) is int


# --- of others: with steps whose work is seen


@dataclass(frozen=True)
class Add:
    """Adds a number drawn from 0 to `most`."""

    most: int

    def draw(self, value, rng):
        return {"number": int(rng.integers(self.most + 1)), "seen": float(value[0])}

    def apply(self, value, drawn):
        return value + np.float32(drawn["number"])


@dataclass(frozen=True)
class Times:
    """Multiplies."""

    factor: float

    def draw(self, value, rng):
        return {"seen": float(value[0])}

    def apply(self, value, drawn):
        return value * np.float32(self.factor)


ONE = np.ones(1, np.float32)


def test_a_chain_does_one_after_the_other_and_each_sees_what_the_last_made():
    done = augment(ONE, Chain((Times(3), Add(0), Times(2))), np.random.default_rng(0))
    assert done.value.tolist() == [6]
    assert [step["seen"] for step in done.drawn["steps"]] == [1, 3, 3]
    assert augment(ONE, Chain((Times(3), Add(0))), np.random.default_rng(0)).value.tolist() == [3]
    nothing = augment(ONE, Chain(()), np.random.default_rng(0))
    assert nothing.value.tolist() == [1]
    assert nothing.replay(ONE).tolist() == [1]


def test_draw_of_a_chain_is_what_augment_draws():
    chain = Chain((Add(1000), Times(2), Add(1000)), (0.5, 0.5, 0.5))
    for seed in range(20):
        done = augment(ONE, chain, np.random.default_rng(seed))
        drawn = chain.draw(ONE, np.random.default_rng(seed))
        assert drawn == done.drawn
        assert chain.apply(ONE, through_json(drawn)).tolist() == done.value.tolist()


def test_steps_are_taken_as_often_as_they_should():
    chain = Chain((Times(2), Times(3), Times(5), Times(7)), (0, 0.2, 0.7, 1))
    rng = np.random.default_rng(0)
    taken = np.zeros(4)
    both = 0
    for _ in range(4000):
        steps = [step is not None for step in chain.draw(ONE, rng)["steps"]]
        taken += steps
        both += steps[1] and steps[2]
    # Four standard deviations of 4000 draws are 0.03.
    np.testing.assert_allclose(taken / 4000, [0, 0.2, 0.7, 1], atol=0.03)
    assert taken[0] == 0
    assert taken[3] == 4000
    assert both / 4000 == pytest.approx(0.14, abs=0.03)  # one does not depend on the other
    for seed in range(20):
        done = augment(ONE, chain, np.random.default_rng(seed))
        expected = np.prod(
            [f for f, step in zip((2, 3, 5, 7), done.drawn["steps"], strict=True) if step]
        )
        assert done.value.tolist() == [expected]


def test_one_of_draws_evenly_and_does_that_one():
    choice = OneOf((Times(2), Times(3), Add(1000)))
    rng = np.random.default_rng(0)
    counts = np.zeros(3)
    for _ in range(3000):
        done = augment(ONE, choice, rng)
        counts[done.drawn["index"]] += 1
        if done.drawn["index"] < 2:
            assert done.value.tolist() == [2 + done.drawn["index"]]
        else:
            assert done.value.tolist() == [1 + done.drawn["drawn"]["number"]]
    np.testing.assert_allclose(counts / 3000, 1 / 3, atol=0.035)


def test_one_within_another_is_done_again_to_the_byte():
    speech = load(Path(__file__).with_name("every.py")).SPEECH
    inner = Chain((AddColouredNoise(("pink", "white"), (0, 20)), Gain((-6, 6))), (0.7, 0.5))
    whole = Chain((OneOf((inner, Room((0.2, 0.4)), Chain(()))), Gain((-3, 3))), (0.9, 0.9))
    results = augment_batch([speech] * 8, whole, np.random.default_rng(0))
    assert len({as_bytes(each.value) for each in results}) == 8
    for done in results:
        again = whole.apply(speech, through_json(done.drawn))
        assert as_bytes(again) == as_bytes(done.value)


def test_the_i_th_of_a_batch_does_not_depend_on_the_others():
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(size).astype(np.float32) for size in (10, 20, 30, 40)]
    chain = Chain((Add(10**6), Times(2)), (0.8, 0.5))
    whole = augment_batch(values, chain, np.random.default_rng(3))
    for count in (1, 2, 3):
        part = augment_batch(values[:count], chain, np.random.default_rng(3))
        for mine, theirs in zip(part, whole, strict=False):
            assert mine.drawn["steps"][1:] == theirs.drawn["steps"][1:]
            assert as_bytes(mine.value) == as_bytes(theirs.value)
    changed = augment_batch([values[3], *values[1:]], chain, np.random.default_rng(3))
    for mine, theirs in zip(changed[1:], whole[1:], strict=True):
        assert as_bytes(mine.value) == as_bytes(theirs.value)
    assert augment_batch([], chain, np.random.default_rng(3)) == []


@pytest.mark.parametrize(
    "value", [ONE, torch.ones(1), Audio(np.ones((2, 9), np.float32), 16000)], ids=type
)
def test_a_chain_that_does_nothing_gives_a_value_of_its_own(value):
    for chain in (
        Chain(()),
        Chain((Gain((0, 0)),), (0,)),
        OneOf((Chain(()),)),
        Chain((Chain(()),)),
    ):
        done = augment(value, chain, np.random.default_rng(0))
        for made in (done.value, done.replay(value), chain.apply(value, through_json(done.drawn))):
            assert made is not value
            assert as_bytes(made) == as_bytes(value)
            assert not np.shares_memory(np.asarray(array(made)), np.asarray(array(value)))
    direct, _ = Chain(()).run(value, np.random.default_rng(0))
    assert direct is not value


def test_damaged_records_of_chains():
    chain = Chain((Times(2), Times(3)))
    for steps in ([{}], [{}, {}, {}]):
        with pytest.raises(InputError, match=f"{len(steps)} steps were drawn and there are 2"):
            chain.apply(ONE, {"steps": steps})
    with pytest.raises(InputError, match="no 'steps'"):
        chain.apply(ONE, {})
    choice = OneOf((Times(2),))
    for index in (1, -1, None):
        with pytest.raises(InputError, match=f"choice {index} was drawn and there are 1"):
            choice.apply(ONE, {"index": index, "drawn": {}})
    with pytest.raises(InputError, match="no 'drawn'"):
        choice.apply(ONE, {"index": 0})


def test_what_can_not_be():
    with pytest.raises(InputError, match="1 probabilities for 2 steps"):
        Chain((Times(2), Times(3)), (0.5,))
    for chance in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="numbers from 0 to 1"):
            Chain((Times(2),), (chance,))
    with pytest.raises(InputError, match="no choices"):
        OneOf(())
