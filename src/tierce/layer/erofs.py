"""A layer as an EROFS image: its metadata alone, while the bytes of files stay in the tar.

Unpacking makes every file; this makes one file of about a hundred bytes per entry, which the
kernel mounts. The image has blocks of 512 bytes, as a tar has, and a device table: the tar is a
second device, whose blocks come right behind the image's own in one space of addresses, and the
content of a file is one run of blocks there (kernel, Documentation/filesystems/erofs.rst and
fs/erofs/erofs_fs.h; https://erofs.docs.kernel.org). What is mounted looks as the same layer does
when `apply` has unpacked it with the marks of overlayfs, to be a lower layer of that.

    0      for whoever keeps the image (`IMAGE_SPARE` bytes, which EROFS does not look at)
    1024   the superblock, then the device table
    1280   inodes, the root first: an inode's number is its place in units of 32 bytes
    …      directories and long symlinks, in blocks
"""

from __future__ import annotations

import stat
import struct
from itertools import accumulate
from struct import Struct

from tierce.layer.entry import Entry, decode_path, encode_path

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from tierce.layer.index import LayerIndex

    Member = tuple[bytes, int, int]
    """Name, inode number, type: what a directory says of what is in it."""

IMAGE_SPARE = 1024
"""Bytes at the head of an image that are the caller's."""

_BLOCK = 512
_BLOCK_BITS = 9
_SLOT = 32
_MAGIC = 0xE0F5E1E2
_OWN_TIMES = 0x2  # feature_compat: EROFS_FEATURE_COMPAT_MTIME
_DEVICE_TABLE = 0x8  # feature_incompat: EROFS_FEATURE_INCOMPAT_DEVICE_TABLE
_SUPERBLOCK = Struct("<I4xIB1xHQ12xI8x16s16xI2xHH38x")
_DEVICE = Struct("<64xII56x")
_INODES = IMAGE_SPARE + _SUPERBLOCK.size + _DEVICE.size
_ROOT = _INODES // _SLOT
_TAR = 1 << 31
"""Where in the space of addresses the tar begins, in blocks: behind any image."""
_PLAIN, _INLINE = 0 << 1 | 1, 2 << 1 | 1  # i_format: where the data is; "1" is a long inode
_INODE = Struct("<HHH2xQIIIIqII16x")
_DIRENT = Struct("<QHBx")
_XATTRS_SIZE = 12
_XATTR = Struct("<BBH")
_XATTR_PREFIXES = (("user.", 1), ("trusted.", 4), ("security.", 6))
_OPAQUE = ("trusted.overlay.opaque", b"y")
_CAPABILITY = "security.capability"
_CAPABILITY_SIZE, _CAPABILITY_VERSION = 20, 2  # linux/capability.h: VFS_CAP_REVISION_2

_SECOND = 1_000_000_000
_NAME_MAX = 255
_LINK_MAX = 4095
_XATTR_MAX = (1 << 16) - 1
_DIRECTORY = 2
_TYPES = {
    "file": (stat.S_IFREG, 1),
    "dir": (stat.S_IFDIR, _DIRECTORY),
    "symlink": (stat.S_IFLNK, 7),
    "char": (stat.S_IFCHR, 3),
    "whiteout": (stat.S_IFCHR, 3),  # a device 0/0 is what overlayfs takes for one
    "block": (stat.S_IFBLK, 4),
    "fifo": (stat.S_IFIFO, 5),
}
"""The types of files in inodes, and in directories."""


def make_image(
    index: LayerIndex,
    tar_size: int,
    identity: bytes,
    implied: Callable[[str], Entry | None] | None = None,
) -> bytes | None:
    """The image of a layer whose plain tar has `tar_size` bytes; None for what EROFS cannot say.

    That is: files that are not in one piece in the tar (sparse ones), names, numbers and
    attributes out of bounds. `identity` are 16 bytes by which the kernel tells file systems
    apart. `implied` tells what a directory of the layers beneath is like, for directories that
    this layer has no entry for; "" is the root. The same arguments give the same bytes.
    """
    try:
        return _Image(tar_size, implied).encode(index, identity)
    except (_CannotSay, struct.error):  # the latter where a number is too large for its field
        return None


def read_root(path: str | os.PathLike[str]) -> Entry:
    """The root directory of the image in a file. Raises OSError."""
    with open(path, "rb") as file:
        file.seek(_INODES)
        inode = file.read(_INODE.size)
        _, units, mode, _, _, _, uid, gid, seconds, rest, _ = _INODE.unpack(inode)
        tail = file.read(_XATTRS_SIZE + (units - 1) * _XATTR.size) if units else b""
    xattrs = []
    at = _XATTRS_SIZE
    while at < len(tail):
        length, number, size = _XATTR.unpack_from(tail, at)
        middle = at + _XATTR.size + length
        prefix = next(prefix for prefix, known in _XATTR_PREFIXES if known == number)
        name = prefix + decode_path(tail[at + _XATTR.size : middle])
        xattrs.append((name, tail[middle : middle + size]))
        at = middle + size + -(middle + size) % _XATTR.size
    mtime_ns = seconds * _SECOND + rest
    return Entry("", "dir", mode & 0o7777, uid, gid, mtime_ns=mtime_ns, xattrs=tuple(xattrs))


class _CannotSay(Exception):
    """The layer has something that an image cannot have. Never leaves this module."""


class _Image:
    """An image that is being made: first every inode gets its place, then all is written."""

    def __init__(self, tar_size: int, implied: Callable[[str], Entry | None] | None) -> None:
        self._tar_size = tar_size
        self._implied = implied
        self._nodes: list[Entry] = []
        """An entry for each inode, the root first."""
        self._tails: dict[str, bytes] = {}
        """What follows an inode: attributes, or what a symlink says."""
        self._places: list[int] = []
        self._members: dict[str, list[Member]] = {}
        self._names: dict[str, int] = {}
        """How many names a file has that has several."""

    def encode(self, index: LayerIndex, identity: bytes) -> bytes:
        links, opaque = self._sort_out(index)
        end = self._place(opaque)
        self._fill_directories(links)
        image = bytearray(end + -end % _BLOCK)
        self._write_inodes(image)
        if len(image) // _BLOCK >= _TAR or -(-self._tar_size // _BLOCK) > _TAR:
            raise _CannotSay
        _SUPERBLOCK.pack_into(
            image, IMAGE_SPARE, _MAGIC, _OWN_TIMES, _BLOCK_BITS, _ROOT, len(self._nodes),
            len(image) // _BLOCK, identity, _DEVICE_TABLE, 1,
            (_INODES - _DEVICE.size) // _DEVICE.size,
        )  # fmt: skip
        _DEVICE.pack_into(image, _INODES - _DEVICE.size, -(-self._tar_size // _BLOCK), _TAR)
        return bytes(image)

    def _sort_out(self, index: LayerIndex) -> tuple[list[Entry], set[str]]:
        """Finds the inodes; returns the hard links, and the paths of opaque directories."""
        directories: dict[str, Entry] = {}
        others: list[Entry] = []
        links: list[Entry] = []
        opaque: set[str] = set()
        entries = list(index)
        for entry in entries:
            kind = entry.kind
            if kind == "dir":
                directories[entry.path] = entry
            elif kind == "hardlink":
                links.append(entry)
            elif kind == "opaque":
                opaque.add(entry.path)
            else:
                others.append(entry)
        if not index.has_all_parents:
            for entry in entries:
                path = entry.path
                missing = path if entry.kind == "opaque" else path.rpartition("/")[0]
                while missing and missing not in directories:
                    directories[missing] = self._below(missing)
                    missing = missing.rpartition("/")[0]
        root = directories.pop("", None) or self._below("")
        self._nodes = [root, *directories.values(), *others]
        self._members = {path: [] for path in ("", *directories)}
        return links, opaque

    def _below(self, path: str) -> Entry:
        """What a directory without an entry is like: as beneath, or plain."""
        entry = self._implied(path) if self._implied is not None else None
        return entry if entry is not None and entry.kind == "dir" else Entry(path, "dir", 0o755)

    def _place(self, opaque: set[str]) -> int:
        """Gives each inode its place; returns where the last one ends."""
        at = _INODES
        for node in self._nodes:
            size = _INODE.size
            if node.kind == "symlink":
                # Short targets follow the inode, in the same block.
                target = encode_path(node.link)
                if not 0 < len(target) <= _LINK_MAX:
                    raise _CannotSay
                if size + len(target) <= _BLOCK:
                    self._tails[node.path] = target
                    size += len(target)
                    if at % _BLOCK + size > _BLOCK:
                        at += -at % _BLOCK
            elif node.xattrs or node.path in opaque:
                tail = _attributes(node, opaque=node.path in opaque)
                if tail:
                    self._tails[node.path] = tail
                    size += len(tail)
            self._places.append(at)
            at += size + -size % _SLOT
        return at

    def _fill_directories(self, links: Iterable[Entry]) -> None:
        """Lists in each directory what is in it, hard links too."""
        members = self._members
        targets = {link.link: (0, "") for link in links}
        try:
            for node, place in zip(self._nodes, self._places):
                path = node.path
                if path in targets:
                    targets[path] = (place, node.kind)
                if path:
                    above, _, name = path.rpartition("/")
                    members[above].append((_name(name), place // _SLOT, _TYPES[node.kind][1]))
            for link in links:
                place, kind = targets[link.link]
                if kind in {"", "dir", "whiteout"}:
                    raise _CannotSay
                above, _, name = link.path.rpartition("/")
                members[above].append((_name(name), place // _SLOT, _TYPES[kind][1]))
                self._names[link.link] = self._names.get(link.link, 1) + 1
        except KeyError:
            raise _CannotSay from None  # something is inside of what is no directory

    def _write_inodes(self, image: bytearray) -> None:
        """Writes all inodes, and appends what directories and long symlinks have in blocks."""
        places = dict(zip(self._members, self._places))  # of directories, which come first
        for node, place in zip(self._nodes, self._places):
            path, kind, mode, uid, gid, size, mtime_ns, link, device, _, _, offset = node
            tail = self._tails.get(path, b"")
            form, address, names = _PLAIN, 0, self._names.get(path, 1)
            if kind == "file":
                if size:
                    address = self._address(offset, size)
            elif kind == "dir":
                address = len(image) // _BLOCK
                members = self._members[path]
                names = 2 + sum([type_ == _DIRECTORY for _, _, type_ in members])
                above = places[path.rpartition("/")[0]]
                size = _append(image, _directory(members, place // _SLOT, above // _SLOT))
            elif kind == "symlink":
                target = encode_path(link)
                size = len(target)
                if tail:
                    form = _INLINE
                else:
                    address = len(image) // _BLOCK
                    _append(image, target)
            else:
                address = _device_number(*device)
            _INODE.pack_into(
                image, place, form, 0 if kind == "symlink" else _units(tail),
                _TYPES[kind][0] | mode, size, address, place // _SLOT, uid, gid,
                mtime_ns // _SECOND, mtime_ns % _SECOND, names,
            )  # fmt: skip
            if tail:
                image[place + _INODE.size : place + _INODE.size + len(tail)] = tail

    def _address(self, offset: int, size: int) -> int:
        """Where the content of a file is, in blocks."""
        if offset < 0 or offset + size > self._tar_size:
            raise _CannotSay
        return _TAR + offset // _BLOCK


def _directory(members: list[Member], own: int, above: int) -> bytes:
    """The blocks of a directory: in each some members, sorted by name, and then their names."""
    members += [(b".", own, _DIRECTORY), (b"..", above, _DIRECTORY)]
    members.sort()
    names, numbers, types = zip(*members)
    if len(set(names)) < len(names):
        raise _CannotSay
    sizes = [_DIRENT.size + len(name) for name in names]
    blocks = []
    start, used = 0, 0
    for stop, size in enumerate([*sizes, _BLOCK]):
        used += size
        if used > _BLOCK:
            part = names[start:stop]
            places = accumulate(map(len, part), initial=_DIRENT.size * len(part))
            entries = map(_DIRENT.pack, numbers[start:stop], places, types[start:stop])
            blocks.append(b"".join([*entries, *part]).ljust(_BLOCK, b"\0"))
            start, used = stop, size
    return b"".join(blocks)


def _append(image: bytearray, data: bytes) -> int:
    """Append data, and zeros up to the end of the block; the length of the data."""
    image += data
    image += bytes(-len(data) % _BLOCK)
    return len(data)


def _name(name: str) -> bytes:
    raw = encode_path(name)
    if not 0 < len(raw) <= _NAME_MAX:
        raise _CannotSay
    return raw


def _device_number(major: int, minor: int) -> int:
    """As the kernel's new_encode_dev() has it."""
    return minor & 0xFF | major << 8 | (minor & ~0xFF) << 12


def _attributes(node: Entry, *, opaque: bool) -> bytes:
    """The extended attributes that unpacking gives a file or directory, as they follow an inode."""
    xattrs = (*node.xattrs, _OPAQUE) if opaque else node.xattrs
    if node.kind not in {"file", "dir"} or not xattrs:
        return b""
    parts = [bytes(_XATTRS_SIZE)]
    for name, value in xattrs:
        prefix, number = next(
            (each for each in _XATTR_PREFIXES if name.startswith(each[0])), ("", 0)
        )
        raw = encode_path(name.removeprefix(prefix)) if number else b""
        if not raw or len(prefix) + len(raw) > _NAME_MAX or len(value) > _XATTR_MAX:
            raise _CannotSay
        if name == _CAPABILITY and not _is_capability(value):
            raise _CannotSay
        entry = _XATTR.pack(len(raw), number, len(value)) + raw + value
        parts.append(entry.ljust(len(entry) + -len(entry) % _XATTR.size, b"\0"))
    return b"".join(parts)


def _is_capability(value: bytes) -> bool:
    """Whether setxattr(2) takes these as a program's capabilities, and keeps them as they are."""
    return len(value) == _CAPABILITY_SIZE and value[3] == _CAPABILITY_VERSION


def _units(attributes: bytes) -> int:
    """i_xattr_icount: the head counts as one, each four bytes behind it as another."""
    return 1 + (len(attributes) - _XATTRS_SIZE) // _XATTR.size if attributes else 0
