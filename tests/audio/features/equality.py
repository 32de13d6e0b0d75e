"""The features beside independent references, as data: what is compared, with what, how near.

test_equality.py holds each case to its tolerance; benchmarks/feature_equality.py prints the largest
difference of each. The sound is three seconds of real speech (examples/).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import librosa
import numpy as np
import oracles
import scipy.signal
import torch
from oracles import speech
from transformers import (
    ASTFeatureExtractor,
    Speech2TextFeatureExtractor,
    SpeechT5FeatureExtractor,
    WhisperFeatureExtractor,
    audio_utils,
)

from aural.audio import features as f

if TYPE_CHECKING:
    from collections.abc import Callable

RELATIVE = "of the largest"


@dataclass(frozen=True)
class Case:
    """run gives (ours, theirs), arrays of one shape. tolerance: the largest difference allowed,
    in unit; RELATIVE stands for differences divided by the largest value of theirs."""

    name: str
    reference: str
    run: Callable[[], tuple[np.ndarray, np.ndarray]]
    tolerance: float
    unit: str

    def difference(self) -> float:
        """The largest, in unit."""
        ours, theirs = (np.asarray(values) for values in self.run())
        assert ours.shape == theirs.shape, f"{self.name}: {ours.shape} is not {theirs.shape}"
        assert ours.size, f"{self.name} has no values"
        largest = np.abs(theirs).max() if self.unit == RELATIVE else 1.0
        return float(np.abs(ours - theirs).max() / largest)


TUTORIAL = f.STFTOptions(n_fft=512, hop_length=128)
LIBROSA = f.STFTOptions(n_fft=2048, hop_length=512, pad_mode="constant")
SHORT = f.STFTOptions(n_fft=512, hop_length=100, win_length=400, window="hamming")
SCIPY = f.STFTOptions(n_fft=512, win_length=400, window_at="start", center=False)


def stft_torch():
    return f.stft(speech(), TUTORIAL), oracles.torch_spectrum(speech(), 512, 128)


def stft_librosa():
    return f.stft(speech(), LIBROSA), librosa.stft(speech())


def stft_short_window():
    theirs = librosa.stft(speech(), n_fft=512, hop_length=100, win_length=400, window="hamming")
    return f.stft(speech(), replace(SHORT, pad_mode="constant")), theirs


def stft_scipy():
    _, _, theirs = scipy.signal.stft(
        speech(), nperseg=400, noverlap=240, nfft=512, boundary=None, padded=False
    )
    return f.stft(speech(), SCIPY), theirs * 200  # it divides by the window's sum


def dft_sum():
    cut = f.frame(speech(), 400, 160)[100] * f.window("hann", 400)
    turns = np.outer(np.arange(201), np.arange(400)) / 400
    ours = f.stft(speech(), f.STFTOptions(center=False))[:, 100]
    return ours, (cut * np.exp(-2j * np.pi * turns)).sum(axis=1)


def istft_inverse(options: f.STFTOptions):
    return f.istft(f.stft(speech(), options), options, speech().size), speech()


def masked() -> np.ndarray:
    """A spectrum that no signal has."""
    spectrum = f.stft(speech(), TUTORIAL)
    return spectrum * np.random.default_rng(0).random(spectrum.shape, np.float32)


def istft_torch():
    theirs = torch.istft(torch.from_numpy(masked()), 512, 128, window=torch.hann_window(512))
    return f.istft(masked(), TUTORIAL), theirs.numpy()


def istft_librosa():
    return f.istft(masked(), TUTORIAL, 48000), librosa.istft(
        masked(), n_fft=512, hop_length=128, length=48000
    )


def griffin_lim(momentum: float):
    magnitude = np.abs(f.stft(speech(), TUTORIAL)).astype(float)
    ours = f.griffin_lim(magnitude, TUTORIAL, np.random.default_rng(3), 16, momentum)
    return ours, librosa.griffinlim(
        magnitude,
        n_iter=16,
        n_fft=512,
        hop_length=128,
        momentum=momentum,
        pad_mode="reflect",
        dtype=float,
        random_state=np.random.default_rng(3),
    )


def windows():
    names = {"hann": "hann", "hamming": "hamming", "blackman": "blackman", "rectangular": "boxcar"}
    pairs = [
        (f.window(ours, 400, periodic), scipy.signal.get_window(theirs, 400, periodic))
        for ours, theirs in names.items()
        for periodic in (True, False)
    ]
    return tuple(np.stack(side) for side in zip(*pairs, strict=True))


def power_to_db():
    power = f.power_spectrogram(speech(), TUTORIAL)
    return f.power_to_db(power, "max", top_db=60), librosa.power_to_db(power, ref=np.max, top_db=60)


def amplitude_to_db():
    magnitude = f.power_spectrogram(speech(), TUTORIAL, power=1)
    return f.amplitude_to_db(magnitude, 0.5), librosa.amplitude_to_db(magnitude, ref=0.5)


HERTZ = np.linspace(0, 24000, 9601)
MELS = np.linspace(0, 60, 9601)


def mel_bank(scale: str, norm: str | None, n_fft: int, n_mels: int):
    options = f.MelOptions(n_fft=n_fft, n_mels=n_mels, fmin=20, fmax=7600, scale=scale, norm=norm)
    return f.mel_filters(options), librosa.filters.mel(
        sr=16000, n_fft=n_fft, n_mels=n_mels, fmin=20, fmax=7600, htk=scale == "htk", norm=norm
    )


def mel_bank_kaldi():
    theirs = audio_utils.mel_filter_bank(
        num_frequency_bins=257,
        num_mel_filters=80,
        min_frequency=20,
        max_frequency=8000,
        sampling_rate=16000,
        mel_scale="kaldi",
        triangularize_in_mel_space=True,
    )
    return f.mel_filters(f.PRESETS["kaldi"].mel), theirs.T


def whisper(n_mels: int):
    extractor = WhisperFeatureExtractor(feature_size=n_mels)
    theirs = extractor(speech(), sampling_rate=16000, return_tensors="np").input_features[0]
    padded = np.pad(speech(), (0, 30 * 16000 - speech().size))
    return f.log_mel(padded, "whisper" if n_mels == 80 else "whisper-128"), theirs


def whisper_librosa():
    mel = librosa.feature.melspectrogram(
        y=speech(), sr=16000, n_fft=400, hop_length=160, n_mels=80, pad_mode="reflect"
    )
    log = np.log10(np.maximum(mel[:, :-1], 1e-10))
    return f.whisper_log_mel(speech()), (np.maximum(log, log.max() - 8) + 4) / 4


def librosa_db():
    mel = librosa.feature.melspectrogram(y=speech())
    return f.log_mel(speech(), "librosa"), librosa.power_to_db(mel)


def kaldi(snip_edges: bool, gain: float, energy: str | None = None):
    options = f.kaldi_options(snip_edges=snip_edges, gain=gain, energy=energy)
    theirs = oracles.kaldi(speech() * np.float32(gain), snip_edges=snip_edges, energy=energy)
    return f.log_mel(speech(), options), theirs


def speech_to_text():
    extractor = Speech2TextFeatureExtractor(do_ceptral_normalize=False)
    theirs = extractor(speech(), sampling_rate=16000, return_tensors="np").input_features[0]
    return f.log_mel(speech(), f.kaldi_options(gain=32768.0)), theirs.T


def ast():
    mel = replace(f.kaldi_options(n_mels=128).mel, window="hann")
    options = replace(f.kaldi_options(), mel=mel)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # its lowest filters are empty, and ours
        frames = mel.frames(speech().size)
        extractor = ASTFeatureExtractor(do_normalize=False, max_length=frames)
    theirs = extractor(speech(), sampling_rate=16000, return_tensors="np").input_values[0]
    return f.log_mel(speech(), options), theirs.T


def speecht5():
    mel = f.MelOptions(
        n_fft=1024, hop_length=256, fmin=80, fmax=7600, power=1.0, padding=(512, 512)
    )
    theirs = SpeechT5FeatureExtractor()(
        audio_target=speech(), sampling_rate=16000, return_tensors="np"
    )
    return f.log_mel(speech(), f.LogMelOptions(mel)), theirs.input_values[0].T


def mfcc_librosa(lifter: float):
    options = replace(f.MFCC_PRESETS["librosa"], lifter=lifter)
    return f.mfcc(speech(), options), librosa.feature.mfcc(y=speech(), lifter=lifter)


def mfcc_kaldi(energy: str | None, snip_edges: bool = True, floor: float = 0.0):
    log_mel = f.kaldi_options(n_mels=23, energy=energy, snip_edges=snip_edges, energy_floor=floor)
    options = replace(f.MFCC_PRESETS["kaldi"], log_mel=log_mel)
    return f.mfcc(speech(), options), oracles.kaldi(speech(), "Mfcc", 23, snip_edges, energy, floor)


def _coefficients() -> np.ndarray:
    return f.mfcc(speech().astype(float), "librosa")


def delta_librosa(mode: str, order: int):
    theirs = librosa.feature.delta(_coefficients(), width=9, order=order, mode=mode)
    return f.delta(_coefficients(), 9, order, mode), theirs


def delta_kaldi(order: int):
    theirs = oracles.kaldi_deltas(_coefficients(), 2, order)
    return f.delta(_coefficients(), 5, order, "replicate"), theirs


def delta_torchaudio():
    once = f.delta(_coefficients(), 5, mode="replicate")
    theirs = oracles.regression(oracles.regression(_coefficients(), 2), 2)
    return f.delta(once, 5, mode="replicate"), theirs


STFT_CASES = [
    Case("STFT, 512 each 128", "torch.stft", stft_torch, 5e-7, RELATIVE),
    Case("STFT, 2048 each 512, zeros added", "librosa.stft", stft_librosa, 5e-7, RELATIVE),
    Case("STFT, Hamming of 400 in 512", "librosa.stft", stft_short_window, 5e-7, RELATIVE),
    Case("STFT, Hann of 400 before zeros", "scipy.signal.stft", stft_scipy, 5e-7, RELATIVE),
    Case("one frame", "the DFT's sum", dft_sum, 5e-7, RELATIVE),
    Case("windows", "scipy.signal.get_window", windows, 1e-15, "of 1"),
    *(
        Case(f"inverse STFT, {name}", "the signal", partial(istft_inverse, each), 3e-7, "sample")
        for name, each in (("512 each 128", TUTORIAL), ("Hamming of 400 in 512", SHORT))
    ),
    Case("inverse STFT, no signal's spectrum", "torch.istft", istft_torch, 3e-7, "sample"),
    Case("inverse STFT, no signal's spectrum", "librosa.istft", istft_librosa, 3e-7, "sample"),
    Case("Griffin-Lim", "librosa", partial(griffin_lim, 0.0), 1e-10, "sample"),
    Case("fast Griffin-Lim", "librosa", partial(griffin_lim, 0.99), 1e-10, "sample"),
    Case("power to dB", "librosa", power_to_db, 1e-4, "dB"),
    Case("amplitude to dB", "librosa", amplitude_to_db, 1e-4, "dB"),
]

MEL_CASES = [
    *(
        Case(
            f"Hz to mel, {name}",
            f"librosa.{function.__name__}",
            lambda scale=scale, function=function: (
                f.hz_to_mel(HERTZ, scale),
                function(HERTZ, htk=scale == "htk"),
            ),
            1e-10,
            "mel",
        )
        for name, scale, function in (
            ("Slaney", "slaney", librosa.hz_to_mel),
            ("HTK", "htk", librosa.hz_to_mel),
        )
    ),
    Case(
        "Hz to mel, Kaldi",
        "transformers hertz_to_mel",
        lambda: (f.hz_to_mel(HERTZ, "kaldi"), audio_utils.hertz_to_mel(HERTZ, "kaldi")),
        1e-10,
        "mel",
    ),
    Case(
        "mel to Hz, Slaney",
        "librosa.mel_to_hz",
        lambda: (f.mel_to_hz(MELS), librosa.mel_to_hz(MELS)),
        1e-9,
        "Hz",
    ),
    Case(
        "mel to Hz, HTK",
        "librosa.mel_to_hz",
        lambda: (f.mel_to_hz(60 * MELS, "htk"), librosa.mel_to_hz(60 * MELS, htk=True)),
        1e-9,
        "Hz",
    ),
    Case(
        "mel to Hz, Kaldi",
        "transformers mel_to_hertz",
        lambda: (f.mel_to_hz(60 * MELS, "kaldi"), audio_utils.mel_to_hertz(60 * MELS, "kaldi")),
        1e-9,
        "Hz",
    ),
    *(
        Case(
            f"mel bank, {scale}, norm {norm}, {n_fft} samples, {n_mels} mels",
            "librosa.filters.mel",
            partial(mel_bank, scale, norm, n_fft, n_mels),
            1e-6,
            RELATIVE,
        )
        for scale, norm, n_fft, n_mels in (
            ("slaney", "slaney", 400, 80),
            ("slaney", None, 512, 40),
            ("htk", "slaney", 1024, 128),
            ("htk", None, 2048, 64),
        )
    ),
    Case("mel bank, Kaldi", "transformers mel_filter_bank", mel_bank_kaldi, 1e-6, RELATIVE),
]

LOG_MEL_CASES = [
    *(
        Case(
            f"whisper, {n_mels} mels",
            "transformers WhisperFeatureExtractor",
            partial(whisper, n_mels),
            1e-4,
            "(log10 + 4) / 4",
        )
        for n_mels in (80, 128)
    ),
    Case("whisper, not padded", "librosa", whisper_librosa, 1e-4, "(log10 + 4) / 4"),
    *(
        Case(
            f"kaldi{', 16 bits' if gain > 1 else ''}{'' if snip else ', every hop'}",
            "kaldi-native-fbank",
            partial(kaldi, snip, gain),
            2e-3,
            "ln",
        )
        for snip in (True, False)
        for gain in (1.0, 32768.0)
    ),
    Case(
        "kaldi, energy first",
        "kaldi-native-fbank",
        partial(kaldi, True, 1.0, "raw"),
        2e-3,
        "ln",
    ),
    Case("kaldi, 16 bits", "transformers Speech2Text", speech_to_text, 2e-3, "ln"),
    Case("kaldi, Hann, 128 mels", "transformers AST", ast, 2e-3, "ln"),
    Case("magnitudes, 1024 each 256", "transformers SpeechT5", speecht5, 1e-3, "log10"),
    Case("librosa", "librosa", librosa_db, 2e-3, "dB"),
    *(
        Case(
            f"{preset}{note}",
            "written out",
            lambda preset=preset, oracle=oracle, dtype=dtype: (
                f.log_mel(speech().astype(dtype), preset),
                oracle(speech().astype(dtype)),
            ),
            tolerance if dtype == "float32" else 1e-8,
            unit,
        )
        for preset, oracle, tolerance, unit in (
            (
                "torchaudio",
                lambda x: oracles.torchaudio_db(oracles.torchaudio_mel(x)),
                5e-2,  # of bins 80 dB below full scale, which are float32's rounding
                "dB",
            ),
            ("tacotron2", oracles.tacotron2_mel, 1e-3, "ln"),
            ("hifigan", oracles.hifigan_mel, 1e-3, "ln"),
        )
        for dtype, note in (("float32", ""), ("float64", ", float64"))
    ),
]

MFCC_CASES = [
    *(
        Case(f"MFCC, librosa, {name}", "librosa", partial(mfcc_librosa, each), 5e-3, "dB")
        for name, each in (("no lifter", 0), ("lifter 22", 22))
    ),
    *(
        Case(
            f"MFCC, kaldi, {name}",
            "kaldi-native-fbank",
            partial(mfcc_kaldi, *arguments),
            3e-3,
            "ln",
        )
        for name, arguments in (
            ("energy", ("raw",)),
            ("windowed energy", ("windowed",)),
            ("energy not below 0.1", ("raw", True, 0.1)),
            ("no energy, every hop", (None, False)),
        )
    ),
    Case(
        "MFCC, torchaudio",
        "written out",
        lambda: (f.mfcc(speech(), "torchaudio"), oracles.torchaudio_mfcc(speech())),
        5e-3,
        "dB",
    ),
]

DELTA_CASES = [
    *(
        Case(
            f"delta of order {order}, {mode}",
            "librosa.feature.delta",
            partial(delta_librosa, mode, order),
            1e-9,
            "a frame",
        )
        for mode in ("interp", "nearest", "mirror", "constant", "wrap")
        for order in (1, 2)
    ),
    *(
        Case(
            f"delta of order {order}, Kaldi",
            "written out",
            partial(delta_kaldi, order),
            1e-9,
            "a frame",
        )
        for order in (1, 2)
    ),
    Case("delta of delta, torchaudio", "written out", delta_torchaudio, 1e-9, "a frame"),
]


def of_a_tensor(function: Callable[[Any], Any], given: np.ndarray):
    """In float64; theirs is what the array gives."""
    return function(torch.from_numpy(given)).numpy(), function(given)


def _sound() -> np.ndarray:
    return speech().astype(float)


def _spectrum() -> np.ndarray:
    return f.stft(_sound(), TUTORIAL)


TENSOR_CASES = [
    Case(f"{name}, torch tensor", "NumPy array", run, 1e-9, unit)
    for name, run, unit in (
        *(
            (name, lambda name=name: of_a_tensor(lambda x: f.log_mel(x, name), _sound()), "log")
            for name in f.PRESETS
        ),
        *(
            (
                f"MFCC, {name}",
                lambda name=name: of_a_tensor(lambda x: f.mfcc(x, name), _sound()),
                "coefficient",
            )
            for name in f.MFCC_PRESETS
        ),
        ("STFT", lambda: of_a_tensor(lambda x: f.stft(x, TUTORIAL), _sound()), RELATIVE),
        (
            "inverse STFT",
            lambda: of_a_tensor(lambda x: f.istft(x, TUTORIAL), _spectrum()),
            "sample",
        ),
        (
            "Griffin-Lim",
            lambda: of_a_tensor(
                lambda x: f.griffin_lim(x, TUTORIAL, np.random.default_rng(5), 4),
                np.abs(_spectrum()),
            ),
            "sample",
        ),
        (
            "delta",
            lambda: of_a_tensor(lambda x: f.delta(x, 9, 2, "mirror"), _coefficients()),
            "a frame",
        ),
    )
]

CASES = [*STFT_CASES, *MEL_CASES, *LOG_MEL_CASES, *MFCC_CASES, *DELTA_CASES, *TENSOR_CASES]
