"""What people see: messages on stderr, results on stdout as UTF-8 whatever the locale."""

import os
import sys
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import click

from aural.errors import AudioWarning, InputError

ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories (controls, formats, surrogates, separators) that could move the cursor,
hide text or break a line."""


def plain(text: str) -> str:
    """The text in one line, with control characters (in a hostile file name, say) escaped."""
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in ESCAPED
        else char
        for char in text
    )


def say(message: str) -> None:
    """One line on stderr, after the program's name."""
    click.echo(f"aural: {plain(message)}", err=True)


def write(text: str) -> None:
    """Put a result on stdout in UTF-8; an undecodable byte of a file name appears as \\udcXX.

    Raises InputError where it can't be written, and BrokenPipeError where nobody reads it.
    """
    try:
        sys.stdout.flush()
        click.echo(text.encode("utf-8", "backslashreplace"), nl=False)
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_stdout()
        raise InputError(f"can't write to standard output: {error.strerror}") from error


def drop_stdout() -> None:
    """Let what is left in stdout's buffer go nowhere: Python would try to write it at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def audio_warnings(tell: Callable[[str], None]) -> Iterator[None]:
    """Tell of each AudioWarning once, in place of Python's two lines; others stay as they were."""
    told: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", AudioWarning)
        before = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if not issubclass(category, AudioWarning):
                before(message, category, filename, lineno, file, line)
            elif str(message) not in told:
                told.add(str(message))
                tell(str(message))

        warnings.showwarning = show
        yield
