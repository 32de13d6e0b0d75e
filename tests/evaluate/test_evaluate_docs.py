"""docs/evaluate.md names what there is."""

import re
from pathlib import Path

from click.testing import CliRunner

from aural.cli.commands.evaluate import command
from aural.data.corpora import labels
from aural.evaluate.compare import COMPARISON_MEASURES
from aural.evaluate.report import GATE_MEASURES
from aural.text.normalise import NORMALISERS

TEXT = (Path(__file__).parents[2] / "docs" / "evaluate.md").read_text(encoding="utf-8")


def test_measures_normalisers_and_corpora_are_named() -> None:
    named = set(re.findall(r"`([^`\n]+)`", TEXT))
    of_compare = {name for name in COMPARISON_MEASURES if name.startswith("wer")}
    assert {*GATE_MEASURES, *of_compare, *NORMALISERS} <= named
    corpora = {name if name in named else name.removeprefix("tuxpaint") for name in labels()}
    assert corpora <= named


def test_every_option_named_is_one() -> None:
    shown = "".join(
        CliRunner().invoke(command, [name, "--help"]).stdout
        for name in ("transcribe", "identify-language", "compare")
    )
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT))
    assert named
    assert all(option in shown for option in named)


def test_its_python_runs(examples: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(examples.parent)
    plain, swept = re.findall(r"```python\n(.+?)```", TEXT, re.DOTALL)
    exec(compile(plain, "evaluate.md", "exec"), {})
    assert float(capsys.readouterr().out.split()[0]) < 0.1
    exec(compile(swept, "evaluate.md", "exec"), {})
    errors = [float(line.split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert max(errors[:2]) < 0.1 < errors[2]
