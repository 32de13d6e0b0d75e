"""Strings of spoken digits, composed of the Free Spoken Digit Dataset's recordings (CC-BY-SA-4.0).

A string is three to seven digits of one speaker (his last one: what is left of them), real
recordings one after the other with gaps of 0.05 to 0.35 s, in which there is noise 60 dB below full
scale and nothing else; digits, gaps and order are drawn once, from a seed of their own. Each
recording is in as many strings as TIMES says.
metadata "ends" has the second at which each word ends, as the recording does: the truth that a
stream's delays are measured against. As one voice says a digit much as it always does, whole
speakers are held out.
"""

from __future__ import annotations

import io
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from aural.data.corpora import Labels
from aural.data.corpora.digits import read_digits
from aural.data.utterance import Clip, Utterance
from aural.errors import ManifestError

if TYPE_CHECKING:
    from pathlib import Path

RATE = 8000
TIMES = 2
SHORTEST, LONGEST = 3, 7
GAP_SECONDS = (0.05, 0.35)
FLOOR = 10 ** (-60 / 20)
SEED = 20


def read_digit_strings(root: Path) -> list[Utterance]:
    """The strings by speaker and number; the recordings' sound is in memory, 16 bits a sample.

    Raises:
        ManifestError: as read_digits, and for a recording of another rate.
    """
    by_speaker: defaultdict[str, list[Utterance]] = defaultdict(list)
    for each in read_digits(root):
        by_speaker[each.speaker].append(each)
    return [
        string
        for place, speaker in enumerate(sorted(by_speaker))
        for string in _strings(speaker, by_speaker[speaker], np.random.default_rng([SEED, place]))
    ]


def _strings(speaker: str, words: list[Utterance], rng: np.random.Generator) -> list[Utterance]:
    samples = [_samples(each) for each in words]
    order = np.concatenate([rng.permutation(len(words)) for _ in range(TIMES)]).tolist()
    made: list[Utterance] = []
    while order:
        count = int(rng.integers(SHORTEST, LONGEST + 1))
        taken, order = order[:count], order[count:]
        sound, ends = _joined([samples[i] for i in taken], rng)
        name = f"{speaker}-{len(made):03d}"
        made.append(
            Utterance(
                id=name,
                audio=Clip(f"{name}.wav", _wav(sound)),
                text=" ".join(words[i].text for i in taken),
                duration=len(sound) / RATE,
                speaker=speaker,
                language="en",
                metadata={"ends": " ".join(f"{end / RATE:.6f}" for end in ends)},
            )
        )
    return made


def _joined(words: list[np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    """The words with gaps before, between and after them, and where each ends, in samples."""
    gaps = (rng.uniform(*GAP_SECONDS, len(words) + 1) * RATE).astype(int)
    parts, ends, length = [], [], 0
    for gap, word in zip(gaps, words, strict=False):
        parts += [FLOOR * rng.standard_normal(gap), word]
        length += gap + len(word)
        ends.append(length)
    parts.append(FLOOR * rng.standard_normal(gaps[-1]))
    return np.clip(np.concatenate(parts), -1, 1), ends


def _samples(utterance: Utterance) -> np.ndarray:
    samples, rate = soundfile.read(utterance.audio, dtype="float32")
    if rate != RATE or samples.ndim != 1:
        raise ManifestError(
            f"{utterance.audio}: {rate} Hz; the recordings have {RATE}, one channel"
        )
    return np.asarray(samples)


def _wav(samples: np.ndarray) -> bytes:
    target = io.BytesIO()
    soundfile.write(target, samples, RATE, format="WAV", subtype="PCM_16")
    return target.getvalue()


LABELS = {"digit-strings": Labels("digits", read_digit_strings)}
