"""Schedules against written-out values, optimisers against written-out formulas."""

import math

import pytest
import torch
from torch import nn
from trainee import network

from aural.errors import InputError, UnknownName
from aural.train.optim import (
    LayerOptions,
    NovoGrad,
    OptimizerOptions,
    ScheduleOptions,
    check_layers,
    freeze,
    make_optimizer,
    optimizer_tensors,
    put_optimizer_tensors,
    set_learning_rate,
)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (ScheduleOptions("constant"), [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        (ScheduleOptions("constant", 4), [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1]),
        (ScheduleOptions("linear", 2), [0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0]),
        (ScheduleOptions("linear", 5, 0.5), [0.2, 0.4, 0.6, 0.8, 1, 0.9, 0.8, 0.7, 0.6, 0.5]),
        (
            ScheduleOptions("cosine", 6),
            [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 0.8535534, 0.5, 0.1464466, 0],
        ),
        (
            ScheduleOptions("cosine", 8, 0.1),
            [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1, 0.55, 0.1],
        ),
    ],
)
def test_shares_are_those_written_out(schedule, expected):
    shares = [schedule.share(step, 10) for step in range(1, 11)]
    assert shares == pytest.approx(expected, abs=1e-7)


def test_noam_is_the_formula_of_the_paper():
    """Vaswani et al. 2017, equation 3: width ** -0.5 * min(step ** -0.5, step * warmup ** -1.5)."""
    width, warmup = 512, 400
    peak = width**-0.5 * warmup**-0.5
    for step in (1, 7, 399, 400, 401, 5000):
        expected = width**-0.5 * min(step**-0.5, step * warmup**-1.5)
        share = ScheduleOptions("noam", warmup).share(step, 10_000)
        assert peak * share == pytest.approx(expected, rel=1e-12)


def test_a_run_no_longer_than_its_warmup_has_shares():
    assert [ScheduleOptions("cosine", 5).share(step, 3) for step in (1, 2, 3)] == [0.2, 0.4, 0.6]
    assert ScheduleOptions("linear", 3).share(3, 3) == 1


def test_novograd_is_the_algorithm_of_the_paper():
    """Ginsburg et al. 2019, algorithm 1, in float64 by plain Python, to 1e-12."""
    beta1, beta2, decay, rate, epsilon = 0.9, 0.6, 0.05, 0.1, 1e-8
    generator = torch.Generator().manual_seed(4)
    draw = [torch.randn(2, 3, generator=generator, dtype=torch.float64) for _ in range(6)]
    weight = nn.Parameter(draw[0].clone())
    optimizer = NovoGrad([weight], rate, (beta1, beta2), epsilon, decay)
    expected, second, first = draw[0].flatten().tolist(), 0.0, [0.0] * 6
    for number, gradient in enumerate(draw[1:]):
        weight.grad = gradient.clone()
        optimizer.step()
        flat = gradient.flatten().tolist()
        squared = sum(each * each for each in flat)
        second = squared if number == 0 else beta2 * second + (1 - beta2) * squared
        for i, each in enumerate(flat):
            first[i] = beta1 * first[i] + (
                each / (math.sqrt(second) + epsilon) + decay * expected[i]
            )
        expected = [old - rate * moment for old, moment in zip(expected, first, strict=True)]
        assert weight.detach().flatten().tolist() == pytest.approx(expected, rel=1e-12)


def test_adamw_is_the_algorithm_of_the_paper():
    """Loshchilov and Hutter 2019, algorithm 2; float64, to 1e-12; the bias does not decay."""
    net = nn.Linear(1, 1).double()
    before = [net.weight.item(), net.bias.item()]
    optimizer = make_optimizer(
        net, OptimizerOptions("adamw", 0.1, weight_decay=0.3, betas=(0.8, 0.9), epsilon=1e-6)
    )
    moments = [[0.0, 0.0], [0.0, 0.0]]
    for step, gradients in enumerate([(1.0, -2.0), (0.5, 3.0), (-4.0, 0.1)], start=1):
        net.weight.grad = torch.full((1, 1), gradients[0], dtype=torch.float64)
        net.bias.grad = torch.full((1,), gradients[1], dtype=torch.float64)
        optimizer.step()
        for i, (gradient, decay) in enumerate(zip(gradients, (0.3, 0.0), strict=True)):
            moments[i][0] = 0.8 * moments[i][0] + 0.2 * gradient
            moments[i][1] = 0.9 * moments[i][1] + 0.1 * gradient**2
            mean = moments[i][0] / (1 - 0.8**step)
            square = moments[i][1] / (1 - 0.9**step)
            before[i] = before[i] * (1 - 0.1 * decay) - 0.1 * mean / (math.sqrt(square) + 1e-6)
    assert [net.weight.item(), net.bias.item()] == pytest.approx(before, rel=1e-12)


def test_only_weights_of_several_dimensions_decay_and_each_layer_has_its_rate():
    net = network()
    layers = (LayerOptions("layers.1", 0.5), LayerOptions("layers", 0.25), LayerOptions("norm", 1))
    optimizer = make_optimizer(net, OptimizerOptions(weight_decay=0.1), layers)
    set_learning_rate(optimizer, 0.2)
    found = {
        name: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for name in group["param_names"]
    }
    assert found == {
        "layers.0.weight": (0.05, 0.1),
        "layers.1.weight": (0.1, 0.1),
        "norm.weight": (0.2, 0.0),
        "norm.bias": (0.2, 0.0),
        "head.weight": (0.2, 0.1),
        "head.bias": (0.2, 0.0),
    }


def test_a_prefix_ends_at_a_dot():
    layer = LayerOptions("layers.1")
    assert layer.names("layers.1")
    assert layer.names("layers.1.weight")
    assert not layer.names("layers.10.weight")


def test_frozen_until_its_step_and_in_eval_mode_so_long():
    net = network()
    net.eval()
    layers = (LayerOptions("norm", trained_from=3), LayerOptions("layers", trained_from=-1))
    for step, norm in ((0, False), (2, False), (3, True), (9, True)):
        freeze(net, layers, step)
        assert net.norm.weight.requires_grad is norm
        assert net.norm.training is norm
        assert net.dropout.training
        assert net.head.weight.requires_grad
        assert not net.layers[0].weight.requires_grad
    with pytest.raises(InputError, match="step 0 trains nothing"):
        freeze(net, (*layers, LayerOptions("head", trained_from=5)), 0)
    with pytest.raises(InputError, match=r"prefix is 'laye', .* begin with head, layers, norm"):
        check_layers(net, [LayerOptions("laye")])


@pytest.mark.parametrize("name", ["adamw", "sgd", "novograd"])
def test_what_an_optimiser_remembers_can_be_put_into_another(name):
    """Two steps, put over, a third: the same to the bit as three."""
    nets = [network(1, dropout=0.0, norm=False) for _ in range(2)]
    made = [make_optimizer(net, OptimizerOptions(name)) for net in nets]

    def step(number: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for weight in nets[number].parameters():
            weight.grad = torch.randn(weight.shape, generator=generator)
        made[number].step()

    for seed in (1, 2):
        step(0, seed)
    nets[1].load_state_dict(nets[0].state_dict())
    put_optimizer_tensors(made[1], {k: v.clone() for k, v in optimizer_tensors(made[0]).items()})
    for number in (0, 1):
        step(number, 3)
    for ours, theirs in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_state_of_another_network_is_refused():
    optimizer = make_optimizer(network(), OptimizerOptions())
    with pytest.raises(InputError, match="another network's: nowhere"):
        put_optimizer_tensors(optimizer, {"nowhere/exp_avg": torch.zeros(1)})


def test_nothing_to_train_is_an_error():
    with pytest.raises(InputError, match="no weight to be trained"):
        make_optimizer(nn.Dropout(), OptimizerOptions())


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (OptimizerOptions, {"name": "adam"}, "unknown optimizer 'adam'"),
        (OptimizerOptions, {"learning_rate": math.nan}, "learning_rate is nan"),
        (OptimizerOptions, {"weight_decay": -1}, "weight_decay is -1"),
        (OptimizerOptions, {"betas": (0.9, 1.0)}, "betas are"),
        (OptimizerOptions, {"epsilon": 0}, "epsilon is 0"),
        (OptimizerOptions, {"momentum": 1}, "momentum is 1"),
        (ScheduleOptions, {"name": "step"}, "unknown schedule 'step'"),
        (ScheduleOptions, {"warmup_steps": -1}, "warmup_steps is -1"),
        (ScheduleOptions, {"name": "noam"}, "'noam' needs 1 or more"),
        (ScheduleOptions, {"final": 2}, "final is 2"),
        (LayerOptions, {"prefix": ""}, "prefix is empty"),
        (LayerOptions, {"prefix": "a", "rate": 0}, "rate of 'a' is 0"),
        (LayerOptions, {"prefix": "a", "trained_from": -2}, "trained_from is -2"),
    ],
)
def test_values_that_are_not_allowed(kind, values, message):
    with pytest.raises((InputError, UnknownName), match=message):
        kind(**values)
