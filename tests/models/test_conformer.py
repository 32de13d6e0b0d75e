"""Conformer: its block is Gulati's (transformers has another), a stream is the whole in chunks, and
hama's weights say what hama's engine says."""

import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from aural import models
from aural.errors import InputError
from aural.models.conformer import VARIANTS, Chunks, Config, build
from aural.models.conformer.hama import MAGIC, read_container, read_tokenizer
from aural.models.conformer.network import Conformer
from aural.nn.recogniser import CTCRecogniser, FrameScorer

TEST = VARIANTS["test"].config
REFERENCE = json.loads((Path(__file__).parent / "data" / "hama_frames.json").read_text("utf-8"))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network_of(config: Config, seed: int = 0) -> Conformer:
    """Its biases, positions and statistics away from where they begin."""
    torch.manual_seed(seed)
    network = build(config)
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1 or "bias" in name:
            nn.init.normal_(parameter, mean=float("norm.weight" in name), std=0.2)
    for name, buffer in network.named_buffers():
        buffer.copy_(torch.rand(buffer.shape) + 0.5)
        assert name.endswith(("mean", "variance"))
    return network.eval()


def transformers_layer(config: Config) -> Any:
    from transformers import Wav2Vec2ConformerConfig
    from transformers.models.wav2vec2_conformer import modeling_wav2vec2_conformer as reference

    given = Wav2Vec2ConformerConfig(
        hidden_size=config.d_model,
        num_attention_heads=config.heads,
        intermediate_size=config.inner,
        hidden_act="swish",
        conv_depthwise_kernel_size=config.conv_kernel,
        position_embeddings_type="relative",
    )
    given._attn_implementation = "eager"
    layer = reference.Wav2Vec2ConformerEncoderLayer(given).eval()
    return layer, reference.Wav2Vec2ConformerRelPositionalEmbedding(given)


def test_a_block_is_that_of_transformers() -> None:
    """Their projections of the convolution have no bias, and their keys' bias changes nothing."""
    network = network_of(replace(TEST, layers=1))
    (block,) = network.blocks
    layer, embed = transformers_layer(network.config)
    pairs = {
        "ffn1_layer_norm": block.first.norm,
        "ffn1.intermediate_dense": block.first.up,
        "ffn1.output_dense": block.first.down,
        "self_attn_layer_norm": block.attention_norm,
        "self_attn.linear_q": block.attention.query,
        "self_attn.linear_k": block.attention.key,
        "self_attn.linear_v": block.attention.value,
        "self_attn.linear_out": block.attention.out,
        "self_attn.linear_pos": block.attention.position,
        "conv_module.layer_norm": block.conv_norm,
        "conv_module.pointwise_conv1": block.conv.gated,
        "conv_module.depthwise_conv": block.conv.depthwise,
        "conv_module.pointwise_conv2": block.conv.out,
        "conv_module.batch_norm": block.conv.norm,
        "ffn2_layer_norm": block.second.norm,
        "ffn2.intermediate_dense": block.second.up,
        "ffn2.output_dense": block.second.down,
        "final_layer_norm": block.norm,
    }
    with torch.no_grad():
        block.conv.gated.bias.zero_()
        block.conv.out.bias.zero_()
        layer.self_attn.pos_bias_u.copy_(block.attention.content_bias[:, 0])
        layer.self_attn.pos_bias_v.copy_(block.attention.position_bias[:, 0])
        for name, ours in pairs.items():
            theirs = layer.get_submodule(name)
            theirs.weight.copy_(ours.weight.reshape(theirs.weight.shape))
            if theirs.bias is not None and ours.bias is not None:
                theirs.bias.copy_(ours.bias)
        layer.conv_module.batch_norm.running_mean.copy_(block.conv.norm.mean)
        layer.conv_module.batch_norm.running_var.copy_(block.conv.norm.variance)
        x = torch.randn(2, 23, TEST.d_model)
        want = layer(x, relative_position_embeddings=embed(x))
        chunks, lengths = Chunks(), torch.tensor([23, 23])
        found, _ = network.encode_chunks(x, lengths, chunks, network.start(x, chunks), 23)
    torch.testing.assert_close(found, want, atol=2e-5, rtol=1e-4)


OTHER = replace(TEST, conv_norm="layer", subsampling=2)
CHUNKS = [Chunks(4, 6, 2), Chunks(1, 3), Chunks(3, 0, 5), Chunks(5, 40, 1), Chunks(2)]


def pieces(features: Tensor, sizes: list[int]) -> list[Tensor]:
    cuts = np.cumsum(sizes)
    return list(torch.tensor_split(features, cuts[cuts < len(features)].tolist()))


@pytest.mark.parametrize(
    ("config", "chunks"),
    [(TEST, chunks) for chunks in CHUNKS] + [(OTHER, CHUNKS[0])],
    ids=lambda value: str(value) if isinstance(value, Chunks) else value.conv_norm,
)
def test_a_stream_is_the_whole_in_chunks(config: Config, chunks: Chunks) -> None:
    network = network_of(config)
    rng = np.random.default_rng(0)
    stream = network.stream(chunks)
    for frames in (1, 3, 53):
        features = torch.randn(frames, config.n_mels)
        with torch.no_grad():
            want, _ = network(features[None], torch.tensor([frames]), chunks)
        for sizes in ([frames], [1] * frames, rng.integers(0, 20, frames).tolist()):
            found = [stream.push(piece) for piece in pieces(features, sizes)] + [stream.finish()]
            torch.testing.assert_close(torch.cat(found), want[0], atol=1e-5, rtol=1e-4)


def test_a_stream_waits_no_longer_than_it_says() -> None:
    network, chunks = network_of(TEST), Chunks(4, 6, 2)
    stream = network.stream(chunks)
    assert stream.delay_frames == 24
    told = [len(stream.push(torch.randn(1, 8))) for _ in range(60)]
    assert [i + 1 for i, count in enumerate(told) if count] == [24, 40, 56]
    assert set(told) == {0, 4}


@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
def test_what_comes_later_changes_nothing_told(chunks: Chunks) -> None:
    """A frame hears its chunk and the look-ahead, whatever the number of layers, and no more."""
    network, factor = network_of(replace(TEST, layers=3)), TEST.subsampling
    features, lengths = torch.randn(1, 96, 8), torch.tensor([96])
    with torch.no_grad():
        before, _ = network(features, lengths, chunks)
        for place in (0, 29, 50, 95):
            changed = features.clone()
            changed[:, place:] += 1.0
            after, _ = network(changed, lengths, chunks)
            heard = place // factor  # the first frame that is another
            chunk = max(0, heard - chunks.look_ahead) // chunks.size
            same = chunk * chunks.size
            assert torch.equal(before[:, :same], after[:, :same])
            assert not torch.equal(before[:, : same + chunks.size], after[:, : same + chunks.size])


def test_one_chunk_of_all_is_the_whole() -> None:
    network = network_of(TEST)
    features, lengths = torch.randn(2, 40, 8), torch.tensor([40, 33])
    with torch.no_grad():
        whole, _ = network(features, lengths)
        (chunked, _) = network(features, lengths, Chunks(10))
        less, _ = network(features, lengths, Chunks(5, 3))
    torch.testing.assert_close(chunked, whole, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(less, whole, atol=1e-3)


def test_left_context_is_as_far_as_it_says() -> None:
    """With attention alone and one layer: a frame hears left frames before its chunk."""
    config = replace(TEST, layers=1, conv_kernel=1, subsampling=1)
    network, chunks = network_of(config), Chunks(2, 3)
    features, lengths = torch.randn(1, 12, 8), torch.tensor([12])
    with torch.no_grad():
        before, _ = network(features, lengths, chunks)
        features[:, 4] += 1.0
        after, _ = network(features, lengths, chunks)
    changed = [i for i in range(12) if not torch.equal(before[0, i], after[0, i])]
    assert changed == [4, 5, 6, 7]  # chunk (8, 9) hears 5, 6 and 7


def test_configuration_decides_the_chunks() -> None:
    streaming = VARIANTS["test-streaming"].config
    network = network_of(streaming)
    features, lengths = torch.randn(1, 64, 8), torch.tensor([64])
    with torch.no_grad():
        told, _ = network(features, lengths)
        explicit, _ = network(features, lengths, Chunks(4, 6, 2))
    assert torch.equal(told, explicit)
    assert len(network.stream().push(features[0])) == 12
    for wrong in (Chunks(), None):
        with pytest.raises(InputError, match="chunk_size is 0"):
            network_of(TEST).stream(wrong)
    with pytest.raises(InputError, match="call eval"):
        network.train().stream()
    with pytest.raises(InputError, match="features have shape"):
        network.eval().stream().push(torch.zeros(3, 9))


@pytest.mark.parametrize(
    "given",
    [
        {"d_model": 15, "heads": 3},
        {"heads": 0},
        {"conv_kernel": 4},
        {"dropout": 1.0},
        {"chunk_size": -1},
        {"left_context": 3},
        {"tokens": 1},
    ],
    ids=str,
)
def test_odd_configurations_are_told(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"; give "):
        replace(TEST, **given)


@pytest.fixture(scope="module")
def hama() -> CTCRecogniser:
    model: CTCRecogniser = models.load("conformer/hama", FrameScorer, device="cpu", threads=1)
    return model


@pytest.mark.parametrize("name", sorted(REFERENCE["frames"]))
def test_hama_is_as_its_own_engine(hama: CTCRecogniser, examples: Path, name: str) -> None:
    """The likeliest token of every frame; log probabilities to 0.01, as engine and file differ in
    how they round."""
    samples, rate = soundfile.read(examples / name, dtype="float32")
    assert rate == hama.sample_rate
    scores = hama.log_probs(samples)
    assert scores.shape == (-(-(1 + samples.size // 160) // 2), 191)
    assert hama.frame_rate == 50
    theirs = (scores.argmax(axis=1) - 1) % 191  # theirs has the blank last
    assert theirs.tolist() == REFERENCE["frames"][name]
    np.testing.assert_allclose(scores.max(axis=1)[::25], REFERENCE["log_probs"][name], atol=0.01)


def test_hama_writes_phonemes(hama: CTCRecogniser, examples: Path) -> None:
    samples, _ = soundfile.read(examples / "sense_and_sensibility_0870.flac", dtype="float32")
    (found,) = hama.recognise([samples])
    said = [word.text for word in found.segment.words]
    assert said[:5] == [" ænd", " mɝɹə", " d͡ʒɑn", " dæʃwʊd", " hæd"]
    assert found.language == "und"
    assert [w.start for w in found.segment.words] == sorted(w.start for w in found.segment.words)
    assert sum(p.numel() for p in hama.network.parameters()) == 2_003_519
    assert hama.log_probs(samples[:1]).shape == (1, 191)


def container(*tensors: tuple[str, int, tuple[int, ...], int, int], data: bytes = b"") -> bytes:
    head = MAGIC + struct.pack("<I", len(tensors))
    for name, kind, shape, offset, size in tensors:
        written = name.encode()
        head += struct.pack("<H", len(written)) + written + struct.pack("<BB", kind, len(shape))
        head += struct.pack(f"<{len(shape)}I", *shape) + struct.pack("<QQ", offset, size)
    return head + bytes(-len(head) % 16) + data


def test_a_container(tmp_path: Path) -> None:
    path = tmp_path / "asr_waveform.hama"
    one, two = np.arange(3, dtype="<f4"), np.array([[1.5], [-2.0]], "<f2")
    data = one.tobytes() + two.tobytes()
    path.write_bytes(container(("a", 0, (3,), 0, 12), ("b", 1, (2, 1), 12, 4), data=data))
    found = read_container(path)
    assert {name: each.tolist() for name, each in found.items()} == {
        "a": [0, 1, 2],
        "b": [[1.5], [-2.0]],
    }
    assert {each.dtype for each in found.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"HAMAPK\x02\x02\0\0\0\0",
        MAGIC,
        MAGIC + struct.pack("<I", 5),
        MAGIC + struct.pack("<I", 1 << 31),
        container(("a", 0, (3,), 0, 12), data=bytes(8)),
        container(("a", 0, (3,), 1 << 62, 12), data=bytes(12)),
        container(("a", 0, (3,), 0, 8), data=bytes(12)),
        container(("a", 0, (1 << 31, 1 << 31), 0, 16), data=bytes(16)),
        container(("a", 7, (3,), 0, 12), data=bytes(12)),
        container(("a", 0, (1,) * 9, 0, 4), data=bytes(4)),
    ],
)
def test_what_is_no_container_is_told(tmp_path: Path, written: bytes) -> None:
    path = tmp_path / "asr_waveform.hama"
    path.write_bytes(written)
    with pytest.raises(InputError, match=r"asr_waveform.hama: "):
        read_container(path)


def test_what_is_not_hamas_is_told(tmp_path: Path) -> None:
    (tmp_path / "asr_waveform.hama").write_bytes(
        container(("mel_fb", 0, (1,), 0, 4), data=bytes(4))
    )
    with pytest.raises(InputError, match="not the tensors of hama's Conformer"):
        models.family("conformer").load(
            tmp_path, VARIANTS["hama"].config, device="cpu", compute_type="auto", threads=0
        )
    (tmp_path / "g2p_vocab.json").write_text('{"encoder": []}')
    with pytest.raises(InputError, match="not hama's list of tokens"):
        read_tokenizer(tmp_path / "g2p_vocab.json")
    with pytest.raises(InputError, match=r"nothing: can't be read"):
        read_container(tmp_path / "nothing")


def test_tensors_that_share_bytes_take_no_more_memory_than_the_file(tmp_path: Path) -> None:
    """1024 of them, each the whole file: 64 GB of float32, from 32 MB."""
    size = 1 << 20
    many = [(f"{i}", 1, (size // 2,), 0, size) for i in range(1024)]
    path = tmp_path / "x.hama"
    path.write_bytes(container(*many, data=bytes(size)))
    with pytest.raises(InputError, match="share bytes"):
        read_container(path)
