"""Recipes: each composes, values are laid over it, and what is wrong is said in one sentence."""

import dataclasses
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hydra")

from aural.audio.augment.spectrogram import SpecAugment
from aural.errors import InputError, UnknownName
from aural.train.compose import compose, recipe_values
from aural.train.experiment import Experiment, network_config, objective
from aural.train.optim import LayerOptions
from aural.train.recipes import overlays, recipes

RECIPE = """\
model: {family: seq2seq, variant: test, config: {d_model: 32}}
objective: {name: attention}
data: {source: corpus:digits, split: {test: [theo]}}
train: {steps: 10}
augment: {speed: [0.9, 1.1]}
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A recipe of one's own."""
    path = tmp_path_factory.mktemp("recipes") / "own.yaml"
    path.write_text(RECIPE)
    return str(path)


@cache
def without_overlay(recipe: str) -> Experiment:
    return compose(recipe)


def flat(values: Any, before: str = "") -> dict[str, Any]:
    if isinstance(values, dict):
        return {
            key: each
            for name, value in values.items()
            for key, each in flat(value, f"{before}{name}.").items()
        }
    return {before[:-1]: values}


@pytest.mark.parametrize("each", overlays(), ids=lambda each: each.name)
def test_every_overlay_can_be_laid_over_a_recipe(own: str, each: Any) -> None:
    """Over the recipe that its head names, or over any."""
    named = re.match(r"Over (\w+):", each.about)
    recipe = named[1] if named else own
    assert compose(recipe, [f"+experiments={each.name}"]) != without_overlay(recipe)


def test_another_family_is_not_told_what_the_recipe_says_of_its_own(own: str) -> None:
    experiment = compose(own, ["model.family=audio_rnn", "objective.name=ctc"])
    assert set(experiment.model.config) == {"hidden", "layers", "dropout"}
    assert experiment.objective.options == {}


@pytest.mark.parametrize("name", [each.name for each in recipes()])
def test_every_recipe_composes(name: str) -> None:
    experiment = compose(name)
    written = flat(recipe_values(name))
    resolved = flat(experiment.as_values())
    assert {key: resolved[key] for key in written} == written
    goal = objective(experiment.objective)
    assert callable(goal)
    tokenizer = experiment.tokens.learned(["one two three four five"] * 3)
    config = network_config(experiment.model, experiment.features, tokenizer)
    known = {each.name for each in dataclasses.fields(config)}
    assert "n_mels" not in known or config.n_mels == experiment.features.n_mels


@pytest.mark.parametrize("each", [*recipes(), *overlays()], ids=lambda each: each.name)
def test_every_file_says_what_it_is(each: Any) -> None:
    assert len(each.about) > 40


def test_values_are_laid_over_a_recipe(own: str) -> None:
    experiment = compose(
        own,
        [
            "train.steps=5",
            "train.optimizer.learning_rate=1",
            "train.optimizer.betas=[0.5,0.75]",
            "train.layers=[{prefix: encoder, rate: 2}]",
            "data.where=['role=big|small']",
            "augment.spectrogram.frequency_masks=1",
            "model.config.heads=1",
            "objective.options.ctc_weight=0.5",
            "augment.speed=[1,1.5]",
        ],
    )
    assert isinstance(experiment, Experiment)
    assert (experiment.train.steps, experiment.train.optimizer.learning_rate) == (5, 1.0)
    assert experiment.train.optimizer.betas == (0.5, 0.75)
    assert experiment.train.layers == (LayerOptions("encoder", 2.0),)
    assert experiment.data.where == ("role=big|small",)
    assert experiment.augment.spectrogram == SpecAugment(0, 1, time_masks=0)
    assert experiment.augment.speed == (1.0, 1.5)
    assert (experiment.model.config["d_model"], experiment.model.config["heads"]) == (32, 1)
    assert experiment.objective.options == {"label_smoothing": 0.1, "ctc_weight": 0.5}
    noisy = compose(own, ["+experiments=noisy", "augment.snr_db=[1,2]"])
    assert noisy.augment.noises == ("white", "pink", "brown")
    assert noisy.augment.snr_db == (1.0, 2.0)
    both = compose(own, ["+experiments=[noisy,plain]"])
    assert not both.augment.on_samples


def test_another_variant_has_its_own_defaults(own: str) -> None:
    plain, other = compose(own), compose(own, ["model.variant=small"])
    assert (plain.model.config["inner"], other.model.config["inner"]) == (32, 1024)
    assert other.model.config["d_model"] == 32  # as the recipe says


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stepps=3", r"no 'train\.stepps'; the nearest is train\.steps"),
        ("steps=3", r"no 'steps'; the nearest is train\.steps"),
        ("model.config.d_modell=3", r"nearest is model\.config\.d_model"),
        ("model.config.tokens=3", r"no 'model\.config\.tokens'"),
        ("objective.options.weight=3", r"no 'objective\.options\.weight'"),
        ("train.layers=[{prefx: a}]", "no 'prefx'"),
        ("hydra.run.dir=x", r"no 'hydra\.run\.dir'"),
        ("_target_=os.system", "no '_target_'"),
        ("train.steps=abc", r"train\.steps: Value 'abc'.* Integer"),
        ("train.steps=-1", "steps is -1; give 1 or more"),
        ("train.steps=1,2", r"steps=1,2: gives several values; give one, a list as KEY=\[A,B\]"),
        ("train.steps=range(1,3)", "gives several values"),
        ("train.steps=1\n", "more than a line"),
        ("train.seed=9223372036854775808", "give 0 or more, below 9223372036854775808"),
        ("data.split.seed=-1", "seed is -1"),
        ("augment.snr_db=[5]", r"snr_db is \(5\.0,\); give \(least, most\)"),
        ("features.n_mels=0", "n_mels is 0; give 1 to 1024"),
        ("train=3", "^train: "),
        ("data.source=null", r"data\.source.*not Optional"),
        ("data.where=[role=big]", r"quote text in a list"),
        ("model.config.heads=${oc.env:HOME}", "refers to another value"),
        ("+train.more=3", "neither KEY=VALUE"),
        ("~train.steps", "neither KEY=VALUE"),
        ("train.steps", "neither KEY=VALUE"),
        ("+experiments=nosy", r"unknown experiment 'nosy'.*noisy"),
        ("+experiments=../x", "neither KEY=VALUE"),
        ("model.family=seq2sek", "unknown model family 'seq2sek'"),
        ("model.family=silero", r"can be trained 'silero'.*seq2seq"),
        ("model.variant=tiny", r"unknown variant of seq2seq 'tiny'.*las"),
        ("objective.name=magic", "unknown objective 'magic'.*attention"),
    ],
)
def test_what_can_not_be_laid_over(own: str, override: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        compose(own, [override])
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {steps: '${oc.env:HOME}'}", "refers to another value"),
        ("train: {steps: ${oc.decode:1}}", r"\.yaml: "),
        (RECIPE.replace("10", '"\\x24{oc.env:HOME}"'), "refers to another value"),
        ("a: &a [x]\ntrain: {steps: [*a, *a]}", "refers to another value"),
        ("train: {stepps: 3}\nmodel: {family: seq2seq, variant: test}", r"no 'train\.stepps'"),
        ("_target_: os.system", "no '_target_'"),
        ("defaults: [digits]", "no 'defaults'"),
        ("hydra: {searchpath: [file:///tmp]}", "no 'hydra'"),
        ("!!python/object/apply:os.system [echo]", "can't be read as YAML"),
        ("[1, 2]", "holds no fields"),
        ("train: [", "can't be read as YAML"),
        ("", "is not given"),
        (RECIPE.replace("{steps: 10}", "{seed: 1}"), r"train\.steps is not given"),
        ("model: 3", "model is 3; give its fields"),
    ],
)
def test_files_that_are_no_recipe(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        compose(str(path))
    assert len(str(caught.value).splitlines()) == 1


def test_a_mandatory_value_may_come_from_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "open.yaml"
    path.write_text(RECIPE.replace("{steps: 10}", "{seed: 1}"))
    assert compose(str(path), ["train.steps=4"]).train.steps == 4


def test_recipes_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"unknown recipe 'digit'.*digits"):
        compose("digit")
    with pytest.raises(InputError, match="no such file"):
        compose(str(tmp_path / "none.yaml"))
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="can't be read"):
        compose(str(tmp_path / "bytes.yaml"))


def test_nothing_of_ours_is_left_in_hydra(own: str) -> None:
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra

    compose(own)
    assert not [name for name in ConfigStore.instance().repo if name.startswith("aural")]
    assert not GlobalHydra.instance().is_initialized()


def test_what_the_page_lays_over_recipes_composes(own: str) -> None:
    page = (Path(__file__).parents[2] / "docs/train.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("aural train ")]
    options = {"--list", "--show", "--directory", "runs/digits", "runs/words", "runs/strings"}
    tried = 0
    for line in lines:
        recipe, *rest = [each for each in shlex.split(line)[2:] if each not in options] or [""]
        if recipe:
            compose({"mine.yaml": own}.get(recipe, recipe), rest)
            tried += 1
    assert tried >= 4
    table = page.partition("\n## Sections\n")[2].partition("\n## ")[0]
    sections = re.findall(r"^\| `(\w+)` \|", table, flags=re.M)
    assert set(sections) == {each.name for each in dataclasses.fields(Experiment)}
