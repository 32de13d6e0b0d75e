"""transformers in a process of its own, float32, its own long-form pipeline.

transformers_speed.py WEIGHTS CONVERTED WARM_UP RECORDING BEAM THREADS; CONVERTED is where the
weights are kept in transformers' format, made on the first call.
"""

import os
import sys
from pathlib import Path

import soundfile
import torch
from ct2_whisper import convert
from report_run import report
from transformers import (
    AutomaticSpeechRecognitionPipeline,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizerFast,
)

BATCH = 8


def main(weights: str, converted: str, warm_up: str, path: str, beam: str, threads: str) -> None:
    """Print one line of JSON."""
    torch.set_num_threads(int(threads))
    if not Path(converted).is_dir():
        unfinished = Path(f"{converted}.{os.getpid()}")
        convert(Path(weights), unfinished)
        unfinished.rename(converted)
    pipeline = AutomaticSpeechRecognitionPipeline(
        model=WhisperForConditionalGeneration.from_pretrained(converted),
        feature_extractor=WhisperFeatureExtractor(feature_size=80),
        tokenizer=WhisperTokenizerFast.from_pretrained(converted),
        chunk_length_s=30,
        batch_size=BATCH,
    )

    def text_of(source: str) -> str:
        samples, rate = soundfile.read(source, dtype="float32")
        return pipeline(
            {"raw": samples, "sampling_rate": rate},
            generate_kwargs={"language": "en", "task": "transcribe", "num_beams": int(beam)},
        )["text"]

    report(text_of, warm_up, path, "transformers", "torch")


if __name__ == "__main__":
    main(*sys.argv[1:])
