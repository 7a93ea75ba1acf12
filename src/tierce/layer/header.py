"""Tar headers as bytes: ustar, with a PAX header in front only where ustar cannot say it.

The form is that of Go's archive/tar (which docker and BuildKit write with), so that every
consumer of image layers knows it: PAX records carry the raw bytes of a name, without hdrcharset,
and the ustar field of a value that lives in a record is zero. POSIX.1-2017, pax, "ustar
Interchange Format" and "pax Extended Header".
"""

from zlib import adler32

from tierce.errors import LayerError
from tierce.layer.entry import Entry, encode_path

BLOCK = 512
XATTR_RECORD = b"SCHILY.xattr."

TYPES = {
    "file": b"0",
    "hardlink": b"1",
    "symlink": b"2",
    "char": b"3",
    "block": b"4",
    "dir": b"5",
    "fifo": b"6",
    "whiteout": b"0",
    "opaque": b"0",
}
_PAX_TYPE = b"x"

_ID_MAX = 0o7777777
_NUMBER_MAX = 0o77777777777  # size and mtime: 8 GiB and the year 2242
_DEVICE_MAX = 0o7777777
_NAME = 100
_PREFIX = 155
_MAGIC = b"ustar\x0000"
_NON_ASCII_AS_UNDERSCORE = bytes(range(128)) + b"_" * 128
_CHECKSUM_BLANKS = 8 * ord(" ")

# What follows the checksum field: type, link name, magic, names (always empty: they would differ
# between machines), device, prefix. Files and directories with a short name share these.
_PLAIN_TAILS = {
    kind: kind + bytes(100) + _MAGIC + bytes(64) + b"0000000\x000000000\x00" + bytes(155 + 12)
    for kind in (b"0", b"5", b"6", b"x")
}


def _sum(part: bytes) -> int:
    """The sum of up to 256 bytes: adler32's low half is 1 + the sum modulo 65521, in C."""
    return (adler32(part) & 0xFFFF) - 1


_PLAIN_SUMS = {
    kind: _sum(tail[:200]) + _sum(tail[200:]) + _CHECKSUM_BLANKS
    for kind, tail in _PLAIN_TAILS.items()
}


class HeaderEncoder:
    """Makes headers; remembers what the headers of one layer share."""

    def __init__(self) -> None:
        self._owners: dict[tuple[int, int, int], bytes] = {}

    def plain(
        self, name: bytes, type_: bytes, mode: int, uid: int, gid: int, size: int, mtime: int
    ) -> bytes:
        """The header of a file or directory for which `is_plain` holds: one block.

        This runs once per file; the checksum is the costly part, so the constant tail brings
        its own.
        """
        owner = self._owners.get((mode, uid, gid))
        if owner is None:
            owner = b"%07o\0%07o\0%07o\0" % (mode, uid, gid)
            self._owners[mode, uid, gid] = owner
        head = b"%b%b%011o\0%011o\0" % (name.ljust(_NAME, b"\0"), owner, size, mtime)
        checksum = (adler32(head) & 0xFFFF) - 1 + _PLAIN_SUMS[type_]
        return b"%b%06o\0 %b" % (head, checksum, _PLAIN_TAILS[type_])

    def any(self, entry: Entry, name: bytes, mtime: int) -> bytes:
        """The header of any entry, with its PAX header in front if it needs one.

        Raises LayerError for what a tar cannot hold.
        """
        records: dict[bytes, bytes] = {}
        short, prefix = _split_name(name)
        if not short:
            records[b"path"] = name
            short = _ascii(name)
        link = encode_path(entry.link)
        if len(link) > 100 or not link.isascii():
            records[b"linkpath"] = link
            link = _ascii(link)
        numbers = {}
        for key, value, limit in (
            (b"uid", entry.uid, _ID_MAX),
            (b"gid", entry.gid, _ID_MAX),
            (b"size", entry.size, _NUMBER_MAX),
            (b"mtime", mtime, _NUMBER_MAX),
        ):
            if not 0 <= value <= limit:
                records[key] = b"%d" % value
                value = 0
            numbers[key] = value
        for attribute, data in entry.xattrs:
            raw = encode_path(attribute)
            if b"=" in raw:
                raise LayerError(
                    f"write layer entry {entry.path}: a tar cannot hold the extended attribute"
                    f' "{attribute}"',
                    entry=entry.path,
                )
            records[XATTR_RECORD + raw] = data
        header = _assemble(
            b"%b%07o\0%07o\0%07o\0%011o\0%011o\0"
            % (
                short.ljust(_NAME, b"\0"),
                entry.mode,
                numbers[b"uid"],
                numbers[b"gid"],
                numbers[b"size"],
                numbers[b"mtime"],
            ),
            TYPES[entry.kind] + link.ljust(100, b"\0"),
            _device(entry) + prefix.ljust(_PREFIX, b"\0"),
        )
        return self._pax(short, records) + header if records else header

    def _pax(self, name: bytes, records: dict[bytes, bytes]) -> bytes:
        body = b"".join([_record(key, value) for key, value in sorted(records.items())])
        base = name.rstrip(b"/").rpartition(b"/")[2]
        header = self.plain((b"PaxHeaders.0/" + base)[:_NAME], _PAX_TYPE, 0, 0, 0, len(body), 0)
        return header + body + bytes(-len(body) % BLOCK)


def is_plain(name: bytes, uid: int, gid: int, size: int, mtime: int) -> bool:
    """Whether the ustar fields alone hold all this (and the prefix field is not needed)."""
    return (
        len(name) <= _NAME
        and name.isascii()
        and 0 <= mtime <= _NUMBER_MAX
        and size <= _NUMBER_MAX
        and 0 <= uid <= _ID_MAX
        and 0 <= gid <= _ID_MAX
    )


def _split_name(name: bytes) -> tuple[bytes, bytes]:
    """(name, prefix) fields, or (b"", b"") if the name needs a record."""
    if not name.isascii():
        return b"", b""
    if len(name) <= _NAME:
        return name, b""
    # The reader joins them with the "/" at which they are split; a directory's own last "/"
    # must stay in the name.
    slash = name.rfind(b"/", 0, min(_PREFIX + 1, len(name) - 1))
    if slash <= 0 or len(name) - slash - 1 > _NAME:
        return b"", b""
    return name[slash + 1 :], name[:slash]


def _ascii(name: bytes) -> bytes:
    """What a reader without PAX sees; only ever a stand-in."""
    return name.translate(_NON_ASCII_AS_UNDERSCORE)[:_NAME]


def _device(entry: Entry) -> bytes:
    major, minor = entry.device
    if not (0 <= major <= _DEVICE_MAX and 0 <= minor <= _DEVICE_MAX):
        raise LayerError(
            f"write layer entry {entry.path}: a tar cannot hold device {major}:{minor}",
            entry=entry.path,
        )
    return b"%07o\0%07o\0" % (major, minor)


def _assemble(head: bytes, link: bytes, rest: bytes) -> bytes:
    tail = link + _MAGIC + bytes(64) + rest + bytes(12)
    checksum = sum(head) + sum(tail) + _CHECKSUM_BLANKS
    return b"%b%06o\0 %b" % (head, checksum, tail)


def _record(key: bytes, value: bytes) -> bytes:
    """ "<length> key=value\\n", where the length counts its own digits."""
    size = len(key) + len(value) + 3
    length = size + len(b"%d" % size)
    if len(b"%d" % length) != len(b"%d" % size):
        length += 1
    return b"%d %b=%b\n" % (length, key, value)
