"""What other programs compute, written out or called: the right-hand side of equality.py.

torchaudio, Tacotron 2 and HiFi-GAN are written out from their definitions, with torch.stft and
librosa's filters; the sums are loops, as slow as they are plain.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import kaldi_native_fbank
import librosa
import numpy as np
import soundfile
import torch

EXAMPLE = Path(__file__).parents[3] / "examples" / "sense_and_sensibility_0880.flac"


@cache
def speech() -> np.ndarray:
    """Three seconds and a bit of a recording at 16 kHz: float32, shape = (time,)."""
    samples, rate = soundfile.read(EXAMPLE, dtype="float32")
    assert rate == 16000
    return samples[:48133]


def torch_spectrum(samples: np.ndarray, n_fft: int, hop: int, center: bool = True) -> np.ndarray:
    """torch.stft under a Hann window: complex, (bin, frame)."""
    tensor = torch.from_numpy(samples)
    shape = torch.hann_window(n_fft, dtype=tensor.dtype)
    found = torch.stft(
        tensor, n_fft, hop, window=shape, center=center, pad_mode="reflect", return_complex=True
    )
    return found.numpy()


def torchaudio_mel(samples: np.ndarray) -> np.ndarray:
    """MelSpectrogram with its defaults: HTK's scale, triangles in Hz with their peaks at 1."""
    power = np.abs(torch_spectrum(samples, 400, 200)) ** 2
    mels = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 130)
    edges = 700 * (10 ** (mels / 2595) - 1)
    filters = np.zeros((128, 201))
    for band in range(128):
        left, middle, right = edges[band : band + 3]
        for index in range(201):
            hertz = index * 16000 / 400
            if left < hertz <= middle:
                filters[band, index] = (hertz - left) / (middle - left)
            elif middle < hertz < right:
                filters[band, index] = (right - hertz) / (right - middle)
    return filters @ power


def torchaudio_db(mel: np.ndarray, top_db: float | None = None) -> np.ndarray:
    """AmplitudeToDB of powers."""
    decibels = 10 * np.log10(np.clip(mel, 1e-10, None))
    return decibels if top_db is None else np.maximum(decibels, decibels.max() - top_db)


def torchaudio_mfcc(samples: np.ndarray) -> np.ndarray:
    """MFCC with its defaults: 40 of the orthonormal DCT-II of dB within 80."""
    decibels = torchaudio_db(torchaudio_mel(samples), 80)
    count = np.arange(128)
    rows = [np.cos(np.pi / 128 * (count + 0.5) * order) for order in range(40)]
    rows[0] = rows[0] / np.sqrt(2)
    return np.sqrt(2 / 128) * np.stack(rows) @ decibels


def _slaney_80() -> np.ndarray:
    return librosa.filters.mel(sr=22050, n_fft=1024, n_mels=80, fmin=0, fmax=8000, dtype=np.float64)


def tacotron2_mel(samples: np.ndarray) -> np.ndarray:
    """ln of mel magnitudes not below 1e-5, 1024 samples each 256."""
    magnitude = np.abs(torch_spectrum(samples, 1024, 256))
    return np.log(np.clip(_slaney_80() @ magnitude, 1e-5, None))


def hifigan_mel(samples: np.ndarray) -> np.ndarray:
    """The same of a signal with 384 mirrored samples at both ends, 1e-9 under the root."""
    padded = np.pad(samples, 384, mode="reflect")
    spectrum = torch_spectrum(padded, 1024, 256, center=False)
    magnitude = np.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-9)
    return np.log(np.clip(_slaney_80() @ magnitude, 1e-5, None))


def kaldi(
    samples: np.ndarray,
    kind: str = "Fbank",
    n_mels: int = 80,
    snip_edges: bool = True,
    energy: str | None = None,
    energy_floor: float = 0,
) -> np.ndarray:
    """kaldi-native-fbank's Fbank or Mfcc, no dither: (row, frame)."""
    options = getattr(kaldi_native_fbank, f"{kind}Options")()
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = snip_edges
    options.mel_opts.num_bins = n_mels
    options.use_energy = energy is not None
    options.raw_energy = energy != "windowed"
    options.energy_floor = energy_floor
    stream = getattr(kaldi_native_fbank, f"Online{kind}")(options)
    stream.accept_waveform(16000, samples.tolist())
    stream.input_finished()
    return np.stack([stream.get_frame(i) for i in range(stream.num_frames_ready)], axis=1)


def regression(features: np.ndarray, reach: int) -> np.ndarray:
    """torchaudio's deltas: sum of n (x[t + n] - x[t - n]) over 2 sum of n², the ends repeated."""
    last = features.shape[-1] - 1
    found = np.zeros(features.shape)
    for moment in range(last + 1):
        for n in range(1, reach + 1):
            later, earlier = min(moment + n, last), max(moment - n, 0)
            found[..., moment] += n * (features[..., later] - features[..., earlier])
    return found / (2 * sum(n * n for n in range(1, reach + 1)))


def kaldi_deltas(features: np.ndarray, reach: int, order: int) -> np.ndarray:
    """Kaldi's add-deltas: the weights are folded first, then the ends are repeated once."""
    single = {
        n: n / (2 * sum(m * m for m in range(1, reach + 1))) for n in range(-reach, reach + 1)
    }
    weights = {0: 1.0}
    for _ in range(order):
        folded: dict[int, float] = {}
        for at, weight in weights.items():
            for n, value in single.items():
                folded[at + n] = folded.get(at + n, 0) + weight * value
        weights = folded
    last = features.shape[-1] - 1
    found = np.zeros(features.shape)
    for moment in range(last + 1):
        for n, weight in weights.items():
            found[..., moment] += weight * features[..., min(max(moment + n, 0), last)]
    return found
