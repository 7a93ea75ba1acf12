"""RUN: a process in a container over a writable layer, which becomes the result."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from tierce.errors import BuildError, ContainerError, StepFailed
from tierce.runtime.bundle import ProcessSpec
from tierce.runtime.probe import choose_runtime
from tierce.runtime.steps import StepRunner
from tierce.worker.hasher import Hasher
from tierce.worker.logs import StepLog
from tierce.worker.mounts import StepMounts
from tierce.worker.results import FileSystem

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.graph.ops import Exec
    from tierce.solver.types import Step
    from tierce.store import Store
    from tierce.store.snapshots import Active
    from tierce.worker.results import Result


class ExecRunner:
    """Runs the Exec operations of one build; close it when that is done.

    The layers of vertices in `image_steps` will be part of an image: each is hashed in the
    background as soon as its step ends, while the next one runs.
    """

    def __init__(self, store: Store, image_steps: set[str]) -> None:
        self._store = store
        self._image_steps = image_steps
        self._steps: StepRunner | None = None
        self._hasher = Hasher(store)
        self._lock = threading.Lock()
        self._cleanup = ExitStack()

    def close(self) -> None:
        """Wait for the hashing, and end what drives containers."""
        self._hasher.close()
        self._cleanup.close()

    def run(self, op: Exec, base: FileSystem, inputs: Sequence[Result], step: Step) -> FileSystem:
        """Run a process; the file system that it leaves.

        Raises StepFailed when it exits with an error, BuildError when it cannot be started,
        Cancelled, RuntimeUnavailable.
        """
        log = StepLog(self._store.paths.logs, step.vertex.digest)
        snapshots = self._store.snapshots
        active = snapshots.prepare(base.snapshot)
        try:
            with log:
                status = self._execute(op, active, inputs, step, log)
            if status:
                raise _exited(op, step, status, log)
            committed = snapshots.commit(active)
        except ContainerError as error:
            failure = BuildError(f"{_process_failed(op)}: {error.message}", hint=error.hint)
            self._failed(active)
            raise failure from error
        except BaseException:
            self._failed(active)
            raise
        if step.vertex.digest in self._image_steps:
            self._hasher.add(committed.id)
        return FileSystem(committed.id)

    def _execute(
        self, op: Exec, active: Active, inputs: Sequence[Result], step: Step, log: StepLog
    ) -> int:
        """Run the process on a writable layer; its exit status."""

        def output(stream: int, data: bytes) -> None:
            log.write(data)
            step.log(stream, data)

        with StepMounts(self._store, inputs) as mounts:
            return self._runner().run(
                self._store.snapshots.mounts(active),
                _process(op),
                binds=[mounts.open(mount) for mount in op.mounts],
                network=op.network,
                hosts=op.hosts,
                log=output,
                cancel=step.cancelled,
            )

    def _failed(self, active: Active) -> None:
        """What becomes of the file system of a step that did not succeed."""
        self._store.snapshots.discard(active)

    def _runner(self) -> StepRunner:
        """The runtime, found when the first step needs it."""
        with self._lock:
            if self._steps is None:
                paths = self._store.paths
                steps = StepRunner(paths.bundles, choose_runtime(paths))
                self._steps = self._cleanup.enter_context(steps)
            return self._steps


def _process(op: Exec) -> ProcessSpec:
    return ProcessSpec(
        args=op.args,
        env=tuple(f"{name}={value}" for name, value in op.env + op.proxy),
        cwd=op.cwd,
        user=op.user,
    )


def _process_failed(op: Exec) -> str:
    return f'process "{" ".join(op.args)}" did not complete successfully'


def _exited(op: Exec, step: Step, status: int, log: StepLog) -> StepFailed:
    return StepFailed(
        f"{_process_failed(op)}: exit code: {status}",
        vertex=step.vertex.name,
        command=op.args,
        status=status,
        log_tail=log.tail(),
        log_path=str(log.path),
    )
