"""Whisper's network on onnxruntime: windows are heard one by one and written down together.

In int8 every row of activations has its own step size, so what a window's text is does not depend
on the windows beside it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from aural.audio.features import whisper_log_mel
from aural.decode.align import token_starts
from aural.decode.beam import Next, Path, SearchOptions, beam_search, sample
from aural.models.whisper.engine import (
    MAX_TOKENS,
    SAMPLE_RATE,
    STATES_PER_SECOND,
    Numbers,
    Search,
    Text,
)
from aural.nn.sequence import Decoding, Memory, SequenceModel, Told
from aural.store.ctranslate2 import read_arrays

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path as FilePath

SAMPLED_FROM = 256
"""Sampling draws from this many likeliest tokens."""
MOST_WORKERS = 8


@dataclass(frozen=True, eq=False)
class Sound:
    """A window as the decoder attends to it, and how many of its moments are not padding."""

    memory: Memory
    moments: int


class CpuEngine:
    """An Engine; may be shared by threads, workers calls at once."""

    def __init__(
        self, directory: FilePath, numbers: Numbers, *, n_mels: int, int8: bool, threads: int
    ) -> None:
        arrays = read_arrays(directory)
        config = json.loads((directory / "config.json").read_text("utf-8"))
        self.numbers, self.n_mels = numbers, n_mels
        self.workers = min(threads, MOST_WORKERS)
        self.unwritten = tuple(config.get("suppress_ids") or ())
        self.not_first = tuple(config.get("suppress_ids_begin") or ())
        self.model = SequenceModel(
            arrays,
            int8=int8,
            threads=max(1, threads // self.workers),
            aligned=[(layer, head) for layer, head in config["alignment_heads"]],
            suppressed=self.unwritten,
        )

    def listen(self, windows: Sequence[np.ndarray], lengths: Sequence[int]) -> list[Sound]:
        """As Engine."""
        return [self._listen(*each) for each in zip(windows, lengths, strict=True)]

    def _listen(self, window: np.ndarray, length: int) -> Sound:
        features = whisper_log_mel(np.pad(window, (0, length - window.size)), self.n_mels)
        seconds = window.size / SAMPLE_RATE
        moments = min(features.shape[1] // 2, int(seconds * STATES_PER_SECOND))
        return Sound(self.model.encode(features), max(1, moments))

    def states(self, features: np.ndarray) -> np.ndarray:
        """As Engine."""
        return self.model.states(features)

    def languages(self, heard: Sequence[Sound]) -> list[list[tuple[str, float]]]:
        """As Engine."""
        told = self._started(heard, 1).prompt([self.numbers.start], [0], 1)
        codes, tokens = zip(*self.numbers.languages, strict=True)
        scores = self.model.logits(told.hidden[:, 0], tokens)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return [
            [(codes[i], float(row[i])) for i in np.argsort(-row, kind="stable")] for row in shares
        ]

    def write(
        self, heard: Sequence[Sound], prompt: Sequence[int], task: Sequence[int], search: Search
    ) -> list[Text]:
        """As Engine."""
        if search.doubt >= 1 or search.temperature or search.beam_size == 1:
            return [text for text, _ in self._search(heard, prompt, task, search)]
        once = replace(search, beam_size=1)
        greedy = self._search(heard, prompt, task, once, break_loops=search.doubt > 0)
        texts = [text for text, _ in greedy]
        again = [i for i, (_, least) in enumerate(greedy) if least < search.doubt]
        chosen = [heard[i] for i in again]
        searched = self._search(chosen, prompt, task, search) if again else []
        for i, (text, _) in zip(again, searched, strict=True):
            texts[i] = text
        return texts

    def _search(
        self,
        heard: Sequence[Sound],
        prompt: Sequence[int],
        task: Sequence[int],
        search: Search,
        *,
        break_loops: bool = False,
    ) -> list[tuple[Text, float]]:
        """Each window's text, and the probability of the least probable of its tokens and end."""
        options = SearchOptions(
            end=self.numbers.end,
            max_tokens=min(MAX_TOKENS // 2, MAX_TOKENS - len(prompt)),
            beam_size=search.beam_size,
            patience=1.0 if search.temperature else search.patience,
            length_penalty=search.length_penalty,
            break_loops=break_loops,
            count=SAMPLED_FROM if search.temperature else 0,
        )
        decoding = self._started(heard, options.beam_size, watched=search.timed)
        wanted = max(2 * options.beam_size, options.count)
        rows = [len(prompt) - len(task), len(prompt) - 1]
        told = decoding.prompt(prompt, rows, wanted + len(self.not_first))
        first = self._first(told, wanted)
        if search.temperature:
            paths = sample(first, decoding, options, search.temperature)
        else:
            paths = beam_search(first, decoding, options)
        silence = self._no_speech(told).tolist()
        texts = []
        for i, (path, sound) in enumerate(zip(paths, heard, strict=True)):
            text = Text(path.tokens, path.log_prob / (len(path.tokens) + 1), silence[i])
            if search.timed:
                text = _timed(text, path, decoding.attention(i, path, len(task)), sound, len(task))
            texts.append((text, _least(path)))
        return texts

    def _started(self, heard: Sequence[Sound], width: int, *, watched: bool = False) -> Decoding:
        return Decoding(self.model, [each.memory for each in heard], width, watched=watched)

    def _first(self, told: Told, count: int) -> Next:
        """What may come first: not an end or a space, whose probability the others share."""
        log_probs, tokens = told.log_probs[:, 1:], told.tokens[:, 1:]
        barred = np.isin(tokens, self.not_first)
        share = np.where(barred, np.exp(log_probs), 0).sum(axis=2, keepdims=True)
        log_probs = np.where(barred, -np.inf, log_probs - np.log1p(-np.minimum(share, 1 - 1e-6)))
        order = np.argsort(-log_probs, axis=2, kind="stable")[:, :, :count]
        return Next(*(np.take_along_axis(each, order, axis=2) for each in (log_probs, tokens)))

    def _no_speech(self, told: Told) -> np.ndarray:
        """The probability of the token for it, of all tokens, at the start of the transcript; the
        network's own probabilities leave out those that are never written."""
        hidden, likeliest = told.hidden[:, 0], told.tokens[:, 0, 0]
        rows = np.arange(len(hidden))
        top = self.model.logits(hidden, likeliest.tolist())[rows, rows]
        written = top - told.log_probs[:, 0, 0]
        others = self.model.logits(hidden, self.unwritten)
        written = np.nan_to_num(written, nan=-np.inf)  # a vocabulary that is never written
        every = np.logaddexp(written, np.logaddexp.reduce(others, axis=1, initial=-np.inf))
        return np.exp(self.model.logits(hidden, [self.numbers.no_speech])[:, 0] - every)


def _least(path: Path) -> float:
    """The probability of its least probable token or end; 0 for a text that did not end."""
    if not path.ended:
        return 0.0
    return float(np.exp(min((*path.log_probs, path.log_prob - sum(path.log_probs)))))


def _timed(text: Text, path: Path, scores: np.ndarray, sound: Sound, rows: int) -> Text:
    """text with its tokens' probabilities and times; scores are of the prompt's last rows and what
    came after them."""
    starts = token_starts(scores[:, :, : sound.moments], rows - 1) / STATES_PER_SECOND
    probabilities = tuple(np.exp(path.log_probs).tolist())
    return replace(text, probabilities=probabilities, starts=tuple(starts.tolist()))
