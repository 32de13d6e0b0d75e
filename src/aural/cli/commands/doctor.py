"""aural doctor: what this machine and this install can do, and what is wrong with them."""

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile

import click

from aural.cli.console import plain, write
from aural.errors import AuralError

CORE = ("numpy", "scipy", "soundfile", "soxr", "av", "onnxruntime", "tokenizers")
OPTIONAL = ("ctranslate2", "torch", "torchaudio", "torchcodec")
"""What aural can do without; a half-installed one breaks other software, so it is tried."""

CPU_FLAGS = ("avx", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "sve")
IMPORT_SECONDS = 120

DEFAULT = ("whisper/base", "silero/16k")
"""What `aural transcribe` needs when no model is named."""


@dataclass(frozen=True)
class Check:
    """One thing looked at: its name; ok, note or fail; what was found."""

    name: str
    status: str
    detail: str


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Check this install; exit code 1 when something aural needs is broken.

    Uses no network.
    """
    checks = [check for look in LOOKS for check in look()]
    if as_json:
        write(json.dumps([asdict(check) for check in checks], indent=2) + "\n")
    else:
        for check in checks:
            write(f"{check.status:<5} {check.name:<16} {plain(check.detail)}\n")
        write(f"\n{verdict(checks)}\n")
    ctx.exit(any(check.status == "fail" for check in checks))


def verdict(checks: Sequence[Check]) -> str:
    """What it comes to, in one line."""
    failed = ", ".join(check.name for check in checks if check.status == "fail")
    return f"To be mended: {failed}." if failed else "All that aural needs works."


def look_at_python() -> Iterator[Check]:
    """Python and the platform."""
    enough = sys.version_info >= (3, 11)
    detail = f"{platform.python_version()} on {platform.platform()}"
    yield Check("python", "ok" if enough else "fail", detail)


def look_at_libraries() -> Iterator[Check]:
    """The libraries the core stands on, imported here."""
    from importlib.metadata import version

    for name in CORE:
        try:
            import_module(name)
            yield Check(name, "ok", version(name))
        except (ImportError, OSError) as error:
            yield Check(name, "fail", f"{error}; type: pip install --force-reinstall aural")


def look_at_extras() -> Iterator[Check]:
    """Optional libraries, each imported by a child, which a broken one can't take down with us."""
    for name in OPTIONAL:
        if find_spec(name) is None:
            yield Check(name, "ok", "not installed, and not needed")
            continue
        code = f"import {name}; print({name}.__version__)"
        try:
            child = subprocess.run(  # noqa: S603 - our own interpreter and constants
                [sys.executable, "-c", code],
                capture_output=True,
                text=True,
                timeout=IMPORT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            yield Check(name, "note", f"its import took over {IMPORT_SECONDS} s")
            continue
        if child.returncode == 0:
            yield Check(name, "ok", child.stdout.strip())
        else:
            last = (child.stderr.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
            yield Check(name, "note", f"installed but broken, aural does not use it: {last}")


def look_at_processor() -> Iterator[Check]:
    """Cores that we may use, and the instructions that decide about speed."""
    from aural.models import processors

    found: set[str] = set()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        flags = (line for line in lines if line.startswith(("flags", "Features")))
        found = set(next(flags, "").split())
    known = [flag for flag in CPU_FLAGS if flag in found]
    detail = f"{platform.machine()}, {processors()} cores, {' '.join(known) or 'features unknown'}"
    yield Check("processor", "ok", detail)


def look_at_cuda() -> Iterator[Check]:
    """GPUs as CTranslate2, which Whisper runs on there, sees them."""
    try:
        import ctranslate2

        count = ctranslate2.get_cuda_device_count()
    except ModuleNotFoundError:
        yield Check("cuda", "ok", "not used; for a GPU type: pip install 'aural[cuda]'")
    except (ImportError, OSError, RuntimeError) as error:
        yield Check("cuda", "note", f"can't be asked: {error}")
    else:
        yield Check("cuda", "ok", f"{count} devices" if count else "none; the processor is used")


def look_at_cache() -> Iterator[Check]:
    """Where weights and corpora are kept, and whether we can write there."""
    from aural.store.location import cache_root

    cache = cache_root()
    there = next(path for path in (cache, *cache.parents) if path.exists())
    try:
        with TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free / 2**30
    except OSError as error:
        reason = error.strerror or str(error)
        hint = f"{cache} can't be written ({reason}); set AURAL_CACHE to a folder of yours"
        yield Check("cache", "fail", hint)
    else:
        yield Check("cache", "ok", f"{cache}, {free:.1f} GiB free")


def look_at_weights() -> Iterator[Check]:
    """Models whose weights are here (those run without a network), and what is not as it was."""
    from aural import models
    from aural.store.weights import cached, find_local, missing_files

    here, damaged = [], []
    try:
        for name in models.names():
            weights = models.find(name).weights
            if weights is None:
                continue
            if find_local(name, weights):
                here.append(name)
            elif not missing_files(cached(name), weights):
                damaged.append(name)
    except AuralError as error:
        yield Check("weights", "fail", str(error))
        return
    if here:
        yield Check("weights", "ok", f"{', '.join(here)} (these need no network)")
    for name in damaged:
        yield Check("weights", "note", f"{name} is damaged; the next run fetches it again")
    if lacking := " ".join(name for name in DEFAULT if name not in [*here, *damaged]):
        hint = f"the first run fetches what it lacks; or type: aural models fetch {lacking}"
        yield Check("weights", "note", hint)


def look_at_audio() -> Iterator[Check]:
    """The formats that are read."""
    from aural.audio.sniff import FORMATS

    yield Check("audio", "ok", " ".join(FORMATS))


LOOKS: tuple[Callable[[], Iterator[Check]], ...] = (
    look_at_python,
    look_at_libraries,
    look_at_extras,
    look_at_processor,
    look_at_cuda,
    look_at_cache,
    look_at_weights,
    look_at_audio,
)
