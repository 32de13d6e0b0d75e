"""Shared fixtures, and the rule that a skip is allowed by name or is a failure."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of committed real recordings."""
    return ROOT / "examples"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):
    """Imports a file of benchmarks/ as it is imported where it is run."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(ROOT / "benchmarks")):
            del sys.modules[name]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when a test skipped that tests/allowed_skips.txt does not name."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    lines = ALLOWED_SKIPS.read_text(encoding="utf-8").splitlines()
    allowed = {line.split("#")[0].strip() for line in lines} - {""}
    forbidden = [r.nodeid for r in reporter.stats.get("skipped", []) if r.nodeid not in allowed]
    for nodeid in forbidden:
        reporter.write_line(f"skipped, and not in {ALLOWED_SKIPS.name}: {nodeid}", red=True)
    if forbidden and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
