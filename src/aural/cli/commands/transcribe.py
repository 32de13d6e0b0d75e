"""aural transcribe: what is said, with times."""

from aural.cli.task_command import task_command

command = task_command("transcribe", "aural.tasks.transcribe", "transcribe")
