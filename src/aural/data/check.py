"""Look for what is wrong with a labelled set before a model learns or is judged by it.

Manifests are read as streams, and so is a recording; a stretch of one is decoded from the
recording's start to its own end, and held while it is measured. What is kept of an utterance is its
id, three hashes and a coarse loudness curve: about 0.7 kB, whatever its length.
"""

from __future__ import annotations

import math
import os
import re
import unicodedata
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from aural.data.manifest import stream_manifest
from aural.data.measure import Measured, measure
from aural.data.sound import named, sound_of
from aural.errors import AudioError, InputError, ManifestError, UnknownName

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from aural.data.utterance import Utterance

KINDS = {
    "unreadable": "the recording is missing or can't be decoded",
    "damaged": "a part of it could not be decoded, or its samples are no sound",
    "duration": "the manifest says another length than the recording has",
    "clipping": "samples stand at full scale, or at an extreme close to it, one after the other",
    "silence": "nearly nothing is to be heard, but there is a text",
    "empty-text": "no letter or digit in the text, but something is to be heard",
    "too-many-characters": "more text than could be said in the time",
    "too-few-characters": "less text than would be said in the time",
    "control-characters": "invisible or lost characters in the text",
    "mixed-scripts": "letters of two alphabets in one word",
    "mixed-languages": "not all utterances are of one language",
    "mixed-rates": "not all recordings have one sample rate",
    "mixed-channels": "not all recordings have one number of channels",
    "duplicate-id": "an id is given twice in a manifest",
    "duplicate-audio": "the same samples twice",
    "near-duplicate": "the same text, length and loudness curve: one recording, coded twice",
    "speaker-in-splits": "a speaker is in more than one split",
}
NOT_GIVEN = "(not given)"

_ALPHABETS = ("LATIN", "CYRILLIC", "GREEK")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"  # part of the spelling in Persian, Hindi and others
_LOST = "\ufffd"
_DIRECTION = re.compile("[\u061c\u200e\u200f]")  # part of texts from right to left
# A soft hyphen within a word, and the tags of a flag (England's, Scotland's).
_MARKS = re.compile(r"(?<=[^\W\d_])\u00ad(?=[^\W\d_])|\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f")
# Greek before a Latin unit, or behind its prefix: micrometre, kilo-ohm.
_UNIT = re.compile(r"\d*(?:\u03bc(?:[msgGlLAVWJNFHCTKM]|Pa|mol|Sv|Gy|Hz|Bq|min)|[kMGm]\u03a9)")
_NEAR_SECONDS = 0.01
_NEAR_DECIBELS = 0.5
_NEAR_MOST = 200  # remembered of one text and length, so that a set of equal prompts stays quick


@dataclass(frozen=True)
class CheckOptions:
    """From where on something counts as a fault.

    full_scale, max_clipped: the share of samples at full_scale that follow two others there. A
    voice at full level has none; 3 dB more make 0.1 %. Where a recording comes close to full_scale
    (mu-law ends at 0.980, A-law at 0.984, 8 bits at 0.992) its own extreme counts. silence_db,
    max_silent: the share of frames of 20 ms under silence_db below full scale. Pauses of read
    sentences make up to half.
    min_characters, max_characters: of text a second, punctuation left out. In an alphabet read
    speech has 10 to 20, and the fastest of 1,129 telephone prompts 21; Chinese has 3 to 6, and a
    letter's name with pauses around it 1 or more. max_duration_error: seconds, above what rounding
    and an MP3 encoder's padding make. max_listed: findings of one kind that are kept; all are
    counted.
    """

    full_scale: float = 0.999
    max_clipped: float = 0.0005
    silence_db: float = -60.0
    max_silent: float = 0.95
    min_characters: float = 1.0
    max_characters: float = 25.0
    max_duration_error: float = 0.1
    max_listed: int = 100

    def __post_init__(self) -> None:
        for name in ("full_scale", "max_clipped", "max_silent"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; give a share from 0 to 1")
        if not -math.inf < self.silence_db < 0:
            raise InputError(
                f"silence_db is {self.silence_db}; give dB below full scale: a number under 0"
            )
        if not 0 <= self.min_characters < self.max_characters < math.inf:
            raise InputError(
                f"min_characters is {self.min_characters} and max_characters "
                f"{self.max_characters}; give numbers, 0 <= min_characters < max_characters"
            )
        for name in ("max_duration_error", "max_listed"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}; give 0 or more")


@dataclass(frozen=True)
class Finding:
    """A fault: its kind (of KINDS), the split and id of the utterance, and what was seen."""

    kind: str
    split: str
    id: str
    detail: str


@dataclass(frozen=True)
class Checked:
    """What was looked at, and what was found.

    splits, sample_rates, channels and languages count utterances, those that can't be read only in
    splits and languages. counts has every kind that was found; findings the first of each kind.
    """

    sources: tuple[str, ...]
    utterances: int
    seconds: float
    speakers: int
    splits: Mapping[str, int]
    sample_rates: Mapping[int, int]
    channels: Mapping[int, int]
    languages: Mapping[str, int]
    counts: Mapping[str, int]
    findings: tuple[Finding, ...]
    options: CheckOptions

    def without(self, kinds: Collection[str]) -> Checked:
        """The same but for findings of these kinds."""
        counts = {kind: count for kind, count in self.counts.items() if kind not in kinds}
        findings = tuple(each for each in self.findings if each.kind not in kinds)
        return replace(self, counts=counts, findings=findings)

    def as_json(self) -> dict[str, Any]:
        """The record that `aural data check --json` prints."""
        return {"version": 1, **asdict(self), "seconds": round(self.seconds, 3)}


def check(
    sources: Sequence[str | os.PathLike[str]],
    *,
    split: str | None = None,
    options: CheckOptions = CheckOptions(),
    progress: Callable[[int], None] | None = None,
) -> Checked:
    """Read and measure every utterance of one or more manifests.

    Args:
        sources: What stream_manifest takes. Several are splits of one set, named as given.
        split: The column that tells the split of an utterance instead.
        options: What counts as a fault.
        progress: Called after each utterance with how many are done.

    Raises:
        ManifestError: a manifest can't be read, or all are empty.
        UnknownName: no utterance has the column.
        Unreachable: a corpus is not on this machine.
    """
    checker = _Checker(options)
    names = tuple(os.fspath(source) for source in sources)
    for index, source in enumerate(sources):
        for utterance in stream_manifest(source):
            checker.look(utterance, index, _split(utterance, split, names[index]))
            if progress is not None:
                progress(checker.utterances)
    if not checker.utterances:
        raise ManifestError(f"{', '.join(names)}: no utterances")
    if split is not None and set(checker.splits) == {NOT_GIVEN}:
        raise UnknownName("column", split, tuple(sorted(checker.columns)))
    return checker.result(names)


def _split(utterance: Utterance, column: str | None, source: str) -> str:
    if column is None:
        return source
    own = {"speaker": utterance.speaker, "language": utterance.language}
    return own.get(column) or utterance.metadata.get(column) or NOT_GIVEN


@dataclass
class _Kinds:
    """How many utterances there are of each value, and the first of each."""

    counts: Counter[Any] = field(default_factory=Counter)
    first: dict[Any, tuple[str, str]] = field(default_factory=dict)

    def add(self, value: Any, split: str, name: str) -> None:
        self.counts[value] += 1
        self.first.setdefault(value, (split, name))

    def minorities(self, kind: str, words: Callable[[Any], str]) -> Iterable[Finding]:
        """One finding a value that is not the most frequent."""
        (most, _), *others = self.counts.most_common()
        for value, count in others:
            detail = f"{words(value)}: {count}, most are {words(most)}; this is the first"
            yield Finding(kind, *self.first[value], detail)


class _Checker:
    """What has to be remembered of the utterances so far."""

    def __init__(self, options: CheckOptions) -> None:
        self.options = options
        self.utterances, self.seconds = 0, 0.0
        self.splits: Counter[str] = Counter()
        self.columns = {"speaker", "language"}
        self._rates, self._channels, self._languages = _Kinds(), _Kinds(), _Kinds()
        self._counts: Counter[str] = Counter()
        self._findings: list[Finding] = []
        self._ids: set[int] = set()
        self._sounds: dict[bytes, tuple[str, str]] = {}
        self._alike: dict[int, list[tuple[bytes, str]]] = {}
        self._speakers: dict[str, list[str]] = {}

    def look(self, utterance: Utterance, source: int, split: str) -> None:
        """Take the next utterance of the source of that number."""
        self.utterances += 1
        self.splits[split] += 1
        self.columns.update(utterance.metadata)
        self._languages.add(utterance.language, split, utterance.id)

        def found(kind: str, detail: str) -> None:
            self._found(Finding(kind, split, utterance.id, detail))

        own = hash((source, utterance.id))
        if own in self._ids:
            found("duplicate-id", "another utterance of this manifest has this id")
        self._ids.add(own)
        self._look_at_speaker(utterance.speaker, split, found)
        for kind, detail in text_faults(utterance.text):
            found(kind, detail)
        try:
            sound = measure(
                sound_of(utterance),
                full_scale=self.options.full_scale,
                silence_db=self.options.silence_db,
            )
        except AudioError as error:
            found("unreadable", named(utterance, error))
            return
        self.seconds += sound.seconds
        self._rates.add(sound.sample_rate, split, utterance.id)
        self._channels.add(sound.channels, split, utterance.id)
        for kind, detail in sound_faults(utterance, sound, self.options):
            found(kind, detail)
        if sound.silent <= self.options.max_silent:
            self._look_for_same(utterance, sound, split, found)

    def _found(self, finding: Finding) -> None:
        self._counts[finding.kind] += 1
        if self._counts[finding.kind] <= self.options.max_listed:
            self._findings.append(finding)

    def _look_at_speaker(self, speaker: str, split: str, found: Callable[[str, str], None]) -> None:
        """Once a speaker and split."""
        if not speaker:
            return
        seen = self._speakers.setdefault(speaker, [])
        if split not in seen:
            if seen:
                found("speaker-in-splits", f"speaker {speaker!r} is also in {', '.join(seen)}")
            seen.append(split)

    def _look_for_same(
        self, utterance: Utterance, sound: Measured, split: str, found: Callable[[str, str], None]
    ) -> None:
        first = self._sounds.get(sound.digest)
        if first is not None:
            elsewhere = "" if first[0] == split else f" in {first[0]}"
            found("duplicate-audio", f"the same samples as {first[1]!r}{elsewhere}")
            return
        self._sounds[sound.digest] = split, utterance.id
        if other := self._near(utterance, sound):
            found("near-duplicate", f"the same text, length and loudness curve as {other!r}")

    def _near(self, utterance: Utterance, sound: Measured) -> str:
        """The id of a recording that differs in its coding only; "" for none."""
        words = " ".join(utterance.text.casefold().split())
        if not words:
            return ""
        length = round(sound.seconds / _NEAR_SECONDS)
        for near in (length - 1, length, length + 1):
            for curve, name in self._alike.get(hash((words, near)), ()):
                apart = np.abs(np.frombuffer(curve, np.float16) - sound.envelope).mean()
                if apart < _NEAR_DECIBELS:
                    return name
        known = self._alike.setdefault(hash((words, length)), [])
        if len(known) < _NEAR_MOST:
            known.append((sound.envelope.astype(np.float16).tobytes(), utterance.id))
        return ""

    def result(self, sources: tuple[str, ...]) -> Checked:
        """Everything, once all utterances were looked at."""
        if set(self._languages.counts) != {""}:
            for each in self._languages.minorities(
                "mixed-languages", lambda code: repr(code) if code else "none"
            ):
                self._found(each)
        if self._rates.counts:
            for each in self._rates.minorities("mixed-rates", lambda rate: f"{rate} Hz"):
                self._found(each)
            for each in self._channels.minorities("mixed-channels", _channels):
                self._found(each)
        order = {kind: index for index, kind in enumerate(KINDS)}
        return Checked(
            sources=sources,
            utterances=self.utterances,
            seconds=self.seconds,
            speakers=len(self._speakers),
            splits=dict(self.splits),
            sample_rates=dict(self._rates.counts.most_common()),
            channels=dict(self._channels.counts.most_common()),
            languages=dict(self._languages.counts.most_common()),
            counts={kind: self._counts[kind] for kind in KINDS if self._counts[kind]},
            findings=tuple(sorted(self._findings, key=lambda each: order[each.kind])),
            options=self.options,
        )


def _channels(count: int) -> str:
    return f"{count} channel{'s' if count > 1 else ''}"


def text_faults(text: str) -> Iterable[tuple[str, str]]:
    """What is wrong with a text by itself: kind and detail."""
    visible = text if text.isascii() else _without_marks(text)
    hidden = {char for char in visible if _is_hidden(char)}
    if hidden:
        listed = ", ".join(f"U+{ord(char):04X}" for char in sorted(hidden)[:5])
        yield "control-characters", listed
    if text.isascii():
        return
    for word in re.findall(r"\w+", text):
        names = (unicodedata.name(char, "").partition(" ")[0] for char in word if char.isalpha())
        scripts = sorted(set(names) & set(_ALPHABETS))
        if len(scripts) > 1 and not _UNIT.fullmatch(word):
            yield "mixed-scripts", f"{word[:80]!r} is {' and '.join(map(str.title, scripts))}"
            return


def _without_marks(text: str) -> str:
    """The text without what is invisible and rightly there."""
    if any(char.isalpha() and unicodedata.bidirectional(char) in ("R", "AL") for char in text):
        text = _DIRECTION.sub("", text)
    return _MARKS.sub("", text)


def _is_hidden(char: str) -> bool:
    return char == _LOST or (unicodedata.category(char) in _HIDDEN and char not in _JOINERS)


def _said(text: str) -> int:
    """Letters, their marks, digits, and a space a word: characters without the punctuation."""
    kinds = [unicodedata.category(char)[0] for char in text if not char.isspace()]
    return sum(kind in "LMN" for kind in kinds) + max(0, len(text.split()) - 1)


def sound_faults(
    utterance: Utterance, sound: Measured, options: CheckOptions
) -> Iterable[tuple[str, str]]:
    """What is wrong with a recording, or with its text for it: kind and detail."""
    if sound.warning:
        yield "damaged", sound.warning
    if sound.clipped > options.max_clipped:
        yield "clipping", f"{sound.clipped:.2%} of its samples stand at full scale"
    stated = utterance.duration
    if stated is not None:
        short, error = stated - sound.seconds, options.max_duration_error
        if short > error or (utterance.offset is None and short < -error):
            yield (
                "duration",
                f"{stated:g} s in the manifest, {sound.seconds:.2f} s in the recording",
            )
    silent = sound.silent > options.max_silent
    spoken = any(char.isalnum() for char in utterance.text)
    if silent and spoken:
        yield "silence", f"{sound.silent:.1%} of it below {options.silence_db:g} dB"
    if not spoken:
        if not silent:
            yield "empty-text", f"the text is {utterance.text[:80]!r}"
        return
    speed = _said(utterance.text) / sound.seconds
    detail = f"{speed:.1f} characters a second in {sound.seconds:.2f} s"
    if speed > options.max_characters:
        yield "too-many-characters", detail
    elif speed < options.min_characters and not silent:
        yield "too-few-characters", detail
