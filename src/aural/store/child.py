"""Run a fetching program under watch: given up when its source does not answer.

A source that refuses, hangs in name resolution, or accepts and never speaks looks the same from
here: a child without a sign of life. Signs are bytes on disk and the lines of output that say
something was reached; talk of retries is none. From its first sign (so that a slow start of the
program is not held against the source) it gets CONNECT_SECONDS to the next; once bytes have come
it may pause for STALL_SECONDS.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aural.errors import Unreachable, WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CONNECT_SECONDS = 3.0
START_SECONDS = 30.0
STALL_SECONDS = 60.0
KEPT_LINES = 400
SCAFFOLD_BYTES = 4096
"""What a client may write below its folder (locks, tags) before any source has answered."""


@dataclass(frozen=True)
class Expectation:
    """What a child is watched for.

    source and what are names for messages and the progress line; a line of output that begins with
    one of signs is a sign of life; expected bytes are to come below its folder, more than limit
    end it; start_seconds is its time to the first sign.
    """

    source: str
    what: str
    signs: tuple[str, ...]
    expected: int
    limit: int
    start_seconds: float = START_SECONDS


@dataclass
class _Output:
    """The child's lines, and when the last one came that begins with one of signs (0: never)."""

    signs: tuple[str, ...]
    lines: list[str] = field(default_factory=list)
    last: float = 0.0

    def read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                if line.lstrip().startswith(self.signs):
                    self.last = time.monotonic()
                self.lines.append(line.rstrip()[:500])
                del self.lines[:-KEPT_LINES]


def run_watched(
    command: Sequence[str],
    folder: Path,
    expectation: Expectation,
    *,
    environment: Mapping[str, str],
    inside: bool = False,
) -> list[str]:
    """Run command, which writes below folder, to its end; returns its last lines of output.

    inside runs it in folder (else relative paths of the user's own settings hold). Raises
    Unreachable when nothing answers in time, WeightsError when the program fails or the limit is
    passed; no child outlives the call, nor this process when it is killed.
    """
    process = subprocess.Popen(  # noqa: S603 - a fixed program, arguments from pinned names
        [sys.executable, "-P", "-m", "aural.store.tether", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=folder if inside else None,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(folder), **environment},
        start_new_session=True,
    )
    output = _Output(expectation.signs)
    reader = threading.Thread(target=output.read, args=(process,), daemon=True)
    reader.start()
    try:
        _watch(process, output, folder, expectation)
    finally:
        _end(process)
        assert process.stdin is not None
        process.stdin.close()
        reader.join(timeout=5)
        _progress("")
    if process.returncode != 0:
        raise WeightsError(f"{expectation.source}: {_reason(output.lines)}")
    return output.lines


def _watch(
    process: subprocess.Popen[str], output: _Output, folder: Path, expectation: Expectation
) -> None:
    started, before = time.monotonic(), _bytes_below(folder)
    seen, grown_at = before, 0.0
    while process.poll() is None:
        time.sleep(0.05)
        now, size = time.monotonic(), _bytes_below(folder)
        if size != seen and size - before > SCAFFOLD_BYTES:
            seen, grown_at = size, now
            come, expected = (size - before) / 1e6, expectation.expected / 1e6
            _progress(f"{expectation.what}: {come:.0f} of {expected:.0f} MB")
        if size - before > expectation.limit:
            limit = expectation.limit
            raise WeightsError(f"{expectation.source}: sends more than the {limit} bytes allowed")
        patience = CONNECT_SECONDS if output.last else expectation.start_seconds
        patience = STALL_SECONDS if grown_at else patience
        if now - max(started, output.last, grown_at) > patience:
            raise Unreachable(f"{expectation.source}: no answer within {patience:.0f} s")


def _end(process: subprocess.Popen[str]) -> None:
    """Kill the child and whatever it started; harmless when it has ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _bytes_below(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except FileNotFoundError:  # the child moves its own files about
                continue
    return total


def _reason(lines: Sequence[str]) -> str:
    """The line that tells why: the last one that speaks of an error, else the last one."""
    errors = [line for line in lines if "ERROR" in line or "Error" in line]
    spoken = errors or [line for line in lines if line.strip()]
    return spoken[-1].strip() if spoken else "failed without a word"


def _progress(text: str) -> None:
    """Replace the progress line, on a terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
