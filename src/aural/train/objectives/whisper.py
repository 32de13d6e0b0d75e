"""Whisper trained further, in its own format of tokens (Radford et al. 2022, section 2.3):

    [<|startofprev|> earlier text] <|startoftranscript|> <|en|> <|transcribe|> <|notimestamps|> text
    <|endoftext|>

or, instead of <|notimestamps|>, each segment between two tokens of time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from aural.audio.features import whisper_log_mel
from aural.errors import InputError, UnknownName
from aural.models.whisper.engine import MAX_TOKENS, SAMPLE_RATE
from aural.train.batch import Batch, Losses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Tokenizer
    from torch import nn

    from aural.models.whisper.engine import Numbers
    from aural.types import Segment

TIME_STEP = 0.02
MAX_TIME = 30.0
MAX_PREVIOUS = MAX_TOKENS // 2 - 1


def whisper(
    network: nn.Module, batch: Batch, *, start: int | None = None, label_smoothing: float = 0.0
) -> Losses:
    """Cross-entropy of every token after <|startoftranscript|>, whose number start is (None: texts
    begin with it); what stands before it is not trained on. Targets are whole texts as
    `multitask_tokens` makes them.

    parts: "cross_entropy", without smoothing, and "correct", tokens told right. weight: tokens.
    Raises InputError for a text without start.
    """
    given, wanted = batch.targets[:, :-1], batch.targets[:, 1:]
    starts = batch.targets == (batch.targets[:, :1] if start is None else start)
    begun = starts.cumsum(dim=1) > 0
    places = torch.arange(given.shape[1], device=given.device)
    counted = begun[:, :-1] & (places < batch.target_lengths[:, None] - 1)
    if not bool(counted.any(dim=1).all()):
        raise InputError(f"a text has no token {start} with others after it: no transcript starts")
    scores = network(batch.features, batch.lengths, given)[counted]
    right = wanted[counted]
    total = functional.cross_entropy(
        scores, right, reduction="sum", label_smoothing=label_smoothing
    )
    with torch.no_grad():
        plain = functional.cross_entropy(scores, right, reduction="sum")
        correct = (scores.argmax(dim=1) == right).sum()
    return Losses(total, int(counted.sum()), {"cross_entropy": plain, "correct": correct})


def multitask_tokens(
    segments: Sequence[Segment],
    tokenizer: Tokenizer,
    numbers: Numbers,
    *,
    language: str = "en",
    task: str = "transcribe",
    timestamps: bool = False,
    previous: str = "",
) -> tuple[int, ...]:
    """A window's text as the decoder writes it, the end last.

    timestamps: each segment between tokens of its start and end, to 20 ms. previous: text from
    before the window, cut to its last MAX_PREVIOUS tokens. A model of English alone has neither
    languages nor tasks.

    Raises:
        UnknownName: no such language or task.
        InputError: a time beyond 30 s, or more tokens than the decoder has positions.
    """
    head = [numbers.start]
    if numbers.languages:
        known = dict(numbers.languages)
        if language not in known:
            raise UnknownName("language", language, tuple(known))
        if task not in numbers.tasks:
            raise UnknownName("task", task, tuple(numbers.tasks))
        head += [known[language], numbers.tasks[task]]
    body: list[int] = [] if timestamps else [numbers.no_timestamps]
    for segment in segments:
        written = _encoded(segment.text, tokenizer)
        if timestamps:
            times = (_time(seconds, numbers) for seconds in (segment.start, segment.end))
            written = [next(times), *written, next(times)]
        body += written
    before = _encoded(previous, tokenizer)[-MAX_PREVIOUS:]
    tokens = [*([numbers.previous, *before] if before else []), *head, *body, numbers.end]
    if len(tokens) > MAX_TOKENS:
        raise InputError(f"a window's text has {len(tokens)} tokens; Whisper has {MAX_TOKENS}")
    return tuple(tokens)


def _encoded(text: str, tokenizer: Tokenizer) -> list[int]:
    """Tokens of a text after a space; none of white space alone."""
    written = text.strip()
    return tokenizer.encode(f" {written}", add_special_tokens=False).ids if written else []


def _time(seconds: float, numbers: Numbers) -> int:
    if not 0 <= seconds <= MAX_TIME:
        raise InputError(
            f"a segment has the time {seconds}; give 0 to {MAX_TIME:g} s in its window"
        )
    return numbers.no_timestamps + 1 + round(seconds / TIME_STEP)


def whisper_batch(
    windows: Sequence[np.ndarray],
    texts: Sequence[Sequence[int]],
    *,
    n_mels: int = 80,
    seconds: float = MAX_TIME,
) -> Batch:
    """Windows of samples (time,) at 16 kHz with the tokens of their texts, the windows padded with
    silence to so many seconds, 30 as in Whisper's own training.

    Raises InputError for a window that lasts longer.
    """
    length = round(seconds * SAMPLE_RATE)
    longest = max(window.size for window in windows)
    if longest > length:
        raise InputError(f"a window lasts {longest / SAMPLE_RATE:.1f} s; give up to {seconds:g} s")
    mels = [whisper_log_mel(np.pad(each, (0, length - each.size)), n_mels) for each in windows]
    features = torch.from_numpy(np.stack(mels)).transpose(1, 2).contiguous()
    tokens = [torch.tensor(text, dtype=torch.int64) for text in texts]
    return Batch(
        features,
        torch.full((len(mels),), features.shape[1]),
        torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True),
        torch.tensor([len(text) for text in tokens]),
        seconds=sum(window.size for window in windows) / SAMPLE_RATE,
    )
