"""The network on whisper/base's weights: the states CTranslate2 finds, and int8's error."""

import copy

import numpy as np
import pytest

from aural.nn import transformer
from aural.nn.graph import Graph, int8_saturates
from aural.nn.sequence import Decoding, Memory
from aural.store.ctranslate2 import read_arrays

NAMES = ("0870", "0880", "0890")


@pytest.fixture(scope="module")
def arrays(directory) -> dict[str, np.ndarray]:
    return read_arrays(directory)


def relative_error(found: np.ndarray, right: np.ndarray) -> float:
    """Mean over the states of a state's error by its length."""
    lengths = np.linalg.norm(right, axis=1)
    return float((np.linalg.norm(found - right, axis=1) / lengths).mean())


@pytest.mark.parametrize("name", NAMES)
def test_states_are_ctranslate2s(ours, encoded, features, name) -> None:
    found, right = ours.engine.model.states(features[name]), np.array(encoded[name])[0]
    assert found.shape == right.shape == (700, 512)
    assert np.abs(right).max() > 10  # the largest of them; most are near 1
    np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-3)
    assert np.abs(found - right).mean() < 2e-5
    assert relative_error(found, right) < 2e-5


def test_states_of_any_even_number_of_frames(ours, theirs, features) -> None:
    for frames in (2, 64, 1000):
        cut = np.ascontiguousarray(features["0870"][:, :frames])
        found = ours.engine.model.states(cut)
        assert found.shape == (frames // 2, 512)
        np.testing.assert_allclose(found, np.array(theirs.encode(cut))[0], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_int8_is_as_near_as_ctranslate2s(ours_int8, encoded, theirs_int8, features, name) -> None:
    right = np.array(encoded[name])[0]
    error = relative_error(ours_int8.engine.model.states(features[name]), right)
    assert 1e-3 < error < 0.1  # it is int8 indeed
    assert error < 1.3 * relative_error(np.array(theirs_int8.encode(features[name]))[0], right)


def frames(features: np.ndarray) -> list[np.ndarray]:
    """A window, and part of it."""
    return [features, np.ascontiguousarray(features[:, :400])]


@pytest.fixture(scope="module")
def memories(arrays, features) -> dict[str, list[Memory]]:
    """Of the frames in int8, by the type of the memory."""
    made: dict[str, list[Memory]] = {}
    for kind in transformer.MEMORY_ZERO:
        session = transformer.encoder(arrays, int8=True, memory=kind).session(2)
        names = [output.name for output in session.get_outputs()][1:]
        runs = (session.run(names, {"features": x[None]}) for x in frames(features["0870"]))
        made[kind] = [dict(zip(names, run, strict=True)) for run in runs]
    return made


@pytest.mark.parametrize(("kind", "zero"), [("int8", 0), ("uint8", 128)])
def test_memories_in_int8_are_those_in_float32_rounded(ours, memories, features, kind, zero):
    """Of the first layer, from states that differ by int8's error already."""
    right = ours.engine.model.encode(features["0870"])
    found = memories[kind][0]
    for part, shape, axis in (("key", (1, 8, 64, 700), 2), ("value", (1, 8, 700, 64), 3)):
        steps = found[f"memory_{part}_step_0"]
        assert (found[f"memory_{part}_0"].dtype, found[f"memory_{part}_0"].shape) == (kind, shape)
        rounded = found[f"memory_{part}_0"].astype(int) - zero
        assert (steps.dtype, steps.shape) == (np.float32, (1, 8, 1, 64))
        assert np.abs(rounded).max(axis=5 - axis).min() == 127  # each dimension's own
        back = rounded * (steps.swapaxes(2, 3) if axis == 2 else steps)
        wanted = right[f"memory_{part}_0"]
        assert wanted.shape == shape
        assert np.linalg.norm(back - wanted) < 0.1 * np.linalg.norm(wanted)
    assert len(found) == 2 * len(right) == 4 * 6


def test_memory_in_uint8_is_that_in_int8_moved(memories) -> None:
    for name, moved in memories["uint8"][0].items():
        shift = 128 if moved.dtype == np.uint8 else 0
        np.testing.assert_array_equal(moved.astype(float) - shift, memories["int8"][0][name])


def test_either_type_of_memory_decodes_alike(ours, ours_int8, arrays, memories, features, task):
    """To the bit where both are exact; a window is padded here. Near float32 where only uint8 is
    exact as well."""
    told = {}
    for kind in transformer.MEMORY_ZERO:
        model = copy.copy(ours_int8.engine.model)
        graph = transformer.decoder(arrays, int8=True, aligned=[(3, 1)], suppressed=[], memory=kind)
        model.decoder = graph.session(2)
        told[kind] = Decoding(model, memories[kind], 1).prompt(task, [0, 3], 5)
    heard = [ours.engine.model.encode(x) for x in frames(features["0870"])]
    right = Decoding(ours.engine.model, heard, 1).prompt(task, [0, 3], 5)
    found = told["uint8"]
    np.testing.assert_array_equal(found.tokens[..., 0], right.tokens[..., 0])
    np.testing.assert_allclose(found.log_probs[..., 0], right.log_probs[..., 0], atol=0.3)
    if not int8_saturates():
        np.testing.assert_array_equal(told["uint8"].hidden, told["int8"].hidden)
        np.testing.assert_array_equal(told["uint8"].log_probs, told["int8"].log_probs)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_weights_are_rounded_to_the_nearest_step_of_their_row(dtype) -> None:
    draw = np.random.default_rng(0)
    size = np.exp(draw.normal(size=(transformer.ROUNDED_ROWS + 5, 1)))
    weight = (draw.normal(size=(len(size), 7)) * size).astype(dtype)
    weight[3] = 0
    rounded, steps = transformer.in_int8(weight, len(weight))
    assert (rounded.dtype, rounded.shape) == (np.int8, weight.shape[::-1])
    assert (steps.dtype, steps.shape) == (np.float32, (len(weight),))
    assert (rounded[:, 3] == 0).all()
    others = np.arange(len(weight)) != 3
    assert (np.abs(rounded[:, others].astype(int)).max(axis=0) == 127).all()
    error = np.abs(rounded.T * steps[:, None] - weight.astype(np.float32))
    assert (error <= 0.5001 * steps[:, None]).all()


def test_rounded_weights_need_not_be_contiguous() -> None:
    weight = np.random.default_rng(1).normal(size=(12, 10)).astype(np.float32)
    for found, right in zip(
        transformer.in_int8(weight[::2, ::3], len(weight[::2])),
        transformer.in_int8(weight[::2, ::3].copy(), len(weight[::2])),
        strict=True,
    ):
        np.testing.assert_array_equal(found, right)


def test_a_row_is_rounded_by_itself(arrays) -> None:
    """The product of a row is the same to the bit whatever rows are beside it."""
    graph = Graph()
    layers = transformer.Layers(graph, arrays, 8, int8=True)
    x = graph.input("x", "float32", "row", 512)
    out = layers.linear(x, "encoder/layer_0/ffn/linear_0")
    graph.output("out", "float32", "row", 2048, of=out)
    session = graph.session(1)
    given = np.random.default_rng(0).normal(size=(9, 512)).astype(np.float32)
    given *= np.exp(np.arange(-4, 5))[:, None].astype(np.float32)  # sizes far apart
    (together,) = session.run(None, {"x": given})
    for i, row in enumerate(given):
        np.testing.assert_array_equal(session.run(None, {"x": row[None]})[0][0], together[i])
    weight = np.asarray(arrays["encoder/layer_0/ffn/linear_0/weight"], np.float32)
    right = given @ weight.T + np.asarray(arrays["encoder/layer_0/ffn/linear_0/bias"], np.float32)
    errors = np.linalg.norm(together - right, axis=1) / np.linalg.norm(right, axis=1)
    assert errors.max() < 0.03


def test_the_rows_of_a_projection_may_be_taken_apart(arrays) -> None:
    graph = Graph()
    layers = transformer.Layers(graph, arrays, 8, int8=False)
    x = graph.input("x", "float32", "row", 512)
    scope = "decoder/layer_0/attention/linear_1"
    for name, rows in (("whole", slice(None)), ("low", slice(512)), ("high", slice(512, None))):
        graph.output(name, "float32", "row", "out", of=layers.linear(x, scope, rows))
    given = np.random.default_rng(0).normal(size=(4, 512)).astype(np.float32)
    whole, low, high = graph.session(1).run(None, {"x": given})
    np.testing.assert_allclose(np.hstack((low, high)), whole, atol=1e-5)
    weight, bias = (
        np.asarray(arrays[f"{scope}/{part}"], np.float32) for part in ("weight", "bias")
    )
    np.testing.assert_allclose(whole, given @ weight.T + bias, atol=1e-4)


def test_layers_are_counted(arrays) -> None:
    assert transformer.depth(arrays, "encoder") == transformer.depth(arrays, "decoder") == 6
    assert transformer.depth({}, "decoder") == 0
