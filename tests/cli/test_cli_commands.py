"""info and doctor."""

import inspect
import json
import shutil
from pathlib import Path

import pytest
from click.testing import Result
from standin_aural import Run

import aural
from aural import models
from aural.cli.commands.doctor import DEFAULT, look_at_extras


def test_info_says_what_a_header_says(run: Run, examples: Path) -> None:
    result = run("info", examples / "sense_and_sensibility_0880.flac")
    path = examples / "sense_and_sensibility_0880.flac"
    assert result.exit_code == 0
    assert result.stdout == f"{path}: flac, pcm_16, 16000 Hz, 1 channel, 2.99 s\n"


def test_info_of_a_folder_has_a_line_a_file(run: Run, examples: Path) -> None:
    result = run("info", examples)
    assert len(result.stdout.splitlines()) == 3
    assert "==>" not in result.stdout


def test_info_has_records(run: Run, examples: Path, tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_text("no audio at all")
    result = run("info", "--json", examples / "sense_and_sensibility_0880.flac", tmp_path / "x.wav")
    good, bad = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == 1
    assert (good["result"]["sample_rate"], good["result"]["channels"]) == (16000, 1)
    assert good["result"]["duration"] == pytest.approx(2.99)
    assert bad["ok"] is False


def test_doctor_finds_this_install_sound(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AURAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("aural.cli.commands.doctor.OPTIONAL", ("wave_of_tomorrow",))
    result = run("doctor", "--json")
    assert result.exit_code == 0, result.stdout
    checks = {check["name"]: check for check in json.loads(result.stdout)}
    assert {check["status"] for check in checks.values()} <= {"ok", "note"}
    assert checks["wave_of_tomorrow"]["detail"] == "not installed, and not needed"
    assert checks["weights"]["status"] == "note"
    assert str(tmp_path / "cache") in checks["cache"]["detail"]
    assert "flac" in checks["audio"]["detail"]
    assert not (tmp_path / "cache").exists()


def test_doctor_fails_where_the_cache_can_not_be_written(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AURAL_CACHE", str(tmp_path / "file/cache"))
    monkeypatch.setattr("aural.cli.commands.doctor.OPTIONAL", ())
    result = run("doctor")
    assert result.exit_code == 1
    assert "fail  cache" in result.stdout
    assert "set AURAL_CACHE" in result.stdout
    assert result.stdout.endswith("\n\nTo be mended: cache.\n")


def weights_told(result: Result) -> list[str]:
    """What doctor says of weights, in its human form, which has to end well."""
    assert result.exit_code == 0
    assert result.stdout.endswith("\n\nAll that aural needs works.\n")
    return [line for line in result.stdout.splitlines() if line[6:].startswith("weights")]


def test_doctor_tells_which_weights_are_here(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    silero = models.locate(models.find("silero/16k"))
    monkeypatch.setattr("aural.cli.commands.doctor.OPTIONAL", ())
    monkeypatch.setenv("AURAL_CACHE", str(tmp_path))
    monkeypatch.delenv("AURAL_MODELS", raising=False)
    (nothing,) = weights_told(run("doctor"))
    assert nothing.startswith("note")
    assert nothing.endswith("type: aural models fetch whisper/base silero/16k")

    copy = tmp_path / "models/silero/16k"
    shutil.copytree(silero, copy)
    here, lacking = weights_told(run("doctor"))
    assert here == "ok    weights          silero/16k (these need no network)"
    assert lacking.endswith("type: aural models fetch whisper/base")

    (file,) = copy.glob("*.onnx")
    content = bytearray(file.read_bytes())
    content[500] ^= 1
    file.write_bytes(content)
    damaged, _ = weights_told(run("doctor"))
    assert damaged.endswith("silero/16k is damaged; the next run fetches it again")


def test_doctor_fails_where_our_own_weights_are_not_as_pinned(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    silero = models.locate(models.find("silero/16k"))
    monkeypatch.setattr("aural.cli.commands.doctor.OPTIONAL", ())
    monkeypatch.setenv("AURAL_MODELS", str(tmp_path))
    shutil.copytree(silero, tmp_path / "silero/16k")
    (file,) = (tmp_path / "silero/16k").glob("*.onnx")
    file.write_bytes(bytes(file.stat().st_size))
    result = run("doctor")
    assert result.exit_code == 1
    assert "fail  weights" in result.stdout
    assert "is not the file pinned for silero/16k" in result.stdout


def test_doctor_tells_a_broken_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "wave_of_past.py").write_text("raise OSError('libwave.so.1 is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("aural.cli.commands.doctor.OPTIONAL", ("wave_of_past",))
    (check,) = look_at_extras()
    assert (check.name, check.status) == ("wave_of_past", "note")
    assert "installed but broken" in check.detail
    assert "libwave.so.1 is missing" in check.detail


def test_doctor_knows_the_default_model() -> None:
    assert inspect.signature(aural.transcribe).parameters["model"].default == DEFAULT[0]
