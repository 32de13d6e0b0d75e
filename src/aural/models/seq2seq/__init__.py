"""Attention encoder-decoder: sound is encoded, and text is written token by token, each one told by
what the decoder attends to (a trainable family).

Decoder "lstm": Chan et al. 2016, "Listen, Attend and Spell", with the location-aware attention of
Chorowski et al. 2015 ("Attention-Based Models for Speech Recognition"). Decoder "transformer":
Vaswani et al. 2017, as in Dong et al. 2018, "Speech-Transformer". Either may stand on the pyramid
of BiLSTMs of the first or on the convolutions and Transformer of the last; a CTC head beside them
is Kim et al. 2017. No weights are fetched: the variants are shapes, and what `aural train` makes of
one (its licence is yours) is loaded as seq2seq@DIRECTORY.

Features (item, frame, n_mels) become states (item, ceil(frame / reduction), d_model) and
log probabilities (item, token + 1, tokens); token 0 begins and ends a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from aural.decode.attention import DecodingOptions
from aural.errors import InputError, UnknownName
from aural.models import Variant

if TYPE_CHECKING:
    from pathlib import Path

    from aural.models.seq2seq.network import Seq2Seq
    from aural.nn.attention_recogniser import AttentionRecogniser
    from aural.nn.sound_encoder import SoundEncoder

__all__ = [
    "EXTRA",
    "VARIANTS",
    "Config",
    "DecodingOptions",
    "build",
    "load",
    "read_config",
    "sound_encoder",
]

EXTRA = "torch"
EncoderKind = Literal["bilstm", "transformer"]
DecoderKind = Literal["lstm", "transformer"]


@dataclass(frozen=True)
class Config:
    """n_mels: rows of the features; tokens: size of the output, 0 included.

    encoder "bilstm": encoder_layers BiLSTMs, the last log2(reduction) of which read two states as
    one; "transformer": log2(reduction) convolutions that halve time and frequency, then
    encoder_layers blocks. d_model is the width of a state, in encoder and decoder; heads and inner
    (between a block's two projections) are the Transformers' own, location_channels and
    location_kernel (states, odd) those of the filters over the attention before. ctc: whether the
    encoder has a head of its own that CTC trains.
    """

    n_mels: int = 80
    tokens: int = 32
    encoder: EncoderKind = "bilstm"
    decoder: DecoderKind = "lstm"
    d_model: int = 256
    encoder_layers: int = 4
    decoder_layers: int = 1
    reduction: int = 8
    heads: int = 4
    inner: int = 1024
    location_channels: int = 10
    location_kernel: int = 51
    dropout: float = 0.1
    ctc: bool = True

    def __post_init__(self) -> None:
        for name, kinds in (("encoder", EncoderKind), ("decoder", DecoderKind)):
            if getattr(self, name) not in get_args(kinds):
                raise UnknownName(name, getattr(self, name), get_args(kinds))
        for name, least in (("n_mels", 1), ("tokens", 2), ("inner", 1)):
            self._at_least(name, least)
        for name in ("encoder_layers", "decoder_layers", "heads", "location_channels"):
            self._at_least(name, 1)
        if self.reduction not in (1, 2, 4, 8, 16):
            raise InputError(f"reduction is {self.reduction}; give 1, 2, 4, 8 or 16")
        if self.encoder == "bilstm" and self.halvings > self.encoder_layers:
            raise InputError(
                f"reduction is {self.reduction}; {self.encoder_layers} layers of BiLSTM, each "
                f"halving time, give at most {2**self.encoder_layers}"
            )
        if self.d_model < 2 or self.d_model % (2 * self.heads):
            raise InputError(f"d_model is {self.d_model}; give a multiple of {2 * self.heads}")
        if self.location_kernel < 1 or self.location_kernel % 2 == 0:
            raise InputError(f"location_kernel is {self.location_kernel}; give an odd number")
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout is {self.dropout}; give 0 to below 1")

    def _at_least(self, name: str, least: int) -> None:
        if getattr(self, name) < least:
            raise InputError(f"{name} is {getattr(self, name)}; give {least} or more")

    @property
    def halvings(self) -> int:
        """How many layers halve time."""
        return self.reduction.bit_length() - 1


_SHAPE = "of your own training"

VARIANTS = {
    "test": Variant(
        Config(
            n_mels=8,
            tokens=12,
            d_model=16,
            encoder_layers=2,
            reduction=4,
            heads=2,
            inner=32,
            location_channels=3,
            location_kernel=5,
        ),
        weights=None,
        licence=_SHAPE,
        description="tiny, for tests",
    ),
    "test-transformer": Variant(
        Config(
            n_mels=8,
            tokens=12,
            encoder="transformer",
            decoder="transformer",
            d_model=16,
            encoder_layers=1,
            decoder_layers=2,
            reduction=4,
            heads=2,
            inner=32,
        ),
        weights=None,
        licence=_SHAPE,
        description="tiny, for tests: Transformers",
    ),
    "small": Variant(
        Config(encoder_layers=3, reduction=4),
        weights=None,
        licence=_SHAPE,
        description="3 BiLSTMs and an LSTM of width 256, for some hours of speech",
    ),
    "small-transformer": Variant(
        Config(
            encoder="transformer",
            decoder="transformer",
            encoder_layers=6,
            decoder_layers=3,
            reduction=4,
        ),
        weights=None,
        licence=_SHAPE,
        description="6 and 3 Transformer blocks of width 256, for tens of hours of speech",
    ),
    "las": Variant(
        Config(d_model=512, decoder_layers=2, dropout=0.0, ctc=False),
        weights=None,
        licence=_SHAPE,
        description="Listen, Attend and Spell as in its paper: a pyramid of 3 BiLSTMs upon one",
    ),
    "speech-transformer": Variant(
        Config(
            encoder="transformer",
            decoder="transformer",
            encoder_layers=12,
            decoder_layers=6,
            reduction=4,
            inner=2048,
            ctc=False,
        ),
        weights=None,
        licence=_SHAPE,
        description="Speech-Transformer's sizes: 12 and 6 blocks of width 256",
    ),
}


def build(config: Config) -> Seq2Seq:
    """The network, its weights drawn from torch's generator."""
    from aural.models.seq2seq.network import Seq2Seq

    return Seq2Seq(config)


def read_config(directory: Path) -> Config:
    """The Config of what training wrote; InputError where it is another family's."""
    from aural.nn.exported import read_network_config

    return read_network_config(directory, "seq2seq", Config)


def load(
    directory: Path, config: Config, *, device: str, compute_type: str, threads: int
) -> AttentionRecogniser:
    """The recogniser of a directory that training wrote; float32."""
    from aural.nn.attention_recogniser import load_attention_recogniser

    return load_attention_recogniser(
        directory,
        config,
        build,
        config.reduction,
        device=device,
        compute_type=compute_type,
        threads=threads,
    )


def sound_encoder(directory: Path, config: Config, name: str) -> SoundEncoder:
    """The network in torch with its features, to be put before one of another kind."""
    from aural.nn.exported import load_network, read_exported
    from aural.nn.sound_encoder import SoundEncoder

    network = load_network(directory, config, build).eval()
    return SoundEncoder(name, network, read_exported(directory).features)
