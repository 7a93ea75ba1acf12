"""The program of --init: one that needs nothing of the container."""

import os
import shutil
import struct
import sys
from pathlib import Path

import pytest

from tierce.errors import RuntimeUnavailable
from tierce.runtime import init


def elf(*kinds: int) -> bytes:
    """A program of 64 bits with program headers of these kinds."""
    head = struct.pack("<16s16xQ14xHH", b"\x7fELF\x02\x01\x01", 64, 56, len(kinds)).ljust(64, b"\0")
    return head + b"".join(struct.pack("<I", kind).ljust(56, b"\0") for kind in kinds)


def place(directory: Path, name: str, content: bytes) -> Path:
    path = directory / name
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def test_program_without_an_interpreter_is_taken(tmp_path: Path) -> None:
    path = place(tmp_path, "catatonit", elf(1, 1, 2))
    assert init.find(str(tmp_path)) == str(path)
    preferred = place(tmp_path, "tini-static", elf(1))
    assert init.find(f"relative:{tmp_path}") == str(preferred)


@pytest.mark.parametrize(
    "content",
    [elf(1, 3), b"#!/bin/sh\n", b"", b"\x7fELF\x01" + b"\0" * 100, elf(1)[:66]],
    ids=["interpreter", "script", "empty", "of-32-bits", "cut"],
)
def test_program_that_a_container_cannot_run_is_passed_over(tmp_path: Path, content: bytes) -> None:
    place(tmp_path, "tini", content)
    with pytest.raises(RuntimeUnavailable) as caught:
        init.find(str(tmp_path))
    assert "apt-get install tini" in caught.value.hint


def test_programs_of_this_machine_are_told_apart(tmp_path: Path) -> None:
    busybox = shutil.which("busybox")
    assert busybox is not None
    place(tmp_path, "tini", Path(busybox).read_bytes())
    assert init.find(str(tmp_path)) == str(tmp_path / "tini")
    place(tmp_path, "tini", Path(os.path.realpath(sys.executable)).read_bytes())
    with pytest.raises(RuntimeUnavailable):
        init.find(str(tmp_path))


def test_own_command_follows(tmp_path: Path) -> None:
    assert init.arguments(("sh", "-c", "x")) == ("/sbin/docker-init", "--", "sh", "-c", "x")
