"""Run a command that ends when whoever asked for it ends, also by a kill that nothing can catch.

    python -m aural.store.tether COMMAND [ARGUMENT ...]

Standard input is the tether: the asker holds its other end, which the kernel closes with the
asker. The process must lead a group of its own, for the whole group is then killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def main() -> int:
    """The command's exit code; a signal that ended it counts as 128 and its number."""
    threading.Thread(target=_end_when_let_go, daemon=True).start()
    code = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, check=False).returncode  # noqa: S603
    return code if code >= 0 else 128 - code


def _end_when_let_go() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
