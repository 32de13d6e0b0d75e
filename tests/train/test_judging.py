"""Figures of systems: rates as jiwer counts them, paired differences, baselines."""

import math
from pathlib import Path

import jiwer
import numpy as np
import pytest
import torch

from aural.data.examples import Example
from aural.data.utterance import Utterance
from aural.errors import InputError
from aural.text.tokens import characters, words
from aural.train.judging import (
    Judge,
    JudgeOptions,
    greedy_rates,
    greedy_texts,
    language_model_counts,
    most_frequent,
    summary,
    text_counts,
    unigram_counts,
)
from aural.train.objectives.language_model import language_model
from aural.train.source import collate

TEXTS = ["one two", "three", "two two one", "four five"] * 5
HEARD = ["one two", "tree", "two one", "four"] * 5
EVERY = [Utterance(f"u{i}", Path(f"{i}.wav"), text) for i, text in enumerate(TEXTS)]
OPTIONS = JudgeOptions(resamples=500)


def test_rates_are_jiwers() -> None:
    found = Judge(EVERY, OPTIONS).figures(text_counts(TEXTS, HEARD))
    assert found["wer"]["value"] == pytest.approx(jiwer.wer(TEXTS, HEARD))
    assert found["cer"]["value"] == pytest.approx(jiwer.cer(TEXTS, HEARD))
    assert found["wer"]["low"] < found["wer"]["value"] < found["wer"]["high"]


def test_a_difference_is_paired() -> None:
    judge = Judge(EVERY, OPTIONS)
    own, always = text_counts(TEXTS, HEARD), text_counts(TEXTS, ["two"] * len(TEXTS))
    found = judge.differences(own, always)["wer"]
    assert found["value"] == pytest.approx(jiwer.wer(TEXTS, HEARD) - jiwer.wer(TEXTS, ["two"] * 20))
    assert found["low"] < found["value"] < found["high"] < 0
    assert judge.differences(own, own)["wer"]["value"] == 0
    (alone,) = (
        Judge(EVERY[:1], OPTIONS)
        .differences({"wer": ([1.0], [2.0])}, {"wer": ([0.0], [2.0])})
        .values()
    )
    assert alone is None


def test_most_frequent() -> None:
    assert most_frequent(["b", "a", "c", "b", "c"]) == "b"


class Spelled(torch.nn.Module):
    """A CTC network whose features are its scores."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, features: torch.Tensor, lengths: torch.Tensor):
        return features.log_softmax(2) + 0 * self.weight, lengths


def test_greedy_texts_take_out_repeats_and_blanks() -> None:
    tokenizer = characters(["ab"])
    paths = [[0, 1, 1, 0, 1, 2, 2], [2, 0, 0], [0, 0]]
    rows = [
        Example(str(i), np.eye(3, dtype=np.float32)[path] * 9, (1,), text, 1.0)
        for i, (path, text) in enumerate(zip(paths, ["aab", "a", ""], strict=True))
    ]
    batch = collate(rows)
    assert greedy_texts(Spelled(), batch, tokenizer) == ["aab", "b", ""]
    found = greedy_rates(Spelled(), iter([batch]), tokenizer)
    assert found == {"wer": pytest.approx(1 / 2), "cer": pytest.approx(1 / 4)}


class Even(torch.nn.Module):
    """A language model to which every token is alike."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(tokens))

    def forward(self, tokens: torch.Tensor):
        shape = (*tokens.shape, len(self.weight))
        return self.weight.expand(shape).log_softmax(-1), None


def test_language_models_are_judged_in_nats_a_token() -> None:
    tokenizer = words(["one two", "three"])
    found = language_model_counts(
        Even(tokenizer.size), language_model, ["one two", "three"], tokenizer
    )
    nats, lengths = found["nats_per_token"]
    assert lengths == [3.0, 2.0]
    assert nats == pytest.approx([3 * math.log(tokenizer.size), 2 * math.log(tokenizer.size)])


def test_unigrams() -> None:
    tokenizer = words(["a b", "a"])
    nats, lengths = unigram_counts(["a b", "a"], ["a", "b b"], tokenizer)["nats_per_token"]
    # counts: a 2, b 1, end 2, <unk> 0; each once more of 9
    assert nats == pytest.approx([-2 * math.log(3 / 9), -2 * math.log(2 / 9) - math.log(3 / 9)])
    assert lengths == [2.0, 3.0]


def test_summary() -> None:
    figures = {
        "wer": {"value": 0.25, "low": 0.2, "high": 0.3},
        "cer": {"value": 0.5, "low": None, "high": None},
        "none": {"value": None, "low": None, "high": None},
    }
    assert summary(figures) == "wer 0.2500 (0.2000 to 0.3000), cer 0.5000"


@pytest.mark.parametrize("wrong", [{"level": 1.0}, {"level": 0}, {"resamples": 10}])
def test_options_that_make_no_sense(wrong: dict) -> None:
    with pytest.raises(InputError):
        JudgeOptions(**wrong)
