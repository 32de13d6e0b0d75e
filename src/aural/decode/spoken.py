"""What was said when: words and phones as frames, and as seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aural.types import Word


@dataclass(frozen=True)
class SpokenPhone:
    """A phone and its frames, from start to before end."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class SpokenWord:
    """A word and its phones, in order; silence is a word of text "" and one phone."""

    text: str
    phones: tuple[SpokenPhone, ...]


@dataclass(frozen=True)
class Alignment:
    """When the words of a text, and their phones, were said; times in seconds.

    words and phones are in order and do not overlap; silence is in neither. A phone's text is its
    name. duration is the recording's, model the family/variant that aligned it.
    """

    words: tuple[Word, ...]
    phones: tuple[Word, ...]
    duration: float
    model: str = ""
