"""The entries of a layer as columns, in memory and as bytes.

Fifty thousand entries as tuples take 50 ms to make and 20 MB; as columns they load in a few
milliseconds, and what few rows are asked for become entries then. The bytes are for the store of
one machine, not for exchange: whoever cannot decode them builds the index again from the tar.
"""

from __future__ import annotations

import struct
import sys
from array import array
from itertools import repeat
from zlib import crc32

from tierce.errors import CorruptLayer
from tierce.layer.entry import Entry, decode_path, encode_path

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TypeVar

    _T = TypeVar("_T")

_MAGIC = b"tierce index 1\n\0"
_PREAMBLE = struct.Struct("<16sIQ")  # magic, crc32 of the rest, number of rows
_SECTION = struct.Struct("<cxxxQ")  # typecode, bytes
_XATTR = struct.Struct("<II")  # bytes of name and value
_COUNT = struct.Struct("<Q")
_ZEROS = "0"
_BLOCK = 512
_DIGEST = 32
_SECOND = 1_000_000_000
_KINDS = (
    "dir", "file", "symlink", "hardlink", "whiteout", "opaque", "char", "block", "fifo",
)  # fmt: skip

_Shape = tuple[str, int, int, int, bool]
"""kind, mode, uid, gid, whether a digest is known: few distinct ones occur in a layer."""


class Columns:
    """Rows of entries; immutable."""

    __slots__ = (
        "_codes", "_devices", "_digests", "_links", "_mtimes", "_nanoseconds", "_offsets",
        "_shapes", "_sizes", "_xattrs", "has_all_parents", "paths",
    )  # fmt: skip

    paths: list[str]
    has_all_parents: bool
    """Whether the directory of each entry is an entry as well."""
    _shapes: list[_Shape]
    _codes: array[int]
    _sizes: array[int]
    _mtimes: array[int]  # seconds
    _nanoseconds: array[int]
    _offsets: array[int]  # in blocks, from 1; 0 is "none"
    _digests: bytes  # one for each row, or none at all
    _links: dict[int, str]
    _devices: dict[int, tuple[int, int]]
    _xattrs: dict[int, tuple[tuple[str, bytes], ...]]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Columns:
        """Columns of entries in the order they come."""
        self = cls()
        rows = list(entries)
        paths, kinds, modes, uids, gids, sizes, mtimes, links, devices, xattrs, digests, offsets = (
            zip(*rows) if rows else repeat((), len(Entry._fields))
        )
        self.paths = list(paths)
        directories = {path for path, kind in zip(paths, kinds) if kind == "dir"}
        parents = {
            path if kind == "opaque" else path.rpartition("/")[0]
            for path, kind in zip(paths, kinds)
        }
        self.has_all_parents = parents - directories <= {""}
        codes: dict[_Shape, int] = {}
        known = map(bool, digests)
        self._codes = _packed(
            [codes.setdefault(each, len(codes)) for each in zip(kinds, modes, uids, gids, known)]
        )
        self._shapes = list(codes)
        self._sizes = _packed(sizes)
        self._mtimes = _packed([each // _SECOND for each in mtimes])
        self._nanoseconds = _packed([each % _SECOND for each in mtimes])
        self._offsets = _packed([each // _BLOCK + 1 for each in offsets])
        self._digests = b""
        if any(digests):
            self._digests = b"".join([each or bytes(_DIGEST) for each in digests])
        self._links = {row: each for row, each in enumerate(links) if each}
        self._devices = {row: each for row, each in enumerate(devices) if each != (0, 0)}
        self._xattrs = {row: each for row, each in enumerate(xattrs) if each}
        return self

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset([shape[0] for shape in self._shapes])

    def kind(self, row: int) -> str:
        return self._shapes[self._codes[row]][0]

    def entry(self, row: int) -> Entry:
        kind, mode, uid, gid, known = self._shapes[self._codes[row]]
        return Entry(
            self.paths[row],
            kind,
            mode,
            uid,
            gid,
            self._sizes[row],
            self._mtimes[row] * _SECOND + self._nanoseconds[row],
            self._links.get(row, ""),
            self._devices.get(row, (0, 0)),
            self._xattrs.get(row, ()),
            self._digests[row * _DIGEST : row * _DIGEST + _DIGEST] if known else b"",
            (self._offsets[row] - 1) * _BLOCK if self._offsets[row] else -1,
        )

    def entries(self, start: int, stop: int) -> Iterator[Entry]:
        """The entries of rows `start` to `stop`; cheaper than one by one."""
        rows = range(start, stop)
        shapes = [self._shapes[code] for code in self._codes[start:stop]]
        kinds, modes, uids, gids, known = zip(*shapes) if shapes else repeat((), 5)
        digests = self._digests
        return map(
            Entry._make,
            zip(
                self.paths[start:stop],
                kinds,
                modes,
                uids,
                gids,
                self._sizes[start:stop],
                [
                    second * _SECOND + rest
                    for second, rest in zip(self._mtimes[start:stop], self._nanoseconds[start:stop])
                ],
                _filled(self._links, rows, ""),
                _filled(self._devices, rows, (0, 0)),
                _filled(self._xattrs, rows, ()),
                [
                    digests[row * _DIGEST : row * _DIGEST + _DIGEST] if is_known else b""
                    for row, is_known in zip(rows, known)
                ],
                [block * _BLOCK - _BLOCK if block else -1 for block in self._offsets[start:stop]],
            ),
        )

    def encode(self) -> bytes:
        shapes = [
            number
            for kind, mode, uid, gid, known in self._shapes
            for number in (_KINDS.index(kind), mode, uid, gid, int(known))
        ]
        devices = [number for row, device in self._devices.items() for number in (row, *device)]
        sections = [
            _bytes_section(b"\0".join([encode_path(path) for path in self.paths])),
            _bytes_section(b"\1" if self.has_all_parents else b"\0"),
            _section(_packed(shapes)),
            _section(self._codes),
            _section(self._sizes),
            _section(self._mtimes),
            _section(self._nanoseconds),
            _section(self._offsets),
            _bytes_section(self._digests),
            _section(_packed(list(self._links))),
            _bytes_section(b"\0".join([encode_path(link) for link in self._links.values()])),
            _section(_packed(devices)),
            _section(_packed([row for row, each in self._xattrs.items() for _ in each])),
            _bytes_section(b"".join(map(_encode_xattrs, self._xattrs.values()))),
        ]
        body = b"".join(sections)
        return _PREAMBLE.pack(_MAGIC, crc32(body), len(self.paths)) + body

    @classmethod
    def decode(cls, data: bytes) -> Columns:
        """The inverse of `encode`. Raises CorruptLayer for any other bytes."""
        try:
            magic, checksum, rows = _PREAMBLE.unpack_from(data)
            body = memoryview(data)[_PREAMBLE.size :]
            if magic != _MAGIC or checksum != crc32(body):
                raise ValueError("wrong magic or checksum")
            return cls._read(_Sections(body), rows)
        except (ValueError, IndexError, struct.error) as error:
            raise CorruptLayer(f"read layer index: {error}") from error

    @classmethod
    def _read(cls, sections: _Sections, rows: int) -> Columns:
        self = cls()
        paths = decode_path(sections.bytes())
        self.paths = paths.split("\0") if rows else []
        if len(self.paths) != rows:
            raise ValueError("wrong number of paths")
        self.has_all_parents = sections.bytes() == b"\1"
        flat = sections.numbers()
        self._shapes = [
            (_KINDS[flat[at]], flat[at + 1], flat[at + 2], flat[at + 3], bool(flat[at + 4]))
            for at in range(0, len(flat), 5)
        ]
        self._codes = sections.numbers(rows)
        self._sizes = sections.numbers(rows)
        self._mtimes = sections.numbers(rows)
        self._nanoseconds = sections.numbers(rows)
        self._offsets = sections.numbers(rows)
        self._digests = sections.bytes()
        linked = sections.numbers()
        links = decode_path(sections.bytes())
        self._links = dict(zip(linked, links.split("\0")))
        flat = sections.numbers()
        self._devices = {flat[at]: (flat[at + 1], flat[at + 2]) for at in range(0, len(flat), 3)}
        self._xattrs = _decode_xattrs(sections.numbers(), sections.bytes())
        return self


class _Sections:
    """Reads one section after the other."""

    def __init__(self, body: memoryview) -> None:
        self._body = body

    def _next(self) -> tuple[str, memoryview]:
        code, length = _SECTION.unpack_from(self._body)
        start = _SECTION.size
        if len(self._body) < start + length:
            raise ValueError("cut short")
        section = self._body[start : start + length]
        self._body = self._body[start + length :]
        return code.decode("ascii"), section

    def bytes(self) -> bytes:
        return bytes(self._next()[1])

    def numbers(self, rows: int | None = None) -> array[int]:
        """A column; `rows` numbers if given."""
        code, section = self._next()
        if code == _ZEROS:
            numbers = array("B", bytes(_COUNT.unpack(section)[0]))
        else:
            numbers = array(code)
            numbers.frombytes(section)
            if sys.byteorder == "big":
                numbers.byteswap()
        if rows is not None and len(numbers) != rows:
            raise ValueError("wrong length of a column")
        return numbers


def _packed(numbers: Sequence[int]) -> array[int]:
    """An array of the narrowest type that holds all numbers."""
    low, high = min(numbers, default=0), max(numbers, default=0)
    for code in "bhiq" if low < 0 else "BHIQ":
        bits = array(code).itemsize * 8 - (low < 0)
        if high < 1 << bits and low >= -(1 << bits):
            return array(code, numbers)
    raise OverflowError(f"numbers from {low} to {high} do not fit in 64 bits")


def _section(numbers: array[int]) -> bytes:
    if not any(numbers):
        return _SECTION.pack(_ZEROS.encode(), _COUNT.size) + _COUNT.pack(len(numbers))
    if sys.byteorder == "big":
        numbers = array(numbers.typecode, numbers)
        numbers.byteswap()
    raw = numbers.tobytes()
    return _SECTION.pack(numbers.typecode.encode(), len(raw)) + raw


def _bytes_section(raw: bytes) -> bytes:
    return _SECTION.pack(b"B", len(raw)) + raw


def _encode_xattrs(xattrs: tuple[tuple[str, bytes], ...]) -> bytes:
    parts = []
    for name, value in xattrs:
        raw = encode_path(name)
        parts += [_XATTR.pack(len(raw), len(value)), raw, value]
    return b"".join(parts)


def _decode_xattrs(rows: Iterable[int], raw: bytes) -> dict[int, tuple[tuple[str, bytes], ...]]:
    xattrs: dict[int, tuple[tuple[str, bytes], ...]] = {}
    at = 0
    for row in rows:
        name_length, value_length = _XATTR.unpack_from(raw, at)
        middle = at + _XATTR.size + name_length
        name = decode_path(raw[at + _XATTR.size : middle])
        at = middle + value_length
        xattrs[row] = (*xattrs.get(row, ()), (name, raw[middle:at]))
    return xattrs


def _filled(sparse: dict[int, _T], rows: range, empty: _T) -> Iterable[_T]:
    return [sparse.get(row, empty) for row in rows] if sparse else repeat(empty)
