"""A .deb is unpacked whole or refused; nothing is written outside its folder."""

import contextlib
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from debs import deb, tar

from aural.errors import AuralError, LimitExceeded, UnsupportedFormat
from aural.store.archive import unpack_deb

FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


def unpack(content: bytes, tmp_path: Path, **options: object) -> dict[str, bytes]:
    """Unpack into tmp_path/out; what was written."""
    (tmp_path / "x.deb").write_bytes(content)
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    unpack_deb(tmp_path / "x.deb", out, **options)  # type: ignore[arg-type]
    files = (path for path in out.rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("member", ["data.tar", "data.tar.gz", "data.tar.xz"])
def test_regular_files(member: str, tmp_path: Path) -> None:
    data = tar(
        ("./usr", b"", tarfile.DIRTYPE), ("./usr/a", b"one", FILE), ("usr/b/ć", b"two", FILE)
    )
    content = deb(data, member=member)
    assert unpack(content, tmp_path) == {"usr/a": b"one", "usr/b/ć": b"two"}
    assert not (tmp_path / "out/usr/a").stat().st_mode & 0o7111, "no mode is taken over"
    shutil.rmtree(tmp_path / "out")
    assert unpack(content, tmp_path, keep=("usr/b/",)) == {"usr/b/ć": b"two"}


def test_the_same_as_dpkg(tmp_path: Path) -> None:
    """Our .deb writer makes what the format's own tool reads, where there is one."""
    (tmp_path / "x.deb").write_bytes(deb(tar(("./usr/a", b"one", FILE))))
    dpkg = shutil.which("dpkg-deb")
    if dpkg is not None:
        subprocess.run([dpkg, "-x", "x.deb", "theirs"], cwd=tmp_path, check=True)
        assert (tmp_path / "theirs/usr/a").read_bytes() == b"one"
    assert unpack((tmp_path / "x.deb").read_bytes(), tmp_path) == {"usr/a": b"one"}


@pytest.mark.parametrize("name", ["../evil", "./../evil", "a/../../evil", "/evil", ".//evil"])
def test_names_that_lead_out(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormat, match="leads out"):
        unpack(deb(tar((name, b"!", FILE))), tmp_path)
    assert not (tmp_path / "evil").exists()


def test_links_and_devices_are_passed_over(tmp_path: Path) -> None:
    content = deb(
        tar(
            ("usr/link", "/etc", LINK),
            ("usr/hard", "/etc/passwd", HARD),
            ("usr/device", b"", tarfile.CHRTYPE),
            ("usr/pipe", b"", tarfile.FIFOTYPE),
            ("usr/link/file", b"inside", FILE),
        )
    )
    assert unpack(content, tmp_path) == {"usr/link/file": b"inside"}
    assert not (tmp_path / "out/usr/link").is_symlink()
    assert not (tmp_path / "out/usr/hard").exists()


def test_expansion_is_bounded(tmp_path: Path) -> None:
    content = deb(tar(("usr/a", bytes(30_000_000), FILE)))
    assert len(content) < 20_000
    with pytest.raises(LimitExceeded, match="unpacks to more than 1000000 bytes"):
        unpack(content, tmp_path, max_bytes=1_000_000)


WHOLE = deb(tar(("usr/a", bytes(range(256)) * 200, FILE)))


@pytest.mark.parametrize("cut", [0, 8, 40, 68, 130, 200, 250, len(WHOLE) - 40])
def test_truncated(cut: int, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormat):
        unpack(WHOLE[:cut], tmp_path)


def test_damaged_anywhere_is_a_clear_error(tmp_path: Path) -> None:
    for position in range(8, len(WHOLE), 7):
        broken = bytearray(WHOLE)
        broken[position] ^= 0x5A
        with contextlib.suppress(AuralError):  # any other exception fails the test
            unpack(bytes(broken), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {"x.deb", "out", "links"}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"!<arch>\n", b"!<arch>\n" + b"x" * 60])
def test_not_a_deb(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormat):
        unpack(content, tmp_path)


def test_unknown_compression(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormat, match=r"data\.tar\.zst: allowed are"):
        unpack(deb(b"", member="data.tar.zst"), tmp_path)
