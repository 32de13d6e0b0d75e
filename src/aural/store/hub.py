"""Files of a repository on the model Hub, fetched by a watched child of this very module.

The child runs the Hub's own client with the user's own settings (endpoint, proxy, token), one
process for all files of a variant, and is killed when nothing answers: a hang in name resolution
can't be interrupted from within.
"""

from __future__ import annotations

import json
import socket
import sys
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING

from aural.store.child import CONNECT_SECONDS, Expectation, run_watched

if TYPE_CHECKING:
    from pathlib import Path

    from aural.store.weights import Weights

SPARE_BYTES = 16_000_000


def fetch_from_hub(name: str, weights: Weights, folder: Path) -> dict[str, Path]:
    """Fetch the files at the pinned revision into folder; returns file name -> unverified path.

    Nothing when the weights name no repository. Raises Unreachable or WeightsError.
    """
    if not weights.hub_repo or not weights.files:
        return {}
    wanted = {file.name: file.hub_name or file.name for file in weights.files}
    request = {
        "repo": weights.hub_repo,
        "revision": weights.hub_revision,
        "names": sorted(wanted.values()),
        "folder": str(folder),
    }
    run_watched(
        [sys.executable, "-P", "-m", "aural.store.hub", json.dumps(request)],
        folder,
        Expectation(
            source=f"Hub repository {weights.hub_repo}",
            what=name,
            signs=("connecting", "fetched"),
            expected=weights.size,
            limit=weights.size + SPARE_BYTES,
        ),
        # Plain HTTPS: one protocol, whose bytes show below folder as they come.
        environment={"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
    )
    return {local: folder / remote for local, remote in wanted.items()}


def main() -> None:
    """The child: each line it prints is a sign of life, and the first starts the clock."""
    request = json.loads(sys.argv[1])
    from huggingface_hub import constants, hf_hub_download, snapshot_download

    print("connecting", flush=True)  # noqa: T201
    _knock(constants.ENDPOINT)
    if patterns := request.get("patterns"):
        snapshot_download(request["repo"], allow_patterns=patterns, local_dir=request["folder"])
    for name in request.get("names", ()):
        hf_hub_download(
            request["repo"], name, revision=request["revision"], local_dir=request["folder"]
        )
        print("fetched", name, flush=True)  # noqa: T201


def _knock(endpoint: str) -> None:
    """Fail at once where the Hub can't be connected to: its client would retry for half a minute.

    Behind a proxy only the proxy can tell, so the client is left to it.
    """
    if urllib.request.getproxies():
        return
    address = urllib.parse.urlsplit(endpoint)
    port = address.port or (443 if address.scheme == "https" else 80)
    socket.create_connection((address.hostname, port), timeout=CONNECT_SECONDS).close()


if __name__ == "__main__":
    main()
