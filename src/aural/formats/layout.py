"""What all formats share: the choices of a layout, times in whole milliseconds, clean text.

A writer is a pure function (result, Layout) -> str; the string ends in a line feed and holds
neither control characters nor lone surrogates, whatever the result's text held.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from aural.errors import InputError
from aural.types import Segment, Span

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
SURROGATE = re.compile(r"[\ud800-\udfff]")
UNSAFE_IN_NAME = re.compile(r"[\s%\x00-\x1f\x7f-\x9f\ud800-\udfff]|^;")


@dataclass(frozen=True)
class Layout:
    """How a result is laid out.

    recording names the recording in ctm, stm and rttm. The others are Whisper's, for srt and vtt:
    max_line_width in characters, max_line_count in lines a cue, max_words_per_line in words a
    line, highlight_words underlines each word while it is spoken. All but the width need words
    with times.
    """

    recording: str = "audio"
    max_line_width: int | None = None
    max_line_count: int | None = None
    max_words_per_line: int | None = None
    highlight_words: bool = False

    def __post_init__(self) -> None:
        for name in ("max_line_width", "max_line_count", "max_words_per_line"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, not {value}")

    @property
    def cuts_words(self) -> bool:
        """Whether cues are made of words, not of whole segments."""
        return bool(self.max_line_count or self.max_words_per_line or self.highlight_words)


@dataclass(frozen=True)
class Interval:
    """A labelled stretch, start and end in whole milliseconds."""

    start: int
    end: int
    label: str = ""


def milliseconds(seconds: float) -> int:
    """Seconds as whole milliseconds, none below zero."""
    return max(0, round(seconds * 1000))


def interval(span: Span, label: str = "") -> Interval:
    """The span in milliseconds; its end is not before its start."""
    start = milliseconds(span.start)
    return Interval(start, max(start, milliseconds(span.end)), label)


def disjoint(intervals: Iterable[Interval]) -> list[Interval]:
    """The same labels in order of start, none overlapping, each at least 1 ms long.

    An interval that runs into the next is cut there; where nothing would be left of it, it keeps
    1 ms and the next one starts later.
    """
    ordered = sorted(intervals, key=lambda item: item.start)
    settled: list[Interval] = []
    cursor = 0
    for index, item in enumerate(ordered):
        start = max(item.start, cursor)
        limit = ordered[index + 1].start if index + 1 < len(ordered) else item.end
        end = max(min(item.end, limit), start + 1)
        settled.append(replace(item, start=start, end=end))
        cursor = end
    return settled


def clock(ms: int, *, mark: str, hours: bool) -> str:
    """HH:MM:SS and mark and thousandths; without HH where hours is False and there are none."""
    seconds, thousandths = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    whole_hours, minutes = divmod(minutes, 60)
    front = f"{whole_hours:02d}:" if hours or whole_hours else ""
    return f"{front}{minutes:02d}:{seconds:02d}{mark}{thousandths:03d}"


def seconds(ms: int) -> str:
    """Milliseconds as seconds with three decimals."""
    return f"{ms // 1000}.{ms % 1000:03d}"


def clean(text: str) -> str:
    """The text without line breaks, controls or lone surrogates; its spaces are kept."""
    return SURROGATE.sub("\N{REPLACEMENT CHARACTER}", UNPRINTABLE.sub(" ", text))


def one_line(text: str) -> str:
    """Clean text without space at its ends."""
    return clean(text).strip()


def identifier(name: str) -> str:
    """The name as one field of a space-separated line: unsafe characters as %XX of their UTF-8."""

    def percent(match: re.Match[str]) -> str:
        return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))

    return UNSAFE_IN_NAME.sub(percent, name) or "audio"


def spoken(segments: Sequence[Segment]) -> list[Segment]:
    """The segments that have any text."""
    return [segment for segment in segments if one_line(segment.text)]


def require_words(segments: Sequence[Segment], wish: str) -> None:
    """Raise InputError where a segment with text has no words; wish says what needs them."""
    for segment in spoken(segments):
        if not segment.words:
            raise InputError(f"{wish} needs the times of words; turn on word timestamps")


def lines(rows: Iterable[str]) -> str:
    """The rows, each ended by a line feed."""
    return "".join(f"{row}\n" for row in rows)
