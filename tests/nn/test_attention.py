"""Attention against torch's own and against the formula written out; odd masks and shapes."""

import math

import pytest
import torch
from torch import Tensor, nn

from aural.errors import InputError
from aural.nn.attention import MultiHeadAttention, sinusoids


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module.eval()


def test_as_torch_has_it() -> None:
    ours = randomised(MultiHeadAttention(12, 3))
    theirs = nn.MultiheadAttention(12, 3, batch_first=True).eval()
    parts = (ours.query, ours.key, ours.value)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.in_proj_bias.copy_(torch.cat((ours.query.bias, torch.ones(12), ours.value.bias)))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    queries, states = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    real = torch.arange(7) < torch.tensor([7, 4])[:, None]
    want, _ = theirs(queries, states, states, key_padding_mask=~real)
    torch.testing.assert_close(ours(queries, states, real), want, atol=1e-5, rtol=1e-5)


def naive_relative(attention: MultiHeadAttention, queries: Tensor, states: Tensor) -> Tensor:
    """Dai et al. 2019, one query, key and head after the other."""
    count, keys, width = queries.shape[0], states.shape[0], queries.shape[1] // attention.heads
    q, k, v = attention.query(queries), attention.key(states), attention.value(states)
    heard = torch.zeros_like(queries)
    for head in range(attention.heads):
        part = slice(head * width, (head + 1) * width)
        u, bias = attention.content_bias[head, 0], attention.position_bias[head, 0]
        for i in range(count):
            scores = []
            for j in range(keys):
                distance = keys - count + i - j
                row = [
                    f(distance / 10000 ** (2 * n / queries.shape[1]))
                    for n in range(queries.shape[1] // 2)
                    for f in (math.sin, math.cos)
                ]
                position = attention.position(torch.tensor(row))[part]
                scores.append((q[i, part] + u) @ k[j, part] + (q[i, part] + bias) @ position)
            shares = torch.softmax(torch.stack(scores) / math.sqrt(width), dim=0)
            heard[i, part] = shares @ v[:, part]
    return attention.out(heard)


@pytest.mark.parametrize(("queries", "keys"), [(5, 5), (3, 8), (1, 1), (1, 6)])
def test_relative_positions_are_the_formula(queries: int, keys: int) -> None:
    attention = randomised(MultiHeadAttention(8, 2, relative=True))
    states = torch.randn(keys, 8)
    given = states[keys - queries :]
    want = naive_relative(attention, given, states)
    found = attention(given[None], states[None])[0]
    torch.testing.assert_close(found, want, atol=1e-5, rtol=1e-5)


def test_a_query_that_may_look_nowhere_is_finite() -> None:
    for relative in (False, True):
        attention = randomised(MultiHeadAttention(8, 2, relative=relative))
        states = torch.randn(1, 4, 8)
        mask = torch.tensor([[True, False, True, False]])[:, None].repeat(1, 4, 1)
        mask[0, 2] = False
        found = attention(states, mask=mask)
        assert found.isfinite().all()
        other = states.clone()
        other[0, 1] = 5.0  # looked at by none, and a query of its own only
        again = attention(other, mask=mask)
        torch.testing.assert_close(found[0, [0, 3]], again[0, [0, 3]])


def test_sinusoids() -> None:
    table = sinusoids(torch.arange(-3, 4), 6)
    assert table.shape == (7, 6)
    assert table[3].tolist() == [0, 1, 0, 1, 0, 1]
    assert table[5, 2] == pytest.approx(math.sin(2 / 10000 ** (2 / 6)), abs=1e-6)
    assert torch.equal(table[:3, 0::2].flip(0), -table[4:, 0::2])


@pytest.mark.parametrize(("d_model", "heads"), [(10, 3), (2, 4)])
def test_width_and_heads_fit(d_model: int, heads: int) -> None:
    with pytest.raises(InputError, match=f"d_model is {d_model}; give a multiple of heads"):
        MultiHeadAttention(d_model, heads)
