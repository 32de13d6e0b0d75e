"""Mixup, log-mixup-exp and its bank, normalising blocks, and the ready sets."""

import json

import numpy as np
import pytest
import scipy.stats
import torch

from aural.audio.augment import Chain, augment, augment_batch
from aural.audio.augment.mixing import (
    GaussianMixup,
    LogMixup,
    Mixup,
    MixupBank,
    Normalise,
    RunningStatistics,
    byol_a,
    log_mixup_exp,
    mix_labels,
    mixup,
    multi_format_audio,
    multi_format_spectrogram,
)
from aural.errors import InputError
from aural.types import Audio


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


BANK = MixupBank().pushed(noise(5, 16, 24, seed=7)).examples

EVERY = {
    "mixup": Mixup(BANK),
    "mixup of the batch": Mixup(),
    "log mixup": LogMixup(BANK),
    "log mixup of the batch": LogMixup(),
    "gaussian": GaussianMixup(),
    "normalise": Normalise(),
    "normalise by numbers": Normalise(-5.0, 4.0),
    "byol_a": byol_a(BANK, before=Normalise(-5.0, 4.0)),
    "multi-format": multi_format_spectrogram(),
}
ALONE = ["mixup", "log mixup", "gaussian", "normalise by numbers"]  # no batch, no chain


@pytest.mark.parametrize("augmentation", EVERY.values(), ids=EVERY)
class TestEvery:
    def test_json_replays_the_same_bytes(self, augmentation) -> None:
        value = noise(4, 16, 24)
        before = value.copy()
        made = augment(value, augmentation, np.random.default_rng(1))
        again = augmentation.apply(value, json.loads(json.dumps(made.drawn)))
        assert made.value.tobytes() == again.tobytes() != value.tobytes()
        assert made.value.dtype == np.float32
        assert not np.shares_memory(made.value, value)
        np.testing.assert_array_equal(value, before)

    def test_torch_equals_numpy(self, augmentation) -> None:
        value = noise(2, 2, 16, 24)
        mine = augment(value, augmentation, np.random.default_rng(1))
        tensor = torch.tensor(value, requires_grad=True)
        theirs = augment(tensor, augmentation, np.random.default_rng(1))
        assert mine.drawn == theirs.drawn
        np.testing.assert_allclose(theirs.value.detach(), mine.value, rtol=0, atol=3e-6)
        (slope,) = torch.autograd.grad((theirs.value**2).sum(), tensor)
        assert torch.isfinite(slope).all()
        assert slope.abs().sum() > 0

    @pytest.mark.parametrize("shape", [(16, 24), (1, 16, 24), (0, 16, 24)])
    def test_one_example_and_none(self, augmentation, shape) -> None:
        made = augment(noise(*shape), augmentation, np.random.default_rng(1)).value
        assert made.shape == shape
        assert np.isfinite(made).all()

    def test_silence_stays_finite(self, augmentation) -> None:
        made = augment(np.zeros((2, 16, 24), np.float32), augmentation, np.random.default_rng(1))
        assert np.isfinite(made.value).all()

    def test_what_is_no_feature_array_is_refused(self, augmentation) -> None:
        for value in (np.zeros(5, np.float32), np.zeros((16, 24), int)):
            with pytest.raises(InputError, match="give"):
                augment(value, augmentation, np.random.default_rng(1))


@pytest.mark.parametrize("name", ALONE)
def test_an_example_does_not_depend_on_the_batch(name: str) -> None:
    value = noise(4, 16, 24)
    whole = augment(value, EVERY[name], np.random.default_rng(1)).value
    single = augment_batch(list(value), EVERY[name], np.random.default_rng(1))
    assert all(np.array_equal(a, b.value) for a, b in zip(whole, single, strict=True))


# Mixup


def test_mixup_is_a_weighted_sum() -> None:
    first, second = noise(3, 4, 5), noise(3, 4, 5, seed=1)
    weights = [0.25, 1.0, 0.0]
    expected = np.stack(
        [w * a + (1 - w) * b for w, a, b in zip(weights, first, second, strict=True)]
    )
    np.testing.assert_allclose(mixup(first, second, weights), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(mixup(first, second, weights)[1], first[1])
    np.testing.assert_allclose(mixup(first[0], second[0], 0.25), expected[0], rtol=0, atol=1e-6)
    assert mixup(first, second, 0.3).dtype == np.float32


def test_weights_are_of_the_beta_distribution() -> None:
    drawn = Mixup().draw(np.zeros((6000, 1, 1), np.float32), np.random.default_rng(0))
    weights = np.array(drawn["weight"])
    assert weights.mean() == pytest.approx(5 / 7, abs=0.007)  # 3 standard errors
    assert weights.var() == pytest.approx(5 * 2 / (7**2 * 8), abs=0.0013)
    assert scipy.stats.kstest(weights, scipy.stats.beta(5, 2).cdf).pvalue > 1e-3


def test_others_are_drawn_evenly_and_never_the_example_itself() -> None:
    drawn = Mixup().draw(np.zeros((6, 1, 1), np.float32), np.random.default_rng(0))
    counts = np.zeros((6, 6), int)
    for seed in range(300):
        drawn = Mixup().draw(np.zeros((6, 1, 1), np.float32), np.random.default_rng(seed))
        for example, other in enumerate(drawn["other"]):
            counts[example, other] += 1
    assert not counts.diagonal().any()
    apart = counts[~np.eye(6, dtype=bool)]
    assert scipy.stats.chisquare(apart).pvalue > 1e-3
    drawn = Mixup(BANK).draw(np.zeros((2000, 1, 1), np.float32), np.random.default_rng(0))
    assert scipy.stats.chisquare(np.bincount(drawn["other"], minlength=5)).pvalue > 1e-3


def test_a_batch_and_its_labels_are_mixed_alike() -> None:
    value = noise(5, 4, 6)
    made = augment(value, Mixup(), np.random.default_rng(3))
    labels = np.eye(5, dtype=np.float32)
    mixed = mix_labels(labels, made.drawn)
    np.testing.assert_allclose(mixed.sum(1), 1, rtol=1e-6)
    # a label says of which examples the result is the sum
    np.testing.assert_allclose(
        made.value, np.einsum("eo,omf->emf", mixed, value), rtol=0, atol=1e-6
    )


def test_labels_of_others() -> None:
    made = augment(noise(3, 16, 24), Mixup(BANK), np.random.default_rng(3))
    mine, theirs = np.tile([1.0, 0.0], (3, 1)), [np.array([0.0, 1.0])] * 5
    mixed = mix_labels(mine, made.drawn, theirs)
    np.testing.assert_allclose(mixed[:, 0], made.drawn["weight"])
    alone = augment(noise(3, 16, 24), Mixup(()), np.random.default_rng(3))
    np.testing.assert_array_equal(mix_labels(mine, alone.drawn, ()), mine)


@pytest.mark.parametrize("other", [100, 40, 100_000, 0])
@pytest.mark.parametrize("shape", [(100,), (2, 100)])
def test_mixup_of_recordings(shape: tuple[int, ...], other: int) -> None:
    audio = Audio(noise(*shape), 16000)
    recordings = [Audio(noise(other, seed=seed), 16000) for seed in (1, 2)]
    made = augment(audio, Mixup(recordings), np.random.default_rng(0))
    (weight,), (index,), (start,) = (made.drawn[name] for name in ("weight", "other", "start"))
    assert 0 <= start <= max(0, other - 100)
    piece = np.zeros(100)
    source = recordings[index].samples[start : start + 100]
    piece[: source.size] = source
    expected = weight * audio.samples + (1 - weight) * piece
    np.testing.assert_allclose(made.value.samples, expected, rtol=0, atol=1e-6)
    assert made.value.samples.dtype == np.float32
    assert made.value.sample_rate == 16000
    np.testing.assert_array_equal(made.replay(audio).samples, made.value.samples)


def test_recordings_that_do_not_fit_are_refused() -> None:
    audio, rng = Audio(noise(2, 100), 16000), np.random.default_rng(0)
    with pytest.raises(InputError, match="give the recordings"):
        augment(audio, Mixup(), rng)
    with pytest.raises(InputError, match="resample it to 16000 Hz"):
        augment(audio, Mixup([Audio(noise(100), 8000)]), rng)
    with pytest.raises(InputError, match="3 channels; give 1 or 2"):
        augment(audio, Mixup([Audio(noise(3, 100), 16000)]), rng)
    alone = augment(audio, Mixup([]), rng).value
    np.testing.assert_array_equal(alone.samples, audio.samples)
    assert not np.shares_memory(alone.samples, audio.samples)


def test_arrays_that_do_not_fit_are_refused() -> None:
    value, rng = noise(2, 16, 24), np.random.default_rng(0)
    with pytest.raises(InputError, match=r"give that of an example, \(16, 24\)"):
        augment(value, Mixup([noise(16, 23)]), rng)
    drawn = Mixup(BANK).draw(value, rng)
    with pytest.raises(InputError, match="not 3"):
        Mixup(BANK).apply(noise(3, 16, 24), drawn)
    with pytest.raises(InputError, match="give the same ones"):
        Mixup(BANK[:1]).apply(value, drawn | {"other": [0, 4]})
    with pytest.raises(InputError, match="two of one shape"):
        mixup(noise(3), noise(4), 0.5)
    for weight in (1.5, -0.1, float("nan")):
        with pytest.raises(InputError, match="give numbers from 0 to 1"):
            mixup(noise(3), noise(3), weight)
    with pytest.raises(InputError, match="first dimensions"):
        mixup(noise(3, 2), noise(3, 2), [0.1, 0.2])


# Mixup of energies


def test_log_mixup_exp_is_the_log_of_mixed_energies() -> None:
    first, second = noise(3, 4, 5), noise(3, 4, 5, seed=1)
    ratios = np.array([0.4, 0.0, 1.0])
    a, b = first.astype(np.float64), second.astype(np.float64)
    share = ratios[:, None, None]
    expected = np.log((1 - share) * np.exp(a) + share * np.exp(b))
    made = log_mixup_exp(first, second, ratios)
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(made[1], first[1])
    np.testing.assert_array_equal(made[2], second[2])
    assert made.dtype == np.float32


def test_log_mixup_exp_does_not_overflow() -> None:
    loud, louder = np.float32([[1000.0]]), np.float32([[1001.0]])
    expected = 1000 + np.log(0.75 + 0.25 * np.e)
    assert log_mixup_exp(loud, louder, 0.25)[0, 0] == pytest.approx(expected, abs=1e-4)
    silent = np.float32([[-np.inf]])
    assert log_mixup_exp(loud, silent, 0.25)[0, 0] == pytest.approx(1000 + np.log(0.75))
    assert log_mixup_exp(silent, silent, 0.25)[0, 0] == -np.inf


def test_the_gradient_of_mixed_energies_is_each_ones_share() -> None:
    first = torch.tensor(noise(4, 5), dtype=torch.float64, requires_grad=True)
    second = torch.tensor(noise(4, 5, seed=1), dtype=torch.float64, requires_grad=True)
    made = log_mixup_exp(first, second, 0.3).sum()
    of_first, of_second = torch.autograd.grad(made, (first, second))
    mine, other = 0.7 * first.exp(), 0.3 * second.exp()
    np.testing.assert_allclose(of_first, (mine / (mine + other)).detach(), rtol=1e-12)
    np.testing.assert_allclose(of_first + of_second, 1, rtol=1e-12)


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.4])
def test_ratios_are_even_up_to_alpha(alpha: float) -> None:
    drawn = LogMixup(BANK, alpha).draw(np.zeros((3000, 1, 1)), np.random.default_rng(0))
    assert scipy.stats.kstest(drawn["ratio"], scipy.stats.uniform(0, alpha).cdf).pvalue > 1e-3


def test_an_empty_bank_changes_nothing() -> None:
    value = noise(3, 16, 24)
    made = augment(value, LogMixup(MixupBank().examples), np.random.default_rng(0))
    assert made.drawn["other"] == [None] * 3
    np.testing.assert_array_equal(made.value, value)


def test_gaussian_is_mixed_energies_with_noise_of_the_ratio_s_deviation() -> None:
    value = noise(2, 50, 80)
    made = augment(value, GaussianMixup(), np.random.default_rng(0))
    for one, example, ratio, seed in zip(
        made.value, value, made.drawn["ratio"], made.drawn["seed"], strict=True
    ):
        assert 0 < ratio < 0.4
        added = (np.exp(one.astype(float)) - (1 - ratio) * np.exp(example.astype(float))) / ratio
        expected = ratio * np.random.default_rng(seed).standard_normal((50, 80))
        np.testing.assert_allclose(np.log(added), expected, rtol=0, atol=2e-4)
        assert np.log(added).std() == pytest.approx(ratio, rel=0.05)


# Bank


def test_a_bank_forgets_the_oldest_and_is_not_changed() -> None:
    empty = MixupBank(size=4)
    one = empty.pushed(noise(3, 2, 2))
    two = one.pushed(noise(2, 2, 2, seed=1))
    assert [len(bank.examples) for bank in (empty, one, two)] == [0, 3, 4]
    expected = [*noise(3, 2, 2)[1:], *noise(2, 2, 2, seed=1)]
    for kept, pushed in zip(two.examples, expected, strict=True):
        np.testing.assert_array_equal(kept, pushed)
    assert len(two.pushed(noise(9, 2, 2)).examples) == 4
    assert two.pushed(noise(2, 2)).examples[-1].shape == (2, 2)
    assert MixupBank(0).pushed(noise(9, 2, 2)).examples == ()
    with pytest.raises(InputError, match="size is -1"):
        MixupBank(-1)


def test_a_bank_keeps_values_without_gradients() -> None:
    value = torch.tensor(noise(2, 3, 4), requires_grad=True)
    bank = MixupBank().pushed(value)
    with torch.no_grad():
        value.zero_()
    assert not bank.examples[0].requires_grad
    np.testing.assert_array_equal(bank.examples[1], noise(2, 3, 4)[1])


# Normalising


def test_running_statistics_are_those_of_all_that_was_seen() -> None:
    pieces = [noise(3, 8, 5 + seed, seed=seed) * seed + 100 for seed in range(6)]
    statistics = RunningStatistics()
    for piece in pieces:
        statistics = statistics.updated(piece)
    statistics = statistics.updated(noise(3, 8, 0))
    everything = np.concatenate([piece.ravel() for piece in pieces]).astype(np.float64)
    assert statistics.count == everything.size
    assert statistics.mean == pytest.approx(everything.mean(), rel=1e-12)
    assert statistics.deviation == pytest.approx(everything.std(), rel=1e-12)
    same = RunningStatistics().updated(torch.tensor(pieces[3]))
    assert same.deviation == pytest.approx(pieces[3].astype(np.float64).std(), rel=1e-12)
    made = statistics.normalise().apply(pieces[5], {})
    expected = (pieces[5] - everything.mean()) / everything.std()
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-4)


def test_statistics_that_can_not_be_used_are_refused() -> None:
    with pytest.raises(InputError, match="NaN or infinite"):
        RunningStatistics().updated(np.float32([[np.nan, 1]]))
    with pytest.raises(InputError, match=r"deviation is 0\.0"):
        RunningStatistics().updated(np.ones((2, 2), np.float32)).normalise()
    with pytest.raises(InputError, match="both, or neither"):
        Normalise(1.0)
    with pytest.raises(InputError, match="mean is nan"):
        Normalise(float("nan"), 1.0)


def test_a_batch_is_normalised_as_one() -> None:
    value = noise(3, 8, 20) * 7 + [[[1]], [[5]], [[9]]]
    made = Normalise().apply(value, {})
    np.testing.assert_allclose(made, (value - value.mean()) / value.std(), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(Normalise().apply(np.full((2, 3), 4.0), {}), 0)
    for bad in (np.nan, np.inf, -np.inf):
        assert np.isnan(Normalise().apply(np.array([[1.0, bad, 2.0]]), {})).all()


# Ready sets


def test_byol_a_is_its_blocks_in_order() -> None:
    value = noise(4, 16, 24) * 4 - 5
    before = Normalise(-5.0, 4.0)
    chain = byol_a(BANK, before=before)
    names = ["Normalise", "LogMixup", "RandomResizeCrop", "Normalise"]
    assert [type(step).__name__ for step in chain.steps] == names
    made = augment(value, chain, np.random.default_rng(0))
    assert abs(made.value.mean()) < 1e-6
    assert made.value.std() == pytest.approx(1, rel=1e-5)
    _, mixing, cropping, _ = made.drawn["steps"]
    by_hand = before.apply(value, {})
    by_hand = chain.steps[1].apply(by_hand, mixing)
    by_hand = chain.steps[2].apply(by_hand, cropping)
    np.testing.assert_allclose(
        made.value, (by_hand - by_hand.mean()) / by_hand.std(), rtol=0, atol=1e-5
    )
    assert chain.steps[2].fill == 0
    assert len(byol_a(BANK, after=None).steps) == 2


def test_two_views_of_a_batch_in_a_training_loop() -> None:
    statistics, bank, rng = RunningStatistics(), MixupBank(6), np.random.default_rng(0)
    for seed in range(3):
        batch = noise(4, 16, 24, seed=seed) * 3 - 6
        statistics = statistics.updated(batch)
        batch = statistics.normalise().apply(batch, {})
        one, other = (augment(batch, byol_a(bank.examples), rng).value for _ in range(2))
        assert np.abs(one - other).max() > 0.1
        assert np.isfinite(one).all()
        bank = bank.pushed(batch)
    assert len(bank.examples) == 6


def test_multi_format_sets() -> None:
    audio = Audio(noise(16000), 16000)
    made = augment(
        audio, multi_format_audio([Audio(noise(32000), 16000)]), np.random.default_rng(0)
    )
    mixing, masking = made.drawn["steps"]
    assert set(mixing) == {"weight", "other", "start"}
    ((start, stop),) = masking["spans"]
    assert 0 < stop - start <= 1600
    np.testing.assert_array_equal(made.value.samples[start:stop], 0)
    value = noise(3, 16, 100)
    made = augment(value, multi_format_spectrogram(), np.random.default_rng(0))
    shift, masks = made.drawn["steps"]
    assert all(abs(bins) <= 10 for bins in shift["bins"])
    for one, example, drawn in zip(made.value, value, masks["examples"], strict=True):
        ((start, width),), ((first, height),) = drawn["time"], drawn["frequency"]
        assert (one[:, start : start + width] == example.min()).all()
        assert (one[first : first + height] == example.min()).all()
        assert width <= 10


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mixup(beta=(0, 1)), "beta is"),
        (lambda: LogMixup(alpha=1.1), "alpha is 1.1"),
        (lambda: GaussianMixup(-0.1), "alpha is -0.1"),
    ],
)
def test_options_say_what_is_allowed(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_a_chain_of_both_replays() -> None:
    value = noise(3, 16, 24)
    chain = Chain((Mixup(BANK), multi_format_spectrogram()), (0.5, 0.5))
    for seed in range(8):
        made = augment(value, chain, np.random.default_rng(seed))
        np.testing.assert_array_equal(made.replay(value), made.value)


def test_two_cells_without_energy_have_no_energy_and_no_gradient() -> None:
    """And the others have theirs: 0.75 and 0.25 where both have the same energy."""
    first = torch.tensor([[-torch.inf, -torch.inf, 1.0]], dtype=torch.float64, requires_grad=True)
    second = torch.tensor([[-torch.inf, 2.0, 1.0]], dtype=torch.float64, requires_grad=True)
    mixed = log_mixup_exp(first, second, 0.25)
    torch.testing.assert_close(mixed[0, 0], torch.tensor(-torch.inf, dtype=torch.float64))
    mixed[0, 1:].sum().backward()
    torch.testing.assert_close(first.grad, torch.tensor([[0.0, 0.0, 0.75]], dtype=torch.float64))
    torch.testing.assert_close(second.grad, torch.tensor([[0.0, 1.0, 0.25]], dtype=torch.float64))


@pytest.mark.parametrize(
    "beta", [(5,), (5, 2, 1), (1e308, 1e308), 5, ("a", "b"), (float("nan"), 1)]
)
def test_a_beta_distribution_has_two_numbers(beta) -> None:
    with pytest.raises(InputError, match=r"beta is .*give two numbers"):
        Mixup(beta=beta)
