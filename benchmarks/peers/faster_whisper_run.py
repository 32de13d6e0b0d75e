"""Transcribe a folder of samples with faster-whisper; run by its own environment's Python.

    python faster_whisper_run.py JOB.json

JOB.json: {"model": directory in CTranslate2's format, "folder": holds NAME.npy (float32, 16 kHz,
mono), "names": [...], "language": code or null, "threads": 2, "modes": {mode: options}}. An option
"batch_size" means BatchedInferencePipeline; everything else is passed to transcribe as it is, so
{} is what a user gets who says nothing. Prints one JSON line a recording and mode.
"""

import json
import sys
from pathlib import Path

import ctranslate2
import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel


def main() -> None:
    """Run the job named on the command line."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    model = WhisperModel(
        job["model"], device="cpu", compute_type="int8", cpu_threads=job["threads"]
    )
    batched = BatchedInferencePipeline(model)
    for mode, options in job["modes"].items():
        ctranslate2.set_random_seed(0)  # its fallback samples
        system = batched if "batch_size" in options else model
        for name in job["names"]:
            samples = np.load(Path(job["folder"]) / f"{name}.npy", allow_pickle=False)
            found, info = system.transcribe(samples, language=job["language"], **options)
            segments = [[each.start, each.end, each.text] for each in found]
            line = {
                "mode": mode,
                "name": name,
                "text": "".join(text for _, _, text in segments).strip(),
                "segments": segments,
                "language": info.language,
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
