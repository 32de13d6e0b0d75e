"""JSON with Whisper's keys, and JSON lines. Times in seconds, to the millisecond."""

import json
import math
from typing import Any

from aural.formats.layout import SURROGATE, Layout, lines
from aural.types import Diarization, LanguageGuess, Segment, Span, SpeechActivity, Transcript, Word

FRAMES_PER_SECOND = 100
"""Whisper counts `seek` in frames of its log-mel."""


def write_json(transcript: Transcript, _: Layout) -> str:
    """text, segments and language as Whisper has them; then language_probability, duration, model.

    A segment's `seek` is its start in frames of 10 ms; `words` is there when any segment has
    words, `speaker` when it is known.
    """
    timed = any(segment.words for segment in transcript.segments)
    return document(
        {
            "text": transcript.text,
            "segments": [
                {"id": number, **segment_record(segment, timed)}
                for number, segment in enumerate(transcript.segments)
            ],
            "language": transcript.language,
            "language_probability": number(transcript.language_probability),
            "duration": time(transcript.duration),
            "model": transcript.model,
        }
    )


def write_jsonl(transcript: Transcript, _: Layout) -> str:
    """A line a segment, with the keys of write_json."""
    timed = any(segment.words for segment in transcript.segments)
    return lines(
        encode({"id": index, **segment_record(segment, timed)})
        for index, segment in enumerate(transcript.segments)
    )


def write_speech_json(activity: SpeechActivity, _: Layout) -> str:
    """speech (a list of start and end), speech_seconds, duration."""
    return document(
        {
            "speech": [span_record(span) for span in activity.spans],
            "speech_seconds": time(activity.speech_seconds),
            "duration": time(activity.duration),
        }
    )


def write_speech_jsonl(activity: SpeechActivity, _: Layout) -> str:
    """A line a span: start, end."""
    return lines(encode(span_record(span)) for span in activity.spans)


def write_turns_json(diarization: Diarization, _: Layout) -> str:
    """turns (a list of start, end and speaker), duration."""
    turns = [{**span_record(turn), "speaker": turn.speaker} for turn in diarization.turns]
    return document({"turns": turns, "duration": time(diarization.duration)})


def write_turns_jsonl(diarization: Diarization, _: Layout) -> str:
    """A line a turn: start, end, speaker."""
    return lines(
        encode({**span_record(turn), "speaker": turn.speaker}) for turn in diarization.turns
    )


def write_languages_json(guess: LanguageGuess, _: Layout) -> str:
    """language, and languages (a list of label and score) by falling score."""
    tags = [{"label": tag.label, "score": number(tag.score)} for tag in guess.tags]
    return document({"language": guess.language, "languages": tags})


def write_languages_jsonl(guess: LanguageGuess, _: Layout) -> str:
    """A line a language: label, score."""
    return lines(encode({"label": tag.label, "score": number(tag.score)}) for tag in guess.tags)


def segment_record(segment: Segment, timed: bool) -> dict[str, Any]:
    """Whisper's keys of a segment but its id."""
    record: dict[str, Any] = {
        "seek": max(0, round(segment.start * FRAMES_PER_SECOND)),
        **span_record(segment),
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": number(segment.temperature),
        "avg_logprob": number(segment.avg_logprob),
        "compression_ratio": number(segment.compression_ratio),
        "no_speech_prob": number(segment.no_speech_prob),
    }
    if timed:
        record["words"] = [word_record(word) for word in segment.words]
    if segment.speaker:
        record["speaker"] = segment.speaker
    return record


def word_record(word: Word) -> dict[str, Any]:
    """Whisper's keys of a word."""
    return {"word": word.text, **span_record(word), "probability": number(word.probability)}


def span_record(span: Span) -> dict[str, Any]:
    """start and end."""
    return {"start": time(span.start), "end": time(span.end)}


def time(seconds: float) -> float:
    """Seconds to the millisecond, none below zero."""
    return max(0.0, round(float(seconds), 3))


def number(value: float) -> float | None:
    """Six decimals; None for what JSON can't hold (NaN, infinity)."""
    return round(float(value), 6) if math.isfinite(value) else None


def document(content: dict[str, Any]) -> str:
    """Indented JSON."""
    return (
        clean_surrogates(json.dumps(content, ensure_ascii=False, allow_nan=False, indent=2)) + "\n"
    )


def encode(content: dict[str, Any]) -> str:
    """JSON in one line."""
    return clean_surrogates(json.dumps(content, ensure_ascii=False, allow_nan=False))


def clean_surrogates(text: str) -> str:
    """The text with each lone surrogate replaced, so that it can be written as UTF-8."""
    return SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
