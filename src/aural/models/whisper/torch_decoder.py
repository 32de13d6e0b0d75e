"""Whisper whole in torch, to be trained further: torch_form.py's encoder and the decoder.

Radford et al. 2022 (arXiv:2212.04356): tokens and learned positions, then blocks of attention to
the text so far, attention to the sound and feed-forward layers, each normalised before; the
embedding is the last projection too. The weights are those of the file that the runtimes read, and
are written back as such a file, so that what was trained runs as whisper@DIRECTORY.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.errors import InputError
from aural.models.whisper.torch_form import (
    Attention,
    EncoderShape,
    WhisperEncoder,
    read_encoder,
)
from aural.nn.transformer import depth
from aural.store.ctranslate2 import check_whisper_directory, read_arrays
from aural.store.ctranslate2_write import write_whisper_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class Attending(Attention):
    """Each of x (batch, token, d_model) attends to states, or to those of x not after itself."""

    def forward(self, x: Tensor, states: Tensor | None = None) -> Tensor:
        """Same shape."""
        given = x if states is None else states
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(x), self.key(given), self.value(given))
        )
        heard = functional.scaled_dot_product_attention(query, key, value, is_causal=states is None)
        return self.out(heard.transpose(1, 2).flatten(2))


class DecoderBlock(nn.Module):
    """Attention to the text, to the sound, and two projections with a GELU between, each added to
    what it was given."""

    def __init__(self, d_model: int, heads: int, inner: int) -> None:
        super().__init__()
        self.text_norm = nn.LayerNorm(d_model)
        self.text = Attending(d_model, heads)
        self.sound_norm = nn.LayerNorm(d_model)
        self.sound = Attending(d_model, heads)
        self.feed_forward_norm = nn.LayerNorm(d_model)
        self.up = nn.Linear(d_model, inner)
        self.down = nn.Linear(inner, d_model)

    def forward(self, x: Tensor, states: Tensor) -> Tensor:
        """Same shape, (batch, token, d_model)."""
        x = x + self.text(self.text_norm(x))
        x = x + self.sound(self.sound_norm(x), states)
        return x + self.down(functional.gelu(self.up(self.feed_forward_norm(x))))


class WhisperDecoder(nn.Module):
    """Tokens and the encoder's states in, scores of the next token out."""

    def __init__(
        self, vocabulary: int, d_model: int, heads: int, layers: int, inner: int, positions: int
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, d_model)
        self.positions = nn.Parameter(torch.randn(positions, d_model) * 0.01)
        self.blocks = nn.ModuleList(DecoderBlock(d_model, heads, inner) for _ in range(layers))
        self.norm = nn.LayerNorm(d_model)

    def forward(self, tokens: Tensor, states: Tensor) -> Tensor:
        """(batch, token, vocabulary) before softmax, of tokens (batch, token) from the start on and
        states (batch, state, d_model). InputError for more tokens than there are positions."""
        if not 0 < tokens.shape[1] <= len(self.positions):
            raise InputError(
                f"{tokens.shape[1]} tokens a text; Whisper takes 1 to {len(self.positions)}"
            )
        x = self.embedding(tokens) + self.positions[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x, states)
        return self.norm(x) @ self.embedding.weight.T


class WhisperNetwork(nn.Module):
    """Encoder and decoder; windows of a batch are padded to one length, with silence, before the
    log-mel is made."""

    def __init__(self, encoder: WhisperEncoder, decoder: WhisperDecoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, features: Tensor, lengths: Tensor, tokens: Tensor) -> Tensor:
        """Scores (item, token, vocabulary) of what comes after each of tokens (item, token), of
        features (item, frame, n_mels); lengths (item,) are all the number of frames."""
        if bool((lengths != features.shape[1]).any()):
            raise InputError(
                f"windows of {lengths.tolist()} frames in a batch of {features.shape[1]}; Whisper "
                "hears padding: pad the samples of all to one length first"
            )
        states = self.encoder(features.transpose(1, 2))[-1]
        return self.decoder(tokens, states)


def read_network(directory: Path, device: str = "cpu") -> WhisperNetwork:
    """The network of a checked directory in CTranslate2's format, float32; in evaluation mode."""
    check_whisper_directory(directory)
    arrays = read_arrays(directory)
    encoder = read_encoder(directory, "cpu")
    vocabulary, d_model = arrays["decoder/embeddings/weight"].shape
    layers = depth(arrays, "decoder")
    decoder = WhisperDecoder(
        vocabulary,
        d_model,
        int(arrays["decoder/num_heads"]),
        layers,
        arrays["decoder/layer_0/ffn/linear_0/weight"].shape[0],
        arrays["decoder/position_encodings/encodings"].shape[0],
    )
    state: dict[str, Tensor] = {}
    for theirs, ours in _decoder_names(layers):
        array = np.array(arrays[theirs], np.float32)
        parts = np.split(array, len(ours)) if len(ours) > 1 else [array]
        for name, part in zip(ours, parts, strict=True):
            if not name.endswith("key.bias"):  # it would add the same to all that is compared
                state[name] = torch.from_numpy(part)
    decoder.load_state_dict(state)
    return WhisperNetwork(encoder, decoder).eval().to(device)


def save_network(
    network: WhisperNetwork, source: Path, target: Path, *, half: bool = False
) -> None:
    """Write the network as whisper@target; source is the directory that it was read from, whose
    tokens and settings it keeps. half: weights of float16."""
    arrays = dict(_arrays(network.encoder.state_dict(), _encoder_names(network.encoder.shape)))
    names = _decoder_names(len(network.decoder.blocks))
    arrays.update(_arrays(network.decoder.state_dict(), names))
    write_whisper_directory(source, target, arrays, half=half)


def _arrays(
    state: Mapping[str, Tensor], names: Iterator[tuple[str, tuple[str, ...]]]
) -> Iterator[tuple[str, np.ndarray]]:
    for theirs, ours in names:
        parts = []
        for name in ours:
            absent = name.endswith("key.bias")
            value = torch.zeros_like(state[name.replace("key", "value")]) if absent else state[name]
            parts.append(value.detach().float().cpu().numpy())
        yield theirs, np.concatenate(parts)


def _encoder_names(shape: EncoderShape) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each trained array of the file, and what it holds one after the other by the names here."""
    for name in ("conv1", "conv2"):
        yield from _both(f"encoder/{name}", name)
    yield from _norm("encoder", "norm")
    for i in range(shape.layers):
        scope, block = f"encoder/layer_{i}", f"blocks.{i}"
        yield from _norm(f"{scope}/self_attention", f"{block}.attention_norm")
        yield from _self_attention(scope, f"{block}.attention")
        yield from _feed_forward(scope, block)


def _decoder_names(layers: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "decoder/embeddings/weight", ("embedding.weight",)
    yield "decoder/position_encodings/encodings", ("positions",)
    yield from _norm("decoder", "norm")
    for i in range(layers):
        scope, block = f"decoder/layer_{i}", f"blocks.{i}"
        yield from _norm(f"{scope}/self_attention", f"{block}.text_norm")
        yield from _self_attention(scope, f"{block}.text")
        yield from _norm(f"{scope}/attention", f"{block}.sound_norm")
        yield from _both(f"{scope}/attention/linear_0", f"{block}.sound.query")
        yield from _both(
            f"{scope}/attention/linear_1", f"{block}.sound.key", f"{block}.sound.value"
        )
        yield from _both(f"{scope}/attention/linear_2", f"{block}.sound.out")
        yield from _feed_forward(scope, block)


def _self_attention(scope: str, ours: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    joint = (f"{ours}.query", f"{ours}.key", f"{ours}.value")
    yield from _both(f"{scope}/self_attention/linear_0", *joint)
    yield from _both(f"{scope}/self_attention/linear_1", f"{ours}.out")


def _feed_forward(scope: str, block: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield from _norm(f"{scope}/ffn", f"{block}.feed_forward_norm")
    yield from _both(f"{scope}/ffn/linear_0", f"{block}.up")
    yield from _both(f"{scope}/ffn/linear_1", f"{block}.down")


def _both(theirs: str, *ours: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for part in ("weight", "bias"):
        yield f"{theirs}/{part}", tuple(f"{name}.{part}" for name in ours)


def _norm(theirs: str, ours: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield f"{theirs}/layer_norm/gamma", (f"{ours}.weight",)
    yield f"{theirs}/layer_norm/beta", (f"{ours}.bias",)
