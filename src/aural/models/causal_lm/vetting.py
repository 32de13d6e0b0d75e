"""Whether a checkpoint of somebody's is what it says, before its network is built."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from aural.errors import InputError
from aural.models.causal_lm.confined import try_tokenizer
from aural.store.checkpoint import check_checkpoint, weight_shapes

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedConfig

ADAPTER = "adapter_config.json"
LEAST_COUNT = 256
"""Of layers and the like, which is allowed whatever the files hold."""
SLACK = 1 << 20
_COUNTS = re.compile(r"layer|block|depth|expert|stage|head|hop")
_SIZES = re.compile(r"size|dim|width|norm|inner|positions")


def vetted_config(directory: Path) -> PreTrainedConfig:
    """The configuration of a checkpoint in whose network there is room for what its files hold, and
    not much more.

    Raises:
        InputError: an adapter, quantised weights, a kind that is not known, more layers than
            weights, a network larger than the files, or a tokenizer that can't be used.
    """
    written = check_checkpoint(directory)
    if (directory / ADAPTER).exists():
        raise InputError(
            f"{directory} holds an adapter of another model; merge the two (peft's "
            "merge_and_unload) and save what comes of it"
        )
    if written.get("quantization_config"):
        raise InputError(f"{directory}: quantised weights; give a checkpoint with floating-point")
    shapes = weight_shapes(sorted(directory.glob("*.safetensors")))
    _check_counts(written, max(LEAST_COUNT, len(shapes)), directory)
    kind = written.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        raise InputError(
            f"{directory}: model_type is {kind!r:.60}, which transformers has not; code of a "
            "checkpoint is never run"
        )
    if (directory / "tokenizer.json").is_file():
        try_tokenizer(directory / "tokenizer.json")
    config: PreTrainedConfig = CONFIG_MAPPING[kind].from_dict(_plain(written))
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(config)
    told = sum(each.numel() for each in (*network.parameters(), *network.buffers()))
    held = sum(prod(shape) for shape in shapes.values())
    if told > 2 * held + SLACK:
        raise InputError(
            f"{directory}: config.json tells of {told} weights, and its files hold {held}"
        )
    return config


def _check_counts(written: Any, most: int, directory: Path) -> None:
    """InputError for more layers, blocks, experts ... than there could be weights for."""
    if isinstance(written, list):
        for each in written:
            _check_counts(each, most, directory)
    for key, value in written.items() if isinstance(written, dict) else ():
        counted = _COUNTS.search(key) and not _SIZES.search(key)
        if counted and isinstance(value, int | float) and not value <= most:
            raise InputError(f"{directory}: {key} is {value}; its files have weights for {most}")
        _check_counts(value, most, directory)


def _plain(written: Any) -> Any:
    """Without keys that choose code: kernels from the Hub, classes from the checkpoint."""
    if isinstance(written, list):
        return [_plain(each) for each in written]
    if not isinstance(written, dict):
        return written
    return {
        key: _plain(value)
        for key, value in written.items()
        if key != "auto_map" and not key.endswith("_implementation")
    }
