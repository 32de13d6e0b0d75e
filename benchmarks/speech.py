"""The recordings that systems are timed on, made of real speech, and the errors made on them.

Prompts of the corpus asterisk-en (one voice, 16 kHz) with at least MIN_WORDS words, in an order
drawn once from a seed, stand one after the other with silence between them. "dense" has short
pauses; "sparse" has long ones: every other one is a room's tone (the spectrum of the quietest half
second of a real recording, at that level), the others are digital silence.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from aural.audio.read import read
from aural.data.corpora import read_corpus
from aural.data.sound import sound_of
from aural.data.utterance import Utterance
from aural.metrics.wer import align
from aural.store.location import cache_root
from aural.text.normalise import normaliser

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.flac"))
CORPUS = "asterisk-en"
RATE = 16000
MIN_WORDS = 3
SEED = 20
PROMPTS_PER_BLOCK = 8
PAUSES = {"dense": (0.2, 0.8), "sparse": (2.0, 12.0)}
"""Seconds, least and most, drawn evenly."""


@dataclass(frozen=True)
class Recording:
    """A file and the texts of its prompts in order."""

    path: Path
    texts: tuple[str, ...]
    seconds: float


def scratch() -> Path:
    """Where the benchmarks keep what they make once: files of sound, converted weights."""
    folder = cache_root() / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def spoken(minutes: float, kind: str) -> Recording:
    """A mono 16 kHz WAV of at least so many minutes, written again each time."""
    rng = np.random.default_rng(SEED)
    samples: list[np.ndarray] = []
    texts: list[str] = []
    tone = _room_tone()
    length = 0
    for utterance in _in_drawn_order(rng):
        if length >= minutes * 60 * RATE:
            break
        pause = round(rng.uniform(*PAUSES[kind]) * RATE)
        room = kind == "sparse" and len(texts) % 2
        samples += [
            read(sound_of(utterance), sample_rate=RATE).samples,
            _noise(tone, pause, rng) if room else np.zeros(pause, np.float32),
        ]
        length += samples[-2].size + pause
        texts.append(utterance.text)
    path = scratch() / f"{kind}-{minutes:g}-minutes.wav"
    soundfile.write(path, np.concatenate(samples), RATE)
    return Recording(path, tuple(texts), length / RATE)


def _in_drawn_order(rng: np.random.Generator) -> Iterator[Utterance]:
    prompts = [each for each in read_corpus(CORPUS) if len(each.text.split()) >= MIN_WORDS]
    for i in rng.permutation(len(prompts)):
        yield prompts[i]


def _room_tone() -> np.ndarray:
    """The quietest half second of the examples."""
    half = RATE // 2
    parts = [
        samples[start : start + half]
        for samples in (read(path, sample_rate=RATE).samples for path in EXAMPLES)
        for start in range(0, samples.size - half, half // 10)
    ]
    return min(parts, key=lambda part: float((part**2).mean()))


def _noise(tone: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Noise with the power spectrum of tone, of size samples."""
    white = rng.standard_normal(size)
    power = np.abs(np.fft.rfft(tone * np.hanning(tone.size))) ** 2 / (3 / 8 * tone.size)
    frequencies = np.fft.rfftfreq(size)
    shape = np.sqrt(np.interp(frequencies, np.fft.rfftfreq(tone.size), power))
    return np.fft.irfft(np.fft.rfft(white) * shape, size).astype(np.float32)


def errors_by_block(texts: tuple[str, ...], hypothesis: str) -> tuple[list[int], list[int]]:
    """Errors and reference words of every PROMPTS_PER_BLOCK prompts, summing to the corpus's.

    The whole text is aligned at once, as prompts are not parted in what was heard; an error
    belongs to the block of its reference word, a word too many to that of the word before it.
    """
    normalise = normaliser("whisper-english")
    blocks = [
        normalise(" ".join(texts[i : i + PROMPTS_PER_BLOCK])).split()
        for i in range(0, len(texts), PROMPTS_PER_BLOCK)
    ]
    owner = [number for number, block in enumerate(blocks) for _ in block]
    errors = [0] * len(blocks)
    last = 0
    reference = [word for block in blocks for word in block]
    for step in align(reference, normalise(hypothesis).split()):
        last = owner[step.reference] if step.reference is not None else last
        errors[last] += step.kind != "hit"
    return errors, [len(block) for block in blocks]
