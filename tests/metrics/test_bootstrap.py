"""Intervals: equal to an independent implementation, and covering what they claim to."""

import numpy as np
import pytest
from scipy import stats

from aural.errors import InputError
from aural.metrics.bootstrap import (
    choose_clusters,
    expanded_tail,
    paired_difference,
    ratio_interval,
)


def clustered_corpus(
    generator: np.random.Generator, speakers: int, mean: float = 0.2
) -> tuple[list[int], list[int], list[str]]:
    """Errors, words and speakers of a corpus whose speakers differ in their true error rate."""
    errors: list[int] = []
    words: list[int] = []
    labels: list[str] = []
    for speaker, rate in enumerate(generator.beta(4, 4 / mean - 4, size=speakers)):
        lengths = generator.integers(5, 25, size=generator.integers(3, 12))
        words += lengths.tolist()
        errors += generator.binomial(lengths, rate).tolist()
        labels += [f"s{speaker}"] * len(lengths)
    return errors, words, labels


@pytest.mark.parametrize("speakers", [10, 20, 40])
def test_95_percent_intervals_cover_the_truth_about_95_times_in_100(speakers: int) -> None:
    generator = np.random.default_rng(speakers)
    runs, covered = 400, 0
    for seed in range(runs):
        corpus = clustered_corpus(generator, speakers)
        interval = ratio_interval(*corpus, resamples=1000, seed=seed)
        assert interval is not None
        covered += interval.low <= 0.2 <= interval.high
    assert 0.90 <= covered / runs <= 0.98


def test_resampling_utterances_instead_of_speakers_would_cover_too_little() -> None:
    generator = np.random.default_rng(5)
    runs, covered = 200, 0
    for seed in range(runs):
        errors, words, labels = clustered_corpus(generator, 20)
        alone = [f"u{index}" for index in range(len(labels))]
        interval = ratio_interval(errors, words, alone, resamples=500, seed=seed)
        assert interval is not None
        covered += interval.low <= 0.2 <= interval.high
    assert covered / runs < 0.85


def test_the_interval_equals_scipys_percentile_bootstrap_of_cluster_sums() -> None:
    errors, words, labels = clustered_corpus(np.random.default_rng(3), 25)
    index = np.unique(labels, return_inverse=True)[1]
    sums = (np.bincount(index, weights=errors), np.bincount(index, weights=words))
    theirs = stats.bootstrap(
        sums,
        lambda e, w, axis: e.sum(axis=axis) / w.sum(axis=axis),
        paired=True,
        vectorized=True,
        confidence_level=1 - 2 * expanded_tail(0.95, 25),
        n_resamples=40_000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    ours = ratio_interval(errors, words, labels, resamples=40_000, seed=7)
    assert ours is not None
    width = theirs.high - theirs.low
    assert abs(ours.low - theirs.low) < 0.02 * width
    assert abs(ours.high - theirs.high) < 0.02 * width


def test_many_clusters_cut_off_the_plain_percentile() -> None:
    assert expanded_tail(0.95, 100_000) == pytest.approx(0.025, rel=1e-3)
    assert expanded_tail(0.95, 5) < 0.005


def test_the_same_seed_gives_the_same_interval_whatever_the_order() -> None:
    errors, words, labels = clustered_corpus(np.random.default_rng(3), 12)
    once = ratio_interval(errors, words, labels, seed=4, resamples=500)
    again = ratio_interval(errors[::-1], words[::-1], labels[::-1], seed=4, resamples=500)
    assert once == again
    assert once != ratio_interval(errors, words, labels, seed=5, resamples=500)


def test_fewer_than_ten_speakers_are_not_resampled() -> None:
    recordings = [f"r{index}" for index in range(20)]
    few = choose_clusters([f"s{index % 9}" for index in range(20)], recordings)
    assert (few.unit, few.labels) == ("recording", tuple(recordings))
    assert few.note == "9 voices: does not generalise to others"
    ten = choose_clusters([f"s{index % 10}" for index in range(20)], recordings)
    assert (ten.unit, len(set(ten.labels)), ten.note) == ("speaker", 10, "")


def test_notes_count_voices() -> None:
    assert choose_clusters(["a"], ["r"]).note == "1 voice: does not generalise to others"
    assert choose_clusters([""], ["r"]).note == "voices unknown: does not generalise to others"


def test_utterances_of_unknown_speakers_are_clusters_of_their_recordings() -> None:
    speakers = [f"s{index}" for index in range(10)] + ["", ""]
    clusters = choose_clusters(speakers, ["s0"] * 12)
    assert len(set(clusters.labels)) == 11


@pytest.mark.parametrize("labels", [[], ["only"], ["only", "only"]])
def test_fewer_than_two_clusters_have_no_interval(labels: list[str]) -> None:
    assert ratio_interval([1] * len(labels), [2] * len(labels), labels) is None


def test_no_words_have_no_interval() -> None:
    assert ratio_interval([1, 0], [0, 0], ["a", "b"]) is None


def test_draws_without_words_are_left_out() -> None:
    interval = ratio_interval([1, 0], [4, 0], ["a", "b"])
    assert interval is not None
    assert (interval.low, interval.high) == (0.25, 0.25)


def test_a_better_system_is_told_from_an_equal_one() -> None:
    generator = np.random.default_rng(8)
    errors, words, labels = clustered_corpus(generator, 30)
    better = generator.binomial(errors, 0.8).tolist()
    difference = paired_difference(errors, better, words, labels)
    assert difference is not None
    assert difference.value == pytest.approx((sum(better) - sum(errors)) / sum(words))
    assert difference.interval.high < 0
    assert difference.p < 0.005
    same = paired_difference(errors, errors, words, labels)
    assert same is not None
    assert (same.value, same.interval.low, same.interval.high, same.p) == (0, 0, 0, 1)


def test_pairing_sees_what_two_separate_intervals_do_not() -> None:
    generator = np.random.default_rng(9)
    errors, words, labels = clustered_corpus(generator, 15)
    better = [max(0, count - (index % 3 == 0)) for index, count in enumerate(errors)]
    apart = [ratio_interval(each, words, labels) for each in (errors, better)]
    assert apart[0] is not None
    assert apart[1] is not None
    assert apart[0].low < apart[1].high
    difference = paired_difference(errors, better, words, labels)
    assert difference is not None
    assert difference.interval.high < 0


def test_equal_systems_are_called_different_about_five_times_in_100() -> None:
    generator = np.random.default_rng(11)
    runs, called = 300, 0
    for seed in range(runs):
        errors, words, labels = clustered_corpus(generator, 15)
        other = [
            int(e + d)
            for e, d in zip(errors, generator.choice([-1, 0, 1], len(errors)), strict=False)
        ]
        difference = paired_difference(errors, other, words, labels, resamples=600, seed=seed)
        assert difference is not None
        called += difference.p < 0.05
        excludes = not difference.interval.low <= 0 <= difference.interval.high
        assert excludes == (difference.p < 0.05) or abs(difference.p - 0.05) < 0.01
    assert 0.02 <= called / runs <= 0.10


@pytest.mark.parametrize("level", [0, 1, 1.5, -0.2])
def test_a_level_outside_0_to_1_is_refused(level: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        ratio_interval([1, 2], [3, 4], ["a", "b"], level=level)


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(InputError, match="one an utterance"):
        ratio_interval([1, 2], [3, 4], ["a"])
