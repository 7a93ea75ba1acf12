"""What one member of a layer is, where its bytes are, and the order members come in."""

from __future__ import annotations

import sys

from tierce.values import NamedTuple

# Names in a tar are bytes. They become str with the file system's own codec, so that the bytes
# of a name survive the way tar → str → disk and back, whatever the locale is.
PATH_ENCODING = sys.getfilesystemencoding()
PATH_ERRORS = "surrogateescape"

# OCI image-spec layer.md, "Whiteouts": reserved names that no file in a layer can have.
WHITEOUT_PREFIX = ".wh."
OPAQUE_NAME = ".wh..wh..opq"


class Entry(NamedTuple):
    """One member of a layer.

    A tuple and not a `Value`, because layers have tens of thousands of them. Whiteouts are kinds
    of their own and never appear as `.wh.` names outside of a tar:

    - "whiteout": `path` of the layers beneath is hidden;
    - "opaque": whatever the layers beneath have inside the directory `path` is hidden.
    """

    path: str
    """Relative to the root, without "/" at either end; "" is the root itself."""
    kind: str
    """"file", "dir", "symlink", "hardlink", "char", "block", "fifo", "whiteout", "opaque"."""
    mode: int = 0o644
    """Permissions with setuid, setgid and sticky: 0o7777 at most."""
    uid: int = 0
    gid: int = 0
    size: int = 0
    """Bytes of a file's content; 0 for all other kinds."""
    mtime_ns: int = 0
    link: str = ""
    """Target of a symlink as it is stored; for a hard link the `path` of the file it names."""
    device: tuple[int, int] = (0, 0)
    """Major and minor number of a "char" or "block" node."""
    xattrs: tuple[tuple[str, bytes], ...] = ()
    """Extended attributes, sorted by name."""
    digest: bytes = b""
    """Raw sha256 of a file's content, or b"" while it is unknown."""
    offset: int = -1
    """Where a file's content begins in the uncompressed tar, or -1."""


class Content(NamedTuple):
    """Where the bytes of a file are: `size` bytes at `offset` of the host's file `path`.

    At offset 0 the host's file is expected to end after `size` bytes: whoever copies it fails
    if the file has grown or shrunk since. An offset means a part of a larger file (a tar).
    """

    path: str
    offset: int
    size: int


class OpenFile(NamedTuple):
    """A file that is open, and that somebody may be writing to.

    Its first `size` bytes are taken; what is missing of them by then is zeros. The descriptor is
    closed by whoever gave the item, when asked for the next one.
    """

    descriptor: int
    size: int


Item = tuple[Entry, Content | bytes | None]
"""A member to be written; content is for files only, small generated ones may bring bytes."""

LiveItem = tuple[Entry, Content | OpenFile | bytes | None]
"""The same of a tree that may be changing."""


def sort_key(path: str) -> str:
    """Orders paths by their components: "a", then "a/b", then "a.b".

    So a directory is followed by all that is in it. NUL is the one byte that is in no name.
    """
    return path.replace("/", "\0")


def encode_path(path: str) -> bytes:
    """The bytes a name has on disk and in a tar."""
    return path.encode(PATH_ENCODING, PATH_ERRORS)


def decode_path(raw: bytes) -> str:
    """The inverse of `encode_path`, for any bytes."""
    return raw.decode(PATH_ENCODING, PATH_ERRORS)


def keeps_xattr(name: str) -> bool:
    """Whether an extended attribute belongs to a layer.

    `security.capability` and the user's own do. The rest is bound to the host (SELinux labels,
    IMA signatures, ACLs of host ids) or to the overlay file system: a layer that could bring
    `trusted.overlay.redirect` would decide what the kernel shows from other layers.
    """
    return name == "security.capability" or (
        name.startswith("user.") and not name.startswith("user.overlay.")
    )
