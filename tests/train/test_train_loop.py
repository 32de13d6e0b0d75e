"""The loop: what it computes against one written out, and when it stops."""

import gc
import json
import math
import random
import weakref
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from trainee import Batches, batch, judge, network, objective, options, train

from aural.errors import InputError, TrainingError, UnknownName
from aural.train import checkpoint
from aural.train.batch import Batch, Losses
from aural.train.distributed import MachineOptions
from aural.train.loop import TrainOptions, fit
from aural.train.optim import LayerOptions, OptimizerOptions, ScheduleOptions
from aural.train.run import Run, read_metrics
from aural.train.step import generators_kept, seed_generators

SGD = OptimizerOptions("sgd", 0.1, weight_decay=0.0, momentum=0.0)
CONSTANT = ScheduleOptions("constant")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def joined(batches: list[Batch]) -> Batch:
    """One large batch of several of one frame."""
    tensors = ("features", "lengths", "targets", "target_lengths")
    return Batch(*(torch.cat([getattr(each, name) for each in batches]) for name in tensors))


def differ(one: nn.Module, other: nn.Module) -> float:
    state = other.state_dict()
    return max((v - state[k]).abs().max().item() for k, v in one.state_dict().items())


def given_steps(make):
    """A source of a function of the step."""

    class Given:
        def step_batches(self, step: int) -> list[Batch]:
            return make(step)

    return Given()


def test_four_batches_are_one_large_one(tmp_path):
    """Of 5, 3, 6 and 3 items, without what is random or counts the batch; AdamW, to 1e-6."""
    small = Batches(4)
    large = given_steps(lambda step: [joined(small.step_batches(step))])
    nets = []
    for name, source in (("small", small), ("large", large)):
        net = network(dropout=0.0, norm=False)
        result = fit(net, objective, source, options(8), Run(tmp_path / name))
        nets.append((net, result))
    assert differ(nets[0][0], nets[1][0]) < 1e-6
    assert nets[0][1].loss == pytest.approx(nets[1][1].loss, abs=1e-6)


@pytest.mark.parametrize("clip_norm", [0.0, 0.05, 100.0])
def test_a_step_is_what_is_written_out(tmp_path, clip_norm):
    """Plain descent on the mean over all items of the step, its length bounded; to 1e-6."""
    source, net, own = (
        Batches(3),
        network(dropout=0.0, norm=False),
        network(dropout=0.0, norm=False),
    )
    chosen = options(
        5, optimizer=SGD, schedule=CONSTANT, clip_norm=clip_norm, ema_decay=0.0, log_every=1
    )
    fit(net, objective, source, chosen, Run(tmp_path))
    norms = []
    for step in range(5):
        whole = joined(source.step_batches(step))
        own.zero_grad()
        scores = own(whole.features[:, 0])
        nn.functional.cross_entropy(scores, whole.targets[:, 0]).backward()
        norm = math.sqrt(sum(w.grad.square().sum().item() for w in own.parameters()))
        norms.append(norm)
        bound = min(1.0, clip_norm / (norm + 1e-6)) if clip_norm else 1.0
        with torch.no_grad():
            for weight in own.parameters():
                weight.sub_(0.1 * bound * weight.grad)
    assert differ(net, own) < 1e-6
    told = [line["gradient_norm"] for line in read_metrics(tmp_path)]
    assert told == pytest.approx(norms, rel=1e-5)


def test_running_statistics_are_the_mean_of_what_each_batch_makes_of_them(tmp_path):
    source, net, own = Batches(3), network(dropout=0.0), network(dropout=0.0)
    fit(net, objective, source, options(1, optimizer=SGD, ema_decay=0.0), Run(tmp_path))
    own.train()
    start, made = own.norm.running_var.clone(), []
    for each in source.step_batches(0):
        own.norm.running_var.copy_(start)
        own(each.features[:, 0])
        made.append(own.norm.running_var.clone())
    torch.testing.assert_close(net.norm.running_var, torch.stack(made).mean(0), atol=1e-6, rtol=0)
    assert net.norm.num_batches_tracked == 1


def test_dropout_is_a_function_of_seed_step_and_place(tmp_path):
    """Each batch alone, seeded as it is in the loop, gives the loss that is logged."""
    net = network(norm=False)
    chosen = options(1, seed=5, log_every=1)
    fit(net, objective, Batches(3), chosen, Run(tmp_path))
    own = network(norm=False)
    own.train()
    total = 0.0
    with generators_kept(torch.device("cpu")):
        for place in (2, 0, 1):
            seed_generators(5, 0, place, torch.device("cpu"))
            total += objective(own, Batches(3).step_batches(0)[place]).total.item()
    assert read_metrics(tmp_path)[0]["loss"] == pytest.approx(total / 14, abs=1e-6)


def test_seeds_differ_by_seed_step_and_place():
    with generators_kept(torch.device("cpu")):
        drawn = set()
        for numbers in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, -1), (0, 1, -1)):
            seed_generators(*numbers, torch.device("cpu"))
            drawn |= {torch.rand(1).item(), np.random.rand(), random.random()}
    assert len(drawn) == 18


def test_the_callers_generators_stay(tmp_path):
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    before = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())
    train(tmp_path, 3)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    assert random.getstate() == before[2]


def test_broken_off_by_an_error_and_gone_on_with_is_the_same_to_the_bit(tmp_path):
    whole = network()
    judged = {"validate_every": 3, "monitor": "error"}
    result = fit(whole, objective, Batches(), options(14, **judged), Run(tmp_path / "a"), judge)

    def failing(step: int) -> list[Batch]:
        if step == 8:
            raise OSError("the disk is gone")
        return Batches().step_batches(step)

    net, run = network(), Run(tmp_path / "b")
    with pytest.raises(OSError, match="the disk is gone"):
        fit(net, objective, given_steps(failing), options(14, **judged), run, judge)
    other = network(seed=9)
    again = fit(other, objective, Batches(), options(14, **judged), run, judge)
    assert differ(whole, other) == 0
    assert replace(again, seconds=0) == replace(result, seconds=0)
    once_more = fit(
        network(seed=8), objective, given_steps(None), options(14, **judged), run, judge
    )
    assert once_more == again
    starts = json.loads((tmp_path / "b" / "environment.json").read_text())
    assert [start["step"] for start in starts] == [0, 6]


def test_the_newest_checkpoint_being_damaged_the_one_before_gives_the_same(tmp_path):
    train(tmp_path / "a", 10)
    train(tmp_path / "b", 10)
    last = checkpoint.path_of(tmp_path / "b" / "checkpoints", 10)
    expected = (last / "weights.safetensors").read_bytes()
    (last / "weights.safetensors").write_bytes(expected[:-5])
    with pytest.warns(checkpoint.CheckpointWarning):
        train(tmp_path / "b", 10)
    assert (last / "weights.safetensors").read_bytes() == expected


def test_the_moving_average_is_what_is_judged_and_taken(tmp_path):
    """decay * average + (1 - decay) * weights, written out along a run of plain descent."""
    seen = []
    chosen = options(6, optimizer=SGD, schedule=CONSTANT, ema_decay=0.6, validate_every=1)
    source = Batches(2)
    net = network(dropout=0.0, norm=False)

    def validate(given: nn.Module, step: int) -> dict[str, float]:
        assert not given.training
        seen.append(given.head.weight.detach().clone())
        return {}

    fit(net, objective, source, chosen, Run(tmp_path / "a"), validate)
    trained = []
    plain = replace(chosen, ema_decay=0.0)
    fit(
        network(dropout=0.0, norm=False), objective, source, plain, Run(tmp_path / "b"),
        lambda given, step: trained.append(given.head.weight.detach().clone()) or {},
    )  # fmt: skip
    average = network(dropout=0.0, norm=False).head.weight.detach()
    for judged, weight in zip(seen, trained, strict=True):
        average = 0.6 * average + 0.4 * weight
        torch.testing.assert_close(judged, average, atol=1e-6, rtol=0)
    assert torch.equal(net.head.weight, seen[-1])


@pytest.mark.parametrize("take", ["last", "best", "average_last", "average_best"])
def test_what_the_network_holds_in_the_end(tmp_path, take):
    """Figures are given, so that steps 2, 3 and 5 are the best three."""
    figures = {1: 9.0, 2: 1.0, 3: 2.0, 4: 8.0, 5: 3.0, 6: 7.0}
    weights = {}

    def validate(net: nn.Module, step: int) -> dict[str, float]:
        weights[step] = net.head.bias.detach().double()
        return {"error": figures[step]}

    net = network()
    chosen = options(
        6, validate_every=1, monitor="error", keep_last=2, keep_best=3, take=take, ema_decay=0.0
    )
    result = fit(net, objective, Batches(), chosen, Run(tmp_path), validate)
    steps = {"last": [6], "best": [2], "average_last": [5, 6], "average_best": [2, 3, 5]}[take]
    expected = sum(weights[step] for step in steps) / len(steps)
    torch.testing.assert_close(net.head.bias.detach().double(), expected, atol=1e-7, rtol=0)
    assert checkpoint.steps(tmp_path / "checkpoints") == [2, 3, 5, 6]
    assert (result.best, result.best_step, result.metrics) == (1.0, 2, {"error": 7.0})


@pytest.mark.parametrize(("mode", "sign"), [("min", 1), ("max", -1)])
def test_it_stops_when_nothing_gets_better(tmp_path, mode, sign):
    figures = {2: 5.0, 4: 3.0, 6: math.nan, 8: 3.0, 10: 4.0, 12: 1.0}
    chosen = options(
        50, validate_every=2, monitor="error", monitor_mode=mode, patience=3, take="best"
    )
    arguments = (objective, Batches(), chosen, Run(tmp_path))
    validate = lambda net, step: {"error": sign * figures[step]}  # noqa: E731
    net = network()
    result = fit(net, *arguments, validate)
    assert (result.stopped, result.steps, result.best_step) == ("patience", 10, 4)
    assert fit(network(seed=2), *arguments, validate) == result
    assert read_metrics(tmp_path)[-1] == {"step": 10, "kind": "validation", "error": sign * 4.0}


def broken(bad: dict[int, str]):
    """An objective whose loss or gradient is not finite in some steps."""
    steps = iter(range(10_000))

    def of(net: nn.Module, given: Batch) -> Losses:
        losses = objective(net, given)
        kind = bad.get(next(steps) // 2, "")
        total = losses.total
        if kind == "loss":
            total = total * math.inf
        elif kind == "gradient":
            total = total + (net.head.bias.sum() * 0).sqrt()
        elif kind == "weight":
            return Losses(total, 0, losses.parts)
        return Losses(total, losses.weight, losses.parts)

    return of


def test_a_step_that_is_not_finite_is_skipped_and_counted(tmp_path):
    bad = {2: "loss", 3: "gradient", 5: "weight"}
    before, after = {}, {}

    class Watching(Batches):
        def step_batches(self, step: int) -> list[Batch]:
            before[step] = {k: v.clone() for k, v in net.state_dict().items()}
            after[step - 1] = before[step]
            return super().step_batches(step)

    net = network()
    result = fit(net, broken(bad), Watching(2), options(8, ema_decay=0.0), Run(tmp_path))
    assert result.skipped == 3
    assert math.isfinite(result.loss)
    for step in range(7):
        same = all(torch.equal(after[step][name], value) for name, value in before[step].items())
        assert same == (step in bad), step
    lines = [line for line in read_metrics(tmp_path) if line["kind"] == "skipped"]
    assert [(line["step"], line["in_row"]) for line in lines] == [(3, 1), (4, 2), (6, 1)]
    assert lines[0]["ids"] == [*batch(200, 5).ids, *batch(201, 3).ids]


def test_a_part_that_is_not_finite_is_kept_as_unknown(tmp_path):
    """Gone on with, too: a mean with it in it has no value, the next has one."""

    def of(net: nn.Module, given: Batch) -> Losses:
        losses = objective(net, given)
        odd = torch.tensor(math.inf if given.ids[0] == "u100-0" else 1.0)
        return Losses(losses.total, losses.weight, {"odd": odd})

    for steps in (3, 8):  # the first ends in between: its settings are those of the second
        source = given_steps(lambda step, last=steps: Batches(1).step_batches(step)[step >= last :])
        with suppress(InputError):
            fit(network(), of, source, options(8, checkpoint_every=3), Run(tmp_path))
    lines = [line["odd"] for line in read_metrics(tmp_path) if line["kind"] == "train"]
    assert lines[0] is None
    assert lines[1] > 0


def test_a_checkpoint_of_other_fields_is_refused(tmp_path):
    train(tmp_path, 5)
    last = checkpoint.path_of(tmp_path / "checkpoints", 5)
    kept = checkpoint.read(last)
    checkpoint.save(last.parent, replace(kept, numbers={**kept.numbers, "mood": 1}))
    with pytest.raises(InputError, match=r"is another version's, as mood tells"):
        train(tmp_path, 5)


def test_the_best_of_nothing_can_not_be_taken(tmp_path):
    chosen = options(4, monitor="error", take="best", validate_every=2)
    with pytest.raises(InputError, match=r"nothing is judged on the way; hold out a validation"):
        fit(network(), objective, Batches(), chosen, Run(tmp_path / "a"))
    assert not (tmp_path / "a").exists()
    with pytest.raises(TrainingError, match=r"error was not finite in any judgement"):
        fit(
            network(), objective, Batches(), chosen, Run(tmp_path / "b"),
            lambda net, step: {"error": math.nan},
        )  # fmt: skip


def test_so_many_in_a_row_end_the_run_and_name_utterances(tmp_path):
    def of(net: nn.Module, given: Batch) -> Losses:
        losses = objective(net, given)
        wrong = given.ids[0] in {"u201-0", "u301-0", "u401-0"}
        return Losses(losses.total * (math.nan if wrong else 1), losses.weight, losses.parts)

    chosen = options(20, max_skipped=3, checkpoint_every=1)
    with pytest.raises(TrainingError) as caught:
        fit(network(), of, Batches(2), chosen, Run(tmp_path))
    assert str(caught.value) == (
        "loss or gradient was not finite in 3 steps in a row, up to step 5, there with utterances "
        "u401-0, u401-1, u401-2; look at them, or give a lower learning_rate"
    )
    assert checkpoint.newest(tmp_path / "checkpoints") == 4


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_learns_what_float32_does_about(tmp_path, precision):
    plain = train(tmp_path / "a", 30, ema_decay=0.0)
    mixed = train(tmp_path / "b", 30, ema_decay=0.0, precision=precision)
    assert mixed.skipped == 0
    assert mixed.loss == pytest.approx(plain.loss, rel=0.05)
    assert mixed.loss != plain.loss
    weights = checkpoint.read_weights(checkpoint.path_of(tmp_path / "b" / "checkpoints", 30))
    assert weights["head.weight"].dtype == torch.float32


def test_fp16_halves_its_scale_at_an_overflow_and_doubles_it_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr("aural.train.loop.GOOD_STEPS", 3)
    chosen = options(8, precision="fp16", checkpoint_every=1, keep_last=8)
    fit(network(), broken({1: "loss"}), Batches(2), chosen, Run(tmp_path))
    kept = [checkpoint.path_of(tmp_path / "checkpoints", step) for step in range(1, 9)]
    scales = [checkpoint.read_numbers(path)["loss_scale"] for path in kept]
    assert scales == [64, 32, 32, 32, 64, 64, 64, 128]


def test_frozen_weights_stay_until_their_step_and_rates_are_the_layers(tmp_path):
    def at(step: int, weights: list[torch.Tensor]) -> None:
        weights.append(net.layers[0].weight.detach().clone())

    net, seen = network(), []
    start = net.head.weight.detach().clone()
    layers = (LayerOptions("layers.0", trained_from=3), LayerOptions("head", trained_from=-1))
    chosen = options(6, layers=layers, validate_every=1, ema_decay=0.0)
    asked = [weight.requires_grad for weight in net.parameters()]
    fit(net, objective, Batches(), chosen, Run(tmp_path), lambda _, step: at(step, seen) or {})
    moved = [not torch.equal(one, other) for one, other in pairwise(seen)]
    assert moved == [False, False, True, True, True]
    assert torch.equal(net.head.weight, start)
    assert [weight.requires_grad for weight in net.parameters()] == asked


def test_it_learns_and_tells_of_it(tmp_path):
    told = []
    net = network()
    chosen = options(120, validate_every=60, log_every=40)
    result = fit(net, objective, Batches(), chosen, Run(tmp_path), judge, told.append)
    assert result.metrics["error"] < 0.2
    assert [report.step for report in told] == [40, 60, 80, 120, 120]
    assert told[-1].metrics == result.metrics
    assert told[0].loss > told[2].loss
    assert not net.training
    line = next(line for line in read_metrics(tmp_path) if line["step"] == 40)
    assert line["loss"] == told[0].loss
    assert 0 < line["accuracy"] < 1
    assert line["sound_per_second"] > 0


def test_nothing_is_held_from_step_to_step(tmp_path):
    """No tensor more after 60 steps than after 20, and no batch but the last two steps'."""
    alive, counts = [], {}

    class Watched(Batches):
        def step_batches(self, step: int) -> list[Batch]:
            made = super().step_batches(step)
            alive.extend(weakref.ref(each.features) for each in made)
            if step in (20, 60):
                gc.collect()
                counts[step] = sum(
                    issubclass(type(each), torch.Tensor) for each in gc.get_objects()
                )
                held = sum(reference() is not None for reference in alive)
                assert held <= 2 * len(made)
            return made

    chosen = options(61, log_every=10, checkpoint_every=0)
    fit(network(), objective, Watched(), chosen, Run(tmp_path))
    assert counts[60] <= counts[20]


def test_a_source_that_ends_and_a_loss_without_gradient_are_errors(tmp_path):
    with pytest.raises(InputError, match="no batch for step 0"):
        fit(network(), objective, given_steps(lambda _: []), options(2), Run(tmp_path / "a"))

    def constant(net: nn.Module, given: Batch) -> Losses:
        return Losses(torch.tensor(1.0), 1)

    with pytest.raises(InputError, match="total has no gradient"):
        fit(network(), constant, Batches(), options(2), Run(tmp_path / "b"))


def test_a_monitor_that_is_not_judged_is_an_error(tmp_path):
    chosen = options(2, monitor="wer", validate_every=1)
    with pytest.raises(
        UnknownName, match="unknown figure to monitor 'wer'; this install has: error"
    ):
        fit(network(), objective, Batches(), chosen, Run(tmp_path), judge)


def test_the_checkpoint_of_another_network_is_refused(tmp_path):
    train(tmp_path, 5)
    run = Run(tmp_path, {"model": "tiny"}, {"fingerprint": "abc"})
    chosen = options(5, validate_every=10, monitor="error")
    with pytest.raises(InputError, match=r"another network's: norm.num_batches_tracked"):
        fit(network(norm=False), objective, Batches(), chosen, run, judge)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"precision": "fp8"}, "unknown precision 'fp8'"),
        ({"take": "first"}, "unknown weights to take 'first'"),
        ({"take": "best"}, "needs a monitor"),
        ({"monitor_mode": "up"}, "unknown monitor_mode 'up'"),
        ({"patience": 2}, "patience is 2"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0"),
        ({"clip_norm": math.nan}, "clip_norm is nan"),
        ({"keep_last": 0}, "keep_last is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"layers": (LayerOptions("a"), LayerOptions("a"))}, "a prefix twice"),
        (
            {
                "layers": (LayerOptions("a", trained_from=2),),
                "machine": MachineOptions("cpu", "fsdp"),
            },
            "under 'fsdp' give 0 or -1",
        ),
    ],
)
def test_options_that_are_not_allowed(values, message):
    with pytest.raises((InputError, UnknownName), match=message):
        TrainOptions(**{"steps": 1, **values})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"parallel": "dp"}, "unknown way of sharing 'dp'"),
        ({"timeout_seconds": 0}, "timeout_seconds is 0"),
    ],
)
def test_machines_that_are_not_allowed(values, message):
    with pytest.raises((InputError, UnknownName), match=message):
        MachineOptions(**values)


def test_a_device_that_is_not_there_is_an_error(tmp_path):
    chosen = options(1, machine=MachineOptions("cuda" if not torch.cuda.is_available() else "mps"))
    with pytest.raises(InputError, match="which torch does not find here"):
        fit(network(), objective, Batches(), chosen, Run(tmp_path))
