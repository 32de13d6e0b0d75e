"""The BiLSTM beside torch's packed one, with the same weights."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from aural.nn.recurrent import BiLSTM


def torchs(ours: BiLSTM, layers: int) -> nn.LSTM:
    """torch's bidirectional LSTM holding our weights."""
    first = ours.onward[0]
    made = nn.LSTM(
        first.input_size, first.hidden_size, layers, batch_first=True, bidirectional=True
    )
    for layer in range(layers):
        for ending, part in (("", ours.onward[layer]), ("_reverse", ours.backward_[layer])):
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                target = getattr(made, f"{name}_l{layer}{ending}")
                target.data.copy_(getattr(part, f"{name}_l0"))
    return made


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_equals_torchs_packed_lstm(layers: int) -> None:
    torch.manual_seed(layers)
    ours = BiLSTM(5, 4, layers, dropout=0.5).eval()
    reference = torchs(ours, layers)
    values, lengths = torch.randn(3, 9, 5), torch.tensor([9, 1, 6])
    packed = pack_padded_sequence(values, lengths, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(reference(packed)[0], batch_first=True, total_length=9)
    values[1, 1:], values[2, 6:] = torch.nan, torch.inf
    found = ours(values, lengths)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    found.square().sum().backward()
    expected.square().sum().backward()
    theirs = reference.weight_ih_l0_reverse.grad
    torch.testing.assert_close(ours.backward_[0].weight_ih_l0.grad, theirs, atol=1e-5, rtol=1e-4)
    assert all(each.grad.isfinite().all() for each in ours.parameters())


def test_dropout_is_between_layers_only() -> None:
    torch.manual_seed(0)
    values, lengths = torch.randn(1, 4, 5), torch.tensor([4])
    one, two = BiLSTM(5, 4, 1, dropout=0.9), BiLSTM(5, 4, 2, dropout=0.9)
    assert torch.equal(one(values, lengths), one(values, lengths))
    assert not torch.equal(two(values, lengths), two(values, lengths))
