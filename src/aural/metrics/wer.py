"""Word and character error rates: counts by minimum edit distance, equal to jiwer's.

Conventions: a word is what white space parts; a character is a Unicode code point of the stripped
text, inner spaces included. Of the alignments with the fewest edits the one rapidfuzz finds is
taken, as jiwer does, so substitutions, deletions and insertions agree one by one. A corpus's rate
is its summed errors over its summed reference length, never a mean of rates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rapidfuzz.distance import Levenshtein

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class ErrorCounts:
    """Hits and errors against a reference; counts add up with +."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions together."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def reference(self) -> int:
        """Length of the reference in words (or characters)."""
        return self.hits + self.substitutions + self.deletions

    @property
    def hypothesis(self) -> int:
        """Length of the hypothesis in words (or characters)."""
        return self.hits + self.substitutions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per reference word: 0 where both are empty, infinite where only the reference is.

        (jiwer gives the number of insertions for an empty reference, which is no rate.)
        """
        if self.reference:
            return self.errors / self.reference
        return math.inf if self.errors else 0.0

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        return ErrorCounts(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


@dataclass(frozen=True)
class AlignedToken:
    """One step of an alignment; the side that has nothing there is None.

    reference and hypothesis are indices into the two token sequences.
    """

    kind: Literal["hit", "substitution", "deletion", "insertion"]
    reference: int | None
    hypothesis: int | None


def count_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCounts:
    """Counts of the best alignment of two sequences of tokens (a str is one of characters)."""
    substitutions = deletions = insertions = 0
    for edit in Levenshtein.editops(*_as_numbers(reference, hypothesis)):
        if edit.tag == "replace":
            substitutions += 1
        elif edit.tag == "delete":
            deletions += 1
        else:
            insertions += 1
    hits = len(reference) - substitutions - deletions
    return ErrorCounts(hits, substitutions, deletions, insertions)


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[AlignedToken]:
    """The best alignment in order, every token of either side in exactly one step."""
    steps: list[AlignedToken] = []
    for block in Levenshtein.opcodes(*_as_numbers(reference, hypothesis)):
        left = range(block.src_start, block.src_end)
        right = range(block.dest_start, block.dest_end)
        if block.tag == "delete":
            steps.extend(AlignedToken("deletion", index, None) for index in left)
        elif block.tag == "insert":
            steps.extend(AlignedToken("insertion", None, index) for index in right)
        else:
            kind: Literal["hit", "substitution"]
            kind = "hit" if block.tag == "equal" else "substitution"
            steps.extend(AlignedToken(kind, *pair) for pair in zip(left, right, strict=True))
    return steps


def word_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Counts over the words of two texts."""
    return count_errors(reference.split(), hypothesis.split())


def character_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Counts over the characters of two texts."""
    return count_errors(reference.strip(), hypothesis.strip())


def total(counts: Iterable[ErrorCounts]) -> ErrorCounts:
    """The corpus's counts."""
    return sum(counts, start=ErrorCounts())


def _as_numbers(
    reference: Sequence[str], hypothesis: Sequence[str]
) -> tuple[Sequence[int] | str, Sequence[int] | str]:
    """Tokens as small integers, so that equality never hangs on a hash of their text."""
    if isinstance(reference, str) and isinstance(hypothesis, str):
        return reference, hypothesis
    numbers: dict[str, int] = {}
    left = [numbers.setdefault(token, len(numbers)) for token in reference]
    right = [numbers.setdefault(token, len(numbers)) for token in hypothesis]
    return left, right
