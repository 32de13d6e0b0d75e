"""Mixtures of Gaussians with diagonal covariances, one mixture a state, and their training by EM.

All Gaussians of all states lie in one table, those of a state together, so that a block of frames
is scored with one matrix product. Dempster, Laird & Rubin 1977; growing by splitting: Young et
al., The HTK Book.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from aural.errors import InputError

BLOCK_FRAMES = 2048
SPLIT = 0.2
"""Standard deviations that the halves of a split Gaussian are moved apart by, each."""
MIN_FRAMES = 20
"""Frames a Gaussian should have; states with fewer for each are not split."""
POWER = 0.25
"""States get Gaussians in proportion to this power of their frames (as in Kaldi)."""


@dataclass(frozen=True, eq=False)
class Mixtures:
    """means, variances: float32, (gaussian, dimension); log_weights: float32, (gaussian,); starts:
    int64, (state,), where each state's Gaussians begin, all states having at least one."""

    means: np.ndarray
    variances: np.ndarray
    log_weights: np.ndarray
    starts: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.means)
        if self.means.ndim != 2 or self.variances.shape != self.means.shape:
            raise InputError(f"means {self.means.shape} and variances {self.variances.shape}")
        if self.log_weights.shape != (count,) or not self.starts.size or self.starts[0] != 0:
            raise InputError("mixtures whose weights or states do not fit their Gaussians")
        if (np.diff(self.starts, append=count) < 1).any():
            raise InputError("a state without a Gaussian")
        if not (np.isfinite(self.means).all() and (self.variances > 0).all()):
            raise InputError("means that are not finite or variances not above 0")
        precisions = 1.0 / self.variances.astype(np.float64)
        constants = self.log_weights - 0.5 * (
            self.means.shape[1] * np.log(2 * np.pi)
            + np.log(self.variances.astype(np.float64)).sum(axis=1)
            + (self.means.astype(np.float64) ** 2 * precisions).sum(axis=1)
        )
        products = np.concatenate((self.means * precisions, -0.5 * precisions), axis=1)
        object.__setattr__(self, "_table", np.ascontiguousarray(products.T, np.float32))
        object.__setattr__(self, "_constants", constants.astype(np.float32))

    @property
    def states(self) -> int:
        """How many states there are."""
        return len(self.starts)

    @property
    def counts(self) -> np.ndarray:
        """Gaussians of each state, (state,)."""
        return np.diff(self.starts, append=len(self.means))

    def joint(self, features: np.ndarray) -> np.ndarray:
        """log(weight * density) of every Gaussian, float32, (frame, gaussian)."""
        if features.ndim != 2 or features.shape[1] != self.means.shape[1]:
            raise InputError(
                f"features have shape {features.shape}; give (frame, {self.means.shape[1]})"
            )
        table: np.ndarray = self._table  # type: ignore[attr-defined]
        constants: np.ndarray = self._constants  # type: ignore[attr-defined]
        return np.concatenate((features, features**2), axis=1) @ table + constants

    def scores(self, features: np.ndarray) -> np.ndarray:
        """log density of every state, float32, shape = (frame, state)."""
        made = np.empty((len(features), self.states), np.float32)
        for at in range(0, len(features), BLOCK_FRAMES):
            joint = self.joint(features[at : at + BLOCK_FRAMES])
            best = np.maximum.reduceat(joint, self.starts, axis=1)
            joint -= np.repeat(best, self.counts, axis=1)
            np.exp(joint, out=joint)
            summed = np.add.reduceat(joint, self.starts, axis=1)
            made[at : at + BLOCK_FRAMES] = np.log(summed) + best
        return made


def single(
    counts: np.ndarray, sums: np.ndarray, squares: np.ndarray, floor: np.ndarray
) -> Mixtures:
    """One Gaussian a state from its frames' count (state,), sums and sums of squares (state,
    dimension); a state without frames takes the mean over all. Variances are at least floor."""
    whole = np.maximum(counts.sum(), 1)
    seen = counts[:, None] > 0
    divisor = np.maximum(counts, 1)[:, None]
    means = np.where(seen, sums / divisor, sums.sum(axis=0) / whole)
    means_of_squares = np.where(seen, squares / divisor, squares.sum(axis=0) / whole)
    variances = np.maximum(means_of_squares - means**2, floor)
    return Mixtures(
        means.astype(np.float32),
        variances.astype(np.float32),
        np.zeros(len(counts), np.float32),
        np.arange(len(counts)),
    )


def em_step(
    mixtures: Mixtures, features: np.ndarray, states: np.ndarray, floor: np.ndarray
) -> tuple[Mixtures, float]:
    """Mixtures after one step of expectation and maximisation with each frame given to a state, and
    the mean log density of a frame before it.

    features: (frame, dimension); states: int, (frame,). Variances are at least floor (dimension,);
    a Gaussian to which hardly a frame belongs stays as it is, its weight small.
    """
    means, variances = mixtures.means.copy(), mixtures.variances.copy()
    log_weights = mixtures.log_weights.copy()
    order = np.argsort(states, kind="stable")
    edges = np.searchsorted(states[order], np.arange(mixtures.states + 1))
    total = 0.0
    for state, (first, last) in enumerate(itertools.pairwise(edges)):
        if first == last:
            continue
        start = int(mixtures.starts[state])
        own = slice(start, start + int(mixtures.counts[state]))
        frames = features[order[first:last]]
        shares, log_density = _shares(mixtures, frames, own)
        total += log_density
        counts = shares.sum(axis=0)
        kept = counts > 1e-3
        sums = shares.T @ frames
        squares = shares.T @ frames.astype(np.float64) ** 2
        made = sums[kept] / counts[kept, None]
        spread = squares[kept] / counts[kept, None] - made**2
        means[own][kept] = made
        variances[own][kept] = np.maximum(spread, floor)
        log_weights[own] = np.log(np.maximum(counts, 1e-3) / np.maximum(counts, 1e-3).sum())
    made_of_all = Mixtures(means, variances, log_weights, mixtures.starts)
    return made_of_all, total / max(1, len(features))


def _shares(mixtures: Mixtures, frames: np.ndarray, own: slice) -> tuple[np.ndarray, float]:
    """How much each Gaussian of a state has of each frame, float64, and their log density's sum."""
    part = replace(
        mixtures,
        means=mixtures.means[own],
        variances=mixtures.variances[own],
        log_weights=mixtures.log_weights[own],
        starts=np.zeros(1, np.int64),
    )
    joint = part.joint(frames).astype(np.float64)
    best = joint.max(axis=1, keepdims=True)
    shares = np.exp(joint - best)
    whole = shares.sum(axis=1, keepdims=True)
    return shares / whole, float((np.log(whole) + best).sum())


def split(mixtures: Mixtures, frames: np.ndarray, target: int) -> Mixtures:
    """Grow to about target Gaussians: each state's heaviest is halved, and halved again, until it
    has its share. frames: (state,), how many each state was seen at."""
    wanted = _wanted(frames, mixtures.counts, target)
    means: list[np.ndarray] = []
    variances: list[np.ndarray] = []
    weights: list[float] = []
    starts: list[int] = []
    for state, start in enumerate(mixtures.starts.tolist()):
        own = slice(start, start + int(mixtures.counts[state]))
        rows = [
            (float(np.exp(weight)), mean, variance)
            for weight, mean, variance in zip(
                mixtures.log_weights[own], mixtures.means[own], mixtures.variances[own], strict=True
            )
        ]
        while len(rows) < wanted[state]:
            heaviest = max(range(len(rows)), key=lambda i: rows[i][0])
            weight, mean, variance = rows[heaviest]
            step = SPLIT * np.sqrt(variance)
            rows[heaviest] = (weight / 2, mean + step, variance)
            rows.append((weight / 2, mean - step, variance))
        starts.append(len(means))
        weights += [row[0] for row in rows]
        means += [row[1] for row in rows]
        variances += [row[2] for row in rows]
    return Mixtures(
        np.array(means, np.float32),
        np.array(variances, np.float32),
        np.log(np.array(weights)).astype(np.float32),
        np.array(starts, np.int64),
    )


def _wanted(frames: np.ndarray, counts: np.ndarray, target: int) -> np.ndarray:
    """Gaussians for each state, none fewer than now; given one by one to the state that has the
    fewest for the power of its frames."""
    wanted, shares = counts.copy(), frames.astype(np.float64) ** POWER
    most = np.maximum(counts, frames // MIN_FRAMES)
    while wanted.sum() < target:
        need = np.where(wanted < most, shares / wanted, 0.0)
        neediest = int(np.argmax(need))
        if need[neediest] == 0:
            break
        wanted[neediest] += 1
    return wanted
