"""CTC's paths, greedy text and alignment, against all paths there are."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest

from aural.decode import ctc
from aural.decode.ctc import STAR, TokenSpan, align, align_batch, collapse, greedy, words
from aural.errors import InputError
from aural.text.tokens import Tokenizer, characters
from aural.types import Span


def emissions(rng: np.random.Generator, *shape: int, sharp: float = 2.0) -> np.ndarray:
    """Any log probabilities, float64."""
    scores = rng.normal(0, sharp, shape)
    return scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True)


def naive_collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(token for token, _ in itertools.groupby(path) if token != 0)


def every_path(log_probs: np.ndarray) -> list[tuple[tuple[int, ...], float]]:
    frames, tokens = log_probs.shape
    return [
        (path, float(sum(log_probs[i, token] for i, token in enumerate(path))))
        for path in itertools.product(range(tokens), repeat=frames)
    ]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("--C-A-T", "CAT"),
        ("CC-AA-T", "CAT"),
        ("C-AAA-TT", "CAT"),
        ("HHEELLLLOO", "HELO"),
        ("HHEELL-LLOO", "HELLO"),
        ("a-ab-", "aab"),
        ("-aa--abb", "aab"),
        ("", ""),
        ("---", ""),
        ("aaaa", "a"),
    ],
)
def test_a_path_collapses_to_its_text(path: str, text: str) -> None:
    numbers = [0 if symbol == "-" else ord(symbol) for symbol in path]
    assert "".join(map(chr, collapse(numbers))) == text
    moved = [9 if number == 0 else number for number in numbers]
    assert "".join(map(chr, collapse(moved, blank=9))) == text


def test_collapse_is_the_same_as_grouping() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        path = tuple(rng.integers(0, 3, rng.integers(0, 12)).tolist())
        assert collapse(path) == naive_collapse(path)


def test_greedy_is_the_likeliest_path() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        log_probs = emissions(rng, 5, 3)
        path, score = max(every_path(log_probs), key=lambda each: each[1])
        (text,) = greedy(log_probs)
        assert text.tokens == naive_collapse(path)
        assert text.log_prob == pytest.approx(score, abs=1e-12)
        heard = [0] * 5
        for span in text.spans:
            heard[span.start : span.end] = [span.token] * (span.end - span.start)
            told = np.exp(log_probs[span.start : span.end, span.token])
            assert span.probability == pytest.approx(told.mean())
        assert tuple(heard) == path


def test_greedy_of_a_batch_is_that_of_its_items_whatever_the_padding_holds() -> None:
    rng = np.random.default_rng(2)
    batch = emissions(rng, 4, 9, 5).astype(np.float32)
    lengths = [9, 0, 4, 7]
    alone = [greedy(item[:length])[0] for item, length in zip(batch, lengths, strict=True)]
    for item, length in zip(batch, lengths, strict=True):
        item[length:] = np.nan
    assert greedy(batch, lengths) == alone
    assert alone[1].tokens == ()
    assert alone[1].log_prob == 0


def test_a_frame_of_nothing_is_a_blank() -> None:
    log_probs = np.log(np.array([[0.1, 0.9]] * 3))
    log_probs[1] = -np.inf
    (text,) = greedy(log_probs)
    assert text.tokens == (1, 1)
    assert text.log_prob == -np.inf


@pytest.mark.parametrize(
    ("log_probs", "lengths"),
    [
        (np.full((3, 2), np.nan), None),
        (np.full((3, 2), np.inf), None),
        (np.full((3, 2), 0.7), None),
        (np.zeros(3), None),
        (np.zeros((3, 0)), None),
        (np.zeros((3, 2), np.int64), None),
        (np.zeros((1, 3, 2)), [4]),
        (np.zeros((1, 3, 2)), [-1]),
        (np.zeros((1, 3, 2)), [1, 2]),
        (np.zeros((1, 3, 2)), [1.0]),
    ],
)
def test_what_are_no_log_probabilities_is_said(
    log_probs: np.ndarray, lengths: list[int] | None
) -> None:
    with pytest.raises(InputError, match=r"give|there are"):
        greedy(log_probs, lengths)


def test_alignment_is_the_likeliest_of_all_paths() -> None:
    rng = np.random.default_rng(3)
    for text in [(), (1,), (1, 2), (1, 1), (2, 2, 1), (1, 2, 1, 2)]:
        for frames in (ctc.needed_frames(text), 6):
            log_probs = emissions(rng, frames, 3)
            paths = [each for each in every_path(log_probs) if naive_collapse(each[0]) == text]
            path, score = max(paths, key=lambda each: each[1])
            found = align(log_probs, text)
            assert tuple(found.path.tolist()) == path
            assert found.log_prob == pytest.approx(score, abs=1e-12)
            assert found.log_prob <= np.logaddexp.reduce([each[1] for each in paths]) + 1e-12
            assert tuple(span.token for span in found.spans) == text


def test_alignment_never_scores_above_torch_s_loss() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    for _ in range(10):
        log_probs = emissions(rng, 40, 6)
        text = rng.integers(1, 6, 12)
        loss = torch.nn.functional.ctc_loss(
            torch.from_numpy(log_probs)[:, None],
            torch.from_numpy(text)[None],
            torch.tensor([40]),
            torch.tensor([12]),
            reduction="sum",
        )
        found = align(log_probs, text)
        assert found.log_prob <= -float(loss) + 1e-9
        assert found.log_prob == pytest.approx(log_probs[np.arange(40), found.path].sum())
        assert collapse(found.path) == tuple(text.tolist())


def test_items_side_by_side_are_aligned_as_each_alone() -> None:
    rng = np.random.default_rng(5)
    batch = emissions(rng, 4, 20, 5).astype(np.float32)
    lengths, texts = [20, 7, 0, 11], [(1, 1, 2, 4), (3,), (), (4, 3, 2, 1, 2)]
    alone = [align(batch[i, : lengths[i]], texts[i]) for i in range(4)]
    for item, length in zip(batch, lengths, strict=True):
        item[length:] = (np.nan, np.inf, -np.inf, 0, np.nan)
    for one, other in zip(align_batch(batch, texts, lengths), alone, strict=True):
        assert np.array_equal(one.path, other.path)
        assert one.spans == other.spans
        assert one.log_prob == other.log_prob
    assert align_batch(batch[:0], []) == []


def test_a_long_recording_is_aligned_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    for frames, tokens in [(400, 90), (397, 190), (65, 3), (64, 0)]:
        log_probs = emissions(rng, frames, 7, sharp=1.0)
        text = rng.integers(1, 7, tokens)
        whole = align(log_probs, text)
        with monkeypatch.context() as patch:
            patch.setattr(ctc, "BLOCK_FRAMES", 64)
            blocks = align(log_probs, text)
        assert np.array_equal(blocks.path, whole.path)
        assert blocks.log_prob == whole.log_prob


def test_a_short_text_of_a_long_recording_takes_little_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log_probs = emissions(np.random.default_rng(6), 4000, 3)
    monkeypatch.setattr(ctc, "BLOCK_FRAMES", 64)
    for text in [(), (1,)]:
        tracemalloc.start()
        align(log_probs, text)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 200 * len(log_probs)  # arrays of their own for each frame take 330


def test_a_star_is_whatever_is_likeliest_there() -> None:
    rng = np.random.default_rng(7)
    for text in [(STAR,), (STAR, 1), (1, STAR), (2, STAR, 1), (STAR, 2, STAR)]:
        log_probs = emissions(rng, 6, 3)
        most = log_probs.max(axis=1)
        widened = np.column_stack([log_probs, most])  # a fourth token as likely as the likeliest
        numbers = tuple(3 if token == STAR else token for token in text)
        paths = [each for each in every_path(widened) if naive_collapse(each[0]) == numbers]
        found = align(log_probs, text)
        assert found.log_prob == pytest.approx(max(each[1] for each in paths), abs=1e-12)
        assert tuple(span.token for span in found.spans) == text


@pytest.mark.parametrize(
    ("text", "frames"), [((1, 2, 1), 2), ((1, 1), 2), ((1,), 0), ((0,), 3), ((3,), 3), ((-2,), 3)]
)
def test_a_text_that_cannot_be_aligned_is_said(text: tuple[int, ...], frames: int) -> None:
    with pytest.raises(InputError, match="item 0"):
        align(np.full((frames, 3), -1.1), text)


def test_an_impossible_text_is_said() -> None:
    log_probs = np.full((4, 3), -1.1)
    log_probs[:, 2] = -np.inf
    assert align(log_probs, [1]).log_prob == pytest.approx(-4.4)
    with pytest.raises(InputError, match="no path"):
        align(log_probs, [2])
    with pytest.raises(InputError, match="texts"):
        align_batch(log_probs[None], [])


def test_a_vocabulary_of_the_blank_alone_has_the_empty_text() -> None:
    log_probs = np.zeros((3, 1))
    assert greedy(log_probs)[0].tokens == ()
    assert align(log_probs, []).spans == ()
    with pytest.raises(InputError, match="item 0"):
        align(log_probs, [1])


def test_spans_become_words_with_times() -> None:
    tokenizer = characters(["ab c"])  # space 1, a 2, b 3, c 4
    spans = [
        TokenSpan(2, 1, 2, 0.8),
        TokenSpan(3, 2, 4, 0.6),
        TokenSpan(1, 5, 6, 0.1),
        TokenSpan(4, 8, 9, 1.0),
    ]
    first, second = words(spans, tokenizer, 0.02, offset=1.0)
    assert (first.text, second.text) == ("ab", " c")
    assert (first.start, first.end) == pytest.approx((1.02, 1.08))
    assert (second.start, second.end) == pytest.approx((1.16, 1.18))
    assert first.probability == pytest.approx(0.7)
    assert (first.tokens, second.tokens) == ((2, 3), (4,))
    assert spans[1].seconds(0.02, 1.0) == Span(1.04, 1.08)
    assert words([], tokenizer, 0.02) == ()
    assert words([spans[2]], tokenizer, 0.02) == ()


def test_pieces_and_whole_words_become_words() -> None:
    cut = Tokenizer("pieces", ("▁ab", "c", "▁", "d"))
    spans = [TokenSpan(token, i, i + 1, 1.0) for i, token in enumerate((1, 2, 3, 4, 1))]
    assert [word.text for word in words(spans, cut, 1.0)] == ["abc", " d", " ab"]
    whole = Tokenizer("words", ("yes", "no"))
    spans = [TokenSpan(token, i, i + 1, 1.0) for i, token in enumerate((1, 2, 2))]
    assert [word.text for word in words(spans, whole, 1.0)] == ["yes", " no", " no"]
    assert math.isclose(words(spans, whole, 0.5)[2].start, 1.0)
