"""A Transformer over sound, encoder and decoder, as ONNX graphs (Vaswani et al. 2017, in the
pre-norm form of Radford et al. 2022): two convolutions, then attention and feed-forward layers.

Weights come by name, as CTranslate2 writes them: encoder/conv1/weight (d_model, n_mels, 3),
encoder/layer_0/self_attention/linear_0/weight (3 * d_model, d_model) for query, key and value, and
so on. A projection's weight is (out, in).

In int8 a weight has one scale an output, and what is multiplied by it one scale a row (a moment in
time, or a token), so that no row depends on those beside it: a text does not depend on its batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aural.nn.graph import CONTRIB, Graph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ZERO_POINT = 128
FLOAT = 1
"""float32 by the number that Cast knows it by."""
_TINY = 1e-12


@dataclass(frozen=True)
class Layers:
    """Writes layers into a graph, their weights taken from arrays by name."""

    graph: Graph
    arrays: Mapping[str, np.ndarray]
    heads: int
    int8: bool

    @property
    def d_model(self) -> int:
        """Width of a state."""
        return self.arrays["decoder/embeddings/weight"].shape[1]

    def array(self, name: str) -> np.ndarray:
        """A weight in float32."""
        return np.asarray(self.arrays[name], np.float32)

    def norm(self, x: str, scope: str) -> str:
        """Layer normalisation over the last axis."""
        gamma, beta = (self.graph.weight(self.array(f"{scope}/{part}")) for part in GAINS)
        return self.graph.op("LayerNormalization", x, gamma, beta, axis=-1, epsilon=1e-5)

    def linear(self, x: str, scope: str, rows: slice = slice(None), scale: float = 1.0) -> str:
        """x of (rows, in) times the weight's rows, plus the bias; all times scale."""
        weight = self.array(f"{scope}/weight")[rows] * np.float32(scale)
        bias = self.arrays.get(f"{scope}/bias")
        if bias is not None:
            bias = np.asarray(bias, np.float32)[rows] * np.float32(scale)
        return self.product(x, weight, bias)

    def product(self, x: str, weight: np.ndarray, bias: np.ndarray | None) -> str:
        """x of (rows, in) times weight (out, in), plus bias (out,), as (rows, out)."""
        graph = self.graph
        if not self.int8:
            out = graph.op("MatMul", x, graph.weight(np.ascontiguousarray(weight.T)))
        else:
            out = self._product_int8(x, weight)
        return out if bias is None or not bias.any() else graph.op("Add", out, graph.weight(bias))

    def _product_int8(self, x: str, weight: np.ndarray) -> str:
        graph = self.graph
        scales = np.maximum(np.abs(weight).max(axis=1) / 127, _TINY).astype(np.float32)
        rounded = np.rint(weight / scales[:, None]).astype(np.int8)
        steps, quantised = self.rounded(x)
        out = graph.op(
            "MatMulIntegerToFloat",
            quantised,
            graph.weight(np.ascontiguousarray(rounded.T)),
            graph.weight(np.array(1, np.float32)),
            graph.weight(scales),
            graph.weight(np.array(ZERO_POINT, np.uint8)),
            domain=CONTRIB,
        )
        return graph.op("Mul", out, graph.op("Unsqueeze", steps, graph.numbers(1)))

    def rounded(self, x: str) -> tuple[str, str]:
        """One step size a row, float32 (row,), and x of (row, in) in those steps as uint8, zero at
        ZERO_POINT."""
        graph = self.graph
        largest = graph.op("ReduceMax", graph.op("Abs", x), graph.numbers(-1), keepdims=0)
        steps = graph.op("Mul", largest, graph.weight(np.array([1 / 127], np.float32)))
        steps = graph.op("Max", steps, graph.weight(np.array([_TINY], np.float32)))
        zero = graph.weight(np.array([ZERO_POINT], np.uint8))
        zeros = graph.op("Expand", zero, graph.op("Shape", steps))
        return steps, graph.op("QuantizeLinear", x, steps, zeros, axis=0)

    def feed_forward(self, x: str, scope: str) -> str:
        """x of (rows, d_model) plus what two projections and a GELU make of it."""
        inside = self.linear(self.norm(x, f"{scope}/layer_norm"), f"{scope}/linear_0")
        inside = self.graph.op("Gelu", inside, domain=CONTRIB)
        return self.graph.op("Add", x, self.linear(inside, f"{scope}/linear_1"))

    def split(self, x: str, batch: str, *, transposed: bool = False) -> str:
        """(rows, d_model) as (window, head, row, width); transposed as (window, head, width, row).

        batch is a shape of (window, rows of each, heads, width).
        """
        perm = [0, 2, 3, 1] if transposed else [0, 2, 1, 3]
        return self.graph.op("Transpose", self.graph.op("Reshape", x, batch), perm=perm)

    def joined(self, x: str) -> str:
        """(window, head, row, width) as (rows, d_model)."""
        flat = self.graph.op("Transpose", x, perm=[0, 2, 1, 3])
        return self.graph.op("Reshape", flat, self.graph.numbers(-1, self.d_model))

    def by_heads(self, windows: str) -> str:
        """The shape for `split`, of windows (a number of shape (1,)) and rows as they come."""
        rest = self.graph.numbers(-1, self.heads, self.d_model // self.heads)
        return self.graph.op("Concat", windows, rest, axis=0)


GAINS = ("gamma", "beta")


def depth(arrays: Mapping[str, np.ndarray], side: str) -> int:
    """Layers of the "encoder" or the "decoder"."""
    count = 0
    while f"{side}/layer_{count}/ffn/linear_0/weight" in arrays:
        count += 1
    return count


def encoder(arrays: Mapping[str, np.ndarray], heads: int, *, int8: bool) -> Graph:
    """features float32 (1, n_mels, frame) -> states (state, d_model), a state for two frames."""
    graph = Graph()
    layers = Layers(graph, arrays, heads, int8)
    d_model = layers.d_model
    x = graph.input("features", "float32", 1, arrays["encoder/conv1/weight"].shape[1], "frame")
    for name, stride in (("conv1", 1), ("conv2", 2)):
        weight, bias = (graph.weight(layers.array(f"encoder/{name}/{p}")) for p in WEIGHTS)
        x = graph.op("Conv", x, weight, bias, pads=[1, 1], strides=[stride])
        x = graph.op("Gelu", x, domain=CONTRIB)
    x = graph.op("Squeeze", graph.op("Transpose", x, perm=[0, 2, 1]), graph.numbers(0))
    places = graph.weight(layers.array("encoder/position_encodings/encodings"))
    count = graph.op("Gather", graph.op("Shape", x), graph.numbers(0))
    x = graph.op("Add", x, graph.op("Slice", places, graph.numbers(0), count, graph.numbers(0)))
    for i in range(depth(arrays, "encoder")):
        scope = f"encoder/layer_{i}/self_attention"
        joint = layers.linear(layers.norm(x, f"{scope}/layer_norm"), f"{scope}/linear_0")
        parts = graph.ops("Split", 3, joint, axis=-1, num_outputs=3)
        batch = (graph.op("Unsqueeze", part, graph.numbers(0)) for part in parts)
        heard = graph.op("MultiHeadAttention", *batch, domain=CONTRIB, num_heads=heads)
        heard = graph.op("Squeeze", heard, graph.numbers(0))
        x = graph.op("Add", x, layers.linear(heard, f"{scope}/linear_1"))
        x = layers.feed_forward(x, f"encoder/layer_{i}/ffn")
    graph.output("states", "float32", "state", d_model, of=layers.norm(x, "encoder/layer_norm"))
    return graph


WEIGHTS = ("weight", "bias")


def memory(arrays: Mapping[str, np.ndarray], heads: int, *, int8: bool) -> Graph:
    """states float32 (window, state, d_model) -> what the decoder's layers attend to:
    memory_key_0 (window, head, width, state), memory_value_0 (window, head, state, width), ...

    In int8 both are int8 with a step size for each of a head's dimensions, memory_key_step_0 and
    memory_value_step_0, float32 (window, head, 1, width): reading them is most of what a step of
    the decoder waits for.
    """
    graph = Graph()
    layers = Layers(graph, arrays, heads, int8)
    d_model, width = layers.d_model, layers.d_model // heads
    states = graph.input("states", "float32", "window", "state", d_model)
    windows = graph.op("Slice", graph.op("Shape", states), graph.numbers(0), graph.numbers(1))
    batch = layers.by_heads(windows)
    rows = graph.op("Reshape", states, graph.numbers(-1, d_model))
    for i in range(depth(arrays, "decoder")):
        scope = f"decoder/layer_{i}/attention/linear_1"
        key = layers.split(layers.linear(rows, scope, slice(d_model)), batch, transposed=True)
        value = layers.split(
            layers.linear(rows, scope, slice(d_model, None)), batch, transposed=True
        )
        kind = "float32"
        if int8:
            kind = "int8"
            key = _in_steps(layers, key, f"memory_key_step_{i}")
            value = _in_steps(layers, value, f"memory_value_step_{i}")
        value = graph.op("Transpose", value, perm=[0, 1, 3, 2])
        graph.output(f"memory_key_{i}", kind, "window", heads, width, "state", of=key)
        graph.output(f"memory_value_{i}", kind, "window", heads, "state", width, of=value)
    return graph


def _in_steps(layers: Layers, x: str, name: str) -> str:
    """x of (window, head, width, state) as int8; the step of each dimension is given out."""
    graph, width = layers.graph, layers.d_model // layers.heads
    shape = graph.op("Shape", x)
    states = graph.op("Slice", shape, graph.numbers(3), graph.numbers(4))
    flat = graph.op("Reshape", x, graph.op("Concat", graph.numbers(-1), states, axis=0))
    largest = graph.op("ReduceMax", graph.op("Abs", flat), graph.numbers(-1), keepdims=0)
    steps = graph.op("Mul", largest, graph.weight(np.array([1 / 127], np.float32)))
    steps = graph.op("Max", steps, graph.weight(np.array([_TINY], np.float32)))
    zeros = graph.op("Expand", graph.weight(np.zeros(1, np.int8)), graph.op("Shape", steps))
    quantised = graph.op("QuantizeLinear", flat, steps, zeros, axis=0)
    out = graph.op("Reshape", steps, graph.numbers(-1, layers.heads, 1, width))
    graph.output(name, "float32", "window", layers.heads, 1, width, of=out)
    return graph.op("Reshape", quantised, shape)


def decoder(
    arrays: Mapping[str, np.ndarray],
    heads: int,
    *,
    int8: bool,
    aligned: Sequence[tuple[int, int]],
    suppressed: Sequence[int],
) -> Graph:
    """One step: a few new tokens a window, after those whose keys and values are kept.

    In: x float32 (window, new, d_model), embedded; mask (window, 1, new, kept + new), 0 or -inf;
    key_0 (window, head, width, kept), value_0 (window, head, kept, width) and so on; memory_key_0
    and so on; rows int64 (row,), of which new tokens (counted over all windows) to tell the next;
    count int64 (1,).

    Out: new_key_0 (window, head, width, new), new_value_0 (window, head, new, width) and so on;
    attention (window, aligned, new, state), the scores before softmax of the heads in aligned
    ((layer, head), ...); hidden (row, d_model); log_probs and tokens (row, count), the count
    likeliest next tokens by falling probability, those in suppressed left out.
    """
    graph = Graph()
    layers = Layers(graph, arrays, heads, int8)
    d_model, width = layers.d_model, layers.d_model // heads
    given = graph.input("x", "float32", "window", "new", d_model)
    mask = graph.input("mask", "float32", "window", 1, "new", "all")
    rows = graph.input("rows", "int64", "row")
    count = graph.input("count", "int64", 1)
    windows = graph.op("Slice", graph.op("Shape", given), graph.numbers(0), graph.numbers(1))
    batch = layers.by_heads(windows)
    x = graph.op("Reshape", given, graph.numbers(-1, d_model))
    watched = []
    for i in range(depth(arrays, "decoder")):
        x = _self_attention(layers, x, i, (batch, mask), _kept(layers, i))
        x, scores = _cross_attention(layers, x, i, batch)
        chosen = [head for layer, head in aligned if layer == i]
        if chosen:
            watched.append(graph.op("Gather", scores, graph.numbers(*chosen), axis=1))
        x = layers.feed_forward(x, f"decoder/layer_{i}/ffn")
    attention = graph.op("Concat", *watched, axis=1)
    graph.output("attention", "float32", "window", len(aligned), "new", "state", of=attention)
    hidden = layers.norm(graph.op("Gather", x, rows, axis=0), "decoder/layer_norm")
    graph.output("hidden", "float32", "row", d_model, of=hidden)
    _likeliest(layers, hidden, count, suppressed)
    return graph


def _kept(layers: Layers, layer: int) -> tuple[str, str]:
    graph, heads, width = layers.graph, layers.heads, layers.d_model // layers.heads
    return (
        graph.input(f"key_{layer}", "float32", "window", heads, width, "kept"),
        graph.input(f"value_{layer}", "float32", "window", heads, "kept", width),
    )


def _self_attention(
    layers: Layers, x: str, layer: int, shapes: tuple[str, str], kept: tuple[str, ...]
) -> str:
    """New tokens attend to those kept and to each other, as far as the mask lets them."""
    graph, d_model, (batch, mask) = layers.graph, layers.d_model, shapes
    width = d_model // layers.heads
    scope = f"decoder/layer_{layer}/self_attention"
    normed = layers.norm(x, f"{scope}/layer_norm")
    weight, bias = (layers.array(f"{scope}/linear_0/{part}").copy() for part in WEIGHTS)
    weight[:d_model] /= np.sqrt(width)
    bias[:d_model] /= np.sqrt(width)
    query, key, value = graph.ops(
        "Split", 3, layers.product(normed, weight, bias), axis=-1, num_outputs=3
    )
    query, value = layers.split(query, batch), layers.split(value, batch)
    key = layers.split(key, batch, transposed=True)
    graph.output(f"new_key_{layer}", "float32", "window", layers.heads, width, "new", of=key)
    graph.output(f"new_value_{layer}", "float32", "window", layers.heads, "new", width, of=value)
    before, among = graph.op("MatMul", query, kept[0]), graph.op("MatMul", query, key)
    scores = graph.op("Add", graph.op("Concat", before, among, axis=-1), mask)
    shares = graph.op("Softmax", scores, axis=-1)
    edge = graph.op("Slice", graph.op("Shape", before), graph.numbers(3), graph.numbers(4))
    last, end = graph.numbers(-1), graph.numbers(np.iinfo(np.int64).max)
    old = graph.op("Slice", shares, graph.numbers(0), edge, last)
    new = graph.op("Slice", shares, edge, end, last)
    heard = graph.op("Add", graph.op("MatMul", old, kept[1]), graph.op("MatMul", new, value))
    return graph.op("Add", x, layers.linear(layers.joined(heard), f"{scope}/linear_1"))


def _cross_attention(layers: Layers, x: str, layer: int, batch: str) -> tuple[str, str]:
    """New tokens attend to the states: what comes of it, and the scores."""
    graph = layers.graph
    scope = f"decoder/layer_{layer}/attention"
    normed = layers.norm(x, f"{scope}/layer_norm")
    scale = (layers.d_model // layers.heads) ** -0.5
    query = layers.split(layers.linear(normed, f"{scope}/linear_0", scale=scale), batch)
    attend = _attend_int8 if layers.int8 else _attend
    heard, scores = attend(layers, query, layer)
    x = graph.op("Add", x, layers.linear(layers.joined(heard), f"{scope}/linear_2"))
    return x, scores


def _memory(layers: Layers, layer: int, kind: str) -> tuple[str, str]:
    graph, heads, width = layers.graph, layers.heads, layers.d_model // layers.heads
    return (
        graph.input(f"memory_key_{layer}", kind, "window", heads, width, "state"),
        graph.input(f"memory_value_{layer}", kind, "window", heads, "state", width),
    )


def _attend(layers: Layers, query: str, layer: int) -> tuple[str, str]:
    graph = layers.graph
    keys, values = _memory(layers, layer, "float32")
    scores = graph.op("MatMul", query, keys)
    return graph.op("MatMul", graph.op("Softmax", scores, axis=-1), values), scores


def _attend_int8(layers: Layers, query: str, layer: int) -> tuple[str, str]:
    """The same with keys and values in int8. A dimension's step goes into the query and out of the
    result. Shares of attention are rounded to 1 / 255 and what is left of them to 1 / 64,770, since
    many small ones may be most of the whole."""
    graph, heads, width = layers.graph, layers.heads, layers.d_model // layers.heads
    keys, values = _memory(layers, layer, "int8")
    steps = [
        graph.input(f"memory_{part}_step_{layer}", "float32", "window", heads, 1, width)
        for part in ("key", "value")
    ]
    query = graph.op("Mul", query, steps[0])
    shape = graph.op("Shape", query)
    query_steps, flat = layers.rounded(graph.op("Reshape", query, graph.numbers(-1, width)))
    zero = graph.weight(np.array(ZERO_POINT, np.uint8))
    scores = graph.op("MatMulInteger", graph.op("Reshape", flat, shape), keys, zero)
    row = graph.op("Concat", _part(graph, shape, 0, 3), graph.numbers(1), axis=0)
    scores = graph.op(
        "Mul", graph.op("Cast", scores, to=FLOAT), graph.op("Reshape", query_steps, row)
    )
    shares = graph.op("Softmax", scores, axis=-1)
    none = graph.weight(np.array(0, np.uint8))
    coarse, fine = (graph.weight(np.array(step, np.float32)) for step in (1 / 255, 1 / 64770))
    most = graph.op("QuantizeLinear", shares, coarse, none)
    left = graph.op("Sub", shares, graph.op("DequantizeLinear", most, coarse, none))
    left = graph.op("QuantizeLinear", left, fine, zero)
    heard = (
        graph.op("Mul", graph.op("Cast", graph.op("MatMulInteger", *part), to=FLOAT), step)
        for part, step in (((most, values, none), coarse), ((left, values, zero), fine))
    )
    return graph.op("Mul", graph.op("Add", *heard), steps[1]), scores


def _part(graph: Graph, shape: str, first: int, end: int) -> str:
    return graph.op("Slice", shape, graph.numbers(first), graph.numbers(end))


def _likeliest(layers: Layers, hidden: str, count: str, suppressed: Sequence[int]) -> None:
    graph, table = layers.graph, layers.array("decoder/embeddings/weight")
    bias = np.zeros(len(table), np.float32)
    bias[list(suppressed)] = -np.inf
    scores = graph.op("LogSoftmax", layers.product(hidden, table, bias), axis=-1)
    log_probs, tokens = graph.ops("TopK", 2, scores, count, axis=-1)
    graph.output("log_probs", "float32", "row", "count", of=log_probs)
    graph.output("tokens", "int64", "row", "count", of=tokens)
