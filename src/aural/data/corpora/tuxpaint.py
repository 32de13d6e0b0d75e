"""Tux Paint's stamps: short descriptions of pictures read aloud, one voice a language. GPL-2.

NAME_desc_LANG.ogg says the line "LANG.utf8=..." of NAME.txt. French, Romanian, Russian and
Bulgarian are read: the Spanish recordings are cut off at their ends, and those in Catalan,
Belarusian, Greek, Danish and Dutch often say something else than the text.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from aural.data.corpora import Labels
from aural.data.utterance import Utterance, numbered_lines
from aural.errors import ManifestError

if TYPE_CHECKING:
    from pathlib import Path

LANGUAGES = ("bg", "fr", "ro", "ru")


def read_stamps(root: Path, languages: tuple[str, ...]) -> list[Utterance]:
    """Described stamps in the order of their paths; metadata has the topmost folder as "topic".

    Raises:
        ManifestError: none is there.
    """
    stamps = root / "usr/share/tuxpaint/stamps"
    utterances = []
    for text_file in sorted(stamps.rglob("*.txt")):
        recordings = {
            language: audio
            for language in languages
            if (audio := text_file.with_name(f"{text_file.stem}_desc_{language}.ogg")).is_file()
        }
        texts = _texts(text_file) if recordings else {}
        for language, audio in recordings.items():
            name = audio.relative_to(stamps)
            if texts.get(language):
                utterances.append(
                    Utterance(
                        id=str(name.with_suffix("")),
                        audio=audio,
                        text=texts[language],
                        speaker=f"tuxpaint-{language}",
                        language=language,
                        metadata={"topic": name.parts[0]},
                    )
                )
    if not utterances:
        raise ManifestError(f"{stamps}: no described stamp in {', '.join(languages)}")
    return utterances


def _texts(path: Path) -> dict[str, str]:
    """Language -> description."""
    texts = {}
    for _, line in numbered_lines(path):
        language, equals, text = line.partition(".utf8=")
        if equals:
            texts[language] = text.strip()
    return texts


LABELS = {"tuxpaint": Labels("tuxpaint", partial(read_stamps, languages=LANGUAGES))} | {
    f"tuxpaint-{language}": Labels("tuxpaint", partial(read_stamps, languages=(language,)))
    for language in LANGUAGES
}
