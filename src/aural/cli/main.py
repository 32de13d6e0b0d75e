"""The `aural` command: finds its commands, reads the settings, turns errors into exit codes."""

import os
import re
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

from aural.cli import exits
from aural.cli.config import default_map
from aural.cli.console import audio_warnings, drop_stdout, say
from aural.errors import AuralError

COMMANDS = Path(__file__).with_name("commands")


class CommandLine(click.Group):
    """A group whose commands are the files of cli/commands; each exposes `command`.

    A file is imported when its command is asked for; `aural --help` imports them all, so they
    import nothing heavy at their top.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the files, underscore as dash, and of what was added by hand."""
        found = (path.stem.replace("_", "-") for path in COMMANDS.glob("[!_]*.py"))
        return sorted({*found, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        added = super().get_command(ctx, cmd_name)
        if added is not None or cmd_name not in self.list_commands(ctx):
            return added
        module = import_module(f"aural.cli.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        command.name = cmd_name
        command.short_help = command.short_help or first_sentence(command.help or "")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant; a usage error names those that look like it."""
        name = args[0].replace("_", "-")
        known = self.list_commands(ctx)
        if name not in known and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = " or ".join(get_close_matches(name, known)) or "one that `aural --help` lists"
            raise click.UsageError(f"no such command {args[0]!r}; did you mean {near}?", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an AuralError becomes one line on stderr and its exit code."""
        try:
            with audio_warnings(say):
                return super().invoke(ctx)
        except AuralError as error:
            if os.environ.get("AURAL_DEBUG"):
                raise
            say(str(error))
            ctx.exit(error.exit_code)
        except BrokenPipeError:
            leave_broken_pipe()


def first_sentence(text: str) -> str:
    """What stands before the first full stop, in one line."""
    return re.split(r"\.(?:\s|$)", " ".join(text.split()), maxsplit=1)[0]


def print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print `aural VERSION` and stop."""
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import version

    click.echo(f"aural {version('aural')}")
    ctx.exit()


@click.group(
    cls=CommandLine,
    context_settings={
        "auto_envvar_prefix": "AURAL",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        # Whisper writes --beam_size: the underscore is taken everywhere for the dash.
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    allow_from_autoenv=False,
    callback=print_version,
    help="Print the version and stop.",
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Turn sound into meaning.

    Results go to stdout, messages to stderr. An option is taken from the command line, else from
    the environment (AURAL_TRANSCRIBE_BEAM_SIZE), else from the configuration file, else its
    default: `aural config show`.
    """
    ctx.default_map = default_map(cli.list_commands(ctx))


def leave_broken_pipe() -> NoReturn:
    """Leave without a word: who read our output has gone, so nothing more can be flushed to it."""
    drop_stdout()
    sys.exit(exits.BROKEN_PIPE)


def open_missing() -> None:
    """Put /dev/null where whoever started us closed a standard stream: Python has None there."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code. Shows no traceback unless AURAL_DEBUG is set."""
    try:
        answer = cli.main(arguments, prog_name="aural", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        return exits.INTERRUPTED
    except BrokenPipeError:
        leave_broken_pipe()
    except OSError as error:
        if os.environ.get("AURAL_DEBUG"):
            raise
        drop_stdout()
        say(f"the system refused: {error}")
        return exits.INPUT
    except Exception as error:
        if os.environ.get("AURAL_DEBUG"):
            raise
        say(f"bug: {type(error).__name__}: {error}; AURAL_DEBUG=1 shows where")
        return exits.BUG
    return answer if isinstance(answer, int) else 0


def main() -> NoReturn:
    """The installed command."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(exits.TERMINATED))
    open_missing()
    try:
        code = run()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else exits.INPUT
    if code in (exits.INTERRUPTED, exits.TERMINATED):
        sys.stderr.flush()
        os._exit(code)  # a batch being decoded in another thread is not waited for
    sys.exit(code)
