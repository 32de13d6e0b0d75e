"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path

from aural.models import processors

_RUNTIMES = ("aural", "ctranslate2", "numpy", "onnxruntime", "rapidfuzz", "torch")


def describe_machine() -> dict[str, str]:
    """Processor, cores this process may use, memory, system, Python and the runtimes' versions."""
    facts = {
        "processor": _processor(),
        "cores": str(processors()),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    installed = {each.name.lower(): each.version for each in metadata.distributions()}
    return facts | {name: installed[name] for name in _RUNTIMES if name in installed}


def peak_memory() -> int:
    """The most bytes this process has held at once, since it started; 0 where not told."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _processor() -> str:
    try:
        found = re.search(
            r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text("utf-8"), re.M
        )
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or "not told"


def _memory() -> str:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return "not told"
    return f"{pages * size / 2**30:.1f} GiB"
