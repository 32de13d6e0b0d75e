"""Reads a CTranslate2 Whisper (float16 or float32, not quantised) into transformers' own class.

The file is little-endian: version, name and revision of the specification, number of variables;
each variable has a name, its dimensions, a type, a length in bytes and the values.
"""

import json
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperForConditionalGeneration,
    WhisperTokenizerFast,
)

TYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)


def convert(weights: Path, target: Path) -> None:
    """Save the model of weights for from_pretrained, every parameter set from the file."""
    arrays = read_variables(weights / "model.bin")
    own = json.loads((weights / "config.json").read_text("utf-8"))
    model = WhisperForConditionalGeneration(_config(arrays)).eval()
    state = _state(arrays)
    state["proj_out.weight"] = state["model.decoder.embed_tokens.weight"]
    model.load_state_dict(state, strict=True)  # no key missing, none unexpected
    tokenizer = WhisperTokenizerFast(
        tokenizer_file=str(weights / "tokenizer.json"), pad_token="<|endoftext|>"
    )
    number = tokenizer.convert_tokens_to_ids
    end = number("<|endoftext|>")
    model.generation_config = GenerationConfig(
        is_multilingual=True,
        lang_to_id={token: number(token) for token in _language_tokens(tokenizer)},
        task_to_id={"transcribe": number("<|transcribe|>"), "translate": number("<|translate|>")},
        decoder_start_token_id=number("<|startoftranscript|>"),
        prev_sot_token_id=number("<|startofprev|>"),
        no_timestamps_token_id=number("<|notimestamps|>"),
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        suppress_tokens=own["suppress_ids"],
        begin_suppress_tokens=own["suppress_ids_begin"],
        max_initial_timestamp_index=50,
        max_length=448,
    )
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _language_tokens(tokenizer: WhisperTokenizerFast) -> list[str]:
    added = tokenizer.get_added_vocab()
    return [token for token in added if token[2:-2].isalpha() and len(token) in (6, 7)]


def read_variables(path: Path) -> dict[str, np.ndarray]:
    """Every variable by its name."""
    with path.open("rb") as file:
        (version,) = _numbers(file, "I")
        _string(file)
        _revision, count = _numbers(file, "II")
        if version < 4:
            raise ValueError(f"{path} has version {version} of the format; 4 to 6 are read")
        return dict(_variable(file) for _ in range(count))


def _numbers(file: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack(f"<{layout}", file.read(struct.calcsize(f"<{layout}")))


def _string(file: BinaryIO) -> str:
    (length,) = _numbers(file, "H")
    return file.read(length).rstrip(b"\0").decode("ascii")


def _variable(file: BinaryIO) -> tuple[str, np.ndarray]:
    name = _string(file)
    (rank,) = _numbers(file, "B")
    shape = _numbers(file, "I" * rank)
    kind, size = _numbers(file, "BI")
    return name, np.frombuffer(file.read(size), TYPES[kind]).reshape(shape)


def _config(arrays: dict[str, np.ndarray]) -> WhisperConfig:
    layers = {
        half: len(
            {name.split("/")[1] for name in arrays if name.startswith(f"{half}/layer_")}
            - {"layer_norm"}
        )
        for half in ("encoder", "decoder")
    }
    width, mels, _ = arrays["encoder/conv1/weight"].shape
    return WhisperConfig(
        vocab_size=arrays["decoder/embeddings/weight"].shape[0],
        num_mel_bins=mels,
        d_model=width,
        encoder_layers=layers["encoder"],
        decoder_layers=layers["decoder"],
        encoder_attention_heads=int(arrays["encoder/num_heads"]),
        decoder_attention_heads=int(arrays["decoder/num_heads"]),
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
    )


def _state(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The variables under transformers' names; joined projections parted again."""
    state: dict[str, torch.Tensor] = {}
    for name, array in arrays.items():
        if array.ndim and array.dtype in (np.float16, np.float32):
            tensor = torch.from_numpy(array.astype(np.float32))
            for own, part in _parted(name, tensor):
                if own.endswith("k_proj.bias"):  # Whisper has none: zeros there
                    assert not part.any()
                else:
                    state[own] = part
    return state


def _parted(name: str, tensor: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
    half, *path, kind = name.split("/")
    kind = {"gamma": "weight", "beta": "bias", "encodings": "weight"}.get(kind, kind)
    inside = ".".join(path).replace("layer_norm", "LN").replace("layer_", "layers.")
    root = f"model.{half}"
    attention, _, projection = inside.rpartition(".")
    if attention.endswith("attention") and projection.startswith("linear_"):
        own = attention.replace("self_attention", "self_attn")
        own = own if own.endswith("self_attn") else own.replace("attention", "encoder_attn")
        joined = {
            ("self_attn", "linear_0"): ("q", "k", "v"),
            ("self_attn", "linear_1"): ("out",),
            ("encoder_attn", "linear_0"): ("q",),
            ("encoder_attn", "linear_1"): ("k", "v"),
            ("encoder_attn", "linear_2"): ("out",),
        }[own.rpartition(".")[2], projection]
        parts = tensor.chunk(len(joined))
        return [
            (f"{root}.{own}.{part}_proj.{kind}", each.clone())
            for part, each in zip(joined, parts, strict=True)
        ]
    for theirs, ours in (
        ("self_attention.LN", "self_attn_layer_norm"),
        ("attention.LN", "encoder_attn_layer_norm"),
        ("ffn.LN", "final_layer_norm"),
        ("ffn.linear_0", "fc1"),
        ("ffn.linear_1", "fc2"),
        ("position_encodings", "embed_positions"),
        ("embeddings", "embed_tokens"),
        ("LN", "layer_norm"),
    ):
        if inside.endswith(theirs):
            inside = inside.replace(theirs, ours)
            break
    return [(f"{root}.{inside}.{kind}", tensor)]
