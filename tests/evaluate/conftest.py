"""A corpus without sound and a recogniser without weights."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from aural.data.manifest import Utterance
from aural.errors import CorruptAudio
from aural.evaluate.transcribe import Recogniser
from aural.types import Segment, Transcript

WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india")


def transcript(text: str, *, language: str = "en", duration: float = 2.0) -> Transcript:
    return Transcript((Segment(0.0, duration, f" {text}"),), language, 1.0, duration)


@pytest.fixture
def corpus() -> list[Utterance]:
    """12 speakers x 20 utterances of 10 words, in two accents and two noises."""
    choose = random.Random(1)
    return [
        Utterance(
            id=f"s{speaker}-{number}",
            audio=Path(f"/nowhere/s{speaker}-{number}.wav"),
            text=" ".join(choose.choices(WORDS, k=10)),
            speaker=f"s{speaker}",
            language="en",
            metadata={
                "accent": "northern" if speaker % 3 else "southern",
                "noise": "street" if number % 2 else "quiet",
            },
        )
        for speaker in range(12)
        for number in range(20)
    ]


@pytest.fixture
def noisy() -> Callable[[Callable[[Utterance], float], int], Recogniser]:
    """Makes a recogniser that mishears each word with the probability given for its utterance."""

    def make(error_rate: Callable[[Utterance], float], seed: int = 0) -> Recogniser:
        def hear(utterance: Utterance) -> Transcript:
            choose = random.Random(f"{seed} {utterance.id}")
            words = utterance.text.split()
            heard = ["zulu" if choose.random() < error_rate(utterance) else w for w in words]
            return transcript(" ".join(heard))

        return Recogniser("noisy/1", hear, settings=f"seed {seed}")

    return make


@pytest.fixture
def perfect() -> Recogniser:
    return Recogniser("perfect/1", lambda utterance: transcript(utterance.text))


@pytest.fixture
def broken() -> Recogniser:
    """Reads nothing of speaker s0, and everything of the others."""

    def hear(utterance: Utterance) -> Transcript:
        if utterance.speaker == "s0":
            raise CorruptAudio(f"{utterance.audio}: damaged")
        return transcript(utterance.text)

    return Recogniser("broken/1", hear)
