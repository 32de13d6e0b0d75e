"""Errors of code-switched speech by language and at the points where it switches.

The reference's words are marked with their language; hypothesis and reference are aligned and an
error belongs to the reference word it is aligned with, an insertion to the word before it (before
the first word, to the first). A switch point is the pair of words on either side of a change of
language: what is wrong in either, or is inserted between them, is an error at a switch.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aural.metrics.wer import AlignedToken, ErrorCounts, align

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aural.data.utterance import Utterance


@dataclass(frozen=True)
class CodeSwitching:
    """languages: counts by language of the reference words; at_switches: those beside a switch."""

    utterances: int
    switches: int
    languages: Mapping[str, ErrorCounts]
    at_switches: ErrorCounts


def code_switching(
    heard: Iterable[tuple[Utterance, str]], normalise: Callable[[str], str]
) -> CodeSwitching | None:
    """Counts over the utterances that mark their languages; None where none does.

    A span is normalised by itself, so a number is never joined across a change of language.
    """
    languages: dict[str, ErrorCounts] = defaultdict(ErrorCounts)
    at_switches = ErrorCounts()
    utterances = switches = 0
    for utterance, hypothesis in heard:
        words, marks = _marked_words(utterance, normalise)
        if not words:
            continue
        utterances += 1
        starts = {i for i in range(1, len(marks)) if marks[i] != marks[i - 1]}
        switches += len(starts)
        beside = starts | {start - 1 for start in starts}
        last = -1
        for step in align(words, normalise(hypothesis).split()):
            last = last if step.reference is None else step.reference
            languages[marks[max(0, last)]] += _one(step)
            between = step.reference is None and last + 1 in starts
            if between or step.reference in beside:
                at_switches += _one(step)
    if not utterances:
        return None
    return CodeSwitching(utterances, switches, dict(sorted(languages.items())), at_switches)


def _marked_words(
    utterance: Utterance, normalise: Callable[[str], str]
) -> tuple[list[str], list[str]]:
    """Normalised reference words, and the language of each."""
    written = utterance.text.split()
    words: list[str] = []
    marks: list[str] = []
    for span in utterance.spans:
        added = normalise(" ".join(written[span.start : span.end])).split()
        words += added
        marks += [span.language] * len(added)
    return words, marks


_FIELDS = {
    "hit": "hits",
    "substitution": "substitutions",
    "deletion": "deletions",
    "insertion": "insertions",
}


def _one(step: AlignedToken) -> ErrorCounts:
    return replace(ErrorCounts(), **{_FIELDS[step.kind]: 1})
