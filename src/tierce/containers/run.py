"""`container run` in the foreground: a container is made, run, and then kept or removed."""

from __future__ import annotations

import os
import stat
import time
from contextlib import ExitStack

from tierce.containers import environment, steps
from tierce.containers.foreground import Streams, run_with_pipes, run_with_terminal
from tierce.containers.names import random_name
from tierce.containers.request import HostPath, RunRequest
from tierce.containers.state import EXITED, RUNNING, ContainerState
from tierce.containers.sweep import remove, sweep
from tierce.containers.terminal import size_of
from tierce.errors import Conflict, ContainerError, NotFound, TierceError, UsageError
from tierce.linux.mounts import MountSpec
from tierce.oci.config import ContainerConfig
from tierce.oci.digest import Digest
from tierce.oci.platform import Platform
from tierce.runtime import capabilities
from tierce.runtime import launcher as launchers
from tierce.runtime.bundle import DEFAULT_PATH, BindMount, Isolation, ProcessSpec, TmpfsMount
from tierce.runtime.crun import Container, ContainerSpec, Engine, TextFile
from tierce.runtime.launcher import Launcher
from tierce.runtime.probe import choose_runtime
from tierce.runtime.resolver import container_hosts, resolv_conf
from tierce.store import Store
from tierce.store.containers import ContainerRow
from tierce.store.failed_steps import StepProcess
from tierce.values import Value

_NAME_ATTEMPTS = 20


def run(store: Store, request: RunRequest, streams: Streams | None = None) -> int:
    """Runs a container until its process ends; returns the process's exit status.

    `streams` are our own three by default; signals to this process go to the container's. Raises
    ContainerError, also with an exit status, when it cannot be started; NotFound (the image),
    Conflict (the name), UsageError, RuntimeUnavailable, StoreError.
    """
    streams = streams or Streams()
    _check(request, streams)
    bundles = store.paths.bundles
    launchers.sweep(bundles)
    sweep(store)
    runtime = choose_runtime(store.paths)
    with ExitStack() as stack:
        # The container's row then protects what it uses, so that a long run holds up no collection.
        with store.leases.ensure("container run"):
            source = find_source(store, request)
            isolation = _isolation(request, source.step)
            mounts = stack.enter_context(steps.open_mounts(store, source.step))
            rules = isolation.device_rules if runtime.shares_cgroup else ()
            launcher = stack.enter_context(Launcher(bundles, rules))
            made = _Made(store, request, source, mounts, launcher.name)
        try:
            with (
                Engine(runtime, launcher) as engine,
                Container(engine, made.spec(isolation, streams)) as container,
            ):
                if request.terminal:
                    status = run_with_terminal(
                        container, streams, launcher.directory, stdin=request.stdin
                    )
                else:
                    status = run_with_pipes(container, streams, stdin=request.stdin)
        except TierceError as error:
            made.failed(error)
            raise
        except BaseException:
            made.failed(ContainerError("interrupted"))
            raise
        made.exited(status)
    return status


class Source(Value):
    """What a container is made of: an image, or a step of a build that failed.

    `id` is that of the image (the digest of its config) or of the step.
    """

    id: str
    config: ContainerConfig
    diff_ids: tuple[Digest, ...] = ()
    snapshot: int | None = None
    step: StepProcess = StepProcess()

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
    return Source(str(image.config), config.config, config.diff_ids)


class _Made:
    """The container's row and writable layer."""

    def __init__(
        self,
        store: Store,
        request: RunRequest,
        source: Source,
        mounts: tuple[BindMount | TmpfsMount, ...],
        launcher: str,
    ) -> None:
        self._store = store
        self._request = request
        self._config = source.config
        self._step = source.step
        self._mounts = mounts
        self.id = os.urandom(32).hex()
        self._state = self._make_state(launcher)
        self._active = store.snapshots.prepare(source.file_system(store))
        try:
            self._row = self._add_row(source.id)
        except BaseException:
            store.snapshots.discard(self._active)
            raise
        if request.id_file:
            self._write_id(request.id_file)

    def spec(self, isolation: Isolation, streams: Streams) -> ContainerSpec:
        """What the runtime is to make, in an isolation whose hostname is not set yet."""
        request, state = self._request, self._state
        hostname = state.hostname
        added = (*self._step.hosts, *request.hosts)
        hosts = container_hosts(hostname, added, host_network=isolation.host_network)
        return ContainerSpec(
            root=tuple(self._store.snapshots.mounts(self._active)),
            process=ProcessSpec(
                args=state.args,
                env=state.env,
                cwd=state.working_dir,
                user=state.user,
                terminal=request.terminal,
                size=size_of(streams.stdout) if request.terminal else None,
            ),
            isolation=isolation.replace(hostname=hostname),
            binds=(*self._mounts, *(_bind(path) for path in request.binds)),
            files=(
                _file("/etc/resolv.conf", resolv_conf(host_network=isolation.host_network)),
                _file("/etc/hosts", hosts),
                _file("/etc/hostname", f"{hostname}\n"),
            ),
            directories=self._config.volumes,
        )

    def exited(self, status: int) -> None:
        """The process has ended."""
        if self._request.remove:
            remove(self._store, self._row)
            return
        ended = self._state.replace(status=EXITED, exit_code=status, finished=time.time())
        self._store.containers.set_state(self.id, ended.encode(), running=False)

    def failed(self, error: TierceError) -> None:
        """The process could not be started."""
        if self._request.remove:
            remove(self._store, self._row)
            return
        failed = self._state.replace(
            status=EXITED,
            exit_code=error.exit_code,
            error=error.message,
            finished=time.time(),
        )
        self._store.containers.set_state(self.id, failed.encode(), running=False)

    def _make_state(self, launcher: str) -> ContainerState:
        request, config = self._request, self._config
        hostname = request.hostname or (
            os.uname().nodename if request.network == "host" else self.id[:12]
        )
        return ContainerState(
            status=RUNNING,
            started=time.time(),
            launcher=launcher,
            remove=request.remove,
            image_name=request.image,
            args=_arguments(request, config),
            env=_environment(request, config, hostname),
            working_dir=request.working_dir or config.working_dir or "/",
            user=request.user or config.user,
            hostname=hostname,
            stdin=request.stdin,
            terminal=request.terminal,
            network=request.network,
            binds=tuple((bind.source, bind.target, bind.read_only) for bind in request.binds),
            labels=tuple(sorted((dict(config.labels) | dict(request.labels)).items())),
            privileged=request.privileged,
        )

    def _add_row(self, image: str) -> ContainerRow:
        attempts = 1 if self._request.name else _NAME_ATTEMPTS
        while True:
            try:
                return self._store.containers.add(
                    self.id,
                    self._request.name or random_name(),
                    image=image,
                    snapshot=self._active.id,
                    state=self._state.encode(),
                    running=True,
                )
            except Conflict:
                attempts -= 1
                if not attempts:
                    raise

    def _write_id(self, path: str) -> None:
        try:
            with open(path, "x", encoding="utf-8") as file:
                file.write(self.id)
        except OSError as error:
            remove(self._store, self._row)
            raise ContainerError(f"write container ID file {path}: {error.strerror}") from error


def _check(request: RunRequest, streams: Streams) -> None:
    """Refuses what cannot work before anything is made."""
    if request.terminal and request.stdin and not os.isatty(streams.stdin):
        raise UsageError(
            "the input device is not a TTY", hint="leave out -t, or -i to have no input"
        )
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


def _isolation(request: RunRequest, step: StepProcess) -> Isolation:
    """What a request says or, where it says nothing, the step that it takes the place of."""
    network = step.network if request.network == "default" else request.network
    insecure = step.security == "insecure" and not request.privileged
    return Isolation(
        hostname="",
        host_network=network != "none",
        privileged=request.privileged or insecure,
        read_only=request.read_only,
        capabilities=capabilities.ALL if request.privileged or insecure else capabilities.DEFAULT,
        insecure=insecure,
    )


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


def _bind(path: HostPath) -> BindMount:
    """A single file is mounted as its directory and a name in it, as a tree is a directory."""
    source = os.path.realpath(path.source)
    tree, name = source, "/"
    if not stat.S_ISDIR(os.stat(source).st_mode):
        tree, name = os.path.split(source)
    root = (MountSpec("bind", tree, "", ("rbind",)),)
    return BindMount(path.target, root, name, path.read_only, path.options)


def _file(target: str, content: str) -> TextFile:
    return TextFile(target, content, read_only=False)
