"""Words become a graph of states: a grammar of words, a lexicon, and the states of each phone.

A grammar is a small graph whose arcs are words. Each word is spelled out in the phones of each of
its pronunciations, each phone in states that may depend on its neighbours. Where these may be
phones of the next word, a place between words is kept apart by the phone before and the phone after
it, and only the first and last phones of a word are there several times.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from aural.decode.spoken import SpokenPhone, SpokenWord
from aural.decode.viterbi import SILENT, Graph
from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aural.decode.viterbi import BestPath

Pronunciation = tuple[str, ...]
Place = Literal["begin", "inside", "end", "single"]
"""Where in its word a phone is; a word of one phone is "single"."""
MAX_ARCS = 20_000_000


@dataclass(frozen=True, eq=False)
class Phone:
    """The states of a phone, entered at the first: columns (state,) of the scores they take;
    log_transitions, shape = (state, state + 1), the last column leaving the phone."""

    columns: tuple[int, ...]
    log_transitions: np.ndarray


class Phones(Protocol):
    """What each phone's states are."""

    @property
    def silence(self) -> str:
        """The phone between words."""
        ...

    @property
    def crosses_words(self) -> bool:
        """Whether neighbours in other words matter; otherwise the neighbour there is silence."""
        ...

    def phone(self, name: str, left: str, right: str, place: Place) -> Phone:
        """The states of a phone between two others; InputError for one that is not known."""
        ...


class WordModel(Protocol):
    """A language model over words whose beginnings are states (decode.ngram.NGramModel is one)."""

    def start(self) -> int:
        """The state of the empty text."""
        ...

    def numbers(self, words: Iterable[str]) -> np.ndarray:
        """int64, (word,); "</s>" is the end."""
        ...

    def step(self, states: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log probabilities of words, each after its state, and the states then."""
        ...


@dataclass(frozen=True)
class Grammar:
    """Arcs (node from, node to, word, log weight); texts begin at node 0 and may end at finals,
    node to log weight."""

    arcs: tuple[tuple[int, int, str, float], ...]
    finals: Mapping[int, float]

    def __post_init__(self) -> None:
        if not self.arcs:
            raise InputError("a grammar without words; give at least one")


def sequence(words: Sequence[str]) -> Grammar:
    """These words in this order."""
    arcs = tuple((i, i + 1, word, 0.0) for i, word in enumerate(words))
    return Grammar(arcs, {len(words): 0.0})


def one_of(words: Iterable[str]) -> Grammar:
    """One of these words, all alike."""
    return Grammar(tuple((0, 1, word, 0.0) for word in words), {1: 0.0})


def loop(words: Iterable[str], log_weight: float = 0.0) -> Grammar:
    """Any of these words, any number of times, one at least; each costs log_weight."""
    arcs = tuple((i, 1, word, log_weight) for i in (0, 1) for word in words)
    return Grammar(arcs, {1: 0.0})


def scored(
    words: Sequence[str], model: WordModel, *, weight: float = 1.0, log_weight: float = 0.0
) -> Grammar:
    """Texts of these words, one at least, by a language model: weight times its log probability,
    and log_weight a word. Every word has an arc from every state of the model that is come to.

    Raises:
        InputError: more than MAX_ARCS arcs.
    """
    numbers, end = model.numbers(words), model.numbers(["</s>"])
    begin = -1  # told from the states after a word, so that a text has a word
    nodes, waiting = {begin: 0}, [begin]
    arcs, finals = [], {}
    while waiting:
        known = waiting.pop()
        state = model.start() if known == begin else known
        if known != begin:
            finals[nodes[known]] = weight * float(model.step(np.array([state]), end)[0][0])
        log_probs, after = model.step(np.full(len(words), state), numbers)
        for word, log_prob, then in zip(words, log_probs.tolist(), after.tolist(), strict=True):
            if then not in nodes:
                nodes[then] = len(nodes)
                waiting.append(then)
            arcs.append((nodes[known], nodes[then], word, weight * log_prob + log_weight))
        if len(nodes) * len(words) > MAX_ARCS:
            raise InputError(
                f"{len(words)} words after {len(nodes)} beginnings are too many; give fewer words, "
                "or a language model of a lower order"
            )
    return Grammar(tuple(arcs), finals)


@dataclass(frozen=True)
class Context:
    """What a state is of: the state of that number of a phone between two others."""

    phone: str
    left: str
    right: str
    number: int


@dataclass(frozen=True, eq=False)
class SpeechGraph:
    """A graph to search in, and what its arcs and states stand for.

    words: (arc,), the word begun by an arc as a place in vocabulary, -1 for none. phones: (arc,),
    the phone begun by it as a place in names, -1 for none. contexts: one a state, None for silent
    ones; state_words: (state,), the word that a state is of, -1 for silence.
    """

    graph: Graph
    words: np.ndarray
    phones: np.ndarray
    vocabulary: tuple[str, ...]
    names: tuple[str, ...]
    contexts: tuple[Context | None, ...]
    state_words: np.ndarray

    def read(self, path: BestPath) -> list[SpokenWord]:
        """The words and silences on a path, with their phones and frames."""
        begun = np.flatnonzero(self.phones[path.arcs] >= 0)
        arcs, starts = path.arcs[begun], path.times[begun].tolist()
        ends = [*starts[1:], len(path.states)]
        found: list[SpokenWord] = []
        for arc, start, end in zip(arcs.tolist(), starts, ends, strict=True):
            phone = SpokenPhone(self.names[self.phones[arc]], start, end)
            word = int(self.words[arc])
            silent = self.state_words[self.graph.targets[arc]] < 0
            if silent and found and not found[-1].text:
                phone = SpokenPhone(phone.name, found.pop().phones[0].start, end)
            if word >= 0 or silent:
                found.append(SpokenWord("" if silent else self.vocabulary[word], (phone,)))
            else:
                found[-1] = SpokenWord(found[-1].text, (*found[-1].phones, phone))
        return found


def speech_graph(
    grammar: Grammar,
    lexicon: Mapping[str, Sequence[Pronunciation]],
    phones: Phones,
    *,
    silence_log_weight: float | None = 0.0,
) -> SpeechGraph:
    """The grammar in states. Before, between and after words there may be silence, which costs
    silence_log_weight each time; None: there is none.

    Raises:
        InputError: a word is not in the lexicon, or a phone has no states.
    """
    builder = _Builder(grammar, lexicon, phones, silence_log_weight)
    return builder.built()


Entry = tuple[int, float, int]
"""A state that an arc leaves, its weight, and the word that it begins (-1: none)."""


class _Builder:
    """Writes states and arcs down as they are asked for."""

    def __init__(
        self,
        grammar: Grammar,
        lexicon: Mapping[str, Sequence[Pronunciation]],
        phones: Phones,
        silence_log_weight: float | None,
    ) -> None:
        self.grammar, self.phones, self.silence_weight = grammar, phones, silence_log_weight
        self.vocabulary = tuple(dict.fromkeys(word for _, _, word, _ in grammar.arcs))
        if unknown := [word for word in self.vocabulary if not lexicon.get(word)]:
            raise InputError(
                f"no pronunciation of {', '.join(map(repr, unknown[:5]))}; add them to the lexicon"
            )
        self.lexicon = {word: tuple(lexicon[word]) for word in self.vocabulary}
        self.columns: list[int] = []
        self.contexts: list[Context | None] = []
        self.state_words: list[int] = []
        self.arcs: list[tuple[int, int, float, int, int]] = []
        self.names: dict[str, int] = {}
        self.junctions: dict[tuple[int, str, str], int] = {}
        self.lefts: dict[int, set[str]] = defaultdict(set)
        self.rights: dict[int, set[str]] = defaultdict(set)

    def built(self) -> SpeechGraph:
        start = self.state(SILENT, None, -1)
        self._meet()
        for right in sorted(self.rights[0]):
            self.arcs.append((start, self.junction(0, self.phones.silence, right), 0.0, -1, -1))
        self._words()
        if self.silence_weight is not None:
            for node in sorted(self.lefts):
                self._silence(node)
        finals = np.full(len(self.columns), -np.inf)
        for node, weight in self.grammar.finals.items():
            for left in self.lefts[node]:
                finals[self.junction(node, left, self.phones.silence)] = weight
        sources, targets, weights, words, phones = (
            np.array(column) for column in zip(*self.arcs, strict=True)
        )
        graph = Graph(np.array(self.columns), sources, targets, weights, finals, start)
        return SpeechGraph(
            graph,
            words,
            phones,
            self.vocabulary,
            tuple(self.names),
            tuple(self.contexts),
            np.array(self.state_words),
        )

    def state(self, column: int, context: Context | None, word: int) -> int:
        self.columns.append(column)
        self.contexts.append(context)
        self.state_words.append(word)
        return len(self.columns) - 1

    def junction(self, node: int, left: str, right: str) -> int:
        """The place between words at a node, after one phone and before another."""
        key = (node, left, right)
        if key not in self.junctions:
            self.junctions[key] = self.state(SILENT, None, -1)
        return self.junctions[key]

    def edge(self, phone: str) -> str:
        """The phone as seen from the next word."""
        return phone if self.phones.crosses_words else self.phones.silence

    def _meet(self) -> None:
        """Which phones may come before and after each node; silence may follow any."""
        silence = self.phones.silence
        self.lefts[0].add(silence)
        for source, target, word, _ in self.grammar.arcs:
            for said in self.lexicon[word]:
                self.lefts[target].add(self.edge(said[-1]))
                self.rights[source].add(self.edge(said[0]))
        for node in [*self.lefts, *self.grammar.finals]:
            self.rights[node].add(silence)
            if self.silence_weight is not None:
                self.lefts[node].add(silence)
        for node in self.grammar.finals:
            for left in self.lefts[node]:
                self.junction(node, left, silence)

    def _words(self) -> None:
        arriving: dict[tuple[int, str], list[tuple[int, float]]] = defaultdict(list)
        for source, target, word, weight in self.grammar.arcs:
            arriving[target, word].append((source, weight))
        numbers = {word: i for i, word in enumerate(self.vocabulary)}
        for (target, word), sources in arriving.items():
            for said in self.lexicon[word]:
                self._said(target, numbers[word], said, sources)
            if len(self.arcs) > MAX_ARCS:
                raise InputError(f"more than {MAX_ARCS} arcs; give a smaller grammar")

    def _said(
        self, target: int, word: int, said: Pronunciation, sources: list[tuple[int, float]]
    ) -> None:
        """One pronunciation of a word, from all nodes it comes from to the node it leads to."""
        first, last = self.edge(said[0]), self.edge(said[-1])
        lefts = sorted(set().union(*(self.lefts[source] for source, _ in sources)))
        rights = sorted(self.rights[target])
        inside: list[Entry] = []
        for left in lefts:
            entries = [
                (self.junction(source, left, first), weight, word)
                for source, weight in sources
                if left in self.lefts[source]
            ]
            if len(said) == 1:
                for right in rights:
                    exits = self.unit(said[0], left, right, "single", word, entries)
                    self.leave(exits, self.junction(target, last, right))
            else:
                inside += self.unit(said[0], left, said[1], "begin", word, entries)
        for before, phone, after in zip(said, said[1:], said[2:], strict=False):
            inside = self.unit(phone, before, after, "inside", word, inside)
        for right in rights if len(said) > 1 else ():
            exits = self.unit(said[-1], said[-2], right, "end", word, inside)
            self.leave(exits, self.junction(target, last, right))

    def _silence(self, node: int) -> None:
        silence, weight = self.phones.silence, self.silence_weight
        assert weight is not None
        entries = [
            (self.junction(node, left, silence), weight, -1) for left in sorted(self.lefts[node])
        ]
        exits = self.unit(silence, silence, silence, "single", -1, entries)
        for right in sorted(self.rights[node]):
            self.leave(exits, self.junction(node, silence, right))

    def unit(
        self, name: str, left: str, right: str, place: Place, word: int, entries: list[Entry]
    ) -> list[Entry]:
        """The states of a phone, entered from each of entries; where and how it is left."""
        made = self.phones.phone(name, left, right, place)
        number = self.names.setdefault(name, len(self.names))
        count = len(made.columns)
        states = [
            self.state(column, Context(name, left, right, i), word)
            for i, column in enumerate(made.columns)
        ]
        for source, weight, begun in entries:
            self.arcs.append((source, states[0], weight, begun, number))
        exits: list[Entry] = []
        for i, j in itertools.product(range(count), range(count + 1)):
            weight = float(made.log_transitions[i, j])
            if weight == -math.inf:
                continue
            if j == count:
                exits.append((states[i], weight, -1))
            else:
                self.arcs.append((states[i], states[j], weight, -1, -1))
        return exits

    def leave(self, exits: list[Entry], junction: int) -> None:
        """From the end of a phone to a place between words."""
        self.arcs += [(state, junction, weight, -1, -1) for state, weight, _ in exits]
