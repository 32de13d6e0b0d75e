"""Typed results become the files other tools read: srt, vtt, json, ctm, TextGrid, RTTM ...

FORMATS is the table: name -> Format, which holds the suffix and a pure function for each type of
result it can hold. `render(transcript, "srt")` is the short way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aural.errors import UnknownName
from aural.formats import nist, plain, praat, structured, subtitles
from aural.formats.layout import Layout
from aural.types import Diarization, LanguageGuess, SpeechActivity, Transcript

__all__ = ["FORMATS", "Format", "Layout", "formats_for", "render"]


@dataclass(frozen=True)
class Format:
    """A file format: its suffix, and what writes each type of result."""

    suffix: str
    writers: Mapping[type, Callable[[Any, Layout], str]]


FORMATS: dict[str, Format] = {
    "txt": Format(
        ".txt",
        {
            Transcript: plain.write_txt,
            SpeechActivity: plain.write_speech_txt,
            Diarization: plain.write_turns_txt,
            LanguageGuess: plain.write_languages_txt,
        },
    ),
    "srt": Format(".srt", {Transcript: subtitles.write_srt}),
    "vtt": Format(".vtt", {Transcript: subtitles.write_vtt}),
    "tsv": Format(
        ".tsv",
        {
            Transcript: plain.write_tsv,
            SpeechActivity: plain.write_speech_tsv,
            Diarization: plain.write_turns_tsv,
            LanguageGuess: plain.write_languages_tsv,
        },
    ),
    "json": Format(
        ".json",
        {
            Transcript: structured.write_json,
            SpeechActivity: structured.write_speech_json,
            Diarization: structured.write_turns_json,
            LanguageGuess: structured.write_languages_json,
        },
    ),
    "jsonl": Format(
        ".jsonl",
        {
            Transcript: structured.write_jsonl,
            SpeechActivity: structured.write_speech_jsonl,
            Diarization: structured.write_turns_jsonl,
            LanguageGuess: structured.write_languages_jsonl,
        },
    ),
    "ctm": Format(".ctm", {Transcript: nist.write_ctm}),
    "stm": Format(".stm", {Transcript: nist.write_stm}),
    "textgrid": Format(
        ".TextGrid",
        {
            Transcript: praat.write_textgrid,
            SpeechActivity: praat.write_speech_textgrid,
            Diarization: praat.write_turns_textgrid,
        },
    ),
    "rttm": Format(
        ".rttm",
        {
            Transcript: nist.write_transcript_rttm,
            SpeechActivity: nist.write_speech_rttm,
            Diarization: nist.write_rttm,
        },
    ),
}


def formats_for(kind: type) -> tuple[str, ...]:
    """Names of the formats that can hold such a result."""
    return tuple(name for name, made in FORMATS.items() if kind in made.writers)


def render(result: object, name: str, layout: Layout = Layout()) -> str:  # noqa: B008 - frozen
    """The result as the text of a file in that format; it ends in a line feed, or is empty.

    Raises UnknownName for a format that can't hold such a result, and InputError where the result
    lacks what the format needs (the times of words, the names of speakers).
    """
    if name not in formats_for(type(result)):
        raise UnknownName(f"format for a {type(result).__name__}", name, formats_for(type(result)))
    return FORMATS[name].writers[type(result)](result, layout)
