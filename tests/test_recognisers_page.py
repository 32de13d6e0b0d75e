"""docs/recognisers.md names every model there is, as it is."""

from pathlib import Path

from aural import models

PAGE = (Path(__file__).parents[1] / "docs/recognisers.md").read_text(encoding="utf-8")


def rows() -> list[str]:
    """The table: each model but those for tests."""
    entries = [models.find(name) for name in models.names()]
    return [
        f"| `{entry.name}` | {entry.description} | {size(entry)} | {entry.licence} |"
        for entry in entries
        if not entry.name.partition("/")[2].startswith("test")
    ]


def size(entry: models.Entry) -> str:
    """What is fetched."""
    return f"{entry.weights.size / 1e6:.0f} MB" if entry.weights else "to be trained"


def test_the_table_has_every_model() -> None:
    table = [line for line in PAGE.splitlines() if line.startswith("| `") and "/" in line]
    found = [line for line in table if line.split("`")[1] in models.names()]
    assert found == rows()


def test_every_family_has_its_section() -> None:
    sections = {line.removeprefix("### ") for line in PAGE.splitlines() if line.startswith("### ")}
    assert sections == set(models.families())
