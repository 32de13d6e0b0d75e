"""A task over many inputs: one that fails does not stop the others, and all are told of."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aural.cli import exits
from aural.cli.console import audio_warnings, plain, say, write
from aural.cli.inputs import STDIN, Input
from aural.cli.outputs import Folder, stamp
from aural.cli.progress import Progress
from aural.errors import AuralError, InputError, UnknownName
from aural.formats import FORMATS
from aural.progress import watched
from aural.types import Segment, Transcript

LIVE = "txt"
"""The format whose text of several segments is the segments' texts joined."""


@dataclass(frozen=True)
class Batch:
    """What to do with each input.

    task gives the result of a source; render the text of a result in a format, for an input;
    formats are names. folder is None when results go to stdout; with records a JSON line an input
    goes there; headings says whether the texts of several inputs are headed by their names;
    by_segment that the task tells of the segments it finds.
    """

    task: Callable[[str], Any]
    render: Callable[[Any, str, Input], str]
    formats: Sequence[str]
    folder: Folder | None = None
    records: bool = False
    resume: bool = False
    headings: bool = True
    by_segment: bool = False

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The outputs' suffixes."""
        return tuple(FORMATS[name].suffix for name in self.formats)

    @property
    def live(self) -> bool:
        """Whether text is printed as it is found: it is all that goes to stdout."""
        return self.folder is None and not self.records and tuple(self.formats) == (LIVE,)


@dataclass(frozen=True)
class Failure:
    """An input that gave no result, why, and the exit code it has when it is the only one."""

    item: Input
    kind: str
    reason: str
    exit_code: int


def run_batch(batch: Batch, items: Sequence[Input]) -> int:
    """Work through the inputs; the exit code.

    An AuralError that every other input would meet too (no weights, no such model, a full disk, a
    format that this result lacks something for) stops the run.
    """
    progress = Progress(len(items), by_segment=batch.by_segment)
    try:
        failures = work(batch, items, progress)
    finally:
        progress.clear()
    if not failures:
        return 0
    if len(items) == 1:
        return failures[0].exit_code
    names = ", ".join(failure.item.source for failure in failures)
    say(f"{len(failures)} of {len(items)} files failed: {names}")
    return exits.SOME_FAILED


def work(batch: Batch, items: Sequence[Input], progress: Progress) -> list[Failure]:
    """Take the inputs in turn; those that failed."""
    failures: list[Failure] = []
    for item in items:
        progress.start(item.source)
        if batch.resume and batch.folder and batch.folder.is_done(item, batch.suffixes):
            progress.finish(0.0, kept=True)
            continue
        hearing = Hearing(batch, item, progress, headed=batch.headings and len(items) > 1)
        outcome = attempt(hearing)
        if isinstance(outcome, Failure):
            failures.append(outcome)
            hearing.fail(outcome)
        progress.finish(0.0 if isinstance(outcome, Failure) else outcome)
    return failures


@dataclass
class Hearing:
    """One input at work, a Watcher: text that goes to stdout is there as soon as it is found."""

    batch: Batch
    item: Input
    progress: Progress
    headed: bool
    printed: str = ""
    warnings: list[str] = field(default_factory=list)
    unprintable: InputError | None = None

    def read(self, seconds: float, total: float) -> None:
        """Show how far it is."""
        self.progress.read(seconds, total)

    def found(self, segment: Segment) -> None:
        """Print its text, where that is all that is wanted."""
        if self.batch.live:
            alone = Transcript((segment,), "", 0.0, 0.0)
            if text := self.batch.render(alone, LIVE, self.item):
                try:
                    self.print(text)
                except InputError as error:
                    self.unprintable = error
                    raise
        self.progress.write(segment.end)

    def print(self, text: str) -> None:
        """Put the next text on stdout, the heading before the first."""
        self.progress.clear()
        first = self.headed and not self.printed
        write((f"==> {plain(self.item.source)} <==\n" if first else "") + text)
        self.printed += text

    def warn(self, message: str) -> None:
        """Tell of what was left out, and keep it for the record."""
        self.warnings.append(message)
        self.progress.clear()
        say(named(self.item, message))

    def fail(self, failure: Failure) -> None:
        """Tell of the failure, on stdout too where records are asked for."""
        self.progress.clear()
        if self.printed and self.headed:
            write("\n")
        say(failure.reason)
        if self.batch.records:
            error = {"type": failure.kind, "message": plain(failure.reason)}
            self.record({"ok": False, "error": error})

    def record(self, body: Mapping[str, Any]) -> None:
        """One JSON line on stdout."""
        whole = {"input": self.item.source, **body, "warnings": self.warnings}
        write(json.dumps(whole, ensure_ascii=False) + "\n")

    def deliver(self, before: tuple[int, int], texts: Mapping[str, str], took: float) -> None:
        """Put the texts (format -> text) into the folder or on stdout; the record on stdout."""
        self.progress.clear()
        paths: list[str] = []
        if self.batch.folder:
            by_suffix = {FORMATS[name].suffix: text for name, text in texts.items()}
            paths = self.batch.folder.put(self.item, before, by_suffix)
        if self.batch.records:
            body = {"outputs": paths} if paths else {"result": json.loads(texts["json"])}
            self.record({"ok": True, "elapsed": round(took, 3), **body})
        elif not self.batch.folder:
            text = "".join(texts.values())
            assert text.startswith(self.printed), "what was printed is the start of the result"
            self.print(text[len(self.printed) :] + ("\n" if self.headed else ""))


def attempt(hearing: Hearing) -> float | Failure:
    """Work on one input and deliver its result; its seconds of audio, or why it failed."""
    batch, item = hearing.batch, hearing.item
    try:
        before = (0, 0) if item.source == STDIN else stamp(item.source)
        began = time.monotonic()
        result = heard(hearing)
        if isinstance(result, Failure):
            return result
        took = time.monotonic() - began
        texts = {name: batch.render(result, name, item) for name in batch.formats}
        hearing.deliver(before, texts, took)
    except (AuralError, BrokenPipeError):
        raise
    except OSError as error:
        reason = named(item, error.strerror or str(error))
        return Failure(item, type(error).__name__, reason, exits.INPUT)
    except Exception as error:
        if os.environ.get("AURAL_DEBUG"):
            raise
        kind = type(error).__name__
        reason = f"{item.source}: bug: {kind}: {error}; AURAL_DEBUG=1 shows where"
        return Failure(item, kind, reason, exits.BUG)
    return float(getattr(result, "duration", 0.0) or 0.0)


def heard(hearing: Hearing) -> Any:
    """The task's result, or a Failure where the input can't be used."""
    item = hearing.item
    try:
        with watched(hearing), audio_warnings(hearing.warn):
            return hearing.batch.task(item.source)
    except UnknownName:
        raise
    except InputError as error:
        if error is hearing.unprintable:  # stdout is at fault, not the input
            raise
        return Failure(item, type(error).__name__, named(item, str(error)), error.exit_code)


def named(item: Input, message: str) -> str:
    """The message, with the source in front where it does not name it."""
    source = "standard input" if item.source == STDIN else item.source
    return message if source in message else f"{source}: {message}"
