"""Prefix beam search against the sums over all paths there are."""

import itertools
import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from aural.decode import prefix_beam as module
from aural.decode.ctc import align
from aural.decode.hotwords import Hotwords
from aural.decode.prefix_beam import BeamOptions, BeamText, prefix_beam
from aural.errors import InputError

WIDE = BeamOptions(beam_size=3000, n_best=3000).exact
Text = tuple[int, ...]


def emissions(rng: np.random.Generator, *shape: int, sharp: float = 2.0) -> np.ndarray:
    """Any log probabilities, float64."""
    scores = rng.normal(0, sharp, shape)
    return scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True)


def peaky(rng: np.random.Generator, frames: int, tokens: int) -> np.ndarray:
    """As of a trained network: mostly blanks, each token loud in one frame or two."""
    scores = rng.normal(0, 1.0, (frames, tokens))
    scores[:, 0] += 9
    loud = rng.random(frames) < 0.35
    scores[loud, rng.integers(1, tokens, loud.sum())] += rng.uniform(6, 13, loud.sum())
    return scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True)


def every_text(log_probs: np.ndarray) -> dict[Text, float]:
    """The log of the sum over all paths of each labelling."""
    frames, tokens = log_probs.shape
    sums: dict[Text, list[float]] = defaultdict(list)
    for path in itertools.product(range(tokens), repeat=frames):
        text = tuple(token for token, _ in itertools.groupby(path) if token)
        sums[text].append(float(sum(log_probs[i, token] for i, token in enumerate(path))))
    return {text: float(np.logaddexp.reduce(scores)) for text, scores in sums.items()}


class Random:
    """A TokenScorer of any probabilities, that depend on the last two tokens; states are these."""

    def __init__(self, tokens: int, seed: int = 0) -> None:
        self.tokens = tokens
        table = emissions(np.random.default_rng(seed), tokens**2, tokens, sharp=1.0)
        self.table = table.astype(np.float32)
        self.asked = 0

    def start(self) -> int:
        return 0

    def scores(self, states: np.ndarray) -> np.ndarray:
        assert states.dtype == np.int64
        self.asked += len(states)
        return self.table[states]

    def advance(self, states: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        assert np.all(tokens > 0)
        return states % self.tokens * self.tokens + tokens

    def total(self, text: Text) -> float:
        state, total = 0, 0.0
        for token in text:
            total += float(self.table[state, token])
            state = state % self.tokens * self.tokens + token
        return total + float(self.table[state, 0])


def as_dict(texts: list[BeamText]) -> dict[Text, float]:
    found = {text.tokens: text.log_prob for text in texts}
    assert len(found) == len(texts), "a text is there twice"
    return found


SHAPES = [(0, 3), (1, 3), (2, 2), (5, 3), (6, 3), (4, 4), (3, 1)]


@pytest.mark.parametrize(("frames", "tokens"), SHAPES)
def test_a_beam_wide_enough_has_every_text_and_its_probability(frames: int, tokens: int) -> None:
    log_probs = emissions(np.random.default_rng(frames), frames, tokens)
    (found,) = prefix_beam(log_probs, options=WIDE)
    assert as_dict(found) == pytest.approx(every_text(log_probs), abs=1e-9)
    assert [text.log_prob for text in found] == sorted(
        (text.log_prob for text in found), reverse=True
    )
    assert all(text.score == pytest.approx(text.log_prob) for text in found)


@pytest.mark.parametrize("seed", range(4))
def test_with_a_language_model_bonus_and_hotwords_too(seed: int) -> None:
    rng = np.random.default_rng(seed)
    log_probs, lm = emissions(rng, 6, 3), Random(3, seed)
    hot = [(2, 1), (1, 1)]
    options = replace(WIDE, lm_weight=0.7, insertion_bonus=0.3)
    (found,) = prefix_beam(log_probs, options=options, lm=lm, hotwords=Hotwords(hot, 3, bonus=1.5))
    whole = every_text(log_probs)
    assert as_dict(found) == pytest.approx(whole, abs=1e-4)
    scores = {
        text: log_prob
        + 0.7 * lm.total(text)
        + 0.3 * len(text)
        + 3.0 * sum(text[i : i + 2] in hot for i in range(len(text)))
        for text, log_prob in whole.items()
    }
    assert {text.tokens: text.score for text in found} == pytest.approx(scores, abs=1e-4)
    assert found[0].tokens == max(scores, key=scores.__getitem__)


def test_the_probability_of_a_text_is_torch_s_loss() -> None:
    torch = pytest.importorskip("torch")
    log_probs = emissions(np.random.default_rng(0), 30, 4, sharp=3.0)
    (found,) = prefix_beam(log_probs, options=BeamOptions(beam_size=2000, n_best=5).exact)
    for text in found:
        loss = torch.nn.functional.ctc_loss(
            torch.from_numpy(log_probs)[:, None],
            torch.tensor([text.tokens]),
            torch.tensor([30]),
            torch.tensor([len(text.tokens)]),
            reduction="sum",
        )
        assert text.log_prob <= -float(loss) + 1e-9
        assert text.log_prob == pytest.approx(-float(loss), abs=1e-2)


def plain_beam(
    log_probs: np.ndarray, beam_size: int, lm: Random, weight: float, bonus: float
) -> tuple[Text, float]:
    """The same search as papers write it down: one dictionary of beginnings a frame."""
    beams = {(): (0.0, -math.inf)}
    factors = {(): 0.0}
    states = {(): 0}
    for row in log_probs:
        after: dict[Text, list[float]] = defaultdict(lambda: [-math.inf, -math.inf])
        for text, (blank, other) in beams.items():
            both = np.logaddexp(blank, other)
            after[text][0] = np.logaddexp(after[text][0], both + row[0])
            for token in range(1, len(row)):
                longer = (*text, token)
                if longer not in factors:
                    told = float(lm.table[states[text], token])
                    factors[longer] = factors[text] + weight * told + bonus
                    states[longer] = states[text] % lm.tokens * lm.tokens + token
                again = text and text[-1] == token
                if again:
                    after[text][1] = np.logaddexp(after[text][1], other + row[token])
                start = blank if again else both
                after[longer][1] = np.logaddexp(after[longer][1], start + row[token])
        scored = {text: np.logaddexp(*both) + factors[text] for text, both in after.items()}
        best = sorted(scored, key=scored.__getitem__, reverse=True)[:beam_size]
        beams = {text: tuple(after[text]) for text in best}
    ended = {
        text: np.logaddexp(*both) + factors[text] + weight * float(lm.table[states[text], 0])
        for text, both in beams.items()
    }
    text = max(ended, key=ended.__getitem__)
    return text, ended[text]


@pytest.mark.parametrize("beam_size", [1, 2, 5, 16])
def test_a_narrow_beam_finds_what_the_plain_search_finds(beam_size: int) -> None:
    rng = np.random.default_rng(beam_size)
    items = [emissions(rng, frames, 5, sharp=1.5) for frames in (40, 17, 0, 33, 40, 1)]
    batch = np.full((len(items), 40, 5), np.nan)
    for row, item in zip(batch, items, strict=True):
        row[: len(item)] = item
    lm = Random(5)
    options = BeamOptions(beam_size=beam_size, lm_weight=0.8, insertion_bonus=0.9).exact
    found = prefix_beam(batch, [len(item) for item in items], options, lm=lm)
    for item, (best,) in zip(items, found, strict=True):
        text, score = plain_beam(item, beam_size, lm, 0.8, 0.9)
        assert best.tokens == text
        assert best.score == pytest.approx(score, abs=1e-4)
        assert prefix_beam(item, options=options, lm=lm)[0][0].tokens == text


def test_items_are_searched_alone_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    batch = np.stack([peaky(rng, 60, 8) for _ in range(7)])
    lengths, lm = [60, 5, 60, 0, 33, 12, 59], Random(8)
    options = BeamOptions(beam_size=8, n_best=3)
    alone = [
        prefix_beam(item[:length], options=options, lm=lm)[0]
        for item, length in zip(batch, lengths, strict=True)
    ]
    monkeypatch.setattr(module, "BLOCK_NUMBERS", 500)
    for group in (1, 24, 1000):
        monkeypatch.setattr(module, "GROUP_BEAMS", group)
        together = prefix_beam(batch, lengths, options, lm=lm)
        for one, other in zip(together, alone, strict=True):
            assert [text.tokens for text in one] == [text.tokens for text in other]
            assert [text.score for text in one] == pytest.approx([text.score for text in other])


def test_what_is_left_out_by_default_does_not_change_the_best_text() -> None:
    rng = np.random.default_rng(2)
    batch = np.stack([peaky(rng, 120, 20) for _ in range(20)])
    lm = Random(20)
    options = BeamOptions(beam_size=16)
    quick, exact = (prefix_beam(batch, None, each, lm=lm) for each in (options, options.exact))
    assert [texts[0].tokens for texts in quick] == [texts[0].tokens for texts in exact]
    for (one,), (other,) in zip(quick, exact, strict=True):
        assert one.score == pytest.approx(other.score, abs=0.05)


def test_frames_that_are_surely_blank_part_two_equal_tokens() -> None:
    rows = np.array([[0.005, 0.995], [0.9999, 0.0001], [0.9999, 0.0001], [0.005, 0.995]])
    (quick,), (exact,) = (
        prefix_beam(np.log(rows), options=each)[0] for each in (BeamOptions(), BeamOptions().exact)
    )
    assert quick.tokens == exact.tokens == (1, 1)
    assert quick.log_prob == pytest.approx(exact.log_prob, abs=1e-3)


def test_the_scorer_is_asked_once_for_a_beginning() -> None:
    lm = Random(8)
    log_probs = peaky(np.random.default_rng(3), 200, 8)
    prefix_beam(log_probs, options=BeamOptions(beam_size=4).exact, lm=lm)
    assert lm.asked < 200 * 4


def test_hotwords_raise_only_what_contains_them() -> None:
    log_probs = emissions(np.random.default_rng(4), 6, 3)
    hot = Hotwords([(1, 2, 1)], 3, bonus=2.0)
    (plain,), (raised,) = (
        prefix_beam(log_probs, options=WIDE, hotwords=each) for each in (None, hot)
    )
    before, after = as_dict(plain), {text.tokens: text.score for text in raised}
    for text, score in after.items():
        contained = sum(text[i : i + 3] == (1, 2, 1) for i in range(len(text)))
        assert score == pytest.approx(before[text] + 6.0 * contained, abs=1e-5)


def test_spans_are_those_of_the_aligned_text() -> None:
    rng = np.random.default_rng(5)
    batch = np.stack([peaky(rng, 50, 6) for _ in range(3)])
    found = prefix_beam(batch, [50, 20, 0], BeamOptions(n_best=2, spans=True))
    for texts, item, length in zip(found, batch, (50, 20, 0), strict=True):
        for text in texts:
            assert tuple(span.token for span in text.spans) == text.tokens
            assert all(span.start < span.end <= length for span in text.spans)
            assert text.spans == align(item[:length], text.tokens).spans


def test_what_is_impossible() -> None:
    log_probs = np.full((3, 3), -np.inf)
    assert prefix_beam(log_probs, options=BeamOptions(spans=True)) == [
        [BeamText((), -math.inf, -math.inf)]
    ]
    log_probs[:, 2] = 0
    (best,) = prefix_beam(log_probs, options=BeamOptions(n_best=3))[0]
    assert (best.tokens, best.log_prob) == ((2,), 0)
    assert prefix_beam(np.zeros((0, 3, 2))) == []


def test_what_the_language_model_forbids_is_not_said_unless_it_has_no_weight() -> None:
    lm = Random(3)
    lm.table[:, 2] = -np.inf
    log_probs = np.log(np.array([[0.05, 0.15, 0.8], [0.6, 0.2, 0.2]]))
    (said,), (ignored,) = (
        prefix_beam(log_probs, options=replace(WIDE, lm_weight=weight), lm=lm) for weight in (1, 0)
    )
    assert {text.tokens for text in said} == {(), (1,)}
    assert as_dict(ignored) == pytest.approx(every_text(log_probs))


def test_far_below_the_smallest_number_there_is() -> None:
    log_probs = emissions(np.random.default_rng(6), 2000, 4, sharp=0.1).astype(np.float32)
    (best,) = prefix_beam(log_probs)[0]
    assert -1500 < best.log_prob < -800


@pytest.mark.parametrize(
    "wrong",
    [
        {"beam_size": 0, "n_best": 0},
        {"n_best": 0},
        {"n_best": 51},
        {"lm_weight": math.nan},
        {"insertion_bonus": 51.0},
        {"min_token_prob": 1.0},
        {"min_token_prob": -0.1},
        {"skip_blank_prob": 0.5},
        {"beam_threshold": 0.0},
    ],
)
def test_options_that_cannot_be_are_said(wrong: dict) -> None:
    with pytest.raises(InputError, match="give"):
        BeamOptions(**wrong)


def test_input_that_cannot_be_is_said() -> None:
    with pytest.raises(InputError, match="log_softmax"):
        prefix_beam(np.full((3, 3), np.nan))
    with pytest.raises(InputError, match="tokens"):
        prefix_beam(np.zeros((3, 3)), lm=Random(4))
