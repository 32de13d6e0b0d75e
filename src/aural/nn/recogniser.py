"""The recogniser of a network trained with CTC: windows of sound in, hypotheses out.

torch is imported when a recogniser is made, so that a family can name its options without it.
"""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from aural.decode.arpa import read_arpa
from aural.decode.ctc import greedy, words
from aural.decode.hotwords import Hotwords
from aural.decode.ngram import NGramScorer, token_words
from aural.decode.prefix_beam import MAX_WEIGHT, BeamOptions, prefix_beam
from aural.decode.words import WordOptions, WordScorer
from aural.errors import InputError, UnknownName
from aural.types import Hypothesis, LanguageGuess, Segment, Tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from torch import nn

    from aural.decode.ctc import TokenSpan
    from aural.decode.language import TokenScorer
    from aural.text.tokens import Tokenizer
    from aural.types import Word

DEVICES = ("auto", "cpu", "cuda")
COMPUTE_TYPES = ("auto", "float32")
UNKNOWN_LANGUAGE = "und"
"""ISO 639-2 for a language that nobody has told."""
MAX_SECONDS = 300.0
BATCH_SECONDS = 120.0
"""Of windows heard together, padding counted."""
BATCH_WINDOWS = 16
MAX_BEAM = 1000
MIN_SEARCH_BEAM = 16
"""What hotwords and language models call for: fewer beginnings lose what they would have lifted."""


class Features(Protocol):
    """Makes what a network takes (nn.exported.FeatureOptions does)."""

    @property
    def sample_rate(self) -> int:
        """Hz."""
        ...

    def features(self, samples: np.ndarray) -> np.ndarray:
        """float32, shape = (frame, n_mels), of samples (time,)."""
        ...


@runtime_checkable
class FrameScorer(Protocol):
    """Scores tokens for every frame, as forced alignment and keyword search want it."""

    sample_rate: int
    frame_rate: float
    """Rows of log_probs a second."""
    tokenizer: Tokenizer

    def log_probs(self, samples: np.ndarray) -> np.ndarray:
        """Natural logarithms, float32, shape = (frame, tokens), of samples (time,); the blank is
        token 0."""
        ...


@dataclass(frozen=True)
class DecodingOptions:
    """How text is looked for.

    language: a code that the recogniser has to be of. beam_size 1 takes the likeliest token of each
    frame; more searches for the likeliest text, which hotwords and a language model need: there it
    is raised to MIN_SEARCH_BEAM. hotwords: phrases parted by commas, each token of which adds
    hotword_bonus. language_model: a file in ARPA format, of words or of the model's own tokens,
    whose log probabilities count language_model_weight times; where it is one of words, word_bonus
    is added to each word's, and so is weighted with it.
    """

    language: str | None = None
    beam_size: int = 5
    hotwords: str = ""
    hotword_bonus: float = 1.0
    language_model: str = ""
    language_model_weight: float = 0.5
    word_bonus: float = 0.0
    word_timestamps: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.beam_size <= MAX_BEAM:
            raise InputError(f"beam_size is {self.beam_size}; give 1 to {MAX_BEAM}")
        for name in ("hotword_bonus", "language_model_weight", "word_bonus"):
            if not abs(getattr(self, name)) <= MAX_WEIGHT:
                raise InputError(f"{name} is {getattr(self, name)}; give up to {MAX_WEIGHT:g}")


class OneLanguage:
    """What recognisers of one language share.

    options: the kind that they take; named: what an error calls them. tokenizer and languages
    are each recogniser's own, languages being the one code, "und" where none is told.
    """

    options: ClassVar[type[Any]]
    named: ClassVar[str]
    tokenizer: Tokenizer
    languages: tuple[str, ...]

    def check(self, options: Any) -> None:
        """InputError for options that are not of its kind, and for another language."""
        if not isinstance(options, self.options):
            raise InputError(
                f"options are {type(options).__module__}.{type(options).__name__}; {self.named} "
                f"takes {self.options.__module__}.{self.options.__name__}"
            )
        if options.language is not None and options.language not in self.languages:
            raise UnknownName("language", options.language, self.languages)

    def identify_language(self, windows: Sequence[np.ndarray]) -> list[LanguageGuess]:
        """Its one language, for sure, for each window."""
        return [LanguageGuess((Tag(self.languages[0], 1.0),))] * len(windows)

    def scorer(self, file: str, word_bonus: float) -> TokenScorer:
        """language_model_of, read once."""
        known: dict[tuple[str, float], TokenScorer] = self.__dict__.setdefault("_scorers", {})
        if (file, word_bonus) not in known:
            known[file, word_bonus] = language_model_of(file, word_bonus, self.tokenizer)
        return known[file, word_bonus]

    def hypothesis(
        self,
        made: Sequence[Word],
        tokens: tuple[int, ...],
        avg_logprob: float,
        seconds: float,
        *,
        timed: bool,
    ) -> Hypothesis:
        """The words of a window of so many seconds as one segment, without them if not timed.

        They get a leading space, as windows' texts are joined as they are, and no time beyond the
        last sample.
        """
        placed = tuple(
            replace(
                word,
                text=f" {word.text.strip()}",
                start=min(word.start, seconds),
                end=min(word.end, seconds),
            )
            for word in made
        )
        text = "".join(word.text for word in placed)
        segment = Segment(
            start=0.0,
            end=seconds,
            text=text,
            words=placed if timed else (),
            tokens=tokens,
            avg_logprob=avg_logprob,
            compression_ratio=compression_ratio(text),
        )
        return Hypothesis(segment, self.languages[0])


class CTCRecogniser(OneLanguage):
    """A Recogniser of one language and a FrameScorer, over a network (features, lengths) ->
    (log_probs, lengths) that gives frame_rate rows a second.

    Hypotheses do not depend on the windows beside them. A word lasts from the first frame that
    gives its first token to the last that gives its last; as CTC gives a token in few frames, that
    is less than it takes to say it. probability is the mean of its tokens', a token's the mean of
    its frames'.
    """

    workers = 1
    options = DecodingOptions
    named = "a recogniser trained with CTC"

    def __init__(
        self,
        network: nn.Module,
        tokenizer: Tokenizer,
        features: Features,
        frame_rate: float,
        *,
        language: str = "",
        device: str = "auto",
        compute_type: str = "auto",
        threads: int = 0,
    ) -> None:
        if compute_type not in COMPUTE_TYPES:
            raise UnknownName("compute type", compute_type, COMPUTE_TYPES)
        self.device = chosen_device(device)
        self.network = network.eval().requires_grad_(requires_grad=False).to(self.device)
        self.tokenizer, self.features, self.threads = tokenizer, features, threads
        self.sample_rate = features.sample_rate
        self.frame_rate = frame_rate
        self.languages = (language or UNKNOWN_LANGUAGE,)

    def recognise(
        self,
        windows: Sequence[np.ndarray],
        options: DecodingOptions = DecodingOptions(),
    ) -> list[Hypothesis]:
        """One hypothesis a window.

        Raises InputError for a window that is no finite float samples or lasts over five minutes,
        and for what `check` refuses.
        """
        self.check(options)
        scores = self._scores(windows)
        texts = [self._text(each, options) for each in scores]
        return [
            self._hypothesis(text, window, options)
            for text, window in zip(texts, windows, strict=True)
        ]

    def log_probs(self, samples: np.ndarray) -> np.ndarray:
        """As FrameScorer; no frame where there are too few samples for one."""
        return self._scores([samples])[0]

    def _text(self, log_probs: np.ndarray, options: DecodingOptions) -> Sequence[TokenSpan]:
        """The tokens of a text and their frames."""
        informed = bool(options.hotwords.strip() or options.language_model)
        if options.beam_size == 1 and not informed:
            return greedy(log_probs)[0].spans
        search = BeamOptions(
            beam_size=max(options.beam_size, MIN_SEARCH_BEAM if informed else 1),
            lm_weight=options.language_model_weight,
            spans=True,
        )
        file, bonus = options.language_model, options.word_bonus
        lm = self.scorer(file, bonus) if file else None
        hotwords = hotwords_of(options, self.tokenizer) if options.hotwords.strip() else None
        return prefix_beam(log_probs, options=search, lm=lm, hotwords=hotwords)[0][0].spans

    def _scores(self, windows: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The log probabilities of each window; those of like length are heard together."""
        import torch

        heard = [self._heard(window) for window in windows]
        made = [np.zeros((0, self.tokenizer.size), np.float32)] * len(heard)
        order = sorted(
            (i for i, each in enumerate(heard) if len(each)), key=lambda i: len(heard[i])
        )
        with torch_threads(self.threads), torch.inference_mode():
            for batch in batches(order, [each.size / self.sample_rate for each in windows]):
                found = self._of_batch([heard[i] for i in batch])
                for i, each in zip(batch, found, strict=True):
                    made[i] = each
        return made

    def _heard(self, window: np.ndarray) -> np.ndarray:
        check_window(window, self.sample_rate)
        if not window.size:
            return np.zeros((0, 1), np.float32)
        return self.features.features(np.asarray(window, np.float32))

    def _of_batch(self, features: Sequence[np.ndarray]) -> list[np.ndarray]:
        import torch

        lengths = torch.tensor([len(each) for each in features])
        tensors = [torch.from_numpy(each) for each in features]
        padded = torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)
        found, lengths = self.network(padded.to(self.device), lengths.to(self.device))
        rows = found.float().cpu().numpy()
        return [row[:length] for row, length in zip(rows, lengths.tolist(), strict=True)]

    def _hypothesis(
        self, spans: Sequence[TokenSpan], window: np.ndarray, options: DecodingOptions
    ) -> Hypothesis:
        probabilities = np.array([span.probability for span in spans] or [1.0])
        return self.hypothesis(
            words(spans, self.tokenizer, 1 / self.frame_rate),
            tuple(span.token for span in spans),
            float(np.log(np.maximum(probabilities, 1e-30)).mean()),
            window.size / self.sample_rate,
            timed=options.word_timestamps,
        )


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """As many threads as are asked for, 0 being as it is: torch has one number of them for all,
    which is put back."""
    import torch

    before = torch.get_num_threads()
    if count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count:
            torch.set_num_threads(before)


def hotwords_of(options: DecodingOptions, tokenizer: Tokenizer) -> Hotwords:
    """The phrases parted by commas, as they can be written: as given, or in other case.

    Raises InputError for one that can't be written in these tokens.
    """
    boundary = None
    if tokenizer.kind == "characters" and " " in tokenizer.symbols:
        boundary = tokenizer.symbols.index(" ") + 1
    phrases = []
    for phrase in filter(None, (" ".join(each.split()) for each in options.hotwords.split(","))):
        written = (tokenizer.encode(form) for form in (phrase, phrase.lower(), phrase.upper()))
        whole = (each for each in written if tokenizer.decode(each).lower() == phrase.lower())
        if not (tokens := next(whole, ())):
            raise InputError(f"the hotword {phrase!r} can't be written in this model's tokens")
        phrases.append(tokens)
    return Hotwords(phrases, tokenizer.size, bonus=options.hotword_bonus, boundary=boundary)


def language_model_of(file: str, word_bonus: float, tokenizer: Tokenizer) -> TokenScorer:
    """The scorer of an ARPA file: of tokens where it knows them all, else of words."""
    from pathlib import Path

    model = read_arpa(Path(file).expanduser())
    if tokenizer.kind == "words" or set(token_words(tokenizer)) <= set(model.words):
        return NGramScorer(model, tokenizer)
    return WordScorer(model, tokenizer, WordOptions(word_bonus=word_bonus, look_ahead=True))


def load_exported(
    directory: Path,
    config: Any,
    build: Callable[[Any], nn.Module],
    device: str,
    compute_type: str,
    threads: int,
) -> CTCRecogniser:
    """The recogniser of a directory that training wrote (nn.exported); the network that build
    makes has `subsampling`, its features a frame, and config.tokens."""
    from aural.nn.acoustic import frame_rate
    from aural.nn.exported import check_tokens, load_network, read_exported

    about = read_exported(directory)
    network = load_network(directory, config, build)
    tokens: int = network.config.tokens  # type: ignore[union-attr, assignment]
    reduced: int = network.subsampling  # type: ignore[assignment]
    check_tokens(directory, about.tokenizer, tokens)
    return CTCRecogniser(
        network,
        about.tokenizer,
        about.features,
        frame_rate(about.features) / reduced,
        language=about.language,
        device=device,
        compute_type=compute_type,
        threads=threads,
    )


def chosen_device(asked: str) -> str:
    """ "cpu" or "cuda"; "auto" takes a GPU where there is one. InputError for one that is not."""
    import torch

    if asked not in DEVICES:
        raise UnknownName("device", asked, DEVICES)
    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise InputError("device is 'cuda', and torch finds no GPU here; give 'auto' or 'cpu'")
    return "cuda" if there and asked != "cpu" else "cpu"


def check_window(window: np.ndarray, sample_rate: int) -> None:
    """InputError for what is no window: finite float samples, (time,), of MAX_SECONDS at most."""
    if window.ndim != 1 or window.dtype.kind != "f" or not np.isfinite(window).all():
        raise InputError(
            f"a window is {window.dtype} of shape {window.shape}; give finite float samples in "
            "[-1, 1], one channel, (time,)"
        )
    seconds = window.size / sample_rate
    if seconds > MAX_SECONDS:
        raise InputError(f"a window lasts {seconds:.1f} s; give at most {MAX_SECONDS:g} s")


def compression_ratio(text: str) -> float:
    """len(text) / len(zlib(text)) in bytes; 1 for no text."""
    written = text.encode()
    return len(written) / len(zlib.compress(written)) if written else 1.0


def batches(order: Sequence[int], seconds: Sequence[float]) -> Iterator[list[int]]:
    """The windows in order, which rises, as many together as BATCH_WINDOWS and BATCH_SECONDS
    allow."""
    batch: list[int] = []
    for i in order:
        full = (len(batch) + 1) * seconds[i] > BATCH_SECONDS or len(batch) == BATCH_WINDOWS
        if batch and full:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
