"""Whisper trained further, from the weights of its variant, in its own format of tokens.

Samples are padded as the runtime pads them, texts are trained on as they are written, with signs
and capitals; `data.text` is what they are judged by. What comes of it is in CTranslate2's format,
LoRA's products added to the weights, to be run as whisper@DIRECTORY. `before`, beside it, is the
same variant as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch

from aural import models
from aural.audio.features import whisper_log_mel
from aural.data.examples import Examples
from aural.errors import InputError, UnknownName
from aural.models.whisper import DecodingOptions, padded_length, read_tokenizer
from aural.models.whisper.engine import SAMPLE_RATE, Numbers
from aural.models.whisper.torch_decoder import read_network, save_network
from aural.nn.lora import add_lora, merged_state
from aural.train import experiment, judging
from aural.train.objectives.whisper import multitask_tokens
from aural.train.source import collate
from aural.types import Segment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tokenizers import Tokenizer
    from torch import nn

    from aural.data.examples import Example
    from aural.data.utterance import Utterance
    from aural.train.batch import Batch

FAMILY = "whisper"
Training = Literal["frozen", "lora", "full"]


@dataclass(frozen=True)
class Config:
    """train_encoder, train_decoder: what of the weights is trained: none, all, or LoRA of lora_rank
    and lora_alpha on the linear layers of lora_layers (of attention: query, key, value, out; of the
    feed-forward layers: up, down). language: of the texts, "" for the data's."""

    language: str = ""
    train_encoder: Training = "frozen"
    train_decoder: Training = "lora"
    lora_rank: int = 16
    lora_alpha: float = 32.0
    lora_layers: tuple[str, ...] = ("query", "key", "value", "out", "up", "down")

    def __post_init__(self) -> None:
        for name in ("train_encoder", "train_decoder"):
            if getattr(self, name) not in get_args(Training):
                raise UnknownName(name, getattr(self, name), get_args(Training))
        if self.train_encoder == self.train_decoder == "frozen":
            raise InputError("encoder and decoder are frozen; train one of them")


def variant_config(variant: str) -> Config:
    """The same for every variant that there are weights of."""
    known = tuple(models.family(FAMILY).VARIANTS)
    if variant not in known:
        raise UnknownName(f"variant of {FAMILY}", variant, known)
    return Config()


@dataclass(frozen=True)
class Hearing:
    """Whisper's log-mel of samples (time,) padded as the runtime pads them: (frame, n_mels)."""

    n_mels: int
    sample_rate: int = SAMPLE_RATE

    def features(self, samples: np.ndarray) -> np.ndarray:
        """float32; InputError for more than 30 s."""
        padded = np.pad(samples, (0, padded_length(samples.size) - samples.size))
        return np.ascontiguousarray(whisper_log_mel(padded, self.n_mels).T)


@dataclass(frozen=True)
class Writing:
    """Texts in Whisper's format of tokens, in one language."""

    tokenizer: Tokenizer
    numbers: Numbers
    language: str

    def encode(self, text: str) -> tuple[int, ...]:
        """From the start of the transcript to the end."""
        said = [Segment(0.0, 0.0, text)]
        return multitask_tokens(said, self.tokenizer, self.numbers, language=self.language)


class Bench(experiment.Bench):
    """Raises InputError for another objective, and for data of several languages."""

    def check(self) -> None:
        """As the class says."""
        if self.experiment.objective.name != FAMILY:
            raise InputError(
                f"objective is {self.experiment.objective.name}; whisper is trained with whisper"
            )
        if not self.language:
            raise InputError(
                "the data are of several languages or none; give model.config.language"
            )

    @property
    def language(self) -> str:
        """Of the texts; "" where it is not told and not one."""
        there = {each.language for each in self.material.part("train")} - {""}
        return self.config.language or (there.pop() if len(there) == 1 else "")

    @cached_property
    def entry(self) -> Any:
        """What the registry says of the variant."""
        return models.find(f"{FAMILY}/{self.experiment.model.variant}")

    @cached_property
    def start(self) -> Path:
        """Where the weights are that training begins with."""
        return models.locate(self.entry)

    def network(self) -> nn.Module:
        """Those weights, with what is to be trained."""
        network = read_network(self.start)
        config = self.config
        with torch.random.fork_rng():
            torch.manual_seed(self.experiment.train.seed)
            _prepare(network.encoder, config.train_encoder, config)
            _prepare(network.decoder, config.train_decoder, config)
        return network

    def examples(self, part: str, network: nn.Module) -> Examples:
        """A part, texts as they are written."""
        tokenizer, numbers = read_tokenizer(self.start, self.entry.config)
        return Examples(
            self.material.part(part),
            Hearing(self.entry.config.n_mels),
            Writing(tokenizer, numbers, self.language),  # type: ignore[arg-type]
            augment=self.experiment.augment if part == "train" else None,
        )

    def together(self, examples: Sequence[Example]) -> Batch:
        """Side by side, the shorter ones with more of the silence that they end in: what padding
        their samples would give."""
        most = max(len(each.features) for each in examples)
        return collate([_lengthened(each, most) for each in examples])

    def export(self, directory: Path, network: nn.Module) -> None:
        """In CTranslate2's format, float16, LoRA merged."""
        plain = read_network(self.start)
        plain.load_state_dict(merged_state(network))
        save_network(plain, self.start, directory, half=True)

    def references(self, trained: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        """The variant before."""
        if self.experiment.judge.untrained:
            yield "before", self.network()

    def hear(self, directory: Path, utterances: Sequence[Utterance]) -> list[str]:
        """Told the language."""
        told = self.language if self.entry.config.multilingual else None
        return judging.hear(directory, FAMILY, utterances, DecodingOptions(language=told))


def _prepare(part: nn.Module, training: Training, config: Config) -> None:
    part.requires_grad_(training == "full")
    if training == "lora":
        add_lora(part, config.lora_layers, config.lora_rank, config.lora_alpha)


def _lengthened(example: Example, frames: int) -> Example:
    missing = frames - len(example.features)
    return replace(example, features=np.pad(example.features, ((0, missing), (0, 0)), mode="edge"))
