"""Typed values become figures.

Each function gives a matplotlib Figure with axes in units and a sentence of alt text; `save` writes
it as PNG or SVG, `save_animation` frames as GIF or as a page of their own. Needs the extra `plot`.
"""

from aural.plot.canvas import Limit, alt_text, encode, save
from aural.plot.filters import filterbank, learned_filters
from aural.plot.matrix import attention, confusion, cosines, embedding_heat_map, similarity
from aural.plot.points import Series, Trials, det_curve, embedding_map, error_curve
from aural.plot.signal import Version, before_after, mel, mfcc_deltas, spectrogram, waveform
from aural.plot.timeline import timeline
from aural.plot.windows import Animation, encode_animation, save_animation, sliding_windows

__all__ = [
    "Animation",
    "Limit",
    "Series",
    "Trials",
    "Version",
    "alt_text",
    "attention",
    "before_after",
    "confusion",
    "cosines",
    "det_curve",
    "embedding_heat_map",
    "embedding_map",
    "encode",
    "encode_animation",
    "error_curve",
    "filterbank",
    "learned_filters",
    "mel",
    "mfcc_deltas",
    "save",
    "save_animation",
    "similarity",
    "sliding_windows",
    "spectrogram",
    "timeline",
    "waveform",
]
