"""The registry: names are found, unknown ones answered with the choices, models kept."""

import threading
import types
from dataclasses import dataclass
from pathlib import Path

import pytest

from aural import models
from aural.errors import InputError, UnknownName, UnsupportedFormat
from aural.models import Variant
from aural.store.weights import WeightFile, Weights


@dataclass(frozen=True)
class Config:
    """Of the stand-in family."""

    width: int = 1


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> types.SimpleNamespace:
    """A family of one variant whose only file is in a local directory."""
    loads: list[tuple[Path, Config, str, str, int]] = []

    def load(
        directory: Path, config: Config, *, device: str, compute_type: str, threads: int
    ) -> object:
        loads.append((directory, config, device, compute_type, threads))
        return object()

    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    weights = Weights((WeightFile("config.json", empty, 0),))
    family = types.SimpleNamespace(
        VARIANTS={"one": Variant(Config(), weights, "CC0", "a toy")}, EXTRA="", load=load
    )
    monkeypatch.setattr(models, "families", lambda: ("toy",))
    monkeypatch.setattr(models.importlib, "import_module", lambda name: family)
    monkeypatch.setattr(models, "_loaded", {})
    monkeypatch.setenv("AURAL_MODELS", str(tmp_path))
    monkeypatch.setenv("AURAL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "toy/one").mkdir(parents=True)
    (tmp_path / "toy/one/config.json").write_bytes(b"")
    family.loads = loads
    return family


def test_find(toy: types.SimpleNamespace) -> None:
    entry = models.find("toy/one")
    assert (entry.name, entry.family, entry.config) == ("toy/one", "toy", Config())
    assert (entry.licence, entry.description, entry.directory) == ("CC0", "a toy", None)


@pytest.mark.parametrize("name", ["toy/two", "toy", "toy/", "toy/one/x"])
def test_unknown_variant_names_the_choices(toy: types.SimpleNamespace, name: str) -> None:
    with pytest.raises(UnknownName, match=r"this install has: toy/one$"):
        models.find(name)


@pytest.mark.parametrize("name", ["", "boy/one", "/", "os/path", "../toy/one"])
def test_unknown_family_names_the_families(toy: types.SimpleNamespace, name: str) -> None:
    with pytest.raises(UnknownName, match=r"unknown model family .*this install has: toy$"):
        models.find(name)


def test_a_model_is_loaded_once(toy: types.SimpleNamespace, tmp_path: Path) -> None:
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(models.load("toy/one"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(model) for model in found}) == 1
    assert toy.loads == [(tmp_path / "toy/one", Config(), "auto", "auto", 0)]
    assert models.load("toy/one", threads=2) is not found[0]
    assert models.load("toy/one", compute_type="int8") is not found[0]


def test_own_directory(toy: types.SimpleNamespace, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "config.json").write_text('{"width": 7}')
    with pytest.raises(InputError, match="can't be loaded from a directory"):
        models.find(f"toy@{own}")
    toy.read_config = lambda directory: Config(width=len(list(directory.iterdir())))
    entry = models.find(f"toy@{own}")
    assert (entry.directory, entry.config) == (own, Config(width=1))
    models.load(f"toy@{own}", offline=True)
    assert toy.loads[-1][:2] == (own, Config(width=1))
    (own / "model.bin").write_bytes(b"\x80\x04pickle")
    with pytest.raises(UnsupportedFormat):
        models.find(f"toy@{own}")
    with pytest.raises(InputError, match="is not a directory"):
        models.find("toy@nowhere")
