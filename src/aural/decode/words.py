"""A language model of words for a search over characters or pieces of words.

A word is scored where it ends: at a space, at a piece that begins the next one, at the end of the
text. Its letters lead along a tree of all known words; what leaves the tree is an unknown word, or
not allowed. With look-ahead a part of a word is scored as the likeliest word that it may become, by
itself (Steinbiss et al. 1994), so that a search drops bad words before they end; a whole text's
score is the same with it and without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aural.decode.arcs import NONE, Arcs, tree
from aural.decode.ngram import BEGIN, END, UNKNOWN, NGramModel
from aural.errors import InputError
from aural.text.tokens import SPACE, Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_WORD = 1000
"""Letters of the longest word in a lexicon."""


@dataclass(frozen=True)
class WordOptions:
    """closed: no other words than the lexicon's. unknown_penalty: added to the score of a word that
    the model does not know; word_bonus: added for every word. look_ahead: as above."""

    closed: bool = False
    unknown_penalty: float = -10.0
    word_bonus: float = 0.0
    look_ahead: bool = False

    def __post_init__(self) -> None:
        for name in ("unknown_penalty", "word_bonus"):
            if not np.isfinite(getattr(self, name)):
                raise InputError(f"{name} is {getattr(self, name)}; give a number")


class WordScorer:
    """A TokenScorer over characters or pieces; a state is the model's and the place in a word.

    lexicon: the words to be told apart, without it the model's own. Those that the tokens can't
    write are left out.
    """

    def __init__(
        self,
        model: NGramModel,
        tokenizer: Tokenizer,
        options: WordOptions = WordOptions(),
        *,
        lexicon: Iterable[str] | None = None,
    ) -> None:
        if tokenizer.kind == "words":
            raise InputError("the tokens are words already; score them with NGramScorer")
        self.model, self.options, self.tokens = model, options, tokenizer.size
        known = model.words if lexicon is None else dict.fromkeys(lexicon)
        words = [word for word in known if word not in (BEGIN, END, UNKNOWN)]
        letters, self._breaks, spelled = _spelling(tokenizer)
        numbers, spellings = _written(words, letters)
        if not numbers.size:
            raise InputError(
                "the tokens can write no word of the lexicon; are their letters alike?"
            )
        spelling, ends = _lexicon(spellings, len(letters))
        self._off = len(spelling.counts)
        """Where a word is that the tree does not have; the nodes of the tree are before it."""
        self._word = np.full(self._off + 1, NONE)
        self._word[ends] = model.numbers(words)[numbers]
        self._ahead = self._look_ahead(spelling) if options.look_ahead else np.zeros(self._off + 1)
        self._entry = self._ahead.copy()
        if options.closed:
            self._entry[-1] = -np.inf
        self._arcs = _token_arcs(spelling, spelled, self._breaks)
        first = self._arcs.find(np.zeros(self.tokens, np.int64), np.arange(self.tokens))
        apart = self._breaks & np.array([not each for each in spelled])
        self._begun = np.where(apart, 0, np.where(first == NONE, self._off, first))
        """Where a token leads from between two words."""

    def start(self) -> int:
        """The state of the empty text."""
        return self.model.start() * (self._off + 1)

    def scores(self, states: np.ndarray) -> np.ndarray:
        """float32, shape = (beginning, tokens)."""
        told, nodes = np.divmod(states, self._off + 1)
        ended, after = self._ended(told, nodes)
        rows = np.full((len(states), self.tokens), self._entry[-1])
        at, tokens, targets = self._arcs.leaving(np.minimum(nodes, self._off - 1))
        inside = nodes[at] != self._off
        rows[at[inside], tokens[inside]] = self._entry[targets[inside]]
        rows -= self._ahead[nodes, None]
        ended -= self._ahead[nodes]
        rows[:, self._breaks] = ended[:, None] + self._entry[self._begun[self._breaks]]
        rows[:, 0] = ended + self.model.step(after, np.full(len(after), self.model.number(END)))[0]
        return rows.astype(np.float32)

    def advance(self, states: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """The states after one more token each."""
        told, nodes = np.divmod(states, self._off + 1)
        _, after = self._ended(told, nodes)
        breaks = self._breaks[tokens]
        inside = self._arcs.find(np.where(nodes == self._off, NONE, nodes), tokens)
        inside = np.where(inside == NONE, self._off, inside)
        nodes = np.where(breaks, self._begun[tokens], inside)
        return np.where(breaks, after, told) * (self._off + 1) + nodes

    def _ended(self, told: np.ndarray, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores of words that end at these nodes, and the model's states then."""
        unknown = self.model.number(UNKNOWN)
        words = np.where(self._word[nodes] == NONE, unknown, self._word[nodes])
        scores, after = self.model.step(told, words)
        scores += self.options.word_bonus + self.options.unknown_penalty * (words == unknown)
        if self.options.closed:
            scores[self._word[nodes] == NONE] = -np.inf
        between = nodes == 0
        return np.where(between, 0.0, scores), np.where(between, told, after)

    def _look_ahead(self, spelling: Arcs) -> np.ndarray:
        """The best score of a word from each node on, by itself; 0 where no word is begun."""
        unknown = self.model.number(UNKNOWN)
        alone = self.model.log_probs[1 : len(self.model.words) + 1] + self.options.word_bonus
        alone[unknown] += self.options.unknown_penalty
        ahead = np.where(self._word == NONE, -np.inf, alone[self._word])
        if self.options.closed:
            ahead[-1] = 0.0
        else:
            ahead = np.maximum(ahead, alone[unknown])
        for node in range(len(spelling.keys), 0, -1):
            parent = spelling.keys[node - 1] // spelling.width
            ahead[parent] = max(ahead[parent], ahead[node])
        ahead[0] = 0.0
        return ahead


def _spelling(tokenizer: Tokenizer) -> tuple[dict[str, int], np.ndarray, list[Sequence[int]]]:
    """The letters, which tokens end the word before them, and what letters each token adds."""
    texts = ["", *tokenizer.symbols]
    mark = SPACE if tokenizer.kind == "pieces" else " "
    breaks = np.array([text.startswith(mark) for text in texts])
    bare = [text.removeprefix(mark) for text in texts]
    letters = {
        letter: i for i, letter in enumerate(sorted({each for text in bare for each in text}))
    }
    return letters, breaks, [[letters[each] for each in text] for text in bare]


def _written(words: Sequence[str], letters: dict[str, int]) -> tuple[np.ndarray, list[list[int]]]:
    """Which words the letters can write, and how."""
    numbers, spellings = [], []
    for number, word in enumerate(words):
        if 0 < len(word) <= MAX_WORD and all(letter in letters for letter in word):
            numbers.append(number)
            spellings.append([letters[letter] for letter in word])
    return np.array(numbers, np.int64), spellings


def _lexicon(spellings: list[list[int]], letters: int) -> tuple[Arcs, np.ndarray]:
    """The tree of words, and the node each of them ends at."""
    lengths = np.array([len(each) for each in spellings])
    nodes = np.zeros(len(spellings), np.int64)
    table = np.zeros((len(spellings), lengths.max()), np.int64)
    table[np.arange(table.shape[1]) < lengths[:, None]] = np.concatenate(spellings)
    levels, total = [], 0
    for place in range(table.shape[1]):
        going = np.flatnonzero(lengths > place)
        keys, which = np.unique(nodes[going] * letters + table[going, place], return_inverse=True)
        nodes[going] = which + total + 1
        total += len(keys)
        levels.append(keys)
    return tree(np.concatenate(levels), letters), nodes


def _token_arcs(spelling: Arcs, spelled: list[Sequence[int]], breaks: np.ndarray) -> Arcs:
    """Where each token leads from each node of the tree; those that break a word only from 0."""
    starts, last = np.divmod(spelling.keys, spelling.width)
    by_letter = np.argsort(last, kind="stable")
    bounds = np.searchsorted(last[by_letter], np.arange(spelling.width + 1))
    keys, targets = [], []
    for token, letters in enumerate(spelled):
        if not letters:
            continue
        arcs = by_letter[bounds[letters[0]] : bounds[letters[0] + 1]]
        arcs = arcs[starts[arcs] == 0] if breaks[token] else arcs
        origins, nodes = starts[arcs], spelling.targets[arcs]
        for letter in letters[1:]:
            nodes = spelling.find(nodes, np.full(len(nodes), letter))
            origins, nodes = origins[nodes != NONE], nodes[nodes != NONE]
        keys.append(origins * len(spelled) + token)
        targets.append(nodes)
    every, where = np.concatenate(keys), np.concatenate(targets)
    order = np.argsort(every)
    return Arcs(every[order], where[order], len(spelling.counts), len(spelled))
