"""aural translate: what is said, in English."""

from aural.cli.task_command import task_command

command = task_command(
    "translate",
    "aural.tasks.transcribe",
    "transcribe",
    fixed={"task": "translate"},
    description="Write down in English what is said in a recording, with the times of segments.",
)
