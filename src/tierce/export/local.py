"""Puts the files of a result into a directory of the user's.

They go there as a layer goes into a snapshot (`layer.apply`): no symbolic link that is in the
directory, or in the result, leads out of it.
"""

from __future__ import annotations

import os

from tierce.archive.filesystem import tree_items
from tierce.archive.output import unwritable
from tierce.errors import ArchiveError, LayerError
from tierce.layer.apply import apply_items
from tierce.layer.entry import Entry

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tierce.layer.entry import Item
    from tierce.layer.view import Tree

_NANOSECONDS = 1_000_000_000
_NEW_MODE = 0o700  # as buildx makes it


def write_directory(
    tree: Tree,
    path: str,
    *,
    below: str = "",
    epoch: int | None = None,
    delete: bool = False,
) -> None:
    """Copy all of a file tree into the directory `path`, which is made if it is not there.

    Everything belongs to the user; modes, times, links, devices and attributes are kept, but no
    capabilities, and with an `epoch` (seconds since 1970) that is the time of each file. What is
    there already stays, unless the tree has something of that name; with `delete` all else is
    removed, in the end.
    `below` is a subdirectory for it all. When it fails, no half-written file is left, but those
    before it are there. Raises ArchiveError, LayerError.
    """
    try:
        os.makedirs(path, _NEW_MODE, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    owner = (os.geteuid(), os.getegid())
    names = _Names()
    items = names.watch(_items(tree, below, epoch))
    try:
        apply_items(items, path, id_map=lambda _uid, _gid: owner)
    except (LayerError, OSError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if isinstance(cause, OSError):
            raise unwritable(os.path.join(path, names.last), cause) from error
        raise
    if delete:
        _remove_others(path, names.all)


class _Names:
    """What a directory gets: `all` the paths, and the `last` one that was begun."""

    def __init__(self) -> None:
        self.all: set[str] = set()
        self.last = ""

    def watch(self, items: Iterator[Item]) -> Iterator[Item]:
        """Pass items on, and remember their paths."""
        for item in items:
            self.last = item[0].path
            self.all.add(self.last)
            yield item


def _items(tree: Tree, below: str, epoch: int | None) -> Iterator[Item]:
    """All of a tree as it goes to the user, inside a directory if `below` is one."""
    if below:
        seconds = 0 if epoch is None else epoch
        yield Entry(below, "dir", 0o755, mtime_ns=seconds * _NANOSECONDS), None
    for entry, content in tree_items(tree, epoch):
        if below:
            entry = _moved(entry, below)
        if entry.xattrs:
            entry = entry._replace(xattrs=_harmless(entry.xattrs))
        # As from a tar, also where the files are in a directory now.
        yield entry._replace(mtime_ns=entry.mtime_ns // _NANOSECONDS * _NANOSECONDS), content


def _harmless(xattrs: tuple[tuple[str, bytes], ...]) -> tuple[tuple[str, bytes], ...]:
    """Without capabilities: as from BuildKit, whose client gives files their owner last.

    The kernel takes capabilities from a file that changes hands, and these were another's.
    """
    return tuple(each for each in xattrs if each[0] != "security.capability")


def _moved(entry: Entry, below: str) -> Entry:
    path = f"{below}/{entry.path}"
    if entry.kind == "hardlink":
        return entry._replace(path=path, link=f"{below}/{entry.link}")
    return entry._replace(path=path)


def _remove_others(top: str, kept: set[str]) -> None:
    """Remove what is in a directory, and in those of its directories that are kept, else."""
    import shutil  # few ask for this

    pending = [""]
    while pending:
        directory = pending.pop()
        try:
            with os.scandir(os.path.join(top, directory)) as members:
                for member in sorted(members, key=lambda each: each.name):
                    path = f"{directory}/{member.name}" if directory else member.name
                    if member.is_dir(follow_symlinks=False):
                        if path in kept:
                            pending.append(path)
                        else:
                            shutil.rmtree(member.path)
                    elif path not in kept:
                        os.unlink(member.path)
        except OSError as error:
            raise ArchiveError(
                f"remove {error.filename or top}: {(error.strerror or str(error)).lower()}"
            ) from error
