"""Options read from source are those of the function itself."""

import importlib
import inspect
from pathlib import Path

import click
import pytest
import standin_task
from standin_aural import TASK, echo_command

from aural.cli.main import COMMANDS, cli
from aural.cli.signature import Kind, read_docstring, read_signature
from aural.cli.task_command import TaskCommand


def task_commands() -> list[TaskCommand]:
    """The stand-in's command, and every command of aural that is made of a task."""
    context = click.Context(cli)
    found = [cli.get_command(context, name) for name in cli.list_commands(context)]
    return [echo_command(), *(made for made in found if isinstance(made, TaskCommand))]


@pytest.mark.parametrize("command", task_commands(), ids=lambda command: command.name)
def test_options_equal_the_function_signature(command: TaskCommand) -> None:
    task = command.task
    function = getattr(importlib.import_module(task.module), task.function)
    real = inspect.signature(function)
    keywords = {p.name: p for p in real.parameters.values() if p.kind is p.KEYWORD_ONLY}
    read = {parameter.name: parameter for parameter in task.signature.parameters}
    assert list(read) == list(keywords)
    assert {name: p.default for name, p in read.items()} == {
        name: p.default for name, p in keywords.items()
    }
    context = command.make_context(str(command.name), [])
    given = {name: context.params[name] for name in read if name not in task.fixed}
    assert {name: as_tuple(value) for name, value in given.items()} == {
        name: as_tuple(p.default) for name, p in keywords.items() if name not in task.fixed
    }
    returned = real.return_annotation
    assert getattr(returned, "__name__", returned) == task.result.__name__


def as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@pytest.mark.parametrize("command", task_commands(), ids=lambda command: command.name)
def test_no_option_is_given_twice(command: TaskCommand) -> None:
    names = [name for option in command.params for name in (*option.opts, *option.secondary_opts)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("command", task_commands(), ids=lambda command: command.name)
def test_every_option_has_help(command: TaskCommand) -> None:
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert all(option.help for option in options)


def test_every_file_of_commands_is_a_command() -> None:
    context = click.Context(cli)
    names = {path.stem.replace("_", "-") for path in COMMANDS.glob("[!_]*.py")}
    assert {"config", "doctor", "info", "completion"} <= names
    for name in names:
        command = cli.get_command(context, name)
        assert command is not None
        assert command.name == name


def test_kinds_are_read() -> None:
    kinds = {p.name: p.kind for p in read_signature(TASK, "echo").parameters}
    assert kinds["mode"] == Kind((), ("plain", "loud", "1"), single=True)
    assert kinds["language"] == Kind((str,), single=True, optional=True)
    assert kinds["temperature"] == Kind((float,), many=True, single=True)
    assert kinds["hotwords"] == Kind((str,), many=True)
    assert kinds["limits"] == Kind((int,), many=True, optional=True)
    assert kinds["channel"] == Kind((int, str), single=True)


def test_help_and_description_come_from_the_docstring() -> None:
    signature = read_signature(TASK, "echo")
    helps = {p.name: p.help for p in signature.parameters}
    assert helps["model"] == "Which echo: several lines of help."
    assert helps["beam_size"] == "Width of the beam."
    assert signature.description == (
        "Say what the file says.\n\nA second paragraph of the\ndescription."
    )
    assert signature.returns == "Transcript"
    assert standin_task.echo.__doc__ is not None


def test_a_docstring_without_sections_is_all_description() -> None:
    assert read_docstring("One.\n\nTwo.") == ("One.\n\nTwo.", {})


@pytest.mark.parametrize(
    ("options", "docs"),
    [
        ("x: int", "x: A number."),
        ("x=1", "x: A number."),
        ("x: int = 1", "y: Another."),
        ("x: dict[str, int] = {}", "x: A table."),
        ("x: 'Path | None' = None", "x: A path."),
        ("x: None = None", "x: Nothing."),
    ],
)
def test_a_task_that_can_not_be_a_command_is_refused(
    tmp_path: Path, options: str, docs: str
) -> None:
    path = tmp_path / "task.py"
    path.write_text(f'def f(s, *, {options}):\n    """Do.\n\n    Args:\n        {docs}\n    """\n')
    with pytest.raises(TypeError):
        read_signature(path, "f")


def test_a_function_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"standin_task.py has no function missing"):
        read_signature(TASK, "missing")
