"""Log-mel, MFCC, constant-Q and chroma beside their peers, and memory while streaming.

    scripts/bench features                   # about six minutes on two quiet cores
    scripts/bench features --seconds 60 --rounds 2 --hours 0.2

The same real speech (examples/ repeated), float32. One process with one thread, then one with two
for the libraries that use them; within it the systems of a task take turns in every round, after
one round that does not count. aural computes in the calling thread: of two threads it has the use
that its libraries make of them (none in the transforms). kaldi-native-fbank is timed without
reading its frames out; no dither. "bare transforms" is scipy's real transform of the same number of
windows in the same blocks, and nothing else. "torch.stft by hand" takes the whole recording at
once. Memory is the peak of a process that pushes pieces of ten seconds through a MelStream.
"""

import argparse
import importlib.metadata
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from machine import write_result
from peers import ratio_of_medians

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.flac"))
LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR")
PACKAGES = ("numpy", "scipy", "librosa", "kaldi-native-fbank", "torch", "soxr")
CQT_SECONDS = 60
PIECE_SECONDS = 10
SHORT_SECONDS = 60

Systems = dict[str, Callable[[], object]]


def speech(seconds: float, rate: int = 16000):
    """The examples repeated: float32, shape = (time,)."""
    import numpy as np
    import soundfile

    from aural.audio.resample import resample

    samples = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in EXAMPLES])
    return np.resize(resample(samples, 16000, rate), round(rate * seconds))


def librosa_log_mel(samples):
    """Whisper's log-mel as librosa's users write it."""
    import librosa
    import numpy as np

    mel = librosa.feature.melspectrogram(
        y=samples, sr=16000, n_fft=400, hop_length=160, n_mels=80, pad_mode="reflect"
    )
    log = np.log10(np.maximum(mel[:, :-1], 1e-10))
    return (np.maximum(log, log.max() - 8) + 4) / 4


def torch_log_mel() -> Callable[[object], object]:
    """Whisper's log-mel as its own code computes it: one torch.stft."""
    import librosa
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    filters = torch.from_numpy(librosa.filters.mel(sr=16000, n_fft=400, n_mels=80))
    window = torch.hann_window(400)

    def run(samples):
        tensor = torch.from_numpy(samples)
        spectrum = torch.stft(tensor, 400, 160, window=window, return_complex=True)[..., :-1]
        power = spectrum.real.square() + spectrum.imag.square()
        log = (filters @ power).clamp(min=1e-10).log10()
        return (torch.maximum(log, log.max() - 8) + 4) / 4

    return run


def by_kaldi(kind: str, samples, n_mels: int) -> int:
    """The number of frames of Fbank or Mfcc."""
    import kaldi_native_fbank

    options = getattr(kaldi_native_fbank, f"{kind}Options")()
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = n_mels
    stream = getattr(kaldi_native_fbank, f"Online{kind}")(options)
    stream.accept_waveform(16000, samples)
    stream.input_finished()
    return stream.num_frames_ready


def bare_transforms(samples, length: int) -> None:
    """Only the transforms, of one block again and again."""
    import numpy as np
    import scipy.fft

    from aural.audio.features import BLOCK_FRAMES

    block = np.resize(samples, (BLOCK_FRAMES, length))
    for _ in range(samples.size // 160 // BLOCK_FRAMES):
        scipy.fft.rfft(block)


def log_mel_tasks(samples) -> dict[str, Systems]:
    """At 16 kHz."""
    from aural.audio import features as f

    by_torch = torch_log_mel()
    return {
        "log-mel 80, Whisper's": {
            "aural": partial(f.whisper_log_mel, samples),
            "librosa": partial(librosa_log_mel, samples),
            "kaldi-native-fbank (Kaldi's)": partial(by_kaldi, "Fbank", samples, 80),
            "torch.stft by hand": partial(by_torch, samples),
            "bare transforms": partial(bare_transforms, samples, 400),
        },
        "log-mel 80, Kaldi's": {
            "aural": partial(f.log_mel, samples, "kaldi"),
            "kaldi-native-fbank": partial(by_kaldi, "Fbank", samples, 80),
            "bare transforms": partial(bare_transforms, samples, 512),
        },
        "MFCC 13, Kaldi's": {
            "aural": partial(f.mfcc, samples, "kaldi"),
            "kaldi-native-fbank": partial(by_kaldi, "Mfcc", samples, 23),
        },
    }


def librosa_tasks(seconds: int) -> dict[str, Systems]:
    """At 22.05 kHz, librosa's rate, and the constant-Q transform at 16 kHz too."""
    import librosa
    import numpy as np

    from aural.audio import features as f

    samples, short = speech(seconds, 22050), speech(CQT_SECONDS, 22050)
    at_16_khz = speech(CQT_SECONDS)
    thirds = f.CQTOptions(n_bins=252, bins_per_octave=36)
    of_13 = replace(f.MFCC_PRESETS["librosa"], n_mfcc=13)
    spectrum = f.STFTOptions(n_fft=2048, hop_length=512, pad_mode="constant")
    return {
        "MFCC 13, librosa's": {
            "aural": partial(f.mfcc, samples, of_13),
            "librosa": partial(librosa.feature.mfcc, y=samples, n_mfcc=13),
        },
        "chroma": {
            "aural": lambda: f.chroma(f.power_spectrogram(samples, spectrum), 22050),
            "librosa": partial(librosa.feature.chroma_stft, y=samples, tuning=0),
        },
        f"constant-Q of {CQT_SECONDS} s": {
            "aural": partial(f.cqt, short),
            "librosa": partial(librosa.cqt, short),
        },
        f"constant-Q of {CQT_SECONDS} s at 16 kHz": {
            "aural": partial(f.cqt, at_16_khz, f.CQTOptions(sample_rate=16000)),
            "librosa": partial(librosa.cqt, at_16_khz, sr=16000),
        },
        f"chroma of constant-Q of {CQT_SECONDS} s, 36 bins an octave": {
            "aural": lambda: f.chroma_cqt(np.abs(f.cqt(short, thirds)), thirds),
            "librosa": partial(librosa.feature.chroma_cqt, y=short, tuning=0),
        },
    }


def time_all(seconds: int, rounds: int) -> dict[str, Any]:
    """Seconds of every round by task and system, and how far log-mel is from librosa's."""
    import numpy as np

    samples = speech(seconds)
    tasks = log_mel_tasks(samples) | librosa_tasks(seconds)
    runs: dict[str, dict[str, list[float]]] = {
        task: {system: [] for system in systems} for task, systems in tasks.items()
    }
    for task, systems in tasks.items():
        for turn in range(rounds + 1):
            for system, run in systems.items():
                start = time.perf_counter()
                run()
                if turn:
                    runs[task][system].append(time.perf_counter() - start)
    whisper = tasks["log-mel 80, Whisper's"]
    difference = np.abs(whisper["aural"]() - whisper["librosa"]()).max()
    return {"runs": runs, "difference": float(difference)}


def stream(seconds: float) -> dict[str, float]:
    """Push so many seconds through a MelStream; frames, and the process's peak in bytes."""
    from aural.audio.features import MelStream

    mel, piece, frames, left = MelStream(), speech(PIECE_SECONDS), 0, round(16000 * seconds)
    while left > 0:
        frames += mel.push(piece[:left]).shape[-1]
        left -= piece.size
    frames += mel.finish().shape[-1]
    # VmHWM: ru_maxrss starts at the peak of the parent.
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text("ascii"), re.M)
    assert found, "Linux says VmHWM"
    return {"frames": frames, "peak_bytes": int(found[1]) * 1024}


def child(threads: int, *arguments: str) -> dict[str, Any]:
    """This script in a process of its own, with so many threads for its libraries."""
    counts = {f"{library}_NUM_THREADS": str(threads) for library in LIBRARIES}
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | counts
    )
    return json.loads(done.stdout.splitlines()[-1])


def page(result: Mapping[str, Any]) -> str:
    """A table of time for each number of threads, and one of memory."""
    named = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    parts = [
        f"{result['audio_seconds']} s of speech unless said otherwise, float32, "
        f"{result['rounds']} rounds; the largest difference of Whisper's log-mel from librosa is "
        f"{result['difference']:.1e}. aural computes in the calling thread, so two threads are of "
        "use to it only in its libraries' products; kaldi-native-fbank has no threads."
    ]
    for threads, tasks in result["threads"].items():
        rows = [f"**Threads: {threads}**\n", "| task | system | seconds | times aural's |"]
        rows.append("|---|---|---|---|")
        for task, systems in tasks.items():
            for system, seconds in systems.items():
                ratio = result["times_aural"][threads][task].get(system)
                shown = "1"
                if ratio:
                    shown = f"{ratio['value']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
                middle, low, high = statistics.median(seconds), min(seconds), max(seconds)
                rows.append(
                    f"| {task} | {system} | {middle:.3f} [{low:.3f}, {high:.3f}] | {shown} |"
                )
        parts.append("\n".join(rows))
    streamed = result["streamed"]
    short, long = streamed["short"], streamed["long"]
    parts.append(
        f"Peak memory of a process that pushes {PIECE_SECONDS} s at a time through a MelStream: "
        f"{short['peak_bytes'] / 1e6:.1f} MB for {short['seconds']:g} s, "
        f"{long['peak_bytes'] / 1e6:.1f} MB for {long['seconds'] / 3600:g} h."
    )
    return "\n\n".join([*parts, f"Versions: {named}."])


def measure(seconds: int, rounds: int, hours: float) -> dict[str, Any]:
    """What is written down."""
    found = {
        str(threads): child(threads, "--time", str(seconds), "--rounds", str(rounds))
        for threads in (1, 2)
    }
    streamed = {
        name: {"seconds": length, **child(1, "--stream", str(length))}
        for name, length in (("short", SHORT_SECONDS), ("long", hours * 3600))
    }
    return {
        "audio_seconds": seconds,
        "rounds": rounds,
        "difference": found["1"]["difference"],
        "threads": {threads: each["runs"] for threads, each in found.items()},
        "times_aural": {
            threads: {
                task: {
                    system: asdict(ratio_of_medians(times, systems["aural"]))
                    for system, times in systems.items()
                    if system != "aural"
                }
                for task, systems in each["runs"].items()
            }
            for threads, each in found.items()
        },
        "streamed": streamed,
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def main() -> None:
    """Print the tables and write the result."""
    parser = argparse.ArgumentParser(description="features beside their peers")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--time", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--stream", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.time:
        print(json.dumps(time_all(given.time, given.rounds)))
    elif given.stream:
        print(json.dumps(stream(given.stream)))
    else:
        result = measure(given.seconds, given.rounds, given.hours)
        print(page(result))
        write_result(result)


if __name__ == "__main__":
    main()
