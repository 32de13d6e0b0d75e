"""Masked normalisation and convolutions against torch's on each item alone."""

import pytest
import torch
from torch import nn

from aural.errors import InputError, UnknownName
from aural.nn.convolution import ConvModule, MaskedBatchNorm, Subsampling
from aural.nn.masking import check_features, cleared, real_frames


def test_batch_norm_is_torchs_over_the_real_frames() -> None:
    torch.manual_seed(0)
    ours, theirs = MaskedBatchNorm(4), nn.BatchNorm1d(4)
    with torch.no_grad():
        for each in (ours, theirs):
            each.weight.copy_(torch.tensor([1.0, 2.0, -1.0, 0.5]))
            each.bias.copy_(torch.tensor([0.0, 1.0, 2.0, 3.0]))
    lengths = torch.tensor([6, 3, 1])
    real = real_frames(lengths, 6)
    for step in range(3):
        x = 3 * torch.randn(3, 4, 6) + 5
        x.transpose(1, 2)[~real] = float("nan")
        flat = torch.cat([row[:, :n] for row, n in zip(x, lengths, strict=True)], dim=1)
        want = theirs(flat.T[..., None])[..., 0].T
        found = ours(x, real)
        kept = torch.cat([row[:, :n] for row, n in zip(found, lengths, strict=True)], dim=1)
        torch.testing.assert_close(kept, want, atol=1e-5, rtol=1e-5)
        assert (found.transpose(1, 2)[~real] == 0).all()
        torch.testing.assert_close(ours.mean, theirs.running_mean)
        torch.testing.assert_close(ours.variance, theirs.running_var)
        if step == 1:
            ours.eval()
            theirs.eval()


@pytest.mark.parametrize("kind", ["conv2d", "conv1d"])
@pytest.mark.parametrize("factor", [1, 2, 4, 8, 16])
def test_subsampling_has_ceil_frames_and_no_trace_of_padding(factor: int, kind: str) -> None:
    torch.manual_seed(0)
    front = Subsampling(5, 6, factor, kind=kind).eval()
    for frames in (1, 2, factor, factor + 1, 37):
        features = torch.randn(2, frames + 9, 5)
        lengths = torch.tensor([frames, frames + 9])
        features[0, frames:] = float("inf")
        states, reduced = front(features, lengths)
        assert reduced.tolist() == [-(-frames // factor), -(-(frames + 9) // factor)]
        alone, _ = front(features[:1, :frames], lengths[:1])
        torch.testing.assert_close(states[0, : reduced[0]], alone[0], atol=1e-6, rtol=1e-5)
        assert (states[0, reduced[0] :] == 0).all()


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_subsampling_reaches_no_further_than_its_own_frames(factor: int) -> None:
    torch.manual_seed(0)
    front = Subsampling(3, 4, factor).eval()
    features, lengths = torch.randn(1, 8 * factor, 3), torch.tensor([8 * factor])
    states, _ = front(features, lengths)
    features[:, 5 * factor :] += 1
    later, _ = front(features, lengths)
    assert torch.equal(states[:, :5], later[:, :5])
    assert not torch.allclose(states[:, 5], later[:, 5])


def test_conv_module_is_its_formula() -> None:
    torch.manual_seed(0)
    module = ConvModule(6, 5, norm="layer").eval()
    x, real = torch.randn(2, 7, 6), torch.ones(2, 7, dtype=torch.bool)
    gated = module.gate(x, real)
    found = module.convolve(torch.cat((gated.new_zeros(2, 2, 6), gated), 1), real)
    halves = x @ module.gated.weight.T + module.gated.bias
    heard = halves[..., :6] * torch.sigmoid(halves[..., 6:])
    want = torch.zeros_like(heard)
    for frame in range(7):
        for tap in range(5):
            if 0 <= frame + tap - 2 < 7:
                want[:, frame] += heard[:, frame + tap - 2] * module.depthwise.weight[:, 0, tap]
    want = module.norm(want + module.depthwise.bias)
    want = (want * torch.sigmoid(want)) @ module.out.weight.T + module.out.bias
    torch.testing.assert_close(found, want, atol=1e-5, rtol=1e-5)


def test_masks() -> None:
    assert real_frames(torch.tensor([0, 2]), 3).tolist() == [[False] * 3, [True, True, False]]
    values = torch.full((1, 2, 2, 2), float("nan"))
    found = cleared(values, torch.tensor([[True, False]]))
    assert found[0, 0].isnan().all()
    assert (found[0, 1] == 0).all()
    check_features(torch.zeros(1, 2, 3), torch.tensor([2]), 3)


def test_odd_options_are_told() -> None:
    with pytest.raises(InputError, match="subsampling is 3"):
        Subsampling(4, 4, 3)
    with pytest.raises(UnknownName, match="conv3d"):
        Subsampling(4, 4, 2, kind="conv3d")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="conv_kernel is 4; give an odd number"):
        ConvModule(4, 4)
    with pytest.raises(UnknownName, match="group"):
        ConvModule(4, 3, norm="group")  # type: ignore[arg-type]
