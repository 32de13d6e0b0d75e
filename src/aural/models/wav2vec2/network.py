"""The networks in torch: states of every layer, and what a head makes of them.

An item shorter than the convolutions' reach is followed by silence up to it. What padding holds
changes nothing: the statistics of a group norm are of real frames, where transformers counts
padding in, so that each item of a batch is as alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from aural.errors import InputError
from aural.models.wav2vec2.blocks import ACTIVATIONS, Block, Distances
from aural.models.wav2vec2.mctct import MCTCT
from aural.nn.masking import check_features, cleared, real_frames

if TYPE_CHECKING:
    from aural.models.wav2vec2 import Config


class Wav2Vec2(nn.Module):
    """An encoder with the head of its Config; also the Encoder's network alone (head "none")."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = MCTCT(config) if config.kind == "mctct" else RawEncoder(config)
        self.head = None if config.head == "none" else Head(config)

    @property
    def subsampling(self) -> int:
        """Rows of the features a state."""
        return self.config.subsampling

    def layers(self, features: Tensor, lengths: Tensor) -> tuple[list[Tensor], Tensor]:
        """Of each layer the states (item, frame', d_model), 0 beyond their lengths (item,): first
        what goes into the first block."""
        check_features(features, lengths, self.config.n_mels)
        states, reduced = self.encoder(features, lengths)
        real = real_frames(reduced, states[0].shape[1])
        return [cleared(each, real) for each in states], reduced

    def encode(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The last layer's states and their lengths."""
        states, reduced = self.layers(features, lengths)
        return states[-1], reduced

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What the head says, and how many frames it speaks of.

        "ctc": log probabilities (item, frame', tokens). "frames": scores before softmax, likewise.
        "sequence": such scores (item, tokens). "none": the states.
        """
        states, reduced = self.layers(features, lengths)
        if self.head is None:
            return states[-1], reduced
        return self.head(states, reduced), reduced


class Head(nn.Module):
    """A projection of the states, or of their mean; of a mixture of all layers if wanted."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.kind, width = config.head, config.d_model
        self.dropout = nn.Dropout(config.head_dropout if self.kind == "ctc" else 0.0)
        self.project: nn.Linear | None = None
        if self.kind == "sequence":
            self.project, width = nn.Linear(width, config.classifier), config.classifier
        self.out = nn.Linear(width, config.tokens)
        self.mixture: nn.Parameter | None = None
        if config.weighted_layers and self.kind != "ctc":
            self.mixture = nn.Parameter(torch.ones(config.layers + 1) / (config.layers + 1))

    def forward(self, states: list[Tensor], lengths: Tensor) -> Tensor:
        """As Wav2Vec2.forward, of every layer's states."""
        x = states[-1]
        if self.mixture is not None:
            shares = self.mixture.softmax(dim=0)
            x = sum(share * each for share, each in zip(shares, states, strict=True))
        if self.kind == "ctc":
            return functional.log_softmax(self.out(self.dropout(x)), dim=-1)
        if self.project is not None:
            real = real_frames(lengths, x.shape[1])
            x = cleared(self.project(x), real).sum(dim=1) / lengths[:, None]
        return self.out(x)


class RawEncoder(nn.Module):
    """Convolutions over samples, a projection, a convolution for positions, then blocks."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        channels = (1, *config.conv_channels)
        self.convolutions = nn.ModuleList(
            Convolution(config, i, channels[i], channels[i + 1]) for i in range(len(channels) - 1)
        )
        self.projection_norm: nn.Module = nn.Identity()
        if config.projection_norm:
            self.projection_norm = nn.LayerNorm(channels[-1], config.epsilon)
        self.projection = nn.Linear(channels[-1], config.d_model)
        self.projection_dropout = nn.Dropout(config.projection_dropout)
        self.mask_embedding: nn.Parameter | None = None
        if config.mask_time_prob:
            self.mask_embedding = nn.Parameter(torch.rand(config.d_model))
        self.position = Position(config)
        self.norm = nn.LayerNorm(config.d_model, config.epsilon)
        self.dropout = nn.Dropout(config.dropout)
        self.distances = Distances(config) if config.kind == "wavlm" else None
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[list[Tensor], Tensor]:
        """Every layer's states, and their lengths."""
        x, lengths = self._heard(features, lengths)
        real = real_frames(lengths, x.shape[1])
        x = self.projection_dropout(self.projection(self.projection_norm(x)))
        if self.training and self.mask_embedding is not None:
            x = torch.where(self._hidden(real)[:, :, None], self.mask_embedding, x)
        x = cleared(x, real)
        x = x + self.position(x, real)
        if not self.config.pre_norm:
            x = self.norm(x)
        states = [self.dropout(x)]
        distances = None if self.distances is None else self.distances(x.shape[1])
        for block in self.blocks:
            states.append(block(states[-1], real, distances))
        if self.config.pre_norm:
            states[-1] = self.norm(states[-1])
        return states, lengths

    def _heard(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What the convolutions make of samples (item, sample, 1): (item, frame', channel)."""
        reach = self.config.reach
        kinds = zip(self.config.conv_kernels, self.config.conv_strides, strict=True)
        x = cleared(features, real_frames(lengths, features.shape[1]))
        x = functional.pad(x, (0, 0, 0, max(0, reach - x.shape[1]))).transpose(1, 2)
        lengths = lengths.clamp(min=reach)
        for layer, (kernel, stride) in zip(self.convolutions, kinds, strict=True):
            lengths = (lengths - kernel) // stride + 1
            x = layer(x, lengths)
        return x.transpose(1, 2), lengths

    def _hidden(self, real: Tensor) -> Tensor:
        """Which frames training hides, bool (item, frame'): spans that begin at random."""
        length = self.config.mask_time_length
        chance = self.config.mask_time_prob / length
        starts = (torch.rand(real.shape, device=real.device) < chance).float()
        spread = functional.max_pool1d(functional.pad(starts[:, None], (length - 1, 0)), length, 1)
        return spread[:, 0].bool() & real


class Convolution(nn.Module):
    """One of those that read the samples, its norm and its activation."""

    def __init__(self, config: Config, place: int, inputs: int, outputs: int) -> None:
        super().__init__()
        kernel, stride = config.conv_kernels[place], config.conv_strides[place]
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, bias=config.conv_bias)
        self.norm: nn.Module | None = None
        if config.conv_norm == "layer":
            self.norm = nn.LayerNorm(outputs)
        elif place == 0:
            self.norm = ChannelNorm(outputs)
        self.activation = ACTIVATIONS[config.conv_activation]

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(item, channel, frame') of (item, channel, frame); lengths are of what comes out."""
        x = self.conv(x)
        if isinstance(self.norm, ChannelNorm):
            x = self.norm(x, real_frames(lengths, x.shape[2]))
        elif self.norm is not None:
            x = self.norm(x.transpose(1, 2)).transpose(1, 2)
        return self.activation(x)


class ChannelNorm(nn.Module):
    """Each channel of each item to mean 0 and variance 1 over its real frames: group norm with
    groups of one (Wu and He 2018)."""

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """(item, channel, frame), of the same and real (item, frame)."""
        real = real[:, None]
        count = real.sum(dim=2, keepdim=True)
        centred = x - x.masked_fill(~real, 0.0).sum(dim=2, keepdim=True) / count
        squares = centred.square().masked_fill(~real, 0.0)
        scale = torch.rsqrt(squares.sum(dim=2, keepdim=True) / count + self.epsilon)
        return centred * (scale * self.weight[:, None]) + self.bias[:, None]


class Position(nn.Module):
    """What a wide convolution over the states says of where they are."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, kernel = config.d_model, config.position_kernel
        convolution = nn.Conv1d(
            width, width, kernel, padding=kernel // 2, groups=config.position_groups
        )
        self.batch_norm = nn.BatchNorm1d(width) if config.position_batch_norm else None
        # Where there is a batch norm the weights are plain (HuBERT's second form).
        self.conv = convolution if self.batch_norm else weight_norm(convolution, dim=2)
        self.even = kernel % 2 == 0
        self.activation = ACTIVATIONS[config.conv_activation]

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """(item, frame, d_model), of the same, 0 where real (item, frame) is False."""
        x = x.transpose(1, 2)
        if self.batch_norm is not None:
            x = self.batch_norm(x).masked_fill(~real[:, None], 0.0)
        x = self.conv(x)
        x = x[:, :, :-1] if self.even else x
        return self.activation(x).transpose(1, 2)


def with_new_head(network: Wav2Vec2, config: Config) -> Wav2Vec2:
    """The same encoder with the head of another Config, its weights drawn from torch's generator.

    Raises InputError where the encoders differ.
    """
    fresh = Wav2Vec2(config)
    try:
        fresh.encoder.load_state_dict(network.encoder.state_dict())
    except RuntimeError as error:
        raise InputError("the encoders of the two configurations differ") from error
    return fresh
