"""Weights out of an ONNX file, against onnxruntime's own reading of the same file."""

from pathlib import Path

import numpy as np
import onnxruntime

from aural.nn.graph import Graph
from aural.store.onnx import read_weights


def field(number: int, wire_type: int, data: bytes) -> bytes:
    return bytes((number << 3 | wire_type,)) + data


def sized(number: int, data: bytes) -> bytes:
    assert len(data) < 128
    return field(number, 2, bytes((len(data),)) + data)


def test_weights_are_those_onnxruntime_computes_with(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    weights = [random.standard_normal(shape).astype(np.float32) for shape in ((3, 200), (200, 2))]
    graph = Graph()
    left, right = (graph.weight(array) for array in weights)
    product = graph.op("MatMul", left, right)
    wide = graph.op("Reshape", product, graph.numbers(1, -1))  # an int64 weight: left out
    graph.output("product", "float32", 1, 6, of=wide)
    path = tmp_path / "product.onnx"
    path.write_bytes(graph.serialised())
    read = read_weights(path)
    assert list(read) == [left, right]
    for name, array in zip(read, weights, strict=True):
        np.testing.assert_array_equal(read[name], array)
    (computed,) = onnxruntime.InferenceSession(path).run(None, {})
    np.testing.assert_allclose(computed.reshape(3, 2), read[left] @ read[right], rtol=1e-5)


def test_packed_shapes_and_fields_of_fixed_size(tmp_path: Path) -> None:
    values = np.arange(6, dtype="<f4")
    tensor = b"".join(
        (
            sized(1, bytes((2, 3))),  # the shape, packed
            field(2, 0, b"\x01"),
            field(15, 5, b"1234"),
            field(14, 1, b"12345678"),
            sized(8, b"weight"),
            sized(9, values.tobytes()),
        )
    )
    elsewhere = field(1, 0, b"\x02") + field(2, 0, b"\x01") + sized(8, b"elsewhere")
    path = tmp_path / "small.onnx"
    path.write_bytes(sized(7, sized(5, tensor) + sized(5, elsewhere)))
    read = read_weights(path)
    assert list(read) == ["weight"]
    np.testing.assert_array_equal(read["weight"], values.reshape(2, 3))
