"""Whisper in CTranslate2's format, written: a directory like another, with other weights.

ctranslate2.py describes the format and reads it.
"""

from __future__ import annotations

import shutil
import struct
from typing import TYPE_CHECKING

import numpy as np

from aural.errors import InputError
from aural.store.ctranslate2 import (
    BINARY_VERSION,
    MAX_BYTES,
    MAX_REVISION,
    check_whisper_directory,
    read_arrays,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import BinaryIO

_NUMBERS = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}
_TIED = {"decoder/projection/weight": "decoder/embeddings/weight"}


def write_whisper_directory(
    source: Path, target: Path, arrays: Mapping[str, np.ndarray], *, half: bool = False
) -> None:
    """A directory with these arrays, by their names in the format, in place of source's; all other
    arrays, attributes and files are source's.

    Floats become float16 where half, else float32. The projection is the embedding. Raises
    InputError for an array that source has not, or of another shape, and for a target that is
    source.
    """
    if target.resolve() == source.resolve():
        raise InputError(f"{target} is where the weights come from; give another directory")
    old = read_arrays(source)
    for name, array in arrays.items():
        if name not in old or array.shape != old[name].shape:
            there = old[name].shape if name in old else "not there"
            raise InputError(f"{name} is {array.shape}; in {source} it is {there}")
    target.mkdir(parents=True, exist_ok=True)
    names = [name for name in old if name not in _TIED]
    with (target / "model.bin").open("wb") as file:
        file.write(struct.pack("<I", BINARY_VERSION))
        _write_name(file, "WhisperSpec")
        file.write(struct.pack("<II", MAX_REVISION, len(names)))
        for name in names:
            _write(file, name, arrays.get(name, old[name]), np.float16 if half else np.float32)
        file.write(struct.pack("<I", len(_TIED)))
        for alias, name in _TIED.items():
            _write_name(file, alias)
            _write_name(file, name)
    for name in MAX_BYTES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    check_whisper_directory(target)


def _write(file: BinaryIO, name: str, array: np.ndarray, kind: type[np.floating]) -> None:
    if array.dtype.kind == "f":
        array = np.asarray(array, kind)
    _write_name(file, name)
    file.write(struct.pack("<B", array.ndim))
    file.write(struct.pack(f"<{array.ndim}I", *array.shape))
    file.write(struct.pack("<BI", _NUMBERS[array.dtype.name], array.nbytes))
    file.write(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())


def _write_name(file: BinaryIO, name: str) -> None:
    data = name.encode("ascii") + b"\0"
    file.write(struct.pack("<H", len(data)))
    file.write(data)
