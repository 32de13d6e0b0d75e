"""Codecs there and back: G.711 code by code against libsndfile and FFmpeg, the others in time."""

from __future__ import annotations

import io
import json

import av
import numpy as np
import pytest
import scipy.signal
import soundfile

from aural.audio.augment import augment
from aural.audio.augment.codec import (
    CODECS,
    Codec,
    codec_round_trip,
    g711,
    g711_decode,
    g711_encode,
)
from aural.audio.read import read
from aural.audio.resample import resample
from aural.errors import InputError, UnknownName
from aural.types import Audio

NUMBERS = np.arange(-32768, 32768).astype(np.int16)
CODES = np.arange(256).astype(np.uint8)
LAWS = {"mu": ("ULAW", "pcm_mulaw"), "a": ("ALAW", "pcm_alaw")}
WITH_BIT_RATE = {"mp3": (16_000, 64_000), "opus": (8_000, 48_000), "aac": (16_000, 64_000)}


@pytest.fixture(scope="module")
def speech(examples) -> np.ndarray:
    """A second and a half at 16 kHz."""
    samples, _ = soundfile.read(sorted(examples.glob("*.flac"))[1], dtype="float32")
    return samples[8000:32000]


def ffmpeg(name: str, way: str) -> av.CodecContext:
    context = av.CodecContext.create(name, way)
    context.sample_rate, context.layout = 8000, "mono"
    return context


def lag_of(made: np.ndarray, given: np.ndarray) -> float:
    """Samples that made lies behind given: the cross-correlation's peak, by a parabola."""
    products = scipy.signal.correlate(made, given, method="fft")
    top = int(products.argmax())
    left, middle, right = products[top - 1 : top + 2]
    return top - (given.size - 1) + (left - right) / (left - 2 * middle + right) / 2


@pytest.mark.parametrize("law", LAWS)
def test_all_codes_of_g711_decode_as_libsndfile_and_ffmpeg_do(law):
    subtype, name = LAWS[law]
    found = g711_decode(CODES, law)
    assert found.dtype == np.float32
    file = io.BytesIO(CODES.tobytes())
    theirs, _ = soundfile.read(
        file, samplerate=8000, channels=1, format="RAW", subtype=subtype, dtype="int16"
    )
    np.testing.assert_array_equal(found * 32768, theirs)
    frames = ffmpeg(name, "r").decode(av.Packet(CODES.tobytes()))
    np.testing.assert_array_equal(found * 32768, frames[0].to_ndarray()[0])


@pytest.mark.parametrize("law", LAWS)
def test_all_numbers_are_coded_by_g711_as_libsndfile_does(law):
    file = io.BytesIO()
    soundfile.write(file, NUMBERS, 8000, LAWS[law][0], format="RAW")
    found = g711_encode(NUMBERS / np.float32(32768), law)
    np.testing.assert_array_equal(found, np.frombuffer(file.getvalue(), np.uint8))


@pytest.mark.parametrize("law", LAWS)
def test_ffmpeg_differs_only_at_the_edge_between_two_steps(law):
    """FFmpeg takes the nearer value, also where the standard's edge is not in the middle."""
    encoder = ffmpeg(LAWS[law][1], "w")
    encoder.format = "s16"
    frame = av.AudioFrame.from_ndarray(NUMBERS[None], format="s16", layout="mono")
    frame.sample_rate = 8000
    packets = encoder.encode(frame) + encoder.encode(None)
    theirs = np.frombuffer(b"".join(bytes(packet) for packet in packets), np.uint8)
    found = g711_encode(NUMBERS / np.float32(32768), law)
    assert (found != theirs).mean() < 0.014
    levels = np.unique(g711_decode(CODES, law))  # the two zeros of the mu-law are one
    ours, other = (np.searchsorted(levels, g711_decode(codes, law)) for codes in (found, theirs))
    assert np.abs(ours - other).max() == 1


def test_decoded_codes_are_coded_as_they_were():
    """But for the mu-law's negative zero, which is a zero."""
    assert (g711_encode(g711_decode(CODES, "a"), "a") == CODES).all()
    again = g711_encode(g711_decode(CODES, "mu"), "mu")
    np.testing.assert_array_equal(CODES[again != CODES], [0x7F])


def test_g711_on_samples_beyond_the_scale_and_on_what_is_none():
    for law, largest in (("mu", 32124), ("a", 32256)):
        loud = np.array([[-7.0, 1.0], [7.0, -1.0]], np.float32)
        np.testing.assert_array_equal(g711(loud, law) * 32768, largest * np.sign(loud))
        assert g711(np.zeros((2, 0), np.float32), law).shape == (2, 0)
    with pytest.raises(InputError, match="NaN"):
        g711(np.array([np.nan], np.float32))
    with pytest.raises(InputError, match="int16; give uint8"):
        g711_decode(np.zeros(3, np.int16))
    for effect in (g711_encode, g711):
        with pytest.raises(UnknownName, match="law 'u'"):
            effect(np.zeros(3, np.float32), "u")


@pytest.mark.parametrize("sample_rate", [8000, 11025, 16000, 44100, 48000, 96000])
@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_keeps_length_and_time(speech, codec, sample_rate):
    """To a tenth of a sample at 48 kHz; Opus' speech layer, above 16 kHz, to 0.05 ms."""
    samples = resample(speech, 16000, sample_rate)
    made = codec_round_trip(samples, sample_rate, codec)
    assert made.dtype == np.float32
    assert made.shape == samples.shape
    allowed = 0.05e-3 if codec == "opus" and sample_rate > 16000 else 0.1 / 48000
    assert abs(lag_of(made, samples)) < max(allowed * sample_rate, 0.1)
    assert np.corrcoef(made, samples)[0, 1] > 0.9
    assert (made != samples).any()


@pytest.mark.parametrize("codec", WITH_BIT_RATE)
def test_fewer_bits_lose_more(speech, codec):
    low, high = (codec_round_trip(speech, 16000, codec, rate) for rate in WITH_BIT_RATE[codec])
    near, far = (np.corrcoef(made, speech)[0, 1] for made in (high, low))
    assert 0.7 < far < near - 0.003


def test_g722_is_what_ffmpeg_reads_from_a_wav_of_it(speech):
    file = io.BytesIO()
    with av.open(file, "w", format="wav") as container:
        stream = container.add_stream("g722", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(speech[None], format="flt", layout="mono")
        frame.sample_rate, frame.pts = 16000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    theirs = read(file.getvalue()).samples[22:]
    made = codec_round_trip(speech, 16000, "g722")[: theirs.size]
    # FFmpeg rounds its own way to 16 bits; a bit in the coder's memory is soon forgotten.
    assert np.corrcoef(made, theirs)[0, 1] > 0.9995
    noise = made - speech[: made.size]
    assert 10 * np.log10((speech**2).mean() / (noise**2).mean()) > 20


@pytest.mark.parametrize("codec", CODECS)
def test_channels_are_coded_in_their_places(speech, codec):
    other = np.roll(speech, 4000) * 0.5
    for channels in (speech[None], np.stack([speech, other]), np.stack([other, speech, speech])):
        made = codec_round_trip(channels, 16000, codec)
        assert made.shape == channels.shape
        for row, expected in zip(made, channels, strict=True):
            assert np.corrcoef(row, expected)[0, 1] > 0.93


@pytest.mark.parametrize("codec", CODECS)
def test_short_loud_and_silent_recordings(speech, codec):
    for length in (0, 1, 2, 161, 1000):
        for channels in (1, 3):
            given = np.full((channels, length), 0.1, np.float32)
            assert codec_round_trip(given, 16000, codec).shape == given.shape
    assert np.abs(codec_round_trip(np.zeros(16000, np.float32), 16000, codec)).max() < 1e-3
    loud = codec_round_trip(20 * speech, 16000, codec)
    assert np.corrcoef(loud, np.clip(20 * speech, -1, 1))[0, 1] > 0.9
    assert np.abs(loud).max() < 2


@pytest.mark.parametrize("codec", CODECS)
def test_a_codec_gives_the_same_bytes_again(speech, codec):
    before = speech.copy()
    done = augment(Audio(speech, 16000), Codec(((codec, None),)), np.random.default_rng(0))
    drawn = json.loads(json.dumps(done.drawn))
    assert drawn == {"codec": codec, "bit_rate": None}
    again = done.augmentation.apply(Audio(speech, 16000), drawn)
    assert done.value.samples.tobytes() == again.samples.tobytes()
    np.testing.assert_array_equal(speech, before)


def test_codecs_are_drawn_evenly():
    audio, rng = Audio(np.zeros(1, np.float32), 16000), np.random.default_rng(0)
    drawn = [Codec().draw(audio, rng) for _ in range(1000)]
    for codec, bit_rate in Codec().choices:
        assert drawn.count({"codec": codec, "bit_rate": bit_rate}) == pytest.approx(500, abs=60)


def test_what_no_codec_takes_is_refused(speech):
    with pytest.raises(UnknownName, match=r"codec 'gsm'.*mp3, opus, aac, vorbis, g722, g711-mu"):
        codec_round_trip(speech, 16000, "gsm")
    with pytest.raises(UnknownName, match="codec"):
        Codec((("gsm", None),))
    for codec in ("vorbis", "g722", "g711-a"):
        with pytest.raises(InputError, match=f"{codec} takes no bit_rate"):
            Codec(((codec, 64_000),))
    for bit_rate in (0, 7_999, 320_001):
        with pytest.raises(InputError, match="mp3 takes 8000 to 320000 bits a second"):
            codec_round_trip(speech, 16000, "mp3", bit_rate)
    with pytest.raises(InputError, match="choices is empty"):
        Codec(())
    with pytest.raises(InputError, match="NaN"):
        codec_round_trip(np.array([np.nan], np.float32), 16000, "opus")
    with pytest.raises(InputError, match="sample_rate is 500"):
        codec_round_trip(speech, 500, "opus")


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("rate", [1000, 384_000])
def test_the_lowest_and_the_highest_sample_rate(codec, rate):
    tone = 0.3 * np.sin(2 * np.pi * 350 * np.arange(rate // 2) / rate).astype(np.float32)
    made = codec_round_trip(tone, rate, codec)
    assert made.shape == tone.shape
    assert np.corrcoef(made, tone)[0, 1] > 0.9


@pytest.mark.parametrize(
    ("codec", "channels", "bit_rate"),
    [
        (codec, channels, bit_rate)
        for codec, least, most in (
            ("mp3", 8_000, (320_000, 320_000)),
            ("opus", 6_000, (256_000, 512_000)),
            ("aac", 8_000, (512_000, 512_000)),
        )
        for channels in (1, 2, 3)
        for bit_rate in (least, most[channels == 2])
    ],
)
@pytest.mark.parametrize("rate", [8000, 48000])
def test_the_least_and_the_most_bits(speech, codec, channels, bit_rate, rate):
    samples = np.stack([resample(speech, 16000, rate)[:rate]] * channels)
    made = codec_round_trip(samples, rate, codec, np.int64(bit_rate))
    assert made.shape == samples.shape
    assert np.corrcoef(made[0], samples[0])[0, 1] > 0.6


def test_opus_takes_so_many_bits_a_channel(speech):
    for samples in (speech, np.stack([speech] * 3)):
        with pytest.raises(InputError, match="opus takes at most 256000 for each"):
            codec_round_trip(samples, 16000, "opus", 256_001)
    with pytest.raises(InputError, match="opus takes 6000 to 512000"):
        Codec((("opus", 16_000.5),))


def test_bit_rates_of_numpy_are_json(speech):
    done = augment(
        Audio(speech, np.int64(16000)),
        Codec((("opus", np.int64(16_000)),)),
        np.random.default_rng(0),
    )
    assert json.loads(json.dumps(done.drawn)) == {"codec": "opus", "bit_rate": 16_000}
    assert type(done.value.sample_rate) is int
