"""Conformer: attention and convolution in one encoder, for CTC, offline or in chunks (a trainable
family, and one set of real weights).

Gulati et al. 2020, "Conformer: Convolution-augmented Transformer for Speech Recognition": features
(item, frame, n_mels) become log probabilities (item, ceil(frame / subsampling), tokens), token 0
the blank of CTC. With a chunk_size it hears so many frames at a time, left_context before them and
look_ahead after, and can be streamed with the same weights. What `aural train` makes of a variant
(its licence is yours) is loaded as conformer@DIRECTORY.

The variant "hama" has weights: those of hama 1.7.0 by Seongmin Park (github.com/hamanlp/hama,
Apache-2.0, from its own wheel), which writes English and Korean speech as phonemes of the IPA, no
words as they are spelt. 2.0 M parameters, a frame every 20 ms, no positions, 191 tokens. On what
speech it was trained is not published. Frame by frame it is what hama's own engine computes
(hama.py reads its container of float16 weights).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from aural.errors import InputError
from aural.models import Variant
from aural.nn.recogniser import DecodingOptions
from aural.store.weights import WeightFile, Weights, WheelPart

if TYPE_CHECKING:
    from pathlib import Path

    from aural.models.conformer.network import Conformer
    from aural.nn.recogniser import CTCRecogniser
    from aural.nn.sound_encoder import SoundEncoder

__all__ = [
    "EXTRA",
    "VARIANTS",
    "Chunks",
    "Config",
    "DecodingOptions",
    "build",
    "load",
    "read_config",
    "sound_encoder",
]

EXTRA = "torch"


@dataclass(frozen=True)
class Chunks:
    """How far a frame of the encoder hears, in frames of the encoder.

    size: those computed together, each of which hears all of them; 0 is the whole recording. left:
    those before a chunk, look_ahead those after it, that its attention may look at.
    """

    size: int = 0
    left: int = 0
    look_ahead: int = 0

    def __post_init__(self) -> None:
        for name in ("size", "left", "look_ahead"):
            if getattr(self, name) < 0:
                raise InputError(f"chunk {name} is {getattr(self, name)}; give 0 or more")
        if not self.size and (self.left or self.look_ahead):
            raise InputError(
                f"left is {self.left} and look_ahead {self.look_ahead}; give chunks a size too"
            )


@dataclass(frozen=True)
class Config:
    """n_mels: rows of the features; tokens: size of the output, the blank included.

    d_model: width of a state; inner: of a feed-forward layer; conv_kernel: frames of a depthwise
    convolution, odd. subsampling: features a frame (1, 2, 4, 8, 16), made by subsampling_kind
    "conv2d" or "conv1d" (nn/convolution.py). conv_norm: "batch" as in the paper, "layer", or "none"
    for weights that have it folded in. relative_positions: of attention; without, none are told.
    chunk_size, left_context, look_ahead: `Chunks` it is trained and used in; 0: everything.
    """

    n_mels: int = 80
    tokens: int = 32
    d_model: int = 144
    heads: int = 4
    layers: int = 16
    inner: int = 576
    conv_kernel: int = 31
    subsampling: int = 4
    subsampling_kind: Literal["conv2d", "conv1d"] = "conv2d"
    conv_norm: Literal["batch", "layer", "none"] = "batch"
    relative_positions: bool = True
    dropout: float = 0.1
    chunk_size: int = 0
    left_context: int = 0
    look_ahead: int = 0

    def __post_init__(self) -> None:
        for name, least in (("n_mels", 1), ("tokens", 2), ("heads", 1), ("layers", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; give {least} or more")
        if self.d_model < 2 or self.d_model % 2 or self.d_model % self.heads:
            raise InputError(
                f"d_model is {self.d_model}; give an even multiple of heads ({self.heads})"
            )
        if self.inner < 1 or self.conv_kernel < 1 or self.conv_kernel % 2 == 0:
            raise InputError(
                f"inner is {self.inner} and conv_kernel {self.conv_kernel}; give 1 or more, and an "
                "odd kernel"
            )
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout is {self.dropout}; give 0 to below 1")
        _ = self.chunks

    @property
    def chunks(self) -> Chunks:
        """How far a frame hears unless told otherwise."""
        return Chunks(self.chunk_size, self.left_context, self.look_ahead)


_LICENCE = "of your own training"
_TEST = Config(
    n_mels=8, tokens=12, d_model=16, heads=2, layers=2, inner=32, conv_kernel=5, dropout=0.1
)


def _shape(config: Config, description: str) -> Variant:
    return Variant(config, weights=None, licence=_LICENCE, description=description)


def _hama_file(name: str, member: str, sha256: str, size: int) -> WeightFile:
    part = WheelPart("hama", "1.7.0", f"hama/assets/{member}")
    return WeightFile(name, sha256, size, (part,))


VARIANTS = {
    "hama": Variant(
        Config(
            tokens=191,
            layers=4,
            subsampling=2,
            subsampling_kind="conv1d",
            conv_norm="none",
            relative_positions=False,
        ),
        weights=Weights(
            (
                _hama_file(
                    "asr_waveform.hama",
                    "asr_waveform.hama",
                    "a9fcfe73e179ca48e399cd76a90a6b3e1887bf5037ecc52b778d13a149563328",
                    4723088,
                ),
                _hama_file(
                    "g2p_vocab.json",
                    "g2p_vocab.json",
                    "520d19e4e6ae58658eed53594e0feab8ea8e1b4b04a7746e25e50c16c29b91bf",
                    220107,
                ),
            )
        ),
        licence="Apache-2.0",
        description="English and Korean speech to phonemes (IPA), 2 M parameters",
    ),
    "tiny": _shape(
        Config(d_model=96, layers=6, inner=384, conv_kernel=15, conv_norm="layer"),
        "1.7 M parameters, for small corpora",
    ),
    "tiny-streaming": _shape(
        Config(
            d_model=96,
            layers=6,
            inner=384,
            conv_kernel=15,
            conv_norm="layer",
            chunk_size=16,
            left_context=64,
            look_ahead=4,
        ),
        "tiny, told every 0.64 s of features of 10 ms, 0.16 s after",
    ),
    "small": _shape(Config(), "the encoder of the paper's Conformer (S)"),
    "medium": _shape(Config(d_model=256, inner=1024), "the encoder of the paper's Conformer (M)"),
    "large": _shape(
        Config(d_model=512, heads=8, layers=17, inner=2048),
        "the encoder of the paper's Conformer (L)",
    ),
    "test": _shape(_TEST, "tiny, for tests"),
    "test-streaming": _shape(
        replace(_TEST, chunk_size=4, left_context=6, look_ahead=2), "tiny, in chunks, for tests"
    ),
}


def build(config: Config) -> Conformer:
    """The network, its weights random under torch's seed."""
    from aural.models.conformer.network import Conformer

    return Conformer(config)


def read_config(directory: Path) -> Config:
    """The configuration of a directory that training wrote."""
    from aural.nn.exported import read_network_config

    return read_network_config(directory, "conformer", Config)


def load(
    directory: Path, config: Config, *, device: str, compute_type: str, threads: int
) -> CTCRecogniser:
    """The recogniser of a directory that training wrote, or of hama's files."""
    from aural.nn.recogniser import CTCRecogniser, load_exported

    if not (directory / "asr_waveform.hama").is_file():
        return load_exported(directory, config, build, device, compute_type, threads)
    from aural.models.conformer import hama

    network = build(config)
    features, tokenizer = hama.read(directory, network)
    return CTCRecogniser(
        network,
        tokenizer,
        features,
        hama.FRAME_RATE,
        device=device,
        compute_type=compute_type,
        threads=threads,
    )


def sound_encoder(directory: Path, config: Config, name: str) -> SoundEncoder:
    """The network in torch with its features, to be put before one of another kind."""
    from aural.nn.exported import load_network, read_exported
    from aural.nn.sound_encoder import SoundEncoder

    if (directory / "asr_waveform.hama").is_file():
        from aural.models.conformer import hama

        network = build(config).eval()
        return SoundEncoder(name, network, hama.read(directory, network)[0])
    network = load_network(directory, config, build).eval()
    return SoundEncoder(name, network, read_exported(directory).features)
