"""Sound to draw: a recording, and a tone whose place on every axis is known."""

from pathlib import Path

import numpy as np
import pytest

from aural.audio.read import read
from aural.types import Audio

RATE = 16000


@pytest.fixture(scope="session")
def speech(examples: Path) -> Audio:
    return read(examples / "sense_and_sensibility_0880.flac")


@pytest.fixture(scope="session")
def tone() -> Audio:
    """1 s: silence, from 0.4 to 0.6 s 2 kHz, silence."""
    time = np.arange(RATE) / RATE
    inside = (time >= 0.4) & (time < 0.6)
    return Audio((0.5 * np.sin(2 * np.pi * 2000 * time) * inside).astype(np.float32), RATE)
