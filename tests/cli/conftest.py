"""The command line in this process (CliRunner) and as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from standin_aural import Run, echo_command

from aural.cli.main import cli

STANDIN = [sys.executable, str(Path(__file__).with_name("standin_aural.py"))]


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable or file of whoever runs the tests decides about them."""
    for name in [name for name in os.environ if name.startswith("AURAL_")]:
        if name not in {"AURAL_CACHE", "AURAL_MODELS"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


@pytest.fixture
def run() -> Iterator[Run]:
    """Runs `aural ARGUMENTS` here; it has the command `echo` of the stand-in task."""
    cli.add_command(echo_command())
    try:
        yield lambda *arguments, **more: CliRunner().invoke(
            cli, [str(a) for a in arguments], **more
        )
    finally:
        cli.commands.pop("echo")


@pytest.fixture
def aural() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `aural ARGUMENTS` as a process."""

    def start(*arguments: object, **more: object) -> subprocess.CompletedProcess[str]:
        command = [*STANDIN, *map(str, arguments)]
        options = {"capture_output": True, "text": True, "timeout": 60, **more}
        return subprocess.run(command, check=False, **options)

    return start


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    """A folder of ten recordings, three of them bad, in two folders, with names that clash."""
    folder = tmp_path / "talks"
    for name in ("a/x.wav", "a/y.flac", "b/x.wav", "b/x.mp3", "b/deep/z.ogg", "v.opus", "w.m4a"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"this is {name}")
    for name in ("a/bad.wav", "b/bad.wav", "bad.mp3"):
        (folder / name).write_text("BAD")
    (folder / "notes.txt").write_text("not a recording")
    (folder / "a/.hidden.wav").write_text("BAD")
    return folder
