"""Praat's TextGrid, long text format: interval tiers that cover the recording without a gap.

Format: https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html. Intervals of a tier
can't overlap and none is empty: they are made disjoint and at least 1 ms long.
"""

from collections.abc import Iterable

from aural.formats.layout import (
    Interval,
    Layout,
    disjoint,
    interval,
    lines,
    milliseconds,
    one_line,
    seconds,
    spoken,
)
from aural.types import Diarization, Span, SpeechActivity, Transcript

Tiers = dict[str, list[Interval]]


def write_textgrid(transcript: Transcript, _: Layout) -> str:
    """Tiers "segments" and, where there are words, "words"."""
    segments = spoken(transcript.segments)
    tiers = {"segments": settle((segment, segment.text) for segment in segments)}
    words = [word for segment in segments for word in segment.words if one_line(word.text)]
    if words:
        tiers["words"] = settle((word, word.text) for word in words)
    return grid(tiers, transcript.duration)


def write_speech_textgrid(activity: SpeechActivity, _: Layout) -> str:
    """A tier "speech"."""
    return grid({"speech": settle((span, "speech") for span in activity.spans)}, activity.duration)


def write_turns_textgrid(diarization: Diarization, _: Layout) -> str:
    """A tier a speaker, in order of first turn."""
    speakers = dict.fromkeys(turn.speaker for turn in diarization.turns)
    tiers = {
        speaker: settle((turn, speaker) for turn in diarization.turns if turn.speaker == speaker)
        for speaker in speakers
    }
    return grid(tiers, diarization.duration)


def settle(labelled: Iterable[tuple[Span, str]]) -> list[Interval]:
    """Disjoint intervals with clean labels."""
    return disjoint(interval(span, one_line(text)) for span, text in labelled)


def grid(tiers: Tiers, duration: float) -> str:
    """The file: each tier from 0 to the duration, or to the last end where that is later."""
    ends = [item.end for tier in tiers.values() for item in tier]
    end = max(milliseconds(duration), *ends, 1)
    rows = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {seconds(end)}",
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    ]
    for number, (name, tier) in enumerate(tiers.items(), start=1):
        rows += tier_lines(number, name, filled(tier, end), end)
    return lines(rows)


def filled(tier: list[Interval], end: int) -> list[Interval]:
    """The tier with unlabelled intervals in its gaps, from 0 to end."""
    made: list[Interval] = []
    cursor = 0
    for item in tier:
        if item.start > cursor:
            made.append(Interval(cursor, item.start))
        made.append(item)
        cursor = item.end
    if cursor < end:
        made.append(Interval(cursor, end))
    return made


def tier_lines(number: int, name: str, tier: list[Interval], end: int) -> list[str]:
    """One tier's lines."""
    rows = [
        f"    item [{number}]:",
        '        class = "IntervalTier"',
        f"        name = {quoted(name)}",
        "        xmin = 0",
        f"        xmax = {seconds(end)}",
        f"        intervals: size = {len(tier)}",
    ]
    for index, item in enumerate(tier, start=1):
        rows += [
            f"        intervals [{index}]:",
            f"            xmin = {seconds(item.start)}",
            f"            xmax = {seconds(item.end)}",
            f"            text = {quoted(item.label)}",
        ]
    return rows


def quoted(text: str) -> str:
    """A Praat string: a quotation mark inside is doubled."""
    return '"' + one_line(text).replace('"', '""') + '"'
