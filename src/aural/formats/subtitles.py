"""Subtitles: SubRip (srt) and WebVTT (https://www.w3.org/TR/webvtt1/).

Neither format lets cues of one speaker overlap nicely in players, so cues are made disjoint and
at least 1 ms long. SubRip has no way to write "-->" inside a text: it becomes "->".
"""

import re
from collections.abc import Callable, Iterator, Sequence

from aural.formats.layout import (
    Interval,
    Layout,
    clean,
    clock,
    disjoint,
    interval,
    one_line,
    require_words,
    spoken,
)
from aural.types import Segment, Transcript, Word

ARROW = re.compile(r"-{2,}>")

Escape = Callable[[str], str]
Line = list[Word]


def write_srt(transcript: Transcript, layout: Layout = Layout()) -> str:  # noqa: B008 - frozen
    """Numbered cues, HH:MM:SS,mmm; a known speaker stands before the text as "[name]: "."""

    def escape(text: str) -> str:
        return ARROW.sub("->", text)

    def speaker(name: str) -> str:
        return f"[{escape(name)}]: "

    return "".join(
        f"{number}\n{srt_time(cue.start)} --> {srt_time(cue.end)}\n{cue.label}\n\n"
        for number, cue in enumerate(cues(transcript, layout, escape, speaker), start=1)
    )


def write_vtt(transcript: Transcript, layout: Layout = Layout()) -> str:  # noqa: B008 - frozen
    """A WEBVTT header and cues, [HH:]MM:SS.mmm; a known speaker is a voice span, <v name>."""

    def escape(text: str) -> str:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    def speaker(name: str) -> str:
        return f"<v {escape(name)}>"

    return "WEBVTT\n\n" + "".join(
        f"{vtt_time(cue.start)} --> {vtt_time(cue.end)}\n{cue.label}\n\n"
        for cue in cues(transcript, layout, escape, speaker)
    )


def srt_time(ms: int) -> str:
    """HH:MM:SS,mmm."""
    return clock(ms, mark=",", hours=True)


def vtt_time(ms: int) -> str:
    """[HH:]MM:SS.mmm, as Whisper writes it."""
    return clock(ms, mark=".", hours=False)


def cues(transcript: Transcript, layout: Layout, escape: Escape, speaker: Escape) -> list[Interval]:
    """The cues with their text as it is written; a cue never reaches over two segments."""
    if layout.cuts_words:
        require_words(transcript.segments, "such a layout of subtitles")
    made: list[Interval] = []
    for segment in spoken(transcript.segments):
        name = speaker(one_line(segment.speaker)) if one_line(segment.speaker) else ""
        for cue in segment_cues(segment, layout, escape):
            made.append(Interval(cue.start, cue.end, name + cue.label))
    return disjoint(made)


def segment_cues(segment: Segment, layout: Layout, escape: Escape) -> Iterator[Interval]:
    """One segment's cues."""
    if not layout.cuts_words:
        wrapped = wrap(one_line(segment.text), layout.max_line_width)
        yield interval(segment, "\n".join(escape(line) for line in wrapped))
        return
    for block in blocks(break_lines(segment.words, layout), layout):
        if layout.highlight_words:
            yield from highlighted(block, escape)
        else:
            first, last = block[0][0], block[-1][-1]
            yield interval(Segment(first.start, last.end, ""), block_text(block, escape))


def wrap(text: str, width: int | None) -> list[str]:
    """The text in lines of at most width characters, broken at spaces; long words stay whole."""
    if width is None:
        return [text]
    rows: list[str] = []
    for word in text.split(" "):
        if rows and len(rows[-1]) + 1 + len(word) <= width:
            rows[-1] += " " + word
        elif word:
            rows.append(word)
    return rows


def break_lines(words: Sequence[Word], layout: Layout) -> list[Line]:
    """The words in lines that keep max_line_width and max_words_per_line."""
    made: list[Line] = []
    width = 0
    for word in (word for word in words if one_line(word.text)):
        length = len(clean(word.text).rstrip())
        full = bool(made) and (
            (layout.max_line_width is not None and width + length > layout.max_line_width)
            or len(made[-1]) == layout.max_words_per_line
        )
        if full or not made:
            made.append([])
            width = len(one_line(word.text))
        else:
            width += length
        made[-1].append(word)
    return made


def blocks(made: list[Line], layout: Layout) -> Iterator[list[Line]]:
    """The lines of each cue: max_line_count, else one where lines count words, else all."""
    count = layout.max_line_count or (1 if layout.max_words_per_line else len(made))
    for first in range(0, len(made), max(count, 1)):
        yield made[first : first + count]


def block_text(block: list[Line], escape: Escape, marked: Word | None = None) -> str:
    """The lines' text, the marked word underlined."""

    def write(word: Word) -> str:
        text = clean(word.text)
        if word is not marked:
            return escape(text)
        space = text[: len(text) - len(text.lstrip())]
        return f"{space}<u>{escape(text.strip())}</u>"

    return "\n".join("".join(write(word) for word in line).strip() for line in block)


def highlighted(block: list[Line], escape: Escape) -> Iterator[Interval]:
    """One cue a word, and one without a mark for each pause between words."""
    words = [word for line in block for word in line]
    plain, last = block_text(block, escape), interval(words[0]).start
    for word in words:
        spot = interval(word)
        if spot.start > last:
            yield Interval(last, spot.start, plain)
        yield Interval(spot.start, spot.end, block_text(block, escape, word))
        last = spot.end
