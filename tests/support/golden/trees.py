"""Reads an image in an OCI layout into a flat file tree and a config that can be compared.

The layers are applied here by `tarfile` and a dictionary, on purpose by other code than tierce's.
"""

import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PRESERVED_BEFORE = 1640995200
"""2022-01-01. The cases' own files are older: what is younger got its time from the build."""


class Inode(NamedTuple):
    """What all names of a file share."""

    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int = 0
    digest: str = ""
    link: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, str], ...] = ()


class FlatImage(NamedTuple):
    """`tree` maps each path to one line that says everything about the file, times aside.

    `times` has the modification time of files and links that kept an old one. Directories are
    left out: theirs tell in which order a builder wrote.
    """

    tree: dict[str, str]
    times: dict[str, int]
    config: dict[str, Any]
    layers: int


ReadBlob = Callable[[str], bytes]


def read_layout(directory: Path, wanted: str = "") -> FlatImage:
    """The image of an OCI layout; `wanted` is its name where there are several."""
    index = json.loads((directory / "index.json").read_bytes())

    def read_blob(digest: str) -> bytes:
        return (directory / "blobs" / digest.replace(":", "/")).read_bytes()

    return _read(index, read_blob, wanted)


def read_archive(archive: Path, wanted: str = "") -> FlatImage:
    """The image of an OCI layout in a tar, as `image save` writes it."""
    with tarfile.open(archive) as tar:

        def read(name: str) -> bytes:
            file = tar.extractfile(name)
            assert file is not None
            return file.read()

        index = json.loads(read("index.json"))
        return _read(index, lambda digest: read(f"blobs/{digest.replace(':', '/')}"), wanted)


def _read(index: dict[str, Any], read_blob: ReadBlob, wanted: str) -> FlatImage:
    manifests = index["manifests"]
    if wanted:
        manifests = [m for m in manifests if wanted in m.get("annotations", {}).values()]
    descriptor = manifests[0]
    document = json.loads(read_blob(descriptor["digest"]))
    if "manifests" in document:
        document = json.loads(read_blob(document["manifests"][0]["digest"]))
    config = json.loads(read_blob(document["config"]["digest"]))
    nodes: dict[str, list[Inode]] = {}
    for layer in document["layers"] or []:
        _apply(nodes, _decompressed(read_blob(layer["digest"])))
    tree, times = _lines(nodes)
    return FlatImage(tree, times, _comparable(config), len(document["layers"] or []))


def _decompressed(blob: bytes) -> bytes:
    if blob.startswith(b"\x1f\x8b"):
        return gzip.decompress(blob)
    if blob.startswith(b"\x28\xb5\x2f\xfd"):
        return bytes(zstd.decompress(blob))
    return blob


def _apply(nodes: dict[str, list[Inode]], layer: bytes) -> None:
    """Names of one inode share one list, so that a later change of one name leaves the others."""
    added: set[str] = set()  # whiteouts hide what is below this layer, never what is in it
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        for member in tar:
            path = _path(member.name)
            parent, _, name = path.rpartition("/")
            if name == ".wh..wh..opq":
                _remove_below(nodes, parent, added)
            elif name.startswith(".wh."):
                gone = f"{parent}/{name[4:]}".lstrip("/")
                _remove_below(nodes, gone, added)
                if gone not in added:
                    nodes.pop(gone, None)
            elif path not in {"", "."}:
                added.add(path)
                if not member.isdir():
                    _remove_below(nodes, path, set())
                shared = nodes[_path(member.linkname)] if member.islnk() else None
                nodes[path] = shared or [_inode(tar, member)]


def _path(name: str) -> str:
    return name.removeprefix("./").strip("/")


def _remove_below(nodes: dict[str, list[Inode]], directory: str, spared: set[str]) -> None:
    prefix = f"{directory}/" if directory else ""
    for path in [path for path in nodes if path.startswith(prefix) and path not in spared]:
        del nodes[path]


def _inode(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Inode:
    kinds = {
        tarfile.DIRTYPE: "dir",
        tarfile.SYMTYPE: "symlink",
        tarfile.FIFOTYPE: "fifo",
        tarfile.CHRTYPE: "char",
        tarfile.BLKTYPE: "block",
    }
    kind = kinds.get(member.type, "file")
    file = tar.extractfile(member) if kind == "file" else None
    content = file.read() if file else b""
    prefix = "SCHILY.xattr."
    xattrs = [
        (name.removeprefix(prefix), value.encode("utf-8", "surrogateescape").hex())
        for name, value in member.pax_headers.items()
        if name.startswith(prefix)
    ]
    return Inode(
        kind,
        member.mode & 0o7777,
        member.uid,
        member.gid,
        int(member.mtime),
        len(content),
        hashlib.sha256(content).hexdigest() if file else "",
        member.linkname if kind == "symlink" else "",
        (member.devmajor, member.devminor) if kind in {"char", "block"} else (0, 0),
        tuple(sorted(xattrs)),
    )


def _lines(nodes: dict[str, list[Inode]]) -> tuple[dict[str, str], dict[str, int]]:
    first_name: dict[int, str] = {}
    tree, times = {}, {}
    for path in sorted(nodes):
        inode = nodes[path][0]
        first = first_name.setdefault(id(nodes[path]), path)
        tree[path] = _line(inode) + (f" same as {first}" if first != path else "")
        if inode.mtime < PRESERVED_BEFORE and inode.kind != "dir":
            times[path] = inode.mtime
    return tree, times


def _line(inode: Inode) -> str:
    if inode.kind == "symlink":
        words = ["symlink", f"{inode.uid}:{inode.gid}", "->", inode.link]
    else:
        words = [inode.kind, f"{inode.mode:04o}", f"{inode.uid}:{inode.gid}"]
    if inode.kind == "file":
        words += [f"{inode.size} bytes", f"sha256:{inode.digest}"]
    if inode.kind in {"char", "block"}:
        words.append("{}:{}".format(*inode.device))
    words += [f"{name}=0x{value}" for name, value in inode.xattrs]
    return " ".join(words)


def _comparable(config: dict[str, Any]) -> dict[str, Any]:
    """The config without what differs from build to build and from machine to machine."""
    history = [
        {key: value for key, value in entry.items() if key != "created"}
        for entry in config.get("history", [])
    ]
    gone = {"architecture", "created", "history", "moby.buildkit.cache.v0", "rootfs", "variant"}
    return {k: v for k, v in config.items() if k not in gone} | {"history": history}
