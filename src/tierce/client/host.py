"""What there is on this machine for tierce, and what it makes of it: `tierce info`."""

from __future__ import annotations

import os

import tierce
from tierce.errors import TierceError
from tierce.linux.cgroups import detect
from tierce.linux.process import effective_capabilities
from tierce.runtime.probe import choose_runtime
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.store import Store

OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")


class RuntimeChoice(Value):
    """The OCI runtime that is used, or why there is none (`name` is empty then)."""

    name: str
    path: str
    version: str
    reason: str


class SystemInfo(Value):
    """What `tierce info` says. `memory` in bytes; `privilege` is what this user may do here."""

    version: str
    root: str
    run: str
    snapshotter: str
    mounts_tars: bool
    """Whether large layers are mounted from their tars instead of being unpacked."""
    runtime: RuntimeChoice
    privilege: str
    cgroup_mode: str
    containers: int
    containers_running: int
    images: int
    kernel: str
    operating_system: str
    architecture: str
    hostname: str
    processors: int
    memory: int


def system_info(store: Store) -> SystemInfo:
    """What there is, and what works here. Raises StoreError."""
    containers = store.containers.list()
    uname = os.uname()
    return SystemInfo(
        version=tierce.__version__,
        root=str(store.paths.root),
        run=str(store.paths.run),
        snapshotter=store.parts.snapshotter.name,
        mounts_tars=store.parts.snapshotter.takes_images,
        runtime=runtime_choice(store),
        privilege=privilege(),
        cgroup_mode=detect().mode,
        containers=len(containers),
        containers_running=sum(row.running for row in containers),
        images=len(store.images.list()),
        kernel=uname.release,
        operating_system=operating_system(),
        architecture=uname.machine,
        hostname=uname.nodename,
        processors=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    )


def runtime_choice(store: Store) -> RuntimeChoice:
    try:
        found = choose_runtime(store.paths)
    except TierceError as error:
        return RuntimeChoice("", "", "", error.message)
    return RuntimeChoice(found.name, found.path, found.version, found.reason)


def privilege() -> str:
    """What this user may do here, in words."""
    if os.geteuid() != 0:
        return "user: images can be managed and built from COPY; RUN needs root"
    if "CAP_SYS_ADMIN" in effective_capabilities():
        return "root with namespaces"
    return "root without CAP_SYS_ADMIN: no namespaces, no mounts"


def operating_system() -> str:
    """The name of the distribution, as os-release(5) has it."""
    for path in OS_RELEASE:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                for line in file:
                    name, _, value = line.strip().partition("=")
                    if name == "PRETTY_NAME":
                        return value.strip("\"'")
        except OSError:
            continue
    return "Linux"
