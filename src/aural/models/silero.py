"""Silero: the probability of speech for every 32 ms of sound (a runtime family, on onnxruntime).

Silero VAD 6.2 by the Silero Team (github.com/snakers4/silero-vad, MIT): magnitudes of a short-time
Fourier transform, four convolutions, an LSTM of 128 and one output, trained on speech in noise and
many languages; 0.3 M parameters. The weights are those of the authors' "sequence" export, from
their own wheel.

The network is written anew for onnxruntime. A frame, with the 64 samples before it and its last 64
mirrored behind it, holds four windows of 256; each convolution meets so few positions that it is a
matrix product for each of them, over all frames of a block. Windows of shape (4 * frame, 256) and
the LSTM's (h, c), each (1, 1, 128), give probabilities of shape (frame,) and the next (h, c). They
are those of the export to within float32's rounding, in a quarter of its time.

One path serves recordings and streams: `Silero.speech_probabilities` is a stream fed at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aural.errors import InputError
from aural.models import Variant
from aural.nn.graph import Graph
from aural.store.onnx import read_weights
from aural.store.weights import WeightFile, Weights, WheelPart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import onnxruntime

EXTRA = ""
BLOCK_FRAMES = 256
"""Frames given to the network at once: its working memory stays at a few megabytes."""
WINDOW = 256
"""Samples of one Fourier transform; the next starts half a window later."""
STRIDES = (1, 2, 2, 1)
"""Those of the four convolutions, each of three taps, zeros before and after a frame."""


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
    if device not in ("auto", "cpu"):
        raise InputError(f"silero runs on the CPU; device is {device!r}, give 'auto' or 'cpu'")
    if compute_type not in ("auto", "float32"):
        raise InputError(f"silero computes in float32; compute type is {compute_type!r}")
    network = _network(read_weights(directory / config.file), config)
    return Silero(network.session(threads or 1), config)


def _network(weights: Mapping[str, np.ndarray], config: Config) -> Graph:
    """From windows, h and c to probabilities and the next h and c."""
    graph = Graph()
    windows = graph.input("windows", "float32", "window", WINDOW)
    h, c = (graph.input(name, "float32", 1, 1, config.width) for name in "hc")
    positions = _magnitudes(graph, windows, weights["stft.forward_basis_buffer"])
    for layer, stride in enumerate(STRIDES):
        kernel, bias = (weights[f"encoder.{layer}.{name}"] for name in ("weight", "bias"))
        positions = _convolution(graph, positions, kernel, bias, stride)
    heard, h, c = graph.ops(
        "LSTM",
        3,
        graph.op("Unsqueeze", *positions, graph.numbers(1)),
        *(graph.weight(weights[f"onnx::LSTM_{number}"]) for number in (209, 210, 211)),
        "",
        h,
        c,
        hidden_size=config.width,
    )
    heard = graph.op("Relu", graph.op("Reshape", heard, graph.numbers(-1, config.width)))
    kernel, bias = weights["output.weight"][0], weights["output.bias"]
    odds = graph.op("Gemm", heard, graph.weight(kernel), graph.weight(bias))
    speech = graph.op("Reshape", graph.op("Sigmoid", odds), graph.numbers(-1))
    graph.output("speech", "float32", "frame", of=speech)
    for name, state in (("next_h", h), ("next_c", c)):
        graph.output(name, "float32", 1, 1, config.width, of=state)
    return graph


def _magnitudes(graph: Graph, windows: str, basis: np.ndarray) -> tuple[str, ...]:
    """Those of a frame's four windows, each (frame, 129). basis: (258, 1, 256), cosines first."""
    bins = len(basis) // 2
    spectrum = graph.op("MatMul", windows, graph.weight(basis[:, 0].T))
    parts = graph.ops("Split", 2, spectrum, graph.numbers(bins, bins), axis=1)
    power = graph.op("Add", *(graph.op("Mul", part, part) for part in parts))
    magnitudes = graph.op("Reshape", graph.op("Sqrt", power), graph.numbers(-1, 4 * bins))
    return graph.ops("Split", 4, magnitudes, graph.numbers(*[bins] * 4), axis=1)


def _convolution(
    graph: Graph, positions: Sequence[str], kernel: np.ndarray, bias: np.ndarray, stride: int
) -> tuple[str, ...]:
    """From the positions of a frame, each (frame, channel), to those that the layer makes.

    kernel: (channel made, channel, 3). A tap that would meet a zero beyond the ends is left out.
    """
    made = []
    for centre in range(0, len(positions), stride):
        met = range(max(centre - 1, 0), min(centre + 2, len(positions)))
        inputs = graph.op("Concat", *(positions[place] for place in met), axis=1)
        taps = np.concatenate([kernel[:, :, place - centre + 1].T for place in met])
        product = graph.op("Gemm", inputs, graph.weight(taps), graph.weight(bias))
        made.append(graph.op("Relu", product))
    return tuple(made)


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
        windows = _windows(signal[: config.context + whole], config)
        probabilities, h, c = self.model.session.run(
            ["speech", "next_h", "next_c"], {"windows": windows, "h": state.h, "c": state.c}
        )
        self.state = SileroState(h, c, signal[whole : whole + config.context])
        return probabilities


def _windows(signal: np.ndarray, config: Config) -> np.ndarray:
    """The four windows of every frame, shape = (4 * frame, WINDOW), of a context and whole frames.

    The last window of a frame ends in the frame's own end, mirrored, not in the next frame.
    """
    hop, mirrored = WINDOW // 2, config.context
    halves = np.concatenate((signal, np.zeros(mirrored, np.float32))).reshape(-1, hop)
    windows = np.concatenate((halves[:-1], halves[1:]), axis=1)
    end = WINDOW - mirrored
    windows[3::4, end:] = windows[3::4, end - 2 : end - 2 - mirrored : -1]
    return windows
