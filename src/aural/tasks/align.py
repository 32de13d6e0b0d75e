"""Forced alignment: when each word and each phone of a known text is said in a recording."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from aural import models
from aural.audio.read import read
from aural.errors import InputError, UnknownName
from aural.formats import Layout, nist, praat, structured
from aural.formats.layout import lines, one_line, seconds
from aural.types import Segment, Transcript

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from aural.audio.source import Source
    from aural.decode.spoken import Alignment
    from aural.types import Word


@runtime_checkable
class Aligner(Protocol):
    """Finds when a text is said."""

    sample_rate: int

    def align(self, samples: np.ndarray, text: str) -> Alignment:
        """The words and phones of text in float32 samples (time,)."""
        ...


def align(
    source: Source, text: str, *, model: str = "hmm/en-us", channel: int | str = "mix"
) -> Alignment:
    """Find when each word of a known text is said in a recording, and each phone of it.

    Between words, before and after them there may be silence. Everything that is said has to be in
    the text: other speech is taken for its words, which their probabilities tell.

    Args:
        source: A path, "-" for standard input, bytes, an open binary file, or Audio.
        text: What is said, at most 10 minutes of it.
        model: A model that aligns, family/variant; or family@directory for one of your own.
        channel: "mix" (mean of the channels) or a number counted from 0.
    """
    if channel == "all":
        raise InputError("channel is 'all'; give 'mix' or a channel's number, counted from 0")
    aligner = models.load(model, Aligner)
    sound = read(source, sample_rate=aligner.sample_rate, channel=channel)
    return replace(aligner.align(sound.samples, text), model=model)


def writer(name: str) -> Callable[[Alignment, Layout], str]:
    """What makes the text of a file: "txt", a line a word (start, end, word, its phones);
    "textgrid", tiers "words" and "phones"; "ctm" and "ctm-phones"; "json".

    Raises UnknownName for another format.
    """
    if name not in _WRITERS:
        raise UnknownName("format for an Alignment", name, tuple(_WRITERS))
    return _WRITERS[name]


def _txt(alignment: Alignment, _: Layout) -> str:
    return lines(
        "\t".join(
            (
                seconds(round(1000 * word.start)),
                seconds(round(1000 * word.end)),
                one_line(word.text),
                " ".join(one_line(phone.text) for phone in phones),
            )
        )
        for word, phones in _by_word(alignment)
    )


def _by_word(alignment: Alignment) -> list[tuple[Word, list[Word]]]:
    """Each word with its phones."""
    return [
        (word, [phone for phone in alignment.phones if word.start <= phone.start < word.end])
        for word in alignment.words
    ]


def _textgrid(alignment: Alignment, _: Layout) -> str:
    tiers = {
        name: praat.settle((each, each.text) for each in getattr(alignment, name))
        for name in ("words", "phones")
    }
    return praat.grid(tiers, alignment.duration)


def _ctm(alignment: Alignment, layout: Layout) -> str:
    return nist.write_ctm(_transcript(alignment.words), layout)


def _phones_ctm(alignment: Alignment, layout: Layout) -> str:
    return nist.write_ctm(_transcript(alignment.phones), layout)


def _transcript(words: tuple[Word, ...]) -> Transcript:
    end = words[-1].end if words else 0.0
    text = " ".join(word.text for word in words)
    return Transcript((Segment(0.0, end, text, words),), "", 0.0, end)


def _json(alignment: Alignment, _: Layout) -> str:
    return structured.document(
        {
            "words": [
                {
                    **structured.word_record(word),
                    "phones": [
                        {
                            "phone": phone.text,
                            **structured.span_record(phone),
                            "probability": structured.number(phone.probability),
                        }
                        for phone in phones
                    ],
                }
                for word, phones in _by_word(alignment)
            ],
            "duration": structured.time(alignment.duration),
            "model": alignment.model,
        }
    )


_WRITERS: dict[str, Callable[[Alignment, Layout], str]] = {
    "txt": _txt,
    "textgrid": _textgrid,
    "ctm": _ctm,
    "ctm-phones": _phones_ctm,
    "json": _json,
}
