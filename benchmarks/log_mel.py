"""Whisper's log-mel beside librosa, kaldi-native-fbank and the bare Fourier transforms.

    python benchmarks/log_mel.py [--seconds 600] [--rounds 7]

One process, one thread, float32, the same 16 kHz speech (examples/ repeated). The systems take
turns in every round; the table has the median of the rounds, results/log_mel.json each of them.
kaldi-native-fbank computes its own 80 log-mels (25 ms, 10 ms, no dither; 512-point transforms) and
is timed without reading its frames out. "bare transforms" is scipy's real transform of the same
number of windows of 400 samples, in the same blocks, and nothing else. Needs the test extra.
"""

import os

for _library in ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import kaldi_native_fbank
import librosa
import numpy as np
import scipy.fft
import soundfile
from machine import write_result

from aural.audio.features import BLOCK_FRAMES, whisper_log_mel

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.flac"))


def speech(seconds: int) -> np.ndarray:
    """The examples repeated; float32, shape = (16000 * seconds,)."""
    samples = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in EXAMPLES])
    return np.resize(samples, 16000 * seconds)


def librosa_log_mel(samples: np.ndarray) -> np.ndarray:
    """Whisper's log-mel as librosa's users write it."""
    mel = librosa.feature.melspectrogram(
        y=samples, sr=16000, n_fft=400, hop_length=160, n_mels=80, pad_mode="reflect"
    )
    log = np.log10(np.maximum(mel[:, :-1], 1e-10))
    return (np.maximum(log, log.max() - 8) + 4) / 4


def kaldi_log_mel(samples: np.ndarray) -> int:
    """The number of frames computed."""
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 80
    bank = kaldi_native_fbank.OnlineFbank(options)
    bank.accept_waveform(16000, samples)
    bank.input_finished()
    return bank.num_frames_ready


def bare_transforms(samples: np.ndarray) -> None:
    """Only the transforms, of one block again and again."""
    block = np.resize(samples, (BLOCK_FRAMES, 400))
    for _ in range(samples.size // 160 // BLOCK_FRAMES):
        scipy.fft.rfft(block)


SYSTEMS: dict[str, Callable[[np.ndarray], object]] = {
    "aural": whisper_log_mel,
    "librosa": librosa_log_mel,
    "kaldi-native-fbank": kaldi_log_mel,
    "bare transforms": bare_transforms,
}


def measure(samples: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """Seconds of every round by system, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in SYSTEMS}
    for turn in range(rounds + 1):
        for name, run in SYSTEMS.items():
            start = time.perf_counter()
            run(samples)
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="log-mel beside its peers")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    samples = speech(given.seconds)
    difference = np.abs(whisper_log_mel(samples) - librosa_log_mel(samples)).max()
    seconds = measure(samples, given.rounds)
    mine = statistics.median(seconds["aural"])
    print(f"{given.seconds} s of 16 kHz, one thread, median of {given.rounds} interleaved rounds;")
    print(f"largest difference from librosa {difference:.1e}\n")
    print("| system | median s | least to most | times aural |")
    print("|---|---|---|---|")
    for name, times in seconds.items():
        median = statistics.median(times)
        spread = f"{min(times):.3f} to {max(times):.3f}"
        print(f"| {name} | {median:.3f} | {spread} | {median / mine:.2f} |")
    write_result({"difference": float(difference), "audio_seconds": given.seconds, "runs": seconds})


if __name__ == "__main__":
    main()
