"""LocalAgreement: what two hypotheses share is final, on hypotheses written by hand."""

import itertools

import numpy as np
import pytest

from aural.errors import InputError
from aural.tasks.agreement import AgreementOptions, AgreementStream, beyond
from aural.types import Word

RATE = 1000


def said(*words: tuple[str, float, float]) -> list[Word]:
    return [Word(start, end, f" {text}") for text, start, end in words]


def texts(words: tuple[Word, ...] | list[Word]) -> list[str]:
    return [word.text.strip() for word in words]


class Script:
    """Says what is written for each time it is asked, and remembers what it was asked."""

    def __init__(self, *hypotheses: list[Word]) -> None:
        self.hypotheses = list(hypotheses)
        self.asked: list[tuple[int, str]] = []

    def __call__(self, samples: np.ndarray, before: str) -> list[Word]:
        self.asked.append((samples.size, before))
        return self.hypotheses[len(self.asked) - 1]


def second(count: float = 1.0) -> np.ndarray:
    return np.zeros(round(RATE * count), np.float32)


def test_the_beginning_that_two_hypotheses_share_is_final() -> None:
    script = Script(
        said(("the", 0.1, 0.3), ("cat", 0.4, 0.9)),
        said(("The", 0.1, 0.3), ("cap", 0.4, 0.9), ("sat", 1.1, 1.8)),
        said(("The", 0.1, 0.3), ("cap", 0.4, 0.9), ("sat,", 1.1, 1.8), ("on", 2.1, 2.5)),
        said(("the", 0.1, 0.3), ("cup", 0.4, 0.9), ("sat", 1.1, 1.8), ("on", 2.1, 2.5)),
    )
    stream = AgreementStream(script, RATE)
    results = [stream.push(second())[0] for _ in range(3)]
    assert [texts(each.words) for each in results] == [
        ["the", "cat"],
        ["The", "cap", "sat"],
        ["The", "cap", "sat,", "on"],
    ]
    assert [each.final for each in results] == [0, 1, 3]
    assert [each.time for each in results] == [1.0, 2.0, 3.0]
    assert results[2].silence == pytest.approx(0.5)
    stream.push(second(0.1))
    (last,) = stream.finish()
    assert texts(last.words) == ["The", "cap", "sat,", "on"], "what is final is never changed"
    assert last.final == 4
    assert [size for size, _ in script.asked] == [1000, 2000, 3000, 3100]


def test_a_step_is_waited_for_and_an_end_with_nothing_new_is_not_heard_again() -> None:
    script = Script(said(("a", 0.0, 0.5)), said(("a", 0.0, 0.5)))
    stream = AgreementStream(script, RATE)
    assert stream.push(second(0.6)) == []
    assert len(stream.push(second(0.6))) == 1
    (last,) = stream.finish()
    assert (texts(last.words), last.final, len(script.asked)) == (["a"], 1, 1)
    (empty,) = stream.finish()
    assert (empty.words, empty.time) == ((), 0.0)


def test_a_long_window_is_cut_behind_the_last_final_word_and_prompted_with_it() -> None:
    script = Script(
        said(("a", 0.2, 0.8)),
        said(("a", 0.2, 0.8), ("b", 1.2, 1.8)),
        said(("a", 0.2, 0.8), ("b", 1.2, 1.8), ("c", 2.2, 2.8)),
        said(("c", 0.4, 1.0), ("d", 1.4, 2.0)),
        said(("c", 0.4, 1.0), ("d", 1.4, 2.0), ("e", 2.4, 3.0)),
    )
    stream = AgreementStream(script, RATE, AgreementOptions(1.0, 2.5))
    results = [stream.push(second())[0] for _ in range(5)]
    assert [size for size, _ in script.asked] == [1000, 2000, 3000, 2200, 2000 + 1200][:5]
    assert [before for _, before in script.asked] == ["", "", "", "a b", "a b"]
    assert texts(results[-1].words) == ["a", "b", "c", "d", "e"]
    assert results[-1].final == 4
    assert results[-1].words[-1].end == pytest.approx(4.8)


def test_what_nothing_confirms_is_taken_once_the_window_is_full() -> None:
    hypotheses = [said((name, 0.1, 0.9)) for name in "abcdef"]
    stream = AgreementStream(Script(*hypotheses), RATE, AgreementOptions(1.0, 2.0))
    results = [stream.push(second())[0] for _ in range(3)]
    assert [texts(each.words) for each in results] == [["a"], ["b"], ["c"]]
    assert results[-1].final == 1
    for _ in range(2):
        stream.push(second())
    assert max(size for size, _ in stream._hear.asked) <= 3000  # type: ignore[attr-defined]


def test_words_heard_again_are_not_written_twice() -> None:
    final = said(("and", 1.0, 1.2), ("so", 1.3, 1.6))
    heard = said(("so", 1.45, 1.8), ("it", 1.9, 2.0))
    assert texts(beyond(heard, final)) == ["it"]
    heard = said(("and", 1.5, 1.7), ("So,", 1.7, 1.8), ("it", 1.9, 2.0))
    assert texts(beyond(heard, final)) == ["it"]
    far = said(("so", 3.0, 3.3))
    assert texts(beyond(far, final)) == ["so"], "said again after a pause"
    earlier = said(("and", 1.0, 1.2), ("it", 1.9, 2.0))
    assert texts(beyond(earlier, final)) == ["it"]
    assert beyond([], final) == []


def test_a_word_said_twice_is_written_twice() -> None:
    """A hearer that makes no mistakes, of digits at random: one in ten is the digit before it."""
    digits = np.random.default_rng(0).integers(0, 10, 300)
    truth = [Word(i + 0.1, i + 0.8, f" {digit}") for i, digit in enumerate(digits.tolist())]

    def hear(samples: np.ndarray, before: str) -> list[Word]:
        begin, end = samples[0] / RATE, (samples[-1] + 1) / RATE
        inside = [word for word in truth if word.start >= begin and word.end <= end]
        return [Word(word.start - begin, word.end - begin, word.text) for word in inside]

    stream = AgreementStream(hear, RATE)
    for piece in np.split(np.arange(RATE * 300, dtype=np.float32), 1200):
        stream.push(piece)
    (last,) = stream.finish()
    lost = len(truth) - len(last.words)
    # Where the window was cut between the two, the second may be what is left of the first.
    doubled = np.flatnonzero(digits[1:] == digits[:-1]).size
    assert doubled > 20
    assert 0 <= lost <= 3
    final = said(("no", 0.1, 0.5))
    heard = said(("no", 0.1, 0.5), ("no", 0.6, 1.0))
    assert texts(beyond(heard, final)) == ["no"]
    final, heard = said(("cap", 0.0, 0.3)), said(("cup", 0.0, 0.2), ("cap", 0.3, 0.5))
    assert texts(beyond(heard, final)) == []
    final = said(("a", 0.0, 0.1), ("no", 0.2, 0.5))
    heard = said(("the", 0.0, 0.1), ("no", 0.2, 0.5), ("no", 0.6, 0.9))
    assert texts(beyond(heard, final)) == ["no"], "though the word before it is heard anew"


def test_final_words_only_grow_whatever_is_heard() -> None:
    rng = np.random.default_rng(0)

    def babble(samples: np.ndarray, before: str) -> list[Word]:
        count = max(1, samples.size // 500)
        names = rng.choice(["a", "b"], count, p=[0.9, 0.1])
        return [Word(i * 0.5, i * 0.5 + 0.4, f" {name}") for i, name in enumerate(names)]

    stream = AgreementStream(babble, RATE, AgreementOptions(0.5, 3.0))
    results = [each for _ in range(60) for each in stream.push(second(0.25))] + stream.finish()
    for one, two in itertools.pairwise(results):
        assert two.final >= one.final
        assert two.words[: one.final] == one.words[: one.final]


def test_options_and_samples_that_are_none() -> None:
    with pytest.raises(InputError, match="step_seconds is 0"):
        AgreementOptions(step_seconds=0)
    with pytest.raises(InputError, match="window_seconds is 29"):
        AgreementOptions(window_seconds=29)
    stream = AgreementStream(Script(), RATE)
    with pytest.raises(InputError, match="a window is"):
        stream.push(np.zeros((2, 5), np.float32))


def test_a_minute_at_once_is_heard_in_windows_that_are_allowed() -> None:
    sizes: list[int] = []

    def hear(samples: np.ndarray, before: str) -> list[Word]:
        sizes.append(samples.size)
        return []

    results = AgreementStream(hear, RATE, AgreementOptions(1.0, 15.0)).push(second(60))
    assert len(results) == len(sizes) == 60
    assert max(sizes) <= 16 * RATE
