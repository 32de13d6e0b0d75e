"""Speech LLM: an encoder of sound, a projector, and a language model that writes what was said.

The design of SLAM-ASR (Ma et al. 2024, arXiv:2402.08846) and tiny-audio: encoder and language model
are taken as they are, frozen, and a projector between them is trained; either may be adapted by
LoRA (Hu et al. 2022), or trained whole. States of the encoder, `downsample_rate` of them a token,
stand in the language model's chat template where the user's words about the sound would:

    prompt before | sound, (token, llm_dim) | prompt after | the text, trained on | end

No weights of its own are published: a directory of what was trained holds these alone, the
encoder's and the language model's come from their families (whisper/base MIT, SmolLM2 Apache-2.0).
tiny_audio.py reads the configuration and the projectors that tiny-audio publishes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, get_args

from aural.errors import InputError, MissingExtra, UnknownName
from aural.models import Variant

if TYPE_CHECKING:
    from pathlib import Path

    from aural.models.speech_llm.network import SpeechLLM
    from aural.models.speech_llm.recogniser import SpeechLLMRecogniser
    from aural.nn.sound_encoder import SoundEncoder

EXTRA = "train"
Training = Literal["frozen", "lora", "full"]


_BOUNDS = {
    "downsample_rate": (1, 1024),
    "projector_dim": (1, 1 << 16),
    "queries": (1, 1024),
    "experts": (1, 1024),
    "lora_rank": (1, 4096),
    "lora_alpha": (1, 1 << 16),
    "max_new_tokens": (1, 4096),
}


@dataclass(frozen=True)
class Config:
    """What is put together, and what of it is trained.

    encoder: family/variant or family@directory with an encoder, "log-mel" for none (the features
    themselves), or "random:" before a name for that encoder with weights drawn anew.
    language_model: causal_lm/variant, causal_lm@directory, a directory or the Hub's owner/name.
    encoder_dim, llm_dim: widths that are expected, 0 for whatever they are. projector: mlp, swiglu,
    convolution, qformer, adapters, plain_mlp or plain_swiglu; downsample_rate states a token,
    projector_dim its inner width, queries of a window (qformer), experts of a mixture (adapters).
    train_encoder and train_language_model: frozen, lora or full, LoRA of lora_rank and lora_alpha
    on the projections of attention; the projector is always trained. system_prompt and user_prompt:
    words of the chat, with <audio> where the sound stands (before them if not there).
    max_new_tokens: where an answer is broken off.
    """

    encoder: str = "whisper/base"
    language_model: str = "causal_lm/smollm2-135m-instruct"
    encoder_dim: int = 0
    llm_dim: int = 0
    projector: str = "mlp"
    downsample_rate: int = 5
    projector_dim: int = 1024
    queries: int = 4
    experts: int = 4
    train_encoder: Training = "frozen"
    train_language_model: Training = "frozen"
    lora_rank: int = 8
    lora_alpha: int = 32
    system_prompt: str = ""
    user_prompt: str = "<audio>\nTranscribe speech to text."
    max_new_tokens: int = 128

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least, most = getattr(self, field.name), *_BOUNDS.get(field.name, (0, 1 << 20))
            if type(value) is not type(field.default):
                raise InputError(
                    f"{field.name} is {value!r:.40}; give a value as {field.default!r} is"
                )
            if isinstance(value, int) and not least <= value <= most:
                raise InputError(f"{field.name} is {value}; give {least} to {most}")
        for name in ("train_encoder", "train_language_model"):
            if getattr(self, name) not in get_args(Training):
                raise UnknownName(name, getattr(self, name), get_args(Training))


@dataclass(frozen=True)
class DecodingOptions:
    """Text is written by greedy search, and its words have no times of their own. language: a code,
    if the recogniser has to be of it."""

    language: str | None = None


VARIANTS = {
    "whisper-base-smollm2": Variant(
        config=Config(),
        weights=None,
        licence="Apache-2.0 (code; no weights)",
        description="Whisper base's encoder, an MLP, SmolLM2 135M: only the MLP is trained",
    ),
    "whisper-base-smollm2-lora": Variant(
        config=Config(train_language_model="lora"),
        weights=None,
        licence="Apache-2.0 (code; no weights)",
        description="the same, with LoRA on SmolLM2's attention",
    ),
    "wav2vec2-smollm2": Variant(
        config=Config(encoder="wav2vec2@facebook/wav2vec2-base", encoder_dim=768),
        weights=None,
        licence="Apache-2.0 (code; no weights)",
        description="a wav2vec 2.0 encoder of width 768 from a directory of one's own",
    ),
}


def build(config: Config) -> SpeechLLM:
    """Encoder and language model as they are, and a projector drawn anew."""
    try:
        from aural.models.speech_llm.network import assemble
    except ModuleNotFoundError as error:
        raise MissingExtra(EXTRA, error.name or "transformers") from error
    return assemble(config)


def read_config(directory: Path) -> Config:
    """That of a directory that training wrote, or of one in tiny-audio's form."""
    from aural.models.speech_llm.tiny_audio import is_tiny_audio, read_tiny_audio_config
    from aural.nn.exported import read_network_config

    if is_tiny_audio(directory):
        return read_tiny_audio_config(directory)
    return read_network_config(directory, "speech_llm", Config)


def load(
    directory: Path, config: Config, *, device: str, compute_type: str, threads: int
) -> SpeechLLMRecogniser:
    """The recogniser of a trained directory."""
    try:
        from aural.models.speech_llm.recogniser import read
    except ModuleNotFoundError as error:
        raise MissingExtra(EXTRA, error.name or "transformers") from error
    return read(directory, config, device=device, compute_type=compute_type)


def adapted_encoder(directory: Path, config: Config) -> tuple[SoundEncoder, SoundEncoder] | None:
    """The encoder of a directory that training wrote, as it was before and as it is now; None where
    there is none, or one that was never trained before."""
    from safetensors.torch import load_file

    from aural.models.speech_llm.parts import LOG_MEL, RANDOM, adapted, sound_encoder

    if config.encoder == LOG_MEL or config.encoder.startswith(RANDOM):
        return None
    state = load_file(directory / "model.safetensors")
    return sound_encoder(config.encoder), adapted(config, state)
