"""Corpora: pinned packages from a directory or from an apt-get on the path."""

import hashlib
import re
import stat
import tarfile
from pathlib import Path

import pytest
from debs import deb, tar

from aural.errors import HashMismatch, UnknownName, Unreachable
from aural.store.corpora import (
    CORPORA,
    Corpus,
    Package,
    corpus_directory,
    ensure_corpus,
    path,
)

CONTENT = deb(
    tar(
        ("./usr/share/tiny/a.wav", b"RIFF", tarfile.REGTYPE),
        ("./usr/share/other/b", b"no", tarfile.REGTYPE),
    )
)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TINY = Package("tiny-data", "1:2.0-1", SHA256, len(CONTENT), keep=("usr/share/tiny/",))


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the package of the only corpus there is; no apt-get on the path."""
    monkeypatch.setitem(CORPORA, "tiny", Corpus((TINY,), "CC0-1.0", "one sound"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / "tiny-data_1%3a2.0-1_all.deb").write_bytes(CONTENT)
    return shelf


def install_apt_get(tmp_path: Path, script: str) -> None:
    """An apt-get that runs this shell script."""
    program = tmp_path / "bin" / "apt-get"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_from_a_directory(shelf: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Unreachable, match="type: aural data fetch tiny"):
        path("tiny")
    directory = ensure_corpus("tiny", source=shelf)
    assert path("tiny") == directory
    assert (directory / "usr/share/tiny/a.wav").read_bytes() == b"RIFF"
    assert not (directory / "usr/share/other").exists()
    assert "licence: CC0-1.0" in capfd.readouterr().err
    (shelf / "tiny-data_1%3a2.0-1_all.deb").unlink()
    assert ensure_corpus("tiny", offline=True) == directory


def test_by_apt_get(shelf: Path, tmp_path: Path) -> None:
    install_apt_get(tmp_path, f'[ "$1" = download ] || exit 3\necho "$@" >&2\ncp {shelf}/*.deb .')
    assert (ensure_corpus("tiny") / "usr/share/tiny/a.wav").exists()


def test_version_that_is_no_longer_served(shelf: Path, tmp_path: Path) -> None:
    install_apt_get(
        tmp_path, "echo \"E: Version '1:2.0-1' for 'tiny-data' was not found\"; exit 100"
    )
    with pytest.raises(Unreachable) as caught:
        ensure_corpus("tiny")
    message = str(caught.value)
    assert "was not found" in message
    assert "get tiny-data_1%3a2.0-1_all.deb and type: aural data fetch tiny --from DIR" in message
    assert not corpus_directory("tiny").exists()


def test_without_apt_get(shelf: Path) -> None:
    with pytest.raises(Unreachable, match=r"no apt-get here; get tiny-data_.* --from DIR"):
        ensure_corpus("tiny")
    with pytest.raises(Unreachable, match="offline was asked for"):
        ensure_corpus("tiny", offline=True)


def test_other_content_is_refused(shelf: Path, cache: Path) -> None:
    (shelf / "tiny-data_1%3a2.0-1_all.deb").write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(HashMismatch, match="is not the file pinned for tiny; not unpacked"):
        ensure_corpus("tiny", source=shelf)
    assert [item.name for item in (cache / "corpora").iterdir() if item.suffix != ".lock"] == []


def test_file_that_the_directory_lacks(shelf: Path, tmp_path: Path) -> None:
    (shelf / "tiny-data_1%3a2.0-1_all.deb").rename(shelf / "tiny-data_1:2.0-1_all.deb")
    assert ensure_corpus("tiny", source=shelf).is_dir()
    (tmp_path / "bare").mkdir()
    with pytest.raises(Unreachable, match=r"does not hold pocketsphinx-testdata_.*_all\.deb"):
        ensure_corpus("librivox", source=tmp_path / "bare")


def test_unknown_corpus_lists_the_names() -> None:
    with pytest.raises(UnknownName, match=r"asterisk-en, .*librivox"):
        ensure_corpus("libriwox")


@pytest.mark.parametrize("name", sorted(CORPORA))
def test_pins(name: str) -> None:
    corpus = CORPORA[name]
    assert corpus.licence
    assert corpus.description
    assert re.fullmatch(r"[a-z0-9-]+", name)
    for package in corpus.packages:
        assert re.fullmatch(r"[0-9a-f]{64}", package.sha256)
        assert package.size > 10_000
        assert all(prefix.startswith("usr/share/") for prefix in package.keep)
