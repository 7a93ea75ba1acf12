"""Directories to copy from and to, and what became of them, in a form that is easy to compare."""

import os
import shlex
from pathlib import Path
from typing import NamedTuple

from tierce.graph.ops import Copy, CopyPart
from tierce.layer.entry import Entry
from tierce.layer.index import LayerIndex
from tierce.layer.sources import DirectoryLayer, IndexLayer
from tierce.layer.view import MergedView, Tree
from tierce.layer.writer import write_layer
from tierce.worker.context import LocalTree
from tierce.worker.copy import Copier
from tierce.worker.digests import DigestCache
from tierce.worker.draft import LayerDraft
from tierce.worker.sources import find_sources, wanted_of

OLD_NS = 1_500_000_000_123_456_789
"""The time of every file that is made here; long enough ago to be remembered by."""


class Link(NamedTuple):
    """A symbolic link."""

    target: str


class HardLink(NamedTuple):
    """A further name of a file that came before, by its path."""

    path: str


class File(NamedTuple):
    """A file with more than content; `mode` None is the usual one."""

    text: str = ""
    mode: int | None = None
    owner: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()


class Directory(NamedTuple):
    """A directory with more than a name."""

    mode: int = 0o755
    owner: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()


Spec = str | None | Link | HardLink | File | Directory
"""Text is a file's content, None a directory."""


def make(root: Path, files: dict[str, Spec]) -> Path:
    """Make files below a directory; parents as they are needed."""
    root.mkdir(parents=True, exist_ok=True)
    for name, spec in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        match spec:
            case Link(target):
                path.symlink_to(target)
            case HardLink(other):
                path.hardlink_to(root / other)
            case None:
                path.mkdir(exist_ok=True)
            case Directory(mode, owner, xattrs):
                path.mkdir(exist_ok=True)
                _set(path, mode, owner, xattrs)
            case File(text, mode, owner, xattrs):
                path.write_text(text)
                _set(path, 0o644 if mode is None else mode, owner, xattrs)
            case str():
                path.write_text(spec)
    for directory, directories, names in os.walk(root):
        for name in [*directories, *names, ""]:
            path = Path(directory, name)
            os.utime(path, ns=(OLD_NS, OLD_NS), follow_symlinks=False)
    return root


def _set(
    path: Path, mode: int, owner: tuple[int, int], xattrs: tuple[tuple[str, bytes], ...]
) -> None:
    os.chown(path, *owner)
    path.chmod(mode)
    for name, value in xattrs:
        os.setxattr(path, name, value)


def copy_op(
    sources: tuple[str, ...],
    destination: str,
    owner: str = "",
    mode: str = "",
    *,
    unpack: bool = False,
    includes: tuple[str, ...] = (),
    excludes: tuple[str, ...] = (),
) -> Copy:
    """A COPY of one kind of sources, out of input 1."""
    part = CopyPart(1, sources, unpack=unpack, includes=includes)
    return Copy((part,), destination, owner, mode, excludes)


def carry_out(op: Copy, copier: Copier, tree: Tree) -> None:
    """Copy all parts of a COPY out of one tree."""
    for part in op.parts:
        copier.copy(part, tree, list(find_sources(tree, wanted_of(op, part))))


def directory_tree(root: Path) -> MergedView:
    """A directory as the file system of an image, with owners and all."""
    return MergedView([DirectoryLayer(str(root), overlay_whiteouts=False)])


def local_tree(root: Path, cache: Path | None = None) -> LocalTree:
    """A directory as a build context."""
    return LocalTree(str(root), None, DigestCache(str(cache or root.parent / "no-cache")))


def listing(tree: Tree, top: str = "") -> dict[str, str]:
    """What is in a tree, a line for each path, with what is not as usual for its kind."""
    return {entry.path: _line(tree, entry) for entry in tree.walk(top)}


def _line(tree: Tree, entry: Entry) -> str:
    words = [entry.kind] if entry.kind != "file" else []
    usual = {"file": 0o644, "dir": 0o755, "symlink": 0o777}.get(entry.kind)
    if entry.kind != "hardlink":
        words += [f"{entry.mode:o}"] if entry.mode != usual else []
        words += [f"{entry.uid}:{entry.gid}"] if (entry.uid, entry.gid) != (0, 0) else []
        words += [f"{name}={value.decode()}" for name, value in entry.xattrs]
    if entry.link:
        words.append(f"-> {entry.link}")
    if entry.device != (0, 0):
        words.append("{}:{}".format(*entry.device))
    if entry.kind == "file":
        words.append(shlex.quote(content_of(tree, entry)))
    return " ".join(words)


def content_of(tree: Tree, entry: Entry) -> str:
    where = tree.content(entry)
    with open(where.path, "rb") as file:
        file.seek(where.offset)
        return file.read(where.size).decode()


def on_top(draft: LayerDraft, base: Path | None, directory: Path) -> MergedView:
    """The file system that a draft gives on top of its base; `directory` is for the layer."""
    tar = directory / "layer.tar"
    with open(tar, "wb") as file:
        layer = write_layer(draft.items(), file.write)
    top = IndexLayer(LayerIndex.of(layer.entries), str(tar))
    if base is None:
        return MergedView([top])
    return MergedView([DirectoryLayer(str(base), overlay_whiteouts=False), top])
