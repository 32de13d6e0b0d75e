"""The encoder and the language model that a configuration names, through the registry."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from aural import models
from aural.errors import InputError
from aural.nn.convolution import MaskedBatchNorm
from aural.nn.exported import FeatureOptions
from aural.nn.sound_encoder import SoundEncoder, probe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from aural.models.speech_llm import Config, Training
    from aural.nn.text_model import TextModel

LOG_MEL, RANDOM = "log-mel", "random:"
ATTENTION = (
    *("q_proj", "k_proj", "v_proj", "o_proj", "out_proj"),
    *("query", "key", "value", "out"),
)
"""Names that the projections of attention have in the networks there are."""


class Features(nn.Module):
    """No encoder: the features are the states."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(0), requires_grad=False)

    def encode(
        self, features: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What is given."""
        return features, lengths


def sound_encoder(name: str) -> SoundEncoder:
    """The encoder of a name; InputError for a family that has none in torch."""
    if name == LOG_MEL:
        return SoundEncoder(name, Features(), FeatureOptions("whisper", 80, normalise="none"))
    if name.startswith(RANDOM):
        if (inner := name.removeprefix(RANDOM)).startswith(RANDOM):
            raise InputError(f"{name:.60}: give {RANDOM!r} once")
        made = sound_encoder(inner)
        _draw_anew(made.network)
        return replace(made, name=name)
    entry = models.find(name)
    family: Any = models.family(entry.family)
    if not hasattr(family, "sound_encoder"):
        able = [each for each in models.families() if hasattr(models.family(each), "sound_encoder")]
        raise InputError(
            f"{name} has no encoder that a language model could be put behind; families that "
            f"have: {', '.join(able)}, and {LOG_MEL} for none"
        )
    encoder: SoundEncoder = family.sound_encoder(models.locate(entry), entry.config, name)
    return encoder


def _draw_anew(network: nn.Module) -> None:
    """Every weight drawn anew, the same each time, as what is frozen is not written down: matrices
    with the variance that keeps a signal's size, gains 1, shifts 0 and running statistics as before
    any training."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.reset_running_stats()
        elif isinstance(module, MaskedBatchNorm):
            nn.init.zeros_(module.mean)
            nn.init.ones_(module.variance)
        for name, weight in module.named_parameters(recurse=False):
            if weight.ndim > 1:
                nn.init.normal_(weight, std=weight[0].numel() ** -0.5, generator=generator)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)
            else:
                nn.init.ones_(weight)


def language_model(name: str) -> TextModel:
    """The text model of a name: causal_lm/variant, causal_lm@directory, a directory or a Hub's."""
    if not name.startswith(("causal_lm/", "causal_lm@")):
        family: Any = models.family("causal_lm")
        name = f"causal_lm@{family.hub_directory(name)}"
    entry = models.find(name)
    loaded: TextModel = models.family(entry.family).load(
        models.locate(entry), entry.config, device="cpu", compute_type="float32", threads=0
    )
    return loaded


def checked_width(config: Config, encoder: SoundEncoder, llm: TextModel) -> int:
    """The width of the encoder's states, found by running it.

    Raises:
        InputError: it, or the language model's, is another than the configuration expects.
    """
    width = probe(encoder).width
    for name, told, found, what in (
        ("encoder_dim", config.encoder_dim, width, encoder.name),
        ("llm_dim", config.llm_dim, llm.width, config.language_model),
    ):
        if told not in (0, found):
            raise InputError(
                f"{name} is {told}, but {what} has {found}; give {found}, or 0 for whatever it has"
            )
    return width


def prepare(network: nn.Module, training: Training, rank: int, alpha: int) -> None:
    """Set which weights have gradients: none, LoRA's (put in here), or all."""
    network.requires_grad_(training == "full")
    if training != "lora":
        return
    targets = _projections(network)
    if not targets:
        raise InputError(
            f"LoRA goes on projections of attention, and {type(network).__name__} has none; "
            "train it in full or leave it frozen"
        )
    options = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=targets)
    inject_adapter_in_model(options, network)


def _projections(network: nn.Module) -> list[str]:
    """Full names of the projections of attention: several beside each other are called so; an
    "out" by itself may be of something else."""
    beside: dict[str, list[str]] = {}
    for name, module in network.named_modules():
        parent, _, last = name.rpartition(".")
        if isinstance(module, nn.Linear) and last in ATTENTION:
            beside.setdefault(parent, []).append(name)
    return [name for names in beside.values() if len(names) > 1 for name in names]


def trained_names(network: nn.Module, prefix: str, training: Training) -> set[str]:
    """Names of the weights and buffers (running statistics) that training may change, each behind
    prefix."""
    if training == "frozen":
        return set()
    weights = (name for name, _ in network.named_parameters())
    names = {name for name in weights if training == "full" or "lora_" in name}
    buffers = {name for name, _ in network.named_buffers()} & set(network.state_dict())
    return {f"{prefix}{name}" for name in names | buffers}


def adapted(config: Config, state: Mapping[str, Tensor]) -> SoundEncoder:
    """The encoder that a configuration names with what training changed of it, LoRA's products
    added to the weights they stand beside; state: the trained network's."""
    encoder = sound_encoder(config.encoder)
    prepare(encoder.network, config.train_encoder, config.lora_rank, config.lora_alpha)
    own = {
        name.removeprefix("encoder."): value
        for name, value in state.items()
        if name.startswith("encoder.")
    }
    encoder.network.load_state_dict(own, strict=False)
    for name, module in list(encoder.network.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            encoder.network.set_submodule(name, module.get_base_layer())
    return encoder
