"""The recogniser of a trained attention encoder-decoder: windows of sound in, hypotheses out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from aural.decode.align import warped
from aural.decode.attention import DecodingOptions, attention_search
from aural.decode.ctc import TokenSpan, words
from aural.errors import UnknownName
from aural.nn.acoustic import frame_rate
from aural.nn.exported import check_tokens, load_network, read_exported
from aural.nn.recogniser import (
    COMPUTE_TYPES,
    UNKNOWN_LANGUAGE,
    OneLanguage,
    batches,
    check_window,
    chosen_device,
    torch_threads,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from aural.decode.beam import Path as Text
    from aural.decode.language import TokenScorer
    from aural.nn.exported import Exported
    from aural.types import Hypothesis

Rows = tuple["Tensor", ...]
Written = tuple[tuple[int, ...], list[TokenSpan], float]
"""Tokens, their states, and the mean log probability of them and the end."""


class Decoding(Protocol):
    """A network that encodes and is asked for one token after the other; rows of `Rows` are texts
    (models/seq2seq has one)."""

    def encode(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States (item, frame', d_model) and their lengths."""
        ...

    def memory(self, states: Tensor, lengths: Tensor) -> Rows:
        """What is attended to."""
        ...

    def first(self, memory: Rows) -> tuple[Tensor, Rows]:
        """Log probabilities (row, tokens) of the first token, and what to go on from."""
        ...

    def step(self, tokens: Tensor, memory: Rows, cache: Rows) -> tuple[Tensor, Rows]:
        """The same after one more token each."""
        ...

    def aligned(self, targets: Tensor, memory: Rows) -> tuple[Tensor, Tensor]:
        """Of known texts the log probabilities (item, token + 1, tokens) and the shares of
        attention (item, token + 1, frame')."""
        ...


class NetworkTeller:
    """A Teller (decode/attention.py) over a network."""

    def __init__(self, network: Decoding, memory: Rows) -> None:
        self.network, self.whole = network, memory
        self.memory, self.windows = memory, np.arange(len(memory[0]))
        self.cache: Rows = ()

    def first(self) -> np.ndarray:
        """As Teller."""
        told, self.cache = self.network.first(self.whole)
        return told.cpu().numpy()

    def step(self, tokens: np.ndarray, rows: np.ndarray, windows: np.ndarray) -> np.ndarray:
        """As Teller. What is attended to is copied only where rows change windows."""
        if not np.array_equal(windows, self.windows):
            self.memory, self.windows = self._rows(self.whole, windows), windows
        told, self.cache = self.network.step(
            self._tensor(tokens), self.memory, self._rows(self.cache, rows)
        )
        return told.cpu().numpy()

    def _rows(self, tensors: Rows, rows: np.ndarray) -> Rows:
        chosen = self._tensor(rows)
        return tuple(each[chosen] for each in tensors)

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self.whole[0].device)


class AttentionRecogniser(OneLanguage):
    """A Recogniser of one language. frame_seconds: from one state of the encoder to the next.

    language_model: what is searched with beside the network, where options name no other.
    """

    workers = 1
    options = DecodingOptions
    named = "an attention decoder"

    def __init__(
        self,
        network: Decoding,
        about: Exported,
        frame_seconds: float,
        *,
        device: str,
        threads: int = 0,
        language_model: TokenScorer | None = None,
    ) -> None:
        self.network, self.about, self.frame_seconds = network, about, frame_seconds
        self.device, self.threads, self.language_model = device, threads, language_model
        self.tokenizer = about.tokenizer
        self.sample_rate = about.features.sample_rate
        self.languages = (about.language or UNKNOWN_LANGUAGE,)
        """The code of its one language; "und" where the directory tells none."""

    @torch.inference_mode()
    def recognise(
        self,
        windows: Sequence[np.ndarray],
        options: DecodingOptions = DecodingOptions(),  # noqa: B008  (frozen)
    ) -> list[Hypothesis]:
        """One hypothesis a window; words have the times at which they were attended to, none of
        them without word_timestamps.

        Raises InputError for a window that is no finite float samples or lasts over five minutes,
        and for what `check` refuses.
        """
        self.check(options)
        for window in windows:
            check_window(window, self.sample_rate)
        features = [self._features(window) for window in windows]
        seconds = [window.size / self.sample_rate for window in windows]
        timed = options.word_timestamps
        found = [self.hypothesis((), (), 0.0, each, timed=timed) for each in seconds]
        heard = [i for i, each in enumerate(features) if len(each)]
        with torch_threads(self.threads):
            for batch in batches(sorted(heard, key=lambda i: len(features[i])), seconds):
                written = self._written([features[i] for i in batch], options)
                for i, (tokens, spans, mean) in zip(batch, written, strict=True):
                    made = words(spans, self.tokenizer, self.frame_seconds)
                    found[i] = self.hypothesis(made, tokens, mean, seconds[i], timed=timed)
        return found

    def _features(self, window: np.ndarray) -> np.ndarray:
        if not window.size:
            return np.zeros((0, self.about.features.n_mels), np.float32)
        return self.about.features.features(np.asarray(window, np.float32))

    def _scorer(self, options: DecodingOptions) -> TokenScorer | None:
        if not options.language_model:
            return self.language_model
        return self.scorer(options.language_model, options.word_bonus)

    def _written(self, features: list[np.ndarray], options: DecodingOptions) -> list[Written]:
        padded, lengths = side_by_side(features)
        states, reduced = self.network.encode(padded.to(self.device), lengths.to(self.device))
        memory = self.network.memory(states, reduced)
        count = reduced.cpu().numpy()
        teller = NetworkTeller(self.network, memory)
        texts = attention_search(teller, count, options, self._scorer(options))
        return self._timed(texts, memory, count)

    def _timed(self, texts: list[Text], memory: Rows, count: np.ndarray) -> list[Written]:
        longest = max(len(text.tokens) for text in texts)
        targets = np.zeros((len(texts), longest), np.int64)
        for row, text in zip(targets, texts, strict=True):
            row[: len(text.tokens)] = text.tokens
        told, shares = self.network.aligned(torch.from_numpy(targets).to(self.device), memory)
        each = zip(texts, told.cpu().numpy(), shares.cpu().numpy(), count.tolist(), strict=True)
        return [
            _spans(text.tokens, log_probs, looked[: len(text.tokens), :states])
            for text, log_probs, looked, states in each
        ]


def _spans(tokens: tuple[int, ...], log_probs: np.ndarray, shares: np.ndarray) -> Written:
    """Tokens begin where the path through the shares that never goes back enters them."""
    said = log_probs[np.arange(len(tokens) + 1), [*tokens, 0]]
    spans: list[TokenSpan] = []
    if tokens:
        starts = [*warped(-shares).tolist(), shares.shape[1]]
        spans = [
            TokenSpan(token, starts[i], max(starts[i] + 1, starts[i + 1]), float(np.exp(said[i])))
            for i, token in enumerate(tokens)
        ]
    return tokens, spans, float(said.mean())


def load_attention_recogniser(
    directory: Path,
    config: Any,
    build: Callable[[Any], nn.Module],
    reduction: int,
    *,
    device: str,
    compute_type: str,
    threads: int,
) -> AttentionRecogniser:
    """The recogniser of a directory that training wrote. reduction: frames a state."""
    if compute_type not in COMPUTE_TYPES:
        raise UnknownName("compute type", compute_type, COMPUTE_TYPES)
    place = chosen_device(device)
    about = read_exported(directory)
    network: Any = load_network(directory, config, build)
    network.eval().requires_grad_(False).to(place)
    check_tokens(directory, about.tokenizer, network.config.tokens)
    seconds = reduction / frame_rate(about.features)
    return AttentionRecogniser(network, about, seconds, device=place, threads=threads)


def side_by_side(features: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Features (item, frame, n_mels), padded with 0 on the right, and lengths (item,)."""
    lengths = [len(each) for each in features]
    padded = np.zeros((len(features), max(lengths), features[0].shape[1]), np.float32)
    for row, each in zip(padded, features, strict=True):
        row[: len(each)] = each
    return torch.from_numpy(padded), torch.tensor(lengths)
