"""A small network, data and objective to train on, here or in a process of its own (`main`)."""

import argparse
import sys
import time
import warnings
from pathlib import Path

import torch
from torch import nn

from aural.errors import AuralError
from aural.train.batch import Batch, Losses
from aural.train.distributed import MachineOptions
from aural.train.loop import Result, TrainOptions, fit
from aural.train.optim import OptimizerOptions, ScheduleOptions
from aural.train.run import Run

WIDTH, CLASSES = 6, 4


class Net(nn.Module):
    """Running statistics, dropout and a list of layers; encode is not called by forward alone."""

    def __init__(self, dropout: float = 0.2, *, norm: bool = True) -> None:
        super().__init__()
        # before a norm a bias has next to no gradient, and Adam would magnify its rounding
        self.layers = nn.ModuleList(nn.Linear(size, 8, bias=False) for size in (WIDTH, 8))
        self.norm = nn.BatchNorm1d(8) if norm else nn.LayerNorm(8)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(8, CLASSES)

    def encode(self, features: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            features = torch.tanh(layer(features))
        return self.norm(features)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.head(self.dropout(self.encode(features)))


def network(seed: int = 0, dropout: float = 0.2, *, norm: bool = True) -> Net:
    """The same for the same seed; the caller's generator stays."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Net(dropout, norm=norm)


def batch(seed: int, items: int) -> Batch:
    """Items of a class each that can be told from their features."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randint(0, CLASSES, (items, 1), generator=generator)
    features = torch.randn(items, 1, WIDTH, generator=generator)
    features[:, 0, :CLASSES] += 2 * nn.functional.one_hot(classes[:, 0], CLASSES)
    ones = torch.ones(items, dtype=torch.int64)
    ids = tuple(f"u{seed}-{item}" for item in range(items))
    return Batch(features, ones, classes, ones, ids, seconds=0.5 * items)


class Batches:
    """`count` batches a step, of 5, 3, 6, 3, ... items, so that their weights differ."""

    def __init__(self, count: int = 3, pause: float = 0.0) -> None:
        self.count, self.pause = count, pause

    def step_batches(self, step: int) -> list[Batch]:
        time.sleep(self.pause)
        return [batch(100 * step + place, (5, 3, 6, 3)[place % 4]) for place in range(self.count)]


def objective(net: nn.Module, given: Batch) -> Losses:
    """Cross-entropy; it calls a method beside forward."""
    states = net.encode(given.features[:, 0])
    scores = net.head(net.dropout(states))
    loss = nn.functional.cross_entropy(scores, given.targets[:, 0], reduction="sum")
    right = (scores.argmax(-1) == given.targets[:, 0]).sum()
    return Losses(loss, len(given.targets), {"accuracy": right})


def options(steps: int, **changes) -> TrainOptions:
    """Of a short run without curves."""
    kept = {
        "optimizer": OptimizerOptions(learning_rate=0.02),
        "schedule": ScheduleOptions("cosine", warmup_steps=3, final=0.1),
        "checkpoint_every": 5,
        "log_every": 4,
        "ema_decay": 0.9,
        "tensorboard": False,
        "machine": MachineOptions(device="cpu"),
    }
    return TrainOptions(steps=steps, **{**kept, **changes})


def judge(net: nn.Module, step: int) -> dict[str, float]:
    """Error on one batch never trained on; it draws at random, which must not matter."""
    torch.rand(3)
    given = batch(999_999, 64)
    wrong = net(given.features[:, 0]).argmax(-1) != given.targets[:, 0]
    return {"error": float(wrong.float().mean())}


def train(directory: Path, steps: int, pause: float = 0.0, count: int = 3, **changes) -> Result:
    """The run that the tests compare."""
    torch.set_num_threads(1)
    run = Run(directory, {"model": "tiny"}, {"fingerprint": "abc"})
    chosen = options(steps, validate_every=10, monitor="error", **changes)
    return fit(network(), objective, Batches(count, pause), chosen, run, validate=judge)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--timeout", type=float, default=20.0)
    parser.add_argument("--parallel", nargs="+", default=["ddp"])
    parser.add_argument("--log-every", type=int, default=4)
    given = parser.parse_args(arguments)
    warnings.simplefilter("error")
    try:
        for parallel in given.parallel:
            machine = MachineOptions("cpu", parallel, given.timeout)
            directory = given.directory / parallel if len(given.parallel) > 1 else given.directory
            train(directory, given.steps, given.pause, log_every=given.log_every, machine=machine)
    except AuralError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    return 0
