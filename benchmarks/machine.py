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


def write_result(result: dict[str, Any]) -> None:
    """Write results/NAME.json, NAME being the running script's, with where it was measured.

    result holds plain values. Added are machine, load of the last minute, date, command.
    """
    name = Path(sys.argv[0]).stem
    about = {
        "command": shlex.join(["scripts/bench", name, *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": describe_machine(),
        "load": round(os.getloadavg()[0], 2),
    }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(about | result, indent=1, ensure_ascii=False)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
