"""Images made of containers: `container commit`."""

from __future__ import annotations

from contextlib import contextmanager

from tierce.containers.listing import PAUSED, view
from tierce.containers.state import ContainerState
from tierce.containers.stop import pause, unpause
from tierce.containers.upper import open_upper
from tierce.errors import Conflict, ContainerError, NotFound
from tierce.layer.changes import changed_items, live_changes
from tierce.oci.config import ContainerConfig, History, ImageConfig
from tierce.oci.descriptor import Descriptor
from tierce.oci.digest import Digest
from tierce.oci.manifest import Manifest
from tierce.oci.media_types import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from tierce.oci.platform import Platform
from tierce.runtime.bundle import DEFAULT_PATH
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tierce.oci.reference import Reference
    from tierce.store import Store
    from tierce.store.containers import ContainerRow
    from tierce.store.images import Image
    from tierce.store.snapshots.base import Snapshot


class CommitRequest(Value):
    """An image to be made of a container.

    `config` is what containers of it are to be like. `created` is an RFC 3339 time; processes of
    the container are held up meanwhile by `pause`.
    """

    config: ContainerConfig
    created: str
    name: Reference | None = None
    author: str = ""
    message: str = ""
    pause: bool = True


def commit(store: Store, row: ContainerRow, request: CommitRequest) -> Image:
    """Makes an image of the image of a container and what the container has changed in its files.

    The name is moved last. Raises ContainerError, LayerError, NotFound, StoreError.
    """
    state = ContainerState.decode(row.state)
    with store.leases.ensure("container commit"):
        with _held_up(store, row) if request.pause else _as_it_is():
            parent, top = _write_changes(store, row)
        base = base_of(store, row, state)
        layers = _layers(store, top)
        step = History(
            request.created,
            created_by=" ".join((*(state.entrypoint or ()), *(state.command or ()))),
            comment=request.message,
            author=request.author,
            empty_layer=top == parent,
        )
        config = base.replace(
            created=request.created,
            author=request.author,
            config=request.config,
            diff_ids=tuple(_sure(layer.diff_id) for layer in layers),
            history=(*base.history, step),
            comment=request.message,
            container=row.id,
            build_cache="",
        ).encode()
        manifest = Manifest(
            OCI_MANIFEST,
            Descriptor(OCI_CONFIG, Digest.of(config), len(config)),
            tuple(Descriptor(OCI_LAYER, _sure(layer.diff_id), layer.tar_size) for layer in layers),
        )
        image = store.images.put(manifest.encode(), config)
        if base.diff_ids:
            store.images.set_parent(image.config, Digest.parse(row.image))
        if request.name is not None:
            store.images.tag(request.name, image.manifest)
        return image


def base_of(store: Store, row: ContainerRow, state: ContainerState) -> ImageConfig:
    """The image of a container or, when that is no more, one of its platform without a history."""
    try:
        return store.images.config(store.images.resolve(row.image))
    except NotFound:
        platform = Platform.host()
        return ImageConfig(platform.architecture, state.platform or platform.os, platform.variant)


def config_of(state: ContainerState, image: ContainerConfig) -> ContainerConfig:
    """What a container was made as, in the form of an image, as docker has it.

    That is without what every container has in its environment, and without triggers.
    """
    known = image.environment()
    added = {"PATH": DEFAULT_PATH, "HOSTNAME": state.hostname}
    if state.terminal:
        added["TERM"] = "xterm"
    environment = [entry.partition("=") for entry in state.env]
    return ContainerConfig(
        user=state.user,
        exposed_ports=state.exposed,
        env=tuple(
            f"{name}={value}"
            for name, _, value in environment
            if name in known or added.get(name) != value
        ),
        entrypoint=state.entrypoint,
        cmd=state.command,
        volumes=state.directories,
        working_dir="" if state.working_dir == "/" and not image.working_dir else state.working_dir,
        labels=state.labels,
        stop_signal=state.stop_signal,
        healthcheck=state.health_check or image.healthcheck,
    )


def _write_changes(store: Store, row: ContainerRow) -> tuple[int | None, int | None]:
    """The snapshot that a container was made upon, and that with what it has changed."""
    with open_upper(store, row) as upper:
        parent = upper.active.parent
        below = store.snapshots.view(parent)
        if next(live_changes(upper.layer, below), None) is None:
            return parent, parent
        written = store.layers.write(changed_items(upper.layer, below))
    made = store.snapshots.add_layer(
        parent, written.diff_id, size=written.size, tar_size=written.tar_size
    )
    return parent, made.id


def _layers(store: Store, top: int | None) -> Sequence[Snapshot]:
    """The layers of a snapshot, bottom first, all with their diff id and their tar's size."""
    if top is None:
        return []
    chain = store.snapshots.chain(top)
    if unknown := [layer.id for layer in chain if layer.diff_id is None]:
        store.snapshots.finish(unknown)
        chain = store.snapshots.chain(top)
    unmeasured = [_sure(layer.diff_id) for layer in chain if not layer.tar_size]
    for diff_id in unmeasured:
        store.snapshots.set_tar_size(diff_id, store.layers.tar_size(diff_id))
    return store.snapshots.chain(top) if unmeasured else chain


@contextmanager
def _held_up(store: Store, row: ContainerRow) -> Iterator[None]:
    """Holds up the processes of a container that runs, for the block.

    Raises ContainerError where the machine cannot.
    """
    if not row.running or view(store, row).status == PAUSED:
        yield
        return
    try:
        pause(store, row)
    except Conflict:  # it has just ended, or somebody else holds it up
        yield
        return
    except ContainerError as error:
        error.hint = error.hint or "commit it while it runs: --pause=false"
        raise
    try:
        yield
    finally:
        unpause(store, row)


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


def _sure(diff_id: Digest | None) -> Digest:
    if diff_id is None:
        raise RuntimeError("a finished snapshot has no diff id")
    return diff_id
