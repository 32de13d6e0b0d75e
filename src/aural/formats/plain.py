"""Plain text and tab-separated values."""

from collections.abc import Iterable, Sequence

from aural.formats.layout import Layout, interval, lines, one_line, seconds, spoken
from aural.types import Diarization, LanguageGuess, Span, SpeechActivity, Transcript

SHOWN = 0.01
"""The probability from which a language is worth a person's line; tsv and json hold them all."""


def write_txt(transcript: Transcript, _: Layout) -> str:
    """One line a segment; a known speaker stands before it as "[name]: "."""
    return lines(
        (f"[{one_line(segment.speaker)}]: " if one_line(segment.speaker) else "")
        + one_line(segment.text)
        for segment in spoken(transcript.segments)
    )


def write_tsv(transcript: Transcript, _: Layout) -> str:
    """Whisper's columns: start and end in whole milliseconds, text."""
    rows = ((segment, one_line(segment.text)) for segment in transcript.segments)
    return table(("start", "end", "text"), rows)


def write_speech_txt(activity: SpeechActivity, _: Layout) -> str:
    """A line a span: start and end in seconds."""
    return lines(clocked(span) for span in activity.spans)


def write_speech_tsv(activity: SpeechActivity, _: Layout) -> str:
    """Columns start and end in whole milliseconds."""
    return table(("start", "end"), ((span, None) for span in activity.spans))


def write_turns_txt(diarization: Diarization, _: Layout) -> str:
    """A line a turn: start and end in seconds, speaker."""
    return lines(f"{clocked(turn)} {one_line(turn.speaker)}" for turn in diarization.turns)


def write_turns_tsv(diarization: Diarization, _: Layout) -> str:
    """Columns start and end in whole milliseconds, speaker."""
    rows = ((turn, one_line(turn.speaker)) for turn in diarization.turns)
    return table(("start", "end", "speaker"), rows)


def write_languages_txt(guess: LanguageGuess, _: Layout) -> str:
    """A line a language: code and probability; the first, and those of at least SHOWN."""
    likely = [tag for tag in guess.tags[1:] if tag.score >= SHOWN]
    return lines(f"{one_line(tag.label)} {tag.score:.4f}" for tag in (*guess.tags[:1], *likely))


def write_languages_tsv(guess: LanguageGuess, _: Layout) -> str:
    """Columns language and probability."""
    rows = (f"{one_line(tag.label)}\t{tag.score:.6f}" for tag in guess.tags)
    return lines(("language\tprobability", *rows))


def clocked(span: Span) -> str:
    """Start and end in seconds, three decimals."""
    spot = interval(span)
    return f"{seconds(spot.start)} {seconds(spot.end)}"


def table(header: Sequence[str], rows: Iterable[tuple[Span, str | None]]) -> str:
    """Tab-separated lines; a row's label is left out where it is None."""
    made = ["\t".join(header)]
    for span, label in rows:
        spot = interval(span)
        cells = [str(spot.start), str(spot.end), *([] if label is None else [label])]
        made.append("\t".join(cells))
    return lines(made)
