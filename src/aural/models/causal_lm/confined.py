"""Chat templates and tokenizers of others, run in a process of their own that has limits.

A template is a program; transformers' sandbox keeps it from what is outside, but not from loops
without end or texts without bound. A tokenizer's rules may double a text again and again, or take
for ever over a letter that is repeated. So both are tried out in a process that has SECONDS of a
processor and BYTES more memory than it begins with; a template is only ever run there.
"""

from __future__ import annotations

import json
import math
import os
import resource
import string
import subprocess
import sys
import time
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from aural.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SECONDS, BYTES = 5, 1 << 30
PATIENCE_SECONDS = 60.0
"""By the clock, on a machine that has other things to do."""
MAX_PROMPT = 1 << 16
MAX_GROWTH = 16
"""Tokens a character, at most."""


class _Today(datetime):
    """For templates that ask: a network is trained with one prompt, whatever the day."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> _Today:
        return cls(2024, 7, 26, tzinfo=tz)


def rendered(
    template: str, messages: Sequence[Mapping[str, str]], special: Mapping[str, str]
) -> str:
    """The prompt that a template makes of messages, up to where the answer begins; special: names
    of special tokens and their texts.

    Raises:
        InputError: it is no template, refuses the messages, or passes a limit.
    """
    request = {"template": template, "messages": messages, "special": special}
    return str(_answer(json.dumps(request), "the chat template"))


def try_tokenizer(path: Path) -> None:
    """InputError where a tokenizer.json can't be read, or passes a limit on ordinary letters."""
    status = path.stat()
    stamp = [status.st_size, status.st_mtime_ns, status.st_ino]
    _answer(json.dumps({"tokenizer": str(path), "stamp": stamp}), str(path))


@lru_cache(maxsize=64)
def _answer(request: str, what: str) -> Any:
    try:
        done = subprocess.run(  # noqa: S603 - this very module
            [sys.executable, "-P", "-m", __name__],
            input=request,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
            timeout=PATIENCE_SECONDS,
            env={**os.environ, "TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{what} is not done in {PATIENCE_SECONDS:.0f} s") from error
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        raise InputError(
            f"{what} takes more than {SECONDS} s or {BYTES >> 20} MB for a prompt, or breaks what "
            "reads it; its author meant no good or made a mistake"
        ) from error
    if "error" in answer:
        raise InputError(f"{what} can't be used: {answer['error']}")
    return answer["made"]


def main() -> None:
    """The process: a request on stdin, an answer on stdout."""
    request = json.load(sys.stdin)
    try:
        made = _tried(request) if "tokenizer" in request else _rendered(request)
        answer = {"made": made}
    except BaseException as error:  # noqa: BLE001 - a template or a Rust panic raises anything
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        answer = {"error": said[:300]}
    json.dump(answer, sys.stdout)


def _rendered(request: Mapping[str, Any]) -> str:
    from transformers.utils import chat_template_utils

    setattr(chat_template_utils, "datetime", _Today)  # noqa: B010 - a name that it has imported
    _confine()
    made: Any = chat_template_utils.render_jinja_template(
        [request["messages"]],
        chat_template=request["template"],
        add_generation_prompt=True,
        **request["special"],
    )
    prompt = str(made[0][0])
    if len(prompt) > MAX_PROMPT:
        raise ValueError(f"it makes a prompt of {len(prompt)} characters")
    return prompt


def _tried(request: Mapping[str, Any]) -> int:
    from tokenizers import Tokenizer

    _confine()
    tokenizer = Tokenizer.from_file(request["tokenizer"])
    tokenizer.no_truncation()
    tokenizer.no_padding()
    text = " ".join(f"{each * 48}." for each in string.printable)
    count = len(tokenizer.encode(text, add_special_tokens=False).ids)
    if count > MAX_GROWTH * len(text):
        raise ValueError(f"it makes {count} tokens of {len(text)} characters")
    return count


def _confine() -> None:
    """From here on SECONDS and BYTES, which nothing can raise again."""
    seconds = math.ceil(time.process_time()) + SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:
            held = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + BYTES, held + BYTES))


if __name__ == "__main__":
    main()
