"""Arguments become inputs, and each input has outputs of its own."""

import os
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aural.cli.inputs import distinct, gather
from aural.errors import InputError


def outputs(*arguments: object) -> list[str]:
    return [item.output.as_posix() for item in gather([str(argument) for argument in arguments])]


def test_a_folder_is_searched_by_suffix_and_mirrored(talks: Path) -> None:
    assert outputs(talks) == [
        *("bad", "v", "w"),
        *("a/bad", "a/x", "a/y"),
        *("b/bad", "b/x.mp3", "b/x.wav", "b/deep/z"),
    ]


def test_files_are_mirrored_below_what_holds_them_all(talks: Path) -> None:
    assert outputs(talks / "a/x.wav", talks / "b/x.wav") == ["a/x", "b/x"]
    assert outputs(talks / "a/x.wav", talks / "a/y.flac") == ["x", "y"]
    assert outputs(talks / "a", talks / "b/deep/z.ogg") == ["a/bad", "a/x", "a/y", "b/deep/z"]


def test_a_file_that_is_named_needs_no_suffix(talks: Path) -> None:
    assert outputs(talks / "notes.txt") == ["notes"]


def test_patterns_are_expanded(talks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(talks)
    assert [item.source for item in gather(["a/*.wav"])] == ["a/bad.wav", "a/x.wav"]
    assert outputs("a/*.wav") == ["bad", "x"]
    assert outputs("*/x.wav") == ["a/x", "b/x"]
    assert outputs("**/z.ogg") == ["b/deep/z"]
    assert outputs("[ab]")[:3] == ["a/bad", "a/x", "a/y"]


def test_a_pattern_never_leads_above_the_output_folder(
    talks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(talks / "a")
    assert not [name for name in outputs("../*/../v.opus") if ".." in name]


def test_a_file_whose_name_looks_like_a_pattern_is_itself(tmp_path: Path) -> None:
    (tmp_path / "x[1].wav").write_text("x")
    assert outputs(tmp_path / "x[1].wav") == ["x[1]"]


def test_what_is_given_twice_is_taken_once(talks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(talks)
    assert outputs("a/x.wav", "./a/x.wav", talks / "a/x.wav", "a/*x.wav", "-", "-") == [
        "x",
        "stdin",
    ]


def test_a_link_is_a_file_and_a_linked_folder_is_left(talks: Path) -> None:
    os.symlink(talks / "v.opus", talks / "link.wav")
    os.symlink(talks, talks / "a/loop")
    assert "link" in outputs(talks)
    assert not [name for name in outputs(talks) if "loop" in name]


def test_a_missing_file_is_left_to_the_reader() -> None:
    assert outputs("missing.wav") == ["missing"]


def test_nothing_found_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no audio file"):
        gather([str(tmp_path)])
    with pytest.raises(InputError, match="no file matches"):
        gather([str(tmp_path / "*.wav")])


def test_a_folder_that_may_not_be_looked_into_is_told_of(
    talks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    sources = [item.source for item in gather([str(talks)])]
    assert str(talks / "b/deep") in sources
    assert len(sources) == 10


def test_stdin_and_a_file_of_that_name_are_not_one_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("stdin").write_text("a file")
    with pytest.raises(InputError, match="would be one"):
        gather(["-", "stdin"])


@given(st.lists(st.text("ab.", min_size=1, max_size=6), unique=True))
def test_outputs_are_distinct(names: list[str]) -> None:
    paths = [PurePath("x") / name for name in names if PurePath(name).name not in {"", ".", ".."}]
    made = distinct(paths)
    assert len(set(made)) == len(set(paths))
