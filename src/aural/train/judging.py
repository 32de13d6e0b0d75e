"""What a trained network is worth: error rates on held-out data, beside what needs no network.

A system is judged by counts an utterance, errors and what they are out of, under the name of a
figure: "wer" and "cer", or for language models "nats_per_token". Intervals draw whole clusters
(metrics/bootstrap.py); a difference is paired, the same clusters drawn for both systems.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from aural import models
from aural.data.examples import samples_of
from aural.errors import InputError
from aural.metrics.bootstrap import (
    RESAMPLES,
    choose_clusters,
    paired_difference,
    ratio_interval,
)
from aural.metrics.wer import character_errors, word_errors
from aural.train.source import text_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import nn

    from aural.data.utterance import Utterance
    from aural.text.tokens import Tokenizer
    from aural.train.batch import Batch, Objective

    Counts = Mapping[str, tuple[list[float], list[float]]]
    """Figure -> errors and what they are out of, one an utterance each."""

AT_ONCE = 16
"""Windows that are heard together."""


@dataclass(frozen=True)
class JudgeOptions:
    """untrained, shuffled: also judge the network before training, and the trained one hearing
    another's sound for each text. level of the intervals, from so many resamples."""

    untrained: bool = False
    shuffled: bool = False
    level: float = 0.95
    resamples: int = RESAMPLES

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise InputError(f"level is {self.level}; give more than 0 and less than 1")
        if not 100 <= self.resamples <= 1_000_000:
            raise InputError(f"resamples is {self.resamples}; give 100 to 1000000")


class Judge:
    """Judges systems on the same utterances."""

    def __init__(self, utterances: Sequence[Utterance], options: JudgeOptions) -> None:
        self.clusters = choose_clusters(
            [each.speaker for each in utterances], [str(each.audio) for each in utterances]
        )
        self._settings = {"level": options.level, "resamples": options.resamples}

    def figures(self, counts: Counts) -> dict[str, Any]:
        """Of each figure "value", and "low" and "high" of its interval (None: one cluster)."""
        return {name: self._figure(*each) for name, each in counts.items()}

    def differences(self, counts: Counts, baseline: Counts) -> dict[str, Any]:
        """Each figure less the baseline's, with its paired interval and "p"."""
        return {name: self._difference(*baseline[name], counts[name][0]) for name in counts}

    def _figure(self, errors: Sequence[float], lengths: Sequence[float]) -> dict[str, Any]:
        labels = self.clusters.labels
        interval = ratio_interval(errors, lengths, labels, **self._settings)  # type: ignore[arg-type]
        return {
            "value": sum(errors) / sum(lengths) if sum(lengths) else None,
            "low": interval and interval.low,
            "high": interval and interval.high,
        }

    def _difference(
        self, baseline: Sequence[float], lengths: Sequence[float], errors: Sequence[float]
    ) -> dict[str, Any] | None:
        labels = self.clusters.labels
        found = paired_difference(baseline, errors, lengths, labels, **self._settings)  # type: ignore[arg-type]
        if found is None:
            return None
        low, high = found.interval.low, found.interval.high
        return {"value": found.value, "low": low, "high": high, "p": found.p}


def text_counts(references: Sequence[str], heard: Sequence[str]) -> Counts:
    """Word and character errors of texts against references."""
    pairs = list(zip(references, heard, strict=True))
    found = {
        "wer": [word_errors(*pair) for pair in pairs],
        "cer": [character_errors(*pair) for pair in pairs],
    }
    return {
        name: ([float(one.errors) for one in each], [float(one.reference) for one in each])
        for name, each in found.items()
    }


def hear(
    directory: Path, family: str, utterances: Sequence[Utterance], options: Any = None
) -> list[str]:
    """What an exported network writes down; options are the family's DecodingOptions, None for its
    own defaults.

    Raises:
        InputError: the family's directory loads as something that does not recognise.
    """
    module = models.family(family)
    config = module.read_config(directory)
    with torch.random.fork_rng():  # a network is built before it is filled
        model = module.load(directory, config, device="auto", compute_type="auto", threads=0)
    if not hasattr(model, "recognise"):
        raise InputError(f"{family} does not recognise speech; judge it by another objective")
    order = sorted(range(len(utterances)), key=lambda i: utterances[i].duration or 0.0)
    texts = [""] * len(utterances)
    told = () if options is None else (options,)
    for start in range(0, len(order), AT_ONCE):
        some = order[start : start + AT_ONCE]
        windows = [samples_of(utterances[i], model.sample_rate) for i in some]
        for i, found in zip(some, model.recognise(windows, *told), strict=True):
            texts[i] = found.segment.text.strip()
    return texts


def most_frequent(texts: Sequence[str]) -> str:
    """The text that is most often there; of several the first in the order of the alphabet."""
    counts = Counter(texts)
    return min(counts, key=lambda text: (-counts[text], text))


def greedy_texts(network: nn.Module, batch: Batch, tokenizer: Tokenizer) -> list[str]:
    """What a CTC network finds likeliest frame by frame, repeats and blanks taken out."""
    log_probs, lengths = network(batch.features, batch.lengths)
    best = log_probs.argmax(dim=2).tolist()
    return [
        tokenizer.decode(
            token for token, before in zip(row[:length], [0, *row], strict=False) if token != before
        )
        for row, length in zip(best, lengths.tolist(), strict=True)
    ]


def greedy_rates(
    network: nn.Module, batches: Iterator[Batch], tokenizer: Tokenizer
) -> dict[str, float]:
    """Word and character error rate of greedy_texts over batches."""
    device = next(network.parameters()).device
    references: list[str] = []
    heard: list[str] = []
    with torch.no_grad():
        for batch in batches:
            references.extend(batch.texts)
            heard.extend(greedy_texts(network, batch.to(device), tokenizer))
    counts = text_counts(references, heard)
    return {name: sum(errors) / max(1.0, sum(out)) for name, (errors, out) in counts.items()}


def language_model_counts(
    network: nn.Module, objective: Objective, texts: Sequence[str], tokenizer: Tokenizer
) -> Counts:
    """Nats of each text, and its tokens with the end."""
    device = next(network.parameters()).device
    network.eval()
    nats: list[float] = []
    lengths: list[float] = []
    with torch.no_grad():
        for text in texts:
            batch = text_batch([text], [tokenizer.encode(text)]).to(device)
            losses = objective(network, batch)
            nats.append(float(losses.total))
            lengths.append(float(losses.weight))
    return {"nats_per_token": (nats, lengths)}


def unigram_counts(training: Sequence[str], texts: Sequence[str], tokenizer: Tokenizer) -> Counts:
    """The same of how often tokens stand in the training texts, each counted once more."""
    counts = Counter(token for text in training for token in (*tokenizer.encode(text), 0))
    whole = counts.total() + tokenizer.size
    nats, lengths = [], []
    for text in texts:
        tokens = (*tokenizer.encode(text), 0)
        nats.append(-sum(math.log((counts[token] + 1) / whole) for token in tokens))
        lengths.append(float(len(tokens)))
    return {"nats_per_token": (nats, lengths)}


def summary(figures: Mapping[str, Any], note: Callable[[float], str] = "{:.4f}".format) -> str:
    """Figures in one line: wer 0.1234 (0.1000 to 0.1500)."""
    parts = []
    for name, each in figures.items():
        if each["value"] is None:
            continue
        within = "" if each["low"] is None else f" ({note(each['low'])} to {note(each['high'])})"
        parts.append(f"{name} {note(each['value'])}{within}")
    return ", ".join(parts)
