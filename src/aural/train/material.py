"""What is trained and judged on: utterances in three parts, and the tokens of texts."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from aural.data.examples import duration_of, with_sound_of_another
from aural.data.manifest import CORPUS, read_manifest
from aural.data.split import Split, SplitOptions, choose, split
from aural.errors import AudioError, InputError, UnknownName
from aural.store.corpora import CORPORA
from aural.text import tokens as text_tokens
from aural.text.normalise import NORMALISERS
from aural.text.tokens import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from aural.data.utterance import Utterance
    from aural.text.tokens import Tokenizer

TooLong = Literal["error", "leave out"]
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class DataOptions:
    """source: a manifest of any kind, or corpus:NAME. where: conditions that all hold, as role=big.

    text: the normaliser (text/normalise.py) of what is trained on and judged by. Utterances of less
    than shortest or more than longest seconds are left out. too_long: what is done with one whose
    text needs more frames than CTC has for it. shuffled: train with another one's sound for each
    text, to see what the texts alone give.
    """

    source: str
    where: tuple[str, ...] = ()
    split: SplitOptions = field(default_factory=SplitOptions)
    text: str = "whisper-basic"
    shortest: float = 0.1
    longest: float = 30.0
    too_long: TooLong = "error"
    shuffled: bool = False

    def __post_init__(self) -> None:
        if self.text not in NORMALISERS:
            raise UnknownName("normaliser", self.text, tuple(NORMALISERS))
        if not 0 <= self.shortest < self.longest:
            raise InputError(
                f"shortest is {self.shortest}, longest {self.longest}; give 0 <= shortest < longest"
            )
        if self.too_long not in get_args(TooLong):
            raise UnknownName("too_long", self.too_long, get_args(TooLong))

    @property
    def licence(self) -> str:
        """The corpus's, "" where the source is none of ours."""
        corpus = CORPORA.get(self.source.removeprefix(CORPUS))
        return corpus.licence if corpus and self.source.startswith(CORPUS) else ""


@dataclass(frozen=True)
class TokenOptions:
    """What texts are cut into: "characters", "words" that occur at_least so often, or so many
    "pieces" (size) of words; learned from the training texts alone."""

    kind: Kind = "characters"
    size: int = 256
    at_least: int = 1

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UnknownName("kind of tokens", self.kind, get_args(Kind))
        if self.size < 2 or self.at_least < 1:
            raise InputError(f"size is {self.size}, at_least {self.at_least}; give 2 and 1 or more")

    def learned(self, texts: Sequence[str]) -> Tokenizer:
        """The tokenizer of these texts."""
        if self.kind == "words":
            return text_tokens.words(texts, at_least=self.at_least)
        if self.kind == "pieces":
            return text_tokens.pieces(texts, self.size)
        return text_tokens.characters(texts)


@dataclass(frozen=True)
class Material:
    """The parts, each utterance with its duration, and why some are left out, by id."""

    parts: Split
    left_out: dict[str, str]

    def part(self, name: str) -> tuple[Utterance, ...]:
        """One of PARTS."""
        found: tuple[Utterance, ...] = getattr(self.parts, name)
        return found

    def without(self, ids: Collection[str], why: str) -> Material:
        """The same without some of those that are trained on or chosen by."""
        parts = replace(
            self.parts,
            train=tuple(each for each in self.parts.train if each.id not in ids),
            validation=tuple(each for each in self.parts.validation if each.id not in ids),
        )
        if not parts.train:
            raise InputError(f"no utterance is left to train on: {why}")
        return Material(parts, self.left_out | dict.fromkeys(ids, why))

    def about(self) -> dict[str, Any]:
        """Counts, seconds and speakers of each part, and a fingerprint: plain JSON.

        The fingerprint is the SHA-256 of ids, texts, speakers, seconds and the sizes of files.
        """
        found: dict[str, Any] = {
            name: {
                "utterances": len(self.part(name)),
                "seconds": round(sum(each.duration or 0.0 for each in self.part(name)), 3),
                "speakers": len({each.speaker for each in self.part(name)} - {""}),
            }
            for name in PARTS
        }
        found["held_out"] = dict(
            zip(("validation", "test"), map(list, self.parts.held), strict=True)
        )
        found["left_out"] = dict(Counter(self.left_out.values()))
        digest = hashlib.sha256()
        for name in PARTS:
            for each in self.part(name):
                size = str(_bytes_of(each))
                line = (name, each.id, each.text, each.speaker, f"{each.duration:.6f}", size)
                digest.update("\0".join(line).encode("utf-8", "surrogateescape") + b"\n")
        found["sha256"] = digest.hexdigest()
        return found


def _bytes_of(utterance: Utterance) -> int:
    if not isinstance(utterance.audio, Path):
        return len(utterance.audio.data)
    try:
        return utterance.audio.stat().st_size
    except OSError as error:
        raise AudioError(f"{utterance.audio}: can't be read: {error.strerror}") from error


def gather(options: DataOptions, seed: int) -> Material:
    """The utterances of the source, chosen, bounded in length and split.

    Raises:
        InputError: nothing is left to train on, or no test set is held out; and as read_manifest
            and split do.
    """
    chosen = choose(read_manifest(options.source), options.where)
    timed = [replace(each, duration=duration_of(each)) for each in chosen]
    short = f"less than {options.shortest:g} s"
    long = f"more than {options.longest:g} s"
    left_out = {}
    for each in timed:
        seconds = each.duration or 0.0
        if not options.shortest <= seconds <= options.longest:
            left_out[each.id] = short if seconds < options.shortest else long
        elif not NORMALISERS[options.text](each.text).strip():
            left_out[each.id] = "no text"
    parts = split([each for each in timed if each.id not in left_out], options.split)
    if not parts.test:
        raise InputError(
            f"no {options.split.by} is held out to be judged by; name some in data.split.test, or "
            "give data.split.test_share"
        )
    if options.shuffled:
        parts = replace(parts, train=tuple(with_sound_of_another(parts.train, seed)))
    return Material(parts, left_out)
