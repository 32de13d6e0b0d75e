"""Who watches while a recording is worked on: a bar that moves, text that appears when it is found.

    with watched(watcher):
        transcript = transcribe("talk.mp3")

It holds for what this thread does inside the `with` (a context variable), so that no task needs an
argument for it. A watcher is called at most once for each block decoded, of a second or less.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aural.types import Segment


class Watcher(Protocol):
    """What is told. An exception that it raises ends the work."""

    def read(self, seconds: float, total: float) -> None:
        """So many seconds of the recording are read, of a total that is stated or estimated."""
        ...

    def found(self, segment: Segment) -> None:
        """The next segment, as it will stand in the result."""
        ...


class _Nobody:
    def read(self, seconds: float, total: float) -> None:
        pass

    def found(self, segment: Segment) -> None:
        pass


_watcher: ContextVar[Watcher] = ContextVar("watcher", default=_Nobody())  # noqa: B039  (no state)


def watcher() -> Watcher:
    """Who watches now; it may be nobody, and may always be told."""
    return _watcher.get()


@contextmanager
def watched(by: Watcher) -> Iterator[None]:
    """Tell `by` of what is done inside the `with`."""
    token = _watcher.set(by)
    try:
        yield
    finally:
        _watcher.reset(token)
