"""Debian packages made by hand, good and hostile."""

import gzip
import io
import lzma
import tarfile


def tar(*members: tuple[str, bytes | str, bytes]) -> bytes:
    """A tar of (name, content, type) members; a link's content is its target."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.mode = 0o4777
            body = content if isinstance(content, bytes) else b""
            info.linkname = content if isinstance(content, str) else ""
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return out.getvalue()


def deb(data: bytes, *, member: str = "data.tar.xz") -> bytes:
    """A .deb with this data archive."""
    packed = {"data.tar.xz": lzma.compress, "data.tar.gz": gzip.compress}.get(member, bytes)(data)
    out = b"!<arch>\n"
    for name, content in (
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", b"odd"),
        (member, packed),
    ):
        out += f"{name:16}{0:<12}{0:<6}{0:<6}{'100644':8}{len(content):<10}`\n".encode()
        out += content + b"\n" * (len(content) % 2)
    return out
