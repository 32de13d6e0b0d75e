"""The language model's objective against a sum over tokens, one text at a time."""

import pytest
import torch

from aural.models import lm
from aural.train.batch import Batch
from aural.train.objectives.language_model import language_model


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small only lose by more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def batch_of(targets: list[list[int]], padding: int = 0) -> Batch:
    longest = max(map(len, targets))
    rows = [[*row, *[padding] * (longest - len(row))] for row in targets]
    return Batch(
        torch.zeros(len(rows), 0, 0),
        torch.zeros(len(rows), dtype=torch.int64),
        torch.tensor(rows, dtype=torch.int64).reshape(len(rows), longest),
        torch.tensor([len(row) for row in targets]),
    )


@pytest.mark.parametrize("name", ["test", "test-xl"])
def test_is_the_sum_over_tokens_and_ends(name: str) -> None:
    torch.manual_seed(1)
    network = lm.build(lm.VARIANTS[name].config).eval()
    texts = [[3, 1, 4, 1, 5], [9], [], [2, 6, 5]]
    losses = language_model(network, batch_of(texts))
    expected = 0.0
    for text in texts:
        for place, token in enumerate([*text, 0]):
            log_probs, _ = network(torch.tensor([[0, *text[:place]]]))
            expected -= float(log_probs[0, -1, token].detach())
    assert float(losses.total.detach()) == pytest.approx(expected, rel=1e-5)
    assert losses.weight == 13
    losses.total.backward()
    assert network.embedding.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["test", "test-xl"])
def test_padding_is_not_looked_at(name: str) -> None:
    torch.manual_seed(1)
    network = lm.build(lm.VARIANTS[name].config).eval()
    texts = [[3, 1, 4, 1, 5], [9, 2]]
    found = [float(language_model(network, batch_of(texts, p)).total.detach()) for p in (0, 9, -1)]
    assert found[0] == found[1] == found[2]


def test_empty_texts_alone() -> None:
    network = lm.build(lm.VARIANTS["test"].config).eval()
    losses = language_model(network, batch_of([[], []]))
    assert losses.weight == 2
    assert torch.isfinite(losses.total)
