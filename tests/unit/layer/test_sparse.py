import os
import subprocess
from pathlib import Path

import pytest

from support.tars import END, octal, padded, pax_header, pax_record, raw_header, read
from tierce.errors import CorruptLayer, UnsafeLayer

CONTENT = bytes(8192) + b"first" * 1000 + bytes(100_000) + b"last" + bytes(5000)


@pytest.mark.parametrize(
    "options",
    [
        ("--format=gnu",),
        ("--format=oldgnu",),
        ("--format=pax", "--sparse-version=0.0"),
        ("--format=pax", "--sparse-version=0.1"),
        ("--format=pax", "--sparse-version=1.0"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("extents", [1, 3, 5, 60])
def test_sparse_files_of_gnu_tar_read_as_what_they_are(
    tmp_path: Path, options: tuple[str, ...], extents: int
) -> None:
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as out:
        for number in range(extents):
            out.seek(number * 65536 + 4096)
            out.write(b"extent %d" % number)
        out.truncate(extents * 65536 + 100)
    (tmp_path / "z").write_bytes(b"next")
    made = subprocess.run(
        ["tar", "--create", "--sparse", *options, "-C", str(tmp_path), "sparse", "z"],
        capture_output=True,
        check=True,
    )
    assert len(made.stdout) < sparse.stat().st_size, "it is sparse"
    (entry, content), (following, _) = read(made.stdout)
    assert (entry.path, entry.kind, entry.size) == ("sparse", "file", sparse.stat().st_size)
    assert entry.offset == -1
    assert content == sparse.read_bytes()
    assert following.path == "z"


def sparse_1_0(sparse_map: bytes, size: int, data: bytes) -> bytes:
    body = padded(sparse_map) + data
    records = (
        (b"GNU.sparse.major", b"1"),
        (b"GNU.sparse.minor", b"0"),
        (b"GNU.sparse.name", b"name"),
        (b"GNU.sparse.realsize", b"%d" % size),
    )
    return pax_header(*records) + raw_header(b"x", size=octal(len(body))) + padded(body) + END


def test_a_map_at_the_head_of_the_data_is_read() -> None:
    tar = sparse_1_0(b"2\n3\n2\n10\n1\n", 12, b"abc")
    assert read(tar)[0][1] == b"\0\0\0ab\0\0\0\0\0c\0"


@pytest.mark.parametrize(
    ("sparse_map", "size", "data"),
    [
        (b"1\n3\n2\n", 12, b"abc"),  # not all of the data
        (b"2\n3\n2\n10\n5\n", 12, b"ab" + b"c" * 5),  # beyond the end
        (b"2\n10\n1\n3\n2\n", 12, b"abc"),  # out of order
        (b"2\n3\n2\n4\n1\n", 12, b"abc"),  # overlapping
        (b"1\n-3\n3\n", 12, b"abc"),
        (b"x\n3\n3\n", 12, b"abc"),
        (b"5\n3\n3\n", 12, b"abc"),  # cut short
        (b"999999999999\n3\n3\n", 12, b"abc"),
        (b"", 12, b""),
    ],
)
def test_a_map_that_does_not_fit_is_corrupt(sparse_map: bytes, size: int, data: bytes) -> None:
    with pytest.raises(CorruptLayer):
        read(sparse_1_0(sparse_map, size, data))


def test_a_map_that_is_too_long_is_unsafe() -> None:
    numbers = b"".join(b"%d\n1\n" % (2 * number) for number in range(200_000))
    with pytest.raises(UnsafeLayer):
        read(sparse_1_0(b"200000\n" + numbers, 400_000, b"x" * 200_000))


@pytest.mark.parametrize(
    "records",
    [
        [(b"GNU.sparse.size", b"10"), (b"GNU.sparse.map", b"0,1,2")],
        [(b"GNU.sparse.size", b"10"), (b"GNU.sparse.map", b"5,9")],
        [(b"GNU.sparse.size", b"10"), (b"GNU.sparse.numbytes", b"1"), (b"GNU.sparse.offset", b"1")],
        [(b"GNU.sparse.size", b"10"), (b"GNU.sparse.offset", b"1"), (b"GNU.sparse.offset", b"1")],
        [(b"GNU.sparse.size", b"-1"), (b"GNU.sparse.map", b"0,1")],
        [(b"GNU.sparse.map", b"0,1")],
    ],
)
def test_maps_in_records_that_do_not_fit_are_corrupt(records: list[tuple[bytes, bytes]]) -> None:
    tar = pax_header(raw=b"".join(pax_record(*each) for each in records))
    with pytest.raises(CorruptLayer):
        read(tar + raw_header(size=octal(1)) + padded(b"x") + END)


def test_an_endless_chain_of_old_gnu_extensions_is_unsafe() -> None:
    fields = b"".join(b"%011o\0%011o\0" % (number, 1) for number in range(4))
    header = raw_header(
        type_=b"S", magic=b"ustar  \0", rest=bytes(386 - 265) + fields + b"\1" + octal(100)
    )
    more = (b"%011o\0%011o\0" % (4, 0) * 21).ljust(504, b"\0") + b"\1" + bytes(7)
    with pytest.raises(UnsafeLayer):
        read(header + more * 3000)


def test_a_sparse_file_can_be_read_in_small_steps(tmp_path: Path) -> None:
    sparse = tmp_path / "sparse"
    sparse.write_bytes(CONTENT)
    subprocess.run(["fallocate", "--dig-holes", str(sparse)], check=False)
    os.truncate(sparse, len(CONTENT) + 70_000)
    made = subprocess.run(
        ["tar", "-cSf", "-", "-C", str(tmp_path), "sparse"], capture_output=True, check=True
    )
    import io

    from tierce.layer.reader import read_layer

    for _, content in read_layer(io.BytesIO(made.stdout)):
        assert content is not None
        parts = bytearray()
        while part := content.read(777):
            parts += part
        assert parts == CONTENT + bytes(70_000)
