"""Weights out of an ONNX file, without the onnx package.

Such a file is a protocol buffer (github.com/onnx/onnx, onnx.proto): a field is its number and wire
type, then a varint, eight or four bytes, or a length and bytes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_GRAPH, _INITIALIZER = 7, 5
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9
_FLOAT32 = 1
_FIXED_SIZES = {1: 8, 5: 4}


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """The float32 initializers of a file by name; others, and those kept elsewhere, are left out.

    For verified files: what is no ONNX file is not told apart.
    """
    weights = {}
    for number, graph in _fields(memoryview(path.read_bytes())):
        if number == _GRAPH:
            for kind, tensor in _fields(_message(graph)):
                if kind == _INITIALIZER:
                    weights.update(_weight(_message(tensor)))
    return weights


def _weight(tensor: memoryview) -> dict[str, np.ndarray]:
    shape, fields = [], {}
    for number, value in _fields(tensor):
        if number != _DIMS:
            fields[number] = value
        elif isinstance(value, int):
            shape.append(value)
        else:
            shape += _varints(value)
    data = _message(fields.get(_RAW_DATA, memoryview(b"")))
    if fields.get(_DATA_TYPE) != _FLOAT32 or len(data) != 4 * math.prod(shape):
        return {}
    name = bytes(_message(fields[_NAME])).decode()
    return {name: np.frombuffer(data, "<f4").reshape(shape)}


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of every field: an int for a varint, the bytes for all else."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, wire_type = key >> 3, key & 7
        size, start = _FIXED_SIZES.get(wire_type, 0), place
        if not size:
            size, start = _varint(message, place)
        if wire_type == 0:
            yield number, size
            place = start
        else:
            yield number, message[start : start + size]
            place = start + size


def _message(value: int | memoryview) -> memoryview:
    assert isinstance(value, memoryview)
    return value


def _varints(packed: memoryview) -> list[int]:
    values, place = [], 0
    while place < len(packed):
        value, place = _varint(packed, place)
        values.append(value)
    return values


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """The number at a place, and the place after it."""
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
