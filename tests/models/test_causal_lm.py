"""Language models from directories that nobody has checked."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from aural import models
from aural.errors import InputError, Unreachable
from aural.models.causal_lm import hub_directory


@pytest.fixture
def own(tiny_llama: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(tiny_llama, tmp_path / "llama"))


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
    with pytest.raises(InputError, match="can't be read as a causal language model"):
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
