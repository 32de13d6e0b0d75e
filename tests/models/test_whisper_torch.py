"""Whisper's encoder: in torch, as the runtimes have it, and what `embed` makes of a window."""

from __future__ import annotations

import copy
import sys
from typing import TYPE_CHECKING

import ctranslate2
import numpy as np
import pytest
import torch
import transformers
from ctranslate2.converters.transformers import WhisperLoader

from aural import models
from aural.audio.features import whisper_log_mel
from aural.audio.read import read
from aural.errors import InputError, MissingExtra
from aural.models import whisper
from aural.models.whisper import gpu
from aural.models.whisper.torch_form import (
    EncoderShape,
    WhisperEncoder,
    read_encoder,
    sinusoids,
)
from aural.store.ctranslate2 import read_arrays
from aural.types import Encoder

if TYPE_CHECKING:
    from pathlib import Path

RATE = 16000
LAYERS, POSITIONS, FRAMES = 3, 50, 100


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def theirs() -> transformers.WhisperForConditionalGeneration:
    """A miniature by transformers, every parameter random (norms and biases too)."""
    config = transformers.WhisperConfig(
        vocab_size=60,
        num_mel_bins=80,
        d_model=16,
        encoder_layers=LAYERS,
        encoder_attention_heads=4,
        encoder_ffn_dim=40,
        decoder_layers=1,
        decoder_attention_heads=4,
        decoder_ffn_dim=40,
        max_source_positions=POSITIONS,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=3,
    )
    model = transformers.WhisperForConditionalGeneration(config).eval()
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=draw))
    return model


def converted(
    model: transformers.WhisperForConditionalGeneration, folder: Path, kind: str | None
) -> Path:
    """The model as CTranslate2's own converter writes it."""
    spec = WhisperLoader().get_model_spec(copy.deepcopy(model))  # it rounds in place
    spec.register_vocabulary([str(i) for i in range(model.config.vocab_size)])
    spec.validate()
    spec.optimize(quantization=kind)
    folder.mkdir()
    spec.save(str(folder))
    return folder


@pytest.fixture(scope="module")
def folder(theirs, tmp_path_factory) -> Path:
    return converted(theirs, tmp_path_factory.mktemp("whisper") / "float32", None)


@pytest.fixture(scope="module")
def mel() -> torch.Tensor:
    """Two windows, (2, 80, FRAMES)."""
    return torch.randn(2, 80, FRAMES, generator=torch.Generator().manual_seed(1))


def right_states(
    theirs: transformers.WhisperForConditionalGeneration, mel: torch.Tensor
) -> list[np.ndarray]:
    with torch.no_grad():
        found = theirs.model.encoder(mel, output_hidden_states=True)
    states = [each.numpy() for each in found.hidden_states]
    np.testing.assert_array_equal(states[-1], found.last_hidden_state.numpy())
    return states


# Layer by layer


def test_every_layer_is_that_of_transformers(theirs, folder, mel) -> None:
    encoder = read_encoder(folder, "cpu")
    with torch.no_grad():
        found = encoder(mel)
    right = right_states(theirs, mel)
    assert len(found) == len(right) == LAYERS + 1
    assert len({float(each.std()) for each in right}) == LAYERS + 1
    for layer, expected in zip(found, right, strict=True):
        assert layer.shape == (2, POSITIONS, 16)
        np.testing.assert_allclose(layer.numpy(), expected, rtol=1e-5, atol=2e-5)


def in_int8(weight: torch.Tensor) -> torch.Tensor:
    """To 127 steps of its own a row, and back."""
    rows = weight.flatten(1)
    steps = rows.abs().amax(dim=1, keepdim=True) / 127
    return ((rows / steps).round() * steps).reshape(weight.shape)


@pytest.mark.parametrize("kind", ["int8", "float16"])
def test_weights_are_those_that_the_file_holds(theirs, mel, tmp_path, kind) -> None:
    """Rounded by CTranslate2's converter and read by us; rounded here for transformers."""
    found = read_encoder(converted(theirs, tmp_path / kind, kind), "cpu").states(mel[0].numpy())
    rounded = copy.deepcopy(theirs)
    with torch.no_grad():
        for name, each in rounded.named_parameters():
            if kind == "float16":
                each.copy_(each.half())
            elif each.ndim > 1 and "embed" not in name:
                each.copy_(in_int8(each))
    exact, right = right_states(theirs, mel), right_states(rounded, mel)
    for i in range(LAYERS + 1):
        np.testing.assert_allclose(found[i], right[i][0], rtol=1e-4, atol=1e-4)
        assert np.abs(found[i] - exact[i][0]).max() > 1e-3  # it was rounded indeed


@pytest.fixture(scope="module")
def model() -> whisper.Whisper:
    return models.load("whisper/tiny.en", device="cpu", compute_type="float32", threads=2)


@pytest.fixture(scope="module")
def speech(examples) -> np.ndarray:
    """7 s of a real reading, (113584,)."""
    return read(examples / "sense_and_sensibility_0870.flac", sample_rate=RATE).samples


@pytest.fixture(scope="module")
def features(speech) -> np.ndarray:
    """Of the speech padded to 30 s, (80, 3000)."""
    return whisper_log_mel(np.pad(speech, (0, 30 * RATE - speech.size)))


@pytest.fixture(scope="module")
def states(model, features) -> list[np.ndarray]:
    """Every layer's, in torch."""
    return model.torch_encoder.states(features)


@pytest.fixture(scope="module")
def reference(model, features) -> np.ndarray:
    """CTranslate2's in float32, (1500, 384)."""
    runtime = ctranslate2.models.Whisper(str(model.directory), device="cpu", compute_type="float32")
    return np.array(runtime.encode(ctranslate2.StorageView.from_array(features[None])))[0]


def test_the_last_layer_is_that_of_ctranslate2(states, reference) -> None:
    assert len(states) == 5
    assert all(each.shape == (1500, 384) and each.dtype == np.float32 for each in states)
    assert np.abs(reference).max() > 10
    np.testing.assert_allclose(states[-1], reference, rtol=1e-4, atol=1e-3)
    assert np.abs(states[-1] - reference).mean() < 1e-5


def test_positions_are_sinusoids(model) -> None:
    """Those in the file, rounded to half floats, are what the formula gives."""
    found = read_arrays(model.directory)["encoder/position_encodings/encodings"]
    np.testing.assert_allclose(sinusoids(1500, 384).numpy(), found, atol=6e-4)


# Learning


def test_a_gradient_reaches_every_parameter(folder, mel) -> None:
    encoder = read_encoder(folder, "cpu")
    encoder(mel)[-1].square().mean().backward()
    named = dict(encoder.named_parameters())
    assert len(named) == 4 + 15 * LAYERS + 2
    for name, parameter in named.items():
        assert parameter.requires_grad
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_the_gradient_is_the_slope(folder, mel) -> None:
    """Along a random direction, against a difference of losses in double precision."""
    encoder, draw = read_encoder(folder, "cpu").double(), torch.Generator().manual_seed(2)
    parameters = list(encoder.parameters())

    def loss() -> torch.Tensor:
        return torch.stack([layer.square().mean() for layer in encoder(mel.double())]).sum()

    loss().backward()
    ways = [torch.randn(each.shape, generator=draw, dtype=torch.float64) for each in parameters]
    slope = sum(float((each.grad * way).sum()) for each, way in zip(parameters, ways, strict=True))
    ends = []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            for each, way in zip(parameters, ways, strict=True):
                each.add_(step * way)
            ends.append(float(loss()))
    assert slope == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5)


def test_a_few_steps_learn(folder, mel) -> None:
    """To tell the two windows apart, from the mean of an inner layer and through it."""
    encoder = read_encoder(folder, "cpu").train()
    head = torch.nn.Linear(16, 1)
    optimiser = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=0.05)
    losses = []
    for _ in range(30):
        scores = head(encoder(mel, 2)[-1].mean(dim=1))[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, torch.tensor([0.0, 1]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


# What may be given


def test_a_window_is_the_same_alone(folder, mel) -> None:
    encoder = read_encoder(folder, "cpu")
    with torch.no_grad():
        for both, alone in zip(encoder(mel), encoder(mel[1:]), strict=True):
            torch.testing.assert_close(both[1:], alone, rtol=1e-5, atol=1e-5)


def test_layers_up_to_one_are_those_of_all(folder, mel) -> None:
    encoder = read_encoder(folder, "cpu")
    with torch.no_grad():
        whole = encoder(mel)
        for last in range(LAYERS + 1):
            part = encoder(mel, last)
            assert len(part) == last + 1
            assert torch.equal(part[-1], whole[last])


@pytest.mark.parametrize(("frames", "count"), [(1, 1), (2, 1), (7, 4), (FRAMES, POSITIONS)])
def test_two_frames_are_a_state(folder, mel, frames, count) -> None:
    assert read_encoder(folder, "cpu")(mel[..., :frames])[0].shape == (2, count, 16)


@pytest.mark.parametrize("shape", [(80, 10), (1, 79, 10), (1, 80, 0), (1, 80, FRAMES + 1)])
def test_another_shape_is_refused(folder, shape) -> None:
    with pytest.raises(InputError, match=r"give \(batch, 80, frame\) with 1 to 100 frames"):
        read_encoder(folder, "cpu")(torch.zeros(shape))


def test_a_layer_that_is_not_there_is_refused(folder, mel) -> None:
    for layer in (-1, LAYERS + 1):
        with pytest.raises(InputError, match=f"layer is {layer}; this encoder has 0 to 3"):
            read_encoder(folder, "cpu")(mel, layer)


def test_an_encoder_can_be_made_without_a_file() -> None:
    encoder = WhisperEncoder(EncoderShape(n_mels=80, d_model=8, heads=2, layers=1, inner=16))
    assert encoder(torch.zeros(1, 80, 3000))[1].shape == (1, 1500, 8)


# A window of samples


def test_whisper_says_that_it_is_an_encoder(model) -> None:
    assert isinstance(model, Encoder)
    assert (model.sample_rate, model.frame_rate, model.max_seconds) == (16000, 50.0, 30.0)
    assert model.encoder_layers == 4
    with pytest.raises(InputError, match="silero/16k is no Encoder"):
        models.load("silero/16k", Encoder)


def test_embed_is_the_states_without_those_of_the_padding(model, speech, states, reference) -> None:
    count = -(-speech.size // 320)
    assert count == 355
    last = model.embed(speech)
    assert (last.dtype, last.shape) == (np.float32, (count, 384))
    np.testing.assert_allclose(last, reference[:count], rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(last, model.embed(speech, 4))
    for layer in (0, 3):
        np.testing.assert_array_equal(model.embed(speech, layer), states[layer][:count])
    np.testing.assert_allclose(last, states[4][:count], rtol=1e-4, atol=1e-3)


def test_samples_may_be_doubles(model, speech) -> None:
    found = model.embed(speech.astype(np.float64), 0)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, model.embed(speech, 0))


def test_silence_to_30_seconds_is_what_it_pads_with(model, speech) -> None:
    whole = model.embed(np.pad(speech, (0, 30 * RATE - speech.size)))
    assert whole.shape == (1500, 384)
    np.testing.assert_array_equal(whole[:355], model.embed(speech))


def test_int8_is_near(model, speech, reference) -> None:
    rounded = models.load("whisper/tiny.en", device="cpu", compute_type="int8", threads=2)
    found, right = rounded.embed(speech), reference[:355]
    error = np.linalg.norm(found - right, axis=1) / np.linalg.norm(right, axis=1)
    assert 1e-3 < error.mean() < 0.1


def test_a_gpus_runtime_gives_the_same_states(theirs, folder, mel, monkeypatch) -> None:
    """On a CPU here, which it can use too."""
    monkeypatch.setattr(gpu, "DEVICE", "cpu")
    engine = gpu.GpuEngine(folder, n_mels=80, end=0, compute_type="float32", threads=1)
    found = engine.states(mel[1].numpy())
    assert (found.dtype, found.shape) == (np.float32, (POSITIONS, 16))
    np.testing.assert_allclose(found, right_states(theirs, mel)[-1][1], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(("size", "count"), [(0, 0), (1, 1), (320, 1), (321, 2)])
def test_a_frame_for_each_20_ms_begun(model, speech, size, count) -> None:
    assert model.embed(speech[:size], 0).shape == (count, 384)


def test_the_worked_examples(model) -> None:
    """5.56 s are 278 frames of Whisper, and 277 of HuBERT, whose convolutions are not padded."""
    assert model.embed(np.zeros(88960, np.float32), 0).shape == (278, 384)
    assert model.embed(np.zeros(51200, np.float32), 0).shape == (160, 384)
    count = 88960
    for width, step in ((10, 5), *[(3, 2)] * 4, *[(2, 2)] * 2):
        count = (count - width) // step + 1
    assert count == 277


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((2, 900), np.float32), "give finite float samples"),
        (np.zeros(900, np.int16), "give finite float samples"),
        (np.full(900, np.nan, np.float32), "give finite float samples"),
        (np.full(900, np.inf, np.float32), "give finite float samples"),
        (np.zeros(30 * RATE + 1, np.float32), "at most 30 s"),
    ],
)
def test_what_is_no_window_is_refused(model, samples, message) -> None:
    with pytest.raises(InputError, match=message):
        model.embed(samples)


@pytest.mark.parametrize("layer", [-1, 5])
def test_a_layer_of_a_model_that_is_not_there_is_refused(model, speech, layer) -> None:
    with pytest.raises(InputError, match=f"layer is {layer}; this encoder has 0 to 4"):
        model.embed(speech, layer)


def test_inner_layers_need_torch_and_the_last_does_not(model, speech, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "aural.models.whisper.torch_form")
    fresh = whisper.Whisper(
        model.engine, model.tokenizer, model.config, model.numbers, model.directory, "cpu"
    )
    assert fresh.embed(speech).shape == fresh.embed(speech, 4).shape == (355, 384)
    with pytest.raises(MissingExtra, match=r"torch is not installed.*'aural\[torch\]'"):
        fresh.embed(speech, 3)
