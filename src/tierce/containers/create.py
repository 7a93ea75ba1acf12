"""Making containers: what a request and an image say together, a name, a writable layer."""

from __future__ import annotations

import os
import stat

from tierce import containers
from tierce.containers import environment, steps
from tierce.containers.logfiles import JSON_FILE, NONE, LogLimits
from tierce.containers.mounts import ALONE, PlannedVolume, fill, mounts_of, plan, reserve
from tierce.containers.names import random_name
from tierce.containers.network import DEFAULT, HOST, ContainerNetwork, exposed_of, settled
from tierce.containers.request import HostPath, RunRequest
from tierce.containers.state import RUNNING, ContainerState
from tierce.containers.sweep import remove, sweep
from tierce.errors import Conflict, ContainerError, NotFound, UsageError
from tierce.linux import cgroups
from tierce.linux.mounts import MountSpec
from tierce.oci.config import ContainerConfig
from tierce.oci.digest import Digest
from tierce.oci.platform import Platform
from tierce.runtime import capabilities, stubs
from tierce.runtime.bundle import DEFAULT_PATH, BindMount, Isolation, ProcessSpec, TmpfsMount
from tierce.runtime.container import ContainerSpec
from tierce.store import Store
from tierce.store.containers import ContainerRow
from tierce.store.failed_steps import StepProcess
from tierce.values import Value

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME_ATTEMPTS = 20

NO_STEP = StepProcess()
"""The container is of an image."""


class Source(Value):
    """What a container is made of: an image, or a step of a build that failed.

    `id` is that of the image (the digest of its config) or of the step.
    """

    id: str
    config: ContainerConfig
    diff_ids: tuple[Digest, ...] = ()
    snapshot: int | None = None
    step: StepProcess = NO_STEP
    platform: str = ""

    def file_system(self, store: Store) -> int | None:
        """The snapshot to write upon. Raises NotFound for lost layers."""
        if not self.diff_ids:
            return self.snapshot
        found = store.snapshots.for_layers(self.diff_ids)
        return None if found is None else found.id


def find_source(store: Store, request: RunRequest) -> Source:
    """The image that a request means or, where there is none, the failed step.

    Raises NotFound, InvalidValue for the beginning of several ids.
    """
    platform = Platform.parse(request.platform) if request.platform else None
    try:
        image = store.images.resolve(request.image, platform)
    except NotFound:
        step = store.failed_steps.find(request.image)
        if step is None:
            raise
        process = store.failed_steps.process(step)
        return Source(step.id, steps.config_of(process), snapshot=step.snapshot, step=process)
    config = store.images.config(image)
    return Source(str(image.config), config.config, config.diff_ids, platform=config.os)


def create(store: Store, request: RunRequest, source: Source | None = None) -> ContainerRow:
    """Makes a container that can be started; its directory is then there, too.

    `source` is what `find_source` has found, for who holds a lease. Raises NotFound (the image),
    Conflict (the name), UsageError, ContainerError, StoreError.
    """
    check(request)
    request = with_known_rights(store, request)
    sweep(store)
    with store.leases.ensure("container create"):
        source = source or find_source(store, request)
        if source.step != NO_STEP:
            raise ContainerError(
                f"create container of {request.image}: it is a failed step of a build",
                hint="a container of it lives in the foreground: tierce run -it",
            )
        identifier = new_id()
        request = settled(store, request)
        state = state_of(request, source, identifier).replace(detached=True)
        state, volumes = plan(store, request, source.config, state)
        return add(store, request, source, identifier, state, volumes)


def with_known_rights(store: Store, request: RunRequest) -> RunRequest:
    """The request, without what of its rights this machine cannot give. Raises as `prepared`."""
    if request.rights is None:
        return request
    rights, _ = containers.rights.prepared(
        store, request.rights, privileged=request.privileged, network=request.network
    )
    return request.replace(rights=rights)


def new_id() -> str:
    """An id that no other container has."""
    return os.urandom(32).hex()


def add(
    store: Store,
    request: RunRequest,
    source: Source,
    identifier: str,
    state: ContainerState,
    volumes: Sequence[PlannedVolume] = (),
) -> ContainerRow:
    """Reserves the name, with a writable layer, volumes and a directory. For who holds a lease.

    Raises Conflict, ContainerError, InvalidValue, LayerError, StoreError.
    """
    active = store.snapshots.prepare(source.file_system(store))
    attempts = 1 if request.name else _NAME_ATTEMPTS
    while True:
        try:
            with store.database.transaction():
                row = store.containers.add(
                    identifier,
                    request.name or random_name(),
                    image=source.id,
                    snapshot=active.id,
                    state=state.encode(),
                    running=state.status == RUNNING,
                )
                reserve(store, identifier, volumes)
            break
        except BaseException as error:
            attempts -= 1
            if not isinstance(error, Conflict) or not attempts:
                store.snapshots.discard(active)
                raise
    try:
        os.mkdir(directory_of(store, row.id), 0o700)
        fill(store, active.parent, volumes)
        if request.id_file:
            _write_id(request.id_file, row.id)
    except BaseException as error:
        remove(store, row, volumes=True)
        if isinstance(error, OSError):
            raise ContainerError(f"make container directory: {error.strerror}") from error
        raise
    return row


def directory_of(store: Store, identifier: str) -> str:
    """What is kept of a container from its start to its removal."""
    return str(store.paths.container(identifier))


def log_directory(store: Store, identifier: str, state: ContainerState) -> str:
    """Where the files with what a container has written are (see `logfiles`); empty for none."""
    return "" if state.log_driver == NONE else directory_of(store, identifier)


def log_limits(state: ContainerState) -> LogLimits:
    """How much of its log is kept."""
    if state.log_driver == JSON_FILE and not state.log_options:
        return LogLimits()
    return containers.logdriver.limits_of(state.log_driver, dict(state.log_options))


def spec_of(
    store: Store,
    row: ContainerRow,
    state: ContainerState,
    *,
    size: tuple[int, int] | None = None,
    step: StepProcess = NO_STEP,
    mounts: Sequence[BindMount | TmpfsMount] = (),
    network: ContainerNetwork,
) -> ContainerSpec:
    """What the runtime is to make of a container, in the place of a failed `step` if it is."""
    isolation = isolation_of(state, step)
    assert row.snapshot is not None
    active = store.snapshots.get_active(row.snapshot)
    root = store.snapshots.mounts(active)
    spec = ContainerSpec(
        root=tuple(root if state.remove else _lasting(root)),
        process=ProcessSpec(
            args=state.args,
            env=state.env,
            cwd=state.working_dir,
            user=state.user,
            terminal=state.terminal,
            size=size,
        ),
        isolation=isolation,
        stubs=f"{directory_of(store, row.id)}/{stubs.NAME}",
        binds=(*mounts, *(bind_mount(*bind) for bind in state.binds), *mounts_of(store, state)),
        files=network.files((*step.hosts, *state.hosts), host_network=isolation.host_network),
        network=network.namespace,
    )
    return containers.rights.applied(store, state, spec) if state.rights else spec


def _lasting(specs: Sequence[MountSpec]) -> list[MountSpec]:
    """Mounts whose files are still there after a crash of the machine, and not thrown away."""
    return [
        spec.replace(options=tuple(option for option in spec.options if option != "volatile"))
        for spec in specs
    ]


def isolation_of(state: ContainerState, step: StepProcess = NO_STEP) -> Isolation:
    """What a container is to have or, where nothing is said, the step it takes the place of."""
    network = step.network if state.network == "default" else state.network
    insecure = step.security == "insecure" and not state.privileged
    every = state.privileged or insecure
    return Isolation(
        hostname=state.hostname,
        host_network=network in {HOST, DEFAULT},
        privileged=every,
        read_only=state.read_only,
        capabilities=capabilities.ALL if every else capabilities.DEFAULT,
        insecure=insecure,
        cgroup_namespace=cgroups.is_unified(),  # docker's default
    )


def state_of(request: RunRequest, source: Source, identifier: str) -> ContainerState:
    """How a container with this id is to be."""
    config = source.config
    check = None
    if request.health or config.healthcheck:
        check = containers.health.merged(request.health, config.healthcheck)
    own = os.uname().nodename if request.network == "host" else identifier[:12]
    hostname = request.hostname or own
    words = _arguments(request, config)
    entrypoint = config.entrypoint if request.entrypoint is None else request.entrypoint
    return ContainerState(
        remove=request.remove,
        image_name=request.image,
        entrypoint=entrypoint or None,
        command=words[len(entrypoint or ()) :] or None,
        args=words,
        env=_environment(request, config, hostname),
        working_dir=request.working_dir or config.working_dir or "/",
        user=request.user or config.user,
        hostname=hostname,
        stdin=request.stdin,
        stdin_once=request.stdin and request.stdin_once,
        attached=request.attached,
        terminal=request.terminal,
        network=request.network,
        ports=tuple(
            (port.container, port.protocol, port.host_ip, port.first, port.last)
            for port in request.ports
        ),
        publish_all=request.publish_all,
        address=request.address,
        mac=request.mac,
        dns=request.dns,
        dns_search=request.dns_search,
        dns_options=request.dns_options,
        hosts=request.hosts,
        exposed=exposed_of(request, config.exposed_ports),
        labels=tuple(sorted((dict(config.labels) | dict(request.labels)).items())),
        privileged=request.privileged,
        read_only=request.read_only,
        stop_signal=request.stop_signal or config.stop_signal,
        stop_timeout=request.stop_timeout,
        platform=source.platform,
        log_driver=request.log_driver,
        log_options=request.log_options,
        health=containers.health.encoded(check) if check else None,
        shell=config.shell or () if check else (),
        rights=request.rights.encode() if request.rights is not None else (),
    )


def check(request: RunRequest) -> None:
    """Refuses what cannot work before anything is made."""
    if request.id_file and os.path.exists(request.id_file):
        raise UsageError(
            f"container ID file found, make sure the other container isn't running or delete "
            f"{request.id_file}"
        )
    if request.working_dir and not request.working_dir.startswith("/"):
        raise UsageError(
            f"the working directory '{request.working_dir}' is invalid, "
            "it needs to be an absolute path"
        )
    if request.log_driver != JSON_FILE or request.log_options:
        containers.logdriver.check_log_driver(request.log_driver, dict(request.log_options))
    for bind in request.binds:
        _check_source(bind)


def _check_source(bind: HostPath) -> None:
    if os.path.exists(bind.source):
        return
    if not bind.create:
        raise ContainerError(
            f'invalid mount config for type "bind": bind source path does not exist: {bind.source}'
        )
    try:
        os.makedirs(bind.source)
    except OSError as error:
        raise ContainerError(f"make directory {bind.source}: {error.strerror}") from error


def _write_id(path: str, identifier: str) -> None:
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(identifier)
    except OSError as error:
        raise ContainerError(f"write container ID file {path}: {error.strerror}") from error


def _arguments(request: RunRequest, config: ContainerConfig) -> tuple[str, ...]:
    """ENTRYPOINT and CMD: an entrypoint of the request takes away both of the image."""
    if request.entrypoint is not None:
        words = (*request.entrypoint, *request.command)
    else:
        words = (*(config.entrypoint or ()), *(request.command or config.cmd or ()))
    if not words:
        raise ContainerError(
            f"run {request.image}: no command specified",
            hint="the image has neither CMD nor ENTRYPOINT; write a command behind its name",
        )
    return words


def _environment(request: RunRequest, config: ContainerConfig, hostname: str) -> tuple[str, ...]:
    first = [f"PATH={DEFAULT_PATH}", f"HOSTNAME={hostname}"]
    if request.terminal:
        first.append("TERM=xterm")
    images = [entry.partition("=")[::2] for entry in config.env]
    return environment.merge(first, [*images, *request.env])


def bind_mount(source: str, target: str, read_only: bool, options: tuple[str, ...]) -> BindMount:
    """A single file is mounted as its directory and a name in it, as a tree is a directory."""
    source = os.path.realpath(source)
    try:
        whole = stat.S_ISDIR(os.stat(source).st_mode)
    except OSError as error:
        raise ContainerError(f"mount {source} at {target}: {error.strerror}") from error
    tree, name = (source, "/") if whole else os.path.split(source)
    root = (MountSpec("bind", tree, "", (ALONE if ALONE in options else "rbind",)),)
    others = tuple(option for option in options if option != ALONE)
    return BindMount(target, root, name, read_only, others)
