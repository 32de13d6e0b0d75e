"""The language models of fusion.py: n-grams of characters and of words, Transformer-XLs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aural.decode.kneser_ney import estimate
from aural.decode.ngram import NGramScorer, token_words
from aural.decode.words import WordOptions, WordScorer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from aural.decode.language import TokenScorer
    from aural.text.tokens import Tokenizer


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """scorer: for a search over an acoustic model's tokens. log_probs: of whole texts with their
    ends; None where a text's probability can't be told, as it has words that the model has not."""

    name: str
    scorer: Callable[[Tokenizer], TokenScorer]
    log_probs: Callable[[Sequence[str]], np.ndarray] | None

    def perplexity(self, texts: Sequence[str]) -> float | None:
        """By character, ends of texts counted."""
        if self.log_probs is None:
            return None
        return math.exp(-self.log_probs(texts).sum() / sum(len(text) + 1 for text in texts))


def ngrams(order: int, texts: Sequence[str], tokenizer: Tokenizer) -> LanguageModel:
    """A model of the characters of texts."""
    names = token_words(tokenizer)

    def spelt(some: Sequence[str]) -> list[list[str]]:
        return [[names[token] for token in tokenizer.encode(text)] for text in some]

    model = estimate(spelt(texts), order, vocabulary=names[1:])
    return LanguageModel(
        f"{order}-gram" if order > 1 else "unigram",
        lambda heard_in: NGramScorer(model, heard_in),
        lambda some: np.array([each.sum() for each in model.score(spelt(some))]),
    )


def word_ngrams(order: int, texts: Sequence[str]) -> LanguageModel:
    """A model of the words of texts; other words cost what WordOptions says."""
    model = estimate([text.split() for text in texts], order)
    options = WordOptions(look_ahead=True)
    return LanguageModel(
        f"{order}-gram of words", lambda heard_in: WordScorer(model, heard_in, options), None
    )


def transformer_xl(directory: Path, step: int | None = None) -> LanguageModel:
    """What training left: the weights it took in the end, or those of a step."""
    import torch
    from safetensors.torch import load_file
    from torch.nn.functional import pad

    from aural.models import lm
    from aural.models.lm.capability import NeuralLanguageModel
    from aural.nn.exported import read_exported
    from aural.train.checkpoint import path_of
    from aural.train.source import text_batch

    network = lm.build(lm.read_config(directory / "model")).eval()
    weights = directory / "model" / "model.safetensors"
    if step is not None:
        weights = path_of(directory / "checkpoints", step) / "weights.safetensors"
    network.load_state_dict(load_file(weights))
    tokenizer = read_exported(directory / "model").tokenizer

    @torch.inference_mode()
    def log_probs(texts: Sequence[str]) -> np.ndarray:
        found = np.zeros(len(texts))
        encoded = [tokenizer.encode(text) for text in texts]
        order = sorted(range(len(texts)), key=lambda i: len(encoded[i]))
        for some in (order[i : i + 64] for i in range(0, len(order), 64)):
            batch = text_batch([texts[i] for i in some], [encoded[i] for i in some])
            told, _ = network(pad(batch.targets, (1, 0)))
            own = told.gather(2, pad(batch.targets, (0, 1))[:, :, None])[:, :, 0].double()
            behind = torch.arange(own.shape[1]) > batch.target_lengths[:, None]
            found[some] = own.masked_fill(behind, 0.0).sum(dim=1).numpy()
        return found

    def scorer(heard_in: Tokenizer) -> TokenScorer:
        return Renamed(NeuralLanguageModel(network, tokenizer).scorer(), tokenizer, heard_in)

    return LanguageModel("Transformer-XL" + (f", step {step}" if step else ""), scorer, log_probs)


class Renamed:
    """A scorer of one tokenizer's tokens for another's, which has no others."""

    def __init__(self, scorer: TokenScorer, own: Tokenizer, other: Tokenizer) -> None:
        self._scorer, self.tokens = scorer, other.size
        self._numbers = np.array([0, *(own.symbols.index(each) + 1 for each in other.symbols)])

    def start(self) -> int:
        """The state of the empty text."""
        return self._scorer.start()

    def scores(self, states: np.ndarray) -> np.ndarray:
        """float32, (beginning, tokens)."""
        return self._scorer.scores(states)[:, self._numbers]

    def advance(self, states: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """The states after one more token each."""
        return self._scorer.advance(states, self._numbers[tokens])
