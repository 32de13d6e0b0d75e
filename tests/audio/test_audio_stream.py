"""Streaming: the same samples as reading, in blocks, in bounded memory, closed on the way out."""

import gc
import io
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import recordings
import soundfile

from aural.audio.read import Limits, read
from aural.audio.stream import stream
from aural.errors import AudioWarning, EmptyAudio, InputError, LimitExceeded
from aural.types import Audio


@pytest.mark.parametrize("name", recordings.MADE)
@pytest.mark.parametrize("block_seconds", [0.037, 1.0, 10.0])
def test_blocks_joined_equal_reading(name, block_seconds):
    data = recordings.recording(name)
    whole = read(data, sample_rate=16000).samples
    blocks = list(stream(data, block_seconds=block_seconds))
    assert {block.size for block in blocks[:-1]} <= {round(block_seconds * 16000)}
    assert all(block.dtype == np.float32 for block in blocks)
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


@pytest.mark.parametrize("name", ["mp3", "wav", "m4a"])
def test_all_channels_at_their_own_rate(name):
    data = recordings.recording(name)
    blocks = list(stream(data, sample_rate=None, channel="all", block_seconds=0.3))
    whole = read(data, channel="all").samples
    assert whole.shape[0] == 2
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole)


def test_mp3_in_blocks_is_not_damaged_by_seeking():
    """soundfile.blocks seeks after each block, which loses MP3's bit reservoir."""
    data = recordings.recording("mp3")
    whole = soundfile.read(io.BytesIO(data), dtype="float32")[0].T
    joined = np.concatenate(
        list(stream(data, sample_rate=None, channel="all", block_seconds=0.05)), axis=1
    )
    np.testing.assert_allclose(joined, np.clip(whole, -1, 1), atol=1e-6)


def test_blocks_do_not_share_memory():
    blocks = list(stream(recordings.recording("wav"), block_seconds=0.1))
    copies = [block.copy() for block in blocks]
    blocks[0][:] = 7
    np.testing.assert_array_equal(blocks[1], copies[1])


def test_audio_in_blocks():
    samples = recordings.speech(44100, 2)
    audio = Audio(samples, 44100)
    blocks = list(stream(audio, block_seconds=0.5))
    np.testing.assert_array_equal(np.concatenate(blocks), read(audio, sample_rate=16000).samples)


@pytest.mark.parametrize("name", ["flac", "mp3", "m4a", "webm"])
def test_leaving_early_closes_the_file(tmp_path, name):
    path = tmp_path / "speech"
    path.write_bytes(recordings.recording(name))
    before = len(os.listdir("/proc/self/fd"))
    blocks = stream(path, block_seconds=0.1)
    next(blocks)
    assert len(os.listdir("/proc/self/fd")) > before
    blocks.close()
    assert len(os.listdir("/proc/self/fd")) == before
    for _ in stream(path, block_seconds=0.1):
        break
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("block_seconds", [0, -1, float("nan"), float("inf"), 1e9])
def test_block_lengths_that_can_not_be(block_seconds):
    with pytest.raises(InputError, match="block_seconds"):
        next(stream(recordings.recording("wav"), block_seconds=block_seconds))


def _float_wav(samples: np.ndarray) -> bytes:
    return recordings.with_soundfile(samples[None].astype(np.float32), 16000, "WAV", "FLOAT")


def test_samples_that_are_not_finite_become_zero_and_are_counted():
    samples = recordings.speech(16000)[0].copy()
    samples[[10, 20000, 30000]] = np.nan, np.inf, -np.inf
    with pytest.warns(AudioWarning, match="3 samples were not finite and became 0"):
        got = read(_float_wav(samples)).samples
    samples[[10, 20000, 30000]] = 0
    np.testing.assert_array_equal(got, samples)


def test_infinities_that_cancel_in_the_mean_become_zero():
    samples = np.zeros((2, 100), np.float32)
    samples[:, 50] = np.inf, -np.inf
    with pytest.warns(AudioWarning, match="1 samples were not finite"):
        assert not read(Audio(samples, 16000)).samples.any()


def test_a_little_too_loud_is_clamped_in_silence():
    samples = np.array([0.5, 1.2, -1.3, 1.0], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = read(_float_wav(samples)).samples
    np.testing.assert_array_equal(got, np.array([0.5, 1, -1, 1], np.float32))


@pytest.mark.parametrize("scale", [32768.0, 1e38])
def test_another_scale_is_clamped_and_told(scale):
    samples = recordings.speech(16000)[0] * np.float32(scale)
    with pytest.warns(AudioWarning, match=r"were clamped to \[-1, 1\]"):
        got = read(_float_wav(samples), sample_rate=8000).samples
    assert np.isfinite(got).all()
    assert np.abs(got).max() <= 1.0


def test_a_resampled_square_wave_stays_within_bounds():
    square = np.sign(np.sin(2 * np.pi * 441 * np.arange(44100) / 44100)).astype(np.float32)
    got = read(Audio(square, 44100), sample_rate=16000).samples
    assert np.abs(got).max() == 1.0


def test_limits_hold_in_mid_stream():
    """The blocks within the limit come; the next one is the error."""
    blocks = stream(recordings.recording("flac"), block_seconds=0.5, limits=Limits(max_seconds=1.5))
    assert next(blocks).size == 8000
    with pytest.raises(LimitExceeded, match=r"longer than the 1\.5 s"):
        list(blocks)


def test_no_samples():
    with pytest.raises(EmptyAudio, match="no samples"):
        list(stream(recordings.wav(b"")))


_MEMORY = """
import resource, sys
from aural.audio.stream import stream
path, seconds = sys.argv[1], float(sys.argv[2])
total = 0
for block in stream(path, block_seconds=10):
    total += block.size
    if total >= seconds * 16000:
        break
print(total / 16000, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.parametrize(
    ("container", "codec", "rate", "channels", "hours"),
    [
        ("FLAC", "PCM_16", 48000, 1, 0.5),
        ("FLAC", "PCM_16", 8000, 8, 0.5),
        ("mp3", "libmp3lame", 8000, 1, 0.5),
        ("ogg", "libopus", 8000, 1, 0.25),
        ("ipod", "aac", 8000, 1, 1),
    ],
)
def test_hours_of_silence_stream_in_bounded_memory(
    tmp_path, container, codec, rate, channels, hours
):
    """Peak memory of the whole is that of the first minute, give or take a tenth."""
    path = tmp_path / "bomb"
    seconds = int(hours * 3600)
    path.write_bytes(recordings.silence(container, codec, rate, channels, seconds))
    peaks = []
    for limit in (60, seconds * 2):
        command = [sys.executable, "-c", _MEMORY, str(path), str(limit)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=100)
        heard, peak = done.stdout.split()
        assert float(heard) == pytest.approx(min(limit, seconds), abs=0.3)
        peaks.append(int(peak))
    assert peaks[1] < 1.1 * peaks[0]
