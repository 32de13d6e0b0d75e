"""Language models from directories that nobody has checked."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from aural import models
from aural.errors import InputError, Unreachable
from aural.models.causal_lm import confined, hub_directory
from aural.models.causal_lm.confined import rendered
from aural.store.checkpoint import weight_shapes


@pytest.fixture
def own(tiny_llama: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(tiny_llama, tmp_path / "llama"))


def change(path: Path, changes: dict[str, object]) -> None:
    """Keys of a JSON file, set."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_reads_a_checkpoint(tiny_llama: Path) -> None:
    model = models.load(f"causal_lm@{tiny_llama}", device="cpu")
    assert model.width == 16
    assert model.end == 0
    assert model.text(model.ids("Grüße, 12 €")) == "Grüße, 12 €"
    assert model.chat("be brief", "hear <audio>") == "[system]be brief[user]hear <audio>[assistant]"
    assert model.chat("", "x") == "[user]x[assistant]"


def test_log_probability_is_the_sum_of_each_tokens(tiny_llama: Path) -> None:
    model = models.load(f"causal_lm@{tiny_llama}", device="cpu")
    ids = model.ids("abca")
    total = 0.0
    with torch.inference_mode():
        for i in range(1, len(ids)):
            logits = model.network(input_ids=torch.tensor([ids[:i]])).logits[0, -1]
            weights = [math.exp(each) for each in logits.tolist()]
            total += math.log(weights[ids[i]] / sum(weights))
    assert model.log_probability("abca") == pytest.approx(total, abs=1e-4)
    assert model.log_probability("a") == 0.0


def test_code_of_a_checkpoint_never_runs(own: Path, tmp_path: Path) -> None:
    flag = tmp_path / "ran"
    (own / "evil.py").write_text(f"open({str(flag)!r}, 'w')\nclass Model: pass\nclass Conf: pass\n")
    path = own / "config.json"
    config = json.loads(path.read_text())
    config |= {
        "model_type": "evil",
        "auto_map": {"AutoConfig": "evil.Conf", "AutoModelForCausalLM": "evil.Model"},
    }
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match="code of a checkpoint is never run"):
        models.load(f"causal_lm@{own}", device="cpu")
    path.write_text(json.dumps(config | {"model_type": "llama"}))
    models.load(f"causal_lm@{own}", device="cpu")
    assert not flag.exists()


def test_pickles_are_not_opened(own: Path) -> None:
    (own / "model.safetensors").rename(own / "pytorch_model.pt")
    with pytest.raises(InputError, match=r"pytorch_model\.pt may be a pickle"):
        models.find(f"causal_lm@{own}")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"model_type": "nothing"}', "[" * 100_000])
def test_config_that_is_none(own: Path, text: str) -> None:
    (own / "config.json").write_text(text)
    with pytest.raises(InputError):
        models.load(f"causal_lm@{own}", device="cpu")


def test_cut_weights(own: Path) -> None:
    path = own / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError):
        models.load(f"causal_lm@{own}", device="cpu")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
        ({"num_hidden_layers": 3}, "weights missing"),
        ({"hidden_size": 10**6}, "tells of 8"),
        ({"hidden_size": -16}, "can't be read"),
        ({"hidden_size": "16"}, "can't be read"),
        ({"num_attention_heads": 0}, "can't be read"),
        ({"vocab_size": 10**9}, "tells of 32"),
        ({"dtype": "nothing"}, "can't be read"),
        ({"model_type": [1]}, "model_type"),
        ({"model_type": "bert"}, "weights missing"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "quantised"),
    ],
)
def test_configurations_that_lie(own: Path, changes: dict[str, object], said: str) -> None:
    """Neither code, nor random weights, nor more memory than the files take."""
    change(own / "config.json", changes)
    with pytest.raises(InputError, match=said):
        models.load(f"causal_lm@{own}", device="cpu")


def test_a_checkpoint_chooses_neither_kernels_nor_ways_of_writing(own: Path) -> None:
    change(own / "config.json", {"attn_implementation": "kernels-community/evil"})
    change(own / "generation_config.json", {"num_beams": 5, "repetition_penalty": 1.5})
    model = models.load(f"causal_lm@{own}", device="cpu")
    assert model.network.config._attn_implementation in ("sdpa", "eager")
    assert model.network.generation_config.num_beams in (None, 1)
    assert model.network.generation_config.repetition_penalty in (None, 1.0)


@pytest.mark.parametrize("name", ["weights.dat", "../model.safetensors", "pytorch_model.bin"])
def test_an_index_leads_to_safetensors_beside_it_alone(own: Path, name: str) -> None:
    shapes = weight_shapes([own / "model.safetensors"])
    (own / "model.safetensors").rename(own / "other.safetensors")
    torch.save({"a": torch.zeros(1)}, own / "weights.dat")
    index = {"metadata": {}, "weight_map": dict.fromkeys(shapes, name)}
    (own / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="as weights"):
        models.load(f"causal_lm@{own}", device="cpu")


def test_adapters_and_missing_weights_are_told(own: Path, tiny_llama: Path) -> None:
    state = load_file(own / "model.safetensors")
    state.pop("model.layers.1.mlp.up_proj.weight")
    save_file(state, own / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"1 weights missing \(model\.layers\.1\.mlp"):
        models.load(f"causal_lm@{own}", device="cpu")
    adapter = {"peft_type": "LORA", "base_model_name_or_path": str(tiny_llama)}
    (own / "adapter_config.json").write_text(json.dumps(adapter))
    with pytest.raises(InputError, match="an adapter of another model"):
        models.load(f"causal_lm@{own}", device="cpu")


MESSAGES = [{"role": "user", "content": "hear <audio>"}]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ 'a' * 4000000000 }}", "MemoryError"),
        ("{% for a in range(9999) %}{{ messages[0].content * 9 }}{% endfor %}", "a prompt of"),
        ("{% for %}", "Expected an expression"),
    ],
)
def test_templates_that_mean_no_good(template: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        rendered(template, MESSAGES, {})


def test_a_template_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    monkeypatch.setattr(confined, "PATIENCE_SECONDS", 3.0)
    with pytest.raises(InputError, match="the chat template"):
        rendered(loop, MESSAGES, {})


def test_templates_as_transformers_has_them(tiny_llama: Path) -> None:
    """The day aside, which is always the same."""
    template = (
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'none' %}{% continue %}{% endif %}"
        "<{{ m.role }}>{{ m.content | trim | tojson }}{% generation %}x{% endgeneration %}"
        "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    expected = tokenizer.apply_chat_template(
        MESSAGES,
        chat_template=template,
        tokenize=False,
        add_generation_prompt=True,
        bos_token="<s>",
    )
    assert rendered(template, MESSAGES, {"bos_token": "<s>"}) == expected
    assert rendered("{{ strftime_now('%d %B %Y') }}", MESSAGES, {}) == "26 July 2024"


def test_tokenizers_that_never_end_or_have_too_many(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubling = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    kept = (own / "tokenizer.json").read_text()
    bomb = {"normalizer": {"type": "Sequence", "normalizers": [doubling] * 36}}
    change(own / "tokenizer.json", bomb)
    patience = confined.PATIENCE_SECONDS
    monkeypatch.setattr(confined, "PATIENCE_SECONDS", 2.0)
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        models.load(f"causal_lm@{own}", device="cpu")
    monkeypatch.setattr(confined, "PATIENCE_SECONDS", patience)
    (own / "tokenizer.json").write_text(kept)
    added = {"id": 257, "content": "more", "special": False, "normalized": False}
    added |= dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
    change(own / "tokenizer.json", {"added_tokens": [*json.loads(kept)["added_tokens"], added]})
    with pytest.raises(InputError, match="last is 257, of 257 embeddings"):
        models.load(f"causal_lm@{own}", device="cpu")


def test_names_of_the_hub(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AURAL_CACHE", str(tmp_path))
    assert hub_directory(str(tiny_llama)) == tiny_llama
    with pytest.raises(InputError, match="neither a directory nor a name"):
        hub_directory("https://example.org/model")
    with pytest.raises(Unreachable, match="Qwen/Qwen3-8B is not in the cache"):
        hub_directory("Qwen/Qwen3-8B", offline=True)
    there = tmp_path / "checkpoints" / "Qwen--Qwen3-8B"
    there.mkdir(parents=True)
    (there / ".whole").touch()
    assert hub_directory("Qwen/Qwen3-8B", offline=True) == there
