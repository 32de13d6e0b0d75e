"""The training loop beside transformers' Trainer: seconds a step on the same network and batches.

    scripts/bench train                      # about two minutes on two quiet cores
    scripts/bench train --rounds 2 --steps 10

Transformer encoders of two sizes with a loss a frame, float32, one thread, AdamW at a constant
rate, gradients of at most 1, no dropout, batches that are there already. The two take turns in
every round, after one that does not count; a step's time is that from one forward pass to the next.
Both start from the same weights; "difference" is that of the last losses.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

for library in ("OMP", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import torch
from machine import write_result
from peers import ratio_of_medians
from torch import nn

from aural.train.batch import Batch, Losses
from aural.train.distributed import MachineOptions
from aural.train.loop import TrainOptions, fit
from aural.train.optim import OptimizerOptions, ScheduleOptions
from aural.train.run import Run

N_MELS, TOKENS, LEFT_OUT = 80, 32, 3
RATE = 3e-4


@dataclass(frozen=True)
class Size:
    """Of a network and its batches."""

    layers: int
    width: int
    items: int
    frames: int


SIZES = {"4 layers of 144": Size(4, 144, 8, 100), "2 layers of 64": Size(2, 64, 4, 50)}


class Net(nn.Module):
    """An encoder that notes when each forward pass begins; forward is as Trainer wants it."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.times: list[float] = []
        self.losses: list[torch.Tensor] = []
        self.project = nn.Linear(N_MELS, size.width)
        layer = nn.TransformerEncoderLayer(size.width, 4, 4 * size.width, 0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, size.layers, enable_nested_tensor=False)
        self.head = nn.Linear(size.width, TOKENS)

    def forward(self, features: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Mean cross-entropy of a frame."""
        self.times.append(time.perf_counter())
        scores = self.head(self.encoder(self.project(features)))
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), labels.flatten())
        self.losses.append(loss.detach())
        return {"loss": loss}


def batches_of(size: Size, steps: int) -> list[Batch]:
    """One for each step."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.full((size.items,), size.frames)
    return [
        Batch(
            torch.randn(size.items, size.frames, N_MELS, generator=generator),
            lengths,
            torch.randint(TOKENS, (size.items, size.frames), generator=generator),
            lengths,
        )
        for _ in range(steps)
    ]


def objective(network: nn.Module, batch: Batch) -> Losses:
    """The sum over frames."""
    frames = batch.targets.numel()
    return Losses(network(batch.features, batch.targets)["loss"] * frames, frames)


def by_aural(network: Net, batches: list[Batch], folder: Path) -> None:
    """fit, without a checkpoint but the last."""

    class Given:
        def step_batches(self, step: int) -> list[Batch]:
            return [batches[step]]

    options = TrainOptions(
        steps=len(batches),
        optimizer=OptimizerOptions(learning_rate=RATE, weight_decay=0.0, betas=(0.9, 0.999)),
        schedule=ScheduleOptions("constant"),
        checkpoint_every=0,
        tensorboard=False,
        machine=MachineOptions("cpu"),
    )
    fit(network, objective, Given(), options, Run(folder))


def by_trainer(network: Net, batches: list[Batch], folder: Path) -> None:
    """transformers' Trainer, with nothing reported or saved."""
    from transformers import Trainer, TrainingArguments

    examples = [{"features": each.features, "labels": each.targets} for each in batches]
    arguments = TrainingArguments(
        str(folder),
        max_steps=len(batches),
        per_device_train_batch_size=1,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        logging_steps=10,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        remove_unused_columns=False,
        train_sampling_strategy="sequential",
        dataloader_pin_memory=False,
    )
    Trainer(network, arguments, data_collator=lambda of: of[0], train_dataset=examples).train()


SYSTEMS = {"aural": by_aural, "transformers' Trainer": by_trainer}


def measure(rounds: int, steps: int) -> dict[str, Any]:
    """Seconds a step of every round by size and system."""
    torch.set_num_threads(1)
    runs: dict[str, dict[str, list[float]]] = {}
    difference = 0.0
    for name, size in SIZES.items():
        runs[name] = {system: [] for system in SYSTEMS}
        batches = batches_of(size, steps)
        for turn in range(rounds + 1):
            last = []
            for system, train in SYSTEMS.items():
                torch.manual_seed(0)
                network = Net(size)
                with tempfile.TemporaryDirectory() as folder:
                    train(network, batches, Path(folder))
                counted = network.times[LEFT_OUT:]
                if turn:
                    runs[name][system].append((counted[-1] - counted[0]) / (len(counted) - 1))
                last.append(network.losses[-1].item())
            difference = max(difference, abs(last[0] - last[1]))
    ratios = {
        name: asdict(ratio_of_medians(systems["transformers' Trainer"], systems["aural"]))
        for name, systems in runs.items()
    }
    packages = ("torch", "transformers", "accelerate")
    return {
        "rounds": rounds,
        "steps": steps,
        "sizes": {name: asdict(size) for name, size in SIZES.items()},
        "seconds_a_step": runs,
        "trainer_times_aural": ratios,
        "difference": difference,
        "versions": {package: version(package) for package in packages},
    }


def page(result: Mapping[str, Any]) -> str:
    """A table of milliseconds a step."""
    rows = ["| encoder | batch | system | ms a step | times aural's |", "|---|---|---|---|---|"]
    for name, systems in result["seconds_a_step"].items():
        size, ratio = result["sizes"][name], result["trainer_times_aural"][name]
        for system, seconds in systems.items():
            shown = f"{ratio['value']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
            middle, low, high = (f(seconds) * 1e3 for f in (statistics.median, min, max))
            rows.append(
                f"| {name} | {size['items']} x {size['frames']} frames | {system} | "
                f"{middle:.1f} [{low:.1f}, {high:.1f}] | {'1' if system == 'aural' else shown} |"
            )
    named = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    about = (
        f"float32 on one thread, {result['rounds']} rounds of {result['steps']} steps; the last "
        f"losses differ by at most {result['difference']:.1e}."
    )
    return "\n\n".join([about, "\n".join(rows), f"Versions: {named}."])


def main() -> None:
    """Print the table and write the result."""
    parser = argparse.ArgumentParser(description="the training loop beside transformers' Trainer")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=40)
    given = parser.parse_args()
    result = measure(given.rounds, given.steps)
    print(page(result))
    write_result(result)


if __name__ == "__main__":
    main()
