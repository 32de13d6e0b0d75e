"""The first examples of a source, read as a stream: what is in it, before it is read whole."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from aural.audio.read import AudioInfo, probe
from aural.data.columns import NAMES, record_of
from aural.data.files import bytes_below, opened, replacing
from aural.data.kaldi import TABLES, is_kaldi
from aural.data.librispeech import is_librispeech
from aural.data.manifest import CORPUS, stream_manifest
from aural.data.pack import packed
from aural.data.shards import is_shards, shard_paths, shards_in
from aural.data.sound import G722, named, sound_of
from aural.data.utterance import Clip, Utterance
from aural.errors import AudioError, InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

MANIFEST = "manifest.jsonl"
_STEM_BYTES = 120


@dataclass(frozen=True)
class Example:
    """One example as `aural data take` prints it.

    seconds, sample_rate (Hz) and channels are as the recording's header states them, None where it
    states none or can't be read; error then says why. audio is the path, or a shard and its member.
    """

    id: str
    audio: str
    seconds: float | None
    sample_rate: int | None
    channels: int | None
    text: str
    speaker: str = ""
    language: str = ""
    error: str = ""


@dataclass(frozen=True)
class Extent:
    """Bytes of a source. whole: its recordings are among them; else they are those of a list."""

    size: int
    whole: bool


def stream_source(source: str, *, suffixes: Collection[str]) -> Iterator[Utterance]:
    """As stream_manifest, but of a folder without labels the recordings, with empty texts.

    suffixes tell which files of a folder are recordings (".wav"). So is a corpus read that has no
    labels, and an example of a shard may have no text.

    Raises as stream_manifest does; InputError for a folder without recordings.
    """
    folder = _unlabelled(source)
    if folder is None:
        return stream_manifest(source, require_text=False)
    return _recordings(folder, frozenset(suffixes))


def _unlabelled(source: str) -> Path | None:
    """The folder to look for recordings in; None where there are labels, or no folder."""
    if source.startswith(CORPUS):
        from aural.data.corpora import labels
        from aural.store.corpora import CORPORA, path

        name = source.removeprefix(CORPUS)
        return path(name) if name in CORPORA and name not in labels() else None
    folder = Path(source)
    if not folder.is_dir() or is_kaldi(folder) or is_librispeech(folder) or shards_in(folder):
        return None
    return folder


def _recordings(folder: Path, suffixes: frozenset[str]) -> Iterator[Utterance]:
    """In the order of their paths, hidden files and folders left out, links not followed."""
    found = False
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if Path(name).suffix.lower() in suffixes and not name.startswith("."):
                found = True
                path = Path(parent, name)
                yield Utterance(str(path.relative_to(folder)), path, "")
    if not found:
        raise InputError(f"{folder}: no recording in it; they are looked for by suffix")


def extent(source: str) -> Extent:
    """How large a source is, told without reading it."""
    path = Path(source)
    if source.startswith(CORPUS):
        return Extent(bytes_below(_corpus_directory(source)), whole=True)
    if path.is_dir() and is_kaldi(path):
        tables = (path / name for name in TABLES)
        return Extent(sum(each.stat().st_size for each in tables if each.is_file()), whole=False)
    if path.is_dir() and not shards_in(path):
        return Extent(bytes_below(path), whole=True)
    if path.is_dir() or is_shards(source):
        return Extent(sum(each.stat().st_size for each in shard_paths(source)), whole=True)
    return Extent(path.stat().st_size, whole=False)


def _corpus_directory(source: str) -> Path:
    from aural.data.corpora import labels
    from aural.store.corpora import path

    name, known = source.removeprefix(CORPUS), labels()
    return path(known[name].corpus if name in known else name)


def apart(source: str, output: Path) -> None:
    """InputError where output lies in the folder that is the source, which would take of itself."""
    folder = _corpus_directory(source) if source.startswith(CORPUS) else Path(source)
    if folder.is_dir() and output.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{output} lies in {folder}, the source; give a directory outside of it")


def take(
    count: int, utterances: Iterator[Utterance], *, output: Path | None = None
) -> Iterator[Example]:
    """The first so many, each as soon as it is read; those that can't be read say so.

    With output their recordings are written there as `packed` makes them, and a manifest.jsonl of
    them once all are; what can't be read is left out of both.

    Raises:
        InputError: count is below 1, or output is not empty or can't be written.
    """
    if not 1 <= count <= sys.maxsize:
        raise InputError(f"{count} examples; take 1 or more, at most {sys.maxsize}")
    return _taken(islice(utterances, count), output)


def _taken(utterances: Iterator[Utterance], output: Path | None) -> Iterator[Example]:
    with ExitStack() as stack:
        lines = None
        if output is not None:
            _make(output)
            lines = stack.enter_context(replacing(output / MANIFEST))
        for number, utterance in enumerate(utterances):
            example, kept = _example(utterance), None
            if output is not None and lines is not None and not example.error:
                try:
                    kept = packed(utterance)
                except AudioError as error:
                    example = replace(example, error=named(utterance, error))
            if kept is not None and lines is not None and output is not None:
                name = _write(kept, number, output)
                labels = {k: v for k, v in record_of(kept).items() if k not in NAMES["audio"]}
                record = {"audio_filepath": name, **labels}
                lines.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            yield example


def _make(output: Path) -> None:
    """A directory with nothing in it, so that nothing is written over."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        empty = next(output.iterdir(), None) is None
    except OSError as error:
        raise InputError(f"{output}: can't be written: {error.strerror}") from error
    if not empty:
        raise InputError(f"{output} is not empty; give a new or an empty directory")


def _write(utterance: Utterance, number: int, output: Path) -> str:
    """The name of the file that now holds the clip."""
    assert isinstance(utterance.audio, Clip)
    ending = utterance.audio.name.rpartition(".")[2].lower()
    stem = re.sub(r"[^\w-]+", "_", utterance.id.removesuffix(f".{ending}"))[-60:]
    stem = (
        stem.encode()[-_STEM_BYTES:].decode(errors="ignore").strip("_")
    )  # file systems count bytes
    name = f"{number:06d}-{stem}.{ending}" if stem else f"{number:06d}.{ending}"
    with replacing(output / name) as file:
        file.write(utterance.audio.data)
    return name


def _example(utterance: Utterance) -> Example:
    example = Example(
        id=utterance.id,
        audio=str(utterance.audio).encode("utf-8", "backslashreplace").decode(),
        seconds=utterance.duration,
        sample_rate=None,
        channels=None,
        text=utterance.text,
        speaker=utterance.speaker,
        language=utterance.language,
    )
    try:
        header = _header(utterance)
    except AudioError as error:
        return replace(example, error=named(utterance, error))
    seconds = header.duration
    if utterance.offset is not None:
        rest = None if seconds is None else max(0.0, seconds - utterance.offset)
        seconds = utterance.duration if utterance.duration is not None else rest
    return replace(
        example,
        seconds=example.seconds if seconds is None else round(seconds, 3),
        sample_rate=header.sample_rate,
        channels=header.channels,
    )


def _header(utterance: Utterance) -> AudioInfo:
    """What the recording's header states; AudioError that does not name the recording."""
    audio = utterance.audio
    if isinstance(audio, Clip):
        return probe(audio.data)
    if not audio.is_file():
        raise AudioError("no such file")
    if audio.suffix.lower() == G722:
        return probe(sound_of(replace(utterance, offset=None)))
    try:
        with opened(audio, "recordings") as file:
            return probe(file)
    except OSError as error:
        raise AudioError(f"it can't be read ({error.strerror})") from error
