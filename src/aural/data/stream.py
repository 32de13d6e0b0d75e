"""What is done to a stream of examples: mixed in a buffer, shared out among workers.

paths = shard_for(shard_paths("train-{000..099}.tar"), worker, workers)
for utterance in shuffled(stream_shards(paths), 1000, np.random.default_rng(seed)):
    ...
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np

T = TypeVar("T")


def shuffled(items: Iterable[T], buffer: int, rng: np.random.Generator) -> Iterator[T]:
    """Every item once, each drawn from a buffer of so many that is refilled in their order.

    An item comes at most buffer - 1 places early, and any number late; a buffer of 1 leaves the
    order. The same generator state gives the same order.

    Raises:
        InputError: buffer is below 1.
    """
    if buffer < 1:
        raise InputError(f"buffer is {buffer}; give 1 or more")
    return _drawn(iter(items), buffer, rng)


def _drawn(items: Iterator[T], buffer: int, rng: np.random.Generator) -> Iterator[T]:
    held = list(islice(items, buffer))
    for item in items:
        place = int(rng.integers(buffer))
        yield held[place]
        held[place] = item
    for place in rng.permutation(len(held)):
        yield held[place]


def shard_for(items: Iterable[T], index: int, count: int) -> Iterator[T]:
    """The items of worker index of count, counted from 0: every count-th, so that none is shared.

    Raises:
        InputError: index is not 0 to count - 1.
    """
    if not 0 <= index < count:
        raise InputError(f"worker {index} of {count}; they are counted from 0 to count - 1")
    return islice(items, index, None, count)
