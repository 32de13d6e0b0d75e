"""What a timed process prints: its time, its peak of memory, the text and versions it ran with.

Imported by the runners beside this file, in whatever environment they run: standard library only.
"""

import json
import re
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path


def report(transcribe: Callable[[str], str], warm_up: str, path: str, *packages: str) -> None:
    """Transcribe warm_up, then path; print one line of JSON. Seconds are of path alone."""
    transcribe(warm_up)
    start = time.perf_counter()
    text = transcribe(path)
    seconds = time.perf_counter() - start
    print(
        json.dumps(
            {
                "seconds": seconds,
                "peak_bytes": peak_bytes(),
                "versions": {name: metadata.version(name) for name in packages},
                "text": text,
            }
        )
    )


def peak_bytes() -> int:
    """The most memory this process has held: VmHWM, as ru_maxrss starts at its parent's peak."""
    status = Path("/proc/self/status").read_text("ascii")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.M)
    assert found, "Linux says VmHWM"
    return int(found[1]) * 1024
