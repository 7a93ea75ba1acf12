"""Takes out of an overlay's upper directory what is the same as in the layers beneath.

overlayfs copies a whole file up as soon as it is opened for writing, gets another name, or has
its attributes set, whether or not anything becomes different by that; and the directories above
it. As with BuildKit (util/overlay, sameDirent), no layer has such copies: a file is repeated in an
image only if it has changed.
"""

from __future__ import annotations

import os
import stat

from tierce.layer.host import host_entry, is_overlay_opaque, is_overlay_whiteout, unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tierce.layer.entry import Content, Entry
    from tierce.layer.view import MergedView

_CHUNK = 1 << 20
_FEW = 16
"""Files that are looked up one by one; of more, those with new names are sorted out at once."""


def drop_unchanged(upper: str, below: MergedView) -> None:
    """Remove from the upper directory what `below`, which it was mounted upon, has there already.

    A file is unchanged if its kind, owner, permissions, time, attributes and content are those of
    the file beneath, how many names either has does not count. A directory goes if nothing is left
    in it, and nothing but its time is another. Nobody may write to it, nor have it mounted.
    Raises LayerError for what cannot be read or removed.
    """
    pending = [_Directory("", upper, below)]
    while pending:
        directory = pending[-1]
        if directory.members:
            inner = directory.drop_next()
            if inner is not None:
                pending.append(inner)
            continue
        pending.pop()
        directory.restore_times()
        if pending and directory.is_unchanged and not directory.kept:
            pending[-1].remove(directory.path, directory.host_path, os.rmdir)


class _Directory:
    """A directory of both the upper directory and the layers beneath, being looked through."""

    __slots__ = ("_below", "_status", "host_path", "is_unchanged", "kept", "members", "path")

    def __init__(
        self, path: str, host_path: str, below: MergedView, *, is_unchanged: bool = False
    ) -> None:
        self.path = path
        self.host_path = host_path
        self.is_unchanged = is_unchanged
        self._below = below
        self._status: os.stat_result | None = None
        """Its times, once something was removed."""
        try:
            with os.scandir(host_path) as members:
                self.members = list(members)
        except OSError as error:
            raise unreadable(path, error) from error
        self.kept = len(self.members)
        """How many members it will have."""
        if self.kept > _FEW:
            names = below.names(path)
            self.members = [member for member in self.members if member.name in names]

    def drop_next(self) -> _Directory | None:
        """Look at one more member: it is dropped, or kept, or to be looked into first."""
        member = self.members.pop()
        path = f"{self.path}/{member.name}" if self.path else member.name
        try:
            status = member.stat(follow_symlinks=False)
            if is_overlay_whiteout(status):
                return None
            old = self._below.lookup(path)
            if old is None:
                return None
            if old.kind == "dir":
                if stat.S_ISDIR(status.st_mode) and not is_overlay_opaque(member.path):
                    same = _is_same(old, member.path, status)
                    return _Directory(path, member.path, self._below, is_unchanged=same)
                return None
            if not _is_same(old, member.path, status):
                return None
            if old.kind == "file" and not _has_content(member.path, self._below.content(old)):
                return None
        except OSError as error:
            raise unreadable(path, error) from error
        self.remove(path, member.path, os.unlink)
        return None

    def remove(self, path: str, host_path: str, how: Callable[[str], None]) -> None:
        """Remove a member."""
        try:
            if self._status is None:
                self._status = os.lstat(self.host_path)
            how(host_path)
        except OSError as error:
            raise unreadable(path, error) from error
        self.kept -= 1

    def restore_times(self) -> None:
        """Have the time that it had before anything was removed."""
        if self._status is not None:
            times = (self._status.st_atime_ns, self._status.st_mtime_ns)
            try:
                os.utime(self.host_path, ns=times, follow_symlinks=False)
            except OSError as error:
                raise unreadable(self.path, error) from error


def _is_same(old: Entry, host_path: str, status: os.stat_result) -> bool:
    """Whether all but the content of a file is as beneath; of a directory, but its time."""
    # Nearly all files differ here already, and the rest costs further calls.
    if (old.mode, old.uid, old.gid) != (
        stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid,
    ):  # fmt: skip
        return False
    if old.kind != "dir" and old.mtime_ns != status.st_mtime_ns:
        return False
    new = host_entry(old.path, host_path, status)
    return new is not None and new == old._replace(
        mtime_ns=status.st_mtime_ns, digest=new.digest, offset=new.offset
    )


def _has_content(host_path: str, content: Content) -> bool:
    """Whether a file has the bytes at `content`, which are as many."""
    with open(host_path, "rb", buffering=0) as new, open(content.path, "rb", buffering=0) as old:
        at, end = content.offset, content.offset + content.size
        while at < end:
            data = new.read(min(_CHUNK, end - at))
            if not data or data != os.pread(old.fileno(), len(data), at):
                return False
            at += len(data)
        return True
