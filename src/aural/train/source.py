"""Batches of tensors, step by step: what the loop asks for, a function of the seed and the step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

import numpy as np
import torch

from aural.data.batches import BatchOptions, Plan, by_duration
from aural.errors import InputError
from aural.train.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aural.data.examples import Example, Examples
    from aural.text.tokens import Tokenizer
    from aural.train.batch import Objective


class Source:
    """Training batches of examples. seed decides their order and what is drawn to distort them.

    slowest: the longest version of an example, as a multiple of it (AugmentOptions.slowest).
    together: what makes a batch of examples, None for `collate`.
    """

    def __init__(
        self,
        examples: Examples,
        options: BatchOptions,
        *,
        seed: int,
        slowest: float = 1.0,
        together: Callable[[Sequence[Example]], Batch] | None = None,
    ) -> None:
        self._examples, self._seed, self._together = examples, seed, together or collate
        self.plan = Plan([slowest * each for each in examples.durations], options, seed)

    def step_batches(self, step: int) -> Sequence[Batch]:
        """The batches of a step; each is made when it is asked for."""
        return _Made(self.plan.step(step), lambda numbers: self._batch(step, numbers))

    def _batch(self, step: int, numbers: Sequence[int]) -> Batch:
        return self._together(
            [
                self._examples.example(number, np.random.default_rng([self._seed, step, number]))
                for number in numbers
            ]
        )


class TextSource:
    """Training batches of texts, for language models; padded counts tokens."""

    def __init__(
        self, texts: Sequence[str], tokenizer: Tokenizer, options: BatchOptions, *, seed: int
    ) -> None:
        self._texts = tuple(texts)
        self._tokens = [tokenizer.encode(text) for text in texts]
        self.plan = Plan([len(tokens) + 1 for tokens in self._tokens], options, seed)

    def step_batches(self, step: int) -> Sequence[Batch]:
        """The batches of a step."""
        return _Made(self.plan.step(step), self._batch)

    def _batch(self, numbers: Sequence[int]) -> Batch:
        texts = [self._texts[i] for i in numbers]
        return text_batch(texts, [self._tokens[i] for i in numbers])


class _Made(Sequence[Batch]):
    """Batches that are made when they are asked for: a process makes only its own."""

    def __init__(
        self, groups: Sequence[Sequence[int]], make: Callable[[Sequence[int]], Batch]
    ) -> None:
        self._groups, self._make = groups, make

    def __len__(self) -> int:
        return len(self._groups)

    @overload
    def __getitem__(self, index: int) -> Batch: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Batch]: ...

    def __getitem__(self, index: int | slice) -> Batch | Sequence[Batch]:
        if isinstance(index, slice):
            return _Made(self._groups[index], self._make)
        return self._make(self._groups[index])


def collate(examples: Sequence[Example]) -> Batch:
    """Examples side by side, padded with zeros."""
    if not examples:
        raise InputError("a batch of no examples; give at least one")
    lengths = [len(each.features) for each in examples]
    features = np.zeros((len(examples), max(lengths), examples[0].features.shape[1]), np.float32)
    for row, each in zip(features, examples, strict=True):
        row[: len(each.features)] = each.features
    targets, target_lengths = _targets([each.tokens for each in examples])
    return Batch(
        features=torch.from_numpy(features),
        lengths=torch.tensor(lengths),
        targets=targets,
        target_lengths=target_lengths,
        ids=tuple(each.id for each in examples),
        seconds=sum(each.seconds for each in examples),
        texts=tuple(each.text for each in examples),
    )


def text_batch(texts: Sequence[str], tokens: Sequence[tuple[int, ...]]) -> Batch:
    """Texts side by side, without features."""
    targets, target_lengths = _targets(tokens)
    return Batch(
        features=torch.zeros(len(texts), 0, 0),
        lengths=torch.zeros(len(texts), dtype=torch.int64),
        targets=targets,
        target_lengths=target_lengths,
        texts=tuple(texts),
    )


def _targets(tokens: Sequence[tuple[int, ...]]) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = [len(each) for each in tokens]
    targets = torch.zeros(len(tokens), max(lengths), dtype=torch.int64)
    for row, each in zip(targets, tokens, strict=True):
        row[: len(each)] = torch.tensor(each, dtype=torch.int64)
    return targets, torch.tensor(lengths)


def batches_of(
    examples: Examples,
    options: BatchOptions,
    together: Callable[[Sequence[Example]], Batch] | None = None,
) -> Iterator[Batch]:
    """Every example once, undistorted, the shortest first; together as Source has it."""
    for numbers in by_duration(examples.durations, options):
        yield (together or collate)([examples.example(number) for number in numbers])


def texts_of(texts: Sequence[str], tokenizer: Tokenizer, options: BatchOptions) -> Iterator[Batch]:
    """Every text once, the shortest first."""
    tokens = [tokenizer.encode(text) for text in texts]
    for numbers in by_duration([len(each) + 1 for each in tokens], options):
        yield text_batch([texts[i] for i in numbers], [tokens[i] for i in numbers])


def mean_losses(
    network: torch.nn.Module, objective: Objective, batches: Iterator[Batch]
) -> dict[str, float]:
    """The objective's "loss" and parts, each a sum over batches divided by the sum of weights.

    The network is taken in the mode it is in.
    """
    device = next(network.parameters()).device
    sums: dict[str, float] = {}
    weight = 0
    with torch.no_grad():
        for batch in batches:
            losses = objective(network, batch.to(device))
            weight += losses.weight
            for name, value in {"loss": losses.total, **losses.parts}.items():
                sums[name] = sums.get(name, 0.0) + float(value)
    return {name: value / max(1, weight) for name, value in sums.items()}
