"""One step's gradient, from all its batches on all processes."""

from __future__ import annotations

import math
import random
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from aural.errors import InputError
from aural.train.batch import Losses
from aural.train.distributed import whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

    from aural.train.batch import Batch, Objective
    from aural.train.distributed import Shared, World

Precision = Literal["no", "bf16", "fp16"]
JUDGING = -1
"""The place, in place of a batch's, of what is random in a judgement."""


@dataclass(frozen=True, eq=False)
class Gathered:
    """What the batches of a step came to.

    sums: over all batches of all processes, "loss", "weight", "seconds" (of sound) and the
    objective's parts. grads are those of the weights, times 1 / scale of what they should be: the
    mean's over weight, whose length is norm. suspects name the utterances of this process whose
    loss is not finite.
    """

    sums: Mapping[str, float]
    grads: Sequence[Tensor]
    scale: float
    norm: float
    suspects: tuple[str, ...]

    @property
    def finite(self) -> bool:
        """Whether the weights can be changed by it."""
        return math.isfinite(self.sums["loss"]) and math.isfinite(self.norm)

    def finish(self, clip_norm: float) -> None:
        """Make grads what they should be, no longer than clip_norm (0: as long as they are)."""
        shorter = min(1.0, clip_norm / (self.norm + 1e-6)) if clip_norm else 1.0
        torch._foreach_mul_(list(self.grads), self.scale * shorter)


class Gatherer:
    """Runs an objective over the batches of a step and gathers the gradients."""

    def __init__(
        self, shared: Shared, objective: Objective, world: World, *, seed: int, precision: Precision
    ) -> None:
        self._shared, self._objective, self._world = shared, objective, world
        self._seed, self._precision = seed, precision
        self._weights = list(shared.network.parameters())
        self.buffers = Buffers(shared.network, world)

    def gather(self, step: int, batches: Sequence[Batch], loss_scale: float) -> Gathered:
        """The gradients of a step; its losses are multiplied by loss_scale on their way.

        Process r of n takes the batches r, r + n, ... Where there are none left for it, it goes
        along with one for nothing, as the others wait for it in each.
        """
        count, size = len(batches), self._world.size
        if count == 0:
            raise InputError(f"the source has no batch for step {step}; it has to go on for ever")
        said: list[Losses] = []
        own: list[Batch] = []
        self.buffers.begin()
        rounds = -(-count // size)
        for turn in range(rounds):
            place = self._world.rank + turn * size
            real = place < count
            batch = own[-1] if own and not real else batches[place if real else 0]
            batch = batch.to(self._world.device)
            seed_generators(self._seed, step, place, self._world.device)
            with self._shared.gathering(last=turn + 1 == rounds):
                losses = self._shared.run(self._measure, batch)
                (losses.total * (loss_scale if real else 0.0)).backward()
            if count > 1 or size > 1:
                self.buffers.after_batch(counts=real)
            if real:
                said.append(Losses(losses.total.detach(), losses.weight, losses.parts))
                own.append(batch)
        if count > 1 or size > 1:
            self.buffers.end(count)
        return self._gathered(said or [_nothing_of(losses)], own, loss_scale)

    def _measure(self, network: nn.Module, batch: Batch) -> Losses:
        with self._autocast():
            losses = self._objective(network, batch)
        if not losses.total.requires_grad:
            raise InputError("the objective's total has no gradient: is all it uses frozen?")
        parts = {name: part.detach() for name, part in losses.parts.items()}
        return Losses(losses.total.float(), losses.weight, parts)

    def _autocast(self) -> AbstractContextManager[object]:
        if self._precision == "no":
            return nullcontext()
        dtype = torch.bfloat16 if self._precision == "bf16" else torch.float16
        return torch.autocast(self._world.device.type, dtype)

    def _gathered(self, said: list[Losses], own: list[Batch], loss_scale: float) -> Gathered:
        names = ["loss", "weight", "seconds", *sorted(said[0].parts)]
        kind = torch.float32 if self._world.device.type == "mps" else torch.float64
        losses = torch.stack([each.total.to(kind) for each in said]).sum(0, keepdim=True)
        counted = [sum(each.weight for each in said), sum(batch.seconds for batch in own)]
        parts = [
            torch.stack([each.parts[name].to(kind) for each in said]).sum(0, keepdim=True)
            for name in names[3:]
        ]
        sums = torch.cat([losses, torch.tensor(counted, dtype=kind).to(losses.device), *parts])
        self._world.sum(sums)
        grads = [weight.grad for weight in self._weights if weight.grad is not None]
        norm = whole(torch.nn.utils.get_total_norm(grads)).to(kind)
        *values, length = torch.cat([sums, norm.reshape(1)]).tolist()  # the one wait for the device
        found = dict(zip(names, values, strict=True))
        scale = math.nan
        if found["weight"] > 0:  # the processes' gradients come as their mean
            scale = self._world.size / (found["weight"] * loss_scale)
        suspects: tuple[str, ...] = ()
        if not math.isfinite(found["loss"]):
            told = zip(said, own, strict=False)
            wrong = [batch.ids for each, batch in told if not each.total.isfinite()]
            suspects = tuple(name for ids in wrong for name in ids)
        elif not math.isfinite(length * scale):
            suspects = tuple(name for batch in own for name in batch.ids)
        return Gathered(found, grads, scale, length * scale, suspects)


class Buffers:
    """Running statistics and whatever else of a network's state a batch changes.

    After a step they are the mean of what its batches make of them, each from where the step began,
    so that they don't depend on who took which batch. Whole numbers (counts of steps) are the last
    batch's. What a state does not hold, or what is not finite (masks), is left alone.
    """

    def __init__(self, network: nn.Module, world: World) -> None:
        self._world = world
        held = network.state_dict()
        floats, whole_numbers = [], []
        for name, value in network.named_buffers():
            module, _, key = name.rpartition(".")
            place = (network.get_submodule(module), key)
            if name in held and not value.is_floating_point():
                whole_numbers.append(place)
            elif name in held and value.isfinite().all():
                floats.append(place)
        self._places, self._floats = [*floats, *whole_numbers], len(floats)
        self._start: list[Tensor] = []
        self._changes: list[Tensor] = []
        self._last: list[Tensor] = []

    def begin(self) -> None:
        """Remember where the step began."""
        self._start = [value.clone() for value in self._now()]
        self._changes, self._last = [], []

    @torch.no_grad()
    def after_batch(self, *, counts: bool) -> None:
        """Take in what the batch made of them, and go back."""
        values = self._now()
        if not values:
            return
        here = self._floats
        changes = list(torch._foreach_sub(values[:here], self._start[:here]))
        if counts and self._changes:
            torch._foreach_add_(self._changes, changes)
        elif not self._changes:
            self._changes = changes if counts else [torch.zeros_like(each) for each in changes]
        self._last = [value.clone() for value in values[here:]]
        self.undo()

    @torch.no_grad()
    def end(self, count: int) -> None:
        """Set them to the mean over count batches of all processes."""
        values, here = self._now(), self._floats
        if not values:
            return
        if here and self._world.size > 1:
            flat = self._world.sum(torch.cat([each.flatten() for each in self._changes]))
            parts = flat.split([each.numel() for each in self._changes])
            self._changes = [part.view_as(each) for part, each in zip(parts, values, strict=False)]
        for value, change in zip(values, self._changes, strict=False):
            value.add_(change / count)
        for value, last in zip(values[here:], self._last, strict=True):
            value.copy_(last)

    @torch.no_grad()
    def undo(self) -> None:
        """Go back to where the step began."""
        for value, start in zip(self._now(), self._start, strict=True):
            value.copy_(start)

    def _now(self) -> list[Tensor]:
        """As they are now, those of floats first; a network may put others in their place."""
        return [module.get_buffer(key) for module, key in self._places]


def seed_generators(seed: int, step: int, place: int, device: torch.device) -> None:
    """Seed all that is random in a batch's forward and backward pass."""
    words = np.random.SeedSequence((seed, step, place + 1)).generate_state(4)
    number = int(words[0]) << 32 | int(words[1])
    torch.default_generator.manual_seed(number)  # torch.manual_seed asks every kind of device
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
    elif device.type == "mps":
        torch.mps.manual_seed(number)
    np.random.seed(int(words[2]))  # what networks of others draw from
    random.seed(int(words[3]))


@contextmanager
def generators_kept(device: torch.device) -> Iterator[None]:
    """Afterwards the caller's generators are as they were."""
    devices = [device] if device.type == "cuda" else []
    by_numpy, by_python = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            np.random.set_state(by_numpy)
            random.setstate(by_python)


def _nothing_of(losses: Losses) -> Losses:
    """Sums of the same names, all 0, of a process that had no batch."""
    parts = {name: torch.zeros_like(part) for name, part in losses.parts.items()}
    return Losses(torch.zeros_like(losses.total.detach()), 0, parts)
