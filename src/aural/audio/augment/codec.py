"""Speech and music codecs, there and back: what is lost is lost, and nothing comes later.

G.711 is ours; the others are LAME, Opus and FFmpeg's AAC and G.722 through PyAV, and Vorbis
through libsndfile. What a codec delays is taken off again: the result lies on the original within a
tenth of a sample, but for Opus above 16 kHz, whose speech layer is 0.04 ms early.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from aural.audio.augment.given import as_audio, as_samples, check_rate
from aural.audio.augment.stretch import fitted
from aural.audio.read import read
from aural.audio.resample import resample
from aural.audio.write import write
from aural.errors import InputError, UnknownName
from aural.types import Audio

if TYPE_CHECKING:
    from collections.abc import Callable

    from aural.audio.augment import Drawn

Law = Literal["mu", "a"]

_G711_RATE, _G722_RATE = 8000, 16000
_G722_DELAY = 22  # samples: the two filter banks of 24 taps, one there and one back
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_TAIL_SECONDS = 0.1  # silence coded behind the end, which would else be cut short


@dataclass(frozen=True)
class Codec:
    """One of several codecs, each with its bit rate (or None for its usual one), drawn evenly."""

    choices: tuple[tuple[str, int | None], ...] = (("opus", 12_000), ("mp3", 32_000))

    def __post_init__(self) -> None:
        if not self.choices:
            raise InputError("choices is empty; give at least one (codec, bit rate)")
        for codec, bit_rate in self.choices:
            check_codec(codec, bit_rate)

    def draw(self, value: Audio, rng: np.random.Generator) -> Drawn:
        """The codec and its bit rate."""
        as_audio(value)
        codec, bit_rate = self.choices[int(rng.integers(len(self.choices)))]
        return {"codec": codec, "bit_rate": None if bit_rate is None else int(bit_rate)}

    def apply(self, value: Audio, drawn: Drawn) -> Audio:
        """Coded and decoded."""
        value = as_audio(value)
        return Audio(codec_round_trip(value.samples, value.sample_rate, **drawn), value.sample_rate)


def codec_round_trip(
    samples: np.ndarray, sample_rate: int, codec: str, bit_rate: int | None = None
) -> np.ndarray:
    """samples coded and decoded again: float32, the same shape, rate and timing.

    samples: shape = (time,) or (channel, time), at sample_rate Hz; cut off at [-1, 1]. Two
    channels are coded together where the codec can, more each by itself.

    codec (bit_rate in bits a second, in total): "mp3" (8,000 to 320,000), "opus" (6,000 to
    512,000, at most 256,000 a channel), "aac" (8,000 to 512,000); without a choice, "vorbis" (of
    its own variable rate), "g722" (64,000 at 16 kHz), "g711-mu" and "g711-a" (64,000 at 8 kHz). A
    rate that the codec does not know is changed to one that it does, and back.
    """
    samples = as_samples(samples, finite=True)
    check_rate(sample_rate)
    coder = check_codec(codec, bit_rate)
    sample_rate, bit_rate = int(sample_rate), None if bit_rate is None else int(bit_rate)
    length = samples.shape[-1]
    if length == 0:
        return samples.copy()
    tail = round(_TAIL_SECONDS * sample_rate)
    signal = np.clip(np.atleast_2d(fitted(samples, length + tail)), -1, 1)
    together = coder.channels >= len(signal)
    parts = [signal] if together else [row[None] for row in signal]
    if bit_rate is not None and bit_rate > coder.bit_rate_per_channel * len(parts[0]):
        raise InputError(
            f"bit_rate is {bit_rate}; {codec} takes at most {coder.bit_rate_per_channel} for each "
            "of the channels coded together"
        )
    made = []
    for part in parts:
        heard = coder.run(Audio(part, sample_rate), bit_rate)
        made.append(fitted(resample(heard.samples, heard.sample_rate, sample_rate), length))
    return np.concatenate(made).reshape(samples.shape)


def g711(samples: np.ndarray, law: Law = "mu") -> np.ndarray:
    """samples rounded to the 8-bit codes of G.711 and back: float32, the same shape."""
    return g711_decode(g711_encode(samples, law), law)


def g711_encode(samples: np.ndarray, law: Law = "mu") -> np.ndarray:
    """The 8-bit codes of ITU-T G.711: uint8, the same shape.

    samples: shape = (time,) or (channel, time), an amplitude of 1 being 32768 of 16 bits; beyond
    it they are cut off. The mu-law looks at the upper 14 bits of 16, the A-law at the upper 13.
    """
    samples = as_samples(samples, finite=True)
    pcm = np.clip(np.rint(samples * np.float32(32768)), -32768, 32767).astype(np.int16)
    return _codes(_law(law))[pcm.view(np.uint16)]


def g711_decode(codes: np.ndarray, law: Law = "mu") -> np.ndarray:
    """The samples that codes of ITU-T G.711 stand for: float32 in [-1, 1], the same shape."""
    codes = np.asarray(codes)
    if codes.dtype != np.uint8:
        raise InputError(f"codes are {codes.dtype}; give uint8")
    return _values(_law(law))[codes]


def _law(law: str) -> str:
    if law not in get_args(Law):
        raise UnknownName("law", law, get_args(Law))
    return law


@lru_cache
def _values(law: str) -> np.ndarray:
    """What each of the 256 codes stands for: 8 segments, each twice as coarse as the one below."""
    code = np.arange(256)
    # On the line every bit of the mu-law is inverted, of the A-law every other one.
    bits = code ^ (0xFF if law == "mu" else 0x55)
    segment, step = bits >> 4 & 7, bits & 15
    if law == "mu":
        size = ((2 * step + 33) << segment) - 33  # of 8159
        size, negative = 4 * size, bits & 0x80 > 0
    else:
        size = np.where(segment == 0, 2 * step + 1, (2 * step + 33) << np.maximum(segment, 1) - 1)
        size, negative = 8 * size, bits & 0x80 == 0  # of 4096
    return (np.where(negative, -size, size) / 32768).astype(np.float32)


@lru_cache
def _codes(law: str) -> np.ndarray:
    """The code of each 16-bit number, seen as unsigned; a number and its negative are alike."""
    pcm = np.arange(1 << 16).astype(np.uint16).view(np.int16).astype(int)
    negative = pcm < 0
    size = np.abs(pcm)
    if law == "mu":
        size = np.minimum((size >> 2) + 33, 0x1FFF)
        segment = np.frexp(size)[1] - 6
        bits = segment << 4 | size >> segment + 1 & 15
        return ((bits | negative << 7) ^ 0xFF).astype(np.uint8)
    size = np.minimum(size >> 4, 0x7FF)
    segment = np.maximum(np.frexp(size)[1] - 4, 0)
    bits = segment << 4 | size >> np.maximum(segment - 1, 0) & 15
    return ((bits | ~negative << 7 & 0x80) ^ 0x55).astype(np.uint8)


@dataclass(frozen=True)
class _Coder:
    """There and back: run takes samples of at most so many channels, and a bit rate or None."""

    run: Callable[[Audio, int | None], Audio]
    channels: int = 1
    bit_rates: tuple[int, int] | None = None
    bit_rate_per_channel: float = math.inf


def check_codec(codec: str, bit_rate: int | None) -> _Coder:
    """What codes and decodes; UnknownName and InputError for what `codec_round_trip` refuses."""
    coder = _CODERS.get(codec)
    if coder is None:
        raise UnknownName("codec", codec, CODECS)
    if bit_rate is None:
        return coder
    if coder.bit_rates is None:
        raise InputError(f"{codec} takes no bit_rate; leave it out")
    low, high = coder.bit_rates
    if not isinstance(bit_rate, Integral) or not low <= bit_rate <= high:
        raise InputError(f"bit_rate is {bit_rate}; {codec} takes {low} to {high} bits a second")
    return coder


def _file(name: str) -> Callable[[Audio, int | None], Audio]:
    """Through a file of that format in memory."""

    def run(audio: Audio, bit_rate: int | None) -> Audio:
        file = io.BytesIO()
        write(file, audio, format=name, bit_rate=bit_rate)
        return read(file.getvalue(), channel="all")

    return run


def _aac(audio: Audio, bit_rate: int | None) -> Audio:
    """FFmpeg's own encoder; MP4 says what it put before the start."""
    import av

    rate = next((rate for rate in _AAC_RATES if rate >= audio.sample_rate), _AAC_RATES[-1])
    samples = np.clip(resample(audio.samples, audio.sample_rate, rate), -1, 1)
    layout = ("mono", "stereo")[len(samples) - 1]
    file = io.BytesIO()
    with av.open(file, "w", format="ipod") as container:
        stream: Any = container.add_stream("aac", rate=rate, layout=layout)
        stream.bit_rate = bit_rate or 64_000 * len(samples)
        packed = np.ascontiguousarray(samples.T).reshape(1, -1)
        container.mux(stream.encode(_frame(packed, "flt", layout, rate)))
        container.mux(stream.encode(None))
    return read(file.getvalue(), channel="all")


def _g722(audio: Audio, _: int | None) -> Audio:
    import av

    samples = resample(audio.samples, audio.sample_rate, _G722_RATE)
    samples = fitted(samples, samples.shape[-1] + _G722_DELAY + samples.shape[-1] % 2)
    pcm = np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)
    encoder: Any = av.CodecContext.create("g722", "w")
    decoder: Any = av.CodecContext.create("g722", "r")
    for context in (encoder, decoder):
        context.sample_rate, context.layout = _G722_RATE, "mono"
    encoder.format = "s16"
    packets = encoder.encode(_frame(pcm, "s16", "mono", _G722_RATE)) + encoder.encode(None)
    frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    heard = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
    return Audio(heard[:, _G722_DELAY:].astype(np.float32) / np.float32(32768), _G722_RATE)


def _frame(packed: np.ndarray, form: str, layout: str, rate: int) -> Any:
    import av

    frame = av.AudioFrame.from_ndarray(packed, format=form, layout=layout)
    frame.sample_rate, frame.pts = rate, 0
    return frame


def _g711_at_8_khz(law: Law) -> Callable[[Audio, int | None], Audio]:
    def run(audio: Audio, _: int | None) -> Audio:
        return Audio(g711(resample(audio.samples, audio.sample_rate, _G711_RATE), law), _G711_RATE)

    return run


_CODERS = {
    "mp3": _Coder(_file("mp3"), 2, (8_000, 320_000)),
    "opus": _Coder(_file("opus"), 2, (6_000, 512_000), 256_000),
    "aac": _Coder(_aac, 2, (8_000, 512_000)),
    "vorbis": _Coder(_file("ogg"), 2),
    "g722": _Coder(_g722),
    "g711-mu": _Coder(_g711_at_8_khz("mu")),
    "g711-a": _Coder(_g711_at_8_khz("a")),
}
CODECS = tuple(_CODERS)
