"""Whisper: transcription, translation, language identification, and its encoder's states (a
runtime family).

Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision"; weights by
OpenAI, MIT, in CTranslate2's format (variants.py says from where). On a CPU the network is ours,
run by onnxruntime (cpu.py); on a GPU CTranslate2 runs it (gpu.py). torch_form.py has the encoder
in torch, read from the same file, for its inner layers (extra torch).

A window is float32 samples of at most 30 s, 16 kHz, shape = (time,), padded with silence to
`padded_length`. It becomes a log-mel of (n_mels, time / 160), and one encoder state every 20 ms,
(time / 320, d_model). The decoder was trained on windows padded to 30 s: given too little silence
it misses its cue to stop and says things twice (LOG.md has the figures). A text that goes round is
decoded again padded to 30 s. The length is never left to the batch, or a text would depend on its
neighbours.

Word times follow the alignment heads' cross-attention by dynamic time warping (the paper's
reference code, whisper/timing.py).
"""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from aural.decode.loop import without_loop
from aural.errors import InputError, MissingExtra, UnknownName
from aural.models import processors
from aural.models.whisper.engine import (
    MAX_TOKENS,
    SAMPLE_RATE,
    STATES_PER_SECOND,
    Numbers,
    Search,
    Text,
)
from aural.models.whisper.variants import VARIANTS, Config
from aural.models.whisper.words import with_words, words_of, words_within
from aural.nn.transformer import depth
from aural.store.ctranslate2 import check_whisper_directory, read_arrays
from aural.types import Hypothesis, LanguageGuess, Segment, Tag

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tokenizers import Tokenizer
    from torch import nn

    from aural.models.whisper.engine import Engine
    from aural.models.whisper.torch_form import WhisperEncoder
    from aural.nn.sound_encoder import SoundEncoder

__all__ = ["EXTRA", "VARIANTS", "Config", "DecodingOptions", "Whisper", "load", "read_config"]

EXTRA = ""
MAX_SECONDS = 30.0
TAIL_SECONDS = 2.0
MIN_PADDED_SECONDS = 12.0
MAX_PROMPT_TOKENS = MAX_TOKENS // 2 - 6
"""Leaves MAX_TEXT_TOKENS beside the task's tokens and the one before the prompt."""
MAX_TEXT_TOKENS = MAX_TOKENS // 2
"""Where decoding stops, as in the reference: a text that gets so far is a loop, or the window holds
more than that in its script and is cut in two."""
MIN_SPLIT_SECONDS = 2.0
CRY_LETTERS = 6
CPU_COMPUTE_TYPES = ("auto", "float32", "int8")


@dataclass(frozen=True)
class DecodingOptions:
    """How text is looked for; names and defaults as in Whisper's reference where they are the same.

    language None means: identify it, once for all windows of a batch. A text that fails
    compression_ratio_threshold (it repeats itself) or logprob_threshold is decoded again padded to
    30 s, then, while it fails, at the temperatures beyond the first, by sampling best_of texts. A
    window is without speech when its probability of no speech passes no_speech_threshold and its
    text fails logprob_threshold. A cry, no more than a few letters however often ("Oh, oh, oh"), is
    what sounds of all kinds are most often taken for: there the limit rises by as much as the
    probability is beyond its threshold, and what repeats itself fails too. On a CPU greedy search
    comes first, and is kept where each of its tokens, and its end, was at least as probable as
    doubt_threshold; 1 always searches with the whole beam.
    """

    task: Literal["transcribe", "translate"] = "transcribe"
    language: str | None = None
    beam_size: int = 5
    best_of: int = 5
    patience: float = 1.0
    length_penalty: float = 1.0
    temperatures: tuple[float, ...] = (0.0,)
    compression_ratio_threshold: float = 2.4
    logprob_threshold: float = -1.0
    no_speech_threshold: float = 0.2
    doubt_threshold: float = 0.4
    initial_prompt: str = ""
    hotwords: str = ""
    word_timestamps: bool = True

    def __post_init__(self) -> None:
        if self.task not in ("transcribe", "translate"):
            raise UnknownName("task", self.task, ("transcribe", "translate"))
        for name, most in (("beam_size", 64), ("best_of", 64)):
            if not 1 <= getattr(self, name) <= most:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 to {most}")
        if not -10 <= self.length_penalty <= 10:
            raise InputError(f"length_penalty is {self.length_penalty}; give -10 to 10")
        if not 0 <= self.doubt_threshold <= 1:
            raise InputError(f"doubt_threshold is {self.doubt_threshold}; give 0 to 1")
        if not self.temperatures or not all(0 <= t <= 1 for t in self.temperatures):
            raise InputError(f"temperatures are {self.temperatures}; give numbers from 0 to 1")
        if not 1 / self.beam_size <= self.patience <= 10:
            raise InputError(
                f"patience is {self.patience}; give 1 / beam_size ({1 / self.beam_size:g}) to 10"
            )


def read_config(directory: Path) -> Config:
    """What a CTranslate2 directory of one's own holds; InputError when it can't be trusted."""
    shape = check_whisper_directory(directory)
    return Config(n_mels=shape.n_mels, multilingual=shape.multilingual)


def sound_encoder(directory: Path, config: Config, name: str) -> SoundEncoder:
    """The encoder in torch, float32, to be put before a network of another kind."""
    try:
        from aural.models.whisper.sound import sound_encoder as read
    except ModuleNotFoundError as error:
        raise MissingExtra("torch", error.name or "torch") from error
    return read(directory, name)


def with_encoder(directory: Path, encoder: nn.Module, target: Path) -> None:
    """Write what a directory holds as whisper@target, with sound_encoder's network, trained
    further, in the place of its encoder."""
    from aural.models.whisper.torch_decoder import read_network, save_network

    network = read_network(directory)
    network.encoder.load_state_dict(encoder.encoder.state_dict())  # type: ignore[union-attr]
    save_network(network, directory, target)


def load(
    directory: Path, config: Config, *, device: str, compute_type: str, threads: int
) -> Whisper:
    """The recogniser of a directory in CTranslate2's format.

    device is "auto", "cpu" or "cuda"; compute_type "auto" is int8 on a CPU, float16 on a GPU.
    threads = 0 takes the processors this process may use: one worker each, up to eight, and what
    is left inside the workers.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UnknownName("device", device, ("auto", "cpu", "cuda"))
    asked = device
    if device == "auto":
        device = "cuda" if _has_gpu() else "cpu"
    kind = _compute_type(device, compute_type)
    tokenizer, numbers = read_tokenizer(directory, config)
    threads = threads or processors()
    if device == "cpu":
        from aural.models.whisper.cpu import CpuEngine

        engine: Engine = CpuEngine(
            directory, numbers, n_mels=config.n_mels, int8=kind == "int8", threads=threads
        )
    else:
        from aural.models.whisper.gpu import GpuEngine

        engine = GpuEngine(
            directory, n_mels=config.n_mels, end=numbers.end, compute_type=kind, threads=threads
        )
    return Whisper(engine, tokenizer, config, numbers, directory, asked)


def read_tokenizer(directory: Path, config: Config) -> tuple[Tokenizer, Numbers]:
    """A directory's tokenizer, and its tokens that are not text; InputError where it is not
    Whisper's."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    except Exception as error:  # tokenizers raises nothing narrower
        raise InputError(f"{directory}/tokenizer.json can't be used: {error}") from error
    tokenizer.no_padding()  # what is saved there could ask for any amount of memory
    tokenizer.no_truncation()
    return tokenizer, _numbers(tokenizer, config)


def padded_length(length: int) -> int:
    """Samples that a window of length samples is padded to; InputError for one over 30 s.

    TAIL_SECONDS of silence at least where 30 s allow it, in half seconds.
    """
    seconds = length / SAMPLE_RATE
    if seconds > MAX_SECONDS:
        raise InputError(f"a window lasts {seconds:.1f} s; Whisper takes at most 30 s")
    halves = np.ceil(2 * (seconds + TAIL_SECONDS)) / 2
    return int(min(MAX_SECONDS, max(MIN_PADDED_SECONDS, halves)) * SAMPLE_RATE)


def _has_gpu() -> bool:
    """Whether CTranslate2 is there and finds a GPU; not even looked for where the driver has left
    no trace."""
    if not (os.path.exists("/dev/nvidiactl") or os.path.exists("/dev/dxg")):
        return False
    try:
        import ctranslate2

        return bool(ctranslate2.get_cuda_device_count())
    except (ImportError, OSError, RuntimeError):  # not there, or broken: the processor will do
        return False


def _compute_type(device: str, asked: str) -> str:
    """The number format to compute in; UnknownName lists what the device has."""
    if device == "cpu":
        allowed: tuple[str, ...] = CPU_COMPUTE_TYPES
    else:
        try:
            import ctranslate2
        except ModuleNotFoundError as error:
            raise MissingExtra("cuda", "ctranslate2") from error
        except (ImportError, OSError) as error:
            raise InputError(f"ctranslate2 is installed but broken: {error}") from error
        try:
            found = sorted(ctranslate2.get_supported_compute_types(device))
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{device} can't be used here: {error}") from error
        allowed = ("auto", *found)
    if asked not in allowed:
        raise UnknownName(f"compute type on {device}", asked, allowed)
    return asked if asked != "auto" else "int8" if device == "cpu" else "float16"


def _numbers(tokenizer: Tokenizer, config: Config) -> Numbers:
    """The tokens that are not text; InputError where the tokenizer is not Whisper's."""

    def number(text: str) -> int:
        found = tokenizer.token_to_id(text)
        if found is None:
            raise InputError(f"the tokenizer has no {text}; it is not Whisper's")
        return int(found)

    languages: list[tuple[str, int]] = []
    if config.multilingual:
        known = tokenizer.get_vocab(with_added_tokens=True)
        codes = (token[2:-2] for token in known if token.startswith("<|") and len(token) < 8)
        languages = [(code, number(f"<|{code}|>")) for code in sorted(codes) if code.isalpha()]
    no_timestamps = number("<|notimestamps|>")
    return Numbers(
        start=number("<|startoftranscript|>"),
        end=number("<|endoftext|>"),
        previous=number("<|startofprev|>"),
        no_timestamps=no_timestamps,
        no_speech=no_timestamps - 1,
        tasks={task: number(f"<|{task}|>") for task in ("transcribe", "translate")},
        languages=tuple(languages),
    )


class Whisper:
    """A recogniser, language identifier and encoder; may be shared by threads (workers calls at
    once)."""

    sample_rate = SAMPLE_RATE
    max_seconds = MAX_SECONDS
    frame_rate = float(STATES_PER_SECOND)

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        config: Config,
        numbers: Numbers,
        directory: Path,
        device: str,
    ) -> None:
        self.engine, self.tokenizer, self.config = engine, tokenizer, config
        self.numbers, self.workers = numbers, engine.workers
        self.directory, self.device = directory, device
        self.languages = tuple(code for code, _ in numbers.languages) or ("en",)
        """Codes of the languages it knows, sorted."""

    def padded_length(self, length: int) -> int:
        """As the function of that name."""
        return padded_length(length)

    def identify_language(self, windows: Sequence[np.ndarray]) -> list[LanguageGuess]:
        """One guess a window: every language by falling probability."""
        if not self.config.multilingual:
            return [LanguageGuess((Tag("en", 1.0),))] * len(windows)
        if not windows:
            return []
        return self._guesses(self._listen(windows))

    def recognise(
        self, windows: Sequence[np.ndarray], options: DecodingOptions = DecodingOptions()
    ) -> list[Hypothesis]:
        """One hypothesis a window, the same whatever windows are beside it (probabilities up to
        rounding).

        Raises InputError for a window that is no finite float samples or over 30 s, and for what
        `check` refuses.
        """
        self.check(options)
        if not windows:
            return []
        found = self._recognise(windows, options)
        return [
            self._in_halves(window, options, each) if _is_cut_off(each.segment) else each
            for window, each in zip(windows, found, strict=True)
        ]

    def check(self, options: DecodingOptions) -> None:
        """InputError for a language the model does not know, or a task it was not trained for."""
        if options.language is not None and options.language not in self.languages:
            raise UnknownName("language", options.language, self.languages)
        if options.task != "transcribe" and not self.config.multilingual:
            raise InputError("this Whisper only transcribes English; take one without '.en'")

    @cached_property
    def encoder_layers(self) -> int:
        """Number of the encoder's last layer."""
        return depth(read_arrays(self.directory), "encoder")

    def embed(self, samples: np.ndarray, layer: int | None = None) -> np.ndarray:
        """The encoder's states of a window, one for each 20 ms begun: float32, shape =
        (ceil(time / 320), d_model).

        The window is padded with silence to 30 s, as in training, and the states of the padding
        are cut off. layer is None or encoder_layers for the last layer, normalised, which the
        decoder attends to; an inner one (0 is what goes into the first block) is computed in torch,
        in float32. Raises InputError for a window that is no finite float samples or over 30 s and
        a layer that is not there, MissingExtra for an inner layer without torch.
        """
        _check_window(samples)
        self.padded_length(samples.size)
        if layer is not None and not 0 <= layer <= self.encoder_layers:
            raise InputError(f"layer is {layer}; this encoder has 0 to {self.encoder_layers}")
        from aural.audio.features import whisper_log_mel

        padding = int(MAX_SECONDS * SAMPLE_RATE) - samples.size
        padded = np.pad(np.asarray(samples, np.float32), (0, padding))
        features = whisper_log_mel(padded, self.config.n_mels)
        count = -(-samples.size * STATES_PER_SECOND // SAMPLE_RATE)
        if layer is None or layer == self.encoder_layers:
            found = self.engine.states(features)
        else:
            found = self.torch_encoder.states(features, layer)[-1]
        return found[:count].copy()

    @cached_property
    def torch_encoder(self) -> WhisperEncoder:
        """The encoder in torch, read when it is first asked for; MissingExtra without torch."""
        try:
            from aural.models.whisper.torch_form import read_encoder
        except ModuleNotFoundError as error:
            raise MissingExtra("torch", "torch") from error
        return read_encoder(self.directory, self.device)

    def _in_halves(
        self, window: np.ndarray, options: DecodingOptions, whole: Hypothesis
    ) -> Hypothesis:
        """A window whose text is longer than one decoding can be, cut where it is quietest."""
        if window.size < MIN_SPLIT_SECONDS * SAMPLE_RATE:
            return whole
        quarter, step = window.size // 4, SAMPLE_RATE // 10
        middle = window[quarter : quarter + 2 * quarter // step * step].reshape(-1, step)
        cut = quarter + int(np.argmin(np.square(middle).sum(axis=1))) * step + step // 2
        halves = self.recognise(
            [window[:cut], window[cut:]], replace(options, language=whole.language)
        )
        return replace(whole, segment=_joined(*(half.segment for half in halves)))

    def _recognise(
        self, windows: Sequence[np.ndarray], options: DecodingOptions
    ) -> list[Hypothesis]:
        heard = self._listen(windows)
        language, probability = self._language(heard, windows, options)
        options = replace(options, language=language)
        texts = self._write(heard, windows, options, options.temperatures[0])
        for temperature in options.temperatures:
            again = [i for i, text in enumerate(texts) if self._failed(text, options)]
            if not again:
                break
            chosen = [windows[i] for i in again]
            longest = [int(MAX_SECONDS * SAMPLE_RATE)] * len(again)
            padded = self.engine.listen(chosen, longest)
            retried = self._write(padded, chosen, options, temperature)
            for i, text in zip(again, retried, strict=True):
                texts[i] = text
        checked = (self._checked(text, options) for text in texts)
        return [Hypothesis(text, language, probability) for text in checked]

    def _listen(self, windows: Sequence[np.ndarray]) -> object:
        for window in windows:
            _check_window(window)
        return self.engine.listen(windows, [self.padded_length(each.size) for each in windows])

    def _guesses(self, heard: object) -> list[LanguageGuess]:
        found = self.engine.languages(heard)
        return [LanguageGuess(tuple(Tag(*each) for each in scores)) for scores in found]

    def _language(
        self, heard: object, windows: Sequence[np.ndarray], options: DecodingOptions
    ) -> tuple[str, float]:
        """The language asked for, or the likeliest over all windows, each counted by its length."""
        if not self.config.multilingual:
            return "en", 1.0
        if options.language is not None:
            return options.language, 1.0
        sizes = [window.size for window in windows]
        best = LanguageGuess.combined(self._guesses(heard), sizes).tags[0]
        return best.label, best.score

    def _task(self, options: DecodingOptions) -> list[int]:
        """The tokens from the start of the transcript to its text."""
        numbers = self.numbers
        if not self.config.multilingual:
            return [numbers.start, numbers.no_timestamps]
        language = dict(numbers.languages)[options.language or "en"]
        return [numbers.start, language, numbers.tasks[options.task], numbers.no_timestamps]

    def _before(self, options: DecodingOptions) -> list[int]:
        """Earlier text, hotwords before it, both cut to fit."""
        before: list[int] = []
        for text in (options.hotwords, options.initial_prompt):
            if text.strip():
                ids = self.tokenizer.encode(" " + text.strip(), add_special_tokens=False).ids
                before += ids[-(MAX_PROMPT_TOKENS // 2) :]
        return [self.numbers.previous, *before] if before else []

    def _write(
        self,
        heard: object,
        windows: Sequence[np.ndarray],
        options: DecodingOptions,
        temperature: float,
    ) -> list[Segment]:
        task = self._task(options)
        search = Search(
            beam_size=options.best_of if temperature else options.beam_size,
            patience=options.patience,
            length_penalty=options.length_penalty,
            temperature=temperature,
            doubt=options.doubt_threshold,
            timed=options.word_timestamps,
        )
        texts = self.engine.write(heard, [*self._before(options), *task], task, search)
        language = options.language or "en"
        return [
            self._segment(text, temperature, window.size / SAMPLE_RATE, language)
            for text, window in zip(texts, windows, strict=True)
        ]

    def _segment(self, text: Text, temperature: float, duration: float, language: str) -> Segment:
        written = self.tokenizer.decode(list(text.tokens))
        return Segment(
            start=0.0,
            end=duration,
            text=written,
            words=words_of(text, self.tokenizer, language, duration) if text.starts else (),
            tokens=text.tokens,
            avg_logprob=text.avg_logprob,
            no_speech_prob=text.no_speech_prob,
            compression_ratio=_compression_ratio(written),
            temperature=temperature,
        )

    def _failed(self, text: Segment, options: DecodingOptions) -> bool:
        return (
            self._repeats(text, options)
            or text.avg_logprob < options.logprob_threshold
            or _goes_round(text.tokens)
        ) and not self._silent(text, options)

    def _repeats(self, text: Segment, options: DecodingOptions) -> bool:
        return text.compression_ratio > options.compression_ratio_threshold

    def _silent(self, text: Segment, options: DecodingOptions) -> bool:
        beyond = text.no_speech_prob - options.no_speech_threshold
        if beyond <= 0:
            return False
        if _is_cry(text.text):
            limit = options.logprob_threshold + beyond
            return text.avg_logprob < limit or self._repeats(text, options)
        return text.avg_logprob < options.logprob_threshold

    def _checked(self, text: Segment, options: DecodingOptions) -> Segment:
        """Empty where there is no speech or bare punctuation; a loop that ran to the end kept once
        round; without words that the window has no time left for."""
        if self._silent(text, options) or not any(map(str.isalnum, text.text)):
            return replace(text, text="", tokens=(), words=())
        if _is_cut_off(text):
            tokens = without_loop(text.tokens)
            written = self.tokenizer.decode(list(tokens))
            ratio = _compression_ratio(written)
            words = words_within(text.words, len(tokens))
            text = replace(text, tokens=tokens, text=written, words=words, compression_ratio=ratio)
        return with_words(text, text.words)


def _check_window(window: np.ndarray) -> None:
    if window.ndim != 1 or window.dtype.kind != "f" or not np.isfinite(window).all():
        raise InputError(
            f"a window is {window.dtype} of shape {window.shape}; give finite float samples in "
            "[-1, 1], one channel, (time,)"
        )


def _is_cut_off(text: Segment) -> bool:
    return len(text.tokens) >= MAX_TEXT_TOKENS - 1


def _joined(first: Segment, second: Segment) -> Segment:
    """Two segments, the second's times from the first's end, as one."""
    moved = tuple(
        replace(word, start=word.start + first.end, end=word.end + first.end)
        for word in second.words
    )
    count = max(1, len(first.tokens) + len(second.tokens))
    weights = len(first.tokens) / count, len(second.tokens) / count
    return replace(
        first,
        end=first.end + second.end,
        text=first.text + second.text,
        words=first.words + moved,
        tokens=first.tokens + second.tokens,
        avg_logprob=first.avg_logprob * weights[0] + second.avg_logprob * weights[1],
        no_speech_prob=min(first.no_speech_prob, second.no_speech_prob),
        compression_ratio=max(first.compression_ratio, second.compression_ratio),
    )


def _compression_ratio(text: str) -> float:
    data = text.encode("utf-8")
    return len(data) / len(zlib.compress(data)) if data else 1.0


def _is_cry(text: str) -> bool:
    """Whether a text is nothing but one run of at most CRY_LETTERS letters, once or repeated."""
    letters = re.sub(r"[\W_]", "", text.lower())
    return (letters + letters).find(letters, 1) <= CRY_LETTERS


def _goes_round(tokens: tuple[int, ...]) -> bool:
    """Whether tokens end with the same four or more twice: maybe a loop, maybe said so."""
    return any(
        tokens[-period:] == tokens[-2 * period : -period]
        for period in range(4, len(tokens) // 2 + 1)
    )
