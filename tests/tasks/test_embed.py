"""A recording's vectors: windows joined, times, and the files they are kept in."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pytest
import safetensors

from aural import models
from aural.audio.read import read
from aural.cli import main
from aural.errors import EmptyAudio, InputError, MissingExtra, UnknownName
from aural.tasks import embed as task
from aural.tasks.embed import embed, writer
from aural.types import Audio, Embedding, Encoder

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "embed.md").read_text(encoding="utf-8")
RATE = 16000


class Counting:
    """An encoder whose vectors tell what it was given: frame i holds the sum of its samples, the
    number of the window and the layer. 8 kHz, 10 frames a second, windows of 2 s."""

    sample_rate = 8000
    frame_rate = 10.0
    max_seconds = 2.0
    encoder_layers = 4

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def embed(self, samples: np.ndarray, layer: int | None = None) -> np.ndarray:
        padded = np.pad(samples, (0, -samples.size % 800)).reshape(-1, 800)
        number, of = float(len(self.sizes)), -1.0 if layer is None else float(layer)
        self.sizes.append(samples.size)
        return np.stack([np.array([row.sum(), number, of], np.float32) for row in padded])


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    encoder = Counting()
    assert isinstance(encoder, Encoder)
    monkeypatch.setattr(models, "load", lambda *_, **__: encoder)
    return encoder


def noise(seconds: float, rate: int = 8000) -> Audio:
    samples = np.random.default_rng(0).uniform(-1, 1, round(seconds * rate)).astype(np.float32)
    return Audio(samples, rate)


# Windows


@pytest.mark.parametrize("seconds", [0.0001, 1.95, 2.0, 2.0001, 7.0, 61.3])
def test_windows_follow_one_another(counting: Counting, seconds: float) -> None:
    audio = noise(max(seconds, 1 / 8000))
    found = embed(audio)
    size = audio.samples.size
    whole, rest = divmod(size, 16000)
    assert counting.sizes == [16000] * whole + [rest] * (rest > 0)
    assert found.vectors.shape == (-(-size // 800), 3)
    assert found.vectors.dtype == np.float32
    sums = [audio.samples[i : i + 800].sum() for i in range(0, size, 800)]
    np.testing.assert_allclose(found.vectors[:, 0], sums, atol=1e-3)
    np.testing.assert_array_equal(found.vectors[:, 1], np.arange(len(sums)) // 20)


def test_what_it_tells_of_itself(counting: Counting) -> None:
    found = embed(noise(5.0), layer=2, model="counting/one")
    assert (found.model, found.layer, found.duration) == ("counting/one", 2, 5.0)
    assert (found.sample_rate, found.frame_rate, found.samples) == (8000, 10.0, 40000)
    assert found.compression == 800
    assert set(found.vectors[:, 2]) == {2}
    np.testing.assert_allclose(found.times, [i * 0.1 for i in range(50)], rtol=1e-12)


def test_no_layer_is_the_last(counting: Counting) -> None:
    found = embed(noise(1.0))
    assert found.layer == 4
    assert set(found.vectors[:, 2]) == {-1}


def test_any_rate_and_channel_is_made_the_encoders(counting: Counting) -> None:
    left = noise(1.0, 44100).samples
    stereo = Audio(np.stack([left, np.zeros_like(left)]), 44100)
    silent = embed(stereo, channel=1)
    assert silent.vectors.shape == (10, 3)
    assert not silent.vectors[:, 0].any()
    assert embed(stereo, channel=0).vectors[:, 0].any()
    assert (silent.duration, silent.sample_rate) == (1.0, 8000)


def test_what_is_no_recording_is_refused(counting: Counting) -> None:
    with pytest.raises(InputError, match="channel is 'all'; give 'mix' or a channel's number"):
        embed(noise(1.0), channel="all")
    with pytest.raises(EmptyAudio):
        embed(Audio(np.zeros(0, np.float32), 8000))
    with pytest.raises(InputError, match="channel 3 is not there"):
        embed(noise(1.0), channel=3)


def test_samples_that_are_no_numbers_become_silence(counting: Counting) -> None:
    audio = Audio(np.full(1600, np.nan, np.float32), 8000)
    with pytest.warns(Warning, match="1600 samples were not finite"):
        assert not embed(audio).vectors[:, 0].any()


def test_memory_holds_the_vectors_once_and_a_window(counting: Counting) -> None:
    """Of sound ten times as long as its vectors are, only a window is held at a time."""
    import tracemalloc

    def peak(seconds: float) -> int:
        sound = noise(seconds)
        tracemalloc.start()
        embed(sound)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)
    more = peak(600) - peak(60)
    assert more < 3 * 540 * 10 * 3 * 4 + 540 * 400  # vectors; a little for each window's array
    assert more < 0.05 * 540 * 8000 * 4


# Whisper


def test_a_long_recording_is_its_windows_of_30_seconds(examples: Path) -> None:
    clips = [read(path, sample_rate=RATE).samples for path in sorted(examples.glob("*.flac"))]
    samples = np.resize(np.concatenate(clips), 30 * RATE + 4900)
    found = embed(Audio(samples, RATE), model="whisper/tiny.en", device="cpu", threads=2)
    assert found.vectors.shape == (1516, 384)
    assert (found.frame_rate, found.compression, found.layer) == (50, 320, 4)
    encoder = models.load(
        "whisper/tiny.en", Encoder, device="cpu", compute_type="float32", threads=2
    )
    first, second = (encoder.embed(part) for part in np.split(samples, [30 * RATE]))
    np.testing.assert_array_equal(found.vectors, np.concatenate([first, second]))
    assert found.times[1500] == 30.0


def test_every_family_with_an_encoder_keeps_the_contract(examples: Path) -> None:
    """On the weights that need no Hub: shape, rate, layers, the same each time, refusals."""
    speech = read(examples / "sense_and_sensibility_0880.flac", sample_rate=RATE).samples
    tested = []
    for name in models.names():
        entry = models.find(name)
        if not entry.weights or not all(file.parts for file in entry.weights.files):
            continue
        if entry.extra == "train":  # a language model: it hears nothing
            continue
        if name == "whisper/base":  # tiny.en is of the same family, and quicker
            continue
        model = models.load(name, device="cpu", threads=2)
        if not isinstance(model, Encoder):
            continue
        seconds = speech.size / model.sample_rate
        last, again = model.embed(speech), model.embed(speech, model.encoder_layers)
        assert last.dtype == np.float32
        assert abs(len(last) - seconds * model.frame_rate) <= 1
        assert np.isfinite(last).all()
        np.testing.assert_array_equal(last, again)
        assert model.max_seconds * model.frame_rate % 1 == 0
        for layer in (-1, model.encoder_layers + 1):
            with pytest.raises(InputError, match=f"layer is {layer}"):
                model.embed(speech, layer)
        tested.append(name)
    assert "whisper/tiny.en" in tested


# Files


@pytest.fixture
def embedding() -> Embedding:
    vectors = np.random.default_rng(1).normal(size=(278, 7)).astype(np.float32)
    return Embedding(vectors, 50.0, "whisper/base", 3, 5.56, RATE)


def test_a_npy_file_holds_the_vectors(embedding: Embedding, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(writer("npy")(embedding))
    found = np.load(path, allow_pickle=False)
    np.testing.assert_array_equal(found, embedding.vectors)
    assert found.dtype == np.float32


def test_a_safetensors_file_holds_what_they_are_too(embedding: Embedding, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(writer("safetensors")(embedding))
    with safetensors.safe_open(path, "np") as file:
        assert list(file.keys()) == ["vectors"]
        np.testing.assert_array_equal(file.get_tensor("vectors"), embedding.vectors)
        assert file.metadata() == {
            "model": "whisper/base",
            "layer": "3",
            "frame_rate": "50.0",
            "duration": "5.56",
            "sample_rate": "16000",
            "samples": "88960",
        }


def test_vectors_need_not_be_contiguous(embedding: Embedding, tmp_path: Path) -> None:
    turned = Embedding(embedding.vectors.T, 50.0, 'a "b"\n\\ é\x01', 3, 5.56, RATE)
    path = tmp_path / "x.safetensors"
    path.write_bytes(writer("safetensors")(turned))
    with safetensors.safe_open(path, "np") as file:
        np.testing.assert_array_equal(file.get_tensor("vectors"), embedding.vectors.T)
        assert file.metadata()["model"] == turned.model


def test_a_file_is_the_same_in_another_process() -> None:
    code = """
import hashlib, numpy as np
from aural.tasks.embed import writer
from aural.types import Embedding
found = Embedding(np.ones((2, 3), np.float32), 50.0, "a/b", 1, 0.04, 16000)
print(hashlib.sha256(writer("safetensors")(found)).hexdigest())
"""
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
        ).stdout
        for _ in range(2)
    ]
    assert len(set(runs)) == 1


def test_another_format_names_those_there_are() -> None:
    with pytest.raises(UnknownName, match=r"format for an Embedding 'csv'.*npy, safetensors"):
        writer("csv")


def test_safetensors_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(MissingExtra, match=r"safetensors is not installed.*aural\[torch\]"):
        writer("safetensors")
    assert writer("npy")


# The probe


def test_the_probe_finds_what_is_there_and_nothing_else(benchmark: Callable[[str], Any]) -> None:
    """Three classes in four groups: apart by more than the groups are, then not at all."""
    right_when_held_out = benchmark("embed").right_when_held_out
    draw = np.random.default_rng(0)
    classes, groups = ["a", "b", "c"] * 40, [str(i % 4) for i in range(120)]
    noise = draw.normal(size=(120, 5)) + 3 * np.array([[int(g), 0, 0, 0, 0] for g in groups])
    there = noise + 6 * np.array([[0, 0, c == "a", c == "b", c == "c"] for c in classes])
    assert right_when_held_out(there, classes, groups) >= 118
    assert right_when_held_out(there * [1e6, 1, 1, 1e-6, 1], classes, groups) >= 118
    assert right_when_held_out(noise, classes, groups) < 60
    assert right_when_held_out(noise, groups, groups) == 0  # of a class nobody has shown


def test_the_probes_page_gives_shares(benchmark: Callable[[str], Any]) -> None:
    tasks = {
        name: {"classes": 4, "clips": 8, "majority": 2, "right": {"layer 0": right}}
        for name, right in (("call", 6), ("voice", 8))
    }
    page = benchmark("embed").page({"model": "m", "tasks": tasks})
    assert "| one class for all | 25.0 | 25.0 |" in page
    assert page.splitlines()[-1] == "| layer 0 | 75.0 | 100.0 |"


def test_the_page_gives_the_probes_figures() -> None:
    result = json.loads((ROOT / "benchmarks/results/embed.json").read_text(encoding="utf-8"))
    call, voice = (result["tasks"][name] for name in ("call, unseen voice", "voice, unseen call"))
    assert (result["model"], call["classes"], voice["classes"]) == ("whisper/tiny.en", 42, 4)
    right = []
    for probe, inner in ((call, 0), (voice, 2)):
        best = max(count for name, count in probe["right"].items() if name.startswith("MFCC"))
        counts = (probe["right"][f"layer {inner}"], probe["right"]["layer 4"], best)
        right += [round(100 * count / probe["clips"], 1) for count in counts]
    told = PAGE.split("the mean over a clip")[1].split("Four voices are few")[0]
    assert [float(each) for each in re.findall(r"([\d.]+) %", told)] == right


# The page


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_the_page_is_true(
    code: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each snippet runs, and prints what stands behind its prints."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "embed.md", "exec"), {})
    said = re.findall(r"print\(.*\)  +# (.*)$", code, re.MULTILINE)
    assert said
    assert capsys.readouterr().out.splitlines() == said


def test_the_commands_of_the_page_can_be_typed() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("aural embed")]
    assert lines
    command = main.cli.get_command(click.Context(main.cli), "embed")
    assert command is not None
    for line in lines:
        with command.make_context("embed", shlex.split(line, comments=True)[2:]) as parsed:
            assert parsed.params["inputs"]


def test_the_task_and_its_command_know_the_same_formats() -> None:
    from aural.cli.commands import embed as command

    assert command.FORMATS == task.FORMATS
