"""Unpack the tar of a layer into a directory, without trusting it.

Every name is looked up in an open directory of the root, with symlinks resolved inside of the
root by the kernel (see `linux.rootfs`), and the last component of a path is never followed: there
is no path that a symlink could be swapped into.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from hashlib import sha256

from tierce.errors import CorruptLayer, LayerError
from tierce.layer.entry import Entry, LiveItem, keeps_xattr
from tierce.layer.host import is_overlay_whiteout
from tierce.layer.items import ItemReader
from tierce.layer.limits import DEFAULT_LIMITS, Limits
from tierce.layer.parents import Parent, Parents
from tierce.layer.pipeline import Stream
from tierce.layer.reader import TarReader
from tierce.layer.whiteouts import OverlayMarks, Removal, Whiteouts
from tierce.linux import userns
from tierce.values import Value

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL_BITS = 0o7000
_MODES_AT_MOST = 1000
# What the machine lacks, and no fault of the layer.
_MACHINE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE})


class Applied(Value):
    """What was unpacked: how many entries, and the bytes of their files."""

    entries: int
    bytes: int


def apply_layer(
    stream: Stream | TarReader,
    root: str,
    *,
    whiteouts: str,
    id_map: Callable[[int, int], tuple[int, int]] | None = None,
    implied: Callable[[str], Entry | None] | None = None,
    on_entry: Callable[[Entry], object] | None = None,
    hash_files: bool = False,
    skip_devices: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Applied:
    """Unpack an uncompressed layer into the directory `root`, and read the stream to its end.

    `whiteouts`: "overlay" unpacks this layer alone, as an upper directory of overlayfs with its
    marks for what is hidden; "remove" unpacks onto the layers beneath and removes what is hidden.
    `id_map` turns an owner (uid, gid) of the layer into one of the host; by default owners are
    kept by root, and everything belongs to the user otherwise. `implied` tells what a directory
    of the layers beneath is like, for directories that this layer has no entry for but something
    inside. `on_entry` sees each entry, in the order of the tar and with its offset (with its
    digest if `hash_files`), after it was unpacked. `skip_devices` leaves out device nodes, which
    only root can make.

    The same stream gives the same tree, whatever the umask is. On an error the tree is left half
    made: the caller removes it. Raises CorruptLayer, UnsafeLayer, LayerError for what this user
    may not make, and OSError if the machine fails (no space).
    """
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        unpacker = _Unpacker(root_fd, whiteouts, id_map, implied, skip_devices, limits)
        reader = stream if isinstance(stream, TarReader) else TarReader(stream, limits)
        return unpacker.run(reader, on_entry, hash_files)
    finally:
        os.close(root_fd)


def apply_items(
    items: Iterable[LiveItem],
    root: str,
    *,
    id_map: Callable[[int, int], tuple[int, int]] | None = None,
    on_entry: Callable[[Entry], object] | None = None,
) -> Applied:
    """Make items in the directory `root`, upon what is there, as `apply_layer` would from a tar.

    Whiteouts remove. Raises as `apply_layer`, but what was made before an error is whole.
    """
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    reader = ItemReader(items)
    try:
        unpacker = _Unpacker(root_fd, "remove", id_map, None, False, DEFAULT_LIMITS)
        return unpacker.run(reader, on_entry, False)
    finally:
        reader.close()
        os.close(root_fd)


class _Unpacker:
    """Makes the entries of one layer; `_file` runs once per file and is kept short."""

    def __init__(
        self,
        root_fd: int,
        whiteouts: str,
        id_map: Callable[[int, int], tuple[int, int]] | None,
        implied: Callable[[str], Entry | None] | None,
        skip_devices: bool,
        limits: Limits,
    ) -> None:
        self._parents = Parents(
            root_fd, self._implied, self._furnish, self._gives_way, limits.entries
        )
        self._below = implied
        self._own = (os.geteuid(), os.getegid())
        own = self._own
        keeps = id_map is None and own[0] == 0
        self._id_map = None if keeps else id_map or (lambda _uid, _gid: own)
        self._skip_devices = skip_devices
        self._whiteouts: Whiteouts = (
            Removal(self._parents) if whiteouts == "remove" else OverlayMarks(self._parents)
        )
        self._masked: dict[int, bool] = {}
        """Modes of files, and whether a new file gets another one than was asked for."""

    def run(
        self,
        reader: TarReader | ItemReader,
        on_entry: Callable[[Entry], object] | None,
        hash_files: bool,
    ) -> Applied:
        entries = total = 0
        try:
            self._start()
            while (entry := reader.next()) is not None:
                try:
                    digest = self._make(entry, reader, hash_files)
                except OSError as error:
                    raise _failure(entry, error) from error
                entries += 1
                total += entry.size
                if on_entry is not None:
                    on_entry(entry._replace(digest=digest) if digest else entry)
            self._parents.close()
        except BaseException:
            self._parents.abandon()
            raise
        reader.drain()
        return Applied(entries, total)

    def _start(self) -> None:
        """The root of an overlay's upper directory is what the merged root looks like."""
        if self._below is not None and isinstance(self._whiteouts, OverlayMarks):
            self._furnish(self._parents.get(""), self._implied(""), False)

    def _make(self, entry: Entry, reader: TarReader | ItemReader, hash_files: bool) -> bytes:
        kind = entry.kind
        digest = b""
        if kind == "file":
            digest = self._file(entry, reader, hash_files)
        elif kind == "dir":
            self._directory(entry)
            return b""
        elif kind == "whiteout":
            self._whiteouts.hide(entry.path)
            return b""
        elif kind == "opaque":
            self._whiteouts.hide_inside(entry.path)
            return b""
        elif kind == "hardlink":
            self._hard_link(entry)
        elif self._skip_devices and kind in {"char", "block"}:
            return b""
        else:
            self._node(entry)
        self._whiteouts.made(entry.path)
        return digest

    def _file(self, entry: Entry, reader: TarReader | ItemReader, hash_files: bool) -> bytes:
        above, _, name = entry.path.rpartition("/")
        parent = self._parents.get(above)
        mode = entry.mode
        try:
            descriptor = os.open(name, _CREATE, mode & 0o777, dir_fd=parent.descriptor)
        except FileExistsError:
            name = self._make_room(entry)
            parent = self._parents.get(above)
            descriptor = os.open(name, _CREATE, mode & 0o777, dir_fd=parent.descriptor)
        try:
            digest = _fill(descriptor, entry, reader, hash_files)
            chowned = self._chown(entry, descriptor, parent.inherits)
            masked = self._masked.get(mode)
            if masked is None:
                masked = self._learn_mask(descriptor, mode)
            if masked or chowned:
                os.fchmod(descriptor, mode)
            if entry.xattrs:
                _set_xattrs(descriptor, entry)
            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
        except BaseException:
            # Half a file in a tree that somebody keeps would pass for a whole one.
            os.unlink(name, dir_fd=parent.descriptor)
            raise
        finally:
            os.close(descriptor)
        if name != entry.path.rpartition("/")[2]:
            at = parent.descriptor
            os.rename(name, entry.path.rpartition("/")[2], src_dir_fd=at, dst_dir_fd=at)
        return digest

    def _make_room(self, entry: Entry) -> str:
        """Where to write a file whose name is taken: another file stays until it is complete."""
        status = self._parents.status(entry.path)
        if stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode):
            self._parents.clear(entry.path)
            return entry.path.rpartition("/")[2]
        return f".partial-{os.urandom(8).hex()}"

    def _learn_mask(self, descriptor: int, mode: int) -> bool:
        """Whether the umask (or a default ACL) changes files made with `mode`.

        Asking for the umask would change it for all threads of the process.
        """
        masked = bool(mode & _SPECIAL_BITS) or stat.S_IMODE(os.fstat(descriptor).st_mode) != mode
        if len(self._masked) < _MODES_AT_MOST:
            self._masked[mode] = masked
        return masked

    def _chown(
        self, entry: Entry, target: int | str, inherits: bool, dir_fd: int | None = None
    ) -> bool:
        owner = (entry.uid, entry.gid)
        if self._id_map is not None:
            owner = self._id_map(*owner)
        if owner == self._own and not inherits:
            return False
        if isinstance(target, int):
            os.fchown(target, *owner)
        else:
            os.chown(target, *owner, dir_fd=dir_fd, follow_symlinks=False)
        return True

    def _directory(self, entry: Entry) -> None:
        if not entry.path:
            self._furnish(self._parents.get(""), entry, False)
            return
        try:
            self._parents.make(entry)
        except FileExistsError:
            if stat.S_ISDIR(self._parents.status(entry.path).st_mode):
                self._furnish(self._parents.get(entry.path), entry, False)
                return
            self._parents.clear(entry.path)
            self._whiteouts.replaced(self._parents.make(entry))

    def _furnish(self, parent: Parent, entry: Entry, replaces_whiteout: bool) -> None:
        """Give a directory the owner and attributes of an entry; mode and times come later."""
        owner = (entry.uid, entry.gid)
        if self._id_map is not None:
            owner = self._id_map(*owner)
        if owner != parent.owner:
            os.fchown(parent.descriptor, *owner)
            parent.owner = owner
        for name in os.listxattr(parent.descriptor):
            if keeps_xattr(name):
                os.removexattr(parent.descriptor, name)
        _set_xattrs(parent.descriptor, entry)
        if replaces_whiteout:
            self._whiteouts.replaced(parent)
        parent.mode = entry.mode
        parent.mtime_ns = entry.mtime_ns
        self._whiteouts.made_directory(parent)

    def _implied(self, path: str) -> Entry:
        """What a directory without an entry is like: as beneath, or plain."""
        below = self._below(path) if self._below is not None else None
        return below if below is not None and below.kind == "dir" else Entry(path, "dir", 0o755)

    def _gives_way(self, path: str, status: os.stat_result) -> bool:
        return self._whiteouts.gives_way(path, status)

    def _hard_link(self, entry: Entry) -> None:
        above, _, name = entry.path.rpartition("/")
        target_above, _, target_name = entry.link.rpartition("/")
        for attempt in (1, 2):
            parent, target_parent = self._parents.pair(above, target_above)
            try:
                if target_parent is None:
                    raise FileNotFoundError
                status = os.stat(
                    target_name, dir_fd=target_parent.descriptor, follow_symlinks=False
                )
                if is_overlay_whiteout(status) or stat.S_ISDIR(status.st_mode):
                    raise FileNotFoundError
                os.link(
                    target_name,
                    name,
                    src_dir_fd=target_parent.descriptor,
                    dst_dir_fd=parent.descriptor,
                    follow_symlinks=False,
                )
                return
            except FileNotFoundError:
                raise CorruptLayer(
                    f"unpack layer entry {entry.path}: no file {entry.link} to link to",
                    entry=entry.path,
                ) from None
            except FileExistsError:
                if attempt == 2:
                    raise
                self._parents.clear(entry.path)

    def _node(self, entry: Entry) -> None:
        above, _, name = entry.path.rpartition("/")
        try:
            self._make_node(entry, name, self._parents.get(above))
        except FileExistsError:
            self._parents.clear(entry.path)
            self._make_node(entry, name, self._parents.get(above))

    def _make_node(self, entry: Entry, name: str, parent: Parent) -> None:
        at = parent.descriptor
        if entry.kind == "symlink":
            os.symlink(entry.link, name, dir_fd=at)
        elif entry.kind == "fifo":
            os.mkfifo(name, entry.mode, dir_fd=at)
        else:
            type_ = stat.S_IFCHR if entry.kind == "char" else stat.S_IFBLK
            try:
                os.mknod(name, type_ | entry.mode, os.makedev(*entry.device), dir_fd=at)
            except PermissionError as error:
                raise LayerError(
                    f"unpack layer entry {entry.path}: only root can make device nodes",
                    entry=entry.path,
                ) from error
        self._chown(entry, name, parent.inherits, at)
        if entry.kind != "symlink":
            # It was made a moment ago in a directory that nobody else can write to.
            os.chmod(name, entry.mode, dir_fd=at)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=at, follow_symlinks=False)


def _fill(descriptor: int, entry: Entry, reader: TarReader | ItemReader, hash_files: bool) -> bytes:
    """Write the content of a file; its sha256 if wanted (not of sparse files)."""
    if reader.extents is not None:
        _fill_sparse(descriptor, entry, reader)
        return b""
    if not entry.size:
        return sha256().digest() if hash_files else b""
    piece = reader.chunk()
    hasher = sha256(piece) if hash_files else None
    _write(descriptor, piece)
    while reader.left:
        piece = reader.chunk()
        if hasher is not None:
            hasher.update(piece)
        _write(descriptor, piece)
    return hasher.digest() if hasher is not None else b""


def _fill_sparse(descriptor: int, entry: Entry, reader: TarReader | ItemReader) -> None:
    rest = memoryview(b"")
    for offset, length in reader.extents or ():
        os.lseek(descriptor, offset, os.SEEK_SET)
        while length:
            rest = rest or reader.chunk()
            piece = rest[:length]
            _write(descriptor, piece)
            rest = rest[len(piece) :]
            length -= len(piece)
    os.ftruncate(descriptor, entry.size)


def _write(descriptor: int, piece: memoryview) -> None:
    written = os.write(descriptor, piece)
    while written < len(piece):
        written += os.write(descriptor, piece[written:])


def _set_xattrs(descriptor: int, entry: Entry) -> None:
    for name, value in entry.xattrs:
        try:
            os.setxattr(descriptor, name, value)
        except OSError as error:
            # As docker: a file system without user attributes is no reason to refuse an image,
            # but without its capabilities a program does not work.
            if error.errno == errno.ENOTSUP and name.startswith("user."):
                continue
            if error.errno == errno.EPERM and os.geteuid() != 0:
                continue
            raise


def _failure(entry: Entry, error: OSError) -> Exception:
    if error.errno in _MACHINE_ERRORS:
        return error
    reason, hint = error.strerror, ""
    if error.errno == errno.EINVAL and not userns.in_first():
        reason = f"owner {entry.uid}:{entry.gid} is none of this user namespace"
        hint = userns.more_ids()
    return LayerError(f"unpack layer entry {entry.path}: {reason}", entry=entry.path, hint=hint)
