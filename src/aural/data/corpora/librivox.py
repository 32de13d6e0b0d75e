"""Five sentences of Sense and Sensibility read for LibriVox, 16 kHz, from PocketSphinx's test data.

The recordings and the text are in the public domain; the cuts are BSD-2-Clause. The transcription
of sentence 0920 has one "a" that is not said ("more a amiable"), which is left out here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aural.data.corpora import Labels
from aural.data.utterance import Utterance, numbered_lines

if TYPE_CHECKING:
    from pathlib import Path

_LINE = re.compile(r"^<s> (?P<text>.*) </s> \((?P<name>[\w-]+)\)$")
_CORRECTIONS = {"more a amiable": "more amiable"}


def read_sentences(root: Path) -> list[Utterance]:
    """The sentences in the transcription's order.

    Raises:
        ManifestError: the transcription is missing or has other lines than it had.
    """
    folder = root / "usr/share/pocketsphinx/test/data/librivox"
    utterances = []
    for place, line in numbered_lines(folder / "transcription"):
        found = _LINE.match(line.strip())
        if found is None:
            raise place.error("not <s> text </s> (name)")
        text = found["text"]
        for wrong, right in _CORRECTIONS.items():
            text = text.replace(wrong, right)
        name = found["name"]
        audio = folder / f"{name}.wav"
        utterances.append(Utterance(name, audio, text, speaker="librivox-reader", language="en"))
    return utterances


LABELS = {"librivox": Labels("librivox", read_sentences)}
