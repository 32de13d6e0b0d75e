"""A trained network as a language model: scores for a search, perplexity of texts."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch

from aural.decode.language import Perplexity
from aural.decode.neural import NeuralScorer
from aural.errors import InputError
from aural.nn.recogniser import chosen_device

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from aural.models.lm.network import State, TokenNetwork
    from aural.text.tokens import Tokenizer

STATES = 1024
"""States kept by a scorer; a Transformer-XL's are large."""
TEXTS_AT_ONCE, TOKENS_AT_ONCE = 32, 256


class NeuralLanguageModel:
    """A network and its tokenizer."""

    def __init__(
        self, network: TokenNetwork, tokenizer: Tokenizer, *, device: str = "auto"
    ) -> None:
        if tokenizer.size != network.config.tokens:
            raise InputError(
                f"the tokenizer has {tokenizer.size} tokens and the network "
                f"{network.config.tokens}; they belong to different models"
            )
        self.network = network.to(chosen_device(device)).eval()
        self.tokenizer = tokenizer

    def scorer(self) -> NeuralScorer:
        """A scorer over the tokenizer's tokens; one a search, as it keeps what it has scored."""
        return NeuralScorer(_Steps(self.network), self.tokenizer.size)

    def perplexity(self, texts: Sequence[str]) -> Perplexity:
        """Over all tokens of the texts, each with its end; what has no token is left out."""
        encoded = sorted((self.tokenizer.encode(text) for text in texts), key=len)
        batches = (encoded[i : i + TEXTS_AT_ONCE] for i in range(0, len(encoded), TEXTS_AT_ONCE))
        unknown = self.tokenizer.unknown
        number = self.tokenizer.symbols.index(unknown) + 1 if unknown else -1
        return Perplexity(
            log_prob=sum(map(self._log_prob, batches)),
            tokens=sum(map(len, encoded)) + len(encoded),
            unknown=sum(text.count(number) for text in encoded),
        )

    @torch.inference_mode()
    def _log_prob(self, texts: Sequence[tuple[int, ...]]) -> float:
        device = self.network.embedding.weight.device
        longest = max(map(len, texts)) + 2
        rows = torch.zeros(len(texts), longest, dtype=torch.int64)
        for row, text in zip(rows, texts, strict=True):
            row[1 : len(text) + 1] = torch.tensor(text, dtype=torch.int64)
        rows = rows.to(device)
        lengths = torch.tensor([[len(text)] for text in texts], device=device)
        total, state = 0.0, None
        for first in range(0, longest - 1, TOKENS_AT_ONCE):
            last = min(first + TOKENS_AT_ONCE, longest - 1)
            log_probs, state = self.network(rows[:, first:last], state)
            own = log_probs.gather(2, rows[:, first + 1 : last + 1, None])[:, :, 0].double()
            unreal = torch.arange(first, last, device=device) > lengths
            total += float(own.masked_fill(unreal, 0.0).sum())
        return total


class _Steps:
    """Log probabilities after beginnings: each goes on from the state of the one a token shorter,
    where that is kept, else from the start."""

    def __init__(self, network: TokenNetwork) -> None:
        self._network = network
        self._states: OrderedDict[tuple[int, ...], State] = OrderedDict()

    @torch.inference_mode()
    def __call__(self, texts: Sequence[tuple[int, ...]]) -> np.ndarray:
        near = [i for i, text in enumerate(texts) if text and text[:-1] in self._states]
        rows = torch.empty(len(texts), self._network.config.tokens)
        if near:
            states = [self._states[texts[i][:-1]] for i in near]
            joined = torch.cat([s[0] for s in states], 1), torch.cat([s[1] for s in states], 1)
            rows[near] = self._run([texts[i] for i in near], [texts[i][-1:] for i in near], joined)
        for i in sorted(set(range(len(texts))) - set(near)):
            rows[i] = self._run([texts[i]], [(0, *texts[i])], None)[0]
        while len(self._states) > STATES:
            self._states.popitem(last=False)
        return rows.numpy()

    def _run(
        self,
        texts: Sequence[tuple[int, ...]],
        fed: Sequence[tuple[int, ...]],
        state: State | None,
    ) -> torch.Tensor:
        device = self._network.embedding.weight.device
        log_probs, (one, other) = self._network(torch.tensor(fed, device=device), state)
        for i, text in enumerate(texts):
            self._states[text] = one[:, i : i + 1].clone(), other[:, i : i + 1].clone()
            self._states.move_to_end(text)
        return log_probs[:, -1].float().cpu()
