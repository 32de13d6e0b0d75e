"""What `aural plot` draws from: a stretch of a recording, results as JSON, arrays, tables, lists.

Every file is read within bounds, and one that is not what it should be is an InputError that names
it. Nothing is unpickled.
"""

from __future__ import annotations

import csv
import io
import json
import math
import stat
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

from aural.errors import InputError, MissingExtra
from aural.types import (
    Audio,
    Diarization,
    Embedding,
    Segment,
    Span,
    SpeechActivity,
    Transcript,
    Turn,
    Word,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from aural.plot import Series, Trials

MOST_SECONDS = 60.0
"""What is shown of a recording where nobody says how much."""
MAX_TEXT_BYTES = 64 << 20
MAX_ARRAY_BYTES = 4 << 30
MAX_ROWS = 1_000_001
MAX_TIME = 1e9
"""Seconds; no recording is so long."""
TARGETS = {"1": True, "true": True, "target": True, "0": False, "false": False, "nontarget": False}


@dataclass(frozen=True)
class Stretch:
    """Part of a recording: from start on, duration seconds (None: the rest, up to MOST_SECONDS)."""

    source: str
    start: float = 0.0
    duration: float | None = None
    channel: str = "mix"

    @property
    def name(self) -> str:
        """For a title: the file's name."""
        return "standard input" if self.source == "-" else Path(self.source).name

    def audio(self, tell: Callable[[str], None], *, sample_rate: int | None = None) -> Audio:
        """Its samples, decoded no further than they reach; tell is told what is left out.

        Raises InputError where nothing is there, for a start or duration that is none, and for
        more seconds than a picture shows; what is refused is not decoded.
        """
        import numpy as np

        from aural.audio.stream import Limits, open_signal, resampled
        from aural.plot.signal import MAX_SECONDS

        if not 0 <= self.start <= MAX_TIME:
            raise InputError(f"start is {self.start:g}; give 0 to {MAX_TIME:g} seconds")
        length = MOST_SECONDS if self.duration is None else self.duration
        if not 0 < length <= MAX_SECONDS:
            raise InputError(
                f"duration is {length:g}; give more than 0, at most {MAX_SECONDS:g} seconds"
            )
        with open_signal(self.source, self.channel, Limits()) as signal:
            rate = signal.sample_rate if sample_rate is None else sample_rate
            first = round(self.start * rate)
            last = first + max(1, round(length * rate))
            kept, seen = [], 0
            for block in resampled(signal, rate):
                kept.append(block[..., max(0, first - seen) : max(0, last - seen)].copy())
                seen += block.shape[-1]
                if seen > last:
                    break
        samples = np.concatenate(kept, axis=-1)
        if samples.size == 0:
            raise InputError(
                f"{self.name}: nothing at {self.start:g} s, it lasts {seen / rate:.2f} s"
            )
        if self.duration is None and seen > last:
            tell(
                f"{self.name} is longer: {MOST_SECONDS:g} s from {self.start:g} s on are shown; "
                "--start and --duration choose others"
            )
        return Audio(samples, rate)


def read_text(path: Path) -> str:
    """A UTF-8 text file of at most MAX_TEXT_BYTES."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from error
    if len(content) > MAX_TEXT_BYTES:
        raise InputError(f"{path}: more than {MAX_TEXT_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object."""
    try:
        found = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not JSON: {_short(error)}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: no JSON object")
    return found


def _short(error: object) -> str:
    """What is wrong, without all of a file that may be quoted in it."""
    from aural.plot.canvas import label

    return label(" ".join(str(error).split()), 120)


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without their ends; a last empty one is none."""
    return read_text(path).removesuffix("\n").split("\n")


def read_found(path: Path) -> Transcript | SpeechActivity | Diarization:
    """What `--output-format json` wrote of a transcript, of speech or of turns."""
    record = read_json(path)
    try:
        duration = float(record["duration"])
        if not 0 <= duration <= MAX_TIME:
            raise ValueError(f"duration {duration:g} s")
        if "segments" in record:
            segments = tuple(map(_segment, record["segments"]))
            return Transcript(segments, str(record.get("language", "")), 1.0, duration)
        if "speech" in record:
            return SpeechActivity(tuple(Span(*_times(each)) for each in record["speech"]), duration)
        turns = (Turn(*_times(each), str(each["speaker"])) for each in record["turns"])
        return Diarization(tuple(turns), duration)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{path}: not what `--output-format json` writes of words, speech or turns "
            f"({_short(repr(error))})"
        ) from error


def _segment(record: dict[str, Any]) -> Segment:
    words = (Word(*_times(each), str(each["word"])) for each in record.get("words", ()))
    return Segment(*_times(record), str(record["text"]), tuple(words))


def _times(record: dict[str, Any]) -> tuple[float, float]:
    start, end = float(record["start"]), float(record["end"])
    if not 0 <= start <= end <= MAX_TIME:
        raise ValueError(f"{start:g} to {end:g} s")
    return start, end


_DAMAGED = (
    ValueError,
    EOFError,
    SyntaxError,
    MemoryError,
    OverflowError,
    TypeError,
    AttributeError,
    RecursionError,
    TokenError,
)
"""What NumPy raises for a header that is none, and for a type it does not have."""


def read_array(path: Path) -> np.ndarray:
    """The numbers of a .npy file, or of a .safetensors file: its "vectors", or its only tensor."""
    import numpy as np

    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise InputError(f"{path}: no regular file; give a .npy or .safetensors file")
        if about.st_size > MAX_ARRAY_BYTES:
            raise InputError(f"{path}: more than {MAX_ARRAY_BYTES} bytes")
        if path.suffix == ".safetensors":
            return _tensor(path)
        if path.suffix != ".npy":
            raise InputError(f"{path}: give a .npy or .safetensors file")
        return np.lib.format.open_memmap(path, mode="r")
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from error
    except _DAMAGED as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not numbers that can be read ({_short(error)})") from error


def _tensor(path: Path) -> np.ndarray:
    safetensors = _safetensors()
    try:
        with safetensors.safe_open(path, "numpy") as file:
            names = list(file.keys())
            name = "vectors" if "vectors" in names else names[0] if len(names) == 1 else None
            if name is None:
                raise InputError(f'{path}: it holds {len(names)} tensors and no "vectors"')
            return file.get_tensor(name)
    except (safetensors.SafetensorError, TypeError) as error:
        raise InputError(f"{path}: not numbers that can be read ({_short(error)})") from error


def _safetensors() -> Any:
    try:
        import safetensors
    except ImportError as error:
        raise MissingExtra("torch", "safetensors") from error
    return safetensors


def read_embedding(path: Path, frame_rate: float | None) -> Embedding:
    """What `aural embed` wrote; a .npy file does not hold its frame_rate (None: 50 Hz)."""
    from aural.plot.matrix import check_frame_rate

    vectors = read_array(path)
    about: dict[str, str] = {}
    if path.suffix == ".safetensors":
        with _safetensors().safe_open(path, "numpy") as file:
            about = file.metadata() or {}
    try:
        rate = float(about.get("frame_rate", 50.0)) if frame_rate is None else frame_rate
        layer = int(about.get("layer", 0))
    except ValueError as error:
        raise InputError(f"{path}: its metadata are not those of `aural embed`") from error
    check_frame_rate(rate)
    return Embedding(
        vectors, rate, about.get("model", ""), layer, len(vectors) / rate if vectors.ndim else 0, 0
    )


def read_rows(path: Path) -> list[list[str]]:
    """The rows of a CSV file, at most MAX_ROWS, empty ones left out."""
    try:
        lines = filter(None, csv.reader(io.StringIO(read_text(path))))
        rows = list(islice(lines, MAX_ROWS + 1))
    except csv.Error as error:
        raise InputError(f"{path}: not CSV: {error}") from error
    if not rows:
        raise InputError(f"{path}: no row in it")
    if len(rows) > MAX_ROWS:
        raise InputError(f"{path}: more than {MAX_ROWS - 1} rows; take a sample of them")
    return [[cell.strip() for cell in row] for row in rows]


def read_trials(path: Path) -> Trials:
    """Scores and labels: rows of score,label, under that header or none.

    A label is 1, true or target, or else 0, false or nontarget.
    """
    import numpy as np

    from aural.plot import Trials

    rows = read_rows(path)
    scores, targets = [], []
    for number, row in enumerate(rows[rows[0] == ["score", "label"] :], start=1):
        try:
            score, name = row
            scores.append(float(score))
            targets.append(TARGETS[name.lower()])
        except (ValueError, KeyError) as error:
            raise InputError(
                f"{path}: row {number} is {','.join(row)[:60]!r}; "
                f"give score,label with a label of {', '.join(TARGETS)}"
            ) from error
    return Trials(path.stem, np.array(scores), np.array(targets, bool))


def read_confusion(path: Path) -> tuple[np.ndarray, list[str]]:
    """Counts (class, class) and the classes' names.

    JSON: {"labels": [...], "counts": [[...], ...]}. CSV: a row reference,predicted for each
    decision under that header; or a table whose first row and column name the classes.
    """
    import numpy as np

    if path.suffix == ".json":
        record = read_json(path)
        labels, counts = record.get("labels"), record.get("counts")
    else:
        rows = read_rows(path)
        if rows[0] == ["reference", "predicted"]:
            return _tallied(path, rows[1:])
        labels, counts = rows[0][1:], [row[1:] for row in rows[1:]]
        if [row[0] for row in rows[1:]] != labels:
            raise InputError(f"{path}: its first row and column must name the same classes")
    try:
        numbers = [[float(cell) for cell in row] for row in counts or ()]
        return np.array(numbers, float), [str(name) for name in labels or ()]
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: no table of counts ({_short(error)})") from error


def _tallied(path: Path, pairs: Sequence[Sequence[str]]) -> tuple[np.ndarray, list[str]]:
    import numpy as np

    if any(len(pair) != 2 for pair in pairs) or not pairs:
        raise InputError(f"{path}: give rows of reference,predicted")
    labels = sorted({name for pair in pairs for name in pair})
    if len(labels) > 1000:
        raise InputError(f"{path}: {len(labels)} classes; one picture holds 1000 at most")
    place = {name: index for index, name in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)))
    for reference, predicted in pairs:
        counts[place[reference], place[predicted]] += 1
    return counts, labels


@dataclass(frozen=True)
class Curve:
    """A line of errors, and the x at which they are twice those without the distortion; None also
    where they are so from the first x on."""

    series: Series
    doubling: float | None


@dataclass(frozen=True)
class Curves:
    """Lines along one axis, and how it is called; falling: it is read from its largest value."""

    curves: tuple[Curve, ...]
    x_label: str
    y_label: str
    falling: bool


def read_curves(path: Path, axis: str | None) -> Curves:
    """The curves of a sweep along an axis; None: along the axis of the first."""
    from aural.evaluate.sweep import AXES
    from aural.evaluate.sweep_plot import LABELS

    record = read_json(path)
    if record.get("kind") != "aural.evaluate.sweep":
        raise InputError(f"{path}: no sweep that `aural evaluate --report FILE` wrote")
    try:
        curves = record["curves"]
        axes = tuple(dict.fromkeys(str(curve["axis"]) for curve in curves))
        if not axes:
            raise InputError(f"{path}: there is no curve in it: sweep two values or more")
        chosen = axes[0] if axis is None else axis
        if chosen not in axes or chosen not in AXES:
            known = ", ".join(each for each in axes if each in AXES) or "none that can be drawn"
            raise InputError(f"{path}: no curve along {chosen[:40]!r}; its axes are {known}")
        metric = "word error rate" if record["metric"] == "WER" else str(record["metric"])
        made = tuple(_curve(curve) for curve in curves if curve["axis"] == chosen)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: a damaged sweep ({_short(repr(error))})") from error
    falling = chosen not in {"rt60", "distance"}
    return Curves(made, f"{LABELS[chosen]} ({AXES[chosen]})", f"{metric} (%)", falling)


def _curve(record: dict[str, Any]) -> Curve:
    from aural.plot import Series

    errors, doubling = record["errors"], record["doubling"]
    series = Series(
        str(record["name"]),
        tuple(map(float, record["values"])),
        tuple(float(each["value"]) for each in errors),
        tuple(_bound(each["low"], -math.inf) for each in errors),
        tuple(_bound(each["high"], math.inf) for each in errors),
    )
    at = None if doubling is None or doubling["value"] is None else float(doubling["value"])
    return Curve(series, at)


def _bound(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else float(value)
