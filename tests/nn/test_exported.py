"""What training leaves as a directory, and directories that somebody else wrote."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from aural.errors import AuralError, InputError
from aural.nn.exported import (
    Exported,
    FeatureOptions,
    export,
    load_network,
    load_weights,
    read_exported,
    read_network_config,
)
from aural.text.tokens import characters


@dataclass(frozen=True)
class Config:
    """Two sizes and a list."""

    width: int = 3
    kernels: tuple[int, ...] = (3, 5)


@pytest.fixture
def about() -> Exported:
    return Exported(
        "echo", asdict(Config(4)), FeatureOptions(n_mels=4), characters(["one two"]), "en"
    )


@pytest.fixture
def written(tmp_path: Path, about: Exported) -> Path:
    torch.manual_seed(1)
    export(tmp_path / "model", nn.Linear(4, 2), about)
    return tmp_path / "model"


def test_round_trip(written: Path, about: Exported) -> None:
    read = read_exported(written)
    assert (read.family, read.features, read.tokenizer, read.language) == (
        about.family, about.features, about.tokenizer, about.language,
    )  # fmt: skip
    assert read_network_config(written, "echo", Config) == Config(4, (3, 5))
    torch.manual_seed(1)
    first, second = nn.Linear(4, 2), nn.Linear(4, 2)
    load_weights(written, second)
    assert torch.equal(first.weight, second.weight)
    assert sorted(path.name for path in written.iterdir()) == [
        "config.json", "model.safetensors", "tokens.json",
    ]  # fmt: skip


def test_another_family_is_named(written: Path) -> None:
    with pytest.raises(InputError, match=r"holds a echo; name it echo@"):
        read_network_config(written, "jasper", Config)


def test_weights_of_another_shape_or_name(written: Path) -> None:
    with pytest.raises(InputError, match=r"weight is \(2, 4\); the configuration says \(2, 5\)"):
        load_weights(written, nn.Linear(5, 2))
    with pytest.raises(InputError, match="1 unknown"):
        load_weights(written, nn.Linear(4, 2, bias=False))
    (written / "model.safetensors").write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(InputError, match="can't be read as safetensors"):
        load_weights(written, nn.Linear(4, 2))


@pytest.mark.parametrize(
    "change",
    [
        {"config": {"width": 3, "colour": 1}},
        {"config": [1]},
        {"config": None},
        {"config": {"width": "3"}},
        {"config": {"width": True}},
        {"config": {"width": [3]}},
        {"features": {"preset": 5}},
        {"features": {"n_mels": "80"}},
        {"features": {"n_mels": 10**9}},
        {"features": {"sample_rate": 0}},
        {"features": {"normalise": "loud"}},
        {"features": {"preset": "kaldi", "hop": 3}},
        {"features": 3},
        {"extra": 1},
    ],
)
def test_config_that_is_not_one(written: Path, change: dict[str, object]) -> None:
    path = written / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(AuralError):
        read_network_config(written, "echo", Config)


@pytest.mark.parametrize("text", ["", "[]", "3", "{", "[" * 100_000, "\x00"])
def test_text_that_is_no_config(written: Path, text: str) -> None:
    (written / "config.json").write_text(text)
    with pytest.raises(InputError):
        read_exported(written)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        read_exported(tmp_path)


def test_a_configuration_can_t_ask_for_more_than_there_is(written: Path) -> None:
    """Neither widths nor layers are built before the file was looked at."""
    built = []

    def build(config: Config) -> nn.Module:
        built.append(torch.get_default_device().type)
        return nn.Linear(config.width, 2)

    assert load_network(written, Config(4), build).weight.shape == (2, 4)
    assert built == ["meta", "cpu"]
    built.clear()
    with pytest.raises(InputError, match=r"the configuration says \(2, 1000000000000\)"):
        load_network(written, Config(10**12), build)
    assert built == ["meta"]

    @dataclass(frozen=True)
    class Deep(Config):
        encoder_layers: int = 10**9

    with pytest.raises(InputError, match=r"encoder_layers is 1000000000; model\.safetensors has 2"):
        load_network(written, Deep(4), build)
