"""The processes that train one network together, and what passes between them.

One process is a world of one. Started by torchrun (or accelerate launch), every process holds the
whole network and they share its gradients ("ddp"), or each holds its share of every weight
("fsdp"). A process that has ended or stands still ends the others: the collective that waits for
it fails, at once or after timeout_seconds.
"""

from __future__ import annotations

import atexit
import os
from collections import OrderedDict
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import torch
from torch import Tensor, distributed, nn

from aural.errors import InputError, TrainingError, UnknownName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

Parallel = Literal["ddp", "fsdp"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Value = TypeVar("Value")
_LOST = ("gloo", "nccl", "connection", "timeout", "timed out", "broken pipe", "socket", "peer")
"""Words of the errors that torch raises where another process is gone."""


@dataclass(frozen=True)
class MachineOptions:
    """Where is trained, which changes nothing of what is learned but rounding.

    parallel counts where there are several processes. timeout_seconds: how long one waits for
    another; it holds from the first `fit` of a process on. unused_weights: whether a step may leave
    weights without a gradient (layer drop); where none ever does, False saves "ddp" a look at the
    graph.
    """

    device: Device = "auto"
    parallel: Parallel = "ddp"
    timeout_seconds: float = 600.0
    unused_weights: bool = True

    def __post_init__(self) -> None:
        if self.device not in get_args(Device):
            raise UnknownName("device", self.device, get_args(Device))
        if self.parallel not in get_args(Parallel):
            raise UnknownName("way of sharing", self.parallel, get_args(Parallel))
        if not 1 <= self.timeout_seconds <= 86400:
            raise InputError(f"timeout_seconds is {self.timeout_seconds}; give 1 to 86400")


class World:
    """This process among those that train together: rank of size, and its device."""

    def __init__(self, options: MachineOptions) -> None:
        from accelerate import PartialState

        _check_device(options.device)
        ours = not distributed.is_initialized()
        try:
            state = PartialState(
                cpu=options.device == "cpu", timeout=timedelta(seconds=options.timeout_seconds)
            )
        except RuntimeError as error:
            raise TrainingError(f"the processes did not find each other: {error}") from error
        self.rank, self.size = state.process_index, state.num_processes
        alone = self.size == 1 and options.device != "auto"
        self.device = torch.device(options.device) if alone else state.device
        if ours and distributed.is_initialized():
            atexit.register(_leave)

    @property
    def is_first(self) -> bool:
        """Whether it is this process that writes."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """The sum over the processes, in place."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def of_first(self, value: Value) -> Value:
        """What the first process holds."""
        if self.size == 1:
            return value
        held = [value]
        distributed.broadcast_object_list(held, device=self.device)
        return held[0]

    def joined(self, values: list[str]) -> list[str]:
        """All processes' values, by rank."""
        if self.size == 1:
            return values
        held: list[Any] = [None] * self.size
        distributed.all_gather_object(held, values)
        return [each for rank in held for each in rank]

    @contextmanager
    def losses_named(self, where: Callable[[], str]) -> Iterator[None]:
        """TrainingError for a failure of what passes between processes."""
        try:
            yield
        except RuntimeError as error:
            lost = isinstance(error, distributed.DistError) or any(
                word in str(error).lower() for word in _LOST
            )
            if self.size == 1 or not lost:
                raise
            raise TrainingError(
                f"process {self.rank} of {self.size} waits in vain {where()}: another one has "
                "ended or does not answer; start again to go on from the last checkpoint"
            ) from error


class Task(nn.Module):
    """The network in the wrapper that several processes need; what is called runs inside it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, call: Callable[..., Any], *rest: Any) -> Any:
        """call(network, *rest)."""
        return call(self.network, *rest)


class Shared:
    """A network as the processes of a world train it.

    network is what is trained: the one given, or under fsdp a copy of it whose weights are shares.
    """

    def __init__(self, network: nn.Module, world: World, options: MachineOptions) -> None:
        self.world, self._unused = world, options.unused_weights
        self.sharded = world.size > 1 and options.parallel == "fsdp"
        if self.sharded:
            self.task = _sharded(Task(deepcopy(network).to(world.device)), world)
            self.network = self.task.network
        else:
            self.network = network.to(world.device)
            self.task = Task(self.network)
        self._module: nn.Module = self.task

    def trained_changed(self) -> None:
        """To be called before the first step, and when other weights are trained than before."""
        if self.sharded or self.world.size == 1:
            return
        self._module = self.task  # the former wrapper's hooks go with it
        wrapper: Any = nn.parallel.DistributedDataParallel
        buffers = "forward_sync_buffers"
        if buffers not in signature(wrapper).parameters:  # its name before torch 2.13
            buffers = "broadcast_buffers"
        self._module = wrapper(
            self.task,
            device_ids=[self.world.device.index] if self.world.device.type == "cuda" else None,
            find_unused_parameters=self._unused,
            gradient_as_bucket_view=True,
            **{buffers: False},
        )

    def run(self, call: Callable[..., Value], *rest: Any) -> Value:
        """call(network, *rest), whose gradients the processes share."""
        return self._module(call, *rest)

    def run_alike(self, call: Callable[..., Value], *rest: Any) -> Value:
        """call(network, *rest) without gradients; under fsdp every process has to do the same."""
        found = self.task(call, *rest)
        if self.sharded:
            for module in self.task.modules():
                if reshard := getattr(module, "reshard", None):
                    reshard()
        return found

    def gathering(self, *, last: bool) -> AbstractContextManager[None]:
        """Around one of several batches of a step: gradients are shared after the last."""
        if last or not isinstance(self._module, nn.parallel.DistributedDataParallel):
            return nullcontext()
        return self._module.no_sync()


def _sharded(task: Task, world: World) -> Task:
    """Each entry of a list of layers is a unit of its own, the rest another."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    for value in (*task.parameters(), *task.buffers()):
        distributed.broadcast(value.detach(), 0)
    mesh = init_device_mesh(world.device.type, (world.size,))
    lists = [module for module in task.modules() if isinstance(module, nn.ModuleList)]
    for layer in (layer for layers in reversed(lists) for layer in layers):  # the innermost first
        if next(layer.parameters(), None) is not None:
            fully_shard(layer, mesh=mesh)
    fully_shard(task, mesh=mesh)
    return task


def whole(value: Tensor) -> Tensor:
    """The tensor that each process holds a share of; others as they are."""
    return value.full_tensor() if _is_share(value) else value  # type: ignore[attr-defined]


def shared_like(value: Tensor, like: Tensor) -> Tensor:
    """The share of value that stands where like does."""
    if _is_share(like) and value.shape == like.shape:
        from torch.distributed.tensor import distribute_tensor

        mesh, placements = like.device_mesh, like.placements  # type: ignore[attr-defined]
        return distribute_tensor(value.to(like.device), mesh, placements)
    return value.to(like.device)


def _is_share(value: Tensor) -> bool:
    """Whether it is a DTensor, whose module takes a second to import."""
    return hasattr(value, "full_tensor")


def state_of(network: nn.Module) -> dict[str, Tensor]:
    """What state_dict has, shares made whole. Every process has to call it."""
    return OrderedDict((name, whole(each)) for name, each in network.state_dict().items())


@torch.no_grad()
def put_state(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Fill the network in place with what state_of gave.

    Raises:
        InputError: names or shapes are another network's.
    """
    own = network.state_dict()
    if foreign := sorted(set(own) ^ set(state)):
        raise InputError(f"the weights are another network's: {', '.join(foreign[:3])}")
    for name, value in state.items():
        if own[name].shape != value.shape:
            raise InputError(
                f"{name} is {tuple(value.shape)}; this network's is {tuple(own[name].shape)}"
            )
        own[name].copy_(shared_like(value, own[name]))


def processes() -> tuple[int, int]:
    """Rank and number of processes as torchrun told this one, before they have met."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def _check_device(device: Device) -> None:
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device, True):
        raise InputError(f"device is {device!r}, which torch does not find here; give 'auto'")


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()
