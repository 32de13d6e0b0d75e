"""Sound as it comes in: raw samples from a pipe, a microphone that is not there, pace."""

import builtins
import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from aural.audio.live import microphone_pieces, paced, raw_pieces
from aural.audio.resample import resample
from aural.errors import InputError, MissingExtra


class Dribble(io.BytesIO):
    """A pipe that has seven bytes at a time."""

    def read1(self, size: int | None = -1) -> bytes:
        return self.read(7)


def test_raw_samples_are_16_bits_little_endian() -> None:
    values = np.array([0, 1, -1, 32767, -32768, 12345], np.int16)
    data = values.astype("<i2").tobytes() + b"\x07"
    found = np.concatenate(list(raw_pieces(Dribble(data), 16000, 16000)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values / np.float32(32768))


def test_raw_samples_of_another_rate_are_resampled() -> None:
    values = (8000 * np.sin(np.arange(8000) / 9)).astype("<i2")
    found = np.concatenate(list(raw_pieces(Dribble(values.tobytes()), 8000, 16000)))
    expected = resample(values.astype(np.float32) / 32768, 8000, 16000)
    assert found.size == expected.size == 16000
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_empty_pipe_and_a_rate_that_is_none() -> None:
    assert sum(piece.size for piece in raw_pieces(io.BytesIO(), 16000, 16000)) == 0
    with pytest.raises(InputError, match="raw_rate is 10 Hz"):
        next(raw_pieces(io.BytesIO(), 10, 16000))


def test_pace_is_that_of_the_sound() -> None:
    clock = [10.0]
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    found = []
    for piece in paced(
        [np.zeros(size) for size in (800, 1600, 800)], 1600, now=lambda: clock[0], sleep=sleep
    ):
        found.append((piece.size, clock[0]))
        clock[0] += 0.75
    assert found == [(800, 10.5), (1600, 11.5), (800, 12.25)], "the last is late already"
    assert slept == [0.5, 0.25]


def test_no_sounddevice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtra, match=r"pip install 'aural\[mic\]'"):
        next(microphone_pieces("", 16000))


def test_no_portaudio(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def broken(name: str, *given: object, **named: object) -> object:
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return real(name, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(InputError, match="install PortAudio"):
        next(microphone_pieces("", 16000))


class Microphone:
    """Stands in for sounddevice's stream."""

    opened: dict[str, object] = {}  # noqa: RUF012
    closed = 0

    def __init__(self, **named: object) -> None:
        if named["device"] == "none such":
            raise ValueError("No input device matching 'none such'")
        Microphone.opened = named

    def __enter__(self) -> "Microphone":
        return self

    def __exit__(self, *_: object) -> None:
        Microphone.closed += 1

    def read(self, count: int) -> tuple[np.ndarray, bool]:
        return np.array([[0.5], [2.0], [np.nan]] * count, np.float32)[:count], False


def test_a_microphone(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = SimpleNamespace(InputStream=Microphone, PortAudioError=RuntimeError)
    monkeypatch.setitem(sys.modules, "sounddevice", stand_in)
    pieces = microphone_pieces("3", 16000)
    first = next(pieces)
    assert (first.size, first[:3].tolist()) == (800, [0.5, 1.0, 0.0])
    assert Microphone.opened["device"] == 3
    assert Microphone.opened["samplerate"] == 16000
    pieces.close()  # type: ignore[attr-defined]
    assert Microphone.closed == 1
    with pytest.raises(InputError, match="the microphone 'none such' can't be opened"):
        next(microphone_pieces("none such", 16000))


def test_a_microphone_that_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pulled(Microphone):
        def read(self, count: int) -> tuple[np.ndarray, bool]:
            raise RuntimeError("Device unavailable")

    stand_in = SimpleNamespace(InputStream=Pulled, PortAudioError=RuntimeError)
    monkeypatch.setitem(sys.modules, "sounddevice", stand_in)
    before = Microphone.closed
    with pytest.raises(InputError, match="the microphone '' is gone: Device unavailable"):
        next(microphone_pieces("", 16000))
    assert Microphone.closed == before + 1
