"""What docs/cli.md and docs/formats.md say is so."""

import re
import shlex
from pathlib import Path

import click
import pytest

from aural.cli import exits, main
from aural.cli.config import SHARED, default_map
from aural.formats import FORMATS, Layout

DOCS = Path(__file__).parents[2] / "docs"
CLI = (DOCS / "cli.md").read_text(encoding="utf-8")
FORMAT_DOCS = (DOCS / "formats.md").read_text(encoding="utf-8")


def shell_lines() -> list[str]:
    """The commands in fenced blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", CLI, flags=re.S)
    return [line for block in blocks for line in block.splitlines() if line.startswith("aural ")]


@pytest.mark.parametrize("line", shell_lines())
def test_a_documented_command_can_be_typed(line: str) -> None:
    _, name, *arguments = shlex.split(line.split(" > ", maxsplit=1)[0], comments=True)
    with main.cli.make_context("aural", [name]) as context:
        command = main.cli.get_command(context, name)
        assert command is not None
        with command.make_context(name, arguments, parent=context) as parsed:
            assert parsed.params


def test_every_command_is_in_the_table() -> None:
    documented = set(re.findall(r"^\| `aural ([a-z-]+)", CLI, flags=re.M))
    assert documented == set(main.cli.list_commands(click.Context(main.cli)))


def test_every_exit_code_is_in_the_table() -> None:
    documented = set(map(int, re.findall(r"^\| (\d+) \|", CLI, flags=re.M)))
    ours = {value for value in vars(exits).values() if isinstance(value, int)}
    assert documented == {0, 4} | ours


def test_every_shared_option_is_named() -> None:
    assert all(f"`{name}`" in CLI for name in SHARED)


def test_the_documented_file_is_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", CLI, flags=re.S)
    (tmp_path / "config.toml").write_text(block)
    monkeypatch.setenv("AURAL_CONFIG", str(tmp_path / "config.toml"))
    command = main.cli.get_command(click.Context(main.cli), "transcribe")
    assert command is not None
    made = default_map(["transcribe"])["transcribe"]
    with command.make_context("transcribe", [], default_map=made) as context:
        assert context.params["model"] == "whisper/small"
        assert context.params["threads"] == 2
        assert context.params["temperature"] == (0.0, 0.2, 0.4)


def test_every_format_is_in_the_table() -> None:
    documented = dict(re.findall(r"^\| `([a-z]+)` \| `(\.\w+)`", FORMAT_DOCS, flags=re.M))
    assert documented == {name: made.suffix for name, made in FORMATS.items()}


def test_every_option_of_subtitles_is_in_the_table() -> None:
    documented = set(re.findall(r"^\| `--([a-z-]+)`", FORMAT_DOCS, flags=re.M))
    fields = set(Layout.__dataclass_fields__) - {"recording"}
    assert documented == {name.replace("_", "-") for name in fields}


def test_the_python_example_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", FORMAT_DOCS, flags=re.S)
    monkeypatch.chdir(DOCS.parent)
    exec(compile(block, "formats.md", "exec"), {})
    assert "00:00:0" in capsys.readouterr().out
