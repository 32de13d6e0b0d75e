"""A file of three hours against one of ten minutes: memory, and how soon the first segment is out.

    scripts/bench long_file                      # about seven minutes
    scripts/bench long_file --hours 0.5

Ten minutes of real speech with short pauses (see speech.py) and the same over and over, as mp3 and
as flac, at beam 1, once each: memory does not hang on what else the machine does. Every run is a
process of its own. The file is read through an object that keeps count, so that it is known how
much of it had been asked for when the first segment came out.
"""

import argparse
import io
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from machine import write_result
from peers import RUNNERS, run
from speech import EXAMPLES, RATE, scratch, spoken

SHORT_SECONDS = 600
FORMATS = ("mp3", "flac")


class Counted(io.FileIO):
    """A file that remembers how far it was read. furthest: bytes from the start."""

    furthest = 0

    def readinto(self, buffer: Any) -> int:
        """As io.FileIO."""
        count = super().readinto(buffer) or 0
        self.furthest = max(self.furthest, self.tell())
        return count

    def read(self, size: int | None = -1) -> bytes:
        """As io.FileIO."""
        data = super().read(size) or b""
        self.furthest = max(self.furthest, self.tell())
        return data


def child(path: Path) -> None:
    """Transcribe path and print one line of JSON."""
    sys.path.insert(0, str(RUNNERS))
    from report_run import peak_bytes

    from aural.models.whisper import DecodingOptions
    from aural.tasks.transcribe import transcribe_segments

    def segments(source: Any) -> Any:
        options = DecodingOptions(language="en", beam_size=1)
        return transcribe_segments(source, decoding=options, threads=2)

    for _ in segments(EXAMPLES[0]):
        pass
    size = path.stat().st_size
    with Counted(path) as file:
        start = time.perf_counter()
        run_ = segments(file)
        each = iter(run_)
        words = len(next(each).text.split())
        first = {"first_segment": time.perf_counter() - start, "first_read": file.furthest / size}
        words += sum(len(segment.text.split()) for segment in each)
        seconds = time.perf_counter() - start
    print(
        json.dumps(
            {
                "seconds": seconds,
                "audio_seconds": run_.duration,
                "peak_bytes": peak_bytes(),
                "words": words,
                **first,
            }
        )
    )


def tiled(path: Path, speech: np.ndarray, seconds: float) -> Path:
    """The speech over and over, written block by block, to exactly so many seconds."""
    left = round(seconds * RATE)
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        while left > 0:
            file.write(speech[:left])
            left -= speech.size
    return path


def main() -> None:
    """Print and write results/long_file.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child)
        return
    speech, _ = soundfile.read(spoken(SHORT_SECONDS / 60, "dense").path, dtype="float32")
    rows = []
    with tempfile.TemporaryDirectory(dir=scratch()) as folder:
        for kind in given.formats:
            row: dict[str, Any] = {"format": kind}
            for name, seconds in (("short", SHORT_SECONDS), ("long", given.hours * 3600)):
                path = tiled(Path(folder) / f"{name}.{kind}", speech, seconds)
                row[name] = run([sys.executable, __file__, "--child", path])
                path.unlink()
            row["memory_ratio"] = row["long"]["peak_bytes"] / row["short"]["peak_bytes"]
            rows.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)
    write_result({"hours": given.hours, "beam": 1, "rows": rows})


if __name__ == "__main__":
    main()
