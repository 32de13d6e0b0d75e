"""Whisper's network on CTranslate2: what runs on a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aural.audio.features import whisper_log_mel
from aural.decode.align import MEDIAN_WIDTH
from aural.errors import InputError
from aural.models.whisper.engine import (
    MAX_TOKENS,
    SAMPLE_RATE,
    STATES_PER_SECOND,
    Search,
    Text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import ctranslate2


DEVICE = "cuda"
PADDED_SECONDS = 30


@dataclass(frozen=True, eq=False)
class Heard:
    """States of a batch of windows, (window, state, d_model), and the windows' seconds."""

    states: ctranslate2.StorageView
    seconds: list[float]


class GpuEngine:
    """An Engine; one call at a time gains all there is to gain."""

    workers = 1

    def __init__(
        self, directory: Path, *, n_mels: int, end: int, compute_type: str, threads: int
    ) -> None:
        import ctranslate2

        self.n_mels, self.end = n_mels, end
        try:
            self.model = ctranslate2.models.Whisper(
                str(directory), device=DEVICE, compute_type=compute_type, intra_threads=threads
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise InputError(f"{directory} holds no usable Whisper model: {error}") from error

    def listen(self, windows: Sequence[np.ndarray], lengths: Sequence[int]) -> Heard:
        """As Engine, but all are padded to PADDED_SECONDS: what a batch shares can't depend on what
        is in it, and a GPU has the time."""
        import ctranslate2

        full = PADDED_SECONDS * SAMPLE_RATE
        features = [
            whisper_log_mel(np.pad(window, (0, full - window.size)), self.n_mels)
            for window in windows
        ]
        states = self.model.encode(ctranslate2.StorageView.from_array(np.stack(features)))
        return Heard(states, [window.size / SAMPLE_RATE for window in windows])

    def states(self, features: np.ndarray) -> np.ndarray:
        """As Engine."""
        import ctranslate2

        given = ctranslate2.StorageView.from_array(np.ascontiguousarray(features[None]))
        made = self.model.encode(given, to_cpu=True)
        return np.array(made.to(ctranslate2.DataType.float32))[0]

    def languages(self, heard: Heard) -> list[list[tuple[str, float]]]:
        """As Engine."""
        return [
            [(token[2:-2], float(score)) for token, score in scores]
            for scores in self.model.detect_language(heard.states)
        ]

    def write(
        self, heard: Heard, prompt: Sequence[int], task: Sequence[int], search: Search
    ) -> list[Text]:
        """As Engine; its samples are not the same each time."""
        sampled = search.temperature > 0
        results = self.model.generate(
            heard.states,
            [list(prompt)] * len(heard.seconds),
            max_length=MAX_TOKENS,
            return_scores=True,
            return_no_speech_prob=True,
            length_penalty=search.length_penalty,
            beam_size=1 if sampled else search.beam_size,
            patience=1.0 if sampled else search.patience,
            num_hypotheses=search.beam_size if sampled else 1,
            sampling_topk=0 if sampled else 1,
            sampling_temperature=search.temperature or 1.0,
        )
        texts = []
        for result in results:
            ids = result.sequences_ids[0]
            total = result.scores[0] * len(ids) ** search.length_penalty
            tokens = tuple(token for token in ids if token < self.end)
            texts.append(Text(tokens, total / (len(ids) + 1), result.no_speech_prob))
        return self._timed(heard, texts, task) if search.timed else texts

    def _timed(self, heard: Heard, texts: list[Text], task: Sequence[int]) -> list[Text]:
        if not any(text.tokens for text in texts):
            return texts
        frames = [max(2, round(2 * STATES_PER_SECOND * seconds)) for seconds in heard.seconds]
        results = self.model.align(
            heard.states,
            list(task),
            [list(text.tokens) for text in texts],
            frames,
            median_filter_width=MEDIAN_WIDTH,
        )
        return [_with_times(text, result) for text, result in zip(texts, results, strict=True)]


def _with_times(text: Text, result: ctranslate2.models.WhisperAlignmentResult) -> Text:
    if not text.tokens:
        return text
    pairs = np.array(result.alignments)
    starts = pairs[np.diff(pairs[:, 0], prepend=-1) > 0, 1] / STATES_PER_SECOND
    return Text(
        text.tokens,
        text.avg_logprob,
        text.no_speech_prob,
        tuple(result.text_token_probs),
        tuple(starts.tolist()),
    )
