"""How far the work is: one line on stderr that is rewritten, on a terminal only."""

import os
import sys
import time
from dataclasses import dataclass, field
from datetime import timedelta

from aural.cli.console import plain

EVERY_SECONDS = 0.1
"""The line is rewritten no more often."""

HIDE = "\r\x1b[K"
SHOW = "\x1b[?7l{}\x1b[?7h"
"""A line that is cut off at the terminal's edge, however wide its letters are."""


def is_watched() -> bool:
    """Whether stderr is a terminal that can rewrite a line."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@dataclass
class Progress:
    """Files, seconds of the file at hand, and speed.

    Of a file so much counts as done as has been read; by_segment, as has been written down, and
    until the first segment comes the line says how much is read.
    """

    files: int
    by_segment: bool = False
    done: int = 0
    kept: int = 0
    earlier: float = 0.0
    source: str = ""
    seconds: float = 0.0
    heard: float = 0.0
    length: float = 0.0
    began: float = field(default_factory=time.monotonic)
    drawn: float = 0.0
    on: bool = field(default_factory=is_watched)

    def start(self, source: str) -> None:
        """The next file."""
        self.source = source
        self.seconds = self.heard = self.length = 0.0
        self.draw()

    def read(self, seconds: float, length: float) -> None:
        """So much of it is read."""
        self.heard, self.length = seconds, length
        if not self.by_segment:
            self.seconds = seconds
        self.refresh()

    def write(self, seconds: float) -> None:
        """What is said up to there is written down."""
        self.seconds = seconds
        self.refresh()

    def finish(self, seconds: float, *, kept: bool = False) -> None:
        """The file is done, or was before; it has so many seconds."""
        self.done += 1
        self.kept += kept
        self.earlier += seconds
        self.seconds = self.heard = self.length = 0.0

    def refresh(self) -> None:
        """Rewrite the line, unless it has only just been."""
        if self.on and time.monotonic() - self.drawn >= EVERY_SECONDS:
            self.draw()

    def draw(self) -> None:
        """Rewrite the line."""
        if self.on:
            self.drawn = time.monotonic()
            sys.stderr.write(HIDE + SHOW.format(self.line()))
            sys.stderr.flush()

    def clear(self) -> None:
        """Remove the line before something else is said."""
        if self.on:
            self.drawn = 0.0
            sys.stderr.write(HIDE)
            sys.stderr.flush()

    def line(self) -> str:
        """What is shown: `3/10 files, 1 kept, 43 % of 0:28:20, 61.5 x real time: talk.mp3`."""
        parts = [f"{self.done}/{self.files} files"] if self.files > 1 else []
        if self.kept:
            parts.append(f"{self.kept} kept")
        if self.length:
            share = f"{min(1.0, (self.seconds or self.heard) / self.length):.0%}"
            whole = timedelta(seconds=round(self.length))
            parts.append(f"{share} of {whole}" + ("" if self.seconds else " read"))
        if finished := self.earlier + self.seconds:
            speed = finished / max(time.monotonic() - self.began, 1e-3)
            parts.append(f"{speed:.1f} x real time")
        return ": ".join([*([", ".join(parts)] if parts else []), plain(self.source)])
