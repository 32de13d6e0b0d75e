"""Jasper in torch. Frames beyond an item's own are 0 before every convolution, and no statistic of
a normalisation counts them, so that padding changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from aural.nn.convolution import MaskedBatchNorm
from aural.nn.masking import check_features, cleared, real_frames

if TYPE_CHECKING:
    from aural.models.jasper import Config


class Convolution(nn.Module):
    """A convolution and its normalisation, (item, channel, frame) to as many frames over stride,
    0 where real (item, frame) is False."""

    def __init__(
        self, channels: int, made: int, kernel: int, *, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(
            channels,
            made,
            kernel,
            stride=stride,
            dilation=dilation,
            padding=dilation * (kernel // 2),
            bias=False,
        )
        self.norm = MaskedBatchNorm(made, epsilon=1e-3)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """x is 0 beyond the real frames."""
        return self.norm(self.conv(x), real)


class Block(nn.Module):
    """R sub-blocks, and what was given to this block and those before it added to the last."""

    def __init__(
        self, before: list[int], made: int, kernel: int, dropout: float, sub_blocks: int
    ) -> None:
        super().__init__()
        widths = [before[-1], *[made] * sub_blocks]
        self.convolutions = nn.ModuleList(
            Convolution(widths[i], widths[i + 1], kernel) for i in range(sub_blocks)
        )
        self.residuals = nn.ModuleList(Convolution(width, made, 1) for width in before)
        self.dropout = nn.Dropout(dropout)

    def forward(self, given: list[Tensor], real: Tensor) -> Tensor:
        """given: what each block so far was given, this one's last."""
        x = given[-1]
        for i, convolution in enumerate(self.convolutions):
            x = convolution(x, real)
            if i + 1 == len(self.convolutions):
                for residual, earlier in zip(self.residuals, given, strict=True):
                    x = x + residual(earlier, real)
            x = self.dropout(functional.relu(x))
        return x


class Jasper(nn.Module):
    """Features to log probabilities of tokens."""

    subsampling = 2

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        first, (wide, last) = config.channels[0], config.last_channels
        self.first = Convolution(config.n_mels, first, config.first_kernel, stride=2)
        widths = [first]
        blocks = []
        groups = zip(config.kernels, config.channels, config.dropouts, strict=True)
        for kernel, channels, dropout in groups:
            for _ in range(config.repeats):
                blocks.append(Block(list(widths), channels, kernel, dropout, config.sub_blocks))
                widths.append(channels)
        self.blocks = nn.ModuleList(blocks)
        self.wide = Convolution(widths[-1], wide, config.wide_kernel, dilation=2)
        self.last = Convolution(wide, last, 1)
        self.first_dropout = nn.Dropout(config.first_dropout)
        self.last_dropout = nn.Dropout(config.last_dropout)
        self.output = nn.Linear(last, config.tokens)

    def encode(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States (item, ceil(frame / 2), last channels), 0 beyond lengths' (item,), of features
        (item, frame, n_mels)."""
        check_features(features, lengths, self.config.n_mels)
        x = cleared(features, real_frames(lengths, features.shape[1])).transpose(1, 2)
        lengths = (lengths + 1) // 2
        real = real_frames(lengths, (features.shape[1] + 1) // 2)
        given = [self.first_dropout(functional.relu(self.first(x, real)))]
        for block in self.blocks:
            given.append(block(given, real))
        x = self.last_dropout(functional.relu(self.wide(given[-1], real)))
        x = self.last_dropout(functional.relu(self.last(x, real)))
        return x.transpose(1, 2), lengths

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """log probabilities (item, frame', tokens) and lengths' (item,)."""
        states, lengths = self.encode(features, lengths)
        return functional.log_softmax(self.output(states), dim=-1), lengths
