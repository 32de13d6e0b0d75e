"""Training from a flat start: utterances and what is said in them, nothing aligned.

Each utterance is cut into equal parts for a start; then, again and again, the best alignment is
found (Viterbi training) and the Gaussians are fitted to it and split. Phones in context come after:
their states are tied by decision trees over the alignment of phones without.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from aural.decode.graph import sequence, speech_graph
from aural.decode.viterbi import viterbi
from aural.errors import InputError
from aural.models.hmm.acoustic import SILENCE, GaussianModel, Topology
from aural.models.hmm.lexicon import words_of
from aural.models.hmm.mixtures import em_step, single, split
from aural.models.hmm.trees import (
    Statistics,
    TreeOptions,
    asked,
    clustered,
    gather,
    grow,
    monophones,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from aural.decode.graph import Phones, Pronunciation, SpeechGraph
    from aural.models.hmm.acoustic import Acoustics
    from aural.models.hmm.trees import Trees

STATES = 3
VARIANCE_FLOOR = 0.01
"""Share of the variance over all frames."""
GROWING = 0.75
"""Share of the iterations in which Gaussians are split."""
MAX_GRAPHS = 4096
UNALIGNED = -1


@dataclass(frozen=True)
class TrainingOptions:
    """iterations and gaussians (in all) of phones without context, then of phones in context;
    triphone_gaussians 0: none. realign_until: up to this iteration each is aligned anew, later
    every other. silence_log_weight: of silence between words. questions: name to phones, for the
    trees; none: found in the data.
    """

    iterations: int = 20
    gaussians: int = 500
    triphone_iterations: int = 15
    triphone_gaussians: int = 0
    realign_until: int = 10
    silence_log_weight: float = -1.0
    trees: TreeOptions = field(default_factory=TreeOptions)
    questions: Mapping[str, Sequence[str]] | None = None

    def __post_init__(self) -> None:
        for name in ("iterations", "gaussians", "triphone_iterations"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more")
        if self.triphone_gaussians < 0:
            raise InputError(f"triphone_gaussians is {self.triphone_gaussians}; give 0 or more")


@dataclass(frozen=True)
class Progress:
    """After an iteration of a stage, "monophone" or "triphone": mean log density of a frame,
    states, Gaussians, and utterances that could not be aligned (shorter than their phones)."""

    stage: str
    iteration: int
    iterations: int
    log_density: float
    states: int
    gaussians: int
    unaligned: int


def fit_hmm(
    features: Sequence[np.ndarray],
    texts: Sequence[str],
    lexicon: Mapping[str, Sequence[Pronunciation]],
    options: TrainingOptions = TrainingOptions(),
    *,
    report: Callable[[Progress], None] | None = None,
) -> GaussianModel:
    """A model of these utterances: features float32 (frame, dimension) each, and their texts.

    report is called after each iteration. The same input gives the same model.

    Raises:
        InputError: no utterances, features that differ in shape or are not finite, a word that is
            not in the lexicon, or all utterances too short for their words.
    """
    corpus = _Corpus(features, texts, lexicon, options.silence_log_weight)
    used = sorted({p for text in texts for said in corpus.said(text) for p in said})
    trees = monophones((SILENCE, *used), STATES)
    stay = np.full(trees.states, 0.6)
    states = np.concatenate([corpus.flat(i, trees) for i in range(len(features))])
    model = _fresh(corpus, trees, stay, states)
    run = _Run("monophone", options.iterations, options.gaussians, options, report)
    model, states = run.fit(corpus, model)
    if not options.triphone_gaussians:
        return model
    trees = _tied(corpus, model, options)
    statistics = corpus.statistics(model)
    by_leaf = _regrouped(statistics, trees)
    mixtures = single(*by_leaf, corpus.floor)
    start = GaussianModel(Topology(trees, np.full(trees.states, 0.6)), mixtures)
    run = _Run("triphone", options.triphone_iterations, options.triphone_gaussians, options, report)
    return run.fit(corpus, start)[0]


def align_states(
    model: Acoustics,
    features: Sequence[np.ndarray],
    texts: Sequence[str],
    lexicon: Mapping[str, Sequence[Pronunciation]],
    *,
    silence_log_weight: float = -1.0,
) -> list[np.ndarray]:
    """The state of each frame, int64 (frame,) an utterance: what a network of a hybrid is trained
    on. UNALIGNED throughout where an utterance is shorter than its words."""
    corpus = _Corpus(features, texts, lexicon, silence_log_weight)
    whole, _ = corpus.aligned(model)
    return np.split(whole, corpus.ends[:-1])


def log_priors(alignments: Sequence[np.ndarray], states: int) -> np.ndarray:
    """log of each state's share of the frames, float64 (state,); -inf for one never seen."""
    whole = np.concatenate(alignments)
    counts = np.bincount(whole[whole >= 0], minlength=states)
    with np.errstate(divide="ignore"):
        return np.log(counts / max(1, counts.sum()))


class _Corpus:
    """All utterances' frames in one array, and the graph of each text."""

    def __init__(
        self,
        features: Sequence[np.ndarray],
        texts: Sequence[str],
        lexicon: Mapping[str, Sequence[Pronunciation]],
        silence_log_weight: float,
    ) -> None:
        if not features or len(features) != len(texts):
            raise InputError(
                f"{len(features)} utterances and {len(texts)} texts; give one text each, and one "
                "utterance at least"
            )
        if len({each.shape[1:] for each in features}) > 1 or features[0].ndim != 2:
            raise InputError("features differ in shape; give (frame, dimension) each")
        self.frames = np.concatenate(features).astype(np.float32, copy=False)
        if not np.isfinite(self.frames).all():
            raise InputError("features hold NaN or infinity; leave those utterances out")
        if not len(self.frames):
            raise InputError("utterances without a frame; give some sound")
        self.ends = np.cumsum([len(each) for each in features])
        self.texts, self.lexicon, self.silence = texts, lexicon, silence_log_weight
        self.floor = VARIANCE_FLOOR * np.maximum(self.frames.astype(np.float64).var(axis=0), 1e-6)
        self._graphs: OrderedDict[str, SpeechGraph] = OrderedDict()
        self._of: Phones | None = None

    def said(self, text: str) -> list[Pronunciation]:
        """The first pronunciation of each word."""
        return [self.lexicon[word][0] for _, word in words_of(text, self.lexicon)]

    def flat(self, utterance: int, trees: Trees) -> np.ndarray:
        """States in equal parts: silence, the phones, silence."""
        phones = [p for said in self.said(self.texts[utterance]) for p in said]
        rows = [trees.number(phone) for phone in (SILENCE, *phones, SILENCE)]
        states = trees.roots[rows].reshape(-1)
        count = self.ends[utterance] - (self.ends[utterance - 1] if utterance else 0)
        return states[np.arange(count) * len(states) // max(1, count)]

    def graph(self, text: str, model: Acoustics) -> SpeechGraph:
        """Of a text; the last ones are kept while their weights are those of the model."""
        if self._of is not model.phones:
            self._graphs.clear()
            self._of = model.phones
        if text not in self._graphs:
            words = [word for _, word in words_of(text, self.lexicon)]
            if not words:
                raise InputError(f"the text {text!r} has no words; leave the utterance out")
            self._graphs[text] = speech_graph(
                sequence(words), self.lexicon, model.phones, silence_log_weight=self.silence
            )
            if len(self._graphs) > MAX_GRAPHS:
                self._graphs.popitem(last=False)
        return self._graphs[text]

    def paths(self, model: Acoustics) -> Iterator[tuple[SpeechGraph, np.ndarray | None]]:
        """Of each utterance its graph and the graph's states, None where it can't be aligned."""
        start = 0
        for text, end in zip(self.texts, self.ends.tolist(), strict=True):
            speech = self.graph(text, model)
            scores = model.scores(self.frames[start:end])
            path = viterbi(speech.graph, scores)
            yield speech, None if path is None else path.states
            start = end

    def aligned(self, model: Acoustics) -> tuple[np.ndarray, np.ndarray]:
        """The state of each frame (UNALIGNED where there is none), and of each state how often it
        was entered."""
        states = np.full(len(self.frames), UNALIGNED)
        entered: list[np.ndarray] = []
        start = 0
        for (speech, path), end in zip(self.paths(model), self.ends.tolist(), strict=True):
            if path is not None:
                states[start:end] = speech.graph.emissions[path]
                entered.append(speech.graph.emissions[path[np.diff(path, prepend=-1) != 0]])
            start = end
        return states, np.concatenate([np.zeros(0, np.int64), *entered])

    def statistics(self, model: GaussianModel) -> Statistics:
        """Of every state of every phone in its context, by the best alignment."""
        trees = model.phones.trees
        keys = np.full((len(self.frames), 4), UNALIGNED)
        start = 0
        tables: dict[int, np.ndarray] = {}
        for (speech, path), end in zip(self.paths(model), self.ends.tolist(), strict=True):
            if path is not None:
                if id(speech) not in tables:
                    tables = {id(speech): _keys(speech, trees)}
                keys[start:end] = tables[id(speech)][path]
            start = end
        known = keys[:, 0] >= 0
        return gather(keys[known], self.frames[known])


def _keys(speech: SpeechGraph, trees: Trees) -> np.ndarray:
    """(state, 4): phone, left, right and number of each state of a graph."""
    return np.array(
        [
            [UNALIGNED] * 4
            if at is None
            else [*map(trees.number, (at.phone, at.left, at.right)), at.number]
            for at in speech.contexts
        ]
    )


def _fresh(corpus: _Corpus, trees: Trees, stay: np.ndarray, states: np.ndarray) -> GaussianModel:
    """One Gaussian a state, of the frames given to it."""
    keys = np.stack([states] * 4, axis=1)
    found = gather(keys, corpus.frames)
    dimension = corpus.frames.shape[1]
    counts, sums = np.zeros(trees.states, np.int64), np.zeros((trees.states, dimension))
    squares = np.zeros_like(sums)
    places = found.keys[:, 0]
    counts[places], sums[places], squares[places] = found.counts, found.sums, found.squares
    return GaussianModel(Topology(trees, stay), single(counts, sums, squares, corpus.floor))


def _tied(corpus: _Corpus, model: GaussianModel, options: TrainingOptions) -> Trees:
    """Trees for phones in context, grown on the alignment by the model."""
    statistics = corpus.statistics(model)
    phones = model.phones.trees.phones
    if options.questions is None:
        questions = clustered(statistics, len(phones), corpus.floor)
    else:
        questions = asked(options.questions, phones)
    return grow(
        statistics,
        phones,
        questions,
        corpus.floor,
        options.trees,
        states=STATES,
        alone=(SILENCE,),
    )


def _regrouped(statistics: Statistics, trees: Trees) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts, sums and squares of the trees' states, of those of the contexts."""
    dimension = statistics.sums.shape[1]
    counts, sums = np.zeros(trees.states, np.int64), np.zeros((trees.states, dimension))
    squares = np.zeros_like(sums)
    names = trees.phones
    found: dict[tuple[int, int, int], tuple[int, ...]] = {}
    leaves = np.zeros(len(statistics.keys), np.int64)
    for row, (phone, left, right, number) in enumerate(statistics.keys.tolist()):
        key = (phone, left, right)
        if key not in found:
            found[key] = trees.find(names[phone], names[left], names[right])
        leaves[row] = found[key][number]
    np.add.at(counts, leaves, statistics.counts)
    np.add.at(sums, leaves, statistics.sums)
    np.add.at(squares, leaves, statistics.squares)
    return counts, sums, squares


@dataclass(frozen=True)
class _Run:
    """Iterations of aligning, fitting and splitting."""

    stage: str
    iterations: int
    gaussians: int
    options: TrainingOptions
    report: Callable[[Progress], None] | None

    def fit(self, corpus: _Corpus, model: GaussianModel) -> tuple[GaussianModel, np.ndarray]:
        """The model after all iterations, and the last alignment."""
        first = model.mixtures.states
        growing = max(1, int(GROWING * self.iterations))
        states = np.full(len(corpus.frames), UNALIGNED)
        for iteration in range(1, self.iterations + 1):
            anew = iteration <= self.options.realign_until or iteration % 2 == 0
            stay = model.phones.stay
            if anew or iteration == 1:
                states, entered = corpus.aligned(model)
                stay = _stay(states, entered, model.mixtures.states)
            known = states != UNALIGNED
            if not known.any():
                raise InputError(
                    "no utterance is as long as its words' phones; give longer ones, or a lexicon "
                    "that fits"
                )
            mixtures, log_density = em_step(
                model.mixtures, corpus.frames[known], states[known], corpus.floor
            )
            if iteration <= growing and self.gaussians > first:
                share = (iteration / growing) ** 2
                target = first + round(share * (self.gaussians - first))
                counts = np.bincount(states[known], minlength=mixtures.states)
                mixtures = split(mixtures, counts, target)
            phones = (
                model.phones if stay is model.phones.stay else Topology(model.phones.trees, stay)
            )
            model = GaussianModel(phones, mixtures)
            self._tell(corpus, iteration, log_density, model, states)
        return model, states

    def _tell(
        self,
        corpus: _Corpus,
        iteration: int,
        log_density: float,
        model: GaussianModel,
        states: np.ndarray,
    ) -> None:
        if self.report is not None:
            starts = np.concatenate(([0], corpus.ends[:-1]))
            starts = starts[starts < corpus.ends]
            self.report(
                Progress(
                    self.stage,
                    iteration,
                    self.iterations,
                    log_density,
                    model.mixtures.states,
                    len(model.mixtures.means),
                    int((states[starts] == UNALIGNED).sum()),
                )
            )


def _stay(states: np.ndarray, entered: np.ndarray, count: int) -> np.ndarray:
    """How probably each state is followed by itself, as it was in the alignment."""
    frames = np.bincount(states[states >= 0], minlength=count)
    visits = np.bincount(entered, minlength=count)
    stay = 1 - visits / np.maximum(frames, 1)
    return np.clip(np.where(frames > 0, stay, 0.6), 0.05, 0.98)
