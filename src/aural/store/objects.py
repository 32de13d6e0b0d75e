"""JSON objects from files that nobody has checked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aural.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def read_object(path: Path, most_bytes: int) -> dict[str, Any]:
    """What stands in the file; InputError where it can't be read, has more than most_bytes, or is
    no JSON object."""
    try:
        if path.stat().st_size > most_bytes:
            raise InputError(f"{path}: more than {most_bytes} bytes")
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds a {type(value).__name__}; give an object")
    return value
