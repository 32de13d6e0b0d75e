"""A vector for each moment of a recording: what an encoder makes of sound, to learn from."""

from __future__ import annotations

import io
import json
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from aural import models
from aural.audio.stream import stream
from aural.errors import InputError, MissingExtra, UnknownName
from aural.types import Embedding, Encoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from aural.audio.source import Source

FORMATS = ("npy", "safetensors")
"""What files can hold; the suffix is the name."""
METADATA = ("model", "layer", "frame_rate", "duration", "sample_rate", "samples")


def embed(
    source: Source,
    *,
    model: str = "whisper/base",
    layer: int | None = None,
    channel: int | str = "mix",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    compute_type: str = "float32",
    threads: int = 0,
) -> Embedding:
    """Make a vector of each moment of a recording with the encoder of a model.

    A recording longer than the encoder's window (30 s for Whisper) is cut into windows one after
    the other, none of which knows of the others; the vectors are joined. Sound is held a window at
    a time, the vectors all.

    Args:
        source: A path, "-" for standard input, bytes, an open binary file, or Audio.
        model: A model with an encoder, family/variant; or family@directory for weights of your
            own.
        layer: Number of the layer, from 0 (what goes into the first) to the last, which is taken
            if not given. All but the last need the extra torch.
        channel: "mix" (mean of the channels) or a number counted from 0.
        device: Where to compute; "auto" takes a GPU when there is one.
        compute_type: Number format of the last layer, such as float32 or int8; the others are
            always of float32.
        threads: Processors to use for the last layer; 0 takes all this process may use.
    """
    if channel == "all":
        raise InputError("channel is 'all'; give 'mix' or a channel's number, counted from 0")
    encoder = models.load(model, Encoder, device=device, compute_type=compute_type, threads=threads)
    samples, pieces = 0, deque[np.ndarray]()
    for window in stream(
        source,
        sample_rate=encoder.sample_rate,
        channel=channel,
        block_seconds=encoder.max_seconds,
    ):
        samples += window.size
        pieces.append(encoder.embed(window, layer))
    return Embedding(
        vectors=_joined(pieces),
        frame_rate=encoder.frame_rate,
        model=model,
        layer=encoder.encoder_layers if layer is None else layer,
        duration=samples / encoder.sample_rate,
        sample_rate=encoder.sample_rate,
    )


def _joined(pieces: deque[np.ndarray]) -> np.ndarray:
    """The pieces' rows in one array; each piece is given up once it is copied."""
    whole = np.empty((sum(map(len, pieces)), pieces[0].shape[1]), np.float32)
    start = 0
    while pieces:
        piece = pieces.popleft()
        whole[start : start + len(piece)] = piece
        start += len(piece)
    return whole


def writer(name: str) -> Callable[[Embedding], bytes]:
    """What makes the bytes of a file: "npy", the vectors alone, for numpy.load; "safetensors", the
    vectors under that name, and as text the metadata model, layer, frame_rate, duration,
    sample_rate and samples.

    Raises UnknownName for another format, and MissingExtra without the package safetensors.
    """
    if name not in FORMATS:
        raise UnknownName("format for an Embedding", name, FORMATS)
    if name == "npy":
        return _npy
    try:
        from safetensors.numpy import save
    except ModuleNotFoundError as error:
        raise MissingExtra("torch", "safetensors") from error
    return partial(_safetensors, save)


def _npy(embedding: Embedding) -> bytes:
    file = io.BytesIO()
    np.save(file, embedding.vectors, allow_pickle=False)
    return file.getvalue()


def _safetensors(save: Callable[..., bytes], embedding: Embedding) -> bytes:
    about = {name: str(getattr(embedding, name)) for name in METADATA}
    made = save({"vectors": np.ascontiguousarray(embedding.vectors)}, metadata=about)
    # The library's order of the metadata differs from run to run; a file is to be the same.
    end = 8 + int.from_bytes(made[:8], "little")
    head = json.loads(made[8:end])
    text = json.dumps(head, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    assert len(text) <= end - 8, "both are JSON without spaces"
    return b"".join((made[:8], text.ljust(end - 8), memoryview(made)[end:]))
