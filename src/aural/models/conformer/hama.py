"""hama's Conformer: its container of tensors, its features, and its weights under our names.

A container is the magic "HAMAPK", two bytes of version, a count, as many entries (name, kind,
shape, offset, size), and the data, aligned to 16 bytes; numbers are little-endian, tensors float32
or float16. The tensors are those of an ONNX export, so that some have numbers for names: 801 and on
the convolutions, with batch normalisation folded in, 829 and on the products, transposed.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from aural.audio.features import STFTOptions, power_spectrogram
from aural.errors import InputError
from aural.text.tokens import SPACE, Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from aural.models.conformer.network import Conformer

MAGIC = b"HAMAPK\x01\x02"
MAX_BYTES = 64 << 20
MAX_TENSORS = 1024
MAX_AXES = 4
KINDS = (np.dtype("<f4"), np.dtype("<f2"))
FLOOR = 1e-10
FRAME_RATE = 50.0
"""Of the network's output, in Hz."""
BOUNDARY, BLANK = "<wb>", "<blank>"


@dataclass(frozen=True, eq=False)
class HamaFeatures:
    """ln(max(mel, 1e-10)) of energies under a Hann window of 25 ms every 10 ms, the ends mirrored;
    filters: (frequency, n_mels), of the container."""

    filters: np.ndarray
    sample_rate: int = 16000

    def features(self, samples: np.ndarray) -> np.ndarray:
        """float32, shape = (1 + time // 160, n_mels), of samples (time,)."""
        power = power_spectrogram(samples, STFTOptions(n_fft=400, hop_length=160))
        mel = power.T @ self.filters
        return np.log(np.maximum(mel, FLOOR)).astype(np.float32)


def read(directory: Path, network: Conformer) -> tuple[HamaFeatures, Tokenizer]:
    """Fill the network from asr_waveform.hama; its features, and its tokens of g2p_vocab.json.

    Raises InputError for files that are not hama's.
    """
    path = directory / "asr_waveform.hama"
    tensors = read_container(path)
    try:
        filters = tensors["mel_fb"]
        state = dict(_named(tensors, network.config.layers))
        network.load_state_dict(state)
    except (KeyError, RuntimeError, ValueError) as error:
        raise InputError(f"{path}: not the tensors of hama's Conformer ({error})") from error
    return HamaFeatures(filters), read_tokenizer(directory / "g2p_vocab.json")


def read_tokenizer(path: Path) -> Tokenizer:
    """Its tokens with the blank first; the boundary of words is a space before a word."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        symbols = json.loads(path.read_text(encoding="utf-8"))["decoder"]
        return Tokenizer("pieces", (*symbols, SPACE))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not hama's list of tokens ({error})") from error


def read_container(path: Path) -> dict[str, np.ndarray]:
    """Every tensor by name, float32; InputError for what is no container, or points outside."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: more than {MAX_BYTES} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from error
    if data[: len(MAGIC)] != MAGIC:
        raise InputError(f"{path}: no hama container of version 1.2; hama 1.7.0 has one")
    try:
        return _tensors(data)
    except (struct.error, UnicodeDecodeError, ValueError, IndexError) as error:
        raise InputError(f"{path}: a damaged hama container ({error})") from error


def _tensors(data: bytes) -> dict[str, np.ndarray]:
    (count,), place = struct.unpack_from("<I", data, len(MAGIC)), len(MAGIC) + 4
    if count > MAX_TENSORS:
        raise ValueError(f"{count} tensors, of {MAX_TENSORS} allowed")
    entries, whole = [], 0
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, place)
        name = data[place + 2 : place + 2 + length].decode()
        place += 2 + length
        kind, axes = struct.unpack_from("<BB", data, place)
        if kind >= len(KINDS) or axes > MAX_AXES:
            raise ValueError(f"{name} is of kind {kind} and {axes} axes")
        shape = struct.unpack_from(f"<{axes}I", data, place + 2)
        place += 2 + 4 * axes
        offset, size = struct.unpack_from("<QQ", data, place)
        place += 16
        if size != math.prod(shape) * KINDS[kind].itemsize:
            raise ValueError(f"{name} of shape {shape} has {size} bytes")
        whole += size
        if whole > len(data):
            raise ValueError(f"its tensors share bytes: {whole} of {len(data)}")
        entries.append((name, KINDS[kind], shape, offset))
    start = -(-place // 16) * 16
    return {
        name: np.frombuffer(data, kind, math.prod(shape), start + offset)
        .reshape(shape)
        .astype(np.float32)
        for name, kind, shape, offset in entries
    }


def _named(tensors: Mapping[str, np.ndarray], layers: int) -> Iterator[tuple[str, torch.Tensor]]:
    """Every weight under the name it has in the network."""

    def given(name: str) -> torch.Tensor:
        return torch.from_numpy(tensors[name])

    yield "front.layers.0.weight", given("onnx::Conv_801")
    yield "front.layers.0.bias", given("onnx::Conv_802")
    for layer in range(layers):
        theirs, ours = f"acoustic_model.model.blocks.{layer}", f"blocks.{layer}"
        product = 829 + 9 * layer
        for their, our in (
            ("ffn1.norm", "first.norm"),
            ("attn_norm", "attention_norm"),
            ("conv.norm", "conv_norm"),
            ("ffn2.norm", "second.norm"),
            ("norm", "norm"),
        ):
            for part in ("weight", "bias"):
                yield f"{ours}.{our}.{part}", given(f"{theirs}.{their}.{part}")
        for their, our, first in (("ffn1", "first", 0), ("ffn2", "second", 7)):
            for i, (linear, name) in enumerate((("fc1", "up"), ("fc2", "down"))):
                yield f"{ours}.{our}.{name}.weight", given(_product(product, first + i)).T
                yield f"{ours}.{our}.{name}.bias", given(f"{theirs}.{their}.{linear}.bias")
        yield from _attention(tensors, ours, theirs, product)
        for number, part in ((804, "weight"), (805, "bias")):
            yield f"{ours}.conv.depthwise.{part}", given(f"onnx::Conv_{number + 3 * layer}")
        for their, our in (("pointwise1", "gated"), ("pointwise2", "out")):
            yield f"{ours}.conv.{our}.weight", given(f"{theirs}.conv.{their}.weight")[:, :, 0]
            yield f"{ours}.conv.{our}.bias", given(f"{theirs}.conv.{their}.bias")
    blank_first = [-1, *range(len(tensors["acoustic_model.model.proj.bias"]) - 1)]
    yield "output.weight", given("acoustic_model.model.proj.weight")[blank_first, :, 0]
    yield "output.bias", given("acoustic_model.model.proj.bias")[blank_first]


def _product(first: int, place: int) -> str:
    return f"onnx::MatMul_{first + place}"


def _attention(
    tensors: Mapping[str, np.ndarray], ours: str, theirs: str, product: int
) -> Iterator[tuple[str, torch.Tensor]]:
    """Its weights; the keys' bias is left out, as it adds the same to all a query looks at."""
    joint = np.split(tensors[_product(product, 2)].T, 3)
    biases = np.split(tensors[f"{theirs}.attn.in_proj_bias"], 3)
    for name, weight, bias in zip(("query", "key", "value"), joint, biases, strict=True):
        yield f"{ours}.attention.{name}.weight", torch.from_numpy(weight.copy())
        if name != "key":
            yield f"{ours}.attention.{name}.bias", torch.from_numpy(bias.copy())
    weight = tensors[_product(product, 6)].T
    yield f"{ours}.attention.out.weight", torch.from_numpy(weight.copy())
    yield f"{ours}.attention.out.bias", torch.from_numpy(tensors[f"{theirs}.attn.out_proj.bias"])
