"""A bidirectional LSTM over a log-mel, for CTC: the network of many tutorials (a trainable family).

Graves et al. 2006, "Connectionist Temporal Classification"; Graves, Mohamed and Hinton 2013,
"Speech Recognition with Deep Recurrent Neural Networks" (layers over layers, dropout between).
Features (item, frame, n_mels) become log probabilities (item, frame, tokens), one row a frame,
token 0 the blank. No weights are fetched: the variants are shapes, and what `aural train` makes of
one (its licence is yours) is loaded as audio_rnn@DIRECTORY.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aural.errors import InputError
from aural.models import Variant
from aural.nn.recogniser import DecodingOptions

if TYPE_CHECKING:
    from pathlib import Path

    from aural.models.audio_rnn.network import AudioRNN
    from aural.nn.recogniser import CTCRecogniser

__all__ = ["EXTRA", "VARIANTS", "Config", "DecodingOptions", "build", "load", "read_config"]

EXTRA = "torch"


@dataclass(frozen=True)
class Config:
    """n_mels: rows of the features; tokens: size of the output, the blank included (29: a blank, 26
    letters, a space and an apostrophe); hidden: width of a direction; dropout: between layers."""

    n_mels: int = 64
    tokens: int = 29
    hidden: int = 256
    layers: int = 2
    dropout: float = 0.3

    def __post_init__(self) -> None:
        for name, least in (("n_mels", 1), ("tokens", 2), ("hidden", 1), ("layers", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; give {least} or more")
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout is {self.dropout}; give 0 to below 1")


_LICENCE = "of your own training"

VARIANTS = {
    "tutorial": Variant(
        Config(), weights=None, licence=_LICENCE, description="two layers of 256, 2.3 M parameters"
    ),
    "small": Variant(
        Config(n_mels=40, hidden=64, dropout=0.2),
        weights=None,
        licence=_LICENCE,
        description="two layers of 64, 0.2 M parameters, for few words",
    ),
    "test": Variant(
        Config(n_mels=8, tokens=12, hidden=8),
        weights=None,
        licence=_LICENCE,
        description="tiny, for tests",
    ),
}


def build(config: Config) -> AudioRNN:
    """The network, its weights random under torch's seed."""
    from aural.models.audio_rnn.network import AudioRNN

    return AudioRNN(config)


def read_config(directory: Path) -> Config:
    """The configuration of a directory that training wrote."""
    from aural.nn.exported import read_network_config

    return read_network_config(directory, "audio_rnn", Config)


def load(
    directory: Path, config: Config, *, device: str, compute_type: str, threads: int
) -> CTCRecogniser:
    """The recogniser of a directory that training wrote."""
    from aural.nn.recogniser import load_exported

    return load_exported(directory, config, build, device, compute_type, threads)
