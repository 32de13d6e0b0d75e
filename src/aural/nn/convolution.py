"""Convolutions over frames that padding does not reach: subsampling, normalisation, Conformer's."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.errors import InputError, UnknownName
from aural.nn.masking import cleared, real_frames

ConvNorm = Literal["batch", "layer", "none"]
SubsamplingKind = Literal["conv2d", "conv1d"]


class Subsampling(nn.Module):
    """Convolutions of three taps, each of which halves time: features (item, frame, n_mels) to
    (item, ceil(frame / factor), d_model). factor is 1, 2, 4, 8 or 16.

    kind "conv2d": over time and frequency, with ReLU, then a projection (Dong et al. 2018);
    "conv1d": over time alone, with GELU (as Whisper's). An output looks at fewer than factor frames
    beyond its own, so that it is known once factor frames from its first have come.
    """

    def __init__(
        self, n_mels: int, d_model: int, factor: int, *, kind: SubsamplingKind = "conv2d"
    ) -> None:
        super().__init__()
        if factor not in (1, 2, 4, 8, 16):
            raise InputError(f"subsampling is {factor}; give 1, 2, 4, 8 or 16")
        if kind not in get_args(SubsamplingKind):
            raise UnknownName("subsampling kind", kind, get_args(SubsamplingKind))
        self.factor, self.kind = factor, kind
        channels, rows = (1, n_mels) if kind == "conv2d" else (n_mels, 1)
        layers: list[nn.Module] = []
        for _ in range(factor.bit_length() - 1):
            if kind == "conv2d":
                layers.append(nn.Conv2d(channels, d_model, 3, stride=2, padding=1))
                rows = (rows + 1) // 2
            else:
                layers.append(nn.Conv1d(channels, d_model, 3, stride=2, padding=1))
            channels = d_model
        self.layers = nn.ModuleList(layers)
        self.projection: nn.Module = nn.Identity()
        if kind == "conv2d" or not layers:
            self.projection = nn.Linear(channels * rows, d_model)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(item, frame', d_model) and lengths' (item,); 0 beyond them."""
        x = cleared(features, real_frames(lengths, features.shape[1]))
        x = x[:, None] if self.kind == "conv2d" else x.transpose(1, 2)
        for layer in self.layers:
            x = functional.relu(layer(x)) if self.kind == "conv2d" else functional.gelu(layer(x))
            lengths = (lengths + 1) // 2
            real = real_frames(lengths, x.shape[2])
            x = x.masked_fill(~(real[:, None, :, None] if x.ndim == 4 else real[:, None]), 0.0)
        x = x.transpose(1, 2).flatten(2)
        return cleared(self.projection(x), real_frames(lengths, x.shape[1])), lengths


class MaskedBatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015) whose statistics are of real frames only."""

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, *, epsilon: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.epsilon, self.momentum = epsilon, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """x (item, channel, frame), normalised; 0 where real (item, frame) is False."""
        real = real[:, None]
        if self.training:
            mean, variance = self._statistics(x, real)
        else:
            mean, variance = self.mean, self.variance
        scale = self.weight * torch.rsqrt(variance + self.epsilon)
        shift = self.bias - mean * scale
        return (x * scale[:, None] + shift[:, None]).masked_fill(~real, 0.0)

    def _statistics(self, x: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        kept = x.masked_fill(~real, 0.0).float()
        count = real.sum().clamp(min=1)
        mean = kept.sum(dim=(0, 2)) / count
        centred = (kept - mean[:, None]).masked_fill(~real, 0.0)
        variance = centred.square().sum(dim=(0, 2)) / count
        with torch.no_grad():
            unbiased = variance * count / (count - 1).clamp(min=1)
            self.mean.lerp_(mean, self.momentum)
            self.variance.lerp_(unbiased, self.momentum)
        return mean, variance


class ConvModule(nn.Module):
    """The convolution of a Conformer block (Gulati et al. 2020): a gated projection, a depthwise
    convolution of an odd kernel, normalisation, SiLU and a projection. norm "none" is for weights
    whose normalisation is part of the convolution's own."""

    def __init__(
        self, d_model: int, kernel: int, *, norm: ConvNorm = "batch", dropout: float = 0.0
    ) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise InputError(f"conv_kernel is {kernel}; give an odd number")
        if norm not in get_args(ConvNorm):
            raise UnknownName("conv_norm", norm, get_args(ConvNorm))
        self.reach, self.kind = kernel // 2, norm
        self.gated = nn.Linear(d_model, 2 * d_model)
        # Batch normalisation takes a constant off again.
        self.depthwise = nn.Conv1d(d_model, d_model, kernel, groups=d_model, bias=norm != "batch")
        self.norm: nn.Module = nn.Identity()
        if norm != "none":
            self.norm = MaskedBatchNorm(d_model) if norm == "batch" else nn.LayerNorm(d_model)
        self.out = nn.Linear(d_model, d_model)
        self.dropout = nn.Dropout(dropout)

    def gate(self, x: Tensor, real: Tensor) -> Tensor:
        """What is convolved: x (item, frame, d_model), gated; 0 where real (item, frame) is not."""
        return cleared(functional.glu(self.gated(x), dim=-1), real)

    def convolve(self, gated: Tensor, real: Tensor) -> Tensor:
        """Of gated (item, reach + frame, d_model), the first `reach` frames being those before,
        and real (item, frame), the result (item, frame, d_model). Nothing follows the last."""
        x = self.depthwise(functional.pad(gated.transpose(1, 2), (0, self.reach)))
        if self.kind == "batch":
            x = self.norm(x, real).transpose(1, 2)
        else:
            x = self.norm(x.transpose(1, 2))
        return self.dropout(self.out(functional.silu(x)))
