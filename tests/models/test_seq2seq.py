"""Attention encoder-decoders: one token at a time is as all at once, and padding is nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from aural.errors import InputError
from aural.models import seq2seq
from aural.models.seq2seq import VARIANTS, Config, build
from aural.models.seq2seq.decoders import LocationAttention
from aural.models.seq2seq.network import Seq2Seq

SHAPES = [("bilstm", "lstm"), ("bilstm", "transformer"), ("transformer", "transformer")]
SMALL = replace(VARIANTS["test"].config, decoder_layers=2, encoder_layers=3, dropout=0.2)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(params=SHAPES, ids="-".join)
def network(request: pytest.FixtureRequest) -> Seq2Seq:
    torch.manual_seed(3)
    encoder, decoder = request.param
    made = build(replace(SMALL, encoder=encoder, decoder=decoder)).eval()
    with torch.no_grad():  # what begins at 0 or 1 would hide mistakes
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return made


@pytest.fixture
def sound() -> tuple[torch.Tensor, torch.Tensor]:
    """Features (3, 21, 8) and lengths."""
    draw = torch.Generator().manual_seed(4)
    return torch.randn(3, 21, 8, generator=draw), torch.tensor([21, 6, 13])


TARGETS = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 0, 0, 0], [6, 5, 3, 0, 0]])


def test_shapes(network: Seq2Seq, sound) -> None:
    log_probs, heard, lengths = network(*sound, TARGETS)
    assert log_probs.shape == (3, 6, 12)
    assert heard.shape == (3, 6, 12)  # 21 frames are 6 states
    assert lengths.tolist() == [6, 2, 4]
    for told in (log_probs, heard):
        torch.testing.assert_close(told.exp().sum(-1), torch.ones(told.shape[:2]))


@pytest.mark.parametrize("padding", [0.0, 7.5, float("nan"), float("inf")])
def test_padding_changes_nothing(network: Seq2Seq, sound, padding: float) -> None:
    features, lengths = sound
    padded = torch.full((3, 30, 8), padding)
    for row, one, length in zip(padded, features, lengths, strict=True):
        row[:length] = one[:length]
    log_probs, heard, reduced = network(padded, lengths, TARGETS)
    states, _ = network.encode(padded, lengths)
    for i, length in enumerate(lengths.tolist()):
        count = int(reduced[i])
        alone = network(features[i : i + 1, :length], lengths[i : i + 1], TARGETS[i : i + 1])
        assert alone[2].tolist() == [count] == [-(-length // 4)]
        torch.testing.assert_close(log_probs[i], alone[0][0], atol=1e-5, rtol=0)
        torch.testing.assert_close(heard[i, :count], alone[1][0], atol=1e-5, rtol=0)
    assert torch.isfinite(states).all()


def test_one_token_at_a_time_is_as_all_at_once(network: Seq2Seq, sound) -> None:
    log_probs, _, _ = network(*sound, TARGETS)
    memory = network.memory(*network.encode(*sound))
    told, cache = network.first(memory)
    steps = [told]
    for column in TARGETS.unbind(dim=1):
        told, cache = network.step(column, memory, cache)
        steps.append(told)
    torch.testing.assert_close(torch.stack(steps, dim=1), log_probs, atol=1e-5, rtol=0)


def test_rows_may_be_chosen_dropped_and_doubled(network: Seq2Seq, sound) -> None:
    memory = network.memory(*network.encode(*sound))
    _, cache = network.first(memory)
    _, cache = network.step(TARGETS[:, 0], memory, cache)
    rows = torch.tensor([2, 0, 0])
    chosen = tuple(each[rows] for each in memory), tuple(each[rows] for each in cache)
    told, _ = network.step(TARGETS[rows, 1], *chosen)
    log_probs, _, _ = network(*sound, TARGETS)
    torch.testing.assert_close(told, log_probs[rows, 2], atol=1e-5, rtol=0)


def test_later_tokens_change_nothing_before(network: Seq2Seq, sound) -> None:
    changed = TARGETS.clone()
    changed[:, 2:] = 7
    before, after = network(*sound, TARGETS)[0], network(*sound, changed)[0]
    torch.testing.assert_close(before[:, :3], after[:, :3], atol=1e-6, rtol=0)
    assert (before[:, 3:] - after[:, 3:]).abs().max() > 1e-3


def test_shares_of_attention(network: Seq2Seq, sound) -> None:
    states, lengths = network.encode(*sound)
    told, shares = network.aligned(TARGETS, network.memory(states, lengths))
    torch.testing.assert_close(told, network(*sound, TARGETS)[0], atol=1e-6, rtol=0)
    assert shares.shape == (3, 6, 6)
    torch.testing.assert_close(shares.sum(-1), torch.ones(3, 6))
    for row, count in zip(shares, lengths.tolist(), strict=True):
        assert (row[:, count:] == 0).all()


def test_the_decoder_hears_the_sound(network: Seq2Seq, sound) -> None:
    features, lengths = sound
    before = network(features, lengths, TARGETS)[0]
    after = network(features.flip(0), lengths, TARGETS)[0]
    assert (before - after).abs().max() > 1e-3


def test_every_parameter_gets_a_gradient(network: Seq2Seq, sound) -> None:
    log_probs, heard, _ = network.train()(*sound, TARGETS)
    (log_probs.square().sum() + heard.square().sum()).backward()
    without = [
        name
        for name, each in network.named_parameters()
        if each.grad is None or not each.grad.abs().sum() > 0
    ]
    # A bias of the keys adds the same to every score.
    assert [name for name in without if not name.endswith("key.bias")] == []


def test_location_aware_attention_is_its_formula() -> None:
    """Chorowski et al. 2015: e = w . tanh(W s + V h + U f), f = F * the attention before."""
    torch.manual_seed(0)
    layer = LocationAttention(VARIANTS["test"].config)
    query, keys = torch.randn(1, 16), torch.randn(1, 7, 16)
    before = torch.rand(1, 7)
    real = torch.tensor([[True] * 5 + [False] * 2])
    before = (before * real) / (before * real).sum()
    found = layer(query, keys, before, real)[0].detach().numpy()
    w = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    alpha, scores = before[0].numpy(), []
    for place in range(5):
        f = [
            sum(
                w["filters.weight"][channel, 0, tap] * alpha[place + tap - 2]
                for tap in range(5)
                if 0 <= place + tap - 2 < 7
            )
            for channel in range(3)
        ]
        inner = w["query.weight"] @ query[0].numpy() + w["query.bias"] + keys[0, place].numpy()
        scores.append(w["score.weight"][0] @ np.tanh(inner + w["place.weight"] @ f))
    shares = np.exp(scores - np.max(scores))
    np.testing.assert_allclose(found, [*(shares / shares.sum()), 0, 0], atol=1e-6)


def test_the_pyramid_reads_two_states_as_one() -> None:
    """One recording, layer by layer; that a layer is torch's BiLSTM is held elsewhere."""
    torch.manual_seed(1)
    network = build(replace(SMALL, reduction=2)).eval()
    features = torch.randn(1, 9, 8)
    states, lengths = network.encode(features, torch.tensor([9]))
    first, second, third = network.encoder.layers
    nine, five = torch.tensor([9]), torch.tensor([5])
    x = functional.pad(second(first(features, nine), nine), (0, 0, 0, 1))
    x = third(torch.cat((x[:, 0::2], x[:, 1::2]), dim=2), five)
    assert lengths.tolist() == [5]
    torch.testing.assert_close(states, x, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["test", "test-transformer"])
def test_test_variants_are_tiny(name: str) -> None:
    network = build(VARIANTS[name].config)
    assert sum(each.numel() for each in network.parameters()) < 100_000
    assert network.config == VARIANTS[name].config


def test_the_paper_s_sizes() -> None:
    """Chan et al.: BiLSTMs of 256 each way, two LSTMs of 512, eight frames a state."""
    network = build(VARIANTS["las"].config)
    assert [layer.onward[0].hidden_size for layer in network.encoder.layers] == [256] * 4
    assert [layer.onward[0].input_size for layer in network.encoder.layers] == [
        80,
        1024,
        1024,
        1024,
    ]
    assert [cell.hidden_size for cell in network.decoder.cells] == [512, 512]
    assert VARIANTS["las"].config.reduction == 8


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encoder", "gru"),
        ("decoder", "rnn"),
        ("tokens", 1),
        ("reduction", 3),
        ("reduction", 16),
        ("d_model", 17),
        ("location_kernel", 4),
        ("dropout", 1.0),
        ("decoder_layers", 0),
    ],
)
def test_what_no_network_can_be_built_of(name: str, value: object) -> None:
    with pytest.raises(InputError, match=name if name != "reduction" else "reduction is"):
        replace(VARIANTS["test"].config, **{name: value})


@pytest.mark.parametrize(
    ("shape", "lengths"),
    [((1, 4, 9), [4]), ((1, 0, 8), [0]), ((1, 4, 8), [5]), ((1, 4, 8), [0]), ((2, 4, 8), [4])],
)
def test_features_that_do_not_fit(shape: tuple[int, ...], lengths: list[int]) -> None:
    network = build(VARIANTS["test"].config)
    with pytest.raises(InputError):
        network.encode(torch.zeros(shape), torch.tensor(lengths))


def test_a_text_of_nothing_and_a_sound_of_one_frame() -> None:
    for name in ("test", "test-transformer"):
        network = build(VARIANTS[name].config).eval()
        told, _, lengths = network(
            torch.zeros(1, 1, 8), torch.tensor([1]), torch.zeros(1, 0, dtype=torch.int64)
        )
        assert told.shape == (1, 1, 12)
        assert lengths.tolist() == [1]
        assert torch.isfinite(told).all()


def test_weights_are_drawn_from_the_caller_s_seed() -> None:
    torch.manual_seed(5)
    first = build(Config(n_mels=4, tokens=5, d_model=8, encoder_layers=3))
    torch.manual_seed(5)
    second = build(Config(n_mels=4, tokens=5, d_model=8, encoder_layers=3))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    assert seq2seq.EXTRA == "torch"
