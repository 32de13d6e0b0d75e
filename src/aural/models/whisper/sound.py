"""Whisper's torch encoder as speech_llm and others put it before something of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from aural.models.whisper.torch_form import WhisperEncoder, read_encoder
from aural.nn.exported import FeatureOptions
from aural.nn.sound_encoder import SoundEncoder

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


class LastLayer(nn.Module):
    """The encoder's last states, each recording by itself: what pads a batch is never heard."""

    def __init__(self, encoder: WhisperEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def encode(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(item, frame, n_mels) to (item, frame / 2, d_model)."""
        alone = [
            self.encoder(each[None, :length].transpose(1, 2))[-1][0]
            for each, length in zip(features, lengths.tolist(), strict=True)
        ]
        counts = torch.tensor([len(each) for each in alone], device=features.device)
        return pad_sequence(alone, batch_first=True), counts


def sound_encoder(directory: Path, name: str) -> SoundEncoder:
    """The encoder of a directory in CTranslate2's format, float32."""
    encoder = read_encoder(directory, "cpu")
    options = FeatureOptions(preset="whisper", n_mels=encoder.shape.n_mels, normalise="none")
    return SoundEncoder(name, LastLayer(encoder), options)
