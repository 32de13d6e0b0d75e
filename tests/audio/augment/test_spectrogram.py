"""SpecAugment, crops, shifts and fades of feature arrays."""

import doctest
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import soundfile
import torch

from aural.audio.augment import augment, augment_batch, spectrogram
from aural.audio.augment.spectrogram import (
    ADAPTIVE,
    LB,
    LD,
    SM,
    SS,
    FrameShift,
    FrequencyShift,
    LinearFader,
    RandomResizeCrop,
    SpecAugment,
    fade,
    hide,
    resize_crop,
    shift_frames,
    shift_frequency,
    warp_places,
    warp_time,
)
from aural.audio.features import mel_spectrogram
from aural.errors import InputError, UnknownName

EXAMPLE = Path(__file__).parents[3] / "examples/sense_and_sensibility_0880.flac"

EVERY = [
    LD,
    SpecAugment(time_warp=20, fill="floor"),
    SpecAugment(time_warp=0, time_width=20, max_time_share=0.2, fill=-3.5),
    ADAPTIVE,
    RandomResizeCrop(),
    RandomResizeCrop(boundary=(1.3, 2.0), frequency_scale=(0.1, 1.5), fill="floor"),
    FrequencyShift(12),
    FrameShift(40),
    FrameShift(40, wrap=False, fill="mean"),
    LinearFader(2.0),
]


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def is_even(drawn: np.ndarray, choices: int) -> bool:
    """Whether numbers 0 to choices - 1 are equally likely: chi-square, one in a thousand errs."""
    counts = np.bincount(drawn, minlength=choices)
    assert counts.size == choices
    return scipy.stats.chisquare(counts).pvalue > 1e-3


# Every one of them


@pytest.mark.parametrize("augmentation", EVERY, ids=repr)
class TestEvery:
    def test_same_shape_and_dtype_and_the_given_array_stays(self, augmentation) -> None:
        for dtype in (np.float32, np.float64):
            value = noise(2, 3, 40, 200).astype(dtype)
            before = value.copy()
            made = augment(value, augmentation, np.random.default_rng(1)).value
            assert made.shape == value.shape
            assert made.dtype == dtype
            assert not np.shares_memory(made, value)
            np.testing.assert_array_equal(value, before)

    def test_json_replays_the_same_bytes(self, augmentation) -> None:
        value = noise(4, 40, 200)
        made = augment(value, augmentation, np.random.default_rng(1))
        again = augmentation.apply(value, json.loads(json.dumps(made.drawn)))
        assert made.value.tobytes() == again.tobytes() != value.tobytes()

    def test_torch_equals_numpy(self, augmentation) -> None:
        value = noise(4, 40, 200)
        mine = augment(value, augmentation, np.random.default_rng(1))
        theirs = augment(torch.tensor(value), augmentation, np.random.default_rng(1))
        assert mine.drawn == theirs.drawn
        assert theirs.value.dtype == torch.float32
        np.testing.assert_allclose(theirs.value.numpy(), mine.value, rtol=0, atol=2e-6)

    def test_an_example_does_not_depend_on_the_batch(self, augmentation) -> None:
        value = noise(4, 40, 200)
        whole = augment(value, augmentation, np.random.default_rng(1)).value
        single = augment_batch(list(value), augmentation, np.random.default_rng(1))
        assert all(np.array_equal(a, b.value) for a, b in zip(whole, single, strict=True))
        others = np.concatenate((value[:2], noise(2, 40, 200, seed=9)))
        changed = augment(others, augmentation, np.random.default_rng(1)).value
        np.testing.assert_array_equal(changed[:2], whole[:2])

    def test_examples_draw_numbers_of_their_own(self, augmentation) -> None:
        value = np.stack([noise(40, 200)] * 4)
        made = augment(value, augmentation, np.random.default_rng(1)).value
        assert len({one.tobytes() for one in made}) > 1

    def test_a_gradient_is_that_of_the_differences(self, augmentation) -> None:
        # All of them are linear in the cells that are not filled in.
        value = torch.tensor(noise(2, 40, 200), dtype=torch.float64, requires_grad=True)
        drawn = augmentation.draw(value, np.random.default_rng(1))
        made = augmentation.apply(value, drawn)
        (slope,) = torch.autograd.grad(made.sum(), value)
        assert torch.isfinite(slope).all()
        assert slope.abs().sum() > 0
        if getattr(augmentation, "fill", None) in ("mean", "floor"):
            return  # a constant for the gradient, not for the differences
        step = torch.tensor(noise(2, 40, 200, seed=5), dtype=torch.float64)
        difference = augmentation.apply(value + step, drawn).sum() - made.sum()
        assert difference.item() == pytest.approx((slope * step).sum().item(), abs=1e-8)

    @pytest.mark.parametrize("shape", [(40, 0), (0, 40, 9), (3, 40, 1), (1, 1), (1, 2), (2, 0, 5)])
    def test_few_cells_have_a_defined_outcome(self, augmentation, shape) -> None:
        made = augment(noise(*shape), augmentation, np.random.default_rng(1)).value
        assert made.shape == shape
        assert np.isfinite(made).all()

    @pytest.mark.parametrize(
        "value",
        [np.zeros(5, np.float32), np.zeros((2, 3), int), np.zeros((2, 3), np.complex64), [[0.0]]],
        ids=["one dimension", "integers", "complex", "a list"],
    )
    def test_what_is_no_feature_array_is_refused(self, augmentation, value) -> None:
        with pytest.raises(InputError, match=r"give (\(\.\.\., row|float32|a NumPy)"):
            augmentation.draw(value, np.random.default_rng(1))

    def test_what_was_drawn_for_another_batch_is_refused(self, augmentation) -> None:
        drawn = augmentation.draw(noise(3, 40, 200), np.random.default_rng(1))
        with pytest.raises(InputError, match="2 examples"):
            augmentation.apply(noise(2, 40, 200), drawn)

    def test_silence_stays_finite(self, augmentation) -> None:
        made = augment(np.zeros((2, 40, 200), np.float32), augmentation, np.random.default_rng(1))
        assert np.isfinite(made.value).all()


# SpecAugment


@pytest.mark.parametrize(
    ("policy", "numbers"),
    [  # W, F, m_F, T, p, m_T of table 1 of the paper
        (LB, (80, 27, 1, 100, 1.0, 1)),
        (LD, (80, 27, 2, 100, 1.0, 2)),
        (SM, (40, 15, 2, 70, 0.2, 2)),
        (SS, (40, 27, 2, 70, 0.2, 2)),
    ],
)
def test_policies_are_those_of_the_paper(policy: SpecAugment, numbers: tuple) -> None:
    made = (policy.time_warp, policy.frequency_width, policy.frequency_masks)
    made += (policy.time_width, policy.max_time_share, policy.time_masks)
    assert made == numbers
    assert policy.adaptive_masks is policy.adaptive_width is None


def naive(value: np.ndarray, drawn: dict, fill: str) -> np.ndarray:
    """One example warped row by row and masked cell by cell."""
    (one,) = drawn["examples"]
    (anchor, shift), last = one["warp"], value.shape[1] - 1
    made = np.empty_like(value, np.float64)
    for row, source in zip(made, value, strict=True):
        for frame in range(value.shape[1]):
            if frame <= anchor + shift:
                place = frame * anchor / (anchor + shift) if anchor else frame
            else:
                share = (frame - anchor - shift) / (last - anchor - shift)
                place = anchor + share * (last - anchor)
            row[frame] = np.interp(place, range(value.shape[1]), source)
    put = {"mean": made.mean(), "floor": made.min()}[fill]
    for start, width in one["frequency"]:
        for row in range(start, start + width):
            made[row] = put
    for start, width in one["time"]:
        for frame in range(start, start + width):
            made[:, frame] = put
    return made


@pytest.mark.parametrize("fill", ["mean", "floor"])
@pytest.mark.parametrize("seed", range(4))
def test_spec_augment_equals_a_naive_one(seed: int, fill: str) -> None:
    policy = SpecAugment(time_warp=30, frequency_width=9, time_width=25, fill=fill)
    value = noise(20, 100, seed=seed)
    made = augment(value, policy, np.random.default_rng(seed))
    np.testing.assert_allclose(made.value, naive(value, made.drawn, fill), rtol=0, atol=1e-5)


def test_widths_and_places_of_masks_are_drawn_evenly() -> None:
    policy = SpecAugment(0, 1, 7, 1, 11)
    drawn = policy.draw(np.zeros((6000, 20, 50), np.float32), np.random.default_rng(0))
    for axis, widest, size in (("frequency", 7, 20), ("time", 11, 50)):
        masks = np.array([one[axis][0] for one in drawn["examples"]])
        starts, widths = masks.T
        assert is_even(widths, widest + 1)
        for width in (1, widest):
            assert is_even(starts[widths == width], size - width + 1)
        assert (starts + widths).max() == size  # the last cell is masked too
    # and so the share of cells that is hidden: a mask covers F / 2 of the bins on average
    made = policy.apply(np.ones((6000, 20, 50), np.float32), drawn)
    assert (made == 1).all()  # the mean of ones
    marked = SpecAugment(0, 1, 7, 1, 11, fill=0.0).apply(np.ones((6000, 20, 50), np.float32), drawn)
    expected = (1 - 3.5 / 20) * (1 - 5.5 / 50)
    assert marked.mean() == pytest.approx(expected, abs=0.004)  # 3 standard errors


def test_a_time_mask_is_no_wider_than_its_share() -> None:
    value = np.zeros((500, 8, 60), np.float32)
    drawn = SM.draw(value, np.random.default_rng(0))
    widths = [width for one in drawn["examples"] for _, width in one["time"]]
    assert max(widths) == 12  # 0.2 * 60, less than 70
    assert is_even(np.array(widths), 13)


def test_no_warp_where_there_is_no_room() -> None:
    rng = np.random.default_rng(0)
    for frames, warped in ((82, False), (83, True), (300, True)):
        drawn = SM.draw(np.zeros((60, 4, frames), np.float32), rng)
        anchors, shifts = np.array([one["warp"] for one in drawn["examples"]]).T
        assert shifts.any() == warped
        if warped:
            assert anchors.min() > 40
            assert anchors.max() < frames - 41
            assert 0 < (anchors + shifts).min() <= (anchors + shifts).max() < frames - 1


def test_the_shift_of_the_anchor_is_drawn_evenly() -> None:
    policy = SpecAugment(3, 0, 0, 0, 0)
    drawn = policy.draw(np.zeros((4000, 1, 20), np.float32), np.random.default_rng(0))
    anchors, shifts = np.array([one["warp"] for one in drawn["examples"]]).T
    assert is_even(shifts + 3, 7)
    assert is_even(anchors - 4, 12)  # 4 to 15


@pytest.mark.parametrize(("frames", "masks", "widest"), [(24, 0, 0), (100, 4, 4), (2000, 20, 80)])
def test_adaptive_masks_grow_with_the_example(frames: int, masks: int, widest: int) -> None:
    drawn = ADAPTIVE.draw(np.zeros((300, 4, frames), np.float32), np.random.default_rng(0))
    assert {len(one["time"]) for one in drawn["examples"]} == {masks}
    widths = [width for one in drawn["examples"] for _, width in one["time"]]
    assert max(widths, default=0) == widest


def test_what_follows_the_real_frames_is_left_alone() -> None:
    value = noise(3, 16, 120)
    lengths = np.array([120, 40, 0])
    policy = SpecAugment(10, 2, 8, 2, 30)
    drawn = policy.draw(value, np.random.default_rng(2), lengths)
    assert [one["frames"] for one in drawn["examples"]] == [120, 40, 0]
    assert all(start + width <= 40 for start, width in drawn["examples"][1]["time"])
    made = policy.apply(value, drawn)
    np.testing.assert_array_equal(made[1, :, 40:], value[1, :, 40:])
    np.testing.assert_array_equal(made[2], value[2])
    # padding changes nothing in what is real, the mean that is filled in least of all
    alone = policy.apply(value[1, :, :40], {"examples": [drawn["examples"][1]]})
    np.testing.assert_allclose(made[1, :, :40], alone, rtol=0, atol=1e-6)
    mask = np.arange(120) < lengths[:, None]
    for given in (mask, torch.tensor(mask), mask.astype(int), torch.tensor(lengths)):
        assert policy.draw(value, np.random.default_rng(2), given) == drawn


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([50, 51], "the frames there are"),
        ([-1, 5], "the frames there are"),
        ([5], "give integers of shape"),
        ([1.0, 2.0], "give integers"),
        (np.arange(50) >= np.array([[0], [7]]), "after padding"),
    ],
)
def test_lengths_that_can_not_be_are_refused(lengths: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LD.draw(noise(2, 8, 50), np.random.default_rng(0), lengths)


# Time warp


@pytest.mark.parametrize(("anchor", "shift"), [(30, 9), (30, -29), (1, 60), (98, -97), (50, 1)])
def test_warped_time_is_a_monotone_map_that_moves_the_anchor(anchor: int, shift: int) -> None:
    places = warp_places(100, anchor, shift)
    assert places[0] == 0
    assert places[-1] == 99
    assert places[anchor + shift] == anchor
    assert (np.diff(places) > 0).all()
    back = warp_places(100, anchor + shift, -shift)
    np.testing.assert_allclose(np.interp(back, range(100), places), range(100), atol=1e-10)


def test_a_warp_and_its_inverse_bring_a_ramp_back() -> None:
    value = noise(2, 5, 100)
    moved = warp_time(value, [30, 60], [9, -20])
    np.testing.assert_array_equal(moved[0, :, 39], value[0, :, 30])
    np.testing.assert_array_equal(moved[1, :, 40], value[1, :, 60])
    np.testing.assert_array_equal(moved[..., [0, 99]], value[..., [0, 99]])
    back = warp_time(moved, [39, 40], [-9, 20])
    np.testing.assert_array_equal(back[0, :, 30], value[0, :, 30])
    bent = np.interp(np.arange(100), [0, 30, 99], [1, 7, -2])[None]  # straight between the three
    np.testing.assert_allclose(warp_time(warp_time(bent, 30, 9), 39, -9), bent, atol=1e-12)


def test_a_warp_by_nothing_is_the_same_bytes() -> None:
    value = noise(2, 5, 100)
    value[0, 0, 3] = np.nan
    value[0, 1, 3] = -np.inf
    assert warp_time(value, 30, 0).tobytes() == value.tobytes()


@pytest.mark.parametrize(("anchor", "shift"), [(0, 3), (5, -5), (98, 1), (99, -1), (120, 2)])
def test_an_anchor_stays_within_the_ends(anchor: int, shift: int) -> None:
    with pytest.raises(InputError, match="give places from 1 to 98"):
        warp_time(noise(5, 100), anchor, shift)


# Fill


def test_zero_is_not_silence_in_decibels() -> None:
    samples, _ = soundfile.read(EXAMPLE, dtype="float32")
    power = mel_spectrogram(samples)
    decibels = 10 * np.log10(np.maximum(power, 1e-10) / power.max())
    hidden = np.zeros(decibels.shape, bool)
    hidden[:, 100:120] = True
    energy = {fill: 10 ** (hide(decibels, hidden, fill)[hidden] / 10) for fill in (0, "floor")}
    assert (energy[0] >= (10 ** (decibels / 10)).max() * (1 - 1e-6)).all()  # the loudest there is
    assert (energy["floor"] <= 10 ** (decibels.min() / 10) * (1 + 1e-6)).all()


def test_mean_and_floor_are_of_the_finite_cells_of_each_example() -> None:
    value = noise(3, 4, 6)
    value[0, 0, 0], value[0, 1, 1], value[1] = np.nan, -np.inf, np.nan
    hidden = np.zeros((4, 6), bool)
    hidden[2] = True
    finite = value[0][np.isfinite(value[0])]
    for fill, expected in (("mean", finite.mean()), ("floor", finite.min())):
        made = hide(value, hidden, fill)
        np.testing.assert_allclose(made[0, 2], expected, rtol=1e-6)
        np.testing.assert_array_equal(made[1, 2], 0)  # nothing finite
        np.testing.assert_array_equal(made[0, [0, 1, 3]], value[0, [0, 1, 3]])


def test_a_gradient_passes_through_cells_that_are_not_masked_only() -> None:
    value = torch.tensor(noise(2, 8, 30), requires_grad=True)
    hidden = np.zeros((2, 8, 30), bool)
    hidden[0, 2:4], hidden[1, :, 5:9] = True, True
    for fill in ("mean", "floor", -1.0):
        (slope,) = torch.autograd.grad(hide(value, hidden, fill).sum(), value)
        np.testing.assert_array_equal(slope.numpy(), 1.0 - hidden)


def test_hidden_is_a_mask_that_fits() -> None:
    with pytest.raises(InputError, match="give bool"):
        hide(noise(4, 6), np.zeros((4, 6)))
    with pytest.raises(InputError, match=r"broadcasts to \(4, 6\)"):
        hide(noise(4, 6), np.zeros((3, 6), bool))


# Crops


@pytest.mark.parametrize(("dtype", "near"), [(np.float32, 1e-4), (np.float64, 1e-12)])
@pytest.mark.parametrize("seed", range(5))
def test_a_crop_equals_torch_bicubic_of_the_padded_array(
    seed: int, dtype: type, near: float
) -> None:
    # torch places its samples in the precision of the values, and here they are in float64
    rng = np.random.default_rng(seed)
    value = noise(6, 40, 96, seed=seed).astype(dtype)
    augmentation = RandomResizeCrop(boundary=(1.2, 1.5), frequency_scale=(0.05, 1.5), fill=0.0)
    drawn = augmentation.draw(value, rng)
    made = augmentation.apply(value, drawn)
    for one, example, (top, left, height, width) in zip(made, value, drawn["crops"], strict=True):
        field = torch.zeros(1, 1, 48, 144, dtype=torch.tensor(value).dtype)
        field[0, 0, 4:44, 24:120] = torch.tensor(example)
        crop = field[:, :, top + 4 : top + 4 + height, left + 24 : left + 24 + width]
        assert crop.shape[2:] == (height, width)
        expected = torch.nn.functional.interpolate(
            crop, size=(40, 96), mode="bicubic", align_corners=True
        )
        np.testing.assert_allclose(one, expected[0, 0].numpy(), rtol=0, atol=near)


@pytest.mark.parametrize("crop", [(0, 0, 1, 1), (3, 5, 1, 7), (39, 0, 1, 96), (0, 95, 40, 1)])
def test_a_crop_of_one_cell_equals_torch(crop: tuple[int, int, int, int]) -> None:
    value = noise(40, 96)
    top, left, height, width = crop
    cut = torch.tensor(value[None, None, top : top + height, left : left + width])
    expected = torch.nn.functional.interpolate(
        cut, size=(40, 96), mode="bicubic", align_corners=True
    )
    np.testing.assert_allclose(resize_crop(value, crop), expected[0, 0], rtol=0, atol=2e-6)


def test_the_whole_as_crop_is_the_array() -> None:
    value = noise(2, 40, 96)
    np.testing.assert_array_equal(resize_crop(value, (0, 0, 40, 96), 0.0), value)


def test_sizes_and_places_of_crops() -> None:
    value = np.zeros((4000, 40, 100), np.float32)
    drawn = RandomResizeCrop().draw(value, np.random.default_rng(0))
    top, left, height, width = np.array(drawn["crops"]).T
    assert 24 == height.min() < height.max() == 40
    assert 60 == width.min() < width.max() == 149
    # u is even in 0.6 to 1.5: at most 1 in five of nine, and the whole height in the rest
    assert (height == 40).mean() == pytest.approx(5 / 9, abs=0.025)
    assert is_even(width - 60, 90)
    assert top.min() == 0
    assert (top + height).max() == 40
    assert left.min() == -25
    assert (left + width).max() == 125
    assert (left + width / 2).mean() == pytest.approx(50, abs=0.7)


def test_what_is_outside_gets_the_fill() -> None:
    value = noise(10, 20) + 5
    made = resize_crop(value, (0, -20, 10, 20), "floor")
    np.testing.assert_allclose(made, value.min(), rtol=1e-6)
    with pytest.raises(InputError, match="1 bin or more"):
        resize_crop(value, (0, 0, 0, 5))
    with pytest.raises(InputError, match=r"give \(4,\)"):
        resize_crop(value, (0, 0, 5))


# Shifts and fades


@pytest.mark.parametrize("bins", [0, 1, 7, -3, 11, -12, 12, 40])
def test_a_frequency_shift_does_not_wrap(bins: int) -> None:
    value = noise(2, 12, 9)
    expected = np.stack([np.full((12, 9), one.min()) for one in value])
    for row in range(12):
        if 0 <= row + bins < 12:
            expected[:, row + bins] = value[:, row]
    np.testing.assert_array_equal(shift_frequency(value, bins), expected)
    zeros = shift_frequency(np.abs(value), bins, fill=0)
    assert (zeros == 0).all(axis=(0, 2)).sum() == min(abs(bins), 12)


@pytest.mark.parametrize("frames", [0, 1, 7, -3, 12, 40])
def test_a_shift_of_frames_is_circular_or_filled(frames: int) -> None:
    value = noise(2, 5, 12)
    np.testing.assert_array_equal(shift_frames(value, frames), np.roll(value, frames, axis=-1))
    filled = shift_frames(value, frames, wrap=False, fill=-7)
    expected = np.full_like(value, -7)
    for frame in range(12):
        if 0 <= frame + frames < 12:
            expected[..., frame + frames] = value[..., frame]
    np.testing.assert_array_equal(filled, expected)


def test_shifts_are_drawn_evenly() -> None:
    value = np.zeros((5000, 8, 8), np.float32)
    bins = FrequencyShift(3).draw(value, np.random.default_rng(0))["bins"]
    frames = FrameShift(4).draw(value, np.random.default_rng(0))["frames"]
    assert is_even(np.array(bins) + 3, 7)
    assert is_even(np.array(frames) + 4, 9)


def test_a_fade_adds_a_line() -> None:
    value = noise(2, 4, 11)
    made = fade(value, [[0, 1], [2, -2]])
    np.testing.assert_allclose((made - value)[0], np.tile(np.arange(11) / 10, (4, 1)), atol=1e-6)
    np.testing.assert_allclose((made - value)[1, 0], 2 - 0.4 * np.arange(11), atol=1e-6)
    ends = np.array(LinearFader(1.5).draw(np.zeros((4000, 1, 2)), np.random.default_rng(0))["ends"])
    for end in ends.T:
        assert scipy.stats.kstest(end, scipy.stats.uniform(-1.5, 3).cdf).pvalue > 1e-3


# Options


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SpecAugment(time_warp=-1), InputError, "time_warp is -1"),
        (lambda: SpecAugment(time_masks=1.5), InputError, "time_masks is 1.5"),
        (lambda: SpecAugment(max_time_share=1.2), InputError, "max_time_share is 1.2"),
        (lambda: SpecAugment(adaptive_width=float("nan")), InputError, "adaptive_width is nan"),
        (lambda: SpecAugment(fill="zero"), UnknownName, "mean, floor, a number"),
        (lambda: SpecAugment(fill=float("inf")), InputError, "fill is inf"),
        (lambda: RandomResizeCrop(boundary=(0.9, 1)), InputError, "boundary is 0.9"),
        (lambda: RandomResizeCrop(time_scale=(2, 1)), InputError, "time_scale is"),
        (lambda: FrequencyShift(-2), InputError, "bins is -2"),
        (lambda: FrameShift(-2), InputError, "frames is -2"),
        (lambda: LinearFader(-1), InputError, "gain is -1"),
    ],
)
def test_options_say_what_is_allowed(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_the_examples_of_the_documentation_hold() -> None:
    result = doctest.testmod(spectrogram)
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v: hide(v, v > 9, fill="median"), "fill 'median'"),
        (lambda v: hide(v, v > 9, fill=float("nan")), "fill is nan"),
        (lambda v: hide(v, v > 9, fill=None), "fill is None"),
        (lambda v: hide(v, v > 9, fill=[1.0]), "fill is"),
        (lambda v: shift_frequency(v, 1.5), r"1\.5 was given; give whole"),
        (lambda v: shift_frames(v, float("nan")), "nan was given; give finite"),
        (lambda v: shift_frames(v, "a"), "a was given; give finite"),
        (lambda v: resize_crop(v, (0, 0, float("nan"), 5)), "nan.* was given; give finite"),
        (lambda v: resize_crop(v, (0, 0.5, 5, 5)), r"0\.5.* give whole"),
        (lambda v: warp_time(v, 5, 2.7), r"2\.7 was given; give whole"),
        (lambda v: warp_time(v, 5.5, 2), r"5\.5 was given; give whole"),
        (lambda v: fade(v, (0, float("inf"))), "inf.* was given; give finite"),
        (lambda v: LinearFader(1e308), "gain is"),
        (lambda v: LinearFader("a"), "gain is a"),
        (lambda v: RandomResizeCrop(boundary=(1e308, 1)), "boundary is"),
        (lambda v: RandomResizeCrop(boundary=(1,)), "boundary is .*frequency and of time"),
        (lambda v: RandomResizeCrop(time_scale=(0, 1e308)), "time_scale is"),
        (lambda v: SpecAugment(frequency_masks=2.0), "frequency_masks is 2.0; give a whole"),
        (lambda v: SpecAugment(time_warp="a"), "time_warp is a"),
        (lambda v: SpecAugment(fill=None), "fill is None"),
    ],
)
@pytest.mark.parametrize("form", [np.asarray, torch.from_numpy])
def test_numbers_that_can_not_be(call, message: str, form) -> None:
    with pytest.raises((InputError, UnknownName), match=message):
        call(form(np.zeros((2, 8, 20), np.float32)))
