"""Encoder, projector and language model as one network, of which only some is trained."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from aural.decode.loop import without_loop
from aural.errors import InputError
from aural.models.speech_llm.parts import (
    checked_width,
    language_model,
    prepare,
    sound_encoder,
    trained_names,
)
from aural.models.speech_llm.projectors import projector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from aural.models.speech_llm import Config
    from aural.nn.sound_encoder import SoundEncoder
    from aural.nn.text_model import TextModel

SOUND = "<audio>"
IGNORED = -100
MAX_REMEMBERED_BYTES = 2 << 30
COSINE_SCALE = 20.0
LONGEST_TURN, SHORTEST_LOOP = 16, 8


class SpeechLLM(nn.Module):
    """Features in, log probabilities of the text's tokens out.

    Its state holds only the weights that training may change: the projector's, and LoRA's or all
    of what is adapted. States of a frozen encoder are kept per recording and what is heard of it,
    up to MAX_REMEMBERED_BYTES of them, while `remember` is set and the recordings have ids.
    """

    def __init__(self, config: Config, encoder: SoundEncoder, llm: TextModel) -> None:
        super().__init__()
        self.config, self.features, self.llm = config, encoder.features, llm
        width = checked_width(config, encoder, llm)
        embeddings: Any = llm.network.get_input_embeddings()  # type: ignore[operator]
        size = float(embeddings.weight.detach().float().square().mean().sqrt())
        self.projector = projector(config, width, llm.width, size)
        self.encoder, self.language_model = encoder.network, llm.network
        rank, alpha = config.lora_rank, config.lora_alpha
        prepare(self.encoder, config.train_encoder, rank, alpha)
        prepare(self.language_model, config.train_language_model, rank, alpha)
        self._trained = (
            {f"projector.{name}" for name, _ in self.projector.named_parameters()}
            | trained_names(self.encoder, "encoder.", config.train_encoder)
            | trained_names(self.language_model, "language_model.", config.train_language_model)
        )
        before, after = self._prompt()
        self._before, self._after = llm.ids(before), llm.ids(after)
        self.remember = True
        self._known: dict[tuple[str, bytes], Tensor] = {}
        self._room = MAX_REMEMBERED_BYTES

    def _prompt(self) -> tuple[str, str]:
        """What stands before the sound and after it."""
        words = self.config.user_prompt
        words = words if SOUND in words else SOUND + words
        before, found, after = self.llm.chat(self.config.system_prompt, words).partition(SOUND)
        if not found:
            raise InputError(
                f"the chat template of {self.config.language_model} leaves the user's words out"
            )
        return before, after

    def train(self, mode: bool = True) -> SpeechLLM:
        """Parts that are frozen stay in evaluation mode: their dropout would be noise."""
        super().train(mode)
        if self.config.train_encoder == "frozen":
            self.encoder.eval()
        if self.config.train_language_model == "frozen":
            self.language_model.eval()
        return self

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The weights that training may change."""
        whole = super().state_dict(*args, **kwargs)
        return {name: value for name, value in whole.items() if name in self._trained}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Fill the weights that training may change; with strict they must all be there."""
        if strict and set(state_dict) != self._trained:
            odd = sorted(set(state_dict) ^ self._trained)
            raise InputError(f"not the weights of this network: {', '.join(odd[:3])} and such")
        return super().load_state_dict(state_dict, strict=False, assign=assign)

    def heard(
        self, features: Tensor, lengths: Tensor, ids: Sequence[str] = ()
    ) -> tuple[Tensor, Tensor]:
        """Embeddings (item, token, llm_dim) of the sound, and their lengths."""
        if self.config.train_encoder != "frozen":
            return self.projector(*self.encoder.encode(features, lengths))  # type: ignore[operator]
        if not (self.remember and ids and all(ids)):
            with torch.no_grad():
                states, counts = self.encoder.encode(features, lengths)  # type: ignore[operator]
            return self.projector(states, counts)
        known = [
            self._remembered(name, features[i : i + 1], lengths[i : i + 1])
            for i, name in enumerate(ids)
        ]
        counts = torch.tensor([len(each) for each in known], device=features.device)
        return self.projector(pad_sequence(known, batch_first=True), counts)

    def _remembered(self, name: str, features: Tensor, length: Tensor) -> Tensor:
        """States (frame, width) of one recording, kept where there is room for them."""
        features = features[:, : int(length[0])]
        sound = hashlib.blake2b(features.contiguous().cpu().numpy().tobytes()).digest()
        if (name, sound) in self._known:
            return self._known[name, sound].to(features.device)
        with torch.no_grad():
            states: Tensor = self.encoder.encode(features, length)[0][0]  # type: ignore[operator]
        if states.nbytes <= self._room:
            self._room -= states.nbytes
            self._known[name, sound] = states
        return states

    def forward(
        self,
        features: Tensor,
        lengths: Tensor,
        texts: Sequence[str],
        ids: Sequence[str] = (),
        ctc_weight: float = 0.0,
    ) -> tuple[Tensor, int, dict[str, Tensor]]:
        """The loss, a sum; how many tokens it is of, ends included; and its parts.

        "written" is the sum of the negative log probabilities of the texts' tokens and their ends,
        "ctc" that of the texts in the sound's own tokens (`heard_as_text`). The loss is
        ctc_weight of this and the rest of that; a part of no weight is not computed.
        """
        sound, counts = self.heard(features, lengths, ids)
        told = [self.llm.ids(text.strip()) for text in texts]
        parts = {}
        if ctc_weight < 1:
            parts["written"] = self._written_loss(sound, counts, told)
        if ctc_weight > 0:
            parts["ctc"] = self._ctc_loss(sound, counts, told)
        shares = {"written": 1 - ctc_weight, "ctc": ctc_weight}
        total = torch.stack([shares[name] * value for name, value in parts.items()]).sum()
        weight = sum(len(tokens) + 1 for tokens in told)
        return total, weight, {name: value.detach() for name, value in parts.items()}

    def _written_loss(self, sound: Tensor, counts: Tensor, told: Sequence[list[int]]) -> Tensor:
        ended = [[*tokens, self.llm.end] for tokens in told]
        inputs, real = self._left_padded(
            [self._framed(row[:n], end) for row, n, end in zip(sound, counts, ended, strict=True)]
        )
        longest = max(map(len, ended))
        targets = torch.full((len(ended), longest), IGNORED, device=inputs.device)
        for row, tokens in zip(targets, ended, strict=True):
            row[longest - len(tokens) :] = torch.tensor(tokens, device=inputs.device)
        made = self.language_model(
            inputs_embeds=inputs,
            attention_mask=real.long(),
            position_ids=(real.cumsum(1) - 1).clamp(min=0),
            logits_to_keep=longest + 1,
            use_cache=False,
        )
        logits = made.logits[:, :-1].float().flatten(0, 1)
        return nn.functional.cross_entropy(
            logits, targets.flatten(), ignore_index=IGNORED, reduction="sum"
        )

    def _ctc_loss(self, sound: Tensor, counts: Tensor, told: Sequence[list[int]]) -> Tensor:
        return nn.functional.ctc_loss(
            self.heard_as_text(sound).transpose(0, 1),
            torch.tensor([token for tokens in told for token in tokens], device=sound.device),
            counts,
            torch.tensor([len(tokens) for tokens in told], device=sound.device),
            blank=self.llm.end,
            reduction="sum",
            zero_infinity=True,
        )

    def heard_as_text(self, sound: Tensor) -> Tensor:
        """Log probabilities (item, token, vocabulary) of what each embedding of the sound, (item,
        token, llm_dim), stands for: the softmax of COSINE_SCALE times its cosines with the language
        model's own embeddings. The end of an answer stands for nothing, as CTC's blank."""
        embeddings: Any = self.llm.network.get_input_embeddings()  # type: ignore[operator]
        known = nn.functional.normalize(embeddings.weight.detach().float(), dim=-1)
        near = nn.functional.normalize(sound.float(), dim=-1) @ known.T
        return (COSINE_SCALE * near).log_softmax(-1)

    def _left_padded(self, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """(item, token, llm_dim), all ends together, and where it is real."""
        longest = max(map(len, rows))
        inputs = torch.stack(
            [nn.functional.pad(row, (0, 0, longest - len(row), 0)) for row in rows]
        )
        sizes = torch.tensor([len(row) for row in rows], device=inputs.device)
        return inputs, torch.arange(longest, device=inputs.device) >= longest - sizes[:, None]

    def _framed(self, sound: Tensor, told: Sequence[int] = ()) -> Tensor:
        """(token, llm_dim): prompt, sound, prompt, and the tokens told."""
        parts = [self._before, None, [*self._after, *told]]
        made = [
            sound
            if part is None
            else self.llm.embedded(torch.tensor(part, dtype=torch.long, device=sound.device))
            for part in parts
        ]
        return torch.cat([part.to(made[1].dtype) for part in made])

    @torch.inference_mode()
    def write(self, features: Tensor, lengths: Tensor) -> list[tuple[str, float]]:
        """The likeliest text of each recording by greedy search, and its mean log probability. One
        that has not ended after max_new_tokens and turns in a loop is broken off after the first
        turn."""
        sound, counts = self.heard(features, lengths)
        inputs, real = self._left_padded(
            [self._framed(each[:count]) for each, count in zip(sound, counts, strict=True)]
        )
        found: Any = self.language_model.generate(  # type: ignore[operator]
            inputs_embeds=inputs,
            attention_mask=real.long(),
            max_new_tokens=self.config.max_new_tokens,
            do_sample=False,
            eos_token_id=self.llm.end,
            pad_token_id=self.llm.end,
            output_logits=True,
            return_dict_in_generate=True,
        )
        scores = torch.stack(found.logits, 1).float().log_softmax(-1)
        chosen = scores.gather(-1, found.sequences[..., None])[..., 0]
        return [
            self._written(tokens.tolist(), each.tolist())
            for tokens, each in zip(found.sequences, chosen, strict=True)
        ]

    def _written(self, tokens: list[int], scores: list[float]) -> tuple[str, float]:
        if self.llm.end in tokens:
            told = tuple(tokens[: tokens.index(self.llm.end)])
            counted = scores[: len(told) + 1]
        else:
            told = without_loop(tuple(tokens), shortest=SHORTEST_LOOP, longest_turn=LONGEST_TURN)
            counted = scores[: len(told)]
        return self.llm.text(told).strip(), sum(counted) / max(1, len(counted))


def assemble(config: Config) -> SpeechLLM:
    """Encoder and language model of the configuration, and a projector drawn anew."""
    return SpeechLLM(config, sound_encoder(config.encoder), language_model(config.language_model))
