"""Corpora by name: one file here reads the labels of one corpus. The folder is the registry.

Each module has LABELS, a dict from name to Labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from aural.errors import UnknownName

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aural.data.utterance import Utterance


@dataclass(frozen=True)
class Labels:
    """How labels are read. corpus: its name in the store; read: its unpacked root -> utterances."""

    corpus: str
    read: Callable[[Path], list[Utterance]]


def labels() -> dict[str, Labels]:
    """Every corpus whose labels can be read, by name in sorted order."""
    found: dict[str, Labels] = {}
    for module in iter_modules(__path__):
        found |= import_module(f"{__name__}.{module.name}").LABELS
    return dict(sorted(found.items()))


def read_corpus(name: str) -> list[Utterance]:
    """The utterances of a corpus, which is fetched first where needed.

    Raises:
        UnknownName: there are no labels of that name.
        Unreachable: it can't be fetched; the message says what to type.
        ManifestError: its files are not what the reader knows.
    """
    known = labels()
    if name not in known:
        raise UnknownName("labelled corpus", name, tuple(known))
    from aural.store.corpora import ensure_corpus

    return known[name].read(ensure_corpus(known[name].corpus))
