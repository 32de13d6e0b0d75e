"""ONNX graphs written in memory: nodes and weights in, a session of onnxruntime out.

Only what the layers beside this file need of the format (github.com/onnx/onnx, onnx.proto): a
model is a protocol buffer, in which a field is its number and wire type, then a varint, a float,
or a length and bytes.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnxruntime

Attribute = int | float | str | list[int]
OPSETS = {"": 20, "com.microsoft": 1}
IR_VERSION = 9
MAX_BYTES = (1 << 31) - (1 << 20)
"""What a protocol buffer may be, and some room."""
CONTRIB = "com.microsoft"
_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "bool": 9, "float16": 10}
_ATTRIBUTE_TYPES = {"f": 1, "i": 2, "s": 3, "ints": 7}


@dataclass
class Graph:
    """A graph being written; a value in it is known by its name.

    Sizes of inputs may be names, for what differs from run to run.
    """

    nodes: list[bytes] = field(default_factory=list)
    weights: list[tuple[bytes, memoryview]] = field(default_factory=list)
    inputs: list[bytes] = field(default_factory=list)
    outputs: list[bytes] = field(default_factory=list)
    _names: int = 0

    def input(self, name: str, dtype: str, *shape: int | str) -> str:
        """A value given at each run."""
        self.inputs.append(_value(name, dtype, shape))
        return name

    def output(self, name: str, dtype: str, *shape: int | str, of: str) -> None:
        """Give out the value `of` under a name."""
        self.nodes.append(_node("Identity", (of,), (name,), "", {}))
        self.outputs.append(_value(name, dtype, shape))

    def weight(self, array: np.ndarray) -> str:
        """A value that is always the same."""
        name = self._name()
        kind = _TYPES[array.dtype.name]
        sizes = b"".join(_varint(1, size) for size in array.shape)
        head = sizes + _varint(2, kind) + _bytes(8, name.encode())
        self.weights.append((head, np.ascontiguousarray(array).data.cast("B")))
        return name

    def numbers(self, *values: int) -> str:
        """Integers, shape = (count,): shapes, axes and the like."""
        return self.weight(np.array(values, np.int64))

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Attribute) -> str:
        """The one value that an operator makes; "" stands for an input left out."""
        return self.ops(kind, 1, *inputs, domain=domain, **attributes)[0]

    def ops(
        self, kind: str, count: int, *inputs: str, domain: str = "", **attributes: Attribute
    ) -> tuple[str, ...]:
        """The values that an operator with several results makes."""
        names = tuple(self._name() for _ in range(count))
        self.nodes.append(_node(kind, inputs, names, domain, attributes))
        return names

    def session(
        self, threads: int, *, arena: bool = True, widened: bool | None = None
    ) -> onnxruntime.InferenceSession:
        """The graph, ready to run; its threads sleep between runs. arena keeps memory from run to
        run.

        widened: int8 weights become uint8, whose products are slower and always exact; unless
        given, where int8_saturates. Then no two operators may share such a weight.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = arena
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if int8_saturates() if widened is None else widened:
            # not always: onnxruntime does it on all of x86, and with VNNI it takes 3 times as long
            options.add_session_config_entry("session.x64quantprecision", "1")
        return onnxruntime.InferenceSession(
            self.serialised(), options, providers=["CPUExecutionProvider"]
        )

    def serialised(self) -> bytes:
        """The model as onnxruntime reads it; weights are copied once."""
        graph: list[bytes | memoryview] = [_bytes(1, node) for node in self.nodes]
        graph.append(_bytes(2, b"aural"))
        for head, data in self.weights:
            before = head + _opening(9, len(data))
            graph += [_opening(5, len(before) + len(data)), before, data]
        graph += [_bytes(11, value) for value in self.inputs]
        graph += [_bytes(12, value) for value in self.outputs]
        opsets = (
            _bytes(8, _bytes(1, domain.encode()) + _varint(2, version))
            for domain, version in OPSETS.items()
        )
        size = sum(map(len, graph))
        if size >= MAX_BYTES:
            raise InputError(
                f"the network takes {size / 2**30:.1f} GiB in this number format, and onnxruntime "
                "less than 2; use compute type int8"
            )
        opening = _opening(7, size)
        return b"".join((_varint(1, IR_VERSION), opening, *graph, *opsets))

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"


@functools.cache
def int8_saturates() -> bool:
    """Whether uint8 times int8 goes wrong here: on x86 without VNNI two products are added in 16
    bits, which does not hold 2 * 255 * 127. uint8 times uint8 is exact everywhere, but slower."""
    graph = Graph()
    x, y = graph.input("x", "uint8", "row", 64), graph.input("y", "int8", 64, 16)
    graph.output("product", "int32", "row", 16, of=graph.op("MatMulInteger", x, y))
    session, column = graph.session(1, widened=False), np.full((64, 16), 127, np.int8)
    products = (  # one row has a kernel of its own
        session.run(None, {"x": np.full((rows, 64), 255, np.uint8), "y": column})[0]
        for rows in (1, 2)
    )
    return any((product != 64 * 255 * 127).any() for product in products)


def _number(value: int) -> bytes:
    """A varint; a negative number as 64 bits of two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(number: int, value: int) -> bytes:
    return _number(number << 3) + _number(value)


def _opening(number: int, length: int) -> bytes:
    """What stands before a field's bytes."""
    return _number(number << 3 | 2) + _number(length)


def _bytes(number: int, data: bytes) -> bytes:
    return _opening(number, len(data)) + data


def _value(name: str, dtype: str, shape: Sequence[int | str]) -> bytes:
    sizes = b"".join(
        _bytes(1, _bytes(2, size.encode()) if isinstance(size, str) else _varint(1, size))
        for size in shape
    )
    tensor = _varint(1, _TYPES[dtype]) + _bytes(2, sizes)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, tensor))


def _node(
    kind: str,
    inputs: Iterable[str],
    outputs: Iterable[str],
    domain: str,
    attributes: dict[str, Attribute],
) -> bytes:
    return b"".join(
        (
            *(_bytes(1, name.encode()) for name in inputs),
            *(_bytes(2, name.encode()) for name in outputs),
            _bytes(4, kind.encode()),
            *(_bytes(5, _attribute(*pair)) for pair in attributes.items()),
            _bytes(7, domain.encode()),
        )
    )


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, float):
        kind, data = "f", _number(2 << 3 | 5) + struct.pack("<f", value)
    elif isinstance(value, int):
        kind, data = "i", _varint(3, value)
    elif isinstance(value, str):
        kind, data = "s", _bytes(4, value.encode())
    else:
        kind, data = "ints", b"".join(_varint(8, each) for each in value)
    return _bytes(1, name.encode()) + data + _varint(20, _ATTRIBUTE_TYPES[kind])
