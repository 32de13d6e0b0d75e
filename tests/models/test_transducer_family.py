"""The transducer family: a stream is the whole, look-ahead what it says, both heads learn."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from aural import models
from aural.audio.features import LogMelOptions, MelOptions, log_mel
from aural.errors import InputError, UnknownName
from aural.models.transducer import VARIANTS, Config, build
from aural.train.batch import Batch
from aural.train.objectives.transducer import transducer

TEST = VARIANTS["test"].config
SETTINGS = [(3, 2), (1, 0), (4, 0), (1, 5), (7, 3)]


def changed(**values: object) -> Config:
    return Config(**(TEST.__dict__ | values))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    made = build(TEST)
    for block in made.blocks:
        nn.init.normal_(block.distance)
    return made.eval()


def drawn(frames: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 4 * torch.randn(frames, TEST.n_mels, generator=generator) - 6


def encoded(network: nn.Module, features: Tensor, chunk: int, ahead: int) -> Tensor:
    with torch.no_grad():
        return network.encode(features[None], torch.tensor([len(features)]), chunk, ahead)[0][0]


@pytest.mark.parametrize(("chunk", "ahead"), SETTINGS)
@pytest.mark.parametrize("frames", [1, 3, 4, 50, 97])
def test_a_stream_fed_in_any_pieces_equals_the_whole(
    network: nn.Module, chunk: int, ahead: int, frames: int
) -> None:
    features = drawn(frames)
    whole = encoded(network, features, chunk, ahead)
    assert len(whole) == -(-frames // 4)
    rng = np.random.default_rng(frames)
    stream = network.stream(chunk, ahead)
    for _ in range(2):
        cuts = np.sort(rng.integers(0, frames + 1, 9)).tolist()
        pieces = [stream.push(part) for part in features.tensor_split(cuts)]
        found = torch.cat([*pieces, stream.finish()])
        torch.testing.assert_close(found, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("chunk", "ahead"), SETTINGS)
def test_a_state_hears_its_chunk_and_the_look_ahead_and_nothing_later(
    network: nn.Module, chunk: int, ahead: int
) -> None:
    features = drawn(80)
    before = encoded(network, features, chunk, ahead)
    reached = 0
    for frame in range(0, 80, 5):
        other = features.clone()
        other[frame:] = drawn(80 - frame, seed=2)
        moved = (encoded(network, other, chunk, ahead) - before).abs().amax(-1)
        first = next(j for j in range(20) if 4 * ((j // chunk + 1) * chunk + ahead) > frame)
        assert moved[:first].sum() <= 1e-6
        reached += bool(moved[first] > 1e-4)
    assert reached == 16, "and it does hear all of that"


def test_states_come_as_soon_as_their_look_ahead_is_heard(network: nn.Module) -> None:
    stream, known = network.stream(3, 2), []
    for frame in drawn(60):
        known.append(len(stream.push(frame[None])))
    heard = np.cumsum(known)
    expected = [max(0, (frame // 4 - 2) // 3 * 3) for frame in range(1, 61)]
    assert heard.tolist() == expected


def test_left_context_is_bounded(network: nn.Module) -> None:
    features = drawn(400)
    other = features.clone()
    other[:40] = drawn(40, seed=5)
    moved = (encoded(network, features, 3, 2) - encoded(network, other, 3, 2)).abs().amax(-1)
    reach = 10 + 2 * (TEST.left_frames + 3) + 2 * (TEST.conv_kernel - 1)
    assert moved[8] > 1e-4
    assert moved[reach:].max() == 0


@pytest.mark.parametrize("variant", ["test", "test-ctc"])
def test_padding_changes_nothing_whatever_it_holds(variant: str) -> None:
    torch.manual_seed(2)
    network = build(VARIANTS[variant].config).eval()
    lengths = torch.tensor([50, 33, 1, 21])
    features = torch.full((4, 50, TEST.n_mels), float("nan"))
    for i, length in enumerate(lengths.tolist()):
        features[i, :length] = drawn(length, seed=i)
    targets = torch.tensor([[1, 2, 3]] * 4)
    with torch.no_grad():
        found, counts = network(features, lengths, targets)
        assert counts.tolist() == [13, 9, 1, 6]
        for i, length in enumerate(lengths.tolist()):
            own = features[i : i + 1, :length]
            alone, _ = network(own, lengths[i : i + 1], targets[i : i + 1])
            torch.testing.assert_close(found[i, : counts[i]], alone[0], atol=1e-5, rtol=0)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("predictor", ["lstm", "stateless"])
def test_predictor_step_by_step_equals_at_once(predictor: str) -> None:
    torch.manual_seed(3)
    network = build(changed(predictor=predictor)).eval()
    tokens = torch.tensor([[0, 3, 3, 1, 7], [0, 1, 2, 3, 4]])
    whole, _ = network.predictor(tokens)
    past, steps = None, []
    for token in tokens.T:
        found, past = network.predictor(token[:, None], past)
        steps.append(found)
    torch.testing.assert_close(torch.cat(steps, 1), whole, atol=1e-6, rtol=0)


def test_a_stateless_predictor_sees_two_tokens() -> None:
    torch.manual_seed(3)
    network = build(changed(predictor="stateless")).eval()
    found, _ = network.predictor(torch.tensor([[0, 5, 1, 2], [0, 9, 1, 2]]))
    torch.testing.assert_close(found[0, 3], found[1, 3], atol=0, rtol=0)
    assert (found[0, 2] - found[1, 2]).abs().max() > 1e-3


def test_joined_is_a_column_of_the_lattice(network: nn.Module) -> None:
    features, targets = drawn(24)[None], torch.tensor([[4, 2, 9]])
    logits, _ = network(features, torch.tensor([24]), targets)
    states, _ = network.encode(features, torch.tensor([24]))
    predicted, _ = network.predictor(torch.tensor([[0, 4, 2, 9]]))
    found = network.joined(states[0, 3], network.from_predictor(predicted[0]))
    torch.testing.assert_close(found, logits[0, 3].log_softmax(-1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("values", [{}, {"predictor": "stateless"}, {"head": "ctc"}])
def test_a_gradient_reaches_every_parameter(values: dict[str, object]) -> None:
    torch.manual_seed(0)
    network = build(changed(**values))
    found, _ = network(drawn(40)[None], torch.tensor([40]), torch.tensor([[1, 2, 3]]))
    (found * torch.randn_like(found)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_training_draws_chunks_and_evaluation_does_not() -> None:
    network = build(changed(vary_chunks=True))
    torch.manual_seed(0)
    drawn_ones = {(network.chunks().size, network.chunks().ahead) for _ in range(60)}
    assert {size for size, _ in drawn_ones} == set(range(1, 7))
    assert {ahead for _, ahead in drawn_ones} == {0, 1, 2}
    network.eval()
    assert (network.chunks().size, network.chunks().ahead) == (3, 2)
    assert network.chunks(5, 0).size == 5


def digits(examples_rate: int = 16000) -> tuple[Tensor, Tensor, list[list[int]]]:
    """Three clips of tones, a token each: sound made here, of three lengths."""
    texts = [[1, 2, 3], [4, 1], [5, 4, 2, 1]]
    options = LogMelOptions(MelOptions(n_mels=16), "ln")
    rows = []
    for text in texts:
        time = np.arange(examples_rate * 3 // 10) / examples_rate
        parts = [
            np.sin(2 * np.pi * 300 * 1.5**token * time) * np.hanning(time.size) for token in text
        ]
        rows.append(log_mel(np.concatenate(parts).astype(np.float32), options).T)
    lengths = torch.tensor([len(row) for row in rows])
    features = torch.zeros(3, int(lengths.max()), 16)
    for i, row in enumerate(rows):
        features[i, : len(row)] = torch.from_numpy(np.ascontiguousarray(row))
    return features, lengths, texts


def ctc(network: nn.Module, batch: Batch) -> Tensor:
    log_probs, lengths = network(batch.features, batch.lengths)
    return functional.ctc_loss(
        log_probs.transpose(0, 1), batch.targets, lengths, batch.target_lengths, reduction="sum"
    )


@pytest.mark.parametrize("head", ["transducer", "ctc"])
def test_both_heads_learn_three_clips(head: str) -> None:
    from aural.decode import ctc as ctc_search
    from aural.decode.transducer import TransducerOptions, decode
    from aural.nn.transducer_recogniser import NetworkJoiner

    torch.manual_seed(0)
    network = build(changed(head=head, feature_mean=-12.0, feature_scale=6.0))
    features, lengths, texts = digits()
    counts = torch.tensor([len(text) for text in texts])
    targets = nn.utils.rnn.pad_sequence([torch.tensor(text) for text in texts], batch_first=True)
    batch = Batch(features, lengths, targets, counts)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(70):
        optimizer.zero_grad()
        loss = transducer(network, batch).total if head == "transducer" else ctc(network, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
    network.eval()
    with torch.inference_mode():
        states, reduced = network.encode(features, lengths)
        for i, text in enumerate(texts):
            own = states[i, : reduced[i]]
            if head == "ctc":
                (greedy,) = ctc_search.greedy(network.log_probs(own).numpy())
                found = greedy.tokens
            else:
                options = TransducerOptions(beam_size=4)
                found = decode(own.numpy(), NetworkJoiner(network), options).tokens
            assert found == tuple(text)


def test_what_can_not_be_is_refused(network: nn.Module) -> None:
    for values, message in (
        ({"heads": 5}, "d_model is 24; give a multiple of heads"),
        ({"chunk_frames": 0}, "chunk_frames is 0; give 1 to 1000"),
        ({"look_ahead_frames": -1}, "look_ahead_frames is -1"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"feature_scale": 0.0}, "feature_scale is 0.0"),
        ({"tokens": 1}, "tokens is 1"),
    ):
        with pytest.raises(InputError, match=message):
            changed(**values)
    with pytest.raises(UnknownName, match="transducer, ctc"):
        changed(head="attention")
    with pytest.raises(UnknownName, match="lstm, stateless"):
        changed(predictor="gru")
    with pytest.raises(InputError, match="features are"):
        network.encode(torch.zeros(1, 5, 7), torch.tensor([5]))
    with pytest.raises(InputError, match="give floats, \\(frame, 16\\)"):
        network.stream().push(torch.zeros(5, 7))
    with pytest.raises(InputError, match="chunk_frames is 0"):
        network.stream(0)


def test_the_family_is_listed_with_its_shapes() -> None:
    assert models.find("transducer/test-ctc").config.head == "ctc"
    assert sum(p.numel() for p in build(TEST).parameters()) < 100_000
    with pytest.raises(InputError, match="shape without weights"):
        models.locate(models.find("transducer/small"))
