"""Which frames of a padded batch are real, so that padding never counts."""

from __future__ import annotations

import torch
from torch import Tensor

from aural.errors import InputError


def check_features(features: Tensor, lengths: Tensor, n_mels: int) -> None:
    """InputError unless features are float (item, frame, n_mels), with at least one item and one
    frame, and lengths whole numbers (item,) of 1 to frame."""
    shape = tuple(features.shape)
    if len(shape) != 3 or shape[2] != n_mels or 0 in shape or not features.is_floating_point():
        raise InputError(
            f"features are {features.dtype} of shape {shape}; give floats (item, frame, {n_mels}), "
            "at least one item and one frame"
        )
    if lengths.shape != shape[:1] or lengths.is_floating_point():
        raise InputError(
            f"lengths are {lengths.dtype} of shape {tuple(lengths.shape)}; give whole numbers "
            f"({shape[0]},)"
        )
    least, most = (int(value) for value in torch.aminmax(lengths))
    if not 1 <= least <= most <= shape[1]:
        raise InputError(f"lengths are {least} to {most}; give 1 to {shape[1]}, the frames there")


def real_frames(lengths: Tensor, frames: int) -> Tensor:
    """bool, shape = (item, frames): True for as many frames as lengths says, then False."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def cleared(values: Tensor, real: Tensor) -> Tensor:
    """values (item, frame, ...) with 0 where real (item, frame) is False, whatever was there."""
    return values.masked_fill(~real.reshape(*real.shape, *[1] * (values.ndim - 2)), 0.0)
