"""The space-separated formats of NIST's scoring tools: CTM, STM, RTTM.

Fields can't hold spaces: in names they are written %20, in a word they become underscores.
ctm and stm: SCTK's documentation, "ctm" and "stm" file formats; rttm: RT-09 evaluation plan,
appendix A. Times in seconds, channel 1.
"""

from collections.abc import Iterable

from aural.errors import InputError
from aural.formats.layout import (
    Layout,
    identifier,
    interval,
    lines,
    one_line,
    require_words,
    seconds,
    spoken,
)
from aural.types import Diarization, Span, SpeechActivity, Transcript


def write_ctm(transcript: Transcript, layout: Layout) -> str:
    """A line a word: recording, channel, start, duration, word, probability."""
    require_words(transcript.segments, "ctm")
    name = identifier(layout.recording)
    words = (word for segment in transcript.segments for word in segment.words)
    return lines(
        f"{name} 1 {placed(word)} {'_'.join(one_line(word.text).split())} {word.probability:.4f}"
        for word in words
        if one_line(word.text)
    )


def write_stm(transcript: Transcript, layout: Layout) -> str:
    """A line a segment: recording, channel, speaker ("unknown"), start, end, text."""
    name = identifier(layout.recording)
    rows = []
    for segment in spoken(transcript.segments):
        spot = interval(segment)
        speaker = identifier(segment.speaker or "unknown")
        times = f"{seconds(spot.start)} {seconds(spot.end)}"
        rows.append(f"{name} 1 {speaker} {times} {' '.join(one_line(segment.text).split())}")
    return lines(rows)


def write_rttm(diarization: Diarization, layout: Layout) -> str:
    """A SPEAKER line a turn."""
    return speaker_lines(layout, ((turn, turn.speaker) for turn in diarization.turns))


def write_speech_rttm(activity: SpeechActivity, layout: Layout) -> str:
    """A SPEAKER line a span, its speaker being "speech"."""
    return speaker_lines(layout, ((span, "speech") for span in activity.spans))


def write_transcript_rttm(transcript: Transcript, layout: Layout) -> str:
    """A SPEAKER line a segment; InputError where the speakers are not known."""
    segments = spoken(transcript.segments)
    if not all(segment.speaker for segment in segments):
        message = "rttm says who spoke when, and this transcript names no speakers; choose stm"
        raise InputError(message)
    return speaker_lines(layout, ((segment, segment.speaker) for segment in segments))


def speaker_lines(layout: Layout, turns: Iterable[tuple[Span, str]]) -> str:
    """RTTM lines; what is shorter than a millisecond is left out, as no scorer counts it."""
    name = identifier(layout.recording)
    return lines(
        f"SPEAKER {name} 1 {placed(span)} <NA> <NA> {identifier(speaker)} <NA> <NA>"
        for span, speaker in turns
        if interval(span).end > interval(span).start
    )


def placed(span: Span) -> str:
    """Start and duration in seconds."""
    spot = interval(span)
    return f"{seconds(spot.start)} {seconds(spot.end - spot.start)}"
