"""Noise, and speech mixed with it at a signal-to-noise ratio.

The ratio is that of powers, so 20 log10 of that of amplitudes. A hundred units of power of speech
over one of noise are 20 dB; the same power is 0 dB:

>>> power_ratio_db(100, 1), amplitude_ratio_db(10, 1)
(20.0, 20.0)
>>> power_ratio_db(1, 1), amplitude_ratio_db(1, 1)
(0.0, 0.0)

In `mix_at_snr` and the classes the power of speech is that while someone speaks
(`active_speech_level`), or with level="power" that of the whole, pauses included; the noise's is
that of the stretch mixed in. Noise of as many channels as the speech is added channel by channel;
otherwise the mean of its channels is added to each. Noise shorter than the speech starts over at
its end. A mix may exceed 1 and is not clipped; with peak="scale" one that does is divided by its
peak. Silence has no ratio to anything: InputError.

Samples are float, shape = (time,) or (channel, time); what comes back is float32. Noise made here
has an RMS of 0.1 (-20 dB).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from aural.audio.augment.given import (
    as_audio,
    check_choice,
    check_count,
    check_number,
    check_range,
    check_rate,
    picked,
    recorded,
)
from aural.audio.augment.level import active_speech_level, as_sound, decibels, rms_db, scaled
from aural.audio.resample import resample
from aural.errors import InputError
from aural.types import Audio

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aural.audio.augment import Drawn

SpeechPower = Literal["active", "power"]
Peak = Literal["keep", "scale"]

COLOURS = {"white": 0, "pink": -1, "brown": -2, "blue": 1, "violet": 2}
"""Colour -> exponent of frequency in the power spectrum: 0, -3, -6, 3 and 6 dB an octave."""

RMS = 0.1
MOST_RATIO_DB = 120.0
"""Beyond this, either way, float32 does not hold both."""
MOST_SAMPLES = 2**31
SILENT = "{} is silence, and a signal-to-noise ratio has no meaning; give sound"


@dataclass(frozen=True)
class AddNoise:
    """One of several recordings, from a place in it, at a ratio drawn evenly from snr_db.

    A recording longer than the speech is cropped, so that its end is not joined to its start; a
    stretch of digital silence, or whose channels cancel where their mean is added, is drawn again,
    and so is a recording that is nothing else. Noise is resampled to the speech's rate.
    """

    noises: tuple[Audio, ...]
    snr_db: tuple[float, float]
    level: SpeechPower = "active"
    peak: Peak = "keep"

    def __post_init__(self) -> None:
        check_mixing(self.snr_db, self.level, self.peak)
        check_sounds("noises", self.noises)

    def draw(self, value: Audio, rng: np.random.Generator) -> Drawn:
        """Which noise, its first sample (at its own rate) and the ratio."""
        value = as_audio(value)
        as_sound(value.samples, "speech")
        index = int(rng.integers(len(self.noises)))
        offset = _place(self.noises[index], value, rng)
        if offset is None:
            heard = [i for i, noise in enumerate(self.noises) if _sounding(noise, value).size]
            if not heard:
                raise InputError("the channels of every noise cancel in their mean; give others")
            index = heard[int(rng.integers(len(heard)))]
            offset = _place(self.noises[index], value, rng)
        return {"noise": index, "offset": offset, "snr_db": float(rng.uniform(*self.snr_db))}

    def apply(self, value: Audio, drawn: Drawn) -> Audio:
        """The mix."""
        value = as_audio(value)
        index, offset, ratio = recorded(drawn, "noise", "offset", "snr_db")
        recording = picked("noise", self.noises, index)
        _check_offset(recording, offset)
        noise = _stretch_of(recording, offset, value.samples.shape[-1], value.sample_rate)
        return _mixed(value, noise, ratio, self.level, self.peak)


@dataclass(frozen=True)
class AddColouredNoise:
    """Noise of a colour, one of COLOURS, at a ratio drawn evenly from snr_db."""

    colours: tuple[str, ...]
    snr_db: tuple[float, float]
    level: SpeechPower = "active"
    peak: Peak = "keep"

    def __post_init__(self) -> None:
        check_mixing(self.snr_db, self.level, self.peak)
        if isinstance(self.colours, str) or not self.colours:
            raise InputError(f"colours is {self.colours!r}; give a tuple of one or more")
        for colour in self.colours:
            check_choice("colour", colour, tuple(COLOURS))

    def draw(self, value: Audio, rng: np.random.Generator) -> Drawn:
        """The colour, the seed of the noise and the ratio."""
        as_audio(value)
        colour = self.colours[int(rng.integers(len(self.colours)))]
        seed = int(rng.integers(2**32))
        return {"colour": colour, "seed": seed, "snr_db": float(rng.uniform(*self.snr_db))}

    def apply(self, value: Audio, drawn: Drawn) -> Audio:
        """The mix."""
        value = as_audio(value)
        colour, seed, ratio = recorded(drawn, "colour", "seed", "snr_db")
        length, rate = value.samples.shape[-1], value.sample_rate
        noise = coloured_noise(colour, length, np.random.default_rng(seed), rate)
        return _mixed(value, noise, ratio, self.level, self.peak)


@dataclass(frozen=True)
class Babble:
    """Several of the clips at once, as loud as each other, at a ratio drawn evenly from snr_db.

    talkers: (fewest, most) clips, none of them twice. Clips are resampled to the speech's rate;
    places at which all of them pause are drawn again.
    """

    clips: tuple[Audio, ...]
    talkers: tuple[int, int] = (3, 8)
    snr_db: tuple[float, float] = (0.0, 20.0)
    level: SpeechPower = "active"
    peak: Peak = "keep"

    def __post_init__(self) -> None:
        check_mixing(self.snr_db, self.level, self.peak)
        check_sounds("clips", self.clips, mono=True)
        check_range("talkers", self.talkers, 1, len(self.clips))
        for count in self.talkers:
            check_count("talkers", count, 1, len(self.clips))

    def draw(self, value: Audio, rng: np.random.Generator) -> Drawn:
        """Which clips, where each starts (samples at its own rate) and the ratio."""
        value = as_audio(value)
        as_sound(value.samples, "speech")
        count = int(rng.integers(self.talkers[0], self.talkers[1] + 1))
        clips = [int(each) for each in rng.choice(len(self.clips), count, replace=False)]
        voices = [self.clips[each] for each in clips]
        for _ in range(_TRIES):
            offsets = [int(rng.integers(voice.samples.shape[-1])) for voice in voices]
            if any(_heard(*pair, value, mono=True) for pair in zip(voices, offsets, strict=True)):
                break
        else:
            offsets[0] = int(rng.choice(_sounding(voices[0], value, mono=True)))
        return {"clips": clips, "offsets": offsets, "snr_db": float(rng.uniform(*self.snr_db))}

    def apply(self, value: Audio, drawn: Drawn) -> Audio:
        """The mix."""
        value = as_audio(value)
        clips, offsets, ratio = recorded(drawn, "clips", "offsets", "snr_db")
        voices = [picked("clip", self.clips, each) for each in clips]
        if not 0 < len(voices) == len(offsets):
            raise InputError(f"{len(offsets)} offsets for {len(voices)} clips; give one each")
        for pair in zip(voices, offsets, strict=True):
            _check_offset(*pair)
        noise = _voices(voices, offsets, value.samples.shape[-1], value.sample_rate)
        return _mixed(value, noise, ratio, self.level, self.peak)


def power_ratio_db(signal: float, noise: float) -> float:
    """10 log10 of signal / noise, both powers."""
    if not (0 < signal < math.inf and 0 < noise < math.inf):
        raise InputError(f"a ratio of {signal} to {noise}; give finite numbers above 0")
    return decibels(signal / noise)


def amplitude_ratio_db(signal: float, noise: float) -> float:
    """20 log10 of signal / noise, both amplitudes."""
    return 2 * power_ratio_db(signal, noise)


def snr_db(signal: np.ndarray, noise: np.ndarray) -> float:
    """Signal-to-noise ratio of two arrays by their mean squares, pauses included."""
    levels = []
    for name, samples in (("signal", signal), ("noise", noise)):
        levels.append(rms_db(as_sound(samples, name)))
        if levels[-1] == -math.inf:
            raise InputError(SILENT.format(name))
    return levels[0] - levels[1]


def mix_at_snr(
    speech: np.ndarray,
    noise: np.ndarray,
    snr_db: float,
    sample_rate: int,
    level: SpeechPower = "active",
    offset: int = 0,
    peak: Peak = "keep",
) -> np.ndarray:
    """speech plus noise, from its sample at offset on, so loud that the ratio is snr_db.

    float32 in the speech's shape, both at sample_rate; exact to 0.01 dB. snr_db is -120 to 120. The
    speech keeps its level, unless peak="scale" and the mix exceeds 1: then the mix is divided by
    its peak.
    """
    check_number("snr_db", snr_db, -MOST_RATIO_DB, MOST_RATIO_DB)
    check_choice("level", level, get_args(SpeechPower))
    check_choice("peak", peak, get_args(Peak))
    check_rate(sample_rate)
    speech = as_sound(speech, "speech")
    noise = stretch(as_sound(noise, "noise"), offset, speech.shape[-1])
    if noise.ndim == 2 and noise.shape != speech.shape:
        noise = noise.mean(axis=0)
    loud = active_speech_level(speech, sample_rate).db if level == "active" else rms_db(speech)
    if loud == -math.inf:
        raise InputError(SILENT.format("speech"))
    present = rms_db(noise)
    if present == -math.inf:
        raise InputError(SILENT.format("this stretch of noise"))
    mixed = speech + scaled(noise, loud - snr_db - present)
    if peak == "scale" and (highest := np.abs(mixed).max()) > 1:
        mixed /= highest
    return mixed


def coloured_noise(
    colour: str,
    length: int,
    rng: np.random.Generator,
    sample_rate: int = 16000,
    lowest: float = 20.0,
) -> np.ndarray:
    """Gaussian noise whose power goes with a power of frequency (COLOURS), shape = (length,).

    White noise is independent samples. Of the other colours there is nothing below `lowest` Hz:
    nobody hears it, and brown noise would be little else. Their end joins their start.
    """
    check_choice("colour", colour, tuple(COLOURS))
    check_rate(sample_rate)
    check_count("length", length, 2, MOST_SAMPLES)
    if not 0 <= lowest < sample_rate / 2:
        raise InputError(f"lowest is {lowest} Hz; give 0 to less than {sample_rate / 2:g} Hz")
    noise = rng.standard_normal(length)
    if colour != "white":
        import scipy.fft

        spectrum = scipy.fft.rfft(noise)
        frequency = np.arange(spectrum.size) * (sample_rate / length)
        heard = frequency >= max(lowest, sample_rate / length / 2)
        spectrum[~heard] = 0
        spectrum[heard] *= (frequency[heard] / sample_rate) ** (COLOURS[colour] / 2)
        noise = scipy.fft.irfft(spectrum, length)
    return _at_rms(noise)


def hum(frequency: float, length: int, sample_rate: int, harmonics: int = 10) -> np.ndarray:
    """Mains hum, shape = (length,): the frequency (50 or 60 Hz) and its multiples.

    The n-th multiple has 1 / n of the first's amplitude; those from half the rate on are left out.
    """
    check_rate(sample_rate)
    check_count("length", length, 1, MOST_SAMPLES)
    if not 0 < frequency < sample_rate / 2:
        raise InputError(f"frequency is {frequency}; give above 0, below {sample_rate / 2:g} Hz")
    check_count("harmonics", harmonics, 1, MOST_SAMPLES)
    time = np.arange(length) / sample_rate
    total = np.zeros(length)
    for multiple in range(1, min(harmonics, math.ceil(sample_rate / 2 / frequency) - 1) + 1):
        total += np.cos(2 * np.pi * multiple * frequency * time) / multiple
    return _at_rms(total)


def babble(
    clips: Sequence[np.ndarray],
    length: int,
    sample_rate: int,
    offsets: Sequence[int] | np.random.Generator,
) -> np.ndarray:
    """All clips at once, at equal active speech level, shape = (length,); each starts over.

    offsets: the first sample of each, or a generator to draw them from. A clip is at sample_rate;
    of several channels it is the mean. InputError for a silent clip.
    """
    check_rate(sample_rate)
    check_count("length", length, 1, MOST_SAMPLES)
    heard = tuple(Audio(as_sound(clip, "a clip"), sample_rate) for clip in clips)
    check_sounds("clips", heard)
    if isinstance(offsets, np.random.Generator):
        offsets = [int(offsets.integers(clip.samples.shape[-1])) for clip in heard]
    if len(offsets) != len(heard):
        raise InputError(f"{len(offsets)} offsets for {len(heard)} clips; give one each")
    return _voices(heard, offsets, length, sample_rate)


def stretch(samples: np.ndarray, offset: int, length: int) -> np.ndarray:
    """length samples from offset on, again from the first after the last."""
    if 0 <= offset <= samples.shape[-1] - length:
        return samples[..., offset : offset + length]
    return samples.take(np.arange(offset, offset + length) % samples.shape[-1], axis=-1)


def _stretch_of(audio: Audio, offset: int, length: int, sample_rate: int) -> np.ndarray:
    """The same at another rate; offset is at the recording's own."""
    if audio.sample_rate == sample_rate:
        return stretch(audio.samples, offset, length)
    needed = math.ceil((length + 2) * audio.sample_rate / sample_rate)
    piece = stretch(audio.samples, offset, needed)
    return resample(piece, audio.sample_rate, sample_rate)[..., :length]


_TRIES = 100  # so many places are drawn before one is taken at which there is sound


def _place(noise: Audio, value: Audio, rng: np.random.Generator) -> int | None:
    """A sample from which on there is sound; None where there is nowhere any."""
    size, needed = noise.samples.shape[-1], _needed(noise, value)
    places = size - needed + 1 if needed < size else size
    for _ in range(_TRIES):
        offset = int(rng.integers(places))
        if _heard(noise, offset, value):
            return offset
    sounding = _sounding(noise, value)
    if not sounding.size:
        return None
    at = int(rng.choice(sounding))
    return int(rng.integers(max(0, at - needed + 1), min(at, places - 1) + 1))


def _needed(noise: Audio, value: Audio) -> int:
    return math.ceil(value.samples.shape[-1] * noise.sample_rate / value.sample_rate)


def _heard(noise: Audio, offset: int, value: Audio, mono: bool = False) -> bool:
    """Whether there is sound in the stretch that is mixed with the value, or with mono."""
    piece = stretch(np.asarray(noise.samples), offset, _needed(noise, value))
    if piece.ndim == 2 and (mono or value.samples.shape[:-1] != piece.shape[:-1]):
        piece = piece.mean(axis=0)
    return bool(piece.any())


def _sounding(noise: Audio, value: Audio, mono: bool = False) -> np.ndarray:
    """The samples of the noise that are not zero."""
    samples = np.asarray(noise.samples)
    if samples.ndim == 2:
        alone = mono or value.samples.shape[:-1] != samples.shape[:-1]
        samples = samples.mean(axis=0) if alone else np.abs(samples).max(axis=0)
    return np.flatnonzero(samples)


def _check_offset(recording: Audio, offset: int) -> None:
    check_count("offset", offset, 0, recording.samples.shape[-1] - 1)


def _voices(
    clips: Iterable[Audio], offsets: Iterable[int], length: int, sample_rate: int
) -> np.ndarray:
    total = np.zeros(length)
    for clip, offset in zip(clips, offsets, strict=True):
        voice = clip.samples if clip.samples.ndim == 1 else clip.samples.mean(axis=0)
        level = active_speech_level(voice, clip.sample_rate).db
        if level == -math.inf:
            raise InputError(SILENT.format("a clip"))
        mono = Audio(voice, clip.sample_rate)
        total += _stretch_of(mono, offset, length, sample_rate) * 10 ** (-level / 20)
    return _at_rms(total)


def _mixed(value: Audio, noise: np.ndarray, snr: float, level: SpeechPower, peak: Peak) -> Audio:
    rate = value.sample_rate
    return Audio(mix_at_snr(value.samples, noise, snr, rate, level, peak=peak), rate)


def _at_rms(samples: np.ndarray) -> np.ndarray:
    """At RMS; silence (all of it in the pauses of the clips) stays what it is."""
    present = math.sqrt(float(np.mean(samples**2)))
    return (samples * (RMS / present if present else 0.0)).astype(np.float32)


def check_mixing(snr_db: tuple[float, float], level: str, peak: str) -> None:
    """InputError unless all are what `mix_at_snr` takes."""
    check_range("snr_db", snr_db, -MOST_RATIO_DB, MOST_RATIO_DB)
    check_choice("level", level, get_args(SpeechPower))
    check_choice("peak", peak, get_args(Peak))


def check_sounds(name: str, sounds: tuple[Audio, ...], mono: bool = False) -> None:
    """InputError unless there is at least one, and sound in each (mono: in its channels' mean)."""
    if not sounds:
        raise InputError(f"{name} is empty; give at least one Audio")
    for index, audio in enumerate(sounds):
        check_rate(audio.sample_rate)
        samples = as_sound(audio.samples, f"{name}[{index}]")
        if not (samples.mean(axis=0) if mono and samples.ndim == 2 else samples).any():
            raise InputError(SILENT.format(f"{name}[{index}]"))
