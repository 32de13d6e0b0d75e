"""What is to be worked on: files, folders, globs and stdin become one list without duplicates."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from aural.errors import InputError

AUDIO_SUFFIXES = frozenset(
    {
        *(".3ga", ".aac", ".aif", ".aifc", ".aiff", ".amr", ".au", ".caf", ".flac", ".m4a", ".m4b"),
        *(".m4v", ".mka", ".mkv", ".mov", ".mp3", ".mp4", ".mpga", ".oga", ".ogg", ".ogv", ".opus"),
        *(".rf64", ".snd", ".spx", ".w64", ".wav", ".wave", ".webm"),
    }
)
"""What is taken from a folder. A file named outright is taken whatever its suffix."""

STDIN = "-"


@dataclass(frozen=True)
class Input:
    """A source ("-" is stdin), and the path of its outputs below the output folder, unsuffixed."""

    source: str
    output: PurePath


@dataclass(frozen=True)
class Found:
    """A file, and the folder below which its path is mirrored."""

    path: str
    root: str


def gather(arguments: Sequence[str]) -> list[Input]:
    """The inputs in the order given, a folder's files in order of path.

    A folder gives its audio files and those of its folders, but hidden ones and behind linked
    folders; a pattern that names no file is a glob. Outputs are mirrored below the deepest folder
    that holds all the arguments; two files that differ in suffix alone keep it in the outputs'
    names. Raises InputError where an argument gives nothing.
    """
    found: dict[str, Found] = {}
    for argument in arguments:
        for item in expand(argument):
            found.setdefault(item.path if item.path == STDIN else os.path.abspath(item.path), item)
    roots = {
        folder
        for key, item in found.items()
        for folder in (os.path.dirname(key), os.path.abspath(item.root))
        if key != STDIN
    }
    base = os.path.commonpath(roots) if roots else ""
    relative = [
        PurePath("stdin") if key == STDIN else PurePath(os.path.relpath(key, base)) for key in found
    ]
    names = distinct(relative)
    if len(set(names)) < len(names):
        raise InputError("the outputs of '-' and of the file 'stdin' would be one; rename the file")
    return [Input(item.path, name) for item, name in zip(found.values(), names, strict=True)]


def expand(argument: str) -> Iterator[Found]:
    """What one argument stands for; what can't be looked at is left for the reader to tell."""
    if argument == STDIN:
        yield Found(STDIN, "")
    elif os.path.isdir(argument):
        yield from in_folder(
            argument, f"{argument!r} holds no audio file; it is looked for by suffix"
        )
    elif not os.path.lexists(argument) and glob.has_magic(argument):
        yield from in_glob(argument)
    else:
        yield Found(argument, os.path.dirname(argument) or ".")


def in_glob(pattern: str) -> Iterator[Found]:
    """The files that match, and the audio files of folders that match."""
    matches = sorted(glob.glob(pattern, recursive=True))
    if not matches:
        raise InputError(f"no file matches {pattern!r}")
    parts = Path(pattern).parts
    fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    root = os.path.join(*parts[:fixed]) if fixed else "."
    for match in matches:
        if os.path.isdir(match):
            yield from (Found(item.path, root) for item in walk(match))
        else:
            yield Found(match, root)


def in_folder(folder: str, complaint: str) -> Iterator[Found]:
    """The audio files below a folder; InputError with the complaint where there are none."""
    files = list(walk(folder))
    if not files:
        raise InputError(complaint)
    yield from files


def walk(folder: str) -> Iterator[Found]:
    """The audio files below a folder, in order, hidden files and folders left out.

    A folder that can't be looked into comes as if it were a file: it fails, and the others don't.
    """
    closed: list[str] = []
    for parent, folders, files in os.walk(
        folder, onerror=lambda error: closed.append(os.fsdecode(error.filename))
    ):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            suffix = os.path.splitext(name)[1].lower()
            if suffix in AUDIO_SUFFIXES and not name.startswith("."):
                yield Found(os.path.join(parent, name), folder)
    for path in closed:
        yield Found(path, folder)


def distinct(paths: Sequence[PurePath]) -> list[PurePath]:
    """The paths without suffix; with it where two would be the same, so that none are."""
    whole: set[PurePath] = set()
    while True:
        names = [path if path in whole else path.with_suffix("") for path in paths]
        counts = Counter(names)
        clash = {path for path, name in zip(paths, names, strict=True) if counts[name] > 1}
        if clash <= whole:
            return names
        whole |= clash
