"""audio_rnn, jasper and transformer_ctc: their sizes, and what each is, written out another way."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from aural import models
from aural.errors import InputError
from aural.models import audio_rnn, jasper, transformer_ctc


def parameters(name: str) -> int:
    family, variant = name.split("/")
    module = models.family(family)
    with torch.device("meta"):
        network = module.build(module.VARIANTS[variant].config)
    return sum(value.numel() for value in network.parameters())


def test_audio_rnn_is_as_large_as_the_tutorials() -> None:
    """Gates of an LSTM: 4 hidden (input + hidden + 2), of two directions and two layers."""
    first, second = (2 * 4 * 256 * (width + 256 + 2) for width in (64, 512))
    assert parameters("audio_rnn/tutorial") == first + second + 29 * 513 == 2_251_293


def test_audio_rnn_is_an_lstm_over_the_items_own_frames() -> None:
    torch.manual_seed(0)
    network = audio_rnn.build(audio_rnn.VARIANTS["test"].config).eval()
    features, lengths = torch.randn(2, 9, 8), torch.tensor([4, 9])
    log_probs, _ = network(features, lengths)
    states = network.lstm(features[:1, :4], torch.tensor([4]))
    want = network.output(states).log_softmax(-1)
    torch.testing.assert_close(log_probs[:1, :4], want, atol=1e-6, rtol=1e-5)


def jasper_parameters(tokens: int = 29) -> int:
    """Of the paper's table (Li et al. 2019, table 1): 10 blocks of 5, with dense residuals; a
    convolution has no bias, its normalisation two numbers a channel."""

    def layer(kernel: int, channels: int, made: int) -> int:
        return kernel * channels * made + 2 * made

    table = [(11, 256), (13, 384), (17, 512), (21, 640), (25, 768)]
    widths, total = [256], layer(11, 64, 256)
    for kernel, made in [row for row in table for _ in range(2)]:
        total += layer(kernel, widths[-1], made) + 4 * layer(kernel, made, made)
        total += sum(layer(1, width, made) for width in widths)
        widths.append(made)
    return total + layer(29, 768, 896) + layer(1, 896, 1024) + 1024 * tokens + tokens


def test_jasper_is_as_large_as_in_the_paper() -> None:
    assert parameters("jasper/10x5") == jasper_parameters()
    assert round(jasper_parameters() / 1e6) == 333


def test_jasper_is_the_papers_blocks() -> None:
    """The forward written out with torch's own layers, of one item, in evaluation mode."""
    torch.manual_seed(0)
    network = jasper.build(jasper.VARIANTS["test"].config).eval()
    for buffer in network.buffers():
        buffer.copy_(torch.rand(buffer.shape) + 0.5)

    def heard(layer: Any, x: torch.Tensor, dilation: int = 1, stride: int = 1) -> torch.Tensor:
        weight, norm = layer.conv.weight, layer.norm
        x = nn.functional.conv1d(
            x, weight, None, stride, dilation * (weight.shape[2] // 2), dilation
        )
        return nn.functional.batch_norm(
            x, norm.mean, norm.variance, norm.weight, norm.bias, eps=1e-3
        )

    features = torch.randn(1, 31, 8)
    x = heard(network.first, features.transpose(1, 2), stride=2).relu()
    given = [x]
    for block in network.blocks:
        first, last = block.convolutions
        x = heard(last, heard(first, given[-1]).relu())
        for residual, earlier in zip(block.residuals, given, strict=True):
            x = x + heard(residual, earlier)
        given.append(x.relu())
    x = heard(network.last, heard(network.wide, given[-1], dilation=2).relu()).relu()
    want = network.output(x.transpose(1, 2)).log_softmax(-1)
    found, lengths = network(features, torch.tensor([31]))
    assert lengths.tolist() == [16]
    torch.testing.assert_close(found, want, atol=1e-5, rtol=1e-4)


def test_transformer_blocks_are_torchs() -> None:
    torch.manual_seed(0)
    config = transformer_ctc.VARIANTS["test"].config
    network = transformer_ctc.build(config).eval()
    x, real = torch.randn(2, 7, 16), torch.arange(7) < torch.tensor([[7], [4]])
    for block in network.blocks:
        theirs = nn.TransformerEncoderLayer(16, 2, 32, norm_first=True, batch_first=True).eval()
        attention = block.attention
        parts = (attention.query, attention.key, attention.value)
        with torch.no_grad():
            theirs.self_attn.in_proj_weight.copy_(torch.cat([each.weight for each in parts]))
            theirs.self_attn.in_proj_bias.copy_(
                torch.cat((attention.query.bias, torch.zeros(16), attention.value.bias))
            )
        theirs.self_attn.out_proj.load_state_dict(attention.out.state_dict())
        for name, ours in (
            ("linear1", block.up),
            ("linear2", block.down),
            ("norm1", block.attention_norm),
            ("norm2", block.feed_forward_norm),
        ):
            theirs.get_submodule(name).load_state_dict(ours.state_dict())
        with torch.no_grad():
            want = theirs(x, src_key_padding_mask=~real)
            found = block(x, real)
        torch.testing.assert_close(found[real], want[real], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("config", "given"),
    [
        (audio_rnn.Config(), {"dropout": 1.0}),
        (audio_rnn.Config(), {"hidden": 0}),
        (jasper.Config(), {"kernels": (11, 13)}),
        (jasper.Config(), {"wide_kernel": 28}),
        (jasper.Config(), {"last_channels": (1,)}),
        (jasper.Config(), {"last_dropout": -0.1}),
        (jasper.Config(), {"repeats": 0}),
        (transformer_ctc.Config(), {"d_model": 255}),
        (transformer_ctc.Config(), {"dropout": 1.0}),
        (transformer_ctc.Config(), {"layers": 0}),
    ],
    ids=str,
)
def test_odd_configurations_are_told(config: Any, given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"; give "):
        replace(config, **given)
