"""What is mounted in a container: what is asked for, what others have, what the image declares."""

from __future__ import annotations

import os
import posixpath

from tierce.containers.state import ContainerState
from tierce.errors import ContainerError, UsageError
from tierce.linux.mounts import MountSpec
from tierce.runtime.bundle import BindMount, TmpfsMount
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tierce.containers.request import RunRequest, VolumeMount
    from tierce.oci.config import ContainerConfig
    from tierce.store import Store

ALONE = "bind"
"""The option of a bind mount that does not show what is mounted below its source."""


class PlannedVolume(Value):
    """A volume that a container is to have, by its name, as `ContainerState` has it.

    The rest is for when it is not there yet, see `VolumeMount`.
    """

    name: str
    target: str
    read_only: bool = False
    anonymous: bool = False
    subpath: str = ""
    copy: bool = True
    labels: tuple[tuple[str, str], ...] = ()
    options: tuple[tuple[str, str], ...] = ()


def plan(
    store: Store, request: RunRequest, config: ContainerConfig, state: ContainerState
) -> tuple[ContainerState, tuple[PlannedVolume, ...]]:
    """The state with all mounts of a container, and the volumes among them. Makes nothing.

    What is asked for comes first, then what the containers of --volumes-from have, then a volume
    of its own for each VOLUME of the image. Raises UsageError for two at one place, NotFound.
    """
    binds = tuple(
        (bind.source, bind.target, bind.read_only, _options(bind.options, bind.recursive))
        for bind in request.binds
    )
    memory = tuple((mount.target, mount.options) for mount in request.memory)
    taken = _targets(request)
    volumes = [_planned(mount) for mount in request.volumes]
    for name, read_only in request.volumes_from:
        others = ContainerState.decode(store.containers.resolve(name).state)
        for bind in others.binds:
            if bind[1] not in taken:
                taken.add(bind[1])
                binds += ((bind[0], bind[1], bind[2] or read_only, bind[3]),)
        for volume in others.volumes:
            found = PlannedVolume(*volume, copy=False)
            if found.target not in taken:
                taken.add(found.target)
                volumes.append(found.replace(read_only=found.read_only or read_only))
    for path in config.volumes:
        target = "/" + posixpath.normpath(path).lstrip("/")
        if target not in taken and target != "/":
            taken.add(target)
            volumes.append(PlannedVolume(_random(), target, anonymous=True))
    own = tuple(mount.target for mount in request.volumes if not mount.name)
    planned = state.replace(
        binds=binds,
        volumes=tuple(
            (each.name, each.target, each.read_only, each.anonymous, each.subpath)
            for each in volumes
        ),
        memory=memory,
        volumes_from=tuple(
            f"{name}:ro" if read_only else name for name, read_only in request.volumes_from
        ),
        directories=(*config.volumes, *(target for target in own if target not in config.volumes)),
    )
    return planned, tuple(volumes)


def reserve(store: Store, container: str, volumes: Sequence[PlannedVolume]) -> None:
    """Have the volumes, and note that the container uses them; in the caller's transaction.

    Raises InvalidValue for a name that no volume can have.
    """
    for volume in volumes:
        store.volumes.create(
            volume.name,
            labels=dict(volume.labels),
            options=dict(volume.options),
            anonymous=volume.anonymous,
        )
        store.volumes.use(volume.name, container)


def fill(store: Store, snapshot: int | None, volumes: Sequence[PlannedVolume]) -> None:
    """Put what the image has at their targets into volumes that are empty, as docker does.

    Raises StoreError, LayerError.
    """
    tree = None
    for volume in volumes:
        with store.volumes.hold(volume.name):
            store.volumes.directory(volume.name)
            if snapshot is None or not volume.copy:
                continue
            tree = tree or store.snapshots.view(snapshot)
            store.volumes.fill(volume.name, tree, volume.target)


def mounts_of(store: Store, state: ContainerState) -> Iterator[BindMount | TmpfsMount]:
    """The volumes and the directories in memory of a container, for the runtime."""
    for name, target, read_only, _, subpath in state.volumes:
        yield BindMount(target, (_volume_root(store, name),), subpath or "/", read_only)
    for target, options in state.memory:
        yield TmpfsMount(target, options=options)


def _volume_root(store: Store, name: str) -> MountSpec:
    options = dict(store.volumes.get(name).options)
    if not options:
        with store.volumes.hold(name):
            return MountSpec("bind", store.volumes.directory(name), "", ("rbind",))
    given = tuple(word for word in options.get("o", "").split(",") if word)
    device, kind = options.get("device", ""), options.get("type", "")
    if "bind" in given or "rbind" in given:
        if not os.path.isdir(device):
            raise ContainerError(f"mount volume {name}: no such directory: {device}")
        return MountSpec("bind", device, "", given)
    return MountSpec(kind, device, "", given)


def _planned(mount: VolumeMount) -> PlannedVolume:
    return PlannedVolume(
        mount.name or _random(),
        mount.target,
        read_only=mount.read_only,
        anonymous=not mount.name,
        subpath=mount.subpath,
        copy=mount.copy,
        labels=mount.labels,
        options=mount.options,
    )


def _targets(request: RunRequest) -> set[str]:
    """Where something is asked for. Raises UsageError for two things at one place."""
    taken: set[str] = set()
    for mounts in (request.binds, request.volumes, request.memory):
        for target in [mount.target for mount in mounts]:
            if target in taken:
                raise UsageError(f"Duplicate mount point: {target}")
            taken.add(target)
    return taken


def _options(options: tuple[str, ...], recursive: bool) -> tuple[str, ...]:
    return options if recursive else (*options, ALONE)


def _random() -> str:
    return os.urandom(32).hex()
