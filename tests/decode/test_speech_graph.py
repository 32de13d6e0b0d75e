"""Grammars of words as graphs of states: every path is what the grammar, the lexicon and the
phones' contexts say, written out one by one."""

import itertools
import math

import numpy as np
import pytest

from aural.decode.graph import (
    Grammar,
    Phone,
    SpeechGraph,
    loop,
    one_of,
    scored,
    sequence,
    speech_graph,
)
from aural.decode.viterbi import viterbi
from aural.errors import InputError

LEXICON = {"ab": (("a", "b"),), "c": (("c",),), "abc": (("a", "b", "c"), ("a", "c"))}
NAMES = ("SIL", "a", "b", "c")


class Toy:
    """Phones of one state whose column tells the whole context: 4 * 4 * 4 * 4 of them."""

    silence = "SIL"
    places = ("begin", "inside", "end", "single")

    def __init__(self, *, crosses_words: bool) -> None:
        self.crosses_words = crosses_words

    def phone(self, name: str, left: str, right: str, place: str) -> Phone:
        digits = (*map(NAMES.index, (name, left, right)), self.places.index(place))
        if name == "SIL":
            digits = (0, 0, 0, 3)
        column = int(np.ravel_multi_index(digits, (4,) * 4))
        return Phone((column,), np.log(np.array([[0.5, 0.5]])))


def columns_of(words: tuple[tuple[str, ...], ...], *, crosses: bool) -> list[int]:
    """The columns of pronunciations one after the other, () being silence, by hand."""
    toy, made = Toy(crosses_words=crosses), []
    flat = [(phone, i) for i, said in enumerate(words) for phone in said or ("SIL",)]
    for at, (phone, i) in enumerate(flat):
        said = words[i]
        if not said:
            made += toy.phone("SIL", "SIL", "SIL", "single").columns
            continue
        before = flat[at - 1] if at else ("SIL", -1)
        after = flat[at + 1] if at + 1 < len(flat) else ("SIL", -1)
        left = before[0] if crosses or before[1] == i else "SIL"
        right = after[0] if crosses or after[1] == i else "SIL"
        first, last = before[1] != i, after[1] != i
        place = {(1, 1): "single", (1, 0): "begin", (0, 1): "end", (0, 0): "inside"}
        made += toy.phone(phone, left, right, place[int(first), int(last)]).columns
    return made


def forced(speech: SpeechGraph, columns: list[int]):
    """The path whose columns are these, each once; None where there is none."""
    scores = np.full((len(columns), 4**4), -np.inf)
    scores[range(len(columns)), columns] = 0.0
    return viterbi(speech.graph, scores)


@pytest.mark.parametrize("crosses", [False, True])
def test_every_way_to_say_a_sequence(crosses: bool) -> None:
    words = ["abc", "c", "ab"]
    speech = speech_graph(
        sequence(words), LEXICON, Toy(crosses_words=crosses), silence_log_weight=-0.7
    )
    for said in itertools.product(*(LEXICON[word] for word in words)):
        for silent in itertools.product((False, True), repeat=4):
            parts = [
                part
                for pair in zip(silent, (*said, ()), strict=False)
                for part in (((),) if pair[0] else ()) + ((pair[1],) if pair[1] else ())
            ]
            columns = columns_of(tuple(parts), crosses=crosses)
            path = forced(speech, columns)
            assert path is not None
            assert path.score == pytest.approx(len(columns) * math.log(0.5) - 0.7 * sum(silent))
            found = speech.read(path)
            assert [word.text for word in found if word.text] == words
            phones = [phone for word in found for phone in word.phones]
            assert [phone.name for phone in phones] == [
                p for part in parts for p in part or ("SIL",)
            ]
            assert [phone.start for phone in phones] == list(range(len(phones)))
            assert phones[-1].end == len(columns)


def test_contexts_decide_where_words_meet() -> None:
    """Where neighbours count, a state of another context is not to be had."""
    speech = speech_graph(sequence(["ab", "c"]), LEXICON, Toy(crosses_words=True))
    right = columns_of((("a", "b"), ("c",)), crosses=True)
    wrong = columns_of((("a", "b"), ("c",)), crosses=False)
    assert right != wrong
    assert forced(speech, right) is not None
    assert forced(speech, wrong) is None
    without = speech_graph(
        sequence(["c"]), LEXICON, Toy(crosses_words=True), silence_log_weight=None
    )
    assert forced(without, columns_of(((), ("c",)), crosses=True)) is None


def texts_of(grammar: Grammar, longest: int) -> dict[tuple[str, ...], float]:
    """Every text of at most so many words, and its weight."""
    found: dict[tuple[str, ...], float] = {}
    waiting = [(0, (), 0.0)]
    while waiting:
        node, words, weight = waiting.pop()
        if node in grammar.finals:
            found[words] = weight + grammar.finals[node]
        if len(words) < longest:
            waiting += [
                (target, (*words, word), weight + more)
                for source, target, word, more in grammar.arcs
                if source == node
            ]
    return found


def test_grammars() -> None:
    assert texts_of(one_of(["x", "y"]), 3) == {("x",): 0, ("y",): 0}
    looped = texts_of(loop(["x", "y"], -1.0), 3)
    assert looped == {w: -len(w) for n in (1, 2, 3) for w in itertools.product("xy", repeat=n)}
    assert texts_of(sequence(["x", "y"]), 3) == {("x", "y"): 0}


class Bigrams:
    """States are the last word; probabilities from a table, </s> the last column."""

    table = np.log(np.array([[0.5, 0.4, 0.1], [0.2, 0.2, 0.6], [0.3, 0.3, 0.4]]))

    def start(self) -> int:
        return 2

    def numbers(self, words: list[str]) -> np.ndarray:
        return np.array([("x", "y", "</s>").index(word) for word in words])

    def step(self, states: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.table[np.broadcast_to(states, words.shape), words], words


def test_a_language_model_as_a_grammar() -> None:
    texts = texts_of(scored(["x", "y"], Bigrams(), weight=0.5, log_weight=-0.1), 4)
    assert len(texts) == 2 + 4 + 8 + 16
    for text, weight in texts.items():
        states = [2, *("xy".index(word) for word in text)]
        total = sum(Bigrams.table[a, b] for a, b in itertools.pairwise([*states, 2]))
        assert weight == pytest.approx(0.5 * total - 0.1 * len(text))


def test_what_can_not_be_built() -> None:
    toy = Toy(crosses_words=False)
    with pytest.raises(InputError, match="no pronunciation of 'zebra'"):
        speech_graph(one_of(["ab", "zebra"]), LEXICON, toy)
    with pytest.raises(InputError, match="without words"):
        sequence([])
