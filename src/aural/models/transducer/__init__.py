"""Transducer: streaming recognition, its look-ahead tunable, by RNN-T or CTC (a trainable family).

Graves 2012 (arXiv:1211.3711) for the transducer, Graves et al. 2006 for CTC, on one encoder. Two
causal convolutions make a state of four frames (40 ms); blocks of self-attention, causal
convolution and feed-forward (after Gulati et al. 2020) then work on chunks of states: a chunk sees
itself, look_ahead_frames after it and left_frames before it. The look-ahead is computed anew for
each chunk, so that it does not grow with the layers (as in Emformer, Shi et al. 2021). The
prediction network is an LSTM or the last two tokens alone (Ghodsi et al. 2020).

All is ours, under the project's licence; no weights are published: variants are shapes to train.

Log-mels (item, frame, n_mels) become states (item, ceil(frame / 4), d_model), and these, with the
tokens before, logits (item, frame', token + 1, tokens), or log probabilities (item, frame', tokens)
where the head is CTC's. A stream gives what the whole gives, state for state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from aural.errors import InputError, UnknownName
from aural.models import Variant
from aural.nn.recogniser import DecodingOptions

if TYPE_CHECKING:
    from pathlib import Path

    from aural.models.transducer.network import Transducer
    from aural.nn.transducer_recogniser import StreamingCTC, TransducerRecogniser

__all__ = ["EXTRA", "VARIANTS", "Config", "DecodingOptions", "build", "load", "read_config"]

EXTRA = "torch"
FRAMES_PER_STATE = 4
Head = Literal["transducer", "ctc"]
Predictor = Literal["lstm", "stateless"]


@dataclass(frozen=True)
class Config:
    """n_mels: rows of the features; tokens: size of the output, the blank included; head: what is
    put on the encoder.

    Encoder: d_model wide, layers blocks of heads attention heads, a convolution over conv_kernel
    states, feed_forward times d_model inside, dropout. chunk_frames states are computed at a time
    with look_ahead_frames after and left_frames before them (a state is 40 ms); vary_chunks: in
    training each batch draws its own, up to twice the chunk and up to the look-ahead (after Zhang
    et al. 2020), so that one network serves every latency.

    predictor: what has been written as an LSTM sees it, or its last two tokens; of predictor_width,
    and joined to the states in joiner_width; the "ctc" head has neither.

    Features are normalised by constants, as a stream can't know its own: (value - feature_mean) /
    feature_scale. The defaults are those of Kaldi's log-mels of speech.
    """

    n_mels: int = 80
    tokens: int = 32
    head: Head = "transducer"
    d_model: int = 144
    layers: int = 6
    heads: int = 4
    conv_kernel: int = 9
    feed_forward: int = 4
    dropout: float = 0.1
    chunk_frames: int = 8
    look_ahead_frames: int = 4
    left_frames: int = 32
    vary_chunks: bool = False
    predictor: Predictor = "lstm"
    predictor_width: int = 160
    joiner_width: int = 160
    feature_mean: float = -6.5
    feature_scale: float = 4.0

    def __post_init__(self) -> None:
        for name, least, most in (
            ("n_mels", 1, 4096),
            ("tokens", 2, 1_000_000),
            ("d_model", 1, 4096),
            ("layers", 1, 64),
            ("heads", 1, 64),
            ("conv_kernel", 1, 255),
            ("feed_forward", 1, 16),
            ("left_frames", 0, 1000),
            ("predictor_width", 1, 4096),
            ("joiner_width", 1, 4096),
        ):
            if not least <= getattr(self, name) <= most:
                raise InputError(f"{name} is {getattr(self, name)}; give {least} to {most}")
        check_chunks(self.chunk_frames, self.look_ahead_frames)
        if self.d_model % self.heads:
            raise InputError(f"d_model is {self.d_model}; give a multiple of heads ({self.heads})")
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout is {self.dropout}; give 0 or more, below 1")
        if not self.feature_scale > 0:
            raise InputError(f"feature_scale is {self.feature_scale}; give more than 0")
        for kind, given, choices in (
            ("head", self.head, get_args(Head)),
            ("predictor", self.predictor, get_args(Predictor)),
        ):
            if given not in choices:
                raise UnknownName(kind, given, choices)


def check_chunks(chunk_frames: int, look_ahead_frames: int) -> None:
    """InputError where a chunk or its look-ahead is out of range."""
    if not 1 <= chunk_frames <= 1000:
        raise InputError(f"chunk_frames is {chunk_frames}; give 1 to 1000")
    if not 0 <= look_ahead_frames <= 1000:
        raise InputError(f"look_ahead_frames is {look_ahead_frames}; give 0 to 1000")


_TEST = {
    "n_mels": 16,
    "tokens": 12,
    "d_model": 24,
    "layers": 2,
    "heads": 2,
    "conv_kernel": 3,
    "feed_forward": 2,
    "dropout": 0.0,
    "chunk_frames": 3,
    "look_ahead_frames": 2,
    "left_frames": 6,
    "predictor_width": 16,
    "joiner_width": 24,
}


def _shape(description: str, **values: object) -> Variant:
    return Variant(Config(**values), None, "Apache-2.0", description)  # type: ignore[arg-type]


VARIANTS = {
    "test": _shape("for tests, transducer", **_TEST),
    "test-ctc": _shape("for tests, streaming CTC", **(_TEST | {"head": "ctc"})),
    "tiny": _shape(
        "0.6 M parameters, transducer, for few words and a processor",
        d_model=96,
        layers=4,
        feed_forward=2,
        predictor="stateless",
        vary_chunks=True,
    ),
    "tiny-ctc": _shape(
        "0.5 M parameters, streaming CTC, for few words and a processor",
        head="ctc",
        d_model=96,
        layers=4,
        feed_forward=2,
        vary_chunks=True,
    ),
    "small": _shape("2.3 M parameters, transducer", vary_chunks=True),
    "small-ctc": _shape("2 M parameters, streaming CTC", head="ctc", vary_chunks=True),
    "base": _shape(
        "20 M parameters, transducer",
        d_model=320,
        layers=12,
        predictor_width=320,
        joiner_width=320,
        vary_chunks=True,
    ),
}


def build(config: Config) -> Transducer:
    """The network, its weights drawn from torch's generator."""
    from aural.models.transducer.network import Transducer

    return Transducer(config)


def read_config(directory: Path) -> Config:
    """The shape of a directory that training wrote; InputError where it is another family's."""
    from aural.nn.exported import read_network_config

    return read_network_config(directory, "transducer", Config)


def load(
    directory: Path, config: Config, *, device: str, compute_type: str, threads: int
) -> TransducerRecogniser | StreamingCTC:
    """The recogniser of a directory that training wrote, of recordings and of streams."""
    from aural.nn.transducer_recogniser import load_transducer_recogniser

    return load_transducer_recogniser(
        directory, config, build, device=device, compute_type=compute_type, threads=threads
    )
