"""Batches of tensors: padded, and a function of seed and step alone."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from aural.data.augmentation import AugmentOptions
from aural.data.batches import BatchOptions
from aural.data.examples import Example, Examples
from aural.data.utterance import Utterance
from aural.errors import InputError
from aural.nn.exported import FeatureOptions
from aural.text.tokens import characters
from aural.train.batch import Batch, Losses
from aural.train.source import Source, TextSource, batches_of, collate, mean_losses, texts_of

TOKENS = characters(["abc"])


@pytest.fixture
def examples(tmp_path: Path) -> Examples:
    rng = np.random.default_rng(0)
    utterances = []
    for i in range(12):
        path = tmp_path / f"{i}.wav"
        soundfile.write(path, rng.normal(0, 0.1, 1600 + 400 * i), 16000)
        utterances.append(Utterance(f"u{i}", path, "abc"[: 1 + i % 3]))
    options = AugmentOptions(speed=(0.9, 1.1), gain_db=(-6, 6))
    return Examples(utterances, FeatureOptions(n_mels=10), TOKENS, augment=options)


def same(one: Batch, other: Batch) -> bool:
    return one.ids == other.ids and torch.equal(one.features, other.features)


def test_collate_pads_with_zeros() -> None:
    rows = [
        Example("a", np.ones((2, 3), np.float32), (1, 2, 3), "abc", 0.5),
        Example("b", np.full((4, 3), 2, np.float32), (2,), "b", 0.25),
    ]
    batch = collate(rows)
    assert batch.features.tolist()[0] == [[1.0] * 3] * 2 + [[0.0] * 3] * 2
    assert batch.lengths.tolist() == [2, 4]
    assert batch.targets.tolist() == [[1, 2, 3], [2, 0, 0]]
    assert batch.target_lengths.tolist() == [3, 1]
    assert (batch.ids, batch.texts, batch.seconds) == (("a", "b"), ("abc", "b"), 0.75)
    assert batch.features.dtype == torch.float32
    assert batch.lengths.dtype == batch.targets.dtype == torch.int64
    with pytest.raises(InputError, match="no examples"):
        collate([])


def test_a_step_is_a_function_of_seed_and_step(examples: Examples) -> None:
    options = BatchOptions(padded=1.0, items=4, a_step=2)
    source = Source(examples, options, seed=3, slowest=1 / 0.9)
    walked = [list(source.step_batches(step)) for step in range(6)]
    assert all(len(batches) == 2 for batches in walked)
    for step in (5, 0, 2):
        fresh = Source(examples, options, seed=3, slowest=1 / 0.9).step_batches(step)
        assert all(same(a, b) for a, b in zip(walked[step], fresh, strict=True))
        assert same(fresh[1], walked[step][1])
        assert same(fresh[-1:][0], walked[step][1])
    other = Source(examples, options, seed=4, slowest=1 / 0.9).step_batches(0)
    assert not all(same(a, b) for a, b in zip(walked[0], other, strict=True))


def test_the_same_example_is_distorted_anew_in_each_epoch(examples: Examples) -> None:
    source = Source(examples, BatchOptions(padded=100, items=12), seed=0)
    first, second = (source.step_batches(step)[0] for step in (0, 1))
    rows = [batch.features[batch.ids.index("u3")] for batch in (first, second)]
    assert rows[0].shape != rows[1].shape or not torch.equal(rows[0], rows[1])


def test_all_examples_once_and_undistorted(examples: Examples) -> None:
    batches = list(batches_of(examples, BatchOptions(padded=1.0, items=5)))
    assert sorted(name for batch in batches for name in batch.ids) == sorted(
        each.id for each in examples.utterances
    )
    row = batches[0].features[0][: int(batches[0].lengths[0])]
    assert np.array_equal(row.numpy(), examples.example(0).features)


def test_texts_have_no_features() -> None:
    source = TextSource(["abc", "a", "cc"], TOKENS, BatchOptions(padded=100), seed=0)
    (batch,) = source.step_batches(0)
    assert batch.features.shape == (3, 0, 0)
    assert sorted(batch.texts) == ["a", "abc", "cc"]
    assert [TOKENS.decode(row.tolist()) for row in batch.targets] == list(batch.texts)
    assert [each.texts for each in texts_of(["abc", "a", "cc"], TOKENS, BatchOptions(6))] == [
        ("a", "cc"),
        ("abc",),
    ]


def test_mean_losses_weigh_batches_by_their_weight() -> None:
    def goal(network: torch.nn.Module, batch: Batch) -> Losses:
        total = batch.target_lengths.sum() * network.weight.sum() * len(batch.texts)
        return Losses(
            total, int(batch.target_lengths.sum()), {"items": torch.tensor(len(batch.texts))}
        )

    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(network.weight, 2.0)
    batches = texts_of(["abc", "a", "cc"], TOKENS, BatchOptions(6))
    found = mean_losses(network, goal, batches)
    assert found == pytest.approx({"loss": (2 * 3 * 2 + 1 * 3 * 2) / 6, "items": 3 / 6})
