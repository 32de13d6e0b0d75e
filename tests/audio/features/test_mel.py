import math
import os
from dataclasses import replace

import kaldi_native_fbank
import librosa
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import WhisperFeatureExtractor

from aural.audio.features import (
    BLOCK_FRAMES,
    PRESETS,
    Conditioning,
    LogMelOptions,
    LogMelStream,
    MelOptions,
    MelStream,
    hz_to_mel,
    kaldi_options,
    log_mel,
    mel_filters,
    mel_spectrogram,
    mel_to_hz,
    whisper_log_mel,
)
from aural.errors import InputError, UnknownName

EXAMPLE = os.path.join(
    os.path.dirname(__file__), "../../../examples/sense_and_sensibility_0880.flac"
)

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
    with pytest.raises(InputError, match=r"shape \(2, 100\); give one channel"):
        whisper_log_mel(np.zeros((2, 100), np.float32))
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
        {"n_mels": 2.5},
        {"sample_rate": 0},
        {"power": -1.0},
        {"epsilon": -1e-9},
        {"epsilon": math.nan},
        {"power": math.nan},
        {"power": math.inf},
        {"sample_rate": math.nan},
        {"sample_rate": math.inf},
        {"sample_rate": 10**400},
        {"n_mels": 10**7},
        {"n_mels": 4096, "n_fft": 1 << 20},
    ],
)
def test_options_out_of_range_are_refused(fault: dict) -> None:
    with pytest.raises(InputError, match="give"):
        MelOptions(**fault)


def test_unknown_window_names_the_choices() -> None:
    with pytest.raises(UnknownName, match="hann, hamming, rectangular"):
        MelOptions(window="kaiser")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MelOptions(scale="bark"), "unknown mel scale 'bark'; .*slaney, htk, kaldi"),
        (lambda: MelOptions(norm="peak"), "unknown mel norm 'peak'"),
        (lambda: hz_to_mel(100.0, "bark"), "unknown mel scale 'bark'"),
        (lambda: mel_to_hz(100.0, "bark"), "unknown mel scale 'bark'"),
        (lambda: log_mel(np.zeros(9, np.float32), "kald"), "unknown log-mel preset .*whisper, "),
        (lambda: LogMelStream("kald"), "unknown log-mel preset 'kald'"),
        (lambda: LogMelOptions(floor=0), "floor is 0; give a number above 0"),
        (lambda: LogMelOptions(logarithm="log2"), "unknown logarithm 'log2'; .*ln, log10"),
        (lambda: LogMelOptions(dynamic_range=-1.0), "dynamic_range is -1.0"),
        (lambda: LogMelOptions(dynamic_range=math.nan), "dynamic_range is nan; give 0 or more"),
        (lambda: LogMelOptions(scale=math.nan), "scale is nan; give a finite number"),
        (lambda: LogMelOptions(offset=math.inf), "offset is inf; give a finite number"),
        (lambda: LogMelOptions(floor=math.inf), "floor is inf; give a number above 0"),
        (lambda: log_mel(np.zeros(9), MelOptions()), "options are MelOptions; give LogMelOptions"),
        (lambda: Conditioning(gain=math.inf), "gain is inf"),
        (lambda: Conditioning(energy_floor=math.nan), "energy_floor is nan; give 0 or more"),
        (lambda: Conditioning(gain=0), "gain is 0"),
        (lambda: Conditioning(pre_emphasis=1.5), "pre_emphasis is 1.5; give 0 to 1"),
        (lambda: Conditioning(energy="loud"), "unknown energy 'loud'; .*raw, windowed"),
        (lambda: kaldi_options(16000.0), "sample_rate is 16000.0; give a whole number"),
        (lambda: kaldi_options(50), "sample_rate is 50; give a whole number of at least 100"),
    ],
)
def test_what_is_not_known_is_named(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("scale", ["slaney", "htk", "kaldi"])
def test_scales_are_inverted_and_the_worked_example_holds(scale: str) -> None:
    hertz = np.linspace(0, 20000, 4001)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hertz, scale), scale), hertz, atol=1e-8)
    low, high = hz_to_mel(np.array([200, 5000]), scale)
    if scale != "slaney":
        assert (round(low, 1), round(high, 1)) == (283.2, 2363.5)
        assert round(high / low, 2) == 8.34  # 4800 Hz apart, 25 times the frequency
        # 1127 is 2595 / ln 10 rounded: the two are 1e-5 apart.
        assert abs(high - 1127 * np.log(1 + 5000 / 700)) < 0.05


def streamed(samples: np.ndarray, stream: MelStream, cuts: list[int]) -> np.ndarray:
    parts = [stream.push(part) for part in np.split(samples, np.cumsum(cuts), axis=-1)]
    return np.concatenate([*parts, stream.finish()], axis=-1)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("length", [0, 1, 159, 160, 401, 1500, 60000])
def test_every_preset_streams(preset: str, length: int) -> None:
    options = PRESETS[preset]
    rng = np.random.default_rng(length)
    samples = rng.standard_normal((2, length)).astype(np.float32)
    cuts = list(rng.integers(0, max(2, length // 4), 6))
    offline = log_mel(samples, preset)
    assert offline.shape == (2, options.mel.rows, options.mel.frames(length))
    stream = LogMelStream(preset)
    for _ in range(2):
        np.testing.assert_array_equal(options.limited(streamed(samples, stream, cuts)), offline)
    unlimited = replace(options, dynamic_range=None)
    np.testing.assert_array_equal(streamed(samples, stream, cuts), log_mel(samples, unlimited))
    if length == 60000:
        offline, first = (log_mel(each, unlimited) for each in (samples, samples[:, :30000]))
        early = first.shape[-1] - options.mel.n_fft // options.mel.hop_length - 1
        np.testing.assert_array_equal(first[..., :early], offline[..., :early])


@pytest.mark.parametrize("preset", PRESETS)
def test_a_stream_of_tensors(preset: str) -> None:
    samples = torch.from_numpy(np.random.default_rng(0).standard_normal(9000))
    stream = LogMelStream(preset)
    parts = [stream.push(part) for part in samples.split(1234)]
    joined = PRESETS[preset].limited(torch.cat([*parts, stream.finish()], dim=-1))
    torch.testing.assert_close(joined, log_mel(samples, preset), atol=1e-9, rtol=0)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100])
@pytest.mark.parametrize("snip_edges", [True, False])
def test_kaldis_frames_at_any_rate(speech: np.ndarray, rate: int, snip_edges: bool) -> None:
    for length in (0, rate // 100, rate // 40, 20011):
        options = kaldi_options(rate, 40, snip_edges=snip_edges, gain=32768.0)
        bank = kaldi_native_fbank.FbankOptions()
        bank.frame_opts.samp_freq = rate
        bank.frame_opts.dither = 0
        bank.frame_opts.snip_edges = snip_edges
        bank.mel_opts.num_bins = 40
        theirs = kaldi_native_fbank.OnlineFbank(bank)
        theirs.accept_waveform(rate, (speech[:length] * 32768).tolist())
        theirs.input_finished()
        ours = log_mel(speech[:length], options)
        assert ours.shape == (40, theirs.num_frames_ready)
        for index in range(theirs.num_frames_ready):
            assert np.abs(ours[:, index] - theirs.get_frame(index)).max() < 5e-3


def test_whisper_log_mel_is_float32_and_log_mel_as_given(speech: np.ndarray) -> None:
    double = speech.astype(float)
    assert whisper_log_mel(double).dtype == np.float32
    np.testing.assert_array_equal(whisper_log_mel(double), whisper_log_mel(speech))
    assert log_mel(double).dtype == np.float64
    tensor = whisper_log_mel(torch.from_numpy(double), 128)
    assert tensor.dtype == torch.float32
    np.testing.assert_allclose(tensor.numpy(), whisper_log_mel(speech, 128), atol=1e-4)


def test_silence_is_each_presets_floor() -> None:
    floors = {
        "whisper": -1.5,
        "whisper-128": -1.5,
        "kaldi": np.log(np.finfo(np.float32).eps),
        "torchaudio": -100,
        "librosa": -100,
        "tacotron2": np.log(1e-5),
    }
    for preset, floor in floors.items():
        values = log_mel(np.zeros(9000, np.float32), preset)
        np.testing.assert_allclose(values, floor, rtol=1e-6)
    quiet = log_mel(np.zeros(9000, np.float32), "hifigan")  # it has 1e-9 under the root
    heights = mel_filters(PRESETS["hifigan"].mel).sum(axis=1, keepdims=True)
    floor = np.log(np.maximum(1e-5, heights * 1e-9**0.5))
    np.testing.assert_allclose(quiet, np.broadcast_to(floor, quiet.shape), rtol=1e-5)


@pytest.mark.parametrize("fault", [np.nan, np.inf])
def test_a_stream_bears_what_is_not_finite(fault: float) -> None:
    samples = np.random.default_rng(0).standard_normal(3000).astype(np.float32)
    samples[1500] = fault
    stream = LogMelStream("kaldi")
    joined = streamed(samples, stream, [100, 1400, 1501])
    np.testing.assert_array_equal(joined, log_mel(samples, "kaldi"))
    assert np.isfinite(joined).sum() == (joined.shape[1] - 3) * 80
