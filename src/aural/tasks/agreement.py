"""A recogniser of windows made into one of streams: words are final once two hypotheses agree.

LocalAgreement-2 (Liu et al. 2020; Macháček et al. 2023, "Turning Whisper into Real-Time
Transcription System"): what has come since the last final words is heard again each time
step_seconds more are there; the longest beginning that two hypotheses in a row share is final. The
window is cut behind the last final word once it is longer than window_seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from aural.errors import InputError
from aural.nn.recogniser import check_window
from aural.types import PartialResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aural.types import Word

NEAR_SECONDS = 1.0
"""Words of a hypothesis that begin so near to the last final word may be that word again."""
REPEATED_WORDS = 5
JITTER_SECONDS = 0.1
PROMPT_LETTERS = 200


@dataclass(frozen=True)
class AgreementOptions:
    """step_seconds: new sound that is waited for; window_seconds: the longest window heard."""

    step_seconds: float = 1.0
    window_seconds: float = 15.0

    def __post_init__(self) -> None:
        if not 0.1 <= self.step_seconds <= 10:
            raise InputError(f"step_seconds is {self.step_seconds}; give 0.1 to 10")
        if not self.step_seconds < self.window_seconds <= 28:
            raise InputError(
                f"window_seconds is {self.window_seconds}; give more than step_seconds "
                f"({self.step_seconds}), at most 28"
            )


class AgreementStream:
    """A RecognitionStream over hear: samples (time,) and the text before them -> words, their times
    from the first sample."""

    def __init__(
        self,
        hear: Callable[[np.ndarray, str], Sequence[Word]],
        sample_rate: int,
        options: AgreementOptions = AgreementOptions(),
    ) -> None:
        self._hear, self._rate, self._options = hear, sample_rate, options
        self._start()

    def _start(self) -> None:
        self._window = np.empty(0, np.float32)
        self._begin = 0  # where the window does, in samples as the next two
        self._heard = 0
        self._fresh = 0
        self._final: list[Word] = []
        self._open: list[Word] = []

    def push(self, samples: np.ndarray) -> list[PartialResult]:
        """As RecognitionStream; InputError for what is no finite float samples of (time,)."""
        check_window(samples, self._rate)
        step = max(1, round(self._options.step_seconds * self._rate))
        pieces = (samples[start : start + step] for start in range(0, samples.size, step))
        return [result for piece in pieces for result in self._push(piece)]

    def _push(self, samples: np.ndarray) -> list[PartialResult]:
        """As push, of no more than a step, so that no window gets longer than is allowed."""
        self._window = np.concatenate((self._window, samples), dtype=np.float32)
        self._heard += samples.size
        self._fresh += samples.size
        if self._fresh < self._options.step_seconds * self._rate:
            return []
        self._agree()
        self._cut()
        return [self._result()]

    def finish(self) -> list[PartialResult]:
        """As RecognitionStream."""
        if self._fresh:
            self._agree()
        self._final += self._open
        self._open = []
        last = self._result()
        self._start()
        return [last]

    def _result(self) -> PartialResult:
        words = (*self._final, *self._open)
        time = self._heard / self._rate
        quiet = time - (words[-1].end if words else 0.0)
        return PartialResult(words, len(self._final), time, max(0.0, quiet))

    def _agree(self) -> None:
        """Hear the window; words that the last hypothesis had too are final."""
        begin = self._begin / self._rate
        before = "".join(word.text for word in self._final if word.end <= begin)
        heard = [
            replace(word, start=word.start + begin, end=word.end + begin)
            for word in self._hear(self._window, before[-PROMPT_LETTERS:].strip())
        ]
        new = beyond(heard, self._final, begin)
        count = 0
        for old, word in zip(self._open, new, strict=False):
            if bare(old) != bare(word):
                break
            count += 1
        self._final += new[:count]
        self._open = new[count:]
        self._fresh = 0

    def _cut(self) -> None:
        """Shorten a window that is too long; what nothing has confirmed by then is taken as it
        is."""
        longest = self._options.window_seconds * self._rate
        if self._window.size <= longest:
            return
        self._drop(self._final[-1].end if self._final else 0.0)
        if self._window.size > longest:
            self._final += self._open
            self._open = []
            self._drop(self._final[-1].end if self._final else 0.0)
        if self._window.size > longest:
            self._drop((self._heard - longest) / self._rate)

    def _drop(self, until: float) -> None:
        count = max(0, min(round(until * self._rate) - self._begin, self._window.size))
        self._window = self._window[count:]
        self._begin += count


def bare(word: Word) -> str:
    """What two hypotheses are compared by: no case, no punctuation."""
    return re.sub(r"[^\w']", "", word.text.casefold())


def beyond(heard: Sequence[Word], final: Sequence[Word], begin: float = 0.0) -> list[Word]:
    """The words of a hypothesis that come after those that are final.

    A hypothesis that begins with all final words since begin, where its window does, goes on behind
    them. Of any other the words later than the last final one are taken, less what repeats the last
    final words, unless the one before them is the last final word already.
    """
    if not final:
        return list(heard)
    end = final[-1].end
    inside = sum(1 for word in final if _middle(word) > begin)
    if inside and _alike(heard[:inside], final[-inside:]):
        return list(heard[inside:])
    later = [word for word in heard if _middle(word) > end - JITTER_SECONDS]
    if not later or later[0].start > end + NEAR_SECONDS:
        return later
    earlier = [word for word in heard if _middle(word) <= end - JITTER_SECONDS]
    if _alike(earlier[-1:], final[-1:]):
        return later
    for count in range(min(REPEATED_WORDS, len(final), len(later)), 0, -1):
        if _alike(final[-count:], later[:count]):
            return later[count:]
    return later


def _middle(word: Word) -> float:
    return (word.start + word.end) / 2


def _alike(some: Sequence[Word], others: Sequence[Word]) -> bool:
    return [bare(word) for word in some] == [bare(word) for word in others]
