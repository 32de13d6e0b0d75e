"""Asterisk's core sounds: telephone prompts with their texts, one voice a language.

asterisk-en: Allison Smith, 16 kHz (G.722), CC-BY-SA-3.0; 551 spoken prompts of 568 files.
asterisk-en-8k: the same at 8 kHz.
asterisk-it: one man, 8 kHz, CC-BY-3.0; 578 spoken prompts of 599 files.
The text is one "key: text" a line, the key being the file's path without its ending. What stands
in [], () or <> is not said: alone it describes a tone or silence, and the prompt is left out.
"""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from aural.data.corpora import Labels
from aural.data.utterance import Utterance
from aural.errors import ManifestError

if TYPE_CHECKING:
    from pathlib import Path

MAX_TEXT_BYTES = 4_000_000
_ANNOTATION = re.compile(r"\[[^\]]*\]|\([^)]*\)|<[^>]*>")
# The Italian file lost the accented letters of some lines: "La conferenza ? piena", "sar?".
_LOST_LETTER = re.compile(r"\?(?=\s+[a-z])|\w\?(?=\w)")
_ITALIAN_TONES = ("beep", "beeperr", "confbridge-join", "confbridge-leave")


@dataclass(frozen=True)
class _Voice:
    language: str
    folder: str
    ending: str
    speaker: str
    tones: tuple[str, ...] = ()
    """Prompts whose text describes a tone without brackets around it."""


def read_prompts(root: Path, voice: _Voice) -> list[Utterance]:
    """Spoken prompts with a recording, in the text's order.

    metadata has "reference": "damaged" where letters of the text are lost, else "sound".

    Raises:
        ManifestError: the text file is missing, too large or no gzip file.
    """
    sounds = root / "usr/share/asterisk/sounds" / voice.folder
    package = f"asterisk-core-sounds-{voice.language}"
    text_file = root / f"usr/share/doc/{package}/core-sounds-{voice.language}.txt.gz"
    utterances = []
    for line in _text(text_file).splitlines():
        key, colon, written = line.partition(":")
        spoken = " ".join(_ANNOTATION.sub(" ", written).split())
        audio = sounds / f"{key}.{voice.ending}"
        if line.startswith(";") or not colon or not spoken or key in voice.tones:
            continue
        if not audio.is_file():
            continue
        damaged = _LOST_LETTER.search(spoken) is not None
        utterances.append(
            Utterance(
                id=key,
                audio=audio,
                text=spoken,
                speaker=voice.speaker,
                language=voice.language,
                metadata={"reference": "damaged" if damaged else "sound"},
            )
        )
    if not utterances:
        raise ManifestError(f"{text_file}: no prompt of it has a recording under {sounds}")
    return utterances


def _text(path: Path) -> str:
    try:
        with gzip.open(path) as stream:
            raw = stream.read(MAX_TEXT_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ManifestError(f"{path}: can't be read as a gzip file: {error}") from error
    if len(raw) > MAX_TEXT_BYTES:
        raise ManifestError(f"{path}: more than {MAX_TEXT_BYTES} bytes of text")
    return raw.decode("utf-8-sig", errors="replace")


def _labels(corpus: str, voice: _Voice) -> Labels:
    return Labels(corpus, partial(read_prompts, voice=voice))


LABELS = {
    "asterisk-en": _labels("asterisk-en", _Voice("en", "en_US_f_Allison", "g722", "Allison Smith")),
    "asterisk-en-8k": _labels(
        "asterisk-en-8k", _Voice("en", "en_US_f_Allison", "wav", "Allison Smith")
    ),
    "asterisk-it": _labels(
        "asterisk-it", _Voice("it", "it_IT_m_Carlo", "wav", "Carlo", tones=_ITALIAN_TONES)
    ),
}
