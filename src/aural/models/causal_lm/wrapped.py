"""transformers' causal language models behind what speech_llm needs of one."""

from __future__ import annotations

import io
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

from aural.errors import AuralError, InputError, UnknownName
from aural.models.causal_lm.confined import rendered
from aural.models.causal_lm.vetting import vetted_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor, nn

DTYPES = {"auto": "float32", "float32": "float32", "bfloat16": "bfloat16", "float16": "float16"}


@dataclass(frozen=True, eq=False)
class CausalLM:
    """A network that takes embeddings, and its tokenizer.

    width: of an embedding; end: the token after an answer.
    """

    network: nn.Module
    tokenizer: PreTrainedTokenizerFast
    width: int
    end: int

    def ids(self, text: str) -> list[int]:
        """Token numbers of a text, nothing put before or after it."""
        return self.tokenizer.encode(text, add_special_tokens=False)

    def text(self, ids: Sequence[int]) -> str:
        """The text of token numbers, without special ones."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def embedded(self, ids: Tensor) -> Tensor:
        """Embeddings of token numbers: one dimension more, of width."""
        return self.network.get_input_embeddings()(ids)  # type: ignore[operator]

    def chat(self, system: str, user: str) -> str:
        """What stands before the answer, by the model's own chat template where it has one."""
        told = [{"role": "system", "content": system}] if system else []
        messages = [*told, {"role": "user", "content": user}]
        if not self.tokenizer.chat_template:
            return "\n".join(message["content"] for message in messages) + "\n"
        try:
            template = str(self.tokenizer.get_chat_template())
        except ValueError as error:
            raise InputError(f"no chat template is the one to be used: {error}") from error
        special = {
            name: str(text)
            for name, text in self.tokenizer.special_tokens_map.items()
            if name.endswith("_token")
        }
        return rendered(template, messages, special)

    @torch.inference_mode()
    def log_probability(self, text: str) -> float:
        """Natural log probability of a text's tokens, each given those before it, the first given
        the model's beginning token where it has one (else it is not counted)."""
        ids = self.ids(text)
        begin = self.tokenizer.bos_token_id
        given = ids if begin is None else [begin, *ids]
        if len(given) < 2:
            return 0.0
        tokens = torch.tensor([given], device=next(self.network.parameters()).device)
        logits = self.network(input_ids=tokens).logits.float().log_softmax(-1)
        return float(logits[0, :-1].gather(1, tokens[0, 1:, None]).sum())


def read(directory: Path, gguf: str, *, device: str, compute_type: str) -> CausalLM:
    """The model of a GGUF file, or of a Hub checkpoint, without remote code."""
    if compute_type not in DTYPES:
        raise UnknownName("compute_type", compute_type, tuple(DTYPES))
    dtype = getattr(torch, DTYPES[compute_type])
    network, tokenizer = _read(directory, {"gguf_file": gguf} if gguf else {})
    there = device != "cpu" and torch.cuda.is_available()
    network = network.to(device="cuda" if there else "cpu", dtype=dtype).eval()
    # What a checkpoint would rather have: beams, penalties, ends of its own.
    network.generation_config = GenerationConfig()
    end = tokenizer.eos_token_id
    if end is None:
        raise InputError(f"{directory}: the tokenizer has no end token, so no answer could end")
    rows, width = network.get_input_embeddings().weight.shape
    last = max(tokenizer.get_vocab().values())
    if last >= rows:
        raise InputError(f"{directory}: the tokenizer's last is {last}, of {rows} embeddings")
    return CausalLM(network, tokenizer, width, end)


def _read(directory: Path, form: dict[str, str]) -> tuple[Any, PreTrainedTokenizerFast]:
    own: dict[str, Any] = {**form, "trust_remote_code": False, "local_files_only": True}
    try:
        with _quiet():
            config = {} if form else {"config": vetted_config(directory), "use_safetensors": True}
            made: Any = AutoModelForCausalLM.from_pretrained(
                directory, dtype=torch.float32, output_loading_info=True, **config, **own
            )
            network, found = made
            tokenizer = AutoTokenizer.from_pretrained(directory, use_fast=True, **own)
    except AuralError:
        raise
    except Exception as error:  # a checkpoint can make the library raise anything
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{directory} can't be read as a causal language model: {said}") from error
    if missing := sorted(found["missing_keys"]):
        raise InputError(
            f"{directory}: {len(missing)} weights missing ({', '.join(missing[:3])}); config.json "
            "is another network's"
        )
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise InputError(f"{directory}: no tokenizer.json; save the fast form of its tokenizer")
    return network, tokenizer


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars of the library's own: they show in files and pipes as well."""
    level, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
