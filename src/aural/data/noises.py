"""Recorded sounds without words, by kind, from the corpora that `aural data fetch` keeps.

What is picked, and that there is no voice in it, is told from the files' names; nobody listened to
all of it. Licences are those of the corpora (`aural data list`).
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aural.audio.read import read
from aural.errors import AudioError, UnknownName
from aural.store.corpora import ensure_corpus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Pick:
    """Files of a corpus whose path within it matches wanted and not unwanted."""

    corpus: str
    wanted: str
    unwanted: str = "^$"


_HUMAN = r"human|elf|dwarf|orc|goblin|ogre|troll|ghoul|zombie|lich|mer|groan|wail|ugg"
_CREATURE = (
    r"drake|gryphon|wolf|bat|horse|naga|skeleton|wose|tusker|yeti|hiss|claws|bite|tail|squishy"
)
_SUNG = r"/(italy|africa|america)\.ogg"
_WESNOTH = r"core/sounds/"

KINDS: dict[str, tuple[Pick, ...]] = {
    "hold music": (Pick("asterisk-music", r"\.wav$"),),
    "rock": (Pick("sectoid", r"\.ogg$"),),
    "game music": (Pick("fillets-music", r"/music/.*\.ogg$"),),
    "world music": (Pick("gcompris", r"explore_world_music/.*\.ogg$|core/.*intro\.ogg$", _SUNG),),
    "instruments": (
        Pick("gcompris", r"(instruments|melody)/resource/|memory-sound/resource/guitar"),
        Pick("scratch", r"/Instruments/|/Music Loops/", "Human"),
        Pick("wesnoth", "horn-signals/"),
    ),
    "drums": (Pick("hydrogen-drumkits", r"\.(wav|flac)$"), Pick("scratch", "/Percussion/")),
    "animals": (
        Pick("gcompris", r"farm_animals/.*animals/|memory-sound/resource/LR(Bark|Frogs)"),
        Pick("scratch", "/Animal/"),
    ),
    "creatures": (Pick("wesnoth", rf"{_WESNOTH}({_CREATURE})[^/]*$"),),
    "weapons": (Pick("wesnoth", rf"{_WESNOTH}[^/]*$", rf"{_WESNOTH}({_HUMAN}|{_CREATURE})"),),
    "places": (
        Pick("wesnoth", "/ambient/"),
        Pick("gcompris", "memory-sound/resource/LR", "Bark|Frogs|App|Hits|Weird"),
        Pick("gcompris", r"/(watercycle|railroad|traffic|canal_lock)/.*\.(wav|ogg)$"),
    ),
    "effects": (
        Pick("scratch", "/(Effects|Electronic)/|/Human/F"),
        Pick("gcompris", r"LRWeird|/core/resource/sounds/|/(mining|erase|money)/.*\.wav$"),
        Pick("wesnoth", r"1\.16/sounds/"),
        Pick("fillets-music", "/sound/share/"),
    ),
}
"""Without a human voice, as far as their names tell: no word is right here."""

APART: dict[str, tuple[Pick, ...]] = {
    "crowds": (Pick("scratch", "PartyNoise"), Pick("gcompris", "LRApplauses")),
    "voices": (
        Pick("wesnoth", rf"{_WESNOTH}({_HUMAN})[^/]*$", "horse-elf"),
        Pick("scratch", "/Human/", "PartyNoise|/F"),
    ),
    "songs": (
        Pick("gcompris", _SUNG),
        Pick("scratch", "/Vocals/|HumanBeatbox"),
    ),
    "game of objects": (Pick("qabcs", r"/all/noises/"),),
}
"""With human voices, or with some among them: words may be there."""

_AUDIO = re.compile(r"\.(wav|ogg|mp3|flac)$", re.IGNORECASE)

_MUSIC = ("hold music", "rock", "game music", "world music")
NOISES: dict[str, tuple[Pick, ...]] = {
    "music": tuple(pick for kind in _MUSIC for pick in KINDS[kind]),
    **{name.replace(" ", "-"): picks for name, picks in (KINDS | APART).items()},
}
"""What can be named as a noise: every kind, and music of all kinds together."""


def noise_recording(
    name: str, *, sample_rate: int = 16000, seconds: float = 600, offline: bool = False
) -> np.ndarray:
    """The sounds of a kind one after the other: float32, shape = (time,), `seconds` at most.

    In the order of their names, each cut to one length where all are too much. The corpora are
    fetched where they are missing.

    Raises:
        UnknownName: no such kind.
        Unreachable: a corpus can't be had.
    """
    if name not in NOISES:
        raise UnknownName("kind of noise", name, tuple(sorted(NOISES)))
    heard = []
    for _, source in files_of_picks(NOISES[name], offline=offline):
        try:
            heard.append(read(source, sample_rate=sample_rate).samples)
        except AudioError:
            continue  # of a few drum samples nothing is left
    return joined(heard, round(seconds * sample_rate))


def joined(recordings: Sequence[np.ndarray], most: int) -> np.ndarray:
    """Recordings one after the other, those of silence left out, `most` samples at most: where all
    are more, the longest are cut, to one length."""
    kept = [each for each in recordings if each.size and np.abs(each).max() > 1e-4]
    if not kept:
        return np.empty(0, np.float32)
    left, length = most, most
    for done, size in enumerate(sorted(each.size for each in kept)):
        length = left // (len(kept) - done)
        if size > length:
            break
        left -= size
    else:
        length = most
    return np.concatenate([each[:length] for each in kept])


def files_of_picks(
    picks: tuple[Pick, ...], *, offline: bool = False
) -> Iterator[tuple[str, Path | bytes]]:
    """Name and recording of every file that one of the picks wants, in the order of their names."""
    found = {
        name: source
        for pick in picks
        for name, source in files_of(pick.corpus, offline=offline)
        if re.search(pick.wanted, name) and not re.search(pick.unwanted, name)
    }
    yield from sorted(found.items())


def files_of(corpus: str, *, offline: bool = False) -> Iterator[tuple[str, Path | bytes]]:
    """Every recording's path in a corpus, and it; those inside Qt resource files as bytes."""
    root = ensure_corpus(corpus, offline=offline)
    for path in sorted(root.rglob("*")):
        if path.suffix == ".rcc":
            yield from resources(path.read_bytes())
        elif _AUDIO.search(path.name) and path.is_file():
            yield str(path.relative_to(root)), path


def resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the recordings in a Qt resource file, a tree of nodes.

    Only for the files of a corpus, whose bytes are pinned.
    """
    assert data[:4] == b"qres", "a Qt resource file"
    version, tree, contents, names = struct.unpack_from(">4I", data, 4)
    node_size = 14 + (8 if version >= 2 else 0)

    def walk(node: int, folder: str) -> Iterator[tuple[str, bytes]]:
        at = tree + node * node_size
        name_at, flags = struct.unpack_from(">IH", data, at)
        length = struct.unpack_from(">H", data, names + name_at)[0] if node else 0
        start = names + name_at + 6
        path = f"{folder}/{data[start : start + 2 * length].decode('utf-16-be')}" if node else ""
        if flags & 2:
            count, first = struct.unpack_from(">II", data, at + 6)
            for child in range(first, first + count):
                yield from walk(child, path)
        elif _AUDIO.search(path):
            begin = contents + struct.unpack_from(">I", data, at + 10)[0]
            size = struct.unpack_from(">I", data, begin)[0]
            content = data[begin + 4 : begin + 4 + size]
            yield path, zlib.decompress(content[4:]) if flags & 1 else content

    yield from walk(0, "")
