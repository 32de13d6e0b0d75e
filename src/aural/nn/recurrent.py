"""Recurrent layers that hear both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from aural.nn.masking import cleared, real_frames

if TYPE_CHECKING:
    from torch import Tensor


class BiLSTM(nn.Module):
    """Layers of LSTMs in both directions, each item by its own length: what torch's packed LSTM
    gives, whose gradient on a processor takes twenty times as long for several hundred frames.

    dropout: between layers, while training.
    """

    def __init__(self, inputs: int, hidden: int, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        widths = [inputs, *[2 * hidden] * (layers - 1)]
        self.onward = nn.ModuleList(nn.LSTM(width, hidden, batch_first=True) for width in widths)
        self.backward_ = nn.ModuleList(nn.LSTM(width, hidden, batch_first=True) for width in widths)
        self.dropout = nn.Dropout(dropout)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """(item, frame, inputs) to (item, frame, 2 * hidden), 0 beyond lengths (item,), whatever
        was there."""
        real = real_frames(lengths, values.shape[1])
        mirrored = _mirrored(real, lengths)
        states = cleared(values, real)
        for number, (onward, back) in enumerate(zip(self.onward, self.backward_, strict=True)):
            if number:
                states = self.dropout(states)
            turned = back(_taken(states, mirrored))[0]
            states = torch.cat((onward(states)[0], _taken(turned, mirrored)), dim=-1)
        return cleared(states, real)


def _mirrored(real: Tensor, lengths: Tensor) -> Tensor:
    """Of each frame the place from the item's end; padding stays where it is. (item, frame)."""
    places = torch.arange(real.shape[1], device=real.device).expand_as(real)
    return torch.where(real, lengths[:, None] - 1 - places, places)


def _taken(values: Tensor, places: Tensor) -> Tensor:
    return values.gather(1, places[..., None].expand(*places.shape, values.shape[-1]))
