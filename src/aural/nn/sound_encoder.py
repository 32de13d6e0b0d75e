"""Any encoder of sound as one thing: what goes in, what comes out, found by running it.

Two encoders of one width are no drop-ins for each other: rate, length, normalisation and input
differ too. So nothing is told by a name: `probe` runs the encoder on a few seconds of noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from aural.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from aural.nn.recogniser import Features

PROBE_SECONDS = (1.0, 2.0, 3.0)


class EncoderNetwork(Protocol):
    """A network that encodes features, or samples as features of one row."""

    def encode(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States (item, frame', width) and their lengths, of features (item, frame, n_mels)."""
        ...


@dataclass(frozen=True, eq=False)
class SoundEncoder:
    """An encoder's network (EncoderNetwork) with the features it was trained on."""

    name: str
    network: nn.Module
    features: Features


@dataclass(frozen=True)
class Probed:
    """width of a state; frame_rate: states a second, as the lengths grow with the sound."""

    width: int
    frame_rate: float


def probe(encoder: SoundEncoder) -> Probed:
    """Run the encoder on noise of three lengths.

    Raises:
        InputError: it can't be run on its own features, its states are of another shape than (item,
            frame, width), it says another number of them than it gives, or their number does not
            grow with the sound (an encoder that pads all to one length).
    """
    device = next(encoder.network.parameters()).device
    generator = torch.Generator().manual_seed(0)
    rate = encoder.features.sample_rate
    counts, widths = [], set()
    for seconds in PROBE_SECONDS:
        noise = 0.1 * torch.randn(round(seconds * rate), generator=generator)
        features = torch.from_numpy(encoder.features.features(noise.numpy()))[None].to(device)
        states, count = _run(encoder, features)
        counts.append(count)
        widths.add(states.shape[-1])
    if len(widths) > 1 or not counts[0] < counts[1] < counts[2]:
        raise InputError(
            f"{encoder.name} gives {counts} states for {list(PROBE_SECONDS)} s of sound: an "
            "encoder must give more for more sound, all of one width"
        )
    slope = (counts[2] - counts[0]) / (PROBE_SECONDS[2] - PROBE_SECONDS[0])
    return Probed(width=widths.pop(), frame_rate=slope)


def _run(encoder: SoundEncoder, features: Tensor) -> tuple[Tensor, int]:
    lengths = torch.tensor([features.shape[1]], device=features.device)
    was_training = encoder.network.training
    encoder.network.eval()
    try:
        with torch.no_grad():
            states, found = encoder.network.encode(features, lengths)  # type: ignore[operator]
    except (RuntimeError, ValueError) as error:
        said = str(error).strip().splitlines()[0]
        raise InputError(
            f"{encoder.name} can't be run on features of {tuple(features.shape)}: {said}"
        ) from error
    finally:
        encoder.network.train(was_training)
    if states.ndim != 3 or states.shape[0] != 1 or int(found[0]) != states.shape[1]:
        raise InputError(
            f"{encoder.name} gives states of {tuple(states.shape)} and says they are "
            f"{found.tolist()}; one recording's are (1, frame, width), and as many"
        )
    return states, states.shape[1]
