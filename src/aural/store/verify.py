"""Is this the file that was pinned, and of a format that can carry no code?

A file is hashed before its first use and again whenever it may have changed: the stamp kept of a
verified file holds its size, modification time, status-change time (ctime), inode and device.
Content can't be changed without the kernel setting a new ctime, and no program can set that one
back, so a matching stamp means the bytes are those that were hashed. A stamp is only written when
the file had been at rest for two seconds, because a change within one tick of the clock would not
show. Stamps live in the user's own cache, never beside the weights: who can write to a shared
directory of weights can't vouch for them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import struct
import time
import zipfile
import zlib
from typing import TYPE_CHECKING

from aural.errors import InputError, UnsupportedFormat
from aural.store.location import cache_root

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aural.store.weights import WeightFile

SUFFIXES = (".safetensors", ".onnx", ".bin", ".gguf", ".json", ".txt", ".npz", ".hama")
REST_SECONDS = 2.0
MAX_HEADER_BYTES = 100_000_000
_OBJECT = re.compile(rb"['\"][|<>=]?O\d*['\"]")


def sha256_of(path: Path) -> str:
    """64 hex digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def damaged_files(
    directory: Path, files: Sequence[WeightFile], *, always: bool = False
) -> list[str]:
    """Names of the files of directory that are not what was pinned; missing ones are not listed.

    always hashes every file, whatever the stamps say.
    """
    stamps = {} if always else _read_stamps(directory)
    fresh: dict[str, list[int | str]] = {}
    damaged = []
    for file in files:
        path = directory / file.name
        if not path.exists():
            continue
        stamp = _stamp(path)
        known = stamps.get(file.name) == [*stamp, file.sha256]
        if not known and (stamp[0] != file.size or sha256_of(path) != file.sha256):
            damaged.append(file.name)
        elif _stamp(path) == stamp and _at_rest(stamp):
            fresh[file.name] = [*stamp, file.sha256]
    if fresh != stamps:
        _write_stamps(directory, fresh)
    return damaged


def _stamp(path: Path) -> list[int | str]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]


def _at_rest(stamp: Sequence[int | str]) -> bool:
    return time.time_ns() - int(stamp[2]) > REST_SECONDS * 1e9


def _stamp_file(directory: Path) -> Path:
    key = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:32]
    return cache_root() / "verified" / f"{key}.json"


def _read_stamps(directory: Path) -> dict[str, list[int | str]]:
    try:
        stamps = json.loads(_stamp_file(directory).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamps if isinstance(stamps, dict) else {}


def _write_stamps(directory: Path, stamps: dict[str, list[int | str]]) -> None:
    """Replace the stamps of a directory; a cache that can't be written only costs hashing again."""
    target = _stamp_file(directory)
    draft = target.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(stamps), encoding="utf-8")
        draft.replace(target)


def check_format(path: Path) -> None:
    """UnsupportedFormat unless the file is of an allowed kind and looks like one inside.

    Allowed: safetensors, ONNX, CTranslate2 (.bin), GGUF, hama's container, JSON, text, and npz
    without objects. A .bin that is a pickle (as older torch checkpoints are) is refused here.
    """
    if path.suffix not in SUFFIXES:
        raise UnsupportedFormat(
            f"{path.name} is of a format that aural never opens; allowed: {', '.join(SUFFIXES)}"
        )
    check = _INSIDE.get(path.suffix)
    if check is not None and not check(path):
        raise UnsupportedFormat(
            f"{path} is not a {_KINDS[path.suffix]} file, whatever its name says; "
            "convert the weights first (docs/weights.md)"
        )


def check_own_directory(directory: Path) -> Path:
    """The resolved directory, once its weights are seen to be of allowed formats.

    Nothing is pinned here: the files are the user's own. Files of other suffixes, and .bin files
    that are not model.bin (pickles beside safetensors, as the Hub has them), are left alone, since
    no family opens them. A pipe or a device is refused, whatever it is called: it may have no end.
    """
    if not directory.is_dir():
        raise InputError(f"{str(directory)!r} is not a directory of weights")
    there = [path for path in sorted(directory.iterdir()) if not path.is_dir()]
    if odd := [path for path in there if path.exists() and not path.is_file()]:
        raise InputError(f"{odd[0]} is no plain file; a directory of weights holds files only")
    files = [path for path in there if path.is_file() and _is_opened(path)]
    if not files:
        raise InputError(f"{str(directory)!r} holds no weights; looked for: {', '.join(SUFFIXES)}")
    for path in files:
        check_format(path)
    return directory.resolve()


def _is_opened(path: Path) -> bool:
    """Whether some family would open a file of this name."""
    return path.suffix in SUFFIXES and (path.suffix != ".bin" or path.name == "model.bin")


def _is_ctranslate2(path: Path) -> bool:
    """CTranslate2 has no magic number: a version below 100, then the name of a model class."""
    with path.open("rb") as handle:
        head = handle.read(6)
        if len(head) < 6:
            return False
        version, length = struct.unpack("<IH", head)
        name = handle.read(length)
    return 0 < version < 100 and 5 < length < 100 and name.endswith(b"Spec\0") and name.isascii()


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as handle:
        head = handle.read(9)
    if len(head) < 9:
        return False
    length = struct.unpack("<Q", head[:8])[0]
    return length < min(MAX_HEADER_BYTES, path.stat().st_size) and head[8:] == b"{"


def _is_gguf(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(4) == b"GGUF"


def _is_hama(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(6) == b"HAMAPK"


def _is_onnx(path: Path) -> bool:
    """A protocol buffer whose first field is the IR version (tag 8, a small number)."""
    with path.open("rb") as handle:
        head = handle.read(2)
    return len(head) == 2 and head[0] == 0x08 and 0 < head[1] < 64


def _is_plain_npz(path: Path) -> bool:
    """Arrays of numbers only: an object array would be a pickle."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    head = member.read(512)
                if not head.startswith(b"\x93NUMPY") or _OBJECT.search(head):
                    return False
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError):
        # Damaged, encrypted, or packed in a way that is not known.
        return False
    return True


_INSIDE = {
    ".bin": _is_ctranslate2,
    ".gguf": _is_gguf,
    ".safetensors": _is_safetensors,
    ".onnx": _is_onnx,
    ".npz": _is_plain_npz,
    ".hama": _is_hama,
}
_KINDS = {
    ".bin": "CTranslate2",
    ".gguf": "GGUF",
    ".safetensors": "safetensors",
    ".onnx": "ONNX",
    ".npz": "plain npz",
    ".hama": "hama",
}
