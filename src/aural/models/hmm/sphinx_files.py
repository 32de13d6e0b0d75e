"""The files of an acoustic model of CMU Sphinx: tables of numbers behind short headers.

Phonetically tied mixtures: all states of a phone share 128 Gaussians for each of three streams and
differ in their weights, which are kept in 8 bits each. What a header says is checked against limits
before it is believed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aural.decode.graph import Place

MAX_BYTES = 32 << 20
LOG_STEP = float(np.log(1.0001)) * 1024
"""What one step of a weight or score in 8 bits is, as a natural logarithm."""
PLACES: tuple[Place, ...] = ("inside", "begin", "end", "single")
TRANSITION_FLOOR = 1e-4
_PHONE = np.dtype([("row", "<i4"), ("matrix", "<i4"), ("of", "u1", 4)])


class _Reader:
    """Bytes of a file, taken in order; InputError where they end too soon."""

    def __init__(self, path: Path) -> None:
        self.path, self.at = path, 0
        try:
            if path.stat().st_size > MAX_BYTES:
                raise InputError(f"{path}: more than {MAX_BYTES} bytes")
            self.data = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: can't be read: {error.strerror}") from error

    def fail(self, what: str) -> InputError:
        return InputError(f"{self.path}: {what}; is it a file of a CMU Sphinx model?")

    def take(self, size: int) -> bytes:
        if not 0 <= size <= len(self.data) - self.at:
            raise self.fail(f"ends within {size} bytes at {self.at}")
        self.at += size
        return self.data[self.at - size : self.at]

    def array(self, kind: str | np.dtype, *shape: int) -> np.ndarray:
        if min(shape) < 0:
            raise self.fail(f"holds an array of shape {shape}")
        count = int(np.prod(shape, dtype=object))
        raw = self.take(count * np.dtype(kind).itemsize)
        return np.frombuffer(raw, kind).reshape(shape)

    def numbers(self, count: int) -> list[int]:
        return [int(each) for each in self.array("<i4", count)]

    def string(self) -> bytes:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise self.fail("a name has no end")
        return self.take(end + 1 - self.at)[:-1]


@dataclass(frozen=True, eq=False)
class Definition:
    """Which states (senones) each phone in context has.

    names: phones without context; silence: its place among them; fillers: those that are no speech.
    keys: int64 (context,), ordered, made by `key`; sequences: int (phone, 3), the senones; rows and
    matrices: int (context,) and the same of phones without context first, places in sequences and
    transition matrices. senones: how many there are; codebooks: int (senone,), the phone of each.
    """

    names: tuple[str, ...]
    silence: int
    fillers: np.ndarray
    keys: np.ndarray
    rows: np.ndarray
    matrices: np.ndarray
    sequences: np.ndarray
    senones: int
    codebooks: np.ndarray

    def find(self, phone: int, left: int, right: int, place: int) -> tuple[np.ndarray, int]:
        """Senones and transition matrix of a phone in context: exactly this, elsewhere in a word,
        or beside silence; without context at last."""
        row = self._nearest(phone, left, right, place)
        return self.sequences[self.rows[row]], int(self.matrices[row])

    def _nearest(self, phone: int, left: int, right: int, place: int) -> int:
        name = PLACES[place]
        beside = (
            self.silence if self.fillers[left] or name in ("begin", "single") else left,
            self.silence if self.fillers[right] or name in ("end", "single") else right,
        )
        others = [each for each in range(len(PLACES)) if each != place]
        for one, other in ((left, right), beside):
            for where in (place, *others):
                wanted = key(where, phone, one, other, len(self.names))
                found = int(np.searchsorted(self.keys, wanted))
                if found < len(self.keys) and self.keys[found] == wanted:
                    return len(self.names) + found
        return phone


def key(place: Any, phone: Any, left: Any, right: Any, count: int) -> Any:
    """One number for a phone in context; of numbers, or of arrays of them."""
    return ((place * count + phone) * count + left) * count + right


def read_definition(path: Path) -> Definition:
    """The model definition, "mdef", in its binary form."""
    reader = _Reader(path)
    if reader.take(4) != b"BMDF":
        raise reader.fail("does not begin as a binary model definition")
    version, header = reader.numbers(2)
    reader.take(header)
    if version != 1:
        raise reader.fail(f"is of version {version}, not 1")
    count, phones, emitting, _, senones, _, sequences, contexts, nodes, silence = reader.numbers(10)
    if not (0 < count < 256 and count <= phones and emitting == 3 and contexts == 3
            and 0 <= silence < count and 0 < senones < 65536):  # fmt: skip
        raise reader.fail("is not of triphones of three states")
    names = tuple(reader.string().decode("ascii", "replace") for _ in range(count))
    reader.take(-(reader.at - 12 - header) % 4)
    reader.take(8 * nodes)
    table = reader.array(_PHONE, phones)
    reader.numbers(1)
    states = reader.array("<u2", sequences, emitting).astype(np.int64)
    if (
        states.max(initial=0) >= senones
        or not 0 <= table["row"].min() <= table["row"].max() < sequences
    ):
        raise reader.fail("a phone's states are not there")
    place, phone, left, right = table["of"][count:].T.astype(np.int64)
    if max(phone.max(initial=0), left.max(initial=0), right.max(initial=0)) >= count:
        raise reader.fail("a context is no phone")
    keys = key(place, phone, left, right, count)
    order = np.argsort(keys, kind="stable")
    both = np.concatenate((np.arange(count), count + order))
    codebooks = np.zeros(senones, np.int64)
    owners = np.concatenate((np.arange(count), phone))
    codebooks[states[table["row"]]] = owners[:, None]
    return Definition(
        names,
        silence,
        table["of"][:count, 0].astype(bool),
        keys[order],
        table["row"][both],
        table["matrix"][both],
        states,
        senones,
        codebooks,
    )


def read_gaussians(path: Path) -> np.ndarray:
    """Means or variances: float32, shape = (codebook, stream, Gaussian, dimension)."""
    reader = _Reader(path)
    _header(reader)
    codebooks, streams, gaussians = reader.numbers(3)
    if not (0 < codebooks < 4096 and 0 < streams < 16 and 0 < gaussians < 4096):
        raise reader.fail(f"has {codebooks} codebooks of {streams} streams of {gaussians}")
    widths = reader.numbers(streams)
    if len(set(widths)) > 1 or not 0 < widths[0] < 256:
        raise reader.fail(f"has streams of {widths} values, not of as many each")
    shape = (codebooks, streams, gaussians, widths[0])
    return _floats(reader, shape)


def read_transitions(path: Path) -> np.ndarray:
    """log probabilities, float64 (matrix, state, state + 1), the last column leaving."""
    reader = _Reader(path)
    _header(reader)
    matrices, rows, columns = reader.numbers(3)
    if not (0 < matrices < 4096 and 0 < rows < 16 and columns == rows + 1):
        raise reader.fail(f"has {matrices} matrices of {rows} x {columns}")
    counts = _floats(reader, (matrices, rows, columns)).astype(np.float64)
    if (counts < 0).any() or (counts.sum(axis=2) <= 0).any():
        raise reader.fail("has a state that is not left")
    shares = counts / counts.sum(axis=2, keepdims=True)
    shares = np.where(shares > 0, np.maximum(shares, TRANSITION_FLOOR), 0.0)
    with np.errstate(divide="ignore"):
        return np.log(shares / shares.sum(axis=2, keepdims=True))


def read_weights(path: Path, senones: int) -> np.ndarray:
    """Mixture weights, "sendump": natural logarithms, float32 (stream, Gaussian, senone)."""
    reader = _Reader(path)
    about: list[bytes] = []
    while (size := reader.numbers(1)[0]) != 0:
        about.append(reader.take(size).rstrip(b"\0"))
    said = dict(line.split(b" ", 1) for line in about if line.count(b" ") == 1)
    if said.get(b"cluster_count", b"0") != b"0" or not said.get(b"feature_count", b"").isdigit():
        raise reader.fail("is not of weights in 8 bits")
    streams = int(said[b"feature_count"])
    gaussians, columns = reader.numbers(2)
    if columns != senones or not 0 < streams < 16:
        raise reader.fail(f"has {streams} streams and {columns} states; {senones} are defined")
    weights = reader.array("u1", streams, gaussians, columns)
    return -weights.astype(np.float32) * np.float32(LOG_STEP)


def _header(reader: _Reader) -> None:
    """A text up to "endhdr", and the number that tells the order of bytes."""
    head = reader.data[:4096].find(b"endhdr\n")
    if not reader.data.startswith(b"s3\n") or head < 0:
        raise reader.fail("does not begin as a table")
    reader.take(head + len(b"endhdr\n"))
    if reader.take(4) != struct.pack("<I", 0x11223344):
        raise reader.fail("has another order of bytes")


def _floats(reader: _Reader, shape: Sequence[int]) -> np.ndarray:
    (count,) = reader.numbers(1)
    if count != int(np.prod(shape, dtype=object)):
        raise reader.fail(f"has {count} numbers for shape {tuple(shape)}")
    values = reader.array("<f4", *shape)
    if not np.isfinite(values).all():
        raise reader.fail("holds numbers that are not finite")
    return values
