"""What was trained before as the beginning of another training: the weights that both have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from aural.errors import InputError

if TYPE_CHECKING:
    from torch import nn


def start_from(network: nn.Module, directory: str) -> tuple[int, int]:
    """Fill what a network has in common, by name and shape, with one that training wrote to a
    directory (RUN/model); how many of its weights were found there, and how many it has.

    The rest stays as it was drawn: a head over other tokens, layers that were not there.

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
    common = [name for name in own if name in known and known[name].shape == own[name].shape]
    if not common:
        raise InputError(f"{path} has no weight of this network, by name and shape")
    with torch.no_grad():
        for name in common:
            own[name].copy_(known[name])
    return sum(own[name].numel() for name in common), sum(each.numel() for each in own.values())
