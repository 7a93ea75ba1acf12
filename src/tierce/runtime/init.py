"""A program that is process 1 in the place of a container's own: --init.

It passes on signals, and reaps what the container's process does not.
"""

from __future__ import annotations

import os
import struct

from tierce.errors import RuntimeUnavailable
from tierce.linux.mounts import MountSpec
from tierce.runtime.bundle import BindMount

TARGET = "/sbin/docker-init"
"""Where docker mounts it."""

_PROGRAMS = ("tini-static", "docker-init", "tini", "catatonit")
"""Docker's first: catatonit ends with 1 where there is no such command, not with 127."""

_DIRECTORIES = "/usr/local/libexec:/usr/libexec/podman:/usr/local/bin:/usr/bin:/bin:/usr/sbin"
_HEADER = struct.Struct("<16s16xQ14xHH")
"""Of a 64-bit ELF file: its identity, where its program headers are, their size and number."""

_INTERPRETER = 3
_MOST_HEADERS = 128


def mount() -> BindMount:
    """The program, where the container has it. Raises RuntimeUnavailable."""
    directory, name = os.path.split(find())
    root = MountSpec("bind", directory, "", ("rbind",))
    return BindMount(TARGET, (root,), name, read_only=True)


def arguments(args: tuple[str, ...]) -> tuple[str, ...]:
    """The words by which it starts the container's own process."""
    return (TARGET, "--", *args)


def find(search_path: str | None = None) -> str:
    """The path of a program that needs nothing else, since a container has nothing else.

    `search_path` is PATH when None. Raises RuntimeUnavailable.
    """
    if search_path is None:
        search_path = f"{os.environ.get('PATH', '')}:{_DIRECTORIES}"
    directories = [part for part in search_path.split(":") if part.startswith("/")]
    for name in _PROGRAMS:
        for directory in directories:
            path = os.path.realpath(f"{directory}/{name}")
            if os.access(path, os.X_OK) and os.path.isfile(path) and not _needs_libraries(path):
                return path
    raise RuntimeUnavailable(
        "find a program for --init: neither tini nor catatonit is in PATH",
        hint="apt-get install tini",
    )


def _needs_libraries(path: str) -> bool:
    """Whether an interpreter has to load a program first (elf(5), PT_INTERP)."""
    try:
        with open(path, "rb") as file:
            identity, offset, size, count = _HEADER.unpack(file.read(_HEADER.size))
            if identity[:5] != b"\x7fELF\x02":
                return True
            file.seek(offset)
            for _ in range(min(count, _MOST_HEADERS)):
                if struct.unpack("<I", file.read(size)[:4]) == (_INTERPRETER,):
                    return True
    except (OSError, struct.error):
        return True
    return False
