"""What every result says of itself: the machine, the versions, the date, the command."""

import datetime
import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aural.evaluate.machine import describe_machine

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"


def about() -> dict[str, Any]:
    """command, date, machine, and load of the last minute."""
    return {
        "command": command(sys.argv),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": describe_machine(),
        "load": round(os.getloadavg()[0], 2),
    }


def command(arguments: Iterable[str]) -> str:
    """What to type; a path out of this repository is PATH: it says nothing on another machine."""
    script, *given = arguments
    return shlex.join(["scripts/bench", Path(script).stem, *map(_portable, given)])


def _portable(argument: str) -> str:
    option, equals, value = argument.rpartition("=")
    if not Path(value).is_absolute():
        return argument
    root = HERE.parent
    path = Path(value).resolve()
    named = str(path.relative_to(root)) if path.is_relative_to(root) else "PATH"
    return f"{option}{equals}{named}"


def measured(
    now: Iterable[str], kept: Iterable[str], earlier: Mapping[str, Any]
) -> dict[str, dict[str, str]]:
    """The command and date that measured each part of a result: those of now, and those kept.

    earlier is the result that the kept parts come from; it has no "measured" where one run made it
    all, and then they have its own command and date.
    """
    its_own = {key: earlier[key] for key in ("command", "date") if key in earlier}
    known = earlier.get("measured", {})
    this = {key: str(value) for key, value in about().items() if key in ("command", "date")}
    return {part: known.get(part, its_own) for part in kept} | dict.fromkeys(now, this)


def measured_earlier(result: Mapping[str, Any]) -> str:
    """Markdown that names the parts of a result which another run than the last one measured."""
    last = (result["command"], result["date"])
    parts: dict[tuple[str, str], list[str]] = {}
    for part, run in result.get("measured", {}).items():
        origin = (run.get("command", ""), run.get("date", ""))
        if origin != last:
            parts.setdefault(origin, []).append(part)
    lines = [
        f"{', '.join(names)}: `{typed}`, {date}" if typed else f"{', '.join(names)}: not noted"
        for (typed, date), names in parts.items()
    ]
    return f"Measured by earlier commands: {'; '.join(lines)}." if lines else ""


def write_result(result: dict[str, Any], path: Path | None = None) -> None:
    """Write path, or results/NAME.json, NAME being the running script's: about(), and result's
    values."""
    path = path or RESULTS / f"{Path(sys.argv[0]).stem}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(about() | result, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
