"""Which language is spoken, from a recording's first speech."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Literal

from aural import models
from aural.errors import EmptyAudio, InputError
from aural.tasks.transcribe import (
    Transcription,
    WindowOptions,
    decoding_options,
    likeliest_language,
)
from aural.types import Recogniser, SpeechDetector

if TYPE_CHECKING:
    from aural.audio.source import Source
    from aural.types import LanguageGuess

WINDOW_SECONDS = 29.0


def identify_language(
    source: Source,
    *,
    model: str = "whisper/base",
    speech_seconds: float = 60.0,
    vad_threshold: float = 0.4,
    channel: int | str = "mix",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    compute_type: str = "auto",
    threads: int = 0,
) -> LanguageGuess:
    """Tell the language of a recording from its first speech; every language with its score.

    Args:
        source: A path, "-" for standard input, bytes, an open binary file, or Audio.
        model: The identifier, family/variant; one that knows several languages.
        speech_seconds: How much speech to listen to, 1 to 600; the rest is not read.
        vad_threshold: Probability at which speech begins, between 0 and 1.
        channel: "mix" (mean of the channels) or a number counted from 0.
        device: Where to compute; "auto" takes a GPU when there is one.
        compute_type: Number format, such as int8 or float32; "auto" is int8 on a CPU.
        threads: Processors to use; 0 takes all this process may use.

    Raises:
        EmptyAudio: no speech is found.
    """
    if not 1 <= speech_seconds <= 600:
        raise InputError(f"speech_seconds is {speech_seconds}; give 1 to 600")
    options = WindowOptions(WINDOW_SECONDS, vad_threshold=vad_threshold, channel=channel)
    identifier = models.load(
        model, Recogniser, device=device, compute_type=compute_type, threads=threads
    )
    detector = models.load("silero/16k", SpeechDetector)
    run = Transcription(source, identifier, detector, decoding_options(model, {}), options)
    windows, left = [], speech_seconds
    with closing(run.windows()) as found:
        for window in found:
            windows.append(window.samples[: int(left * detector.sample_rate)])
            left -= window.samples.size / detector.sample_rate
            if left <= 0:
                break
    if not windows:
        raise EmptyAudio("no speech was found, so there is no language to tell")
    return likeliest_language(identifier, windows)
