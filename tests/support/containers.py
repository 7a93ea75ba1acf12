"""Containers of a test's store: which there were, and what is left of them on the machine."""

import os
import re
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from support.leftovers import mounts_in_any_namespace
from support.program import Tierce
from tierce.linux import inotify
from tierce.store import Store

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_EVENT = struct.Struct("iIII")
_ENDING_SECONDS = 10.0
"""How long the kernel may take to let go of a group whose last process has just ended."""


class SeenContainers:
    """The ids of all containers that a store gets during a block, removed ones as well.

    What is looked for on the machine is of these alone: others run tests at the same time.
    """

    def __init__(self, program: Tierce) -> None:
        with Store.open(program.root) as store:
            self._directory = store.paths.containers
        self._root = program.root
        self._watch = inotify.inotify_init1()
        inotify.inotify_add_watch(self._watch, str(self._directory), inotify.IN_CREATE)
        self._ids = set(os.listdir(self._directory))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._watch)

    @property
    def ids(self) -> set[str]:
        """Those seen up to now."""
        while True:
            try:
                data = os.read(self._watch, 1 << 16)
            except BlockingIOError:
                return set(self._ids)
            while data:
                size = _EVENT.unpack_from(data)[3]
                name = data[_EVENT.size : _EVENT.size + size].rstrip(b"\0")
                self._ids.add(name.decode())
                data = data[_EVENT.size + size :]

    def cgroups(self) -> list[str]:
        """Directories of these containers in any hierarchy of control groups."""
        ids = self.ids
        return sorted(
            directory
            for directory, _, _ in os.walk(_CGROUP_ROOT)
            if any(name in ids for name in re.findall("[0-9a-f]{64}", directory))
        )

    def processes(self) -> list[str]:
        """Processes that name one of these containers in their command line, as conmon does."""
        ids = [identifier.encode() for identifier in self.ids]
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:  # ended meanwhile
                continue
            if any(identifier in words for identifier in ids):
                found.append(f"process {pid}: {words.replace(bytes(1), b' ').decode()}")
        return found

    def networks(self) -> list[str]:
        """What is on a network of these containers: notes, addresses, rules for their ports."""
        with Store.open(self._root) as store:
            directory = Path(store.paths.networks)
        ids = self.ids
        found = [str(path) for path in directory.glob("endpoints/*") if path.name in ids]
        for path in directory.glob("addresses/*/[0-9]*"):
            try:
                if path.read_text().split()[0] in ids:
                    found.append(str(path))
            except FileNotFoundError:  # another run's, released meanwhile
                continue
        if iptables := shutil.which("iptables-save", path=os.defpath + ":/usr/sbin:/sbin"):
            rules = subprocess.run([iptables], capture_output=True, text=True, check=True).stdout
            found += [
                line for line in rules.splitlines() if any(identifier in line for identifier in ids)
            ]
        return found


def left_of(program: Tierce, seen: SeenContainers) -> list[str]:
    """What containers have left on the machine and in the store, one line each."""
    with Store.open(program.root) as store:
        paths = store.paths
    left = [str(path) for path in Path(paths.detached).iterdir()]
    left += [str(path) for path in paths.containers.iterdir()]
    left += seen.networks()
    left += [str(path) for path in paths.locks.iterdir() if path.name.startswith("container ")]
    deadline = time.monotonic() + _ENDING_SECONDS
    while on_machine := (mounts_in_any_namespace(program.root) + seen.cgroups() + seen.processes()):
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return left + on_machine


@contextmanager
def nothing_outlives(program: Tierce) -> Iterator[SeenContainers]:
    """Removes all containers at the end of the block; fails when anything of one is left then."""
    with SeenContainers(program) as seen:
        try:
            yield seen
        finally:
            for identifier in program.run("ps", "-aq", "--no-trunc").stdout.split():
                program.run("rm", "-f", identifier)
        assert program.run("ps", "-a", "-q").stdout == ""
        left = left_of(program, seen)
        assert not left, "left behind by containers:\n" + "\n".join(left)


def start(program: Tierce, *words: str, network: str = "none") -> str:
    """Run a container in the background; its id."""
    found = program.run("run", "-d", "--network", network, *words).stdout
    assert re.fullmatch(r"[0-9a-f]{64}\n", found)
    return found.strip()


def inspected(program: Tierce, name: str, form: str = "{{.State.Status}}") -> str:
    """What a template of `inspect` gives of a container."""
    return program.run("container", "inspect", "-f", form, name).stdout.strip()


def run_file(program: Tierce, identifier: str, name: str) -> Path:
    """A file that is there while a container is in the background."""
    with Store.open(program.root) as store:
        return Path(store.paths.detached, identifier, name)


def files_of(program: Tierce, identifier: str) -> Path:
    """The directory that is there as long as a container is."""
    with Store.open(program.root) as store:
        return store.paths.container(identifier)


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for what somebody else is doing."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it has not happened"
        time.sleep(0.01)
