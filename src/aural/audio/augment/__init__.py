"""Distortions: what a microphone, a room, a line or a trainer does to sound, made on purpose.

An augmentation is a frozen dataclass of parameters. `draw` takes what is random from a generator
and gives it as plain values; `apply` does the distortion with those values and nothing else. So
what was done can be written down as JSON and done again, byte for byte. The plain functions beside
the classes take exact values and draw nothing.

    rng = np.random.default_rng(0)
    noisy = augment(audio, Chain((AddNoise((noise,), snr_db=(5, 20)), Gain((-6, 6)))), rng)
    again = noisy.replay(audio)

A value is an Audio, or for what works on features an array of shape (..., n_mels, frame).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from aural.audio.augment.given import as_audio, picked, recorded
from aural.errors import InputError
from aural.types import Audio

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    Drawn = Mapping[str, Any]

Value = TypeVar("Value")


class Augmentation(Protocol[Value]):
    """A distortion with its parameters."""

    def draw(self, value: Value, rng: np.random.Generator) -> Drawn:
        """What is random, as JSON values; the value is looked at for its length and rate."""
        ...

    def apply(self, value: Value, drawn: Drawn) -> Value:
        """The distorted value, a new one; the same bytes for the same arguments."""
        ...


@dataclass(frozen=True, eq=False)
class Augmented(Generic[Value]):
    """A distorted value, and what to do to get it from the original again."""

    value: Value
    augmentation: Augmentation[Value]
    drawn: Drawn

    def replay(self, original: Value) -> Value:
        """The same distortion of an original."""
        return self.augmentation.apply(original, self.drawn)


def augment(
    value: Value, augmentation: Augmentation[Value], rng: np.random.Generator
) -> Augmented[Value]:
    """Draw and apply."""
    if isinstance(value, Audio):
        as_audio(value)
    if isinstance(augmentation, Chain):
        made, drawn = augmentation.run(value, rng)
        return Augmented(made, augmentation, drawn)
    drawn = augmentation.draw(value, rng)
    return Augmented(augmentation.apply(value, drawn), augmentation, drawn)


def augment_batch(
    values: Sequence[Value], augmentation: Augmentation[Value], rng: np.random.Generator
) -> list[Augmented[Value]]:
    """Each by itself, with a generator of its own: the i-th result is the same in any batch."""
    return [
        augment(value, augmentation, own)
        for value, own in zip(values, rng.spawn(len(values)), strict=True)
    ]


@dataclass(frozen=True)
class Chain(Generic[Value]):
    """One augmentation after the other, each with its probability (None: always)."""

    steps: tuple[Augmentation[Value], ...]
    probabilities: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        chances = self.probabilities
        if chances is not None and len(chances) != len(self.steps):
            raise InputError(f"{len(chances)} probabilities for {len(self.steps)} steps")
        if any(not 0 <= chance <= 1 for chance in chances or ()):
            raise InputError(f"probabilities are {chances}; give numbers from 0 to 1")

    def run(self, value: Value, rng: np.random.Generator) -> tuple[Value, Drawn]:
        """The distorted value and what was drawn, each step having seen what the last one made."""
        taken: list[Drawn | None] = []
        chances = self.probabilities or (1.0,) * len(self.steps)
        for step, chance in zip(self.steps, chances, strict=True):
            if rng.random() >= chance:
                taken.append(None)
                continue
            done = augment(value, step, rng)
            value = done.value
            taken.append(done.drawn)
        if not any(step is not None for step in taken):
            value = _copied(value)
        return value, {"steps": taken}

    def draw(self, value: Value, rng: np.random.Generator) -> Drawn:
        """What was drawn for each step; None for a step that is left out."""
        return self.run(value, rng)[1]

    def apply(self, value: Value, drawn: Drawn) -> Value:
        """The steps that were taken, again."""
        (taken,) = recorded(drawn, "steps")
        if len(taken) != len(self.steps):
            raise InputError(f"{len(taken)} steps were drawn and there are {len(self.steps)}")
        if not any(of_step is not None for of_step in taken):
            return _copied(value)
        for step, of_step in zip(self.steps, taken, strict=True):
            if of_step is not None:
                value = step.apply(value, of_step)
        return value


@dataclass(frozen=True)
class OneOf(Generic[Value]):
    """One of several, drawn evenly."""

    choices: tuple[Augmentation[Value], ...]

    def __post_init__(self) -> None:
        if not self.choices:
            raise InputError("OneOf has no choices; give at least one augmentation")

    def draw(self, value: Value, rng: np.random.Generator) -> Drawn:
        """Which, and what it drew."""
        index = int(rng.integers(len(self.choices)))
        return {"index": index, "drawn": self.choices[index].draw(value, rng)}

    def apply(self, value: Value, drawn: Drawn) -> Value:
        """That one, again."""
        index, of_choice = recorded(drawn, "index", "drawn")
        return picked("choice", self.choices, index).apply(value, of_choice)


def _copied(value: Any) -> Any:
    """A value of its own: Audio, an array or a tensor."""
    if isinstance(value, Audio):
        sound = as_audio(value)
        return Audio(sound.samples.copy(), sound.sample_rate)
    return value.clone() if hasattr(value, "clone") else value.copy()
