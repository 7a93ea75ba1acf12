"""RUN: a process in a container over a writable layer, which becomes the result."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from functools import partial

from tierce import worker
from tierce.errors import BuildError, ContainerError, SecretLeaked, StepFailed, TierceError
from tierce.linux.resources import Resources
from tierce.runtime.bundle import DEFAULT_PATH, SHM_SIZE, ProcessSpec
from tierce.runtime.steps import StepSpec
from tierce.worker.credentials import Credentials
from tierce.worker.failures import keep_step, mounts_of
from tierce.worker.hasher import Hasher
from tierce.worker.isolation import step_runner
from tierce.worker.isolations import AUTOMATIC
from tierce.worker.logs import StepLog
from tierce.worker.mounts import StepMounts
from tierce.worker.results import FileSystem
from tierce.worker.secrets import Scan

TYPE_CHECKING = False  # as in tierce.values
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tierce.graph.ops import Exec
    from tierce.linux.mounts import MountSpec
    from tierce.runtime.steps import StepEnd
    from tierce.solver.types import Step
    from tierce.store import Store
    from tierce.store.snapshots import Active
    from tierce.worker.agents import Agents
    from tierce.worker.isolation import Steps
    from tierce.worker.results import Result
    from tierce.worker.secrets import SecretSearch


class ExecRunner:
    """Runs the Exec operations of one build; close it when that is done.

    The layers of vertices in `image_steps` will be part of an image: each is hashed in the
    background as soon as its step ends, while the next one runs.
    """

    def __init__(
        self,
        store: Store,
        image_steps: set[str],
        credentials: Credentials | None = None,
        build: str = "",
        search: SecretSearch | None = None,
        isolation: str = AUTOMATIC,
    ) -> None:
        """`build` says whose the failed steps are that are kept; see `store.failed_steps`.

        What `search` finds must not be in the output of a step.
        """
        self._store = store
        self._build = build
        self._search = search
        self._credentials = credentials or Credentials()
        self._agents: Agents | None = None
        self._image_steps = image_steps
        self._isolation = isolation
        self._steps: Steps | None = None
        self._hasher = Hasher(store)
        self._lock = threading.Lock()
        self._cleanup = ExitStack()

    def close(self) -> None:
        """Wait for the hashing, and end what drives containers."""
        self._hasher.close()
        self._cleanup.close()

    def run(self, op: Exec, base: FileSystem, inputs: Sequence[Result], step: Step) -> FileSystem:
        """Run a process; the file system that it leaves.

        Raises StepFailed when it exits with an error, and keeps what it left then; BuildError
        when it cannot be started, Cancelled, RuntimeUnavailable.
        """
        self._runner(step)  # who cannot run anything is told before anything is unpacked
        log = StepLog(self._store.paths.logs, step.vertex.digest)
        snapshots = self._store.snapshots
        active = snapshots.prepare(base.snapshot)
        try:
            end = self._logged(op, active, inputs, step, log)
            if end.status:
                raise _exited(op, step, end, log)
            committed = snapshots.commit(active)
        except StepFailed as error:
            self._keep(op, active, inputs, step, error)
            raise
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

    def _logged(
        self, op: Exec, active: Active, inputs: Sequence[Result], step: Step, log: StepLog
    ) -> StepEnd:
        """Run the process, and keep its log unless there is a secret in it."""
        scan = Scan(self._search) if self._search else None
        try:
            with log:
                end = self._execute(op, active, inputs, step, log, scan)
        finally:
            if scan is not None and scan.hit is not None:
                log.remove()
        if self._search and scan is not None and scan.hit is not None:
            raise SecretLeaked(
                f"{self._search.masked(step.vertex.name)}: the value of {scan.hit.secret} is in"
                " the output of the step",
                secret=scan.hit.secret,
                hint="it may be on your screen; the log was not kept",
            )
        return end

    def _execute(
        self,
        op: Exec,
        active: Active,
        inputs: Sequence[Result],
        step: Step,
        log: StepLog,
        scan: Scan | None,
    ) -> StepEnd:
        """Run the process on a writable layer."""

        def output(stream: int, data: bytes) -> None:
            if scan is not None:
                scan.feed(data)
            log.write(data)
            step.log(stream, data)

        with StepMounts(
            self._store,
            inputs,
            self._credentials,
            partial(self._open_agents, step),
            step.cancelled,
        ) as mounts:
            mounts.open(op.mounts)
            spec = _step_spec(op, self._store.snapshots.mounts(active), mounts)
            return self._runner(step).run(spec, log=output, cancel=step.cancelled)

    def _keep(
        self, op: Exec, active: Active, inputs: Sequence[Result], step: Step, error: StepFailed
    ) -> None:
        """Keep what a failed step left, and say so in its error."""
        try:
            agents = partial(self._open_agents, step)
            with StepMounts(self._store, inputs, self._credentials, agents) as mounts:
                seen = mounts_of(op, mounts)
            name = step.vertex.name
            if self._search:
                name = self._search.masked(name)
            kept = keep_step(self._store, self._build, name, op, active, seen)
        except TierceError as reason:
            self._failed(active)
            error.hint = error.hint or f"what the step left could not be kept: {reason.message}"
        else:
            error.failed_step = kept.id

    def _failed(self, active: Active) -> None:
        """What becomes of the file system of a step that did not succeed."""
        self._store.snapshots.discard(active)

    def _open_agents(self, step: Step) -> Agents:
        """The agents of the build, whose sockets are in the launcher's directory."""
        runner = self._runner(step)
        with self._lock:
            if self._agents is None:
                self._agents = worker.agents.Agents(self._credentials, runner.private_directory())
                self._cleanup.callback(self._agents.close)
            return self._agents

    def _runner(self, step: Step) -> Steps:
        """What runs steps, found when the first one needs it."""
        with self._lock:
            if self._steps is None:
                self._steps = step_runner(self._store, self._isolation, step.warn)
                self._cleanup.callback(self._steps.close)
            return self._steps


def _step_spec(op: Exec, root: Sequence[MountSpec], mounts: StepMounts) -> StepSpec:
    limits = op.limits
    variables = [f"{name}={value}" for name, value in op.env + op.proxy]
    if not any(variable.startswith("PATH=") for variable in variables):
        variables.append(f"PATH={DEFAULT_PATH}")
    process = ProcessSpec(
        args=op.args,
        env=(*variables, *mounts.variables),
        cwd=op.cwd,
        user=op.user,
        ulimits=tuple((limit.name, limit.soft, limit.hard) for limit in limits.ulimits),
    )
    return StepSpec(
        root=tuple(root),
        process=process,
        binds=tuple(mounts.binds),
        secrets=tuple(mounts.secrets),
        private=bool(mounts.variables),
        network=op.network,
        hosts=op.hosts,
        insecure=op.security == "insecure",
        resources=Resources.of(limits),
        cgroup_parent=limits.cgroup_parent,
        shm_size=limits.shm_size or SHM_SIZE,
    )


def _process_failed(op: Exec) -> str:
    return f'process "{" ".join(op.args)}" did not complete successfully'


def _exited(op: Exec, step: Step, end: StepEnd, log: StepLog) -> StepFailed:
    reason, hint = f"exit code: {end.status}", ""
    if end.out_of_memory:
        limit = f"{op.limits.memory / (1 << 20):.6g} MiB"
        reason += f": cannot allocate memory: the step ran out of memory, its limit is {limit}"
        hint = "give it more with --memory"
    return StepFailed(
        f"{_process_failed(op)}: {reason}",
        vertex=step.vertex.name,
        command=op.args,
        status=end.status,
        hint=hint,
        log_tail=log.tail(),
        log_path=str(log.path),
    )
