"""Decoding a long file to 16 kHz mono in blocks: aural beside soundfile and PyAV by hand.

    python benchmarks/decode.py                 # 3 hours, 5 interleaved runs: about ten minutes
    python benchmarks/decode.py --hours 0.1 --runs 2

The file is real speech (examples/) tiled, at 44.1 kHz mono. Every run is a process of its own; its
time is that of decoding, imports apart, and its memory the peak of the process. Prints a Markdown
table, medians with the least and the most in brackets, and writes results/decode.json.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from machine import write_result

EXAMPLES = Path(__file__).parents[1] / "examples"
RATE = 44100
BLOCK = 65536
SHORT_SECONDS = 600


def by_aural(path: str) -> Iterator[np.ndarray]:
    """The product: blocks of ten seconds."""
    from aural.audio.stream import stream

    yield from stream(path, sample_rate=16000)


def by_soundfile(path: str) -> Iterator[np.ndarray]:
    """What one writes by hand with soundfile and soxr."""
    import soundfile
    import soxr

    resampler = None
    with soundfile.SoundFile(path) as sound:
        resampler = soxr.ResampleStream(sound.samplerate, 16000, 1, dtype="float32")
        for block in sound.blocks(BLOCK, dtype="float32", always_2d=True):
            yield resampler.resample_chunk(block.mean(axis=1))
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def by_pyav_soxr(path: str) -> Iterator[np.ndarray]:
    """What one writes by hand with PyAV and soxr."""
    import av
    import soxr

    resampler = None
    with av.open(path) as container:
        to_float = av.AudioResampler(format="flt", layout="mono")
        for frame in container.decode(audio=0):
            for out in to_float.resample(frame):
                if resampler is None:
                    resampler = soxr.ResampleStream(out.sample_rate, 16000, 1, dtype="float32")
                yield resampler.resample_chunk(out.to_ndarray()[0])
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def by_pyav(path: str) -> Iterator[np.ndarray]:
    """What one writes by hand with PyAV alone: FFmpeg's resampler."""
    import av

    with av.open(path) as container:
        to_float = av.AudioResampler(format="flt", layout="mono", rate=16000)
        for frame in container.decode(audio=0):
            for out in to_float.resample(frame):
                yield out.to_ndarray()[0]
        for out in to_float.resample(None):
            yield out.to_ndarray()[0]


SYSTEMS: dict[str, Callable[[str], Iterator[np.ndarray]]] = {
    "aural": by_aural,
    "soundfile + soxr": by_soundfile,
    "PyAV + soxr": by_pyav_soxr,
    "PyAV": by_pyav,
}


def child(system: str, warm_up: str, path: str) -> None:
    """Decode path and print what it took; warm_up is a short file that loads the libraries."""
    sys.path.insert(0, str(Path(__file__).parent / "peers"))
    from report_run import peak_bytes

    for _ in SYSTEMS[system](warm_up):
        pass
    start = time.perf_counter()
    samples = sum(block.size for block in SYSTEMS[system](path))
    seconds = time.perf_counter() - start
    peak = peak_bytes() / 2**20
    print(json.dumps({"seconds": seconds, "peak_mb": peak, "samples": samples}))


def run(system: str, warm_up: Path, path: Path) -> dict[str, float]:
    """child in a process of its own."""
    command = [sys.executable, __file__, "--child", system, str(warm_up), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def make(path: Path, seconds: int) -> None:
    """Speech tiled to seconds, written block by block."""
    import soundfile
    import soxr

    clips = [soundfile.read(clip, dtype="float32")[0] for clip in sorted(EXAMPLES.glob("*.flac"))]
    speech = soxr.resample(np.concatenate(clips), 16000, RATE)
    with soundfile.SoundFile(path, "w", RATE, 1) as sound:
        left = seconds * RATE
        while left > 0:
            sound.write(speech[:left])
            left -= speech.size


def spread(values: list[float], digits: int) -> str:
    """Median [least, most]."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def measure(folder: Path, kind: str, seconds: int, runs: int) -> dict[str, dict[str, list[float]]]:
    """By system: seconds, peak_mb of the long and short_peak_mb of the short file, samples."""
    long, short = folder / f"long.{kind}", folder / f"short.{kind}"
    warm_up = folder / f"warm.{kind}"
    make(warm_up, 2)
    make(short, SHORT_SECONDS)
    make(long, seconds)
    found: dict[str, dict[str, list[float]]] = {
        name: {key: [] for key in ("seconds", "peak_mb", "short_peak_mb", "samples")}
        for name in SYSTEMS
    }
    for _ in range(runs):
        for name in SYSTEMS:  # interleaved: what the machine does besides hits all alike
            for key, value in run(name, warm_up, long).items():
                found[name][key].append(value)
            found[name]["short_peak_mb"].append(run(name, warm_up, short)["peak_mb"])
    return found


def print_rows(kind: str, seconds: int, found: dict[str, dict[str, list[float]]]) -> None:
    """Rows of the table for one format."""
    ours = statistics.median(found["aural"]["seconds"])
    for name, system in found.items():
        peak, peak_short = (statistics.median(system[key]) for key in ("peak_mb", "short_peak_mb"))
        middle = statistics.median(system["seconds"])
        print(
            f"| {kind} | {name} | {spread(system['seconds'], 2)} | {seconds / middle:.0f} | "
            f"{middle / ours:.2f} | {peak_short:.0f} | {peak:.0f} | {peak / peak_short:.2f} | "
            f"{system['samples'][0]:.0f} |",
            flush=True,
        )


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description="Decoding speed and memory, side by side.")
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--child", nargs=3, metavar=("SYSTEM", "WARM_UP", "PATH"))
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child)
        return
    seconds = round(arguments.hours * 3600)
    print(
        f"| format | system | seconds for {arguments.hours:g} h | x real time | aural is faster by "
        f"| peak MB, 10 min | peak MB, {arguments.hours:g} h | ratio | samples |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    formats = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("mp3", "flac"):
            formats[kind] = measure(Path(folder), kind, seconds, arguments.runs)
            print_rows(kind, seconds, formats[kind])
    write_result({"hours": arguments.hours, "formats": formats})


if __name__ == "__main__":
    main()
