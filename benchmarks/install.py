"""From a fresh clone to a transcript: time, disk, and whether a network is needed ever after.

    scripts/bench install            # about a minute
    scripts/bench install --tests    # and ./scripts/test in the clone

What is committed here is cloned into a new directory and run with a home and caches that are new
and empty, so that everything is made and fetched as on a machine that never saw aural; only pip
keeps the machine's own settings (PIP_* and the files in /etc), for without them it may reach no
index. The README's first command then runs three times: the first one installs and fetches, the
second finds all in place, the third has no network. What the tests took stays in
results/install.json until they are measured again.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from machine import RESULTS, about, write_result

from aural.metrics.wer import word_errors
from aural.text.normalise import normaliser

ROOT = Path(__file__).resolve().parents[1]
CLIP = "sense_and_sensibility_0870.flac"
RESULT = RESULTS / "install.json"
LARGEST_WER = 0.1
CUTS = (["unshare", "--net"], ["unshare", "--map-root-user", "--net"])
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
SILENT = "http://127.0.0.1:9"
"""The port of the discard service, on which next to no machine listens."""


def fresh(folder: Path) -> dict[str, str]:
    """An environment whose home and caches are empty directories below folder."""
    own = re.compile(r"AURAL_|HF_|PYTHON.|VIRTUAL_ENV|XDG_(CACHE|CONFIG|DATA|STATE)_HOME")
    kept = {name: value for name, value in os.environ.items() if not own.match(name)}
    places = {
        "HOME": "home",
        "XDG_CACHE_HOME": "cache",
        "AURAL_CACHE": "weights",
        "PIP_CACHE_DIR": "pip",
    }
    for name in places.values():
        (folder / name).mkdir()
    return kept | {variable: str(folder / name) for variable, name in places.items()}


def without_network() -> tuple[list[str], dict[str, str], str]:
    """What to put before a command, what to add to its environment, and the two in words."""
    for prefix in CUTS:
        if shutil.which(prefix[0]):
            done = subprocess.run([*prefix, "true"], check=False, stderr=subprocess.DEVNULL)
            if done.returncode == 0:
                return prefix, {}, f"`{' '.join(prefix)}`"
    names = [*PROXIES, *(name.upper() for name in PROXIES)]
    return [], dict.fromkeys(names, SILENT), "proxies that do not answer"


def transcribe(
    clone: Path, environment: Mapping[str, str], prefix: Sequence[str] = ()
) -> dict[str, Any]:
    """The README's command in the clone: seconds, the exit code, errors and words."""
    command = [*prefix, "./scripts/aural", "transcribe", f"examples/{CLIP}"]
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=clone, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    seconds = time.perf_counter() - start
    normalise = normaliser("whisper-english")
    counts = word_errors(normalise(reference(clone)), normalise(done.stdout))
    found = {"exit_code": done.returncode, "errors": counts.errors, "words": counts.reference}
    print(f"{' '.join(command)}: {seconds:.1f} s, {found}", file=sys.stderr, flush=True)
    return {"seconds": round(seconds, 2), **found}


def reference(clone: Path) -> str:
    """What is said in the clip."""
    lines = (clone / "examples" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return next(e["text"] for e in map(json.loads, lines) if e["audio_filepath"] == CLIP)


def worked(run: Mapping[str, Any]) -> bool:
    """Whether a run ended well and wrote what is said."""
    return run["exit_code"] == 0 and run["errors"] <= LARGEST_WER * run["words"]


def disk(folder: Path) -> int:
    """Bytes that a directory takes, as du counts them."""
    done = subprocess.run(["du", "-sk", folder], check=True, stdout=subprocess.PIPE, text=True)
    return int(done.stdout.split()[0]) * 1024


def has_torch(clone: Path) -> bool:
    """Whether the clone's environment can import torch."""
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
    return subprocess.run([clone / ".venv/bin/python", "-c", code], check=False).returncode == 0


def tests(clone: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """scripts/test in the clone: seconds with its installing, the exit code, counts, disk."""
    start = time.perf_counter()
    done = subprocess.run(
        ["./scripts/test"],
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        print(done.stdout[-10_000:], file=sys.stderr)
    origin = {key: value for key, value in about().items() if key in ("command", "date")}
    return {
        **origin,
        "seconds": round(seconds),
        "exit_code": done.returncode,
        "counts": counts_of(done.stdout),
        "venv_bytes": disk(clone / ".venv"),
    }


def counts_of(output: str) -> dict[str, int]:
    """passed, failed, skipped ... of pytest's last line; empty where it has none."""
    last = output.rstrip().rpartition("\n")[2]
    if not re.search(r" in [\d.]+s\b", last):
        return {}
    return {name: int(number) for number, name in re.findall(r"(\d+) ([a-z]+)", last)}


def measure(folder: Path, with_tests: bool) -> dict[str, Any]:
    """Everything, below an empty folder; SystemExit where the first command gives no transcript."""
    clone = folder / "aural"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    environment = fresh(folder)
    runs = {}
    for name in ("first", "second"):
        runs[name] = transcribe(clone, environment)
        if not worked(runs[name]):
            raise SystemExit(f"the {name} run failed: {runs[name]}")
    prefix, added, cut = without_network()
    runs["offline"] = transcribe(clone, environment | added, prefix)
    result: dict[str, Any] = {
        "clip": CLIP,
        "runs": runs,
        "cut": cut,
        "venv_bytes": disk(clone / ".venv"),
        "weights_bytes": disk(folder / "weights"),
        "torch": has_torch(clone),
    }
    if with_tests:
        result["tests"] = tests(clone, environment)
    return result


def page(result: Mapping[str, Any]) -> str:
    """The benchmark's part of docs/results."""
    runs = result["runs"]
    whats = {
        "first": "nothing cached: makes `.venv`, fetches the weights",
        "second": "all in place",
        "offline": f"the same without a network ({result['cut']})",
    }
    rows = [
        f"| {what} | {runs[name]['seconds']:.1f} | {'yes' if worked(runs[name]) else '**no**'} "
        f"| {runs[name]['errors']} of {runs[name]['words']} |"
        for name, what in whats.items()
    ]
    parts = [
        f"`./scripts/aural transcribe examples/{result['clip']}` in a fresh clone with an empty "
        "home and empty caches, once each. The first run fetches and installs every package and "
        "fetches the weights: its time hangs on where this machine's pip fetches from.",
        "\n".join(["| run | seconds | worked | wrong words |", "|---|---|---|---|", *rows]),
        f"On disk (`du`): `.venv` {result['venv_bytes'] / 1e6:.0f} MB, "
        f"{'with' if result['torch'] else 'without'} torch; weights "
        f"{result['weights_bytes'] / 1e6:.0f} MB.",
    ]
    if tested := result.get("tests"):
        counts = ", ".join(f"{number} {name}" for name, number in tested["counts"].items())
        ended = "well" if tested["exit_code"] == 0 else f"**with exit code {tested['exit_code']}**"
        parts.append(
            f"`./scripts/test` there, its installing with it: {tested['seconds'] / 60:.0f} min, "
            f"{counts}, ended {ended}; `.venv`, then with torch and the peers the tests compare "
            f"with, {tested['venv_bytes'] / 1e6:.0f} MB (`{tested['command']}`, {tested['date']})."
        )
    return "\n\n".join(parts)


def main() -> None:
    """Print and write results/install.json."""
    parser = argparse.ArgumentParser(description="from a fresh clone to a transcript")
    parser.add_argument("--tests", action="store_true", help="run scripts/test there too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aural-install-") as folder:
        result = measure(Path(folder), given.tests)
    if RESULT.is_file() and "tests" not in result:
        earlier = json.loads(RESULT.read_text(encoding="utf-8"))
        result |= {key: earlier[key] for key in ("tests",) if key in earlier}
    write_result(result)
    print(page(result))


if __name__ == "__main__":
    main()
