"""From a record of named fields (a JSON object, a row of a table) to an Utterance."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from aural.data.utterance import LanguageSpan, Place, Utterance, audio_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Field = str | int | float | bool | None | list | dict

# Names that corpora give a field, the first that is there counts; all else is metadata.
NAMES = {
    "audio": ("audio_filepath", "audio", "audio_path", "path", "file", "file_name", "wav"),
    "text": ("text", "transcript", "transcription", "sentence"),
    "id": ("id", "utterance_id", "utt_id"),
    "speaker": ("speaker", "speaker_id", "spk_id", "client_id"),
    "language": ("lang", "language", "locale"),
    "duration": ("duration",),
    "offset": ("offset",),
    "spans": ("spans",),
}


def utterance_from(record: Mapping[str, Field], base: Path, place: Place) -> Utterance:
    """The utterance a record describes; without an id of its own it is known by path and offset.

    Raises:
        ManifestError: no audio or text, or a field of the wrong kind.
    """
    names = {kind: _first(record, choices) for kind, choices in NAMES.items()}
    given = {kind: record.get(name) for kind, name in names.items() if name is not None}
    audio = _string(given, "audio", place)
    if not audio:
        raise place.error(f"no audio: give one of {', '.join(NAMES['audio'])}")
    if given.get("text") is None:
        raise place.error(f"no text: give one of {', '.join(NAMES['text'])} (empty: silence)")
    text = _string(given, "text", place)
    offset = _seconds(given, "offset", place)
    return Utterance(
        id=_string(given, "id", place) or (f"{audio}@{offset:g}" if offset is not None else audio),
        audio=audio_path(audio, base, place),
        text=text,
        duration=_seconds(given, "duration", place),
        offset=offset,
        speaker=_string(given, "speaker", place),
        language=_string(given, "language", place),
        metadata=_metadata(record, set(names.values()), place),
        spans=_spans(given.get("spans"), len(text.split()), place),
    )


def _first(record: Mapping[str, Field], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if record.get(name) is not None), None)


def _string(given: Mapping[str, Field], kind: str, place: Place) -> str:
    """A text field; "" where it is missing. Numbers are taken as written."""
    value = given.get(kind)
    if value is None:
        return ""
    if isinstance(value, bool | list | dict):
        raise place.error(f"{kind} is {value!r}: it must be a string")
    return _encodable(str(value), kind, place)


def _encodable(text: str, kind: str, place: Place) -> str:
    """The text, if it can be written as UTF-8 (JSON can escape half of a surrogate pair)."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise place.error(f"{kind} holds half of a surrogate pair, which is no character")
    return text


def _seconds(given: Mapping[str, Field], kind: str, place: Place) -> float | None:
    """A time of 0 s or more; None where it is missing."""
    value = given.get(kind)
    if value is None or value == "":
        return None
    try:
        seconds = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    if isinstance(value, bool) or not (math.isfinite(seconds) and seconds >= 0):
        raise place.error(f"{kind} is {str(value)[:80]!r}: it must be seconds, 0 or more")
    return seconds


def _metadata(record: Mapping[str, Field], used: set[str | None], place: Place) -> dict[str, str]:
    """The fields that are none of an utterance's own, as strings (nested ones as JSON)."""
    metadata = {}
    for name, value in record.items():
        if name in used or value is None or value == "":
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        metadata[_encodable(name, "a field's name", place)] = _encodable(text, name, place)
    return metadata


def _spans(value: Field, words: int, place: Place) -> tuple[LanguageSpan, ...]:
    """Language spans: [{"start": 0, "end": 3, "language": "es"}, ...], word indices end to end."""
    if not value:
        return ()
    if not isinstance(value, list):
        raise place.error("spans must be a list of {start, end, language}")
    spans: list[LanguageSpan] = []
    for entry in value:
        fields = entry if isinstance(entry, dict) else {}
        start, end, language = (fields.get(name) for name in ("start", "end", "language"))
        if type(start) is not int or type(end) is not int or not isinstance(language, str):
            raise place.error(f"a span is {str(entry)[:80]}: it must have start, end, language")
        if start != (spans[-1].end if spans else 0) or end <= start:
            raise place.error(f"a span is {start} to {end}: spans follow each other from word 0")
        spans.append(LanguageSpan(start, end, _encodable(language, "language", place)))
    if spans[-1].end != words:
        raise place.error(f"the spans end at word {spans[-1].end}, the text has {words} words")
    return tuple(spans)
