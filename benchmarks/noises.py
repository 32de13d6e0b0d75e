"""Sounds without words, by kind: from the corpora that `aural data` fetches, and generated.

Each kind is one recording a half, at least MIN_SECONDS long: its files (those whose name's hash is
even are the "dev" half, the others "test"; where that leaves a half empty, both have all) one
after the other with half a second of silence between, first as they are, then, where that does not
reach, again with their peaks at the levels of GAINS in turn.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from aural.audio.read import read
from aural.errors import AudioError
from aural.store.corpora import ensure_corpus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RATE = 16000
MIN_SECONDS = 300
MOST_OF_A_FILE = 60
GAINS = (0.9, 0.05, 0.3, 0.01)
Half = Literal["dev", "test"]


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
"""With human voices, or with some among them: words may be there, and are counted apart."""

GENERATED = ("silence", "dither", "hum 50 Hz", "hum 60 Hz", "white", "pink", "brown", "chords")
_AUDIO = re.compile(r"\.(wav|ogg|mp3|flac)$", re.IGNORECASE)


def recording(kind: str, half: Half) -> np.ndarray:
    """float32, 16 kHz, shape = (time,), at least MIN_SECONDS."""
    if kind in GENERATED:
        return generated(kind, seed=GENERATED.index(kind) + 100 * (half == "test"))
    clips = list(sounds(kind, half))
    parts: list[np.ndarray] = []
    length = 0
    for gain in itertools.chain([None], itertools.cycle(GAINS)):
        if length >= MIN_SECONDS * RATE:
            return np.concatenate(parts)
        for clip in clips:
            scale = 1.0 if gain is None else gain / np.abs(clip).max()
            parts += [clip * np.float32(scale), np.zeros(RATE // 2, np.float32)]
            length += clip.size + RATE // 2
    raise AssertionError("the gains never end")


def sounds(kind: str, half: Half) -> Iterator[np.ndarray]:
    """The sounds of one half of a kind, at most MOST_OF_A_FILE seconds of each, none silent."""
    found = {
        name: source
        for pick in (KINDS | APART)[kind]
        for name, source in files_of(pick.corpus)
        if re.search(pick.wanted, name) and not re.search(pick.unwanted, name)
    }
    chosen = {name for name in found if _is_dev(name) == (half == "dev")}
    for name in sorted(chosen or found):
        try:
            samples = read(found[name], sample_rate=RATE).samples[: MOST_OF_A_FILE * RATE]
        except AudioError:
            continue  # of a few drum samples nothing is left
        if np.abs(samples).max() > 1e-4:
            yield samples


def _is_dev(name: str) -> bool:
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2 == 0


def files_of(corpus: str) -> Iterator[tuple[str, Path | bytes]]:
    """Every recording's path in a corpus, and it; those inside Qt resource files as bytes."""
    root = ensure_corpus(corpus)
    for path in sorted(root.rglob("*")):
        if path.suffix == ".rcc":
            yield from resources(path.read_bytes())
        elif _AUDIO.search(path.name) and path.is_file():
            yield str(path.relative_to(root)), path


def resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the recordings in a Qt resource file (a tree of nodes)."""
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


def generated(kind: str, seed: int) -> np.ndarray:
    """MIN_SECONDS of a generated sound, its level rising from -60 to -10 dBFS in steps of 10 dB.

    (Silence is digital silence, dither that of 16 bits, both without steps.)
    """
    size = MIN_SECONDS * RATE
    rng = np.random.default_rng(seed)
    time = np.arange(size) / RATE
    if kind == "silence":
        return np.zeros(size, np.float32)
    if kind == "dither":
        steps = np.round(rng.uniform(-1, 1, size) / 2 + rng.uniform(-1, 1, size) / 2)
        return (steps / 32768).astype(np.float32)
    if kind.startswith("hum"):
        base = float(kind.split()[1])
        sound = sum(np.sin(2 * np.pi * base * k * time + k) / k for k in range(1, 16))
    elif kind == "chords":
        sound = chords(time, rng)
    else:
        slope = {"white": 0.0, "pink": 0.5, "brown": 1.0}[kind]
        spectrum = np.fft.rfft(rng.standard_normal(size))
        frequencies = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 20.0)
        sound = np.fft.irfft(spectrum / frequencies**slope, size)
    sound = np.asarray(sound) / np.sqrt(np.mean(np.square(sound)))
    levels = np.repeat(10 ** (np.arange(-60, 0, 10) / 20), size // 6)
    return np.clip(sound * levels, -1, 1).astype(np.float32)


def chords(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Triads of decaying harmonic tones, half a second each."""
    sound = np.zeros(time.size)
    for start in range(0, time.size, RATE // 2):
        t = time[start : start + RATE // 2] - time[start]
        root = 110.0 * 2 ** (rng.integers(0, 24) / 12)
        for interval in (0, rng.choice([3, 4]), 7):
            pitch = root * 2 ** (interval / 12)
            tone = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 7))
            sound[start : start + t.size] += tone * np.exp(-3 * t)
    return sound
