"""ctc-forced-aligner's alignment, run by align.py in its own environment.

Reads and prints what ctc_segmentation_align_run.py does, and of every material the path: the token
of each frame, 0 for blank. The package would import librosa and onnxruntime, which aligning does
not need; so the module with the alignment is imported by itself.
"""

import json
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np

PACKAGE = "ctc-forced-aligner"
sys.path.insert(0, str(metadata.distribution(PACKAGE).locate_file("ctc_forced_aligner")))
from ctc_aligner import align_sequences


def main():
    folder = Path(sys.argv[1])
    plan = json.loads((folder / "plan.json").read_text("utf-8"))
    found, begun = {}, time.perf_counter()
    with np.load(folder / "materials.npz") as arrays:
        for material, passes in plan["passes"].items():
            log_probs = arrays[f"{material} log_probs"][None]
            tokens = arrays[f"{material} tokens"][None]
            clock, own = time.perf_counter(), time.process_time()
            for _ in range(passes):
                (path,), _ = align_sequences(log_probs, tokens, 0)
            seconds = {
                "clock": (time.perf_counter() - clock) / passes,
                "process": (time.process_time() - own) / passes,
            }
            begins = (path != 0) & (np.diff(path, prepend=0) != 0)
            starts = np.flatnonzero(begins).tolist()
            found[material] = {**seconds, "starts": starts, "path": path.tolist()}
    versions = {name: metadata.version(name) for name in (PACKAGE, "numpy")}
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "found": found, "versions": versions}))


if __name__ == "__main__":
    main()
