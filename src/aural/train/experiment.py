"""An experiment as one value, from the data to figures on speakers that nobody trained on.

    Experiment -> material, tokens, network -> fit -> export -> judged on the test set

What it leaves in its directory is the run's (train/run.py), and

    model/          the trained network, to be loaded as FAMILY@DIRECTORY/model
    result.json     figures with intervals, beside those of what needs no network
    heard.jsonl     each text of the test set and what was heard
"""

from __future__ import annotations

import inspect
import json
import math
import shutil
import tempfile
from collections.abc import Mapping  # noqa: TC003  (a form is made of the annotations)
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

import torch

from aural import models
from aural.data.augmentation import AugmentOptions
from aural.data.batches import BatchOptions
from aural.data.examples import Examples, with_sound_of_another
from aural.errors import InputError, UnknownName
from aural.nn.exported import Exported, FeatureOptions, as_dataclass, export
from aural.text.normalise import NORMALISERS
from aural.train import judging, objectives, ways
from aural.train.distributed import processes
from aural.train.judging import JudgeOptions
from aural.train.loop import TrainOptions, fit
from aural.train.material import DataOptions, Material, TokenOptions, gather
from aural.train.optim import layer_of
from aural.train.run import Card, Run, model_card, sound_per_second
from aural.train.source import Source, TextSource, batches_of, collate, mean_losses, texts_of
from aural.train.start import otherwise_trained, start_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

    from torch import nn

    from aural.data.examples import Example
    from aural.nn.recogniser import Features
    from aural.text.tokens import Tokenizer
    from aural.train.batch import Batch, Objective
    from aural.train.judging import Counts
    from aural.train.loop import Report, Result
    from aural.train.optim import LayerOptions

LANGUAGE_MODEL = "language_model"
CTC = "ctc"
DERIVED = ("n_mels", "tokens")
"""Fields of a family's Config that the features and the tokenizer decide."""
FITTING = 8
"""So many texts in a row that fit their frames, the tightest first: the others fit too."""


@dataclass(frozen=True)
class ModelChoice:
    """family and variant name a shape; config replaces fields of its Config.

    start: the directory of a trained model, RUN/model, whose weights it begins with where both have
    them (train/start.py); "" for weights drawn anew.
    """

    family: str
    variant: str
    config: Mapping[str, Any] = field(default_factory=dict)
    start: str = ""


@dataclass(frozen=True)
class ObjectiveChoice:
    """One of train/objectives, and its keyword-only arguments."""

    name: str = CTC
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """Everything that decides what is learned; train.seed is the seed of all of it."""

    model: ModelChoice
    data: DataOptions
    train: TrainOptions
    objective: ObjectiveChoice = field(default_factory=ObjectiveChoice)
    features: FeatureOptions = field(default_factory=FeatureOptions)
    tokens: TokenOptions = field(default_factory=TokenOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    batches: BatchOptions = field(default_factory=BatchOptions)
    judge: JudgeOptions = field(default_factory=JudgeOptions)

    def as_values(self) -> dict[str, Any]:
        """Plain JSON."""
        return json.loads(json.dumps(asdict(self)))


def trainable(family: str) -> ModuleType:
    """A family's module; InputError where it has neither `build` nor a way of its own, with those
    that have."""
    module = models.family(family)
    if not _is_trainable(family):
        known = [name for name in models.families() if _is_trainable(name)]
        raise UnknownName("family that can be trained", family, known)
    return module


def _is_trainable(family: str) -> bool:
    return hasattr(models.family(family), "build") or family in own_ways()


def own_ways() -> tuple[str, ...]:
    """Families that are trained in a way of their own: the files of train/ways."""
    return tuple(sorted(module.name for module in iter_modules(ways.__path__)))


def own_way(family: str) -> ModuleType | None:
    """The file of such a family; None for others."""
    return import_module(f"{ways.__name__}.{family}") if family in own_ways() else None


def variant_config(choice: ModelChoice) -> Any:
    """The Config of the variant, before anything is replaced."""
    module = trainable(choice.family)
    if own := own_way(choice.family):
        return own.variant_config(choice.variant)
    if choice.variant not in module.VARIANTS:
        raise UnknownName(f"variant of {choice.family}", choice.variant, tuple(module.VARIANTS))
    return module.VARIANTS[choice.variant].config


def network_config(choice: ModelChoice, features: FeatureOptions, tokenizer: Tokenizer) -> Any:
    """The family's Config: its variant's, with what the choice replaces, the features' n_mels and
    the tokenizer's size."""
    config = variant_config(choice)
    known = {each.name: getattr(config, each.name) for each in fields(config)}
    if decided := sorted(set(choice.config) & set(DERIVED)):
        raise InputError(f"{decided[0]} is decided by features and tokens; leave it out of config")
    derived = {"n_mels": features.n_mels, "tokens": tokenizer.size}
    kept = {name: value for name, value in derived.items() if name in known}
    return as_dataclass(type(config), {**known, **choice.config, **kept}, "model.config")


def hearing(network: nn.Module, options: FeatureOptions) -> Features:
    """What makes the features of a network: its own `features` where it has them, those of an
    encoder that was trained on them, else the options."""
    found: Features = getattr(network, "features", options)
    return found


def objective_names() -> tuple[str, ...]:
    """The files of train/objectives."""
    return tuple(sorted(module.name for module in iter_modules(objectives.__path__)))


def objective_function(name: str) -> Callable[..., Any]:
    """The objective of a name, to be given a network, a batch and its options."""
    if name not in objective_names():
        raise UnknownName("objective", name, objective_names())
    function: Callable[..., Any] = getattr(import_module(f"{objectives.__name__}.{name}"), name)
    return function


def objective(choice: ObjectiveChoice) -> Objective:
    """The objective with its options; InputError names one it does not have."""
    function = objective_function(choice.name)
    known = inspect.signature(function).parameters.values()
    names = [each.name for each in known if each.kind is inspect.Parameter.KEYWORD_ONLY]
    if unknown := sorted(set(choice.options) - set(names)):
        listed = ", ".join(names) or "none"
        raise InputError(f"objective {choice.name} has no {unknown[0]}; its options are: {listed}")
    return partial(function, **choice.options)


@dataclass(frozen=True, eq=False)
class Bench:
    """What an experiment is worked on with; a family's own way (train/ways) overrides parts."""

    experiment: Experiment
    material: Material
    tokenizer: Tokenizer
    config: Any
    objective: Objective

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """What a family's own way refuses, with InputError."""

    @property
    def reads_texts(self) -> bool:
        """Whether it is a language model, which hears nothing."""
        return self.experiment.objective.name == LANGUAGE_MODEL

    def network(self) -> nn.Module:
        """The network with its first weights, the same each time."""
        with torch.random.fork_rng():
            torch.manual_seed(self.experiment.train.seed)
            built: Any = trainable(self.experiment.model.family).build(self.config)
        self.begin(built)
        if hasattr(built, "remember"):  # what it was told of a recording once holds for ever
            built.remember = not self.experiment.augment.changes
        made: nn.Module = built
        return made

    def begin(self, network: nn.Module) -> list[str]:
        """Fill it with what was trained before, where it is to begin so (twice is as once); what to
        say of that."""
        start = self.experiment.model.start
        if not start:
            return []
        found, whole = start_from(network, start)
        begun = f"begins with {found:,} of its {whole:,} weights as they are in {start}"
        return [begun, *otherwise_trained(start, self.about(network))]

    def texts(self, part: str) -> list[str]:
        """The texts of a part as they are trained on and judged by."""
        normalise = NORMALISERS[self.experiment.data.text]
        return [normalise(each.text) for each in self.material.part(part)]

    def train(
        self,
        run: Run,
        progress: Callable[[Report], None] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> tuple[Any, Result]:
        """What came of training, and how it went; say is told how large the network is, and what
        it begins with."""
        network = self.network()
        choice = self.experiment.model
        say(f"{choice.family}/{choice.variant}: {self.sizes(network)[0]:,} parameters")
        for told in self.begin(network):
            say(told)
        return network, _fit(self, network, run, progress)

    def sizes(self, trained: Any) -> tuple[int, int]:
        """How many parameters there are, and how many of them are trained."""
        layers = self.experiment.train.layers
        named = list(trained.named_parameters())
        changed = [
            each
            for name, each in named
            if each.requires_grad and _is_trained(layer_of(name, layers))
        ]
        return sum(each.numel() for _, each in named), sum(each.numel() for each in changed)

    def references(self, trained: Any) -> Iterator[tuple[str, Any]]:
        """What else is exported and judged, by name: the network with its first weights, where
        the judge asks for it; they are "before" where it began with what was trained before."""
        if self.experiment.judge.untrained:
            yield "before" if self.experiment.model.start else "untrained", self.network()

    def hear(self, directory: Path, utterances: Sequence[Any]) -> list[str]:
        """What an exported network writes down."""
        return judging.hear(directory, self.experiment.model.family, utterances)

    def together(self, examples: Sequence[Example]) -> Batch:
        """Examples as one batch."""
        return collate(examples)

    def examples(self, part: str, network: nn.Module) -> Examples:
        """A part as examples for the network, that of training with what is done to it on
        purpose."""
        own = self.experiment
        return Examples(
            self.material.part(part),
            hearing(network, own.features),
            self.tokenizer,
            normalise=NORMALISERS[own.data.text],
            augment=own.augment if part == "train" else None,
        )

    def export(self, directory: Path, network: nn.Module) -> None:
        """The network as a directory to be loaded."""
        export(directory, network, self.about(network))

    def about(self, network: nn.Module) -> Exported:
        """What its directory says of it."""
        languages = {each.language for each in self.material.part("train")}
        heard, own = hearing(network, self.experiment.features), self.experiment.features
        return Exported(
            family=self.experiment.model.family,
            config=asdict(self.config),
            features=heard if isinstance(heard, FeatureOptions) else own,
            tokenizer=self.tokenizer,
            language=languages.pop() if len(languages) == 1 else "",
        )


def run_experiment(
    experiment: Experiment,
    directory: Path,
    *,
    name: str = "experiment",
    resume: bool = False,
    command: str = "",
    progress: Callable[[Report], None] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Do an experiment; what result.json holds.

    name and command stand in the model card. resume: go on in a directory where a run of the same
    settings was broken off. say is told what is left out and what comes next. Under torchrun every
    process calls it alike; the first one judges and writes, the others return {}.

    Raises:
        InputError: the directory is not empty and resume was not asked for, or is another run's;
            the data, the model or an option is not there or does not fit.
        TrainingError: the loss stays not finite, or another process was lost.
    """
    first = processes()[0] == 0
    if first and not resume and directory.is_dir() and any(directory.iterdir()):
        raise InputError(f"{directory} is not empty; go on with --resume, or give a new directory")
    bench = bench_of(experiment, say)
    settings = {key: value for key, value in experiment.as_values().items() if key != "train"}
    run = Run(directory, config=settings, data=bench.material.about(), command=command)
    network, result = bench.train(run, progress, say)
    if not first:
        return {}
    bench.export(directory / "model", network)
    say("judging on the test set")
    found = _judged(bench, network, directory)
    written: dict[str, Any] = _finite(
        {"name": name, **_trained(bench, network, run, result), **found}
    )
    text = json.dumps(written, ensure_ascii=False, indent=2, allow_nan=False)
    (directory / "result.json").write_text(text + "\n", encoding="utf-8")
    for system, each in {"the network": found, **found["baselines"]}.items():
        say(f"{system}: {judging.summary(each['figures'])}")
    card = _card(bench, name, command, result, found)
    shutil.copyfile(model_card(run, card), directory / "model" / "README.md")
    return written


def bench_of(experiment: Experiment, say: Callable[[str], None] = lambda _: None) -> Bench:
    """The experiment with its data and all that it is worked on with; say is told what is left out.

    Raises:
        InputError: as run_experiment, of data, model and options.
    """
    goal = objective(experiment.objective)
    variant_config(experiment.model)
    material = gather(experiment.data, experiment.train.seed)
    normalise = NORMALISERS[experiment.data.text]
    tokenizer = experiment.tokens.learned([normalise(each.text) for each in material.part("train")])
    config = network_config(experiment.model, experiment.features, tokenizer)
    if experiment.model.start and own_way(experiment.model.family):
        raise InputError(f"{experiment.model.family} begins in its own way; leave model.start out")
    kind: type[Bench] = getattr(own_way(experiment.model.family), "Bench", Bench)
    bench = kind(experiment, material, tokenizer, config, goal)
    if experiment.objective.name == CTC:
        bench = _with_texts_that_fit(bench)
    for why, count in bench.material.about()["left_out"].items():
        say(f"left out: {count} of {why}")
    return bench


def _with_texts_that_fit(bench: Bench) -> Bench:
    """Without utterances whose text needs more frames than CTC has: one a token, and one between
    two that are the same."""
    network = bench.network().eval()
    tight: dict[str, str] = {}
    for part in ("train", "validation"):
        tight |= _tight(bench, network, part)
    if not tight:
        return bench
    if bench.experiment.data.too_long == "error":
        name, why = next(iter(tight.items()))
        raise InputError(
            f"{name} and {len(tight) - 1} more can't be written down by CTC: {why}; give "
            "data.too_long='leave out', or a network that makes fewer states of a second less"
        )
    return replace(bench, material=bench.material.without(tight, "texts longer than CTC can write"))


def _tight(bench: Bench, network: nn.Module, part: str) -> dict[str, str]:
    """Why a text does not fit, by id; the shortest version of its sound counts."""
    examples = bench.examples(part, network)
    share = bench.experiment.augment.fastest if part == "train" else 1.0
    needed = [len(tokens) + sum(a == b for a, b in pairwise(tokens)) for tokens in examples.tokens]
    order = sorted(range(len(examples)), key=lambda i: examples.durations[i] / needed[i])
    found: dict[str, str] = {}
    fitting = 0
    for number in order:
        features = torch.from_numpy(examples.example(number).features)
        count = int(len(features) * share)
        states = 0
        if count:
            with torch.no_grad():
                _, lengths = network(features[None, :count], torch.tensor([count]))
            states = int(lengths[0])
        if states < needed[number]:
            text = f"{needed[number]} states are needed and {states} are there"
            found[examples.utterances[number].id] = text
        fitting = 0 if states < needed[number] else fitting + 1
        if fitting == FITTING:
            break
    return found


def _fit(
    bench: Bench, network: nn.Module, run: Run, progress: Callable[[Report], None] | None
) -> Result:
    own = bench.experiment
    held = bench.material.part("validation")
    seed = own.train.seed
    if bench.reads_texts:
        texts = TextSource(bench.texts("train"), bench.tokenizer, own.batches, seed=seed)
        judge = partial(_validate_texts, bench) if held else None
        return fit(network, bench.objective, texts, own.train, run, judge, progress)
    training = bench.examples("train", network)
    slowest, together = own.augment.slowest, bench.together
    sound = Source(training, own.batches, seed=seed, slowest=slowest, together=together)
    examples = bench.examples("validation", network) if held else None
    validate = partial(_validate, bench, examples) if examples else None
    return fit(network, bench.objective, sound, own.train, run, validate, progress)


def _validate(bench: Bench, examples: Examples, network: nn.Module, step: int) -> dict[str, float]:
    """Means of the losses; of CTC also error rates of the likeliest path."""
    options = bench.experiment.batches
    batches = batches_of(examples, options, bench.together)
    found = mean_losses(network, bench.objective, batches)
    if bench.experiment.objective.name == CTC:
        batches = batches_of(examples, options)
        found |= judging.greedy_rates(network, batches, bench.tokenizer)
    return found


def _validate_texts(bench: Bench, network: nn.Module, step: int) -> dict[str, float]:
    batches = texts_of(bench.texts("validation"), bench.tokenizer, bench.experiment.batches)
    return mean_losses(network, bench.objective, batches)


def _judged(bench: Bench, network: Any, directory: Path) -> dict[str, Any]:
    """Figures of the network and of its baselines, each with the network's difference from it."""
    judge = judging.Judge(bench.material.part("test"), bench.experiment.judge)
    own = _counts(bench, network, directory)
    baselines = _baselines(bench, network, directory / "model")
    return {
        "figures": judge.figures(own),
        "clusters": judge.clusters.unit,
        "note": judge.clusters.note,
        "baselines": {
            name: {
                "figures": judge.figures(counts),
                "difference": judge.differences(own, counts),
            }
            for name, counts in baselines.items()
        },
    }


def _counts(bench: Bench, network: Any, directory: Path) -> Counts:
    texts = bench.texts("test")
    if bench.reads_texts:
        return judging.language_model_counts(network, bench.objective, texts, bench.tokenizer)
    heard = _heard(bench, directory / "model", bench.material.part("test"))
    rows = zip(bench.material.part("test"), texts, heard, strict=True)
    lines = [
        json.dumps({"id": each.id, "text": text, "heard": found}, ensure_ascii=False) + "\n"
        for each, text, found in rows
    ]
    (directory / "heard.jsonl").write_text("".join(lines), encoding="utf-8")
    return judging.text_counts(texts, heard)


def _heard(bench: Bench, directory: Path, utterances: Sequence[Any]) -> list[str]:
    normalise = NORMALISERS[bench.experiment.data.text]
    return [normalise(text) for text in bench.hear(directory, utterances)]


def _baselines(bench: Bench, network: Any, exported: Path) -> dict[str, Counts]:
    training, texts = bench.texts("train"), bench.texts("test")
    wanted = bench.experiment.judge
    if bench.reads_texts:
        found = {"unigram": judging.unigram_counts(training, texts, bench.tokenizer)}
        if wanted.untrained:
            found["untrained"] = judging.language_model_counts(
                bench.network(), bench.objective, texts, bench.tokenizer
            )
        return found
    always = judging.most_frequent(training)
    found = {"majority": judging.text_counts(texts, [always] * len(texts))}
    test = bench.material.part("test")
    for name, other in bench.references(network):
        with tempfile.TemporaryDirectory() as folder:
            bench.export(Path(folder), other)
            found[name] = judging.text_counts(texts, _heard(bench, Path(folder), test))
    if wanted.shuffled:
        others = with_sound_of_another(test, bench.experiment.train.seed)
        found["shuffled"] = judging.text_counts(texts, _heard(bench, exported, others))
    return found


def _trained(bench: Bench, network: Any, run: Run, result: Result) -> dict[str, Any]:
    choice = bench.experiment.model
    whole, changed = bench.sizes(network)
    return {
        "model": f"{choice.family}/{choice.variant}",
        "parameters": whole,
        "trained": changed,
        "objective": bench.experiment.objective.name,
        "data": bench.material.about(),
        "training": {**asdict(result), "sound_per_second": sound_per_second(run.directory)},
    }


def _is_trained(layer: LayerOptions | None) -> bool:
    return layer is None or layer.trained_from >= 0


def _card(bench: Bench, name: str, command: str, result: Result, found: Mapping[str, Any]) -> Card:
    about = bench.material.about()
    by = bench.experiment.data.split.by
    held = ", ".join(about["held_out"]["test"])
    data = bench.experiment.data
    return Card(
        name=name,
        what=f"{bench.experiment.model.family} trained with {bench.experiment.objective.name}.",
        data=f"{data.source}; judged on {by} {held}, none of which was trained on.",
        metrics=_values(found["figures"]),
        baseline=_values(next(iter(found["baselines"].values()))["figures"]),
        command=command or "run_experiment",
        minutes=result.seconds / 60,
        licence=f"That of its data: {data.licence or 'see where it is from'}.",
    )


def _values(figures: Mapping[str, Any]) -> dict[str, float]:
    return {name: each["value"] for name, each in figures.items() if each["value"] is not None}


def _finite(value: Any) -> Any:
    """The same with None for numbers that JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
