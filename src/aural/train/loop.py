"""The one training loop: batches and an objective change a network's weights.

What a step is trained on, and all that is random in it, is a function of (seed, step, place of the
batch in the step) alone. So a run that is killed goes on from its last checkpoint as if nothing had
been, and two processes learn what one would have learned from the same batches.
"""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import torch

from aural.errors import InputError, TrainingError, UnknownName
from aural.train import checkpoint as disk
from aural.train.average import MovingAverage, average_checkpoints
from aural.train.distributed import (
    MachineOptions,
    Shared,
    World,
    put_state,
    state_of,
)
from aural.train.optim import (
    LayerOptions,
    OptimizerOptions,
    ScheduleOptions,
    check_layers,
    freeze,
    make_optimizer,
    optimizer_tensors,
    put_optimizer_tensors,
    set_learning_rate,
)
from aural.train.run import MetricsLog
from aural.train.step import JUDGING, Gatherer, Precision, generators_kept, seed_generators

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

    from aural.train.batch import Batch, Objective
    from aural.train.run import Run
    from aural.train.step import Gathered

Mode = Literal["min", "max"]
Taken = Literal["last", "best", "average_last", "average_best"]
FIRST_LOSS_SCALE = 64.0
"""Of fp16; losses are sums, thousands of times a mean's."""
GOOD_STEPS = 2000
"""After so many finite steps the loss scale doubles."""
NAMED_IDS = 8
MAX_SEED = 1 << 63
"""What torch takes."""
_OPTIMIZER, _TRAINED = "optimizer/", "trained/"


class Source(Protocol):
    """Where batches come from."""

    def step_batches(self, step: int) -> Sequence[Batch]:
        """All batches of a step (from 0), of all processes, the same for the same step whatever
        came before. Each process asks for its own by number only, so they may be made then."""
        ...


class Validate(Protocol):
    """Judges a network."""

    def __call__(self, network: nn.Module, step: int) -> Mapping[str, float]:
        """Figures by name after so many steps; the network is in eval mode and its weights are
        those that are judged. Every process calls it alike; the first one's figures count."""
        ...


@dataclass(frozen=True)
class TrainOptions:
    """How long, how fast and how carefully; steps are counted as weights are changed.

    clip_norm: the longest gradient, 0 for no bound. ema_decay: of the moving average of the
    weights, 0 for none; where there is one, it is what is judged, kept and taken. max_skipped:
    steps in a row whose loss or gradient is not finite (each is skipped) that end the run.
    *_every: steps; 0 is never, but the last step is always judged and kept. monitor: the figure of
    validate that decides which checkpoint is best, and with patience (so many judgements without a
    better one; 0: none) when to stop; monitor_mode "min" or "max" is its better side. keep_last,
    keep_best: checkpoints kept. take: what the network holds in the end, of these.
    """

    steps: int
    seed: int = 0
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    layers: tuple[LayerOptions, ...] = ()
    clip_norm: float = 1.0
    precision: Precision = "no"
    ema_decay: float = 0.0
    max_skipped: int = 20
    log_every: int = 10
    validate_every: int = 0
    checkpoint_every: int = 500
    keep_last: int = 3
    keep_best: int = 1
    monitor: str = ""
    monitor_mode: Mode = "min"
    patience: int = 0
    take: Taken = "last"
    tensorboard: bool = True
    machine: MachineOptions = field(default_factory=MachineOptions)

    def __post_init__(self) -> None:
        for kind, value, choices in (
            ("precision", self.precision, get_args(Precision)),
            ("monitor_mode", self.monitor_mode, get_args(Mode)),
            ("weights to take", self.take, get_args(Taken)),
        ):
            if value not in choices:
                raise UnknownName(kind, value, choices)
        for name in ("steps", "max_skipped", "log_every", "keep_last"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more")
        for name in ("seed", "clip_norm", "validate_every", "checkpoint_every", "keep_best"):
            most = {"seed": MAX_SEED}.get(name, math.inf)
            if not 0 <= getattr(self, name) < most:
                raise InputError(f"{name} is {getattr(self, name)}; give 0 or more, below {most}")
        self._check_judging()
        if not 0 <= self.ema_decay < 1:
            raise InputError(f"ema_decay is {self.ema_decay}; give 0 to less than 1")
        if len({layer.prefix for layer in self.layers}) < len(self.layers):
            raise InputError("layers has a prefix twice; give each once")
        if self.machine.parallel == "fsdp" and any(each.trained_from > 0 for each in self.layers):
            raise InputError("trained_from is more than 0; under 'fsdp' give 0 or -1")

    def _check_judging(self) -> None:
        if self.patience < 0 or (self.patience and not self.monitor):
            raise InputError(f"patience is {self.patience}; give 0, or more and a monitor")
        if "best" in self.take and not (self.monitor and self.keep_best):
            raise InputError(f"take is {self.take!r}; that needs a monitor and a keep_best")


@dataclass(frozen=True)
class Report:
    """What progress is told every log_every steps and at each judgement; loss and parts are means
    over the steps since the last report, seconds those of the run."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    gradient_norm: float
    seconds: float
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Result:
    """steps done; loss of the last one that was not skipped; metrics of the last judgement; best
    the monitored figure of best_step; seconds of training, all starts together. stopped says why:
    "steps" or "patience"."""

    steps: int
    loss: float
    metrics: Mapping[str, float]
    best: float | None
    best_step: int
    skipped: int
    seconds: float
    stopped: str


@dataclass
class _State:
    """All numbers that a run goes on with."""

    step: int = 0
    loss: float | None = None
    skipped: int = 0
    skipped_in_row: int = 0
    loss_scale: float = 1.0
    good_steps: int = 0
    best: float | None = None
    best_step: int = 0
    stale: int = 0
    seconds: float = 0.0
    stopped: str = ""
    metrics: dict[str, float | None] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)
    """Since the last report."""


def fit(
    network: nn.Module,
    objective: Objective,
    source: Source,
    options: TrainOptions,
    run: Run,
    validate: Validate | None = None,
    progress: Callable[[Report], None] | None = None,
) -> Result:
    """Train a network in place; it ends in eval mode, on the device it was trained on.

    A run whose folder has a checkpoint goes on from it, with the same bits as if it had never been
    broken off (on one machine and as many processes; on others, but for rounding). A finished one
    is only read. Under torchrun every process calls it alike; they share the folder.

    Running statistics and other buffers that a batch changes become the mean of what the batches of
    a step make of them, each from where the step began. Random is what torch, numpy and random
    draw; the caller's generators are left as they were.

    Raises:
        InputError: the folder is another run's, its checkpoints are all damaged or of another
            network; the source gives nothing; a prefix or the monitor names nothing; the best is
            to be taken and there is no validate.
        TrainingError: max_skipped steps in a row were not finite, or no figure to take the best by
            was; or another process was lost.
    """
    world = World(options.machine)
    loop = None

    def where() -> str:
        return f"after step {loop.state.step}" if loop else "at the start"

    with generators_kept(world.device), world.losses_named(where):
        loop = _Loop(network, objective, source, options, run, world)
        return loop.run_to_the_end(validate, progress)


class _Loop:
    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        source: Source,
        options: TrainOptions,
        run: Run,
        world: World,
    ) -> None:
        self.given, self.source, self.options = network, source, options
        self.run, self.world = run, world
        self.settings = asdict(options)
        run.check(self.settings)
        check_layers(network, options.layers)
        self.asked_gradient = [weight.requires_grad for weight in network.parameters()]
        self.shared = Shared(network, world, options.machine)
        self.network = self.shared.network
        self.optimizer = make_optimizer(self.network, options.optimizer, options.layers)
        self.average = MovingAverage(self.network, options.ema_decay) if options.ema_decay else None
        self.gatherer = Gatherer(
            self.shared, objective, world, seed=options.seed, precision=options.precision
        )
        self.state = _State(loss_scale=FIRST_LOSS_SCALE if options.precision == "fp16" else 1.0)
        self.trained: list[bool] | None = None
        self.log: MetricsLog | None = None
        self.progress: Callable[[Report], None] | None = None

    def run_to_the_end(
        self, validate: Validate | None, progress: Callable[[Report], None] | None
    ) -> Result:
        """What fit does."""
        options = self.options
        if validate is None and (options.patience or "best" in options.take):
            raise InputError(
                f"take is {options.take!r} and patience {options.patience}, and nothing is judged "
                "on the way; hold out a validation set, or give 'last' and 0"
            )
        self._resume()
        if self.world.is_first and not self._ended:
            self._begin()
            self.progress = progress
        try:
            while not self._ended:
                self._advance(validate)
        finally:
            if self.log:
                self.log.close()
            for weight, asked in zip(self.given.parameters(), self.asked_gradient, strict=True):
                weight.requires_grad_(asked)
        self.optimizer.zero_grad()
        self._take()
        state = self.state
        return Result(
            steps=state.step,
            loss=math.nan if state.loss is None else state.loss,
            metrics=_numbers(state.metrics),
            best=state.best,
            best_step=state.best_step,
            skipped=state.skipped,
            seconds=state.seconds,
            stopped=state.stopped or "steps",
        )

    @property
    def _ended(self) -> bool:
        return self.state.step >= self.options.steps or bool(self.state.stopped)

    def _due(self, every: int) -> bool:
        return self._ended or (every > 0 and self.state.step % every == 0)

    def _advance(self, validate: Validate | None) -> None:
        """One step, and what is due after it."""
        began = time.perf_counter()
        self._set_trained()
        gathered, rate = self._step()
        self._count(gathered, time.perf_counter() - began)
        if not gathered.finite:
            self._tell_skipped(gathered)
        if self._due(self.options.log_every):
            self._report(rate, gathered.norm)
        judged = validate is not None and self._due(self.options.validate_every)
        if judged and validate is not None:
            self._judge(validate, rate, gathered.norm)
        if judged or self._due(self.options.checkpoint_every):
            self._keep()

    def _set_trained(self) -> None:
        """Which weights this step trains, where that is not what the last one did."""
        trained = [layer.trained(self.state.step) for layer in self.options.layers]
        if trained != self.trained:
            freeze(self.network, self.options.layers, self.state.step)
            self.shared.trained_changed()
            self.trained = trained

    def _step(self) -> tuple[Gathered, float]:
        """Change the weights, unless a loss or the gradient is not finite."""
        state, options = self.state, self.options
        share = options.schedule.share(state.step + 1, options.steps)
        rate = options.optimizer.learning_rate * share
        set_learning_rate(self.optimizer, rate)
        self.optimizer.zero_grad()
        batches = self.source.step_batches(state.step)
        gathered = self.gatherer.gather(state.step, batches, state.loss_scale)
        if gathered.finite:
            gathered.finish(options.clip_norm)
            self.optimizer.step()
            if self.average:
                self.average.update()
        else:
            self.gatherer.buffers.undo()
        return gathered, rate

    def _count(self, gathered: Gathered, seconds: float) -> None:
        """Take a step into the state."""
        state = self.state
        state.step += 1
        state.seconds += seconds
        state.metrics = {}
        state.sums["elapsed"] = state.sums.get("elapsed", 0.0) + seconds
        if gathered.finite:
            state.loss = gathered.sums["loss"] / gathered.sums["weight"]
            state.skipped_in_row = 0
            state.good_steps += 1
            for name, value in gathered.sums.items():
                total = state.sums.get(name, 0.0) + value
                state.sums[name] = total if math.isfinite(total) else math.nan
        else:
            state.skipped += 1
            state.skipped_in_row += 1
            state.good_steps = 0
        if self.options.precision == "fp16":
            if not gathered.finite:
                state.loss_scale /= 2
            elif state.good_steps % GOOD_STEPS == 0:
                state.loss_scale *= 2

    def _tell_skipped(self, gathered: Gathered) -> None:
        ids = self.world.joined(list(gathered.suspects))
        state, most = self.state, self.options.max_skipped
        if self.log:
            self.log.write(state.step, "skipped", {"ids": ids, "in_row": state.skipped_in_row})
        if state.skipped_in_row < most:
            return
        named = ", ".join(ids[:NAMED_IDS]) + (", ..." if len(ids) > NAMED_IDS else "")
        raise TrainingError(
            f"loss or gradient was not finite in {most} steps in a row, up to step {state.step}, "
            f"there with utterances {named or 'without a name'}; look at them, or give a lower "
            "learning_rate"
        )

    def _report(self, rate: float, norm: float) -> None:
        state, sums = self.state, self.state.sums
        state.sums = {}
        if not self.world.is_first or not sums.get("weight"):
            return
        elapsed, weight = sums.pop("elapsed"), sums.pop("weight")
        sound = sums.pop("seconds")
        means = {name: value / weight for name, value in sums.items()}
        known = {"learning_rate": rate, "gradient_norm": norm, "skipped": state.skipped}
        pace = {"seconds": state.seconds, "sound_per_second": sound / max(elapsed, 1e-9)}
        assert self.log is not None
        self.log.write(state.step, "train", {**means, **known, **pace})
        self._tell(means["loss"], rate, norm)

    def _judge(self, validate: Validate, rate: float, norm: float) -> None:
        """Ask for figures of the weights that are judged, and whether they are the best."""
        state, options = self.state, self.options
        modes = [(module, module.training) for module in self.network.modules()]
        self.network.eval()
        seed_generators(options.seed, state.step, JUDGING, self.world.device)
        with torch.no_grad(), self.average.in_place() if self.average else nullcontext():
            figures = self.shared.run_alike(lambda network: dict(validate(network, state.step)))
        for module, mode in modes:
            module.training = mode
        figures = self.world.of_first({name: float(value) for name, value in figures.items()})
        state.metrics = {
            name: value if math.isfinite(value) else None for name, value in figures.items()
        }
        if options.monitor:
            self._compare(figures)
        if self.log:
            self.log.write(state.step, "validation", figures)
        self._tell(math.nan if state.loss is None else state.loss, rate, norm)

    def _compare(self, figures: Mapping[str, float]) -> None:
        state, options = self.state, self.options
        if options.monitor not in figures:
            raise UnknownName("figure to monitor", options.monitor, sorted(figures))
        value = figures[options.monitor]
        sign = 1 if options.monitor_mode == "min" else -1
        if math.isfinite(value) and (state.best is None or sign * value < sign * state.best):
            state.best, state.best_step, state.stale = value, state.step, 0
        else:
            state.stale += 1
        if options.patience and state.stale >= options.patience:
            state.stopped = "patience"

    def _tell(self, loss: float, rate: float, norm: float) -> None:
        if self.progress:
            state, metrics = self.state, _numbers(self.state.metrics)
            steps = self.options.steps
            self.progress(Report(state.step, steps, loss, rate, norm, state.seconds, metrics))

    def _judged_weights(self) -> dict[str, Tensor]:
        weights = state_of(self.network)
        return weights | self.average.tensors() if self.average else weights

    def _keep(self) -> None:
        """Write a checkpoint, and remove those that are neither among the last nor the best."""
        weights = self._judged_weights()
        remembered = optimizer_tensors(self.optimizer)
        tensors = {f"{_OPTIMIZER}{name}": value for name, value in remembered.items()}
        if self.average:
            trained = state_of(self.network)
            tensors |= {f"{_TRAINED}{name}": trained[name] for name in self.average.tensors()}
        if not self.world.is_first:
            return
        directory, state = self.run.checkpoints, self.state
        sums = {name: None if math.isnan(each) else each for name, each in state.sums.items()}
        numbers = {**asdict(state), "sums": sums}
        disk.save(directory, disk.Checkpoint(state.step, weights, tensors, numbers))
        disk.prune(directory, {*self._last_steps(), *self._best_steps()})

    def _last_steps(self) -> list[int]:
        return disk.steps(self.run.checkpoints)[-self.options.keep_last :]

    def _best_steps(self) -> list[int]:
        if not self.options.monitor:
            return []
        lowest = self.options.monitor_mode == "min"
        found = disk.best(self.run.checkpoints, self.options.monitor, lowest=lowest)
        return found[: self.options.keep_best]

    def _resume(self) -> None:
        """Go on from the newest checkpoint, where there is one."""
        directory = self.run.checkpoints
        step = self.world.of_first(disk.newest(directory) if self.world.is_first else None)
        if step is None:
            return
        kept = disk.read(disk.path_of(directory, step))
        put_state(self.network, {**kept.weights, **_named(kept.tensors, _TRAINED)})
        if self.average:
            self.average.put(kept.weights)
        put_optimizer_tensors(self.optimizer, _named(kept.tensors, _OPTIMIZER))
        if odd := {each.name for each in fields(_State)} ^ set(kept.numbers):
            path, names = disk.path_of(directory, step), ", ".join(sorted(odd))
            raise InputError(
                f"{path} is another version's, as {names} tells; remove it, or give another "
                "directory"
            )
        self.state = _State(**kept.numbers)
        self.state.sums = _numbers(self.state.sums)

    def _begin(self) -> None:
        step = self.state.step
        self.run.begin(self.settings, step=step, processes=self.world.size)
        tensorboard = self.options.tensorboard
        self.log = MetricsLog(self.run.directory, step=step, tensorboard=tensorboard)

    def _take(self) -> None:
        """Give the network the weights that the options say."""
        if self.options.take == "last":
            weights = self._judged_weights()
        else:
            best, averaged = "best" in self.options.take, "average" in self.options.take
            steps = self._best_steps() if best else self._last_steps()
            steps = self.world.of_first(steps if averaged else steps[:1])
            if not steps:
                raise TrainingError(
                    f"{self.options.monitor} was not finite in any judgement, so that there is no "
                    f"{self.options.take!r} to take; the last checkpoint is kept"
                )
            paths = [disk.path_of(self.run.checkpoints, step) for step in steps]
            weights = average_checkpoints(paths)
        put_state(self.given, weights)
        self.given.eval()


def _named(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _numbers(metrics: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in metrics.items()}
