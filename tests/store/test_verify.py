"""Formats that carry no code pass; anything else is refused, whatever its name says."""

import io
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
    (tmp_path / "pytorch_model.bin").write_bytes(PICKLE)
    with pytest.raises(UnsupportedFormat, match=r"pytorch_model\.bin is not a CTranslate2 file"):
        check_own_directory(tmp_path)
