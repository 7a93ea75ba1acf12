"""The control groups of one container that is limited, or may do more than others.

Where the runtime runs in the launcher's groups (see `launcher`), such a container gets groups
beside those, and the launcher's thread enters them for the moment in which it starts the
runtime. Elsewhere the runtime makes a group for each container anyway: it is told to make it
below the group here, so that the limits of this one hold, and that it tells what happened.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from tierce.errors import ContainerError
from tierce.linux import cgroups, resources
from tierce.linux.resources import BLKIO, IO, MEMORY, RATES, Resources
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from tierce.linux.cgroups import CgroupMount
    from tierce.runtime.launcher import Launcher

_KILLED = 137
_INNER = "container"
_DEVICES = "devices"
_DELEGATED = "cgroup.subtree_control"
_THROTTLES = dict(
    zip(
        RATES,
        (
            *("throttleReadBpsDevice", "throttleWriteBpsDevice"),
            *("throttleReadIOPSDevice", "throttleWriteIOPSDevice"),
        ),
    )
)


class GroupSpec(Value):
    """What the groups of a container are for.

    `parent` is where they are made, a path below the root of each hierarchy, or empty; with
    `every_device` the container may open all devices that this process may.
    """

    resources: Resources = Resources()
    parent: str = ""
    every_device: bool = False


def specification_of(resources: Resources) -> dict[str, Any]:
    """Limits in the runtime specification's form (config-linux.md#control-groups)."""
    memory: dict[str, Any] = {
        "limit": resources.memory,
        "swap": resources.all_memory,
        "reservation": resources.memory_reservation,
        "disableOOMKiller": not resources.oom_killer,
    }
    cpu = {
        "shares": resources.cpu_shares,
        "quota": resources.cpu_quota,
        "period": resources.cpu_period,
        "cpus": resources.cpuset_cpus,
        "mems": resources.cpuset_mems,
    }
    block: dict[str, Any] = {
        "weight": resources.blkio_weight,
        "weightDevice": [
            {"major": major, "minor": minor, "weight": weight}
            for major, minor, weight in resources.device_weights
        ],
    }
    for kind in RATES:
        block[_THROTTLES[kind]] = [
            {"major": major, "minor": minor, "rate": rate}
            for limited, major, minor, rate in resources.device_rates
            if limited == kind
        ]
    given = {
        "memory": {key: value for key, value in memory.items() if value},
        "cpu": {key: value for key, value in cpu.items() if value},
        "pids": {"limit": resources.pids} if resources.pids else {},
        "blockIO": {key: value for key, value in block.items() if value},
    }
    if resources.memory_swappiness >= 0:
        given["memory"]["swappiness"] = resources.memory_swappiness
    return {name: limits for name, limits in given.items() if limits}


class ContainerGroups:
    """The groups of one container. Everything here is for the launcher's thread."""

    def __init__(self, launcher: Launcher, name: str, spec: GroupSpec, *, shared: bool) -> None:
        """With `shared` the runtime makes no groups, and runs in these."""
        self._launcher = launcher
        parent = f"/{spec.parent.strip('/')}" if spec.parent.strip("/") else ""
        self._path = parent + launcher.cgroup_for(name)
        self._spec = spec
        self._shared = shared
        self._made: list[str] = []
        self._memory = ""

    @property
    def path(self) -> str:
        """The group that the runtime is to make, below these; empty when it is to make none."""
        return "" if self._shared else f"{self._path}/{_INNER}"

    @property
    def directories(self) -> tuple[str, ...]:
        """Those that have been made."""
        return tuple(self._made)

    def make(self, device_rules: tuple[str, ...]) -> None:
        """Make the groups and set their limits. Raises ContainerError."""
        setup = self._launcher.setup
        legacy = [mount for mount in setup.mounts if mount.version == 1]
        missing = set(self._spec.resources.controllers)
        try:
            # A thread cannot enter a group of version 2, and of two versions, runtimes use one.
            for mount in legacy or ([setup.unified] if setup.unified and not self._shared else []):
                names = mount.controllers if mount.version == 1 else setup.unified_controllers
                if IO in names:
                    names = (*names, BLKIO)
                wanted = [name for name in self._spec.resources.controllers if name in names]
                if not wanted and not self._is_needed_for_else(names):
                    continue
                group = self._make_in(mount, wanted)
                missing.difference_update(wanted)
                if self._shared and not self._spec.every_device and _DEVICES in names:
                    # It is beside the launcher's group, and does not inherit the rules of that.
                    cgroups.allow_devices(cgroups.Cgroup((group,)), device_rules)
        except OSError as error:
            raise ContainerError(
                f"limit what a container may use: {error.strerror}: {error.filename}",
                hint="is the limit beyond what tierce itself may use, or are cgroups read-only? "
                "users can limit something where a group is delegated to them",
            ) from error
        if missing:
            raise ContainerError(
                f"limit {' and '.join(sorted(missing))}: this machine has no cgroup controller "
                "for it that tierce can use"
            )

    @contextmanager
    def entered(self) -> Iterator[None]:
        """What the calling thread starts meanwhile is in the groups, where they are shared."""
        if not self._shared:
            yield
            return
        try:
            cgroups.enter_with_thread(cgroups.Cgroup(tuple(self._made)))
            yield
        finally:
            # A user may have groups in one hierarchy only, and the launcher none in it.
            above = tuple(os.path.dirname(directory) for directory in self._made)
            group = self._launcher.group
            cgroups.enter_with_thread(group if group.directories else cgroups.Cgroup(above))

    def out_of_memory(self, status: int) -> bool:
        """Whether a container that ended with this status did so for lack of memory."""
        if not self._memory:
            return False
        if resources.killed_for_memory(self._memory):
            return True
        # The group in which it was counted may be gone: left is that there was not enough.
        below = not self._shared and status == _KILLED
        return below and resources.has_hit_its_limit(self._memory)

    def remove(self) -> None:
        """Remove the groups; what something still ends in, the launcher removes later."""
        inner = [f"{directory}/{_INNER}" for directory in self._made]
        left = cgroups.remove(cgroups.Cgroup((*inner, *reversed(self._made))))
        self._launcher.remove_later(left)
        self._made = []
        self._memory = ""

    def _is_needed_for_else(self, controllers: tuple[str, ...]) -> bool:
        """Whether a hierarchy gets a group though nothing is limited by it.

        Below a given parent, a container is in all of them; and a runtime makes what it needs in
        all of them, but would leave our part of the path behind.
        """
        if not self._shared or self._spec.parent:
            return True
        return self._spec.every_device and _DEVICES in controllers

    def _make_in(self, mount: CgroupMount, wanted: list[str]) -> str:
        """Makes the group in one hierarchy, and limits it; returns its directory."""
        group = mount.path
        if self._shared and not self._spec.parent:
            # Below our own group, so that limits on us hold for what we run.
            group = self._launcher.parents[mount.controllers]
        for part in self._path.strip("/").split("/"):
            if mount.version == 2:
                _delegate(group, wanted)
            group = f"{group}/{part}"
            if not os.path.isdir(group):
                self._launcher.note_groups(group)
                cgroups.make(group) if mount.version == 1 else os.mkdir(group)
                self._made.append(group)
        spec = self._spec.resources
        settings_of = (
            resources.legacy_settings if mount.version == 1 else resources.unified_settings
        )
        for controller in wanted:
            settings = settings_of(spec, controller)
            resources.write_settings(group, settings, optional=resources.optional_files(spec))
            if controller == MEMORY:
                self._memory = group
        return group


def _delegate(directory: str, controllers: list[str]) -> None:
    """Let groups below a group of version 2 have controllers (cgroup-v2.rst, "Top-down").

    Raises OSError, EBUSY where the group has processes and is not the root of all.
    """
    with open(f"{directory}/{_DELEGATED}", encoding="ascii") as file:
        enabled = file.read().split()
    names = [IO if name == BLKIO else name for name in controllers]
    missing = [(_DELEGATED, f"+{name}") for name in names if name not in enabled]
    resources.write_settings(directory, missing, optional=frozenset())
