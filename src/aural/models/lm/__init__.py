"""Language models over tokens: an LSTM, or a Transformer-XL (a family to be trained, on torch).

LSTM: Zaremba, Sutskever and Vinyals, "Recurrent Neural Network Regularization", 2014, dropout
between layers only; input and output share one matrix (Press and Wolf 2017). Transformer-XL: Dai,
Yang et al., "Transformer-XL: Attentive Language Models beyond a Fixed-Length Context", 2019: what
each layer made of the tokens before is kept and attended to, and attention knows how far away they
are instead of where they stand.

No weights are shipped: `aural train` makes them, and their licence is that of the text they saw.

Tokens of shape (item, time), 0 first, give log probabilities (item, time, tokens) of what comes
next, and a state to go on from. Every token sees the `memory` tokens before it and itself, however
a text is cut into segments, so that what is told in pieces is what is told at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from aural.errors import InputError, MissingExtra, UnknownName
from aural.models import Variant

if TYPE_CHECKING:
    from pathlib import Path

    from aural.models.lm.capability import NeuralLanguageModel
    from aural.models.lm.network import TokenNetwork

EXTRA = "torch"
Kind = Literal["lstm", "transformer_xl"]


@dataclass(frozen=True)
class Config:
    """kind: lstm or transformer_xl. tokens: size of its output, 0 included.

    d_model: width of states and of tokens; layers; dropout, while training. segment: tokens worked
    on at once, between which no gradient flows (0: the whole text). tied: one matrix for tokens
    coming in and going out. Of the Transformer-XL alone: heads, d_ff (width inside the feed-forward
    layers) and memory (tokens before its own that each position attends to).
    """

    kind: Kind = "lstm"
    tokens: int = 64
    d_model: int = 256
    layers: int = 2
    dropout: float = 0.1
    segment: int = 0
    tied: bool = True
    heads: int = 4
    d_ff: int = 1024
    memory: int = 128

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UnknownName("kind of language model", self.kind, get_args(Kind))
        for name in ("d_model", "layers", "heads", "d_ff", "memory"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more")
        if self.tokens < 2 or self.segment < 0:
            raise InputError(
                f"tokens is {self.tokens} and segment {self.segment}; give 2 or more and 0 or more"
            )
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout is {self.dropout}; give 0 or more, below 1")
        if self.kind == "transformer_xl" and (self.d_model % self.heads or self.d_model % 2):
            raise InputError(
                f"d_model is {self.d_model}; give an even number that {self.heads} heads divide"
            )


def _shape(config: Config, description: str) -> Variant:
    return Variant(config, weights=None, licence="your own", description=description)


VARIANTS = {
    "test": _shape(
        Config("lstm", tokens=32, d_model=32, layers=1, dropout=0.0), "a tiny LSTM for tests"
    ),
    "test-xl": _shape(
        Config(
            "transformer_xl",
            tokens=32,
            d_model=32,
            layers=2,
            dropout=0.0,
            heads=2,
            d_ff=64,
            memory=16,
        ),
        "a tiny Transformer-XL for tests",
    ),
    "lstm-small": _shape(
        Config("lstm", d_model=256, layers=2, dropout=0.2), "LSTM for characters of a small text"
    ),
    "transformer-xl-small": _shape(
        Config("transformer_xl", d_model=192, layers=4, dropout=0.1, heads=4, d_ff=768, memory=128),
        "Transformer-XL for characters of a small text",
    ),
    "lstm-medium": _shape(
        Config("lstm", tokens=10_000, d_model=650, layers=2, dropout=0.5, segment=35),
        "the medium LSTM of Zaremba et al. 2014, matrices tied",
    ),
    "lstm-large": _shape(
        Config("lstm", tokens=10_000, d_model=1500, layers=2, dropout=0.65, segment=35),
        "the large LSTM of Zaremba et al. 2014, matrices tied",
    ),
    "transformer-xl-12": _shape(
        Config(
            "transformer_xl",
            tokens=205,
            d_model=512,
            layers=12,
            dropout=0.1,
            segment=512,
            heads=8,
            d_ff=2048,
            memory=512,
        ),
        "the 12 layers of Dai et al. 2019 for characters, 41 M parameters",
    ),
    "transformer-xl-standard": _shape(
        Config(
            "transformer_xl",
            tokens=32_000,
            d_model=410,
            layers=16,
            dropout=0.1,
            segment=150,
            heads=10,
            d_ff=2100,
            memory=150,
        ),
        "the standard model of Dai et al. 2019 for words, without its adaptive softmax",
    ),
}


def build(config: Config) -> TokenNetwork:
    """The network, its weights drawn from torch's generator."""
    try:
        from aural.models.lm.network import LSTM, TransformerXL
    except ModuleNotFoundError as error:
        raise MissingExtra(EXTRA, error.name or "torch") from error
    return LSTM(config) if config.kind == "lstm" else TransformerXL(config)


def read_config(directory: Path) -> Config:
    """The configuration of an exported directory."""
    from aural.nn.exported import read_network_config

    return read_network_config(directory, "lm", Config)


def load(
    directory: Path, config: Config, *, device: str, compute_type: str, threads: int
) -> NeuralLanguageModel:
    """The language model of an exported directory, in float32, in evaluation mode.

    device "auto" is a GPU where there is one. threads is torch's own affair.
    """
    if compute_type not in ("auto", "float32"):
        raise InputError(f"lm computes in float32; compute type is {compute_type!r}")
    from aural.models.lm.capability import NeuralLanguageModel
    from aural.nn.exported import load_network, read_exported

    network = load_network(directory, config, build)
    return NeuralLanguageModel(network, read_exported(directory).tokenizer, device=device)
