"""Hidden Markov models: Gaussians fitted to utterances and texts, and networks in their place.

Without a network (hidden 0) `train.steps` are the iterations of phones without context
(models/hmm/training.py); only the seed of the other options of `train` is read, and a run that was
broken off begins anew. With one, the Gaussians come first and say which state each frame is; the
network learns that frame by frame (objective "frames"), and what it says replaces their densities.
`gaussians`, beside it, is what it learned from.

Of `features` the rate and the number of mel bands count; of `augment` what is done to samples. What
is chosen by the validation set is the acoustic scale, among acoustic_scales.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from aural import models
from aural.data.augmentation import NO_MASKS, Augmenter
from aural.data.examples import Example, samples_of
from aural.errors import InputError, UnknownName
from aural.metrics.wer import word_errors
from aural.models.hmm import Config as Decoding
from aural.models.hmm import GrammarKind, save
from aural.models.hmm.features import CepstraOptions
from aural.models.hmm.lexicon import parse_lexicon, read_lexicon
from aural.models.hmm.network import FrameNetwork, Shape, hybrid, save_network
from aural.models.hmm.recogniser import Listening, WordRecogniser
from aural.models.hmm.training import (
    UNALIGNED,
    TrainingOptions,
    align_states,
    fit_hmm,
    log_priors,
)
from aural.models.hmm.trees import TreeOptions
from aural.train import experiment
from aural.train.distributed import processes
from aural.train.loop import Report, Result
from aural.train.run import MetricsLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from aural.models.hmm.acoustic import GaussianModel, HybridModel
    from aural.models.hmm.lexicon import Lexicon
    from aural.models.hmm.training import Progress
    from aural.train.run import Run

FAMILY, OBJECTIVE = "hmm", "frames"
PRONOUNCED = "hmm/en-us"
"""Whose dictionary tells how English words are said."""


@dataclass(frozen=True)
class Config:
    """lexicon: lines in CMUdict's form ("two T UW"); none: the CMU dictionary, for the words of the
    training texts. grammar, fmin, fmax, n_mfcc, word_log_weight, silence_log_weight and beam as the
    family's Config has them; acoustic_scales: what its acoustic_scale is chosen from.

    copies: each training utterance is taken so often, the first as it is, the others distorted.
    gaussians and iterations of phones without context (iterations: where a network comes after),
    triphone_gaussians (0: none), triphone_iterations and tied_states of phones in context. hidden
    (0: no network), layers, context and dropout of the network.
    """

    lexicon: tuple[str, ...] = ()
    grammar: GrammarKind = "loop"
    fmin: float = 20.0
    fmax: float = 7600.0
    n_mfcc: int = 13
    acoustic_scales: tuple[float, ...] = (0.1,)
    word_log_weight: float = -2.0
    silence_log_weight: float = -0.1
    beam: float = 0.0
    copies: int = 1
    gaussians: int = 500
    iterations: int = 20
    triphone_gaussians: int = 0
    triphone_iterations: int = 15
    tied_states: int = 2000
    hidden: int = 0
    layers: int = 2
    context: int = 7
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not self.acoustic_scales or self.copies < 1 or self.hidden < 0:
            raise InputError(
                f"acoustic_scales are {self.acoustic_scales}, copies {self.copies}, hidden "
                f"{self.hidden}; give one scale or more, 1 or more, 0 or more"
            )
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout is {self.dropout}; give 0 or more, below 1")


VARIANTS = {"gaussians": Config(), "hybrid": Config(hidden=256)}


def variant_config(variant: str) -> Config:
    """Gaussians alone, or with a network."""
    if variant not in VARIANTS:
        raise UnknownName(f"variant of {FAMILY}", variant, tuple(VARIANTS))
    return VARIANTS[variant]


@dataclass(frozen=True, eq=False)
class Trained:
    """Gaussians, and where there is one the network in their place."""

    gaussians: GaussianModel
    network: FrameNetwork | None = None
    acoustic_scale: float = 0.1

    @property
    def acoustics(self) -> GaussianModel | HybridModel:
        """What scores frames."""
        return hybrid(self.gaussians, self.network) if self.network else self.gaussians


@dataclass(frozen=True)
class Spoken:
    """Utterances of a part, each in all its copies: cepstra (frame, dimension) and texts."""

    ids: tuple[str, ...]
    features: tuple[np.ndarray, ...]
    texts: tuple[str, ...]
    durations: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Aligned:
    """Those of them that could be aligned, as examples whose tokens are states, one a frame."""

    spoken: Spoken
    states: tuple[np.ndarray, ...]

    @cached_property
    def _kept(self) -> list[int]:
        return [i for i, each in enumerate(self.states) if each.size and each[0] != UNALIGNED]

    @property
    def known(self) -> list[np.ndarray]:
        """The states of each."""
        return [self.states[i] for i in self._kept]

    @property
    def durations(self) -> tuple[float, ...]:
        """Seconds of each."""
        return tuple(self.spoken.durations[i] for i in self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def example(self, number: int, rng: np.random.Generator | None = None) -> Example:
        """One of them."""
        i = self._kept[number]
        spoken, tokens = self.spoken, tuple(self.states[i].tolist())
        return Example(
            spoken.ids[i], spoken.features[i], tokens, spoken.texts[i], spoken.durations[i]
        )


class Bench(experiment.Bench):
    """Raises InputError for another objective, masks of features, distortions without copies to
    distort, and several processes."""

    def check(self) -> None:
        """As the class says."""
        own = self.experiment
        if own.objective.name != OBJECTIVE:
            raise InputError(f"objective is {own.objective.name}; hmm is trained with {OBJECTIVE}")
        if own.augment.spectrogram != NO_MASKS:
            raise InputError("augment.spectrogram is of mels, and hmm hears cepstra; leave it out")
        if own.augment.on_samples != (self.config.copies > 1):
            raise InputError(
                f"copies is {self.config.copies} and augment distorts "
                f"{'samples' if own.augment.on_samples else 'nothing'}; give both or neither"
            )
        if processes()[1] > 1:
            raise InputError("hmm is trained by one process; start it without torchrun")

    @cached_property
    def lexicon(self) -> Lexicon:
        """How each word is said."""
        if self.config.lexicon:
            return parse_lexicon(self.config.lexicon, "model.config.lexicon")
        words = {word.lower() for text in self.texts("train") for word in text.split()}
        return read_lexicon(models.locate(models.find(PRONOUNCED)) / "lexicon.txt", words)

    @cached_property
    def cepstra(self) -> CepstraOptions:
        """What is heard of sound."""
        own, heard = self.config, self.experiment.features
        return CepstraOptions(heard.sample_rate, heard.n_mels, own.n_mfcc, own.fmin, own.fmax)

    @cached_property
    def spoken(self) -> dict[str, Spoken]:
        """The parts that are learned and chosen by."""
        return {part: self._heard(part) for part in ("train", "validation")}

    def _heard(self, part: str) -> Spoken:
        own, rate = self.experiment, self.cepstra.sample_rate
        copies = self.config.copies if part == "train" else 1
        augmenter = Augmenter(own.augment, rate) if copies > 1 else None
        rows = []
        for number, (each, text) in enumerate(
            zip(self.material.part(part), self.texts(part), strict=True)
        ):
            samples = samples_of(each, rate)
            for copy in range(copies):
                made = samples
                if copy and augmenter is not None:
                    rng = np.random.default_rng([own.train.seed, copy, number])
                    made = augmenter.on_samples(samples, rng)
                rows.append((each.id, self.cepstra.cepstra(made), text, made.size / rate))
        ids, features, texts, durations = zip(*rows, strict=True) if rows else ((), (), (), ())
        return Spoken(ids, features, texts, durations)

    def train(
        self,
        run: Run,
        progress: Callable[[Report], None] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> tuple[Trained, Result]:
        """Gaussians, and the network where one is wanted."""
        if not self.config.hidden:
            return self._gaussians(run, progress)
        began = time.monotonic()
        say(f"{FAMILY}: {self.config.iterations} iterations of Gaussians")
        shares = self.log_priors
        spent = time.monotonic() - began
        network, result = super().train(run, progress, say)
        network.log_priors.copy_(shares)
        trained, rate = self._scaled(Trained(self.aligner, network))
        metrics = {**result.metrics} if rate is None else {**result.metrics, "wer": rate}
        return trained, replace(result, metrics=metrics, seconds=result.seconds + spent)

    def _gaussians(
        self, run: Run, progress: Callable[[Report], None] | None
    ) -> tuple[Trained, Result]:
        """Gaussians alone, each iteration a step of the run."""
        settings = asdict(self.experiment.train)
        run.check(settings)
        run.begin(settings, step=0, processes=1)
        (run.directory / "metrics.jsonl").unlink(missing_ok=True)
        sound, steps = sum(self.spoken["train"].durations), self.experiment.train.steps
        tensorboard = self.experiment.train.tensorboard
        with closing(MetricsLog(run.directory, step=0, tensorboard=tensorboard)) as log:
            teller = _Teller(log, progress, sound)
            trained, rate = self._scaled(Trained(self._fitted(steps, teller.tell)))
            return trained, teller.result({} if rate is None else {"wer": rate})

    @cached_property
    def aligner(self) -> GaussianModel:
        """The Gaussians that tell a network which states its frames are."""
        return self._fitted(self.config.iterations, None)

    def _fitted(self, iterations: int, report: Callable[[Progress], None] | None) -> GaussianModel:
        own, spoken = self.config, self.spoken["train"]
        options = TrainingOptions(
            iterations=iterations,
            gaussians=own.gaussians,
            triphone_iterations=own.triphone_iterations,
            triphone_gaussians=own.triphone_gaussians,
            trees=TreeOptions(max_states=own.tied_states),
        )
        return fit_hmm(spoken.features, spoken.texts, self.lexicon, options, report=report)

    @cached_property
    def aligned(self) -> dict[str, Aligned]:
        """The parts with the state of each frame."""
        return {
            part: Aligned(each, tuple(self._states(each) if len(each) else ()))
            for part, each in self.spoken.items()
        }

    def _states(self, spoken: Spoken) -> list[np.ndarray]:
        return align_states(self.aligner, spoken.features, spoken.texts, self.lexicon)

    @cached_property
    def log_priors(self) -> torch.Tensor:
        """The states' log shares of the frames that are trained on."""
        shares = log_priors(self.aligned["train"].known, self.aligner.mixtures.states)
        return torch.from_numpy(shares).float()

    def network(self) -> FrameNetwork:
        """The network with its first weights."""
        own, mixtures = self.config, self.aligner.mixtures
        shape = Shape(mixtures.means.shape[1], mixtures.states, own.hidden, own.layers, own.context)
        with torch.random.fork_rng():
            torch.manual_seed(self.experiment.train.seed)
            return FrameNetwork(shape, own.dropout)

    def examples(self, part: str, network: Any) -> Aligned:  # type: ignore[override]
        """A part with its alignment."""
        return self.aligned[part]

    def _scaled(self, trained: Trained) -> tuple[Trained, float | None]:
        """With the acoustic scale that makes fewest errors on the validation set, and their rate;
        the first scale where there is no such set."""
        held, scales = self.material.part("validation"), self.config.acoustic_scales
        if not held:
            return replace(trained, acoustic_scale=scales[0]), None
        sounds = [samples_of(each, self.cepstra.sample_rate) for each in held]
        rates = [self._rate(replace(trained, acoustic_scale=scale), sounds) for scale in scales]
        best = int(np.argmin(rates))
        return replace(trained, acoustic_scale=scales[best]), rates[best]

    def _rate(self, trained: Trained, sounds: Sequence[np.ndarray]) -> float:
        """Word error rate on the validation set."""
        decoding = self._decoding(trained)
        heard = Listening(trained.acoustics, self.cepstra.cepstra, self.lexicon, decoding)
        found = WordRecogniser(heard).recognise(sounds)
        pairs = zip(self.texts("validation"), found, strict=True)
        counts = [word_errors(text, each.segment.text.strip()) for text, each in pairs]
        return sum(each.errors for each in counts) / max(1, sum(each.reference for each in counts))

    def _decoding(self, trained: Trained) -> Decoding:
        own, sizes = self.config, {}
        if trained.network is not None:
            sizes = {name: getattr(own, name) for name in ("hidden", "layers", "context")}
        kept = (
            "grammar",
            "n_mfcc",
            "fmin",
            "fmax",
            "word_log_weight",
            "silence_log_weight",
            "beam",
        )
        languages = {each.language for each in self.material.part("train")} - {""}
        return Decoding(
            language=languages.pop() if len(languages) == 1 else "",
            sample_rate=self.cepstra.sample_rate,
            n_mels=self.cepstra.n_mels,
            acoustic_scale=trained.acoustic_scale,
            **{name: getattr(own, name) for name in kept},
            **sizes,
        )

    def export(self, directory: Path, network: Any) -> None:
        """As models/hmm keeps its own."""
        trained: Trained = network
        save(directory, trained.gaussians, self.lexicon, self._decoding(trained))
        if trained.network is not None:
            save_network(directory, trained.network)

    def references(self, trained: Trained) -> Iterator[tuple[str, Trained]]:
        """Of a network the Gaussians that it learned from and, where the judge asks for it, itself
        with its first weights; of Gaussians none."""
        if trained.network is None:
            return
        yield "gaussians", self._scaled(Trained(trained.gaussians))[0]
        if self.experiment.judge.untrained:
            untrained = self.network().eval()
            untrained.log_priors.copy_(self.log_priors)
            yield "untrained", replace(trained, network=untrained)

    def sizes(self, trained: Any) -> tuple[int, int]:
        """All are trained."""
        network = trained.network if isinstance(trained, Trained) else trained
        if network is not None:
            return experiment.Bench.sizes(self, network)
        mixtures = trained.gaussians.mixtures
        count = (
            2 * mixtures.means.size + mixtures.log_weights.size + len(trained.gaussians.phones.stay)
        )
        return count, count


class _Teller:
    """Turns what fitting reports into lines of the run and of its progress."""

    def __init__(
        self, log: MetricsLog, progress: Callable[[Report], None] | None, sound: float
    ) -> None:
        self._log, self._progress, self._sound = log, progress, sound
        self._began = self._last = time.monotonic()
        self._step, self._loss = 0, 0.0

    def tell(self, found: Progress) -> None:
        """After an iteration, whose loss is the mean log density of a frame, less than nothing."""
        now = time.monotonic()
        self._step, self._loss = self._step + 1, -found.log_density
        seconds = now - self._began
        pace = self._sound / max(now - self._last, 1e-9)
        self._last = now
        about = {key: getattr(found, key) for key in ("stage", "states", "gaussians", "unaligned")}
        values = {"loss": self._loss, "seconds": seconds, "sound_per_second": pace, **about}
        self._log.write(self._step, "train", values)
        if self._progress is not None:
            left = found.iterations - found.iteration
            steps = self._step + left
            self._progress(Report(self._step, steps, self._loss, 0.0, 0.0, seconds, {}))

    def result(self, metrics: dict[str, float]) -> Result:
        """After the last one; metrics are those of the validation set."""
        if metrics:
            self._log.write(self._step, "validation", metrics)
        seconds = time.monotonic() - self._began
        return Result(self._step, self._loss, metrics, None, 0, 0, seconds, "steps")
