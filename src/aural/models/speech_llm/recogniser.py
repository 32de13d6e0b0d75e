"""A trained speech LLM as a recogniser of windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.nn.utils.rnn import pad_sequence

from aural.errors import InputError, UnknownName
from aural.models.speech_llm import DecodingOptions
from aural.models.speech_llm.network import SpeechLLM, assemble
from aural.models.speech_llm.tiny_audio import is_tiny_audio, projector_state
from aural.nn.exported import load_weights, read_exported
from aural.nn.recogniser import (
    COMPUTE_TYPES,
    UNKNOWN_LANGUAGE,
    OneLanguage,
    check_window,
    chosen_device,
    compression_ratio,
)
from aural.types import Hypothesis, Segment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from aural.models.speech_llm import Config

BATCH_WINDOWS = 8
MIN_SECONDS = 0.1
"""Of less sound nothing is written: an encoder may not have a single state of it."""


class SpeechLLMRecogniser(OneLanguage):
    """A Recogniser of one language. A window's text is written by greedy search; its words have no
    times of their own."""

    options = DecodingOptions
    named = "a speech LLM"
    workers = 1

    def __init__(self, network: SpeechLLM, language: str, device: str) -> None:
        self.device = chosen_device(device)
        self.network = network.eval().requires_grad_(requires_grad=False).to(self.device)
        self.network.remember = False
        self.sample_rate = network.features.sample_rate
        self.languages = (language or UNKNOWN_LANGUAGE,)

    def recognise(
        self,
        windows: Sequence[np.ndarray],
        options: DecodingOptions = DecodingOptions(),  # noqa: B008  (frozen)
    ) -> list[Hypothesis]:
        """One hypothesis a window; InputError for a window that is no finite float samples."""
        self.check(options)
        for window in windows:
            check_window(window, self.sample_rate)
        enough = [
            i for i, each in enumerate(windows) if each.size >= MIN_SECONDS * self.sample_rate
        ]
        texts = [("", 0.0)] * len(windows)
        for start in range(0, len(enough), BATCH_WINDOWS):
            batch = enough[start : start + BATCH_WINDOWS]
            for i, written in zip(batch, self._written([windows[i] for i in batch]), strict=True):
                texts[i] = written
        return [
            self._hypothesis(each.size / self.sample_rate, text, log_prob)
            for each, (text, log_prob) in zip(windows, texts, strict=True)
        ]

    def _written(self, windows: Sequence[np.ndarray]) -> list[tuple[str, float]]:
        made = [self.network.features.features(np.asarray(each, np.float32)) for each in windows]
        features = pad_sequence([torch.from_numpy(each) for each in made], batch_first=True)
        lengths = torch.tensor([len(each) for each in made])
        return self.network.write(features.to(self.device), lengths.to(self.device))

    def _hypothesis(self, seconds: float, text: str, log_prob: float) -> Hypothesis:
        segment = Segment(
            start=0.0,
            end=seconds,
            text=f" {text}" if text else "",
            avg_logprob=log_prob,
            compression_ratio=compression_ratio(text),
        )
        return Hypothesis(segment, self.languages[0])


def read(directory: Path, config: Config, *, device: str, compute_type: str) -> SpeechLLMRecogniser:
    """The recogniser of a directory that training wrote, or of one in tiny-audio's form."""
    if compute_type not in COMPUTE_TYPES:
        raise UnknownName("compute type", compute_type, COMPUTE_TYPES)
    network = assemble(config)
    if is_tiny_audio(directory):
        path = directory / "model.safetensors"
        try:
            state = load_file(path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: can't be read as safetensors: {error}") from error
        _fill(network, projector_state(state, config), path)
        language = ""
    else:
        load_weights(directory, network)
        language = read_exported(directory).language
    return SpeechLLMRecogniser(network, language, device)


def _fill(network: SpeechLLM, state: Mapping[str, torch.Tensor], path: Path) -> None:
    own = network.state_dict()
    for name, value in state.items():
        if name in own and value.shape != own[name].shape:
            raise InputError(
                f"{path}: {name} is {tuple(value.shape)}; what config.json puts together has "
                f"{tuple(own[name].shape)}"
            )
    network.load_state_dict(state)
