"""aural turns sound into meaning and meaning into sound.

Five lines:

    import aural

    transcript = aural.transcribe("interview.mp3")
    print(transcript.language, transcript.text)
    for segment in transcript.segments:
        print(f"{segment.start:7.2f} {segment.end:7.2f} {segment.text}")

Names are loaded when they are first used: `import aural` itself loads neither numpy nor a model.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aural.audio.read import probe, read
    from aural.audio.write import write
    from aural.errors import AuralError
    from aural.tasks.detect_speech import detect_speech
    from aural.tasks.identify_language import identify_language
    from aural.tasks.pipeline import pipeline
    from aural.tasks.transcribe import transcribe, transcribe_segments
    from aural.types import Audio, Segment, Span, Transcript, Word

__version__ = "0.1.0"

__all__ = [
    "Audio",
    "AuralError",
    "Segment",
    "Span",
    "Transcript",
    "Word",
    "detect_speech",
    "identify_language",
    "pipeline",
    "probe",
    "read",
    "transcribe",
    "transcribe_segments",
    "write",
]

_HOMES = {
    "Audio": "types",
    "AuralError": "errors",
    "Segment": "types",
    "Span": "types",
    "Transcript": "types",
    "Word": "types",
    "detect_speech": "tasks.detect_speech",
    "identify_language": "tasks.identify_language",
    "pipeline": "tasks.pipeline",
    "probe": "audio.read",
    "read": "audio.read",
    "transcribe": "tasks.transcribe",
    "transcribe_segments": "tasks.transcribe",
    "write": "audio.write",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'aural' has no attribute {name!r}")
    return getattr(importlib.import_module(f"aural.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
