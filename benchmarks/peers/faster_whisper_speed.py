"""faster-whisper in a process of its own, or its best batch size.

faster_whisper_speed.py WEIGHTS WARM_UP RECORDING BEAM THREADS BATCH; BATCH 0 is the sequential
mode, else the batched one; a list as 4,8,16 is tried on RECORDING, and the fastest printed.
"""

import json
import sys
import time

from faster_whisper import BatchedInferencePipeline, WhisperModel
from report_run import report


def main(weights: str, warm_up: str, path: str, beam: str, threads: str, batch: str) -> None:
    """Print one line of JSON."""
    model = WhisperModel(weights, device="cpu", compute_type="int8", cpu_threads=int(threads))
    pipeline = BatchedInferencePipeline(model)

    def text_of(source: str, size: int) -> str:
        if size:
            segments, _ = pipeline.transcribe(
                source, language="en", beam_size=int(beam), batch_size=size
            )
        else:
            segments, _ = model.transcribe(
                source, language="en", beam_size=int(beam), vad_filter=True
            )
        return "".join(segment.text for segment in segments)

    sizes = [int(size) for size in batch.split(",")]
    if len(sizes) == 1:
        packages = ("faster-whisper", "ctranslate2")
        report(lambda source: text_of(source, sizes[0]), warm_up, path, *packages)
        return
    text_of(warm_up, sizes[0])
    start = time.perf_counter()
    seconds = {}
    for size in sizes:
        begun = time.perf_counter()
        text_of(path, size)
        seconds[size] = time.perf_counter() - begun
    best = min(seconds, key=seconds.__getitem__)
    print(json.dumps({"best": best, "tried": seconds, "seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main(*sys.argv[1:])
