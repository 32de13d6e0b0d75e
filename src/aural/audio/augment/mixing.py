"""Two examples made one: mixup, BYOL-A's log-mixup-exp and its bank, and the ready sets.

Feature arrays are as in `aural.audio.augment.spectrogram`; `Mixup` also takes Audio. What is mixed
in is part of the augmentation, as the recordings of noise are of AddNoise: drawn values say which
one and how much. A bank of past examples is a value too, that a training loop hands on:

    statistics, bank = RunningStatistics(), MixupBank()
    for batch in batches:  # (example, n_mels, frame) of log-mel
        statistics = statistics.updated(batch)
        batch = statistics.normalise().apply(batch, {})
        one, other = (augment(batch, byol_a(bank.examples), rng).value for _ in range(2))
        bank = bank.pushed(batch)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from array_api_compat import device

from aural.audio.augment import Chain
from aural.audio.augment.examples import (
    MOST,
    Fill,
    as_examples,
    generators,
    on_cpu,
    one_each,
)
from aural.audio.augment.given import as_audio, as_samples, check_count, check_number, picked
from aural.audio.augment.spectrogram import FrequencyShift, RandomResizeCrop, SpecAugment
from aural.audio.augment.time import MaskSamples
from aural.audio.features.array import as_real, as_spectrogram, filled, like, namespace
from aural.errors import InputError
from aural.types import Audio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

    from aural.audio.augment import Drawn
    from aural.audio.features.array import Array


MOST_BETA = 1e6
"""A beta distribution of more is one number."""


@dataclass(frozen=True, eq=False)
class Mixup:
    """weight * example + (1 - weight) * another, the weight drawn from a beta distribution.

    Zhang et al. 2018 (arXiv:1710.09412). Beta(5, 2), with a mean of 5/7, is that of Wang and van
    den Oord 2021 (arXiv:2103.06508), whose result keeps the label of the example; where labels
    are to be mixed too, `mix_labels` does it.

    others: what is mixed in, drawn evenly: Audio of the same rate, or arrays of one example's
    shape (n_mels, frame). A longer recording gives a stretch of itself, a shorter one is followed
    by silence. None mixes the examples of a batch with each other, which is for arrays. Where
    there is no other the example is left as it is.
    """

    others: Sequence[Any] | None = None
    beta: tuple[float, float] = (5.0, 2.0)

    def __post_init__(self) -> None:
        try:
            fits = len(self.beta) == 2 and all(0 < shape <= MOST_BETA for shape in self.beta)
        except TypeError:
            fits = False
        if not fits:
            raise InputError(f"beta is {self.beta}; give two numbers above 0, to {MOST_BETA:g}")

    def draw(self, value: Any, rng: np.random.Generator) -> Drawn:
        """Of each example the weight and the index of the other (None: there is none); for Audio
        also the sample of the other that is at the start.
        """
        if not isinstance(value, Audio):
            return _draw_others(value, self.others, rng, "weight", lambda own: own.beta(*self.beta))
        value = as_audio(value)
        if self.others is None:
            raise InputError("others is None; for Audio give the recordings to mix in")
        drawn = {"weight": [rng.beta(*self.beta)], "other": [None], "start": [0]}
        if not self.others:
            return drawn
        index = int(rng.integers(len(self.others)))
        spare = self.others[index].samples.shape[-1] - value.samples.shape[-1]
        return drawn | {"other": [index], "start": [int(rng.integers(max(spare, 0) + 1))]}

    def apply(self, value: Any, drawn: Drawn) -> Any:
        """Mixed."""
        weights = _shares(drawn["weight"], drawn["other"], 1.0)
        if not isinstance(value, Audio):
            other = _stacked(as_examples(value), self.others, drawn["other"])
            return _mixed(mixup, value, other, weights)
        value = as_audio(value)
        (index,), (start,) = drawn["other"], drawn["start"]
        other = value if index is None else picked("other", self.others or (), index)
        samples = mixup(as_samples(value.samples), _stretch(value, other, start), weights[0])
        return replace(value, samples=samples)


@dataclass(frozen=True, eq=False)
class LogMixup:
    """Mixup of the energies of log values: log((1 - ratio) * exp(example) + ratio * exp(other)).

    BYOL-A's (Niizumi et al. 2021, arXiv:2103.06695): ratio is drawn from 0 to alpha, so that what
    is mixed in stays in the background. alpha is 0.4 in the paper, and 0.1 or 0.05 where values
    are not normalised first. others: arrays of one example's shape, as `MixupBank.examples`, or
    None for the batch's own; where there is no other the example is left as it is. Values are
    natural logarithms of energy, normalised or not.
    """

    others: Sequence[Array] | None = None
    alpha: float = 0.4

    def __post_init__(self) -> None:
        check_number("alpha", self.alpha, 0, 1)

    def draw(self, value: Array, rng: np.random.Generator) -> Drawn:
        """Of each example the ratio and the index of the other (None: there is none)."""
        return _draw_others(
            value, self.others, rng, "ratio", lambda own: own.uniform(0, self.alpha)
        )

    def apply(self, value: Array, drawn: Drawn) -> Array:
        """Mixed."""
        other = _stacked(as_examples(value), self.others, drawn["other"])
        return _mixed(log_mixup_exp, value, other, _shares(drawn["ratio"], drawn["other"], 0.0))


@dataclass(frozen=True)
class GaussianMixup:
    """`log_mixup_exp` with normal noise instead of another example: ratio is drawn from 0 to
    alpha, and is the deviation of the noise as well. What BYOL-A is compared with.
    """

    alpha: float = 0.4

    def __post_init__(self) -> None:
        check_number("alpha", self.alpha, 0, 1)

    def draw(self, value: Array, rng: np.random.Generator) -> Drawn:
        """Of each example the ratio, and the seed of its noise."""
        own = generators(value, rng)
        ratios = [rng.uniform(0, self.alpha) for rng in own]
        return {"ratio": ratios, "seed": [int(rng.integers(2**32)) for rng in own]}

    def apply(self, value: Array, drawn: Drawn) -> Array:
        """Mixed."""
        noise = np.zeros((len(drawn["seed"]), *value.shape[-2:]))
        for cells, seed, ratio in zip(noise, drawn["seed"], drawn["ratio"], strict=True):
            cells[:] = np.random.default_rng(seed).normal(0, ratio, cells.shape)
        return _mixed(log_mixup_exp, value, like(noise, value), drawn["ratio"])


@dataclass(frozen=True, eq=False)
class MixupBank:
    """The last examples seen, oldest first, at most size of them; BYOL-A keeps 2048."""

    size: int = 2048
    examples: tuple[Array, ...] = ()

    def __post_init__(self) -> None:
        check_count("size", self.size, 0, MOST)

    def pushed(self, values: Array) -> MixupBank:
        """A bank with the examples of a batch too, without their gradients."""
        still = values.detach() if hasattr(values, "detach") else values
        cells = as_examples(still)
        new = tuple(cells[i, ...] * 1 for i in range(cells.shape[0]))
        kept = (*self.examples, *new)
        return replace(self, examples=kept[max(0, len(kept) - self.size) :])


@dataclass(frozen=True)
class Normalise:
    """(value - mean) / deviation over all cells: of fixed numbers, or where these are None of the
    value's own, a batch being normalised as one. A constant value becomes 0, and one with a cell
    that is not finite NaN. Draws nothing.
    """

    mean: float | None = None
    deviation: float | None = None

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.deviation is None):
            raise InputError("give mean and deviation both, or neither")
        if self.mean is not None and self.deviation is not None:
            check_number("mean", self.mean, -math.inf, math.inf)
            if not 0 < self.deviation < math.inf:
                raise InputError(f"deviation is {self.deviation}; give a number above 0")

    def draw(self, value: Array, rng: np.random.Generator) -> Drawn:
        """Nothing."""
        return {}

    def apply(self, value: Array, drawn: Drawn) -> Array:
        """Normalised."""
        as_spectrogram(value)
        if self.mean is not None:
            return (value - self.mean) / self.deviation
        if 0 in value.shape:
            return value * 1
        xp = namespace(value)
        with np.errstate(invalid="ignore"):
            centred = value - xp.mean(value)
            variance = xp.mean(centred * centred)
        return centred / xp.sqrt(xp.where(variance == 0, filled((), 1.0, value), variance))


@dataclass(frozen=True)
class RunningStatistics:
    """Mean and deviation of all cells seen so far, in float64 (Chan et al. 1979)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Sum of the squared distances from the mean."""

    def updated(self, values: Array) -> RunningStatistics:
        """With these values seen too."""
        xp = namespace(as_spectrogram(values))
        seen = math.prod(values.shape)
        if not seen:
            return self
        values = xp.astype(values, xp.float64)
        mean = float(xp.mean(values))
        squares = float(xp.sum((values - mean) ** 2))
        if not math.isfinite(mean + squares):
            raise InputError("some values are NaN or infinite; replace them first")
        count, apart = self.count + seen, mean - self.mean
        return RunningStatistics(
            count,
            self.mean + apart * seen / count,
            self.squares + squares + apart**2 * self.count * seen / count,
        )

    @property
    def deviation(self) -> float:
        """Population standard deviation."""
        return math.sqrt(self.squares / self.count) if self.count else 0.0

    def normalise(self) -> Normalise:
        """The block that normalises by them; InputError while all that was seen is one value."""
        return Normalise(self.mean, self.deviation)


def mixup(first: Array, second: Array, weight: ArrayLike) -> Array:
    """weight * first + (1 - weight) * second; a weight of 1 gives the first itself.

    first and second: of one shape and kind, such as samples, features or labels. weight: 0 to 1, a
    number or an array of the shape of their first dimensions.
    """
    share = _share_of(first, second, weight, "weight")
    weights = like(share, first)
    with np.errstate(invalid="ignore"):  # infinite cells of both signs have no sum
        mixed = weights * first + (1 - weights) * second
    return namespace(first).where(weights == 1, first, mixed)


def mix_labels(labels: Array, drawn: Drawn, others: Sequence[Array] | None = None) -> Array:
    """Labels, shape = (example, ...), mixed as `Mixup` mixes the examples with what it drew.

    others: the labels of Mixup's others; None for the batch's own.
    """
    other = _stacked(as_real(labels, "labels"), others, drawn["other"])
    return mixup(labels, other, _shares(drawn["weight"], drawn["other"], 1.0))


def log_mixup_exp(first: Array, second: Array, ratio: ArrayLike) -> Array:
    """log((1 - ratio) * exp(first) + ratio * exp(second)), without overflow.

    first and second: of one shape and kind. ratio: 0 to 1, a number or an array of the shape of
    their first dimensions; 0 gives the first itself.
    """
    share = _share_of(first, second, ratio, "ratio")
    with np.errstate(divide="ignore"):
        kept, added = np.log1p(-share), np.log(share)
    xp, nothing = namespace(first), filled((), -math.inf, first)
    one, other = first + like(kept, first), second + like(added, first)
    none = (one == nothing) & (other == nothing)  # where the gradient would be NaN
    one, other = (xp.where(none, filled((), 0.0, first), each) for each in (one, other))
    return xp.where(none, nothing, xp.logaddexp(one, other))


def byol_a(
    others: Sequence[Array] | None = None,
    alpha: float = 0.4,
    before: Normalise | None = None,
    after: Normalise | None = Normalise(),
) -> Chain[Array]:
    """BYOL-A's chain for a view of log-mel: normalised, log-mixed, cropped, normalised again.

    others are normalised already, as in the bank above; before is None where the value is too.
    The crop's fill is 0, the mean of what is normalised. after normalises the batch as one.
    Leaving blocks out (None; alpha 0) gives the rows of the paper's ablations.
    """
    steps = (before, LogMixup(others, alpha), RandomResizeCrop(fill=0.0), after)
    return Chain(tuple(step for step in steps if step is not None))


def multi_format_audio(others: Sequence[Audio]) -> Chain[Audio]:
    """Wang and van den Oord's (arXiv:2103.06508) for raw audio: mixup with others, a time mask.

    The mask is of up to a tenth of a second: the paper does not say how long.
    """
    return Chain((Mixup(others), MaskSamples(masks=1, max_seconds=0.1)))


def multi_format_spectrogram(fill: Fill = "floor") -> Chain[Array]:
    """Wang and van den Oord's for log-mel: a frequency shift, a frequency and a time mask.

    The paper names them and that what is lost gets no energy; how far and how wide is ours: up to
    10 bins, and masks of up to 10 bins and a tenth of the frames.
    """
    masks = SpecAugment(
        time_warp=0,
        frequency_masks=1,
        frequency_width=10,
        time_masks=1,
        adaptive_width=0.1,
        fill=fill,
    )
    return Chain((FrequencyShift(10, fill), masks))


def _draw_others(
    value: Array,
    others: Sequence[Array] | None,
    rng: np.random.Generator,
    name: str,
    share: Callable[[np.random.Generator], float],
) -> Drawn:
    shares, indices = [], []
    own = generators(value, rng)
    for i, one in enumerate(own):
        shares.append(share(one))
        choices = len(own) - 1 if others is None else len(others)
        index = int(one.integers(choices)) if choices else None
        if index is not None and others is None:
            index += index >= i  # of the batch, all but itself
        indices.append(index)
    return {name: shares, "other": indices}


def _shares(drawn: Sequence[float], indices: Sequence[int | None], alone: float) -> list[float]:
    """The drawn shares, and `alone` where there is no other."""
    pairs = zip(drawn, indices, strict=True)
    return [alone if index is None else share for share, index in pairs]


def _mixed(
    mix: Callable[[Array, Array, ArrayLike], Array],
    value: Array,
    other: Array,
    shares: Sequence[float],
) -> Array:
    """mix, of each example of the value and an array (example, n_mels, frame)."""
    made = mix(as_examples(value), other, one_each(value, shares))
    return namespace(value).reshape(made, value.shape)


def _stacked(cells: Array, others: Sequence[Array] | None, indices: Sequence[int | None]) -> Array:
    """The other of each example, itself where there is none: (example, ...)."""
    if len(indices) != cells.shape[0]:
        raise InputError(f"others were drawn for {len(indices)} examples, not {cells.shape[0]}")
    xp, found = namespace(cells), []
    for i, index in enumerate(indices):
        if index is None or others is None:
            found.append(cells[i if index is None else index, ...])
            continue
        other = xp.asarray(picked("other", others, index), dtype=cells.dtype, device=device(cells))
        if other.shape != cells.shape[1:]:
            raise InputError(
                f"an other has shape {tuple(other.shape)}; give that of an example, "
                f"{tuple(cells.shape[1:])}"
            )
        found.append(other)
    return xp.stack(found) if found else cells


def _stretch(value: Audio, other: Audio, start: int) -> np.ndarray:
    """Of the other from a sample on, in the shape of the value's samples."""
    if other.sample_rate != value.sample_rate:
        raise InputError(
            f"an other has {other.sample_rate} Hz; resample it to {value.sample_rate} Hz"
        )
    samples = as_samples(other.samples)
    if samples.ndim == 2 and other.channels not in {1, value.channels}:
        raise InputError(
            f"an other has {other.channels} channels; give 1 or {value.channels}, as the recording"
        )
    piece = samples[..., start : start + value.samples.shape[-1]]
    made = np.zeros(value.samples.shape, np.float32)
    made[..., : piece.shape[-1]] = piece[0] if made.ndim == 1 < piece.ndim else piece
    return made


def _share_of(first: Array, second: Array, given: ArrayLike, name: str) -> np.ndarray:
    """Numbers of 0 to 1, float64, in a shape that broadcasts to the first."""
    as_real(first, "values")
    if tuple(first.shape) != tuple(second.shape):
        raise InputError(
            f"shapes are {tuple(first.shape)} and {tuple(second.shape)}; give two of one shape"
        )
    share = np.asarray(on_cpu(given), np.float64)
    if not ((share >= 0) & (share <= 1)).all():
        raise InputError(f"{name} is {share.tolist()}; give numbers from 0 to 1")
    if share.shape != tuple(first.shape[: share.ndim]):
        raise InputError(
            f"{name} has shape {share.shape}; give a number or the first dimensions of "
            f"{tuple(first.shape)}"
        )
    return share.reshape(share.shape + (1,) * (first.ndim - share.ndim))
