"""Changing what a container may use, also while it runs."""

from __future__ import annotations

import os

from tierce.containers.following import Running
from tierce.containers.rights import Rights
from tierce.containers.state import REMOVING, RUNNING, ContainerState
from tierce.containers.sweep import find, lock_name
from tierce.errors import Conflict, NotFound
from tierce.linux import resources, support, usage
from tierce.linux.resources import MEMORY, Resources, Settings
from tierce.runtime.monitor import CGROUP_PREFIX

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from tierce.store import Store
    from tierce.store.containers import ContainerRow

_LIMIT, _WITH_SWAP = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"


def update(
    store: Store, row: ContainerRow, changes: Resources, *, cpus: int = 0
) -> tuple[str, ...]:
    """Changes those limits that `changes` has, now and for later starts; warnings of what cannot.

    `cpus`, in billionths of a processor, is what the quota in `changes` stands for, if it does.
    Nothing is changed when something is refused. Raises UsageError, Conflict,
    NotFound.
    """
    resources.check(changes.replace(memory_swap=0) if not changes.memory else changes)
    changes, warnings = support.adapt(changes, support.detect(), whole_cpus=cpus > 0)
    with store.locks.hold(lock_name(row.id)):
        found = find(store, row.id)
        if found is None:
            raise NotFound("container", row.name)
        state = ContainerState.decode(found.state)
        if state.status == REMOVING:
            raise _refused(row.id, 'container is marked for removal and cannot be "update"')
        rights = Rights.decode(state.rights)
        limits = _merged(rights, changes, cpus, row.id)
        resources.check(limits)
        if found.running and state.status == RUNNING:
            _apply(store, found, rights.limits, limits)
        changed = rights.replace(limits=limits, cpus=cpus or rights.cpus)
        encoded = state.replace(rights=changed.encode()).encode()
        store.containers.set_state(row.id, encoded, running=found.running)
    return warnings


def _merged(rights: Rights, changes: Resources, cpus: int, identifier: str) -> Resources:
    """The limits with the changes; docker's refusals of what would not go together."""
    old = rights.limits
    quota = changes.cpu_quota or changes.cpu_period
    if cpus and not rights.cpus and (old.cpu_period or old.cpu_quota):
        which = "Period" if old.cpu_period else "Quota"
        raise _refused(
            identifier,
            f"Conflicting options: Nano CPUs cannot be updated as CPU {which} has already been set",
        )
    if quota and not cpus and rights.cpus:
        which = "Period" if changes.cpu_period else "Quota"
        raise _refused(
            identifier,
            f"Conflicting options: CPU {which} cannot be updated as NanoCPUs has already been set",
        )
    if changes.memory and not changes.memory_swap and 0 <= old.all_memory < changes.memory:
        raise _refused(
            identifier,
            "Memory limit should be smaller than already set memoryswap limit, update the "
            "memoryswap at the same time",
        )
    merged = old.replace(
        **{
            name: value
            for name in Resources._fields
            if (value := getattr(changes, name)) != getattr(Resources(), name)
        }
    )
    if changes.memory and not changes.memory_swap:
        merged = merged.replace(memory_swap=old.all_memory)
    return merged


def _apply(store: Store, row: ContainerRow, old: Resources, new: Resources) -> None:
    """Writes what has changed to the container's groups."""
    with Running(store, row) as running:
        pid = running.pid
        groups = usage.groups_of(pid, CGROUP_PREFIX) if pid else {}
    if not pid:
        return
    for controller in new.controllers:
        version, directory = groups.get(controller, (0, ""))
        settings_of = resources.legacy_settings if version == 1 else resources.unified_settings
        before = settings_of(old, controller)
        settings = [setting for setting in settings_of(new, controller) if setting not in before]
        if not settings:
            continue
        if not version:
            raise _refused(row.id, f"it has no group of its own for {controller}")
        optional = resources.optional_files(new)
        if controller == MEMORY and version == 1:
            settings = _in_order(directory, settings)
        try:
            resources.write_settings(directory, settings, optional=optional)
        except OSError as error:
            name = os.path.basename(error.filename)
            raise _refused(row.id, f"write {name}: {(error.strerror or '').lower()}") from error


def _in_order(directory: str, settings: Settings) -> Settings:
    """The limit with swap is never below that without it, at no moment."""
    wanted = dict(settings)
    if _LIMIT not in wanted or _WITH_SWAP not in wanted:
        return settings
    with open(f"{directory}/{_WITH_SWAP}", encoding="ascii") as file:
        now = int(file.read())
    if int(wanted[_LIMIT]) <= now:
        return settings
    return sorted(settings, key=lambda setting: setting[0] != _WITH_SWAP)


def _refused(identifier: str, reason: str) -> Conflict:
    return Conflict(f"Cannot update container {identifier}: {reason}")
