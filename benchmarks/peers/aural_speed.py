"""aural in a process of its own: aural_speed.py WARM_UP RECORDING BEAM THREADS [DOUBT]."""

import sys

from report_run import report

from aural.tasks.transcribe import transcribe


def main(warm_up: str, path: str, beam: str, threads: str, doubt: str = "0.4") -> None:
    """Print one line of JSON."""

    def text_of(source: str) -> str:
        return transcribe(
            source,
            model="whisper/base",
            language="en",
            beam_size=int(beam),
            compute_type="int8",
            threads=int(threads),
            doubt_threshold=float(doubt),
        ).text

    report(text_of, warm_up, path, "aural", "onnxruntime")


if __name__ == "__main__":
    main(*sys.argv[1:])
