"""What the layers of an encoder know: the word that is called, by an unseen voice; and the voice.

    python benchmarks/embed.py [--model whisper/tiny.en]

The corpus kajongg (GPL-2.0-or-later): the calls of a board game in English, 42 of them by four
voices once each, a second long on average. A clip is the mean over its frames, each dimension
standardised by the clips trained on; it is taken for the class whose centroid is nearest. The call
(42 classes) and the number in it (the 27 calls of tiles, 1 to 9) are told by the centroids of the
three other voices; the voice (4 classes) by those of the 41 other calls. Beside every layer stand
the means of two kinds of MFCC, and the share that guessing one class would get.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import write_result

from aural import models
from aural.audio.features import mfcc, whisper_log_mel
from aural.audio.read import read
from aural.errors import InputError
from aural.store.corpora import ensure_corpus

RATE = 16000
VOICES = ("female1", "female2", "male1", "male2")
CEPSTRA = {"MFCC, 13 of Kaldi": "kaldi", "MFCC, 40 of torchaudio": "torchaudio"}
FOLDER = "usr/share/kajongg/voices"


def clips(root: Path) -> dict[tuple[str, str], np.ndarray]:
    """(voice, call) -> samples, of the calls that all voices have."""
    calls = [{path.stem for path in (root / voice).glob("*.ogg")} for voice in VOICES]
    return {
        (voice, call): read(root / voice / f"{call}.ogg", sample_rate=RATE).samples
        for voice in VOICES
        for call in sorted(set.intersection(*calls))
    }


def layer_means(model: Any, samples: np.ndarray) -> list[np.ndarray]:
    """Of each layer the mean of the frames that are not padding."""
    padded = np.pad(samples, (0, int(model.max_seconds * RATE) - samples.size))
    states = model.torch_encoder.states(whisper_log_mel(padded, model.config.n_mels))
    count = -(-samples.size // 320)
    return [layer[:count].mean(axis=0) for layer in states]


def right_when_held_out(vectors: np.ndarray, classes: Sequence[str], groups: Sequence[str]) -> int:
    """How many of vectors (clip, dimension) are nearest to the centroid of their class, each group
    of clips told by the others."""
    labels, parts, right = np.array(classes), np.array(groups), 0
    for part in sorted(set(groups)):
        held = parts == part
        known, truth = vectors[~held], labels[held]
        spread = known.std(axis=0)
        scale = np.where(spread > 0, spread, 1)
        known, given = known / scale, vectors[held] / scale
        names = np.array(sorted(set(labels[~held])))
        centroids = np.stack([known[labels[~held] == name].mean(axis=0) for name in names])
        apart = np.square(given[:, None] - centroids).sum(axis=2)
        right += int((names[apart.argmin(axis=1)] == truth).sum())
    return right


def measure(features: dict[str, np.ndarray], keys: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """By task: classes, clips, what guessing one class gets, and clips right by feature."""
    voices, calls = zip(*keys, strict=True)
    tiles = [i for i, call in enumerate(calls) if len(call) == 2 and call[1].isdigit()]
    everything = list(range(len(keys)))
    tasks = {
        "call, unseen voice": (calls, voices, everything),
        "number, unseen voice": ([call[-1] for call in calls], voices, tiles),
        "voice, unseen call": (voices, calls, everything),
    }
    found = {}
    for name, (classes, groups, chosen) in tasks.items():
        truth, parts = [classes[i] for i in chosen], [groups[i] for i in chosen]
        found[name] = {
            "classes": len(set(truth)),
            "clips": len(chosen),
            "majority": max(map(truth.count, set(truth))),
            "right": {
                feature: right_when_held_out(vectors[chosen], truth, parts)
                for feature, vectors in features.items()
            },
        }
    return found


def page(result: dict[str, Any]) -> str:
    """One row a feature."""
    tasks = result["tasks"]
    heads = [f"{name} ({task['classes']} classes), %" for name, task in tasks.items()]
    rows = [["one class for all", *(task["majority"] for task in tasks.values())]]
    names = next(iter(tasks.values()))["right"]
    rows += [[name, *(task["right"][name] for task in tasks.values())] for name in names]
    sizes = [task["clips"] for task in tasks.values()]
    lines = [
        f"| {name} | "
        + " | ".join(f"{100 * n / size:.1f}" for n, size in zip(counts, sizes, strict=True))
        + " |"
        for name, *counts in rows
    ]
    return "\n".join(
        [
            f"`{result['model']}`, {sizes[0]} clips of the corpus kajongg ({sizes[1]} with a "
            "number). A clip is the mean of its frames, taken for the nearest centroid of the "
            "others. Four voices are few, and who is told by the voice may be told by the room "
            "and the microphone. And words that are called alone are easier than speech.",
            "",
            f"| mean of | {' | '.join(heads)} |",
            "|" + "---|" * (len(heads) + 1),
            *lines,
        ]
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="what the layers of an encoder know")
    parser.add_argument("--model", default="whisper/tiny.en")
    given = parser.parse_args()
    began = time.monotonic()
    model = models.load(given.model, device="cpu")
    if not hasattr(model, "torch_encoder"):
        raise InputError(f"{given.model} has no torch form; give a Whisper")
    sounds = clips(ensure_corpus("kajongg") / FOLDER)
    features = {
        name: np.stack([mfcc(samples, kind).mean(axis=1) for samples in sounds.values()])
        for name, kind in CEPSTRA.items()
    }
    by_clip = [layer_means(model, samples) for samples in sounds.values()]
    for number, vectors in enumerate(zip(*by_clip, strict=True)):
        features[f"layer {number}"] = np.stack(vectors)
    result = {"model": given.model, "tasks": measure(features, list(sounds))}
    print(page(result))
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    write_result(result)


if __name__ == "__main__":
    main()
