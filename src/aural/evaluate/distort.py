"""Utterances under a condition: the same distortion of the same utterance in every run.

What is random (which stretch of a noise, which room, where in it) is drawn from the seed and the
utterance's id: at every signal-to-noise ratio an utterance is mixed with the same stretch of noise,
and at every distance it is heard in a room of the same size, so that a curve shows what is swept
and nothing else.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aural.audio.augment import augment
from aural.audio.augment.channel import bandwidth, telephone
from aural.audio.augment.codec import CODECS, check_codec, codec_round_trip
from aural.audio.augment.level import set_level
from aural.audio.augment.noise import COLOURS, mix_at_snr
from aural.audio.augment.room import Room
from aural.audio.read import read
from aural.audio.resample import resample
from aural.data.noises import NOISES
from aural.data.sound import sound_of
from aural.errors import AudioError, InputError, UnknownName
from aural.evaluate.conditions import AS_RECORDED, Condition, codec_of
from aural.evaluate.noise_sources import BABBLE, NoiseSource, noise_source
from aural.types import Audio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aural.audio.source import Source
    from aural.data.utterance import Utterance

TELEPHONE = "telephone"
DISTANCE, RT60 = 1.0, 0.4
"""Metres where only a reverberation time is given, seconds where only a distance is."""

ROOM_SIZES = ((6.0, 10.0), (5.0, 8.0), (2.5, 4.0))
"""Metres, least and most of each side: any holds the farthest distance that can be asked for."""


class Distortions:
    """Condition -> (utterance -> its sound), for the utterances of one manifest."""

    def __init__(
        self, utterances: Sequence[Utterance], *, seed: int = 0, offline: bool = False
    ) -> None:
        self._utterances, self._offline = utterances, offline
        self.seed = seed
        self._sources: dict[str, NoiseSource] = {}

    def __call__(self, condition: Condition) -> Distorted:
        """Where the sound comes from; what can't be done is told now, not at the first utterance.

        Raises:
            UnknownName: no such noise or codec.
            InputError: a codec's bit rate, or a noise without sound.
            Unreachable: a corpus with the noise can't be had.
        """
        if bool(condition.noise) != (condition.snr is not None):
            raise InputError(f"condition {condition}: noise and snr belong together, give both")
        if condition.codec:
            _, codec, bit_rate = codec_of(condition.codec)
            if codec not in (TELEPHONE, *CODECS):
                raise UnknownName("codec", codec, (TELEPHONE, *CODECS))
            if codec != TELEPHONE:
                check_codec(codec, bit_rate)
            elif bit_rate is not None:
                raise InputError(f"codec is {condition.codec!r}: telephone takes no bit rate")
        source = None
        if condition.noise:
            source = self._sources.get(condition.noise)
        if condition.noise and source is None:
            source = noise_source(
                condition.noise, self._utterances, seed=self.seed, offline=self._offline
            )
            self._sources[condition.noise] = source
        return Distorted(condition, self.seed, source)


@dataclass(frozen=True)
class Distorted:
    """Utterance -> its sound under a condition; source is the noise's, where there is one."""

    condition: Condition
    seed: int
    source: NoiseSource | None = None

    @property
    def settings(self) -> str:
        """What was done, in words that differ where the sound may."""
        mark = self.source.fingerprint if self.source else ""
        return f"{self.condition.name}, seed {self.seed}" + (f", noise {mark}" if mark else "")

    def __call__(self, utterance: Utterance) -> Source:
        """The sound; AudioError names what can't be heard or distorted, as silence."""
        if self.condition == AS_RECORDED:
            return sound_of(utterance)
        try:
            return self._distorted(utterance)
        except AudioError:
            raise
        except InputError as error:  # of this sound: options were checked before
            raise AudioError(f"{utterance.id}: under {self.condition.name}: {error}") from error

    def _distorted(self, utterance: Utterance) -> Audio:
        condition, audio = self.condition, read(sound_of(utterance))
        samples, rate = audio.samples, audio.sample_rate
        if condition.rt60 is not None or condition.distance is not None:
            samples = self._in_room(utterance, audio)
        if self.source is not None and condition.snr is not None:
            rng = self._rng(utterance, _purpose(condition.noise))
            noise = self.source.draw(utterance, samples.size, rate, rng)
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
        return np.random.default_rng([self.seed, zlib.crc32(name)])

    def _in_room(self, utterance: Utterance, audio: Audio) -> np.ndarray:
        rt60 = RT60 if self.condition.rt60 is None else self.condition.rt60
        distance = DISTANCE if self.condition.distance is None else self.condition.distance
        rng = self._rng(utterance, "room")
        size = rng.uniform(*np.transpose(ROOM_SIZES)).tolist()
        room = Room(
            rt60=(rt60, rt60),
            distance_m=(distance, distance),
            size_m=tuple((side, side) for side in size),
        )
        return augment(audio, room, rng).value.samples


def _purpose(noise: str) -> str:
    """A noise's name; of recordings of one's own none, as they may lie elsewhere tomorrow."""
    return noise if noise in (*COLOURS, BABBLE, *NOISES) else "recordings"
