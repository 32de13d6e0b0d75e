"""A damaged or hostile Whisper directory is refused in a sentence; one that passes never crashes.

The miniature model is written here after the format's description; that CTranslate2 loads it and
that CTranslate2's own writer passes the check hold the two to each other.
"""

import copy
import json
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aural.errors import InputError
from aural.store.ctranslate2 import WhisperShape, check_whisper_directory, read_arrays

LETTERS = [*"abcdefghijklmnopqrstuvwxyz", "Ġ", ""]
SPECIAL = ["endoftext", "startoftranscript", "en", "de", "translate", "transcribe", "startoflm"]
SPECIAL += ["startofprev", "nocaptions", "notimestamps"]
TOKENS = [*LETTERS, *(f"<|{name}|>" for name in SPECIAL), *(f"<|{i / 50:.2f}|>" for i in range(8))]
D_MODEL, LAYERS, HEADS = 8, 2, 2
SHAPE = WhisperShape(80, True, len(TOKENS), D_MODEL, LAYERS, HEADS, LAYERS, HEADS)

RUN = """
import sys
import numpy as np
from pathlib import Path
from tokenizers import Tokenizer
from aural.models import whisper
from aural.models.whisper import gpu
from aural.store.ctranslate2 import check_whisper_directory
gpu.DEVICE = "cpu"
sound = np.sin(np.arange(16000) / 20).astype(np.float32)
for name in sys.stdin.read().split():
    print(name, end=" ", flush=True)
    shape = check_whisper_directory(Path(name))
    try:
        tokenizer = Tokenizer.from_file(name + "/tokenizer.json")
    except Exception as error:
        print("refused", error, flush=True)
        continue
    assert max(tokenizer.get_vocab(with_added_tokens=True).values()) < shape.vocabulary
    config = whisper.Config(n_mels=shape.n_mels, multilingual=shape.multilingual)
    model = whisper.load(Path(name), config, device="cpu", compute_type="int8", threads=1)
    theirs = gpu.GpuEngine(
        Path(name), n_mels=shape.n_mels, end=model.numbers.end, compute_type="int8", threads=1
    )
    assert theirs.model.is_multilingual == shape.multilingual
    for engine in (model.engine, theirs):
        model.engine = engine
        model.identify_language([sound])
        (text,) = model.recognise([sound], whisper.DecodingOptions(beam_size=2))
    print("ran", flush=True)
"""
"""Goes on to the next directory only when one neither crashed nor raised."""


def arrays() -> dict[str, np.ndarray]:
    """Random weights of a Whisper as small as the layout allows; scalars are its attributes."""
    draw = np.random.default_rng(0)

    def weight(*shape: int) -> np.ndarray:
        return (0.3 * draw.standard_normal(shape)).astype(np.float32)

    d = D_MODEL
    found: dict[str, np.ndarray] = {
        "decoder/activation": np.int8(3),
        "decoder/alignment_heads": np.int16(1),
        "decoder/alignment_layer": np.int16(-1),
        "decoder/embeddings/weight": weight(len(TOKENS), d),
        "decoder/pre_norm": np.int8(1),
        "decoder/scale_embeddings": np.int8(0),
        "decoder/position_encodings/encodings": weight(448, d),
        "encoder/position_encodings/encodings": weight(1500, d),
        "encoder/conv1/weight": weight(d, 80, 3),
        "encoder/conv1/bias": weight(d),
        "encoder/conv2/weight": weight(d, d, 3),
        "encoder/conv2/bias": weight(d),
    }
    attention = {"self_attention": ((3 * d, d), (d, d))}
    crossed = {"attention": ((d, d), (2 * d, d), (d, d))}
    for side, parts in (("encoder", {}), ("decoder", crossed)):
        found[f"{side}/num_heads"] = np.int16(HEADS)
        scopes = {side: ()}
        for layer in range(LAYERS):
            blocks = {**attention, **parts, "ffn": ((4 * d, d), (d, 4 * d))}
            scopes |= {f"{side}/layer_{layer}/{block}": shapes for block, shapes in blocks.items()}
        for scope, shapes in scopes.items():
            found[f"{scope}/layer_norm/beta"] = weight(d)
            found[f"{scope}/layer_norm/gamma"] = weight(d)
            for i, shape in enumerate(shapes):
                found[f"{scope}/linear_{i}/weight"] = weight(*shape)
                found[f"{scope}/linear_{i}/bias"] = weight(shape[0])
    return dict(sorted(found.items()))


ALIASES = (("decoder/projection/weight", "decoder/embeddings/weight"),)
TYPES = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}


def encode(
    variables: dict[str, np.ndarray],
    aliases: tuple[tuple[str, str], ...] = ALIASES,
    spec: str = "WhisperSpec",
) -> tuple[bytes, list[int]]:
    """model.bin, and the positions of the bytes that are not weights."""

    def name(text: str) -> bytes:
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    data = struct.pack("<I", 6) + name(spec) + struct.pack("<II", 3, len(variables))
    header = list(range(len(data)))
    for key, value in ((key, np.asarray(value)) for key, value in variables.items()):
        head = name(key) + struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        head += struct.pack("<BI", TYPES[str(value.dtype)], value.nbytes)
        header += range(len(data), len(data) + len(head) + (0 if value.ndim else value.nbytes))
        data += head + value.tobytes()
    tail = struct.pack("<I", len(aliases)) + b"".join(name(a) + name(b) for a, b in aliases)
    header += range(len(data), len(data) + len(tail))
    return data + tail, header


MODEL, HEADER = encode(arrays())


def contents() -> dict[str, Any]:
    """The JSON files of the miniature."""
    added = [
        {
            "id": number,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for number, token in enumerate(TOKENS)
        if token in {f"<|{name}|>" for name in SPECIAL}
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {**byte_level, "use_regex": True},
        "post_processor": None,
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "vocab": {token: number for number, token in enumerate(LETTERS)},
            "merges": [],
        },
    }
    config = {
        "alignment_heads": [[0, 1], [1, 0]],
        "lang_ids": [30, 31],
        "suppress_ids": [1, 2, 29, 35],
        "suppress_ids_begin": [26, 28],
    }
    return {
        "config.json": config,
        "preprocessor_config.json": {"feature_size": 80, "hop_length": 160},
        "tokenizer.json": tokenizer,
        "vocabulary.json": list(TOKENS),
    }


def write(folder: Path, model: bytes = MODEL, files: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.bin").write_bytes(model)
    for name, content in (contents() if files is None else files).items():
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / name).write_bytes(text)
    return folder


def changed(name: str, **values: object) -> dict[str, Any]:
    files = contents()
    files[name].update(values)
    return files


def run(folders: list[Path]) -> dict[str, str]:
    """What became of each folder's model in a child process: "ran" or "refused ..."."""
    result = subprocess.run(
        [sys.executable, "-c", RUN],
        input="\n".join(map(str, folders)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, (result.returncode, result.stdout[-300:], result.stderr[-1500:])
    return dict(line.split(" ", 1) for line in result.stdout.splitlines())


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        check_whisper_directory(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500 + len(str(folder))
    return message


def test_miniature_passes_and_runs(tmp_path: Path) -> None:
    folder = write(tmp_path / "mini")
    assert check_whisper_directory(folder) == SHAPE
    english = contents()
    english["vocabulary.json"][27] = "letter"
    english["tokenizer.json"]["model"]["vocab"] = {
        **dict(zip(LETTERS[:27], range(27), strict=True)),
        "letter": 27,
    }
    other = write(tmp_path / "english", files=english)
    assert not check_whisper_directory(other).multilingual
    assert set(run([folder, other]).values()) == {"ran"}


def test_vocabulary_may_be_text(tmp_path: Path) -> None:
    files = contents()
    folder = write(tmp_path / "lf", files=files)
    (folder / "vocabulary.json").unlink()
    (folder / "vocabulary.txt").write_text("\n".join(TOKENS) + "\n", "utf-8")
    assert check_whisper_directory(folder) == SHAPE
    other = write(tmp_path / "crlf", files=files)
    (other / "vocabulary.json").unlink()
    (other / "vocabulary.txt").write_bytes("".join(token + "\r\n" for token in TOKENS).encode())
    assert check_whisper_directory(other) == SHAPE
    assert set(run([folder, other]).values()) == {"ran"}


@pytest.mark.parametrize(
    "kind", ["int8", "int8_float16", "int8_bfloat16", "int16", "float16", "bfloat16", "float32"]
)
def test_models_of_the_reference_writer_pass(tmp_path: Path, kind: str) -> None:
    from ctranslate2.specs import WhisperSpec

    spec = WhisperSpec(LAYERS, HEADS, LAYERS, HEADS)
    named = arrays()
    named["decoder/projection/weight"] = named["decoder/embeddings/weight"].copy()
    for name, value in named.items():
        if value.ndim:
            *scope, last = name.split("/")
            part = spec
            for step in scope:
                stem, _, index = step.rpartition("_")
                lists = hasattr(part, stem) and not hasattr(part, step)
                part = getattr(part, stem)[int(index)] if lists else getattr(part, step)
            setattr(part, last, value)
    spec.register_vocabulary(TOKENS)
    spec.validate()
    spec.optimize(quantization=kind)
    spec.save(str(tmp_path))
    files = contents()
    write(tmp_path, (tmp_path / "model.bin").read_bytes(), files)
    assert check_whisper_directory(tmp_path) == SHAPE
    assert set(run([tmp_path]).values()) == {"ran"}


CONFIG = "config.json"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"suppress_ids": [999999999, -5]}, "suppress_ids are not ids from 0 to 45"),
        ({"suppress_ids": [46]}, "suppress_ids are not ids"),
        ({"suppress_ids": [True]}, "suppress_ids are not ids"),
        ({"suppress_ids": [1.0]}, "suppress_ids are not ids"),
        ({"suppress_ids": "x"}, "no list suppress_ids"),
        ({"suppress_ids_begin": [-1]}, "suppress_ids_begin are not ids"),
        ({"lang_ids": [46]}, "lang_ids are not ids"),
        ({"lang_ids": [30, 32]}, "'<|translate|>', which is no language"),
        ({"lang_ids": []}, "lang_ids are empty"),
        ({"lang_ids": None}, "lang_ids are empty"),
        ({"alignment_heads": [[99, 99]]}, "a layer below 2 and a head below 2"),
        ({"alignment_heads": [[0, 2]]}, "a layer below 2 and a head below 2"),
        ({"alignment_heads": [[-1, 0]]}, "a layer below 2 and a head below 2"),
        ({"alignment_heads": [[0, 0, 0]]}, "a layer below 2 and a head below 2"),
        ({"alignment_heads": [0]}, "a layer below 2 and a head below 2"),
        ({"alignment_heads": [[0, 0]] * 5}, "more alignment_heads than"),
        ({"alignment_heads": "x"}, "no alignment_heads"),
        ({"alignment_heads": []}, "no alignment_heads"),
    ],
)
def test_config_out_of_bounds(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    assert words in refusal(write(tmp_path, files=changed(CONFIG, **values)))


@pytest.mark.parametrize("name", ["suppress_ids", "suppress_ids_begin", "lang_ids"])
def test_config_without_a_list(tmp_path: Path, name: str) -> None:
    files = contents()
    del files[CONFIG][name]
    assert f"no list {name}" in refusal(write(tmp_path, files=files))


def test_config_may_suppress_nothing(tmp_path: Path) -> None:
    nothing = [
        write(tmp_path / str(i), files=changed(CONFIG, suppress_ids=v, suppress_ids_begin=v))
        for i, v in enumerate((None, []))
    ]
    everything = changed(CONFIG, suppress_ids=list(range(len(TOKENS))))
    folders = [*nothing, write(tmp_path / "everything", files=everything)]
    assert set(run(folders).values()) == {"ran"}


@pytest.mark.parametrize("name", sorted(contents()))
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b'{"a": NaN}', "is not JSON"),
        (b'{"a": 1, "a": 2}', "a key comes twice"),
        (b"1" * 5000, "is not JSON"),
        (b'{"a": "\xff\xfe"}', "is not UTF-8"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" + b"1," * (1 << 24) + b"1]", "has more than"),
        (b"3", "holds no JSON object|is no list of tokens"),
        (b"[1]", "holds no JSON object|is no list of tokens"),
    ],
    ids=["empty", "cut", "nan", "twice", "number", "bytes", "deep", "deeper", "big", "3", "list"],
)
def test_json_that_is_none(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    files = contents()
    files[name] = content
    message = refusal(write(tmp_path, files=files))
    assert name in message
    assert any(word in message for word in words.split("|"))


@pytest.mark.parametrize("name", ["model.bin", CONFIG, "tokenizer.json", "vocabulary.json"])
def test_file_that_is_missing(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path)
    (folder / name).unlink()
    assert "there is no " + name.replace("y.json", "y.txt") in refusal(folder)
    (folder / name).mkdir()
    assert "there is no " + name.replace("y.json", "y.txt") in refusal(folder)


@pytest.mark.parametrize("bands", [128, 0, "80", None, [80]])
def test_mel_bands_of_the_front_end(tmp_path: Path, bands: object) -> None:
    files = changed("preprocessor_config.json", feature_size=bands)
    assert "model.bin for 80" in refusal(write(tmp_path, files=files))


def test_vocabulary_of_another_length(tmp_path: Path) -> None:
    for i, tokens in enumerate((TOKENS[:-1], [*TOKENS, "more"], [])):
        files = contents()
        files["vocabulary.json"] = tokens
        message = refusal(write(tmp_path / str(i), files=files))
        assert f"has 46 tokens and the vocabulary {len(tokens)}" in message


def _edit(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    *steps, last = path.split("/")

    def apply(tokenizer: dict[str, Any]) -> None:
        part: Any = tokenizer
        for step in steps:
            part = part[int(step)] if isinstance(part, list) else part[step]
        part[int(last) if isinstance(part, list) else last] = value

    return apply


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("model", None, "no byte-level BPE"),
        ("model", [], "no byte-level BPE"),
        ("model/vocab", [], "no byte-level BPE"),
        ("model/type", "Unigram", "no byte-level BPE"),
        ("model/dropout", 0.5, "no byte-level BPE"),
        ("model/continuing_subword_prefix", "####", "no byte-level BPE"),
        ("model/unk_token", "nowhere", "no byte-level BPE"),
        ("normalizer", {"type": "Replace"}, "no byte-level BPE"),
        ("pre_tokenizer", None, "no byte-level BPE"),
        ("pre_tokenizer", {"type": "Split"}, "no byte-level BPE"),
        ("decoder", "ByteLevel2", "no byte-level BPE"),
        ("model/vocab/a", 46, "not from 0 to 45"),
        ("model/vocab/a", -1, "not from 0 to 45"),
        ("model/vocab/a", "0", "not from 0 to 45"),
        ("added_tokens", {"a": 1}, "are no list"),
        ("added_tokens/0", 7, "without a text"),
        ("added_tokens/0/content", "", "without a text"),
        ("added_tokens/1/content", "<|endoftext|>", "without a text"),
        ("added_tokens/9/id", 999999999, "out of its order"),
        ("added_tokens/9/id", 12, "out of its order"),
        ("added_tokens/9/content", "<|elsewhere|>", "no <|notimestamps|> in common"),
        ("added_tokens/7/content", "<|elsewhere|>", "no <|startofprev|> in common"),
        ("added_tokens/5/content", "<|elsewhere|>", "no <|transcribe|> in common"),
        ("added_tokens/2/content", "<|fr|>", "no <|fr|> in common"),
        ("added_tokens/2/content", "<|french|>", "'<|en|>', which is no language"),
        ("added_tokens", [], "no <|endoftext|> in common"),
    ],
)
def test_tokenizer_that_is_not_whispers(
    tmp_path: Path, path: str, value: object, words: str
) -> None:
    files = contents()
    _edit(path, value)(files["tokenizer.json"])
    assert words in refusal(write(tmp_path, files=files))


def test_special_tokens_in_another_order(tmp_path: Path) -> None:
    files = contents()
    added = files["tokenizer.json"]["added_tokens"]
    added[1]["content"], added[9]["content"] = added[9]["content"], added[1]["content"]
    tokens = list(TOKENS)
    tokens[29], tokens[37] = tokens[37], tokens[29]
    files["vocabulary.json"] = tokens
    assert "not in Whisper's order" in refusal(write(tmp_path, files=files))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("decoder/embeddings/weight", np.zeros((30, 8), np.float32), "has 30 tokens"),
        ("encoder/num_heads", np.int16(0), "encoder has 0 heads"),
        ("decoder/num_heads", np.int16(-1), "decoder has -1 heads"),
        ("decoder/num_heads", np.int16(3), "has 3 heads for a width of 8"),
        ("decoder/num_heads", np.float32(2), "has None heads"),
        ("decoder/num_heads", np.zeros(2, np.int16), "has None heads"),
        ("encoder/conv1/weight", np.zeros((8, 64, 3), np.float32), "takes 64 mel bands"),
        ("encoder/conv1/weight", np.zeros((8, 80), np.float32), "no usable encoder/conv1/weight"),
        ("encoder/conv2/weight", np.zeros((8, 80, 3), np.float32), "has the shape (8, 80, 3)"),
        ("encoder/position_encodings/encodings", np.zeros((9, 8), np.float32), "(1500, 8) fits"),
        ("decoder/position_encodings/encodings", np.zeros((9, 8), np.float32), "(448, 8) fits"),
        ("decoder/layer_1/ffn/linear_0/bias", np.zeros(7, np.float32), "has the shape (7,)"),
        ("decoder/layer_1/ffn/linear_0/weight", np.zeros((0, 8), np.float32), "no usable"),
        ("decoder/layer_1/attention/linear_1/weight", np.zeros((8, 8), np.float32), "(16, 8) fits"),
        ("decoder/layer_norm/beta", np.zeros(8, np.int32), "of the wrong type"),
        ("decoder/layer_norm/beta", np.zeros(8, np.int8), "of the wrong type"),
        ("encoder/conv2/weight", np.zeros((8, 8, 3), np.int8), "no fitting scale"),
        ("decoder/layer_0/ffn/linear_0/weight", np.zeros((32, 8), np.float16), "more than one"),
        ("decoder/activation", np.int8(7), "is 7, which"),
        ("decoder/alignment_layer", np.int16(2), "is 2, which"),
        ("decoder/alignment_heads", np.int16(3), "is 3, which"),
        ("decoder/scale_embeddings", np.int32(0), "of the wrong type"),
        ("decoder/rotary_dim", np.int16(3), "no part of Whisper"),
        ("decoder/layer_9/ffn/linear_0/bias", np.zeros(8, np.float32), "no part of Whisper"),
    ],
)
def test_model_out_of_bounds(tmp_path: Path, name: str, value: np.ndarray, words: str) -> None:
    assert words in refusal(write(tmp_path, encode({**arrays(), name: value})[0]))


@pytest.mark.parametrize("name", [n for n in arrays() if np.asarray(arrays()[n]).ndim])
def test_model_without_an_array(tmp_path: Path, name: str) -> None:
    kept = {key: value for key, value in arrays().items() if key != name}
    assert "model.bin" in refusal(write(tmp_path, encode(kept)[0]))


def test_int8_scale_must_fit(tmp_path: Path) -> None:
    name = "encoder/conv2/weight"
    weight = {**arrays(), name: np.ones((8, 8, 3), np.int8)}
    for i, scale in enumerate((np.ones(7), np.float64(1), np.ones((8, 1)))):
        model, _ = encode({**weight, f"{name}_scale": np.asarray(scale, np.float32)})
        assert "no fitting scale" in refusal(write(tmp_path / str(i), model))
    model, _ = encode({**weight, f"{name}_scale": np.full(8, 3, np.float32)})
    assert set(run([write(tmp_path / "fits", model)]).values()) == {"ran"}


@pytest.mark.parametrize(
    ("aliases", "words"),
    [
        ((), "no decoder/projection/weight"),
        ((*ALIASES, *ALIASES), "projection/weight twice"),
        ((("encoder/num_heads", "decoder/num_heads"),), "encoder/num_heads twice"),
        ((("decoder/projection/weight", "nowhere"),), "no array in it"),
        ((("decoder/projection/weight", "decoder/num_heads"),), "no array in it"),
        ((*ALIASES, ("x/bias", "decoder/embeddings/weight")), "can't stand for"),
        ((*ALIASES, ("x/weight_scale", "decoder/embeddings/weight")), "can't stand for"),
        ((*ALIASES, ("x/weight", "decoder/embeddings/weight")), "no part of Whisper"),
    ],
)
def test_aliases(tmp_path: Path, aliases: tuple[tuple[str, str], ...], words: str) -> None:
    assert words in refusal(write(tmp_path, encode(arrays(), aliases)[0]))


@pytest.mark.parametrize(
    ("at", "code", "value", "words"),
    [
        (0, "<I", 5, "not of binary version 6"),
        (0, "<I", 7, "not of binary version 6"),
        (4, "<H", 0, "name of 0 bytes"),
        (4, "<H", 60000, "name of 60000 bytes"),
        (6, "<B", 0, "not plain text"),
        (6, "<B", 200, "not plain text"),
        (18, "<I", 4, "revision 4"),
        (22, "<I", 2**32 - 1, "variables of at most"),
    ],
)
def test_head_of_the_file(tmp_path: Path, at: int, code: str, value: int, words: str) -> None:
    data = bytearray(MODEL)
    struct.pack_into(code, data, at, value)
    assert words in refusal(write(tmp_path, bytes(data)))


def test_another_network(tmp_path: Path) -> None:
    model, _ = encode(arrays(), spec="TransformerSpec")
    assert "is a TransformerSpec" in refusal(write(tmp_path, model))


def test_bytes_after_the_end(tmp_path: Path) -> None:
    assert "1 bytes after its end" in refusal(write(tmp_path, MODEL + b"\0"))


def test_every_header_truncation_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path)
    for length in [*HEADER[:400], *HEADER[-80:], len(MODEL) // 2, len(MODEL) - 1]:
        (folder / "model.bin").write_bytes(MODEL[:length])
        assert "ends too early" in refusal(folder)


def test_sizes_are_never_allocated(tmp_path: Path) -> None:
    """A variable said to take 4 GB, in a file of a few bytes, costs nothing."""
    name = b"decoder/embeddings/weight\0"
    model = struct.pack("<I", 6) + struct.pack("<H", 12) + b"WhisperSpec\0"
    model += struct.pack("<II", 3, 1) + struct.pack("<H", len(name)) + name
    model += struct.pack("<BIIBI", 2, 65535, 16384, 0, 65535 * 16384 * 4)
    assert "ends too early" in refusal(write(tmp_path, model))


HOSTILE: tuple[object, ...] = (None, True, -1, 0, 1, 2, 45, 46, 2**31, 2**64, 1.5, "", "x", [], {})
HOSTILE += ([[0, 0]], [[1, 1], [1, 1]], {"type": "ByteLevel"}, "<|endoftext|>", [0], [45], 10**400)


def _mutated_json(draw: random.Random) -> dict[str, Any]:
    """A value somewhere in a file replaced, doubled or left out; or a few of a file's bytes."""
    files = copy.deepcopy(contents())
    name = draw.choice(sorted(files))
    if draw.random() < 0.3:
        text = bytearray(json.dumps(files[name]).encode())
        for _ in range(draw.randint(1, 2)):
            text[draw.randrange(len(text))] = draw.choice(b'0129-,:[]{}"ae<| \xff')
        files[name] = bytes(text)
        return files
    part = files[name]
    while True:
        keys = list(part) if isinstance(part, dict) else list(range(len(part)))
        if not keys:
            return files
        key = draw.choice(keys)
        if not isinstance(part[key], dict | list) or draw.random() < 0.2:
            break
        part = part[key]
    if draw.random() < 0.15:
        del part[key]
    elif isinstance(part, list) and draw.random() < 0.15:
        part.append(copy.deepcopy(part[key]))
    else:
        part[key] = draw.choice(HOSTILE)
    return files


def _mutated_model(draw: random.Random) -> bytes:
    """One to three bytes that are no weights changed; or one attribute given another value."""
    if draw.random() < 0.4:
        variables = arrays()
        name = draw.choice([n for n, value in variables.items() if not np.ndim(value)])
        kind = draw.choice((np.int8, np.int16, np.int32))
        variables[name] = np.asarray(draw.choice((-2, -1, 0, 1, 2, 3, 4, 8, 100)), kind)
        return encode(variables)[0]
    data = bytearray(MODEL)
    for _ in range(draw.randint(1, 3)):
        at = draw.choice(HEADER)
        data[at] = draw.choice((data[at] ^ (1 << draw.randrange(8)), draw.randrange(256), 0, 255))
    return bytes(data)


def test_what_passes_never_crashes(tmp_path: Path) -> None:
    """300 mutations: each is refused with InputError, or loads and transcribes a second."""
    draw = random.Random(20240917)
    passed = []
    for i in range(300):
        model, files = MODEL, contents()
        if i % 2:
            model = _mutated_model(draw)
        else:
            files = _mutated_json(draw)
        folder = write(tmp_path / str(i), model, files)
        try:
            check_whisper_directory(folder)
        except InputError:
            continue
        passed.append(folder)
    assert 30 <= len(passed) <= 200
    outcomes = run(passed)
    assert len(outcomes) == len(passed)
    assert sum(outcome == "ran" for outcome in outcomes.values()) >= 30


def test_arrays_are_read_as_they_were_written(tmp_path: Path) -> None:
    found = read_arrays(write(tmp_path))
    wanted = arrays()
    assert found.keys() == {*wanted, "decoder/projection/weight"}
    for name, array in wanted.items():
        assert found[name].dtype == np.asarray(array).dtype
        assert found[name].shape == np.shape(array)
        np.testing.assert_array_equal(found[name], array)
    np.testing.assert_array_equal(
        found["decoder/projection/weight"], wanted["decoder/embeddings/weight"]
    )
    assert int(found["decoder/num_heads"]) == HEADS


def test_half_floats_are_read_as_they_were_written(tmp_path: Path) -> None:
    half = {
        name: value.astype(np.float16) if np.ndim(value) else value
        for name, value in arrays().items()
    }
    found = read_arrays(write(tmp_path, encode(half)[0]))
    for name, array in half.items():
        assert found[name].dtype == np.asarray(array).dtype
        np.testing.assert_array_equal(found[name], array)


def test_brain_floats_are_read_as_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TYPES, "uint16", 5)
    name = "encoder/conv2/weight"
    upper = (arrays()[name].view(np.uint32) >> 16).astype(np.uint16)
    found = read_arrays(write(tmp_path, encode({**arrays(), name: upper})[0]))
    assert found[name].dtype == np.float32
    np.testing.assert_array_equal(found[name].view(np.uint32) >> 16, upper)
    np.testing.assert_allclose(found[name], arrays()[name], rtol=2**-7)


@pytest.mark.parametrize(
    "name",
    ["decoder/embeddings/weight", "decoder/layer_1/ffn/linear_0/weight", "encoder/conv2/weight"],
)
@pytest.mark.parametrize(("dtype", "largest"), [("int8", 127), ("int16", 1023)])
def test_quantised_weights_are_read_as_float32(
    tmp_path: Path, name: str, dtype: str, largest: int
) -> None:
    """As CTranslate2 quantises: a scale for each row in int8, one for all in int16."""
    weight = arrays()[name]
    axes = tuple(range(1, weight.ndim)) if dtype == "int8" else None
    scale = largest / np.abs(weight).max(axis=axes)
    rows = scale.reshape(-1, *[1] * (weight.ndim - 1))
    rounded = np.rint(weight * rows).astype(dtype)
    model, _ = encode({**arrays(), name: rounded, f"{name}_scale": np.asarray(scale, np.float32)})
    found = read_arrays(write(tmp_path, model))
    assert found.keys() == {*arrays(), "decoder/projection/weight"}
    assert found[name].dtype == np.float32
    assert np.abs(found[name] * rows - rounded).max() < 1e-3
    assert (np.abs(found[name] - weight) <= 0.5001 / rows).all()
    assert np.abs(found[name] - weight).max() > 0
    if name == "decoder/embeddings/weight":
        np.testing.assert_array_equal(found["decoder/projection/weight"], found[name])


def test_arrays_of_a_damaged_file_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, MODEL[:-1])
    with pytest.raises(InputError, match="can't be read"):
        read_arrays(folder)
    (folder / "model.bin").unlink()
    with pytest.raises(InputError, match="there is no"):
        read_arrays(folder)
