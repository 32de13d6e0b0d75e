"""ctc-segmentation's alignment, run by align.py in its own environment.

Reads FOLDER/plan.json and FOLDER/materials.npz (of each material its log probabilities, float32
(frame, tokens), and the text's tokens). Prints one line of JSON: of every material the seconds of
one alignment, by the clock and the process, and the frame at which each token begins.
"""

import json
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np
from ctc_segmentation import CtcSegmentationParameters, ctc_segmentation, prepare_token_list


def main():
    folder = Path(sys.argv[1])
    plan = json.loads((folder / "plan.json").read_text("utf-8"))
    found, begun = {}, time.perf_counter()
    with np.load(folder / "materials.npz") as arrays:
        for material, passes in plan["passes"].items():
            log_probs, tokens = arrays[f"{material} log_probs"], arrays[f"{material} tokens"]
            names = [str(token) for token in range(log_probs.shape[1])]
            config = CtcSegmentationParameters(char_list=names, index_duration=1.0)
            text, (first, last) = prepare_token_list(config, [tokens])
            clock, own = time.perf_counter(), time.process_time()
            for _ in range(passes):
                times, _, _ = ctc_segmentation(config, log_probs, text)
            seconds = {
                "clock": (time.perf_counter() - clock) / passes,
                "process": (time.process_time() - own) / passes,
            }
            starts = times[first + 1 : last].astype(int).tolist()
            found[material] = {**seconds, "starts": starts}
    versions = {name: metadata.version(name) for name in ("ctc-segmentation", "numpy")}
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "found": found, "versions": versions}))


if __name__ == "__main__":
    main()
