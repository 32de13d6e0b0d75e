"""Child process of test_audio_fuzz.py: reads mutated recordings under resource limits.

Usage: python fuzz_reading.py FIRST COUNT. Prints a line before each case, so that the parent
knows which one killed it, and a JSON summary of outcomes at the end. Exits 1 at the first outcome
that is neither Audio nor an AudioError.
"""

import collections
import json
import random
import resource
import signal
import sys
import time
import warnings

import numpy as np
import recordings

from aural.audio.read import Limits, read
from aural.errors import AudioError

SECONDS_A_CASE = 10
LIMITS = Limits(max_seconds=60, max_bytes=1 << 20, max_samples=20_000_000)
HOT = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """A few random changes: mostly at the ends, where the structure is (MP4's is at the last)."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        size = len(changed)
        start, stop = chance.choice(((0, 256), (0, 256), (size - 800, size), (0, size)))
        at = chance.randrange(max(0, start), min(size, stop))
        kind = chance.randrange(7)
        if kind == 0:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[at] = chance.choice(HOT)
        elif kind == 2:
            width = chance.choice((2, 4, 8))
            changed[at : at + width] = bytes([chance.choice(HOT)]) * min(width, size - at)
        elif kind == 3:
            changed[at : at + chance.randrange(1, 64)] = b""
        elif kind == 4:
            start = chance.randrange(size)
            changed[at:at] = changed[start : start + chance.randrange(1, 200)]
        elif kind == 5:
            del changed[max(16, at) :]
        else:
            changed[at : at + 16] = chance.randbytes(min(16, size - at))
        if not changed:
            changed = bytearray(b"\x00")
    return bytes(changed)


def outcome(data: bytes) -> str:
    """The error's name, or "Audio"; anything else is raised."""
    try:
        audio = read(data, sample_rate=16000, limits=LIMITS)
    except AudioError as error:
        return type(error).__name__
    assert audio.samples.dtype == np.float32
    assert audio.samples.ndim == 1
    assert audio.samples.size > 0
    assert np.abs(audio.samples).max() <= 1.0
    return "Audio"


def forbid_opening() -> None:
    """From here on, opening any file from Python ends the process."""

    def hook(event: str, arguments: tuple) -> None:
        if event in {"open", "socket.connect", "subprocess.Popen", "os.exec"}:
            raise SystemExit(f"{event} {arguments[:1]}")

    sys.addaudithook(hook)


def main(first: int, count: int) -> None:
    seeds = [recordings.recording(name, seconds=0.3) for name in recordings.MADE]
    for seed in seeds:  # imports and caches are filled before the limits come down
        assert outcome(seed) == "Audio"
    warnings.simplefilter("ignore")
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # native loops too: the signal kills
    forbid_opening()
    outcomes: collections.Counter[str] = collections.Counter()
    slowest = 0.0
    for index in range(first, first + count):
        print(index, flush=True)
        chance = random.Random(index)
        data = mutate(seeds[index % len(seeds)], chance)
        signal.alarm(SECONDS_A_CASE)
        start = time.perf_counter()
        outcomes[outcome(data)] += 1
        slowest = max(slowest, time.perf_counter() - start)
    signal.alarm(0)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used
    print(json.dumps({"outcomes": outcomes, "slowest": slowest, "grown_kb": grown}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
