"""A task's parameters as click options, with the environment variables that set them."""

import math
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from aural.cli.config import SHARED, config_path
from aural.cli.signature import Kind, Parameter

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

METAVARS = {str: "TEXT", int: "INTEGER", float: "FLOAT", bool: "BOOLEAN"}
BOOLEANS = {"true": True, "false": False}


class Value(click.ParamType):
    """Reads one option's value from the command line, the environment or TOML.

    Several values are separated by commas (an array in TOML); "none" gives None where the task
    takes None.
    """

    name = "value"

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What stands for the value in the help."""
        names = [*map(str, self.kind.choices), *(METAVARS[base] for base in self.kind.bases)]
        shown = f"[{'|'.join(names)}]" if len(names) > 1 else names[0]
        return f"{shown},..." if self.kind.many else shown

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value as the task takes it; a usage error that says what is allowed."""
        if self.kind.optional and isinstance(value, str) and value.lower() == "none":
            return None
        if not self.kind.many:
            return self.scalar(value, param, ctx)
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            parts = [parts]
        found = tuple(self.scalar(part, param, ctx) for part in parts)
        return found[0] if self.kind.single and len(found) == 1 else found

    def scalar(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """One value: a choice, or the first of the bases that it can be."""
        text = value.strip() if isinstance(value, str) else value
        for choice in self.kind.choices:
            if str(choice) == str(text):
                return choice
        for base in self.kind.bases:
            made = to_base(text, base)
            if made is not None:
                return made
        listed = ", ".join(map(str, self.kind.choices))
        allowed = [*([f"one of {listed}"] if listed else []), *map(NOUNS.get, self.kind.bases)]
        return self.fail(f"{value!r} is not {' or '.join(map(str, allowed))}", param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """The choices that begin so."""
        from click.shell_completion import CompletionItem

        listed = map(str, self.kind.choices)
        return [CompletionItem(choice) for choice in listed if choice.startswith(incomplete)]


class ModelName(Value):
    """A family/variant; the shell is offered those there are."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """The models that begin so."""
        from click.shell_completion import CompletionItem

        from aural import models

        return [CompletionItem(name) for name in models.names() if name.startswith(incomplete)]


NOUNS = {str: "text", int: "a whole number", float: "a finite number", bool: "true or false"}


def to_base(value: Any, base: type) -> Any:
    """The value as str, int, float or bool, or None where it is not one."""
    if base is str:
        return value if isinstance(value, str) else None
    if base is bool:
        return value if isinstance(value, bool) else BOOLEANS.get(str(value).lower())
    if isinstance(value, bool):
        return None
    try:
        number = base(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number == float(value) else None


class TaskOption(click.Option):
    """An option whose complaint says where a wrong value came from."""

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """The value converted; a usage error names the environment variable or the file."""
        try:
            return super().process_value(ctx, value)
        except click.BadParameter as error:
            origin = origin_of(ctx, self)
            if not origin:
                raise
            message = f"{error.message} (from {origin})"
            raise click.BadParameter(message, ctx, self) from error


def origin_of(ctx: click.Context, option: click.Parameter) -> str:
    """The environment variable or the file an option's value came from; "" for neither."""
    source = ctx.get_parameter_source(option.name or "")
    if source is ParameterSource.ENVIRONMENT:
        return next(name for name in environment_names(ctx, option) if name_is_set(name))
    return str(config_path()) if source is ParameterSource.DEFAULT_MAP else ""


def environment_names(ctx: click.Context, option: click.Parameter) -> list[str]:
    """The variables that are asked for an option's value, the first that is set winning."""
    named = option.envvar if isinstance(option.envvar, list) else []
    automatic = f"{ctx.auto_envvar_prefix}_{option.name}".upper()
    return [*named, automatic]


def name_is_set(name: str) -> bool:
    """Whether the environment gives it a value (an empty one counts as none)."""
    return bool(os.environ.get(name))


def to_option(parameter: Parameter, command: str) -> click.Option:
    """The option of a task's parameter: --beam-size, a flag pair for a bool."""
    dashed = parameter.name.replace("_", "-")
    reader = ModelName if parameter.name == "model" else Value
    is_flag = parameter.kind.bases == (bool,) and not parameter.kind.many
    return TaskOption(
        [f"--{dashed}/--no-{dashed}" if is_flag else f"--{dashed}", parameter.name],
        type=bool if is_flag else reader(parameter.kind),
        default=parameter.default,
        help=parameter.help,
        show_default=parameter.default is not None,
        envvar=environment(parameter.name, command),
    )


def environment(name: str, command: str) -> list[str]:
    """AURAL_<COMMAND>_<OPTION>, then AURAL_<OPTION> where the option is shared."""
    prefix = command.replace("-", "_")
    names = [f"AURAL_{prefix}_{name}", *([f"AURAL_{name}"] if name in SHARED else [])]
    return [variable.upper() for variable in names]


def split_flag_values(arguments: list[str], flags: Iterable[str]) -> list[str]:
    """Whisper's `--word_timestamps True` as a flag, and False as its `--no-` form."""
    known = set(flags)
    made: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        made.append(argument)
        if argument == "--":
            made.extend(rest)
        elif argument in {"True", "False"} and len(made) > 1:
            name = made[-2].replace("_", "-")
            if name in known:
                made[-2:] = [name if argument == "True" else f"--no-{name[2:]}"]
    return made
