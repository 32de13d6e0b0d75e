"""LSTM and Transformer-XL: pieces equal the whole, attention written out, and they learn."""

import math
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aural import models
from aural.decode.kneser_ney import estimate
from aural.decode.language import LanguageModel, TokenScorer
from aural.decode.rescore import text_log_probs
from aural.errors import InputError, UnknownName
from aural.models import lm
from aural.models.lm.network import TransformerXL, sinusoids
from aural.nn.exported import Exported, FeatureOptions, export
from aural.text.tokens import Tokenizer, characters
from aural.train.batch import Batch
from aural.train.objectives.language_model import language_model

KINDS = ("test", "test-xl")


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small only lose by more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network_of(name: str, **changes: object):
    torch.manual_seed(5)
    return lm.build(replace(lm.VARIANTS[name].config, **changes)).eval()


@pytest.fixture
def tokens() -> torch.Tensor:
    """(3, 40) tokens, 0 first."""
    drawn = torch.randint(1, 32, (3, 40), generator=torch.Generator().manual_seed(2))
    drawn[:, 0] = 0
    return drawn


@pytest.mark.parametrize("name", lm.VARIANTS)
def test_variants_are_shapes(name: str) -> None:
    variant = lm.VARIANTS[name]
    assert variant.weights is None
    with torch.device("meta"):
        network = lm.build(variant.config)
    count = sum(weight.numel() for weight in network.parameters())
    if name.startswith("test"):
        assert count < 100_000
    if name == "transformer-xl-12":  # 41 M in the paper's table 2
        assert count == pytest.approx(41e6, rel=0.1)
    if name == "lstm-large":  # 66 M in the paper, with a second matrix of 15 M that is tied here
        assert count == pytest.approx(66e6 - 15e6, rel=0.02)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("cuts", [[1] * 40, [7, 1, 20, 12], [40]])
def test_pieces_equal_the_whole(name: str, cuts: list[int], tokens: torch.Tensor) -> None:
    """With a memory of 16 the Transformer-XL forgets within these 40 tokens, alike either way."""
    network = network_of(name)
    whole, _ = network(tokens)
    assert whole.shape == (3, 40, 32)
    torch.testing.assert_close(whole.exp().sum(-1), torch.ones(3, 40), atol=1e-5, rtol=0)
    state, told = None, []
    for piece in tokens.split(cuts, dim=1):
        log_probs, state = network(piece, state)
        told.append(log_probs)
    torch.testing.assert_close(torch.cat(told, 1), whole, atol=1e-5, rtol=0)
    segmented = network_of(name, segment=9)
    torch.testing.assert_close(segmented(tokens)[0], whole, atol=1e-5, rtol=0)


def test_memory_is_recomputation_over_the_whole_context(tokens: torch.Tensor) -> None:
    """A memory of all that was equals a network that is given everything anew at each step."""
    network = network_of("test-xl", memory=64)
    state = None
    for place in range(40):
        log_probs, state = network(tokens[:, place : place + 1], state)
        anew, _ = network(tokens[:, : place + 1])
        torch.testing.assert_close(log_probs[:, 0], anew[:, -1], atol=1e-5, rtol=0)


def test_memory_has_an_end(tokens: torch.Tensor) -> None:
    """Two layers of memory 4 see 8 tokens back, and nothing before these."""
    network = network_of("test-xl", memory=4)
    other = tokens.clone()
    other[:, 10] = (other[:, 10] % 31) + 1
    changed = (network(tokens)[0] - network(other)[0]).abs().amax(dim=(0, 2)) > 1e-6
    assert changed.nonzero().flatten().tolist() == list(range(10, 19))


@pytest.mark.parametrize("name", KINDS)
def test_later_tokens_and_other_items_change_nothing(name: str, tokens: torch.Tensor) -> None:
    network = network_of(name)
    whole, _ = network(tokens)
    assert torch.equal(network(tokens)[0], whole)
    other = tokens.clone()
    other[:, 25:] = 7
    other[1] = 3
    told = network(other)[0]
    torch.testing.assert_close(told[[0, 2], :25], whole[[0, 2], :25], atol=1e-6, rtol=0)
    torch.testing.assert_close(network(tokens[1:2])[0][0], whole[1], atol=1e-5, rtol=0)


@torch.no_grad()
def test_relative_attention_is_the_formula(tokens: torch.Tensor) -> None:
    """A(i, j) = q k + q r(i - j) + u k + v r(i - j), each query and key by itself (Dai 2019)."""
    network = network_of("test-xl", memory=5)
    assert isinstance(network, TransformerXL)
    layer, heads, size = network.layers[0], 2, 16
    torch.nn.init.normal_(layer.content_bias)
    torch.nn.init.normal_(layer.position_bias)
    x = torch.randn(9, 32)
    far = sinusoids(5, 32, x)
    for distance in range(6):
        for i in range(16):
            angle = distance / 10_000 ** (2 * i / 32)
            assert far[distance, i] == pytest.approx(math.sin(angle), abs=1e-5)
            assert far[distance, 16 + i] == pytest.approx(math.cos(angle), abs=1e-5)
    key_weight, value_weight = layer.key_value.weight.chunk(2)
    expected = torch.zeros(9, 32)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        u, v = layer.content_bias[head], layer.position_bias[head]
        for i in range(9):
            near = range(max(0, i - 5), i + 1)
            query = layer.query.weight[part] @ x[i]
            scores = []
            for j in near:
                key = key_weight[part] @ x[j]
                place = layer.position.weight[part] @ far[i - j]
                scores.append((query @ key + query @ place + u @ key + v @ place) / 4)
            shares = torch.stack(scores).softmax(0)
            values = torch.stack([value_weight[part] @ x[j] for j in near])
            expected[i, part] = shares @ values
    expected = layer.attention_norm(x + layer.merge(expected))
    expected = layer.feed_forward_norm(expected + layer.feed_forward(expected))
    empty = network.initial(1)
    network.layers = network.layers[:1]
    found, (memory, filled) = network.segment(x[None], (empty[0][:1], empty[1]))
    torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(memory[0, 0], x[-5:])
    assert filled.tolist() == [[5]]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("tied", [True, False])
def test_gradient_reaches_every_weight(name: str, tied: bool, tokens: torch.Tensor) -> None:
    network = network_of(name, tied=tied, segment=11)
    network(tokens)[0].pow(2).sum().backward()
    for weight_name, weight in network.named_parameters():
        assert weight.grad is not None, weight_name
        assert weight.grad.abs().sum() > 0, weight_name


PROSE = Path(__file__).parents[2] / "docs" / "augment.md"


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Lower-case lines of a page of ours."""
    lines = re.findall(r"[a-z ]{15,60}", PROSE.read_text(encoding="utf-8").lower())
    return [" ".join(line.split()) for line in lines]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return characters(["abcdefghijklmnopqrstuvwxyz "])


def batch_of(tokenizer: Tokenizer, texts: list[str]) -> Batch:
    rows = [tokenizer.encode(text) for text in texts]
    longest = max(map(len, rows))
    targets = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
    return Batch(
        torch.zeros(len(rows), 0, 0),
        torch.zeros(len(rows), dtype=torch.int64),
        targets,
        torch.tensor([len(row) for row in rows]),
    )


def saved(directory: Path, network, tokenizer: Tokenizer) -> Path:
    about = Exported("lm", asdict(network.config), FeatureOptions(), tokenizer)
    export(directory, network, about)
    return directory


@pytest.mark.parametrize("name", KINDS)
def test_learns_more_than_how_frequent_letters_are(
    name: str, texts: list[str], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """Snapshots' held-out perplexity falls below the unigram's."""
    held, seen = texts[::8], [text for i, text in enumerate(texts) if i % 8]
    unigram = estimate([list(text.replace(" ", "_")) for text in seen], 1)
    limit = unigram.perplexity([list(text.replace(" ", "_")) for text in held]).value
    network = network_of(name, tokens=tokenizer.size).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    rng = np.random.default_rng(0)
    found = []
    for step in range(71):
        if step in (0, 10, 70):
            directory = saved(tmp_path / str(step), network, tokenizer)
            model = models.load(f"lm@{directory}", LanguageModel, device="cpu")
            found.append(model.perplexity(held).value)
        losses = language_model(network, batch_of(tokenizer, list(rng.choice(seen, 24))))
        optimiser.zero_grad()
        (losses.total / losses.weight).backward()
        optimiser.step()
    assert found[0] > 20
    assert found[0] > found[1] > found[2]
    assert found[2] < 0.85 * limit


@pytest.mark.parametrize("name", KINDS)
def test_loaded_is_what_was_saved(
    name: str, texts: list[str], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    network = network_of(name, tokens=tokenizer.size, memory=6)
    model = models.load(f"lm@{saved(tmp_path, network, tokenizer)}", LanguageModel, device="cpu")
    some = [*texts[:40], "", texts[0] * 12]
    losses = language_model(network, batch_of(tokenizer, some))
    found = model.perplexity(some)
    assert found.tokens == losses.weight
    assert found.log_prob == pytest.approx(-float(losses.total.detach()), rel=1e-5)
    assert math.isnan(model.perplexity([]).value)


@pytest.mark.parametrize("name", KINDS)
def test_scorer_is_the_network(name: str, texts: list[str], tokenizer: Tokenizer) -> None:
    """Also where states were forgotten, and for texts in any order."""
    from aural.models.lm import capability

    network = network_of(name, tokens=tokenizer.size, memory=6)
    model = capability.NeuralLanguageModel(network, tokenizer, device="cpu")
    encoded = [tokenizer.encode(text) for text in [*texts[:6], ""]]
    alone = [model.perplexity([tokenizer.decode(text)]).log_prob for text in encoded]
    scorer: TokenScorer = model.scorer()
    np.testing.assert_allclose(text_log_probs(encoded, scorer), alone, rtol=1e-5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capability, "STATES", 3)
        few = text_log_probs(encoded, model.scorer())
    np.testing.assert_allclose(few, alone, rtol=1e-5)


def test_what_can_not_be(tokenizer: Tokenizer, tmp_path: Path) -> None:
    for changes in (
        {"kind": "gru"},
        {"tokens": 1},
        {"d_model": 0},
        {"dropout": 1.0},
        {"dropout": math.nan},
        {"segment": -1},
        {"kind": "transformer_xl", "heads": 3},
    ):
        with pytest.raises(InputError):
            lm.Config(**changes)
    network = network_of("test")  # 32 tokens, the tokenizer has 27
    with pytest.raises(InputError, match="27 tokens"):
        models.load(f"lm@{saved(tmp_path, network, tokenizer)}", device="cpu")
    with pytest.raises(InputError, match="float32"):
        models.load(f"lm@{tmp_path}", device="cpu", compute_type="int8")
    from aural.models.lm import capability

    with pytest.raises(UnknownName, match="auto, cpu, cuda"):
        capability.NeuralLanguageModel(
            network_of("test", tokens=tokenizer.size), tokenizer, device="tpu"
        )
