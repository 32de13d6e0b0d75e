"""Corpora by name: one file here reads the labels of one corpus. The folder is the registry.

Each module has CORPORA, a dict from name to a reader: the unpacked corpus's root -> utterances.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from aural.data.utterance import Utterance
from aural.errors import UnknownName

Reader = Callable[[Path], list[Utterance]]


def corpora() -> dict[str, Reader]:
    """Every corpus whose labels can be read, by name in sorted order."""
    readers: dict[str, Reader] = {}
    for module in iter_modules(__path__):
        readers |= import_module(f"{__name__}.{module.name}").CORPORA
    return dict(sorted(readers.items()))


def read_corpus(name: str) -> list[Utterance]:
    """The utterances of a fetched corpus.

    Raises:
        UnknownName: there is no corpus of that name.
        Unreachable: it has not been fetched; the message says what to type.
        ManifestError: its files are not what the reader knows.
    """
    readers = corpora()
    if name not in readers:
        raise UnknownName("corpus", name, tuple(readers))
    from aural.store.corpora import path

    return readers[name](path(name))
