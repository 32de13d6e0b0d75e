"""The Free Spoken Digit Dataset: zero to nine, 50 times by each of 6 speakers, 8 kHz. CC-BY-SA-4.0.

A recording's name is DIGIT_SPEAKER_INDEX. Of the same speaker training and test sound alike: whole
speakers are held out (data/split.py), not an index.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aural.data.corpora import Labels
from aural.data.utterance import Utterance
from aural.errors import ManifestError

if TYPE_CHECKING:
    from pathlib import Path

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_NAME = re.compile(r"^(?P<digit>\d)_(?P<speaker>[a-z]+)_(?P<index>\d+)$")


def read_digits(root: Path) -> list[Utterance]:
    """The recordings by speaker, digit and index; metadata has the "index".

    Raises:
        ManifestError: there are none, or one has another name.
    """
    found = []
    for audio in root.iterdir():
        name = _NAME.match(audio.stem)
        if name is None:
            raise ManifestError(f"{audio}: not named DIGIT_SPEAKER_INDEX")
        found.append((name["speaker"], int(name["digit"]), int(name["index"]), audio))
    if not found:
        raise ManifestError(f"{root}: no recording in it")
    return [
        Utterance(
            id=audio.stem,
            audio=audio,
            text=WORDS[digit],
            speaker=speaker,
            language="en",
            metadata={"index": str(index)},
        )
        for speaker, digit, index, audio in sorted(found)
    ]


LABELS = {"digits": Labels("digits", read_digits)}
