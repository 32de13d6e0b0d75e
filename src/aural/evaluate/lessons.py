"""What the errors of an evaluation teach: which words, which kinds of words, and what went wrong.

Nothing here changes a figure. Words are those that were counted, after normalisation. Kinds of
words are told from the reference as it was written: names by their capital letter within a
sentence, acronyms by capitals alone, numbers by digits or number words; a reference without case
has no names and acronyms. A symptom is a pattern that rarely comes from hard audio, with what it
usually means for a model that was trained or a manifest that was made.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aural.metrics.wer import align

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aural.evaluate.scoring import Row

    Normalise = Callable[[str], str]

LISTED = 15
EXAMPLES = 5
LOOP_TIMES = 4
LONG, SHORT = 2.0, 0.5
FAST_WORDS = 8.0
"""Words a second that nobody says."""
MIN_MATCH_WORDS = 3
_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")
_SENTENCE_END = re.compile(r"[.!?:\"“”]\s*$")
_NUMBER_WORDS = frozenset(
    [
        *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
        *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
        *("eighteen", "nineteen", "twenty", "thirty", "forty", "fifty", "sixty", "seventy"),
        *("eighty", "ninety", "hundred", "thousand", "million", "billion"),
    ]
)


@dataclass(frozen=True)
class Confusion:
    """How often a word was heard as another; "" stands for no word on that side."""

    said: str
    heard: str
    count: int
    utterances: int


@dataclass(frozen=True)
class KindErrors:
    """Words of one kind: how many were said, how many of them were wrong, those most often so."""

    kind: str
    said: int
    wrong: int
    examples: tuple[str, ...]

    @property
    def rate(self) -> float:
        """Share that was wrong; insertions do not count."""
        return self.wrong / self.said


@dataclass(frozen=True)
class Symptom:
    """A pattern, in how many utterances (of those it could show in), some of them, and its usual
    causes."""

    name: str
    utterances: int
    of: int
    examples: tuple[str, ...]
    causes: str


@dataclass(frozen=True)
class Lessons:
    """confusions by falling count, kinds by falling error, symptoms by falling share."""

    confusions: tuple[Confusion, ...]
    kinds: tuple[KindErrors, ...]
    symptoms: tuple[Symptom, ...]


def lessons(rows: Sequence[Row], normalise: Normalise) -> Lessons:
    """What the rows teach; utterances that failed have no text and teach nothing here."""
    heard = [row for row in rows if not row.error]
    return Lessons(
        tuple(confusions(heard, normalise)),
        tuple(kinds_of_words(heard, normalise)),
        tuple(symptoms(heard, normalise)),
    )


def confusions(rows: Sequence[Row], normalise: Normalise) -> list[Confusion]:
    """Each pair of said and heard that differ, by falling count, then alphabetically."""
    counts: Counter[tuple[str, str]] = Counter()
    where: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        for pair in _errors(row, normalise):
            counts[pair] += 1
            where[pair].add(row.id)
    ordered = sorted(counts, key=lambda pair: (-counts[pair], pair))
    return [Confusion(*pair, counts[pair], len(where[pair])) for pair in ordered]


def _errors(row: Row, normalise: Normalise) -> Iterator[tuple[str, str]]:
    left, right = normalise(row.reference).split(), normalise(row.hypothesis).split()
    for step in align(left, right):
        if step.kind != "hit":
            yield (
                "" if step.reference is None else left[step.reference],
                "" if step.hypothesis is None else right[step.hypothesis],
            )


def kinds_of_words(rows: Sequence[Row], normalise: Normalise) -> list[KindErrors]:
    """Errors on names, acronyms, numbers, words said once in all the references, and all others.

    A word of the reference is of the kind that its written form has; where normalising leaves it
    no word, or several of which any is wrong, the written word counts once.
    """
    once = _said_once(rows, normalise)
    said: Counter[str] = Counter()
    wrong: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        for word, kind, parts, missed in _written_words(row, normalise):
            own = "said once" if kind == "other" and once.issuperset(parts) else kind
            said[own] += 1
            wrong[own][word] += missed
    found = [
        KindErrors(kind, count, wrong[kind].total(), _most_often(wrong[kind]))
        for kind, count in said.items()
    ]
    return sorted(found, key=lambda each: (-each.rate, each.kind))


def _written_words(row: Row, normalise: Normalise) -> Iterator[tuple[str, str, list[str], bool]]:
    """Each written word that normalising leaves something of: the word, its kind, what is left, and
    whether any of that was heard wrong where it stands."""
    left, right = normalise(row.reference).split(), normalise(row.hypothesis).split()
    missed = {step.reference for step in align(left, right) if step.kind != "hit"}
    written = [(word, kind, normalise(word).split()) for word, kind in written_kinds(row.reference)]
    # words by themselves may be normalised otherwise than in their sentence
    alone = [part for *_, parts in written for part in parts]
    place = {step.reference: step.hypothesis for step in align(alone, left)}
    start = 0
    for word, kind, parts in written:
        numbers = range(start, start := start + len(parts))
        if parts:
            yield word, kind, parts, any(place[i] in missed - {None} for i in numbers)


def _most_often(words: Counter[str]) -> tuple[str, ...]:
    words = +words
    return tuple(sorted(words, key=lambda word: (-words[word], word))[:EXAMPLES])


def _said_once(rows: Sequence[Row], normalise: Normalise) -> set[str]:
    counts = Counter(word for row in rows for word in normalise(row.reference).split())
    return {word for word, count in counts.items() if count == 1}


def written_kinds(text: str) -> Iterator[tuple[str, str]]:
    """Each word as written, and "number", "acronym", "name" or "other"."""
    cased = any(char.islower() for char in text)
    end = 0
    for found in _WORD.finditer(text):
        word, between = found[0], text[end : found.start()]
        first = end == 0 and not between.strip()
        begins = first or _SENTENCE_END.search(between) is not None
        end = found.end()
        if any(char.isdigit() for char in word) or word.lower() in _NUMBER_WORDS:
            yield word, "number"
        elif cased and len(word) > 1 and word.removesuffix("'s").isupper():
            yield word, "acronym"
        elif cased and word[0].isupper() and not begins and len(word) > 1:
            yield word, "name"
        else:
            yield word, "other"


def symptoms(rows: Sequence[Row], normalise: Normalise) -> list[Symptom]:
    """The patterns there are, by falling share of the utterances each could show in."""
    pairs = [
        (row, normalise(row.reference).split(), normalise(row.hypothesis).split()) for row in rows
    ]
    said = [each for each in pairs if each[1]]
    texts = Counter(" ".join(heard) for _, _, heard in said if heard)
    references = {" ".join(reference): row.id for row, reference, _ in said}
    common, times = texts.most_common(1)[0] if texts else ("", 0)
    alike = sum(" ".join(reference) == common for _, reference, _ in said)
    tests: dict[str, Callable[[Row, list[str], list[str]], bool]] = {
        "nothing written": lambda row, ref, hyp: not hyp,
        "the same text each time": lambda row, ref, hyp: (
            times > max(2, len(said) // 10, 2 * alike) and " ".join(hyp) == common and hyp != ref
        ),
        "goes round in circles": lambda row, ref, hyp: loops(hyp) and not loops(ref),
        "far too long": lambda row, ref, hyp: len(hyp) > LONG * len(ref) + 3 and not loops(hyp),
        "cut short": lambda row, ref, hyp: (
            bool(hyp) and len(hyp) <= SHORT * len(ref) and ref[: len(hyp)] == hyp
        ),
        "the text of another utterance": lambda row, ref, hyp: (
            len(hyp) >= MIN_MATCH_WORDS
            and hyp != ref
            and references.get(" ".join(hyp), row.id) != row.id
        ),
        "more words than could be said": lambda row, ref, hyp: (
            row.duration > 0 and len(ref) / row.duration > FAST_WORDS
        ),
        "another script": lambda row, ref, hyp: bool(hyp) and script(ref) != script(hyp) != "",
        "right but for spaces": lambda row, ref, hyp: ref != hyp and "".join(ref) == "".join(hyp),
    }
    found = []
    for name, shows in tests.items():
        seen = [row.id for row, reference, heard in said if shows(row, reference, heard)]
        if seen:
            found.append(Symptom(name, len(seen), len(said), tuple(seen[:EXAMPLES]), CAUSES[name]))
    return sorted(found, key=lambda each: -each.utterances)


CAUSES = {
    "nothing written": "A model trained with CTC writes blanks only until it has learned: train "
    "longer, with a lower learning rate after a warm-up, and first overfit ten utterances; or the "
    "targets are longer than the frames left after subsampling, a filter of speech or a threshold "
    "drops short clips, or the sound is silent or at another rate than the file says.",
    "the same text each time": "The decoder does not listen to the sound: features of zeros or not "
    "finite, a frozen or untrained encoder, attention that never learned to move, too high a "
    "learning rate, or texts so alike that one is a good guess. Feed it shuffled audio: where the "
    "loss stays the same, nothing of the sound is used.",
    "goes round in circles": "An attention decoder lost its place: windows longer than those it "
    "was trained on, or with too little silence at the end. Shorter windows, a length limit or a "
    "higher beam help; repeated lines in the training texts teach it.",
    "far too long": "Words are invented for noise or music, or several utterances share one "
    "recording of which the manifest names a part: look at offset and duration.",
    "cut short": "Decoding ended early: a limit on tokens, training clips cut at their end, texts "
    "that go on beyond the recording, or a length penalty that favours short texts.",
    "the text of another utterance": "The manifest's rows are out of step: sorted audio beside "
    "unsorted texts, or a line lost in one of two lists. Listen to three of the examples.",
    "more words than could be said": "Text and recording do not belong together, or the sampling "
    "rate is wrong: what was recorded at 8 kHz and is labelled 16 kHz plays twice too fast.",
    "another script": "The model took it for another language: give --language, or normalise the "
    "references to one script.",
    "right but for spaces": "Words are parted otherwise: a compound, a hyphen or an apostrophe "
    "that the normaliser treats in one text and not in the other. Compare the CER.",
}


def loops(words: Sequence[str]) -> bool:
    """Whether a stretch of up to eight words is said LOOP_TIMES or more in a row."""
    for size in range(1, 9):
        run = 0
        for i in range(size, len(words)):
            run = run + 1 if words[i] == words[i - size] else 0
            if run >= size * (LOOP_TIMES - 1):
                return True
    return False


def script(words: Sequence[str]) -> str:
    """The script of most letters by their Unicode names, such as LATIN; "" without letters."""
    import unicodedata

    names = (
        unicodedata.name(char, "?").partition(" ")[0]
        for word in words
        for char in word
        if char.isalpha()
    )
    counts = Counter(names)
    return counts.most_common(1)[0][0] if counts else ""
