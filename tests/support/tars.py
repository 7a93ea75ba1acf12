"""Tars for tests: by our own writer, by Python's `tarfile`, and as an attacker would make them."""

import io
import tarfile
from collections.abc import Iterable
from typing import Any

from tierce.layer.entry import Content, Entry, Item, sort_key
from tierce.layer.reader import read_layer
from tierce.layer.writer import LayerResult, write_layer

END = bytes(1024)


def written(items: Iterable[Item], **options: Any) -> tuple[bytes, LayerResult]:
    """What our writer makes of items, sorted for it."""
    tar = bytearray()
    ordered: list[Item] = sorted(
        items, key=lambda item: (sort_key(item[0].path), item[0].kind == "opaque")
    )
    result = write_layer(ordered, tar.extend, **options)
    return bytes(tar), result


def file(path: str, content: bytes = b"", **fields: Any) -> Item:
    """A file that brings its content."""
    return Entry(path, "file", size=len(content), **{"mode": 0o644, **fields}), content


def entry(path: str, kind: str, mode: int = 0o755, **fields: Any) -> Item:
    """Anything without content."""
    return Entry(path, kind, mode, **fields), None


def from_disk(path: str, host_path: str, size: int, **fields: Any) -> Item:
    """A file whose content is on disk."""
    return Entry(path, "file", size=size, **fields), Content(host_path, 0, size)


def read(tar: bytes) -> list[tuple[Entry, bytes | None]]:
    """Entries and contents by our reader."""
    return [
        (each, None if content is None else content.read())
        for each, content in read_layer(io.BytesIO(tar))
    ]


def read_entries(tar: bytes) -> list[Entry]:
    return [each for each, _ in read_layer(io.BytesIO(tar))]


def python_tar(
    *members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes], format_: int = tarfile.PAX_FORMAT
) -> bytes:
    """A tar by Python's own writer."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format_) as tar:
        for member in members:
            info, content = member if isinstance(member, tuple) else (member, b"")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def info(name: str, type_: bytes = tarfile.REGTYPE, **fields: Any) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = type_
    for field, value in fields.items():
        setattr(member, field, value)
    return member


def raw_header(
    name: bytes = b"file",
    *,
    type_: bytes = b"0",
    size: bytes = b"00000000000\0",
    mode: bytes = b"0000644\0",
    uid: bytes = b"0000000\0",
    mtime: bytes = b"00000000000\0",
    link: bytes = b"",
    magic: bytes = b"ustar\x0000",
    rest: bytes = b"",
    checksum: bytes | None = None,
) -> bytes:
    """One header block, field by field; `rest` is what follows the magic."""
    block = bytearray(512)
    block[0:100] = name.ljust(100, b"\0")
    block[100:108] = mode
    block[108:116] = uid
    block[116:124] = b"0000000\0"
    block[124:136] = size.ljust(12, b"\0")
    block[136:148] = mtime.ljust(12, b"\0")
    block[148:156] = b" " * 8
    block[156:157] = type_
    block[157:257] = link.ljust(100, b"\0")
    block[257:265] = magic
    block[265 : 265 + len(rest)] = rest
    block[148:156] = checksum if checksum is not None else b"%06o\0 " % sum(block)
    return bytes(block)


def octal(number: int) -> bytes:
    return b"%011o\0" % number


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def pax_header(
    *records: tuple[bytes, bytes], raw: bytes | None = None, type_: bytes = b"x"
) -> bytes:
    """An extended header in front of an entry; `raw` takes the place of well-formed records."""
    body = raw if raw is not None else b"".join(pax_record(*each) for each in records)
    return raw_header(b"PaxHeaders.0/x", type_=type_, size=octal(len(body))) + padded(body)


def pax_record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while length != (needed := len(b"%d" % length) + len(key) + len(value) + 3):
        length = needed
    return b"%d %s=%s\n" % (length, key, value)
