"""Hidden Markov models trained by recipe: words of synthetic phones, from the run to the judge."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("hydra")

from aural import models
from aural.errors import InputError, UnknownName
from aural.models.hmm.acoustic import GaussianModel, HybridModel
from aural.train.compose import compose
from aural.train.experiment import run_experiment

PHONES = {"L": 400, "M": 1000, "H": 2500}
WORDS = {"rise": "L M H", "fall": "H M L", "dip": "M L M"}
RECIPE = """\
model:
  family: hmm
  variant: gaussians
  config: {{lexicon: [rise L M H, fall H M L, dip M L M], fmax: 3800.0, gaussians: 16,
    iterations: 4, acoustic_scales: [0.05, 0.1]}}
objective: {{name: frames}}
data:
  source: {source}
  text: none
  split: {{test: [eve], validation: [dan]}}
features: {{sample_rate: 8000, n_mels: 23}}
batches: {{padded: 10, items: 8}}
train:
  steps: 4
  optimizer: {{learning_rate: 0.01}}
  tensorboard: false
  machine: {{device: cpu}}
judge: {{untrained: true, shuffled: true, resamples: 200}}
"""
HYBRID = ["model.variant=hybrid", "model.config.hidden=16", "train.steps=40"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four speakers who say two words each time; a phone is a tone, a voice is its tuning."""
    folder = tmp_path_factory.mktemp("words")
    rng = np.random.default_rng(0)
    lines = []
    for voice, speaker in enumerate(("ann", "bob", "dan", "eve")):
        for i in range(5):
            said = [str(word) for word in rng.choice(sorted(WORDS), 2)]
            parts = [np.zeros(800)]
            for word in said:
                for phone in WORDS[word].split():
                    time = np.arange(int(8000 * rng.uniform(0.06, 0.1))) / 8000
                    pitch = PHONES[phone] * (1 + 0.02 * voice)
                    parts.append(0.3 * np.sin(2 * np.pi * pitch * time))
                parts.append(np.zeros(int(8000 * rng.uniform(0.05, 0.1))))
            sound = np.concatenate(parts)
            name = f"{speaker}-{i}.wav"
            soundfile.write(folder / name, sound + rng.normal(0, 0.003, len(sound)), 8000)
            record = {"id": name, "audio_filepath": name, "text": " ".join(said)}
            lines.append(json.dumps({**record, "speaker": speaker, "lang": "en"}) + "\n")
    (folder / "manifest.jsonl").write_text("".join(lines))
    (folder / "words.yaml").write_text(RECIPE.format(source=folder / "manifest.jsonl"))
    return str(folder / "words.yaml")


@pytest.fixture(scope="module")
def gaussians(recipe: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    directory = tmp_path_factory.mktemp("gaussians") / "run"
    return directory, run_experiment(compose(recipe), directory)


@pytest.fixture(scope="module")
def hybrid(recipe: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    directory = tmp_path_factory.mktemp("hybrid") / "run"
    overrides = [*HYBRID, "model.config.copies=2", "augment.speed=[0.95, 1.05]"]
    return directory, run_experiment(compose(recipe, overrides), directory)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_gaussians_learn_and_what_knows_no_sound_does_not(gaussians: tuple) -> None:
    directory, found = gaussians
    assert found["figures"]["wer"]["value"] <= 0.1
    assert set(found["baselines"]) == {"majority", "shuffled"}
    for each in found["baselines"].values():
        assert each["figures"]["wer"]["value"] > 0.3
        assert each["difference"]["wer"]["high"] < 0
    assert found["model"] == "hmm/gaussians"
    assert found["training"]["steps"] == 4
    kinds = [each["kind"] for each in lines_of(directory / "metrics.jsonl")]
    assert kinds == ["train"] * 4 + ["validation"]
    assert "eve" in (directory / "model/README.md").read_text()


def test_parameters_are_those_of_the_file(gaussians: tuple) -> None:
    directory, found = gaussians
    with np.load(directory / "model/model.npz") as file:
        names = ("means", "variances", "log_weights", "stay")
        assert found["parameters"] == sum(file[name].size for name in names)


def test_a_network_learns_from_the_gaussians(hybrid: tuple) -> None:
    _, found = hybrid
    assert set(found["baselines"]) == {"majority", "gaussians", "untrained", "shuffled"}
    wer = {name: each["figures"]["wer"]["value"] for name, each in found["baselines"].items()}
    assert found["figures"]["wer"]["value"] <= 0.1
    assert wer["gaussians"] <= 0.2
    assert min(wer["untrained"], wer["shuffled"], wer["majority"]) > 0.3
    assert found["data"]["held_out"]["test"] == ["eve"]


def test_both_are_models_by_name(gaussians: tuple, hybrid: tuple) -> None:
    for (directory, _), kind in ((gaussians, GaussianModel), (hybrid, HybridModel)):
        model = models.load(f"hmm@{directory / 'model'}", device="cpu")
        assert isinstance(model.listening.acoustics, kind)
        assert model.sample_rate == 8000
        assert model.languages == ("en",)
        assert len(lines_of(directory / "heard.jsonl")) == 5


def test_priors_are_shares_of_the_alignment(hybrid: tuple) -> None:
    directory, _ = hybrid
    acoustics = models.load(f"hmm@{directory / 'model'}", device="cpu").listening.acoustics
    assert np.exp(acoustics.log_priors).sum() == pytest.approx(1, abs=1e-5)
    noise = np.random.default_rng(0).normal(size=(3, 39)).astype(np.float32)
    posteriors = acoustics.log_posteriors(noise)
    known = np.isfinite(acoustics.log_priors)
    expected = (posteriors - acoustics.log_priors)[:, known]
    np.testing.assert_allclose(acoustics.scores(noise)[:, known], expected, atol=1e-5)


def test_the_same_seed_gives_the_same_model(recipe: str, tmp_path: Path) -> None:
    short = [
        "train.steps=2",
        "model.config.iterations=1",
        "judge.shuffled=false",
        "judge.untrained=false",
    ]
    for name in ("a", "b"):
        run_experiment(compose(recipe, [*HYBRID[:2], *short]), tmp_path / name)
    files = [(tmp_path / name / "model/model.safetensors").read_bytes() for name in ("a", "b")]
    assert files[0] == files[1]


def test_a_damaged_network_is_told(hybrid: tuple, tmp_path: Path) -> None:
    directory, _ = hybrid
    for each in (directory / "model").iterdir():
        (tmp_path / each.name).write_bytes(each.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["config"]["hidden"] = 17
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"model\.safetensors: .*the configuration says"):
        models.load(f"hmm@{tmp_path}", device="cpu")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match="can't be read as safetensors"):
        models.load(f"hmm@{tmp_path}", device="cpu", threads=1)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("objective.name=ctc", "hmm is trained with frames"),
        ("model.config.copies=2", "give both or neither"),
        ("augment.speed=[0.9]", "give both or neither"),
        ("augment.spectrogram.time_masks=1", "hmm hears cepstra"),
        ("model.config.copies=0", "copies 0"),
        ("model.config.dropout=1.0", "dropout is 1.0"),
        ("model.config.lexicon=['rise L M H']", "no pronunciation of"),
        ("model.config.lexicon=['rise']", "line 1: 'rise' has no phones"),
    ],
)
def test_what_does_not_fit(recipe: str, tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_experiment(compose(recipe, [override]), tmp_path / "run")


def test_an_unknown_variant_names_those_there_are(recipe: str) -> None:
    with pytest.raises(UnknownName, match="gaussians, hybrid"):
        compose(recipe, ["model.variant=en-us"])
