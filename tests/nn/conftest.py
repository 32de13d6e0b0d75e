"""whisper/base as we run it, and as CTranslate2 does, over the example recordings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from aural import models
from aural.audio.features import whisper_log_mel
from aural.audio.read import read

if TYPE_CHECKING:
    from pathlib import Path

    import ctranslate2

    from aural.models.whisper import Whisper

NAMES = ("0870", "0880", "0890")
THREADS = 2
LENGTH = 14 * 16000
"""Samples that the examples are padded to."""


@dataclass(frozen=True)
class Found:
    """What CTranslate2 makes of a window: its tokens, their mean log probability with the end, and
    the probability of no speech."""

    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float


@dataclass(frozen=True, eq=False)
class Reference:
    """The same weights run by CTranslate2."""

    model: ctranslate2.models.Whisper

    def encode(self, features: np.ndarray) -> ctranslate2.StorageView:
        import ctranslate2

        given = ctranslate2.StorageView.from_array(np.ascontiguousarray(features[None]))
        return self.model.encode(given)

    def write(self, states: ctranslate2.StorageView, prompt: list[int], beam_size: int) -> Found:
        (result,) = self.model.generate(
            states,
            [prompt],
            beam_size=beam_size,
            max_length=448,
            return_scores=True,
            return_no_speech_prob=True,
        )
        tokens = result.sequences_ids[0]
        mean = result.scores[0] * len(tokens) / (len(tokens) + 1)
        return Found(tuple(tokens), mean, result.no_speech_prob)


def _reference(directory: Path, compute_type: str) -> Reference:
    import ctranslate2

    return Reference(
        ctranslate2.models.Whisper(
            str(directory), device="cpu", compute_type=compute_type, intra_threads=THREADS
        )
    )


@pytest.fixture(scope="session")
def directory() -> Path:
    return models.locate(models.find("whisper/base"))


@pytest.fixture(scope="session")
def ours() -> Whisper:
    """In float32."""
    return models.load("whisper/base", device="cpu", compute_type="float32", threads=THREADS)


@pytest.fixture(scope="session")
def ours_int8() -> Whisper:
    return models.load("whisper/base", device="cpu", compute_type="int8", threads=THREADS)


@pytest.fixture(scope="session")
def theirs(directory: Path) -> Reference:
    """In float32."""
    return _reference(directory, "float32")


@pytest.fixture(scope="session")
def theirs_int8(directory: Path) -> Reference:
    return _reference(directory, "int8")


@pytest.fixture(scope="session")
def task(ours: Whisper) -> list[int]:
    """The tokens that a transcript in English starts with."""
    numbers = ours.numbers
    language = dict(numbers.languages)["en"]
    return [numbers.start, language, numbers.tasks["transcribe"], numbers.no_timestamps]


@pytest.fixture(scope="session")
def windows(examples: Path) -> dict[str, np.ndarray]:
    return {
        name: read(examples / f"sense_and_sensibility_{name}.flac", sample_rate=16000).samples
        for name in NAMES
    }


@pytest.fixture(scope="session")
def features(windows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        name: whisper_log_mel(np.pad(window, (0, LENGTH - window.size)), 80)
        for name, window in windows.items()
    }


@pytest.fixture(scope="session")
def heard(ours: Whisper, windows: dict[str, np.ndarray]) -> dict[str, object]:
    """The windows as our decoder attends to them, in float32."""
    return {name: ours.engine.listen([window], [LENGTH])[0] for name, window in windows.items()}


@pytest.fixture(scope="session")
def encoded(theirs: Reference, features: dict[str, np.ndarray]) -> dict[str, object]:
    """The windows as CTranslate2's decoder attends to them, in float32."""
    return {name: theirs.encode(each) for name, each in features.items()}
