"""Shifts, masks and the random forms of everything along time."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from aural.audio.augment import augment, stretch
from aural.audio.augment.time import (
    MaskSamples,
    PitchShift,
    SpeedPerturb,
    TimeShift,
    TimeStretch,
    mask_samples,
    time_shift,
)
from aural.errors import InputError, UnknownName
from aural.types import Audio


@pytest.fixture(scope="module")
def speech(examples) -> Audio:
    """Three seconds at 16 kHz."""
    samples, rate = soundfile.read(sorted(examples.glob("*.flac"))[1], dtype="float32")
    return Audio(samples, rate)


@pytest.mark.parametrize("shift", [0, 1, 3, -2, 6, -6, 7, 100, -100])
def test_a_shift_moves_every_sample(shift):
    given = np.arange(12, dtype=np.float32).reshape(2, 6) + 1
    circle, filled = time_shift(given, shift), time_shift(given, shift, circular=False)
    for channel in range(2):
        for place in range(6):
            source = place - shift
            assert circle[channel, place] == given[channel, source % 6]
            inside = 0 <= source < 6
            assert filled[channel, place] == (given[channel, source] if inside else 0)
    assert circle.dtype == filled.dtype == np.float32
    np.testing.assert_array_equal(time_shift(given[0], shift), circle[0])


def test_a_shift_of_nothing_and_by_no_whole_number():
    empty = np.zeros(0, np.float32)
    for circular in (True, False):
        assert time_shift(empty, 5, circular).shape == (0,)
    with pytest.raises(InputError, match=r"shift is 0\.5; give a whole number"):
        time_shift(np.zeros(4, np.float32), 0.5)
    with pytest.raises(InputError, match="int64"):
        time_shift(np.zeros(4, np.int64), 1)
    assert np.isnan(time_shift(np.array([np.nan, 1], np.float32), 1)[1])


def test_masks_replace_their_spans_and_nothing_else():
    rng = np.random.default_rng(0)
    given = rng.standard_normal((2, 50)).astype(np.float32)
    filling = rng.standard_normal((2, 50)).astype(np.float32)
    spans = [(3, 9), (7, 12), (20, 20), (45, 50)]
    masked = [any(start <= place < stop for start, stop in spans) for place in range(50)]
    np.testing.assert_array_equal(mask_samples(given, spans), np.where(masked, 0, given))
    np.testing.assert_array_equal(
        mask_samples(given, spans, filling), np.where(masked, filling, given)
    )
    np.testing.assert_array_equal(mask_samples(given, []), given)


def test_masks_that_do_not_fit_are_refused():
    given = np.zeros(10, np.float32)
    for span in ((-1, 3), (4, 3), (5, 11)):
        with pytest.raises(InputError, match="give 0 <= start <= stop <= 10"):
            mask_samples(given, [span])
    with pytest.raises(InputError, match=r"filling has shape \(9,\)"):
        mask_samples(given, [(0, 1)], np.zeros(9, np.float32))


def test_mask_samples_draws_masks_of_every_length_and_place():
    audio = Audio(np.ones(1000, np.float32), 1000)
    masks = MaskSamples(masks=3, max_seconds=0.1)
    rng = np.random.default_rng(0)
    drawn = [span for _ in range(2000) for span in masks.draw(audio, rng)["spans"]]
    sizes = np.array([stop - start for start, stop in drawn])
    starts = np.array([start for start, _ in drawn])
    assert len(drawn) == 6000
    assert set(sizes) == set(range(101))
    assert starts.min() == 0
    assert max(stop for _, stop in drawn) == 1000
    assert sizes.mean() == pytest.approx(50, abs=2)
    assert starts.mean() == pytest.approx((1000 - 50) / 2, abs=15)
    longest = MaskSamples(masks=1, max_seconds=100.0)
    assert max(longest.draw(audio, rng)["spans"][0][1] for _ in range(200)) <= 1000


def test_a_mask_of_noise_is_as_loud_as_the_recording(speech):
    both = Audio(np.stack([speech.samples, 0.1 * speech.samples]), 16000)
    drawn = {"spans": [[8000, 40000]], "seed": 3}
    made = MaskSamples(fill="noise").apply(both, drawn).samples
    inside, outside = made[:, 8000:40000], np.delete(made, np.s_[8000:40000], axis=1)
    levels = np.sqrt((both.samples**2).mean(axis=1))
    np.testing.assert_allclose(np.sqrt((inside**2).mean(axis=1)), levels, rtol=0.02)
    np.testing.assert_array_equal(outside, np.delete(both.samples, np.s_[8000:40000], axis=1))
    spectrum = np.abs(np.fft.rfft(inside[0])) ** 2
    quarters = [part.mean() for part in np.array_split(spectrum, 4)]
    assert max(quarters) < 1.1 * min(quarters)
    other = MaskSamples(fill="noise").apply(both, drawn | {"seed": 4}).samples
    assert (other[:, 8000:40000] != inside).mean() > 0.99


RANGES = {
    "shift": (TimeShift((-0.25, 0.5)), -4000, 8000),
    "rate": (TimeStretch((0.8, 1.25)), 0.8, 1.25),
    "semitones": (PitchShift((-4, 4)), -4, 4),
}


@pytest.mark.parametrize("name", RANGES)
def test_values_are_drawn_evenly_from_their_range(speech, name):
    augmentation, low, high = RANGES[name]
    rng = np.random.default_rng(1)
    drawn = np.array([augmentation.draw(speech, rng)[name] for _ in range(2000)])
    assert low <= drawn.min() <= drawn.max() <= high
    quartiles = np.quantile((drawn - low) / (high - low), [0.01, 0.25, 0.5, 0.75, 0.99])
    np.testing.assert_allclose(quartiles, [0.01, 0.25, 0.5, 0.75, 0.99], atol=0.04)


def test_speeds_are_drawn_evenly_from_the_choices(speech):
    rng = np.random.default_rng(1)
    drawn = [SpeedPerturb().draw(speech, rng)["factor"] for _ in range(3000)]
    for factor in (0.9, 1.0, 1.1):
        assert drawn.count(factor) == pytest.approx(1000, abs=100)


def test_the_random_forms_do_what_the_functions_do(speech):
    samples = speech.samples
    pairs = [
        (TimeShift(), {"shift": 77}, time_shift(samples, 77)),
        (TimeShift(circular=False), {"shift": -77}, time_shift(samples, -77, circular=False)),
        (TimeStretch(), {"rate": 0.9}, stretch.time_stretch(samples, 0.9, 16000)),
        (PitchShift(), {"semitones": 2.5}, stretch.pitch_shift(samples, 2.5, 16000)),
        (SpeedPerturb(), {"factor": 1.1}, stretch.speed(samples, 1.1)),
        (
            MaskSamples(),
            {"spans": [[5, 900]], "seed": None},
            mask_samples(samples, [(5, 900)]),
        ),
    ]
    for augmentation, drawn, expected in pairs:
        made = augmentation.apply(speech, drawn)
        assert made.sample_rate == 16000
        np.testing.assert_array_equal(made.samples, expected)


def test_a_stretch_can_keep_the_length(speech):
    same = TimeStretch(keep_length=True)
    for rate in (0.8, 1.25):
        made = same.apply(speech, {"rate": rate}).samples
        whole = TimeStretch().apply(speech, {"rate": rate}).samples
        assert made.shape == speech.samples.shape
        size = min(made.size, whole.size)
        np.testing.assert_array_equal(made[:size], whole[:size])
        assert not made[size:].any()


@pytest.mark.parametrize("fill", ["zero", "noise"])
def test_noise_and_masks_are_replayed_from_json(speech, fill):
    done = augment(speech, MaskSamples(5, 0.3, fill), np.random.default_rng(5))
    drawn = json.loads(json.dumps(done.drawn))
    again = done.augmentation.apply(speech, drawn)
    assert again.samples.tobytes() == done.value.samples.tobytes()
    assert (again.samples != speech.samples).any()


def test_parameters_out_of_range_are_refused():
    for bounds in ((1.25, 0.8), (0, 1), (0.8, 11), (0.5, float("nan")), 0.8, (1, 2, 3)):
        with pytest.raises(InputError, match=r"rate is .*give .*0\.1 to 10"):
            TimeStretch(bounds)
    with pytest.raises(InputError, match="semitones"):
        PitchShift((-30, 0))
    with pytest.raises(InputError, match=r"seconds is .*1e\+06"):
        TimeShift((0, float("inf")))
    with pytest.raises(InputError, match="factors is empty"):
        SpeedPerturb(())
    with pytest.raises(InputError, match="factors is 0"):
        SpeedPerturb((1.0, 0))
    with pytest.raises(UnknownName, match=r"pink.*zero, noise"):
        MaskSamples(fill="pink")
    for masks in (-1, 2.5):
        with pytest.raises(InputError, match="masks is"):
            MaskSamples(masks=masks)
    with pytest.raises(InputError, match="max_seconds"):
        MaskSamples(max_seconds=-0.1)


def test_masks_of_an_empty_recording_are_empty():
    empty = Audio(np.zeros((2, 0), np.float32), 16000)
    for fill in ("zero", "noise"):
        done = augment(empty, MaskSamples(fill=fill), np.random.default_rng(0))
        assert done.drawn["spans"] == [[0, 0], [0, 0]]
        assert done.value.samples.shape == (2, 0)


@pytest.mark.parametrize("seconds", [(-1.7e308, 1.7e308), (0, 1.1e6), ("a", "b"), (None, 1)])
def test_shifts_and_masks_beyond_sound(seconds):
    with pytest.raises(InputError, match="seconds is"):
        TimeShift(seconds)
    for longest in (1e308, float("inf"), "a", None):
        with pytest.raises(InputError, match="max_seconds is"):
            MaskSamples(max_seconds=longest)
    for masks in (2.0, 1.5, "a", None, float("nan")):
        with pytest.raises(InputError, match=r"masks is .*whole number"):
            MaskSamples(masks=masks)


def test_numbers_of_numpy_are_as_good(speech):
    """As Python's of the same value, and drawn as JSON."""
    factor, samples = np.float32(1.1), speech.samples
    np.testing.assert_array_equal(
        stretch.speed(samples, factor), stretch.speed(samples, float(factor))
    )
    np.testing.assert_array_equal(
        stretch.pitch_shift(samples, np.int64(3), np.int64(16000)),
        stretch.pitch_shift(samples, 3, 16000),
    )
    np.testing.assert_array_equal(
        stretch.time_stretch(samples, factor, np.int32(16000)),
        stretch.time_stretch(samples, float(factor), 16000),
    )
    done = augment(speech, SpeedPerturb((factor,)), np.random.default_rng(0))
    assert json.loads(json.dumps(done.drawn)) == {"factor": float(factor)}
