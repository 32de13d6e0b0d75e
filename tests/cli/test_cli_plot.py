"""aural plot: what goes in, where pictures go, and what is refused."""

import ast
import io
import json
import os
import re
import shlex
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from standin_aural import Run

from aural.audio.read import read
from aural.audio.write import write
from aural.cli.commands import plot as module
from aural.cli.main import cli
from aural.cli.plot_inputs import (
    Stretch,
    read_array,
    read_confusion,
    read_curves,
    read_embedding,
    read_found,
    read_trials,
)
from aural.data.utterance import Utterance
from aural.errors import EmptyAudio, InputError
from aural.evaluate.conditions import Condition
from aural.evaluate.sweep import Tally, sweep
from aural.formats import render
from aural.types import (
    Audio,
    Diarization,
    Segment,
    Span,
    SpeechActivity,
    Transcript,
    Turn,
    Word,
)

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/plot.md").read_text(encoding="utf-8")
NAME = "sense_and_sensibility_0880.flac"


@pytest.fixture
def sound(examples: Path) -> Path:
    return examples / NAME


@pytest.fixture(scope="module")
def a_sweep() -> str:
    """JSON of a sweep along the ratio to two noises, whose errors are chosen."""
    utterances = [Utterance(f"u{i}", Path(f"{i}.wav"), "a b c d e f g h i j") for i in range(4)]
    errors = {None: 1.0, 20.0: 1.0, 10.0: 2.0, 0.0: 6.0}

    def judge(them: list[Utterance], _: object, condition: Condition) -> Tally:
        return Tally(tuple(errors[condition.snr] + (each.id == "u3") for each in them), (10.0,) * 4)

    conditions = [
        Condition(noise=noise, snr=snr) for noise in ("white", "pink") for snr in (20.0, 10.0, 0.0)
    ]
    found = sweep(utterances, {"base": judge}, conditions, lambda _: lambda each: each.audio)
    return json.dumps(found.as_json())


def blocks() -> Iterator[tuple[str, str]]:
    return re.findall(r"```(sh|python)\n(.*?)```", PAGE, flags=re.S)


def test_the_page_runs_and_makes_its_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, a_sweep: str
) -> None:
    """Every python block and every command but the sweep, in a folder of their own; what comes out
    has the size of what the page shows."""
    (tmp_path / "docs/pictures").mkdir(parents=True)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "sweep.json").write_text(a_sweep)
    monkeypatch.chdir(tmp_path)
    for kind, block in blocks():
        if kind == "python":
            exec(compile(block, "plot.md", "exec"), {})
            continue
        for line in block.splitlines():
            if line.startswith(("aural plot", "aural embed")):
                # With the weights that are loaded already.
                more = ["--compute-type", "auto"] if line.startswith("aural embed") else []
                result = CliRunner().invoke(cli, [*shlex.split(line)[1:], *more])
                assert result.exit_code == 0, f"{line}\n{result.stderr}"
    committed = ROOT / "docs/pictures"
    shown = re.findall(r"!\[[^\]]{20,}\]\(pictures/([a-z]+\.(?:png|gif))\)", PAGE)
    made = tmp_path / "docs/pictures"
    assert sorted(os.listdir(committed)) == sorted(os.listdir(made)) == sorted(shown)
    for name in shown:
        with Image.open(committed / name) as ours, Image.open(made / name) as anew:
            assert ours.size == anew.size, name
            assert np.asarray(anew.convert("L")).std() > 8, f"{name} is blank"
    sizes = [path.stat().st_size for path in committed.iterdir()]
    assert max(sizes) < 150_000
    assert sum(sizes) < 1_500_000


def test_every_kind_is_on_the_page() -> None:
    assert set(re.findall(r"^aural plot ([a-z]+)", PAGE, flags=re.M)) == set(
        module.command.commands
    )


def test_nothing_heavy_is_imported_at_the_top() -> None:
    for source in (module.__file__, sys.modules[Stretch.__module__].__file__):
        tree = ast.parse(Path(source).read_text())
        top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {getattr(node, "module", None) or node.names[0].name for node in top}
        assert not {name for name in names if name.split(".")[0] in {"numpy", "matplotlib"}}
        assert not {name for name in names if name.startswith(("aural.audio", "aural.plot"))}


def test_the_ending_chooses_the_format(run: Run, sound: Path, tmp_path: Path) -> None:
    svg = tmp_path / "x.svg"
    result = run("plot", "waveform", sound, "-o", svg)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert f"aural: {svg}: Waveform of {NAME}" in result.stderr
    assert ET.parse(svg).getroot().tag.endswith("svg")
    moving = run("plot", "windows", sound, "--pictures", 2, "-o", tmp_path / "x.html")
    assert moving.exit_code == 0
    assert (tmp_path / "x.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("more", [(), ("-o", "-")])
def test_without_a_file_the_png_goes_to_a_pipe(run: Run, sound: Path, more: tuple) -> None:
    result = run("plot", "waveform", sound, "--dpi", 50, *more)
    assert result.exit_code == 0
    with Image.open(io.BytesIO(result.stdout_bytes)) as picture:
        assert picture.size == (400, 120)
    assert "standard output: Waveform" in result.stderr


def test_a_terminal_gets_no_picture(run: Run, sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_terminal", lambda: True)
    result = run("plot", "waveform", sound)
    assert result.exit_code == 2
    assert "give --output FILE.png or FILE.svg" in result.stderr
    assert result.stdout_bytes == b""


def test_a_recording_can_come_from_a_pipe(run: Run, sound: Path) -> None:
    result = run("plot", "waveform", "-", input=sound.read_bytes())
    assert result.exit_code == 0
    assert (
        result.stdout_bytes
        == run("plot", "waveform", sound, "--title", "standard input").stdout_bytes
    )


def test_a_picture_is_not_replaced_unasked(run: Run, sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_text("mine")
    result = run("plot", "waveform", sound, "-o", path)
    assert (result.exit_code, path.read_text()) == (2, "mine")
    assert "give --overwrite" in result.stderr
    assert run("plot", "waveform", sound, "-o", path, "--overwrite").exit_code == 0
    assert path.read_bytes().startswith(b"\x89PNG")


def test_an_input_is_not_replaced_at_all(run: Run, sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "sound.png"
    path.write_bytes(sound.read_bytes())
    link = tmp_path / "link.png"
    link.symlink_to(path)
    result = run("plot", "waveform", path, "-o", link, "--overwrite")
    assert result.exit_code == 2
    assert "is also an input" in result.stderr
    assert path.read_bytes() == sound.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("waveform", "SOUND", "-o", "x.jpg"), ".png or .svg"),
        (("windows", "SOUND", "-o", "x.png"), ".gif or .html"),
        (("waveform", "SOUND", "-o", "nowhere/x.png"), "no such folder"),
        (("waveform", "missing.wav", "-o", "x.png"), "missing.wav"),
        (("waveform", "SOUND", "--start", "5", "-o", "x.png"), "it lasts 2.99 s"),
        (("waveform", "SOUND", "--start", "-1", "-o", "x.png"), "start is -1"),
        (("waveform", "SOUND", "--start", "nan", "-o", "x.png"), "start is nan"),
        (("waveform", "SOUND", "--duration", "0", "-o", "x.png"), "duration is 0"),
        (("waveform", "SOUND", "--duration", "1e9", "-o", "x.png"), "at most 600"),
        (("waveform", "SOUND", "--duration", "3600", "-o", "x.png"), "at most 600"),
        (("waveform", "SOUND", "--start", "1e308", "-o", "x.png"), "start is 1e+308"),
        (("augment", "SOUND", "--gain", "1", "--seed", "-1", "-o", "x.png"), "'--seed'"),
        (("filterbank", "--n-fft", "1000000000000", "-o", "x.png"), "n_fft is 1000000000000"),
        (("filterbank", "--n-mels", "100000", "-o", "x.png"), "n_mels is 100000"),
        (("filterbank", "--sample-rate", "1" + "0" * 400, "-o", "x.png"), "'--sample-rate'"),
        (("mfcc", "SOUND", "--width", "100000001", "-o", "x.png"), "3 to 999"),
        (("mfcc", "SOUND", "--duration", "0.05", "-o", "x.png"), "a longer stretch or a smaller"),
        (("waveform", "SOUND", "--channel", "3", "-o", "x.png"), "channel '3'"),
        (("waveform", "SOUND", "--dpi", "9999", "-o", "x.png"), "dpi is 9999"),
        (("mel", "SOUND", "--preset", "wishper", "-o", "x.png"), "whisper-128"),
        (("augment", "SOUND", "-o", "x.png"), "--noise, --rt60 or --gain"),
        (("augment", "SOUND", "--noise", "missing.wav", "-o", "x.png"), "missing.wav"),
        (("filterbank", "--n-mels", "0", "-o", "x.png"), "n_mels is 0"),
        (("embedding", "missing.npy", "-o", "x.png"), "missing.npy"),
        (("det", "missing.csv", "-o", "x.png"), "missing.csv"),
        (("nothing",), "No such command"),
    ],
)
def test_what_is_refused(
    run: Run,
    sound: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("plot", *[str(sound) if each == "SOUND" else each for each in arguments])
    assert result.exit_code == 2
    assert told in result.stderr
    assert "bug" not in result.stderr
    assert [path for path in tmp_path.iterdir() if path.name != "configuration"] == []


def test_without_the_extra_nothing_is_read(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run("plot", "waveform", tmp_path / "missing.wav", "-o", tmp_path / "x.png")
    assert result.exit_code == 1
    assert "pip install 'aural[plot]'" in result.stderr


def ramp(seconds: float, rate: int = 8000) -> np.ndarray:
    """Samples that tell their own place."""
    return (np.arange(round(seconds * rate)) / 2**21).astype(np.float32)


def test_a_stretch_is_that_part_and_no_more_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    samples = ramp(130)
    write(path, Audio(samples, 8000))
    told: list[str] = []
    part = Stretch(str(path), 2.5, 1.25).audio(told.append)
    assert part.samples.size == 10_000
    assert np.abs(part.samples - samples[20_000:30_000]).max() <= 2**-15
    assert told == []
    whole = Stretch(str(path)).audio(told.append)
    assert whole.duration == 60
    assert told == [
        "long.wav is longer: 60 s from 0 s on are shown; --start and --duration choose others"
    ]
    rest = Stretch(str(path), 100).audio(told.append)
    assert rest.duration == 30
    assert len(told) == 1
    half = Stretch(str(path), 2.5, 1.25).audio(told.append, sample_rate=4000)
    assert (half.sample_rate, half.samples.size) == (4000, 5000)
    with path.open("r+b") as file:
        file.truncate(400_000)  # the damage lies behind what is shown
    assert np.array_equal(Stretch(str(path), 2.5, 1.25).audio(told.append).samples, part.samples)


def test_a_stretch_of_all_channels_and_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "two.wav"
    write(path, Audio(np.stack([ramp(1), -ramp(1)]), 8000))
    both = Stretch(str(path), 0.5, 0.25, "all").audio(print)
    assert both.samples.shape == (2, 2000)
    (tmp_path / "empty.wav").touch()
    with pytest.raises(EmptyAudio):
        Stretch(str(tmp_path / "empty.wav")).audio(print)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What plot.timeline was given: the audio, what was found in it, and where it starts."""
    from aural import plot

    seen: list[tuple] = []
    timeline = plot.timeline

    def spy(audio: Audio, found: object, *, start: float, title: str):
        seen.append((audio, found, start))
        return timeline(audio, found, start=start, title=title)

    monkeypatch.setattr(plot, "timeline", spy)
    return seen


WORDS = (Word(0.5, 0.75, " so"), Word(0.75, 1.25, " there"))


def test_what_is_found_in_a_stretch_is_at_the_recordings_times(
    run: Run, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: list[tuple]
) -> None:
    """Tasks hear the stretch alone, from 0 s on."""
    heard: list[Audio] = []

    def transcribe(audio: Audio, **more: object) -> Transcript:
        heard.append(audio)
        return Transcript((Segment(0.5, 1.25, " so there", WORDS),), "en", 1.0, 1.5)

    def detect_speech(audio: Audio, **more: object) -> SpeechActivity:
        heard.append(audio)
        return SpeechActivity((Span(0.25, 1.0),), 1.5)

    monkeypatch.setattr("aural.tasks.transcribe.transcribe", transcribe)
    monkeypatch.setattr("aural.tasks.detect_speech.detect_speech", detect_speech)
    part = (sound, "--start", 1.25, "--duration", 1.5, "-o", tmp_path / "x.png", "--overwrite")
    for kind in ("words", "speech"):
        result = run("plot", kind, *part)
        assert result.exit_code == 0, result.stderr
    samples = read(sound).samples[20_000:44_000]
    assert all(np.array_equal(audio.samples, samples) for audio in heard)
    (_, words, start), (_, speech, _) = shown
    assert start == 1.25
    (segment,) = words.segments
    assert (segment.start, segment.end) == (1.75, 2.5)
    assert [(word.start, word.end) for word in segment.words] == [(1.75, 2.0), (2.0, 2.5)]
    assert speech.spans == (Span(1.5, 2.25),)


def test_what_was_found_can_come_from_files(
    run: Run, sound: Path, tmp_path: Path, shown: list[tuple]
) -> None:
    """The same values that were written as JSON; probabilities and tokens aside."""
    segments = (Segment(0.5, 1.25, " so there", WORDS), Segment(2.0, 2.5, " no words"))
    values = {
        "words": Transcript(segments, "de", 1.0, 2.99),
        "speech": SpeechActivity((Span(0.25, 1.0), Span(1.5, 2.0)), 2.99),
        "turns": Diarization((Turn(0.0, 1.0, "anna"), Turn(0.5, 2.0, "boris")), 2.99),
    }
    options = {"words": "--transcript", "speech": "--spans", "turns": "--spans"}
    for name, value in values.items():
        path = tmp_path / f"{name}.json"
        path.write_text(render(value, "json"))
        assert read_found(path) == value
        kind = "words" if name == "words" else "speech"
        result = run("plot", kind, sound, options[name], path, "-o", tmp_path / f"{name}.png")
        assert result.exit_code == 0, result.stderr
    assert [found for _, found, _ in shown] == [*values.values()]
    wrong = run("plot", "words", sound, "--transcript", path, "-o", tmp_path / "no.png")
    assert wrong.exit_code == 2
    assert "no transcript in it" in wrong.stderr


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "[" * 100_000,
        "{}",
        '{"duration": 1, "segments": [{}]}',
        '{"duration": 1, "segments": 7}',
        '{"duration": 1, "turns": [{"start": 3, "end": 1, "speaker": "a"}]}',
        '{"duration": 1, "speech": [{"start": NaN, "end": 1}]}',
        '{"duration": 1, "speech": [{"start": 0, "end": Infinity}]}',
        '{"duration": "x", "speech": []}',
        '{"duration": 1e99, "speech": []}',
        '{"duration": 1, "segments": [null]}',
        '{"duration": 1, "segments": "abc"}',
        '{"duration": 1, "segments": {"a": 1}}',
        '{"duration": 1, "speech": [{"start": 0, "end": 1' + "0" * 400 + "}]}",
        "\xff",
    ],
)
def test_results_that_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"x\.json") as caught:
        read_found(path)
    assert len(str(caught.value)) < 300 + len(str(path))


def test_augment_does_what_it_says(
    run: Run, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aural import plot

    shown: list[plot.Version] = []
    before_after = plot.before_after

    def spy(before: plot.Version, after: plot.Version, **more: object):
        shown[:] = [before, after]
        return before_after(before, after, **more)

    monkeypatch.setattr(plot, "before_after", spy)
    out = ("-o", tmp_path / "x.png", "--overwrite")
    assert run("plot", "augment", sound, "--gain", -6, *out).exit_code == 0
    before, after = (version.audio.samples for version in shown)
    assert np.abs(after - before * 10 ** (-6 / 20)).max() < 1e-6
    assert shown[1].name == "-6 dB"
    assert run("plot", "augment", sound, "--noise", "white", "--snr", 5, *out).exit_code == 0
    noise = shown[1].audio.samples - before
    assert shown[1].name == "white noise at 5 dB"
    assert 2.5 < 10 * np.log10(np.mean(before**2) / np.mean(noise**2)) < 5.5, "pauses count less"
    recorded = run("plot", "augment", sound, "--noise", sound, "--rt60", 0.3, "--gain", 3, *out)
    assert recorded.exit_code == 0, recorded.stderr
    assert shown[1].name == "RT60 0.3 s at 1 m, sense_and_sensibility_0880 at 10 dB, +3 dB"


def test_arrays_are_read_as_they_were_written(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    values = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    np.save(tmp_path / "x.npy", values)
    about = {"model": "whisper/base", "layer": "6", "frame_rate": "25.0"}
    save_file({"vectors": values, "more": values[:2]}, tmp_path / "x.safetensors", about)
    save_file({"other": values}, tmp_path / "one.safetensors")
    save_file({"a": values, "b": values}, tmp_path / "two.safetensors")
    for name in ("x.npy", "x.safetensors", "one.safetensors"):
        assert np.array_equal(read_array(tmp_path / name), values)
    with pytest.raises(InputError, match="2 tensors"):
        read_array(tmp_path / "two.safetensors")
    embedding = read_embedding(tmp_path / "x.safetensors", None)
    assert (embedding.frame_rate, embedding.model, embedding.layer) == (25, "whisper/base", 6)
    assert embedding.duration == pytest.approx(30 / 25)
    assert read_embedding(tmp_path / "x.npy", None).frame_rate == 50
    assert read_embedding(tmp_path / "x.npy", 10.0).duration == 3
    with pytest.raises(InputError, match="frame_rate is 0"):
        read_embedding(tmp_path / "x.npy", 0.0)


def headed(text: bytes, size: int = 117) -> bytes:
    """A .npy file with this header and some numbers."""
    start = b"\x93NUMPY\x01\x00" + (size + 1).to_bytes(2, "little")
    return start + text.ljust(size) + b"\n" + bytes(64)


def test_arrays_that_are_none(tmp_path: Path) -> None:
    good = io.BytesIO()
    np.save(good, np.ones((9, 9)))
    objects = io.BytesIO()
    np.save(objects, np.array([{}], object), allow_pickle=True)
    about = {"vectors": {"dtype": "F8_E4M3", "shape": [2, 2], "data_offsets": [0, 4]}}
    float8 = json.dumps(about).encode()
    huge = b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999,), }"
    code = b"__import__('os').system('touch /tmp/aural-hostile')"
    for name, content in {
        "empty.npy": b"",
        "text.npy": b"hello",
        "cut.npy": good.getvalue()[:-8],
        "true.npy": headed(b"{'descr': '<f8', 'fortran_order': False, 'shape': (True, 4), }"),
        "open.npy": headed(b"{'descr': ("),
        "keys.npy": headed(b"{1: 2, 'a': 3}"),
        "null.npy": headed(b"\0", 60_000),
        "float8.safetensors": len(float8).to_bytes(8, "little") + float8 + bytes(4),
        "objects.npy": objects.getvalue(),
        "huge.npy": headed(huge),
        "code.npy": headed(code),
        "empty.safetensors": b"",
        "long.safetensors": b"\xff" * 100,
        "x.npz": b"PK",
        "x.pickle": b"",
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=re.escape(name)) as caught:
            read_array(path)
        assert len(str(caught.value)) < 300 + len(str(path)), "not all of the header"
    assert not Path("/tmp/aural-hostile").exists()
    with pytest.raises(InputError, match="can't be read"):
        read_array(tmp_path / "missing.npy")


def test_trials_from_a_table(tmp_path: Path) -> None:
    path = tmp_path / "system one.csv"
    path.write_text("score,label\n0.5,1\n-1e-3,nontarget\n\n2,TRUE\n")
    trials = read_trials(path)
    assert trials.name == "system one"
    assert trials.scores.tolist() == [0.5, -0.001, 2]
    assert trials.targets.tolist() == [True, False, True]
    path.write_text("1,1\n0,0\n")
    assert read_trials(path).scores.tolist() == [1, 0]
    for text, told in (
        ("", "no row"),
        ("1,2\n", "row 1"),
        ("0.5,1\nx,1\n", "row 2"),
        ("0.5\n", "row 1"),
        ("nan,1\n0,0\n", "finite"),
        ("1,1\n", "at least one"),
        ('"' + "x" * 200_000, "not CSV"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=told):
            read_trials(path)


def test_confusions_from_decisions_tables_and_json(tmp_path: Path) -> None:
    expected = [[1, 1], [0, 2]]
    for name, text in {
        "pairs.csv": "reference,predicted\nno,no\nno,yes\nyes,yes\nyes,yes\n",
        "table.csv": "is,no,yes\nno,1,1\nyes,0,2\n",
        "table.json": '{"labels": ["no", "yes"], "counts": [[1, 1], [0, 2]]}',
    }.items():
        (tmp_path / name).write_text(text)
        counts, labels = read_confusion(tmp_path / name)
        assert (counts.tolist(), labels) == (expected, ["no", "yes"])
    for name, text in {
        "order.csv": "is,no,yes\nyes,1,1\nno,0,2\n",
        "words.csv": "is,no\nno,x\n",
        "short.csv": "reference,predicted\n",
        "three.csv": "reference,predicted\na,b,c\n",
        "ragged.json": '{"labels": ["a"], "counts": [[1], [1, 2]]}',
        "wrong.json": '{"labels": 7, "counts": "x"}',
        "large.json": '{"labels": ["a"], "counts": [[1' + "0" * 400 + "]]}",
    }.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=re.escape(name)):
            read_confusion(tmp_path / name)


def test_a_sweep_becomes_curves(tmp_path: Path, a_sweep: str) -> None:
    path = tmp_path / "sweep.json"
    path.write_text(a_sweep)
    found = read_curves(path, None)
    assert (found.x_label, found.falling) == ("signal-to-noise ratio (dB)", True)
    assert found.y_label == "word error rate (%)"
    assert [curve.series.name for curve in found.curves] == ["base, white", "base, pink"]
    first = found.curves[0]
    assert first.series.x == (20, 10, 0)
    assert first.series.y == pytest.approx((0.125, 0.225, 0.625))
    assert first.doubling == pytest.approx(10 - 10 * (0.25 - 0.225) / 0.4)
    with pytest.raises(InputError, match=r"no curve along 'rt60'; its axes are snr$"):
        read_curves(path, "rt60")
    record = json.loads(a_sweep)
    first_curve = record["curves"][0]
    wild = [{**each, "value": 1e307} for each in first_curve["errors"]]
    long = [{**each, "value": 10**400} for each in first_curve["errors"]]
    for change, told in (
        ({"kind": "other"}, "no sweep"),
        ({"curves": []}, "no curve"),
        ({"curves": [{"axis": "snr"}]}, "damaged"),
        ({"curves": "x"}, "damaged"),
        ({"curves": [{**first_curve, "values": ["a", 1, 2]}]}, "damaged"),
        ({"curves": [{**first_curve, "values": [1e308, 1, 2]}]}, "beyond"),
        ({"curves": [{**first_curve, "errors": wild}]}, "beyond"),
        ({"curves": [{**first_curve, "errors": long}]}, "damaged"),
    ):
        path.write_text(json.dumps(record | change))
        with pytest.raises(InputError, match=told):
            read_curves(path, None)


def test_a_sweep_whose_error_is_double_from_the_start(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place is null then, with bounds or without; no line is drawn for it, nor for a cliff that
    is nowhere, and utterances may have failed."""
    from aural import plot

    utterances = [Utterance(f"u{i}", Path(f"{i}.wav"), "a b c d e f g h i j") for i in range(4)]
    rates = {None: 1.0, 20.0: 4.0, 0.0: 4.0}

    def judge(_: object, __: object, condition: Condition) -> Tally:
        failures = (("u1", "it is silent"),) if condition.snr == 0 else ()
        return Tally((rates[condition.snr],) * 4, (10.0,) * 4, failures)

    conditions = [Condition(noise="white", snr=snr) for snr in (20.0, 0.0)]
    found = sweep(utterances, {"base": judge}, conditions, lambda _: lambda each: each.audio)
    record = found.as_json()
    (curve,) = record["curves"]
    assert (curve["doubling"]["value"], curve["cliff"]) == (None, None)
    assert any(point["failures"] for point in record["points"])
    curve["doubling"] |= {"low": None, "high": 20.0}
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps(record))
    assert [each.doubling for each in read_curves(path, None).curves] == [None]
    crossings: list[object] = []
    error_curve = plot.error_curve

    def spy(*series: object, **more: object):
        crossings.extend(more["crossings"])
        return error_curve(*series, **more)

    monkeypatch.setattr(plot, "error_curve", spy)
    drawn = run("plot", "conditions", path, "-o", tmp_path / "x.png")
    assert drawn.exit_code == 0, drawn.stderr
    assert crossings == []
    curve["doubling"]["value"] = 1e300
    path.write_text(json.dumps(record))
    assert run("plot", "conditions", path, "-o", tmp_path / "y.png").exit_code == 2


@pytest.mark.parametrize("allowed", ["inf", "nan", "-1", "1e308"])
def test_errors_that_can_not_be_allowed(
    run: Run, tmp_path: Path, a_sweep: str, allowed: str
) -> None:
    path = tmp_path / "sweep.json"
    path.write_text(a_sweep)
    result = run("plot", "conditions", path, "--allowed", allowed, "-o", tmp_path / "x.png")
    assert result.exit_code == 2, result.stderr
    assert "allowed" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "values", "told"),
    [
        (("embedding",), 1e308, "scale them down"),
        (("embedding", "--frame-rate", "1e-320"), 1, "frame_rate is"),
        (("map", "--labels", "NAMES"), 1e200, "scale them down"),
        (("map", "--labels", "NAMES", "--seed", "-1"), 1, "'--seed'"),
        (("map", "--labels", "NAMES", "--seed", "99999999999"), 1, "'--seed'"),
        (("attention", "--tokens", "NAMES", "--frame-seconds", "1e308"), 1, "frame_seconds is"),
        (("attention", "--tokens", "NAMES", "--frame-seconds", "nan"), 1, "frame_seconds is"),
        (("similarity", "--labels", "SHORT"), 1, "1 labels for 20 vectors"),
    ],
)
def test_numbers_and_options_that_are_out_of_bounds(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], values: float, told: str
) -> None:
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (20, 3))
    np.save(tmp_path / "x.npy", values * signs)
    names = {"NAMES": tmp_path / "names.txt", "SHORT": tmp_path / "short.txt"}
    names["NAMES"].write_text("\n".join("abcdefghijklmnopqrst"))
    names["SHORT"].write_text("a")
    kind, *more = [names.get(each, each) for each in arguments]
    result = run("plot", kind, tmp_path / "x.npy", *more, "-o", tmp_path / "x.png")
    assert result.exit_code == 2, result.stderr
    assert told in result.stderr


def test_a_pipe_is_no_array(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.npy")
    with pytest.raises(InputError, match="no regular file"):
        read_array(tmp_path / "x.npy")


def test_a_long_table_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aural.cli.plot_inputs.MAX_ROWS", 3)
    (tmp_path / "x.csv").write_text("score,label\n" + "1,1\n0,0\n" * 2)
    with pytest.raises(InputError, match="more than 2 rows"):
        read_trials(tmp_path / "x.csv")


def test_too_long_a_stretch_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object) -> None:
        raise AssertionError("it was opened")

    monkeypatch.setattr("aural.audio.stream.open_signal", opened)
    with pytest.raises(InputError, match="at most 600"):
        Stretch(str(tmp_path / "x.wav"), 0.0, 601.0).audio(print)


@pytest.mark.parametrize("kind", ["words", "speech"])
def test_several_channels_are_refused_before_the_work(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def worked(*_: object, **__: object) -> None:
        raise AssertionError("it was worked on")

    monkeypatch.setattr("aural.tasks.transcribe.transcribe", worked)
    monkeypatch.setattr("aural.tasks.detect_speech.detect_speech", worked)
    path = tmp_path / "two.wav"
    write(path, Audio(np.stack([ramp(1), -ramp(1)]), 8000))
    result = run("plot", kind, path, "--channel", "all", "-o", tmp_path / "x.png")
    assert result.exit_code == 2, result.stderr
    assert "2 channels; choose one" in result.stderr


def test_a_link_to_nothing_is_not_replaced_unasked(run: Run, sound: Path, tmp_path: Path) -> None:
    link = tmp_path / "x.png"
    link.symlink_to(tmp_path / "later.png")
    result = run("plot", "waveform", sound, "-o", link)
    assert result.exit_code == 2
    assert "give --overwrite" in result.stderr
    assert link.is_symlink()


def test_letters_without_a_font_are_told(run: Run, sound: Path, tmp_path: Path) -> None:
    result = run("plot", "waveform", sound, "--title", "\U00012000", "-o", tmp_path / "x.png")
    assert result.exit_code == 0
    assert "appear as boxes" in result.stderr
    assert "Warning" not in result.stderr


def test_hostile_names_do_not_reach_the_terminal(run: Run, sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2J$\\frac{.flac"
    path.write_bytes(sound.read_bytes())
    result = run("plot", "waveform", path, "-o", tmp_path / "x.svg")
    assert result.exit_code == 0, result.stderr
    assert "\x1b" not in result.stderr
    assert "\x1b" not in (tmp_path / "x.svg").read_text()
