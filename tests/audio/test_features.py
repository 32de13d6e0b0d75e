import os

import librosa
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import WhisperFeatureExtractor

from aural.audio.features import (
    BLOCK_FRAMES,
    MelOptions,
    MelStream,
    mel_filters,
    mel_spectrogram,
    whisper_log_mel,
)
from aural.errors import InputError, UnknownName

EXAMPLE = os.path.join(os.path.dirname(__file__), "../../examples/sense_and_sensibility_0880.flac")

OPTIONS = [
    MelOptions(),
    MelOptions(n_mels=128),
    MelOptions(scale="htk", norm=None, fmin=20, fmax=7600, pad_mode="constant"),
    MelOptions(n_fft=512, win_length=400, hop_length=100, window="hamming", power=1.0),
    MelOptions(sample_rate=22050, n_fft=1024, hop_length=256, n_mels=100, center=False),
    MelOptions(n_fft=400, hop_length=700, n_mels=40, window="rectangular"),
]


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    samples, rate = soundfile.read(EXAMPLE, dtype="float32")
    assert rate == 16000
    return samples


def librosa_mel(samples: np.ndarray, options: MelOptions) -> np.ndarray:
    window = {"rectangular": "boxcar"}.get(options.window, options.window)
    return librosa.feature.melspectrogram(
        y=samples,
        sr=options.sample_rate,
        n_fft=options.n_fft,
        hop_length=options.hop_length,
        win_length=options.win_length,
        window=window,
        center=options.center,
        pad_mode=options.pad_mode,
        power=options.power,
        n_mels=options.n_mels,
        fmin=options.fmin,
        fmax=options.fmax,
        htk=options.scale == "htk",
        norm=options.norm,
    )


@pytest.mark.parametrize("n_mels", [80, 128])
def test_whisper_log_mel_equals_transformers(speech: np.ndarray, n_mels: int) -> None:
    extractor = WhisperFeatureExtractor(feature_size=n_mels)
    tone = np.sin(np.arange(5 * 16000) * 0.1).astype(np.float32)
    for samples in (speech, tone):
        extracted = extractor(samples, sampling_rate=16000, return_tensors="np")
        expected = extracted.input_features[0]
        mine = whisper_log_mel(np.pad(samples, (0, 30 * 16000 - samples.size)), n_mels)
        assert mine.shape == expected.shape == (n_mels, 3000)
        assert mine.dtype == np.float32
        assert np.abs(mine - expected).max() <= 1e-4


def test_whisper_log_mel_of_unpadded_speech_equals_librosa(speech: np.ndarray) -> None:
    mel = librosa_mel(speech, MelOptions())[:, :-1]
    log = np.log10(np.maximum(mel, 1e-10))
    expected = (np.maximum(log, log.max() - 8) + 4) / 4
    mine = whisper_log_mel(speech)
    assert mine.shape == (80, speech.size // 160)
    assert np.abs(mine - expected).max() <= 1e-4


@pytest.mark.parametrize("options", OPTIONS)
def test_mel_spectrogram_equals_librosa(speech: np.ndarray, options: MelOptions) -> None:
    expected = librosa_mel(speech, options)
    mine = mel_spectrogram(speech, options)
    assert mine.shape == expected.shape == (options.n_mels, options.frames(speech.size))
    assert np.abs(mine - expected).max() <= 1e-6 * expected.max()


@pytest.mark.parametrize("options", OPTIONS)
def test_filters_equal_librosa(options: MelOptions) -> None:
    expected = librosa.filters.mel(
        sr=options.sample_rate,
        n_fft=options.n_fft,
        n_mels=options.n_mels,
        fmin=options.fmin,
        fmax=options.fmax,
        htk=options.scale == "htk",
        norm=options.norm,
    )
    assert np.abs(mel_filters(options) - expected).max() <= 1e-7


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(OPTIONS),
    st.integers(0, 3000),
    st.lists(st.integers(0, 900), max_size=12),
    st.integers(0, 2**32 - 1),
)
def test_stream_equals_offline(
    options: MelOptions, length: int, cuts: list[int], seed: int
) -> None:
    samples = np.random.default_rng(seed).standard_normal(length).astype(np.float32)
    stream = MelStream(options)
    parts = [stream.push(part) for part in np.split(samples, np.cumsum(cuts))]
    joined = np.concatenate([*parts, stream.finish()], axis=1)
    np.testing.assert_array_equal(joined, mel_spectrogram(samples, options))


@pytest.mark.parametrize("chunk", [161, 8000, 16000 * 7])
def test_long_stream_equals_offline_and_can_be_used_again(chunk: int) -> None:
    length = 160 * BLOCK_FRAMES * 3 + 77
    samples = np.random.default_rng(1).standard_normal(length).astype(np.float32)
    offline = mel_spectrogram(samples)
    stream = MelStream()
    for _ in range(2):
        buffer = np.empty(chunk, np.float32)  # a caller may use one buffer for every push
        parts = []
        for first in range(0, length, chunk):
            piece = samples[first : first + chunk]
            buffer[: piece.size] = piece
            parts.append(stream.push(buffer[: piece.size]))
        joined = np.concatenate([*parts, stream.finish()], axis=1)
        np.testing.assert_array_equal(joined, offline)


@pytest.mark.parametrize("length", [0, 1, 159, 160, 200, 201, 399, 400, 401])
def test_short_input_has_a_defined_outcome(length: int) -> None:
    samples = np.full(length, 0.5, np.float32)
    log_mel = whisper_log_mel(samples)
    assert log_mel.shape == (80, length // 160)
    assert np.isfinite(log_mel).all()
    frames = 1 + length // 160 if length else 0
    assert mel_spectrogram(samples).shape == (80, frames)
    uncentred = mel_spectrogram(samples, MelOptions(center=False))
    assert uncentred.shape == (80, length // 400)


def test_silence_is_the_floor() -> None:
    np.testing.assert_allclose(whisper_log_mel(np.zeros(1600, np.float32)), -1.5, rtol=1e-6)


def test_what_is_not_one_channel_or_not_whisper_is_named() -> None:
    with pytest.raises(InputError, match=r"shape \(2, 100\)"):
        mel_spectrogram(np.zeros((2, 100), np.float32))
    with pytest.raises(InputError, match="n_mels is 64"):
        whisper_log_mel(np.zeros(100, np.float32), 64)


@pytest.mark.parametrize(
    "fault",
    [
        {"n_fft": 0},
        {"hop_length": -1},
        {"win_length": 401},
        {"fmin": 9000.0},
        {"fmax": 8001.0},
        {"n_mels": 0},
    ],
)
def test_options_out_of_range_are_refused(fault: dict) -> None:
    with pytest.raises(InputError, match="give"):
        MelOptions(**fault)


def test_unknown_window_names_the_choices() -> None:
    with pytest.raises(UnknownName, match="hann, hamming, rectangular"):
        MelOptions(window="kaiser")  # type: ignore[arg-type]
