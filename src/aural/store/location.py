"""Where things are kept, and the lock that lets two processes fetch at once.

The cache is `AURAL_CACHE`, else the platform's own (XDG_CACHE_HOME/aural). `AURAL_MODELS` names
further directories of weights, separated as in PATH, each holding family/variant/files; they are
read, never written.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aural.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator


def cache_root() -> Path:
    """The directory that everything fetched lives under; it need not exist yet."""
    override = os.environ.get("AURAL_CACHE")
    if override:
        return Path(override).expanduser().absolute()
    import platformdirs

    return platformdirs.user_cache_path("aural", appauthor=False)


def model_directories() -> tuple[Path, ...]:
    """The directories of AURAL_MODELS, in order."""
    listed = os.environ.get("AURAL_MODELS", "").split(os.pathsep)
    return tuple(Path(item).expanduser().absolute() for item in listed if item)


def is_offline(asked: bool) -> bool:
    """True when the caller asked for it or AURAL_OFFLINE is set to anything but 0, false or no."""
    return asked or os.environ.get("AURAL_OFFLINE", "").lower() not in {"", "0", "false", "no"}


def say(message: str) -> None:
    """One line on stderr: licences, waits, sources given up."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201


@contextlib.contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory that is being filled; a second process says so and waits.

    The lock is the kernel's (flock), so it ends with the process however that dies. The lock
    file stays: removing it would let two processes hold two different files of one name.
    """
    import fcntl

    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        handle = (directory.parent / f".{directory.name}.lock").open("w")
    except OSError as error:
        raise WeightsError(
            f"the cache can't be written ({error}); set AURAL_CACHE to a directory of your own"
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{directory.parent.name}/{directory.name}: waiting for another process")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
