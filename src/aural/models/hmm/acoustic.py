"""Phones as three states each, left to right, and what sound looks like in each state."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from aural.decode.graph import Phone
from aural.decode.viterbi import scaled_likelihoods
from aural.errors import InputError
from aural.models.hmm.mixtures import Mixtures
from aural.models.hmm.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aural.decode.graph import Phones, Place

SILENCE = "SIL"
MAX_BYTES = 1 << 30
_ARRAYS = {
    "means": 2, "variances": 2, "log_weights": 1, "starts": 1, "stay": 1, "roots": 2, "nodes": 2,
    "questions": 2, "phones": 1,
}  # fmt: skip


class Acoustics(Protocol):
    """From features to the scores of states, and which states a phone has."""

    @property
    def phones(self) -> Phones:
        """What each phone's states are."""
        ...

    def scores(self, features: np.ndarray) -> np.ndarray:
        """float, shape = (frame, state), of features (frame, dimension)."""
        ...


@dataclass(frozen=True, eq=False)
class Topology:
    """Phones of a decision tree: stay, float (state,), is the probability of a state to be
    followed by itself. Neighbours count within words; at a word's edge the neighbour is silence."""

    trees: Trees
    stay: np.ndarray
    silence: str = SILENCE
    crosses_words: bool = False

    def phone(self, name: str, left: str, right: str, place: Place) -> Phone:
        """The states of a phone between two others, wherever in the word."""
        columns = self.trees.find(name, left, right)
        stay = self.stay[list(columns)]
        log_transitions = np.full((len(columns), len(columns) + 1), -np.inf)
        rows = np.arange(len(columns))
        log_transitions[rows, rows] = np.log(stay)
        log_transitions[rows, rows + 1] = np.log1p(-stay)
        return Phone(columns, log_transitions)


@dataclass(frozen=True, eq=False)
class GaussianModel:
    """A trained model: which states phones have, and the Gaussians of each."""

    phones: Topology
    mixtures: Mixtures

    def __post_init__(self) -> None:
        states, stay = self.phones.trees.states, self.phones.stay
        if self.mixtures.states != states or stay.shape != (states,):
            raise InputError(f"{states} states, {self.mixtures.states} mixtures, {len(stay)} stays")
        if not ((stay > 0) & (stay < 1)).all():
            raise InputError("a state's probability to be followed by itself is not within 0 and 1")

    def scores(self, features: np.ndarray) -> np.ndarray:
        """log density of every state, float32, shape = (frame, state)."""
        return self.mixtures.scores(features)


@dataclass(frozen=True, eq=False)
class HybridModel:
    """A network in the Gaussians' place (Bourlard & Morgan 1994): log_posteriors makes (frame,
    state) of features, log_priors (state,) are the states' shares of the training frames."""

    phones: Topology
    log_posteriors: Callable[[np.ndarray], np.ndarray]
    log_priors: np.ndarray

    def scores(self, features: np.ndarray) -> np.ndarray:
        """log of posterior over prior, shape = (frame, state)."""
        return scaled_likelihoods(self.log_posteriors(features), self.log_priors)


def save_model(path: Path, model: GaussianModel) -> None:
    """Write an .npz of numbers and names, no objects."""
    trees, mixtures = model.phones.trees, model.mixtures
    np.savez_compressed(
        path,
        means=mixtures.means,
        variances=mixtures.variances,
        log_weights=mixtures.log_weights,
        starts=mixtures.starts,
        stay=model.phones.stay,
        roots=trees.roots,
        nodes=trees.nodes,
        questions=trees.questions,
        phones=np.array(trees.phones),
    )


def load_model(path: Path) -> GaussianModel:
    """The model of save_model's file; InputError for anything else."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_BYTES:
            raise InputError(f"{path}: {size} bytes unpacked; at most {MAX_BYTES} are read")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except InputError:
        raise
    except Exception as error:  # a damaged, encrypted or lying archive makes numpy raise anything
        raise InputError(f"{path}: can't be read as a model: {error}") from error
    if {name: array.ndim for name, array in arrays.items()} != _ARRAYS:
        raise InputError(f"{path}: not the arrays of a model ({', '.join(sorted(arrays))})")
    for name, kinds in (("starts", "i"), ("roots", "i"), ("nodes", "i"), ("phones", "U"),
                        ("questions", "b"), ("means", "f"), ("variances", "f"),
                        ("log_weights", "f"), ("stay", "f")):  # fmt: skip
        if arrays[name].dtype.kind not in kinds:
            raise InputError(f"{path}: {name} are {arrays[name].dtype}")
        if kinds == "f" and not np.isfinite(arrays[name]).all():
            raise InputError(f"{path}: {name} are not all finite")
    if arrays["nodes"].shape[1] != 4:
        raise InputError(f"{path}: nodes have shape {arrays['nodes'].shape}; they have 4 columns")
    names = tuple(map(str, arrays["phones"]))
    trees = Trees(names, arrays["roots"], arrays["nodes"], arrays["questions"])
    mixtures = Mixtures(*(arrays[name] for name in ("means", "variances", "log_weights", "starts")))
    return GaussianModel(Topology(trees, arrays["stay"]), mixtures)
