"""Back-off n-gram language models as sorted arrays.

The n-grams are the nodes of one tree: node 0 is the empty one, and node i + 1 is that of node
keys[i] // words with word keys[i] % words behind it. keys are sorted, so that shorter n-grams come
first, and word w by itself is node w + 1.

A word's probability is that of the longest n-gram there is of it and what stands before it, times
the back-off weights of the longer contexts that were given up. A state is the node of the longest
context that still matters. Everything is in natural logarithms.

decode/kneser_ney.py makes such models of text, decode/arpa.py reads and writes them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from aural.decode.arcs import NONE, Arcs, tree
from aural.decode.language import Perplexity
from aural.errors import InputError
from aural.text.tokens import SPACE, Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
UNKNOWN_LOG_PROB = -100 * math.log(10)
"""Of unknown words, where a model has no <unk>; as kenlm has it."""
BEGIN_LOG_PROB = -99 * math.log(10)
"""Of <s>, which is never predicted; as SRILM writes it."""
TABLE_BYTES = 64 << 20
MAX_ORDER = 16


@dataclass(frozen=True, eq=False)
class NGramModel:
    """words: every word, with <s>, </s> and <unk>; keys: int64, (n-gram,); log_probs and backoffs:
    float64, (n-gram + 1,), by node."""

    words: tuple[str, ...]
    keys: np.ndarray
    log_probs: np.ndarray
    backoffs: np.ndarray
    arcs: Arcs = field(init=False, repr=False)
    links: np.ndarray = field(init=False, repr=False)
    """The node of the longest n-gram that each one ends in, itself left out."""
    states: np.ndarray = field(init=False, repr=False)
    """The state after each n-gram."""
    ends: tuple[int, ...] = field(init=False, repr=False)
    """The last node of each length, from 0 on."""

    def __post_init__(self) -> None:
        index = {word: number for number, word in enumerate(self.words)}
        assert len(index) == len(self.words), "words are told apart"
        assert {BEGIN, END, UNKNOWN} <= set(index)
        assert len(self.log_probs) == len(self.backoffs) == len(self.keys) + 1
        keep = object.__setattr__
        keep(self, "index", index)
        keep(self, "arcs", tree(self.keys, len(self.words)))
        keep(self, "ends", self._lengths())
        keep(self, "links", np.zeros(len(self.log_probs), np.int64))
        keep(self, "states", np.zeros(len(self.log_probs), np.int64))
        for first, last in zip(self.ends[1:], self.ends[2:], strict=False):
            parents, words = np.divmod(self.keys[first:last], len(self.words))
            self.links[first + 1 : last + 1] = self._longest(self.links[parents], words)[1]
        for length, (first, last) in enumerate(zip(self.ends, self.ends[1:], strict=False), 1):
            nodes = np.arange(first + 1, last + 1)
            matters = (self.arcs.counts[nodes] > 0) | (self.backoffs[nodes] != 0)
            shorter = self.states[self.links[nodes]]
            self.states[nodes] = np.where(matters & (length < self.order), nodes, shorter)

    @property
    def order(self) -> int:
        """Words of the longest n-grams."""
        return len(self.ends) - 1

    @property
    def counts(self) -> tuple[int, ...]:
        """How many n-grams there are of each length, from 1 on."""
        return tuple(np.diff(self.ends).tolist())

    def start(self) -> int:
        """The state after <s>."""
        return int(self.states[self.number(BEGIN) + 1])

    def number(self, word: str) -> int:
        """A word's number, that of <unk> for one that the model does not know."""
        index: dict[str, int] = self.index  # type: ignore[attr-defined]
        return index.get(word, index[UNKNOWN])

    def numbers(self, words: Iterable[str]) -> np.ndarray:
        """int64, (word,)."""
        return np.fromiter(map(self.number, words), np.int64)

    def step(self, states: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log probabilities of words by number, each after its state, and the states then."""
        log_probs, nodes = self._longest(states, words)
        return log_probs, self.states[nodes]

    def every(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log probabilities of every word after each state, and the states then; both (state,
        word)."""
        chain = [states]
        while chain[-1].any():
            chain.append(self.links[chain[-1]])
        size = len(self.words)
        log_probs = np.tile(self.log_probs[1 : size + 1], (len(states), 1))
        after = np.tile(self.states[1 : size + 1], (len(states), 1))
        for nodes in reversed(chain[:-1]):
            longer = np.flatnonzero(nodes)
            log_probs[longer] += self.backoffs[nodes[longer], None]
            rows, words, found = self.arcs.leaving(nodes[longer])
            log_probs[longer[rows], words] = self.log_probs[found]
            after[longer[rows], words] = self.states[found]
        return log_probs, after

    def score(self, sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Log probabilities of each sentence's words and of its end: float64, (word + 1,)."""
        if not sentences:
            return []
        lengths = np.array([len(sentence) + 2 for sentence in sentences])
        text = self.numbers(w for sentence in sentences for w in (BEGIN, *sentence, END))
        starts = np.cumsum(lengths) - lengths
        found = text + 1  # the n-gram of this length that ends at each word
        total = self.log_probs[found]
        for _ in range(1, self.order):
            context = np.concatenate(([NONE], found[:-1]))
            context[starts] = NONE
            found = self.arcs.find(context, text)
            backed = total + np.where(context == NONE, 0.0, self.backoffs[context])
            total = np.where(found == NONE, backed, self.log_probs[found])
        return [each[1:] for each in np.split(total, starts[1:])]

    def perplexity(self, sentences: Sequence[Sequence[str]]) -> Perplexity:
        """Over all words and ends."""
        scores = self.score(sentences)
        unknown = self.number(UNKNOWN)
        return Perplexity(
            log_prob=float(sum(each.sum() for each in scores)),
            tokens=sum(map(len, scores)),
            unknown=sum(self.number(word) == unknown for each in sentences for word in each),
        )

    def _longest(self, states: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log probabilities, and the node of the longest n-gram of each word behind its state."""
        nodes = self.arcs.find(states, words)
        log_probs = np.zeros(len(states))
        missing, at = np.flatnonzero(nodes == NONE), states
        while missing.size:
            at = states[missing] if at is states else at
            log_probs[missing] += self.backoffs[at]
            at = self.links[at]
            nodes[missing] = self.arcs.find(at, words[missing])
            still = nodes[missing] == NONE
            missing, at = missing[still], at[still]
        return log_probs + self.log_probs[nodes], nodes

    def _lengths(self) -> tuple[int, ...]:
        ends = [0]
        while ends[-1] < len(self.keys):
            last = int(np.searchsorted(self.keys, (ends[-1] + 1) * len(self.words)))
            assert last > ends[-1], "every n-gram begins with one that is there"
            ends.append(last)
        assert ends[1] == len(self.words), "every word is an n-gram"
        return tuple(ends)


def token_words(tokenizer: Tokenizer) -> tuple[str, ...]:
    """What tokens are called as words of an n-gram model, by number: 0 is </s>, and the space among
    characters is written as in pieces.

    Raises:
        InputError: a symbol holds other white space, or would be taken for another.
    """
    names = [SPACE if symbol == " " else symbol for symbol in tokenizer.symbols]
    for name in names:
        if name.split() != [name] or name in (BEGIN, END):
            raise InputError(f"the token {name!r} can't be a word of an n-gram model")
    if len(set(names)) < len(names):
        raise InputError(f"both a space and {SPACE!r} are tokens; leave one out")
    return (END, *names)


class NGramScorer:
    """An n-gram model over a tokenizer's own tokens, as a TokenScorer.

    Where all states' scores fit into table_bytes they are laid out once, and a step is one look
    into that table; else they are put together from the n-grams at each step. A token that the
    model does not know is scored as <unk>.
    """

    def __init__(
        self, model: NGramModel, tokenizer: Tokenizer, *, table_bytes: int = TABLE_BYTES
    ) -> None:
        self.model = model
        self.tokens = tokenizer.size
        self._words = model.numbers(token_words(tokenizer))
        states = model.ends[model.order - 1] + 1
        self._table = self._after = None
        if states * self.tokens * 8 <= table_bytes:
            self._table = np.empty((states, self.tokens), np.float32)
            self._after = np.empty((states, self.tokens), np.int32)
            block = max(1, (1 << 20) // len(model.words))
            for first in range(0, states, block):
                rows = slice(first, first + block)
                log_probs, after = model.every(np.arange(first, min(first + block, states)))
                self._table[rows] = log_probs[:, self._words]
                self._after[rows] = after[:, self._words]

    def start(self) -> int:
        """The state of the empty text."""
        return self.model.start()

    def scores(self, states: np.ndarray) -> np.ndarray:
        """float32, shape = (beginning, tokens)."""
        if self._table is not None:
            return self._table[states]
        different, places = np.unique(states, return_inverse=True)
        log_probs, _ = self.model.every(different)
        return log_probs[:, self._words].astype(np.float32)[places]

    def advance(self, states: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """The states after one more token each."""
        if self._after is not None:
            return self._after[states, tokens].astype(np.int64)
        return self.model.step(states, self._words[tokens])[1]


class NGramLanguageModel:
    """An n-gram model over a tokenizer's tokens, as a LanguageModel."""

    def __init__(self, model: NGramModel, tokenizer: Tokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer
        self._names = token_words(tokenizer)

    def scorer(self) -> NGramScorer:
        """A scorer over the tokenizer's tokens."""
        return NGramScorer(self.model, self.tokenizer)

    def perplexity(self, texts: Sequence[str]) -> Perplexity:
        """Over all tokens of the texts, each with its end; what has no token is left out."""
        return self.model.perplexity(
            [[self._names[token] for token in self.tokenizer.encode(text)] for text in texts]
        )
