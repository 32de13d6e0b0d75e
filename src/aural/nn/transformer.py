"""A Transformer over sound, encoder and decoder, as ONNX graphs (Vaswani et al. 2017, in the
pre-norm form of Radford et al. 2022): two convolutions, then attention and feed-forward layers.

Weights come by name, as CTranslate2 writes them: encoder/conv1/weight (d_model, n_mels, 3),
encoder/layer_0/self_attention/linear_0/weight (3 * d_model, d_model) for query, key and value, and
so on. A projection's weight is (out, in).

In int8 a weight has one scale an output, and what is multiplied by it one scale a row (a moment in
time, or a token), so that no row depends on those beside it: a text does not depend on its batch.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aural.nn.graph import CONTRIB, Graph, int8_saturates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnxruntime

ZERO_POINT = 128
MEMORY_ZERO = {"int8": 0, "uint8": ZERO_POINT}
"""What is zero in the types of what the decoder attends to."""
GROUP = 64
ROUNDED_ROWS = 4096
FLOAT = 1
"""float32 by the number that Cast knows it by."""
_TINY = 1e-12
GAINS = ("gamma", "beta")
WEIGHTS = ("weight", "bias")


@dataclass(frozen=True)
class Layers:
    """Writes layers into a graph, their weights taken from arrays by name."""

    graph: Graph
    arrays: Mapping[str, np.ndarray]
    heads: int
    int8: bool
    memory: str = "int8"
    """Type of what the decoder attends to, where it is in int8: a key of MEMORY_ZERO."""

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

    def linear(self, x: str, scope: str, rows: slice = slice(None)) -> str:
        """x of (rows, in) times the weight's rows, plus the bias."""
        return self.product(
            x, self.arrays[f"{scope}/weight"][rows], self.array(f"{scope}/bias")[rows]
        )

    def product(self, x: str, weight: np.ndarray, bias: np.ndarray) -> str:
        """x of (rows, in) times weight (out, in), plus bias, as (rows, out); zero before the bias
        for outputs that only the bias has."""
        graph = self.graph
        if self.int8:
            out = self._product_int8(x, weight, len(bias))
        else:
            columns = np.zeros((weight.shape[1], len(bias)), np.float32)
            columns[:, : len(weight)] = weight.T
            out = graph.op("MatMul", x, graph.weight(columns))
        return graph.op("Add", out, graph.weight(bias)) if bias.any() else out

    def _product_int8(self, x: str, weight: np.ndarray, outputs: int) -> str:
        graph = self.graph
        rounded, scales = in_int8(weight, outputs)
        steps, quantised = self.rounded(x)
        out = graph.op(
            "MatMulIntegerToFloat",
            quantised,
            graph.weight(rounded),
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
        steps = _steps(graph, largest)
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

    def shrunk(self, query: str) -> str:
        """Divided by the square root of a head's width."""
        scale = np.array((self.d_model // self.heads) ** -0.5, np.float32)
        return self.graph.op("Mul", query, self.graph.weight(scale))

    def joined(self, x: str) -> str:
        """(window, head, row, width) as (rows, d_model)."""
        flat = self.graph.op("Transpose", x, perm=[0, 2, 1, 3])
        return self.graph.op("Reshape", flat, self.graph.numbers(-1, self.d_model))

    def by_heads(self, windows: str) -> str:
        """The shape for `split`, of windows (a number of shape (1,)) and rows as they come."""
        rest = self.graph.numbers(-1, self.heads, self.d_model // self.heads)
        return self.graph.op("Concat", windows, rest, axis=0)


def in_int8(weight: np.ndarray, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """weight (out, in) in int8, as (in, outputs), and the step size of each output, float32
    (outputs,); outputs that it does not have are zero."""
    rounded = np.zeros((weight.shape[1], outputs), np.int8)
    steps = np.ones(outputs, np.float32)
    session = _rounder(weight.dtype.name)
    for first in range(0, len(weight), ROUNDED_ROWS):  # by parts: what is between takes memory
        part = slice(first, min(first + ROUNDED_ROWS, len(weight)))
        given = {"weight": np.ascontiguousarray(weight[part])}
        rounded[:, part], steps[part] = session.run(None, given)
    return rounded, steps


@functools.cache
def _rounder(dtype: str) -> onnxruntime.InferenceSession:
    """A session that rounds weights: four times as fast as numpy, which is slow in half floats."""
    graph = Graph()
    weight = graph.op("Cast", graph.input("weight", dtype, "out", "in"), to=FLOAT)
    largest = graph.op("ReduceMax", graph.op("Abs", weight), graph.numbers(-1), keepdims=0)
    steps = _steps(graph, largest)
    zeros = graph.op("Expand", graph.weight(np.zeros(1, np.int8)), graph.op("Shape", steps))
    rounded = graph.op("QuantizeLinear", weight, steps, zeros, axis=0)
    transposed = graph.op("Transpose", rounded, perm=[1, 0])
    graph.output("rounded", "int8", "in", "out", of=transposed)
    graph.output("steps", "float32", "out", of=steps)
    return graph.session(1, arena=False)


def depth(arrays: Mapping[str, np.ndarray], side: str) -> int:
    """Layers of the "encoder" or the "decoder"."""
    count = 0
    while f"{side}/layer_{count}/ffn/linear_0/weight" in arrays:
        count += 1
    return count


def memory_type() -> str:
    """The type of what the decoder attends to in int8 on this machine: the fastest that is exact
    with any values."""
    return "uint8" if int8_saturates() else "int8"


def encoder(arrays: Mapping[str, np.ndarray], *, int8: bool, memory: str = "") -> Graph:
    """One window's features float32 (1, n_mels, frame) -> what the decoder's layers attend to, a
    state for two frames: memory_key_0 (1, head, width, state), memory_value_0 (1, head, state,
    width), ...

    In int8 both are int8 with a step size for each of a head's dimensions, memory_key_step_0 and
    memory_value_step_0, float32 (1, head, 1, width): reading them is most of what a step of the
    decoder waits for. memory is their type, "int8" or "uint8" with zero at ZERO_POINT; memory_type
    unless given.
    """
    graph = Graph()
    heads = int(arrays["encoder/num_heads"])
    layers = Layers(graph, arrays, heads, int8)
    x = _front(layers)
    for i in range(depth(arrays, "encoder")):
        scope = f"encoder/layer_{i}/self_attention"
        joint = layers.linear(layers.norm(x, f"{scope}/layer_norm"), f"{scope}/linear_0")
        parts = graph.ops("Split", 3, joint, axis=-1, num_outputs=3)
        batch = (graph.op("Unsqueeze", part, graph.numbers(0)) for part in parts)
        heard = graph.op("MultiHeadAttention", *batch, domain=CONTRIB, num_heads=heads)
        heard = graph.op("Squeeze", heard, graph.numbers(0))
        x = graph.op("Add", x, layers.linear(heard, f"{scope}/linear_1"))
        x = layers.feed_forward(x, f"encoder/layer_{i}/ffn")
    states = layers.norm(x, "encoder/layer_norm")
    graph.output("states", "float32", "state", layers.d_model, of=states)
    memory = memory or memory_type()
    _memories(Layers(graph, arrays, int(arrays["decoder/num_heads"]), int8, memory), states)
    return graph


def _front(layers: Layers) -> str:
    """Two convolutions over three moments each, the second taking every other one, and the places
    of the states: (state, d_model)."""
    graph, arrays = layers.graph, layers.arrays
    x = graph.input("features", "float32", 1, arrays["encoder/conv1/weight"].shape[1], "frame")
    weight, bias = (graph.weight(layers.array(f"encoder/conv1/{part}")) for part in WEIGHTS)
    x = graph.op("Conv", x, weight, bias, pads=[1, 1])
    x = graph.op("Transpose", graph.op("Gelu", x, domain=CONTRIB), perm=[0, 2, 1])
    x = graph.op("Squeeze", x, graph.numbers(0))
    x = graph.op("Gelu", _every_other(layers, x), domain=CONTRIB)
    places = graph.weight(layers.array("encoder/position_encodings/encodings"))
    count = _part(graph, graph.op("Shape", x), 0, 1)
    return graph.op("Add", x, graph.op("Slice", places, graph.numbers(0), count, graph.numbers(0)))


def _every_other(layers: Layers, x: str) -> str:
    """The second convolution of x (frame, d_model) as one product: three moments side by side."""
    graph, d_model = layers.graph, layers.d_model
    edge = graph.weight(np.zeros((1, d_model), np.float32))
    padded = graph.op("Concat", edge, x, edge, axis=0)
    count = _part(graph, graph.op("Shape", x), 0, 1)
    taken = []
    for shift in range(3):  # an even number of frames: each slice is half of them
        end = graph.op("Add", count, graph.numbers(shift))
        taken.append(
            graph.op("Slice", padded, graph.numbers(shift), end, graph.numbers(0), graph.numbers(2))
        )
    weight = layers.array("encoder/conv2/weight").transpose(0, 2, 1).reshape(d_model, -1)
    moments = graph.op("Concat", *taken, axis=1)
    return layers.product(moments, weight, layers.array("encoder/conv2/bias"))


def _memories(layers: Layers, states: str) -> None:
    graph, heads, d_model = layers.graph, layers.heads, layers.d_model
    width = d_model // heads
    batch = layers.by_heads(graph.numbers(1))
    for i in range(depth(layers.arrays, "decoder")):
        scope = f"decoder/layer_{i}/attention/linear_1"
        for part, rows in (("key", slice(d_model)), ("value", slice(d_model, None))):
            x, kind = layers.linear(states, scope, rows), "float32"
            if layers.int8:
                x, kind = _in_steps(layers, x, f"memory_{part}_step_{i}"), layers.memory
            x = layers.split(x, batch, transposed=part == "key")
            sizes = (width, "state") if part == "key" else ("state", width)
            graph.output(f"memory_{part}_{i}", kind, 1, heads, *sizes, of=x)


def _in_steps(layers: Layers, x: str, name: str) -> str:
    """x of (state, d_model) as layers.memory; the step of each dimension is given out."""
    graph, width = layers.graph, layers.d_model // layers.heads
    largest = graph.op("ReduceMax", graph.op("Abs", x), graph.numbers(0), keepdims=0)
    steps = _steps(graph, largest)
    out = graph.op("Reshape", steps, graph.numbers(1, layers.heads, 1, width))
    graph.output(name, "float32", 1, layers.heads, 1, width, of=out)
    one = graph.weight(np.array(1, np.float32))
    return graph.op("QuantizeLinear", graph.op("Div", x, steps), one, _memory_zero(layers))


def _memory_zero(layers: Layers) -> str:
    return layers.graph.weight(np.array(MEMORY_ZERO[layers.memory], layers.memory))


def _steps(graph: Graph, largest: str) -> str:
    """The step sizes in which largest is 127, none of them zero."""
    steps = graph.op("Mul", largest, graph.weight(np.array([1 / 127], np.float32)))
    return graph.op("Max", steps, graph.weight(np.array([_TINY], np.float32)))


def decoder(
    arrays: Mapping[str, np.ndarray],
    *,
    int8: bool,
    aligned: Sequence[tuple[int, int]],
    suppressed: Sequence[int],
    memory: str = "",
) -> Graph:
    """One step: a few new tokens a window, after those whose keys and values are kept.

    In: x float32 (window, new, d_model), embedded; mask (window, 1, new, kept + new), 0 or -inf;
    key_0 (window, head, width, kept), value_0 (window, head, kept, width) and so on; memory_key_0
    and so on as transformer.encoder gives them with the same memory, for all windows; memory_mask
    (window, 1, 1, state), 0 or -inf; rows int64 (row,), of which new tokens (counted over all
    windows) to tell the next; count int64 (1,).

    Out: new_key_0 (window, head, width, new), new_value_0 (window, head, new, width) and so on;
    attention (window, aligned, new, state), the scores before softmax of the heads in aligned
    ((layer, head), ...); hidden (row, d_model); log_probs and tokens (row, count), the count
    likeliest next tokens by falling probability, those in suppressed left out (less than count
    where there are not so many).
    """
    graph = Graph()
    layers = Layers(graph, arrays, int(arrays["decoder/num_heads"]), int8, memory or memory_type())
    d_model = layers.d_model
    given = graph.input("x", "float32", "window", "new", d_model)
    mask = graph.input("mask", "float32", "window", 1, "new", "all")
    graph.input("memory_mask", "float32", "window", 1, 1, "state")
    rows = graph.input("rows", "int64", "row")
    count = graph.input("count", "int64", 1)
    windows = _part(graph, graph.op("Shape", given), 0, 1)
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
    joint = layers.linear(normed, f"{scope}/linear_0")
    query, key, value = graph.ops("Split", 3, joint, axis=-1, num_outputs=3)
    query, value = layers.split(layers.shrunk(query), batch), layers.split(value, batch)
    key = layers.split(key, batch, transposed=True)
    graph.output(f"new_key_{layer}", "float32", "window", layers.heads, width, "new", of=key)
    graph.output(f"new_value_{layer}", "float32", "window", layers.heads, "new", width, of=value)
    before, among = graph.op("MatMul", query, kept[0]), graph.op("MatMul", query, key)
    scores = graph.op("Add", graph.op("Concat", before, among, axis=-1), mask)
    shares = graph.op("Softmax", scores, axis=-1)
    edge = _part(graph, graph.op("Shape", before), 3, 4)
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
    query = layers.split(layers.shrunk(layers.linear(normed, f"{scope}/linear_0")), batch)
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
    scores = graph.op("Add", graph.op("MatMul", query, keys), "memory_mask")
    return graph.op("MatMul", graph.op("Softmax", scores, axis=-1), values), scores


def _attend_int8(layers: Layers, query: str, layer: int) -> tuple[str, str]:
    """The same with keys and values in int8. A dimension's step goes into the query and out of the
    result. Shares of attention are rounded to 1 / 255 and what is left of them to 1 / 64,770, since
    many small ones may be most of the whole."""
    graph, heads, width = layers.graph, layers.heads, layers.d_model // layers.heads
    keys, values = _memory(layers, layer, layers.memory)
    held = _memory_zero(layers)
    steps = [
        graph.input(f"memory_{part}_step_{layer}", "float32", "window", heads, 1, width)
        for part in ("key", "value")
    ]
    query = graph.op("Mul", query, steps[0])
    shape = graph.op("Shape", query)
    query_steps, flat = layers.rounded(graph.op("Reshape", query, graph.numbers(-1, width)))
    zero = graph.weight(np.array(ZERO_POINT, np.uint8))
    scores = graph.op("MatMulInteger", graph.op("Reshape", flat, shape), keys, zero, held)
    row = graph.op("Concat", _part(graph, shape, 0, 3), graph.numbers(1), axis=0)
    scores = graph.op(
        "Mul", graph.op("Cast", scores, to=FLOAT), graph.op("Reshape", query_steps, row)
    )
    scores = graph.op("Add", scores, "memory_mask")
    shares = graph.op("Softmax", scores, axis=-1)
    none = graph.weight(np.array(0, np.uint8))
    coarse, fine = (graph.weight(np.array(step, np.float32)) for step in (1 / 255, 1 / 64770))
    most = graph.op("QuantizeLinear", shares, coarse, none)
    left = graph.op("Sub", shares, graph.op("DequantizeLinear", most, coarse, none))
    left = graph.op("QuantizeLinear", left, fine, zero)
    heard = (
        graph.op("Mul", graph.op("Cast", graph.op("MatMulInteger", *part), to=FLOAT), step)
        for part, step in (((most, values, none, held), coarse), ((left, values, zero, held), fine))
    )
    return graph.op("Mul", graph.op("Add", *heard), steps[1]), scores


def _part(graph: Graph, shape: str, first: int, end: int) -> str:
    return graph.op("Slice", shape, graph.numbers(first), graph.numbers(end))


def _likeliest(layers: Layers, hidden: str, count: str, suppressed: Sequence[int]) -> None:
    """The likeliest tokens are looked for in the groups of GROUP whose best are the likeliest:
    finding the largest of a group is much cheaper than ordering all."""
    graph, arrays = layers.graph, layers.arrays
    table = arrays.get("decoder/projection/weight", arrays["decoder/embeddings/weight"])
    groups = -(-len(table) // GROUP)
    bias = np.zeros(groups * GROUP, np.float32)
    bias[[*suppressed, *range(len(table), len(bias))]] = -np.inf
    scores = graph.op("LogSoftmax", layers.product(hidden, table, bias), axis=-1)
    grouped = graph.op("Reshape", scores, graph.numbers(-1, groups, GROUP))
    best = graph.op("ReduceMax", grouped, graph.numbers(-1), keepdims=0)
    few = graph.op("Min", count, graph.numbers(groups))
    _, chosen = graph.ops("TopK", 2, best, few, axis=-1)
    index = graph.op("Unsqueeze", chosen, graph.numbers(-1))
    members = graph.op("GatherND", grouped, index, batch_dims=1)
    flat = graph.op("Reshape", members, graph.numbers(0, -1))
    size = graph.weight(np.array(GROUP, np.int64))
    count = graph.op("Min", count, graph.op("Mul", few, size))
    log_probs, places = graph.ops("TopK", 2, flat, count, axis=-1)
    group = graph.op("GatherElements", chosen, graph.op("Div", places, size), axis=1)
    tokens = graph.op("Add", graph.op("Mul", group, size), graph.op("Mod", places, size))
    graph.output("log_probs", "float32", "row", "count", of=log_probs)
    graph.output("tokens", "int64", "row", "count", of=tokens)
