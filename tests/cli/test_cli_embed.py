"""aural embed: what it says, what it writes, and the exit code."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors
import soundfile
from standin_aural import Run

from aural import models
from aural.cli.commands.embed import spread
from aural.cli.outputs import JOURNAL

PAGE = (Path(__file__).parents[2] / "docs" / "embed.md").read_text(encoding="utf-8")
RATE = 16000


class Blocks:
    """An encoder whose vectors are the least and the largest of 320 samples, times the layer."""

    sample_rate = RATE
    frame_rate = 50.0
    max_seconds = 30.0
    encoder_layers = 2
    calls = 0

    def embed(self, samples: np.ndarray, layer: int | None = None) -> np.ndarray:
        self.calls += 1
        blocks = np.pad(samples, (0, -samples.size % 320)).reshape(-1, 320)
        found = np.stack([blocks.min(axis=1), blocks.max(axis=1)], axis=1)
        return (found * (2 if layer is None else layer)).astype(np.float32)


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> Blocks:
    encoder = Blocks()
    monkeypatch.setattr(models, "load", lambda *_, **__: encoder)
    return encoder


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Two recordings that differ, in two folders, and what is none beside one."""
    folder = tmp_path / "sounds"
    for name, seconds in (("a/x.wav", 5.56), ("b/y.wav", 3.2)):
        path = folder / name
        path.parent.mkdir(parents=True)
        wave = 0.5 * np.sin(np.arange(round(seconds * RATE)) * seconds / 20)
        soundfile.write(path, wave.astype(np.float32), RATE, subtype="FLOAT")
    (folder / "b/bad.wav").write_text("no audio at all")
    return folder


def expected(path: Path, layer: int = 2) -> np.ndarray:
    return Blocks().embed(soundfile.read(path, dtype="float32")[0], layer)


# stdout


def test_it_says_what_the_vectors_are(run: Run, blocks: Blocks, sounds: Path) -> None:
    result = run("embed", sounds / "a/x.wav")
    right = expected(sounds / "a/x.wav").astype(float)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "88960 samples -> 278 frames (320 x)\n"
        f"shape (278, 2), mean {right.mean():.4f}, std {right.std():.4f}, "
        f"min {right.min():.4f}, max {right.max():.4f}\n"
        "whisper/base, layer 2, 50 Hz, 5.56 s\n"
    )


def test_several_are_headed_by_their_names(run: Run, blocks: Blocks, sounds: Path) -> None:
    result = run("embed", sounds)
    assert result.exit_code == 1
    blocks_of_text = result.stdout.split("==> ")[1:]
    assert [each.splitlines()[:2] for each in blocks_of_text] == [
        [f"{sounds}/a/x.wav <==", "88960 samples -> 278 frames (320 x)"],
        [f"{sounds}/b/y.wav <==", "51200 samples -> 160 frames (320 x)"],
    ]
    assert "b/bad.wav" in result.stderr
    assert "1 of 3 files failed" in result.stderr


def test_stdin_is_a_dash(run: Run, blocks: Blocks, sounds: Path, tmp_path: Path) -> None:
    data = (sounds / "b/y.wav").read_bytes()
    result = run("embed", "-", "--output", tmp_path / "y.npy", input=data)
    assert result.stdout.startswith("51200 samples -> 160 frames (320 x)\n")
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected(sounds / "b/y.wav"))


def test_records(run: Run, blocks: Blocks, sounds: Path) -> None:
    result = run("embed", sounds, "--json", "--layer", "1")
    first, bad, second = map(json.loads, result.stdout.splitlines())
    right = expected(sounds / "a/x.wav", 1).astype(float)
    assert (first["ok"], bad["ok"], second["ok"]) == (True, False, True)
    found = first["result"]
    assert "outputs" not in found
    assert (found["shape"], found["samples"], found["compression"]) == ([278, 2], 88960, 320)
    assert (found["model"], found["layer"], found["frame_rate"]) == ("whisper/base", 1, 50)
    assert (found["duration"], found["sample_rate"]) == (5.56, 16000)
    for name in ("mean", "std", "min", "max"):
        assert found[name] == pytest.approx(getattr(right, name)(), abs=1e-6)
    assert bad["error"]["type"] == "UnsupportedFormat"


def test_values_are_summed_in_double_precision() -> None:
    vectors = np.full((1000, 1000), 0.1, np.float32)
    vectors[::2] += 1
    found = spread(vectors)
    right = vectors.astype(np.float64)
    assert found["mean"] == pytest.approx(right.mean(), rel=1e-12)
    assert found["std"] == pytest.approx(right.std(), rel=1e-9)
    assert spread(np.full((3, 3), 0.1, np.float32))["std"] == pytest.approx(0, abs=1e-8)


# Files


def test_output_is_the_vectors_in_one_file(
    run: Run, blocks: Blocks, sounds: Path, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "x.npy"
    result = run("embed", sounds / "a/x.wav", "--output", path, "--layer", "1")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == str(path)
    np.testing.assert_array_equal(np.load(path), expected(sounds / "a/x.wav", 1))
    assert [each.name for each in path.parent.iterdir()] == ["x.npy"]


def test_output_may_be_safetensors(run: Run, blocks: Blocks, sounds: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    record = json.loads(run("embed", sounds / "a/x.wav", "--output", path, "--json").stdout)
    assert record["result"]["outputs"] == [str(path)]
    with safetensors.safe_open(path, "np") as file:
        np.testing.assert_array_equal(file.get_tensor("vectors"), expected(sounds / "a/x.wav"))
        assert file.metadata()["layer"] == "2"
        assert file.metadata()["samples"] == "88960"


def test_an_output_is_not_replaced_unasked(
    run: Run, blocks: Blocks, sounds: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.npy"
    path.write_text("mine")
    refused = run("embed", sounds / "a/x.wav", "--output", path)
    assert refused.exit_code == 2
    assert refused.stderr == f"aural: {path} exists; give --overwrite, or another name\n"
    assert (path.read_text(), blocks.calls) == ("mine", 0)
    assert run("embed", sounds / "a/x.wav", "--output", path, "--overwrite").exit_code == 0
    assert np.load(path).shape == (278, 2)


def test_a_link_to_nothing_is_not_replaced_unasked(
    run: Run, blocks: Blocks, sounds: Path, tmp_path: Path
) -> None:
    link = tmp_path / "x.npy"
    link.symlink_to(tmp_path / "later.npy")
    refused = run("embed", sounds / "a/x.wav", "--output", link)
    assert (refused.exit_code, blocks.calls) == (2, 0)
    assert link.is_symlink()


def test_an_input_is_never_replaced(run: Run, blocks: Blocks, tmp_path: Path) -> None:
    path = tmp_path / "recording.npy"
    path.write_bytes(b"sound, whatever its name")
    result = run("embed", path, "--output", tmp_path / "." / "recording.npy", "--overwrite")
    assert result.exit_code == 2
    assert "is also an input" in result.stderr
    assert path.read_bytes() == b"sound, whatever its name"


def test_an_output_that_can_not_be_written(run: Run, blocks: Blocks, sounds: Path) -> None:
    inside = sounds / "b/bad.wav" / "x.npy"
    result = run("embed", sounds / "a/x.wav", "--output", inside)
    assert result.exit_code == 2
    assert f"can't write {inside}: " in result.stderr


def test_a_folder_mirrors_the_inputs(
    run: Run, blocks: Blocks, sounds: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = run("embed", sounds, "-o", out, "-f", "all")
    assert (result.exit_code, result.stdout) == (1, "")
    made = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert made == [JOURNAL, "a/x.npy", "a/x.safetensors", "b/y.npy", "b/y.safetensors"]
    np.testing.assert_array_equal(np.load(out / "b/y.npy"), expected(sounds / "b/y.wav"))
    again = run("embed", sounds / "a/x.wav", "-o", out / "a")
    assert again.exit_code == 2
    assert "exists; give --resume to keep what is done, or --overwrite" in again.stderr


def test_resume_makes_only_what_is_missing_or_changed(
    run: Run, blocks: Blocks, sounds: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (sounds / "b/bad.wav").unlink()

    def calls(*more: str) -> int:
        before = blocks.calls
        assert run("embed", sounds, "-o", out, "--resume", *more).exit_code == 0
        return blocks.calls - before

    assert calls() == 2
    whole = {path: path.read_bytes() for path in out.rglob("*.npy")}
    assert calls() == 0
    (out / "b/y.npy").write_bytes(b"torn")
    assert calls() == 1
    assert {path: path.read_bytes() for path in out.rglob("*.npy")} == whole
    assert calls("--layer", "1") == 2
    assert calls("--layer", "1", "-f", "safetensors") == 2
    assert {path: path.read_bytes() for path in out.rglob("*.npy")} != whole


def test_records_name_the_outputs(run: Run, blocks: Blocks, sounds: Path, tmp_path: Path) -> None:
    result = run("embed", sounds / "a/x.wav", "-o", tmp_path / "out", "--json", "-f", "all")
    found = json.loads(result.stdout)["result"]
    assert found["outputs"] == [f"{tmp_path}/out/x.npy", f"{tmp_path}/out/x.safetensors"]
    assert found["shape"] == [278, 2]


# What can't be


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ([], "give a file, a folder, a glob, or - for stdin"),
        (["F", "G", "--output", "O.npy"], "--output is one file; give --output-dir for 2 inputs"),
        (["F", "--output", "O.npy", "-o", "O"], "give one of --output and --output-dir"),
        (["F", "--output", "O.txt"], "--output ends in .npy or .safetensors"),
        (["F", "--output", "O"], "--output ends in .npy or .safetensors"),
        (["F", "-o", "x.npy"], "--output-dir is a folder; for one file give --output x.npy"),
        (["F", "-f", "npy"], "--output-format needs --output-dir with it"),
        (["F", "-o", "O", "-f", "csv"], "'csv' is not one of npy, safetensors, all"),
        (["F", "--resume"], "--resume is about files; give --output-dir"),
        (["F", "--overwrite"], "--overwrite is about files; give --output or --output-dir"),
        (["F", "-o", "O", "--resume", "--overwrite"], "give one of --resume and --overwrite"),
        (["F", "--layer", "middle"], "'middle' is not a whole number"),
    ],
)
def test_options_that_do_not_go_together(
    run: Run, blocks: Blocks, sounds: Path, flags: list[str], reason: str
) -> None:
    names = {"F": sounds / "a/x.wav", "G": sounds / "b/y.wav", "O": sounds / "out"}
    result = run("embed", *(names.get(flag, flag) for flag in flags))
    assert (result.exit_code, result.stdout, blocks.calls) == (2, "", 0)
    assert reason in result.stderr


def test_safetensors_is_missed_before_the_work(
    run: Run, blocks: Blocks, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    result = run("embed", sounds / "a/x.wav", "--output", tmp_path / "x.safetensors")
    assert (result.exit_code, blocks.calls) == (1, 0)
    assert result.stderr == (
        "aural: safetensors is not installed; type: pip install 'aural[torch]'\n"
    )


def test_a_model_without_an_encoder_is_named(run: Run, sounds: Path) -> None:
    result = run("embed", sounds / "a/x.wav", "--model", "silero/16k")
    assert result.exit_code == 2
    assert "silero/16k is no Encoder; choose another model for this" in result.stderr


def test_the_configuration_reaches_it(
    run: Run, blocks: Blocks, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text("[embed]\nlayer = 1\n")
    monkeypatch.setenv("AURAL_CONFIG", str(tmp_path / "config.toml"))
    assert "layer 1," in run("embed", sounds / "a/x.wav").stdout
    monkeypatch.setenv("AURAL_EMBED_LAYER", "0")
    assert "layer 0," in run("embed", sounds / "a/x.wav").stdout
    assert "layer 2," in run("embed", sounds / "a/x.wav", "--layer", "none").stdout


# The real thing


def test_what_the_page_shows_is_what_is_said(run: Run, examples: Path) -> None:
    shown = PAGE.split("\n113600 samples")[1].split("```")[0].splitlines()
    said = run("embed", examples / "sense_and_sensibility_0870.flac").stdout.splitlines()
    assert [said[0], said[2]] == [f"113600 samples{shown[0]}", shown[2]]
    for ours, documented in zip(said[1].split(", "), shown[1].split(", "), strict=True):
        if " " in ours and "shape" not in ours:
            (name, value), (right_name, right) = ours.split(), documented.split()
            assert name == right_name
            assert float(value) == pytest.approx(float(right), abs=2e-3)
        else:
            assert ours == documented
