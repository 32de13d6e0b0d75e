"""What a runtime of Whisper's network does; cpu.py and gpu.py are two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

SAMPLE_RATE = 16000
STATES_PER_SECOND = 50
MAX_TOKENS = 448


@dataclass(frozen=True)
class Search:
    """How a text is looked for.

    temperature 0 is beam search, else the best of beam_size samples. doubt: greedy search is tried
    first, and kept where it took no token (or end) less probable than this. timed: tokens get their
    times.
    """

    beam_size: int = 5
    patience: float = 1.0
    length_penalty: float = 1.0
    temperature: float = 0.0
    doubt: float = 1.0
    timed: bool = True


@dataclass(frozen=True)
class Text:
    """What a window's text was found to be.

    avg_logprob is the mean log probability of its tokens and its end, no_speech_prob that of the
    window holding no speech. Where times were asked for, probabilities are the tokens' own and
    starts, in seconds, those of the tokens and of the end (which may be missing).
    """

    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    probabilities: tuple[float, ...] = ()
    starts: tuple[float, ...] = ()


@dataclass(frozen=True)
class Numbers:
    """The tokens that are not text. languages: (code, token) each, sorted; none in '.en' models."""

    start: int
    end: int
    previous: int
    no_timestamps: int
    no_speech: int
    tasks: Mapping[str, int]
    languages: tuple[tuple[str, int], ...]


class Engine(Protocol):
    """Windows are heard once, and may then be asked for their language and text."""

    workers: int

    def listen(self, windows: Sequence[np.ndarray], lengths: Sequence[int]) -> Any:
        """What windows (float32 at 16 kHz, (time,)) sound like, padded to so many samples each."""
        ...

    def states(self, features: np.ndarray) -> np.ndarray:
        """The encoder's states float32 (state, d_model) of one log-mel (n_mels, frame)."""
        ...

    def languages(self, heard: Any) -> list[list[tuple[str, float]]]:
        """Of each window the languages with their probabilities, the likeliest first."""
        ...

    def write(
        self, heard: Any, prompt: Sequence[int], task: Sequence[int], search: Search
    ) -> list[Text]:
        """The text of each window after a prompt; task: the tokens it ends with, from the start of
        the transcript on."""
        ...
