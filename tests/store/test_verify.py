"""Formats that carry no code pass; anything else is refused, whatever its name says."""

import io
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from aural.errors import InputError, UnsupportedFormat
from aural.store.verify import check_format, check_own_directory


def npz(**arrays: np.ndarray) -> bytes:
    """An npz file's bytes."""
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


ALLOWED = {
    "model.bin": b"\x06\x00\x00\x00\x0c\x00WhisperSpec\x00rest",
    "model.safetensors": struct.pack("<Q", 2) + b"{}",
    "model.onnx": b"\x08\x08\x12\x07pytorch",
    "config.json": b"{}",
    "vocabulary.txt": b"a\n",
    "arrays.npz": npz(a=np.zeros(3), b=np.arange(4)),
}
PICKLE = pickle.dumps({"a": [1]})
REFUSED = {
    "model.pt": PICKLE,
    "model.pkl": PICKLE,
    "model.ckpt": PICKLE,
    "model.npy": b"\x93NUMPY",
    "model": b"",
    "model.bin": PICKLE,
    "zip.bin": b"PK\x03\x04" + bytes(30),
    "short.bin": b"\x06\x00",
    "model.safetensors": PICKLE,
    "huge.safetensors": struct.pack("<Q", 1 << 40) + b"{}",
    "model.onnx": PICKLE,
    "objects.npz": npz(a=np.array([{}], dtype=object)),
    "fields.npz": npz(a=np.array([(1, {})], dtype=[("x", int), ("y", object)])),
    "broken.npz": b"PK\x03\x04",
}


@pytest.mark.parametrize("name", ALLOWED)
def test_allowed(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(ALLOWED[name])
    check_format(tmp_path / name)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(REFUSED[name])
    with pytest.raises(UnsupportedFormat, match=r"never opens|is not a"):
        check_format(tmp_path / name)


def test_own_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a directory"):
        check_own_directory(tmp_path / "nowhere")
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(InputError, match="holds no weights"):
        check_own_directory(tmp_path)
    (tmp_path / "config.json").write_bytes(ALLOWED["config.json"])
    (tmp_path / "model.bin").write_bytes(ALLOWED["model.bin"])
    assert check_own_directory(tmp_path) == tmp_path.resolve()
    (tmp_path / "model.bin").write_bytes(PICKLE)
    with pytest.raises(UnsupportedFormat, match=r"model\.bin is not a CTranslate2 file"):
        check_own_directory(tmp_path)


def test_pickles_beside_safetensors_are_passed_over_unopened(tmp_path: Path) -> None:
    """As the Hub has them; what nobody may read nobody has opened."""
    for name in ("pytorch_model.bin", "training_args.bin"):
        (tmp_path / name).symlink_to(tmp_path / "nowhere")
    (tmp_path / "onnx.bin").mkdir()
    with pytest.raises(InputError, match="holds no weights"):
        check_own_directory(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(ALLOWED["model.safetensors"])
    assert check_own_directory(tmp_path) == tmp_path.resolve()


@pytest.mark.parametrize("name", ["config.json", "x.safetensors", "chat_template.jinja"])
def test_pipes_and_devices_are_never_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(ALLOWED["model.safetensors"])
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="no plain file"):
        check_own_directory(tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(InputError, match="no plain file"):
        check_own_directory(tmp_path)


@pytest.mark.parametrize("damage", ["encrypted", "packing", "bytes"])
def test_archives_that_are_damaged(tmp_path: Path, damage: str) -> None:
    data = io.BytesIO()
    np.savez_compressed(data, a=np.random.default_rng(0).random(100))
    raw = bytearray(data.getvalue())
    entry = raw.index(b"PK\x01\x02")
    if damage == "encrypted":
        raw[entry + 8] |= 1
    elif damage == "packing":
        raw[entry + 10] = 99
    else:
        raw[60:90] = bytes(0x55 ^ each for each in raw[60:90])
    (tmp_path / "a.npz").write_bytes(raw)
    with pytest.raises(UnsupportedFormat, match="is not a plain npz file"):
        check_format(tmp_path / "a.npz")
