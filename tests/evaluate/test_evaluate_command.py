"""`aural evaluate`: exit codes and files. Hypotheses are given, so no weights are needed."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aural.cli.main import cli


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Twenty utterances in two accents, and in h.jsonl a system that fails one of the two."""
    lines, heard = [], []
    for number in range(20):
        accent = "southern" if number % 2 else "northern"
        text = "the quick brown fox jumps over the lazy dog again"
        lines.append({"audio": f"{number}.wav", "text": text, "lang": "en", "accent": accent})
        heard.append({"id": f"{number}.wav", "text": "the quick" if number % 2 else text})
    (tmp_path / "h.jsonl").write_text("".join(json.dumps(each) + "\n" for each in heard))
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *map(str, arguments)])


def evaluate(manifest: Path, *arguments: str | Path) -> Result:
    kept = manifest.with_name("h.jsonl")
    return run("transcribe", manifest, "--hypotheses", kept, *arguments)


def test_text_on_stdout_and_messages_on_stderr(manifest: Path) -> None:
    result = evaluate(manifest, "--by", "accent", "--gate", "wer<0.5")
    assert result.exit_code == 0
    assert "40.00 %" in result.stdout
    assert "worst southern, best northern, gap 80.00 points" in result.stdout
    assert "gate wer<0.5: 0.4: passed" in result.stderr
    assert "gate" not in result.stdout


@pytest.mark.parametrize(
    ("gates", "code"),
    [
        (["wer<0.5"], 0),
        (["wer<0.3"], 3),
        (["wer<0.5", "wer.max_slice<0.5"], 3),
        (["wer.max_slice<=80%", "failed<1"], 0),
        (["rtf<100"], 3),  # nothing was timed, so nothing is shown
    ],
)
def test_gates_decide_the_exit_code(manifest: Path, gates: list[str], code: int) -> None:
    options = [word for gate in gates for word in ("--gate", gate)]
    assert evaluate(manifest, "--by", "accent", *options).exit_code == code


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gate", "wer.max_slice<0.5"], "say with --by which"),
        (["--gate", "wer!"], "is not a gate"),
        (["--by", "tone"], "unknown column 'tone'"),
        (["--normaliser", "mine"], "unknown normaliser 'mine'"),
        (["--model", "whisper/none"], "unknown model"),
        (["--report", "/nowhere/r.json"], "no such directory"),
    ],
)
def test_bad_usage_is_one_sentence(manifest: Path, options: list[str], message: str) -> None:
    result = evaluate(manifest, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_a_manifest_that_is_not_there(tmp_path: Path) -> None:
    result = run("transcribe", tmp_path / "none.jsonl")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no such file or directory" in result.stderr


def test_a_failed_utterance_makes_exit_code_1(manifest: Path) -> None:
    kept = manifest.with_name("h.jsonl")
    first, *rest = kept.read_text().splitlines(keepends=True)
    failed = json.dumps(json.loads(first) | {"text": "", "error": "CorruptAudio: damaged"})
    kept.write_text(failed + "\n" + "".join(rest))
    result = evaluate(manifest)
    assert result.exit_code == 1
    assert "1 of 20 utterances failed" in result.stderr
    assert "CorruptAudio: damaged" in result.stdout
    assert evaluate(manifest, "--gate", "failed<1").exit_code == 3


def test_reports_are_written_and_compared(manifest: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    shown = evaluate(manifest, "--report", first, "--format", "json")
    assert json.loads(shown.stdout) == json.loads(first.read_text())
    kept = manifest.with_name("h.jsonl")
    kept.write_text(kept.read_text().replace('"the quick"', '"the quick brown fox"'))
    assert evaluate(manifest, "--report", second, "--format", "markdown").exit_code == 0
    result = run("compare", first, second, "--gate", "wer.difference.high<0")
    assert result.exit_code == 0
    assert "-10.00" in result.stdout
    assert run("compare", second, first, "--gate", "wer.difference<=0").exit_code == 3
    record = json.loads(run("compare", first, second, "--format", "json").stdout)
    assert record["wer"]["value"] == pytest.approx(-0.1)


def test_markdown_is_tables(manifest: Path) -> None:
    lines = evaluate(manifest, "--format", "markdown", "--by", "accent").stdout.splitlines()
    assert lines[0] == "## Overall"
    assert any(line.startswith("| southern | 80.00 %") for line in lines)


@pytest.mark.parametrize("option", ["--report", "--html"])
def test_an_input_is_never_replaced_by_an_output(manifest: Path, option: str) -> None:
    before = manifest.read_bytes()
    recording = manifest.with_name("0.wav")
    recording.write_bytes(b"precious")
    for path in (manifest, manifest.with_name("h.jsonl"), recording):
        result = evaluate(manifest, option, path)
        assert result.exit_code == 2, path
        assert "give another name" in result.stderr
    assert manifest.read_bytes() == before
    assert recording.read_bytes() == b"precious"
