"""A Transformer encoder for CTC (a trainable family).

Vaswani et al. 2017, "Attention Is All You Need", on the convolutions of Dong et al. 2018, "Speech-
Transformer", with normalisation before each layer (Xiong et al. 2020). Features (item, frame,
n_mels) become log probabilities (item, ceil(frame / subsampling), tokens), token 0 the blank. No
weights are fetched: the variants are shapes, and what `aural train` makes of one (its licence is
yours) is loaded as transformer_ctc@DIRECTORY.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aural.errors import InputError
from aural.models import Variant
from aural.nn.recogniser import DecodingOptions

if TYPE_CHECKING:
    from pathlib import Path

    from aural.models.transformer_ctc.network import TransformerCTC
    from aural.nn.recogniser import CTCRecogniser

__all__ = ["EXTRA", "VARIANTS", "Config", "DecodingOptions", "build", "load", "read_config"]

EXTRA = "torch"


@dataclass(frozen=True)
class Config:
    """n_mels: rows of the features; tokens: size of the output, the blank included. d_model: width
    of a state; inner: of a feed-forward layer; subsampling: features a state, 1, 2, 4, 8 or 16."""

    n_mels: int = 80
    tokens: int = 32
    d_model: int = 256
    heads: int = 4
    layers: int = 12
    inner: int = 1024
    subsampling: int = 4
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name, least in (
            ("n_mels", 1),
            ("tokens", 2),
            ("heads", 1),
            ("layers", 1),
            ("inner", 1),
        ):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; give {least} or more")
        if self.d_model < 2 or self.d_model % 2 or self.d_model % self.heads:
            raise InputError(
                f"d_model is {self.d_model}; give an even multiple of heads ({self.heads})"
            )
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout is {self.dropout}; give 0 to below 1")


_LICENCE = "of your own training"


def _shape(config: Config, description: str) -> Variant:
    return Variant(config, weights=None, licence=_LICENCE, description=description)


VARIANTS = {
    "small": _shape(
        Config(d_model=128, layers=6, inner=512, subsampling=2),
        "6 layers of 128, for small corpora",
    ),
    "base": _shape(Config(), "12 layers of 256"),
    "test": _shape(
        Config(n_mels=8, tokens=12, d_model=16, heads=2, layers=2, inner=32), "tiny, for tests"
    ),
}


def build(config: Config) -> TransformerCTC:
    """The network, its weights random under torch's seed."""
    from aural.models.transformer_ctc.network import TransformerCTC

    return TransformerCTC(config)


def read_config(directory: Path) -> Config:
    """The configuration of a directory that training wrote."""
    from aural.nn.exported import read_network_config

    return read_network_config(directory, "transformer_ctc", Config)


def load(
    directory: Path, config: Config, *, device: str, compute_type: str, threads: int
) -> CTCRecogniser:
    """The recogniser of a directory that training wrote."""
    from aural.nn.recogniser import load_exported

    return load_exported(directory, config, build, device, compute_type, threads)
