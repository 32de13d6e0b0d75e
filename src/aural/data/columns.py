"""From a record of named fields (a JSON object, a row of a table) to an Utterance, and back."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING

from aural.data.utterance import Clip, LanguageSpan, Place, Utterance, audio_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Field = str | int | float | bool | None | list | dict

_SURROGATE = re.compile("[\ud800-\udfff]")

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
    found = _first(record, NAMES["audio"])
    audio = _string({"audio": record[found]}, "audio", place) if found else ""
    if not audio:
        raise place.error(f"no audio: give one of {', '.join(NAMES['audio'])}")
    return _utterance(record, audio_path(audio, base, place), audio, place, tuple(NAMES))


def labelled(record: Mapping[str, Field], clip: Clip, key: str, place: Place) -> Utterance:
    """The utterance of a clip and the record beside it; key is its id where the record has none.

    Raises:
        ManifestError: no text, or a field of the wrong kind.
    """
    return _utterance(record, clip, key, place, tuple(kind for kind in NAMES if kind != "audio"))


def record_of(utterance: Utterance) -> dict[str, Field]:
    """The record that `labelled` makes the same utterance of, without its audio."""
    spans = [{"start": s.start, "end": s.end, "language": s.language} for s in utterance.spans]
    own: dict[str, Field] = {
        "id": utterance.id,
        "text": utterance.text,
        "duration": utterance.duration,
        "offset": utterance.offset,
        "speaker": utterance.speaker,
        "lang": utterance.language,
        "spans": spans,
    }
    needed = {"id", "text"}
    kept = {k: v for k, v in own.items() if k in needed or v not in (None, "", [])}
    return {**kept, **{k: v for k, v in utterance.metadata.items() if k not in own}}


def _utterance(
    record: Mapping[str, Field], audio: Path | Clip, name: str, place: Place, kinds: tuple[str, ...]
) -> Utterance:
    """kinds are the fields that are the utterance's own; all others are metadata."""
    names = {kind: _first(record, NAMES[kind]) for kind in kinds}
    given = {kind: record.get(found) for kind, found in names.items() if found is not None}
    if given.get("text") is None:
        raise place.error(f"no text: give one of {', '.join(NAMES['text'])} (empty: silence)")
    text = _string(given, "text", place)
    offset = _seconds(given, "offset", place)
    return Utterance(
        id=_string(given, "id", place) or (f"{name}@{offset:g}" if offset is not None else name),
        audio=audio,
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
    if _SURROGATE.search(text):
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
