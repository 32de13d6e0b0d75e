"""Recognition while sound comes in: what a stream of results is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from aural.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from aural.types import Word


@dataclass(frozen=True)
class StreamOptions:
    """How a stream is heard.

    chunk_seconds: sound that is computed at a time, look_ahead_seconds: what is heard after it
    before it is written down; None for what the network was made for. Both are rounded to the
    network's frames, a chunk to one at least. beam_size 1 is greedy search: nothing shown is ever
    taken back.
    """

    chunk_seconds: float | None = None
    look_ahead_seconds: float | None = None
    beam_size: int = 1

    def __post_init__(self) -> None:
        for name in ("chunk_seconds", "look_ahead_seconds"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 30:
                raise InputError(f"{name} is {value}; give 0 to 30 seconds")
        if not 1 <= self.beam_size <= 64:
            raise InputError(f"beam_size is {self.beam_size}; give 1 to 64")


@dataclass(frozen=True)
class PartialResult:
    """What a stream makes of the sound so far, all in seconds from its start.

    words are all that are written, the first `final` of which will not change. time: sound that
    came in; silence: how long, at the end of what was decoded, nothing has been written.
    """

    words: tuple[Word, ...]
    final: int
    time: float
    silence: float


class RecognitionStream(Protocol):
    """A recogniser fed in pieces."""

    def push(self, samples: np.ndarray) -> list[PartialResult]:
        """What these float32 samples (time,) made known: empty where they complete no chunk."""
        ...

    def finish(self) -> list[PartialResult]:
        """The last result, all its words final; the stream is then ready for another recording."""
        ...


@runtime_checkable
class StreamingRecogniser(Protocol):
    """Writes down what is said while it is said."""

    sample_rate: int

    def stream(self, options: Any = None) -> RecognitionStream:
        """A stream under StreamOptions, None being the defaults."""
        ...
