"""Hostile files, each made by hand: one documented outcome, and no other file is ever opened.

A case's outcome is an error class, or AUDIO (some samples in [-1, 1]), or WARNED (the same with
an AudioWarning that says what is missing).
"""

import ctypes
import io
import os
import struct
import warnings
import zlib

import av
import numpy as np
import pytest
import recordings
from recordings import after, box, chunk, patched, recording, wav

from aural.audio.read import Limits, probe, read
from aural.errors import (
    AudioError,
    AudioWarning,
    CorruptAudio,
    EmptyAudio,
    LimitExceeded,
    UnsupportedFormat,
)

AUDIO, WARNED = "audio", "audio and a warning"
REFUSED = (CorruptAudio, EmptyAudio, LimitExceeded, UnsupportedFormat)
FULL_SCALE = np.array([np.nan, np.inf, -np.inf, 1e38, 0.5] * 300, "<f4").tobytes()

SCRIPTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{canary}\n#EXT-X-ENDLIST\n",
    "m3u": "#EXTM3U\n{canary}\n",
    "ffconcat": "ffconcat version 1.0\nfile '{canary}'\n",
    "concat without a version": "file '{canary}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
    "pls": "[playlist]\nFile1={canary}\nNumberOfEntries=1\n",
    "dash": "<?xml version='1.0'?><MPD><Period><AdaptationSet><Representation>"
    "<BaseURL>{canary}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "smil": "<smil><body><audio src='{canary}'/></body></smil>",
    "cue": 'FILE "{canary}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
    "a path": "{canary}",
    "imf": "<?xml version='1.0'?><AssetMap><Chunk><Path>{canary}</Path></Chunk></AssetMap>",
}

OTHER_BYTES = {
    "one byte": b"\x00",
    "zeros": b"\x00" * 5000,
    "text": b"hello, this is no recording\n" * 50,
    "html": b"<!DOCTYPE html><html><body>404</body></html>",
    "zip": b"PK\x03\x04" + b"\x00" * 500,
    "png": b"\x89PNG\r\n\x1a\n" + b"\x00" * 500,
    "gzip": b"\x1f\x8b\x08" + b"\x00" * 500,
    "elf": b"\x7fELF\x02\x01\x01" + b"\x00" * 500,
    "pickle": b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00c__builtin__\nprint\n",
    "8svx": b"FORM\x00\x00\x01\x008SVXVHDR" + b"\x00" * 300,
    "riff avi": b"RIFF\x00\x10\x00\x00AVI LIST" + b"\x00" * 300,
    "mpeg program stream": b"\x00\x00\x01\xba" + b"\x44" * 500,
    "ebml alone": b"\x1aE\xdf\xa3",
}


def _wav_cases() -> dict:
    pcm = b"\x00\x01" * 1000
    double = wav(pcm, before=chunk(b"fmt ", struct.pack("<HHIIHH", 1, 64, 16000, 0, 128, 16)))
    return {
        "wav cut in the header": (wav()[:20], REFUSED),
        "wav without data": (wav()[:36], REFUSED),
        "wav with no samples": (wav(b""), EmptyAudio),
        "wav streamed, lengths 0": (wav(pcm, data_size=0, riff_size=0), AUDIO),
        "wav streamed, lengths -1": (
            wav(pcm, data_size=0xFFFFFFFF, riff_size=0xFFFFFFFF), AUDIO),
        "wav of 2 GB with 2 kB in it": (wav(pcm, data_size=0x7000_0000), WARNED),
        "wav cut in the data": (wav(pcm)[:-501], WARNED),
        "wav at 0 Hz": (wav(rate=0), REFUSED),
        "wav at 4 GHz": (wav(rate=4_000_000_000), REFUSED),
        "wav at 655,350 Hz": (wav(rate=655_350), LimitExceeded),
        "wav at 1 Hz": (wav(rate=1), LimitExceeded),
        "wav of 0 channels": (wav(channels=0, align=2), REFUSED),
        "wav of 64 channels": (wav(b"\x00" * 12800, channels=64), LimitExceeded),
        "wav of 65,535 channels": (wav(channels=65_535), REFUSED),
        "wav of 0 bits": (wav(bits=0, align=2), (AUDIO, *REFUSED)),
        "wav of 7 bits": (wav(bits=7, align=1), (AUDIO, *REFUSED)),
        "wav of 65,535 bits": (wav(bits=65_535, align=2), REFUSED),
        "wav with block align 0": (wav(align=0), (AUDIO, *REFUSED)),
        "wav of an unknown codec": (wav(tag=0xDEAD), REFUSED),
        "wav of IMA ADPCM with forged block": (
            wav(tag=0x11, bits=4, align=65_535, extra=struct.pack("<HH", 2, 65_535)),
            (AUDIO, WARNED, *REFUSED)),
        "wav of MS ADPCM with forged coefficients": (
            wav(tag=2, bits=4, align=7, extra=struct.pack("<HHH", 4, 65_535, 65_535)),
            (AUDIO, WARNED, *REFUSED)),
        "wav of not finite floats": (wav(FULL_SCALE, tag=3, bits=32), WARNED),
        "wav of not finite doubles": (
            wav(np.array([np.nan, 1e308, -np.inf, 0.1] * 99).tobytes(), tag=3, bits=64), WARNED),
        "wav with a format chunk of 4 GB": (
            patched(wav(), 16, b"\xff\xff\xff\xff"), REFUSED),
        "wav with two formats, the first absurd": (double, LimitExceeded),
        "wav with 20,000 chunks before its format": (
            wav(before=chunk(b"junk", b"") * 20_000), (AUDIO, *REFUSED)),
        "wav with an unprintable chunk": (wav(before=b"\xff" * 64), (AUDIO, *REFUSED)),
        "wav within a wav": (wav(wav(pcm)), AUDIO),
        "rifx": (b"RIFX" + wav()[4:], (AUDIO, *REFUSED)),
        "rf64 without its sizes": (b"RF64" + wav(pcm)[4:], (AUDIO, *REFUSED)),
        "w64 of negative size": (
            patched(recording("w64"), 16, b"\xff" * 8), (AUDIO, WARNED, *REFUSED)),
    }  # fmt: skip


def _coded_cases() -> dict:
    flac, mp3, ogg, opus = (recording(name) for name in ("flac", "mp3", "ogg", "opus"))
    head = after(opus, b"OpusHead", 1)
    tag = b"ID3\x04\x00\x00"
    return {
        "flac that states 68 billion samples": (
            recordings.flac_total(flac, 2**36 - 1), (WARNED, *REFUSED)),
        "flac that states none": (recordings.flac_total(flac, 0), AUDIO),
        "flac that states one": (recordings.flac_total(flac, 1), EmptyAudio),
        "flac that states a thousand": (recordings.flac_total(flac, 1000), AUDIO),
        "flac at 0 Hz": (patched(flac, 18, b"\x00\x00"), REFUSED),
        "flac cut in half": (flac[: len(flac) // 2], WARNED),
        "flac with a hole": (patched(flac, len(flac) // 2, b"\x00" * 3000), WARNED),
        "flac header alone": (flac[:42], REFUSED),
        "flac with metadata of 16 MB": (patched(flac, 5, b"\xff\xff\xff"), REFUSED),
        "flac with a picture of 4 GB": (
            flac[:42] + b"\x06\x00\x00\x20" + b"\xff" * 32 + flac[42:], (AUDIO, *REFUSED)),
        "mp3 cut in half": (mp3[: len(mp3) // 2], (AUDIO, WARNED)),
        "mp3 header alone": (mp3[:4], REFUSED),
        "mp3 that states 4 billion frames": (
            patched(mp3, after(mp3, b"Info", 4), b"\xff\xff\xff\xff"), (AUDIO, WARNED)),
        "mp3 after a tag of 256 MB": (tag + b"\x7f\x7f\x7f\x7f" + mp3, REFUSED),
        "mp3 tag of odd size bytes": (tag + b"\xff\xff\xff\xff" + mp3, UnsupportedFormat),
        "mp3 tag and then nothing": (tag + b"\x00\x00\x00\x10" + b"\x00" * 16, REFUSED),
        "mp3 tag and then a playlist": (
            tag + b"\x00\x00\x00\x04" + b"\x00" * 4 + SCRIPTS["hls"].encode() * 9, REFUSED),
        "mp3 syncs and noise": (
            (b"\xff\xfb\x90\x64" + bytes(range(256))) * 40, (AUDIO, WARNED, *REFUSED)),
        "ogg cut in half": (ogg[: len(ogg) // 2], (AUDIO, WARNED)),
        "ogg first page alone": (ogg[:58], REFUSED),
        "ogg with broken checksums": (
            ogg.replace(b"OggS\x00\x00", b"OggS\x00\x08"), (AUDIO, WARNED, *REFUSED)),
        "ogg that ends at sample 2**62": (
            patched(ogg, ogg.rindex(b"OggS") + 6, struct.pack("<q", 2**62)),
            (AUDIO, WARNED, *REFUSED)),
        "opus of 255 channels": (patched(opus, head, b"\xff"), REFUSED),
        "opus that skips all": (patched(opus, head + 1, b"\xff\xff"), (AUDIO, *REFUSED)),
        "amr header alone": (b"#!AMR\n", REFUSED),
        "amr of noise": (b"#!AMR\n" + bytes(range(256)) * 20, (AUDIO, WARNED, *REFUSED)),
        "aac header and noise": (recording("aac")[:7] + b"\xaa" * 4000, (AUDIO, WARNED, *REFUSED)),
        "au of 0 channels": (patched(recording("au"), 20, b"\x00" * 4), REFUSED),
        "au whose data start at 4 GB": (patched(recording("au"), 4, b"\xff" * 4),
                                          (AUDIO, *REFUSED)),
        "aiff at an infinite rate": (
            patched(recording("aiff"), after(recording("aiff"), b"COMM", 12),
                    b"\x7f\xff" + b"\xff" * 8), REFUSED),
        "caf at a rate that is no number": (
            patched(recording("caf"), after(recording("caf"), b"desc", 8),
                    struct.pack(">d", float("nan"))), REFUSED),
        "caf header alone": (recording("caf")[:8], REFUSED),
    }  # fmt: skip


def _boxed_cases() -> dict:
    m4a, mp4, webm = recording("m4a"), recording("mp4"), recording("webm")
    deep = b"free" * 4
    for _ in range(2000):
        deep = box(b"udta", deep)
    return {
        "mp4 cut before its index": (m4a[: m4a.index(b"moov") - 4], REFUSED),
        "mp4 cut in its index": (m4a[: m4a.index(b"stsz")], (AUDIO, WARNED, *REFUSED)),
        "mp4 without its middle": (
            mp4[: len(mp4) // 3] + b"\x00" * 9000 + mp4[len(mp4) // 3 + 9000 :],
            (AUDIO, WARNED, *REFUSED)),
        "mp4 of 4 billion packets": (
            patched(m4a, after(m4a, b"stsz", 8), b"\xff" * 4), (AUDIO, WARNED, *REFUSED)),
        "mp4 of packets of 2 GB": (
            patched(m4a, after(m4a, b"stsz", 4), b"\x7f\xff\xff\xff"),
            (AUDIO, WARNED, *REFUSED)),
        "mp4 of 2,000 boxes in each other": (box(b"ftyp", b"M4A " * 2) + box(b"moov", deep),
                                             REFUSED),
        "mp4 box of size 1": (box(b"ftyp", b"M4A ") + b"\x00\x00\x00\x01moov", REFUSED),
        "mp4 box of size 0": (box(b"ftyp", b"M4A ") + b"\x00\x00\x00\x00moov", REFUSED),
        "mp4 with a zipped index": (_zipped_index(), UnsupportedFormat),
        "mp4 at 0 ticks a second": (
            patched(m4a, after(m4a, b"mdhd", 12), b"\x00" * 4), (AUDIO, WARNED, *REFUSED)),
        "film without sound": (recordings.silent_film(), EmptyAudio),
        "webm cut in half": (webm[: len(webm) // 2], (AUDIO, WARNED)),
        "webm header alone": (webm[:60], REFUSED),
        "webm of unknown sizes": (
            patched(webm, after(webm, b"\x18\x53\x80\x67"), b"\x01" + b"\xff" * 7),
            (AUDIO, WARNED)),
        "webm with a hole": (
            patched(webm, len(webm) // 2, b"\xff" * 2000), (AUDIO, WARNED, *REFUSED)),
        "webm of 1,000 nested elements": (
            webm[:40] + b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" * 1000, REFUSED),
    }  # fmt: skip


def _zipped_index() -> bytes:
    """A QuickTime 'cmov': 60 kB that unfold to 60 MB (and could to 2 GB)."""
    unfolded = 60_000_000
    packed = zlib.compress(bytes(unfolded))
    index = box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", struct.pack(">I", unfolded), packed))
    return box(b"ftyp", b"qt  ") + box(b"moov", index)


CASES = {**_wav_cases(), **_coded_cases(), **_boxed_cases()}
for _name, _data in OTHER_BYTES.items():
    CASES[_name] = (_data, REFUSED)


def test_there_are_enough_cases():
    assert len(CASES) + len(SCRIPTS) >= 100


def _outcome(data: bytes) -> object:
    """What reading data leads to; any exception but an AudioError fails the test by itself."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            audio = read(data, sample_rate=16000, limits=Limits(max_seconds=60))
        except AudioError as error:
            message = str(error)
            assert 20 < len(message) < 400, message
            assert "\n" not in message
            assert "Traceback" not in message
            return type(error)
    assert audio.samples.dtype == np.float32
    assert audio.samples.ndim == 1
    assert audio.samples.size
    assert np.abs(audio.samples).max() <= 1.0
    assert {w.category for w in caught} <= {AudioWarning}
    return WARNED if caught else AUDIO


@pytest.mark.parametrize("name", CASES)
def test_hostile_file(name):
    data, expected = CASES[name]
    expected = expected if isinstance(expected, tuple) else (expected,)
    assert _outcome(data) in expected
    try:
        info = probe(data)
    except AudioError:
        return
    assert info.sample_rate > 0
    assert info.channels > 0
    assert info.duration is None or info.duration >= 0


class _Watch:
    """Linux' inotify on a folder: sees every opening in it, native code's too."""

    _IN_OPEN = 0x20

    def __init__(self, folder) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_NONBLOCK)
        assert libc.inotify_add_watch(self._fd, os.fsencode(folder), self._IN_OPEN) >= 0

    def opened(self) -> bool:
        """Whether something was opened since the last call."""
        try:
            return bool(os.read(self._fd, 65536))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A recording that nobody may open, in the working directory, and a watch on it."""
    folder = tmp_path / "private"
    folder.mkdir()
    (folder / "canary.wav").write_bytes(recording("wav"))
    monkeypatch.chdir(folder)
    watch = _Watch(folder)
    yield folder / "canary.wav", watch
    watch.close()


def test_the_watch_sees_native_code(canary):
    """FFmpeg, left to itself, follows a concat script in memory to another file."""
    path, watch = canary
    script = SCRIPTS["ffconcat"].format(canary=path.name).encode()
    assert not watch.opened()
    with av.open(io.BytesIO(script), format="concat") as container:
        assert next(container.decode(audio=0)).samples > 0
    assert watch.opened()
    assert not watch.opened()


@pytest.mark.parametrize("kind", SCRIPTS)
@pytest.mark.parametrize("form", ["{path}", "{name}", "file:{path}", "file://{path}"])
def test_a_script_opens_nothing(canary, tmp_path, kind, form):
    """Whatever its name says, and behind an ID3 tag too."""
    path, watch = canary
    target = form.format(path=path, name=path.name)
    script = SCRIPTS[kind].format(canary=target).encode()
    tagged = b"ID3\x04\x00\x00\x00\x00\x00\x00" + script
    for suffix in ("wav", "mp3", "m3u8", "ffconcat", "sdp", "mp4"):
        for data in (script, tagged):
            file = tmp_path / f"script.{suffix}"
            file.write_bytes(data)
            for source in (file, data):
                with pytest.raises(AudioError):
                    read(source)
    assert not watch.opened()


def _external_mp4(reference: bytes, kind: bytes) -> bytes:
    """An MP4 whose samples are said to be in another file (a dref without the self flag)."""
    data = recording("mov")
    old = data[data.index(b"dref") - 4 :]
    size = struct.unpack(">I", old[:4])[0]
    entry = box(b"dref", struct.pack(">II", 0, 1), box(kind, struct.pack(">I", 0), reference))
    grown = data.replace(old[:size], entry)
    delta = len(entry) - size
    for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        at = grown.rindex(name) - 4
        length = struct.unpack(">I", grown[at : at + 4])[0]
        grown = patched(grown, at, struct.pack(">I", length + delta))
    return grown


def _alias(path: bytes) -> bytes:
    """A Macintosh alias record with an absolute path (type 18) and a folder (type 2)."""
    head = bytearray(150)
    head[10:12] = b"\x00\x01"
    for kind, text in ((2, path), (18, path), (-1, b"")):
        head += struct.pack(">hH", kind, len(text)) + text + b"\x00" * (len(text) & 1)
    return bytes(head)


def test_the_crafted_mp4_works_where_it_is_let(canary):
    """FFmpeg follows the alias when external references are on, and not without protocols."""
    path, watch = canary
    data = _external_mp4(_alias(os.fsencode(path)), b"alis")
    options = {"enable_drefs": "1", "use_absolute_path": "1"}
    with av.open(io.BytesIO(data), format="mov", options=options) as container:
        assert next(container.decode(audio=0)).samples > 0
    assert watch.opened()
    options["protocol_whitelist"] = "none"
    with av.open(io.BytesIO(data), format="mov", options=options) as container:
        assert not list(container.decode(audio=0))
    assert not watch.opened()


@pytest.mark.parametrize("kind", [b"url ", b"alis", b"urn "])
def test_an_mp4_that_names_another_file_opens_nothing(canary, kind):
    path, watch = canary
    for name in (os.fsencode(path), path.name.encode(), b"file://" + os.fsencode(path)):
        reference = _alias(name) if kind == b"alis" else name + b"\x00"
        data = _external_mp4(reference, kind)
        outcome = _outcome(data)
        assert outcome in (AUDIO, WARNED, *REFUSED)
    assert not watch.opened()


def test_a_matroska_that_names_another_file_opens_nothing(canary):
    """Linked segments: PrevFilename, NextFilename; and an attachment called like the file."""
    path, watch = canary
    name = os.fsencode(path.name)
    data = recording("webm")
    info = data.index(b"\x15\x49\xa9\x66")
    linked = b"\x3c\x83\xab" + bytes([0x80 | len(name)]) + name
    linked += b"\x3e\x83\xbb" + bytes([0x80 | len(name)]) + name
    attached = b"\x46\x6e" + bytes([0x80 | len(name)]) + name
    attachment = b"\x61\xa7" + bytes([0x80 | len(attached)]) + attached
    extra = b"\x19\x41\xa4\x69" + bytes([0x80 | len(attachment)]) + attachment
    before = b"\x15\x49\xa9\x66" + bytes([0x80 | len(linked)]) + linked
    unknown = after(data, b"\x18\x53\x80\x67")
    data = patched(data, unknown, b"\x01" + b"\xff" * 7)
    hostile = data[:info] + before + extra + data[info:]
    assert _outcome(hostile) in (AUDIO, WARNED, *REFUSED)
    assert not watch.opened()


def test_what_is_inside_a_recording_is_not_run_or_opened(canary):
    """Names in tags are text: a title that is a path, a cue sheet, a URL."""
    path, watch = canary
    info = chunk(b"LIST", b"INFO" + chunk(b"INAM", os.fsencode(path) + b"\x00"))
    data = wav(b"\x00\x01" * 500, before=info)
    assert read(data).samples.size == 500
    assert not watch.opened()


def test_the_bombs_are_cut_off():
    """Hours in kilobytes stop at the limit, and so does a zip of zeros that FFmpeg unfolds."""
    bombs = {
        "flac": recordings.silence("FLAC", "PCM_16", 8000, 8, 1800),
        "mp3": recordings.silence("mp3", "libmp3lame", 8000, 1, 1200),
    }
    for data in bombs.values():
        assert len(data) < 1_300_000
        with pytest.raises(LimitExceeded, match="longer than the 60 s"):
            read(data, limits=Limits(max_seconds=60))
        with pytest.raises(LimitExceeded, match="use stream"):
            read(data, limits=Limits(max_read_samples=1_000_000))
        with pytest.raises(LimitExceeded, match="more samples than"):
            read(data, limits=Limits(max_samples=1_000_000))
