"""What there is on this machine for tierce, and what it makes of it: `tierce info`."""

from __future__ import annotations

import os

import tierce
from tierce.client.ladder import Rung, rung
from tierce.client.parts import Part, features, plugins, programs
from tierce.containers.stop import is_paused
from tierce.errors import TierceError
from tierce.linux import support
from tierce.linux.cgroups import CgroupSetup, detect
from tierce.runtime.probe import choose_runtime
from tierce.runtime.unprivileged import may_make_groups
from tierce.store.paths import namespace_owner
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.linux.support import Support
    from tierce.store import Store

OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")


class RuntimeChoice(Value):
    """The OCI runtime that is used, or why there is none (`name` is empty then)."""

    name: str
    path: str
    version: str
    reason: str


class SystemInfo(Value):
    """What `tierce info` says. `memory` in bytes; `rung` is what this user may do here."""

    version: str
    root: str
    run: str
    snapshotter: str
    mounts_tars: bool
    """Whether large layers are mounted from their tars instead of being unpacked."""
    runtime: RuntimeChoice
    rung: Rung
    rootless: bool
    cgroup_mode: str
    limits: Support
    """Which limits containers can have."""
    containers: int
    containers_running: int
    containers_paused: int
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
    setup = detect()
    return SystemInfo(
        version=tierce.__version__,
        root=str(store.paths.root),
        run=str(store.paths.run),
        snapshotter=store.parts.snapshotter.name,
        mounts_tars=store.parts.snapshotter.takes_images,
        runtime=runtime_choice(store),
        rung=rung(),
        rootless=namespace_owner(os.environ) is not None,
        cgroup_mode=setup.mode,
        limits=support.detect(setup if may_make_groups() else CgroupSetup("none")),
        containers=len(containers),
        containers_running=sum(row.running for row in containers),
        containers_paused=sum(is_paused(store, row) for row in containers),
        images=len(store.images.list()),
        kernel=uname.release,
        operating_system=operating_system(),
        architecture=uname.machine,
        hostname=uname.nodename,
        processors=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    )


def parts(store: Store) -> list[Part]:
    """The parts that are not tierce's; it takes a moment, as each is asked for its version."""
    return [*programs(), *plugins(), *features(store.paths.snapshots)]


def runtime_choice(store: Store) -> RuntimeChoice:
    try:
        found = choose_runtime(store.paths)
    except TierceError as error:
        return RuntimeChoice("", "", "", error.message)
    return RuntimeChoice(found.name, found.path, found.version, found.reason)


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
