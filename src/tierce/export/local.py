"""Puts the files of a result into a directory of the user's.

They go there as a tar goes into a snapshot (`layer.apply`): no symbolic link that is in the
directory, or in the result, leads out of it.
"""

from __future__ import annotations

import os
from collections import deque

from tierce.archive.filesystem import tree_items
from tierce.archive.output import unwritable
from tierce.errors import ArchiveError, LayerError
from tierce.layer.apply import apply_layer
from tierce.layer.entry import Entry
from tierce.store.streams import RegeneratedTar

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
    writing = _Writing(tree_items(tree, epoch), path, below, epoch)
    writing.run()
    if delete:
        _remove_others(path, writing.written)


class _Writing:
    """One copy under way: `written` are the paths that are there, once it is done."""

    def __init__(self, items: Iterator[Item], path: str, below: str, epoch: int | None) -> None:
        self._items = items
        self._path = path
        self._below = below
        self._epoch = epoch
        self._begun: deque[str] = deque()
        """What the tar has, but the directory has not yet."""
        self.written: set[str] = set()

    def run(self) -> None:
        owner = (os.geteuid(), os.getegid())
        try:
            with RegeneratedTar(self._announced()).buffered() as tar:
                apply_layer(
                    tar,
                    self._path,
                    whiteouts="remove",
                    id_map=lambda _uid, _gid: owner,
                    on_entry=self._done,
                )
        except (LayerError, OSError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            if isinstance(cause, OSError):
                name = self._begun[0] if self._begun else ""
                raise unwritable(os.path.join(self._path, name), cause) from error
            raise

    def _announced(self) -> Iterator[Item]:
        if self._below:
            seconds = 0 if self._epoch is None else self._epoch
            top = Entry(self._below, "dir", 0o755, mtime_ns=seconds * _NANOSECONDS)
            self._begun.append(top.path)
            yield top, None
        for entry, content in self._items:
            if self._below:
                entry = _moved(entry, self._below)
            if entry.xattrs:
                entry = entry._replace(xattrs=_harmless(entry.xattrs))
            self._begun.append(entry.path)
            yield entry, content

    def _done(self, entry: Entry) -> None:
        self.written.add(self._begun.popleft())


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
