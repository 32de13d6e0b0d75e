"""Sounds without words, by kind: from the corpora that `aural data` fetches, and generated.

Each kind is one recording a half, at least MIN_SECONDS long: its files (those whose name's hash is
even are the "dev" half, the others "test"; where that leaves a half empty, both have all) one
after the other with half a second of silence between, first as they are, then, where that does not
reach, again with their peaks at the levels of GAINS in turn.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING, Literal

import numpy as np

from aural.audio.read import read
from aural.data.noises import APART, KINDS, files_of_picks
from aural.errors import AudioError

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE = 16000
MIN_SECONDS = 300
MOST_OF_A_FILE = 60
GAINS = (0.9, 0.05, 0.3, 0.01)
Half = Literal["dev", "test"]
GENERATED = ("silence", "dither", "hum 50 Hz", "hum 60 Hz", "white", "pink", "brown", "chords")


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
    found = dict(files_of_picks((KINDS | APART)[kind]))
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
