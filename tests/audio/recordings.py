"""Small recordings of every container, made of real speech by soundfile, PyAV and by hand."""

import functools
import io
import struct
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

SPEECH = Path(__file__).parents[2] / "examples" / "sense_and_sensibility_0880.flac"

# name -> (who makes it, container, codec, sample rate, channels)
MADE = {
    "wav": ("soundfile", "WAV", "PCM_16", 16000, 2),
    "wav24": ("soundfile", "WAV", "PCM_24", 44100, 2),
    "wavfloat": ("soundfile", "WAV", "FLOAT", 16000, 1),
    "wavulaw": ("soundfile", "WAV", "ULAW", 8000, 1),
    "wavex": ("soundfile", "WAVEX", "PCM_16", 16000, 2),
    "wavmsadpcm": ("soundfile", "WAV", "MS_ADPCM", 16000, 1),
    "wavg722": ("av", "wav", "g722", 16000, 1),
    "rf64": ("soundfile", "RF64", "PCM_16", 16000, 2),
    "w64": ("soundfile", "W64", "PCM_16", 16000, 2),
    "aiff": ("soundfile", "AIFF", "PCM_16", 22050, 2),
    "aifc": ("soundfile", "AIFF", "FLOAT", 22050, 1),
    "au": ("soundfile", "AU", "PCM_16", 16000, 2),
    "caf": ("soundfile", "CAF", "PCM_16", 16000, 2),
    "cafalac": ("av", "caf", "alac", 16000, 1),
    "flac": ("soundfile", "FLAC", "PCM_16", 44100, 2),
    "mp3": ("av", "mp3", "libmp3lame", 44100, 2),
    "ogg": ("soundfile", "OGG", "VORBIS", 44100, 2),
    "oggflac": ("av", "ogg", "flac", 16000, 1),
    "opus": ("av", "ogg", "libopus", 48000, 2),
    "aac": ("av", "adts", "aac", 44100, 2),
    "m4a": ("av", "ipod", "aac", 44100, 2),
    "m4aalac": ("av", "ipod", "alac", 44100, 1),
    "mp4": ("av", "mp4", "aac", 44100, 1),
    "mov": ("av", "mov", "pcm_s16le", 16000, 1),
    "webm": ("av", "webm", "libopus", 48000, 2),
    "mka": ("av", "matroska", "flac", 16000, 1),
    "amr": ("av", "amr", "libopencore_amrnb", 8000, 1),
}
LOSSLESS = (
    "wav", "wav24", "wavex", "wavfloat", "rf64", "w64", "aiff", "aifc", "au", "caf", "flac",
    "oggflac", "mov", "mka",
)  # fmt: skip


@functools.cache
def speech(sample_rate: int, channels: int = 1, seconds: float = 2.5) -> np.ndarray:
    """Real speech, float32 of shape (channel, time); the second is it negated, backwards."""
    samples, rate = soundfile.read(SPEECH, dtype="float32")
    mono = soxr.resample(samples, rate, sample_rate)[: int(seconds * sample_rate)] * 0.7
    mono = np.round(mono * 32768) / np.float32(32768)  # what 16 bit holds exactly
    return np.stack([mono, -mono[::-1]][:channels])


@functools.cache
def recording(name: str, seconds: float = 2.5) -> bytes:
    """The bytes of MADE[name]."""
    maker, container, codec, sample_rate, channels = MADE[name]
    samples = speech(sample_rate, channels, seconds)
    if maker == "soundfile":
        return with_soundfile(samples, sample_rate, container, codec)
    return with_av(samples, sample_rate, container, codec, film=name == "mp4")


def with_soundfile(samples: np.ndarray, rate: int, container: str, codec: str) -> bytes:
    """Encode by libsndfile, in pieces that its Vorbis encoder can take."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, len(samples), codec, format=container) as sound:
        for start in range(0, samples.shape[1], 4096):
            sound.write(samples[:, start : start + 4096].T)
    return file.getvalue()


def with_av(
    samples: np.ndarray, rate: int, container: str, codec: str, *, film: bool = False
) -> bytes:
    """Encode by FFmpeg; a film has two seconds of grey pictures beside the sound."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        layout = ("mono", "stereo")[len(samples) - 1]
        sound = out.add_stream(codec, rate=rate, layout=layout)
        if codec == "libopencore_amrnb":
            sound.bit_rate = 12_200
        if film:
            picture = out.add_stream("mpeg4", rate=5)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
            for _ in range(10):
                out.mux(picture.encode(av.VideoFrame(64, 48, "yuv420p")))
            out.mux(picture.encode(None))
        packed = np.ascontiguousarray(samples.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return file.getvalue()


def mp3_without_length() -> bytes:
    """MP3 of variable rate with no Xing header: loud speech, a pause, speech; 30 s."""
    clip = np.tile(speech(44100), 4)
    samples = np.concatenate([clip, np.zeros_like(clip), clip], axis=1)
    file = io.BytesIO()
    with av.open(file, "w", format="mp3", options={"write_xing": "0"}) as out:
        options = {"global_quality": "400", "flags": "+qscale"}
        sound = out.add_stream("libmp3lame", rate=44100, layout="mono", options=options)
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
        frame.sample_rate, frame.pts = 44100, 0
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return file.getvalue()


def silent_film() -> bytes:
    """An MP4 with pictures and no sound."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        picture = out.add_stream("mpeg4", rate=5)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        for _ in range(10):
            out.mux(picture.encode(av.VideoFrame(64, 48, "yuv420p")))
        out.mux(picture.encode(None))
    return file.getvalue()


def silence(container: str, codec: str, rate: int, channels: int, seconds: int) -> bytes:
    """A bomb: hours of zeros in few bytes; soundfile makes FLAC, FFmpeg the rest."""
    block = np.zeros((channels, rate * 10), np.float32)
    file = io.BytesIO()
    if container == "FLAC":
        with soundfile.SoundFile(file, "w", rate, channels, codec, format=container) as sound:
            for _ in range(seconds // 10):
                sound.write(block.T)
        return file.getvalue()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = 8000
        for index in range(seconds // 10):
            frame = av.AudioFrame.from_ndarray(block, format="flt", layout="mono")
            frame.sample_rate, frame.pts = rate, index * block.shape[1]
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


def wav(
    samples: bytes = b"\x00\x01" * 1000,
    *,
    tag: int = 1,
    channels: int = 1,
    rate: int = 16000,
    bits: int = 16,
    align: int | None = None,
    data_size: int | None = None,
    riff_size: int | None = None,
    before: bytes = b"",
    extra: bytes = b"",
) -> bytes:
    """A WAV file by hand, in which any field of the header can lie."""
    align = channels * bits // 8 if align is None else align
    fields = (tag, channels, rate, rate * align & 0xFFFFFFFF, align & 0xFFFF, bits)
    form = struct.pack("<HHIIHH", *fields) + extra
    data_size = len(samples) if data_size is None else data_size
    body = b"WAVE" + before + chunk(b"fmt ", form)
    body += b"data" + struct.pack("<I", data_size) + samples
    size = len(body) if riff_size is None else riff_size
    return b"RIFF" + struct.pack("<I", size) + body


def chunk(name: bytes, data: bytes) -> bytes:
    """A RIFF chunk."""
    return name + struct.pack("<I", len(data)) + data + b"\x00" * (len(data) & 1)


def box(name: bytes, *parts: bytes) -> bytes:
    """An MP4 box."""
    data = b"".join(parts)
    return struct.pack(">I", len(data) + 8) + name + data


def patched(data: bytes, offset: int, new: bytes) -> bytes:
    """data with new written over it at offset."""
    return data[:offset] + new + data[offset + len(new) :]


def after(data: bytes, mark: bytes, skip: int = 0) -> int:
    """Where mark ends in data, and skip bytes on; ValueError when it is not there."""
    return data.index(mark) + len(mark) + skip


def flac_total(data: bytes, total: int) -> bytes:
    """A FLAC file whose STREAMINFO states another number of samples (36 bit at byte 21.5)."""
    high = (data[21] & 0xF0) | (total >> 32 & 0x0F)
    return patched(data, 21, bytes([high]) + struct.pack(">I", total & 0xFFFFFFFF))
