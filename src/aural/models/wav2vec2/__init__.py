"""wav2vec 2.0 and its kin: encoders of raw sound with heads for text, for the whole and for frames.

Baevski et al. 2020, "wav2vec 2.0" (arXiv:2006.11477); Hsu et al. 2021, "HuBERT" (2106.07447); Chen
et al. 2022, "WavLM" (2110.13900), with its gated relative positions; XLS-R (Babu et al. 2021,
2111.09296) and MMS (Pratap et al. 2023, 2305.13516) are wav2vec 2.0 of other sizes, MMS with
adapters for each language. Lugosch et al. 2022, "Pseudo-Labeling for Massively Multilingual Speech
Recognition" (2111.00161), is M-CTC-T, which hears a log-mel. The networks are our own.

No weights are fetched by name: a directory as the Hub has it (config.json, model.safetensors,
vocab.json, preprocessor_config.json), or what `aural train` wrote, is loaded as wav2vec2@DIRECTORY,
under the licence that the weights come with (checkpoint.py reads it).

Samples (item, sample, 1), or a log-mel (item, frame, n_mels), become a state every 20 ms (M-CTC-T:
30 ms), (item, frame', d_model).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite, prod
from typing import TYPE_CHECKING, Literal, get_args

from aural.errors import InputError, MissingExtra, UnknownName
from aural.models import Variant
from aural.nn.recogniser import DecodingOptions

if TYPE_CHECKING:
    from pathlib import Path

    from aural.models.wav2vec2.capability import SoundModel
    from aural.models.wav2vec2.network import Wav2Vec2
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
Kind = Literal["wav2vec2", "hubert", "wavlm", "mctct"]
Head = Literal["none", "ctc", "sequence", "frames"]
Activation = Literal["gelu", "relu", "silu"]
MAX_WIDTH = 1 << 20
MAX_LAYERS = 1024
MAX_REACH = 1 << 20
"""Samples that one state may be of, and that may lie between two."""


@dataclass(frozen=True)
class Config:
    """kind: which of the networks. head: what its states are made into, one of tokens for each
    frame ("ctc", token 0 the blank, or "frames") or for the whole ("sequence"), or nothing.

    conv_channels, conv_kernels, conv_strides: of the convolutions that read the samples, conv_norm
    "group" (each channel over time, after the first only) or "layer" (each frame, after all). The
    one that tells positions has position_kernel taps in position_groups. pre_norm: blocks
    normalise what they are given, not what they give. buckets and max_distance are of WavLM's
    positions, adapter the width of MMS's adapters (0: none), classifier that of a "sequence"
    head's projection, weighted_layers: whether heads but "ctc" hear a learned mixture of all
    layers. mask_time_prob: the share of frames that training hides, in spans of mask_time_length.

    M-CTC-T has one convolution (conv_channels are not its), heads of head_width and positions up to
    max_positions states away.
    """

    kind: Kind = "wav2vec2"
    head: Head = "ctc"
    n_mels: int = 1
    tokens: int = 32
    d_model: int = 768
    layers: int = 12
    heads: int = 12
    inner: int = 3072
    activation: Activation = "gelu"
    conv_channels: tuple[int, ...] = (512,) * 7
    conv_kernels: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_strides: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_bias: bool = False
    conv_norm: Literal["group", "layer"] = "group"
    conv_activation: Activation = "gelu"
    projection_norm: bool = True
    position_kernel: int = 128
    position_groups: int = 16
    position_batch_norm: bool = False
    pre_norm: bool = False
    epsilon: float = 1e-5
    buckets: int = 320
    max_distance: int = 800
    adapter: int = 0
    classifier: int = 256
    weighted_layers: bool = False
    head_width: int = 0
    max_positions: int = 0
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.1
    projection_dropout: float = 0.0
    head_dropout: float = 0.1
    mask_time_prob: float = 0.0
    mask_time_length: int = 10

    def __post_init__(self) -> None:
        for field in fields(self):
            self._check_type(field.name, type(field.default))
        self._check_choices()
        for name in _POSITIVE:
            self._at_least(name, 1)
        for name in ("adapter", "epsilon"):
            self._at_least(name, 0)
        if self.layers > MAX_LAYERS:
            raise InputError(f"layers is {self.layers}; give 1 to {MAX_LAYERS}")
        self._check_convolutions()
        self._check_positions()
        for name in ("mask_time_prob", *_DROPOUTS):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 0 to 1")

    def _check_choices(self) -> None:
        for name, kinds in (
            ("kind", Kind),
            ("head", Head),
            ("activation", Activation),
            ("conv_activation", Activation),
        ):
            if getattr(self, name) not in get_args(kinds):
                raise UnknownName(name, getattr(self, name), get_args(kinds))
        if self.conv_norm not in ("group", "layer"):
            raise UnknownName("conv_norm", self.conv_norm, ("group", "layer"))

    def _check_positions(self) -> None:
        if self.kind == "mctct":
            self._at_least("head_width", 1)
            self._at_least("max_positions", 1)
        elif self.d_model % self.heads or self.d_model % self.position_groups:
            raise InputError(
                f"d_model is {self.d_model}; give a multiple of heads ({self.heads}) and of "
                f"position_groups ({self.position_groups})"
            )
        if self.kind == "wavlm" and not 1 <= self.buckets // 4 < self.max_distance:
            raise InputError(
                f"buckets is {self.buckets} and max_distance {self.max_distance}; give 4 buckets "
                "or more, and a distance of more than a quarter of them"
            )

    def _check_type(self, name: str, kind: type) -> None:
        """JSON has any value anywhere."""
        value = getattr(self, name)
        if kind is float:
            right = type(value) in (int, float) and isfinite(value)
        elif kind is tuple:
            right = type(value) is tuple and all(type(each) is int for each in value)
        else:
            right = type(value) is kind
        largest = max(value, default=0) if right and kind is tuple else value
        if not right or (kind in (int, tuple) and largest > MAX_WIDTH):
            raise InputError(f"{name} is {value!r:.40}; give {_KINDS[kind]}")

    def _at_least(self, name: str, least: int) -> None:
        if getattr(self, name) < least:
            raise InputError(f"{name} is {getattr(self, name)}; give {least} or more")

    def _check_convolutions(self) -> None:
        sizes = {len(self.conv_kernels), len(self.conv_strides)}
        if self.kind != "mctct":
            sizes.add(len(self.conv_channels))
            if self.n_mels != 1:
                raise InputError(f"n_mels is {self.n_mels}; {self.kind} hears samples, one row")
        elif sizes != {1}:
            raise InputError("M-CTC-T has one convolution; give one kernel and one stride")
        if len(sizes) > 1 or 0 in sizes:
            raise InputError("conv_channels, conv_kernels and conv_strides differ in number")
        if min(*self.conv_channels, *self.conv_kernels, *self.conv_strides) < 1:
            raise InputError("conv_channels, conv_kernels and conv_strides are to be 1 or more")
        if max(self.reach, self.subsampling) > MAX_REACH:
            raise InputError(
                f"a state is of {self.reach} samples, one every {self.subsampling}; give at most "
                f"{MAX_REACH}"
            )

    @property
    def subsampling(self) -> int:
        """Samples, or frames of the log-mel, from one state to the next."""
        return prod(self.conv_strides)

    @property
    def reach(self) -> int:
        """Samples, or frames of the log-mel, that the convolutions make one state of."""
        reach = 1
        for kernel, stride in zip(
            reversed(self.conv_kernels), reversed(self.conv_strides), strict=True
        ):
            reach = (reach - 1) * stride + kernel
        return reach


_POSITIVE = (
    *("n_mels", "tokens", "d_model", "layers", "heads", "inner", "mask_time_length"),
    *("position_kernel", "position_groups", "classifier"),
)
_KINDS = {
    int: f"a whole number of at most {MAX_WIDTH}",
    float: "a number",
    tuple: f"a list of whole numbers of at most {MAX_WIDTH}",
    bool: "true or false",
    str: "a text",
}
_DROPOUTS = (
    *("dropout", "attention_dropout", "activation_dropout"),
    *("projection_dropout", "head_dropout"),
)

_OWN = "of your own training"
_TINY = Config(
    tokens=12,
    d_model=16,
    layers=2,
    heads=2,
    inner=32,
    conv_channels=(8, 8, 8),
    conv_kernels=(4, 3, 2),
    conv_strides=(2, 2, 1),
    position_kernel=6,
    position_groups=2,
    classifier=8,
)


def _tiny(**changed: object) -> Config:
    from dataclasses import replace

    return replace(_TINY, **changed)  # type: ignore[arg-type]


_LARGE = {"d_model": 1024, "layers": 24, "heads": 16, "inner": 4096, "conv_norm": "layer"}


def _shape(config: Config, description: str) -> Variant:
    return Variant(config, weights=None, licence=_OWN, description=description)


VARIANTS = {
    "test": _shape(_TINY, "tiny, for tests"),
    "test-wavlm": _shape(
        _tiny(kind="wavlm", conv_norm="layer", pre_norm=True, buckets=8, max_distance=12),
        "tiny, for tests: WavLM's positions",
    ),
    "test-mctct": _shape(
        _tiny(
            kind="mctct",
            n_mels=8,
            conv_kernels=(7,),
            conv_strides=(3,),
            head_width=8,
            max_positions=20,
            activation="relu",
        ),
        "tiny, for tests: M-CTC-T",
    ),
    "base": _shape(Config(), "wav2vec 2.0 base: 12 blocks of width 768, 95 M parameters"),
    "large": _shape(
        Config(**_LARGE, conv_bias=True, pre_norm=True),  # type: ignore[arg-type]
        "wav2vec 2.0 large, XLS-R 300M: 24 blocks of width 1024, 317 M parameters",
    ),
    "hubert-base": _shape(Config(kind="hubert"), "HuBERT base: 95 M parameters"),
    "wavlm-base": _shape(Config(kind="wavlm"), "WavLM base and base+: 95 M parameters"),
    "mctct-large": _shape(
        Config(
            kind="mctct",
            n_mels=80,
            tokens=8065,
            d_model=1536,
            layers=36,
            heads=4,
            inner=6144,
            activation="relu",
            conv_kernels=(7,),
            conv_strides=(3,),
            head_width=384,
            max_positions=920,
            dropout=0.3,
            attention_dropout=0.3,
        ),
        "M-CTC-T large: 36 blocks of width 1536, about 1 G parameters",
    ),
}


def build(config: Config) -> Wav2Vec2:
    """The network, its weights drawn from torch's generator."""
    from aural.models.wav2vec2.network import Wav2Vec2

    return Wav2Vec2(config)


def read_config(directory: Path) -> Config:
    """The Config of a checkpoint, or of what training wrote; InputError for another network's."""
    try:
        from aural.models.wav2vec2.checkpoint import read_checkpoint_config
    except ModuleNotFoundError as error:
        raise MissingExtra(EXTRA, error.name or "torch") from error
    return read_checkpoint_config(directory)


def load(
    directory: Path, config: Config, *, device: str, compute_type: str, threads: int
) -> SoundModel:
    """What the head makes it: a recogniser, a classifier, or only an encoder; float32."""
    from aural.models.wav2vec2.capability import load_model

    return load_model(directory, config, device=device, compute_type=compute_type, threads=threads)


def sound_encoder(directory: Path, config: Config, name: str) -> SoundEncoder:
    """The network in torch, to be put before one of another kind."""
    from aural.models.wav2vec2.checkpoint import read_features, read_network
    from aural.nn.sound_encoder import SoundEncoder

    network = read_network(directory, config).eval()
    return SoundEncoder(name, network, read_features(directory, config))
