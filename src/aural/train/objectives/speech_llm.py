"""Cross-entropy of the texts' tokens, given the sound in the language model's prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aural.errors import InputError
from aural.train.batch import Batch, Losses

if TYPE_CHECKING:
    from aural.models.speech_llm.network import SpeechLLM


def speech_llm(network: SpeechLLM, batch: Batch, *, ctc_weight: float = 0.0) -> Losses:
    """Of a network called with (features, lengths, texts, ids, ctc_weight).

    CTC beside it, which counts ctc_weight and the writing the rest, wants each of the sound's
    tokens to lie near the embedding of a token of the text, in their order: what a language model
    that is not trained can read. It learns that from little sound, of which the cross-entropy
    alone learns mostly what texts there are; at 1 the language model is not run. A text longer than
    its sound's tokens has no CTC loss. weight is the texts' tokens and ends; the tokenizer is the
    language model's own, so batch.targets are not looked at. parts: "written" and "ctc".
    """
    if not 0 <= ctc_weight <= 1:
        raise InputError(f"ctc_weight is {ctc_weight}; give 0 to 1")
    if ctc_weight == 1 and network.config.train_language_model != "frozen":
        raise InputError(
            "ctc_weight is 1, under which the language model is not run, and train_language_model "
            f"is {network.config.train_language_model}; give frozen, or a ctc_weight below 1"
        )
    total, weight, parts = network(
        batch.features, batch.lengths, batch.texts, batch.ids, ctc_weight
    )
    return Losses(total, weight, parts)
