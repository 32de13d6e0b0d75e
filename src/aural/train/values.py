"""Frozen dataclasses of plain values, as a form that can be filled in, and back.

Experiments are composed over mutable mirrors of the dataclasses that options are declared in, made
here, so that nothing is declared twice: a mirror has the fields, the types and the defaults.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

Kind = TypeVar("Kind")
MISSING = "???"
"""What stands for a value that has to be given."""
_PLAIN = (str, int, float, bool)


def mirror(kind: type, *, without: Collection[str] = (), given: Any = None) -> type:
    """A mutable dataclass of the kind's fields, but for those left out.

    Defaults are the values of `given` where there is one, else the kind's own. Dataclasses inside
    are mirrored too; a tuple becomes a list, a Literal the type of its values, a mapping a dict.
    """
    hints = get_type_hints(kind)
    made: list[tuple[str, Any, Any]] = []
    for field in dataclasses.fields(kind):
        if field.name in without:
            continue
        value = _default(field) if given is None else getattr(given, field.name)
        made.append((field.name, *_mirrored(hints[field.name], value)))
    return dataclasses.make_dataclass(kind.__name__, made)


def mirror_of_arguments(function: Callable[..., Any]) -> type:
    """A mutable dataclass of a function's keyword-only arguments, with their defaults."""
    arguments = {
        name: argument
        for name, argument in inspect.signature(function).parameters.items()
        if argument.kind is inspect.Parameter.KEYWORD_ONLY
    }
    annotated = types.SimpleNamespace(
        __annotations__={name: each.annotation for name, each in arguments.items()}
    )
    hints = get_type_hints(annotated, globalns=function.__globals__)
    made = [(name, *_mirrored(hints[name], each.default)) for name, each in arguments.items()]
    return dataclasses.make_dataclass(function.__name__, made)


def holding(section: type, **fields: type) -> type:
    """The mirror with these fields replaced by mirrors made for them."""
    made = [
        (field.name, fields[field.name], dataclasses.field(default_factory=fields[field.name]))
        if field.name in fields
        else (field.name, field.type, field)
        for field in dataclasses.fields(section)
    ]
    return dataclasses.make_dataclass(section.__name__, made)


def from_values(kind: type[Kind], values: Mapping[str, Any], name: str = "") -> Kind:
    """A dataclass of plain values, dataclasses inside likewise; lists become tuples.

    Raises:
        InputError: a field is unknown, or one that has no default is missing; and what the
            dataclass itself refuses.
    """
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    where = f"{name} has" if name else "there is"
    if unknown := sorted(set(values) - set(fields)):
        raise InputError(f"{where} {', '.join(unknown)}; known are {', '.join(fields)}")
    missing = [each for each in set(fields) - set(values) if _default(fields[each]) is MISSING]
    if missing:
        raise InputError(f"{where} no {', '.join(sorted(missing))}; it has to be given")
    made = {
        key: _made(hints[key], value, f"{name}.{key}".lstrip(".")) for key, value in values.items()
    }
    return kind(**made)


def _made(hint: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, dict):
        return from_values(hint, value, name)
    if isinstance(value, list):
        inner = (get_args(hint) or (Any,))[0]
        return tuple(_made(inner, each, name) for each in value)
    return value


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return MISSING


def _mirrored(hint: Any, value: Any) -> tuple[Any, Any]:
    """The type and the field of a mirror."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        own = mirror(hint, given=None if value is MISSING else value)
        return own, dataclasses.field(default_factory=own)
    kept = _plain(value)
    if isinstance(kept, (list, dict)):
        return _mirrored_type(hint), dataclasses.field(default_factory=lambda: _plain(value))
    return _mirrored_type(hint), dataclasses.field(default=kept)


def _mirrored_type(hint: Any) -> Any:
    origin, inside = get_origin(hint), get_args(hint)
    if hint in _PLAIN:
        return hint
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return mirror(hint)
    if origin is Literal:
        return type(inside[0])
    if origin in (Union, types.UnionType) and len(inside) == 2 and type(None) in inside:
        (other,) = (each for each in inside if each is not type(None))
        return _mirrored_type(other) | None
    if origin is tuple:
        same = {each for each in inside if each is not Ellipsis}
        inner = _mirrored_type(inside[0]) if len(same) == 1 else Any
        return list[Any] if get_origin(inner) is list else list[inner]  # type: ignore[valid-type]
    if origin is not None and hasattr(origin, "keys"):
        return dict[str, Any]
    return Any


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return dict(value) if hasattr(value, "keys") else value
