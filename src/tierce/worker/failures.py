"""Keeps what a failed step leaves, for somebody to look around in it."""

from __future__ import annotations

from tierce.graph.ops import Bind, CacheMount, Tmpfs
from tierce.store.failed_steps import BindFiles, CacheFiles, MemoryFiles, StepProcess

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.graph.ops import Exec
    from tierce.store import Store
    from tierce.store.failed_steps import FailedStep, StepMount
    from tierce.store.snapshots import Active
    from tierce.worker.mounts import StepMounts

_SHELL = "/bin/sh"


def keep_step(
    store: Store, build: str, name: str, op: Exec, active: Active, seen: Sequence[StepMount]
) -> FailedStep:
    """Keep the file system of a failed RUN, and all its process was given.

    `active`, which the process wrote to, becomes a snapshot; when that fails it is still there.
    `seen` are its mounts (`mounts_of`). Raises StoreError.
    """
    process = StepProcess(
        args=op.args,
        shell=shell_of(op.args),
        env=tuple([f"{name}={value}" for name, value in op.env + op.proxy]),
        cwd=op.cwd,
        user=op.user,
        network=op.network,
        hosts=op.hosts,
        security=op.security,
        mounts=tuple(seen),
    )
    with store.database.transaction():
        snapshot = store.snapshots.commit(active)
        return store.failed_steps.add(build, name, snapshot.id, process)


def shell_of(args: Sequence[str]) -> tuple[str, ...]:
    """The shell of a command in shell form; the usual one for a command without."""
    program = args[0] if len(args) > 2 else ""
    return (program,) if program.rpartition("/")[2].endswith("sh") else (_SHELL,)


def mounts_of(op: Exec, mounts: StepMounts) -> list[StepMount]:
    """The mounts that can be made again; not those of secrets and of agents."""
    kept: list[StepMount] = []
    for mount in op.mounts:
        if isinstance(mount, Bind):
            result, source = mounts.files_of(mount)
            kept.append(BindFiles(mount.target, result.snapshot, source, mount.read_only))
        elif isinstance(mount, CacheMount):
            name, source = mounts.cache_of(mount)
            files = CacheFiles(mount.target, name, source, mount.sharing, mount.read_only)
            kept.append(files.replace(mode=mount.mode, uid=mount.uid, gid=mount.gid))
        elif isinstance(mount, Tmpfs):
            kept.append(MemoryFiles(mount.target, mount.size, mount.read_only))
    return kept
