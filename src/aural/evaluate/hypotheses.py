"""Hypotheses on disk: one JSON object an utterance, appended as it is recognised.

    {"id": "u1", "text": "what was heard", "language": "en", "duration": 2.5, "seconds": 0.3,
     "model": "whisper/base", "settings": "language=en", "error": ""}

Only id and text are needed, so another system's output can be scored too. A run that finds the
file does not recognise again what stands there: it is scored at once, or goes on where it stopped.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aural.data.utterance import Place, numbered_lines
from aural.errors import InputError
from aural.evaluate.scoring import Outcome

if TYPE_CHECKING:
    from pathlib import Path

_STRINGS = ("id", "text", "language", "model", "settings", "error")
_NUMBERS = ("duration", "seconds")


def read_hypotheses(path: Path) -> dict[str, Outcome]:
    """Outcomes by utterance id; empty where there is no file yet.

    A last line cut short, as a killed run leaves it, is passed over.

    Raises:
        ManifestError: a line is not such an object, or an id is given twice.
    """
    if not path.exists():
        return {}
    outcomes: dict[str, Outcome] = {}
    torn: Place | None = None
    for place, line in numbered_lines(path):
        if torn is not None:
            raise torn.error("not a JSON object with id and text")
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            torn = place
            continue
        outcome = _outcome(record, place)
        if outcome.id in outcomes:
            raise place.error(f"{outcome.id!r} was already given")
        outcomes[outcome.id] = outcome
    return outcomes


def append_hypothesis(path: Path, outcome: Outcome) -> None:
    """Add one outcome as a line of its own, whatever stands before it.

    Raises:
        InputError: the file can't be written.
    """
    line = json.dumps(asdict(outcome), ensure_ascii=False).encode("utf-8", "backslashreplace")
    try:
        with path.open("a+b") as stream:
            size = stream.seek(0, 2)
            if size:
                stream.seek(_whole_lines(stream, size))
                stream.truncate()
            stream.write(line + b"\n")
    except OSError as error:
        raise InputError(f"{path}: can't be written: {error.strerror}") from error


def _whole_lines(stream: Any, size: int) -> int:
    """Bytes up to and with the last line end: what follows it was cut short."""
    block = 1 << 16
    end = size
    while end > 0:
        start = max(0, end - block)
        stream.seek(start)
        found = stream.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _outcome(record: Any, place: Place) -> Outcome:
    if not isinstance(record, dict) or not {"id", "text"} <= record.keys():
        raise place.error("not a JSON object with id and text")
    strings = {name: record.get(name) or "" for name in _STRINGS}
    numbers = {name: record.get(name) or 0.0 for name in _NUMBERS}
    for name, value in strings.items():
        if not isinstance(value, str):
            raise place.error(f"{name} must be a string")
    for name, value in numbers.items():
        if type(value) not in (int, float) or not 0 <= value < math.inf:
            raise place.error(f"{name} must be seconds, 0 or more")
    return Outcome(
        id=strings["id"],
        text=strings["text"],
        language=strings["language"],
        duration=float(numbers["duration"]),
        seconds=float(numbers["seconds"]),
        model=strings["model"],
        settings=strings["settings"],
        error=strings["error"],
    )
