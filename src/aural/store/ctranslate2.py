"""CTranslate2's format of Whisper: a directory of the user's own is checked, and arrays are read.

CTranslate2 trusts a directory: ids beyond the vocabulary, heads that are not there or sizes that
don't match end the process rather than the call. So what it will use is checked before it is
loaded: every variable's name, type and shape against Whisper's layout (Radford et al. 2022), and
the ids in the JSON files against the vocabulary.

model.bin, binary version 6, little-endian: u32 version, spec name, u32 revision, u32 count; each
variable a name, u8 rank, u32 dimensions, u8 type, u32 bytes, data; u32 count of aliases, each
two names. A name is a u16 length, then bytes ending in NUL, which counts.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BINARY_VERSION = 6
MAX_REVISION = 3
MAX_VARIABLES = 10_000
MAX_NAME_BYTES = 256
MAX_RANK = 3
MAX_LAYERS = 128
MAX_WIDTH = 1 << 15
MAX_VOCABULARY = 1 << 18
ENCODER_POSITIONS = 1500
DECODER_POSITIONS = 448
MEL_BANDS = (80, 128)
MAX_BYTES = {
    "config.json": 1 << 20,
    "preprocessor_config.json": 1 << 22,
    "tokenizer.json": 1 << 25,
    "vocabulary.txt": 1 << 24,
    "vocabulary.json": 1 << 24,
}
END, START = "<|endoftext|>", "<|startoftranscript|>"
PREVIOUS, NO_TIMESTAMPS = "<|startofprev|>", "<|notimestamps|>"
TASKS = ("<|transcribe|>", "<|translate|>")

_FLOAT32, _INT8, _INT16, _INT32, _FLOAT16, _BFLOAT16 = range(6)
_ITEM_BYTES = (4, 1, 2, 4, 2, 2)
_NUMPY = ("<f4", "i1", "<i2", "<i4", "<f2", "<u2")
_FLOATS = (_FLOAT32, _FLOAT16, _BFLOAT16)
_INTEGERS = {_INT8: "<b", _INT16: "<h", _INT32: "<i"}
_FLAGS = {
    "decoder/activation": range(3, 4),  # GELU
    "decoder/alibi": range(1),
    "decoder/alibi_use_positive_positions": range(2),
    "decoder/pre_norm": range(1, 2),
    "decoder/scale_alibi": range(2),
    "decoder/scale_embeddings": range(1),
    "decoder/start_from_zero_embedding": range(1),
}


@dataclass(frozen=True)
class WhisperShape:
    """What a checked directory holds. vocabulary: tokens; d_model: width of a state."""

    n_mels: int
    multilingual: bool
    vocabulary: int
    d_model: int
    encoder_layers: int
    encoder_heads: int
    decoder_layers: int
    decoder_heads: int


class _Mismatch(Exception):
    """One thing that is wrong, named by its file; becomes an InputError."""


@dataclass(frozen=True)
class _Variable:
    """shape is () for a scalar; value is a scalar integer's; offset is where its bytes begin."""

    shape: tuple[int, ...]
    dtype: int
    value: int | None
    offset: int


def check_whisper_directory(directory: Path) -> WhisperShape:
    """The shape of the Whisper model in directory, as far as the runtime may trust it.

    Raises InputError, one sentence that names the file, when a file is missing, damaged, too large
    or disagrees with another.
    """
    try:
        tokens = _vocabulary(directory)
        shape = _shape(_variables(directory / "model.bin"), tokens)
        _check_front(directory, shape)
        config = _object(directory, "config.json")
        _check_config(config, shape)
        ids = _tokenizer_ids(_object(directory, "tokenizer.json"), shape.vocabulary)
        _check_order(ids, tokens, shape)
        if shape.multilingual:
            _check_languages(ids, [tokens[number] for number in config["lang_ids"]])
    except _Mismatch as error:
        raise InputError(
            f"{directory} holds no usable Whisper model: {error}; convert it again to CTranslate2's"
            " format"
        ) from error
    except OSError as error:
        raise InputError(f"{directory} can't be read: {error.strerror or error}") from error
    return shape


def read_arrays(directory: Path) -> Mapping[str, np.ndarray]:
    """The arrays of a checked directory's model.bin by name, mapped from the file where they are of
    float32 or float16, and made float32 where they are quantised; attributes as arrays of shape ().

    Raises InputError when model.bin can't be read.
    """
    path = directory / "model.bin"
    try:
        variables = _variables(path)
        data = np.memmap(path, np.uint8, "r")
    except (_Mismatch, OSError, ValueError) as error:
        raise InputError(f"{path} can't be read: {error}") from error
    return _Arrays(data, variables)


class _Arrays(Mapping[str, np.ndarray]):
    """Arrays made when they are asked for: all in float32 at once may be more than there is room
    for."""

    def __init__(self, data: np.memmap, variables: Mapping[str, _Variable]) -> None:
        self._data, self._variables = data, variables

    def __getitem__(self, name: str) -> np.ndarray:
        scale = self._variables.get(f"{name}_scale")
        return _array(self._data, self._variables[name], scale)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._variables if not name.endswith("_scale"))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _array(data: np.memmap, variable: _Variable, scale: _Variable | None) -> np.ndarray:
    kind = _NUMPY[variable.dtype]
    size = math.prod(variable.shape) * _ITEM_BYTES[variable.dtype]
    raw = data[variable.offset : variable.offset + size].view(kind).reshape(variable.shape)
    if variable.dtype == _BFLOAT16:
        return (raw.astype(np.uint32) << 16).view(np.float32)
    if scale is None:
        return raw
    steps = np.asarray(_array(data, scale, None), np.float32)
    return raw / steps.reshape(-1, *[1] * (raw.ndim - 1))


def _bytes(directory: Path, name: str) -> bytes:
    path = directory / name
    if not path.is_file():
        raise _Mismatch(f"there is no {name}")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES[name] + 1)
    if len(data) > MAX_BYTES[name]:
        raise _Mismatch(f"{name} has more than {MAX_BYTES[name]} bytes")
    return data


def _text(directory: Path, name: str) -> str:
    try:
        return _bytes(directory, name).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _Mismatch(f"{name} is not UTF-8") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's keys; which of two alike counts would depend on the reader."""
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key comes twice")
    return content


def _json(directory: Path, name: str) -> Any:
    try:
        return json.loads(
            _text(directory, name), parse_constant=_refuse_constant, object_pairs_hook=_unique
        )
    except RecursionError as error:
        raise _Mismatch(f"{name} is nested too deeply") from error
    except ValueError as error:
        raise _Mismatch(f"{name} is not JSON ({error})") from error


def _object(directory: Path, name: str) -> dict[str, Any]:
    content = _json(directory, name)
    if not isinstance(content, dict):
        raise _Mismatch(f"{name} holds no JSON object")
    return content


def _vocabulary(directory: Path) -> list[str]:
    """The tokens by id, from the file that the runtime reads: JSON where there are both."""
    if (directory / "vocabulary.json").is_file():
        tokens = _json(directory, "vocabulary.json")
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise _Mismatch("vocabulary.json is no list of tokens")
    else:
        tokens = _text(directory, "vocabulary.txt").split("\n")
        if not tokens[-1]:
            tokens.pop()
        if all(token.endswith("\r") for token in tokens):
            tokens = [token[:-1] for token in tokens]
    if len(tokens) > MAX_VOCABULARY:
        raise _Mismatch(f"the vocabulary has {len(tokens)} tokens of at most {MAX_VOCABULARY}")
    return tokens


class _Reader:
    """Reads model.bin front to back; a read or step beyond its end is a _Mismatch."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.left = os.fstat(file.fileno()).st_size

    def take(self, count: int) -> bytes:
        self._count(count)
        data = self.file.read(count)
        if len(data) != count:
            raise _Mismatch("model.bin changed while it was read")
        return data

    def skip(self, count: int) -> None:
        self._count(count)
        self.file.seek(count, os.SEEK_CUR)

    def number(self, code: str) -> int:
        (value,) = struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))
        return int(value)

    def name(self) -> str:
        length = self.number("H")
        if not 1 < length <= MAX_NAME_BYTES:
            raise _Mismatch(f"model.bin has a name of {length} bytes")
        data = self.take(length)
        if data.find(b"\0") != length - 1 or not data[:-1].isascii():
            raise _Mismatch("model.bin has a name that is not plain text")
        return data[:-1].decode("ascii")

    def _count(self, count: int) -> None:
        if count > self.left:
            raise _Mismatch("model.bin ends too early")
        self.left -= count


def _variables(path: Path) -> dict[str, _Variable]:
    """Every variable of model.bin by name, those under an alias too."""
    if not path.is_file():
        raise _Mismatch("there is no model.bin")
    with path.open("rb") as file:
        reader = _Reader(file)
        version = reader.number("I")
        if version != BINARY_VERSION:
            raise _Mismatch(f"model.bin is not of binary version {BINARY_VERSION}")
        spec = reader.name()
        if spec != "WhisperSpec":
            raise _Mismatch(f"model.bin is a {spec}, not a WhisperSpec")
        revision = reader.number("I")
        if revision > MAX_REVISION:
            raise _Mismatch(f"model.bin has revision {revision} of at most {MAX_REVISION}")
        variables: dict[str, _Variable] = {}
        for _ in range(_number_of(reader, "variables")):
            name = reader.name()
            if name in variables:
                raise _Mismatch(f"model.bin has {name} twice")
            variables[name] = _variable(reader, name)
        aliases = _aliases(reader, variables)
        if reader.left:
            raise _Mismatch(f"model.bin has {reader.left} bytes after its end")
    return {**variables, **aliases}


def _number_of(reader: _Reader, what: str) -> int:
    count = reader.number("I")
    if count > MAX_VARIABLES:
        raise _Mismatch(f"model.bin has {count} {what} of at most {MAX_VARIABLES}")
    return count


def _variable(reader: _Reader, name: str) -> _Variable:
    rank = reader.number("B")
    if rank > MAX_RANK:
        raise _Mismatch(f"model.bin's {name} has {rank} dimensions")
    shape = tuple(reader.number("I") for _ in range(rank))
    dtype, size = reader.number("B"), reader.number("I")
    if dtype >= len(_ITEM_BYTES):
        raise _Mismatch(f"model.bin's {name} has the unknown type {dtype}")
    if size != math.prod(shape) * _ITEM_BYTES[dtype]:
        raise _Mismatch(f"model.bin's {name} has {size} bytes, not what its shape {shape} takes")
    offset = reader.file.tell()
    if shape or dtype not in _INTEGERS:
        reader.skip(size)
        return _Variable(shape, dtype, None, offset)
    (value,) = struct.unpack(_INTEGERS[dtype], reader.take(size))
    return _Variable(shape, dtype, value, offset)


def _aliases(reader: _Reader, variables: Mapping[str, _Variable]) -> dict[str, _Variable]:
    """What the aliases stand for. The runtime lets the scale of a quantised weight follow it."""
    found: dict[str, _Variable] = {}
    for _ in range(_number_of(reader, "aliases")):
        alias, name = reader.name(), reader.name()
        if alias in variables or alias in found:
            raise _Mismatch(f"model.bin has {alias} twice")
        if name not in variables or not variables[name].shape:
            raise _Mismatch(f"model.bin's {alias} stands for {name}, which is no array in it")
        # Weights are quantised on loading, by their name; nothing else may share their memory.
        if _is_weight(alias) != _is_weight(name) or "_scale" in alias + name:
            raise _Mismatch(f"model.bin's {alias} can't stand for {name}")
        found[alias] = variables[name]
        if f"{name}_scale" in variables:
            found[f"{alias}_scale"] = variables[f"{name}_scale"]
    return found


def _is_weight(name: str) -> bool:
    return name.endswith("/weight")


def _shape(variables: Mapping[str, _Variable], tokens: Sequence[str]) -> WhisperShape:
    """The sizes that a few variables give; then all others must have them too."""
    _, n_mels, _ = _dimensions(variables, "encoder/conv1/weight", 3)
    rows, d_model = _dimensions(variables, "decoder/embeddings/weight", 2)
    if n_mels not in MEL_BANDS:
        raise _Mismatch(f"model.bin takes {n_mels} mel bands; Whisper has 80 or 128")
    if rows != len(tokens):
        raise _Mismatch(f"model.bin has {rows} tokens and the vocabulary {len(tokens)}")
    heads = {side: _heads(variables, side, d_model) for side in ("encoder", "decoder")}
    layers = {side: _layers(variables, side) for side in ("encoder", "decoder")}
    shape = WhisperShape(
        n_mels=n_mels,
        multilingual="" in tokens,  # so the runtime tells them: '.en' vocabularies have no ""
        vocabulary=rows,
        d_model=d_model,
        encoder_layers=layers["encoder"],
        encoder_heads=heads["encoder"],
        decoder_layers=layers["decoder"],
        decoder_heads=heads["decoder"],
    )
    _check_variables(variables, shape)
    return shape


def _dimensions(variables: Mapping[str, _Variable], name: str, rank: int) -> tuple[int, ...]:
    shape = variables[name].shape if name in variables else ()
    if len(shape) != rank or not all(0 < size <= MAX_VOCABULARY for size in shape):
        raise _Mismatch(f"model.bin has no usable {name}")
    return shape


def _heads(variables: Mapping[str, _Variable], side: str, d_model: int) -> int:
    variable = variables.get(f"{side}/num_heads")
    heads = variable.value if variable else None
    if heads is None or heads < 1 or d_model % heads:
        raise _Mismatch(f"model.bin's {side} has {heads} heads for a width of {d_model}")
    return heads


def _layers(variables: Mapping[str, _Variable], side: str) -> int:
    count = 0
    while f"{side}/layer_{count}/self_attention/linear_0/weight" in variables:
        count += 1
    if not 1 <= count <= MAX_LAYERS:
        raise _Mismatch(f"model.bin's {side} has {count} layers; it may have 1 to {MAX_LAYERS}")
    return count


def _check_variables(variables: Mapping[str, _Variable], shape: WhisperShape) -> None:
    attributes = {
        **_FLAGS,
        "encoder/num_heads": range(shape.encoder_heads, shape.encoder_heads + 1),
        "decoder/num_heads": range(shape.decoder_heads, shape.decoder_heads + 1),
        "decoder/alignment_heads": range(shape.decoder_heads + 1),
        "decoder/alignment_layer": range(-shape.decoder_layers, shape.decoder_layers),
    }
    layout = dict(_layout(variables, shape))
    scales = {f"{name}_scale" for name in layout if _is_weight(name)}
    for name, variable in variables.items():
        if name in attributes and variable.value not in attributes[name]:
            raise _Mismatch(f"model.bin's {name} is {variable.value}, which Whisper never has")
        if name in _FLAGS and variable.dtype != _INT8:
            raise _Mismatch(f"model.bin's {name} is of the wrong type")
        if name not in attributes and name not in layout and name not in scales:
            raise _Mismatch(f"model.bin has {name}, which is no part of Whisper")
    for name, dimensions in layout.items():
        if name not in variables:
            raise _Mismatch(f"model.bin has no {name}")
        if variables[name].shape != dimensions:
            raise _Mismatch(
                f"model.bin's {name} has the shape {variables[name].shape}; {dimensions} fits"
            )
        _check_type(variables, name)
    linear = {variables[n].dtype for n in layout if _is_weight(n) and "/conv" not in n}
    if len(linear) > 1:
        raise _Mismatch("model.bin's weights are of more than one type")


def _check_type(variables: Mapping[str, _Variable], name: str) -> None:
    """Floats, or a weight quantised: int8 with a scale for every row, int16 with one."""
    dtype = variables[name].dtype
    scale = variables.get(f"{name}_scale")
    expected = {_INT8: variables[name].shape[:1], _INT16: ()}.get(dtype)
    if dtype in _FLOATS and scale is None:
        return
    if expected is None or not _is_weight(name):
        raise _Mismatch(f"model.bin's {name} is of the wrong type")
    if scale is None or scale.shape != expected or scale.dtype != _FLOAT32:
        raise _Mismatch(f"model.bin's {name} has no fitting scale")


def _layout(
    variables: Mapping[str, _Variable], shape: WhisperShape
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every array of a Whisper of this shape."""
    d = shape.d_model
    yield "encoder/conv1/weight", (d, shape.n_mels, 3)
    yield "encoder/conv1/bias", (d,)
    yield "encoder/conv2/weight", (d, d, 3)
    yield "encoder/conv2/bias", (d,)
    yield "encoder/position_encodings/encodings", (ENCODER_POSITIONS, d)
    yield "decoder/position_encodings/encodings", (DECODER_POSITIONS, d)
    yield "decoder/embeddings/weight", (shape.vocabulary, d)
    yield "decoder/projection/weight", (shape.vocabulary, d)
    for side, layers in (("encoder", shape.encoder_layers), ("decoder", shape.decoder_layers)):
        yield from _norm(side, d)
        for layer in (f"{side}/layer_{i}" for i in range(layers)):
            inner, _ = _dimensions(variables, f"{layer}/ffn/linear_0/weight", 2)
            if max(inner, d) > MAX_WIDTH:
                raise _Mismatch(f"model.bin's {layer} is wider than {MAX_WIDTH}")
            yield from _block(f"{layer}/self_attention", d, ((3 * d, d), (d, d)))
            if side == "decoder":
                yield from _block(f"{layer}/attention", d, ((d, d), (2 * d, d), (d, d)))
            yield from _block(f"{layer}/ffn", d, ((inner, d), (d, inner)))


def _norm(scope: str, d_model: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{scope}/layer_norm/beta", (d_model,)
    yield f"{scope}/layer_norm/gamma", (d_model,)


def _block(
    scope: str, d_model: int, linear: tuple[tuple[int, int], ...]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _norm(scope, d_model)
    for i, (rows, columns) in enumerate(linear):
        yield f"{scope}/linear_{i}/weight", (rows, columns)
        yield f"{scope}/linear_{i}/bias", (rows,)


def _check_front(directory: Path, shape: WhisperShape) -> None:
    name = "preprocessor_config.json"
    if not (directory / name).exists():
        return
    bands = _object(directory, name).get("feature_size", shape.n_mels)
    if bands != shape.n_mels:
        raise _Mismatch(f"{name} asks for {bands!r:.40} mel bands and model.bin for {shape.n_mels}")


def _is_id(value: object, end: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < end


def _check_config(config: Mapping[str, Any], shape: WhisperShape) -> None:
    for name in ("suppress_ids", "suppress_ids_begin", "lang_ids"):
        ids = config.get(name, "")
        if ids is not None and not isinstance(ids, list):
            raise _Mismatch(f"config.json has no list {name}")
        if not all(_is_id(token, shape.vocabulary) for token in ids or ()):
            raise _Mismatch(f"config.json's {name} are not ids from 0 to {shape.vocabulary - 1}")
    if shape.multilingual and not config["lang_ids"]:
        raise _Mismatch("config.json's lang_ids are empty")
    heads = config.get("alignment_heads")
    if not isinstance(heads, list) or not heads:
        raise _Mismatch("config.json has no alignment_heads, which word times are made from")
    if len(heads) > shape.decoder_layers * shape.decoder_heads:
        raise _Mismatch("config.json has more alignment_heads than there are heads")
    ends = (shape.decoder_layers, shape.decoder_heads)
    for pair in heads:
        if not isinstance(pair, list) or len(pair) != 2 or not all(map(_is_id, pair, ends)):
            raise _Mismatch(
                f"config.json's alignment_heads are not pairs of a layer below {ends[0]} and a"
                f" head below {ends[1]}"
            )


def _check_order(ids: Mapping[str, int], tokens: Sequence[str], shape: WhisperShape) -> None:
    """The special tokens are the vocabulary's, in the order that decoding relies on.

    Tasks and languages lie between <|startoftranscript|> and <|notimestamps|>.
    """
    prompt = [token for token in ids if _is_language(token)] if shape.multilingual else []
    tasks = TASKS if shape.multilingual else ()
    for token in (END, START, PREVIOUS, NO_TIMESTAMPS, *tasks, *prompt):
        if token not in ids or tokens[ids[token]] != token or tokens.index(token) != ids[token]:
            raise _Mismatch(f"tokenizer.json and the vocabulary have no {token} in common")
    inner = [ids[token] for token in (PREVIOUS, *tasks, *prompt)]
    if not 0 < ids[END] < ids[START] < min(inner) <= max(inner) < ids[NO_TIMESTAMPS]:
        raise _Mismatch("tokenizer.json's special tokens are not in Whisper's order")


def _check_languages(ids: Mapping[str, int], languages: Sequence[str]) -> None:
    for token in languages:
        if token not in ids or not _is_language(token):
            raise _Mismatch(f"config.json's lang_ids name {token[:40]!r}, which is no language")


def _is_language(token: str) -> bool:
    return token[:2] == "<|" and token[-2:] == "|>" and len(token) < 8 and token[2:-2].isalpha()


def _tokenizer_ids(tokenizer: Mapping[str, Any], end: int) -> dict[str, int]:
    """Token -> id, as the tokenizers library numbers them: added tokens follow the vocabulary."""
    model = tokenizer.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(model, dict) or not isinstance(vocabulary, dict) or not _is_plain(tokenizer):
        raise _Mismatch("tokenizer.json is no byte-level BPE such as Whisper's")
    if not all(_is_id(number, end) for number in vocabulary.values()):
        raise _Mismatch(f"tokenizer.json's ids are not from 0 to {end - 1}")
    ids: dict[str, int] = dict(vocabulary)
    added = tokenizer.get("added_tokens") or []
    if not isinstance(added, list):
        raise _Mismatch("tokenizer.json's added_tokens are no list")
    following, seen = len(vocabulary), set()
    for entry in added:
        token = entry.get("content") if isinstance(entry, dict) else None
        if not isinstance(token, str) or not token or token in seen:
            raise _Mismatch("tokenizer.json has an added token without a text of its own")
        number = ids.setdefault(token, following)
        following = max(following, number + 1)
        seen.add(token)
        if entry.get("id") != number or not _is_id(number, end):
            raise _Mismatch(f"tokenizer.json's {token[:40]!r} has an id out of its order")
    return ids


def _is_plain(tokenizer: Mapping[str, Any]) -> bool:
    """Whether it is built as Whisper's is; other parts may run any pattern, or end in a panic."""
    model = tokenizer["model"]
    parts = {name: tokenizer.get(name) for name in ("pre_tokenizer", "decoder", "post_processor")}
    kinds = {
        name: part.get("type") if isinstance(part, dict) else part for name, part in parts.items()
    }
    unknown = model.get("unk_token")
    return bool(
        model.get("type", "BPE") == "BPE"
        and model.get("dropout") is None
        and not model.get("continuing_subword_prefix")
        and not model.get("end_of_word_suffix")
        and (unknown is None or (isinstance(unknown, str) and unknown in model["vocab"]))
        and tokenizer.get("normalizer") is None
        and kinds["pre_tokenizer"] == kinds["decoder"] == "ByteLevel"
        and kinds["post_processor"] in (None, "TemplateProcessing", "ByteLevel")
    )
