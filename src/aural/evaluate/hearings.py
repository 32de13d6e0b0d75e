"""What a way to listen made of single utterances, kept on disk as it comes.

A file of hypotheses (hypotheses.py) whose lines say more: when each word was shown and became
final, what was taken back, and what the same chunks give at once. A setting has a file of its own;
weights of one's own that are trained anew are another setting.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from aural import models
from aural.data.utterance import numbered_lines
from aural.errors import InputError
from aural.evaluate.hypotheses import read_hypotheses
from aural.evaluate.scoring import Outcome
from aural.tasks.listen import HeardWord
from aural.types import Word

if TYPE_CHECKING:
    from pathlib import Path

    from aural.evaluate.latency import Setting
    from aural.tasks.listen import Listening


@dataclass(frozen=True)
class Hearing(Outcome):
    """An Outcome, its seconds those of computing; and of each final word start, end, shown, final,
    shown and final by the clock, in seconds to the millisecond.

    rewrites: shown words taken back or replaced. simulated: the text that the same chunks give at
    once; None where that was not asked.
    """

    times: tuple[tuple[float, ...], ...] = ()
    rewrites: int = 0
    simulated: str | None = None

    @property
    def words(self) -> tuple[HeardWord, ...]:
        """The final words' times; what they are is in text."""
        return tuple(HeardWord(Word(each[0], each[1], ""), *each[2:]) for each in self.times)

    @property
    def computed(self) -> float:
        """Seconds of computing."""
        return self.seconds

    def filled(self, listening: Listening, simulated: str | None) -> Hearing:
        """With what a listening found."""
        times = tuple(
            tuple(
                round(float(seconds), 3)
                for seconds in (
                    each.word.start, each.word.end,
                    each.shown, each.final, each.shown_clock, each.final_clock,
                )
            )
            for each in listening.words
        )  # fmt: skip
        return replace(
            self,
            text=listening.text,
            duration=round(listening.duration, 6),
            seconds=round(listening.computed, 6),
            times=times,
            rewrites=listening.rewrites,
            simulated=simulated,
        )


def identity(setting: Setting) -> str:
    """All that decides what is heard, the model's name and pinned weights aside."""
    told = ", ".join(
        f"{each} {value}"
        for each, value in asdict(setting).items()
        if each != "model" and value is not None
    )
    directory = models.find(setting.model).directory if "@" in setting.model else None
    return f"{told}, files {_fingerprint(directory)}" if directory is not None else told


def kept_file(folder: Path, setting: Setting) -> Path:
    """Where a setting's hearings are kept; the folder is made, InputError where it can't be."""
    name = re.sub(r"[^\w.-]+", "-", setting.name).strip("-.")[-100:]
    mark = zlib.crc32(f"{setting.model}\n{identity(setting)}".encode("utf-8", "backslashreplace"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: no folder to keep hypotheses in: {error.strerror}") from error
    return folder / f"{name}-{mark:08x}.jsonl"


def read_hearings(path: Path) -> dict[str, Hearing]:
    """Hearings by utterance id; empty where there is no file yet.

    Raises:
        ManifestError: as read_hypotheses, and where a line is no hearing.
    """
    outcomes, found = read_hypotheses(path), {}
    for place, line in numbered_lines(path) if outcomes else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue  # the last line, cut short: read_hypotheses refuses any other
        hearing = _hearing(record, outcomes[record["id"]])
        if hearing is None:
            raise place.error("no hearing; keep those of other runs in another folder")
        found[hearing.id] = hearing
    return found


def _hearing(record: dict[str, Any], outcome: Outcome) -> Hearing | None:
    times, rewrites, simulated = (record.get(name) for name in ("times", "rewrites", "simulated"))
    if not isinstance(times, list) or type(rewrites) is not int:
        return None
    rows = [each for each in times if isinstance(each, list) and len(each) == 6]
    numbers = all(type(value) in (int, float) for row in rows for value in row)
    if len(rows) < len(times) or not numbers or not isinstance(simulated, str | None):
        return None
    plain = {each.name: getattr(outcome, each.name) for each in fields(Outcome)}
    return Hearing(
        **plain,
        times=tuple(tuple(map(float, row)) for row in rows),
        rewrites=rewrites,
        simulated=simulated,
    )


def _fingerprint(directory: Path) -> str:
    """Names, sizes and times of change of a directory's files."""
    marks = [
        f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}"
        for path in sorted(directory.iterdir())
        if path.is_file()
    ]
    return hashlib.sha256("\n".join(marks).encode("utf-8", "backslashreplace")).hexdigest()[:12]
