"""Pages that fetch nothing: all they show is in the file."""

from __future__ import annotations

import base64
import hashlib


def policy(style: str, script: str = "") -> str:
    """The Content-Security-Policy of a page with this inline style and this script, or none.

    Pictures and sound may be data: URIs; nothing else is loaded, run or sent.
    """
    run = f" script-src {_source(script)};" if script else ""
    return (
        f"default-src 'none'; style-src {_source(style)};{run} img-src data:; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def data_uri(content: bytes, kind: str) -> str:
    """The content inside an address; kind is its media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
