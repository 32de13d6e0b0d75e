"""aural detect-speech: where there is speech."""

from aural.cli.task_command import task_command

command = task_command("detect-speech", "aural.tasks.detect_speech", "detect_speech")
