"""Writing: what independent readers find in the files, and that a file appears whole or not."""

import io
import os
import re
import stat
import threading
import wave

import av
import numpy as np
import pytest
import soundfile
from recordings import speech

from aural.audio.read import probe, read
from aural.audio.write import FORMATS, write
from aural.errors import InputError, UnknownName
from aural.types import Audio

CODECS = {
    "wav": "PCM_16",
    "flac": "PCM_16",
    "ogg": "VORBIS",
    "opus": "OPUS",
    "mp3": "MPEG_LAYER_III",
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_independent_readers_find_the_speech(tmp_path, name, channels):
    samples = speech(16000, channels)
    path = tmp_path / f"speech.{name}"
    write(path, Audio(samples, 16000))
    info = soundfile.info(path)
    assert (info.subtype, info.channels, info.samplerate) == (CODECS[name], channels, 16000)
    theirs = soundfile.read(path, dtype="float32", always_2d=True)[0].T
    assert theirs.shape == samples.shape
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert stream.channels == channels
        seconds = sum(f.samples / f.sample_rate for f in container.decode(stream))
    assert seconds == pytest.approx(2.5, abs=0.001)
    if name in {"wav", "flac"}:
        np.testing.assert_array_equal(theirs, samples)
    for row, expected in zip(theirs, samples, strict=True):
        assert np.corrcoef(row, expected)[0, 1] > 0.95


def test_wav_by_the_standard_library():
    file = io.BytesIO()
    write(file, Audio(speech(8000, 2), 8000), format="wav")
    file.seek(0)
    with wave.open(file) as reader:
        assert reader.getparams()[:4] == (2, 2, 8000, 20000)
        values = np.frombuffer(reader.readframes(20000), "<i2").reshape(-1, 2).T
    np.testing.assert_array_equal(values / np.float32(32768), speech(8000, 2))


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_is_read_back(name):
    """From and to an open file, which for writing need not seek."""

    class Sink(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *_args):
            raise OSError("a pipe can't seek")

    sink = Sink()
    write(sink, Audio(speech(16000)[0], 16000), format=name)
    audio = read(sink.getvalue())
    assert audio.sample_rate == 16000
    assert audio.samples.shape == (40000,)
    assert np.corrcoef(audio.samples, speech(16000)[0])[0, 1] > 0.95


@pytest.mark.parametrize(
    ("name", "rate", "written"),
    [
        ("opus", 44100, 48000), ("opus", 22050, 24000), ("opus", 96000, 48000),
        ("mp3", 13000, 16000), ("mp3", 96000, 48000), ("mp3", 44100, 44100),
        ("wav", 13000, 13000), ("flac", 96000, 96000), ("ogg", 13000, 13000),
    ],
)  # fmt: skip
def test_sample_rates_that_a_format_does_not_know(tmp_path, name, rate, written):
    path = tmp_path / f"speech.{name}"
    write(path, Audio(speech(rate)[0], rate))
    info = probe(path)
    assert info.sample_rate == written
    assert info.duration == pytest.approx(2.5, abs=0.01)


@pytest.mark.parametrize(
    ("name", "low", "high"), [("mp3", 32_000, 128_000), ("opus", 12_000, 96_000)]
)
def test_bit_rate(tmp_path, name, low, high):
    sizes = []
    for bit_rate in (low, high):
        path = tmp_path / f"{bit_rate}.{name}"
        write(path, Audio(speech(44100, 2), 44100), bit_rate=bit_rate)
        sizes.append(path.stat().st_size * 8 / 2.5)
    assert sizes == pytest.approx([low, high], rel=0.6)  # variable rate, and a short recording
    assert sizes[0] < sizes[1] / 2


@pytest.mark.parametrize("name", ["wav", "flac", "ogg"])
def test_bit_rate_where_there_is_none(tmp_path, name):
    with pytest.raises(InputError, match="takes no bit_rate"):
        write(tmp_path / f"x.{name}", Audio(speech(16000)[0], 16000), bit_rate=64000)


@pytest.mark.parametrize("bit_rate", [0, -1, 10**9])
def test_bit_rate_out_of_range(tmp_path, bit_rate):
    with pytest.raises(InputError, match="8000 to 320000"):
        write(tmp_path / "x.mp3", Audio(speech(16000)[0], 16000), bit_rate=bit_rate)


def test_too_loud_is_clamped(tmp_path):
    samples = np.array([0.5, 1.5, -1.5, 1.0, -1.0] * 10, np.float32)
    write(tmp_path / "x.wav", Audio(samples, 16000))
    got = soundfile.read(tmp_path / "x.wav", dtype="int16")[0]
    assert got[:5].tolist() == [16384, 32767, -32768, 32767, -32768]


GOOD = np.zeros(100, np.float32)


@pytest.mark.parametrize(
    ("samples", "rate", "name", "words"),
    [
        (np.zeros(0, np.float32), 16000, "x.wav", "shape (0,)"),
        (np.zeros(9, np.int16), 16000, "x.wav", "int16"),
        (np.zeros((1, 1, 9), np.float32), 16000, "x.wav", "shape (1, 1, 9)"),
        (np.array([np.nan], np.float32), 16000, "x.wav", "NaN"),
        (np.zeros((3, 9), np.float32), 16000, "x.mp3", "3 channels"),
        (np.zeros((9, 9), np.float32), 16000, "x.flac", "9 channels"),
        (np.zeros((33, 9), np.float32), 16000, "x.wav", "33 channels"),
        (GOOD, 0, "x.wav", "0 Hz"),
        (GOOD, 10**6, "x.wav", "1000000 Hz"),
        (np.broadcast_to(np.float32(0), 1 << 31), 16000, "x.wav", "4 GiB"),
        (GOOD, 16000, "none/x.wav", "No such file"),
        (GOOD, 16000, "folder.wav", "no regular file"),
        (GOOD, 16000, "x" * 300 + ".wav", "name too long"),
    ],
)
def test_what_can_not_be_written(tmp_path, samples, rate, name, words):
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(InputError, match=re.escape(words)):
        write(tmp_path / name, Audio(samples, rate))
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.wav"]


@pytest.mark.parametrize("name", ["x", "x.m4a", "x.wav.bak"])
def test_unknown_formats_name_the_choices(tmp_path, name):
    with pytest.raises(UnknownName, match="wav, flac, ogg, opus, mp3"):
        write(tmp_path / name, Audio(GOOD, 16000))
    with pytest.raises(UnknownName):
        write(io.BytesIO(), Audio(GOOD, 16000))


def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "x.mp3"
    path.write_bytes(b"old")

    def fail(*_args, **_options):
        assert path.read_bytes() == b"old"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(av, "open", fail)
    with pytest.raises(InputError, match="No space left"):
        write(path, Audio(GOOD, 16000))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x.mp3"]


def test_a_link_is_written_through_and_a_device_is_left_alone(tmp_path):
    (tmp_path / "real.wav").write_bytes(b"old")
    (tmp_path / "link.wav").symlink_to(tmp_path / "real.wav")
    write(tmp_path / "link.wav", Audio(GOOD, 16000))
    assert (tmp_path / "link.wav").is_symlink()
    assert read(tmp_path / "real.wav").samples.size == 100
    with pytest.raises(InputError, match="no regular file"):
        write("/dev/null", Audio(GOOD, 16000), format="wav")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_the_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    write(tmp_path / "x.wav", Audio(GOOD, 16000))
    assert (tmp_path / "x.wav").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_two_threads_write_the_same_name(tmp_path):
    """The last one wins, and the file is one of the two."""
    first, second = (Audio(np.full(50_000, value, np.float32), 16000) for value in (0.25, 0.5))
    threads = [
        threading.Thread(target=write, args=(tmp_path / "x.flac", audio))
        for audio in (first, second)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = read(tmp_path / "x.flac").samples
    assert np.unique(values).tolist() in ([0.25], [0.5])
    assert os.listdir(tmp_path) == ["x.flac"]


@pytest.mark.parametrize("rate", [200_000, 384_000])
def test_vorbis_above_its_highest_rate_is_written_at_192_khz(tmp_path, rate):
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32)
    write(tmp_path / "x.ogg", Audio(tone / 2, rate))
    theirs, found = soundfile.read(tmp_path / "x.ogg")
    assert found == 192_000
    assert abs(theirs.size - found) <= 1
    assert np.argmax(np.abs(np.fft.rfft(theirs))) == 1000
