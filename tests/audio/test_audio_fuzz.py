"""Two thousand mutated recordings of every container: Audio or a documented error, nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("fuzz_reading.py")
CASES, BATCHES = 2000, 2


@pytest.fixture(scope="module")
def reports() -> list[dict]:
    """The summaries of the batches, run at the same time, each in a process of its own."""
    share = CASES // BATCHES
    children = [
        subprocess.Popen(
            [sys.executable, str(CHILD), str(batch * share), str(share)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for batch in range(BATCHES)
    ]  # fmt: skip
    summaries = []
    try:
        for child in children:
            out, err = child.communicate(timeout=240)
            lines = out.splitlines()
            assert child.returncode == 0, f"case {lines[-1:]}: {child.returncode}\n{err[-3000:]}"
            summaries.append(json.loads(lines[-1]))
    finally:
        for child in children:
            child.kill()
    return summaries


def test_each_outcome_is_documented(reports):
    """A crash, a hang or another exception fails the fixture; the mix is no mere refusal."""
    outcomes = [report["outcomes"] for report in reports]
    known = {"Audio", "AudioError", "CorruptAudio", "EmptyAudio", "LimitExceeded"}
    known.add("UnsupportedFormat")
    assert set().union(*outcomes) <= known
    assert sum(sum(counts.values()) for counts in outcomes) == CASES
    for wanted in ("Audio", "CorruptAudio", "UnsupportedFormat"):
        assert sum(counts.get(wanted, 0) for counts in outcomes) > CASES / 20


def test_memory_and_time_stay_bounded(reports):
    assert max(report["grown_kb"] for report in reports) < 400_000
    assert max(report["slowest"] for report in reports) < 10
