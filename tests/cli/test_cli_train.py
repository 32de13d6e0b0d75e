"""`aural train`: what it lists and shows, and how it ends; a run itself is in test_experiment."""

import json
import shlex
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from standin_aural import Run

from aural.cli.commands import train
from aural.cli.commands.train import _Lines
from aural.train.recipes import overlays, recipes


def test_list_names_recipes_and_experiments(run: Run) -> None:
    result = run("train", "--list")
    assert result.exit_code == 0
    for each in (*recipes(), *overlays()):
        assert f"  {each.name}: {each.about.splitlines()[0]}\n" in result.stdout


def test_show_prints_what_is_resolved_and_trains_nothing(run: Run, tmp_path: Path) -> None:
    result = run("train", "digits", "train.steps=7", "--show", "-d", tmp_path / "run")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["train"]["steps"] == 7
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nope",), "unknown recipe 'nope'"),
        (("digits", "train.stepps=1"), "nearest is train.steps"),
        (("digits", "data.source=corpus:nope"), "unknown labelled corpus 'nope'"),
        ((), "no recipe given"),
        (("digits", "--nope"), "No such option"),
    ],
)
def test_wrong_usage_is_one_sentence(run: Run, arguments: tuple[str, ...], message: str) -> None:
    result = run("train", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_directory_in_use_is_not_written_to(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    result = run("train", "digits", "-d", tmp_path)
    assert result.exit_code == 2
    assert "is not empty; go on with --resume" in result.stderr


def test_an_interrupted_run_says_how_to_go_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def interrupted(*_: object, command: str, **__: object) -> None:
        told.append(command)
        raise KeyboardInterrupt

    monkeypatch.setattr("aural.train.experiment.run_experiment", interrupted)
    where = "data.where=['speaker=theo|jackson']"
    result = run("train", "digits", where, "-d", tmp_path / "run")
    assert f"{tmp_path / 'run'} is gone on with by --resume" in result.stderr
    assert shlex.split(told[0]) == ["aural", "train", "digits", where]


def test_a_missing_extra_says_the_pip_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_hydra(name: str) -> ModuleSpec | None:
        return None if name == "hydra" else ModuleSpec(name, None)

    monkeypatch.setattr(train, "find_spec", without_hydra)
    result = run("train", "digits")
    assert result.exit_code == 1
    assert "hydra is not installed; type: pip install 'aural[train]'" in result.stderr
    assert run("train", "--list").exit_code == 0


def test_progress_is_seldom_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    from aural.train.loop import Report

    lines = _Lines()
    for step in range(1, 100):
        lines.tell(Report(step, 100, 1.5, 0.001, 1.0, 2.0, {}))
    lines.tell(Report(100, 100, 1.5, 0.001, 1.0, 2.0, {"wer": 0.25}))
    assert capsys.readouterr().err.splitlines() == [
        "aural: step 1/100, loss 1.5",
        "aural: step 100/100, loss 1.5, wer 0.25",
    ]
