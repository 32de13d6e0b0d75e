"""Where the noise of a condition comes from: made, taken from recordings, or other utterances."""

from __future__ import annotations

import heapq
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from aural.audio.augment.noise import COLOURS, babble, coloured_noise, stretch
from aural.audio.read import read
from aural.audio.resample import resample
from aural.data.noises import NOISES, joined, noise_recording
from aural.data.sound import sound_of
from aural.errors import AudioError, InputError, UnknownName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aural.data.utterance import Utterance

BABBLE = "babble"
TALKERS = 5
"""Voices in babble, fewer where the manifest has fewer others."""

RATE = 16000
"""Recorded noises are kept at this rate."""
MAX_NOISE_SECONDS = 600
AUDIBLE = 1e-4
"""Peak below which a stretch of noise is silence, and another one is drawn."""
_TRIES = 100


class NoiseSource(Protocol):
    """Stretches of one noise; fingerprint tells its content from another's, "" where it is made."""

    fingerprint: str

    def draw(
        self, utterance: Utterance, length: int, rate: int, rng: np.random.Generator
    ) -> np.ndarray:
        """float32, shape = (length,), not silence. AudioError where there is none to be had."""
        ...


def noise_source(
    name: str, utterances: Sequence[Utterance], *, seed: int = 0, offline: bool = False
) -> NoiseSource:
    """The source that a name means: a colour, babble, a kind of recorded noise, a file or folder.

    Raises:
        UnknownName: none of these.
        Unreachable: a corpus with the noise can't be had.
        InputError: nothing that can be read, or no other utterance to babble.
    """
    if name in COLOURS:
        return Coloured(name)
    if name == BABBLE:
        return Babble(utterances, seed)
    if name in NOISES:
        return Recorded(noise_recording(name, sample_rate=RATE, offline=offline))
    path = Path(name)
    if path.exists():
        return Recorded(_recordings(path))
    choices = (*COLOURS, BABBLE, *sorted(NOISES))
    raise UnknownName("noise (nor is it a file or folder)", name, choices)


@dataclass(frozen=True)
class Coloured:
    """Noise of a colour, new for every utterance."""

    colour: str
    fingerprint = ""

    def draw(self, _: Utterance, length: int, rate: int, rng: np.random.Generator) -> np.ndarray:
        """As NoiseSource."""
        return coloured_noise(self.colour, length, rng, rate)


class Recorded:
    """One long recording at RATE, from any place in it, from its start again after its end."""

    def __init__(self, recording: np.ndarray) -> None:
        self.recording = recording
        self.fingerprint = f"{zlib.crc32(np.ascontiguousarray(recording).data):08x}"

    def draw(self, _: Utterance, length: int, rate: int, rng: np.random.Generator) -> np.ndarray:
        """As NoiseSource."""
        wanted = -(-length * RATE // rate) + 1
        for _attempt in range(_TRIES):
            found = stretch(self.recording, int(rng.integers(self.recording.size)), wanted)
            if np.abs(found).max() > AUDIBLE:
                return resample(found, RATE, rate)[:length]
        raise AudioError("the noise is silence nearly throughout; give recordings with sound")


class Babble:
    """TALKERS other utterances at once, of other speakers where the manifest names any.

    Who babbles is drawn by a hash of seed and both ids: it does not change as the manifest grows,
    but where somebody new takes a place. What can't be read or is silence does not babble.
    """

    def __init__(self, utterances: Sequence[Utterance], seed: int) -> None:
        if len(utterances) < 2:
            raise InputError("babble is made of other utterances, and the manifest has one only")
        self.utterances, self.seed = utterances, seed
        ids = "\n".join(sorted(each.id for each in utterances))
        self.fingerprint = f"{zlib.crc32(ids.encode('utf-8', 'backslashreplace')):08x}"

    def draw(
        self, utterance: Utterance, length: int, rate: int, rng: np.random.Generator
    ) -> np.ndarray:
        """As NoiseSource."""
        clips = self._clips(utterance, rate)
        if not clips:
            raise AudioError("no other utterance can be heard, so there is no babble")
        for _attempt in range(_TRIES):
            found = babble(clips, length, rate, rng)
            if np.abs(found).max() > AUDIBLE:
                return found
        raise AudioError("the other utterances are silence nearly throughout")

    def _clips(self, utterance: Utterance, rate: int) -> list[np.ndarray]:
        others = [each for each in self.utterances if each.id != utterance.id]
        strangers = [each for each in others if each.speaker != utterance.speaker]
        clips: list[np.ndarray] = []
        for other in heapq.nsmallest(
            4 * TALKERS, strangers or others, key=lambda each: self._place(utterance, each)
        ):
            try:
                heard = read(sound_of(other), sample_rate=rate).samples
            except (AudioError, OSError):
                continue
            if np.abs(heard).max() > AUDIBLE:
                clips.append(heard)
            if len(clips) == TALKERS:
                break
        return clips

    def _place(self, utterance: Utterance, other: Utterance) -> int:
        pair = f"{self.seed} {utterance.id} {other.id}"
        return zlib.crc32(pair.encode("utf-8", "backslashreplace"))


def _recordings(path: Path) -> np.ndarray:
    """A file, or every recording of a folder in the order of their names, at RATE."""
    if not path.is_dir():
        return joined([read(path, sample_rate=RATE).samples], MAX_NOISE_SECONDS * RATE)
    heard = []
    for file in sorted(each for each in path.rglob("*") if each.is_file()):
        try:
            heard.append(read(file, sample_rate=RATE).samples)
        except AudioError:
            continue  # a folder of recordings may hold a licence and a list too
    found = joined(heard, MAX_NOISE_SECONDS * RATE)
    if not found.size:
        raise InputError(f"{path}: no recording with sound in it; give one, or another folder")
    return found
