"""Whisper's encoder in torch: the states of every layer, and gradients through them.

Radford et al. 2022 (arXiv:2212.04356): two convolutions over a log-mel, sinusoidal positions, then
blocks of attention and feed-forward layers, each normalised before (Vaswani et al. 2017). The
weights are those of the file that the runtimes read, made float32 where they are not. Layer 0 is
what goes into the first block, layer i what block i gives, and the last one is normalised: that is
what the decoder attends to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from aural.errors import InputError
from aural.nn.transformer import depth
from aural.store.ctranslate2 import read_arrays

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class EncoderShape:
    """d_model: width of a state; inner: width between a block's two projections; positions: the
    most states there may be."""

    n_mels: int
    d_model: int
    heads: int
    layers: int
    inner: int
    positions: int = 1500


class Attention(nn.Module):
    """Each state of (batch, state, d_model) attends to all of its window. The keys have no bias: it
    would add the same to all that a state is compared with."""

    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model, bias=False)
        self.value = nn.Linear(d_model, d_model)
        self.out = nn.Linear(d_model, d_model)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape."""
        query, key, value = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        heard = functional.scaled_dot_product_attention(query, key, value)
        return self.out(heard.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention, then two projections with a GELU between, each added to what it was given."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(shape.d_model)
        self.attention = Attention(shape.d_model, shape.heads)
        self.feed_forward_norm = nn.LayerNorm(shape.d_model)
        self.up = nn.Linear(shape.d_model, shape.inner)
        self.down = nn.Linear(shape.inner, shape.d_model)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape, (batch, state, d_model)."""
        x = x + self.attention(self.attention_norm(x))
        return x + self.down(functional.gelu(self.up(self.feed_forward_norm(x))))


class WhisperEncoder(nn.Module):
    """A log-mel in, the states of every layer out; trainable but for the positions."""

    positions: torch.Tensor

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.shape = shape
        self.conv1 = nn.Conv1d(shape.n_mels, shape.d_model, 3, padding=1)
        self.conv2 = nn.Conv1d(shape.d_model, shape.d_model, 3, stride=2, padding=1)
        self.register_buffer("positions", sinusoids(shape.positions, shape.d_model))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.d_model)

    def forward(self, mel: torch.Tensor, last: int | None = None) -> list[torch.Tensor]:
        """The outputs of layers 0 to last (None: all), each (batch, state, d_model).

        mel: (batch, n_mels, frame), two frames a state. Raises InputError for another shape, and
        for more frames than there are positions for.
        """
        shape, stop = self.shape, self.shape.layers if last is None else last
        most = 2 * shape.positions
        if mel.ndim != 3 or mel.shape[1] != shape.n_mels or not 0 < mel.shape[2] <= most:
            raise InputError(
                f"a log-mel has the shape {tuple(mel.shape)}; give (batch, {shape.n_mels}, frame) "
                f"with 1 to {most} frames"
            )
        if not 0 <= stop <= shape.layers:
            raise InputError(f"layer is {stop}; this encoder has 0 to {shape.layers}")
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(mel)))).transpose(1, 2)
        outputs = [x + self.positions[: x.shape[1]]]
        for block in self.blocks[:stop]:
            outputs.append(block(outputs[-1]))
        if stop == shape.layers:
            outputs[-1] = self.norm(outputs[-1])
        return outputs

    @torch.inference_mode()
    def states(self, mel: np.ndarray, last: int | None = None) -> list[np.ndarray]:
        """`forward` of one log-mel (n_mels, frame), without gradients: each (state, d_model)."""
        given = torch.from_numpy(mel)[None].to(self.positions.device)
        return [layer[0].cpu().numpy() for layer in self(given, last)]


def sinusoids(count: int, width: int) -> torch.Tensor:
    """Positions (count, width): sines, then cosines, of wavelengths from 2 pi to 20000 pi."""
    rates = torch.exp(-np.log(10000) / (width // 2 - 1) * torch.arange(width // 2))
    angles = torch.arange(count)[:, None] * rates
    return torch.cat((angles.sin(), angles.cos()), dim=1)


def read_encoder(directory: Path, device: str = "auto") -> WhisperEncoder:
    """The encoder of a directory in CTranslate2's format, float32, on a GPU where there is one
    unless device is "cpu"; in evaluation mode."""
    arrays = read_arrays(directory)
    d_model, n_mels, _ = arrays["encoder/conv1/weight"].shape
    encoder = WhisperEncoder(
        EncoderShape(
            n_mels=n_mels,
            d_model=d_model,
            heads=int(arrays["encoder/num_heads"]),
            layers=depth(arrays, "encoder"),
            inner=arrays["encoder/layer_0/ffn/linear_0/weight"].shape[0],
            positions=arrays["encoder/position_encodings/encodings"].shape[0],
        )
    )
    found = {name: torch.from_numpy(np.array(each, np.float32)) for name, each in _named(arrays)}
    encoder.load_state_dict(found)
    there = device != "cpu" and torch.cuda.is_available()
    return encoder.eval().to("cuda" if there else "cpu")


def _named(arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor of the encoder under the name it has here."""
    yield "positions", arrays["encoder/position_encodings/encodings"]
    for name in ("conv1", "conv2"):
        yield from _both(name, arrays, f"encoder/{name}")
    yield from _norm("norm", arrays, "encoder")
    for i in range(depth(arrays, "encoder")):
        block, scope = f"blocks.{i}", f"encoder/layer_{i}"
        yield from _norm(f"{block}.attention_norm", arrays, f"{scope}/self_attention")
        yield from _norm(f"{block}.feed_forward_norm", arrays, f"{scope}/ffn")
        for part in ("weight", "bias"):
            joint = np.split(arrays[f"{scope}/self_attention/linear_0/{part}"], 3)
            for name, each in zip(("query", "key", "value"), joint, strict=True):
                if (name, part) != ("key", "bias"):
                    yield f"{block}.attention.{name}.{part}", each
        yield from _both(f"{block}.attention.out", arrays, f"{scope}/self_attention/linear_1")
        yield from _both(f"{block}.up", arrays, f"{scope}/ffn/linear_0")
        yield from _both(f"{block}.down", arrays, f"{scope}/ffn/linear_1")


def _both(
    name: str, arrays: Mapping[str, np.ndarray], scope: str
) -> Iterator[tuple[str, np.ndarray]]:
    for part in ("weight", "bias"):
        yield f"{name}.{part}", arrays[f"{scope}/{part}"]


def _norm(
    name: str, arrays: Mapping[str, np.ndarray], scope: str
) -> Iterator[tuple[str, np.ndarray]]:
    yield f"{name}.weight", arrays[f"{scope}/layer_norm/gamma"]
    yield f"{name}.bias", arrays[f"{scope}/layer_norm/beta"]
