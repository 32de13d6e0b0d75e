"""The real task, from the command line, on the recordings under examples/."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import srt
from standin_aural import Run

from aural.cli.outputs import JOURNAL

GREEDY = ("--beam-size", "1", "--language", "en")


@pytest.fixture
def readings(tmp_path: Path, examples: Path) -> Path:
    """Ten files: seven readings, and a text, an empty file and a playlist that names one."""
    folder = tmp_path / "readings"
    one, two, three = sorted(examples.glob("*.flac"))
    copies = {"a": (one, two, three), "b": (two, three), "b/c": (two, three)}
    for name, files in copies.items():
        (folder / name).mkdir(parents=True)
        for file in files:
            shutil.copy(file, folder / name)
    (folder / "a/text.wav").write_text("And Mr. John Dashwood had then leisure")
    (folder / "empty.mp3").write_bytes(b"")
    (folder / "b/list.ogg").write_text(f"#EXTM3U\n#EXTINF:7\n{one}\n")
    return folder


def words(text: str) -> list[str]:
    plain = text.lower().replace("mr.", "mister").replace("-", " ")
    return "".join(char for char in plain if char.isalpha() or char == " ").split()


def test_seven_of_ten_are_transcribed(run: Run, readings: Path, examples: Path) -> None:
    out = readings.parent / "out"
    result = run("transcribe", readings, "-o", out, "-f", "txt,srt,json", *GREEDY)
    assert (result.exit_code, result.stdout) == (1, "")
    assert len(list(out.rglob("*.txt"))) == 7
    summary = result.stderr.splitlines()[-1]
    assert summary.startswith("aural: 3 of 10 files failed: ")
    assert all(name in summary for name in ("a/text.wav", "empty.mp3", "b/list.ogg"))
    lines = (examples / "manifest.jsonl").read_text().splitlines()
    for entry in map(json.loads, lines):
        name = Path(entry["audio_filepath"]).stem
        text = (out / "a" / f"{name}.txt").read_text()
        missed = set(words(entry["text"])) ^ set(words(text))
        assert len(missed) <= 4, missed
        cues = list(srt.parse((out / "a" / f"{name}.srt").read_text()))
        assert words(" ".join(cue.content for cue in cues)) == words(text)
        assert 0 <= cues[0].start.total_seconds() < cues[-1].end.total_seconds() < 7.2
        whole = json.loads((out / "a" / f"{name}.json").read_text())
        assert words(whole["text"]) == words(text)
        assert (whole["language"], whole["model"]) == ("en", "whisper/base")


def test_killed_and_resumed_it_gives_the_same_bytes(run: Run, readings: Path) -> None:
    def bytes_of(folder: Path) -> dict[str, bytes]:
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }

    whole, killed = readings.parent / "whole", readings.parent / "killed"
    arguments = [
        "transcribe",
        str(readings / "b/c"),
        str(readings / "a"),
        *GREEDY,
        "-f",
        "json,srt",
    ]
    assert run(*arguments, "-o", whole).exit_code == 1
    process = subprocess.Popen(
        [sys.executable, "-m", "aural", *arguments, "-o", str(killed)], start_new_session=True
    )
    end = time.monotonic() + 60
    while not list(killed.rglob("*.json")) and time.monotonic() < end:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert len(bytes_of(killed)) < len(bytes_of(whole))
    assert run(*arguments, "-o", killed, "--resume").exit_code == 1
    assert bytes_of(killed) == bytes_of(whole)
    assert JOURNAL in bytes_of(killed)


def test_speech_is_found_from_the_command_line(run: Run, examples: Path) -> None:
    made = run("detect-speech", examples / "sense_and_sensibility_0880.flac", "-f", "json")
    found = json.loads(made.stdout)
    assert found["duration"] == pytest.approx(2.99, abs=0.01)
    assert 1.5 < found["speech_seconds"] < 2.99


def test_a_recording_that_breaks_off_is_told_of_once_and_its_text_is_the_files(
    run: Run, tmp_path: Path, examples: Path
) -> None:
    path = tmp_path / "cut.flac"
    whole = (examples / "sense_and_sensibility_0870.flac").read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    printed = run("transcribe", path, *GREEDY)
    assert printed.exit_code == 0
    assert printed.stdout.startswith("And Mr. John Dashwood had then leisure")
    (line,) = printed.stderr.splitlines()
    assert line.startswith(f"aural: '{path}': ")
    kept = run("transcribe", path, "-o", tmp_path / "o", "--json", *GREEDY)
    assert (tmp_path / "o/cut.txt").read_bytes() == printed.stdout.encode()
    assert json.loads(kept.stdout)["warnings"] == [line.removeprefix("aural: ")]
