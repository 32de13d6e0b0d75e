"""What was trained before as the beginning of another training: the weights that both have."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from aural.errors import InputError
from aural.nn.exported import read_exported

if TYPE_CHECKING:
    from torch import Tensor, nn

    from aural.nn.exported import Exported


def start_from(network: nn.Module, directory: str) -> tuple[int, int]:
    """Fill what a network has in common, by name, shape and kind (floats or not), with one that
    training wrote to a directory (RUN/model); how many of its weights were found there, and how
    many it has.

    The rest stays as it was drawn: a head over more or fewer tokens, layers that were not there.

    Raises:
        InputError: the directory has no weights that can be read, or none that fit.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(directory) / "model.safetensors"
    try:
        known = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path}: can't be read as safetensors: {error}; give model.start the directory of a "
            "trained model, as RUN/model"
        ) from error
    own = network.state_dict()
    common = [name for name in own if name in known and _fits(known[name], own[name])]
    if not common:
        raise InputError(f"{path} has no weight of this network, by name and shape")
    with torch.no_grad():
        for name in common:
            own[name].copy_(known[name])
    return sum(own[name].numel() for name in common), sum(each.numel() for each in own.values())


def _fits(found: Tensor, own: Tensor) -> bool:
    return found.shape == own.shape and found.is_floating_point() == own.is_floating_point()


def otherwise_trained(directory: str, about: Exported) -> list[str]:
    """In what a directory's model differs from what is trained now though its weights fit, a
    sentence each: the features it heard, and tokens that are others but as many. None where it does
    not say."""
    try:
        former = read_exported(Path(directory))
    except InputError:
        return []
    told = []
    for field in fields(about.features):
        then, now = (getattr(each.features, field.name) for each in (former, about))
        if then != now:
            told.append(
                f"{directory} was trained with features.{field.name} {then}, now it is {now}"
            )
    if former.tokenizer != about.tokenizer and former.tokenizer.size == about.tokenizer.size:
        told.append(f"{directory} has as many tokens, but others: its output begins with theirs")
    return told
