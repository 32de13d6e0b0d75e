"""Turn-key callables whose results have the shapes people know: text and chunks, label and score.

    asr = pipeline("automatic-speech-recognition")
    asr("speech.flac")                            {"text": ...}
    asr("speech.flac", return_timestamps=True)    + "chunks": [{"text", "timestamp": (start, end)}]
    asr("speech.flac", return_timestamps="word")  the same by words
    pipeline("audio-classification")(x, top_k=3)  [{"label": "en", "score": 0.98}, ...] (languages)
    pipeline("voice-activity-detection")(x)       [{"label": "speech", "timestamp": (start, end)}]

A call takes what `aural.read` takes, or {"array" or "raw": samples, "sampling_rate": Hz}, or an
array of samples at 16 kHz, shape = (time,) or (channel, time).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from aural.errors import InputError, UnknownName
from aural.tasks.detect_speech import detect_speech
from aural.tasks.identify_language import identify_language
from aural.tasks.transcribe import transcribe
from aural.types import Audio

if TYPE_CHECKING:
    from aural.audio.source import Source

SAMPLE_RATE = 16000
Chunk = dict[str, Any]


def pipeline(task: str, model: str | None = None) -> Callable[..., Any]:
    """The callable of a task; model is a family/variant, the task's default if not given.

    Raises UnknownName for a task that is not here.
    """
    if task not in _TASKS:
        raise UnknownName("task", task, tuple(sorted(_TASKS)))
    return _TASKS[task](model)


class SpeechRecognition:
    """Called with a sound: {"text"}, with return_timestamps "chunks" too."""

    def __init__(self, model: str | None = None) -> None:
        self.model = model or "whisper/base"

    def __call__(
        self,
        inputs: Any,
        *,
        return_timestamps: bool | Literal["word"] = False,
        language: str | None = None,
        task: Literal["transcribe", "translate"] = "transcribe",
    ) -> dict[str, Any]:
        """The text of a sound; language and task as in `aural.transcribe`."""
        if return_timestamps not in (False, True, "word"):
            raise InputError(f"return_timestamps is {return_timestamps!r}; give True or 'word'")
        result = transcribe(sound(inputs), model=self.model, language=language, task=task)
        found: dict[str, Any] = {"text": result.text}
        if return_timestamps:
            by_word = return_timestamps == "word"
            spans = [w for s in result.segments for w in s.words] if by_word else result.segments
            found["chunks"] = [{"text": s.text, "timestamp": (s.start, s.end)} for s in spans]
        return found


class LanguageClassification:
    """Called with a sound: its likeliest languages as [{"label", "score"}]."""

    def __init__(self, model: str | None = None) -> None:
        self.model = model or "whisper/base"

    def __call__(self, inputs: Any, *, top_k: int = 5) -> list[Chunk]:
        """The top_k languages by falling score."""
        if top_k < 1:
            raise InputError(f"top_k is {top_k}; give 1 or more")
        tags = identify_language(sound(inputs), model=self.model).tags[:top_k]
        return [{"label": tag.label, "score": tag.score} for tag in tags]


class VoiceActivityDetection:
    """Called with a sound: where there is speech."""

    def __init__(self, model: str | None = None) -> None:
        self.model = model or "silero/16k"

    def __call__(self, inputs: Any) -> list[Chunk]:
        """[{"label": "speech", "timestamp": (start, end)}] in order."""
        spans = detect_speech(sound(inputs), model=self.model).spans
        return [{"label": "speech", "timestamp": (span.start, span.end)} for span in spans]


_TASKS: dict[str, Callable[[str | None], Callable[..., Any]]] = {
    "audio-classification": LanguageClassification,
    "automatic-speech-recognition": SpeechRecognition,
    "voice-activity-detection": VoiceActivityDetection,
}


def sound(inputs: Any) -> Source:
    """What the tasks read, from the shapes a pipeline is called with."""
    if isinstance(inputs, np.ndarray):
        return _audio(inputs, SAMPLE_RATE)
    if not isinstance(inputs, Mapping):
        return inputs
    samples = inputs.get("array", inputs.get("raw"))
    rate = inputs.get("sampling_rate")
    if samples is None or not isinstance(rate, int):
        raise InputError(
            f"a mapping with {', '.join(map(str, inputs))} was given; "
            "give 'array' (or 'raw') and 'sampling_rate' in Hz"
        )
    return _audio(np.asarray(samples), rate)


def _audio(samples: np.ndarray, rate: int) -> Audio:
    if not np.issubdtype(samples.dtype, np.floating):
        raise InputError(f"samples are {samples.dtype}; give floats in [-1, 1]")
    return Audio(samples.astype(np.float32, copy=False), rate)
