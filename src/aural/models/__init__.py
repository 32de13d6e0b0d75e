"""The registry: this folder is it. One file per family; a name is family/variant.

A family file holds a docstring (paper, licence and provenance of the weights, shapes), a frozen
`Config` dataclass, `VARIANTS: dict[str, Variant]`, `EXTRA` (the pip extra it needs, "" for none)
and

    load(directory: Path, config: Config, *, device: str, compute_type: str, threads: int) -> model

with, where a user's own directory can be loaded as `family@/path/to/directory`,

    read_config(directory: Path) -> Config

a frozen `DecodingOptions` where a recogniser has options of its own, `sound_encoder(directory,
config, name)` where its encoder can be put before another network, and, where it can be trained,

    build(config: Config) -> torch.nn.Module, its weights drawn from torch's generator

A family of networks to be trained has variants without weights: they are shapes, and `load` reads
what training wrote (nn/exported.py), named `family@directory`. Its "test" variant is tiny.

Its heavy libraries are imported inside its functions, so that listing every family loads none.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aural.errors import InputError, UnknownName
from aural.store.verify import check_own_directory
from aural.store.weights import Weights, ensure

if TYPE_CHECKING:
    from types import ModuleType


@dataclass(frozen=True)
class Variant:
    """One set of weights of a family: what to build, from which files, on what terms.

    weights None: a shape to be trained.
    """

    config: Any
    weights: Weights | None
    licence: str
    description: str


@dataclass(frozen=True)
class Entry:
    """What a name stands for. directory is set for a user's own (`family@directory`) only."""

    name: str
    family: str
    config: Any
    weights: Weights | None
    licence: str
    description: str
    extra: str
    directory: Path | None = None


MAX_THREADS = 1024
Model = TypeVar("Model")

_loaded: dict[tuple[str, str, str, int], Any] = {}
_load_lock = threading.RLock()


def families() -> tuple[str, ...]:
    """Names of the families found in this folder, sorted."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def names() -> tuple[str, ...]:
    """Every family/variant, families sorted, variants in the family's own order."""
    return tuple(f"{name}/{variant}" for name in families() for variant in family(name).VARIANTS)


def family(name: str) -> ModuleType:
    """The module of a family; UnknownName lists the families."""
    if name not in families():
        raise UnknownName("model family", name, families())
    return importlib.import_module(f"{__name__}.{name}")


def find(name: str) -> Entry:
    """The entry of `family/variant` or `family@directory`; UnknownName lists the choices."""
    if "@" in name:
        return _own(name)
    family_name, slash, variant_name = name.partition("/")
    module = family(family_name)
    if not slash or variant_name not in module.VARIANTS:
        choices = tuple(f"{family_name}/{variant}" for variant in module.VARIANTS)
        raise UnknownName("model", name, choices)
    variant: Variant = module.VARIANTS[variant_name]
    return Entry(
        name=name,
        family=family_name,
        config=variant.config,
        weights=variant.weights,
        licence=variant.licence,
        description=variant.description,
        extra=module.EXTRA,
    )


def processors() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load(
    name: str,
    capability: type[Model] = object,  # type: ignore[assignment]
    *,
    device: str = "auto",
    compute_type: str = "auto",
    threads: int = 0,
    offline: bool = False,
) -> Model:
    """The model of a name, its weights fetched and verified first where needed.

    capability is the Protocol of types.py that the model is wanted for; InputError for one that
    does not have it. One model is kept per (name, device, compute_type, threads) and process; safe
    to call from several threads. threads = 0 lets the family choose.
    """
    if not 0 <= threads <= MAX_THREADS:
        raise InputError(f"threads is {threads}; give 0 (as many as there are) to {MAX_THREADS}")
    key = (name, device, compute_type, threads)
    with _load_lock:
        if key not in _loaded:
            entry = find(name)
            _loaded[key] = family(entry.family).load(
                locate(entry, offline=offline),
                entry.config,
                device=device,
                compute_type=compute_type,
                threads=threads,
            )
        model = _loaded[key]
    if not isinstance(model, capability):
        raise InputError(f"{name} is no {capability.__name__}; choose another model for this")
    return model


def locate(entry: Entry, *, offline: bool = False) -> Path:
    """The directory of an entry's verified files, fetched where needed."""
    if entry.directory is not None:
        return entry.directory
    if entry.weights is None:
        raise InputError(
            f"{entry.name} is a shape without weights; train it (aural train) and name what "
            f"came of it as {entry.family}@DIRECTORY"
        )
    return ensure(entry.name, entry.weights, licence=entry.licence, offline=offline)


def _own(name: str) -> Entry:
    family_name, _, path = name.partition("@")
    module = family(family_name)
    if not hasattr(module, "read_config"):
        raise InputError(
            f"{name!r}: family {family_name!r} can't be loaded from a directory; "
            f"it has: {', '.join(module.VARIANTS)}"
        )
    directory = check_own_directory(Path(path).expanduser())
    return Entry(
        name=name,
        family=family_name,
        config=module.read_config(directory),
        weights=Weights(()),
        licence="your own",
        description=f"files of {directory}, not pinned",
        extra=module.EXTRA,
        directory=directory,
    )
