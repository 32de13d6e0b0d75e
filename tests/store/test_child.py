"""A child is ended when it is silent, sends too much, or its caller is interrupted."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from aural.errors import Unreachable, WeightsError
from aural.store import child
from aural.store.child import Expectation, run_watched


def run(code: str, folder: Path, **overrides: object) -> list[str]:
    """Run a piece of Python under watch in folder."""
    settings: dict[str, object] = {
        "source": "source",
        "what": "what",
        "signs": ("sign",),
        "expected": 1000,
        "limit": 100_000,
    }
    expectation = Expectation(**{**settings, **overrides})  # type: ignore[arg-type]
    return run_watched([sys.executable, "-c", code], folder, expectation, environment={})


def test_lines_come_back(tmp_path: Path) -> None:
    assert run("print('one'); print('two')", tmp_path) == ["one", "two"]


def test_reason_of_a_failure_is_its_error_line(tmp_path: Path) -> None:
    code = "print('ERROR: no such version'); print('bye'); raise SystemExit(1)"
    with pytest.raises(WeightsError, match=r"^source: ERROR: no such version$"):
        run(code, tmp_path)


def test_too_much_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "f = open('big', 'wb')\nwhile True: f.write(bytes(10_000)); f.flush()"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="sends more than the 100000 bytes allowed"):
        run(code, tmp_path)


def test_talk_of_retries_is_no_sign_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "CONNECT_SECONDS", 0.5)
    code = "import time\nprint('sign')\nwhile True: print('retrying'); time.sleep(0.1)"
    started = time.monotonic()
    with pytest.raises(Unreachable, match="no answer within"):
        run(code, tmp_path)
    assert time.monotonic() - started < 5


def test_slow_start_is_not_held_against_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "CONNECT_SECONDS", 0.2)
    assert run("import time; time.sleep(0.6); print('late')", tmp_path) == ["late"]
    with pytest.raises(Unreachable):
        run("import time; time.sleep(30)", tmp_path, start_seconds=0.3)


def test_no_child_outlives_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "CONNECT_SECONDS", 0.3)
    code = "import os, time; print('sign', os.getpid()); time.sleep(60)"
    started: list[int] = []
    original = child._end
    monkeypatch.setattr(
        child, "_end", lambda process: (started.append(process.pid), original(process))
    )
    with pytest.raises(Unreachable):
        run(code, tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)


def test_no_child_outlives_a_caller_that_is_killed(tmp_path: Path) -> None:
    """Signal 9 leaves nobody to clean up, and the next fetch must find the folder still."""
    code = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    caller = f"""
import sys
from pathlib import Path
from aural.store.child import Expectation, run_watched
expectation = Expectation("source", "what", ("sign",), 1000, 1000)
command = [sys.executable, "-c", {code!r}]
run_watched(command, Path({str(tmp_path)!r}), expectation, environment={{}}, inside=True)
"""
    with subprocess.Popen([sys.executable, "-c", caller]) as process:
        written = tmp_path / "pid"
        wait_until(lambda: written.is_file() and written.read_text() != "")
        process.kill()
    wait_until(lambda: not alive(int(written.read_text())))


def alive(number: int) -> bool:
    """Whether a process is there and has not ended (one that nobody waited for is still listed)."""
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for it, ten seconds at most."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
