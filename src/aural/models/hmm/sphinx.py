"""The American English model of CMU Sphinx: its features, its senones and their scores.

Features as Sphinx makes them (25 mels from 130 to 6800 Hz, noise taken off by its own estimate,
liftered cepstra without the utterance's mean, differences of frames two and one apart), in three
streams of 13: cepstra, first and second differences.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from aural.decode.graph import Phone, Place
from aural.errors import InputError
from aural.models.hmm.sphinx_files import (
    LOG_STEP,
    PLACES,
    Definition,
    read_definition,
    read_gaussians,
    read_transitions,
    read_weights,
)

if TYPE_CHECKING:
    from pathlib import Path

RATE, HOP, WINDOW, FFT = 16000, 160, 410, 512
MELS, LOWEST, HIGHEST, CEPSTRA, LIFTER = 25, 130.0, 6800.0, 13, 22
VARIANCE_FLOOR = 1e-4
TOP = 4
LEAST = -96 * LOG_STEP
BLOCK_FRAMES = 256
OFFSET_SECONDS = (WINDOW - HOP) / 2 / RATE
"""A frame's own 10 ms are in the middle of its window."""
FILES = ("mdef.txt", "means.txt", "variances.txt", "sendump.txt", "transition_matrices.txt")
"""Sphinx's names, with a suffix that the store of weights takes; only the lexicon is text."""


def cepstra(samples: np.ndarray) -> np.ndarray:
    """float32, shape = (frame, 13), of samples (time,) in [-1, 1] at 16 kHz; the last frame is
    filled with zeros."""
    if samples.ndim != 1:
        raise InputError(f"samples have shape {samples.shape}; give one channel, (time,)")
    signal = samples.astype(np.float64) * 32768
    signal = signal - 0.97 * np.concatenate((np.zeros(1), signal[:-1]))[: signal.size]
    frames = -(-max(0, signal.size - WINDOW) // HOP) + 1 if signal.size else 0
    padded = np.zeros(WINDOW + HOP * max(0, frames - 1))
    padded[: signal.size] = signal[: padded.size]
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:frames]
    power = np.abs(np.fft.rfft(windows * np.hamming(WINDOW), FFT)) ** 2
    logs = np.log(_without_noise(power @ _filters().T) + 1e-4)
    order = np.arange(CEPSTRA)[:, None]
    turns = np.cos(np.pi / MELS * order * (np.arange(MELS) + 0.5))
    turns *= np.where(order == 0, np.sqrt(1 / MELS), np.sqrt(2 / MELS))
    lift = 1 + LIFTER / 2 * np.sin(np.pi * np.arange(CEPSTRA) / LIFTER)
    return (logs @ turns.T * lift).astype(np.float32)


def features(samples: np.ndarray) -> np.ndarray:
    """float32, shape = (frame, 39): cepstra without their mean, and two orders of differences."""
    plain = cepstra(samples).astype(np.float64)
    if not len(plain):
        return np.zeros((0, 3 * CEPSTRA), np.float32)
    loud = plain[:, 0] >= 0
    plain = plain - (plain[loud] if loud.any() else plain).mean(axis=0)
    wide = np.pad(plain, ((3, 3), (0, 0)), mode="edge")
    size = len(plain)
    at = {shift: wide[3 + shift : 3 + shift + size] for shift in range(-3, 4)}
    first = at[2] - at[-2]
    second = (at[3] - at[-1]) - (at[1] - at[-3])
    return np.concatenate((plain, first, second), axis=1).astype(np.float32)


def _filters() -> np.ndarray:
    """(mel, bin): triangles of unit area between edges at whole bins."""
    lowest, highest = (2595 * np.log10(1 + hertz / 700) for hertz in (LOWEST, HIGHEST))
    mels = np.linspace(lowest, highest, MELS + 2)
    step = RATE / FFT
    edges = np.floor(700 * (10 ** (mels / 2595) - 1) / step + 0.5) * step
    bins = np.arange(FFT // 2 + 1) * step
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - left) / (middle - left), (right - bins) / (right - middle)
    return np.maximum(0, np.minimum(rising, falling)) * 2 / (right - left)


def _without_noise(power: np.ndarray) -> np.ndarray:
    """Mel energies (frame, mel) less a running estimate of the noise in each (Sphinx's own
    spectral subtraction: lower envelopes, masking in time, gains within 1/20 and 20)."""
    most, near = 20.0, _neighbours(power.shape[1])
    cleaned = np.empty_like(power)
    for i, now in enumerate(power):
        if i == 0:
            smooth, noise, floor, peak = now.copy(), now / most, now / most, np.zeros_like(now)
        smooth = 0.7 * smooth + 0.3 * now
        noise = _envelope(noise, smooth)
        signal = np.maximum(smooth - noise, 1.0)
        floor = _envelope(floor, signal)
        before, peak = signal, peak * 0.85
        signal = np.where(before < 0.85 * peak, peak * 0.2, before)
        peak = np.maximum(peak, before)
        signal = np.maximum(signal, floor)
        high = signal >= most * smooth
        gain = np.where(high, most, signal / np.where(high, 1.0, smooth))
        cleaned[i] = now * (near @ np.maximum(gain, 1 / most))
    return cleaned


def _envelope(envelope: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Follows down fast and up slowly."""
    keep = np.where(values >= envelope, 0.995, 0.5)
    return keep * envelope + (1 - keep) * values


def _neighbours(count: int) -> np.ndarray:
    """The mean over four mels to either side, as a matrix."""
    places = np.arange(count)
    near = (np.abs(places[:, None] - places) <= 4).astype(np.float64)
    return near / near.sum(axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class SphinxPhones:
    """Triphones that know the phones of neighbouring words."""

    definition: Definition
    log_transitions: np.ndarray
    silence: str = "SIL"
    crosses_words: bool = True
    numbers: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        numbers = {name: i for i, name in enumerate(self.definition.names)}
        object.__setattr__(self, "numbers", numbers)

    def phone(self, name: str, left: str, right: str, place: Place) -> Phone:
        """The senones of a phone between two others; silence and noises have no context."""
        if unknown := {name, left, right} - set(self.numbers):
            raise InputError(
                f"the model has no phone {', '.join(sorted(unknown))}; it has: "
                f"{', '.join(self.numbers)}"
            )
        number = self.numbers[name]
        if self.definition.fillers[number]:
            rows = self.definition.sequences[self.definition.rows[number]]
            matrix = int(self.definition.matrices[number])
        else:
            sides = self.numbers[left], self.numbers[right]
            rows, matrix = self.definition.find(number, *sides, PLACES.index(place))
        return Phone(tuple(map(int, rows)), self.log_transitions[matrix])


@dataclass(frozen=True, eq=False)
class SphinxModel:
    """Scores of senones by phonetically tied mixtures, as Sphinx has them: of each codebook the TOP
    Gaussians that fit best count, none less than LEAST below the best of all codebooks.

    means, variances: float32, (codebook, stream, Gaussian, dimension); log_weights: float32,
    (stream, Gaussian, senone).
    """

    phones: SphinxPhones
    means: np.ndarray
    variances: np.ndarray
    log_weights: np.ndarray

    def __post_init__(self) -> None:
        senones = self.phones.definition.senones
        books, streams, gaussians, _ = self.means.shape
        if self.variances.shape != self.means.shape or books != len(self.phones.definition.names):
            raise InputError("means and variances are not those of the defined phones")
        if self.log_weights.shape != (streams, gaussians, senones) or gaussians < TOP:
            raise InputError("mixture weights are not those of the defined states")
        variances = np.maximum(self.variances, VARIANCE_FLOOR).astype(np.float64)
        means, precisions = self.means.astype(np.float64), 1 / variances
        constants = -0.5 * (np.log(2 * np.pi * variances) + means**2 * precisions).sum(axis=3)
        table = np.concatenate((means * precisions, -0.5 * precisions), axis=3)
        own = [np.flatnonzero(self.phones.definition.codebooks == book) for book in range(books)]
        weights = np.exp(self.log_weights)
        object.__setattr__(self, "_table", table)
        object.__setattr__(self, "_constants", constants)
        object.__setattr__(self, "_own", own)
        object.__setattr__(self, "_weights", [weights[:, :, columns] for columns in own])

    def scores(self, features: np.ndarray) -> np.ndarray:
        """log density of every senone, float32, shape = (frame, senone)."""
        _, streams, _, width = self.means.shape
        if features.ndim != 2 or features.shape[1] != streams * width:
            raise InputError(
                f"features have shape {features.shape}; give (frame, {streams * width})"
            )
        made = np.zeros((len(features), self.log_weights.shape[2]), np.float32)
        for at in range(0, len(features), BLOCK_FRAMES):
            block = features[at : at + BLOCK_FRAMES].astype(np.float64)
            for stream in range(streams):
                part = block[:, stream * width : (stream + 1) * width]
                self._add(made[at : at + BLOCK_FRAMES], part, stream)
        return made

    def _add(self, made: np.ndarray, part: np.ndarray, stream: int) -> None:
        """Add one stream's log densities to made (frame, senone)."""
        table, constants = self._table[:, stream], self._constants[:, stream]  # type: ignore[attr-defined]
        both = np.concatenate((part, part**2), axis=1)
        logs = both @ table.transpose(0, 2, 1) + constants[:, None]  # (codebook, frame, Gaussian)
        best = logs.max(axis=(0, 2))
        logs -= best[:, None]
        least = np.partition(logs, -TOP, axis=2)[:, :, -TOP, None]
        shares = np.where(logs >= least, np.exp(np.maximum(logs, LEAST)), 0.0).astype(np.float32)
        for book, own in enumerate(self._own):  # type: ignore[attr-defined]
            mixed = shares[book] @ self._weights[book][stream]  # type: ignore[attr-defined]
            made[:, own] += np.log(mixed) + best[:, None].astype(np.float32)


def load_sphinx(directory: Path) -> SphinxModel:
    """The model of a directory with FILES; InputError for files that are not of one model."""
    definition = read_definition(directory / FILES[0])
    means, variances = (read_gaussians(directory / name) for name in FILES[1:3])
    weights = read_weights(directory / FILES[3], definition.senones)
    transitions = read_transitions(directory / FILES[4])
    if not 0 <= definition.matrices.min() <= definition.matrices.max() < len(transitions):
        raise InputError(f"{directory}: a phone's transition matrix is not there")
    if "SIL" not in definition.names:
        raise InputError(f"{directory}: the model has no phone SIL")
    return SphinxModel(SphinxPhones(definition, transitions), means, variances, weights)
