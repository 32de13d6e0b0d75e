"""`aural` with a command `echo` made of the stand-in task: the tests run it as a process."""

from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from aural.cli.main import cli, main
from aural.cli.task_command import TaskCommand, task_command

Run = Callable[..., Result]
TASK = Path(__file__).with_name("standin_task.py")


def echo_command() -> TaskCommand:
    return task_command("echo", "standin_task", "echo", path=TASK)


if __name__ == "__main__":
    cli.add_command(echo_command())
    main()
