"""Named, versioned text normalisers: what is made alike before words are compared.

An error rate means nothing without the normaliser it was counted under, so a report prints its
name, version and fingerprint, and two reports are compared only where these agree.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from aural.errors import UnknownName
from aural.text.whisper_basic import normalise_basic
from aural.text.whisper_english import normalise_english

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Normaliser:
    """A normaliser by name. Call it: str -> str. version changes when any outcome does."""

    name: str
    version: str
    description: str
    function: Callable[[str], str]
    files: tuple[str, ...] = ()
    """The package's own files that decide the outcome."""

    def __call__(self, text: str) -> str:
        return self.function(text)

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of name, version and the deciding files' bytes."""
        return _fingerprint(self.name, self.version, self.files)


@cache
def _fingerprint(name: str, version: str, files: tuple[str, ...]) -> str:
    digest = hashlib.sha256(f"{name}\0{version}".encode())
    for file in files:
        digest.update(b"\0" + resources.files("aural.text").joinpath(file).read_bytes())
    return digest.hexdigest()[:16]


NORMALISERS = {
    normaliser.name: normaliser
    for normaliser in (
        Normaliser("none", "1", "the text as it is, parted at white space", str),
        Normaliser(
            "whisper-basic",
            "1",
            "Whisper's BasicTextNormalizer: lower case, no brackets, no punctuation; any language",
            normalise_basic,
            ("whisper_basic.py",),
        ),
        Normaliser(
            "whisper-english",
            "1",
            "Whisper's EnglishTextNormalizer: also contractions, titles, numbers and spelling",
            normalise_english,
            (
                "whisper_basic.py",
                "whisper_english.py",
                "english_numbers.py",
                "english_spelling.json",
            ),
        ),
    )
}


def normaliser(name: str) -> Normaliser:
    """The normaliser of that name.

    Raises:
        UnknownName: there is none of that name; the message lists the names.
    """
    if name not in NORMALISERS:
        raise UnknownName("normaliser", name, tuple(NORMALISERS))
    return NORMALISERS[name]
