"""Contracts over every family of the registry, whatever is in the folder."""

import dataclasses
import inspect
import re
from pathlib import PurePosixPath

import pytest

from aural import models
from aural.errors import UnknownName
from aural.store.verify import SUFFIXES

FAMILIES = models.families()
NAMES = models.names()


def test_families_are_sorted_and_named_as_files() -> None:
    assert tuple(sorted(FAMILIES)) == FAMILIES
    assert {"silero", "whisper"} <= set(FAMILIES)
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("family", FAMILIES)
def test_docstring_tells_source_and_licence(family: str) -> None:
    text = models.family(family).__doc__ or ""
    assert len(text.splitlines()) >= 5
    assert re.search(r"MIT|Apache|BSD|CC[- ]BY|CC0|licence", text)
    assert re.search(r"weights", text), "where the weights come from"


@pytest.mark.parametrize("family", FAMILIES)
def test_config_is_frozen_and_documented(family: str) -> None:
    config = models.family(family).Config
    assert dataclasses.is_dataclass(config)
    assert config.__dataclass_params__.frozen
    assert config.__doc__
    for variant in models.family(family).VARIANTS.values():
        assert type(variant.config) is config


@pytest.mark.parametrize("family", FAMILIES)
def test_load_has_the_agreed_signature(family: str) -> None:
    parameters = inspect.signature(models.family(family).load).parameters
    assert list(parameters) == ["directory", "config", "device", "compute_type", "threads"]
    keywords = list(parameters.values())[2:]
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in keywords)


@pytest.mark.parametrize("family", FAMILIES)
def test_variants(family: str) -> None:
    module = models.family(family)
    assert module.VARIANTS
    assert isinstance(module.EXTRA, str)
    for name in module.VARIANTS:
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name)


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_pinned(name: str) -> None:
    entry = models.find(name)
    assert entry.licence
    assert entry.description
    assert "\n" not in entry.description
    weights = entry.weights
    assert weights.files
    assert len({file.name for file in weights.files}) == len(weights.files)
    assert bool(weights.hub_repo) == bool(weights.hub_revision)
    if weights.hub_repo:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", weights.hub_repo)
        assert re.fullmatch(r"[0-9a-f]{40}", weights.hub_revision), "a commit, not a branch"
    for file in weights.files:
        assert PurePosixPath(file.name).name == file.name
        assert PurePosixPath(file.name).suffix in SUFFIXES
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert file.size > 0
        assert file.parts or weights.hub_repo, "a source carries it"
        for part in file.parts:
            assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", part.distribution)
            assert re.fullmatch(r"[0-9]+(\.[0-9]+)*", part.version)
            assert re.fullmatch(r"|[0-9a-f]{64}", part.sha256)


@pytest.mark.parametrize("family", FAMILIES)
def test_unknown_variant_names_the_choices(family: str) -> None:
    with pytest.raises(UnknownName) as caught:
        models.find(f"{family}/no-such-variant")
    assert all(f"{family}/{name}" in str(caught.value) for name in models.family(family).VARIANTS)
