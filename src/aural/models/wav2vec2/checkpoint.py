"""Directories as the Hub has them, read: configuration, weights, tokens and features.

config.json tells the network by model_type (wav2vec2, hubert, wavlm, mctct) and its head by
architectures; keys that mean nothing here are passed over. model.safetensors holds the weights;
pickles are never opened. vocab.json numbers the tokens, for MMS those of each language, whose
weights are in adapter.LANGUAGE.safetensors. preprocessor_config.json tells what samples become.
What `aural train` wrote (nn/exported.py) is read too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from aural.audio.features import LogMelOptions, MelOptions, cmvn, log_mel
from aural.audio.features.mel import Conditioning
from aural.errors import InputError, UnknownName
from aural.models.wav2vec2 import Config
from aural.models.wav2vec2.network import Wav2Vec2
from aural.nn.exported import load_weights, read_exported, read_network_config
from aural.store.checkpoint import check_checkpoint, weight_shapes
from aural.store.objects import read_object
from aural.text.tokens import SPACE, Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    from aural.nn.exported import Exported
    from aural.nn.recogniser import Features

MAX_JSON_BYTES = 64 << 20
SLACK = 1 << 20
_WEIGHT, _BIAS = "head.out.weight", "head.out.bias"
MODEL_TYPES = ("wav2vec2", "hubert", "wavlm", "mctct")
HEADS = {
    "ForCTC": "ctc",
    "ForSequenceClassification": "sequence",
    "ForAudioFrameClassification": "frames",
}
_ACTIVATIONS = {"gelu": "gelu", "relu": "relu", "silu": "silu", "swish": "silu"}
_SPECIAL = re.compile(r"<[^<>\s]+>|\[[A-Z]+\]")
"""Tokens that are no text, as <s>, </s>, <unk> and [PAD]."""
USUAL_LANGUAGE = "eng"
"""What MMS writes if not told another."""

_RAW = {
    "d_model": ("hidden_size", 768),
    "layers": ("num_hidden_layers", 12),
    "heads": ("num_attention_heads", 12),
    "inner": ("intermediate_size", 3072),
    "conv_channels": ("conv_dim", [512] * 7),
    "conv_kernels": ("conv_kernel", [10, 3, 3, 3, 3, 2, 2]),
    "conv_strides": ("conv_stride", [5, 2, 2, 2, 2, 2, 2]),
    "conv_bias": ("conv_bias", False),
    "conv_norm": ("feat_extract_norm", "group"),
    "projection_norm": ("feat_proj_layer_norm", True),
    "position_kernel": ("num_conv_pos_embeddings", 128),
    "position_groups": ("num_conv_pos_embedding_groups", 16),
    "position_batch_norm": ("conv_pos_batch_norm", False),
    "pre_norm": ("do_stable_layer_norm", False),
    "epsilon": ("layer_norm_eps", 1e-5),
    "buckets": ("num_buckets", 320),
    "max_distance": ("max_bucket_distance", 800),
    "adapter": ("adapter_attn_dim", 0),
    "classifier": ("classifier_proj_size", 256),
    "weighted_layers": ("use_weighted_layer_sum", False),
    "dropout": ("hidden_dropout", 0.1),
    "attention_dropout": ("attention_dropout", 0.1),
    "activation_dropout": ("activation_dropout", 0.1),
    "projection_dropout": ("feat_proj_dropout", 0.0),
    "head_dropout": ("final_dropout", 0.1),
    "mask_time_prob": ("mask_time_prob", 0.05),
    "mask_time_length": ("mask_time_length", 10),
}
_MCTCT = {
    "d_model": ("hidden_size", 1536),
    "layers": ("num_hidden_layers", 36),
    "heads": ("num_attention_heads", 4),
    "head_width": ("attention_head_dim", 384),
    "inner": ("intermediate_size", 6144),
    "max_positions": ("max_position_embeddings", 920),
    "conv_kernels": ("conv_kernel", [7]),
    "conv_strides": ("conv_stride", [3]),
    "n_mels": ("input_feat_per_channel", 80),
    "epsilon": ("layer_norm_eps", 1e-5),
    "dropout": ("hidden_dropout_prob", 0.3),
    "attention_dropout": ("attention_probs_dropout_prob", 0.3),
}
"""Fields of Config by the names that config.json has them under, and transformers' defaults, which
it may leave out."""

_ENCODER_NAMES = (
    (r"^feature_extractor\.conv_layers\.(\d+)\.layer_norm\.", r"convolutions.\1.norm."),
    (r"^feature_extractor\.conv_layers\.", "convolutions."),
    (r"^feature_projection\.layer_norm\.", "projection_norm."),
    (r"^feature_projection\.", ""),
    (r"^masked_spec_embed$", "mask_embedding"),
    (
        r"^encoder\.pos_conv_embed\.conv\.weight_g$",
        "position.conv.parametrizations.weight.original0",
    ),
    (
        r"^encoder\.pos_conv_embed\.conv\.weight_v$",
        "position.conv.parametrizations.weight.original1",
    ),
    (r"^encoder\.pos_conv_embed\.", "position."),
    (r"^encoder\.layer_norm\.singleton_weight$", "scale"),
    (r"^encoder\.layer_norm\.singleton_bias$", "shift"),
    (r"^encoder\.layer_norm\.", "norm."),
    (r"^encoder\.conv\.conv_layers\.0\.", "conv."),
    (r"^encoder\.layers\.0\.attention\.rel_attn_embed\.", "distances.embedding."),
    (r"^encoder\.layers\.", "blocks."),
    (r"\.attention\.self\.distance_embedding\.weight$", ".distances"),
    (r"\.attention\.self\.", "."),
    (r"\.attention\.output\.dense\.", ".out."),
    (r"\.attention\.output\.LayerNorm\.", ".attention_norm."),
    (r"\.intermediate\.dense\.", ".up."),
    (r"\.output\.dense\.", ".down."),
    (r"\.output\.LayerNorm\.", ".feed_forward_norm."),
    (r"\.attention\.q_proj\.", ".attention.query."),
    (r"\.attention\.k_proj\.", ".attention.key."),
    (r"\.attention\.v_proj\.", ".attention.value."),
    (r"\.attention\.out_proj\.", ".attention.out."),
    (r"\.attention\.gru_rel_pos_const$", ".attention.gate.scale"),
    (r"\.attention\.gru_rel_pos_linear\.", ".attention.gate.linear."),
    (r"^(blocks\.\d+)\.layer_norm\.", r"\1.attention_norm."),
    (r"^(blocks\.\d+)\.final_layer_norm\.", r"\1.feed_forward_norm."),
    (r"\.feed_forward\.intermediate_dense\.", ".up."),
    (r"\.feed_forward\.output_dense\.", ".down."),
    (r"\.adapter_layer\.linear_1\.", ".adapter.down."),
    (r"\.adapter_layer\.linear_2\.", ".adapter.up."),
    (r"\.adapter_layer\.norm\.", ".adapter.norm."),
)
_HEAD_NAMES = {
    "lm_head.": "head.out.",
    "ctc_head.": "head.out.",
    "classifier.": "head.out.",
    "projector.": "head.project.",
    "layer_weights": "head.mixture",
}


@dataclass(frozen=True)
class Samples:
    """Samples as they are, or with mean 0 and variance 1 over all that is given at once."""

    sample_rate: int = 16000
    normalise: bool = True

    def features(self, samples: np.ndarray) -> np.ndarray:
        """float32, shape = (time, 1)."""
        samples = np.asarray(samples, np.float32)
        if self.normalise and samples.size:
            samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
        return np.ascontiguousarray(samples[:, None], np.float32)


@dataclass(frozen=True)
class MCTCTFeatures:
    """Flashlight's log-mel, each row with mean 0 and variance 1 over all that is given at once:
    16-bit samples, 25 ms every 10 ms, pre-emphasis, a Hamming window, magnitudes, HTK's scale."""

    n_mels: int = 80
    sample_rate: int = 16000

    @property
    def options(self) -> LogMelOptions:
        """What `log_mel` makes it with."""
        length, hop = self.sample_rate // 40, self.sample_rate // 100
        mel = MelOptions(
            sample_rate=self.sample_rate,
            n_fft=1 << (length - 1).bit_length(),
            win_length=length,
            hop_length=hop,
            window="hamming",
            periodic=False,
            window_at="start",
            center=False,
            n_mels=self.n_mels,
            scale="htk",
            norm=None,
            power=1.0,
            conditioning=Conditioning(gain=32768.0, remove_dc=False),
        )
        return LogMelOptions(mel, "ln", floor=1.0)

    def features(self, samples: np.ndarray) -> np.ndarray:
        """float32, shape = (frame, n_mels)."""
        mel = log_mel(np.asarray(samples, np.float32), self.options)
        return np.ascontiguousarray(cmvn(mel).T, np.float32)


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer, and which of the network's outputs are its tokens: the blank's first."""

    tokenizer: Tokenizer
    outputs: tuple[int, ...]


def read_checkpoint_config(directory: Path) -> Config:
    """The Config of a directory; InputError for another network or what can't be built."""
    if exported(directory) is not None:
        return read_network_config(directory, "wav2vec2", Config)
    written = check_checkpoint(directory)
    kind = written.get("model_type")
    if kind not in MODEL_TYPES:
        raise UnknownName("model_type in config.json", str(kind), MODEL_TYPES)
    if written.get("add_adapter"):
        raise InputError(f"{directory}: convolutions after the blocks (add_adapter) are not known")
    names = _MCTCT if kind == "mctct" else _RAW
    values: dict[str, Any] = {"kind": kind, "head": _head(written)}
    for ours, (theirs, usual) in names.items():
        value = written.get(theirs, usual)
        value = usual if value is None else value
        values[ours] = tuple(value) if isinstance(value, list) else value
    usual = "relu" if kind == "mctct" else "gelu"
    values["activation"] = _activation(written.get("hidden_act", usual))
    values["conv_activation"] = _activation(written.get("feat_extract_activation", "gelu"))
    values["tokens"] = _outputs(written, values["head"], 8065 if kind == "mctct" else 32)
    if not written.get("apply_spec_augment", True):
        values["mask_time_prob"] = 0.0
    try:
        return Config(**values)
    except InputError as error:
        raise InputError(f"{directory}/config.json: {error}") from error


def _head(written: Mapping[str, Any]) -> str:
    told = written.get("architectures")
    named = str(told[0]) if isinstance(told, list) and told else ""
    return next((head for end, head in HEADS.items() if named.endswith(end)), "none")


def _activation(name: object) -> str:
    if str(name) not in _ACTIVATIONS:
        raise UnknownName("activation in config.json", str(name), tuple(_ACTIVATIONS))
    return _ACTIVATIONS[str(name)]


def _outputs(written: Mapping[str, Any], head: str, usual: int) -> int:
    if head == "ctc":
        return written.get("vocab_size") or usual
    labels = written.get("id2label")
    return len(labels) if labels and isinstance(labels, dict) else written.get("num_labels") or 2


def read_labels(directory: Path, config: Config) -> tuple[str, ...]:
    """The names of the head's outputs, in order."""
    told = check_checkpoint(directory).get("id2label")
    labels = told if isinstance(told, dict) else {}
    return tuple(str(labels.get(str(i), f"LABEL_{i}")) for i in range(config.tokens))


def read_network(directory: Path, config: Config) -> Wav2Vec2:
    """The network with the directory's weights, float32, on the CPU.

    Raises InputError for weights that are missing, unknown, or of another shape. What training of
    the original needed besides (quantisers, projections) is left out; where there is no embedding
    for hidden frames it is drawn from torch's generator.
    """
    path = directory / "model.safetensors"
    _check_room(path, config)
    network = Wav2Vec2(config)
    if exported(directory) is not None:
        load_weights(directory, network)
        return network
    state = dict(_renamed(_tensors(path), config))
    own = network.state_dict()
    hidden = "encoder.mask_embedding"
    if hidden in own:
        state.setdefault(hidden, own[hidden])
    else:
        state.pop(hidden, None)
    missing, foreign = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    if missing or foreign:
        raise InputError(
            f"{path}: {len(missing)} weights missing ({', '.join(missing[:3])}), {len(foreign)} "
            f"unknown ({', '.join(foreign[:3])}); config.json is another network's"
        )
    fill(network, state, path)
    return network


def _check_room(path: Path, config: Config) -> None:
    """InputError where the network would be much larger than the file, before it is built."""
    held = sum(map(prod, weight_shapes([path]).values()))
    with torch.device("meta"):
        network = Wav2Vec2(config)
    told = sum(each.numel() for each in network.parameters())
    if told > 2 * held + SLACK:
        raise InputError(f"{path} holds {held} numbers; config.json tells of {told} weights")


def fill(network: Wav2Vec2, state: Mapping[str, Tensor], path: Path) -> None:
    """Put weights, by the network's own names, into it; InputError names one that does not fit."""
    own = network.state_dict()
    for name, value in state.items():
        if name not in own or value.shape != own[name].shape:
            there = tuple(own[name].shape) if name in own else "not there"
            raise InputError(
                f"{path}: {name} is {tuple(value.shape)}; in the network it is {there}"
            )
    network.load_state_dict(dict(state), strict=False)


def read_adapter(directory: Path, language: str, network: Wav2Vec2) -> dict[str, Tensor]:
    """The weights of one of MMS's languages, by the network's own names: adapters and head, all of
    them and nothing else; InputError for others."""
    path = directory / f"adapter.{language}.safetensors"
    state = dict(_renamed(_tensors(path), network.config))
    outputs = len(state.get(_BIAS, ()))
    wanted = {
        name: tuple(value.shape)
        for name, value in network.state_dict().items()
        if ".adapter." in name or name in (_WEIGHT, _BIAS)
    }
    wanted |= {_WEIGHT: (outputs, network.config.d_model), _BIAS: (outputs,)}
    found = {name: tuple(value.shape) for name, value in state.items()}
    if found != wanted or not outputs:
        odd = sorted(
            name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)
        )
        raise InputError(
            f"{path}: not the adapters and the head of this network ({', '.join(odd[:3])})"
        )
    return state


def adapters(directory: Path) -> tuple[str, ...]:
    """The languages that have adapters, sorted."""
    found = (path.name.split(".") for path in directory.glob("adapter.*.safetensors"))
    return tuple(sorted(parts[1] for parts in found if len(parts) == 3))


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: can't be read as safetensors: {error}") from error
    if complex_ := [name for name, value in tensors.items() if value.is_complex()]:
        raise InputError(f"{path}: {complex_[0]} has complex numbers")
    return tensors


def _renamed(tensors: Mapping[str, Tensor], config: Config) -> Iterator[tuple[str, Tensor]]:
    """Weights by the network's own names, float32: those of the encoder, and of its head."""
    prefix = f"{config.kind}."
    bare = not any(name.startswith(prefix) for name in tensors)
    heads = {} if config.head == "none" else _HEAD_NAMES
    for name, value in tensors.items():
        head = next((each for each in heads if name.startswith(each)), None)
        if head is not None:
            yield heads[head] + name.removeprefix(head), value.float()
        elif name.startswith(prefix) or bare:
            yield _encoder_name(name.removeprefix(prefix)), value.float()


def _encoder_name(name: str) -> str:
    for pattern, ours in _ENCODER_NAMES:
        name = re.sub(pattern, ours, name)
    return f"encoder.{name}"


def read_features(directory: Path, config: Config) -> Features:
    """What preprocessor_config.json says, or transformers' defaults where there is none."""
    about = exported(directory)
    if about is not None:
        if config.kind == "mctct":
            return about.features
        return Samples(about.features.sample_rate, about.features.normalise == "utterance")
    path = directory / "preprocessor_config.json"
    written = read_object(path, MAX_JSON_BYTES) if path.is_file() else {}
    rate = written.get("sampling_rate", 16000)
    if not isinstance(rate, int) or not 1000 <= rate <= 384_000:
        raise InputError(f"{path}: sampling_rate is {rate!r}; give a rate in Hz")
    if config.kind == "mctct":
        return MCTCTFeatures(config.n_mels, rate)
    return Samples(rate, bool(written.get("do_normalize", True)))


def default_language(directory: Path) -> str:
    """The language that the weights of model.safetensors write, where vocab.json has several; ""
    where it tells none."""
    written = read_object(directory / "vocab.json", MAX_JSON_BYTES)
    if not any(isinstance(value, dict) for value in written.values()):
        return ""
    return str(_settings(directory).get("target_lang") or USUAL_LANGUAGE)


def read_vocabulary(
    directory: Path, config: Config, language: str = "", outputs: int = 0
) -> Vocabulary:
    """The tokens of vocab.json, of one language where it has several, whose head has so many
    outputs.

    Tokens that are no text are left out, the one that pads, which is the blank, comes first. Where
    there is a word delimiter, tokens are letters or pieces of words; else, where one has several
    letters (phones, say), each is a word of its own.
    """
    about = exported(directory)
    if about is not None:
        return Vocabulary(about.tokenizer, tuple(range(about.tokenizer.size)))
    numbers = _numbers(directory, language, outputs or config.tokens)
    settings = _settings(directory)
    delimiter = settings.get("word_delimiter_token", "|")
    blank = check_checkpoint(directory).get("pad_token_id")
    blank = (1 if config.kind == "mctct" else 0) if blank is None else blank
    if type(blank) is not int or not 0 <= blank < (outputs or config.tokens):
        raise InputError(f"{directory}/config.json: pad_token_id is {blank!r}, which is no output")
    texts = {
        number: SPACE if text == delimiter else text
        for text, number in numbers.items()
        if number != blank and not _SPECIAL.fullmatch(text)
    }
    if settings.get("do_lower_case"):
        texts = {number: text.lower() for number, text in texts.items()}
    if len(texts) < sum(number in texts for number in numbers.values()):
        raise InputError(f"{directory / 'vocab.json'}: a number stands for two texts")
    in_order = sorted(texts)
    symbols = tuple(texts[number] for number in in_order)
    apart = SPACE not in symbols and any(len(symbol) > 1 for symbol in symbols)
    try:
        tokenizer = Tokenizer("words" if apart else "pieces", symbols)
    except InputError as error:
        raise InputError(f"{directory / 'vocab.json'}: {error}") from error
    return Vocabulary(tokenizer, (blank, *in_order))


def _numbers(directory: Path, language: str, tokens: int) -> dict[str, int]:
    path = directory / "vocab.json"
    written = read_object(path, MAX_JSON_BYTES)
    chosen = language or default_language(directory)
    if chosen:
        if not isinstance(written.get(chosen), dict):
            raise UnknownName("language", chosen, tuple(sorted(written)))
        written = written[chosen]
    for text, number in written.items():
        if type(number) is not int or not 0 <= number < tokens:
            raise InputError(f"{path}: {text!r} is number {number!r}; there are {tokens} outputs")
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise InputError(f"{path}: {text!r} is half a character")
    return written


def _settings(directory: Path) -> dict[str, Any]:
    path = directory / "tokenizer_config.json"
    return read_object(path, MAX_JSON_BYTES) if path.is_file() else {}


def exported(directory: Path) -> Exported | None:
    """What training wrote in the directory; None where somebody else did."""
    path = directory / "config.json"
    written = read_object(path, MAX_JSON_BYTES) if path.is_file() else {}
    return read_exported(directory) if "family" in written else None
