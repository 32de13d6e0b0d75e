"""CTC prefix beam search with an n-gram language model, beside flashlight-text's C++ with KenLM.

    scripts/bench ctc_beam                   # about six minutes on a quiet core
    scripts/bench ctc_beam --rounds 2 --items 6

Two materials, 50 frames a second. "phonemes": what conformer/hama says of real prompts
(asterisk-en, one voice), 191 tokens, and a 4-gram model of what it says of other prompts.
"letters": made up, as no network for letters is at hand: for each letter of a prompt a loud frame
or two among blanks, a fifth of them with a rival; 29 tokens, and a 5-gram model of other prompts'
letters. Both systems read the same ARPA file and log probabilities, in float32, sum over paths
(log_add), weigh the model alike and have one thread. Loading is not counted. A round is one process
a system, in turn.

flashlight-text is run twice: with all tokens and a threshold of 50 (what torchaudio gives it), and
with its own shortcuts (8 tokens a frame, threshold 16), the fairer match for our defaults. Ours is
run on all items at once, as flashlight can't be, and item by item. Time is the process's own, as
other work on the machine would count otherwise; the clock's is kept beside it. Texts are judged by
one number that both maximise: the exact log probability of all paths (torch's loss) plus the
weighted model's.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

LIBRARIES = ("OMP", "OPENBLAS", "MKL")
for library in LIBRARIES:
    os.environ[f"{library}_NUM_THREADS"] = "1"

import numpy as np
from machine import write_result
from peers import RUNNERS, in_turns, python_of, ratio_of_medians
from speech import scratch

from aural.decode.arpa import read_arpa, write_arpa
from aural.decode.ctc import greedy
from aural.decode.kneser_ney import estimate
from aural.decode.ngram import NGramScorer, token_words
from aural.decode.prefix_beam import BeamOptions, prefix_beam
from aural.text.tokens import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CORPUS = "asterisk-en"
SEED = 20
MIN_WORDS = 6
BEAMS = (16, 50, 100)
LM_WEIGHT = 0.5
LETTERS = " 'abcdefghijklmnopqrstuvwxyz"
FLASHLIGHT = {"all tokens": (0, 50.0), "8 tokens": (8, 16.0)}
"""Tokens a frame, 0 for all, and threshold."""
OURS = ("at once", "one by one", "exact, at once")

Logs = list[np.ndarray]


def letters_of(text: str) -> str:
    """What of a text can be written in LETTERS."""
    return " ".join("".join(each if each in LETTERS else " " for each in text.lower()).split())


def spoken_letters(text: str, tokenizer: Tokenizer, rng: np.random.Generator) -> np.ndarray:
    """Made-up log probabilities of a text, float32 (frame, tokens)."""
    rows = []
    for token in tokenizer.encode(text):
        for _ in range(1 + int(rng.random() < 0.3)):
            loud = rng.normal(0, 1.5, tokenizer.size)
            loud[0] += rng.uniform(1, 7)
            loud[token] += rng.uniform(5, 11)
            if rng.random() < 0.2:
                loud[rng.integers(1, tokenizer.size)] = loud[token] + rng.normal(0, 1.5)
            rows.append(loud)
        for _ in range(int(rng.geometric(0.45))):
            quiet = rng.normal(0, 1.5, tokenizer.size)
            quiet[0] += rng.uniform(6, 13)
            rows.append(quiet)
    scores = np.array(rows)
    return (scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)).astype(np.float32)


def materials(count: int) -> dict[str, tuple[Tokenizer, Logs, list[list[str]], int]]:
    """Of each: its tokenizer, so many items, texts for the model, and the model's order."""
    from aural.audio.read import read
    from aural.data.corpora import read_corpus
    from aural.data.sound import sound_of
    from aural.models import load

    rng = np.random.default_rng(SEED)
    prompts = [each for each in read_corpus(CORPUS) if len(each.text.split()) >= MIN_WORDS]
    rng.shuffle(prompts)
    model = load("conformer/hama", threads=1)
    rate = model.sample_rate
    heard = [model.log_probs(read(sound_of(each), sample_rate=rate).samples) for each in prompts]
    sounds = Tokenizer("words", tuple(f"t{i}" for i in range(1, model.tokenizer.size)))
    said = [[f"t{token}" for token in greedy(each)[0].tokens] for each in heard[count:]]
    letters = Tokenizer("characters", tuple(LETTERS))
    names = token_words(letters)
    texts = [letters_of(each.text) for each in prompts]
    others = {letters_of(each.text) for each in read_corpus(CORPUS)} - set(texts[:count])
    spelt = [[names[token] for token in letters.encode(text)] for text in sorted(others)]
    made = [spoken_letters(text, letters, rng) for text in texts[:count]]
    return {"phonemes": (sounds, heard[:count], said, 4), "letters": (letters, made, spelt, 5)}


def prepare(folder: Path, count: int) -> dict[str, Any]:
    """Write what both systems read; frames and n-grams of each material."""
    folder.mkdir(parents=True, exist_ok=True)
    plan: dict[str, Any] = {
        "beams": BEAMS,
        "lm_weight": LM_WEIGHT,
        "flashlight": FLASHLIGHT,
        "tokens": {},
        "tokenizers": {},
    }
    about = {}
    for name, (tokenizer, items, texts, order) in materials(count).items():
        names = token_words(tokenizer)
        model = estimate(texts, order, vocabulary=names[1:])
        with (folder / f"{name}.arpa").open("wb") as file:
            write_arpa(model, file)
        np.savez(folder / f"{name}.npz", **{f"{i:04}": each for i, each in enumerate(items)})
        plan["tokens"][name], plan["tokenizers"][name] = names, tokenizer.as_dict()
        about[name] = {
            "items": len(items),
            "frames": sum(map(len, items)),
            "tokens": tokenizer.size,
            "n_grams": model.counts,
        }
    (folder / "plan.json").write_text(json.dumps(plan), "utf-8")
    return about


def items_of(folder: Path, material: str) -> Logs:
    """The log probabilities of a material."""
    with np.load(folder / f"{material}.npz") as arrays:
        return [arrays[name] for name in sorted(arrays)]


def padded(items: Logs) -> tuple[np.ndarray, list[int]]:
    """One batch and its lengths."""
    lengths = [len(each) for each in items]
    batch = np.zeros((len(items), max(lengths), items[0].shape[1]), np.float32)
    for row, each in zip(batch, items, strict=True):
        row[: len(each)] = each
    return batch, lengths


def scorer_of(folder: Path, material: str, tokenizer: Tokenizer) -> NGramScorer:
    """The language model of a material."""
    return NGramScorer(read_arpa(folder / f"{material}.arpa"), tokenizer)


def run_ours(folder: Path) -> dict[str, Any]:
    """What flashlight_run.py prints, of aural."""
    plan = json.loads((folder / "plan.json").read_text("utf-8"))
    found, begun = {}, time.perf_counter()
    for material, written in plan["tokenizers"].items():
        items = items_of(folder, material)
        lm = scorer_of(folder, material, Tokenizer.from_dict(written))
        for beam in plan["beams"]:
            options = BeamOptions(beam_size=beam, lm_weight=plan["lm_weight"])
            one_by_one, at_once = [(each, None) for each in items], [padded(items)]
            runs = zip(
                OURS,
                (at_once, one_by_one, at_once),
                (options, options, options.exact),
                strict=True,
            )
            for setting, batches, chosen in runs:
                clock, own = time.perf_counter(), time.process_time()
                best = [prefix_beam(*each, chosen, lm=lm) for each in batches]
                seconds = {
                    "clock": time.perf_counter() - clock,
                    "process": time.process_time() - own,
                }
                texts = [texts[0].tokens for batch in best for texts in batch]
                found[f"{material}/{beam}/{setting}"] = {**seconds, "texts": texts}
    return {"seconds": time.perf_counter() - begun, "found": found}


def objective(items: Logs, texts: Sequence[Sequence[int]], lm: NGramScorer) -> np.ndarray:
    """Of each item the score of a text: all its paths, exactly, and the language model."""
    import torch

    scores = []
    for item, text in zip(items, texts, strict=True):
        loss = torch.nn.functional.ctc_loss(
            torch.from_numpy(item).double()[:, None],
            torch.tensor([list(text)], dtype=torch.int64),
            torch.tensor([len(item)]),
            torch.tensor([len(text)]),
            reduction="sum",
        )
        state, told = np.array([lm.start()]), 0.0
        for token in text:
            told += float(lm.scores(state)[0, token])
            state = lm.advance(state, np.array([token]))
        told += float(lm.scores(state)[0, 0])
        scores.append(LM_WEIGHT * told - float(loss))
    return np.array(scores)


def agreement(folder: Path, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Of each material, beam and two settings: equal texts, and whose score is higher and how
    much, in the mean."""
    plan = json.loads((folder / "plan.json").read_text("utf-8"))
    found = {}
    for material, written in plan["tokenizers"].items():
        items = items_of(folder, material)
        lm = scorer_of(folder, material, Tokenizer.from_dict(written))
        scored = {
            (who, key): objective(items, each["texts"], lm)
            for who, runs in (("aural", ours), ("flashlight", theirs))
            for key, each in runs.items()
            if key.startswith(f"{material}/")
        }
        for beam in plan["beams"]:
            mine = f"{material}/{beam}/{OURS[0]}"
            rivals = [("aural", f"{material}/{beam}/{OURS[2]}")]
            rivals += [("flashlight", f"{material}/{beam}/{each}") for each in FLASHLIGHT]
            for who, key in rivals:
                texts = (ours if who == "aural" else theirs)[key]["texts"]
                gained = scored["aural", mine] - scored[who, key]
                found[f"{who}/{key}"] = {
                    "items": len(items),
                    "equal": sum(
                        list(one) == list(other)
                        for one, other in zip(ours[mine]["texts"], texts, strict=True)
                    ),
                    "better": int((gained > 1e-3).sum()),
                    "worse": int((gained < -1e-3).sum()),
                    "mean_gain": float(gained.mean()),
                }
    return found


def measure(count: int, rounds: int) -> dict[str, Any]:
    """What is written down."""
    folder = scratch() / "ctc_beam"
    about = prepare(folder, count)
    commands = {
        "aural": [sys.executable, __file__, "--run", str(folder)],
        "flashlight": [python_of("flashlight"), RUNNERS / "flashlight_run.py", str(folder)],
    }
    runs = in_turns(commands, rounds)
    times = {
        f"{system}/{key}": {
            kind: [run["found"][key][kind] for run in each] for kind in ("process", "clock")
        }
        for system, each in runs.items()
        for key in each[0]["found"]
    }
    ratios = {}
    for material in about:
        for beam in BEAMS:
            for setting in FLASHLIGHT:
                for own in OURS:
                    over = times[f"flashlight/{material}/{beam}/{setting}"]["process"]
                    under = times[f"aural/{material}/{beam}/{own}"]["process"]
                    name = f"{material}/{beam}/{setting}/{own}"
                    ratios[name] = asdict(ratio_of_medians(over, under))
    ours, theirs = (runs[system][0]["found"] for system in ("aural", "flashlight"))
    return {
        "rounds": rounds,
        "materials": about,
        "lm_weight": LM_WEIGHT,
        "settings": {"flashlight": FLASHLIGHT, "aural": asdict(BeamOptions())},
        "times": times,
        "times_aural": ratios,
        "agreement": agreement(folder, ours, theirs),
        "versions": {"numpy": importlib.metadata.version("numpy"), "flashlight-text": "0.0.7"},
    }


def page(result: Mapping[str, Any]) -> str:
    """A table of time and one of agreement for each material."""
    parts = [
        f"{result['rounds']} rounds, one thread each; medians of the process's own time. How many "
        "times aural's time flashlight-text takes is given with its 95 % interval."
    ]
    for material, about in result["materials"].items():
        rows = [
            f"**{material}**: {about['items']} items, {about['frames']} frames of "
            f"{about['tokens']} tokens, {len(about['n_grams'])}-gram model; microseconds a frame\n",
            "| beam | aural | time | flashlight, all tokens | flashlight, 8 tokens |",
            "|---|---|---|---|---|",
        ]
        for beam in BEAMS:
            for own in OURS:
                took = statistics.median(
                    result["times"][f"aural/{material}/{beam}/{own}"]["process"]
                )
                cells = [str(beam), own, f"{took / about['frames'] * 1e6:.0f}"]
                for setting in FLASHLIGHT:
                    key = f"{material}/{beam}/{setting}"
                    theirs = statistics.median(result["times"][f"flashlight/{key}"]["process"])
                    ratio = result["times_aural"][f"{key}/{own}"]
                    cells.append(
                        f"{theirs / about['frames'] * 1e6:.0f}: {ratio['value']:.2f} "
                        f"({ratio['low']:.2f} to {ratio['high']:.2f})"
                    )
                rows.append(f"| {' | '.join(cells)} |")
        rows += [
            "",
            "| aural at once beside | equal texts | better | worse | mean gain of score |",
            "|---|---|---|---|---|",
        ]
        for name, found in result["agreement"].items():
            if name.split("/")[1] == material:
                rows.append(
                    f"| {name} | {found['equal']} of {found['items']} | {found['better']} | "
                    f"{found['worse']} | {found['mean_gain']:+.4f} |"
                )
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def main() -> None:
    """Print the tables and write the result."""
    parser = argparse.ArgumentParser(description="CTC prefix beam search beside flashlight-text")
    parser.add_argument("--items", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        print(json.dumps(run_ours(given.run)))
        return
    result = measure(given.items, given.rounds)
    print(page(result))
    write_result(result)


if __name__ == "__main__":
    main()
