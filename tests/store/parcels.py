"""Content, pins and the state of the Hub stand-in that the store's tests share."""

import hashlib
import threading
from dataclasses import dataclass, field

from aural.store.weights import WeightFile, WheelPart


def pin(name: str, content: bytes, *parts: tuple[str, str]) -> WeightFile:
    """The pin of a file of that content, carried by (distribution, member) parts."""
    return WeightFile(
        name=name,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        parts=tuple(WheelPart(distribution, "1.0", member) for distribution, member in parts),
    )


MODEL = b"\x06\x00\x00\x00\x0c\x00WhisperSpec\x00" + bytes(range(256)) * 40
CONFIG = b'{"n_mels": 80}'


@dataclass
class Hub:
    """A server that speaks as much of the Hub's protocol as its client asks of it."""

    endpoint: str
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    stall_after: int | None = None
    stalled: threading.Event = field(default_factory=threading.Event)
