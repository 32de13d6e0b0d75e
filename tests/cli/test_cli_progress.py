"""The line on a terminal: what it says, and how seldom it is rewritten."""

import pytest

from aural.cli.progress import EVERY_SECONDS, HIDE, Progress


class Clock:
    """The time that it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("aural.cli.progress.time.monotonic", clock)
    return clock


def test_what_is_read_is_done_where_a_task_gives_no_segments(clock: Clock) -> None:
    progress = Progress(1, began=clock.now)
    progress.start("x.wav")
    assert progress.line() == "x.wav"
    clock.now += 10
    progress.read(30.0, 3725.0)
    assert progress.line() == "1% of 1:02:05, 3.0 x real time: x.wav"


def test_what_is_written_down_is_done_where_it_does(clock: Clock) -> None:
    progress = Progress(3, by_segment=True, began=clock.now)
    progress.start("a.wav")
    progress.finish(0.0, kept=True)
    progress.start("b.wav")
    clock.now += 10
    progress.read(50.0, 100.0)
    assert progress.line() == "1/3 files, 1 kept, 50% of 0:01:40 read: b.wav"
    progress.write(25.0)
    progress.read(100.0, 100.0)
    assert progress.line() == "1/3 files, 1 kept, 25% of 0:01:40, 2.5 x real time: b.wav"
    progress.finish(100.0)
    progress.start("c\x1b[2J.wav")
    assert progress.line() == "2/3 files, 1 kept, 10.0 x real time: c\\x1b[2J.wav"


def test_more_than_was_stated_is_not_more_than_all(clock: Clock) -> None:
    progress = Progress(1, began=clock.now)
    progress.start("x.wav")
    progress.read(11.0, 10.0)
    assert progress.line().startswith("100% of 0:00:10")


def test_the_line_is_rewritten_seldom(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(1, began=clock.now, on=True)
    progress.start("x.wav")
    for second in range(1000):
        progress.read(float(second), 1000.0)
    assert capsys.readouterr().err.count(HIDE) == 1
    clock.now += 1.5 * EVERY_SECONDS
    progress.read(1000.0, 1000.0)
    assert "100% of" in capsys.readouterr().err
    progress.clear()
    assert capsys.readouterr().err == HIDE
