"""aural config: what each option is set to, and by what."""

import json
import os
from typing import Any

import click
from click.core import ParameterSource

from aural.cli.config import config_path
from aural.cli.console import plain, write
from aural.cli.option import origin_of
from aural.cli.task_command import TaskCommand

SOURCES = {
    ParameterSource.COMMANDLINE: "flag",
    ParameterSource.ENVIRONMENT: "environment",
    ParameterSource.DEFAULT_MAP: "file",
    ParameterSource.DEFAULT: "default",
}

Settings = dict[str, dict[str, Any]]


@click.group("config")
def command() -> None:
    """Show what options are set to, and by what.

    A flag wins over the environment (AURAL_TRANSCRIBE_BEAM_SIZE=1), which wins over the
    configuration file, which wins over the default.
    """


@command.command("path")
def path() -> None:
    """Print where the configuration file is looked for."""
    click.echo(os.fspath(config_path()))


@command.command(
    "show", context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]}
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("name", required=False, metavar="[COMMAND]")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS]...")
@click.pass_context
def show(ctx: click.Context, name: str | None, options: tuple[str, ...], as_json: bool) -> None:
    """Show each option's value and whether a flag, the environment, the file or the default set it.

    Without COMMAND, of every command. OPTIONS are taken as the command would take them.
    """
    root = ctx.find_root()
    group = root.command
    assert isinstance(group, click.Group)
    names = [name] if name else group.list_commands(root)
    made: dict[str, Settings] = {}
    for each in names:
        found = group.get_command(root, each)
        if isinstance(found, TaskCommand):
            made[each] = settings(found, root, each, list(options))
        elif name:
            raise click.UsageError(f"{name!r} is not a command with settings", ctx)
    if as_json:
        write(json.dumps({"file": str(config_path()), "commands": made}, indent=2) + "\n")
    else:
        write(listing(made))


def settings(found: click.Command, root: click.Context, name: str, options: list[str]) -> Settings:
    """Each option's value, its source, and the variable or file where that is one."""
    made: Settings = {}
    with found.make_context(name, options, parent=root) as ctx:
        for option in found.params:
            source = ctx.get_parameter_source(option.name or "")
            if isinstance(option, click.Option) and option.name and source:
                value = ctx.params.get(option.name)
                entry = {"value": value, "source": SOURCES[source]}
                origin = origin_of(ctx, option)
                made[option.name] = entry | ({"origin": origin} if origin else {})
    return json.loads(json.dumps(made, default=str))


def listing(made: dict[str, Settings]) -> str:
    """The settings as aligned lines under their commands' names."""
    file = config_path()
    rows = [f"# {plain(str(file))}{'' if file.exists() else ' (not there)'}"]
    for name, entries in made.items():
        rows += ["", f"[{name}]"]
        for option, entry in entries.items():
            value = plain(json.dumps(entry["value"], ensure_ascii=False))
            origin = plain(f" {entry['origin']}" if entry.get("origin") else "")
            rows.append(f"{option:<24} {value:<24} {entry['source']}{origin}")
    return "\n".join(rows) + "\n"
