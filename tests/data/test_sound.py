"""An utterance's sound is the file, or the stretch of it that is meant."""

import io
import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest

from aural.audio.read import read
from aural.audio.write import write
from aural.data.manifest import Clip, Utterance
from aural.data.sound import sound_of
from aural.errors import AudioError, AudioWarning
from aural.types import Audio

CLIP = "sense_and_sensibility_0870.flac"


def test_a_whole_file_is_its_path(examples: Path) -> None:
    assert sound_of(Utterance("u", examples / CLIP, "", duration=1.0)) == examples / CLIP


def test_a_stretch_is_the_samples_between(examples: Path) -> None:
    whole = read(examples / CLIP)
    cut = sound_of(Utterance("u", examples / CLIP, "", offset=0.5, duration=1.25))
    assert isinstance(cut, Audio)
    np.testing.assert_array_equal(cut.samples, whole.samples[..., 8000:28000])
    rest = sound_of(Utterance("u", examples / CLIP, "", offset=6.0))
    assert isinstance(rest, Audio)
    assert rest.samples.shape[-1] == whole.samples.shape[-1] - 96_000


@pytest.mark.parametrize(("offset", "duration"), [(100.0, None), (1.0, 0.0)])
def test_a_stretch_outside_the_file_is_an_error(
    examples: Path, offset: float, duration: float | None
) -> None:
    with pytest.raises(AudioError, match=r"it lasts 7\.1"):
        sound_of(Utterance("u", examples / CLIP, "", offset=offset, duration=duration))


@pytest.mark.parametrize(("offset", "duration"), [(1e308, None), (1e308, 1e308), (7.2, 1e308)])
def test_times_beyond_any_recording(examples: Path, offset: float, duration: float | None) -> None:
    with pytest.raises(AudioError, match=r"it lasts 7\.1"):
        sound_of(Utterance("u", examples / CLIP, "", offset=offset, duration=duration))


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg"])
def test_stretches_are_cut_from_what_read_gives(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / f"noise{suffix}"
    write(path, Audio(rng.uniform(-0.5, 0.5, (2, 441_000)).astype(np.float32), 44_100))
    whole = read(path).samples
    for start, length in ((0, 1), (0, 441_000), (65_535, 2), (123_457, 200_001), (440_000, 9_000)):
        for source in (path, Clip(f"s.tar:x{suffix}", path.read_bytes())):
            at = Utterance("u", source, "", offset=start / 44_100, duration=length / 44_100)
            found = sound_of(at)
            assert isinstance(found, Audio)
            assert found.samples.dtype == np.float32
            np.testing.assert_array_equal(found.samples, whole[start : start + length])


def test_no_more_than_the_stretch_is_held(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    write(path, Audio(np.zeros(4_000_000, np.float32), 16_000))
    sound_of(Utterance("u", path, "", offset=0.0, duration=0.1))
    tracemalloc.start()
    sound_of(Utterance("u", path, "", offset=200.0, duration=1.0))
    assert tracemalloc.get_traced_memory()[1] < 4_000_000  # all of it: 16,000,000
    tracemalloc.stop()


def test_what_lies_behind_a_stretch_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    write(path, Audio(np.full(160_000, 0.25, np.float32), 16_000))
    path.write_bytes(path.read_bytes()[:-100_000])
    found = sound_of(Utterance("u", path, "", offset=1.0, duration=1.0))  # no warning
    assert isinstance(found, Audio)
    assert found.samples.size == 16_000
    with pytest.warns(AudioWarning, match="ends before"):
        sound_of(Utterance("u", path, "", offset=1.0))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no such file"):
        sound_of(Utterance("u", tmp_path / "a.wav", ""))


def test_g722_decodes_to_what_its_own_demuxer_gives(examples: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.g722"
    speech = (read(examples / CLIP).samples * 32767).astype(np.int16)
    with av.open(str(path), "w", format="g722") as container:
        stream = container.add_stream("g722", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(speech.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = 16000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    with av.open(io.BytesIO(path.read_bytes()), format="g722") as container:
        expected = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
    audio = read(sound_of(Utterance("u", path, "")))
    assert audio.sample_rate == 16_000
    np.testing.assert_array_equal(audio.samples, expected[0].astype(np.float32) / 32768)
