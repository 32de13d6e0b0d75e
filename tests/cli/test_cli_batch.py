"""Many inputs: what is written, what is said, and the exit code."""

import json
import os
import warnings
from pathlib import Path

import pytest
from standin_aural import Run

from aural.cli import exits
from aural.cli.console import audio_warnings, plain, say
from aural.cli.outputs import JOURNAL, open_folder, write_whole
from aural.errors import AudioWarning


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below the folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# stdout


def test_one_file_goes_to_stdout(run: Run, talks: Path) -> None:
    result = run("echo", talks / "a/x.wav")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "this is a/x.wav\n", "")


def test_stdin_is_a_dash(run: Run) -> None:
    assert run("echo", "-", input="from a pipe").stdout == "from a pipe\n"


def test_several_files_are_headed_by_their_names(run: Run, talks: Path) -> None:
    out = run("echo", talks / "a/x.wav", talks / "a/y.flac").stdout
    names = ("a/x.wav", "a/y.flac")
    assert out == "".join(f"==> {talks}/{name} <==\nthis is {name}\n\n" for name in names)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ([], "give a file, a folder, a glob, or - for stdin"),
        (["F", "-f", "txt,srt"], "stdout takes one format"),
        (["F", "G", "-f", "srt"], "2 inputs need --output-dir for srt"),
        (["F", "--json", "-f", "srt"], "--output-format needs --output-dir with it"),
        (["F", "--resume"], "--resume is about files"),
        (["F", "--overwrite"], "--overwrite is about files"),
        (["F", "-o", "O", "--resume", "--overwrite"], "give one"),
        (["F", "-f", "ctm", "--no-word-timestamps"], "needs --word-timestamps"),
        (["F", "--max-line-width", "0"], "max_line_width must be at least 1"),
    ],
)
def test_options_that_do_not_go_together(
    run: Run, talks: Path, flags: list[str], reason: str
) -> None:
    names = {"F": talks / "a/x.wav", "G": talks / "v.opus", "O": talks / "out"}
    result = run("echo", *(names.get(flag, flag) for flag in flags))
    assert result.exit_code == 2
    assert reason in result.stderr
    assert result.stdout == ""


def test_words_are_asked_for_where_the_output_needs_them(run: Run, talks: Path) -> None:
    ctm = run("echo", talks / "a/x.wav", "-f", "ctm").stdout.splitlines()
    assert ctm[0] == "x 1 0.000 1.000 this 1.0000"
    out = run("echo", talks / "a/x.wav", "-f", "srt", "--max_words_per_line", "1").stdout
    assert out.count("-->") == 3


# Records


def test_records_are_one_line_an_input(run: Run, talks: Path) -> None:
    result = run("echo", talks, "--json")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert (result.exit_code, len(records)) == (1, 10)
    assert [record["ok"] for record in records].count(True) == 7
    failed = next(record for record in records if not record["ok"])
    assert failed["error"]["type"] == "CorruptAudio"
    assert "it is damaged" in failed["error"]["message"]
    assert records[1]["result"]["text"] == "this is v.opus"


def test_records_name_the_outputs(run: Run, talks: Path, tmp_path: Path) -> None:
    result = run("echo", talks / "v.opus", "--json", "-o", tmp_path / "o", "-f", "txt,srt")
    record = json.loads(result.stdout)
    assert record["outputs"] == [f"{tmp_path}/o/v.txt", f"{tmp_path}/o/v.srt"]


# Folders


def test_three_bad_of_ten_give_seven_and_a_summary(run: Run, talks: Path, tmp_path: Path) -> None:
    result = run("echo", talks, "-o", tmp_path / "o")
    assert (result.exit_code, result.stdout) == (1, "")
    made = tree(tmp_path / "o")
    made.pop(JOURNAL)
    assert made == {
        "a/x.txt": b"this is a/x.wav\n",
        "a/y.txt": b"this is a/y.flac\n",
        "b/deep/z.txt": b"this is b/deep/z.ogg\n",
        "b/x.mp3.txt": b"this is b/x.mp3\n",
        "b/x.wav.txt": b"this is b/x.wav\n",
        "v.txt": b"this is v.opus\n",
        "w.txt": b"this is w.m4a\n",
    }
    *each, summary = result.stderr.splitlines()
    assert len(each) == 3
    assert all("it is damaged" in line for line in each)
    names = ", ".join(f"{talks}/{name}" for name in ("bad.mp3", "a/bad.wav", "b/bad.wav"))
    assert summary == f"aural: 3 of 10 files failed: {names}"


def test_a_missing_file_does_not_stop_the_others(run: Run, talks: Path) -> None:
    result = run("echo", "missing.wav", talks / "v.opus")
    assert result.exit_code == 1
    assert "this is v.opus" in result.stdout
    assert "missing.wav: No such file or directory" in result.stderr


def test_a_bug_does_not_stop_the_others(run: Run, talks: Path) -> None:
    (talks / "a/bad.wav").write_text("BUG")
    result = run("echo", talks / "a")
    assert result.exit_code == 1
    assert "bug: KeyError: 'surprise'; AURAL_DEBUG=1 shows where" in result.stderr
    assert result.stdout.count("==>") == 2
    assert run("echo", talks / "a/bad.wav").exit_code == exits.BUG


def test_what_every_file_would_meet_stops_the_run(run: Run, talks: Path) -> None:
    (talks / "a/bad.wav").write_text("NET")
    result = run("echo", talks / "a")
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr == ("aural: no source of the weights answered; type: aural models fetch\n")


def test_one_bad_file_alone_has_its_own_code(run: Run, talks: Path) -> None:
    result = run("echo", talks / "bad.mp3")
    assert result.exit_code == 2
    assert result.stderr == f"aural: '{talks}/bad.mp3': it is damaged\n"


def test_all_is_every_format_the_result_can_have(run: Run, talks: Path, tmp_path: Path) -> None:
    run("echo", talks / "v.opus", "-o", tmp_path / "o", "-f", "all")
    assert {path.suffix[1:] for path in (tmp_path / "o").glob("v.*")} == {
        *("txt", "srt", "vtt", "tsv", "json", "jsonl", "stm", "TextGrid")
    }
    run("echo", talks / "v.opus", "-o", tmp_path / "p", "-f", "all", "--word-timestamps")
    assert (tmp_path / "p/v.ctm").exists()


# What is there already


def test_outputs_are_not_replaced_unasked(run: Run, talks: Path, tmp_path: Path) -> None:
    (tmp_path / "o").mkdir()
    (tmp_path / "o/x.txt").write_text("precious")
    result = run("echo", talks / "a/x.wav", "-o", tmp_path / "o")
    assert result.exit_code == 2
    assert "x.txt exists; give --resume to keep what is done, or --overwrite" in result.stderr
    assert (tmp_path / "o/x.txt").read_text() == "precious"
    assert run("echo", talks / "a/x.wav", "-o", tmp_path / "o", "--overwrite").exit_code == 0
    assert (tmp_path / "o/x.txt").read_text() == "this is a/x.wav\n"


def test_an_input_is_never_replaced(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("audio in disguise")
    result = run("echo", tmp_path / "x.txt", "-o", tmp_path, "--overwrite")
    assert result.exit_code == 2
    assert "is also an input" in result.stderr
    assert (tmp_path / "x.txt").read_text() == "audio in disguise"


def marked(folder: Path) -> None:
    """Change nothing that resume looks at, but something that shows whether a file was redone."""
    for path in folder.rglob("*.txt"):
        path.chmod(0o600)


def redone(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*.txt") if path.stat().st_mode & 0o777 != 0o600}


def test_resume_keeps_what_is_done(run: Run, talks: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    run("echo", talks, "-o", out)
    before = tree(out)
    marked(out)
    result = run("echo", talks, "-o", out, "--resume")
    assert (result.exit_code, redone(out)) == (1, set())
    assert tree(out) == before
    assert "3 of 10 files failed" in result.stderr


def test_resume_redoes_a_changed_input(run: Run, talks: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    run("echo", talks / "a", "-o", out)
    marked(out)
    (talks / "a/x.wav").write_text("this is new")
    run("echo", talks / "a", "-o", out, "--resume")
    assert redone(out) == {"x.txt"}
    assert (out / "x.txt").read_text() == "this is new\n"


def test_resume_redoes_a_damaged_output(run: Run, talks: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    run("echo", talks / "a", "-o", out)
    marked(out)
    (out / "y.txt").write_text("this is a/y.flaX\n")
    (out / "x.txt").unlink()
    run("echo", talks / "a", "-o", out, "--resume")
    assert (out / "y.txt").read_text() == "this is a/y.flac\n"
    assert (out / "x.txt").read_text() == "this is a/x.wav\n"


def test_resume_never_takes_another_input_of_the_same_name(
    run: Run, talks: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    (talks / "a/x.wav").write_text("of a")
    (talks / "b/x.wav").write_text("of b")
    for folder in "ab":  # as an archive unpacks them: all of one time
        os.utime(talks / folder / "x.wav", (1, 1))
    run("echo", talks / "a/x.wav", "-o", out)
    result = run("echo", talks / "b/x.wav", "-o", out, "--resume")
    assert (result.exit_code, (out / "x.txt").read_text()) == (2, "of a\n")
    assert f"was made of {talks / 'a/x.wav'}, not of {talks / 'b/x.wav'}" in result.stderr
    run("echo", talks / "b/x.wav", "-o", out, "--overwrite")
    assert (out / "x.txt").read_text() == "of b\n"


def test_a_name_as_long_as_names_may_be(run: Run, tmp_path: Path) -> None:
    long = tmp_path / ("é" * 125 + ".wav")
    long.write_text("this is long")
    assert run("echo", long, "-o", tmp_path / "o").exit_code == 0
    assert (tmp_path / "o" / ("é" * 125 + ".txt")).read_text() == "this is long\n"


@pytest.mark.parametrize("change", [["--beam-size", "1"], ["-f", "txt,srt"], ["--mode", "loud"]])
def test_resume_redoes_all_with_other_options(
    run: Run, talks: Path, tmp_path: Path, change: list[str]
) -> None:
    out = tmp_path / "o"
    run("echo", talks / "a", "-o", out)
    marked(out)
    run("echo", talks / "a", "-o", out, "--resume", *change)
    assert redone(out) == {"x.txt", "y.txt"}


def test_a_torn_or_forged_journal_is_no_proof(run: Run, talks: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    run("echo", talks / "a/x.wav", "-o", out)
    whole = (out / JOURNAL).read_bytes()
    forged = (
        b'[]\n{"output": []}\nnull\n{"output":"x","size":1,"mtime_ns":1,"options":"","files":[1]}\n'
    )
    (out / JOURNAL).write_bytes(forged + whole[:-20])
    marked(out)
    assert run("echo", talks / "a/x.wav", "-o", out, "--resume").exit_code == 0
    assert redone(out) == {"x.txt"}
    assert (out / JOURNAL).read_bytes() == forged + whole


def test_a_write_that_is_cut_short_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"before")

    def cut(part: Path, content: bytes) -> int:
        with part.open("wb") as file:
            file.write(content[:2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", cut)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, b"after")
    assert tree(tmp_path) == {"x.txt": b"before"}


def test_two_runs_do_not_write_to_one_folder(run: Run, talks: Path, tmp_path: Path) -> None:
    with open_folder(tmp_path / "o", "x"):
        result = run("echo", talks / "a/x.wav", "-o", tmp_path / "o")
        assert result.exit_code == 2
        assert "another run is writing to" in result.stderr
    assert run("echo", talks / "a/x.wav", "-o", tmp_path / "o").exit_code == 0


def test_a_folder_that_can_not_be_made_is_told_of(run: Run, talks: Path) -> None:
    result = run("echo", talks / "a/x.wav", "-o", talks / "v.opus/o")
    assert result.exit_code == 2
    assert "can't write to the output folder" in result.stderr


def test_a_full_disk_stops_the_run(
    run: Run, talks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("aural.cli.outputs.write_whole", full)
    result = run("echo", talks, "-o", tmp_path / "o")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].endswith("No space left on device")
    assert "files failed" not in result.stderr


# What is said


def test_nothing_moves_the_terminal(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2J\nb\u202e.wav"
    path.write_text("BAD")
    result = run("echo", path)
    assert len(result.stderr.splitlines()) == 1
    assert "\x1b" not in result.stderr
    assert "\u202e" not in result.stderr


def test_plain_keeps_letters() -> None:
    assert plain("naïve 日本 \x07\n") == "naïve 日本 \\x07\\n"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["transcibe", "x"], "did you mean transcribe or translate?"),
        (["zzz"], "one that `aural --help` lists"),
        (["echo", "--beam-sise", "1"], "--beam-size"),
        (["models", "lst"], "'list'"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(run: Run, typed: list[str], meant: str) -> None:
    result = run(*typed)
    assert result.exit_code == 2
    assert meant in result.stderr


# Live text


def test_live_text_is_the_text_that_files_get(run: Run, talks: Path, tmp_path: Path) -> None:
    (talks / "a/x.wav").write_text("one\ntwo\n\n  three ")
    (talks / "a/y.flac").write_text("")
    (talks / "a/bad.wav").write_text("four\nBREAK")
    result = run("echo", talks / "a")
    run("echo", talks / "a", "-o", tmp_path / "o")
    x, y = ((tmp_path / f"o/{name}.txt").read_text() for name in "xy")
    name = f"{talks}/a"
    assert x == "one\ntwo\nthree\n"
    assert result.stdout == (
        f"==> {name}/bad.wav <==\nfour\nBREAK\n\n"
        f"==> {name}/x.wav <==\n{x}\n"
        f"==> {name}/y.flac <==\n{y}\n"
    )


# Warnings


def test_a_warning_is_one_line_once_a_file(run: Run, talks: Path) -> None:
    (talks / "a/x.wav").write_text("WARN\nWARN")
    (talks / "a/y.flac").write_text("WARN")
    (talks / "a/bad.wav").unlink()
    result = run("echo", talks / "a")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        f"aural: '{talks}/a/{name}': it ends early" for name in ("x.wav", "y.flac")
    ]


def test_a_record_holds_the_warnings(run: Run, talks: Path) -> None:
    (talks / "a/x.wav").write_text("WARN")
    (talks / "a/bad.wav").write_text("WARN BREAK")
    records = [json.loads(line) for line in run("echo", talks / "a", "--json").stdout.splitlines()]
    told = {Path(record["input"]).name: record["warnings"] for record in records}
    assert told == {
        "bad.wav": [f"'{talks}/a/bad.wav': it ends early"],
        "x.wav": [f"'{talks}/a/x.wav': it ends early"],
        "y.flac": [],
    }


def test_a_warning_outside_the_batch_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    with audio_warnings(say):
        for _ in range(2):
            warnings.warn("'x.wav': it ends early\nhere", AudioWarning, stacklevel=1)
        with pytest.raises(RuntimeWarning):
            warnings.warn("another", RuntimeWarning, stacklevel=1)
    assert capsys.readouterr().err == "aural: 'x.wav': it ends early\\nhere\n"
