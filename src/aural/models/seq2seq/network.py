"""The encoder-decoder in torch: encoders.py listens, decoders.py writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from aural.models.seq2seq.decoders import LstmDecoder, TransformerDecoder
from aural.models.seq2seq.encoders import ConvTransformer, Pyramid
from aural.nn.masking import check_features

if TYPE_CHECKING:
    from torch import Tensor

    from aural.models.seq2seq import Config

    Rows = tuple[Tensor, ...]


class Seq2Seq(nn.Module):
    """Log probabilities of the next token, of all texts at once or one token after the other.

    A search calls `memory` once, then `first` and `step`; what they give are tuples of tensors with
    a row a text, so that texts are chosen, dropped and doubled by indexing each.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = Pyramid(config) if config.encoder == "bilstm" else ConvTransformer(config)
        decoder = LstmDecoder if config.decoder == "lstm" else TransformerDecoder
        self.decoder = decoder(config)
        self.ctc = nn.Linear(config.d_model, config.tokens) if config.ctc else None

    def encode(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States (item, frame', d_model) and how many of each item's are real, of features
        (item, frame, n_mels) and lengths (item,)."""
        check_features(features, lengths, self.config.n_mels)
        return self.encoder(features, lengths)

    def forward(
        self, features: Tensor, lengths: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """What comes after each beginning of targets (item, token), padded with 0.

        Log probabilities (item, token + 1, tokens); those of the encoder's CTC head (item, frame',
        tokens), None without one; and the states' lengths.
        """
        states, reduced = self.encode(features, lengths)
        told = self.decoder(_begun(targets), *self.decoder.memory(states, reduced))
        heard = None if self.ctc is None else functional.log_softmax(self.ctc(states), dim=-1)
        return functional.log_softmax(told, dim=-1), heard, reduced

    def aligned(self, targets: Tensor, memory: Rows) -> tuple[Tensor, Tensor]:
        """Log probabilities (item, token + 1, tokens) of known texts, and of each token, the end
        too, the shares of attention (item, token + 1, frame'), which sum to 1."""
        told, shares = self.decoder.aligned(_begun(targets), *memory)
        return functional.log_softmax(told, dim=-1), shares

    def memory(self, states: Tensor, lengths: Tensor) -> Rows:
        """What the decoder attends to, the same for all its steps."""
        return self.decoder.memory(states, lengths)

    def first(self, memory: Rows) -> tuple[Tensor, Rows]:
        """Log probabilities (row, tokens) of the first token, and what to go on from."""
        tokens = torch.zeros(len(memory[0]), dtype=torch.int64, device=memory[0].device)
        return self.step(tokens, memory, self.decoder.start(memory))

    def step(self, tokens: Tensor, memory: Rows, cache: Rows) -> tuple[Tensor, Rows]:
        """Log probabilities (row, tokens) after one more token each, tokens (row,)."""
        told, cache = self.decoder.step(tokens, memory, cache)
        return functional.log_softmax(told, dim=-1), cache


def _begun(targets: Tensor) -> Tensor:
    """Targets with the start before them, (item, token + 1)."""
    return functional.pad(targets, (1, 0))
