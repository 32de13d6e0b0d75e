"""docs/evaluate.md names what there is."""

import json
import re
import shlex
import shutil
from pathlib import Path

from click.testing import CliRunner

from aural.cli.commands.evaluate import command
from aural.cli.main import cli
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


STANDINS = {
    "corpus:asterisk-en": "test.jsonl",
    "whisper/base,whisper/tiny.en": "whisper/base",
    "--noise music,places": "--noise pink",
    "--snr 20:-5:5": "--snr 20,5",
    "--rt60 0,0.3,0.6 --distance 1m,3m,5m": "--rt60 0,0.3 --distance 1m",
}
"""What needs a corpus or other weights is run on the examples with what is here, and less of it."""


def test_its_commands_run(examples: Path, tmp_path: Path, monkeypatch) -> None:
    rows = [json.loads(line) for line in (examples / "manifest.jsonl").read_text().splitlines()]
    labels = [{"accent": "southern", "noise": "quiet"}, {"accent": "northern", "noise": "street"}]
    (tmp_path / "examples").symlink_to(examples)
    (tmp_path / "test.jsonl").write_text(
        "".join(
            json.dumps(
                {**row, **labels[n % 2], "audio_filepath": f"examples/{row['audio_filepath']}"}
            )
            + "\n"
            for n, row in enumerate(rows)
        )
    )
    monkeypatch.chdir(tmp_path)
    commands = [
        line
        for block in re.findall(r"```sh\n(.+?)```", TEXT, re.DOTALL)
        for line in block.splitlines()
    ]
    assert len(commands) == 9
    for command_line in commands:
        line = command_line
        for given, here in STANDINS.items():
            line = line.replace(given, here)
        result = CliRunner().invoke(cli, [*shlex.split(line)[1:], "--resamples", "200"])
        told_by_gate = result.exit_code == 3 and "--gate" in line
        assert result.exit_code == 0 or told_by_gate, f"{line}: {result.output}"
        if not (tmp_path / "small.json").exists() and (tmp_path / "base.json").exists():
            shutil.copy(tmp_path / "base.json", tmp_path / "small.json")
    assert (tmp_path / "wer.svg").is_file()
