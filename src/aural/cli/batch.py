"""A task over many inputs: one that fails does not stop the others, and all are told of."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aural.cli import exits
from aural.cli.console import plain, say, write
from aural.cli.inputs import STDIN, Input
from aural.cli.outputs import Folder, stamp
from aural.errors import AuralError, InputError, UnknownName
from aural.formats import FORMATS


@dataclass(frozen=True)
class Batch:
    """What to do with each input.

    task gives the result of a source; render the text of a result in a format, for an input;
    formats are names. folder is None when results go to stdout; with records a JSON line an input
    goes there; headings says whether the texts of several inputs are headed by their names.
    """

    task: Callable[[str], Any]
    render: Callable[[Any, str, Input], str]
    formats: Sequence[str]
    folder: Folder | None = None
    records: bool = False
    resume: bool = False
    headings: bool = True

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The outputs' suffixes."""
        return tuple(FORMATS[name].suffix for name in self.formats)


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
    failures: list[Failure] = []
    progress = Progress(len(items))
    for item in items:
        progress.show(item.source)
        if batch.resume and batch.folder and batch.folder.is_done(item, batch.suffixes):
            progress.skip()
            continue
        outcome = attempt(batch, item, headed=batch.headings and len(items) > 1, progress=progress)
        if isinstance(outcome, Failure):
            failures.append(outcome)
            progress.clear()
            say(outcome.reason)
            if batch.records:
                write_record(failure_record(outcome))
        progress.count(0.0 if isinstance(outcome, Failure) else outcome)
    progress.clear()
    if not failures:
        return 0
    if len(items) == 1:
        return failures[0].exit_code
    names = ", ".join(failure.item.source for failure in failures)
    say(f"{len(failures)} of {len(items)} files failed: {names}")
    return exits.SOME_FAILED


def attempt(batch: Batch, item: Input, *, headed: bool, progress: "Progress") -> float | Failure:
    """Work on one input and deliver its result; its seconds of audio, or why it failed."""
    try:
        before = (0, 0) if item.source == STDIN else stamp(item.source)
        began = time.monotonic()
        result = heard(batch, item)
        if isinstance(result, Failure):
            return result
        took = time.monotonic() - began
        texts = {name: batch.render(result, name, item) for name in batch.formats}
        progress.clear()
        deliver(batch, item, before, texts, Delivery(result, took, headed))
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
    return float(getattr(result, "duration", 0.0))


def heard(batch: Batch, item: Input) -> Any:
    """The task's result, or a Failure where the input can't be used."""
    try:
        return batch.task(item.source)
    except UnknownName:
        raise
    except InputError as error:
        return Failure(item, type(error).__name__, named(item, str(error)), error.exit_code)


@dataclass(frozen=True)
class Delivery:
    """A result on its way out, the seconds it took, and whether it gets a heading on stdout."""

    result: Any
    took: float
    headed: bool


def deliver(
    batch: Batch,
    item: Input,
    before: tuple[int, int],
    texts: Mapping[str, str],
    delivery: Delivery,
) -> None:
    """Put the texts into the folder or on stdout, and the record on stdout."""
    paths: list[str] = []
    if batch.folder:
        by_suffix = {FORMATS[name].suffix: text for name, text in texts.items()}
        paths = batch.folder.put(item, before, by_suffix)
    if batch.records:
        record = {"input": item.source, "ok": True, "elapsed": round(delivery.took, 3)}
        body = {"outputs": paths} if paths else {"result": json.loads(texts["json"])}
        write_record(record | body)
    elif not batch.folder:
        heading = f"==> {plain(item.source)} <==\n" if delivery.headed else ""
        write(heading + "".join(texts.values()) + ("\n" if delivery.headed else ""))


def write_record(record: Mapping[str, Any]) -> None:
    """One JSON line on stdout."""
    write(json.dumps(record, ensure_ascii=False) + "\n")


def failure_record(failure: Failure) -> dict[str, Any]:
    """The record of an input that failed."""
    error = {"type": failure.kind, "message": plain(failure.reason)}
    return {"input": failure.item.source, "ok": False, "error": error}


def named(item: Input, message: str) -> str:
    """The message, with the source in front where it does not name it."""
    return message if item.source in message else f"{item.source}: {message}"


@dataclass
class Progress:
    """One line on stderr that is rewritten; nothing where stderr is no terminal."""

    total: int
    files: int = 0
    kept: int = 0
    audio: float = 0.0
    began: float = field(default_factory=time.monotonic)
    on: bool = field(default_factory=sys.stderr.isatty)

    def count(self, audio: float) -> None:
        """One more file is done, of so many seconds of audio."""
        self.files += 1
        self.audio += audio

    def skip(self) -> None:
        """One more file was done before."""
        self.files += 1
        self.kept += 1

    def show(self, source: str) -> None:
        """Write the line."""
        if self.on:
            speed = self.audio / max(time.monotonic() - self.began, 1e-3)
            kept = f", {self.kept} kept" if self.kept else ""
            line = (
                f"{self.files}/{self.total} files{kept}, {speed:.1f} s of audio/s: {plain(source)}"
            )
            sys.stderr.write(f"\r\x1b[K{line[:79]}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Remove the line before something else is said."""
        if self.on:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
