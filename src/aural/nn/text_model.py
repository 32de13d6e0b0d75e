"""What a network of sound needs of a language model that writes for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn


class TextModel(Protocol):
    """A causal language model that takes embeddings, and its tokenizer.

    network(inputs_embeds, attention_mask, position_ids, logits_to_keep).logits and
    network.generate are as transformers' causal language models have them.
    """

    network: nn.Module
    width: int
    """Of an embedding."""
    end: int
    """The token after an answer."""

    def ids(self, text: str) -> list[int]:
        """Token numbers of a text, nothing put before or after it."""
        ...

    def text(self, ids: Sequence[int]) -> str:
        """The text of token numbers, without special ones."""
        ...

    def embedded(self, ids: Tensor) -> Tensor:
        """Embeddings of token numbers: one dimension more, of width."""
        ...

    def chat(self, system: str, user: str) -> str:
        """What stands before the answer, by the model's own chat template where it has one."""
        ...
