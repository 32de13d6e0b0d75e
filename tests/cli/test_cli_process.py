"""What only a process of its own can show: exit codes, signals, pipes, start-up."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from standin_aural import TASK

from aural.cli.outputs import JOURNAL

STANDIN = [sys.executable, str(TASK.with_name("standin_aural.py"))]
Aural = Callable[..., subprocess.CompletedProcess[str]]

MOST_SECONDS = 0.4
"""`aural --help`, the best of up to twenty runs, since the tests may share their machine."""


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def start(*arguments: object) -> subprocess.Popen[str]:
    """The command running, as the leader of a group of its own.

    It minds SIGINT even where the tests run in the background of a shell, which ignores it.
    """
    return subprocess.Popen(
        [*STANDIN, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


def on_terminal(
    *arguments: object, stdin: bool = False, **environment: str
) -> tuple[subprocess.CompletedProcess[bytes], str]:
    """The command run with a terminal as its stderr (and stdin), and what that showed."""
    main, secondary = pty.openpty()
    try:
        done = subprocess.run(
            [*STANDIN, *map(str, arguments)],
            stdin=secondary if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=secondary,
            env={**os.environ, "TERM": "xterm", **environment},
            check=False,
            timeout=60,
        )
        os.set_blocking(main, False)
        shown = b""
        with suppress(BlockingIOError):
            while part := os.read(main, 1 << 16):
                shown += part
    finally:
        os.close(secondary)
        os.close(main)
    return done, shown.decode()


def wait_for(path: Path, seconds: float = 30.0) -> None:
    """Return once the file is there."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not come"
        time.sleep(0.005)


# Start-up


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from aural.cli.main import run; code = run(['--help']); "
        "heavy = {'numpy', 'scipy', 'ctranslate2', 'av', 'rich', 'torch', 'onnxruntime'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "doctor" in done.stdout


def test_help_takes_less_than_its_time() -> None:
    def once() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "aural", "--help"], capture_output=True, check=True)
        return time.perf_counter() - began

    assert any(once() < MOST_SECONDS for _ in range(20))


def test_each_command_helps_without_loading_anything_heavy() -> None:
    code = (
        "import sys; from aural.cli.main import cli, run\n"
        "for name in cli.list_commands(None): run([name, '--help'])\n"
        "heavy = {'numpy', 'scipy', 'ctranslate2', 'av', 'rich', 'torch', 'onnxruntime'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


# Exit codes


def test_exit_codes(aural: Aural, talks: Path) -> None:
    (talks / "net.wav").write_text("NET")
    assert aural("echo", talks / "v.opus").returncode == 0
    assert aural("echo", talks / "v.opus", talks / "bad.mp3").returncode == 1
    assert aural("echo", talks / "bad.mp3").returncode == 2
    assert aural("echo").returncode == 2
    assert aural("nonsense").returncode == 2
    assert aural("echo", talks / "net.wav").returncode == 4


def test_version(aural: Aural) -> None:
    done = aural("--version")
    assert (done.returncode, done.stderr) == (0, "")
    name, version = done.stdout.split()
    assert name == "aural"
    assert version[0].isdigit()


BUGGY = """
import click
from aural.cli.main import cli, main

@cli.command("break")
def break_() -> None:
    raise {error}

main()
"""


def broken(error: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BUGGY.format(error=error), "break"],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_a_bug_is_one_line_and_its_own_code() -> None:
    done = broken("RuntimeError('odd\\nthing')")
    assert done.returncode == 70
    assert done.stderr == "aural: bug: RuntimeError: odd\\nthing; AURAL_DEBUG=1 shows where\n"


def test_debug_shows_where() -> None:
    assert "Traceback" in broken("RuntimeError('odd')", AURAL_DEBUG="1").stderr


def test_a_task_error_has_its_code() -> None:
    done = broken("__import__('aural.errors').errors.MissingExtra('torch', 'torch')")
    assert done.returncode == 1
    assert done.stderr == "aural: torch is not installed; type: pip install 'aural[torch]'\n"


# Signals


def three(talks: Path) -> list[Path]:
    return [talks / name for name in ("a/x.wav", "v.opus", "w.m4a")]


def test_interrupted_it_leaves_whole_files_and_no_traceback(talks: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    process = start("echo", *three(talks), "-o", out, "--pause", "0.4")
    wait_for(out / "a/x.txt")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip() == "aural: interrupted"
    assert set(tree(out)) == {JOURNAL, "a/x.txt"}


def test_terminated_it_leaves_whole_files(talks: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    process = start("echo", *three(talks), "-o", out, "--pause", "0.4")
    wait_for(out / "a/x.txt")
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (143, "")
    assert set(tree(out)) == {JOURNAL, "a/x.txt"}


@pytest.mark.parametrize("killed_after", ["w.txt", "a/x.txt", "b/x.mp3.txt"])
def test_killed_and_resumed_it_gives_the_same_bytes(
    aural: Aural, talks: Path, tmp_path: Path, killed_after: str
) -> None:
    options = ("--pause", "0.05", "-f", "txt,srt,json")
    aural("echo", talks, "-o", tmp_path / "whole", *options)
    process = start("echo", talks, "-o", tmp_path / "killed", *options)
    wait_for(tmp_path / "killed" / killed_after)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert len(tree(tmp_path / "killed")) < len(tree(tmp_path / "whole"))
    resumed = aural("echo", talks, "-o", tmp_path / "killed", "--resume", *options)
    assert resumed.returncode == 1
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")


def test_a_part_left_by_a_kill_is_used_up(aural: Aural, talks: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    out.mkdir()
    (out / ".v.txt.part").write_text("this is ha")
    assert aural("echo", talks / "v.opus", "-o", out, "--resume").returncode == 0
    assert set(tree(out)) == {JOURNAL, "v.txt"}


# Pipes and terminals


def test_a_reader_that_leaves_is_no_error(talks: Path) -> None:
    process = start("echo", *[talks / "v.opus", talks / "w.m4a"], "--pause", "0.2")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(timeout=30) == 141
    assert process.stderr.read() == ""
    process.stderr.close()


def test_no_progress_where_stderr_is_no_terminal(aural: Aural, talks: Path, tmp_path: Path) -> None:
    done = aural("echo", talks / "a/x.wav", talks / "v.opus", "-o", tmp_path / "o")
    assert (done.stdout, done.stderr) == ("", "")


def test_progress_where_stderr_is_a_terminal(talks: Path, tmp_path: Path) -> None:

    done, shown = on_terminal(
        "echo", talks / "a/x.wav", talks / "v.opus", "-o", tmp_path / "o", "--pause", "0.15"
    )
    assert (done.returncode, done.stdout) == (0, b"")
    assert "1/2 files" in shown
    assert "x real time" in shown
    assert shown.endswith("\r\x1b[K")


def test_progress_within_a_file(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_text("one two\nthree\nfour", encoding="utf-8")
    done, shown = on_terminal("echo", path, "--pause", "0.15")
    assert done.stdout == b"one two\nthree\nfour\n"
    parts = [shown.index(f"{part} of 0:00:04") for part in ("50%", "75%", "100%")]
    assert parts == sorted(parts)
    assert "files" not in shown


def test_a_terminal_that_can_not_rewrite_is_left_alone(talks: Path) -> None:
    done, shown = on_terminal("echo", talks / "v.opus", TERM="dumb")
    assert (done.stdout, shown) == (b"this is v.opus\n", "")


def test_the_line_is_gone_before_a_message(talks: Path) -> None:
    (talks / "v.opus").write_text("NET")
    done, shown = on_terminal("echo", talks / "v.opus")
    assert done.returncode == 4
    assert "\r\x1b[Kaural: no source of the weights" in shown


def test_text_is_there_as_soon_as_it_is_found(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_text("one\ntwo\nthree")
    process = start("echo", path, "--pause", "0.5")
    assert process.stdout is not None
    assert process.stdout.readline() == "one\n"
    assert process.poll() is None
    rest, err = process.communicate(timeout=30)
    assert (rest, err) == ("two\nthree\n", "")


def test_a_person_without_an_argument_is_shown_the_help(aural: Aural) -> None:
    done, shown = on_terminal("echo", stdin=True)
    assert done.returncode == 2
    assert "--beam-size" in shown
    script = aural("echo")
    assert (script.returncode, "--beam-size" in script.stderr) == (2, False)


def test_results_are_utf8_in_any_locale(aural: Aural, tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_text("naïve 日本", encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = aural("echo", path, env=environment, text=False)
    assert done.stdout == "naïve 日本\n".encode()


def test_a_name_that_is_no_unicode_is_worked_on(aural: Aural, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.wav"
    with open(path, "w") as file:
        file.write("hello")
    done = aural("echo", tmp_path, "-o", tmp_path / "o", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["input"].endswith("\udcff.wav")
    assert os.listdir(os.fsencode(tmp_path / "o")).count(b"\xff.txt") == 1
    assert aural("echo", tmp_path, "-o", tmp_path / "o", "--resume").returncode == 0


def test_completion_scripts_are_of_their_shells(aural: Aural) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_AURAL_COMPLETE" in aural("completion", shell).stdout


def test_bash_is_given_commands_and_choices(aural: Aural) -> None:
    def offered(words: str, index: int) -> list[str]:
        wanted = {"_AURAL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(index)}
        return aural(env={**os.environ, **wanted}).stdout.split()

    assert set(offered("aural transcribe --model whisper/b", 3)) == {
        *("plain,whisper/base", "plain,whisper/base.en")
    }
    assert "plain,doctor" in offered("aural do", 1)
    assert set(offered("aural echo --mode ", 3)) == {"plain,plain", "plain,loud", "plain,1"}


# What the system refuses


@pytest.mark.parametrize("closed", ["stdin", "stdout", "stderr"])
def test_a_closed_stream_is_no_bug(talks: Path, closed: str) -> None:
    number = ["stdin", "stdout", "stderr"].index(closed)
    source = "-" if closed == "stdin" else str(talks / "v.opus")
    command = ["sh", "-c", f'exec "$@" {number}>&-', "sh", *STANDIN, "info", source]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "bug:" not in done.stderr
    if closed == "stdin":
        assert "standard input: the file is empty" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["echo", "-f", "txt"], ["echo", "--json"]])
def test_a_full_stdout_is_said_once(talks: Path, arguments: list[str]) -> None:
    files = [str(talks / "a/x.wav"), str(talks / "v.opus")] if "echo" in arguments else []
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*STANDIN, *arguments, *files],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "bug:" not in done.stderr


def test_a_name_that_is_too_long_stops_nothing_else(aural: Aural, talks: Path) -> None:
    done = aural("echo", "x" * 300 + ".wav", talks / "v.opus")
    assert (done.returncode, "File name too long" in done.stderr) == (1, True)
    assert "this is v.opus" in done.stdout


def test_the_file_s_offline_reaches_the_weights_store(
    aural: Aural, talks: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("offline = true\n")
    environment = {**os.environ, "AURAL_CONFIG": str(settings), "AURAL_CACHE": str(tmp_path / "c")}
    environment.pop("AURAL_MODELS", None)
    done = aural("detect-speech", talks / "v.opus", env=environment)
    assert (done.returncode, "offline was asked for" in done.stderr) == (4, True)
