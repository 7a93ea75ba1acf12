import bz2
import gzip
import hashlib
import io
import lzma
import os
import random
import subprocess
import threading
from pathlib import Path

import pytest
from backports import zstd

from tierce.errors import CorruptLayer
from tierce.layer.compression import compress, open_decompressed
from tierce.layer.deflate import gzip_pieces

MIB = 1 << 20


def sample(size: int) -> bytes:
    """Neither all alike nor without any pattern."""
    words = [random.Random(number).randbytes(12) for number in range(500)]
    picked = random.Random(size).choices(words, k=size // 12 + 1)
    return b"".join(picked)[:size]


def compressed(data: bytes, kind: str = "gzip", level: int | None = None) -> bytes:
    out = bytearray()
    digest, size = compress(io.BytesIO(data), out.extend, kind, level)
    assert digest.hex == hashlib.sha256(out).hexdigest()
    assert size == len(out)
    return bytes(out)


SIZES = [0, 1, 511, MIB - 1, MIB, MIB + 1, 5 * MIB, 11 * MIB + 7]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_what_was_compressed_is_decompressed(kind: str, size: int) -> None:
    data = sample(size)
    packed = compressed(data, kind)
    assert open_decompressed(io.BytesIO(packed)).read() == data
    assert size < 600 or len(packed) < size


@pytest.mark.parametrize("size", SIZES)
def test_gzip_is_read_by_others(size: int) -> None:
    data = sample(size)
    packed = compressed(data)
    assert gzip.decompress(packed) == data
    by_gzip = subprocess.run(["gzip", "-dc"], input=packed, capture_output=True, check=True)
    assert by_gzip.stdout == data


def test_zstd_is_read_by_others() -> None:
    data = sample(3 * MIB)
    assert zstd.decompress(compressed(data, "zstd")) == data


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_the_bytes_do_not_depend_on_processors_or_on_how_much_is_read_at_once(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 99_999))

    data = sample(7 * MIB + 5)
    results = set()
    for processors in (1, 2, 3, 64, None):
        monkeypatch.setattr(os, "cpu_count", lambda processors=processors: processors)
        results.add(compressed(data, kind))
        out = bytearray()
        compress(Trickle(data), out.extend, kind)
        if kind == "gzip":
            results.add(bytes(out))
    assert len(results) == 1


def test_gzip_names_neither_a_file_nor_a_time_nor_a_system() -> None:
    assert compressed(b"x")[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


def test_levels_differ() -> None:
    data = sample(MIB)
    assert len(compressed(data, level=0)) > len(compressed(data, level=2))
    assert len(compressed(data, "zstd", 1)) != len(compressed(data, "zstd", 12))


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="lzip"):
        compress(io.BytesIO(b""), lambda piece: None, "lzip")


@pytest.mark.parametrize("form", [gzip.compress, bz2.compress, lzma.compress, zstd.compress])
def test_all_forms_are_told_by_their_first_bytes(form, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    data = sample(100_000)
    packed = form(data)
    assert open_decompressed(io.BytesIO(packed)).read() == data
    (tmp_path / "file").write_bytes(packed)
    with open_decompressed(tmp_path / "file") as stream:
        assert stream.read() == data
    with open_decompressed(str(tmp_path / "file")) as stream:
        assert stream.read(10) == data[:10]


@pytest.mark.parametrize("data", [b"", b"x", b"\x1f", b"a tar".ljust(1024, b"\0")])
def test_what_is_not_compressed_passes_through(data: bytes) -> None:
    assert open_decompressed(io.BytesIO(data)).read() == data


def test_several_members_of_gzip_are_one_stream() -> None:
    packed = gzip.compress(b"one") + gzip.compress(b"") + gzip.compress(b"two")
    assert open_decompressed(io.BytesIO(packed)).read() == b"onetwo"


@pytest.mark.parametrize("form", [gzip.compress, bz2.compress, lzma.compress, zstd.compress])
@pytest.mark.parametrize("part", [0.05, 0.5, 0.999])
def test_a_stream_that_is_cut_short_is_corrupt(form, part: float) -> None:  # type: ignore[no-untyped-def]
    packed = form(sample(3 * MIB))
    stream = open_decompressed(io.BytesIO(packed[: int(len(packed) * part)]))
    with pytest.raises(CorruptLayer, match="decompress layer"):
        while stream.read(MIB):
            pass


@pytest.mark.parametrize("form", [gzip.compress, bz2.compress, lzma.compress])
def test_a_stream_with_a_wrong_byte_is_corrupt(form) -> None:  # type: ignore[no-untyped-def]
    packed = bytearray(form(sample(MIB)))
    packed[len(packed) // 2] ^= 0xFF
    stream = open_decompressed(io.BytesIO(bytes(packed)))
    with pytest.raises(CorruptLayer):
        while stream.read(MIB):
            pass


def test_a_bomb_comes_out_in_pieces_of_the_callers_choice() -> None:
    packed = gzip.compress(bytes(64 * MIB), 9)
    stream = open_decompressed(io.BytesIO(packed))
    assert len(stream.read(MIB)) == MIB


def test_an_error_of_the_source_or_the_sink_ends_the_threads() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            if not data:
                raise OSError("unplugged")
            return data

    def full(piece: bytes) -> None:
        if len(piece) > 100:
            raise OSError("full")

    before = threading.active_count()
    with pytest.raises(OSError, match="unplugged"):
        compress(Failing(sample(9 * MIB)), lambda piece: None)
    with pytest.raises(OSError, match="full"):
        compress(io.BytesIO(sample(9 * MIB)), full)
    abandoned = gzip_pieces(io.BytesIO(sample(9 * MIB)), 2)
    next(abandoned)
    next(abandoned)
    del abandoned
    assert threading.active_count() == before
