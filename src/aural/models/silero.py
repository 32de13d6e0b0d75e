"""Silero: the probability of speech for every 32 ms of sound (a runtime family, on onnxruntime).

Silero VAD 6.2 by the Silero Team (github.com/snakers4/silero-vad, MIT): magnitudes of a short-time
Fourier transform, four convolutions, an LSTM of 128 and one output, trained on speech in noise and
many languages; 0.3 M parameters. The weights are the authors' "sequence" export, from their own
wheel: frames of shape (frame, 64 samples before + 512) and the LSTM's (h, c), each (1, 1, 128),
give probabilities of shape (frame,) and the next (h, c). The probabilities are bit for bit those
of the one-frame export, whose 18,750 calls for ten minutes take more than twice as long.

One path serves recordings and streams: `Silero.speech_probabilities` is a stream fed at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aural.errors import InputError
from aural.models import Variant
from aural.store.weights import WeightFile, Weights, WheelPart

if TYPE_CHECKING:
    from pathlib import Path

    import onnxruntime

EXTRA = ""
BLOCK_FRAMES = 256
"""Frames given to the network at once: its working memory stays at a few megabytes."""


@dataclass(frozen=True)
class Config:
    """Samples of one frame and of the context before it, LSTM width, rate in Hz, file name."""

    sample_rate: int = 16000
    frame_length: int = 512
    context: int = 64
    width: int = 128
    file: str = "silero_vad_16k_sequence.onnx"


VARIANTS = {
    "16k": Variant(
        config=Config(),
        weights=Weights(
            files=(
                WeightFile(
                    name="silero_vad_16k_sequence.onnx",
                    sha256="9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85",
                    size=1246165,
                    parts=(
                        WheelPart(
                            distribution="silero-vad",
                            version="6.2.3",
                            member="silero_vad/data/silero_vad_16k_sequence.onnx",
                            sha256="7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
                        ),
                    ),
                ),
            )
        ),
        licence="MIT",
        description="speech or not, every 32 ms, any language, 16 kHz",
    ),
}


def load(
    directory: Path, config: Config, *, device: str, compute_type: str, threads: int
) -> Silero:
    """The detector of a directory that holds config.file. It runs on the CPU, in float32.

    threads = 0 means 1: the recurrence is sequential, more threads gain nothing.
    """
    import onnxruntime

    if device not in ("auto", "cpu"):
        raise InputError(f"silero runs on the CPU; device is {device!r}, give 'auto' or 'cpu'")
    if compute_type not in ("auto", "float32"):
        raise InputError(f"silero computes in float32; compute type is {compute_type!r}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        directory / config.file, options, providers=["CPUExecutionProvider"]
    )
    return Silero(session, config)


class Silero:
    """A speech detector; holds no state between calls and may be shared by threads."""

    def __init__(self, session: onnxruntime.InferenceSession, config: Config) -> None:
        self.session, self.config = session, config
        self.sample_rate = config.sample_rate
        self.frame_length = config.frame_length

    def speech_probabilities(self, samples: np.ndarray) -> np.ndarray:
        """float32 in [0, 1], shape = (ceil(time / frame_length),), for float32 samples (time,)."""
        stream = self.stream()
        return np.concatenate((stream.push(samples), stream.finish()))

    def stream(self) -> SileroStream:
        """A detector to be fed in pieces of any length, with the same result."""
        return SileroStream(self)


@dataclass(frozen=True, eq=False)
class SileroState:
    """What the network remembers: h and c of shape (1, 1, width), the last samples (context,)."""

    h: np.ndarray
    c: np.ndarray
    context: np.ndarray


class SileroStream:
    """Probabilities as samples come in; after `finish` it is ready for another recording."""

    def __init__(self, model: Silero) -> None:
        self.model = model
        self._reset()

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Probabilities of the frames completed by these samples, float32, shape = (frame,)."""
        if samples.ndim != 1:
            raise InputError(f"samples have shape {samples.shape}; give one channel, (time,)")
        block = BLOCK_FRAMES * self.model.frame_length
        pieces = [samples[first : first + block] for first in range(0, samples.size, block)]
        return np.concatenate([np.empty(0, np.float32), *map(self._push_block, pieces)])

    def finish(self) -> np.ndarray:
        """The probability of the last, zero-padded frame; empty when none is pending."""
        missing = -self._pending.size % self.model.frame_length
        last = self.push(np.zeros(missing, np.float32))
        self._reset()
        return last

    def _reset(self) -> None:
        config = self.model.config
        zeros = np.zeros((1, 1, config.width), np.float32)
        self.state = SileroState(zeros, zeros, np.zeros(config.context, np.float32))
        self._pending = np.empty(0, np.float32)

    def _push_block(self, samples: np.ndarray) -> np.ndarray:
        config, state = self.model.config, self.state
        signal = np.concatenate((state.context, self._pending, samples), dtype=np.float32)
        whole = (signal.size - config.context) // config.frame_length * config.frame_length
        self._pending = signal[config.context + whole :]
        if whole == 0:
            return np.empty(0, np.float32)
        width = config.context + config.frame_length
        frames = np.lib.stride_tricks.sliding_window_view(signal, width)[:: config.frame_length]
        probabilities, h, c = self.model.session.run(
            ["speech_probs", "hn", "cn"],
            {"input": np.ascontiguousarray(frames), "h": state.h, "c": state.c},
        )
        self.state = SileroState(h, c, signal[whole : whole + config.context])
        return probabilities
