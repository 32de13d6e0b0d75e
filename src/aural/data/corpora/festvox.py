"""The Russian voice of Festival: 620 read sentences, one man, 16 kHz, a studio. BSD-like licence.

A "+" in the text stands before a stressed vowel, where the word alone does not tell the stress; it
is not text and is left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aural.data.corpora import Labels
from aural.data.utterance import Utterance, numbered_lines

if TYPE_CHECKING:
    from pathlib import Path

_LINE = re.compile(r'^\( (?P<name>ru_\d+) "(?P<text>[^"]+)" \)$')


def read_russian(root: Path) -> list[Utterance]:
    """The sentences in their order.

    Raises:
        ManifestError: the list of texts is missing or has another line.
    """
    voice = root / "usr/share/festival/voices/russian/msu_ru_nsh_clunits"
    utterances = []
    for place, line in numbered_lines(voice / "etc/txt.done.data"):
        found = _LINE.match(line.strip())
        if found is None:
            raise place.error('not ( ru_NUMBER "text" )')
        utterances.append(
            Utterance(
                id=found["name"],
                audio=voice / "wav" / f"{found['name']}.wav",
                text=found["text"].replace("+", ""),
                speaker="msu_ru_nsh",
                language="ru",
            )
        )
    return utterances


LABELS = {"festvox-ru": Labels("festvox-ru", read_russian)}
