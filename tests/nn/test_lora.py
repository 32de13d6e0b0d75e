"""LoRA beside a linear layer: what peft computes, and what it is when it is merged."""

import copy

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from aural.errors import InputError
from aural.nn.lora import LoRA, add_lora, merged_state


class Small(nn.Module):
    """Two layers that may be adapted, and one that is not asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(6, 5)
        self.inner = nn.Sequential(nn.Linear(5, 4, bias=False))
        self.out = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.inner(self.query(x).tanh()))


@pytest.fixture
def adapted() -> tuple[nn.Module, nn.Module, torch.Tensor]:
    """A network with LoRA that is not 0, its twin without any, and an input."""
    torch.manual_seed(0)
    plain = Small()
    network = copy.deepcopy(plain)
    add_lora(network, ("query", "0"), rank=2, alpha=6.0)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "lora_b" in name:
                weight.normal_()
    return network, plain, torch.randn(7, 6)


def test_nothing_is_changed_at_first() -> None:
    torch.manual_seed(0)
    plain, given = Small(), torch.randn(3, 6)
    network = copy.deepcopy(plain)
    add_lora(network, ("query",), rank=2, alpha=4.0)
    torch.testing.assert_close(network(given), plain(given), atol=0, rtol=0)
    trained = {name for name, weight in network.named_parameters() if weight.requires_grad}
    assert trained == {"query.lora_a", "query.lora_b"}


def test_outputs_and_gradients_are_those_of_peft(adapted: tuple) -> None:
    network, plain, given = adapted
    theirs = copy.deepcopy(plain)
    options = LoraConfig(r=2, lora_alpha=6, lora_dropout=0.0, target_modules=["query", "inner.0"])
    inject_adapter_in_model(options, theirs)
    pairs = ((network.query, theirs.query), (network.inner[0], theirs.inner[0]))
    for ours, other in pairs:
        other.lora_A["default"].weight.data.copy_(ours.lora_a)
        other.lora_B["default"].weight.data.copy_(ours.lora_b)
    torch.testing.assert_close(network(given), theirs(given), atol=1e-6, rtol=1e-6)
    for each in (network, theirs):
        each(given).square().sum().backward()
    for ours, other in pairs:
        for mine, its in ((ours.lora_a, "lora_A"), (ours.lora_b, "lora_B")):
            gradient = getattr(other, its)["default"].weight.grad
            torch.testing.assert_close(mine.grad, gradient, atol=1e-5, rtol=1e-5)
    assert network.query.weight.grad is None


def test_merged_it_is_a_plain_network(adapted: tuple) -> None:
    network, plain, given = adapted
    assert not torch.allclose(network(given), plain(given), atol=1e-2)
    state = merged_state(network)
    assert sorted(state) == sorted(plain.state_dict())
    plain.load_state_dict(state)
    torch.testing.assert_close(network(given), plain(given), atol=1e-6, rtol=1e-6)


def test_a_single_layer_is_merged_too() -> None:
    layer = LoRA(nn.Linear(3, 2), rank=1, alpha=1.0)
    assert set(merged_state(layer)) == {"weight", "bias"}


@pytest.mark.parametrize(
    ("names", "rank", "alpha", "message"),
    [
        (("value",), 2, 4.0, "linear layers here are 0, out, query"),
        ((), 2, 4.0, "no layer"),
        (("query",), 0, 4.0, "rank is 0"),
        (("query",), 1, float("nan"), "alpha nan"),
    ],
)
def test_what_is_refused(names: tuple[str, ...], rank: int, alpha: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        add_lora(Small(), names, rank, alpha)
