"""An n-gram model of text: interpolated Kneser-Ney smoothing with three discounts a length.

Chen and Goodman, "An empirical study of smoothing techniques for language modeling", 1999. A count
is that of an n-gram in the text for the longest ones and those that begin with <s>, for others the
number of different words it is seen behind. Of every count c a discount D(min(c, 3)) is taken, and
what is taken in a context is shared out by the probabilities of the context one word shorter; that
of no word at all gives every word and <unk> the same.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from aural.decode.ngram import BEGIN, BEGIN_LOG_PROB, END, MAX_ORDER, UNKNOWN, NGramModel
from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FALLBACK = (0.5, 1.0, 1.5)
"""Discounts where the text is too small, or too regular, to tell any: those of kenlm's lmplz."""


def estimate(
    sentences: Iterable[Sequence[str]],
    order: int,
    *,
    vocabulary: Iterable[str] | None = None,
    prune: Sequence[int] = (),
) -> NGramModel:
    """The model of sentences of words.

    order is lowered to the longest n-gram there is. vocabulary: words outside it are counted as
    <unk>; without it all words are known, and <unk> has what no word at all gives. prune[k - 1]:
    n-grams of k words seen no more often than this are left out, what they had going to shorter
    contexts; its last number holds for longer ones too.

    Raises:
        InputError: there are no sentences, a word is <s> or </s> or has white space in it, or order
            or prune is out of range.
    """
    if not 1 <= order <= MAX_ORDER:
        raise InputError(f"order is {order}; give 1 to {MAX_ORDER}")
    least = _thresholds(prune, order)
    words, text = _numbered(sentences, vocabulary)
    levels = _counted(text, len(words), order)
    log_probs, backoffs = _smoothed(levels, len(words), least)
    return _without(words, levels, log_probs, backoffs, least)


def discounts(counts: np.ndarray) -> np.ndarray:
    """What is taken of a count of 0, 1, 2, and 3 or more: float64 (4,), from the counts of counts.

    FALLBACK where no n-gram has a count of 1, of 2 or of 3, or a discount would be more than the
    count or nothing.
    """
    n1, n2, n3, n4 = (int(np.sum(counts == c)) for c in (1, 2, 3, 4))
    if n1 and n2 and n3:
        share = n1 / (n1 + 2 * n2)
        found = (1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3)
        if all(0 < each <= most for most, each in enumerate(found, 1)):
            return np.array((0.0, *found))
    return np.array((0.0, *FALLBACK))


@dataclass
class _Level:
    """The n-grams of one length, in order of their nodes.

    keys as in NGramModel; seen: times in the text; suffixes: the nodes of the n-grams without
    their first word; begins: whether that is <s>; counts: what is smoothed.
    """

    keys: np.ndarray
    seen: np.ndarray
    suffixes: np.ndarray
    begins: np.ndarray
    counts: np.ndarray


def _thresholds(prune: Sequence[int], order: int) -> list[int]:
    given = list(prune) or [0]
    if given[0] != 0 or sorted(given) != given or len(given) > order:
        raise InputError(
            f"prune is {tuple(prune)}; give at most {order} numbers that do not fall, the first 0"
        )
    return given + given[-1:] * (order - len(given))


def _numbered(
    sentences: Iterable[Sequence[str]], vocabulary: Iterable[str] | None
) -> tuple[tuple[str, ...], np.ndarray]:
    """The words, and the text as their numbers, every sentence with its <s> and </s>."""
    index = {UNKNOWN: 0, BEGIN: 1, END: 2}
    for word in vocabulary or ():
        index.setdefault(word, len(index))
    text = array("i")
    for sentence in sentences:
        text.append(1)
        for word in sentence:
            if word in (BEGIN, END):
                raise InputError(f"{word} is no word of a text; leave it out, it is put in")
            number = (
                index.get(word, 0) if vocabulary is not None else index.setdefault(word, len(index))
            )
            text.append(number)
        text.append(2)
    if not text:
        raise InputError("no sentences to estimate a language model from; give one at least")
    for word in index:
        if word.split() != [word]:
            raise InputError(f"the word {word!r} is empty or has white space in it")
    return tuple(index), np.array(text, np.int64)


def _counted(text: np.ndarray, size: int, order: int) -> list[_Level]:
    """Every n-gram of every length, with its counts."""
    ends = np.flatnonzero(text == 2)
    room = np.repeat(ends, np.diff(ends, prepend=-1)) - np.arange(len(text)) + 1
    nodes = text + 1  # of the n-gram that begins at each word, where there is room for one
    everywhere = np.bincount(text, minlength=size)
    levels = [
        _Level(
            np.arange(size),
            everywhere,
            np.zeros(size, np.int64),
            np.arange(size) == 1,
            everywhere.copy(),
        )
    ]
    total = size
    for length in range(2, order + 1):
        places = np.flatnonzero(room >= length)
        if places.size == 0:
            break
        keys, first, which, seen = np.unique(
            nodes[places] * size + text[places + length - 1],
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        first = places[first]
        levels.append(_Level(keys, seen, nodes[first + 1], text[first] == 1, seen.copy()))
        nodes = np.full(len(text), -1)
        nodes[places] = which + total + 1
        total += len(keys)
    _adjust(levels)
    return levels


def _adjust(levels: list[_Level]) -> None:
    """Counts of what is not the longest become those of different words before it."""
    first = 1
    for level, longer in pairwise(levels):
        behind = np.bincount(longer.suffixes - first, minlength=len(level.keys))
        level.counts = np.where(level.begins, level.seen, behind)
        first += len(level.keys)
    levels[0].counts[1] = 0  # <s> is not predicted


def _smoothed(levels: list[_Level], size: int, least: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Log probabilities and back-off weights by node, of all n-grams."""
    nodes = 1 + sum(len(level.keys) for level in levels)
    probs, taken = np.zeros(nodes), np.ones(nodes)
    probs[0] = 1 / (size - 1)
    first = 1
    for level, threshold in zip(levels, least, strict=False):
        parents = level.keys // size
        contexts = parents.max() + 1
        discount = discounts(level.counts)[np.minimum(level.counts, 3)]
        totals = np.bincount(parents, level.counts, contexts)
        dropped = level.seen <= threshold if first > 1 else np.zeros(size, bool)
        given_up = np.bincount(parents, np.where(dropped, level.counts, discount), contexts)
        has = totals > 0
        taken[:contexts][has] = given_up[has] / totals[has]
        own = np.where(dropped, 0, level.counts - discount)
        probs[first : first + len(level.keys)] = (
            own / totals[parents] + taken[parents] * probs[level.suffixes]
        )
        first += len(level.keys)
    log_probs, backoffs = np.log(probs), np.log(taken)
    log_probs[0] = backoffs[0] = 0.0
    log_probs[2] = BEGIN_LOG_PROB
    return log_probs, backoffs


def _without(
    words: tuple[str, ...],
    levels: list[_Level],
    log_probs: np.ndarray,
    backoffs: np.ndarray,
    least: list[int],
) -> NGramModel:
    """The model of what is seen often enough."""
    kept = [np.ones(1 + len(words), bool)]
    kept += [level.seen > most for level, most in zip(levels[1:], least[1:], strict=False)]
    stays = np.concatenate(kept)
    number = np.cumsum(stays) - 1
    keys = np.concatenate([level.keys for level in levels])[stays[1:]]
    parents, last = np.divmod(keys, len(words))
    return NGramModel(words, number[parents] * len(words) + last, log_probs[stays], backoffs[stays])
