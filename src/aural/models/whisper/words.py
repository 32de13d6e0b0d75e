"""Tokens become words with their times."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from aural.types import Segment, Word

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from aural.models.whisper.engine import Text

MAX_CHARACTER_TOKENS = 4
MIN_OVERRUN_WORDS = 3
WITHOUT_SPACES = ("zh", "ja", "th", "lo", "my", "yue")
OPENING = "\"'“¿([{-"
CLOSING = "\"'.。,，!！?？:：”)]}、"


def words_of(text: Text, tokenizer: Tokenizer, language: str, end: float) -> tuple[Word, ...]:
    """The words of a text with their times within a window that ends at end seconds."""
    starts = (*text.starts, end)[: len(text.tokens) + 1]
    words, position = [], 0
    for written, tokens in word_tokens(text.tokens, tokenizer, language):
        after = position + len(tokens)
        words.append(
            Word(
                start=min(starts[position], end),
                end=min(starts[min(after, len(starts) - 1)], end),
                text=written,
                probability=float(np.mean(text.probabilities[position:after])),
                tokens=tokens,
            )
        )
        position = after
    return tuple(words)


_Units = list[tuple[str, tuple[int, ...]]]


def word_tokens(tokens: tuple[int, ...], tokenizer: Tokenizer, language: str) -> _Units:
    """Words as written with their tokens, punctuation joined to the word it belongs to."""
    units = whole_characters(tokens, tokenizer)
    words = units if language in WITHOUT_SPACES else _joined_at_spaces(units)
    return with_punctuation(words)


def whole_characters(tokens: tuple[int, ...], tokenizer: Tokenizer) -> _Units:
    """The shortest runs of tokens that are whole characters (a token may be half of one)."""
    units: _Units = []
    pending: tuple[int, ...] = ()
    for token in tokens:
        pending += (token,)
        text = tokenizer.decode(list(pending))
        if "\ufffd" not in text or len(pending) == MAX_CHARACTER_TOKENS:
            units.append((text, pending))
            pending = ()
    if pending:
        units.append((tokenizer.decode(list(pending)), pending))
    return units


def _joined_at_spaces(units: _Units) -> _Units:
    words: _Units = []
    for text, tokens in units:
        if text.startswith(" ") or not words:
            words.append((text, tokens))
        else:
            words[-1] = (words[-1][0] + text, words[-1][1] + tokens)
    return words


def with_punctuation(words: _Units) -> _Units:
    """Marks joined to the word before them, opening ones to that after."""
    joined: _Units = []
    opening: tuple[str, tuple[int, ...]] = ("", ())
    for text, tokens in words:
        whole = (opening[0] + text, opening[1] + tokens)
        if text.strip() and text.strip() in OPENING and text.startswith(" "):
            opening = whole
            continue
        if joined and not opening[1] and text.strip() in CLOSING and not text.startswith(" "):
            joined[-1] = (joined[-1][0] + text, joined[-1][1] + tokens)
        else:
            joined.append(whole)
        opening = ("", ())
    return [*joined, opening] if opening[1] else joined


def with_words(text: Segment, words: tuple[Word, ...]) -> Segment:
    """text with its words, less a tail of several that the window has no time left for: such text
    goes on past the sound."""
    last = len(words)
    while last and words[last - 1].duration == 0 and words[last - 1].end >= text.end:
        last -= 1
    if len(words) - last < MIN_OVERRUN_WORDS:
        return replace(text, words=words)
    kept = words[:last]
    tokens = tuple(token for word in kept for token in word.tokens)
    return replace(text, text="".join(word.text for word in kept), words=kept, tokens=tokens)


def words_within(words: tuple[Word, ...], count: int) -> tuple[Word, ...]:
    """Words made of the first count tokens, one that goes beyond them cut off."""
    kept: list[Word] = []
    for word in words:
        count -= len(word.tokens)
        if count < 0:
            break
        kept.append(word)
    return tuple(kept)
