"""Recognisers over a transducer's directory: of windows, and of sound as it comes in.

torch is imported when a recogniser is made, so that a family can name them without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from aural.audio.features import LogMelStream
from aural.decode.ctc import TokenSpan, words
from aural.decode.ctc_stream import GreedyStream
from aural.decode.transducer import TransducerOptions, decode, search
from aural.errors import InputError, UnknownName
from aural.nn.acoustic import RunningMean, frame_rate, log_mel_options
from aural.nn.recogniser import (
    COMPUTE_TYPES,
    UNKNOWN_LANGUAGE,
    CTCRecogniser,
    DecodingOptions,
    OneLanguage,
    check_window,
    chosen_device,
    torch_threads,
)
from aural.types import PartialResult, StreamOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from aural.decode.transducer import Search, Written
    from aural.nn.exported import Exported
    from aural.text.tokens import Tokenizer
    from aural.types import Hypothesis

FRAMES_PER_STATE = 4
BATCH_WINDOWS = 16


class NetworkJoiner:
    """A Joiner (decode/transducer.py) over a network; it remembers every beginning it was asked
    for until it is told which to keep, so that each text has one of its own."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self._predicted: dict[int, Tensor] = {}
        self._pasts: dict[int, Tensor] = {}
        self._count = 0
        self._told(np.zeros(1, np.int64), None)

    def start(self) -> int:
        """As Joiner."""
        return 0

    def predict(self, states: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """As Joiner."""
        import torch

        past = torch.stack([self._pasts[state] for state in states.tolist()])
        return self._told(tokens, past)

    def join(self, frame: np.ndarray, states: np.ndarray) -> np.ndarray:
        """As Joiner, of an encoder's state (d_model,)."""
        import torch

        predicted = torch.stack([self._predicted[state] for state in states.tolist()])
        with torch.no_grad():
            found = self.network.joined(torch.from_numpy(frame).to(predicted), predicted)
        return found.float().cpu().numpy()

    def keep(self, states: np.ndarray) -> None:
        """As Joiner. What is kept is copied out of the batch that it was computed in."""
        kept = set(states.tolist())
        self._predicted = {each: self._predicted[each].clone() for each in kept}
        self._pasts = {each: self._pasts[each].clone() for each in kept}

    def _told(self, tokens: np.ndarray, past: Tensor | None) -> np.ndarray:
        import torch

        device = next(self.network.parameters()).device
        with torch.no_grad():
            found, after = self.network.predictor(
                torch.from_numpy(tokens).to(device)[:, None], past
            )
            predicted = self.network.from_predictor(found[:, 0])
        states = np.arange(self._count, self._count + len(tokens))
        self._count += len(tokens)
        self._predicted.update(zip(states.tolist(), predicted, strict=True))
        self._pasts.update(zip(states.tolist(), after, strict=True))
        return states


class TransducerRecogniser(OneLanguage):
    """A Recogniser of one language and a StreamingRecogniser, over a network with the head
    "transducer" (models/transducer).

    A word lasts from the frame that its first token is written at to that of its last, which is
    when a transducer is sure of it, mostly a little after it is said.
    """

    workers = 1
    options = DecodingOptions
    named = "a transducer"

    def __init__(
        self, network: nn.Module, about: Exported, *, device: str = "auto", threads: int = 0
    ) -> None:
        self.device, self.threads = chosen_device(device), threads
        self.network: Any = network.eval().requires_grad_(requires_grad=False).to(self.device)
        self.about, self.tokenizer = about, about.tokenizer
        self.sample_rate = about.features.sample_rate
        self.frame_rate = frame_rate(about.features) / FRAMES_PER_STATE
        self.languages = (about.language or UNKNOWN_LANGUAGE,)

    def check(self, options: Any) -> None:
        """InputError for options that are not DecodingOptions, another language, hotwords, or a
        beam or weight that the search can't have."""
        super().check(options)
        if options.hotwords:
            raise InputError("a transducer's search takes no hotwords; leave them out")
        if not 0 <= options.language_model_weight <= 10:
            raise InputError(
                f"language_model_weight is {options.language_model_weight}; give 0 to 10"
            )
        TransducerOptions(options.beam_size)

    def recognise(
        self,
        windows: Sequence[np.ndarray],
        options: DecodingOptions = DecodingOptions(),  # noqa: B008  (frozen)
    ) -> list[Hypothesis]:
        """One hypothesis a window, whatever windows are beside it.

        Raises InputError for a window that is no finite float samples or lasts over five minutes,
        and for what `check` refuses.
        """
        self.check(options)
        for window in windows:
            check_window(window, self.sample_rate)
        searching = TransducerOptions(
            options.beam_size, language_weight=options.language_model_weight
        )
        file, bonus = options.language_model, options.word_bonus
        language = self.scorer(file, bonus) if file else None
        found = []
        for first in range(0, len(windows), BATCH_WINDOWS):
            group = windows[first : first + BATCH_WINDOWS]
            with torch_threads(self.threads):
                for window, states in zip(group, self._states(group), strict=True):
                    written = decode(states, NetworkJoiner(self.network), searching, language)
                    found.append(self._hypothesis(written, window, options))
        return found

    def stream(self, options: StreamOptions | None = None) -> RecogniserStream:
        """As StreamingRecogniser."""
        options = options or StreamOptions()
        searching = TransducerOptions(options.beam_size)

        def writer() -> Writer:
            running = search(NetworkJoiner(self.network), searching)
            return _SearchWriter(running)

        return RecogniserStream(self.network, self.about, options, writer, self.threads)

    def simulate(self, samples: np.ndarray, options: StreamOptions | None = None) -> PartialResult:
        """As StreamSimulator."""
        return self.stream(options).whole(samples)

    def _states(self, windows: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The encoder's states of each, (frame, d_model); none where there is no feature."""
        import torch

        heard = [_features(window, self.about) for window in windows]
        found = [np.zeros((0, self.network.config.d_model), np.float32)] * len(heard)
        there = [i for i, each in enumerate(heard) if len(each)]
        if not there:
            return found
        lengths = torch.tensor([len(heard[i]) for i in there])
        padded = torch.nn.utils.rnn.pad_sequence(
            [torch.from_numpy(heard[i]) for i in there], batch_first=True
        )
        with torch.inference_mode():
            states, counts = self.network.encode(padded.to(self.device), lengths.to(self.device))
        for i, row, count in zip(there, states.cpu().numpy(), counts.tolist(), strict=True):
            found[i] = row[:count]
        return found

    def _hypothesis(
        self, written: Written, window: np.ndarray, options: DecodingOptions
    ) -> Hypothesis:
        return self.hypothesis(
            words(spans_of(written), self.tokenizer, 1 / self.frame_rate),
            written.tokens,
            float(np.mean(written.log_probs)) if written.tokens else 0.0,
            window.size / self.sample_rate,
            timed=options.word_timestamps,
        )


class StreamingCTC(CTCRecogniser):
    """A CTCRecogniser that is a StreamingRecogniser too, over a network with the head "ctc"."""

    def __init__(self, network: nn.Module, about: Exported, *, device: str, threads: int) -> None:
        super().__init__(
            network,
            about.tokenizer,
            about.features,
            frame_rate(about.features) / FRAMES_PER_STATE,
            language=about.language,
            device=device,
            threads=threads,
        )
        self.about = about

    def stream(self, options: StreamOptions | None = None) -> RecogniserStream:
        """As StreamingRecogniser; the search is greedy, InputError for a wider beam."""
        options = options or StreamOptions()
        if options.beam_size != 1:
            raise InputError(f"beam_size is {options.beam_size}; a stream of CTC is greedy, give 1")
        network: Any = self.network
        return RecogniserStream(
            network, self.about, options, lambda: _CTCWriter(network), self.threads
        )

    def simulate(self, samples: np.ndarray, options: StreamOptions | None = None) -> PartialResult:
        """As StreamSimulator; InputError as stream."""
        return self.stream(options).whole(samples)


class Writer(Protocol):
    """States in, tokens with their frames out."""

    @property
    def heard(self) -> int:
        """States pushed."""
        ...

    def push(self, states: Tensor) -> None:
        """Go on with states (frame, d_model)."""
        ...

    def spans(self) -> tuple[TokenSpan, ...]:
        """The tokens so far."""
        ...

    def settled(self) -> int:
        """How many of them at the beginning no later state can change."""
        ...


class _SearchWriter:
    def __init__(self, running: Search) -> None:
        self._running = running

    @property
    def heard(self) -> int:
        return self._running.heard

    def push(self, states: Tensor) -> None:
        self._running.push(states.cpu().numpy())

    def spans(self) -> tuple[TokenSpan, ...]:
        return spans_of(self._running.best())

    def settled(self) -> int:
        return self._running.settled()


class _CTCWriter:
    def __init__(self, network: Any) -> None:
        self._network, self._running = network, GreedyStream()

    @property
    def heard(self) -> int:
        return self._running.heard

    def push(self, states: Tensor) -> None:
        if len(states):
            self._running.push(self._network.log_probs(states).cpu().numpy())

    def spans(self) -> tuple[TokenSpan, ...]:
        return self._running.spans()

    def settled(self) -> int:
        return self._running.settled()


STREAMED = ("running", "none")
"""Normalisations of features that a stream can do."""


class RecogniserStream:
    """A RecognitionStream: log-mels, encoder and search as streams, one behind the other."""

    def __init__(
        self,
        network: Any,
        about: Exported,
        options: StreamOptions,
        writer: Callable[[], Writer],
        threads: int = 0,
    ) -> None:
        mel = log_mel_options(about.features)
        if about.features.normalise not in STREAMED or mel.dynamic_range is not None:
            raise InputError(
                f"features are {about.features.preset!r}, normalised by {about.features.normalise};"
                " a stream can't know a whole recording: train with normalise 'running' or 'none' "
                "and a preset without a dynamic range, such as 'kaldi'"
            )
        self._network, self._about, self._threads = network, about, threads
        self._tokenizer, self._rate = about.tokenizer, about.features.sample_rate
        self._frame_seconds = FRAMES_PER_STATE / frame_rate(about.features)
        chunk, ahead = (
            self._frames(options.chunk_seconds),
            self._frames(options.look_ahead_seconds),
        )
        self._encoder = network.stream(None if chunk is None else max(1, chunk), ahead)
        self._mel, self._writer = LogMelStream(mel), writer
        self._device = next(network.parameters()).device
        self._start()

    def push(self, samples: np.ndarray) -> list[PartialResult]:
        """As RecognitionStream; InputError for what is no finite float samples of (time,)."""
        check_window(samples, self._rate)
        self._samples += samples.size
        mel = self._mel.push(np.asarray(samples, np.float32))
        with torch_threads(self._threads):
            found = self._encoder.push(self._tensor(mel))
            if not len(found):
                return []
            self._writing.push(found)
        return [self._result(self._writing, self._samples, ended=False)]

    def finish(self) -> list[PartialResult]:
        """As RecognitionStream."""
        if self._samples:
            with torch_threads(self._threads):
                self._writing.push(self._encoder.push(self._tensor(self._mel.finish())))
                self._writing.push(self._encoder.finish())
        last = self._result(self._writing, self._samples, ended=True)
        self._start()
        return [last]

    def whole(self, samples: np.ndarray) -> PartialResult:
        """What is written of samples (time,) at their end, features and encoder run once over all
        of them; the stream stays where it is. InputError for what push refuses."""
        import torch

        for start in range(0, max(1, len(samples)), 60 * self._rate):
            check_window(samples[start : start + 60 * self._rate], self._rate)
        features, writing = _features(samples, self._about), self._writer()
        if len(features):
            chunks = self._encoder.chunks
            heard = torch.from_numpy(features)[None].to(self._device)
            lengths = torch.tensor([len(features)], device=self._device)
            with torch.no_grad(), torch_threads(self._threads):
                states, _ = self._network.encode(heard, lengths, chunks.size, chunks.ahead)
                writing.push(states[0])
        return self._result(writing, samples.size, ended=True)

    def _start(self) -> None:
        self._samples, self._writing = 0, self._writer()
        features = self._about.features
        self._mean = RunningMean(features.n_mels) if features.normalise == "running" else None

    def _tensor(self, mel: np.ndarray) -> Tensor:
        import torch

        mel = mel if self._mean is None else self._mean.push(mel)
        return torch.from_numpy(np.ascontiguousarray(mel.T, np.float32)).to(self._device)

    def _frames(self, seconds: float | None) -> int | None:
        return None if seconds is None else round(seconds / self._frame_seconds)

    def _result(self, writing: Writer, samples: int, *, ended: bool) -> PartialResult:
        spans, heard = writing.spans(), writing.heard
        made = words(spans, self._tokenizer, self._frame_seconds)
        settled = spans[: writing.settled()]
        final = len(made) if ended else final_words(settled, self._tokenizer)
        quiet = heard - (spans[-1].end if spans else 0)
        return PartialResult(made, final, samples / self._rate, max(0, quiet) * self._frame_seconds)


def final_words(spans: Sequence[TokenSpan], tokenizer: Tokenizer) -> int:
    """How many words of a text that goes on are whole: all but the last, which may get more
    letters, where no space has ended it."""
    count = len(words(spans, tokenizer, 1.0))
    if not count or tokenizer.kind == "words":
        return count
    ended = tokenizer.kind == "characters" and tokenizer.symbol(spans[-1].token).isspace()
    return count if ended else count - 1


def spans_of(written: Written) -> tuple[TokenSpan, ...]:
    """Each token at the one frame it was written at."""
    return tuple(
        TokenSpan(token, frame, frame + 1, float(np.exp(log_prob)))
        for token, frame, log_prob in zip(
            written.tokens, written.frames, written.log_probs, strict=True
        )
    )


def load_transducer_recogniser(
    directory: Path,
    config: Any,
    build: Callable[[Any], nn.Module],
    *,
    device: str,
    compute_type: str,
    threads: int,
) -> TransducerRecogniser | StreamingCTC:
    """The recogniser of a directory that training wrote, as its network's head asks."""
    from aural.nn.exported import check_tokens, load_network, read_exported

    if compute_type not in COMPUTE_TYPES:
        raise UnknownName("compute type", compute_type, COMPUTE_TYPES)
    about = read_exported(directory)
    network: Any = load_network(directory, config, build)
    check_tokens(directory, about.tokenizer, network.config.tokens)
    if network.head == "ctc":
        return StreamingCTC(network, about, device=device, threads=threads)
    return TransducerRecogniser(network, about, device=device, threads=threads)


def _features(window: np.ndarray, about: Exported) -> np.ndarray:
    if not window.size:
        return np.zeros((0, about.features.n_mels), np.float32)
    return about.features.features(np.asarray(window, np.float32))
