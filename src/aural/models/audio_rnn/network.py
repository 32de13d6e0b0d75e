"""The bidirectional LSTM in torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from aural.nn.masking import check_features
from aural.nn.recurrent import BiLSTM

if TYPE_CHECKING:
    from aural.models.audio_rnn import Config


class AudioRNN(nn.Module):
    """Features to log probabilities of tokens. The direction that comes from the end begins at each
    item's own."""

    subsampling = 1

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.lstm = BiLSTM(config.n_mels, config.hidden, config.layers, config.dropout)
        self.output = nn.Linear(2 * config.hidden, config.tokens)

    def encode(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States (item, frame, 2 * hidden), 0 beyond lengths (item,), of features (item, frame,
        n_mels)."""
        check_features(features, lengths, self.config.n_mels)
        return self.lstm(features, lengths), lengths

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """log probabilities (item, frame, tokens) and lengths (item,)."""
        states, lengths = self.encode(features, lengths)
        return functional.log_softmax(self.output(states), dim=-1), lengths
