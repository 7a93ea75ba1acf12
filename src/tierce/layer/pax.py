"""Read what tar headers say: numbers, PAX records, and maps of sparse files.

Everything here may come from an attacker: what is not exactly as the formats demand is a
ValueError, which the reader turns into CorruptLayer with the entry's name.
"""

from collections.abc import Iterable

from tierce.layer.header import XATTR_RECORD

_NANOSECOND_DIGITS = 9
_SECONDS_MAX = 1 << 62
_NUMBER_DIGITS = 20

Records = list[tuple[bytes, bytes]]
Extents = list[tuple[int, int]]
"""(offset, length) of the parts of a sparse file that hold data, in order."""


def parse_number(field: bytes) -> int:
    """A numeric header field: octal digits, or GNU's base-256 if its first bit is set."""
    if field[0] & 0x80:
        # Two's complement, with the first bit as the mark and the second as the sign.
        if field[0] & 0x40:
            return int.from_bytes(field, "big", signed=True)
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = field.strip(b" \0")
    if not digits:
        return 0
    if not digits.isdigit():
        raise ValueError(f"number {digits!r} is not octal")
    return int(digits, 8)


def parse_records(raw: bytes) -> Records:
    """The records of a PAX header, in order: "<length> <key>=<value>\\n" each."""
    records = []
    at = 0
    while at < len(raw):
        space = raw.find(b" ", at, at + 21)
        length = parse_decimal(raw[at:space]) if space > at else 0
        end = at + length
        if end <= space or end > len(raw) or raw[end - 1 : end] != b"\n":
            raise ValueError("PAX record of a wrong length")
        key, equals, value = raw[space + 1 : end - 1].partition(b"=")
        if not key or not equals:
            raise ValueError("PAX record without a key")
        records.append((key, value))
        at = end
    return records


def parse_decimal(text: bytes) -> int:
    """A decimal number without sign."""
    if not text.isdigit() or len(text) > _NUMBER_DIGITS:
        raise ValueError(f"number {text[:40]!r} is not decimal")
    return int(text)


def parse_time(text: bytes) -> int:
    """Nanoseconds of a PAX time, "-12.345": digits beyond nanoseconds are dropped."""
    seconds, _, fraction = text.partition(b".")
    negative = seconds.startswith(b"-")
    whole = parse_decimal(seconds[1:] if negative else seconds)
    if whole > _SECONDS_MAX // 10**9 or (fraction and not fraction.isdigit()):
        raise ValueError(f"time {text[:40]!r} is out of range")
    digits = fraction[:_NANOSECOND_DIGITS].ljust(_NANOSECOND_DIGITS, b"0")
    nanoseconds = whole * 10**9 + int(digits)
    return -nanoseconds if negative else nanoseconds


def xattrs_of(records: Records) -> dict[bytes, bytes]:
    """The extended attributes among records."""
    skip = len(XATTR_RECORD)
    return {key[skip:]: value for key, value in records if key.startswith(XATTR_RECORD)}


def old_sparse_extents(block: bytes, start: int, count: int) -> Extents:
    """Up to `count` extents from a GNU header or its extension block; empty ones end the list."""
    extents = []
    for at in range(start, start + count * 24, 24):
        offset, length = block[at : at + 12], block[at + 12 : at + 24]
        if not offset.strip(b" \0") and not length.strip(b" \0"):
            break
        extents.append((parse_number(offset), parse_number(length)))
    return extents


def sparse_extents(records: Records) -> Extents:
    """The map of GNU.sparse formats 0.0 (one record each) and 0.1 (one for all)."""
    numbers: list[int] = []
    for key, value in records:
        if key == b"GNU.sparse.map":
            numbers = [parse_decimal(each) for each in value.split(b",")] if value else []
        elif key in {b"GNU.sparse.offset", b"GNU.sparse.numbytes"}:
            if (key == b"GNU.sparse.offset") != (len(numbers) % 2 == 0):
                raise ValueError("sparse map out of order")
            numbers.append(parse_decimal(value))
    return pair(numbers)


def pair(numbers: list[int]) -> Extents:
    """Offsets and lengths that alternate."""
    if len(numbers) % 2:
        raise ValueError("sparse map is incomplete")
    return list(zip(numbers[::2], numbers[1::2]))


def check_extents(extents: Iterable[tuple[int, int]], file_size: int, data_size: int) -> None:
    """Demand that extents are in order, lie in the file, and are all of the data."""
    end = total = 0
    for offset, length in extents:
        if offset < end or length < 0 or offset + length > file_size:
            raise ValueError("sparse map does not fit the file")
        end = offset + length
        total += length
    if total != data_size:
        raise ValueError("sparse map does not fit the data")
