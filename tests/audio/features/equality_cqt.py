"""Constant-Q, chroma, normalisation and change of rate beside references, as equality.py has it.

test_cqt.py holds each case to its tolerance. The sound is three seconds of real speech (examples/)
and tones. Where a rate is changed the reference is physics: what a tone must become.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache, partial

import librosa
import numpy as np
import scipy.signal
from equality import RELATIVE, Case, of_a_tensor
from oracles import speech
from transformers import Wav2Vec2FeatureExtractor

from aural.audio import features as f
from aural.audio.resample import resample


def direct_sum(samples: np.ndarray, options: f.CQTOptions, frames: np.ndarray) -> np.ndarray:
    """Each value of these frames as the sum it is, in float64: complex, (n_bins, frame)."""
    rate, per_octave = options.sample_rate, options.bins_per_octave
    ratio = 2 ** (2 / per_octave)
    quality = options.filter_scale * (ratio + 1) / (ratio - 1)
    values = np.zeros((options.n_bins, len(frames)), complex)
    for k in range(options.n_bins):
        frequency = options.fmin * 2 ** ((k + options.tuning) / per_octave)
        length = quality * rate / frequency
        n = np.arange(-math.ceil(length / 2), math.ceil(length / 2) + 1)
        angle = 2 * np.pi * n / length
        window = {
            "hann": 0.5 + 0.5 * np.cos(angle),
            "blackman": 0.42 + 0.5 * np.cos(angle) + 0.08 * np.cos(2 * angle),
        }[options.window] * (np.abs(n) < length / 2)
        window /= (np.abs(window) ** options.norm).sum() ** (1 / options.norm)
        wave = window * np.exp(-2j * np.pi * frequency * n / rate)
        places = frames[:, None] * options.hop_length + n
        inside = (places >= 0) & (places < samples.size)
        values[k] = np.where(inside, samples[places.clip(0, samples.size - 1)], 0.0) @ wave
        values[k] *= math.sqrt(length) if options.scale else length
    return values


def kaldi_sliding(
    features: np.ndarray, window: int, least: int, center: bool, variance: bool
) -> np.ndarray:
    """apply-cmvn-sliding, one frame after the other; features have shape (feature, frame)."""
    values = features.astype(float)
    frames = values.shape[1]
    result = np.empty_like(values)
    for t in range(frames):
        start, end = (t - window // 2, t - window // 2 + window) if center else (t - window, t + 1)
        if start < 0:
            start, end = 0, end - start
        if not center and end > t:
            end = max(t + 1, least)
        if end > frames:
            start, end = max(0, start - (end - frames)), frames
        part = values[:, start:end]
        result[:, t] = values[:, t] - part.mean(1)
        if variance and end - start == 1:
            result[:, t] = 0
        elif variance:
            result[:, t] /= np.sqrt(np.maximum(part.var(1), 1e-10))
    return result


def tone(hertz: float, rate: int, seconds: float = 2.0) -> np.ndarray:
    """A sine of full scale: float32."""
    return np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate).astype(np.float32)


@cache
def chord(rate: int) -> np.ndarray:
    """C major struck and dying away, eight harmonics a note: float32."""
    time = np.arange(2 * rate) / rate
    notes = sum(
        np.sin(2 * np.pi * note * harmonic * time + harmonic) * np.exp(-2 * time) / harmonic
        for note in (130.81, 164.81, 196.0)
        for harmonic in range(1, 9)
    )
    return (notes / 6).astype(np.float32)


SEMITONES = f.CQTOptions()
AT_16_KHZ = f.CQTOptions(sample_rate=16000, hop_length=160)
THIRDS = f.CQTOptions(n_bins=252, bins_per_octave=36)


def cqt_sum(options: f.CQTOptions):
    frames = np.linspace(0, options.frames(speech().size) - 1, 6).astype(int)
    return f.cqt(speech(), options)[:, frames], direct_sum(speech(), options, frames)


def cqt_librosa(options: f.CQTOptions, samples: np.ndarray):
    theirs = librosa.cqt(
        samples,
        sr=options.sample_rate,
        hop_length=options.hop_length,
        n_bins=options.n_bins,
        bins_per_octave=options.bins_per_octave,
    )
    return np.abs(f.cqt(samples, options)), np.abs(theirs)


def cqt_stream():
    stream = f.CQTStream(AT_16_KHZ)
    parts = [stream.push(part) for part in np.array_split(speech(), 37)]
    return np.concatenate([*parts, stream.finish()], axis=1), f.cqt(speech(), AT_16_KHZ)


def chroma_filters():
    return f.chroma_filters(16000, 2048), librosa.filters.chroma(sr=16000, n_fft=2048)


def chroma_stft():
    power = f.power_spectrogram(speech(), f.STFTOptions(2048, 512, pad_mode="constant"))
    return f.chroma(power, 16000), librosa.feature.chroma_stft(y=speech(), sr=16000, tuning=0)


def chroma_cqt(options: f.CQTOptions):
    magnitude = np.abs(f.cqt(chord(22050), options))
    theirs = librosa.feature.chroma_cqt(C=magnitude, bins_per_octave=options.bins_per_octave)
    return f.chroma_cqt(magnitude, options), theirs


def z_normalise(lengths: tuple[int, ...]):
    signals = [speech()[:length] for length in lengths]
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True)
    theirs = extractor(signals, sampling_rate=16000, padding=True, return_tensors="np")
    batch = f.pad_batch(signals)
    return f.z_normalise(batch.values, batch.mask), theirs["input_values"]


def cmvn():
    features = f.mfcc(speech(), "kaldi").astype(float)
    spread = np.sqrt(features.var(1, keepdims=True) + 1e-7)
    return f.cmvn(features), (features - features.mean(1, keepdims=True)) / spread


def sliding_cmvn(center: bool, variance: bool):
    features = f.mfcc(speech(), "kaldi")
    ours = f.sliding_cmvn(features, 100, min_window=30, center=center, variance=variance)
    return ours, kaldi_sliding(features, 100, 30, center, variance)


def _inner(samples: np.ndarray) -> np.ndarray:
    """Without the half second where a tone sets in or breaks off, which is noise."""
    return samples[8000:-8000]


def tone_above_half_the_rate(from_rate: int):
    """A tone of 10 kHz has no place at 16 kHz."""
    got = _inner(resample(tone(10_000, from_rate, 3), from_rate, 16000))
    return got, np.zeros_like(got)


def tone_decimated():
    """Every second sample of 10 kHz at 32 kHz is 6 kHz at 16 kHz, upside down."""
    return tone(10_000, 32000)[::2], -tone(6_000, 16000)


def tone_kept(from_rate: int, hertz: float):
    got = resample(tone(hertz, from_rate, 3), from_rate, 16000)
    return _inner(got), _inner(tone(hertz, 16000, 3))


def noise_resampled():
    """Noise below 6 kHz, beside scipy's polyphase filter of 120 dB and 0.3 kHz of transition."""
    noise = np.random.default_rng(0).standard_normal(3 * 44100)
    spectrum = np.fft.rfft(noise)
    spectrum[np.fft.rfftfreq(noise.size, 1 / 44100) > 6000] = 0
    noise = np.fft.irfft(spectrum, noise.size) / 4
    rate = 44100 * 160
    taps, beta = scipy.signal.kaiserord(120, 1500 / (rate / 2))
    filters = scipy.signal.firwin(taps | 1, 7000, window=("kaiser", beta), fs=rate)
    theirs = scipy.signal.resample_poly(noise, 160, 441, window=filters)
    ours = resample(noise.astype(np.float32), 44100, 16000)
    return _inner(ours), _inner(theirs)


CQT_CASES = [
    *(
        Case(f"constant-Q, {name}", "its sum", partial(cqt_sum, options), 1e-5, RELATIVE)
        for name, options in (
            ("semitones at 22.05 kHz", SEMITONES),
            ("semitones at 16 kHz", AT_16_KHZ),
            ("36 bins an octave", THIRDS),
            ("hop of 441", replace(SEMITONES, hop_length=441)),
            ("Blackman", replace(SEMITONES, window="blackman")),
        )
    ),
    *(
        Case(
            f"constant-Q magnitude, {name}",
            "librosa.cqt",
            partial(cqt_librosa, options, sound),
            3e-2,
            RELATIVE,
        )
        for name, options, sound in (
            ("speech", AT_16_KHZ, speech()),
            ("chord", SEMITONES, chord(22050)),
            ("tone", SEMITONES, tone(440, 22050)),
        )
    ),
    Case("constant-Q, in 37 pieces", "at once", cqt_stream, 0, RELATIVE),
    Case(
        "constant-Q, torch tensor",
        "NumPy array",
        lambda: of_a_tensor(f.cqt, speech().astype(float)),
        1e-12,
        RELATIVE,
    ),
]

CHROMA_CASES = [
    Case("chroma filters", "librosa.filters.chroma", chroma_filters, 1e-7, "of 1"),
    Case("chroma", "librosa chroma_stft", chroma_stft, 1e-5, "of 1"),
    *(
        Case(
            f"chroma of constant-Q, {options.bins_per_octave} bins an octave",
            "librosa chroma_cqt",
            partial(chroma_cqt, options),
            1e-6,
            "of 1",
        )
        for options in (SEMITONES, THIRDS)
    ),
]

NORMALISATION_CASES = [
    *(
        Case(
            f"z-normalisation, {name}",
            "transformers Wav2Vec2",
            partial(z_normalise, lengths),
            1e-5,
            "of 1",
        )
        for name, lengths in (
            ("one signal", (48000,)),
            ("padded with mask", (40_000, 20_800, 48_000)),
        )
    ),
    Case("cepstral mean and variance", "written out", cmvn, 1e-12, "of 1"),
    *(
        Case(
            f"sliding cepstral mean{' and variance' * variance}{', centred' * center}",
            "Kaldi's, written out",
            partial(sliding_cmvn, center, variance),
            2e-5,
            "ln",
        )
        for center in (False, True)
        for variance in (False, True)
    ),
]

RESAMPLE_CASES = [
    *(
        Case(
            f"10 kHz, {rate / 1000:g} to 16 kHz",
            "silence",
            partial(tone_above_half_the_rate, rate),
            1e-5,
            "of full scale",
        )
        for rate in (32000, 44100, 48000)
    ),
    Case("10 kHz, every second of 32 kHz", "6 kHz", tone_decimated, 1e-4, "of full scale"),
    *(
        Case(
            f"{hertz / 1000:g} kHz, {rate / 1000:g} to 16 kHz",
            "the tone",
            partial(tone_kept, rate, hertz),
            tolerance,
            "of full scale",
        )
        for rate, hertz, tolerance in (
            (44100, 1000, 3e-6),
            (44100, 6000, 3e-4),  # the slope of soxr's pass band at this ratio: 0.002 dB
            (48000, 7000, 3e-6),
            (8000, 3000, 3e-6),
        )
    ),
    Case("noise, 44.1 to 16 kHz", "scipy resample_poly", noise_resampled, 1e-4, "of full scale"),
]

CASES = [*CQT_CASES, *CHROMA_CASES, *NORMALISATION_CASES, *RESAMPLE_CASES]
