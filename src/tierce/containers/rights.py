"""What a container may do and use, where that is not as by default: asked for, and as it is had.

Only containers that have something of this load it.
"""

from __future__ import annotations

import os

from tierce.containers import devices
from tierce.containers.following import Running
from tierce.containers.state import ContainerState
from tierce.containers.sweep import find, settle
from tierce.errors import Conflict, ContainerError, NotFound, UsageError
from tierce.linux import cgroups, resources, support, userns
from tierce.linux.process import CAPABILITIES, bounding_capabilities, start_time
from tierce.linux.resources import Resources
from tierce.runtime import capabilities, init, profiles
from tierce.runtime.groups import GroupSpec
from tierce.runtime.particulars import Joined, Particulars
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from typing import Any

    from tierce.runtime.bundle import Isolation
    from tierce.runtime.container import ContainerSpec
    from tierce.store import Store

ALL = "ALL"
HOST, PRIVATE, SHAREABLE, NONE = "host", "private", "shareable", "none"
OF_CONTAINER = "container:"
UNCONFINED = "unconfined"

_NEEDED_FOR_PRIORITY = "CAP_SYS_RESOURCE"


class Rights(Value):
    """What `container run` is asked for; the empty value is docker's default.

    Capabilities are "CAP_CHOWN", …, or "ALL". `security` is as `inspect` shows it, and the four
    fields after it are what it means; `seccomp` is as in `Particulars`. `devices` are source,
    target, access; `device_rules` as in cgroup-v1/devices.rst. `pid`, `ipc`, `uts`, `cgroupns`,
    `userns` are docker's words, "" for its default; a container in them is named by its id once
    it is made. `groups` are names or numbers. `ulimits` are as in `ProcessSpec`, sizes in bytes;
    `cpus` is in billionths of a processor, and `limits` has the quota for it.
    `device_limits` are kind, path, number: what `limits` has of devices, for `inspect`.
    """

    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    security: tuple[str, ...] = ()
    seccomp: str | None = None
    no_new_privileges: bool = False
    unmasked: bool = False
    apparmor: str = ""
    devices: tuple[tuple[str, str, str], ...] = ()
    device_rules: tuple[str, ...] = ()
    pid: str = ""
    ipc: str = ""
    uts: str = ""
    cgroupns: str = ""
    userns: str = ""
    groups: tuple[str, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    oom_score_adj: int = 0
    init: bool = False
    limits: Resources = Resources()
    cpus: int = 0
    device_limits: tuple[tuple[str, str, int], ...] = ()
    ulimits: tuple[tuple[str, int, int], ...] = ()
    shm_size: int = 0
    cgroup_parent: str = ""
    runtime: str = ""

    def encode(self) -> tuple[tuple[str, Any], ...]:
        """Names and values of what is not as by default, for JSON."""
        found = _differing(self)
        return tuple(
            (name, _differing(value) if isinstance(value, Value) else value)
            for name, value in found
        )

    @classmethod
    def decode(cls, pairs: tuple[tuple[str, Any], ...]) -> Rights:
        """What `encode` gave; fields of a newer tierce are left out."""
        fields = {name: value for name, value in pairs if name in cls._fields}
        if "limits" in fields:
            known = {name: value for name, value in fields["limits"] if name in Resources._fields}
            fields["limits"] = Resources(**known)
        return cls(**fields)

    def granted(self, *, privileged: bool) -> tuple[str, ...]:
        """The capabilities that the container is to have, as far as the machine has them."""
        if privileged:
            return capabilities.ALL
        base = capabilities.ALL if ALL in self.added else capabilities.DEFAULT
        if ALL in self.dropped:
            base = ()
        added = capabilities.ALL if ALL in self.added else self.added
        kept = [name for name in (*base, *added) if name not in self.dropped]
        return tuple(dict.fromkeys(kept))


def _differing(value: Value) -> tuple[tuple[str, Any], ...]:
    default = type(value)()
    return tuple(
        (name, found)
        for name in value._fields
        if (found := getattr(value, name)) != getattr(default, name)
    )


def prepared(
    store: Store, rights: Rights, *, privileged: bool = False, network: str = ""
) -> tuple[Rights, tuple[str, ...]]:
    """What can be given of what is asked for, and a warning for what cannot.

    Raises UsageError and ContainerError for what is refused; NotFound, Conflict for a container
    that is to be joined.
    """
    resources.check(rights.limits)
    _check_words(rights)
    _check_network(rights, network)
    _check_shared(rights)
    joined = {kind: _named_by_id(store, getattr(rights, kind)) for kind in ("pid", "ipc")}
    rights = rights.replace(**joined)
    limits, warnings = support.adapt(rights.limits, support.detect(), whole_cpus=rights.cpus > 0)
    _check_ulimits(rights)
    _check_oom_score(rights)
    for source, target, access in rights.devices:
        devices.find(source, target, access)
    return rights.replace(limits=limits), (*warnings, *missing(rights, privileged=privileged))


def missing(rights: Rights, *, privileged: bool) -> tuple[str, ...]:
    """A warning when this process lacks capabilities that the container is to have."""
    if not privileged and not rights.added:
        return ()
    have = bounding_capabilities()
    wanted = rights.granted(privileged=privileged)
    # A kernel that is older than a capability lacks it for everybody.
    known = {f"CAP_{name}" for name in CAPABILITIES[: _last_capability() + 1]}
    lacking = [name for name in wanted if name in known and name not in have]
    if not lacking:
        return ()
    return (
        f"This machine does not give {', '.join(lacking)} to tierce: the container does without.",
    )


def _last_capability() -> int:
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        return int(file.read())


def _check_words(rights: Rights) -> None:
    for kind, words in (
        ("IPC", (HOST, PRIVATE, SHAREABLE, NONE)),
        ("PID", (HOST,)),
        ("UTS", (HOST,)),
        ("CGROUP", (HOST, PRIVATE)),
    ):
        field = "cgroupns" if kind == "CGROUP" else kind.lower()
        text = getattr(rights, field)
        named = kind in ("IPC", "PID") and text.startswith(OF_CONTAINER)
        if text and text not in words and not (named and text != OF_CONTAINER):
            raise UsageError(f"--{field}: invalid {kind} mode")
    if rights.userns not in ("", HOST):
        raise UsageError(
            "--userns: invalid USER mode",
            hint="containers run in tierce's own user namespace: leave it out, or say host",
        )
    for name in (*rights.added, *rights.dropped):
        if name != ALL and name not in capabilities.ALL:
            flag = "CapAdd" if name in rights.added else "CapDrop"
            raise UsageError(f'invalid {flag}: unknown capability: "{name}"')
    if not -1000 <= rights.oom_score_adj <= 1000:
        raise UsageError(
            f"Invalid value {rights.oom_score_adj}, range for oom score adj is [-1000, 1000]"
        )
    if rights.shm_size < 0:
        raise UsageError("SHM size can not be less than 0")
    if rights.seccomp and rights.seccomp != profiles.BUILTIN:
        profiles.convert(rights.seccomp, ())
    if rights.apparmor not in ("", UNCONFINED) and not os.path.isdir(
        "/sys/kernel/security/apparmor"
    ):
        raise UsageError(
            f"apparmor profile {rights.apparmor}: AppArmor is not enabled on this machine",
            hint="leave out --security-opt apparmor=…, or mount securityfs if it is enabled",
        )


def _check_network(rights: Rights, network: str) -> None:
    if network != HOST:
        return
    for name, _ in rights.sysctls:
        if name.startswith("net."):
            raise UsageError(f'sysctl "{name}" not allowed in host network namespace')


def _check_shared(rights: Rights) -> None:
    """Refuses what the user namespace of an ordinary user lets nobody join, or end."""
    for kind in ("pid", "ipc"):
        mode = getattr(rights, kind)
        shared = mode.startswith(OF_CONTAINER) or (kind, mode) == ("pid", HOST)
        if shared and not userns.in_first():
            raise ContainerError(
                f"--{kind} {mode}: users cannot, whose containers are each in a user namespace of "
                "their own",
                hint="run both as root, or leave it out",
            )


def _can_raise_limits() -> bool:
    """The kernel asks for this capability in the first user namespace alone."""
    return _NEEDED_FOR_PRIORITY in bounding_capabilities() and userns.in_first()


def _check_ulimits(rights: Rights) -> None:
    """Raising a hard limit needs a capability that not even root need have."""
    if not rights.ulimits or _can_raise_limits():
        return
    import resource  # for these few alone

    for name, _, hard in rights.ulimits:
        _, own = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))
        if own != resource.RLIM_INFINITY and not 0 <= hard <= own:
            wanted = "unlimited" if hard < 0 else str(hard)
            raise ContainerError(
                f"set ulimit {name} to {wanted}: tierce has no {_NEEDED_FOR_PRIORITY} on this "
                f"machine, and its own limit is {own}"
            )


def _check_oom_score(rights: Rights) -> None:
    """Lowering the score needs the same capability."""
    if not rights.oom_score_adj or _can_raise_limits():
        return
    with open("/proc/self/oom_score_adj", encoding="ascii") as file:
        own = int(file.read())
    if rights.oom_score_adj < own:
        raise ContainerError(
            f"set oom score adj to {rights.oom_score_adj}: tierce has no {_NEEDED_FOR_PRIORITY} on "
            f"this machine, and its own score is {own}"
        )


def _named_by_id(store: Store, mode: str) -> str:
    """`container:NAME` with the id. Raises NotFound, InvalidValue."""
    if not mode.startswith(OF_CONTAINER):
        return mode
    return OF_CONTAINER + store.containers.resolve(mode.removeprefix(OF_CONTAINER)).id


def particulars_of(store: Store, rights: Rights) -> Particulars:
    """What a runtime is to do otherwise, now that the container is about to start.

    Raises ContainerError, NotFound, Conflict for a container that is to be joined.
    """
    nodes, rules = devices.find_all(rights.devices)
    shared = [kind for kind in ("pid", "ipc", "uts") if getattr(rights, kind) == HOST]
    joined = [
        _join(store, kind, mode.removeprefix(OF_CONTAINER))
        for kind in ("pid", "ipc")
        if (mode := getattr(rights, kind)).startswith(OF_CONTAINER)
    ]
    return Particulars(
        devices=nodes,
        device_rules=(*rules, *rights.device_rules),
        shared=tuple(shared),
        joined=tuple(joined),
        sysctls=rights.sysctls,
        no_new_privileges=rights.no_new_privileges,
        unmasked=rights.unmasked,
        seccomp=rights.seccomp,
        apparmor="" if rights.apparmor == UNCONFINED else rights.apparmor,
        oom_score_adj=rights.oom_score_adj or None,
        shm=rights.ipc != NONE,
    )


def default_cgroup_namespace() -> str:
    """Docker's: a private one where there is version 2 alone."""
    return PRIVATE if cgroups.is_unified() else HOST


def _join(store: Store, kind: str, identifier: str) -> Joined:
    row = find(store, identifier)
    row = None if row is None else settle(store, row)
    if row is None:
        raise NotFound("container", identifier)
    if not row.running:
        raise Conflict(f"cannot join {kind.upper()} of a non running container: {identifier}")
    rights = Rights.decode(ContainerState.decode(row.state).rights)
    if kind == "ipc" and rights.ipc in ("", PRIVATE, NONE):
        raise Conflict(
            f"can't join IPC of container {identifier}: non-shareable IPC",
            hint=f"run that one with --ipc {SHAREABLE}",
        )
    with Running(store, row) as running:
        pid = running.pid
    return Joined(kind, pid, start_time(pid) if pid else 0)


def isolated(store: Store, state: ContainerState, isolation: Isolation) -> Isolation:
    """The isolation of a container that has rights. Raises as `particulars_of`."""
    rights = Rights.decode(state.rights)
    return isolation.replace(
        capabilities=rights.granted(privileged=isolation.privileged),
        shm_size=rights.shm_size or isolation.shm_size,
        particulars=particulars_of(store, rights),
        cgroup_namespace=(rights.cgroupns or default_cgroup_namespace()) == PRIVATE,
    )


def applied(store: Store, state: ContainerState, spec: ContainerSpec) -> ContainerSpec:
    """What a runtime is to make of a container that has rights.

    Raises as `particulars_of`, and RuntimeUnavailable without the program for --init.
    """
    rights = Rights.decode(state.rights)
    process = spec.process.replace(ulimits=rights.ulimits, groups=rights.groups)
    binds = spec.binds
    if rights.init and not rights.pid:  # in other namespaces, there is one that reaps
        binds = (*binds, init.mount())
        process = process.replace(args=init.arguments(process.args))
    isolation = isolated(store, state, spec.isolation)
    groups = GroupSpec(rights.limits, rights.cgroup_parent, every_device=state.privileged)
    needed = groups.replace(every_device=False) != GroupSpec()
    return spec.replace(
        process=process,
        binds=binds,
        isolation=isolation,
        groups=groups if needed else spec.groups,
    )
