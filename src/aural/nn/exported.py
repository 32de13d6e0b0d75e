"""A trained network as a directory that can be moved, checked and loaded: no code, no pickle.

    config.json          {"family", "config": the fields of the family's Config, "language",
                          "features": {"preset", "n_mels", "sample_rate", "normalise"}}
    tokens.json          the tokenizer (text/tokens.py)
    model.safetensors    the weights, by the network's own names

What made it (data, recipe, metrics) stands beside it in README.md, the model card.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from aural.errors import InputError, UnknownName
from aural.store.objects import read_object
from aural.text.tokens import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from torch import Tensor, nn

MAX_JSON_BYTES = 64 << 20
REPEATED = ("layers", "blocks", "repeats", "sub_blocks")
"""Fields of a Config that say how often something is there, with weights of its own each time."""
MAX_MELS, MAX_RATE = 1024, 384_000
Normalise = Literal["utterance", "rows", "running", "none"]
ConfigType = TypeVar("ConfigType")
NetworkType = TypeVar("NetworkType", bound="nn.Module")


@dataclass(frozen=True)
class FeatureOptions:
    """Samples at sample_rate become a log-mel of n_mels rows, one of log_mel's presets; "samples"
    leaves them what they are, one row.

    normalise "utterance": mean 0 and variance 1 over the whole recording; "rows": each row by
    itself (cmvn); "running": each row less its mean so far, as a stream can do it too; "none": as
    they are.
    """

    preset: str = "kaldi"
    n_mels: int = 80
    sample_rate: int = 16000
    normalise: Normalise = "rows"

    def __post_init__(self) -> None:
        if self.normalise not in get_args(Normalise):
            raise UnknownName("normalisation", self.normalise, get_args(Normalise))
        for name, most in (("n_mels", MAX_MELS), ("sample_rate", MAX_RATE)):
            if not 1 <= getattr(self, name) <= most:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 to {most}")

    def features(self, samples: np.ndarray) -> np.ndarray:
        """float32, shape = (frame, n_mels), of samples (time,) at sample_rate."""
        from aural.nn.acoustic import features_of

        return features_of(samples, self)


@dataclass(frozen=True)
class Exported:
    """What a directory says of its network: family, its Config's fields, what goes in and out."""

    family: str
    config: dict[str, Any]
    features: FeatureOptions
    tokenizer: Tokenizer
    language: str = ""


def export(directory: Path, network: nn.Module, about: Exported) -> None:
    """Write the directory; the weights are the network's state, on the CPU, contiguous."""
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    save_file(apart(network.state_dict()), directory / "model.safetensors")
    written = {
        "family": about.family,
        "config": about.config,
        "language": about.language,
        "features": asdict(about.features),
    }
    _write(directory / "config.json", written)
    _write(directory / "tokens.json", about.tokenizer.as_dict())


def apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, contiguous; safetensors takes no two that share memory, as tied weights do."""
    seen: set[int] = set()
    made = {}
    for name, value in tensors.items():
        held = value.detach().cpu().contiguous()
        if held.untyped_storage().data_ptr() in seen:
            held = held.clone()
        seen.add(held.untyped_storage().data_ptr())
        made[name] = held
    return made


def read_exported(directory: Path) -> Exported:
    """What a directory says; InputError where it is not as export writes it."""
    written = read_object(directory / "config.json", MAX_JSON_BYTES)
    if set(written) != {"family", "config", "language", "features"}:
        raise InputError(f"{directory / 'config.json'}: not the file of a trained network")
    return Exported(
        family=str(written["family"]),
        config=written["config"],
        features=as_dataclass(FeatureOptions, written["features"], "features"),
        tokenizer=Tokenizer.from_dict(read_object(directory / "tokens.json", MAX_JSON_BYTES)),
        language=str(written["language"]),
    )


def read_network_config(directory: Path, family: str, kind: type[ConfigType]) -> ConfigType:
    """The family's Config of a directory; InputError where it is another family's."""
    exported = read_exported(directory)
    if exported.family != family:
        raise InputError(
            f"{directory} holds a {exported.family}; name it {exported.family}@{directory}"
        )
    return as_dataclass(kind, exported.config, "config")


def check_tokens(directory: Path, tokenizer: Tokenizer, tokens: int) -> None:
    """InputError unless a directory's tokenizer has as many tokens as its network's output."""
    if tokenizer.size != tokens:
        raise InputError(
            f"{directory}: tokens.json has {tokenizer.size} tokens, 0 included, and the network "
            f"{tokens}; they are not of one training"
        )


def load_network(directory: Path, config: Any, build: Callable[[Any], NetworkType]) -> NetworkType:
    """The network that build makes of config, filled from a directory. What the file holds is
    looked at before anything is built, so that a configuration can't ask for more than there is.

    Raises:
        InputError: the weights can't be read, or are not those of the configuration.
    """
    import torch

    from aural.store.checkpoint import weight_shapes

    path = directory / "model.safetensors"
    shapes = weight_shapes([path])
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name.endswith(REPEATED) and isinstance(value, int) and value > len(shapes):
            raise InputError(f"{directory}: {field.name} is {value}; {path.name} has {len(shapes)}")
    with torch.device("meta"):
        sized = {name: tuple(each.shape) for name, each in build(config).state_dict().items()}
    _check_shapes(path, shapes, sized)
    network = build(config)
    load_weights(directory, network)
    return network


def load_weights(directory: Path, network: nn.Module) -> None:
    """Fill the network from model.safetensors; InputError names what does not fit."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = directory / "model.safetensors"
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: can't be read as safetensors: {error}") from error
    own = {name: tuple(each.shape) for name, each in network.state_dict().items()}
    _check_shapes(path, {name: tuple(each.shape) for name, each in state.items()}, own)
    network.load_state_dict(state)


def _check_shapes(
    path: Path, found: Mapping[str, tuple[int, ...]], own: Mapping[str, tuple[int, ...]]
) -> None:
    """InputError unless the file has just the network's weights, in its shapes."""
    missing, foreign = sorted(set(own) - set(found)), sorted(set(found) - set(own))
    if missing or foreign:
        raise InputError(
            f"{path}: {len(missing)} weights missing ({', '.join(missing[:3])}), "
            f"{len(foreign)} unknown ({', '.join(foreign[:3])}); is it another configuration's?"
        )
    for name, shape in found.items():
        if shape != own[name]:
            raise InputError(f"{path}: {name} is {shape}; the configuration says {own[name]}")


def as_dataclass(kind: type[ConfigType], written: Any, name: str) -> ConfigType:
    """A dataclass of JSON's values (lists become tuples); InputError names what does not belong."""
    if not isinstance(written, dict):
        raise InputError(f"{name} is {type(written).__name__}; give an object")
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(written) - known):
        raise InputError(f"{name} has {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    values = {key: _frozen(value) for key, value in written.items()}
    hints = get_type_hints(kind)
    for key, value in values.items():
        if not _fits(hints[key], value):
            raise InputError(f"{name}.{key} is {value!r}; give {_called(hints[key])}")
    try:
        return kind(**values)
    except TypeError as error:
        raise InputError(f"{name}: {error}") from error


def _fits(hint: Any, value: Any) -> bool:
    """Whether a value is of a type, where that is a plain one or made of plain ones."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is tuple:
        each = (
            inside[:1] * len(value) if isinstance(value, tuple) and Ellipsis in inside else inside
        )
        return isinstance(value, tuple) and len(value) == len(each) and all(map(_fits, each, value))
    if origin in (Union, UnionType):
        return any(_fits(one, value) for one in inside)
    if origin is Literal:
        return any(type(value) is type(one) for one in inside)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is hint if hint in (int, str, bool, type(None)) else True


def _called(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
