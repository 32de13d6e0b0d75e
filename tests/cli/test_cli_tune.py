"""`aural tune` on streams of random weights, and what docs/listen.md says of it and of listen."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
import pytest
import torch
from standin_aural import Run

from aural.cli import main
from aural.cli.commands.tune import _MEASURES
from aural.evaluate.tune import MEASURES
from aural.models.transducer import VARIANTS, build
from aural.nn.exported import Exported, FeatureOptions, export
from aural.text.tokens import Tokenizer

PAGE = (Path(__file__).parents[2] / "docs" / "listen.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A streaming CTC that writes letters at random, by name."""
    directory, config = tmp_path_factory.mktemp("ctc"), VARIANTS["test-ctc"].config
    torch.manual_seed(5)
    network = build(config)
    with torch.no_grad():
        network.output.weight *= 4
        network.output.bias[0] += 1.0
    features = FeatureOptions("kaldi", 16, 16000, "none")
    letters = Tokenizer("characters", tuple("abcdef ghij"))
    export(directory, network, Exported("transducer", asdict(config), features, letters, "en"))
    return f"transducer@{directory}"


@pytest.fixture(scope="module")
def manifest(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("list") / "manifest.jsonl"
    rows = [
        {
            "id": name,
            "audio_filepath": str(examples / f"sense_and_sensibility_{name}.flac"),
            "text": "some words that were said",
            "offset": 0.0,
            "duration": 2.5,
        }
        for name in ("0870", "0880")
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def options(model: str) -> Sequence[str]:
    chunks = ("--chunk-seconds", "0.16,0.4", "--look-ahead-seconds", "0.08", "--beam-size", "1")
    return ("--model", model, "--threads", "1", "--resamples", "200", *chunks)


def test_a_pick_a_report_and_a_picture(
    run: Run, manifest: Path, options: Sequence[str], tmp_path: Path
) -> None:
    files = ("--report", tmp_path / "t.json", "--plot", tmp_path / "t.png")
    kept = ("--hypotheses", tmp_path / "kept")
    first = run("tune", manifest, *options, "--max-latency", "30", *files, *kept)
    assert first.exit_code == 0, first.output
    assert "picked with final-p95 within 30 s" in first.stdout
    assert "the result is what was held out: 1 of 2 utterances" in first.stdout
    assert "every text is the stream's" in first.stdout
    assert "chunks 0.4 s, look-ahead 0.08 s" in first.stderr
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    report = json.loads((tmp_path / "t.json").read_text())
    assert (report["kind"], report["schema_version"]) == ("aural.tune", 1)
    assert report["pick"] in first.stdout
    assert len(list((tmp_path / "kept").iterdir())) == 2

    again = run("tune", manifest, *options, "--format", "json", "--max-latency", "30", *kept)
    assert json.loads(again.stdout) == report
    refused = run(
        "tune", manifest, *options, "--format", "markdown", "--max-latency", "0.001", *kept
    )
    assert refused.exit_code == 3
    assert "## Settings" in refused.stdout
    assert "## The pick" not in refused.stdout
    assert "no setting with final-p95 within 0.001 s; nearest is transducer@" in refused.stderr


def test_a_recording_that_is_missing_is_told(
    run: Run, manifest: Path, options: Sequence[str], tmp_path: Path
) -> None:
    more = tmp_path / "more.jsonl"
    gone = {"id": "gone", "audio_filepath": str(tmp_path / "gone.flac"), "text": "nobody knows"}
    more.write_text(manifest.read_text() + json.dumps(gone) + "\n")
    result = run("tune", more, *options)
    assert result.exit_code == 1, result.output
    assert "aural: 1 utterances failed" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--chunk-seconds", "fast"), "'fast': give numbers parted by commas"),
        (("--beam-size", "1.5"), "'1.5': give whole numbers parted by commas"),
        (("--model", "nope/x"), "unknown model family 'nope'"),
        (("--max-latency", "0"), "max_latency is 0"),
        (("--holdout", "1"), "holdout is 1"),
        (("--latency", "final"), "'final' is not one of"),
        (("--plot", "curve.pdf"), "give a name that ends in .png or .svg"),
        (("--plot", "nowhere/curve.png"), "no such directory"),
        (("--report", "MANIFEST"), "is read, so it can't be written"),
        (("--model", "whisper/tiny.en", "--step-seconds", "0.01"), "step_seconds is 0.01"),
    ],
)
def test_wrong_usage_is_one_sentence(
    run: Run, manifest: Path, options: Sequence[str], arguments: tuple[str, ...], message: str
) -> None:
    given = [str(manifest) if each == "MANIFEST" else each for each in arguments]
    result = run("tune", manifest, *options, *given)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr


def test_the_measures_are_those_there_are() -> None:
    assert tuple(MEASURES) == _MEASURES
    assert all(f"`{name}`" in PAGE for name in MEASURES)


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line[line.index("aural ") :] for line in lines]


@pytest.mark.parametrize("line", commands())
def test_a_documented_command_can_be_typed(line: str) -> None:
    _, name, *arguments = shlex.split(line, comments=True)
    command = main.cli.get_command(click.Context(main.cli), name)
    assert command is not None
    with command.make_context(name, arguments) as parsed:
        assert parsed.params


def test_every_option_named_is_one(run: Run) -> None:
    shown = "".join(run(name, "--help").stdout for name in ("listen", "tune"))
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    assert len(named) > 15
    assert all(option in shown for option in named)


def test_its_python_runs(
    examples: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(examples.parent)
    exec(compile(code, "listen.md", "exec"), {})
    line, numbers = capsys.readouterr().out.splitlines()
    assert line.startswith("picked with final-p50 within 4 s: whisper/tiny.en agreement, step")
    assert 0 <= float(numbers.split()[0]) < 0.5
