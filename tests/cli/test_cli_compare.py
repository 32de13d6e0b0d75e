"""`aural compare`: runs in processes of their own, a table, and how it ends."""

import json
import os
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from standin_aural import Run

pytest.importorskip("hydra")

from aural.cli.commands import compare


def test_a_choice_that_fails_leaves_the_others(
    aural: Callable[..., CompletedProcess[str]], speech_llm_recipe: str, tmp_path: Path
) -> None:
    """With processes of their own: memory is theirs, and a failure is a row and exit code 1."""
    files = ("--report", tmp_path / "report.json", "--plot", tmp_path / "curves.svg")
    done = aural(
        *("compare", speech_llm_recipe, "--vary", "projector=mlp, moe", "judge.shuffled=false"),
        *("--directory", tmp_path / "runs", *files),
        timeout=180,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "By projector"
    assert lines[2].split()[:2] == ["mlp", "100.00"]
    assert lines[3].split() == ["moe", "failed"]
    assert "moe failed: unknown projector 'moe'" in done.stdout
    assert "aural:   step 3/3, loss" in done.stderr
    assert "Traceback" not in done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["kind"], report["part"]) == ("aural.compare", "projector")
    mlp, moe = report["choices"]
    assert mlp["result"] == json.loads((tmp_path / "runs/mlp/result.json").read_text())
    assert 100 << 20 < mlp["peak_memory"] < 4 << 30
    assert moe["error"]
    assert (tmp_path / "curves.svg").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("digits",), "Missing option '--vary'"),
        (("digits", "--vary", "projector"), "give PART=A,B"),
        (("digits", "--vary", "projector=mlp"), "mlp: give two or more, each once"),
        (("digits", "--vary", "projector=mlp,swiglu"), "no 'model.config.projector'"),
        (("digits", "--vary", "colour=red,blue"), "unknown part to vary 'colour'"),
        (("digits", "--vary", "projector=mlp,swiglu", "--plot", "x.jpg"), ".png or .svg"),
        (("digitz", "--vary", "projector=mlp,swiglu"), "unknown recipe 'digitz'"),
    ],
)
def test_wrong_usage_is_one_sentence(
    run: Run, arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    result = run("compare", *arguments, "--directory", tmp_path / "runs")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "runs").exists()


def test_a_missing_extra_says_the_pip_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_hydra(name: str) -> ModuleSpec | None:
        return None if name == "hydra" else ModuleSpec(name, None)

    monkeypatch.setattr(compare, "find_spec", without_hydra)
    result = run("compare", "speech_llm", "--vary", "projector=mlp,swiglu")
    assert result.exit_code == 1
    assert "hydra is not installed; type: pip install 'aural[train]'" in result.stderr


def test_former_is_a_manifest(run: Run, speech_llm_recipe: str, tmp_path: Path) -> None:
    given = ("compare", speech_llm_recipe, "--vary", "projector=mlp,swiglu")
    result = run(*given, "--former", tmp_path / "none.jsonl", "--directory", tmp_path / "runs")
    assert result.exit_code == 2
    assert "none.jsonl" in result.stderr
