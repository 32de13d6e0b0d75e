"""Each fault that is planted is found, once, and nothing is found where nothing was planted."""

import io
import json
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from aural.audio.read import read
from aural.audio.write import write
from aural.data.check import KINDS, CheckOptions, check, text_faults
from aural.data.manifest import stream_manifest
from aural.data.measure import measure
from aural.data.pack import write_shards
from aural.errors import InputError, ManifestError, UnknownName, Unreachable
from aural.types import Audio

RATE = 16_000
TEXT = "and mister john dashwood had then leisure"


class Planter:
    """A folder with recordings cut from real speech, no two alike, and its manifest."""

    def __init__(self, folder: Path, examples: Path) -> None:
        self.folder = folder
        speech = [read(path).samples for path in sorted(examples.glob("*.flac"))]
        self.speech, self.cut, self.records = np.concatenate(speech), 0, []

    def sound(self) -> np.ndarray:
        """3 s that nobody else gets."""
        self.cut += 1
        start = 8000 * self.cut
        return self.speech[start : start + 3 * RATE]

    def add(
        self,
        name: str,
        samples: np.ndarray | bytes | None = None,
        rate: int = RATE,
        suffix: str = ".wav",
        **fields: object,
    ) -> None:
        path = self.folder / f"{name}{suffix}"
        samples = self.sound() if samples is None else samples
        if isinstance(samples, bytes):
            path.write_bytes(samples)
        else:
            write(path, Audio(samples, rate))
        record = {"id": name, "text": f"{TEXT} {name}", "speaker": "s", "lang": "en", "set": "a"}
        self.records.append({"audio_filepath": path.name, **record, **fields})

    def manifest(self, name: str = "m.jsonl") -> Path:
        path = self.folder / name
        path.write_text("\n".join(json.dumps(record) for record in self.records))
        return path


@pytest.fixture
def planter(tmp_path: Path, examples: Path) -> Planter:
    return Planter(tmp_path, examples)


def plant_all(planter: Planter) -> None:
    add = planter.add
    first, second = planter.sound(), planter.sound()
    add("clean-1", first, duration=3.0)
    add("clean-2", second, text=f"{TEXT} two")
    add("unreadable", b"no sound at all")
    add("damaged")
    damaged = planter.folder / "damaged.wav"
    damaged.write_bytes(damaged.read_bytes()[:-32_000])
    add("duration", duration=3.2)
    add("clipping", np.clip(planter.sound() * 20, -1, 1))
    add("silence", np.zeros(3 * RATE, np.float32))
    add("empty-text", text=" ... ")
    add("too-many-characters", text=f"{TEXT} " * 3)
    add("too-few-characters", text="no")
    add("control-characters", text=f"{TEXT}\u200b to consider")
    add("mixed-scripts", text=f"{TEXT} to \u0441onsider")
    add("mixed-languages", lang="fr")
    add("mixed-rates", planter.sound()[::2], 8000)
    stereo = planter.sound()
    add("mixed-channels", np.stack([stereo, 0.5 * stereo]))
    add("twice")
    add("duplicate-id")
    planter.records[-1]["id"] = "twice"
    add("duplicate-audio", first, suffix=".flac", text=f"{TEXT} other")
    add("near-duplicate", second, suffix=".ogg", text=f"{TEXT} TWO")
    add("speaker-in-splits", set="b")


def test_each_planted_fault_is_found_once(planter: Planter) -> None:
    plant_all(planter)
    checked = check([planter.manifest()], split="set")
    ids = {kind: kind for kind in KINDS} | {"duplicate-id": "twice"}
    assert Counter((each.kind, each.id) for each in checked.findings) == Counter(ids.items())
    assert checked.counts == dict.fromkeys(KINDS, 1)
    details = {each.kind: each.detail for each in checked.findings}
    assert details["duration"] == "3.2 s in the manifest, 3.00 s in the recording"
    assert details["mixed-rates"].startswith("8000 Hz: 1, most are 16000 Hz")
    assert details["duplicate-audio"] == "the same samples as 'clean-1'"
    assert details["near-duplicate"].endswith("as 'clean-2'")
    assert details["speaker-in-splits"] == "speaker 's' is also in a"
    assert details["mixed-scripts"] == "'\u0441onsider' is Cyrillic and Latin"
    assert details["control-characters"] == "U+200B"
    assert details["unreadable"].count("unreadable.wav") == 1


def test_what_there_is_is_counted(planter: Planter) -> None:
    plant_all(planter)
    checked = check([planter.manifest()], split="set")
    assert (checked.utterances, checked.speakers) == (20, 1)
    assert checked.splits == {"a": 19, "b": 1}
    assert checked.sample_rates == {16000: 18, 8000: 1}
    assert checked.channels == {1: 18, 2: 1}
    assert checked.languages == {"en": 19, "fr": 1}
    assert checked.seconds == pytest.approx(19 * 3 - 1, abs=0.01)
    record = json.loads(json.dumps(checked.as_json(), allow_nan=False))
    assert (record["version"], record["counts"]["silence"]) == (1, 1)
    assert checked.without({"silence", "duration"}).counts.keys() == (
        KINDS.keys() - {"silence", "duration"}
    )


def test_the_examples_are_clean(examples: Path) -> None:
    checked = check([examples / "manifest.jsonl"])
    assert checked.findings == ()
    assert checked.counts == {}


def test_shards_are_checked_as_their_manifest_is(planter: Planter, tmp_path: Path) -> None:
    plant_all(planter)
    source = planter.manifest()
    expected = check([source], split="set")
    sound = (each for each in stream_manifest(source) if each.id != "unreadable")
    write_shards(sound, tmp_path / "s")
    with tarfile.open(tmp_path / "s-000001.tar", "w") as archive:
        for name, data in (
            ("u.wav", b"no sound at all"),
            ("u.json", b'{"text": "x", "lang": "en"}'),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    found = check([f"{tmp_path}/s-*.tar"], split="set")
    assert found.counts == expected.counts
    unreadable = next(each for each in found.findings if each.kind == "unreadable")
    assert unreadable.detail.startswith(f"{tmp_path}/s-000001.tar:u.wav: its bytes")


def test_the_same_id_and_sound_in_one_split(planter: Planter) -> None:
    planter.add("1")
    sources = [planter.manifest("x.jsonl"), planter.manifest("y.jsonl")]
    checked = check(sources, split="set")
    assert [(each.kind, each.id) for each in checked.findings] == [("duplicate-audio", "1")]
    planter.records *= 2
    checked = check([planter.manifest()])
    assert checked.counts == {"duplicate-id": 1, "duplicate-audio": 1}


@pytest.mark.parametrize("subtype", ["PCM_16", "ULAW", "ALAW", "PCM_U8"])
def test_clipping_by_coding(planter: Planter, subtype: str) -> None:
    speech = planter.sound()
    speech = speech / np.abs(speech).max()
    for gain, expected in ((0.97, {}), (1.0, {}), (2.0, {"clipping": 1})):
        made = io.BytesIO()
        soundfile.write(made, np.clip(gain * speech, -1, 1), RATE, format="WAV", subtype=subtype)
        planter.records = []
        planter.add("u", made.getvalue())
        assert check([planter.manifest()]).counts == expected


def test_seconds_beyond_any_recording(planter: Planter) -> None:
    planter.add("far", offset=1e308)
    planter.add("long", offset=0.5, duration=1e308)
    planter.add("whole", duration=1e308)
    assert check([planter.manifest()]).counts == {"unreadable": 1, "duration": 2}


def test_several_manifests_are_splits(planter: Planter) -> None:
    same = planter.sound()
    planter.add("1", same)
    planter.add("2")
    train = planter.manifest("train.jsonl")
    planter.records = []
    planter.add("1", same, speaker="t")
    planter.add("3")
    test = planter.manifest("test.jsonl")
    checked = check([train, test])
    assert checked.splits == {str(train): 2, str(test): 2}
    (same_sound, same_speaker) = checked.findings
    assert (same_sound.kind, same_sound.split, same_sound.id) == ("duplicate-audio", str(test), "1")
    assert same_sound.detail == f"the same samples as '1' in {train}"
    assert same_speaker.detail == f"speaker 's' is also in {train}"
    assert [each.kind for each in check([train]).findings] == []


def test_a_speaker_is_told_of_once_a_split(planter: Planter) -> None:
    for split in "abab":
        planter.add(f"{len(planter.records)}", set=split)
    (finding,) = check([planter.manifest()], split="set").findings
    assert (finding.id, finding.split) == ("1", "b")


def test_stretches_are_measured_alone(planter: Planter) -> None:
    long = np.concatenate([planter.sound(), np.zeros(3 * RATE, np.float32)])
    planter.add("speech", long, offset=0, duration=3)
    for name, start, length in (("silent", 3, 3), ("beyond", 5, 3), ("outside", 9, 1)):
        planter.records.append(
            {**planter.records[0], "id": name, "offset": start, "duration": length}
        )
    found = {(each.kind, each.id) for each in check([planter.manifest()]).findings}
    assert found == {
        ("silence", "silent"),
        ("silence", "beyond"),
        ("duration", "beyond"),
        ("too-many-characters", "beyond"),
        ("unreadable", "outside"),
    }


def test_labelled_silence_is_no_fault(planter: Planter) -> None:
    planter.add("quiet", np.full(RATE, 0.25, np.float32), text="")  # an offset is not heard
    planter.add("quiet-too", np.full(RATE, 0.25, np.float32), text="")
    assert check([planter.manifest()]).counts == {}


def test_of_many_findings_the_first_are_kept(planter: Planter) -> None:
    for number in range(5):
        planter.add(str(number), text="no")
    checked = check([planter.manifest()], options=CheckOptions(max_listed=2))
    assert checked.counts == {"too-few-characters": 5}
    assert [each.id for each in checked.findings] == ["0", "1"]
    lenient = CheckOptions(min_characters=0)
    assert check([planter.manifest()], options=lenient).counts == {}


def test_punctuation_is_not_said(planter: Planter) -> None:
    planter.add("dots", text=f"{TEXT} ... {'...' * 30}")
    assert check([planter.manifest()]).counts == {}


def test_prompts_of_one_text_and_length_are_not_taken_for_one(planter: Planter) -> None:
    for number in range(4):
        planter.add(str(number), text=TEXT)
    assert check([planter.manifest()]).counts == {}


@pytest.mark.parametrize(
    ("form", "gain", "rate"), [("ogg", 1, 16000), ("wav", 0.3, 16000), ("opus", 1, 16000)]
)
def test_another_coding_is_found(planter: Planter, form: str, gain: float, rate: int) -> None:
    samples = planter.sound()
    planter.add("one", samples, text=TEXT)
    planter.add("two", samples * gain, rate, f".{form}", text=TEXT)
    found = check([planter.manifest()]).counts
    assert found["near-duplicate"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_clipped": 2}, "max_clipped is 2"),
        ({"max_characters": np.inf}, "max_characters inf"),
        ({"silence_db": -np.inf}, "silence_db is -inf"),
        ({"silence_db": 3}, "silence_db is 3"),
        ({"min_characters": 40}, "min_characters is 40"),
        ({"max_duration_error": -1}, "max_duration_error is -1"),
        ({"max_silent": float("nan")}, "max_silent is nan"),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        CheckOptions(**options)


def test_what_can_not_be_checked(planter: Planter, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = planter.manifest()
    with pytest.raises(ManifestError, match="no utterances"):
        check([empty])
    planter.add("one", noise="5 dB")
    with pytest.raises(UnknownName, match=r"unknown column 'fold'.*language, noise, set, speaker"):
        check([planter.manifest()], split="fold")
    monkeypatch.setenv("AURAL_CACHE", str(planter.folder / "cache"))
    with pytest.raises(Unreachable, match="aural data fetch librivox"):
        check(["corpus:librivox"])


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("plain text, 1.5 %", []),
        ("\u043c\u0438\u0440 and peace", []),
        ("T\u6064 \u65e5\u672c\u8a9e\u3067\u3059", []),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", []),  # Persian writes a non-joiner
        ("5 \u00b5m", []),
        ("5 \u03bcm, 5\u03bcg", []),
        ("4 k\u03a9", []),
        ("\u200f\u05e9\u05dc\u05d5\u05dd", []),  # Hebrew behind its mark
        ("\u05e9\u05dc\u05d5\u05dd (A)\u200e", []),
        ("co\u00adoperate", []),
        ("flag \U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", []),
        ("\u200fhello", ["control-characters"]),
        ("\u00ad hello", ["control-characters"]),
        ("flag \U000e0067\U000e007f", ["control-characters"]),
        ("\u03bcother", ["mixed-scripts"]),
        ("tab\there", ["control-characters"]),
        ("lost \ufffd letter", ["control-characters"]),
        ("\ufeffmark", ["control-characters"]),
        ("p\u0430ypal \u0430pple", ["mixed-scripts"]),
    ],
)
def test_texts(text: str, kinds: list[str]) -> None:
    assert [kind for kind, _ in text_faults(text)] == kinds


class TestMeasure:
    """Against the definitions, written out."""

    def measured(self, samples: np.ndarray, rate: int = 8000):
        return measure(Audio(samples.astype(np.float32), rate), full_scale=0.999, silence_db=-60)

    def test_runs_at_full_scale_across_blocks(self) -> None:
        rng = np.random.default_rng(0)
        samples = rng.uniform(-0.9, 0.9, (2, 25 * 8000 + 77))
        for start in (0, 79_998, 79_999, 80_000, 100, 200_075):
            samples[0, start : start + 5] = rng.choice([-1.0, 1.0])
        samples[1, ::2] = 1.0  # never two in a row
        expected = 0
        for row in samples:
            run = 0
            for value in row:
                run = run + 1 if abs(value) >= 0.999 else 0
                expected += run > 2
        assert expected > 10
        assert self.measured(samples).clipped == expected / samples.size

    def test_runs_at_an_extreme_near_full_scale(self) -> None:
        rng = np.random.default_rng(0)
        samples = np.round(rng.uniform(-0.9, 0.9, (2, 25 * 8000)) * 128) / 128
        samples[0, 100:200] = 125 / 128  # not the extreme, which comes two blocks later
        samples[0, 179_998:180_008] = 127 / 128
        samples[1, 79_995:80_005] = -0.98
        samples[1, 500:503] = 0.96  # too far below
        assert self.measured(samples).clipped == (8 + 8) / samples.size

    def test_silent_frames(self) -> None:
        rng = np.random.default_rng(0)
        loudness = np.repeat(10 ** rng.uniform(-4, -2, 700), 160)
        samples = rng.standard_normal(loudness.size) * loudness + 0.1
        levels = samples.reshape(-1, 160).std(axis=1)
        expected = np.mean(levels < 1e-3)
        assert 0.2 < expected < 0.8
        assert self.measured(samples).silent == pytest.approx(expected, abs=1e-9)
        both = np.stack([samples, np.zeros_like(samples)])
        assert self.measured(both).silent == pytest.approx(expected, abs=1e-9)

    def test_the_digest_is_of_the_samples(self, tmp_path: Path, examples: Path) -> None:
        path = examples / "sense_and_sensibility_0870.flac"
        samples, rate = soundfile.read(path, dtype="float32")
        digest = measure(path, full_scale=1, silence_db=-60).digest
        soundfile.write(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
        assert measure(tmp_path / "a.wav", full_scale=1, silence_db=-60).digest == digest
        assert self.measured(samples, rate).digest == digest
        assert self.measured(samples, 8000).digest != digest
        samples[1000] += 1e-6
        assert self.measured(samples, rate).digest != digest

    def test_the_envelope(self) -> None:
        steps = np.repeat(10 ** (-np.arange(32) / 20), 1600)  # 1 dB down a part of ten frames
        found = self.measured(0.5 * np.tile([1, -1], steps.size // 2) * steps).envelope
        np.testing.assert_allclose(found, -np.arange(32), atol=1e-3)
        assert set(self.measured(np.zeros(8000)).envelope) == {0.0}
        alone = np.zeros(8000)
        alone[4000] = 1.0
        assert sorted(set(self.measured(alone).envelope)) == [-60.0, 0.0]

    @pytest.mark.parametrize("length", [1, 2, 159, 160, 161])
    def test_short_ones(self, length: int) -> None:
        found = self.measured(np.full(length, 0.5))
        assert (found.seconds, found.silent, found.clipped) == (length / 8000, 1.0, 0.0)
        assert np.isfinite(found.envelope).all()

    def test_what_is_no_number_is_told(self) -> None:
        found = self.measured(np.array([0.1, np.nan, np.inf, 0.2] * 100))
        assert "200 samples were not finite" in found.warning
