"""What is done to training examples on purpose: to their samples, then to their features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aural.audio.augment import Augmentation, Chain, OneOf, augment
from aural.audio.augment.level import Gain
from aural.audio.augment.noise import COLOURS, AddColouredNoise, AddNoise
from aural.audio.augment.room import Room
from aural.audio.augment.spectrogram import SpecAugment
from aural.audio.augment.time import SpeedPerturb
from aural.data.noises import NOISES, noise_recording
from aural.errors import InputError, UnknownName
from aural.types import Audio

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_MASKS = SpecAugment(time_warp=0, frequency_masks=0, time_masks=0)


@dataclass(frozen=True)
class AugmentOptions:
    """speed: factors, one of which is drawn for each example (Ko et al. 2015: 0.9, 1, 1.1).

    noises: kinds of recorded noise (data/noises.py), or colours of made noise, one of which is
    added with noise_probability at a ratio drawn from snr_db. rt60 (seconds, low and high; 0, 0 is
    none): the room it is heard in, with room_probability. gain_db: louder or quieter. spectrogram:
    warp and masks of the features (Park et al. 2019).
    """

    speed: tuple[float, ...] = ()
    noises: tuple[str, ...] = ()
    noise_probability: float = 0.5
    snr_db: tuple[float, float] = (5.0, 20.0)
    rt60: tuple[float, float] = (0.0, 0.0)
    room_probability: float = 0.5
    gain_db: tuple[float, float] = (0.0, 0.0)
    spectrogram: SpecAugment = NO_MASKS

    def __post_init__(self) -> None:
        known = (*COLOURS, *sorted(NOISES))
        for noise in self.noises:
            if noise not in known:
                raise UnknownName("kind of noise", noise, known)
        for name in ("noise_probability", "room_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 0 to 1")
        if self.speed:
            SpeedPerturb(self.speed)
        if any(self.rt60):
            Room(self.rt60)
        Gain(self.gain_db)
        AddColouredNoise(tuple(COLOURS), self.snr_db)

    @property
    def on_samples(self) -> bool:
        """Whether samples are changed, so that features are made anew each time."""
        return bool(self.speed or self.noises or any(self.rt60) or any(self.gain_db))

    @property
    def changes(self) -> bool:
        """Whether anything is done at all."""
        return self.on_samples or self.spectrogram != NO_MASKS

    @property
    def slowest(self) -> float:
        """What the longest version of an example lasts, as a multiple of the example."""
        return max((1 / factor for factor in self.speed), default=1.0)

    @property
    def fastest(self) -> float:
        """What the shortest version lasts, likewise."""
        return min((1 / factor for factor in self.speed), default=1.0)


class Augmenter:
    """The options at a sample rate, the recorded noises read once."""

    def __init__(self, options: AugmentOptions, sample_rate: int) -> None:
        self._rate = sample_rate
        steps: list[tuple[Augmentation[Any], float]] = []
        if options.speed:
            steps.append((SpeedPerturb(options.speed), 1.0))
        if any(options.rt60):
            steps.append((Room(options.rt60), options.room_probability))
        if options.noises:
            added = tuple(_noise(name, options.snr_db, sample_rate) for name in options.noises)
            steps.append((OneOf(added), options.noise_probability))
        if any(options.gain_db):
            steps.append((Gain(options.gain_db), 1.0))
        self._chain: Chain[Any] = Chain(
            tuple(step for step, _ in steps), tuple(chance for _, chance in steps)
        )
        self._masks = options.spectrogram if options.spectrogram != NO_MASKS else None

    def on_samples(self, samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Distorted samples, (time,); digital silence stays as it is: nothing has a ratio to it."""
        if not samples.any():
            return samples
        return augment(Audio(samples, self._rate), self._chain, rng).value.samples

    def on_features(self, features: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Features (frame, n_mels), warped and masked."""
        if self._masks is None or not len(features):
            return features
        return np.ascontiguousarray(augment(features.T, self._masks, rng).value.T)


def _noise(name: str, snr_db: Sequence[float], sample_rate: int) -> Augmentation[Any]:
    low, high = snr_db
    if name in COLOURS:
        return AddColouredNoise((name,), (low, high))
    return AddNoise(
        (Audio(noise_recording(name, sample_rate=sample_rate), sample_rate),), (low, high)
    )
