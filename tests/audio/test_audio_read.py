"""Reading: every format beside an independent reader, every kind of source, channels, probe."""

import io
import os
import subprocess
import sys
import warnings
import wave

import av
import numpy as np
import pytest
import recordings
import scipy.signal
import soundfile
import soxr

from aural.audio.read import AudioInfo, Limits, probe, read
from aural.errors import AudioError, AudioWarning, EmptyAudio, InputError, LimitExceeded
from aural.types import Audio

# Opened by libsndfile within aural, so FFmpeg is the independent reader; and the other way round.
BY_SNDFILE = ("wav", "wav24", "wavfloat", "wavulaw", "wavex", "flac", "mp3", "ogg", "oggflac")
BY_FFMPEG = ("rf64", "w64", "aiff", "aifc", "au", "caf", "wavmsadpcm")
FAITHFUL = {"amr": 0.8, "opus": 0.95, "webm": 0.95}  # least correlation with the original; 0.99


def _by_av(data: bytes) -> np.ndarray:
    """All samples by FFmpeg's own probing and resampler to float, shape = (channel, time)."""
    with av.open(io.BytesIO(data)) as container:
        resampler = av.AudioResampler(format="fltp")
        frames = [
            out.to_ndarray()
            for frame in container.decode(audio=0)
            for out in resampler.resample(frame)
        ]
    return np.concatenate(frames, axis=1)


@pytest.mark.parametrize("name", recordings.MADE)
def test_every_format_gives_the_speech_that_went_in(name):
    """Lossless to the last bit; lossy aligned with the original and close to it."""
    *_, rate, channels = recordings.MADE[name]
    expected = recordings.speech(rate, channels)
    audio = read(recordings.recording(name), channel="all")
    assert (audio.sample_rate, audio.channels) == (rate, channels)
    assert audio.samples.dtype == np.float32
    assert audio.samples.shape[0] == channels
    assert np.abs(audio.samples).max() <= 1.0
    if name in recordings.LOSSLESS:
        np.testing.assert_array_equal(audio.samples, expected)
        return
    got, want = audio.samples[0], expected[0]
    lag = 0
    if name in {"aac", "amr", "wavg722"}:  # these count the codec's delay as sound
        overlap = scipy.signal.correlate(got, want)[want.size - 1 :]
        lag = int(np.argmax(overlap))
        assert lag <= 2112
    length = min(got.size - lag, want.size)
    assert length > 0.97 * want.size  # FFmpeg drops the last, short frame of ALAC in CAF
    got, want = got[lag : lag + length], want[:length]
    if name == "amr":  # a speech codec keeps the spectrum and not the wave
        got, want = _log_spectrum(got), _log_spectrum(want)
    assert np.corrcoef(got, want)[0, 1] > FAITHFUL.get(name, 0.99)


def _log_spectrum(samples: np.ndarray) -> np.ndarray:
    return np.log(np.abs(scipy.signal.stft(samples, nperseg=256)[2]) + 1e-4).ravel()


@pytest.mark.parametrize("name", [*BY_SNDFILE, "m4a", "mp4", "webm", "mka", "amr", "opus"])
def test_the_same_samples_as_ffmpeg(name):
    """At most 2e-6 apart, over as many samples (AAC padding apart)."""
    data = recordings.recording(name)
    ours, theirs = read(data, channel="all").samples, _by_av(data)
    if name in {"m4a", "mp4"}:
        assert 0 <= theirs.shape[1] - ours.shape[1] < 2048
        theirs = theirs[:, : ours.shape[1]]
    tolerance = 2e-3 if name == "opus" else 2e-6  # two decoders of Opus need not agree exactly
    np.testing.assert_allclose(ours, theirs, atol=tolerance)


@pytest.mark.parametrize("name", BY_FFMPEG)
def test_the_same_samples_as_libsndfile(name):
    theirs, rate = soundfile.read(
        io.BytesIO(recordings.recording(name)), dtype="float32", always_2d=True
    )
    ours = read(recordings.recording(name), channel="all")
    assert ours.sample_rate == rate
    tolerance = 5e-3 if name == "wavmsadpcm" else 2e-6  # two decoders round ADPCM differently
    np.testing.assert_allclose(ours.samples, theirs.T, atol=tolerance)


def test_the_same_samples_as_the_standard_library():
    with wave.open(io.BytesIO(recordings.recording("wav"))) as file:
        theirs = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2).T
    ours = read(recordings.recording("wav"), channel="all").samples
    np.testing.assert_array_equal(ours, theirs / np.float32(32768))


def test_aac_padding_is_left_out():
    """Ten seconds stay 160,000 samples: FFmpeg alone gives 160,125 or so."""
    data = recordings.recording("m4a")
    stated = recordings.speech(44100, 2).shape[1]
    assert _by_av(data).shape[1] > stated
    assert read(data).samples.shape == (stated,)


def test_mp3_of_variable_rate_without_a_header_is_read_to_its_end():
    """libsndfile would guess a length from the first frame and stop there."""
    data = recordings.mp3_without_length()
    assert soundfile.info(io.BytesIO(data)).duration < 25
    assert read(data).duration == pytest.approx(30, abs=0.1)


@pytest.mark.parametrize("name", ["mp3", "ogg", "opus", "oggflac", "aac"])
def test_files_joined_end_to_end_are_read_to_the_end(name):
    """As radio recorders and `cat` make them."""
    joined = recordings.recording(name) + recordings.recording(name, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AudioWarning)  # the seam may cost a packet
        assert read(joined).duration == pytest.approx(3.5, abs=0.1)


def test_sources_of_every_kind_agree(tmp_path):
    """A path, its string, bytes, an open file at an offset, a pipe without seek."""
    data = recordings.recording("flac")
    path = tmp_path / "speech.flac"
    path.write_bytes(data)
    expected = read(data).samples
    assert expected.size > 0
    behind = io.BytesIO(b"prefix" + data)
    behind.seek(6)
    with path.open("rb") as file, path.open("rb", buffering=0) as raw:
        for source in (path, str(path), bytearray(data), file, raw, behind, _Pipe(data)):
            np.testing.assert_array_equal(read(source).samples, expected)


class _Pipe(io.RawIOBase):
    """Bytes that come in small pieces and can't be sought."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 777))


@pytest.mark.parametrize("name", ["mp3", "m4a"])
def test_standard_input(name):
    code = "from aural.audio.read import read; a = read('-'); print(a.samples.size, a.sample_rate)"
    data = recordings.recording(name)
    done = subprocess.run(
        [sys.executable, "-c", code], input=data, capture_output=True, check=True, timeout=60
    )
    audio = read(data)
    assert done.stdout.split() == [str(audio.samples.size).encode(), b"44100"]


@pytest.mark.parametrize("name", ["wav", "m4a"])
def test_channels(name):
    data = recordings.recording(name)
    both = read(data, channel="all").samples
    assert both.shape[0] == 2
    np.testing.assert_array_equal(read(data, channel=0).samples, both[0])
    np.testing.assert_array_equal(read(data, channel="1").samples, both[1])
    np.testing.assert_allclose(read(data).samples, both.mean(axis=0), atol=1e-7)


def test_the_mean_of_five_channels(tmp_path):
    samples = np.random.default_rng(0).uniform(-0.9, 0.9, (1000, 5)).astype(np.float32)
    soundfile.write(tmp_path / "five.wav", samples, 16000, "FLOAT")
    mixed = read(tmp_path / "five.wav").samples
    np.testing.assert_allclose(mixed, samples.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("channel", [2, -1, "left", "", "1.0", "²", True])
def test_a_channel_that_is_not_there(channel):
    with pytest.raises(InputError, match="'mix', 'all' or a number from 0 to 1"):
        read(recordings.recording("wav"), channel=channel)


@pytest.mark.parametrize("name", ["wav24", "mp3", "m4a", "webm"])
def test_resampling_is_soxr_of_the_whole(name):
    data = recordings.recording(name)
    own = read(data, channel="all")
    expected = soxr.resample(own.samples.T, own.sample_rate, 16000, quality="HQ").T
    got = read(data, channel="all", sample_rate=16000)
    assert got.sample_rate == 16000
    np.testing.assert_array_equal(got.samples, np.clip(expected, -1, 1))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("wav", AudioInfo("wav", "pcm_16", 16000, 2, 2.5)),
        ("flac", AudioInfo("flac", "pcm_16", 44100, 2, 2.5)),
        ("mp3", AudioInfo("mp3", "mpeg_layer_iii", 44100, 2, 2.5)),
        ("m4a", AudioInfo("m4a", "aac", 44100, 2, 2.5)),
        ("aac", AudioInfo("aac", "aac", 44100, 2, None)),
        ("w64", AudioInfo("w64", "pcm_s16le", 16000, 2, 2.5)),
        ("amr", AudioInfo("amr", "amrnb", 8000, 1, None)),
    ],
)
def test_probe(name, expected):
    assert probe(recordings.recording(name)) == expected


def test_probe_does_not_decode(tmp_path):
    """A header without a body is enough."""
    path = tmp_path / "hour.flac"
    path.write_bytes(recordings.flac_total(recordings.recording("flac"), 44100 * 3600)[:9000])
    assert probe(path).duration == 3600.0
    with pytest.warns(AudioWarning, match="it is damaged, last about 0.2 s"):
        read(path)


def test_audio_passes_through():
    samples = recordings.speech(16000, 2)
    audio = Audio(samples, 16000)
    np.testing.assert_array_equal(read(audio, channel="all").samples, samples)
    np.testing.assert_array_equal(read(Audio(samples[0], 16000)).samples, samples[0])
    np.testing.assert_allclose(read(audio).samples, samples.mean(axis=0), atol=1e-7)
    assert read(audio, sample_rate=8000).samples.size == samples.shape[1] // 2
    assert probe(audio) == AudioInfo("array", "float32", 16000, 2, 2.5)


@pytest.mark.parametrize(
    ("samples", "error"),
    [
        (np.zeros(0, np.float32), EmptyAudio),
        (np.zeros((2, 0), np.float32), EmptyAudio),
        (np.zeros(10, np.int16), InputError),
        (np.zeros((1, 1, 10), np.float32), InputError),
        (np.zeros((64, 10), np.float32), LimitExceeded),
    ],
)
def test_audio_that_is_none(samples, error):
    with pytest.raises(error):
        read(Audio(samples, 16000))


def test_values_that_are_no_source():
    with pytest.raises(InputError, match="ndarray is no source"):
        read(np.zeros(100, np.float32))
    with pytest.raises(InputError, match="binary mode"):
        read(io.StringIO("text"))


def test_a_file_object_that_fails():
    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 3000:
                raise OSError("the disk is gone")
            return super().read(size)

    for name in ("wav", "m4a"):
        with pytest.raises(AudioError, match="the disk is gone"):
            read(Broken(recordings.recording(name)))


def test_a_file_object_that_returns_more_than_was_asked_for():
    class Greedy(io.BytesIO):
        def read(self, size=-1):
            return super().read(size) + b"x" * 100_000 if size else b""

    expected = read(recordings.recording("m4a")).samples
    np.testing.assert_array_equal(read(Greedy(recordings.recording("m4a"))).samples, expected)


@pytest.mark.parametrize("name", ["wav", "mp3", "m4a"])
def test_limits(name):
    data = recordings.recording(name)
    for limits in (
        Limits(max_bytes=1000), Limits(max_seconds=1), Limits(max_channels=1),
        Limits(max_sample_rate=12000), Limits(min_sample_rate=96000), Limits(max_samples=1000),
        Limits(max_read_samples=1000),
    ):  # fmt: skip
        with pytest.raises(LimitExceeded):
            read(data, limits=limits)
    with pytest.raises(LimitExceeded, match="more bytes"):
        read(_Pipe(data), limits=Limits(max_bytes=1000))


@pytest.mark.parametrize("sample_rate", [0, -1, 999, 1_000_000])
def test_a_sample_rate_out_of_range(sample_rate):
    with pytest.raises(InputError, match="out of range"):
        read(recordings.recording("wav"), sample_rate=sample_rate)


def test_paths_that_are_no_recording(tmp_path):
    """Each is refused at once, in one sentence that names it."""
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    (tmp_path / "empty.wav").touch()
    for path, error, words in (
        (tmp_path, AudioError, "a directory"),
        (tmp_path / "pipe.wav", AudioError, "a pipe, socket or device"),
        ("/dev/zero", AudioError, "a pipe, socket or device"),
        (tmp_path / "missing.wav", AudioError, "no such file"),
        (tmp_path / "loop.wav", AudioError, "can't be opened"),
        (tmp_path / ("x" * 300), AudioError, "can't be opened"),
        ("nul\0.wav", AudioError, "can't be opened"),
        ("https://example.org/x.wav", AudioError, "no such file"),
        (tmp_path / "empty.wav", EmptyAudio, "is empty"),
    ):
        with pytest.raises(error, match=words):
            read(path)


def test_a_file_without_permission(tmp_path, monkeypatch):
    """The tests may run as root, to whom nothing is forbidden: the refusal is the system call's."""
    path = tmp_path / "secret.wav"
    path.write_bytes(recordings.recording("wav"))

    def refuse(*_args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(AudioError, match="no permission"):
        read(path)
