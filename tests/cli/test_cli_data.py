"""aural data take, check and pack; docs/data.md shows what they print."""

import io
import json
import re
import shlex
import tarfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from standin_aural import Run

from aural.audio.write import write
from aural.cli.commands.data import command
from aural.data.check import KINDS, CheckOptions
from aural.data.manifest import read_manifest
from aural.types import Audio

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
TIMES = re.compile(r"first example after \d+\.\d{3} s")


@pytest.fixture
def here(tmp_path: Path, examples: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder but for the examples, with an empty cache."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "examples").symlink_to(examples)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("AURAL_CACHE", str(tmp_path / "cache"))
    return folder


def shown() -> list[tuple[str, str]]:
    """Commands of the page whose output it shows, and that output."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE, flags=re.S)
    parts = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.M)[1:]]
    return [tuple(part.split("\n", 1)) for part in parts]  # type: ignore[misc]


def lines(result: Result) -> str:
    return result.stdout + "".join(f"{line}\n" for line in result.stderr.splitlines())


def masked(text: str) -> str:
    """Without the amounts read: they depend on the decoders' own buffers."""
    return re.sub(r"aural: read .*", lambda line: re.sub(r"[\d.]+", "N", line[0]), text)


class TestPage:
    def test_its_commands_print_what_it_shows(self, run: Run, here: Path) -> None:
        assert len(shown()) >= 4
        for typed, expected in shown():
            _, *arguments = shlex.split(typed)
            found, wanted = (TIMES.sub("TIME", text) for text in (lines(run(*arguments)), expected))
            assert masked(found) == masked(wanted)

    @pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", PAGE, flags=re.S))
    def test_its_python_runs(
        self, code: str, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        exec(compile(code, "data.md", "exec"), {})
        assert capsys.readouterr().out.strip()

    def test_every_finding_and_option_is_named(self) -> None:
        rows = re.findall(r"^\| (`[^|]*`) \|", PAGE, flags=re.M)
        named = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}
        assert named == set(KINDS)
        options = {option for each in command.commands.values() for p in each.params
                   for option in p.opts}  # fmt: skip
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) <= options


class TestTake:
    def test_records(self, run: Run, here: Path) -> None:
        result = run("data", "take", 2, "examples/manifest.jsonl", "--json")
        first, second = map(json.loads, result.stdout.splitlines())
        assert result.exit_code == 0
        assert (first["seconds"], first["sample_rate"], first["language"]) == (7.1, 16000, "en")
        assert second["text"] == "he was not an ill disposed young man"

    def test_what_it_took_is_told(self, run: Run, here: Path) -> None:
        run("data", "pack", "examples/manifest.jsonl", "s", "--max-count", 1)
        time, read, written = run("data", "take", 1, "s-*.tar").stderr.splitlines()
        assert TIMES.search(time)
        size = sum(path.stat().st_size for path in here.glob("s-*.tar"))
        found = re.fullmatch(r"aural: read (\S+) kB of (\S+) kB \((\S+)%\)", read)
        assert found
        assert float(found[2]) == round(size / 1e3, 1)
        # The first of the shards, and what is read ahead of it.
        assert float(found[1]) <= (here / "s-000000.tar").stat().st_size / 1e3 + 0.1
        assert float(found[3]) < 60
        assert written == "aural: new on disk (cache and output): 0 bytes"

    def test_clips_count_as_written(self, run: Run, here: Path) -> None:
        result = run("data", "take", 1, "examples/manifest.jsonl", "-o", "out")
        size = sum(path.stat().st_size for path in (here / "out").iterdir())
        assert f"new on disk (cache and output): {size / 1e3:.1f} kB" in result.stderr
        (kept,) = read_manifest(here / "out/manifest.jsonl")
        assert kept.audio.is_file()

    def test_a_corpus_that_is_not_here(self, run: Run, here: Path) -> None:
        result = run("data", "take", 1, "corpus:librivox")
        assert result.exit_code == 4
        assert result.stderr == (
            "aural: corpus librivox is not on this machine; type: aural data fetch librivox\n"
        )

    def test_what_can_not_be_read_is_told(self, run: Run, here: Path) -> None:
        lines = [{"audio": "none.wav", "text": "\x1b[2J"}, {"audio": "examples/x", "text": ""}]
        (here / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
        result = run("data", "take", 5, "m.jsonl")
        assert result.exit_code == 1
        assert "\x1b" not in result.stdout
        assert "aural: none.wav: no such file\n" in result.stderr
        assert result.stdout.splitlines()[1].split()[:3] == ["none.wav", "-", "-"]

    def test_what_came_before_a_failure_is_told(self, run: Run, here: Path) -> None:
        good = json.dumps({"audio": "examples/sense_and_sensibility_0880.flac", "text": "he was"})
        (here / "m.jsonl").write_text(f"{good}\nthis line is wrong\n")
        result = run("data", "take", 5, "m.jsonl")
        assert result.exit_code == 2
        assert result.stdout.splitlines()[1].endswith("he was")
        told = result.stderr.splitlines()
        assert [line.split()[1] for line in told[:3]] == ["first", "read", "new"]
        assert "m.jsonl:2: not a JSON object" in told[3]

    def test_a_shard_names_no_other_file(self, run: Run, here: Path) -> None:
        labels = b'{"text": "hi", "audio_filepath": "/etc/passwd"}'
        sound = (here / "examples/sense_and_sensibility_0880.flac").read_bytes()
        with tarfile.open(here / "s.tar", "w") as archive:
            for name, data in (("a.flac", sound), ("a.json", labels)):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        assert run("data", "take", 1, "s.tar", "-o", "out").exit_code == 0
        (found,) = read_manifest(here / "out/manifest.jsonl")
        assert found.audio == here / "out/000000-a.flac"

    def test_it_does_not_take_its_own_output(self, run: Run, here: Path) -> None:
        result = run("data", "take", 1, ".", "-o", "some/out")
        assert (result.exit_code, "outside of it" in result.stderr) == (2, True)
        assert not (here / "some").exists()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("0", "examples"), "not in the range"),
            (("9" * 23, "examples"), "not in the range"),
            (("1", "nothing.jsonl"), "no such file"),
            (("1", "corpus:nothing"), "unknown labelled corpus 'nothing'"),
            (("1", "s-{0..3}.tar"), "no such shard (4 of 4)"),
            (("1", "empty.jsonl"), "no examples in it"),
        ],
    )
    def test_bad_usage(self, run: Run, here: Path, arguments: tuple, message: str) -> None:
        (here / "empty.jsonl").write_text("")
        result = run("data", "take", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr


class TestCheck:
    @pytest.fixture
    def faulty(self, here: Path) -> Path:
        """A silent recording with a text, and one that is missing."""
        write(here / "quiet.wav", Audio(np.zeros(16000, np.float32), 16000))
        lines = [{"audio": "quiet.wav", "text": "hello"}, {"audio": "no.wav", "text": "x"}]
        (here / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
        return here / "m.jsonl"

    def test_findings_are_listed(self, run: Run, faulty: Path) -> None:
        result = run("data", "check", "m.jsonl")
        assert result.stdout.splitlines()[-6:] == [
            "finding     count",
            "unreadable      1",
            "silence         1",
            "",
            "unreadable: no.wav: no.wav: no such file",
            "silence: quiet.wav: 100.0% of it below -60 dB",
        ]

    @pytest.mark.parametrize(
        ("options", "code"),
        [
            ((), 1),
            (("--fail-on", "silence"), 3),
            (("--fail-on", "clipping,silence"), 3),
            (("--fail-on", "clipping"), 1),
            (("--fail-on", "any"), 3),
            (("--ignore", "unreadable"), 0),
            (("--ignore", "silence,unreadable", "--fail-on", "any"), 0),
            (("--ignore", "unreadable", "--fail-on", "silence", "--max-silent", "1"), 0),
            (("--fail-on", "noise"), 2),
            (("--silence-db", "7"), 2),
            (("--silence-db=-inf", "--json"), 2),
            (("--max-characters", "inf", "--json"), 2),
            (("--split", "fold"), 2),
        ],
    )
    def test_exit_codes(self, run: Run, faulty: Path, options: tuple, code: int) -> None:
        assert run("data", "check", "m.jsonl", *options).exit_code == code

    def test_one_record(self, run: Run, faulty: Path) -> None:
        result = run("data", "check", "m.jsonl", "--json")
        record = json.loads(result.stdout)
        assert record["counts"] == {"unreadable": 1, "silence": 1}
        assert record["findings"][1]["id"] == "quiet.wav"
        assert record["sample_rates"] == {"16000": 1}

    def test_the_defaults_shown_are_the_options(self) -> None:
        shown = {
            param.name: re.search(r"\[default: (\S+)\]", param.help or "")
            for param in command.commands["check"].params
            if getattr(param, "help", None)
        }
        for each in fields(CheckOptions):
            found = shown[each.name]
            assert found
            assert float(found[1]) == each.default


class TestPack:
    def test_what_can_not_be_read_is_left_out(self, run: Run, here: Path) -> None:
        lines = [{"audio": "no.wav", "text": "x"}, {"audio": "examples/manifest.wav", "text": ""}]
        good = {"audio": "examples/sense_and_sensibility_0880.flac", "text": "he was"}
        (here / "m.jsonl").write_text("\n".join(map(json.dumps, [lines[0], good, lines[1]])))
        result = run("data", "pack", "m.jsonl", "s")
        assert result.exit_code == 1
        assert result.stdout == "s-000000.tar  1 examples, 52.7 kB\n"
        assert "no.wav: no such file" in result.stderr
        assert "2 recordings were left out" in result.stderr
        assert [each.text for each in read_manifest(here / "s-000000.tar")] == ["he was"]

    def test_what_is_no_sound_is_left_out(self, run: Run, here: Path) -> None:
        (here / "x.wav").write_text("no sound")
        (here / "m.jsonl").write_text(json.dumps({"audio": "x.wav", "text": ""}))
        result = run("data", "pack", "m.jsonl", "s")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "x.wav: its bytes are no recording" in result.stderr

    def test_shards_are_printed_as_they_are_made(self, run: Run, here: Path) -> None:
        good = json.dumps({"audio": "examples/sense_and_sensibility_0880.flac", "text": "he was"})
        (here / "m.jsonl").write_text(f"{good}\n{good}\nthis line is wrong\n")
        result = run("data", "pack", "m.jsonl", "s", "--max-count", 1)
        assert result.exit_code == 2
        assert result.stdout == "s-000000.tar  1 examples, 52.7 kB\n"

    def test_shards_that_are_there_stay(self, run: Run, here: Path) -> None:
        assert run("data", "pack", "examples/manifest.jsonl", "s").exit_code == 0
        before = (here / "s-000000.tar").read_bytes()
        result = run("data", "pack", "examples/manifest.jsonl", "s")
        assert (result.exit_code, "is there already" in result.stderr) == (2, True)
        assert (here / "s-000000.tar").read_bytes() == before

    def test_nothing_to_pack(self, run: Run, here: Path) -> None:
        (here / "m.jsonl").write_text("")
        result = run("data", "pack", "m.jsonl", "s")
        assert (result.exit_code, result.stderr) == (2, "aural: m.jsonl: no utterances to pack\n")
