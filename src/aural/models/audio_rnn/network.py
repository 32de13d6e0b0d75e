"""The bidirectional LSTM in torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from aural.nn.masking import check_features

if TYPE_CHECKING:
    from aural.models.audio_rnn import Config


class AudioRNN(nn.Module):
    """Features to log probabilities of tokens. Items are packed, so that the direction that comes
    from the end begins at each item's own."""

    subsampling = 1

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.lstm = nn.LSTM(
            config.n_mels,
            config.hidden,
            config.layers,
            batch_first=True,
            bidirectional=True,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )
        self.output = nn.Linear(2 * config.hidden, config.tokens)

    def encode(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States (item, frame, 2 * hidden), 0 beyond lengths (item,), of features (item, frame,
        n_mels)."""
        check_features(features, lengths, self.config.n_mels)
        packed = pack_padded_sequence(
            features, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = pad_packed_sequence(
            self.lstm(packed)[0], batch_first=True, total_length=features.shape[1]
        )
        return states, lengths

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """log probabilities (item, frame, tokens) and lengths (item,)."""
        states, lengths = self.encode(features, lengths)
        return functional.log_softmax(self.output(states), dim=-1), lengths
