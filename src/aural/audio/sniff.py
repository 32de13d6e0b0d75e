"""Which container some bytes are in, told from their magic numbers alone.

Only what is named here reaches a decoder, and it reaches the one named here: a playlist, a
concat script or a session description has none of these beginnings, whatever its name says.
Magic numbers: RFC 2361 and Microsoft RIFF (wav), EBU Tech 3306 (rf64), RFC 9639 (flac), RFC 3533
(ogg), ISO 11172-3 (mp3), ISO 13818-7 (adts), ISO 14496-12 (mp4), RFC 8794 (webm), AIFF 1.3 and
AIFF-C, Apple CAF 1.0, RFC 4867 (amr), Sun/NeXT au.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aural.errors import UnsupportedFormat

if TYPE_CHECKING:
    from aural.audio.source import ByteSource

FORMATS = (
    "wav", "rf64", "w64", "flac", "mp3", "ogg", "opus", "aac", "m4a", "mp4", "webm", "matroska",
    "aiff", "caf", "au", "amr",
)  # fmt: skip

# What libsndfile decodes of RIFF: PCM, float, A-law, mu-law and the extensible form of these.
# Its ADPCM readers trust block sizes in the header (CVE-2026-37555), so they are not used.
_SAFE_WAV_TAGS = frozenset({0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE})
_MAX_RIFF_CHUNKS = 1000
_UNKNOWN_LENGTH = 0x7FFF_0000  # recorders that write into a pipe leave at least this as the length
_W64_GUID = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_MAX_TRAILING_TAG = 4096  # bytes of ID3v1 or APE tags that may follow the last MPEG frame
_MP4_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"})


@dataclass(frozen=True)
class Container:
    """A container: its name, FFmpeg's demuxer for it, and whether libsndfile is tried first.

    cut_short says that the file ends before the length its header states.
    """

    name: str
    demuxer: str
    sndfile: bool = False
    cut_short: bool = False


def sniff(file: ByteSource) -> Container:
    """The container of file; UnsupportedFormat when it is none of FORMATS."""
    start = _after_id3(file)
    head = file.read_at(start, 64)
    container = _plain(head) or _structured(file, head)
    if container is None and start:
        container = Container("mp3", "mp3")  # padding between the tag and the sound
    if container is None:
        raise UnsupportedFormat(
            f"{file.label}: its bytes are no recording of a known kind; "
            f"allowed are {', '.join(FORMATS)}"
        )
    if container.demuxer == "mp3":
        container = replace(container, sndfile=_xing_covers(head, file.size - start))
    if container.demuxer == "ogg":
        container = replace(container, sndfile=_one_ogg_stream(file, head))
    if start and container.demuxer not in {"mp3", "aac", "flac"}:
        raise UnsupportedFormat(f"{file.label}: an ID3 tag is not allowed before {container.name}")
    file.seek(0)
    return container


def _after_id3(file: ByteSource) -> int:
    """Where an ID3v2 tag ends (its size is synchsafe: 7 bits a byte), or 0 without one."""
    head = file.read_at(0, 10)
    if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 127:
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _plain(head: bytes) -> Container | None:
    """Containers that a fixed prefix tells."""
    if head[:4] == b"fLaC":
        return Container("flac", "flac", sndfile=True)
    if head[:4] == b"OggS":
        return Container("opus" if b"OpusHead" in head else "ogg", "ogg")
    if head[:4] in {b"RF64", b"BW64"} and head[8:12] == b"WAVE":
        return Container("rf64", "wav")
    if head[:16] == _W64_GUID:
        return Container("w64", "w64")
    if head[:4] == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"}:
        return Container("aiff", "aiff")
    for magic, name in ((b"caff", "caf"), (b".snd", "au"), (b"#!AMR", "amr")):
        if head.startswith(magic):
            return Container(name, name)
    return _frame_sync(head)


def _frame_sync(head: bytes) -> Container | None:
    """MPEG audio or ADTS, told by the 11 or 12 sync bits and the fields that can't be."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:  # 12 sync bits and layer 0
        return Container("aac", "aac") if head[2] >> 2 & 0x0F < 13 else None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, sample_rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 0 or bit_rate in {0, 15} or sample_rate == 3:
        return None
    return Container("mp3", "mp3")


def _xing_covers(head: bytes, left: int) -> bool:
    """Whether the first MPEG frame tells the length of all that follows (a Xing or Info header).

    Without it libsndfile guesses a length from the first bit rate and stops there: of a file of
    variable rate, or of two files joined, it would lose the rest.
    """
    at = max(head.find(b"Xing", 9, 48), head.find(b"Info", 9, 48))
    has_counts = at > 0 and int.from_bytes(head[at + 4 : at + 8], "big") & 3 == 3
    stated_bytes = int.from_bytes(head[at + 12 : at + 16], "big")
    return has_counts and left - stated_bytes <= _MAX_TRAILING_TAG


def _one_ogg_stream(file: ByteSource, head: bytes) -> bool:
    """Whether the last page has the first one's serial number; libsndfile reads no further link.

    A page is at most 65,307 bytes long (RFC 3533).
    """
    tail = file.read_at(max(0, file.size - 65_307), 65_307)
    last = tail.rfind(b"OggS")
    return last >= 0 and tail[last + 14 : last + 18] == head[14:18]


def _structured(file: ByteSource, head: bytes) -> Container | None:
    """Containers of which more than a prefix must be looked at."""
    if head[:4] in {b"RIFF", b"RIFX"} and head[8:12] == b"WAVE":
        return _wav(file, "little" if head[:4] == b"RIFF" else "big")
    if head[4:8] in _MP4_BOXES:
        return _mp4(file, head)
    if head[:4] == b"\x1aE\xdf\xa3":
        return Container("webm" if b"webm" in head else "matroska", "matroska")
    return None


def _mp4(file: ByteSource, head: bytes) -> Container | None:
    """MP4 and QuickTime; 'cmov', a zipped header that may unfold to gigabytes, is refused."""
    offset = 0
    for _ in range(_MAX_RIFF_CHUNKS):
        box = file.read_at(offset, 16)
        if len(box) < 16:
            break
        size = int.from_bytes(box[:4], "big")
        if box[4:8] == b"moov" and box[12:16] == b"cmov":
            raise UnsupportedFormat(f"{file.label}: a compressed QuickTime header is not allowed")
        if size == 1:
            size = int.from_bytes(box[8:16], "big")
        if size < 8:
            break
        offset += size
    return Container("m4a" if head[8:12] in {b"M4A ", b"M4B "} else "mp4", "mov")


def _wav(file: ByteSource, order: str) -> Container:
    """A RIFF WAVE file: what codes it, and whether its data chunk is all there."""
    riff_size = _number(file.read_at(4, 4), order)
    tag, offset = 0, 12
    for _ in range(_MAX_RIFF_CHUNKS):
        chunk = file.read_at(offset, 10)
        if len(chunk) < 8 or not chunk[:4].isascii():
            break
        name, size = chunk[:4], _number(chunk[4:8], order)
        if name == b"fmt " and not tag:
            tag = _number(chunk[8:10], order)
        if name == b"data":
            left = file.size - offset - 8
            # A recorder into a pipe can't go back to write the lengths; FFmpeg reads to the end.
            streamed = size == 0 and left > 0 and riff_size + 8 != file.size
            return Container(
                "wav", "wav",
                sndfile=tag in _SAFE_WAV_TAGS and not streamed,
                cut_short=left < size < _UNKNOWN_LENGTH,
            )  # fmt: skip
        offset += 8 + size + (size & 1)
    return Container("wav", "wav")


def _number(data: bytes, order: str) -> int:
    return int.from_bytes(data, "big" if order == "big" else "little")
