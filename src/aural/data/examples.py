"""Utterances become what a network is trained on: features and token numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from aural.audio.read import probe, read
from aural.data.augmentation import Augmenter
from aural.data.sound import named, sound_of
from aural.errors import AudioError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aural.data.augmentation import AugmentOptions
    from aural.data.utterance import Utterance
    from aural.nn.recogniser import Features
    from aural.text.tokens import Tokenizer

MAX_HELD_BYTES = 1 << 30
LONGER = 1.5
"""How much longer than stated a recording may be: some headers are estimates."""


@dataclass(frozen=True, eq=False)
class Example:
    """features: float32, (frame, n_mels). tokens are those of text; seconds the sound's duration
    as it is recorded."""

    id: str
    features: np.ndarray
    tokens: tuple[int, ...]
    text: str
    seconds: float


class Held:
    """Arrays by name, kept while there is room for them."""

    def __init__(self, max_bytes: int = MAX_HELD_BYTES) -> None:
        self._left = max_bytes
        self._arrays: dict[str, np.ndarray] = {}

    def get(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of a name, made where it is not held."""
        if name in self._arrays:
            return self._arrays[name]
        array = make()
        if array.nbytes <= self._left:
            self._left -= array.nbytes
            self._arrays[name] = array
        return array


class Examples:
    """Utterances by number, their texts as `normalise` makes them and cut into tokens.

    durations: seconds of each, as recorded. Samples are held in memory where they are distorted
    anew each time, features where they are not, up to max_bytes of either.

    Raises InputError where a text has no token or a recording lasts much longer than stated,
    AudioError where one can't be read.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        features: Features,
        tokenizer: Tokenizer,
        *,
        normalise: Callable[[str], str] = str,
        augment: AugmentOptions | None = None,
        max_bytes: int = MAX_HELD_BYTES,
    ) -> None:
        self.utterances = tuple(utterances)
        self.texts = tuple(normalise(each.text) for each in utterances)
        self.tokens = tuple(tokenizer.encode(text) for text in self.texts)
        for utterance, tokens in zip(utterances, self.tokens, strict=True):
            if not tokens:
                raise InputError(
                    f"{utterance.id}: its text {utterance.text!r} has no token; leave it out"
                )
        self._options = features
        self._augmenter = Augmenter(augment, features.sample_rate) if augment else None
        self._on_samples = augment is not None and augment.on_samples
        self._held = Held(max_bytes)
        self.durations = tuple(duration_of(each) for each in utterances)

    def __len__(self) -> int:
        return len(self.utterances)

    def example(self, number: int, rng: np.random.Generator | None = None) -> Example:
        """One of them; distorted with what rng draws, where there is one and options say so."""
        utterance = self.utterances[number]
        if rng is None or self._augmenter is None:
            features = self._held.get(f"features {utterance.id}", lambda: self._features(utterance))
        else:
            features = self._distorted(utterance, self._augmenter, rng)
        return Example(
            id=utterance.id,
            features=features,
            tokens=self.tokens[number],
            text=self.texts[number],
            seconds=self.durations[number],
        )

    def _distorted(
        self, utterance: Utterance, augmenter: Augmenter, rng: np.random.Generator
    ) -> np.ndarray:
        if not self._on_samples:
            plain = self._held.get(f"features {utterance.id}", lambda: self._features(utterance))
            return augmenter.on_features(plain, rng)
        rate = self._options.sample_rate
        samples = self._held.get(f"samples {utterance.id}", lambda: _as_told(utterance, rate))
        features = self._options.features(augmenter.on_samples(samples, rng))
        return augmenter.on_features(features, rng)

    def _features(self, utterance: Utterance) -> np.ndarray:
        return self._options.features(_as_told(utterance, self._options.sample_rate))


def samples_of(utterance: Utterance, sample_rate: int) -> np.ndarray:
    """Its sound, channels mixed, at a rate: float32, (time,); AudioError names the recording."""
    try:
        return read(sound_of(utterance), sample_rate=sample_rate).samples
    except AudioError as error:
        raise type(error)(named(utterance, error)) from error


def _as_told(utterance: Utterance, sample_rate: int) -> np.ndarray:
    """As samples_of; InputError where it lasts much longer than what batches are made by."""
    samples = samples_of(utterance, sample_rate)
    seconds, told = len(samples) / sample_rate, utterance.duration
    if told is not None and seconds > LONGER * told + 0.5:
        raise InputError(
            f"{utterance.id}: lasts {seconds:.1f} s, and {told:.1f} s by its manifest; write the "
            "true duration, or none, or an offset where a part is meant"
        )
    return samples


def duration_of(utterance: Utterance) -> float:
    """Seconds: as the manifest or the header states them, else of what is decoded."""
    if utterance.duration is not None:
        return utterance.duration
    try:
        source = sound_of(utterance)
        stated = probe(source).duration
        return read(source).duration if stated is None else stated
    except AudioError as error:
        raise type(error)(named(utterance, error)) from error


def with_sound_of_another(utterances: Sequence[Utterance], seed: int) -> list[Utterance]:
    """Each with the sound of another one and its own text, which no network can then hear.

    What still comes out right comes from the texts alone. InputError for fewer than two.
    """
    count = len(utterances)
    if count < 2:
        raise InputError(f"{count} utterances; give two or more, for each to have another's sound")
    order = np.random.default_rng(seed).permutation(count)
    other = np.empty(count, int)
    other[order] = np.roll(order, 1)
    return [
        replace(
            each,
            audio=utterances[number].audio,
            offset=utterances[number].offset,
            duration=utterances[number].duration,
        )
        for each, number in zip(utterances, other, strict=True)
    ]
