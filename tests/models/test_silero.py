from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from aural import models
from aural.errors import InputError
from aural.models.silero import BLOCK_FRAMES, Silero
from aural.store.weights import WeightFile, Weights, WheelPart, ensure

EXAMPLES = Path(__file__).parents[2] / "examples"

ONE_FRAME = WeightFile(
    name="silero_vad_16k_op15.onnx",
    sha256="7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
    size=1289603,
    parts=(WheelPart("silero-vad", "6.2.3", "silero_vad/data/silero_vad_16k_op15.onnx"),),
)
"""The authors' export that takes one frame a call: the reference."""


@pytest.fixture(scope="module")
def silero() -> Silero:
    return models.load("silero/16k")


@pytest.fixture(scope="module")
def noisy_speech() -> np.ndarray:
    paths = sorted(EXAMPLES.glob("*.flac"))
    speech = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in paths * 2])
    noise = np.random.default_rng(0).standard_normal(speech.size).astype(np.float32)
    noise *= np.linspace(0, 0.3, speech.size, dtype=np.float32)
    return speech + noise


def one_frame_probabilities(samples: np.ndarray) -> np.ndarray:
    directory = ensure("silero/one-frame", Weights((ONE_FRAME,)))
    session = onnxruntime.InferenceSession(directory / ONE_FRAME.name)
    state, context = np.zeros((2, 1, 128), np.float32), np.zeros((1, 64), np.float32)
    samples = np.pad(samples, (0, -samples.size % 512))
    probabilities = []
    for frame in samples.reshape(-1, 1, 512):
        heard = np.concatenate((context, frame), axis=1)
        inputs = {"input": heard, "state": state, "sr": np.array(16000)}
        probability, state = session.run(None, inputs)
        probabilities.append(probability[0, 0])
        context = frame[:, -64:]
    return np.array(probabilities)


def exported_probabilities(samples: np.ndarray) -> np.ndarray:
    """What onnxruntime makes of the pinned file as it is."""
    entry = models.find("silero/16k")
    session = onnxruntime.InferenceSession(models.locate(entry) / entry.config.file)
    heard = np.pad(samples, (64, -samples.size % 512))
    frames = np.lib.stride_tricks.sliding_window_view(heard, 576)[::512]
    state = np.zeros((1, 1, 128), np.float32)
    return session.run(["speech_probs"], {"input": frames.copy(), "h": state, "c": state})[0]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.flac")), ids=lambda path: path.stem)
def test_equals_the_pinned_file(silero: Silero, path: Path) -> None:
    samples, _ = soundfile.read(path, dtype="float32")
    for gain in (1, 0.1, 0):
        mine = silero.speech_probabilities(gain * samples)
        np.testing.assert_allclose(mine, exported_probabilities(gain * samples), rtol=0, atol=1e-5)


def test_equals_the_one_frame_model(silero: Silero, noisy_speech: np.ndarray) -> None:
    expected = one_frame_probabilities(noisy_speech)
    mine = silero.speech_probabilities(noisy_speech)
    assert expected.size > 2 * BLOCK_FRAMES
    assert expected.max() > 0.9  # speech is there
    assert expected.min() < 0.1  # and so are pauses
    assert mine.dtype == np.float32
    np.testing.assert_allclose(mine, expected, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 20_000), st.lists(st.integers(0, 6000), max_size=6))
def test_stream_equals_offline(length: int, cuts: list[int]) -> None:
    silero = models.load("silero/16k")
    samples, _ = soundfile.read(sorted(EXAMPLES.glob("*.flac"))[0], frames=length, dtype="float32")
    offline = silero.speech_probabilities(samples)
    assert offline.shape == (-(-length // 512),)
    stream = silero.stream()
    for _ in range(2):  # a finished stream starts afresh
        parts = [stream.push(part) for part in np.split(samples, np.cumsum(cuts))]
        joined = np.concatenate([*parts, stream.finish()])
        np.testing.assert_allclose(joined, offline, rtol=0, atol=1e-5)


def test_a_reused_buffer_does_no_harm(silero: Silero, noisy_speech: np.ndarray) -> None:
    samples = noisy_speech[:16000]
    stream, buffer, parts = silero.stream(), np.empty(700, np.float32), []
    for first in range(0, samples.size, 700):
        piece = samples[first : first + 700]
        buffer[: piece.size] = piece
        parts.append(stream.push(buffer[: piece.size]))
        buffer[:] = 0.5
    joined = np.concatenate([*parts, stream.finish()])
    np.testing.assert_allclose(joined, silero.speech_probabilities(samples), rtol=0, atol=1e-5)


def test_later_sound_never_changes_earlier_frames(silero: Silero, noisy_speech: np.ndarray) -> None:
    whole = silero.speech_probabilities(noisy_speech[: 512 * 60])
    start = silero.speech_probabilities(noisy_speech[: 512 * 20])
    np.testing.assert_allclose(whole[:20], start, rtol=0, atol=1e-5)


def test_what_it_cannot_do_is_named(silero: Silero) -> None:
    with pytest.raises(InputError, match=r"\(2, 512\)"):
        silero.speech_probabilities(np.zeros((2, 512), np.float32))
    with pytest.raises(InputError, match="runs on the CPU"):
        models.load("silero/16k", device="cuda")
    with pytest.raises(InputError, match="float32"):
        models.load("silero/16k", compute_type="int8")
