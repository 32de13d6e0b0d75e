"""Write examples into tar shards, in the form that `aural.data.shards` reads and WebDataset too."""

from __future__ import annotations

import glob
import io
import json
import tarfile
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from aural.audio.read import probe, read
from aural.audio.write import write
from aural.data.columns import record_of
from aural.data.files import opened, read_whole, replacing
from aural.data.shards import AUDIO
from aural.data.sound import named, sound_of
from aural.data.tar import TarLimits
from aural.data.utterance import Clip
from aural.errors import AudioError, InputError, LimitExceeded

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

    from aural.data.utterance import Utterance

_BLOCK = 512


@dataclass(frozen=True)
class Shard:
    """A shard that was written: its examples, and its size in bytes."""

    path: Path
    examples: int
    size: int


def packed(utterance: Utterance) -> Utterance:
    """The utterance with a Clip for its audio, as a shard holds it.

    A whole wav, flac, mp3, ogg or opus file is taken byte for byte. Of another format, or of a
    stretch (whose channels are mixed), the samples become FLAC of 16 bit, and offset None.

    Raises:
        AudioError: missing, not readable, no sound by its header, or of more than 256 MiB.
    """
    audio = utterance.audio
    ending = str(audio).rpartition(".")[2].lower()
    if utterance.offset is None and ending in AUDIO:
        clip = audio if isinstance(audio, Clip) else _clip(audio)
        try:
            probe(clip.data)
        except AudioError as error:
            raise AudioError(named(utterance, error)) from error
        return replace(utterance, audio=clip)
    if not isinstance(audio, Clip):
        read_whole(audio)
    found = read(sound_of(utterance), channel="all")
    made = io.BytesIO()
    try:
        write(made, found, format="flac")
    except InputError as error:
        raise AudioError(f"{audio}: {error}") from error
    clip = Clip(f"{str(audio).removesuffix(f'.{ending}')}.flac", made.getvalue())
    return replace(utterance, audio=clip, offset=None, duration=found.duration)


def _clip(path: Path) -> Clip:
    limit = TarLimits.max_member_bytes
    if not path.is_file():
        raise AudioError(f"{path}: no such file")
    try:
        with opened(path, "recordings") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise AudioError(f"{path}: it can't be read ({error.strerror})") from error
    if len(data) > limit:
        raise LimitExceeded(f"{path}: more than {limit} bytes, which a shard's member may have")
    return Clip(str(path), data)


def write_shards(
    utterances: Iterable[Utterance],
    prefix: str | os.PathLike[str],
    *,
    max_count: int = 10_000,
    max_bytes: int = 1 << 30,
    made: Callable[[Shard], None] | None = None,
) -> list[Shard]:
    """PREFIX-000000.tar and so on, each whole or not there; the same bytes for the same examples.

    A key is the example's number, its .json the labels (the id among them). A shard is closed when
    another example would make it more than max_count examples or max_bytes bytes; one holds at
    least one. A failure leaves the shards before it. made is called with each once it is whole.

    Raises:
        InputError: an option is below 1, or shards of that prefix are there.
        AudioError: as packed; give packed utterances to leave such out.
    """
    if max_count < 1 or max_bytes < 1:
        raise InputError(f"max_count is {max_count} and max_bytes {max_bytes}; give 1 or more")
    stem = Path(prefix)
    if not stem.name or not stem.parent.is_dir():
        raise InputError(f"{stem}: no prefix in a directory that is there")
    if there := sorted(stem.parent.glob(f"{glob.escape(stem.name)}-{'[0-9]' * 6}.tar")):
        raise InputError(f"{there[0]} is there already; remove it, or give another prefix")
    shards = []
    assigned = _assigned(utterances, max_count, max_bytes)
    for index, examples in groupby(assigned, key=lambda each: each[0]):
        path = stem.with_name(f"{stem.name}-{index:06d}.tar")
        count = 0
        with replacing(path) as file:
            for count, (_, example) in enumerate(examples, start=1):  # noqa: B007  (the last one)
                for name, data in example:
                    file.write(_header(name, len(data)) + data + bytes(-len(data) % _BLOCK))
            file.write(bytes(2 * _BLOCK))
            size = file.tell()
        shards.append(Shard(path, count, size))
        if made is not None:
            made(shards[-1])
    return shards


def _assigned(
    utterances: Iterable[Utterance], max_count: int, max_bytes: int
) -> Iterator[tuple[int, list[tuple[str, bytes]]]]:
    """The number of an example's shard, and its members: name and bytes."""
    shard = count = 0
    size = 2 * _BLOCK
    for number, utterance in enumerate(utterances):
        example = _members(f"{number:09d}", packed(utterance))
        more = sum(_BLOCK + len(data) + -len(data) % _BLOCK for _, data in example)
        if count and (count == max_count or size + more > max_bytes):
            shard, count, size = shard + 1, 0, 2 * _BLOCK
        count, size = count + 1, size + more
        yield shard, example


def _members(key: str, utterance: Utterance) -> list[tuple[str, bytes]]:
    assert isinstance(utterance.audio, Clip)
    ending = utterance.audio.name.rpartition(".")[2].lower()
    labels = json.dumps(record_of(utterance), ensure_ascii=False)
    return [(f"{key}.{ending}", utterance.audio.data), (f"{key}.json", labels.encode())]


def _header(name: str, size: int) -> bytes:
    """A ustar header: a short name, mode 0644, nobody's, of no date."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)
