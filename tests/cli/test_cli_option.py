"""Values reach the task from flags, the environment and the file, in that order."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from standin_aural import Run

from aural.cli.config import config_path
from aural.cli.option import split_flag_values


def shown(result: Result, command: str = "echo") -> dict[str, dict[str, object]]:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)["commands"][command]


def configure(text: str) -> Path:
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_flag_wins_over_environment_over_file_over_default(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def setting(*flags: str) -> tuple[object, object]:
        entry = shown(run("config", "show", "--json", "echo", *flags))["beam_size"]
        return entry["value"], entry["source"]

    assert setting() == (5, "default")
    configure("[echo]\nbeam_size = 4\n")
    assert setting() == (4, "file")
    monkeypatch.setenv("AURAL_ECHO_BEAM_SIZE", "3")
    assert setting() == (3, "environment")
    assert setting("--beam-size", "2") == (2, "flag")


def test_the_command_runs_with_what_config_shows(
    run: Run, talks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure('[echo]\nmodel = "echo/file"\nmode = "loud"\n')
    monkeypatch.setenv("AURAL_ECHO_MODEL", "echo/environment")
    made = json.loads(run("echo", talks / "a/x.wav", "-f", "json").stdout)
    assert made["model"] == "echo/environment loud"


def test_a_shared_option_is_set_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    configure("offline = true\n")
    assert shown(run("config", "show", "--json"))["offline"]["value"] is True
    monkeypatch.setenv("AURAL_OFFLINE", "0")
    entry = shown(run("config", "show", "--json"))["offline"]
    assert (entry["value"], entry["origin"]) == (False, "AURAL_OFFLINE")
    monkeypatch.setenv("AURAL_ECHO_OFFLINE", "1")
    entry = shown(run("config", "show", "--json"))["offline"]
    assert (entry["value"], entry["origin"]) == (True, "AURAL_ECHO_OFFLINE")


def test_show_without_json_is_for_people(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = configure("[echo]\nthreshold = 0.25\n")
    monkeypatch.setenv("AURAL_ECHO_LANGUAGE", "de")
    lines = run("config", "show", "echo", "--mode", "loud").stdout.splitlines()
    assert lines[0] == f"# {path}"
    rows = [line.split() for line in lines]
    assert ["threshold", "0.25", "file", str(path)] in rows
    assert ["language", '"de"', "environment", "AURAL_ECHO_LANGUAGE"] in rows
    assert ["mode", '"loud"', "flag"] in rows
    assert ["beam_size", "5", "default"] in rows


def test_lists_are_commas_or_arrays(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    configure("[echo]\nhotwords = ['a', 'b c']\ntemperature = 0.5\n")
    entries = shown(run("config", "show", "--json", "echo", "--limits", "1, 2"))
    assert entries["hotwords"]["value"] == ["a", "b c"]
    assert entries["temperature"]["value"] == 0.5
    assert entries["limits"]["value"] == [1, 2]
    monkeypatch.setenv("AURAL_ECHO_TEMPERATURE", "0,0.5,1")
    entries = shown(run("config", "show", "--json", "echo"))
    assert entries["temperature"]["value"] == [0.0, 0.5, 1.0]


def test_of_two_types_the_narrower_wins(run: Run) -> None:
    def channel(text: str) -> object:
        return shown(run("config", "show", "--json", "echo", "--channel", text))["channel"]["value"]

    assert channel("1") == 1
    assert channel("mix") == "mix"


def test_none_is_said_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURAL_ECHO_LANGUAGE", "de")
    entries = shown(run("config", "show", "--json", "echo", "--language", "none"))
    assert entries["language"]["value"] is None


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--beam-size", "x"], "'x' is not a whole number"),
        (["--beam-size", "1.5"], "'1.5' is not a whole number"),
        (["--threshold", "nan"], "'nan' is not a finite number"),
        (["--threshold", "1e999"], "'1e999' is not a finite number"),
        (["--mode", "odd"], "'odd' is not one of plain, loud, 1"),
        (["--limits", "1,,2"], "'' is not a whole number"),
        (["-f", "txt,doc"], "'doc' is not one of txt, srt"),
        (["--nonsense"], "No such option '--nonsense'"),
    ],
)
def test_a_wrong_value_says_what_is_allowed(run: Run, flags: list[str], reason: str) -> None:
    result = run("echo", "x.wav", *flags)
    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.split())


def test_a_wrong_value_says_where_it_came_from(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = configure("[echo]\nbeam_size = 'many'\n")
    result = run("echo", "x.wav")
    assert f"'many' is not a whole number (from {path})" in result.stderr
    assert result.exit_code == 2
    monkeypatch.setenv("AURAL_ECHO_BEAM_SIZE", "none")
    assert "(from AURAL_ECHO_BEAM_SIZE)" in run("echo", "x.wav").stderr


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[echo]\nbeem_size = 1\n", "unknown option of [echo]"),
        ("[ecko]\nbeam_size = 1\n", "unknown table in"),
        ("beam_size = 1\n", "unknown shared option in"),
        ("[echo\n", "is not valid TOML"),
        ("x = '\udcff'\n", "is not valid TOML"),
    ],
)
def test_a_wrong_file_is_one_line(run: Run, content: str, reason: str) -> None:
    path = configure("")
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    result = run("echo", "x.wav")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("aural: ")
    assert len(result.stderr.splitlines()) == 1
    assert reason in result.stderr
    assert str(path) in result.stderr


def test_a_named_file_that_is_missing_is_told_of(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AURAL_CONFIG", str(tmp_path / "none.toml"))
    result = run("echo", "x.wav")
    assert result.exit_code == 2
    assert "which does not exist" in result.stderr


def test_config_path_is_where_the_file_is_looked_for(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run("config", "path").stdout == f"{tmp_path}/configuration/aural/config.toml\n"
    path = configure("")
    monkeypatch.setenv("AURAL_CONFIG", str(path.rename(tmp_path / "mine.toml")))
    assert run("config", "path").stdout == f"{tmp_path}/mine.toml\n"


def test_config_show_refuses_what_has_no_settings(run: Run) -> None:
    result = run("config", "show", "doctor")
    assert result.exit_code == 2
    assert "'doctor' is not a command with settings" in result.stderr


# Whisper's ways


def test_underscores_are_dashes(run: Run, talks: Path, tmp_path: Path) -> None:
    flags = ("--output_dir", tmp_path / "o", "--output_format", "srt", "--beam_size=1")
    assert run("echo", talks / "a/x.wav", *flags).exit_code == 0
    assert (tmp_path / "o/x.srt").exists()


def test_true_and_false_after_a_flag_are_its_value(run: Run) -> None:
    def value(*flags: str) -> object:
        return shown(run("config", "show", "--json", "echo", *flags))["word_timestamps"]["value"]

    assert value("--word_timestamps", "True") is True
    assert value("--word-timestamps", "False") is False
    assert value("--no-word-timestamps") is False


def test_true_elsewhere_stays() -> None:
    arguments = ["True", "--model", "True", "--flag", "x", "--", "--flag", "True"]
    assert split_flag_values(arguments, ["--flag"]) == arguments
