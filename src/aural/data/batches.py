"""Which examples go together: batches of like duration, in an order that the seed alone decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class BatchOptions:
    """padded: most seconds of a batch, padding included (of texts: tokens); items: most examples.

    a_step: batches whose gradients make one step, over all processes. jitter: durations are
    multiplied by up to exp(-jitter) to exp(jitter) before they are sorted, so that the same
    examples do not always meet; 0 sorts them by duration alone.
    """

    padded: float = 60.0
    items: int = 64
    a_step: int = 1
    jitter: float = 0.2

    def __post_init__(self) -> None:
        if not self.padded > 0:
            raise InputError(f"padded is {self.padded}; give more than 0 seconds")
        for name in ("items", "a_step"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more")
        if not 0 <= self.jitter <= 10:
            raise InputError(f"jitter is {self.jitter}; give 0 to 10")


class Plan:
    """The batches of every step, as numbers of examples: a function of the seed and the step.

    Each epoch has every example once, in batches cut and shuffled anew. durations: of each example
    at its longest. InputError where one alone is more than a batch may hold.
    """

    def __init__(self, durations: Sequence[float], options: BatchOptions, seed: int) -> None:
        self._durations = np.asarray(durations, float)
        self._options, self._seed = options, seed
        if not len(self._durations):
            raise InputError("there are no examples to make batches of")
        if (longest := float(self._durations.max())) > options.padded:
            raise InputError(
                f"an example lasts {longest:.1f} s, and a batch holds {options.padded:g} s; "
                "give larger batches, or leave it out"
            )
        self._starts = [0]  # of each epoch, counted in batches
        self._current: tuple[int, list[tuple[int, ...]]] = (-1, [])

    def step(self, step: int) -> list[tuple[int, ...]]:
        """The examples of each of the batches of a step, counted from 0."""
        if step < 0:
            raise InputError(f"step is {step}; steps count from 0")
        first = step * self._options.a_step
        return [self._batch(first + i) for i in range(self._options.a_step)]

    def epoch(self, epoch: int) -> list[tuple[int, ...]]:
        """All the batches of an epoch in their order."""
        if self._current[0] != epoch:
            rng = np.random.default_rng([self._seed, epoch])
            spread = self._options.jitter
            about = self._durations * np.exp(rng.uniform(-spread, spread, len(self._durations)))
            cut = cut_batches(self._durations, np.argsort(about, kind="stable"), self._options)
            self._current = epoch, [cut[i] for i in rng.permutation(len(cut))]
        return self._current[1]

    def _batch(self, number: int) -> tuple[int, ...]:
        while self._starts[-1] <= number:
            self._starts.append(self._starts[-1] + len(self.epoch(len(self._starts) - 1)))
        epoch = int(np.searchsorted(self._starts, number, side="right")) - 1
        return self.epoch(epoch)[number - self._starts[epoch]]


def cut_batches(
    durations: np.ndarray, order: Sequence[int] | np.ndarray, options: BatchOptions
) -> list[tuple[int, ...]]:
    """The order cut so that longest x count of each batch is within options.padded."""
    batches: list[tuple[int, ...]] = []
    batch: list[int] = []
    longest = 0.0
    for number in map(int, order):
        longest = max(longest, float(durations[number]))
        if len(batch) == options.items or (batch and longest * (len(batch) + 1) > options.padded):
            batches.append(tuple(batch))
            batch, longest = [], float(durations[number])
        batch.append(number)
    return [*batches, tuple(batch)] if batch else batches


def by_duration(durations: Sequence[float], options: BatchOptions) -> list[tuple[int, ...]]:
    """Every example once, the shortest first: for looking at all of them."""
    lengths = np.asarray(durations, float)
    return cut_batches(lengths, np.argsort(lengths, kind="stable"), options)
