"""Optimisers, schedules of the learning rate, and which weights are trained at what rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor, nn

from aural.errors import InputError, UnknownName
from aural.train.distributed import shared_like, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

OptimizerName = Literal["adamw", "sgd", "novograd"]
ScheduleName = Literal["constant", "linear", "cosine", "noam"]


@dataclass(frozen=True)
class OptimizerOptions:
    """ "adamw" (Loshchilov and Hutter 2019) and "novograd" (Ginsburg et al. 2019, that of Jasper
    and QuartzNet, who take betas of 0.95 and 0.5 or less) use betas and epsilon; "sgd" uses
    momentum. Biases, norms and other weights of one dimension do not decay.
    """

    name: OptimizerName = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    epsilon: float = 1e-8
    momentum: float = 0.9

    def __post_init__(self) -> None:
        if self.name not in get_args(OptimizerName):
            raise UnknownName("optimizer", self.name, get_args(OptimizerName))
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"learning_rate is {self.learning_rate}; give more than 0")
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(f"weight_decay is {self.weight_decay}; give 0 or more")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"betas are {self.betas}; give two, each from 0 to less than 1")
        if not 0 < self.epsilon < 1:
            raise InputError(f"epsilon is {self.epsilon}; give more than 0 and less than 1")
        if not 0 <= self.momentum < 1:
            raise InputError(f"momentum is {self.momentum}; give 0 to less than 1")


@dataclass(frozen=True)
class ScheduleOptions:
    """What share of the learning rate a step has.

    It rises in a straight line to 1 at warmup_steps. From there "linear" and "cosine" (Loshchilov
    and Hutter 2017) fall to the share `final` at the last step, "noam" with the square root of the
    step (Vaswani et al. 2017: their rate is d_model ** -0.5 * warmup_steps ** -0.5), "constant"
    not.
    """

    name: ScheduleName = "cosine"
    warmup_steps: int = 0
    final: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in get_args(ScheduleName):
            raise UnknownName("schedule", self.name, get_args(ScheduleName))
        if self.warmup_steps < 0:
            raise InputError(f"warmup_steps is {self.warmup_steps}; give 0 or more")
        if self.name == "noam" and self.warmup_steps < 1:
            raise InputError("warmup_steps is 0; 'noam' needs 1 or more")
        if not 0 <= self.final <= 1:
            raise InputError(f"final is {self.final}; give a share of the learning rate, 0 to 1")

    def share(self, step: int, steps: int) -> float:
        """The share of step 1 to steps."""
        if step < self.warmup_steps:
            return step / self.warmup_steps
        if self.name == "noam":
            return math.sqrt(self.warmup_steps / step)
        done = (step - self.warmup_steps) / max(1, steps - self.warmup_steps)
        if self.name == "linear":
            return 1 - (1 - self.final) * done
        if self.name == "cosine":
            return self.final + (1 - self.final) * (1 + math.cos(math.pi * done)) / 2
        return 1.0


@dataclass(frozen=True)
class LayerOptions:
    """Weights whose name is prefix or goes on from it at a dot ("encoder.layers.1" is not
    "encoder.layers.10"); of several that fit, the longest counts.

    rate: what the learning rate is multiplied by. trained_from: the first step, from 0, that
    changes them; -1: none does. Until then they are in eval mode: no dropout, and running
    statistics stay.
    """

    prefix: str
    rate: float = 1.0
    trained_from: int = 0

    def __post_init__(self) -> None:
        if not self.prefix:
            raise InputError("prefix is empty; name a part of the network")
        if not 0 < self.rate < math.inf:
            raise InputError(
                f"rate of {self.prefix!r} is {self.rate}; give more than 0, or trained_from -1"
            )
        if self.trained_from < -1:
            raise InputError(f"trained_from is {self.trained_from}; give a step, or -1 for never")

    def names(self, name: str) -> bool:
        """Whether a weight or module of that name belongs to it."""
        return name == self.prefix or name.startswith(self.prefix + ".")

    def trained(self, step: int) -> bool:
        """Whether the step changes it."""
        return 0 <= self.trained_from <= step


def layer_of(name: str, layers: Iterable[LayerOptions]) -> LayerOptions | None:
    """The layer that a name belongs to."""
    fitting = [layer for layer in layers if layer.names(name)]
    return max(fitting, key=lambda layer: len(layer.prefix), default=None)


def check_layers(network: nn.Module, layers: Iterable[LayerOptions]) -> None:
    """That each prefix names something; InputError says what there is."""
    names = [name for name, _ in network.named_parameters()]
    for layer in layers:
        if not any(layer.names(name) for name in names):
            tops = sorted({name.split(".")[0] for name in names})
            raise InputError(
                f"prefix is {layer.prefix!r}, which no weight's name has; "
                f"they begin with {', '.join(tops)}"
            )


def freeze(network: nn.Module, layers: Sequence[LayerOptions], step: int) -> None:
    """Set which weights have a gradient in a step (from 0), and the modes of the modules.

    Raises:
        InputError: none has.
    """
    for name, weight in network.named_parameters():
        if layer := layer_of(name, layers):
            weight.requires_grad_(layer.trained(step))
    if not any(weight.requires_grad for weight in network.parameters()):
        raise InputError(f"step {step} trains nothing: all weights are frozen then")
    network.train()
    for name, module in network.named_modules():
        found = layer_of(name, layers)
        if found and not found.trained(step):
            module.training = False


def decays(name: str, weight: Tensor) -> bool:
    """Whether weight decay counts for a weight: not biases, norms and others of one dimension."""
    return weight.ndim > 1 and "bias" not in name.rpartition(".")[2]


def make_optimizer(
    network: nn.Module, options: OptimizerOptions, layers: Sequence[LayerOptions] = ()
) -> torch.optim.Optimizer:
    """An optimiser of all weights that are or will be trained, in groups of one "rate" each.

    Raises:
        InputError: none is.
    """
    groups: dict[tuple[float, bool], list[tuple[str, nn.Parameter]]] = {}
    for name, weight in network.named_parameters():
        layer = layer_of(name, layers)
        if layer.trained_from == -1 if layer else not weight.requires_grad:
            continue
        key = (layer.rate if layer else 1.0, decays(name, weight))
        groups.setdefault(key, []).append((name, weight))
    if not groups:
        raise InputError("the network has no weight to be trained")
    made = [
        {"params": members, "rate": rate, "weight_decay": options.weight_decay if decay else 0.0}
        for (rate, decay), members in groups.items()
    ]
    rate, betas, epsilon = options.learning_rate, options.betas, options.epsilon
    if options.name == "sgd":
        return torch.optim.SGD(made, lr=rate, momentum=options.momentum)
    if options.name == "novograd":
        return NovoGrad(made, lr=rate, betas=betas, epsilon=epsilon)
    return torch.optim.AdamW(made, lr=rate, betas=betas, eps=epsilon, fused=_fusible(network))


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """The rate of the next step; each group's is that times its own."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["rate"]


class NovoGrad(torch.optim.Optimizer):
    """Gradients divided by their layer's norm, its square averaged over steps (Ginsburg et al.
    2019, arXiv:1905.11286); a layer is one weight tensor."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.01,
        betas: tuple[float, float] = (0.95, 0.5),
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "epsilon": epsilon, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step; there is no closure."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                squared = whole(weight.grad.square().sum())
                if not state:
                    state["squared_norm"] = squared
                    state["momentum"] = torch.zeros_like(weight)
                else:
                    state["squared_norm"].lerp_(squared, 1 - beta2)
                update = weight.grad / (state["squared_norm"].sqrt() + group["epsilon"])
                update.add_(weight, alpha=group["weight_decay"])
                state["momentum"].mul_(beta1).add_(update)
                weight.add_(state["momentum"], alpha=-group["lr"])


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What the optimiser remembers as "weight's name/what". Every process has to call it."""
    return {
        f"{name}/{key}": whole(value)
        for group in optimizer.param_groups
        for name, weight in zip(group["param_names"], group["params"], strict=True)
        for key, value in optimizer.state.get(weight, {}).items()
        if value is not None
    }


def put_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Let the optimiser remember what optimizer_tensors gave."""
    remembered: dict[str, dict[str, Tensor]] = {}
    for full_name, value in tensors.items():
        name, _, key = full_name.rpartition("/")
        remembered.setdefault(name, {})[key] = value
    state, number = {}, 0
    for group in optimizer.param_groups:
        for name, weight in zip(group["param_names"], group["params"], strict=True):
            if name in remembered:
                values = remembered.pop(name).items()
                state[number] = {key: shared_like(value, weight) for key, value in values}
            number += 1
    if remembered:
        raise InputError(f"the optimiser's state is another network's: {next(iter(remembered))}")
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _fusible(network: nn.Module) -> bool:
    """Whether one kernel can update all weights, which is the fastest where there is one."""
    return all(
        weight.device.type in {"cpu", "cuda"} and torch.is_floating_point(weight)
        for weight in network.parameters()
    )
