"""What an encoder that was adapted still does of its former job.

Two measures of the same recordings. How far its states have moved: the mean over recordings of
|adapted - former| / |former|, the norm of all of a recording's states. And, where the encoder's
family can be given another one (Whisper), the word error rate of the whole former model with the
adapted encoder in its place; decoder and search are as they were.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from aural import models
from aural.data.examples import samples_of
from aural.errors import InputError
from aural.text.normalise import NORMALISERS
from aural.train.judging import Judge, hear, text_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aural.data.utterance import Utterance
    from aural.nn.sound_encoder import SoundEncoder
    from aural.train.judging import Counts, JudgeOptions


class FormerJob:
    """Measures trained networks that were put on an encoder, all on these utterances.

    text: the normaliser that texts are compared by. InputError for no utterances.
    """

    def __init__(self, utterances: Sequence[Utterance], text: str, judge: JudgeOptions) -> None:
        if not utterances:
            raise InputError("no utterances to measure a former job on")
        self._utterances, self._normalise = tuple(utterances), NORMALISERS[text]
        self._judge = Judge(utterances, judge)
        self._before: dict[str, Counts] = {}

    def measure(self, directory: Path, family: str) -> dict[str, Any]:
        """What is left of the encoder's former job.

        "encoder" names it and "moved" says how far its states have; "before" and "after" are error
        rates with intervals, "difference" the latter less the former, paired: None where its family
        can't be given another encoder. {} for a network without an encoder that had a job.
        """
        module: Any = models.family(family)
        if not hasattr(module, "adapted_encoder"):
            return {}
        pair = module.adapted_encoder(directory, module.read_config(directory))
        if pair is None:
            return {}
        former, adapted = pair
        moved = float(np.mean([self._moved(each, former, adapted) for each in self._utterances]))
        found = {"encoder": former.name, "moved": moved}
        entry = models.find(former.name)
        own: Any = models.family(entry.family)
        if not hasattr(own, "with_encoder"):
            return {**found, **dict.fromkeys(("before", "after", "difference"))}
        place = models.locate(entry)
        if former.name not in self._before:
            self._before[former.name] = self._counts(place, entry.family)
        before = after = self._before[former.name]
        if moved:
            with tempfile.TemporaryDirectory() as folder:
                target = Path(folder, "model")
                own.with_encoder(place, adapted.network, target)
                after = self._counts(target, entry.family)
        return {
            **found,
            "before": self._judge.figures(before)["wer"],
            "after": self._judge.figures(after)["wer"],
            "difference": self._judge.differences(after, before)["wer"],
        }

    def _counts(self, directory: Path, family: str) -> Counts:
        texts = [self._normalise(each.text) for each in self._utterances]
        heard = [self._normalise(each) for each in hear(directory, family, self._utterances)]
        return text_counts(texts, heard)

    def _moved(self, utterance: Utterance, former: SoundEncoder, adapted: SoundEncoder) -> float:
        samples = samples_of(utterance, former.features.sample_rate)
        features = torch.from_numpy(former.features.features(samples))[None]
        lengths = torch.tensor([features.shape[1]])
        with torch.inference_mode():
            was: Any = former.network.encode(features, lengths)[0]  # type: ignore[operator]
            now: Any = adapted.network.encode(features, lengths)[0]  # type: ignore[operator]
        return float((now - was).norm() / was.norm())
