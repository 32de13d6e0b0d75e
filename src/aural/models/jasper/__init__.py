"""Jasper: blocks of one-dimensional convolutions with dense residuals, for CTC (a trainable
family).

Li et al. 2019, "Jasper: An End-to-End Convolutional Neural Acoustic Model". B blocks of R
sub-blocks (convolution, batch normalisation, ReLU, dropout); what a block is given, and what every
block before it was, each through a convolution of one tap and a normalisation of its own, is added
before its last ReLU (the paper's "Dense Residual"). Features (item, frame, n_mels) become
log probabilities (item, ceil(frame / 2), tokens), token 0 the blank. No weights are fetched: the
variants are shapes, and what `aural train` makes of one (its licence is yours) is loaded as
jasper@DIRECTORY.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aural.errors import InputError
from aural.models import Variant
from aural.nn.recogniser import DecodingOptions

if TYPE_CHECKING:
    from pathlib import Path

    from aural.models.jasper.network import Jasper
    from aural.nn.recogniser import CTCRecogniser

__all__ = ["EXTRA", "VARIANTS", "Config", "DecodingOptions", "build", "load", "read_config"]

EXTRA = "torch"


@dataclass(frozen=True)
class Config:
    """n_mels: rows of the features; tokens: size of the output, the blank included.

    kernels, channels, dropouts: one value a group of blocks, each of repeats blocks of sub_blocks
    convolutions. Before them is one of first_kernel and the first group's channels that halves
    time; after them one of wide_kernel, dilated by 2, and one of a single tap, of last_channels.
    Kernels are odd. The defaults are the paper's Jasper 10x5.
    """

    n_mels: int = 64
    tokens: int = 29
    kernels: tuple[int, ...] = (11, 13, 17, 21, 25)
    channels: tuple[int, ...] = (256, 384, 512, 640, 768)
    dropouts: tuple[float, ...] = (0.2, 0.2, 0.2, 0.3, 0.3)
    repeats: int = 2
    sub_blocks: int = 5
    first_kernel: int = 11
    first_dropout: float = 0.2
    wide_kernel: int = 29
    last_channels: tuple[int, int] = (896, 1024)
    last_dropout: float = 0.4

    def __post_init__(self) -> None:
        for name, least in (("n_mels", 1), ("tokens", 2), ("repeats", 1), ("sub_blocks", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; give {least} or more")
        groups = len(self.channels)
        if not groups or {len(self.kernels), len(self.dropouts)} != {groups}:
            raise InputError(
                f"{len(self.kernels)} kernels, {groups} channels, {len(self.dropouts)} dropouts; "
                "give as many of each"
            )
        if len(self.last_channels) != 2 or min(*self.channels, *self.last_channels) < 1:
            raise InputError(
                f"channels are {self.channels} and last_channels {self.last_channels}; give 1 or "
                "more, and two last ones"
            )
        for kernel in (*self.kernels, self.first_kernel, self.wide_kernel):
            if kernel < 1 or kernel % 2 == 0:
                raise InputError(f"a kernel is {kernel}; give odd numbers")
        for dropout in (*self.dropouts, self.first_dropout, self.last_dropout):
            if not 0 <= dropout < 1:
                raise InputError(f"a dropout is {dropout}; give 0 to below 1")


_LICENCE = "of your own training"


def _shape(config: Config, description: str) -> Variant:
    return Variant(config, weights=None, licence=_LICENCE, description=description)


VARIANTS = {
    "10x5": _shape(Config(), "the paper's, dense residuals, 333 M parameters"),
    "5x3": _shape(Config(repeats=1, sub_blocks=3), "five blocks of three, 110 M parameters"),
    "small": _shape(
        Config(
            channels=(128, 128, 192, 192, 256),
            repeats=1,
            sub_blocks=2,
            last_channels=(256, 256),
        ),
        "narrow, five blocks of two, for small corpora",
    ),
    "test": _shape(
        Config(
            n_mels=8,
            tokens=12,
            kernels=(3, 5),
            channels=(8, 12),
            dropouts=(0.1, 0.1),
            sub_blocks=2,
            first_kernel=3,
            wide_kernel=5,
            last_channels=(16, 16),
        ),
        "tiny, for tests",
    ),
}


def build(config: Config) -> Jasper:
    """The network, its weights random under torch's seed."""
    from aural.models.jasper.network import Jasper

    return Jasper(config)


def read_config(directory: Path) -> Config:
    """The configuration of a directory that training wrote."""
    from aural.nn.exported import read_network_config

    return read_network_config(directory, "jasper", Config)


def load(
    directory: Path, config: Config, *, device: str, compute_type: str, threads: int
) -> CTCRecogniser:
    """The recogniser of a directory that training wrote."""
    from aural.nn.recogniser import load_exported

    return load_exported(directory, config, build, device, compute_type, threads)
