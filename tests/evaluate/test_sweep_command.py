"""Sweeps from the command line. Hypotheses are given, so no weights are needed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from aural.cli import sweeps
from aural.cli.main import cli
from aural.evaluate import judges
from aural.evaluate.conditions import Grid
from aural.evaluate.transcribe import Recogniser

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

TEXT = "the quick brown fox jumps over the lazy dog again"
CONDITIONS = {each.name: each for each in Grid(noise=("white",), snr=(10, 5, 0)).conditions()}
RIGHT = {"as recorded": 10, "white at 10 dB": 9, "white at 5 dB": 7, "white at 0 dB": 2}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Twenty utterances in two accents; under noise more of the words are lost."""
    rows = [
        {"id": f"u{n}", "audio": f"{n}.wav", "text": TEXT, "lang": "en", "accent": "ab"[n % 2]}
        for n in range(20)
    ]
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for condition, right in RIGHT.items():
        for model, lost in (("test/good", 0), ("test/bad", 1)):
            with judges._file_of(tmp_path / "kept", model, CONDITIONS[condition]).open(
                "w"
            ) as stream:
                for n, row in enumerate(rows):
                    kept = max(0, right - lost - n % 2)
                    text = " ".join(TEXT.split()[:kept])
                    stream.write(json.dumps({"id": row["id"], "text": text}) + "\n")
    return path


def run(manifest: Path, *arguments: str | Path) -> Result:
    given = ["--noise", "white", "--snr", "10:0:5", "--hypotheses", manifest.parent / "kept"]
    given += ["--resamples", "200"]
    command = ["evaluate", "transcribe", manifest, *given, *arguments]
    return CliRunner().invoke(cli, list(map(str, command)))


@pytest.fixture(autouse=True)
def models_that_are_named_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights are behind these names, and none are asked for."""

    def named(model: str, **_: object) -> Recogniser:
        def never(_: object) -> None:
            raise AssertionError("everything is in the hypotheses")

        return Recogniser(model, never)  # type: ignore[arg-type]

    monkeypatch.setattr(judges, "model_recogniser", named)
    monkeypatch.setattr(sweeps, "models_of", lambda names: names.split(","))


def test_the_table_the_curve_and_the_report(manifest: Path) -> None:
    report = manifest.with_name("sweep.json")
    result = run(manifest, "--model", "test/good,test/bad", "--report", report)
    assert result.exit_code == 0, result.output
    assert "WER of test/good" in result.stdout
    assert "white at 0 dB" in result.stdout
    assert "test/good, white  snr" in result.stdout
    assert "5 and 0 dB" in result.stdout
    assert "8 of 8: test/bad: white at 0 dB" in result.stderr
    record = json.loads(report.read_text())
    found = {(p["system"], p["condition"]["name"]): p["error"]["value"] for p in record["points"]}
    assert found["test/good", "as recorded"] == pytest.approx(0.05)
    assert found["test/bad", "white at 0 dB"] == pytest.approx(0.95)


def test_formats(manifest: Path) -> None:
    as_json = run(manifest, "--model", "test/good", "--format", "json")
    assert json.loads(as_json.stdout)["kind"] == "aural.evaluate.sweep"
    assert (
        "## WER of test/good"
        in run(manifest, "--model", "test/good", "--format", "markdown").stdout
    )


def test_slices_of_every_condition(manifest: Path) -> None:
    result = run(manifest, "--model", "test/good", "--by", "accent", "--min-words", "1")
    assert "test/good, white at 0 dB: By accent" in result.stdout
    assert "worst b, best a, gap 10.00 points" in result.stdout


def test_a_gate_must_hold_under_every_condition(manifest: Path) -> None:
    assert run(manifest, "--model", "test/good", "--gate", "wer<0.9").exit_code == 0
    held = run(manifest, "--model", "test/good", "--gate", "wer<0.5")
    assert held.exit_code == 3
    assert "test/good, white at 0 dB:\ngate wer<0.5: 0.85: FAILED" in held.stderr.replace(
        "aural: ", ""
    )


@pytest.mark.parametrize("name", ["wer.png", "wer.svg"])
def test_the_picture(manifest: Path, name: str) -> None:
    picture = manifest.with_name(name)
    result = run(manifest, "--model", "test/good", "--plot", picture)
    assert result.exit_code == 0, result.output
    assert picture.read_bytes()[:5] in (b"\x89PNG\r", b"<?xml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--noise", "thunder"], "unknown noise"),
        (["--snr", "ten"], "snr is 'ten'"),
        (["--plot", "wer.txt"], "png"),
        (["--html", "page.html"], "leave out"),
        (["--plot", "/nowhere/wer.png"], "no such directory"),
    ],
)
def test_what_cannot_be_done_is_told(manifest: Path, arguments: list[str], message: str) -> None:
    result = run(manifest, "--model", "test/good", *arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr


def test_a_plot_without_conditions_is_told(manifest: Path) -> None:
    arguments = ["evaluate", "transcribe", str(manifest), "--plot", "wer.png"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert "name some" in result.stderr


def test_the_grid_of_the_test_is_the_one_swept() -> None:
    assert set(CONDITIONS) == set(RIGHT)
