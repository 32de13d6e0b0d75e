"""Shared fixtures, and the rule that a skip is allowed by name or is a failure."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")
TEMPLATE = (
    "{% for message in messages %}[{{ message['role'] }}]{{ message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
SPEECH_LLM = """\
model:
  family: speech_llm
  variant: whisper-base-smollm2
  config:
    encoder: log-mel
    language_model: {llama}
    downsample_rate: 16
    projector_dim: 8
    train_language_model: full
    max_new_tokens: 6
objective: {{name: speech_llm}}
data:
  source: {manifest}
  split: {{by: text, test: [he was not an, rather cold hearted], validation: [unless to be]}}
batches: {{padded: 10, items: 2}}
train:
  steps: 3
  optimizer: {{learning_rate: 0.01}}
  log_every: 1
  validate_every: 1
  tensorboard: false
  machine: {{device: cpu}}
judge: {{shuffled: true, resamples: 200}}
"""
PIECES = (
    ("0870", 0.0, 1.2, "And mister John"),
    ("0870", 1.2, 1.1, "Dashwood had then leisure"),
    ("0880", 0.0, 1.3, "He was not an..."),
    ("0880", 1.3, 1.6, "ill disposed young man."),
    ("0890", 0.0, 1.1, "unless to be"),
    ("0890", 1.1, 1.2, "rather cold hearted"),
)


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of committed real recordings."""
    return ROOT / "examples"


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of width 16 over bytes, weights at random, with a chat template, as the Hub has
    them."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    directory = tmp_path_factory.mktemp("tiny_llama")
    symbols = ["<end>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    inner = Tokenizer(models.BPE({each: i for i, each in enumerate(symbols)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<end>", pad_token="<end>", chat_template=TEMPLATE
    ).save_pretrained(directory)
    config = LlamaConfig(
        vocab_size=len(symbols),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        eos_token_id=0,
        pad_token_id=0,
        bos_token_id=None,
    )
    torch.manual_seed(3)
    LlamaForCausalLM(config).save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def speech_llm_recipe(
    tiny_llama: Path, examples: Path, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """Trains a speech LLM in miniature on six pieces of a real reading, two of them to be judged
    by."""
    folder = tmp_path_factory.mktemp("recipe")
    lines = [
        json.dumps(
            {
                "id": f"piece {number}",
                "audio_filepath": str(examples / f"sense_and_sensibility_{name}.flac"),
                "offset": offset,
                "duration": duration,
                "text": text,
            }
        )
        for number, (name, offset, duration, text) in enumerate(PIECES)
    ]
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    text = SPEECH_LLM.format(llama=tiny_llama, manifest=folder / "manifest.jsonl")
    (folder / "tiny.yaml").write_text(text)
    return str(folder / "tiny.yaml")


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):
    """Imports a file of benchmarks/ as it is imported where it is run."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(ROOT / "benchmarks")):
            del sys.modules[name]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when a test skipped that tests/allowed_skips.txt does not name."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    lines = ALLOWED_SKIPS.read_text(encoding="utf-8").splitlines()
    allowed = {line.split("#")[0].strip() for line in lines} - {""}
    forbidden = [r.nodeid for r in reporter.stats.get("skipped", []) if r.nodeid not in allowed]
    for nodeid in forbidden:
        reporter.write_line(f"skipped, and not in {ALLOWED_SKIPS.name}: {nodeid}", red=True)
    if forbidden and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
