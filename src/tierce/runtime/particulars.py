"""What one container may do, shares and is, otherwise than docker's defaults say.

Most containers have nothing of this, and load nothing of it.
"""

from __future__ import annotations

import os
import threading

from tierce.errors import ContainerError
from tierce.linux import mounts, namespaces
from tierce.linux.process import start_time
from tierce.runtime import profiles
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any, Self

    from tierce.runtime.root import ContainerRoot

_SHM = "/dev/shm"
_AT_SYMLINK_NOFOLLOW = 0x100
_NAMESPACE_FILES = {"ipc": "ipc", "pid": "pid", "network": "net", "uts": "uts"}


class DeviceNode(Value):
    """A device as the container sees it. `kind` is "c" or "b", `mode` without the file's type.

    `source` is where the host has it.
    """

    path: str
    kind: str
    major: int
    minor: int
    mode: int = 0o666
    uid: int = 0
    gid: int = 0
    source: str = ""


class Joined(Value):
    """A namespace of another container: its kind, and the process that is in it."""

    kind: str
    pid: int
    started: int

    def open(self) -> int:
        """A descriptor of the namespace. Raises ContainerError when the process is gone."""
        try:
            path = f"/proc/{self.pid}/ns/{_NAMESPACE_FILES[self.kind]}"
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            descriptor = -1
        # The descriptor holds on to the namespace; the number could be another process's by now.
        if descriptor < 0 or start_time(self.pid) != self.started:
            if descriptor >= 0:
                os.close(descriptor)
            raise ContainerError(f"join {self.kind} namespace: the other container has ended")
        return descriptor


class Particulars(Value):
    """See the fields; the empty value is docker's default.

    `shared` are kinds of namespaces (as in the runtime specification) that are the host's,
    `joined` those of other containers.
    `device_rules` are as in cgroup-v1/devices.rst, `sysctls` names with dots and values. An
    `unmasked` container sees all of /proc and /sys, and may write where the kernel lets it.
    `seccomp` is None for the default, "" for no filter, else the JSON of a profile in docker's
    form. Without `shm` it has no /dev/shm.
    """

    devices: tuple[DeviceNode, ...] = ()
    device_rules: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    joined: tuple[Joined, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    no_new_privileges: bool = False
    unmasked: bool = False
    seccomp: str | None = None
    apparmor: str = ""
    oom_score_adj: int | None = None
    shm: bool = True

    def own_profile(self, capabilities: Collection[str]) -> dict[str, Any] | None:
        """The seccomp profile that is not the default, in the specification's form."""
        if not self.seccomp:
            return None
        return profiles.convert(self.seccomp, capabilities)

    def pins(self) -> Pins:
        """See there."""
        return Pins(self)

    @property
    def needs_host_processes(self) -> bool:
        """Whether a runtime must see all processes of the host to start this container."""
        return "pid" in self.shared or any(joined.kind == "pid" for joined in self.joined)

    def apply(
        self,
        specification: dict[str, Any],
        namespaces: Mapping[str, str],
        memory: str,
        *,
        makes_nodes: bool = True,
    ) -> None:
        """Changes a specification with docker's defaults.

        `namespaces` are the paths of what is `joined`, by kind, and `memory` that of a /dev/shm
        that goes with it. `makes_nodes` is as in `Pins.apply`.
        """
        process, linux = specification["process"], specification["linux"]
        self._apply_namespaces(specification, namespaces)
        self._apply_memory(specification["mounts"], memory)
        if self.no_new_privileges:
            process["noNewPrivileges"] = True
        if self.apparmor:
            process["apparmorProfile"] = self.apparmor
        if self.oom_score_adj is not None:
            process["oomScoreAdj"] = self.oom_score_adj
        if self.unmasked:
            linux["maskedPaths"] = []
            linux["readonlyPaths"] = []
        if self.sysctls:
            linux["sysctl"] = {**linux.get("sysctl", {}), **dict(self.sysctls)}
        if self.devices and not makes_nodes:
            specification["mounts"] += [_mounted_node(node) for node in self.devices]
        elif self.devices:
            own = {node.path for node in self.devices}
            others = [node for node in linux.get("devices", []) if node["path"] not in own]
            linux["devices"] = [*others, *(_oci_node(node) for node in self.devices)]

    def _apply_namespaces(
        self, specification: dict[str, Any], namespaces: Mapping[str, str]
    ) -> None:
        linux = specification["linux"]
        other = {*self.shared, *namespaces}
        kept = [entry for entry in linux["namespaces"] if entry["type"] not in other]
        kept += [{"type": kind, "path": path} for kind, path in namespaces.items()]
        linux["namespaces"] = kept
        if "uts" in self.shared:
            del specification["hostname"]

    def _apply_memory(self, mounted: list[dict[str, Any]], other: str) -> None:
        """Processes that share semaphores and queues share /dev/shm, too."""
        for mount in mounted:
            if mount["destination"] != _SHM or mount["type"] != "tmpfs":
                continue  # one of the user's own choice
            if not self.shm:
                mounted.remove(mount)
            elif source := other or (_SHM if "ipc" in self.shared else ""):
                mount.update(type="bind", source=source, options=["rbind", "rprivate"])
            return


def _mounted_node(node: DeviceNode) -> dict[str, Any]:
    return {
        "destination": node.path,
        "type": "bind",
        "source": node.source,
        "options": ["bind", "rprivate", "nosuid", "noexec"],
    }


def _oci_node(node: DeviceNode) -> dict[str, Any]:
    return {
        "path": node.path,
        "type": node.kind,
        "major": node.major,
        "minor": node.minor,
        "fileMode": node.mode,
        "uid": node.uid,
        "gid": node.gid,
    }


class Pins:
    """A container's particulars, with what of others it is to join held from before its start.

    A context manager. It is made by a thread to which /proc shows the processes of the host, and
    `apply` is for the one in whose mount namespace the container is made, where it may not.
    """

    def __init__(self, particulars: Particulars) -> None:
        """Raises ContainerError when one that is to be joined has ended."""
        self._particulars = particulars
        self._namespaces: dict[str, int] = {}
        self._memory = -1
        try:
            for other in particulars.joined:
                self._namespaces[other.kind] = other.open()
                if other.kind == "ipc":
                    self._memory = clone_mount_of(other, _SHM)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in (*self._namespaces.values(), self._memory):
            if descriptor >= 0:
                os.close(descriptor)
        self._namespaces, self._memory = {}, -1

    def apply(
        self, specification: dict[str, Any], root: ContainerRoot, *, makes_nodes: bool = True
    ) -> None:
        """Changes a specification with docker's defaults; to be called once.

        Where the runtime cannot make device nodes, as for an ordinary user, those of the host
        are mounted.
        """
        flags = mounts.AT_EMPTY_PATH | mounts.OPEN_TREE_CLONE | mounts.OPEN_TREE_CLOEXEC
        paths = {
            kind: root.attach(mounts.open_tree(descriptor, "", flags), directory=False)
            for kind, descriptor in self._namespaces.items()
        }
        memory, self._memory = self._memory, -1
        shm = root.attach(memory, directory=True) if memory >= 0 else ""
        self._particulars.apply(specification, paths, shm, makes_nodes=makes_nodes)


def clone_mount_of(other: Joined, path: str) -> int:
    """A descriptor of the same file system as another container has mounted at a path, or -1.

    Only a process of its mount namespace can copy a mount there, so a thread becomes one.
    """
    found: list[int] = []

    def work() -> None:
        try:
            directory = os.open(f"/proc/{other.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            try:
                namespaces.unshare(namespaces.CLONE_FS)
                namespaces.setns(directory, namespaces.CLONE_NEWNS)
            finally:
                os.close(directory)
            flags = mounts.OPEN_TREE_CLONE | mounts.OPEN_TREE_CLOEXEC | _AT_SYMLINK_NOFOLLOW
            found.append(mounts.open_tree(mounts.AT_FDCWD, path, flags))
        except OSError:  # it has none, or has ended, which its namespace tells
            pass

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found[0] if found else -1
