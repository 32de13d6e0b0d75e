"""Contracts over every family that can be trained, on its variants for tests.

What a family is held to follows from what its network has. `encode(features, lengths)`: states and
lengths, which padding does not change. A forward of features and lengths without targets: log
probabilities of tokens, for CTC. A forward of features, lengths and the targets of a Batch, in all
or in part: a gradient reaches every parameter through it. All of them are built, exported and read
back. A family of no features (a language model) is held to the last alone.
"""

import inspect
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aural import models
from aural.errors import InputError
from aural.nn.exported import Exported, FeatureOptions, export, load_weights
from aural.text.tokens import Tokenizer
from aural.types import Recogniser

BATCH = ("features", "lengths", "targets", "target_lengths")
TRAINABLE = [
    (family, name)
    for family in models.families()
    if hasattr(models.family(family), "build")
    for name, variant in models.family(family).VARIANTS.items()
    if name.split("-")[0] == "test" and variant.weights is None
]


def config_of(family: str, variant: str) -> Any:
    return models.family(family).VARIANTS[variant].config


def built(family: str, variant: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    network: nn.Module = models.family(family).build(config_of(family, variant))
    return network


def takes(network: nn.Module, *, required: bool) -> set[str]:
    """What its forward can be given, or has to be."""
    parameters = inspect.signature(network.forward).parameters.values()
    empty = inspect.Parameter.empty
    return {p.name for p in parameters if not required or p.default is empty}


NETWORKS = {name: built(*name) for name in TRAINABLE}
ENCODERS = [name for name in TRAINABLE if hasattr(NETWORKS[name], "encode")]
ACOUSTIC = [
    name
    for name in TRAINABLE
    if takes(NETWORKS[name], required=False) & set(BATCH) == {"features", "lengths"}
]
OF_BATCHES = [
    name
    for name in TRAINABLE
    if {"features", "lengths"} <= takes(NETWORKS[name], required=True) <= set(BATCH)
]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def batch_of(config: Any, seed: int = 1) -> dict[str, Tensor]:
    """Three items of unlike lengths and their targets; samples (one row) are more than frames."""
    generator = torch.Generator().manual_seed(seed)
    frames = 37 if config.n_mels > 1 else 3700
    lengths = torch.tensor([frames, frames * 2 // 3, frames // 2])
    features = torch.randn(3, frames, config.n_mels, generator=generator)
    targets = torch.randint(1, config.tokens, (3, 3), generator=generator)
    target_lengths = torch.tensor([3, 2, 1])
    targets *= torch.arange(3) < target_lengths[:, None]
    return dict(zip(BATCH, (features, lengths, targets, target_lengths), strict=True))


def numbers_of(value: Any) -> Iterator[Tensor]:
    """Every tensor of floats in what a network gave."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from numbers_of(getattr(value, field.name))
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from numbers_of(each)


def test_every_way_of_hearing_is_held_to_its_contract() -> None:
    assert {"audio_rnn", "conformer", "jasper", "transformer_ctc"} <= {name for name, _ in ACOUSTIC}
    assert set(ACOUSTIC) <= set(ENCODERS)


@pytest.mark.parametrize(("family", "variant"), TRAINABLE)
def test_a_seed_decides_the_weights(family: str, variant: str) -> None:
    first, again, other = (built(family, variant, seed) for seed in (3, 3, 4))
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert any(
        not torch.equal(value, other.state_dict()[name])
        for name, value in first.state_dict().items()
    )
    assert all(value.dtype == torch.float32 for value in first.parameters())
    assert sum(value.numel() for value in first.parameters()) < 100_000, "the test variant is tiny"


@pytest.mark.parametrize(("family", "variant"), ACOUSTIC)
def test_log_probabilities_of_every_frame(family: str, variant: str) -> None:
    config, network = config_of(family, variant), built(family, variant).eval()
    batch = batch_of(config)
    log_probs, lengths = network(batch["features"], batch["lengths"])
    assert log_probs.dtype == torch.float32
    assert log_probs.shape == (3, int(lengths.max()), config.tokens)
    assert lengths.dtype == torch.int64
    assert all(1 <= new <= old for new, old in zip(lengths, batch["lengths"], strict=True))
    for row, length in zip(log_probs, lengths, strict=True):
        torch.testing.assert_close(row[:length].exp().sum(1), torch.ones(int(length)))
    states, encoded = network.encode(batch["features"], batch["lengths"])
    assert states.shape[:2] == log_probs.shape[:2]
    assert torch.equal(encoded, lengths)


@pytest.mark.parametrize(("family", "variant"), ENCODERS)
def test_the_same_input_gives_the_same_states(family: str, variant: str) -> None:
    network, batch = built(family, variant).eval(), batch_of(config_of(family, variant))
    first, again = (network.encode(batch["features"], batch["lengths"])[0] for _ in range(2))
    assert torch.equal(first, again)


@pytest.mark.parametrize(("family", "variant"), ENCODERS)
@pytest.mark.parametrize("held", [0.0, 1e4, float("nan")])
def test_padding_changes_no_state(family: str, variant: str, held: float) -> None:
    network, batch = built(family, variant).eval(), batch_of(config_of(family, variant))
    features, lengths = batch["features"].clone(), batch["lengths"]
    for row, length in zip(features, lengths, strict=True):
        row[length:] = held
    with torch.no_grad():
        states, reduced = network.encode(features, lengths)
        for row, length, told, count in zip(features, lengths, states, reduced, strict=True):
            alone, one = network.encode(row[None, :length], length[None])
            assert int(one[0]) == int(count)
            torch.testing.assert_close(told[:count], alone[0, :count], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("family", "variant"), ACOUSTIC)
def test_padding_changes_no_gradient(family: str, variant: str) -> None:
    """Statistics of a batch are of real frames: what is trained does not depend on padding."""
    batch, gradients = batch_of(config_of(family, variant)), []
    for more, held in ((0, 0.0), (9, 7.0)):
        network = built(family, variant)
        for module in network.modules():
            for name, value in vars(module).items():
                if isinstance(value, float) and (name == "p" or name.endswith("dropout")):
                    setattr(module, name, 0.0)
        features = nn.functional.pad(batch["features"], (0, 0, 0, more), value=held)
        log_probs, lengths = network(features, batch["lengths"])
        sum(row[:n].square().sum() for row, n in zip(log_probs, lengths, strict=True)).backward()
        gradients.append({name: value.grad for name, value in network.named_parameters()})
    for name, value in gradients[0].items():
        scale = float(value.abs().max()) + 1.0
        torch.testing.assert_close(value, gradients[1][name], atol=1e-4 * scale, rtol=1e-4)


@pytest.mark.parametrize(("family", "variant"), OF_BATCHES)
def test_a_gradient_reaches_every_parameter(family: str, variant: str) -> None:
    network, batch = built(family, variant), batch_of(config_of(family, variant))
    known = takes(network, required=False)
    given = network(**{name: value for name, value in batch.items() if name in known})
    total = torch.zeros(())
    for value in numbers_of(given):
        finite = torch.where(value.isfinite(), value, torch.zeros_like(value))
        total = total + (finite * torch.randn(value.shape)).sum()
    total.backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(("family", "variant"), ACOUSTIC)
def test_odd_input_is_told(family: str, variant: str) -> None:
    config, network = config_of(family, variant), built(family, variant).eval()
    batch = batch_of(config)
    features, lengths = batch["features"], batch["lengths"]
    for wrong in (
        (features[:, :0], lengths),
        (features[..., 0], lengths),
        (features[:0], lengths[:0]),
        (features.long(), lengths),
        (torch.cat((features, features), 2), lengths),
        (features, lengths[:2]),
        (features, lengths.float()),
        (features, lengths + 1),
        (features, lengths - int(lengths.min())),
    ):
        with pytest.raises(InputError, match=r"features are|lengths are"):
            network(*wrong)
    one, length = network(features[:1, :1], torch.tensor([1]))
    assert one.isfinite().all()
    assert length.tolist() == [1]


@pytest.mark.parametrize(("family", "variant"), TRAINABLE)
def test_exported_and_read_back(family: str, variant: str, tmp_path: Path) -> None:
    module, config = models.family(family), config_of(family, variant)
    network = built(family, variant).eval()
    symbols = tuple(chr(ord("a") + i) for i in range(config.tokens - 1))
    about = Exported(
        family,
        {field.name: getattr(config, field.name) for field in fields(config)},
        FeatureOptions(n_mels=getattr(config, "n_mels", 80)),
        Tokenizer("characters", symbols),
        "en",
    )
    export(tmp_path, network, about)
    assert module.read_config(tmp_path) == config
    again = built(family, variant, seed=9)
    load_weights(tmp_path, again)
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    entry = models.find(f"{family}@{tmp_path}")
    model = module.load(
        models.locate(entry), entry.config, device="cpu", compute_type="auto", threads=1
    )
    if isinstance(model, Recogniser):
        noise = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
        both, alone = model.recognise([noise, noise[:4000]]), model.recognise([noise])
        told, segment = both[0].segment, alone[0].segment
        assert (told.text, told.tokens) == (segment.text, segment.tokens)
        assert told.avg_logprob == pytest.approx(segment.avg_logprob, abs=1e-4)
        assert set(segment.text) <= {*symbols, " "}
