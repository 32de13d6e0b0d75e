"""flashlight-text's LexiconFreeDecoder with its KenLM, run by ctc_beam.py in its own environment.

Reads FOLDER/plan.json and, of each of its materials, MATERIAL.npz (log probabilities, float32, of
(frame, tokens) by item), MATERIAL.arpa and the tokens' names. Prints one line of JSON: of every
material, beam and setting the seconds of all items, by the clock and the process, and the texts.
"""

import json
import math
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from flashlight.lib.text.decoder import (
    CriterionType,
    LexiconFreeDecoder,
    LexiconFreeDecoderOptions,
)
from flashlight.lib.text.decoder.kenlm import KenLM
from flashlight.lib.text.dictionary import Dictionary


def collapsed(path):
    """Tokens without repeats, blanks and the marks (-1) at both ends."""
    return [after for before, after in pairwise([0, *path]) if after != before and after > 0]


def main():
    folder = Path(sys.argv[1])
    plan = json.loads((folder / "plan.json").read_text("utf-8"))
    found, begun = {}, time.perf_counter()
    for material, names in plan["tokens"].items():
        with np.load(folder / f"{material}.npz") as arrays:
            items = [np.ascontiguousarray(arrays[name]) for name in sorted(arrays)]
        tokens = Dictionary()
        for name in ["<blank>", *names[1:]]:
            tokens.add_entry(name)
        model = KenLM(str(folder / f"{material}.arpa"), tokens)
        for beam in plan["beams"]:
            for setting, (most, threshold) in plan["flashlight"].items():
                options = LexiconFreeDecoderOptions(
                    beam_size=beam,
                    beam_size_token=most or len(names),
                    beam_threshold=threshold,
                    lm_weight=plan["lm_weight"] * math.log(10),  # its scores are of base 10
                    sil_score=0.0,
                    log_add=True,
                    criterion_type=CriterionType.CTC,
                )
                decoder = LexiconFreeDecoder(options, model, -1, 0, [])
                clock, own = time.perf_counter(), time.process_time()
                best = [decoder.decode(each.ctypes.data, *each.shape)[0].tokens for each in items]
                seconds = {
                    "clock": time.perf_counter() - clock,
                    "process": time.process_time() - own,
                }
                texts = [collapsed(path) for path in best]
                found[f"{material}/{beam}/{setting}"] = {**seconds, "texts": texts}
    print(json.dumps({"seconds": time.perf_counter() - begun, "found": found}))


if __name__ == "__main__":
    main()
