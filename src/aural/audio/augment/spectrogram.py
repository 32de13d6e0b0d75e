"""Distortions of feature arrays: SpecAugment, crops, shifts along frequency and time, fades.

A value is float32 or float64 of shape (..., n_mels, frame), NumPy or torch; the result has its
shape, dtype and device, and is differentiable. Every leading dimension is one of examples: each
draws its own numbers, from a generator of its own, so that a batch is distorted as `augment_batch`
distorts its items, and no item depends on another. Drawn are lists of one entry an example. The
plain functions take one exact value for all examples, or a list of one an example.

Where cells are lost, `fill` says what is put there: "mean" and "floor" are the mean and the
smallest of the example's own finite cells (constants: no gradient flows through them), a number is
itself. Zero is silence in a power spectrogram only; in dB, where quiet is negative, it is loud:

>>> decibels = np.array([[-80.0, -75.0, -70.0, -62.0, -63.0]])
>>> second = [False, True, False, False, False]
>>> hide(decibels, second).tolist()
[[-80.0, -70.0, -70.0, -62.0, -63.0]]
>>> hide(decibels, second, fill="floor").tolist()
[[-80.0, -80.0, -70.0, -62.0, -63.0]]
>>> hide(decibels, second, fill=0).tolist()
[[-80.0, 0.0, -70.0, -62.0, -63.0]]

A cell that is not finite spreads to what is interpolated from it, and no further.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from array_api_compat import device

from aural.audio.augment.examples import (
    MOST,
    Fill,
    as_examples,
    check_fill,
    fill_of,
    generators,
    is_real,
    on_cpu,
    one_each,
    real_frames,
)
from aural.audio.augment.given import check_count, check_number, check_range
from aural.audio.features.array import filled, like, namespace
from aural.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from aural.audio.augment import Drawn
    from aural.audio.features.array import Array


MOST_TIMES = 1000.0
"""A crop and the field around an example are at most so many times the example."""
MOST_GAIN = 1e6
"""No log value of anything is larger."""


@dataclass(frozen=True)
class SpecAugment:
    """Time warp, then masks over bands of frequency and stretches of time.

    Park et al. 2019 (arXiv:1904.08779); the defaults are their policy LD. In their letters:

    time_warp (W): an anchor more than W frames from both ends moves by -W to W frames; an example
    of fewer than 2 W + 3 frames is not warped. frequency_masks (m_F), each 0 to frequency_width
    (F) bins wide. time_masks (m_T), each 0 to time_width (T) frames wide, and no wider than
    max_time_share (p) of the example. Numbers are drawn evenly, both limits included, and a mask
    lies anywhere it fits: the last bin and frame are masked too. Masks may overlap.

    Park et al. 2020 (arXiv:1912.05533) let time masks grow with the example: adaptive_masks (p_M)
    makes them floor(p_M * frames), at most max_time_masks; adaptive_width (p_S) makes T
    floor(p_S * frames). Their warp is the one used here, straight lines from the ends to the
    anchor (see `warp_time`), not the spline of 2019.
    """

    time_warp: int = 80
    frequency_masks: int = 2
    frequency_width: int = 27
    time_masks: int = 2
    time_width: int = 100
    max_time_share: float = 1.0
    adaptive_masks: float | None = None
    adaptive_width: float | None = None
    max_time_masks: int = 20
    fill: Fill = "mean"

    def __post_init__(self) -> None:
        for name in ("time_warp", "frequency_masks", "frequency_width"):
            check_count(name, getattr(self, name), 0, MOST)
        for name in ("time_masks", "time_width", "max_time_masks"):
            check_count(name, getattr(self, name), 0, MOST)
        for name in ("max_time_share", "adaptive_masks", "adaptive_width"):
            if (share := getattr(self, name)) is not None:
                check_number(name, share, 0, 1)
        check_fill(self.fill)

    def draw(
        self, value: Array, rng: np.random.Generator, lengths: ArrayLike | None = None
    ) -> Drawn:
        """Of each example its frames, warp as [anchor, shift], and masks as [start, width].

        lengths: real frames of each example, or its attention mask (see `real_frames`); what
        follows them is not drawn from, and `apply` leaves it as it is.
        """
        frames, n_mels = real_frames(value, lengths), value.shape[-2]
        own = generators(value, rng)
        drawn = [self._draw(n_mels, count, rng) for count, rng in zip(frames, own, strict=True)]
        return {"examples": drawn}

    def _draw(self, n_mels: int, frames: int, rng: np.random.Generator) -> Drawn:
        anchor = shift = 0
        if self.time_warp and frames >= 2 * self.time_warp + 3:
            anchor = int(rng.integers(self.time_warp + 1, frames - self.time_warp - 1))
            shift = int(rng.integers(-self.time_warp, self.time_warp + 1))
        masks, width = self.time_masks, self.time_width
        if self.adaptive_masks is not None:
            masks = min(self.max_time_masks, int(self.adaptive_masks * frames))
        if self.adaptive_width is not None:
            width = int(self.adaptive_width * frames)
        width = min(width, int(self.max_time_share * frames))
        return {
            "frames": frames,
            "warp": [anchor, shift],
            "frequency": _bands(self.frequency_masks, self.frequency_width, n_mels, rng),
            "time": _bands(masks, width, frames, rng),
        }

    def apply(self, value: Array, drawn: Drawn) -> Array:
        """The example warped, then masked."""
        examples = drawn["examples"]
        frames = one_each(value, [one["frames"] for one in examples]).reshape(value.shape[:-2])
        anchor, shift = one_each(value, [one["warp"] for one in examples], 2).T
        hidden = np.zeros((len(examples), *value.shape[-2:]), bool)
        for cells, one in zip(hidden, examples, strict=True):
            for start, width in one["frequency"]:
                cells[start : start + width] = True
            for start, width in one["time"]:
                cells[:, start : start + width] = True
        if shift.any():
            value = warp_time(value, anchor, shift, frames)
        return hide(value, hidden.reshape(value.shape), self.fill, frames)


LB = SpecAugment(frequency_masks=1, time_masks=1)
"""LibriSpeech basic."""
LD = SpecAugment()
"""LibriSpeech double."""
SM = SpecAugment(time_warp=40, frequency_width=15, time_width=70, max_time_share=0.2)
"""Switchboard mild."""
SS = SpecAugment(time_warp=40, time_width=70, max_time_share=0.2)
"""Switchboard strong."""
ADAPTIVE = SpecAugment(adaptive_masks=0.04, adaptive_width=0.04)
"""LibriFullAdapt: LD whose time masks grow with the example, at most 20 of them."""


@dataclass(frozen=True)
class RandomResizeCrop:
    """A rectangle cut out and resized to the whole: about a pitch shift and a time stretch.

    As in BYOL-A (Niizumi et al. 2021, arXiv:2103.06695): the height is floor(u * n_mels) and the
    width floor(v * frames), u and v drawn from frequency_scale and time_scale, both at least 1
    and at most the virtual boundary, which is the example, in its middle, in a field of `fill`
    boundary times its (frequency, time); the rectangle lies anywhere in it. Interpolation is as in
    `resize_crop`. BYOL-A has a fill of 0, the mean of its normalised input.
    """

    boundary: tuple[float, float] = (1.0, 1.5)
    frequency_scale: tuple[float, float] = (0.6, 1.5)
    time_scale: tuple[float, float] = (0.6, 1.5)
    fill: Fill = "mean"

    def __post_init__(self) -> None:
        if len(self.boundary) != 2:
            raise InputError(f"boundary is {self.boundary}; give that of frequency and of time")
        for side in self.boundary:
            check_number("boundary", side, 1, MOST_TIMES)
        check_range("frequency_scale", self.frequency_scale, 0, MOST_TIMES)
        check_range("time_scale", self.time_scale, 0, MOST_TIMES)
        check_fill(self.fill)

    def draw(self, value: Array, rng: np.random.Generator) -> Drawn:
        """Of each example the crop as [top, left, height, width], which may begin before 0."""
        scales = (self.frequency_scale, self.time_scale)
        crops = []
        for own in generators(value, rng):
            corner, size = [], []
            for cells, around, scale in zip(value.shape[-2:], self.boundary, scales, strict=True):
                field = int(cells * around)
                size.append(max(1, min(int(own.uniform(*scale) * cells), field)))
                first = int(own.integers(0, max(field - size[-1], 0) + 1))
                corner.append(first - (field - cells) // 2)
            crops.append(corner + size)
        return {"crops": crops}

    def apply(self, value: Array, drawn: Drawn) -> Array:
        """The crop, resized."""
        return resize_crop(value, drawn["crops"], self.fill)


@dataclass(frozen=True)
class FrequencyShift:
    """All bins up or down by an integer from -bins to bins, without wrapping: a cheap change of
    pitch. What is left empty gets `fill`: no energy, which in a logarithm is the floor and in a
    power spectrogram 0. Wang and van den Oord 2021 (arXiv:2103.06508).
    """

    bins: int = 10
    fill: Fill = "floor"

    def __post_init__(self) -> None:
        check_count("bins", self.bins, 0, MOST)
        check_fill(self.fill)

    def draw(self, value: Array, rng: np.random.Generator) -> Drawn:
        """Bins upwards, of each example."""
        own = generators(value, rng)
        return {"bins": [int(rng.integers(-self.bins, self.bins + 1)) for rng in own]}

    def apply(self, value: Array, drawn: Drawn) -> Array:
        """Shifted."""
        return shift_frequency(value, drawn["bins"], self.fill)


@dataclass(frozen=True)
class FrameShift:
    """All frames later or earlier by an integer from -frames to frames: in a circle, or with
    `fill` in what is left empty.
    """

    frames: int = 10
    wrap: bool = True
    fill: Fill = "floor"

    def __post_init__(self) -> None:
        check_count("frames", self.frames, 0, MOST)
        check_fill(self.fill)

    def draw(self, value: Array, rng: np.random.Generator) -> Drawn:
        """Frames later, of each example."""
        own = generators(value, rng)
        return {"frames": [int(rng.integers(-self.frames, self.frames + 1)) for rng in own]}

    def apply(self, value: Array, drawn: Drawn) -> Array:
        """Shifted."""
        return shift_frames(value, drawn["frames"], self.wrap, self.fill)


@dataclass(frozen=True)
class LinearFader:
    """A straight line over time added to log values, each end drawn from -gain to gain: the volume
    rises or falls. BYOL-A's second version (Niizumi et al. 2022, arXiv:2204.07402).
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        check_number("gain", self.gain, 0, MOST_GAIN)

    def draw(self, value: Array, rng: np.random.Generator) -> Drawn:
        """Of each example what is added to its first and last frame."""
        own = generators(value, rng)
        return {"ends": [rng.uniform(-self.gain, self.gain, 2).tolist() for rng in own]}

    def apply(self, value: Array, drawn: Drawn) -> Array:
        """With the line added."""
        return fade(value, drawn["ends"])


def hide(
    values: Array, hidden: Array, fill: Fill = "mean", lengths: ArrayLike | None = None
) -> Array:
    """The values with `fill` where hidden, a bool array that broadcasts to them, is true.

    Padding (see `real_frames`) is neither hidden nor part of the mean or the floor.
    """
    cells = as_examples(values)
    frames = real_frames(values, lengths)
    mask = np.asarray(on_cpu(hidden))
    if mask.dtype != bool:
        raise InputError(f"hidden is {mask.dtype}; give bool, true for what is to be hidden")
    try:
        mask = np.broadcast_to(mask, tuple(values.shape)).reshape(tuple(cells.shape))
    except ValueError:
        raise InputError(
            f"hidden has shape {mask.shape}; give one that broadcasts to {tuple(values.shape)}"
        ) from None
    xp = namespace(values)
    mask = xp.asarray(mask & is_real(cells, frames), device=device(values))
    return xp.reshape(xp.where(mask, fill_of(cells, fill, frames), cells), values.shape)


def warp_time(
    values: Array, anchor: ArrayLike, shift: ArrayLike, lengths: ArrayLike | None = None
) -> Array:
    """Time stretched on one side of a frame and squeezed on the other: frame `anchor` comes to lie
    at anchor + shift, the first and the last real frame stay, and what is between is interpolated
    linearly from straight lines between these three. The warp of (anchor + shift, -shift) brings
    the anchor back to where it was, and every frame's place with it. A shift of 0 changes nothing.
    """
    cells = as_examples(values)
    frames = real_frames(values, lengths)
    given = zip(frames, *_whole(values, anchor, shift), strict=True)
    count = cells.shape[-1]
    places = np.tile(np.arange(float(count)), (len(frames), 1))
    for place, (real, at, by) in zip(places, given, strict=True):
        place[:real] = warp_places(real, int(at), int(by))
    first = np.minimum(np.floor(places), max(count - 2, 0))
    weights = np.stack((first + 1 - places, places - first))
    index = np.stack((first, np.minimum(first + 1, count - 1))).astype(np.int64)
    return namespace(values).reshape(_interpolate(cells, index, weights, 2), values.shape)


def warp_places(frames: int, anchor: int, shift: int) -> np.ndarray:
    """Where in the original each frame of the warped example is taken from: float64, (frames,)."""
    if shift == 0:
        return np.arange(float(frames))
    if not (0 < anchor < frames - 1 and 0 < anchor + shift < frames - 1):
        raise InputError(
            f"anchor {anchor} moves to {anchor + shift} in {frames} frames; "
            f"give places from 1 to {frames - 2}"
        )
    return np.interp(np.arange(frames), (0, anchor + shift, frames - 1), (0, anchor, frames - 1))


def resize_crop(values: Array, crop: ArrayLike, fill: Fill = "mean") -> Array:
    """The rectangle (top, left, height, width) of bins and frames, resized to the whole.

    Bicubic, with corner cells on corner cells: torch's interpolate with mode="bicubic" and
    align_corners=True. What of the rectangle lies outside the array is `fill`.
    """
    cells = as_examples(values)
    crops = one_each(values, crop, 4, whole=True)
    if (crops[:, 2:] < 1).any():
        raise InputError(
            f"crop is {crops.tolist()}; give (top, left, height, width), 1 bin or more"
        )
    xp = namespace(values)
    base = fill_of(cells, fill)
    cells = cells - base  # so that outside is 0, and needs no cells
    for axis in (1, 2):
        start, size = crops[:, axis - 1], crops[:, axis + 1]
        index, weights = _bicubic(start, size, cells.shape[axis])
        cells = _interpolate(cells, index, weights, axis)
    return xp.reshape(cells + base, values.shape)


def shift_frequency(values: Array, bins: ArrayLike, fill: Fill = "floor") -> Array:
    """Bin i becomes bin i + bins; `fill` is put where none comes to lie."""
    return _shift(values, bins, 1, False, fill)


def shift_frames(
    values: Array, frames: ArrayLike, wrap: bool = True, fill: Fill = "floor"
) -> Array:
    """Frame i becomes frame i + frames; what leaves at one end comes in at the other, or `fill`."""
    return _shift(values, frames, 2, wrap, fill)


def fade(values: Array, ends: ArrayLike) -> Array:
    """The values plus a line from ends[0] in the first frame to ends[1] in the last."""
    cells = as_examples(values)
    first, last = one_each(values, ends, 2).T[:, :, None, None]
    line = first + (last - first) * np.linspace(0, 1, cells.shape[-1])
    return namespace(values).reshape(cells + like(line, values), values.shape)


def _whole(values: Array, *given: ArrayLike) -> list[np.ndarray]:
    return [one_each(values, each, whole=True) for each in given]


def _bands(masks: int, widest: int, size: int, rng: np.random.Generator) -> list[list[int]]:
    """[start, width] of so many masks within size cells."""
    widths = rng.integers(0, min(widest, size) + 1, masks)
    return [[int(rng.integers(0, size - width + 1)), int(width)] for width in widths]


def _shift(values: Array, by: ArrayLike, axis: int, wrap: bool, fill: Fill) -> Array:
    cells = as_examples(values)
    size = cells.shape[axis]
    places = np.arange(size) - one_each(values, by, whole=True).astype(np.int64)[:, None]
    xp = namespace(values)
    index = np.mod(places, max(size, 1))
    moved = _taken(cells, index, axis)
    if not wrap:
        inside = _along((places >= 0) & (places < size), axis, values)
        moved = xp.where(inside, moved, fill_of(cells, fill))
    return xp.reshape(moved, values.shape)


def _bicubic(start: np.ndarray, size: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Index and weight of the four neighbours, each (4, example, cells): Keys' cubic convolution
    with a = -0.75. Beyond the crop its edge is repeated; beyond the array the weight is 0.
    """
    step = (size - 1) / max(cells - 1, 1)
    places = step[:, None] * np.arange(cells)
    first = np.floor(places)
    near = places - first
    taps = np.arange(-1, 3)[:, None, None]
    away = np.abs(near - taps)
    inner = (1.25 * away - 2.25) * away**2 + 1
    outer = -0.75 * (((away - 5) * away + 8) * away - 4)
    weights = np.where(away <= 1, inner, outer)
    index = np.clip(first + taps, 0, size[:, None] - 1) + start[:, None]
    outside = (index < 0) | (index >= cells)
    index = np.clip(index, 0, max(cells - 1, 0)).astype(np.int64)
    return index, np.where(outside, 0, weights)


def _interpolate(cells: Array, index: np.ndarray, weights: np.ndarray, axis: int) -> Array:
    """The sum over taps of weight times the cell at index; both (tap, example, place)."""
    xp = namespace(cells)
    nothing = filled((), 0.0, cells)
    total = nothing
    with np.errstate(invalid="ignore"):  # infinite cells of both signs have no sum
        for at, share in zip(index, weights, strict=True):
            part = _taken(cells, at, axis)
            spread = like(np.expand_dims(share, 3 - axis), cells)
            total = total + xp.where(spread == 0, nothing, part) * spread
    return total


def _taken(cells: Array, index: np.ndarray, axis: int) -> Array:
    """Of each example the cells at its index along an axis; index: (example, place)."""
    xp = namespace(cells)
    places = xp.asarray(index, device=device(cells))
    # One by one: several times as fast as take_along_axis, which would need an index for each cell.
    found = [xp.take(cells[i, ...], places[i, ...], axis=axis - 1) for i in range(cells.shape[0])]
    return xp.stack(found) if found else cells


def _along(numbers: np.ndarray, axis: int, values: Array) -> Array:
    """(example, place) so that it broadcasts along an axis of (example, n_mels, frame)."""
    return namespace(values).asarray(np.expand_dims(numbers, 3 - axis), device=device(values))
