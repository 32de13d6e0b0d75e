"""Graphs written by hand are what onnxruntime understands them to be."""

import numpy as np
import pytest

from aural.errors import InputError
from aural.nn import graph as graph_module
from aural.nn.graph import CONTRIB, Graph, int8_saturates

DTYPES = ("float32", "float16", "uint8", "int8", "int32", "int64", "bool")
CAST = {"float32": 1, "int32": 6, "int64": 7}


def run(graph: Graph, **inputs: np.ndarray) -> list[np.ndarray]:
    return graph.session(1).run(None, inputs)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (2, 1, 3)])
def test_a_weight_comes_back_as_it_was(dtype: str, shape: tuple[int, ...]) -> None:
    weight = (np.arange(np.prod(shape, dtype=int)) % 2 * 7 - 3).reshape(shape).astype(dtype)
    graph = Graph()
    graph.output("out", dtype, *shape, of=graph.weight(weight))
    (out,) = run(graph)
    assert out.dtype == weight.dtype
    assert out.shape == shape
    np.testing.assert_array_equal(out, weight)


@pytest.mark.parametrize(
    "weight",
    [
        np.array([np.pi, -0.0, np.inf, -np.inf, 1e-45, 3e38], np.float32),
        np.array([2**63 - 1, -(2**63), 0, -1], np.int64),
        np.array([-128, 127], np.int8),
        np.array([65504, 6e-8], np.float16),
    ],
)
def test_extreme_numbers_in_weights(weight: np.ndarray) -> None:
    graph = Graph()
    graph.output("out", weight.dtype.name, weight.size, of=graph.weight(weight))
    assert run(graph)[0].tobytes() == weight.tobytes()


def test_a_weight_that_is_not_contiguous_is_taken_by_its_values() -> None:
    weight = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1)[::2]
    graph = Graph()
    graph.output("out", "float32", 2, 2, 3, of=graph.weight(weight))
    np.testing.assert_array_equal(run(graph)[0], weight)


def test_shape_of_integers_may_be_empty() -> None:
    graph = Graph()
    x = graph.input("x", "float32", 1)
    graph.output("out", "float32", of=graph.op("Squeeze", x, graph.numbers(0)))
    (out,) = run(graph, x=np.array([2.5], np.float32))
    assert out.shape == ()
    assert out == 2.5


def test_an_int_and_a_negative_int() -> None:
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    graph = Graph()
    given = graph.input("x", "float32", 2, 3, 4)
    graph.output("first", "float32", 2, 12, of=graph.op("Flatten", given, axis=1))
    graph.output("last", "float32", 6, 4, of=graph.op("Flatten", given, axis=-1))
    graph.output("whole", "int32", 2, 3, 4, of=graph.op("Cast", given, to=CAST["int32"]))
    first, last, whole = run(graph, x=x)
    np.testing.assert_array_equal(first, x.reshape(2, 12))
    np.testing.assert_array_equal(last, x.reshape(6, 4))
    np.testing.assert_array_equal(whole, x.astype(np.int32))


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**31, 2**63 - 1, -1, -129, -(2**63)])
def test_an_int_of_any_size(value: int) -> None:
    graph = Graph()
    out = graph.op("Constant", value_int=value)
    graph.output("out", "int64", of=out)
    assert run(graph)[0] == value


def test_floats_strings_and_ints() -> None:
    graph = Graph()
    x = graph.input("x", "float32", 2, 3)
    leaky = graph.op("LeakyRelu", x, alpha=-0.125)
    graph.output("leaky", "float32", 2, 3, of=leaky)
    shift = graph.weight(np.array([[1, 2, 40]], np.int32).astype(np.uint8))
    left = graph.op("BitShift", graph.weight(np.array([[3]], np.uint8)), shift, direction="LEFT")
    graph.output("left", "uint8", 1, 3, of=left)
    graph.output("turned", "float32", 3, 2, of=graph.op("Transpose", x, perm=[1, 0]))
    graph.output("many", "int64", 3, of=graph.op("Constant", value_ints=[-(2**40), 0, 300]))
    given = np.array([[-8, 0, 1], [2, -1, 4]], np.float32)
    leaky, left, turned, many = run(graph, x=given)
    np.testing.assert_array_equal(leaky, np.where(given < 0, -0.125 * given, given))
    np.testing.assert_array_equal(left[0, :2], [6, 12])
    np.testing.assert_array_equal(turned, given.T)
    assert many.tolist() == [-(2**40), 0, 300]


def test_a_string_tells_one_form_of_an_operator_from_another() -> None:
    x = np.linspace(-3, 3, 7, dtype=np.float32)
    graph = Graph()
    given = graph.input("x", "float32", 7)
    for form in ("none", "tanh"):
        graph.output(form, "float32", 7, of=graph.op("Gelu", given, approximate=form))
    exact, tanh = run(graph, x=x)
    want = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    np.testing.assert_allclose(tanh, want, atol=1e-6)
    assert 1e-5 < np.abs(exact - tanh).max() < 1e-2


def test_an_operator_with_several_results() -> None:
    graph = Graph()
    x = graph.input("x", "float32", "row", 5)
    values, places = graph.ops("TopK", 2, x, graph.numbers(2), axis=-1)
    parts = graph.ops("Split", 3, graph.input("y", "float32", 6), axis=0, num_outputs=3)
    graph.output("values", "float32", "row", 2, of=values)
    graph.output("places", "int64", "row", 2, of=places)
    for i, part in enumerate(parts):
        graph.output(f"part_{i}", "float32", 2, of=part)
    given = np.array([[1, 5, 2, 4, 3], [9, 1, 8, 2, 7]], np.float32)
    values, places, *parts = run(graph, x=given, y=np.arange(6, dtype=np.float32))
    assert values.tolist() == [[5, 4], [9, 8]]
    assert places.tolist() == [[1, 3], [0, 2]]
    assert np.array(parts).tolist() == [[0, 1], [2, 3], [4, 5]]


def test_an_input_left_out() -> None:
    graph = Graph()
    x = graph.input("x", "float32", 4)
    graph.output("out", "float32", 4, of=graph.op("Clip", x, "", graph.weight(np.float32(2))))
    assert run(graph, x=np.array([-9, 1, 2, 3], np.float32))[0].tolist() == [-9, 1, 2, 2]


def test_a_contributed_operator() -> None:
    graph = Graph()
    x = graph.input("x", "float32", 3)
    graph.output("out", "float32", 3, of=graph.op("QuickGelu", x, domain=CONTRIB, alpha=2.0))
    given = np.array([-1, 0, 2], np.float32)
    np.testing.assert_allclose(run(graph, x=given)[0], given / (1 + np.exp(-2 * given)), rtol=1e-6)


def test_sizes_that_differ_from_run_to_run() -> None:
    graph = Graph()
    x = graph.input("x", "float32", "row", "in")
    y = graph.input("y", "float32", "in", 2)
    graph.output("product", "float32", "row", 2, of=graph.op("MatMul", x, y))
    session = graph.session(1)
    assert [given.shape for given in session.get_inputs()] == [["row", "in"], ["in", 2]]
    draw = np.random.default_rng(0)
    for rows, width in ((1, 1), (3, 5), (0, 4), (17, 2)):
        a, b = (draw.normal(size=size).astype(np.float32) for size in ((rows, width), (width, 2)))
        (out,) = session.run(None, {"x": a, "y": b})
        assert out.shape == (rows, 2)
        np.testing.assert_allclose(out, a @ b, rtol=1e-5, atol=1e-6)


def extremes(dtype: str, *shape: int) -> np.ndarray:
    """The ends of an 8-bit type in an order of no pattern, the first rows of them all one end."""
    ends = np.iinfo(dtype)
    some = np.random.default_rng(0).choice(np.array([ends.min, ends.max], dtype), shape)
    some[: shape[0] // 4], some[shape[0] // 4 : shape[0] // 2] = ends.max, ends.min
    return some


@pytest.mark.parametrize("widened", [None, True])
@pytest.mark.parametrize("zero", [0, 128])
@pytest.mark.parametrize(("rows", "width", "columns"), [(1, 64, 64), (5, 256, 63), (40, 65, 700)])
def test_products_with_int8_weights_are_exact(widened, zero, rows, width, columns) -> None:
    """At the extremes, also where int8_saturates; by both operators."""
    weight, given = extremes("int8", columns, width).T, extremes("uint8", rows, width)
    graph = Graph()
    x = graph.input("x", "uint8", "row", width)
    point, one = graph.weight(np.array(zero, np.uint8)), graph.weight(np.array(1, np.float32))
    scales = graph.weight(np.ones(columns, np.float32))
    whole = graph.op("MatMulInteger", x, graph.weight(weight), point)
    inputs = (x, graph.weight(weight), one, scales, point)
    scaled = graph.op("MatMulIntegerToFloat", *inputs, domain=CONTRIB)
    graph.output("whole", "int32", "row", columns, of=whole)
    graph.output("scaled", "float32", "row", columns, of=scaled)
    right = (given.astype(int) - zero) @ weight.astype(int)
    for found in graph.session(1, widened=widened).run(None, {"x": given}):
        np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("zero", [0, 128])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize(("rows", "width", "columns"), [(1, 700, 64), (5, 64, 700)])
def test_products_with_8_bits_given_at_the_run(dtype, zero, rows, width, columns) -> None:
    """Of uint8 exact everywhere, of int8 unless int8_saturates."""
    left, right = extremes("uint8", rows, width), extremes(dtype, columns, width).T
    middle = 128 if dtype == "uint8" else 0
    graph = Graph()
    x, y = graph.input("x", "uint8", 1, rows, width), graph.input("y", dtype, 1, width, columns)
    points = graph.weight(np.array(zero, np.uint8)), graph.weight(np.array(middle, dtype))
    out = graph.op("MatMulInteger", x, y, *points)
    graph.output("out", "int32", 1, rows, columns, of=out)
    (found,) = run(graph, x=left[None], y=np.ascontiguousarray(right)[None])
    wanted = (left.astype(int) - zero) @ (right.astype(int) - middle)
    saturated = dtype == "int8" and int8_saturates()
    assert (found[0] == wanted).all() != saturated


def test_a_graph_may_have_several_sessions() -> None:
    graph = Graph()
    x = graph.input("x", "float32", 2)
    graph.output("out", "float32", 2, of=graph.op("Neg", x))
    options = [session.get_session_options() for session in (graph.session(1), graph.session(2))]
    assert [each.intra_op_num_threads for each in options] == [1, 2]
    assert graph.session(1, arena=False).get_session_options().enable_cpu_mem_arena is False


def test_too_large_a_network_is_refused_before_it_is_tried(monkeypatch) -> None:
    monkeypatch.setattr(graph_module, "MAX_BYTES", 1000)
    graph = Graph()
    graph.output("y", "float32", 300, of=graph.weight(np.zeros(300, np.float32)))
    with pytest.raises(InputError, match="use compute type int8"):
        graph.serialised()
