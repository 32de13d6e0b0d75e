"""Recipes: experiments as files of values, with overlays and single values laid over them.

A recipe is YAML with the fields of `Experiment` (train/experiment.py) and nothing else: a file
names no code, reads no variable of the environment and refers to no other value. Hydra composes
recipe, overlays and overrides over a form made of the dataclasses that declare the options, those
of the model's own family and of its objective among them.
"""

from __future__ import annotations

import dataclasses
import re
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from aural.errors import InputError, UnknownName
from aural.train.experiment import (
    DERIVED,
    Experiment,
    ModelChoice,
    ObjectiveChoice,
    objective_function,
    variant_config,
)
from aural.train.recipes import OVERLAYS, RECIPES, overlays, recipes
from aural.train.values import MISSING, from_values, holding, mirror, mirror_of_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_ENTRY, _FORM, _RECIPE = "aural_entry", "aural_form", "aural_recipe"
_OVERRIDE = re.compile(r"^(?P<key>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)=")
_OVERLAY = re.compile(rf"^\+{OVERLAYS}=\[?(?P<names>[\w, -]+)\]?$")
_LEADING = ("model", "model.family", "model.variant", "objective", "objective.name")
"""What decides about the form of the rest."""


def compose(recipe: str, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment of a recipe, or of a .yaml file of your own, with what is laid over it.

    overrides: "key=value" ("train.steps=100", "data.where=['role=big']"), or "+experiments=NAME".
    Where these choose another family or objective, what the recipe says of its own is left out.

    Raises:
        InputError: an override or a file can't be read, or has a key or value that is not allowed.
        UnknownName: there is no such recipe or overlay.
    """
    values = recipe_values(recipe)
    for override in overrides:
        _check(override)
    leading = [each for each in overrides if each.partition("=")[0] in (*_LEADING, f"+{OVERLAYS}")]
    first = _composed(values, leading, mirror(Experiment)) if leading else values
    choice = ModelChoice(_given(first, "model.family"), _given(first, "model.variant"))
    goal = first.get("objective", {}).get("name", ObjectiveChoice().name)
    values = _of_the_same(values, choice.family, goal)
    found = _composed(values, overrides, _form(choice, goal))
    for key in _keys(found):
        _given(found, key)
    return from_values(Experiment, found)


def recipe_values(recipe: str) -> dict[str, Any]:
    """What stands in a recipe of this install, or in a .yaml file.

    Raises as compose does.
    """
    path = Path(recipe).expanduser()
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise InputError(f"{path}: no such file; give a recipe's name or a .yaml file")
        return _read(str(path), path)
    known = [each.name for each in recipes()]
    if recipe not in known:
        raise UnknownName("recipe", recipe, known)
    return _read(recipe, resources.files(RECIPES) / f"{recipe}.yaml")


def _read(name: str, file: Any) -> dict[str, Any]:
    """The values of a file, without references or lists of other files."""
    try:
        text = file.read_text(encoding="utf-8")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise _refers(name)  # a few lines of them are as many values as memory holds
        values = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{name}: can't be read as YAML: {str(error).splitlines()[0]}") from error
    except OmegaConfBaseException as error:
        raise InputError(f"{name}: {str(error).splitlines()[0]}") from error
    if not isinstance(values, dict):
        raise InputError(f"{name}: holds no fields; give those of an experiment")
    if _is_reference(values):
        raise _refers(name)
    for key, section in values.items():
        _check_section(str(key))
        if not isinstance(section, dict):
            raise InputError(f"{name}: {key!s} is {section!r}; give its fields")
    return {str(key): value for key, value in values.items()}


def _refers(name: str) -> InputError:
    return InputError(f"{name}: refers to another value (${{...}}, *); a recipe has values only")


def _is_reference(value: Any) -> bool:
    """Whether a text in it would be resolved, however the file writes it."""
    if isinstance(value, dict):
        return any(_is_reference(each) for pair in value.items() for each in pair)
    if isinstance(value, list):
        return any(map(_is_reference, value))
    return isinstance(value, str) and "${" in value


def _check(override: str) -> None:
    """That an override is one of the two kinds, and only a value."""
    if set(override) & set("\r\n\0"):
        raise InputError(f"{override!r} is more than a line; give KEY=VALUE")
    if "${" in override:
        raise InputError(f"{override!r} refers to another value; give the value itself")
    if overlay := _OVERLAY.match(override):
        known = [each.name for each in overlays()]
        for name in overlay["names"].split(","):
            if name.strip() not in known:
                raise UnknownName("experiment", name.strip(), known)
    elif found := _OVERRIDE.match(override):
        _check_section(found["key"])
    else:
        raise InputError(
            f"{override!r} is neither KEY=VALUE, as train.steps=100, nor +{OVERLAYS}=NAME"
        )


def _check_section(key: str) -> None:
    names = {each.name for each in dataclasses.fields(Experiment)}
    if key.partition(".")[0] not in names:
        raise _unknown(key, mirror(Experiment))


def _form(choice: ModelChoice, goal: str) -> type:
    """The form with the fields of the family's Config and the arguments of the objective."""
    config = variant_config(choice)
    form = mirror(Experiment)
    parts: dict[str, Any] = {each.name: each.type for each in dataclasses.fields(form)}
    known = mirror(type(config), without=DERIVED, given=config)
    return holding(
        form,
        model=holding(parts["model"], config=known),
        objective=holding(
            parts["objective"], options=mirror_of_arguments(objective_function(goal))
        ),
    )


def _of_the_same(values: Mapping[str, Any], family: str, goal: str) -> dict[str, Any]:
    """A recipe without what it says of another family's Config or another objective's options."""
    made = {key: dict(section) for key, section in values.items()}
    if made.get("model", {}).get("family", family) != family:
        made["model"].pop("config", None)
    if made.get("objective", {}).get("name", goal) != goal:
        made["objective"].pop("options", None)
    return made


def _composed(values: Mapping[str, Any], overrides: Sequence[str], form: type) -> dict[str, Any]:
    """The values in the form, as plain ones."""
    nodes = {
        _FORM: form,
        _RECIPE: dict(values),
        _ENTRY: {"defaults": [_FORM, _RECIPE, "_self_"]},
    }
    try:
        with _stored(nodes), initialize_config_module(RECIPES, version_base="1.3"):
            config = hydra_compose(_ENTRY, overrides=list(overrides))
        made = OmegaConf.to_container(config, resolve=False)
    except (HydraException, OmegaConfBaseException) as error:
        raise _told(error, form) from error
    assert isinstance(made, dict)
    return {str(key): value for key, value in made.items()}


@contextmanager
def _stored(nodes: Mapping[str, Any]) -> Iterator[None]:
    """Hydra finds the nodes by name inside."""
    store = ConfigStore.instance()
    try:
        for name, node in nodes.items():
            store.store(name=name, node=node)
        yield
    finally:
        for name in nodes:
            store.repo.pop(f"{name}.yaml", None)


def _told(error: BaseException, form: type) -> InputError:
    """What is wrong, in one sentence, from the error that Hydra's came from."""
    if isinstance(error, OverrideParseException):
        return InputError(
            f"{error.override}: can't be read as KEY=VALUE; quote text in a list, as "
            "data.where=['role=big']"
        )
    first = str(error).splitlines()[0]
    if "--multirun" in str(error) and (found := re.search("'(.+)'", first)):
        return InputError(
            f"{found[1]}: gives several values; give one, a list as KEY=[A,B], or quote the text"
        )
    cause: BaseException | None = error
    while cause is not None:
        key = getattr(cause, "full_key", None)
        if key and isinstance(cause, (ConfigKeyError, ConfigAttributeError)):
            return _unknown(key, form)
        if key and isinstance(cause, OmegaConfBaseException):
            return InputError(f"{key}: {str(cause).splitlines()[0]}")
        cause = cause.__cause__ or cause.__context__
    return InputError(first)


def _unknown(key: str, form: type) -> InputError:
    known = list(_form_keys(form))
    last = key.rpartition(".")[2]
    near = [each for each in known if each.rpartition(".")[2] == last]
    near = near or get_close_matches(key, known, n=1, cutoff=0.5)
    instead = f"; the nearest is {near[0]}" if near else ""
    return InputError(f"there is no {key!r}{instead} (--show lists all)")


def _form_keys(form: type, before: str = "") -> Iterator[str]:
    for each in dataclasses.fields(form):
        yield f"{before}{each.name}"
        if dataclasses.is_dataclass(each.type) and isinstance(each.type, type):
            yield from _form_keys(each.type, f"{before}{each.name}.")


def _keys(values: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield f"{before}{name}"
        if isinstance(value, dict):
            yield from _keys(value, f"{before}{name}.")


def _given(values: Mapping[str, Any], key: str) -> Any:
    """The value of a key; InputError where it has none."""
    value: Any = values
    for name in key.split("."):
        value = value.get(name, MISSING) if isinstance(value, dict) else MISSING
    if value == MISSING:
        raise InputError(f"{key} is not given; give {key}=VALUE")
    return value
