"""Every augmentation of level, noise and room: (name, make() -> augmentation, value)."""

from pathlib import Path

import numpy as np
import soundfile

from aural.audio.augment import Chain
from aural.audio.augment.level import Gain, SetLevel
from aural.audio.augment.noise import AddColouredNoise, AddNoise, Babble
from aural.audio.augment.room import Reverberate, Room, room_response
from aural.types import Audio

EXAMPLE = Path(__file__).parents[3] / "examples" / "sense_and_sensibility_0880.flac"
SPEECH = Audio(soundfile.read(EXAMPLE, dtype="float32")[0], 16000)


def noises() -> tuple[Audio, ...]:
    """Short and long, mono and stereo, at two rates."""
    rng = np.random.default_rng(5)
    return (
        Audio(0.1 * rng.standard_normal(5000).astype(np.float32), 16000),
        Audio(0.1 * rng.standard_normal((2, 200_000)).astype(np.float32), 44100),
    )


def clips() -> tuple[Audio, ...]:
    """Pieces of speech."""
    return tuple(
        Audio(SPEECH.samples[start : start + 16000], rate)
        for start, rate in ((0, 16000), (8000, 16000), (16000, 22050), (24000, 8000))
    )


def responses() -> tuple[Audio, ...]:
    """A room heard at two rates."""
    return tuple(
        Audio(room_response((5, 4, 3), (1, 1, 1.5), (3, 2, 1.2), 0.3, rate), rate)
        for rate in (16000, 48000)
    )


def perhaps() -> Chain:
    """Steps that are left out now and then, all of them too."""
    return Chain((AddColouredNoise(("pink",), (0, 20)), Gain((-6, 6))), (0.5, 0.3))


EVERY = [
    ("Gain", lambda: Gain((-6, 6)), SPEECH),
    *(
        (f"SetLevel {by}", lambda by=by: SetLevel((-30, -20), by), SPEECH)
        for by in ("active", "rms", "peak", "loudness")
    ),
    ("AddNoise", lambda: AddNoise(noises(), (0, 20)), SPEECH),
    ("AddNoise scaled", lambda: AddNoise(noises(), (-20, 0), "power", "scale"), SPEECH),
    ("AddColouredNoise", lambda: AddColouredNoise(("white", "pink", "violet"), (0, 20)), SPEECH),
    ("Babble", lambda: Babble(clips(), talkers=(2, 4)), SPEECH),
    ("Reverberate", lambda: Reverberate(responses()), SPEECH),
    ("Room", Room, SPEECH),
    ("Chain, perhaps", perhaps, SPEECH),
    ("Chain, never", lambda: Chain((Gain((-6, 6)),), (0,)), SPEECH),
    ("Room near", lambda: Room((0, 0), (0.5, 1), keep="none"), SPEECH),
]
