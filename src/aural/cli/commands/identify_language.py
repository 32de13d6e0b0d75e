"""aural identify-language: which language is spoken."""

from aural.cli.task_command import task_command

command = task_command("identify-language", "aural.tasks.identify_language", "identify_language")
