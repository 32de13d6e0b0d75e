"""aural align: one recording, its text, a result in one format."""

import json
from pathlib import Path

from standin_aural import Run

from aural.cli.commands import align as command
from aural.tasks import align as task

TEXT = "He was not an ill-disposed young man."


def test_formats_are_the_tasks() -> None:
    assert tuple(task._WRITERS) == command.FORMATS


def test_text_given_or_in_a_file(run: Run, examples: Path, tmp_path: Path) -> None:
    audio = examples / "sense_and_sensibility_0880.flac"
    given = run("align", audio, TEXT)
    assert given.exit_code == 0, given.stderr
    rows = [line.split("\t") for line in given.stdout.splitlines()]
    assert [row[2] for row in rows] == TEXT.rstrip(".").replace("-", " ").split()
    assert rows[0][3] == "HH IY"
    (tmp_path / "text.txt").write_text(TEXT)
    assert run("align", audio, tmp_path / "text.txt").stdout == given.stdout
    assert run("align", audio, TEXT, "-f", "ctm").stdout.startswith("sense_and_sensibility_0880 1 ")


def test_an_output_is_written_once(run: Run, examples: Path, tmp_path: Path) -> None:
    audio, output = examples / "sense_and_sensibility_0880.flac", tmp_path / "made/talk.json"
    first = run("align", audio, TEXT, "--output", output)
    assert (first.exit_code, first.stdout) == (0, "")
    assert len(json.loads(output.read_text())["words"]) == 8
    again = run("align", audio, TEXT, "--output", output)
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert run("align", audio, TEXT, "--output", output, "--overwrite").exit_code == 0
    grid = tmp_path / "talk.TextGrid"
    assert run("align", audio, TEXT, "--output", grid).exit_code == 0
    assert grid.read_text().startswith('File type = "ooTextFile"')


def test_wrong_use_says_what_to_do(run: Run, examples: Path, tmp_path: Path) -> None:
    audio = examples / "sense_and_sensibility_0880.flac"
    for arguments, told in (
        ((audio, "xyzzyx"), "no pronunciation of 'xyzzyx'"),
        ((audio, "missing.txt"), "there is no file 'missing.txt'"),
        ((audio, TEXT, "--output", tmp_path / "talk.srt"), "--output ends in one of"),
        ((audio, TEXT, "--model", "silero/16k"), "is no Aligner"),
        ((tmp_path / "none.wav", TEXT), "none.wav"),
    ):
        result = run("align", *arguments)
        assert result.exit_code == 2, result.stdout
        assert told in result.stderr
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in run("align", audio, tmp_path / "bytes").stderr
