"""From a recipe to a judged network: runs of a second on tones that each say a word."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("hydra")

from aural import models
from aural.data.examples import samples_of
from aural.data.manifest import read_manifest
from aural.errors import InputError, UnknownName
from aural.nn.exported import FeatureOptions
from aural.text.tokens import characters
from aural.train.compose import compose
from aural.train.experiment import (
    Experiment,
    ModelChoice,
    ObjectiveChoice,
    bench_of,
    network_config,
    objective,
    run_experiment,
)
from aural.train.start import start_from

WORDS = {"low": 300, "mid": 900, "high": 2700}
RECIPE = """\
model: {{family: audio_rnn, variant: test, config: {{hidden: 16, layers: 1, dropout: 0.0}}}}
objective: {{name: ctc}}
data:
  source: {source}
  split: {{test: [eve], validation: [dan]}}
features: {{n_mels: 16, normalise: utterance}}
tokens: {{kind: words}}
batches: {{padded: 10, items: 8}}
train:
  steps: 80
  optimizer: {{learning_rate: 0.02}}
  validate_every: 40
  monitor: loss
  take: best
  tensorboard: false
  machine: {{device: cpu}}
judge: {{untrained: true, shuffled: true, resamples: 200}}
"""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower with more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four speakers of two tones each: a speaker's voice is his tuning and his loudness."""
    folder = tmp_path_factory.mktemp("tones")
    lines = []
    rng = np.random.default_rng(0)
    for number, speaker in enumerate(("ann", "bob", "dan", "eve")):
        for i in range(6):
            word = list(WORDS)[i % 3]
            time = np.arange(round(16000 * rng.uniform(0.15, 0.3))) / 16000
            tone = np.sin(2 * np.pi * WORDS[word] * (1 + 0.02 * number) * time)
            tone = 0.1 * (number + 1) * tone + rng.normal(0, 0.01, len(time))
            name = f"{speaker}-{i}.wav"
            soundfile.write(folder / name, tone, 16000)
            record = {"id": name, "audio_filepath": name, "text": word, "speaker": speaker}
            lines.append(json.dumps({**record, "lang": "en"}) + "\n")
    (folder / "manifest.jsonl").write_text("".join(lines))
    (folder / "tones.yaml").write_text(RECIPE.format(source=folder / "manifest.jsonl"))
    return str(folder / "tones.yaml")


@pytest.fixture(scope="module")
def done(
    recipe: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], Experiment]:
    """A finished run: where, what it found, and what was asked for."""
    directory = tmp_path_factory.mktemp("run") / "tones"
    experiment = compose(recipe)
    found = run_experiment(experiment, directory, name="tones", command="aural train tones.yaml")
    return directory, found, experiment


def test_the_network_learns_and_its_baselines_do_not(done: tuple) -> None:
    directory, found, _ = done
    assert json.loads((directory / "result.json").read_text()) == found
    assert found["figures"]["wer"]["value"] <= 0.2
    assert found["baselines"]["majority"]["figures"]["wer"]["value"] == pytest.approx(2 / 3)
    for name in ("majority", "untrained", "shuffled"):
        difference = found["baselines"][name]["difference"]["wer"]
        figures = found["baselines"][name]["figures"]["wer"]
        gained = found["figures"]["wer"]["value"] - figures["value"]
        assert difference["value"] == pytest.approx(gained)
        assert difference["value"] < -0.2
        assert difference["high"] < 0
    assert found["note"] == "1 voice: does not generalise to others"


def test_it_says_what_was_done(done: tuple) -> None:
    directory, found, experiment = done
    assert found["data"]["held_out"] == {"validation": ["dan"], "test": ["eve"]}
    assert found["data"]["train"]["speakers"] == 2
    assert found["training"]["steps"] == 80
    assert found["parameters"] > 1000
    config = json.loads((directory / "config.json").read_text())
    assert config == experiment.as_values()
    card = (directory / "model/README.md").read_text()
    assert "eve" in card
    assert "aural train tones.yaml" in card
    assert "| wer |" in card
    heard = [json.loads(line) for line in (directory / "heard.jsonl").read_text().splitlines()]
    wrong = sum(each["text"] != each["heard"] for each in heard)
    assert wrong / len(heard) == pytest.approx(found["figures"]["wer"]["value"])


def test_the_export_is_a_model_by_name(done: tuple, recipe: str) -> None:
    directory, *_ = done
    model = models.load(f"audio_rnn@{directory / 'model'}", device="cpu")
    spoken = {each.id: each for each in read_manifest(Path(recipe).with_name("manifest.jsonl"))}
    heard = [json.loads(line) for line in (directory / "heard.jsonl").read_text().splitlines()]
    assert len(heard) == 6
    for each in heard:
        (found,) = model.recognise([samples_of(spoken[each["id"]], 16000)])
        assert found.segment.text.strip() == each["heard"]
        assert found.language == "en"


def test_a_directory_is_gone_on_with_only_when_asked(done: tuple) -> None:
    directory, found, experiment = done
    with pytest.raises(InputError, match=r"is not empty; go on with --resume"):
        run_experiment(experiment, directory)
    again = run_experiment(experiment, directory, name="tones", resume=True)
    assert again["figures"] == found["figures"]
    other = replace(experiment, tokens=replace(experiment.tokens, kind="characters"))
    with pytest.raises(InputError, match="other settings"):
        run_experiment(other, directory, resume=True)


def test_the_same_seed_gives_the_same_network(recipe: str, tmp_path: Path) -> None:
    short = compose(recipe, ["train.steps=3", "judge.untrained=false", "judge.shuffled=false"])
    state = torch.random.get_rng_state()
    weights = []
    for name in ("a", "b"):
        run_experiment(short, tmp_path / name)
        weights.append((tmp_path / name / "model/model.safetensors").read_bytes())
    assert weights[0] == weights[1]
    assert torch.equal(torch.random.get_rng_state(), state)
    run_experiment(compose(recipe, ["train.steps=3", "train.seed=1"]), tmp_path / "c")
    assert (tmp_path / "c/model/model.safetensors").read_bytes() != weights[0]


def test_a_network_begins_with_what_was_trained_before(
    done: tuple, recipe: str, tmp_path: Path
) -> None:
    """And what it has of its own, a head over other tokens here, stays as it was drawn."""
    model = done[0] / "model"
    short = ["train.steps=1", "train.optimizer.learning_rate=1e-12", "judge.shuffled=false"]
    begins = compose(recipe, [*short, f"model.start={model}"])
    said: list[str] = []
    found = run_experiment(begins, tmp_path / "same", say=said.append)
    assert any(each.startswith("begins with ") for each in said)
    assert found["figures"] == done[1]["figures"]
    assert set(found["baselines"]) == {"majority", "before"}
    assert found["baselines"]["before"]["figures"] == done[1]["figures"]
    other = compose(recipe, [*short, "tokens.kind=characters", f"model.start={model}"])
    run_experiment(other, tmp_path / "other")
    trained, begun = (
        load_file(path / "model.safetensors") for path in (model, tmp_path / "other/model")
    )
    same = {name for name in begun if torch.equal(begun[name], trained.get(name, begun[name][:0]))}
    assert same
    assert {name.split(".")[0] for name in set(begun) - same} == {"output"}


def test_it_is_told_how_much_a_network_begins_with_and_what_was_otherwise(
    done: tuple, recipe: str, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(done[0] / "model", model)
    whole = sum(each.numel() for each in load_file(model / "model.safetensors").values())
    experiment = compose(recipe, [f"model.start={model}"])
    assert begun(experiment) == [
        f"begins with {whole:,} of its {whole:,} weights as they are in {model}"
    ]
    other = replace(experiment, features=replace(experiment.features, normalise="running"))
    assert begun(other)[1:] == [
        f"{model} was trained with features.normalise utterance, now it is running"
    ]
    tokens = json.loads((model / "tokens.json").read_text())
    tokens["symbols"] = tokens["symbols"][::-1]
    (model / "tokens.json").write_text(json.dumps(tokens))
    assert begun(experiment)[1:] == [
        f"{model} has as many tokens, but others: its output begins with theirs"
    ]
    (model / "config.json").unlink()
    assert len(begun(experiment)) == 1


def begun(experiment: Experiment) -> list[str]:
    bench = bench_of(experiment)
    return bench.begin(bench.network())


def test_weights_of_another_kind_are_not_begun_with(tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    drawn = network[0].bias.detach().clone()
    known = {
        "0.weight": torch.tensor([[0.5, 1.0], [2.0, -3.0]]).half(),
        "0.bias": torch.tensor([3, 4], dtype=torch.int8),
        "1.weight": torch.ones(2, dtype=torch.complex64),
        "1.bias": torch.ones(3),
        "1.num_batches_tracked": torch.tensor(7),
    }
    save_file(known, tmp_path / "model.safetensors")
    assert start_from(network, str(tmp_path)) == (5, 15)
    torch.testing.assert_close(network[0].weight.detach(), known["0.weight"].float())
    assert network[0].weight.dtype == torch.float32
    assert torch.equal(network[0].bias, drawn)
    assert network[1].num_batches_tracked == 7


@pytest.mark.parametrize(
    ("start", "said"),
    [("nowhere", "can't be read as safetensors"), ("foreign", "has no weight of this network")],
)
def test_a_start_that_is_none(recipe: str, tmp_path: Path, start: str, said: str) -> None:
    (tmp_path / "foreign").mkdir()
    save_file({"other": torch.zeros(3)}, tmp_path / "foreign/model.safetensors")
    experiment = compose(recipe, [f"model.start={tmp_path / start}"])
    with pytest.raises(InputError, match=said):
        run_experiment(experiment, tmp_path / "run")


def test_a_text_too_long_for_ctc_is_refused_or_left_out(recipe: str, tmp_path: Path) -> None:
    manifest = Path(recipe).with_name("manifest.jsonl")
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    lines[1]["text"] = "mid " * 40
    for line in lines:
        line["audio_filepath"] = str(manifest.parent / line["audio_filepath"])
    path = tmp_path / "long.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    overrides = [f"data.source={path}", "train.steps=1", "judge.untrained=false"]
    with pytest.raises(InputError, match=r"ann-1\.wav and 0 more can't be .* 79 states are needed"):
        run_experiment(compose(recipe, overrides), tmp_path / "refused")
    told: list[str] = []
    overrides += ["data.too_long='leave out'"]
    found = run_experiment(compose(recipe, overrides), tmp_path / "left", say=told.append)
    assert found["data"]["train"]["utterances"] == 11
    assert "left out: 1 of texts longer than CTC can write" in told


def test_a_language_model_is_judged_by_nats(recipe: str, tmp_path: Path) -> None:
    overrides = [
        "model.family=lm",
        "model.variant=test",
        "model.config={}",
        "objective.name=language_model",
        "train.steps=20",
        "batches.padded=200",
    ]
    plain = Path(recipe).read_text().replace("{hidden: 16, layers: 1, dropout: 0.0}", "{}")
    own = tmp_path / "lm.yaml"
    own.write_text(plain)
    found = run_experiment(compose(str(own), overrides), tmp_path / "run")
    assert set(found["baselines"]) == {"unigram", "untrained"}
    figures = found["figures"]["nats_per_token"]["value"]
    assert figures < found["baselines"]["untrained"]["figures"]["nats_per_token"]["value"]


def test_configs_and_objectives_that_do_not_fit() -> None:
    features, tokenizer = FeatureOptions(n_mels=16), characters(["abc"])
    config = network_config(ModelChoice("audio_rnn", "test", {"hidden": 4}), features, tokenizer)
    assert (config.n_mels, config.tokens, config.hidden) == (16, 4, 4)
    with pytest.raises(InputError, match="tokens is decided by"):
        network_config(ModelChoice("audio_rnn", "test", {"tokens": 4}), features, tokenizer)
    with pytest.raises(InputError, match="hiden"):
        network_config(ModelChoice("audio_rnn", "test", {"hiden": 4}), features, tokenizer)
    with pytest.raises(UnknownName, match="unknown objective 'cct'"):
        objective(ObjectiveChoice("cct"))
    with pytest.raises(InputError, match=r"attention has no weight; its options are: label_smoo"):
        objective(ObjectiveChoice("attention", {"weight": 1}))
