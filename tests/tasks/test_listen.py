"""Listening: utterances, events and delays on stand-ins, then real speech through real models."""

import io
import json
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from aural.errors import InputError, UnknownName
from aural.tasks.listen import (
    Ledger,
    Listening,
    ListenOptions,
    SpeechGate,
    listen,
    recognition_stream,
)
from aural.types import Audio, PartialResult, Word

RATE = 16000
BLOCK = 1536 / RATE


def words(*texts: str) -> tuple[Word, ...]:
    return tuple(Word(i, i + 0.5, text) for i, text in enumerate(texts))


def test_a_ledger_tells_what_is_new_and_when_it_was_shown() -> None:
    ledger = Ledger(10.0)
    assert ledger.update(PartialResult(words("a", "b"), 0, 0, 0), 11, 11.5) == []
    assert ledger.changed
    (first,) = ledger.update(PartialResult(words("A,", "c", "d"), 1, 0, 0), 12, 12.5)
    assert (first.word.text, first.word.start) == ("A,", 10.0)
    assert (first.shown, first.final, first.shown_clock, first.final_clock) == (11, 12, 11.5, 12.5)
    assert [word.text for word in ledger.open_words] == ["c", "d"]
    assert ledger.take_rewrites() == 1, "b became c"
    ledger.update(PartialResult(words("A,", "c"), 1, 0, 0), 13, 13)
    assert ledger.changed
    assert ledger.take_rewrites() == 1, "d was taken back"
    ledger.update(PartialResult(words("A,", "C."), 1, 0, 0), 14, 14)
    assert not ledger.changed
    assert ledger.take_rewrites() == 0
    second, third = ledger.update(PartialResult(words("A,", "C.", "e"), 3, 0, 0), 15, 15)
    assert (second.shown, second.final) == (12, 15)
    assert (third.shown, third.final) == (15, 15)
    assert [word.text for word in ledger.final_words] == ["A,", "C.", "e"]


class Detector:
    """Speech where the samples are not 0."""

    sample_rate, frame_length = RATE, 512

    def speech_probabilities(self, samples: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def stream(self) -> "Detector":
        return self

    def push(self, samples: np.ndarray) -> np.ndarray:
        whole = samples[: samples.size // 512 * 512]
        return np.array([float(frame.any()) for frame in whole.reshape(-1, 512)])

    def finish(self) -> np.ndarray:
        return np.empty(0)


class Counter:
    """Writes a word a second that it is given, all but the last final."""

    def __init__(self) -> None:
        self.heard: list[float] = []
        self._seconds = 0.0

    def push(self, samples: np.ndarray) -> list[PartialResult]:
        self._seconds += samples.size / RATE
        return [self._result(ended=False)]

    def finish(self) -> list[PartialResult]:
        last = self._result(ended=True)
        self.heard.append(round(self._seconds, 3))
        self._seconds = 0.0
        return [last]

    def _result(self, *, ended: bool) -> PartialResult:
        found = words(*(f"w{i}" for i in range(int(self._seconds + 0.5))))
        final = len(found) if ended else max(0, len(found) - 1)
        quiet = self._seconds - (found[-1].end if found else 0)
        return PartialResult(found, final, self._seconds, quiet)


def speech_and_silence() -> np.ndarray:
    """2 s of nothing, 3 s of speech, 2 s of nothing, 1.5 s of speech, in whole blocks."""
    parts = [(2.0, 0.0), (3.0, 0.5), (2.0, 0.0), (1.5, 0.5)]
    return np.concatenate(
        [np.full(round(seconds / BLOCK) * 1536, level, np.float32) for seconds, level in parts]
    )


def test_utterances_begin_with_speech_and_end_with_silence() -> None:
    samples = speech_and_silence()
    counter = Counter()
    pieces = iter(np.array_split(samples, 50))
    listening = Listening(pieces, counter, RATE, ListenOptions(), Detector())
    events = list(listening)
    ends = [event for event in events if event.kind == "end"]
    assert [event.text for event in ends] == ["w0 w1 w2 w3", "w0 w1"]
    before, silence = 3 * BLOCK, 9 * BLOCK
    assert counter.heard == pytest.approx(
        [before + 31 * BLOCK + silence, before + 16 * BLOCK], abs=0.002
    )
    assert ends[0].time == pytest.approx((21 + 31 + 9) * BLOCK)
    assert ends[1].words[0].start == pytest.approx((21 + 31 + 21 - 3) * BLOCK, abs=1e-6)
    finals = [event.text for event in events if event.kind == "final"]
    assert " ".join(finals) == "w0 w1 w2 w3 w0 w1" == listening.text
    assert listening.rewrites == 0
    assert listening.duration == pytest.approx(samples.size / RATE)
    assert all(event.clock >= event.time for event in events)
    shown = [each.shown for each in listening.words]
    assert all(each.final >= each.shown for each in listening.words)
    assert shown == sorted(shown)


def test_silence_alone_is_no_utterance() -> None:
    counter = Counter()
    pieces = [np.zeros(RATE * 5, np.float32)]
    assert list(Listening(pieces, counter, RATE, ListenOptions(), Detector())) == []
    assert counter.heard == [0.0]


def test_a_run_of_nothing_written_ends_an_utterance() -> None:
    class Quiet(Counter):
        def _result(self, *, ended: bool) -> PartialResult:
            found = words("hello") if self._seconds > 0.6 else ()
            return PartialResult(found, len(found), self._seconds, max(0, self._seconds - 1.0))

    listening = Listening(
        [np.ones(RATE * 4, np.float32)], Quiet(), RATE, ListenOptions("blank", 0.5)
    )
    ends = [event for event in listening if event.kind == "end"]
    assert [event.time for event in ends] == pytest.approx([1.5, 3.0, 4.0])
    assert [event.words[0].start for event in ends] == pytest.approx([0.0, 1.5, 3.0])


def test_a_gate_closes_only_after_the_whole_silence() -> None:
    gate = SpeechGate(Detector(), ListenOptions(end_silence_seconds=0.3), RATE)
    loud, still = np.ones(1536, np.float32), np.zeros(1536, np.float32)
    taken = [
        gate.push(each) for each in (still, loud, still, still, loud, still, still, still, still)
    ]
    assert [len(each.samples) for each in taken] == [0, 2, 1, 1, 1, 1, 1, 1, 1]
    assert [each.opens for each in taken].index(True) == 1
    assert not any(each.closes for each in taken[:-1])
    assert taken[-1].closes
    assert gate.push(still).samples == ()


def test_a_gate_before_a_recogniser_of_another_rate() -> None:
    class Once(Detector):
        heard = 0

        def push(self, samples: np.ndarray) -> np.ndarray:
            self.heard += samples.size
            return super().push(samples)

    detector = Once()
    gate = SpeechGate(detector, ListenOptions(), 8000)
    assert gate.block == 768
    passed = [gate.push(np.full(768, 0.5, np.float32)) for _ in range(10)]
    assert detector.heard == pytest.approx(10 * 1536, abs=1536)
    assert any(each.opens for each in passed)
    assert sum(part.size for each in passed for part in each.samples) == 10 * 768


@pytest.fixture(scope="module")
def clip(examples) -> Audio:
    samples, rate = soundfile.read(examples / "sense_and_sensibility_0880.flac", dtype="float32")
    return Audio(samples, rate)


def test_whisper_in_a_growing_window(clip: Audio) -> None:
    audio = Audio(np.concatenate((clip.samples, np.zeros(24000, np.float32))), RATE)
    listening = listen(audio, model="whisper/tiny.en", threads=1)
    events = list(listening)
    kinds = [event.kind for event in events]
    assert kinds[-1] == "end"
    assert "partial" in kinds
    assert kinds.count("end") == 1
    text = events[-1].text
    assert text.startswith("He was not an")
    assert text.endswith("young man.")
    assert listening.text == text
    assert events[-1].time < audio.duration, "by the silence, not by the end of the sound"
    for heard in listening.words:
        assert 0 <= heard.shown <= heard.final <= heard.final_clock
    assert listening.words[0].final < clip.duration, "words are final before the end"
    assert listening.computed > 0


def test_the_command_takes_raw_samples(clip: Audio) -> None:
    from aural.cli.commands.listen import command

    raw = (clip.samples * 32767).astype("<i2").tobytes()
    done = CliRunner().invoke(
        command,
        ["-", "--model", "whisper/tiny.en", "--step-seconds", "2", "--json", "--latency"],
        input=io.BytesIO(raw),
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert records[-1]["event"] == "end"
    assert "young man" in records[-1]["text"]
    assert records[-1]["words"][0].keys() == {"word", "start", "end"}
    assert "words; p50 / p95 in s" in done.stderr


def test_lines_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from aural.cli.commands.listen import command

    def events(source: str, **given: object) -> Listening:
        assert (source, given["look_ahead_seconds"]) == ("x.wav", 0.16)
        return Listening([speech_and_silence()], Counter(), RATE, ListenOptions(), Detector())

    monkeypatch.setattr("aural.tasks.listen.listen", events)
    done = CliRunner().invoke(command, ["x.wav", "--look-ahead-seconds", "0.16"])
    assert done.stdout == "w0 w1 w2 w3\nw0 w1\n"


def test_what_can_not_be_is_refused(clip: Audio) -> None:
    for values, message in (
        ({"mode": "chunkwise"}, "not made for chunks; give mode 'agreement'"),
        ({"endpoint": "blank"}, "only a chunk-wise model tells"),
        ({"end_silence_seconds": 0.0}, "end_silence_seconds is 0"),
        ({"vad_threshold": 1.0}, "vad_threshold is 1"),
        ({"step_seconds": 99.0}, "step_seconds is 99"),
        ({"chunk_seconds": -1.0}, "chunk_seconds is -1"),
        ({"chunk_seconds": 1.0}, r"agreement can't follow chunk_seconds \(1.0\); leave it out"),
        ({"look_ahead_seconds": 0.0}, "agreement can't follow look_ahead_seconds"),
        ({"raw_rate": 8000}, "no raw sound can't follow raw_rate"),
    ):
        with pytest.raises(InputError, match=message):
            listen(clip, model="whisper/tiny.en", threads=1, **values)  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="vad, blank"):
        ListenOptions(endpoint="silence")  # type: ignore[arg-type]
    nobody = SimpleNamespace(sample_rate=RATE)
    with pytest.raises(UnknownName, match="auto, chunkwise, agreement"):
        recognition_stream(nobody, "x", "fast", {}, None, None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="x is no Recogniser"):
        recognition_stream(nobody, "x", "auto", {}, None, None)  # type: ignore[arg-type]


def test_what_a_chunk_wise_model_can_not_follow_is_refused(
    clip: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = SimpleNamespace(sample_rate=8000, languages=("en",), stream=lambda _: Counter())
    monkeypatch.setattr("aural.models.load", lambda *_, **__: one)
    for source, values, message in (
        (clip, {"language": "nl"}, "unknown language 'nl'; this install has: en"),
        (clip, {"step_seconds": 2.0}, "a chunk-wise model can't follow step_seconds"),
        (clip, {"window_seconds": 20.0}, "a chunk-wise model can't follow window_seconds"),
        (clip, {"vad_threshold": 0.5}, "endpoint 'blank' can't follow vad_threshold"),
        ("-", {"channel": 1}, r"'-' has one channel and can't follow channel \(1\)"),
        ("mic:3", {"channel": 0}, "'mic:3' has one channel"),
    ):
        with pytest.raises(InputError, match=message):
            listen(source, model="x", endpoint="blank", **values)  # type: ignore[arg-type]
    listen(clip, model="x", endpoint="blank", language="en")
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match="standard input is closed"):
        listen("-", model="x", endpoint="blank")


@pytest.mark.parametrize(("source", "code"), [("mic", 0), ("-", 1), ("x.wav", 1)])
def test_what_was_said_before_an_interrupt_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, source: str, code: int
) -> None:
    from aural.cli.commands.listen import command

    def interrupted() -> Iterator[np.ndarray]:
        yield speech_and_silence()[: 40 * 1536]
        raise KeyboardInterrupt

    def events(source: str, **given: object) -> Listening:
        return Listening(interrupted(), Counter(), RATE, ListenOptions(), Detector())

    monkeypatch.setattr("aural.tasks.listen.listen", events)
    done = CliRunner().invoke(command, [source])
    assert done.stdout.startswith("w0\n" if code and source != "-" else "w0 w1\n")
    assert done.exit_code == code
