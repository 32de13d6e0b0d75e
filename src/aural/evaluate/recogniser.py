"""The recogniser that `aural transcribe` is, made ready to be evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from aural.data.sound import sound_of
from aural.evaluate.transcribe import Recogniser

if TYPE_CHECKING:
    from collections.abc import Callable

    from aural.audio.source import Source
    from aural.data.utterance import Utterance
    from aural.types import Transcript

FROM_MANIFEST = "manifest"
DETECTOR = "silero/16k"
"""What tasks.transcribe finds speech with."""


def model_recogniser(
    model: str = "whisper/base",
    *,
    language: str | None = None,
    beam_size: int = 5,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    compute_type: str = "auto",
    threads: int = 0,
    offline: bool = False,
    sound: Callable[[Utterance], Source] = sound_of,
    condition: str = "",
) -> Recogniser:
    """tasks.transcribe with a model by name, its weights loaded before the first utterance.

    Args:
        model: family/variant.
        language: A code; "manifest" for what each utterance says it is; None to tell it from the
            sound.
        beam_size: Hypotheses kept while decoding.
        device: Where to run.
        compute_type: Arithmetic of the weights.
        threads: Of one recognition; 0 lets the family choose.
        offline: Never look for weights beyond this machine.
        sound: Utterance -> what is heard of it; by default the recording as it is.
        condition: What sound does to it, for the settings.

    Raises:
        UnknownName: there is no such model.
    """
    from aural import models

    weights = models.find(model).weights

    def prepare() -> None:
        models.load(
            model, device=device, compute_type=compute_type, threads=threads, offline=offline
        )
        models.load(DETECTOR, offline=offline)

    def transcribe_one(utterance: Utterance) -> Transcript:
        from aural.tasks.transcribe import transcribe

        told = (utterance.language or None) if language == FROM_MANIFEST else language
        return transcribe(
            sound(utterance),
            model=model,
            language=told,
            beam_size=beam_size,
            device=device,
            compute_type=compute_type,
            threads=threads,
        )

    spoken = language or "told from the sound"
    return Recogniser(
        model=model,
        transcribe=transcribe_one,
        prepare=prepare,
        weights={file.name: file.sha256 for file in weights.files} if weights else {},
        settings=f"language {spoken}, beam_size {beam_size}, device {device}, "
        f"compute_type {compute_type}, threads {threads}"
        + (f", condition {condition}" if condition else ""),
    )
