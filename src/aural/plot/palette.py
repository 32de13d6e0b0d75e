"""Pictures in a palette: a third of a PNG's bytes, and what a GIF is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from PIL.Image import Image

COLOURS = 255
"""One less than a GIF holds: it keeps one for what has not changed."""
EXACT = 48


def paletted(pictures: Iterable[np.ndarray], sample: np.ndarray) -> Iterator[Image]:
    """Pictures, uint8 of shape (height, width, 3), in a palette made for sample.

    Its EXACT commonest colours are kept as they are, the others become the nearest of a median
    cut; nothing is lost where sample has no more than COLOURS.
    """
    from PIL import Image

    palette = _palette(sample)
    nearest = np.zeros(1 << 24, np.uint8)
    known = np.zeros(1 << 24, bool)
    for picture in pictures:
        codes = _codes(picture)
        new = np.unique(codes[~known[codes]])
        nearest[new] = _nearest(new, palette)
        known[new] = True
        made = Image.fromarray(nearest[codes])
        made.putpalette(palette.tobytes())
        yield made


def _codes(picture: np.ndarray) -> np.ndarray:
    """One number a colour, shape = (height, width)."""
    red, green, blue = (picture[..., i].astype(np.int32) for i in range(3))
    return (red << 16) | (green << 8) | blue


def _colours(codes: np.ndarray) -> np.ndarray:
    return np.stack((codes >> 16, (codes >> 8) & 255, codes & 255), axis=-1)


def _palette(sample: np.ndarray) -> np.ndarray:
    """uint8 of shape (colour, 3), at most COLOURS."""
    from PIL import Image

    codes, counts = np.unique(_codes(sample), return_counts=True)
    if codes.size <= COLOURS:
        return _colours(codes).astype(np.uint8)
    common = _colours(codes[np.argsort(-counts, kind="stable")[:EXACT]]).astype(np.uint8)
    rest = COLOURS - EXACT
    cut = Image.fromarray(np.ascontiguousarray(sample)).quantize(rest, dither=Image.Dither.NONE)
    flat = np.array(cut.getpalette() or (), np.uint8)[: 3 * rest]
    return np.concatenate((common, flat.reshape(-1, 3)))


def _nearest(codes: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """The index of the nearest colour of the palette to each."""
    found = np.empty(codes.size, np.uint8)
    table = palette.astype(np.float32)
    for first in range(0, codes.size, 1 << 14):
        colours = _colours(codes[first : first + (1 << 14)]).astype(np.float32)
        # |a - b|² without what is the same for every b
        distance = (table**2).sum(axis=1) - 2 * colours @ table.T
        found[first : first + (1 << 14)] = distance.argmin(axis=1)
    return found
