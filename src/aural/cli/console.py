"""What people see: messages on stderr, results on stdout as UTF-8 whatever the locale."""

import sys
import unicodedata

import click

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
    """Put a result on stdout in UTF-8; an undecodable byte of a file name appears as \\udcXX."""
    sys.stdout.flush()
    click.echo(text.encode("utf-8", "backslashreplace"), nl=False)
