"""The documentation says what is: its tree, its commands, its snippets."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ("README.md", "docs/python.md")


def snippets() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for number, code in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL)):
            found.append((f"{page}-{number}", code))
    return found


def test_the_tree_names_every_folder_and_file_of_the_package():
    tree = re.search(r"## The tree\n\n```\n(.*?)```", README, re.DOTALL).group(1)
    package = tree.split("src/aural/\n")[1]
    drawn = set(re.findall(r"^  (\S+)", package, re.MULTILINE))
    hidden = {"__pycache__", "py.typed", "__main__.py"}
    there = {
        path.name + ("/" if path.is_dir() else "")
        for path in (ROOT / "src/aural").iterdir()
        if path.name not in hidden
    }
    assert drawn == there
    for name in re.findall(r"^(\S+)/\s", tree, re.MULTILINE):
        assert (ROOT / name).is_dir()


def test_the_tree_names_every_family_and_task():
    for folder in ("models", "tasks"):
        line = re.search(rf"^  {folder}/ .*: (.*)$", README, re.MULTILINE).group(1)
        paths = (ROOT / "src/aural" / folder).iterdir()
        there = {path.stem for path in paths if not path.name.startswith("__")}
        assert set(line.split(", ")) == there


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.parametrize(("name", "code"), snippets(), ids=[name for name, _ in snippets()])
def test_snippets_run(name, code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_commands_shown_exist():
    from aural.cli.main import cli

    commands = set(cli.list_commands(None))
    shown = set(re.findall(r"`aural ([a-z][a-z-]+)\b", README))
    assert shown
    assert shown <= commands


def test_the_default_weights_are_as_large_as_the_readme_says():
    from aural.models import silero, whisper

    default = whisper.VARIANTS["base"].weights.size + silero.VARIANTS["16k"].weights.size
    said = int(re.search(r"default weights once, (\d+) MB", README).group(1))
    assert said == round(default / 1e6, -1)
