"""Models that tiny-audio publishes (github.com/alexkroman/tiny-audio, MIT), without their code.

config.json has model_type "asr_model" and the keys audio_model_id, text_model_id, encoder_dim,
llm_dim, audio_downsample_rate or projector_pool_stride, projector_type (mlp or swiglu),
projector_hidden_dim, system_prompt, user_prompt and max_new_tokens; model.safetensors has the
projector only, as projector.linear_1 and linear_2, or projector.proj1 and proj2 with w1 (the gate),
w2 and w3. What the projector's first weight says of the widths is what counts.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from aural import models
from aural.errors import InputError, UnknownName
from aural.models.speech_llm import Config

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

MODEL_TYPE = "asr_model"
_MLP = {"linear_1": "body.1", "linear_2": "body.3"}
_SWIGLU = {
    f"proj{layer}.{theirs}": f"body.{layer}.{ours}"
    for layer in (1, 2)
    for theirs, ours in (("w1", "gate"), ("w2", "up"), ("w3", "down"))
}
NAMES = {"plain_mlp": _MLP, "plain_swiglu": _SWIGLU}
_WHISPER = re.compile(r"openai/whisper-([\w.-]+)")


def is_tiny_audio(directory: Path) -> bool:
    """Whether config.json says that it is one of theirs."""
    try:
        with (directory / "config.json").open("rb") as handle:
            return bool(json.loads(handle.read(1 << 20)).get("model_type") == MODEL_TYPE)
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def read_tiny_audio_config(directory: Path) -> Config:
    """Their configuration in our terms; what it says nothing of is as they have it by default.

    audio_model_id: openai/whisper-NAME is whisper/NAME, and a directory, or any other Hub name, a
    checkpoint of the wav2vec 2.0 kind; family/variant and family@directory are our own.

    Raises:
        InputError: a projector that is not read here, or a value that can't be one.
    """
    written: dict[str, Any] = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    kind = written.get("projector_type", "swiglu")
    if kind not in ("mlp", "swiglu"):
        raise UnknownName("projector_type", str(kind), ("mlp", "swiglu"))
    rate = written.get("audio_downsample_rate", written.get("projector_pool_stride", 5))
    encoder_dim, llm_dim = written.get("encoder_dim") or 0, written.get("llm_dim") or 0
    try:
        inner = written.get("projector_hidden_dim") or _default_inner(kind, encoder_dim, llm_dim)
        return Config(
            encoder=_encoder_name(str(written["audio_model_id"])),
            language_model=str(written["text_model_id"]),
            encoder_dim=int(encoder_dim),
            llm_dim=int(llm_dim),
            projector=f"plain_{kind}",
            downsample_rate=int(rate),
            projector_dim=int(inner),
            system_prompt=str(written.get("system_prompt") or ""),
            user_prompt=str(written.get("user_prompt") or "<audio>"),
            max_new_tokens=int(written.get("max_new_tokens") or 256),
        )
    except KeyError as error:
        raise InputError(f"{directory / 'config.json'} says nothing of {error}") from error
    except InputError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{directory / 'config.json'}: {error}") from error


def _default_inner(kind: str, encoder_dim: int, llm_dim: int) -> int:
    inner = 2 * (llm_dim if kind == "mlp" else encoder_dim)
    if not inner:
        raise InputError(
            "config.json says neither projector_hidden_dim nor encoder_dim and llm_dim"
        )
    return int(inner)


def _encoder_name(told: str) -> str:
    if found := _WHISPER.fullmatch(told):
        return f"whisper/{found[1]}"
    ours = told == "log-mel" or "@" in told or told.partition("/")[0] in models.families()
    return told if ours else f"wav2vec2@{told}"


def projector_state(state: Mapping[str, Tensor], config: Config) -> dict[str, Tensor]:
    """Their weights under our names.

    Raises:
        InputError: a weight that is no projector's of that kind (LoRA's among them), or a width
            that is not the one config.json says; both numbers are named.
    """
    names = NAMES[config.projector]
    made = {}
    for name, value in state.items():
        stem, _, part = name.removeprefix("projector.").rpartition(".")
        if not name.startswith("projector.") or stem not in names:
            raise InputError(
                f"the weight {name} is none of a {config.projector} projector's; adapters of the "
                "language model are not read from tiny-audio's files"
            )
        made[f"projector.{names[stem]}.{part}"] = value
    first = made.get(f"projector.{next(iter(names.values()))}.weight")
    if first is not None and config.encoder_dim:
        width = first.shape[1] / config.downsample_rate
        if width != config.encoder_dim:
            raise InputError(
                f"encoder_dim is {config.encoder_dim}, but the projector's weights are for "
                f"{width:g} ({first.shape[1]} over {config.downsample_rate} states a token)"
            )
    return made
