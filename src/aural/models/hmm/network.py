"""A network in the Gaussians' place: cepstra around each frame in, its state's probability out.

Bourlard & Morgan 1994, "Connectionist Speech Recognition: A Hybrid Approach".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from aural.errors import InputError
from aural.models.hmm.acoustic import HybridModel
from aural.nn.exported import apart, load_weights
from aural.nn.masking import check_features, cleared, real_frames

if TYPE_CHECKING:
    from pathlib import Path

    from aural.models.hmm.acoustic import GaussianModel


@dataclass(frozen=True)
class Shape:
    """features: values a frame. context: frames on either side that are seen with each. hidden:
    width of the layers, of which there are `layers` before the last."""

    features: int
    states: int
    hidden: int
    layers: int
    context: int

    def __post_init__(self) -> None:
        for name in ("features", "states", "hidden", "layers"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more")
        if self.context < 0:
            raise InputError(f"context is {self.context}; give 0 or more frames")


class FrameNetwork(nn.Module):
    """Layers with ReLU over a frame and those around it; beyond a recording's ends there is the
    mean, 0. log_priors, (state,): the states' log shares of the training frames, set once it is
    trained; -inf for one never seen."""

    log_priors: Tensor

    def __init__(self, shape: Shape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        window = 2 * shape.context + 1
        self.window = nn.Conv1d(shape.features, shape.hidden, window, padding=shape.context)
        self.inner = nn.ModuleList(
            nn.Linear(shape.hidden, shape.hidden) for _ in range(shape.layers - 1)
        )
        self.out = nn.Linear(shape.hidden, shape.states)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("log_priors", torch.zeros(shape.states))

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """log probabilities (item, frame, states) of features (item, frame, features), and lengths
        (item,) as they were; padding counts for nothing."""
        check_features(features, lengths, self.shape.features)
        given = cleared(features, real_frames(lengths, features.shape[1]))
        x = self.dropout(functional.relu(self.window(given.transpose(1, 2)).transpose(1, 2)))
        for layer in self.inner:
            x = self.dropout(functional.relu(layer(x)))
        return self.out(x).log_softmax(-1), lengths

    @torch.inference_mode()
    def log_posteriors(self, features: np.ndarray) -> np.ndarray:
        """float32 (frame, state) of one recording's features (frame, features)."""
        if not len(features):
            return np.zeros((0, self.shape.states), np.float32)
        given = torch.from_numpy(np.asarray(features, np.float32))[None]
        found: np.ndarray = self(given, torch.tensor([len(features)]))[0][0].numpy()
        return found


def save_network(directory: Path, network: FrameNetwork) -> None:
    """Write the weights beside the Gaussians that aligned for them."""
    from safetensors.torch import save_file

    save_file(apart(network.state_dict()), directory / "model.safetensors")


def hybrid(gaussians: GaussianModel, network: FrameNetwork) -> HybridModel:
    """The network in the place of the Gaussians, whose states it tells."""
    priors = network.log_priors.cpu().numpy()
    return HybridModel(gaussians.phones, network.log_posteriors, priors)


def load_hybrid(
    directory: Path, gaussians: GaussianModel, *, hidden: int, layers: int, context: int
) -> HybridModel:
    """What a directory holds beside its Gaussians; InputError where it is not of these sizes."""
    states, width = gaussians.mixtures.states, gaussians.mixtures.means.shape[1]
    with torch.random.fork_rng():  # it is built before it is filled
        network = FrameNetwork(Shape(width, states, hidden, layers, context))
    load_weights(directory, network)
    return hybrid(gaussians, network.eval())
