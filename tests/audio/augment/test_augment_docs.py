"""What docs/augment.md says is so."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

from aural.audio import augment

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/augment.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)
ROWS = re.findall(r"^\| `(\w+\.\w+)` \| (.*?) \| ", TEXT, flags=re.M)


def classes() -> dict[str, type]:
    """Every augmentation of the folder by module and name."""
    found = {}
    for module in pkgutil.iter_modules(augment.__path__):
        loaded = importlib.import_module(f"{augment.__name__}.{module.name}")
        for name, made in vars(loaded).items():
            ours = inspect.isclass(made) and made.__module__ == loaded.__name__
            if ours and hasattr(made, "draw") and hasattr(made, "apply"):
                found[f"{module.name}.{name}"] = made
    return found


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_an_example_runs_and_prints_what_it_says(
    block: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    exec(compile(block, "augment.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    said = re.findall(r"^print\(.*\)\s+# (.*)$", block, flags=re.M)
    assert len(printed) == len(said)
    for line, comment in zip(printed, said, strict=True):
        shape = re.escape(comment.split(":")[0]).replace("start", r"\d+").replace("width", r"\d+")
        assert re.fullmatch(shape, line), (line, comment)


def test_every_augmentation_is_in_a_table() -> None:
    assert sorted(name for name, _ in ROWS) == sorted(classes())


@pytest.mark.parametrize(("name", "said"), ROWS)
def test_parameters_and_defaults_are_those_of_the_class(name: str, said: str) -> None:
    fields = [
        field.name if field.default is dataclasses.MISSING else f"{field.name}={field.default!r}"
        for field in dataclasses.fields(classes()[name])
    ]
    assert re.findall("`(.*?)`", said) == fields
