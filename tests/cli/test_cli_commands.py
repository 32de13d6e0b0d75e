"""info and doctor."""

import json
from pathlib import Path

import pytest
from standin_aural import Run

from aural.cli.commands.doctor import look_at_extras


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


def test_doctor_tells_a_broken_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "wave_of_past.py").write_text("raise OSError('libwave.so.1 is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("aural.cli.commands.doctor.OPTIONAL", ("wave_of_past",))
    (check,) = look_at_extras()
    assert (check.name, check.status) == ("wave_of_past", "note")
    assert "installed but broken" in check.detail
    assert "libwave.so.1 is missing" in check.detail
