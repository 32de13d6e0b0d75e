"""Fish Fillets: what the characters of a game say, acted, in Czech and in Dutch. GPL-2.0-or-later.

fillets-cs: 1704 lines, 22 and 44 kHz, two main roles and some dozens of short ones.
fillets-nl: 1526 lines of the roles "big" (one voice, 47 minutes) and "small", 22 kHz.
A script gives each line an id, the role whose colour it is written in, and the text; the recording
has the id for a name. A role is taken for a speaker, although one actor may play several. metadata
has "level" and "role": hold out whole levels, in which the roles speak of the same things.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from aural.data.corpora import Labels
from aural.data.utterance import Utterance, numbered_lines
from aural.errors import ManifestError

if TYPE_CHECKING:
    from pathlib import Path

_STRING = r'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(
    rf'dialogId\(\s*{_STRING}\s*,\s*"font_(\w+)"\s*,\s*{_STRING}\s*\)\s*dialogStr\(\s*{_STRING}\s*\)'
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_BLANK = re.compile(r"%\d")
"""Where the game puts in a number: the text is not what is said."""
_EMPTY = ("elevator1/zd1-m-cesta", "gems/zav-v-sto")
"""Dutch recordings without a sample in them."""


def read_lines(root: Path, language: str) -> list[Utterance]:
    """Lines that have a recording, in the order of levels and of their scripts.

    Raises:
        ManifestError: none is there.
    """
    game = root / "usr/share/games/fillets-ng"
    utterances = []
    for script in sorted((game / "script").glob(f"*/*dialogs_{language}.lua")):
        level = script.parent.name
        written = "\n".join(line for _, line in numbered_lines(script))
        for name, role, _, text in _LINE.findall(written):
            audio = game / "sound" / level / language / f"{name}.ogg"
            key = f"{level}/{name}"
            spoken = " ".join(_ESCAPED.sub(r"\1", text).split())
            if not spoken or _BLANK.search(spoken) or "/" in name or not audio.is_file():
                continue
            if language == "nl" and key in _EMPTY:
                continue
            utterances.append(
                Utterance(
                    id=key,
                    audio=audio,
                    text=spoken,
                    speaker=f"fillets-{language}-{role}",
                    language=language,
                    metadata={"level": level, "role": role},
                )
            )
    if not utterances:
        raise ManifestError(f"{game / 'script'}: no line of it has a recording in {language}")
    return utterances


LABELS = {
    f"fillets-{language}": Labels(f"fillets-{language}", partial(read_lines, language=language))
    for language in ("cs", "nl")
}
