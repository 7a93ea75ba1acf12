"""Tar headers as entries: the inverse of `header`, for all the forms that tars come in.

ustar, PAX, GNU and the oldest form. Global PAX headers are passed over, as docker does: what a
layer means must not depend on the tool that reads it. A ValueError says what is wrong with a
header; names that would reach outside are UnsafeLayer at once.
"""

from zlib import adler32

from tierce.errors import UnsafeLayer
from tierce.layer import pax
from tierce.layer.entry import PATH_ENCODING, PATH_ERRORS, Entry, decode_path, keeps_xattr
from tierce.layer.header import TYPES
from tierce.layer.limits import Limits
from tierce.layer.names import check_length, clean_path, whiteout

KINDS = {type_: kind for kind, type_ in TYPES.items() if kind not in {"whiteout", "opaque"}} | {
    b"\0": "file",
    b"7": "file",
    b"S": "file",
}
PAX_TYPE, GLOBAL_TYPE, LONG_NAME_TYPE, LONG_LINK_TYPE = b"x", b"g", b"L", b"K"
EXTENSION_TYPES = frozenset({PAX_TYPE, GLOBAL_TYPE, LONG_NAME_TYPE, LONG_LINK_TYPE})
SPARSE_TYPE = b"S"

_ADLER = 65521
_SECOND = 1_000_000_000
_ID_MAX = (1 << 32) - 2  # the one above means "leave it" to chown(2)
_SIZE_MAX = (1 << 63) - 1
_MAJOR_MAX, _MINOR_MAX = (1 << 12) - 1, (1 << 20) - 1  # kernel, kdev_t.h


class Extensions:
    """What the headers in front of an entry's own say about it."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes of these headers; 0 if there are none."""
        self.records: pax.Records = []
        self.values: dict[bytes, bytes] = {}
        """Records by key; the last one counts, an empty one is as none (POSIX, pax)."""

    def add(self, type_: bytes, data: bytes) -> None:
        if type_ == PAX_TYPE:
            self.records = pax.parse_records(data)
            self.values |= self.records
        elif type_ in {LONG_NAME_TYPE, LONG_LINK_TYPE}:
            key = b"path" if type_ == LONG_NAME_TYPE else b"linkpath"
            self.values[key] = data.partition(b"\0")[0]

    @property
    def sparse(self) -> bool:
        """Whether they say that the entry is a sparse file (GNU formats 0.0, 0.1 and 1.0)."""
        return any(key.startswith(b"GNU.sparse.") for key in self.values)

    def number(self, key: bytes, otherwise: int) -> int:
        value = self.values.get(key)
        return pax.parse_decimal(value) if value else otherwise


class HeaderDecoder:
    """Decodes the headers of one layer; remembers what they share."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._owners: dict[bytes, tuple[int, int, int]] = {}
        self.data_size = 0
        """Bytes of data that follow the header that was decoded last."""

    def entry(self, block: bytes, extensions: Extensions, offset: int) -> Entry | None:
        """The entry of a header whose data begins at `offset`; None for one to be ignored.

        The size is that of the data, of a sparse file too.
        """
        type_ = block[156:157]
        kind = KINDS.get(type_)
        if kind is None:
            raise ValueError(f"unknown type {type_!r}")
        raw_name = _name(block)
        mode, uid, gid = self._owner(block[100:124])
        size = pax.parse_number(block[124:136])
        mtime_ns = pax.parse_number(block[136:148]) * _SECOND
        xattrs: tuple[tuple[str, bytes], ...] = ()
        if extensions.size:
            values = extensions.values
            raw_name = values.get(b"GNU.sparse.name") or values.get(b"path") or raw_name
            uid = _id(extensions.number(b"uid", uid))
            gid = _id(extensions.number(b"gid", gid))
            size = extensions.number(b"size", size)
            if time := values.get(b"mtime"):
                mtime_ns = pax.parse_time(time)
            xattrs = _xattrs(extensions.records)
        if kind == "file" and raw_name.endswith(b"/"):
            kind = "dir"  # as the oldest tars say it
        if kind != "file":
            size = 0  # only files have data, whatever the header says (Go, GNU tar)
        elif not 0 <= size <= _SIZE_MAX:
            raise ValueError(f"size {size}")
        self.data_size = size
        path = self._path(raw_name)
        if ".wh." in path and (hiding := whiteout(path)):
            return Entry(hiding[1], hiding[0], 0) if hiding[0] else None
        if kind in {"file", "dir"}:
            if not path and kind == "file":
                raise ValueError("it has no name")
            return Entry(
                path, kind, mode, uid, gid, size, mtime_ns, "", (0, 0), xattrs, b"",
                offset if kind == "file" else -1,
            )  # fmt: skip
        return self._special(
            Entry(path, kind, mode, uid, gid, 0, mtime_ns, "", (0, 0), xattrs), block, extensions
        )

    def _special(self, entry: Entry, block: bytes, extensions: Extensions) -> Entry | None:
        if not entry.path:
            raise ValueError("it has no name")
        if entry.kind == "symlink":
            entry = entry._replace(mode=0o777)  # as on disk: Linux has no other
        if entry.kind in {"symlink", "hardlink"}:
            raw = extensions.values.get(b"linkpath") or block[157:257].partition(b"\0")[0]
            if not raw or b"\0" in raw:
                raise ValueError("it links to nothing")
            if entry.kind == "hardlink":
                target = self._path(raw)
                if not target:
                    raise UnsafeLayer(
                        f"read layer entry {entry.path}: a hard link to the root", entry=entry.path
                    )
                return entry._replace(link=target)
            target = decode_path(raw)
            check_length(target, len(raw), self._limits.path_bytes - 1, parts=False)
            return entry._replace(link=target)
        if entry.kind == "fifo":
            return entry
        major, minor = pax.parse_number(block[329:337]), pax.parse_number(block[337:345])
        if not (0 <= major <= _MAJOR_MAX and 0 <= minor <= _MINOR_MAX):
            raise ValueError(f"device {major}:{minor}")
        if entry.kind == "char" and major == minor == 0:
            # Unpacked on overlayfs, where layers are meant to be, it is a whiteout. It must not
            # be one thing there and another to those who only read the layer.
            return Entry(entry.path, "whiteout", 0)
        return entry._replace(device=(major, minor))

    def _path(self, raw: bytes) -> str:
        if b"\0" in raw:
            raise ValueError("a NUL in its name")
        path = clean_path(raw.decode(PATH_ENCODING, PATH_ERRORS))
        if len(raw) > 255:
            check_length(path, len(raw), self._limits.path_bytes)
        return path

    def _owner(self, fields: bytes) -> tuple[int, int, int]:
        owner = self._owners.get(fields)
        if owner is None:
            mode, uid, gid = (pax.parse_number(fields[at : at + 8]) for at in (0, 8, 16))
            owner = (mode & 0o7777, _id(uid), _id(gid))
            if len(self._owners) < 1000:
                self._owners[fields] = owner
        return owner


def check_sum(block: bytes) -> None:
    """Raise ValueError unless the header's checksum is right."""
    field = block[148:156]
    stored = pax.parse_number(field)
    # The sum counts the field as blanks. adler32's low half is 1 + the sum, in C, modulo a prime;
    # sums are less than twice that prime.
    if (stored + sum(field) - 8 * ord(" ") + 1) % _ADLER == adler32(block) & 0xFFFF:
        return
    # The oldest tars added signed bytes.
    signed = sum(byte - 256 if byte > 127 else byte for byte in block[:148] + block[156:])
    if stored != signed + 8 * ord(" "):
        raise ValueError("wrong header checksum")


def _name(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    if block[345] and block[257:263] == b"ustar\0":
        # The "star" form of ustar has times after a shorter prefix.
        end = 476 if block[508:512] == b"tar\0" else 500
        return block[345:end].partition(b"\0")[0] + b"/" + name
    return name


def _id(number: int) -> int:
    if not 0 <= number <= _ID_MAX:
        raise ValueError(f"owner {number}")
    return number


def _xattrs(records: pax.Records) -> tuple[tuple[str, bytes], ...]:
    attributes = pax.xattrs_of(records)
    named = [(decode_path(name), value) for name, value in attributes.items()]
    return tuple(sorted([(name, value) for name, value in named if keeps_xattr(name)]))
