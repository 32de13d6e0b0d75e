"""Which utterances to train on, to choose by and to be judged by: whole speakers, levels or other
groups are held out, never random clips of those that were trained on.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unicodedata import normalize

import numpy as np

from aural.errors import InputError, UnknownName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aural.data.utterance import Utterance


@dataclass(frozen=True)
class SplitOptions:
    """by: the column whose values are held out whole: "speaker", "text", or one of the metadata.

    test and validation name values. Where one names none, values are drawn under seed until their
    utterances are test_share (validation_share) of all; a share of 0 holds out none. train names
    those of the others that are trained on; where it names none, all are. most: so many at most of
    their utterances, drawn under seed, fewer being among more; 0: all of them.
    """

    by: str = "speaker"
    test: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    test_share: float = 0.0
    validation_share: float = 0.0
    seed: int = 0
    most: int = 0

    def __post_init__(self) -> None:
        for name in ("seed", "most"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}; give 0 or more")
        for name in ("test_share", "validation_share"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 0 to below 1")
        named = Counter([*self.test, *self.validation, *self.train])
        if both := [value for value, count in named.items() if count > 1]:
            raise InputError(f"{', '.join(sorted(both))}: named for two parts; give it once")


@dataclass(frozen=True)
class Split:
    """Three parts without a value in common; held are the values of validation and of test."""

    train: tuple[Utterance, ...]
    validation: tuple[Utterance, ...]
    test: tuple[Utterance, ...]
    held: tuple[tuple[str, ...], tuple[str, ...]]


def column(utterance: Utterance, name: str) -> str:
    """The value of a column: id, speaker, language, text (its words, whatever their case and signs)
    or one of the metadata; "" where it has none."""
    if name == "text":
        return " ".join(re.findall(r"\w+", normalize("NFKC", utterance.text).casefold()))
    if name in ("id", "speaker", "language"):
        return str(getattr(utterance, name))
    return utterance.metadata.get(name, "")


def choose(utterances: Sequence[Utterance], where: Sequence[str]) -> list[Utterance]:
    """Those for which every condition holds: "role=big", or "role=big|small" for either.

    Raises:
        InputError: a condition is no NAME=VALUE, or no utterance is left.
        UnknownName: no utterance has such a column, or such a value in it.
    """
    left = list(utterances)
    for condition in where:
        name, equals, values = condition.partition("=")
        if not equals or not name.strip():
            raise InputError(f"{condition!r} is no condition; give NAME=VALUE, as role=big")
        wanted = {value.strip() for value in values.split("|")}
        _known(utterances, name.strip(), wanted)
        left = [each for each in left if column(each, name.strip()) in wanted]
    if not left:
        raise InputError(f"no utterance is left where {' and '.join(where) or 'there are any'}")
    return left


def split(utterances: Sequence[Utterance], options: SplitOptions) -> Split:
    """The utterances in three parts, each in the given order.

    Raises:
        UnknownName: no utterance has such a column or value.
        InputError: an utterance has no value, or nothing is left to train on.
    """
    values = [column(each, options.by) for each in utterances]
    if missing := [each.id for each, value in zip(utterances, values, strict=True) if not value]:
        raise InputError(
            f"{missing[0]} and {len(missing) - 1} more have no {options.by}; hold out by a column "
            f"that all have"
        )
    _known(utterances, options.by, {*options.test, *options.validation, *options.train})
    counts = Counter(values)
    rng = np.random.default_rng(options.seed)
    test = options.test or _drawn(counts, set(options.validation), options.test_share, rng)
    validation = options.validation or _drawn(counts, set(test), options.validation_share, rng)
    held = {*test, *validation}
    if held >= set(counts):
        raise InputError(f"every {options.by} is held out; leave some of them to train on")
    taught = set(options.train or counts) - held
    pairs = list(zip(utterances, values, strict=True))
    return Split(
        train=_fewer([each for each, value in pairs if value in taught], options),
        validation=tuple(each for each, value in pairs if value in validation),
        test=tuple(each for each, value in pairs if value in test),
        held=(validation, test),
    )


def _fewer(utterances: list[Utterance], options: SplitOptions) -> tuple[Utterance, ...]:
    """The first `most` of an order drawn under the seed, in the order that they are given in."""
    if not options.most:
        return tuple(utterances)
    order = np.random.default_rng([options.seed, 1]).permutation(len(utterances))
    return tuple(utterances[number] for number in sorted(order[: options.most]))


def _known(utterances: Sequence[Utterance], name: str, values: set[str]) -> None:
    there = {column(each, name) for each in utterances} - {""}
    if not there:
        names = {
            *("id", "speaker", "language", "text"),
            *(key for each in utterances for key in each.metadata),
        }
        raise UnknownName("column", name, tuple(sorted(names)))
    if unknown := sorted(values - there):
        raise UnknownName(name, unknown[0], tuple(sorted(there)))


def _drawn(
    counts: Counter[str], taken: set[str], share: float, rng: np.random.Generator
) -> tuple[str, ...]:
    """Values, drawn one after the other until their utterances are so large a share of all."""
    free = sorted(set(counts) - taken)
    wanted = share * counts.total()
    drawn: list[str] = []
    for index in rng.permutation(len(free)):
        if sum(counts[value] for value in drawn) >= wanted:
            break
        drawn.append(free[index])
    return tuple(sorted(drawn))
