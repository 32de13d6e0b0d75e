"""`aural models` and `aural data`, as people run them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from aural import models
from aural.cli.main import cli
from aural.store.corpora import CORPORA
from aural.store.weights import cached


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    result = CliRunner().invoke(cli, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_list_names_every_model() -> None:
    code, out, _ = run("models", "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(models.names())
    code, out, _ = run("models", "list", "--json")
    rows = json.loads(out)
    assert [row["name"] for row in rows] == list(models.names())
    assert not any(row["here"] for row in rows)
    assert all(row["licence"] and row["bytes"] != 0 for row in rows)
    assert not any(row["here"] for row in rows if row["bytes"] is None), "a shape has no weights"


def test_show_tells_files_and_hashes() -> None:
    code, out, _ = run("models", "show", "whisper/base")
    assert code == 0
    assert "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9" in out
    record = json.loads(run("models", "show", "whisper/base", "--json")[1])
    assert record["licence"] == models.find("whisper/base").licence
    assert {file["name"] for file in record["files"]} >= {"model.bin", "config.json"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("models", "show", "nope/base"), 2, "unknown model family 'nope'"),
        (("models", "show", "whisper/huge"), 2, "whisper/base"),
        (("models", "fetch", "whisper"), 2, "unknown model 'whisper'"),
        (("models", "path", "silero/16k"), 4, "type: aural models fetch silero/16k"),
        (("models", "fetch", "--offline", "silero/16k"), 4, "AURAL_MODELS=DIR"),
        (("data", "path", "librivox"), 4, "type: aural data fetch librivox"),
        (("data", "fetch", "nope"), 2, "unknown corpus 'nope'"),
        (("data", "fetch", "--offline", "librivox"), 4, "--from DIR"),
    ],
)
def test_errors_say_what_to_do(arguments: tuple[str, ...], code: int, message: str) -> None:
    exit_code, out, err = run(*arguments)
    assert (exit_code, out) == (code, "")
    assert message in err
    assert "Traceback" not in err


def test_verify_and_remove() -> None:
    code, out, err = run("models", "verify")
    assert (code, out) == (0, "")
    assert "no weights are here yet" in err
    directory = cached("silero/16k")
    directory.mkdir(parents=True)
    file = models.find("silero/16k").weights.files[0]
    (directory / file.name).write_bytes(bytes(file.size))
    code, out, err = run("models", "verify", "silero/16k")
    assert code == 4
    assert out == f"not as pinned  {directory / file.name}\n"
    assert "1 of 1 files are missing or not as pinned" in err
    assert run("models", "remove", "silero/16k")[2].endswith("silero/16k: removed\n")
    assert not directory.exists()
    assert run("models", "remove", "silero/16k")[2].endswith("silero/16k: not in the cache\n")


def test_data_list() -> None:
    code, out, _ = run("data", "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == sorted(CORPORA)
    rows = json.loads(run("data", "list", "--json")[1])
    assert {row["name"] for row in rows} == set(CORPORA)
    assert not any(row["here"] for row in rows)


def test_listing_loads_no_runtime(tmp_path: Path) -> None:
    code = (
        "import sys; from aural.cli.main import run; run(['models', 'list']);"
        "heavy = {'ctranslate2', 'onnxruntime', 'tokenizers', 'torch', 'av'};"
        "print(sorted(heavy & {*sys.modules}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert result.stdout.splitlines()[-1] == "[]"
