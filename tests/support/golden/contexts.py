"""Makes the build context of a case from its description.

A context is data and not files in the repository, because git keeps neither owners nor set-id
bits, hard links, xattrs, devices or times. Each path maps to a text, or to a table:

    "a.txt" = "content"
    "b.sh" = { text = "…", mode = 0o4755, owner = [1, 2], xattrs = { "user.note" = "x" } }
    "dir" = { dir = true, mode = 0o700 }            a parent that nobody names has 0755
    "link" = { symlink = "a.txt" }
    "twin" = { hardlink = "a.txt" }
    "pipe" = { fifo = true }
    "null" = { char = [1, 3] }
    "x.tar.gz" = { tar = [ { path = "a", text = "…" }, … ], compression = "gzip" }
    "raw" = { hex = "00ff" }                        also: times = 3 repeats, cut = 9 shortens
"""

import bz2
import gzip
import io
import lzma
import os
import stat
import sys
import tarfile
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MTIME = 1577934245
"""2020-01-02 03:04:05 UTC, the time of every file unless it says another."""

Entry = str | dict[str, Any]

_TAR_TYPES = {
    "dir": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "fifo": tarfile.FIFOTYPE,
    "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
}


def write_context(root: Path, entries: dict[str, Entry], nanoseconds: int = 0) -> None:
    """Fill the directory `root`, which may be absent, with the entries.

    `nanoseconds` are added to every time. A tar does not show them, and BuildKit tells by them
    the files of one context from those of the next, when size and second are the same.
    """
    root.mkdir(parents=True, exist_ok=True)
    tables = {path: _table(entry) for path, entry in entries.items()}
    for path, entry in tables.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        _make(root, target, entry)
    # Making a file changes the time of its directory: times come last, the deepest first.
    for path, directories, files in os.walk(root, topdown=False):
        for name in [*directories, *files, "."]:
            place = os.path.normpath(os.path.join(path, name))
            entry = tables.get(os.path.relpath(place, root), {})
            mtime: int = entry.get("mtime", MTIME)
            time_ns = mtime * 10**9 + nanoseconds
            os.utime(place, ns=(time_ns, time_ns), follow_symlinks=False)


def content_of(entry: dict[str, Any]) -> bytes:
    """The bytes of a regular file."""
    if "tar" in entry:
        content = tar_of(entry["tar"])
    elif "hex" in entry:
        content = bytes.fromhex(entry["hex"])
    else:
        content = entry.get("text", "").encode() * entry.get("times", 1)
    return compress(content, entry.get("compression", "none"))[: entry.get("cut")]


def tar_of(members: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            info = tarfile.TarInfo(member["path"])
            [info.type] = [_TAR_TYPES[k] for k in _TAR_TYPES if k in member] or [tarfile.REGTYPE]
            info.mode = member.get("mode", 0o755 if info.isdir() else 0o644)
            info.uid, info.gid = member.get("owner", (0, 0))
            info.mtime = member.get("mtime", MTIME)
            info.linkname = member.get("symlink", member.get("hardlink", ""))
            info.devmajor, info.devminor = member.get("char", member.get("block", (0, 0)))
            info.pax_headers = {
                f"SCHILY.xattr.{name}": _xattr(value).decode("utf-8", "surrogateescape")
                for name, value in member.get("xattrs", {}).items()
            }
            content = content_of(member) if info.isreg() else b""
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def compress(data: bytes, kind: str) -> bytes:
    match kind:
        case "none":
            return data
        case "gzip":
            return gzip.compress(data, mtime=0)
        case "bzip2":
            return bz2.compress(data)
        case "xz":
            return lzma.compress(data)
        case "zstd":
            return bytes(zstd.compress(data))
    raise ValueError(f"no such compression: {kind}")


def _table(entry: Entry) -> dict[str, Any]:
    return {"text": entry} if isinstance(entry, str) else entry


def _make(root: Path, target: Path, entry: dict[str, Any]) -> None:
    path = str(target)
    mode = entry.get("mode")
    if "symlink" in entry:
        target.symlink_to(entry["symlink"])
    elif "hardlink" in entry:
        target.hardlink_to(root / entry["hardlink"])
        return
    elif "fifo" in entry:
        os.mkfifo(path)
    elif "char" in entry:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(*entry["char"]))
    elif "dir" in entry:
        target.mkdir(exist_ok=True)
        mode = 0o755 if mode is None else mode
    else:
        target.write_bytes(content_of(entry))
        mode = 0o644 if mode is None else mode
    if "owner" in entry:
        os.lchown(path, *entry["owner"])
    if mode is not None and "symlink" not in entry:  # after chown, which clears set-id bits
        target.chmod(mode)
    for name, value in entry.get("xattrs", {}).items():
        os.setxattr(path, name, _xattr(value), follow_symlinks=False)


def _xattr(value: str) -> bytes:
    return bytes.fromhex(value[2:]) if value.startswith("0x") else value.encode()
