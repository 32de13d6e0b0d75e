"""What every result says of itself: the machine, the versions, the date, the command."""

import datetime
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from aural.evaluate.machine import describe_machine

RESULTS = Path(__file__).parent / "results"


def about() -> dict[str, Any]:
    """command, date, machine, and load of the last minute."""
    return {
        "command": shlex.join(["scripts/bench", Path(sys.argv[0]).stem, *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": describe_machine(),
        "load": round(os.getloadavg()[0], 2),
    }


def write_result(result: dict[str, Any]) -> None:
    """Write results/NAME.json, NAME being the running script's: about(), and result's values."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(about() | result, indent=1, ensure_ascii=False)
    path = RESULTS / f"{Path(sys.argv[0]).stem}.json"
    path.write_text(text + "\n", encoding="utf-8")
