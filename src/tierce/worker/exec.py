"""RUN: a process in a container over a writable layer, which becomes the result."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from tierce.errors import BuildError, ContainerError, StepFailed
from tierce.graph.ops import Bind, CacheMount, Exec
from tierce.layer.apply import apply_layer
from tierce.linux.mounts import MountSpec
from tierce.runtime.bundle import BindMount, ProcessSpec
from tierce.runtime.probe import choose_runtime
from tierce.runtime.steps import StepRunner
from tierce.worker.files import gather, tree_of
from tierce.worker.logs import StepLog
from tierce.worker.results import FileSystem, Result

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tierce.graph.ops import Mount
    from tierce.solver.types import Step
    from tierce.store import Store
    from tierce.worker.context import LocalTree


class ExecRunner:
    """Runs the Exec operations of one build; close it when that is done.

    The layers of vertices in `image_steps` will be part of an image: each is hashed in the
    background as soon as its step ends, while the next one runs.
    """

    def __init__(self, store: Store, image_steps: set[str]) -> None:
        self._store = store
        self._image_steps = image_steps
        self._steps: StepRunner | None = None
        self._hasher: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._cleanup = ExitStack()

    def close(self) -> None:
        """Wait for the hashing. The exporter asks for what failed, and is told why."""
        if self._hasher is not None:
            self._hasher.shutdown()
        self._cleanup.close()

    def run(self, op: Exec, base: FileSystem, inputs: Sequence[Result], step: Step) -> FileSystem:
        """Run a process; the file system that it leaves.

        Raises StepFailed when it exits with an error, BuildError when it cannot be started,
        Cancelled, RuntimeUnavailable.
        """
        runner = self._runner()
        log = StepLog(self._store.paths.logs, step.vertex.digest)
        snapshots = self._store.snapshots
        active = snapshots.prepare(base.snapshot)
        try:
            with ExitStack() as stack, log:
                binds = [self._open_mount(mount, inputs, step, stack) for mount in op.mounts]

                def output(stream: int, data: bytes) -> None:
                    log.write(data)
                    step.log(stream, data)

                status = runner.run(
                    snapshots.mounts(active),
                    _process(op),
                    binds=binds,
                    network=op.network,
                    hosts=op.hosts,
                    log=output,
                    cancel=step.cancelled,
                )
            if status:
                raise _failure(op, step, status, log)
            committed = snapshots.commit(active)
        except ContainerError as error:
            snapshots.discard(active)
            raise BuildError(f"{_process_failed(op)}: {error.message}", hint=error.hint) from error
        except BaseException:
            snapshots.discard(active)
            raise
        self._hash_later(step.vertex.digest, committed.id)
        return FileSystem(committed.id)

    def _runner(self) -> StepRunner:
        """The runtime, found when the first step needs it."""
        with self._lock:
            if self._steps is None:
                paths = self._store.paths
                steps = StepRunner(paths.bundles, choose_runtime(paths))
                self._steps = self._cleanup.enter_context(steps)
            return self._steps

    # Mounts

    def _open_mount(
        self, mount: Mount, inputs: Sequence[Result], step: Step, stack: ExitStack
    ) -> BindMount:
        if isinstance(mount, CacheMount):
            return stack.enter_context(self._cache(mount, inputs, step))
        if not isinstance(mount, Bind):
            raise TypeError(f"not a mount of files: {mount}")
        result, source = inputs[mount.input], mount.source
        if not isinstance(result, FileSystem):
            result, source = self._gathered(result, source)
        root = stack.enter_context(self._mounted(result, read_only=mount.read_only))
        return BindMount(mount.target, tuple(root), source, read_only=mount.read_only)

    def _gathered(self, tree: LocalTree, source: str) -> tuple[FileSystem, str]:
        """A snapshot of a part of the build context, and where in it that part is."""
        resolved = tree.resolve(source)
        entry = tree.lookup(resolved)
        name = "" if entry is None or entry.kind == "dir" else resolved.rpartition("/")[2]
        return gather(self._store, tree, source), f"/{name}"

    @contextmanager
    def _mounted(self, result: FileSystem, *, read_only: bool) -> Iterator[Sequence[MountSpec]]:
        """The mounts of what a bind mount shows; a writable one writes to a layer that is lost."""
        snapshots = self._store.snapshots
        if read_only and result.snapshot is not None:
            yield snapshots.mounts(result.snapshot, read_only=True)
            return
        active = snapshots.prepare(result.snapshot)
        try:
            yield snapshots.mounts(active, read_only=read_only)
        finally:
            snapshots.discard(active)

    @contextmanager
    def _cache(
        self, mount: CacheMount, inputs: Sequence[Result], step: Step
    ) -> Iterator[BindMount]:
        """A cache mount: one for all, one at a time ("locked"), or one for each ("private")."""
        with ExitStack() as stack:
            name = mount.id
            if mount.sharing == "locked":
                stack.enter_context(self._store.lock(f"cache-mount-use {name}"))
            elif mount.sharing == "private":
                name = self._free_cache(name, stack)
            directory = self._store.cache_mounts.directory(
                name,
                mode=mount.mode,
                uid=mount.uid,
                gid=mount.gid,
                initialise=self._filler(mount, inputs),
            )
            yield BindMount(mount.target, (_host_directory(directory),), read_only=mount.read_only)

    def _free_cache(self, name: str, stack: ExitStack) -> str:
        """The first of `name`, `name#2`, … that nobody uses now; held until the stack closes."""
        number = 1
        while True:
            candidate = name if number == 1 else f"{name}#{number}"
            lock = f"cache-mount-use {candidate}"
            if stack.enter_context(self._store.locks.try_hold(lock)):
                return candidate
            number += 1

    def _filler(
        self, mount: CacheMount, inputs: Sequence[Result]
    ) -> Callable[[Path], object] | None:
        """Copies what a new cache starts with, when the mount says `from`."""
        if not mount.input:
            return None
        tree = tree_of(self._store, inputs[mount.input])
        store = self._store

        def fill(directory: Path) -> None:
            gathered = gather(store, tree, mount.source)
            if gathered.snapshot is None:
                return
            [layer] = store.snapshots.chain(gathered.snapshot)
            assert layer.diff_id is not None
            with store.layers.open_tar(layer.diff_id) as stream:
                apply_layer(stream, os.fspath(directory), whiteouts="remove")

        return fill

    # Hashing

    def _hash_later(self, vertex: str, snapshot: int) -> None:
        if vertex not in self._image_steps:
            return
        with self._lock:
            if self._hasher is None:
                self._hasher = ThreadPoolExecutor(1, "hasher")
            self._hasher.submit(self._store.snapshots.finish, [snapshot])


def _process(op: Exec) -> ProcessSpec:
    return ProcessSpec(
        args=op.args,
        env=tuple(f"{name}={value}" for name, value in op.env + op.proxy),
        cwd=op.cwd,
        user=op.user,
    )


def _host_directory(path: Path) -> MountSpec:
    return MountSpec("bind", os.fspath(path), "", ("rbind",))


def _process_failed(op: Exec) -> str:
    return f'process "{" ".join(op.args)}" did not complete successfully'


def _failure(op: Exec, step: Step, status: int, log: StepLog) -> StepFailed:
    return StepFailed(
        f"{_process_failed(op)}: exit code: {status}",
        vertex=step.vertex.name,
        command=op.args,
        status=status,
        log_tail=log.tail(),
        log_path=str(log.path),
    )
