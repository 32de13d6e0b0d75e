"""An acoustic model with a lexicon: aligns texts with sound, and hears words of a grammar."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aural.decode.arpa import read_arpa
from aural.decode.graph import SpeechGraph, loop, one_of, scored, sequence, speech_graph
from aural.decode.spoken import Alignment
from aural.decode.viterbi import PruningOptions, viterbi
from aural.errors import InputError, UnknownName
from aural.models.hmm.lexicon import words_of
from aural.types import Hypothesis, LanguageGuess, Segment, Tag, Word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aural.decode.graph import Grammar, Pronunciation
    from aural.models.hmm import Config
    from aural.models.hmm.acoustic import Acoustics

FRAME_SECONDS = 0.01
MAX_SECONDS = 600.0
"""Of a recording aligned at once."""


@dataclass(frozen=True)
class DecodingOptions:
    """language: a code, the model's own. language_model: a file in ARPA format whose words may be
    said, in its order of likelihood, instead of the model's grammar; its log probabilities count
    language_model_weight times beside the acoustic ones, which are scaled (Config)."""

    language: str | None = None
    language_model: str = ""
    language_model_weight: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.language_model_weight <= 100:
            raise InputError(
                f"language_model_weight is {self.language_model_weight}; give 0 to 100"
            )


@dataclass(frozen=True, eq=False)
class Listening:
    """What a model and its files are: features makes (frame, dimension) of samples; offset is the
    time in seconds at which the first frame's own 10 ms begin."""

    acoustics: Acoustics
    features: Callable[[np.ndarray], np.ndarray]
    lexicon: Mapping[str, Sequence[Pronunciation]]
    config: Config
    offset: float = 0.0


class Aligner:
    """Finds when the words of a known text are said, and which of a grammar's words are.

    Probabilities tell how near the scores of what was found come to those of the best states at
    each frame, whatever these are (after Witt & Young 2000): exp of the scaled mean difference.
    """

    def __init__(self, listening: Listening) -> None:
        self.listening = listening
        self.sample_rate = listening.config.sample_rate
        self.lexicon = listening.lexicon

    def align(self, samples: np.ndarray, text: str) -> Alignment:
        """When each word and phone of text is said in samples, float32 (time,); there may be
        silence before, between and after words.

        Raises:
            InputError: a word without pronunciation, no word at all, more than 10 minutes, or a
                recording too short for the text.
        """
        config = self.listening.config
        said = words_of(text, self.lexicon)
        duration = samples.size / self.sample_rate
        if not said:
            raise InputError("the text has no words; give what is said in the recording")
        if duration > MAX_SECONDS:
            raise InputError(
                f"the recording has {duration:.0f} s; cut it into parts of at most "
                f"{MAX_SECONDS:.0f} s, each with its text"
            )
        speech = speech_graph(
            sequence([word for _, word in said]),
            self.lexicon,
            self.listening.acoustics.phones,
            silence_log_weight=config.silence_log_weight,
        )
        found = self._heard(speech, samples, PruningOptions())
        if found is None:
            raise InputError(
                f"{duration:.2f} s of sound is too short for {len(said)} words; is it their text?"
            )
        words = tuple(
            Word(word.start, word.end, written, word.probability)
            for word, (written, _) in zip(found.words, said, strict=True)
        )
        return Alignment(words, found.phones, duration)

    def hear(self, samples: np.ndarray, grammar: Grammar) -> Alignment:
        """The likeliest words of a grammar in samples, float32 (time,), with their times; none
        where the sound is too short for any."""
        return self.search(self.graph(grammar), samples)

    def graph(self, grammar: Grammar) -> SpeechGraph:
        """The grammar in states, to be searched again and again."""
        return speech_graph(
            grammar,
            self.lexicon,
            self.listening.acoustics.phones,
            silence_log_weight=self.listening.config.silence_log_weight,
        )

    def search(self, speech: SpeechGraph, samples: np.ndarray) -> Alignment:
        """`hear` in a graph made before."""
        config = self.listening.config
        pruning = PruningOptions(config.beam or math.inf, config.max_active)
        found = self._heard(speech, samples, pruning)
        duration = samples.size / self.sample_rate
        return Alignment((), (), duration) if found is None else found

    def _heard(
        self, speech: SpeechGraph, samples: np.ndarray, pruning: PruningOptions
    ) -> Alignment | None:
        if samples.ndim != 1:
            raise InputError(f"samples have shape {samples.shape}; give one channel, (time,)")
        if not np.isfinite(samples).all():
            raise InputError("samples hold NaN or infinity; give finite sound")
        features = self.listening.features(samples)
        if not len(features):
            return None
        scores = self.listening.config.acoustic_scale * self.listening.acoustics.scores(features)
        path = viterbi(speech.graph, scores, pruning)
        if path is None:
            return None
        frames = np.arange(len(scores))
        own = scores[frames, speech.graph.emissions[path.states]]
        near = own - scores.max(axis=1)
        words, phones = [], []
        for word in speech.read(path):
            if word.text:
                parts = word.phones
                words.append(self._timed(word.text, parts[0].start, parts[-1].end, near))
                phones += [self._timed(part.name, part.start, part.end, near) for part in parts]
        return Alignment(tuple(words), tuple(phones), samples.size / self.sample_rate)

    def _timed(self, text: str, start: int, end: int, near: np.ndarray) -> Word:
        offset = self.listening.offset
        times = (offset + FRAME_SECONDS * start, offset + FRAME_SECONDS * end)
        probability = float(np.exp(near[start:end].mean()))
        return Word(round(times[0], 4), round(times[1], 4), text, probability)


class WordRecogniser(Aligner):
    """A Recogniser besides: hears the words of its lexicon, one or any number of them."""

    workers = 1

    def __init__(self, listening: Listening) -> None:
        super().__init__(listening)
        self.languages = (listening.config.language,)
        self._graphs: dict[tuple[str, float], SpeechGraph] = {}

    def check(self, options: Any) -> None:
        """InputError for options that are not DecodingOptions, and for another language."""
        if not isinstance(options, DecodingOptions):
            raise InputError(f"options are {type(options).__name__}; hmm takes its DecodingOptions")
        if options.language is not None and options.language not in self.languages:
            raise UnknownName("language", options.language, self.languages)

    def identify_language(self, windows: Sequence[np.ndarray]) -> list[LanguageGuess]:
        """Its one language, for sure, for each window."""
        return [LanguageGuess((Tag(self.languages[0], 1.0),)) for _ in windows]

    def recognise(
        self,
        windows: Sequence[np.ndarray],
        options: DecodingOptions = DecodingOptions(),
    ) -> list[Hypothesis]:
        """One hypothesis a window of samples (time,); its text is empty where it is too short."""
        self.check(options)
        speech = self._graph(options)
        return [self._hypothesis(self.search(speech, samples)) for samples in windows]

    def _hypothesis(self, found: Alignment) -> Hypothesis:
        words = tuple(
            Word(word.start, word.end, f" {word.text}", word.probability) for word in found.words
        )
        logs = [math.log(max(word.probability, 1e-30)) for word in words]
        segment = Segment(
            words[0].start if words else 0.0,
            words[-1].end if words else 0.0,
            "".join(word.text for word in words),
            words,
            avg_logprob=sum(logs) / len(logs) if logs else 0.0,
        )
        return Hypothesis(segment, self.languages[0])

    def _graph(self, options: DecodingOptions) -> SpeechGraph:
        key = (options.language_model, options.language_model_weight)
        if key not in self._graphs:
            self._graphs[key] = self.graph(self._grammar(options))
        return self._graphs[key]

    def _grammar(self, options: DecodingOptions) -> Grammar:
        config, words = self.listening.config, sorted(self.lexicon)
        if options.language_model:
            model = read_arpa(Path(options.language_model))
            known = set(model.words)
            if not (words := [word for word in words if word in known]):
                raise InputError(
                    f"{options.language_model} has none of the lexicon's {len(self.lexicon)} words"
                )
            return scored(
                words,
                model,
                weight=options.language_model_weight,
                log_weight=config.word_log_weight,
            )
        if config.grammar == "word":
            return one_of(words)
        return loop(words, config.word_log_weight)
