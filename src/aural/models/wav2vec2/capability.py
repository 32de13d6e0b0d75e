"""What a loaded network can do: embed, and by its head write down, tell the whole or each frame."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from aural.errors import InputError, UnknownName
from aural.models.wav2vec2.checkpoint import (
    adapters,
    default_language,
    exported,
    fill,
    read_adapter,
    read_features,
    read_labels,
    read_network,
    read_vocabulary,
)
from aural.nn.recogniser import (
    COMPUTE_TYPES,
    UNKNOWN_LANGUAGE,
    CTCRecogniser,
    DecodingOptions,
    check_window,
    chosen_device,
)
from aural.types import Hypothesis, LanguageGuess, Tag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from aural.models.wav2vec2 import Config
    from aural.models.wav2vec2.checkpoint import Vocabulary
    from aural.models.wav2vec2.network import Wav2Vec2
    from aural.nn.recogniser import Features
    from aural.text.tokens import Tokenizer

MAX_SECONDS = 30.0


class SoundModel:
    """An Encoder. A window's states are those that transformers gives of the window alone; at its
    end, where there is too little sound for one more, the last stands again, so that there is one
    for each step of `frame_rate` begun. A window too short for any is followed by silence.
    """

    max_seconds = MAX_SECONDS

    def __init__(self, network: Wav2Vec2, features: Features, *, device: str) -> None:
        self.device = chosen_device(device)
        self.network = network.eval().requires_grad_(requires_grad=False).to(self.device)
        self.features = features
        self.sample_rate = features.sample_rate
        rows = 100 if network.config.kind == "mctct" else self.sample_rate
        self.frame_rate = rows / network.subsampling
        self.encoder_layers = network.config.layers

    def embed(self, samples: np.ndarray, layer: int | None = None) -> np.ndarray:
        """float32, shape = (ceil(time / sample_rate * frame_rate), d_model); layer 0 is what goes
        into the first block, None the last.

        Raises InputError for a window that is no finite float samples, and a layer that is not
        there.
        """
        last = self.encoder_layers
        if layer is not None and not 0 <= layer <= last:
            raise InputError(f"layer is {layer}; this encoder has 0 to {last}")
        count = int(np.ceil(samples.size * self.frame_rate / self.sample_rate))
        states = self._run(samples, lambda *given: self.network.layers(*given)[0])
        found = states[last if layer is None else layer][0].cpu().numpy()[:count]
        return np.pad(found, ((0, count - len(found)), (0, 0)), mode="edge")

    def _run(self, samples: np.ndarray, network: Callable[[Tensor, Tensor], Any]) -> Any:
        """What a network makes of the features of one window."""
        check_window(samples, self.sample_rate)
        if not samples.size:
            raise InputError("a window of no samples; give at least one")
        features = self.features.features(np.asarray(samples, np.float32))
        if not len(features):  # of a log-mel; followed by silence there is a frame
            padded = np.pad(np.asarray(samples, np.float32), (0, self.sample_rate // 40))
            features = self.features.features(padded)
        with torch.inference_mode():
            given = torch.from_numpy(features)[None].to(self.device)
            return network(given, torch.tensor([len(features)], device=self.device))


class SoundRecogniser(SoundModel):
    """A Recogniser and FrameScorer by CTC, in the languages that the directory has adapters for
    (MMS), one after the other; else in one, which is not told ("und")."""

    workers = 1

    def __init__(
        self, network: Wav2Vec2, features: Features, directory: Path, *, device: str, threads: int
    ) -> None:
        super().__init__(network, features, device=device)
        self.directory, self.threads = directory, threads
        about = exported(directory)
        own = about.language if about else default_language(directory)
        self.language = own or UNKNOWN_LANGUAGE
        self.languages = tuple(sorted({self.language, *adapters(directory)}))
        """Codes of the languages it writes, sorted."""
        self._lock = threading.Lock()
        self._recognisers: dict[str, CTCRecogniser] = {}
        self._current = self.language
        self._adapted: dict[str, dict[str, Tensor]] = {}
        self._first = self._recogniser(self.language)
        self.tokenizer: Tokenizer = self._first.tokenizer

    def check(self, options: Any) -> None:
        """InputError for options that are not DecodingOptions, and for another language."""
        language = getattr(options, "language", None) or self.language
        if language not in self.languages:
            raise UnknownName("language", language, self.languages)
        with self._lock:
            self._recogniser(language).check(options)

    def identify_language(self, windows: Sequence[np.ndarray]) -> list[LanguageGuess]:
        """The one it writes if not told another, for sure, for each window: it can't tell them."""
        return [LanguageGuess((Tag(self.language, 1.0),))] * len(windows)

    def recognise(
        self,
        windows: Sequence[np.ndarray],
        options: DecodingOptions = DecodingOptions(),  # noqa: B008  (frozen)
    ) -> list[Hypothesis]:
        """As CTCRecogniser, in options.language."""
        self.check(options)
        language = options.language or self.language
        with self._lock:
            self._speak(language)
            return self._recogniser(language).recognise(windows, options)

    def log_probs(self, samples: np.ndarray) -> np.ndarray:
        """As FrameScorer, in `language`."""
        with self._lock:
            self._speak(self.language)
            return self._first.log_probs(samples)

    def _recogniser(self, language: str) -> CTCRecogniser:
        if language not in self._recognisers:
            vocabulary = self._vocabulary(language)
            self._recognisers[language] = CTCRecogniser(
                Chosen(self.network, vocabulary.outputs),
                vocabulary.tokenizer,
                self.features,
                self.frame_rate,
                language="" if language == UNKNOWN_LANGUAGE else language,
                device=self.device,
                threads=self.threads,
            )
        return self._recognisers[language]

    def _vocabulary(self, language: str) -> Vocabulary:
        config = self.network.config
        if language == self.language:
            return read_vocabulary(self.directory, config)
        state = read_adapter(self.directory, language, self.network)
        self._adapted[language] = state
        outputs = len(state["head.out.bias"])
        return read_vocabulary(self.directory, config, language, outputs)

    def _speak(self, language: str) -> None:
        """Put a language's weights in, if another's are there; its own are kept the first time."""
        if language == self._current:
            return
        self._recogniser(language)
        own = self.network.state_dict()
        state = self._adapted[language]
        if self._current == self.language:
            self._adapted[self.language] = {
                name: own[name].clone() for name in state if name in own
            }
        path = self.directory / f"adapter.{language}.safetensors"
        head = nn.Linear(self.network.config.d_model, len(state["head.out.bias"]))
        assert self.network.head is not None
        self.network.head.out = head.requires_grad_(requires_grad=False).to(self.device)
        fill(self.network, state, path)
        self._current = language


class Chosen(nn.Module):
    """A network whose outputs are put in the tokenizer's order, those that are no text left out:
    what they are given is then lacking in the sum."""

    def __init__(self, network: Wav2Vec2, outputs: tuple[int, ...]) -> None:
        super().__init__()
        self.network, self.outputs = network, list(outputs)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Log probabilities (item, frame', token) and lengths."""
        log_probs, lengths = self.network(features, lengths)
        return log_probs[:, :, self.outputs], lengths


class SoundClassifier(SoundModel):
    """Tells what a whole window is. labels: names of the outputs, in order."""

    def __init__(
        self, network: Wav2Vec2, features: Features, labels: tuple[str, ...], *, device: str
    ) -> None:
        super().__init__(network, features, device=device)
        self.labels = labels

    def tag(self, samples: np.ndarray) -> tuple[Tag, ...]:
        """Every label by falling probability, the sum of which is 1, for samples of (time,)."""
        scores = self._run(samples, self.network)[0][0].softmax(dim=0).tolist()
        tags = (Tag(label, score) for label, score in zip(self.labels, scores, strict=True))
        return tuple(sorted(tags, key=lambda tag: -tag.score))


class FrameClassifier(SoundModel):
    """Tells what each moment is. labels: names of the outputs, in order."""

    def __init__(
        self, network: Wav2Vec2, features: Features, labels: tuple[str, ...], *, device: str
    ) -> None:
        super().__init__(network, features, device=device)
        self.labels = labels

    def frame_scores(self, samples: np.ndarray) -> np.ndarray:
        """float32, shape = (frame, label), before softmax or sigmoid, frame_rate a second."""
        return self._run(samples, self.network)[0][0].cpu().numpy()


def load_model(
    directory: Path, config: Config, *, device: str, compute_type: str, threads: int
) -> SoundModel:
    """What the head of a directory's network makes it."""
    if compute_type not in COMPUTE_TYPES:
        raise UnknownName("compute type", compute_type, COMPUTE_TYPES)
    network, features = read_network(directory, config), read_features(directory, config)
    if config.head == "none":
        return SoundModel(network, features, device=device)
    if config.head == "ctc":
        return SoundRecogniser(network, features, directory, device=device, threads=threads)
    kind = SoundClassifier if config.head == "sequence" else FrameClassifier
    return kind(network, features, read_labels(directory, config), device=device)
