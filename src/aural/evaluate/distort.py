"""Utterances under a condition: the same distortion of the same utterance in every run.

What is random (which stretch of a noise, where in a room) is drawn from the seed and the
utterance's id alone: at every signal-to-noise ratio an utterance is mixed with the same stretch of
noise, so that a curve shows the ratio and nothing else.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aural.audio.augment import augment
from aural.audio.augment.channel import bandwidth, telephone
from aural.audio.augment.codec import CODECS, codec_round_trip
from aural.audio.augment.level import set_level
from aural.audio.augment.noise import COLOURS, babble, coloured_noise, mix_at_snr, stretch
from aural.audio.augment.room import Room
from aural.audio.read import read
from aural.audio.resample import resample
from aural.data.noises import NOISES, noise_recording
from aural.data.sound import sound_of
from aural.errors import AudioError, InputError, UnknownName
from aural.evaluate.conditions import AS_RECORDED, Condition, codec_of
from aural.types import Audio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aural.audio.source import Source
    from aural.data.utterance import Utterance

    Noise = Callable[[Utterance, int, int, np.random.Generator], np.ndarray]

BABBLE, TELEPHONE = "babble", "telephone"
TALKERS = 5
"""Voices in babble."""

DISTANCE, RT60 = 1.0, 0.4
"""Metres where only a reverberation time is given, seconds where only a distance is."""

RATE = 16000
"""Recorded noises are kept at this rate."""
MAX_NOISE_SECONDS = 600
AUDIBLE = 1e-4
"""Peak below which a stretch of noise is silence, and another one is drawn."""


class Distortions:
    """Condition -> (utterance -> its sound), for the utterances of one manifest."""

    def __init__(self, utterances: Sequence[Utterance], *, seed: int = 0) -> None:
        self._utterances = utterances
        self._seed = seed
        self._noises: dict[str, Noise] = {}

    def __call__(self, condition: Condition) -> Callable[[Utterance], Source]:
        """Where the sound comes from; noises that are not there are told now, not later.

        Raises:
            UnknownName: no such noise or codec.
            Unreachable: a corpus with the noise can't be had.
        """
        if condition == AS_RECORDED:
            return sound_of
        if condition.codec and (name := codec_of(condition.codec)[1]) not in (TELEPHONE, *CODECS):
            raise UnknownName("codec", name, (TELEPHONE, *CODECS))
        if condition.noise and condition.noise not in self._noises:
            self._noises[condition.noise] = self._noise(condition.noise)
        room = _room(condition)
        return lambda utterance: self._distorted(utterance, condition, room)

    def _distorted(self, utterance: Utterance, condition: Condition, room: Room | None) -> Audio:
        audio = read(sound_of(utterance))
        samples, rate = audio.samples, audio.sample_rate
        if room is not None:
            rng = self._rng(utterance, f"room of {room.distance_m[0]:g} m")
            samples = augment(Audio(samples, rate), room, rng).value.samples
        if condition.noise and condition.snr is not None:
            rng = self._rng(utterance, condition.noise)
            noise = self._noises[condition.noise](utterance, samples.size, rate, rng)
            samples = mix_at_snr(samples, noise, condition.snr, rate, peak="scale")
        if condition.level is not None:
            samples = set_level(samples, condition.level, rate)
        if condition.bandwidth is not None and condition.bandwidth < rate:
            samples = bandwidth(samples, rate, condition.bandwidth)
        elif condition.bandwidth is not None:
            samples = resample(samples, rate, condition.bandwidth)
            rate = condition.bandwidth
        if condition.codec:
            _, codec, bit_rate = codec_of(condition.codec)
            if codec == TELEPHONE:
                samples = telephone(samples, rate)
            else:
                samples = codec_round_trip(samples, rate, codec, bit_rate)
        return Audio(np.clip(samples, -1, 1), rate)

    def _rng(self, utterance: Utterance, purpose: str) -> np.random.Generator:
        name = f"{purpose} {utterance.id}".encode("utf-8", "backslashreplace")
        return np.random.default_rng([self._seed, zlib.crc32(name)])

    def _noise(self, name: str) -> Noise:
        if name in COLOURS:
            return lambda _, length, rate, rng: coloured_noise(name, length, rng, rate)
        if name == BABBLE:
            return self._babble
        if name in NOISES:
            return _stretches_of(noise_recording(name, sample_rate=RATE))
        path = Path(name)
        if path.exists():
            return _stretches_of(_recordings(path))
        choices = (*COLOURS, BABBLE, *sorted(NOISES))
        raise UnknownName("noise (nor a file or folder)", name, choices)

    def _babble(
        self, utterance: Utterance, length: int, rate: int, rng: np.random.Generator
    ) -> np.ndarray:
        """TALKERS other utterances at once, of other speakers where these are known."""
        others = [each for each in self._utterances if each.id != utterance.id]
        strangers = [each for each in others if each.speaker != utterance.speaker]
        choices = strangers if len({each.speaker for each in strangers}) > 1 else others
        if not choices:
            raise InputError("babble is made of other utterances, and the manifest has one only")
        picked = rng.choice(len(choices), size=TALKERS, replace=len(choices) < TALKERS)
        clips = [_heard(choices[int(index)], rate) for index in picked]
        return babble(clips, length, rate, rng)


def _room(condition: Condition) -> Room | None:
    if condition.rt60 is None and condition.distance is None:
        return None
    rt60 = RT60 if condition.rt60 is None else condition.rt60
    distance = DISTANCE if condition.distance is None else condition.distance
    return Room(rt60=(rt60, rt60), distance_m=(distance, distance))


def _heard(utterance: Utterance, rate: int) -> np.ndarray:
    return read(sound_of(utterance), sample_rate=rate).samples


def _stretches_of(recording: np.ndarray) -> Noise:
    """Stretches of one long recording, from its start again after its end."""

    def draw(_: Utterance, length: int, rate: int, rng: np.random.Generator) -> np.ndarray:
        wanted = -(-length * RATE // rate) + 1
        for _attempt in range(100):
            found = stretch(recording, int(rng.integers(recording.size)), wanted)
            if np.abs(found).max() > AUDIBLE:
                return resample(found, RATE, rate)[:length]
        raise InputError("the noise is silence nearly throughout: give recordings with sound")

    return draw


def _recordings(path: Path) -> np.ndarray:
    """A file, or every recording of a folder in the order of their names, at RATE."""
    files = sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
    left, parts = MAX_NOISE_SECONDS * RATE, []
    for file in files:
        try:
            samples = read(file, sample_rate=RATE).samples
        except AudioError:
            if not path.is_dir():
                raise
            continue  # a folder of recordings may hold a licence and a list too
        parts.append(samples[:left])
        left -= parts[-1].size
        if left <= 0:
            break
    if not parts:
        raise InputError(f"{path}: no recording in it that can be read")
    return np.concatenate(parts)
