"""A task that is quick and knows what it heard: a file of text stands for a recording, a line for
a segment, a word for a second."""

import sys
import time
import warnings
from pathlib import Path
from typing import Literal

from aural.errors import AudioWarning, CorruptAudio, Unreachable
from aural.progress import watcher
from aural.types import Segment, Transcript, Word

Mode = Literal["plain", "loud", "1"]
PAUSE = 0.0


def echo(
    source: str,
    *,
    model: str = "echo/base",
    mode: Mode = "plain",
    language: str | None = None,
    beam_size: int = 5,
    threshold: float = 0.5,
    temperature: float | tuple[float, ...] = (0.0, 0.2),
    hotwords: tuple[str, ...] = (),
    limits: list[int] | None = None,
    word_timestamps: bool = False,
    offline: bool = False,
    channel: str | int = "mix",
    pause: float = PAUSE,
) -> Transcript:
    """Say what the file says.

    A second paragraph of the
    description.

    Args:
        source: What is read.
        model: Which echo: several
            lines of help.
        mode: How it is said.
        language: Spoken language.
        beam_size (int): Width of the beam.
        threshold: A number.
        temperature: One or several.
        hotwords: Words to expect.
        limits: Some numbers.
        word_timestamps: Give words.
        offline: Use no network.
        channel: A number or "mix".
        pause: Seconds to take.

    Returns:
        The transcript.
    """
    watching = watcher()
    data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    if data.startswith(b"BAD"):
        raise CorruptAudio(f"{source!r}: it is damaged")
    if data.startswith(b"BUG"):
        raise KeyError("surprise")
    if data.startswith(b"NET"):
        raise Unreachable("no source of the weights answered; type: aural models fetch")
    duration = float(len(data.split()))
    watching.read(duration, duration)
    segments: list[Segment] = []
    for line in data.decode().strip().splitlines():
        start = int(segments[-1].end) if segments else 0
        words = tuple(Word(i, i + 1, f" {word}") for i, word in enumerate(line.split(), start))
        end = float(start + len(words))
        segments.append(Segment(start, end, f" {line}", words if word_timestamps else ()))
        watching.found(segments[-1])
        time.sleep(pause)
        if "WARN" in line:
            warnings.warn(f"{source!r}: it ends early", AudioWarning, stacklevel=2)
        if "BREAK" in line:
            raise CorruptAudio(f"{source!r}: it breaks off")
    return Transcript(tuple(segments), language or "en", 1.0, duration, f"{model} {mode}")
